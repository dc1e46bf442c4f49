//! What is wrong with a configuration, where, and what to do about it: as people read it, with the line and a hint.

use std::{fmt, path::PathBuf};

/// Which part of a line of the file a mistake is marked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mark {
    /// The value: it is wrong.
    #[default]
    Value,
    /// The key: it should not be there.
    Key,
}

/// One mistake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistake {
    /// Path of the key: `relays[1].url`. Empty for the file as a whole.
    pub key: String,
    /// What is wrong, as a sentence for people.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// What is marked in the file.
    pub mark: Mark,
    /// Line and column, from 1, and length in characters; `None` when it comes from the environment or a default.
    pub place: Option<(usize, usize, usize)>,
    /// The environment variable that said it, where it was not the file.
    pub variable: Option<String>,
    /// Other keys that contradict this one: the one that the environment set is to blame.
    pub related: Vec<String>,
}

/// Why there is no configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// The file cannot be read.
    Read {
        /// The file that this is about.
        path: PathBuf,
        /// The system's words.
        error: String,
    },
    /// The file, or the environment over it, is wrong.
    Wrong {
        /// The file that this is about.
        path: PathBuf,
        /// Its text, to show the lines.
        text: String,
        /// All mistakes, in the file's order.
        mistakes: Vec<Mistake>,
    },
}

impl Mistake {
    /// A mistake at a key's value, to be placed later.
    pub fn at(key: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into(), hint: hint.into(), ..Self::default() }
    }

    /// A mistake of an environment variable that sets no key.
    pub(super) fn of_variable(
        variable: impl Into<String>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Self {
        Self { variable: Some(variable.into()), ..Self::at("", message, hint) }
    }

    /// The same, marked at the key.
    pub(super) fn at_key_itself(self) -> Self {
        Self { mark: Mark::Key, ..self }
    }
}

/// Whether a key is another one, or within it: `relays[0].url` is within `relays[0]` and within `relays`.
pub(super) fn is_within(key: &str, outer: &str) -> bool {
    key.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Read { path, error } => {
                writeln!(f, "{}: cannot be read: {error}", path.display())?;
                write!(
                    f,
                    "  hint: name the file with --config, or start from the relays.toml of the repository"
                )
            }
            Self::Wrong { path, text, mistakes } => {
                for (index, mistake) in mistakes.iter().enumerate() {
                    if index > 0 {
                        writeln!(f)?;
                    }
                    show(f, &path.display().to_string(), text, mistake)?;
                }
                Ok(())
            }
        }
    }
}

/// `file:line:column: message`, the line itself with the place marked, and the hint.
fn show(f: &mut fmt::Formatter<'_>, path: &str, text: &str, mistake: &Mistake) -> fmt::Result {
    let key = if mistake.key.is_empty() { String::new() } else { format!("{}: ", mistake.key) };
    if let Some(variable) = &mistake.variable {
        writeln!(f, "environment variable {variable}: {key}{}", mistake.message)?;
        return write!(f, "  hint: {}", mistake.hint);
    }
    let Some((line, column, length)) = mistake.place else {
        writeln!(f, "{path}: {key}{}", mistake.message)?;
        return write!(f, "  hint: {}", mistake.hint);
    };
    writeln!(f, "{path}:{line}:{column}: {key}{}", mistake.message)?;
    let source = text.lines().nth(line - 1).unwrap_or_default();
    let (source, column, length) = excerpt(source, column, length);
    let number = line.to_string();
    let gutter = " ".repeat(number.len());
    writeln!(f, " {gutter} |")?;
    writeln!(f, " {number} | {source}")?;
    writeln!(f, " {gutter} | {}{}", " ".repeat(column - 1), "^".repeat(length.max(1)))?;
    write!(f, "  hint: {}", mistake.hint)
}

/// Most characters of a line that are shown: with the gutter they fit a terminal of 80 columns.
const EXCERPT: usize = 72;

/// A line short enough to be shown with its mark beneath it. Relays' URLs are longer than a terminal is wide: the marked place is kept,
/// what is cut is shown as `…`. A tab is shown as one blank, so that the mark stands below its place.
fn excerpt(line: &str, column: usize, length: usize) -> (String, usize, usize) {
    let line: Vec<char> = line.chars().map(|c| if c == '\t' { ' ' } else { c }).collect();
    let start = column.saturating_sub(1).min(line.len());
    // A quarter of the room before the mark, for what it stands in.
    let from = if line.len() <= EXCERPT { 0 } else { start.saturating_sub(EXCERPT / 4) };
    let mut shown: Vec<char> = line.iter().skip(from).take(EXCERPT).copied().collect();
    if from + shown.len() < line.len()
        && let Some(last) = shown.last_mut()
    {
        *last = '…';
    }
    if from > 0
        && let Some(first) = shown.first_mut()
    {
        *first = '…';
    }
    let column = start - from + 1;
    let room = shown.len().saturating_sub(column - 1);
    (shown.into_iter().collect(), column, length.min(room.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_line_is_cut_around_its_mark() {
        assert_eq!(excerpt("network = \"x\"", 11, 3), ("network = \"x\"".to_owned(), 11, 3));
        let line = format!("url = \"https://0x{}@relay.example.org\"", "ab".repeat(48));
        let (shown, column, length) = excerpt(&line, 7, line.len() - 6);
        assert_eq!((shown.chars().count(), column), (EXCERPT, 7));
        assert!(shown.starts_with("url = \"https://0xab") && shown.ends_with('…'));
        assert_eq!(column - 1 + length, EXCERPT);
        let (shown, column, _) = excerpt(&line, 120, 3);
        assert!(shown.starts_with('…') && shown.ends_with("example.org\""), "{shown}");
        assert_eq!(shown.chars().nth(column - 1), line.chars().nth(119));
        assert_eq!(excerpt("\tx", 2, 1), (" x".to_owned(), 2, 1));
        assert_eq!(excerpt("", 1, 0), (String::new(), 1, 0));
    }
}
