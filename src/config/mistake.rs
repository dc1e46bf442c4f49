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

/// What is shown of a line with a mistake in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Excerpt {
    /// The line, or the part of it that fits a terminal and that everybody may read.
    pub text: String,
    /// Where the mark begins in it, in characters from 1.
    pub column: usize,
    /// How many characters are marked.
    pub length: usize,
}

/// One mistake.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mistake {
    /// Path of the key: `relays[1].url`. Empty for the file as a whole.
    pub key: String,
    /// What is wrong, as a sentence for people.
    pub message: String,
    /// What to write instead, or where that is told.
    pub hint: String,
    /// What is marked in the file.
    pub mark: Mark,
    /// Line and column, from 1, and length in characters; `None` when it comes from the environment or a default.
    pub place: Option<(usize, usize, usize)>,
    /// What is shown of that line; `None` where it may hold a secret.
    pub excerpt: Option<Excerpt>,
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
        /// All mistakes, in the file's order.
        mistakes: Vec<Mistake>,
        /// Files that are part of it: a change of one may end the mistake.
        included: Vec<PathBuf>,
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
            Self::Wrong { path, mistakes, included: _ } => {
                for (index, mistake) in mistakes.iter().enumerate() {
                    if index > 0 {
                        writeln!(f)?;
                    }
                    show(f, &path.display().to_string(), mistake)?;
                }
                Ok(())
            }
        }
    }
}

/// `file:line:column: message`, what may be shown of the line with the place marked, and the hint.
fn show(f: &mut fmt::Formatter<'_>, path: &str, mistake: &Mistake) -> fmt::Result {
    let key = if mistake.key.is_empty() { String::new() } else { format!("{}: ", mistake.key) };
    if let Some(variable) = &mistake.variable {
        writeln!(f, "environment variable {variable}: {key}{}", mistake.message)?;
        return write!(f, "  hint: {}", mistake.hint);
    }
    let Some((line, column, _)) = mistake.place else {
        writeln!(f, "{path}: {key}{}", mistake.message)?;
        return write!(f, "  hint: {}", mistake.hint);
    };
    writeln!(f, "{path}:{line}:{column}: {key}{}", mistake.message)?;
    if let Some(Excerpt { text, column, length }) = &mistake.excerpt {
        let number = line.to_string();
        let gutter = " ".repeat(number.len());
        writeln!(f, " {gutter} |")?;
        writeln!(f, " {number} | {text}")?;
        writeln!(f, " {gutter} | {}{}", " ".repeat(column.saturating_sub(1)), "^".repeat((*length).max(1)))?;
    }
    write!(f, "  hint: {}", mistake.hint)
}
