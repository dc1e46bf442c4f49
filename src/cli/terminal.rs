//! What commands say: within the terminal's width, and silent when nobody reads it any more.

use std::{
    fmt::Display,
    io::{self, IsTerminal, Write},
};

use comfy_table::{ContentArrangement, Table, presets};

use super::progress::aside;
use crate::{config::ConfigError, supervisor::Admission};

/// Columns where there is no terminal to ask.
const DEFAULT_WIDTH: usize = 80;
/// Narrower terminals are written to as if they were this wide.
const MIN_WIDTH: usize = 40;
/// What a shell reports of a program that SIGPIPE ended (128 + 13). The signal itself is ignored in a Rust program.
pub(super) const BROKEN_PIPE: u8 = 141;

/// Writes a line to standard output. When the reader is gone (`| head -1`), the process ends as other programs do.
pub(super) fn say(text: impl Display) {
    write(format_args!("{text}\n"));
}

/// Writes a text as it is to standard output.
pub(super) fn write(text: impl Display) {
    let written = aside(|| {
        let mut out = io::stdout().lock();
        out.write_all(text.to_string().as_bytes()).and_then(|()| out.flush())
    });
    if written.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        std::process::exit(i32::from(BROKEN_PIPE));
    }
}

/// Writes a line with styles to standard output: without them where it is no terminal, or `NO_COLOR` is set.
pub(super) fn say_styled(text: impl Display) {
    let written = aside(|| writeln!(anstream::stdout().lock(), "{text}"));
    if written.is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe) {
        std::process::exit(i32::from(BROKEN_PIPE));
    }
}

/// Writes a line to standard error. There is nobody to tell when it cannot be written.
pub(super) fn complain(text: impl Display) {
    let _ = aside(|| writeln!(io::stderr().lock(), "{text}"));
}

/// Columns that a table may have: the terminal's, else what `COLUMNS` asks for, else as many as it needs, for a script searches for words
/// and finds none that are broken over two lines.
fn table_width() -> Option<usize> {
    if io::stdout().is_terminal() {
        return Some(width());
    }
    let asked: usize = std::env::var("COLUMNS").ok()?.parse().ok()?;
    Some(asked.max(MIN_WIDTH))
}

/// Columns that a line may have.
pub(super) fn width() -> usize {
    let size = terminal_size::terminal_size();
    size.map_or(DEFAULT_WIDTH, |(width, _)| usize::from(width.0)).max(MIN_WIDTH)
}

/// A table that fits the terminal: long cells go over several lines. Who reads it otherwise gets each row in one line.
pub(super) fn table<const N: usize>(heads: [&str; N]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(heads);
    match table_width() {
        Some(width) => {
            let width = u16::try_from(width).unwrap_or(u16::MAX);
            table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
        }
        None => {
            table.set_content_arrangement(ContentArrangement::Disabled);
        }
    }
    table
}

/// Whether nodes fit this machine: the table, and the verdict below it.
pub(super) fn admission(admission: &Admission) -> String {
    let mut table = table(Admission::HEADS);
    for cells in admission.cells() {
        table.add_row(cells);
    }
    format!("{table}\n{}", wrapped(&admission.words(), 0))
}

/// A table of many columns, of which those are shown that fit: the first always, none where nothing happened, and from the left on as
/// long as there is room. What is left out is said. A script that reads it gets every column.
pub(super) fn fitting(heads: &[&str], rows: &[Vec<String>]) -> String {
    let (shown, left_out) = match table_width() {
        Some(width) => choose(heads, rows, width),
        None => ((0..heads.len()).collect(), 0),
    };
    let mut table = table([]);
    let pick = |cells: &[&str]| -> Vec<String> {
        shown.iter().filter_map(|column| cells.get(*column)).map(|cell| (*cell).to_owned()).collect()
    };
    table.set_header(pick(heads));
    for row in rows {
        table.add_row(pick(&row.iter().map(String::as_str).collect::<Vec<_>>()));
    }
    let mut text = table.to_string();
    if left_out > 0 {
        text.push_str(&format!(
            "\n{left_out} more columns: in a wider terminal, or with --format csv or json"
        ));
    }
    text
}

/// Which columns are shown, and how many with something in them are not.
fn choose(heads: &[&str], rows: &[Vec<String>], width: usize) -> (Vec<usize>, usize) {
    let cells = |column: usize| rows.iter().filter_map(move |row| row.get(column));
    let is_empty = |column: usize| {
        cells(column).all(|cell| cell.chars().all(|c| matches!(c, '0' | '.' | '/' | ' ' | '-')))
    };
    let full: Vec<usize> = (0..heads.len()).filter(|column| *column == 0 || !is_empty(*column)).collect();
    let mut used = 0;
    let mut shown = Vec::new();
    for column in &full {
        // A head may go over several lines, a cell should not.
        let head = heads.get(*column).copied().unwrap_or_default();
        let word = head.split(' ').map(|word| word.chars().count()).max().unwrap_or(0);
        used += cells(*column).map(|cell| cell.chars().count()).max().unwrap_or(0).max(word) + 2;
        if used > width && !shown.is_empty() {
            break;
        }
        shown.push(*column);
    }
    let left_out = full.len() - shown.len();
    (shown, left_out)
}

/// A text broken between words so that it fits the terminal, its further lines indented. Whatever else reads it gets it in one line.
pub(super) fn wrapped(text: &str, indent: usize) -> String {
    if io::stdout().is_terminal() { fold(text, indent, width()) } else { text.to_owned() }
}

/// Mistakes of a configuration, broken to fit the terminal they are written to. Lines of the file stay as they are.
pub(super) fn complain_of_config(error: &ConfigError) {
    let text = error.to_string();
    if !io::stderr().is_terminal() {
        return complain(text);
    }
    let is_excerpt = |line: &str| {
        line.trim_start_matches([' ', '0', '1', '2', '3', '4', '5', '6', '7', '8', '9']).starts_with('|')
    };
    let lines: Vec<String> = text
        .lines()
        .map(|line| if is_excerpt(line) { line.to_owned() } else { fold(line, 8, width()) })
        .collect();
    complain(lines.join("\n"));
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

/// A document for scripts.
pub(super) fn json<T: serde::Serialize>(value: &T) -> String {
    format!("{}\n", serde_json::to_string_pretty(value).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_shown_as_they_fit_and_where_something_is_in_them() {
        let rows = vec![
            vec![
                "2026-11-01".to_owned(),
                "12".to_owned(),
                "0 / 0".to_owned(),
                "0.05".to_owned(),
                "0.04".to_owned(),
            ],
            vec![
                "total".to_owned(),
                "12".to_owned(),
                "0 / 0".to_owned(),
                "0.05".to_owned(),
                "0.04".to_owned(),
            ],
        ];
        let heads = ["", "slots", "missed / orphaned", "claimed ETH", "received ETH"];
        assert_eq!(choose(&heads, &rows, 80), (vec![0, 1, 3, 4], 0));
        assert_eq!(choose(&heads, &rows, 30), (vec![0, 1, 3], 1));
        assert_eq!(choose(&heads, &rows, 5), (vec![0], 3));
    }

    #[test]
    fn texts_are_broken_between_words() {
        assert_eq!(fold("one two three", 2, 7), "one two\n  three");
        assert_eq!(fold("one", 2, 2), "one");
        assert_eq!(fold("a  b", 2, 80), "a  b");
        assert_eq!(fold("unbreakable-and-long next", 1, 10), "unbreakable-and-long\n next");
    }
}
