//! A text's parts: in Markdown what stands in fences, else the text as it is.

/// What a part is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Language {
    Shell,
    Compose,
}

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    pub(super) language: Language,
    /// The number of its first line.
    pub(super) line: usize,
    pub(super) text: &'a str,
}

/// The parts of a file, by its name and what stands in it.
pub(super) fn parts<'a>(name: &str, text: &'a str) -> Vec<Part<'a>> {
    let has_suffix = |suffixes: &[&str]| suffixes.iter().any(|suffix| name.ends_with(suffix));
    let has_fence = || text.lines().any(|line| fence(line).is_some());
    if has_suffix(&[".md", ".markdown"]) || (!has_suffix(&[".sh", ".yml", ".yaml"]) && has_fence()) {
        return fenced(text);
    }
    let language = if has_suffix(&[".yml", ".yaml"]) || (!has_suffix(&[".sh"]) && looks_like_compose(text)) {
        Language::Compose
    } else {
        Language::Shell
    };
    vec![Part { language, line: 1, text }]
}

/// Whether a text without a telling name is a compose file.
pub(super) fn looks_like_compose(text: &str) -> bool {
    text.lines().any(|line| line.trim_end() == "services:")
}

/// The marks of a fence and the language behind them.
fn fence(line: &str) -> Option<(&str, &str)> {
    let line = line.trim_start();
    let mark = ["```", "~~~"].into_iter().find(|mark| line.starts_with(mark))?;
    let end = line.len() - line.trim_start_matches(mark.chars().next()?).len();
    Some((line.get(..end)?, line.get(end..)?.trim()))
}

fn fenced(text: &str) -> Vec<Part<'_>> {
    let mut parts = Vec::new();
    let mut open: Option<(&str, Option<Language>, usize, usize)> = None;
    let (mut at, mut number) = (0, 0);
    for line in text.split_inclusive('\n') {
        number += 1;
        let after = at + line.len();
        match (open, fence(line)) {
            (Some((mark, language, first, begin)), Some((found, "")))
                if found.len() >= mark.len() && found.starts_with(mark) =>
            {
                parts.extend(part(text, language, first, begin, at));
                open = None;
            }
            (None, Some((mark, info))) => open = Some((mark, language(info), number + 1, after)),
            _ => {}
        }
        at = after;
    }
    if let Some((_, language, first, begin)) = open {
        parts.extend(part(text, language, first, begin, text.len()));
    }
    parts
}

fn part(text: &str, language: Option<Language>, line: usize, begin: usize, end: usize) -> Option<Part<'_>> {
    Some(Part { language: language?, line, text: text.get(begin..end)? })
}

fn language(info: &str) -> Option<Language> {
    let name = info.split([' ', ',', '{']).next().unwrap_or_default().to_ascii_lowercase();
    match name.as_str() {
        "" | "sh" | "bash" | "zsh" | "shell" | "console" | "shell-session" => Some(Language::Shell),
        "yaml" | "yml" | "docker-compose" => Some(Language::Compose),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn fences_are_found_with_their_lines() {
        let text = "# x\n```bash\na\nb\n```\ntext\n~~~~yaml\nc\n```\n~~~~\n```toml\nd\n```\n```\ne";
        let found = parts("x.md", text);
        assert_eq!(
            found,
            [
                Part { language: Language::Shell, line: 3, text: "a\nb\n" },
                Part { language: Language::Compose, line: 8, text: "c\n```\n" },
                Part { language: Language::Shell, line: 15, text: "e" },
            ]
        );
    }

    #[test]
    fn other_files_are_one_part() {
        for (name, text, want) in [
            ("compose.yml", "x", Language::Compose),
            ("run.sh", "services:", Language::Shell),
            ("-", "services:\n  a:", Language::Compose),
            ("-", "docker run x", Language::Shell),
        ] {
            let found = parts(name, text);
            assert_eq!((found.len(), found[0].language), (1, want), "{name}");
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_it_fail(text in "[`~a-z \n]{0,300}") {
            parts("x.md", &text);
        }
    }
}
