//! Comma-separated values for spreadsheets: RFC 4180.

use serde::Serialize;
use serde_json::Value;

/// One row. A text that a spreadsheet would take for a formula is made harmless: builders write what they like into their blocks.
pub fn line<'a>(cells: impl Iterator<Item = &'a str>) -> String {
    let mut text = cells.map(cell).collect::<Vec<_>>().join(",");
    text.push_str("\r\n");
    text
}

fn cell(text: &str) -> String {
    let is_number = text.parse::<f64>().is_ok();
    let text = if !is_number && text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{text}")
    } else {
        text.to_owned()
    };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
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
