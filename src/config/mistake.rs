//! What is wrong with a configuration, and where.

use std::{fmt, path::PathBuf};

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Path of the key: `relays[1].url`. Empty for the file as a whole.
    pub key: String,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub hint: String,
    /// Line and column, from 1, and length in characters; `None` when it comes from the environment or a default.
    pub place: Option<(usize, usize, usize)>,
}

/// Why there is no configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// The file cannot be read.
    Read {
        /// Which file.
        path: PathBuf,
        /// The system's words.
        error: String,
    },
    /// The file is wrong.
    Wrong {
        /// Which file.
        path: PathBuf,
        /// Its text, to show the lines.
        text: String,
        /// All mistakes, in the file's order.
        mistakes: Vec<Mistake>,
    },
}

impl Mistake {
    /// A mistake at a key, to be placed later.
    pub fn at(key: impl Into<String>, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { key: key.into(), message: message.into(), hint: hint.into(), place: None }
    }
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
    let Some((line, column, length)) = mistake.place else {
        writeln!(f, "{path}: {key}{}", mistake.message)?;
        return write!(f, "  hint: {}", mistake.hint);
    };
    writeln!(f, "{path}:{line}:{column}: {key}{}", mistake.message)?;
    let source = text.lines().nth(line - 1).unwrap_or_default();
    let number = line.to_string();
    let gutter = " ".repeat(number.len());
    writeln!(f, " {gutter} |")?;
    writeln!(f, " {number} | {source}")?;
    writeln!(f, " {gutter} | {}{}", " ".repeat(column - 1), "^".repeat(length.max(1)))?;
    write!(f, "  hint: {}", mistake.hint)
}
