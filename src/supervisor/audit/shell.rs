//! Shell text as commands: words, pipes, redirections, here-documents. Nothing is expanded: `$NAME` stays as it is.
//!
//! It reads what people paste (continued lines, comments, quotes, `$(…)`), and never fails: what is not closed ends where the text ends. Libraries
//! that split words know neither pipes and redirections nor the line of a word. In bounds, whatever comes: commands, words and nesting.

mod command;
mod reader;

pub(in crate::supervisor::audit) use command::{Command, Script, Word};
pub(in crate::supervisor::audit) use reader::{read, words};
