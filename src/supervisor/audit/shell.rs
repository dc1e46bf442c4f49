//! Shell text as commands: words, pipes, redirections, here-documents. Nothing is expanded: `$NAME` stays as it is.
//!
//! It reads what people paste (continued lines, comments, quotes, `$(…)`), and never fails: what is not closed ends where the text ends. Libraries
//! that split words know neither pipes and redirections nor the line of a word. In bounds, whatever comes: commands, words and nesting.

mod reader;

pub(super) use reader::{read, words};

/// Most commands of one text.
const MAX_COMMANDS: usize = 20_000;
/// Most words of one command.
const MAX_WORDS: usize = 2_000;
/// Deepest `$(… $(…))` that is looked into.
const MAX_DEPTH: usize = 6;

/// A word and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) line: usize,
}

/// A command with where its output goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Command {
    pub(super) words: Vec<Word>,
    /// Files that are written to.
    pub(super) written: Vec<Word>,
    /// Whether the one before it is piped into it.
    pub(super) is_piped_into: bool,
}

/// A here-document: what is written into a file, or given to a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Document {
    /// The file, else the program.
    pub(super) target: String,
    /// Its first line.
    pub(super) line: usize,
    pub(super) text: String,
}

/// A text as commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Script {
    pub(super) commands: Vec<Command>,
    pub(super) documents: Vec<Document>,
}

/// Words that stand before a command and are none.
const BEFORE: [&str; 16] = [
    "$", "if", "then", "else", "elif", "while", "until", "do", "!", "{", "time", "nohup", "exec", "command",
    "sudo", "doas",
];

impl Command {
    /// The program's name without its folder, and its arguments; none for what is no command.
    pub(super) fn program(&self) -> Option<(&str, &[Word])> {
        let mut rest = self.words.as_slice();
        let mut after_sudo = false;
        while let Some((first, others)) = rest.split_first() {
            let text = first.text.as_str();
            let is_assignment = text.split_once('=').is_some_and(|(name, _)| is_name(name));
            if BEFORE.contains(&text) || text == "env" || is_assignment {
                after_sudo = matches!(text, "sudo" | "doas" | "env");
                rest = others;
            } else if after_sudo && text.starts_with('-') {
                // `sudo -u NAME`: the only flags of it with values that are in use.
                let takes_value = matches!(text, "-u" | "-g" | "--user" | "--group");
                rest = if takes_value { others.get(1..).unwrap_or_default() } else { others };
            } else {
                return Some((text.rsplit('/').next().unwrap_or(text), others));
            }
        }
        None
    }

    /// The line it begins at.
    pub(super) fn line(&self) -> usize {
        self.words.first().or(self.written.first()).map_or(0, |word| word.line)
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !text.starts_with(|c: char| c.is_ascii_digit())
}
