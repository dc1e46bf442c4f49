//! What a text is read into.

/// A word and its line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::supervisor::audit) struct Word {
    pub(in crate::supervisor::audit) text: String,
    pub(in crate::supervisor::audit) line: usize,
}

/// A command with where its output goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::supervisor::audit) struct Command {
    pub(in crate::supervisor::audit) words: Vec<Word>,
    /// Files that are written to.
    pub(in crate::supervisor::audit) written: Vec<Word>,
    /// Whether the one before it is piped into it.
    pub(in crate::supervisor::audit) is_piped_into: bool,
}

/// A here-document: what is written into a file, or given to a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::supervisor::audit) struct Document {
    /// The file, else the program.
    pub(in crate::supervisor::audit) target: String,
    /// Its first line.
    pub(in crate::supervisor::audit) line: usize,
    pub(in crate::supervisor::audit) text: String,
}

/// A text as commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::supervisor::audit) struct Script {
    pub(in crate::supervisor::audit) commands: Vec<Command>,
    pub(in crate::supervisor::audit) documents: Vec<Document>,
}

/// Words that stand before a command and are none.
const BEFORE: [&str; 16] = [
    "$", "if", "then", "else", "elif", "while", "until", "do", "!", "{", "time", "nohup", "exec", "command",
    "sudo", "doas",
];

impl Command {
    /// The program's name without its folder, and its arguments; none for what is no command.
    pub(in crate::supervisor::audit) fn program(&self) -> Option<(&str, &[Word])> {
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
    pub(in crate::supervisor::audit) fn line(&self) -> usize {
        self.words.first().or(self.written.first()).map_or(0, |word| word.line)
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !text.starts_with(|c: char| c.is_ascii_digit())
}
