//! A digest as plain text: 72 columns at most, as mail is quoted and read in terminals.

use serde::Serialize;

/// Columns of a line.
const WIDTH: usize = 72;

/// A part of a digest: a heading, and lines.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Section {
    /// Its heading.
    pub title: String,
    /// What it says, a line each.
    pub lines: Vec<String>,
}

/// The whole text: what is above all sections, and those that say anything.
pub(super) fn render(above: &[&str], sections: &[Section]) -> String {
    let mut text: String = above.iter().map(|line| wrapped("", "", line)).collect();
    for section in sections.iter().filter(|section| !section.lines.is_empty()) {
        text.push_str(&format!("\n{}\n", section.title));
        for line in &section.lines {
            text.push_str(&wrapped("  ", "    ", line));
        }
    }
    text
}

/// Words in lines, the first and the others indented; a word that is longer than a line is broken.
fn wrapped(first: &str, others: &str, words: &str) -> String {
    let mut lines = vec![first.to_owned()];
    for word in words.split_whitespace() {
        let mut word: Vec<char> = word.chars().collect();
        while let Some(line) = lines.last_mut() {
            let used = line.chars().count();
            let is_begun = line.trim_end().len() < line.len() || line.is_empty();
            let gap = usize::from(!is_begun);
            if used + gap + word.len() <= WIDTH {
                if gap > 0 {
                    line.push(' ');
                }
                line.extend(word);
                break;
            }
            if is_begun {
                // Alone on its line, and still too long.
                let rest = word.split_off((WIDTH - used).min(word.len()));
                line.extend(word);
                word = rest;
            }
            lines.push(others.to_owned());
        }
    }
    lines.iter().map(|line| format!("{}\n", line.trim_end())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_broken_between_words_and_words_where_they_must_be() {
        let words = "a ".repeat(50);
        let text = wrapped("  ", "    ", &words);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert!(lines[0].starts_with("  a") && lines[1].starts_with("    a"));
        assert!(lines.iter().all(|line| line.chars().count() <= 72));
        let text = wrapped("  ", "    ", &format!("see {} there", "ü".repeat(200)));
        assert!(text.lines().all(|line| line.chars().count() <= 72), "{text}");
        assert_eq!(text.matches('ü').count(), 200);
        assert!(text.ends_with(" there\n"));
        assert_eq!(wrapped("", "", "one"), "one\n");
    }
}
