//! Comma-separated values for spreadsheets (RFC 4180). A text that a spreadsheet would take for a formula is quoted, as builders write
//! what they like into their blocks.

use std::borrow::Cow;

use ::csv::{Terminator, WriterBuilder};
use serde::Serialize;
use serde_json::Value;

/// Room for a usual row.
const LINE_BYTES: usize = 512;

/// One row, cells quoted where they must be. A text that a spreadsheet would take for a formula is made harmless: builders write what they like
/// into their blocks.
pub fn line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let mut writer = WriterBuilder::new()
        .terminator(Terminator::CRLF)
        .buffer_capacity(LINE_BYTES)
        .from_writer(Vec::with_capacity(LINE_BYTES));
    // Neither can fail: memory takes what is written, and cells of text are text.
    let _ = writer.write_record(cells.map(|cell| harmless(cell).into_owned()));
    String::from_utf8(writer.into_inner().unwrap_or_default()).unwrap_or_default()
}

/// A cell that no spreadsheet runs as a formula.
fn harmless(text: &str) -> Cow<'_, str> {
    let is_number = text.parse::<f64>().is_ok();
    if !is_number && text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}

/// A row for each, with the fields' names above: in alphabetical order, whatever is skipped in one of them.
pub fn table<T: Serialize>(rows: &[T]) -> String {
    let objects: Vec<serde_json::Map<String, Value>> = rows
        .iter()
        .filter_map(|row| match serde_json::to_value(row) {
            Ok(Value::Object(object)) => Some(object),
            Ok(_) | Err(_) => None,
        })
        .collect();
    let columns: std::collections::BTreeSet<&str> =
        objects.iter().flat_map(|object| object.keys().map(String::as_str)).collect();
    let mut text = line(columns.iter().copied());
    for object in &objects {
        let cells: Vec<String> = columns
            .iter()
            .map(|column| match object.get(*column) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text.clone(),
                Some(Value::Object(counts)) => {
                    let counts = counts.iter().map(|(name, count)| format!("{name} × {count}"));
                    counts.collect::<Vec<_>>().join("; ")
                }
                Some(other) => other.to_string(),
            })
            .collect();
        text.push_str(&line(cells.iter().map(String::as_str)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_formulas_are_not_run() {
        let cells = ["a", "1,5", "say \"hi\"", "=1+1", "-0.5", "-cmd", "@x", "two\nlines"];
        assert_eq!(
            line(cells.into_iter()),
            "a,\"1,5\",\"say \"\"hi\"\"\",'=1+1,-0.5,'-cmd,'@x,\"two\nlines\"\r\n"
        );
    }
}
