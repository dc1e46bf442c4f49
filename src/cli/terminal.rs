//! What commands say: within the terminal's width, and silent when nobody reads it any more.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
};

use comfy_table::{ContentArrangement, Table, presets};

/// Columns where there is no terminal to ask.
const DEFAULT_WIDTH: usize = 80;
/// Narrower terminals are written to as if they were this wide.
const MIN_WIDTH: usize = 40;
/// What a shell reports of a program that SIGPIPE ended (128 + 13). The signal itself is ignored in a Rust program.
const BROKEN_PIPE: i32 = 141;

/// Writes a line to standard output. When the reader is gone (`| head -1`), the process ends as other programs do.
pub(super) fn say(text: impl Display) {
    write(format_args!("{text}\n"));
}

/// Writes a text as it is to standard output.
pub(super) fn write(text: impl Display) {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.to_string().as_bytes()).and_then(|()| out.flush());
    if written.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        std::process::exit(BROKEN_PIPE);
    }
}

/// Writes a line to standard error. There is nobody to tell when it cannot be written.
pub(super) fn complain(text: impl Display) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Columns that a line may have.
pub(super) fn width() -> usize {
    let size = io::stdout().is_terminal().then(terminal_size::terminal_size).flatten();
    size.map_or(DEFAULT_WIDTH, |(width, _)| usize::from(width.0)).max(MIN_WIDTH)
}

/// A table that fits the terminal: long cells go over several lines.
pub(super) fn table<const N: usize>(heads: [&str; N]) -> Table {
    let mut table = Table::new();
    let width = u16::try_from(width()).unwrap_or(u16::MAX);
    table
        .load_style(presets::UTF8_HORIZONTAL_ONLY)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_width(width)
        .set_header(heads);
    table
}

/// A text broken between words so that it fits, its further lines indented.
pub(super) fn wrapped(text: &str, indent: usize) -> String {
    fold(text, indent, width())
}

fn fold(text: &str, indent: usize, width: usize) -> String {
    let mut out = String::new();
    let mut used = 0;
    for (n, word) in text.split(' ').enumerate() {
        let length = word.chars().count();
        if n > 0 && used + 1 + length > width {
            out.push('\n');
            out.push_str(&" ".repeat(indent));
            used = indent;
        } else if n > 0 {
            out.push(' ');
            used += 1;
        }
        out.push_str(word);
        used += length;
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_broken_between_words() {
        assert_eq!(fold("one two three", 2, 7), "one two\n  three");
        assert_eq!(fold("one", 2, 2), "one");
        assert_eq!(fold("a  b", 2, 80), "a  b");
        assert_eq!(fold("unbreakable-and-long next", 1, 10), "unbreakable-and-long\n next");
    }
}
