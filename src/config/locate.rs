//! Where in the file a key stands.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::Mistake;

/// Gives mistakes their places and puts them in the file's order.
pub(super) fn place(text: &str, mut mistakes: Vec<Mistake>) -> Vec<Mistake> {
    if let Ok(root) = DeTable::parse(text) {
        for mistake in &mut mistakes {
            mistake.place = span_of(root.get_ref(), &mistake.key).map(|span| line_and_column(text, &span));
        }
    }
    mistakes.sort_by_key(|mistake| mistake.place.map_or((usize::MAX, 0), |(line, column, _)| (line, column)));
    mistakes
}

/// A mistake of TOML itself.
pub(super) fn syntax(text: &str, error: &toml::de::Error) -> Mistake {
    let mut mistake = Mistake::at("", error.message(), "this is not TOML: see https://toml.io");
    mistake.place = error.span().map(|span| line_and_column(text, &span));
    mistake
}

/// The span of the deepest part of a key's path that the file has: of the value when all of it is there, else of the table or
/// entry in which the rest is missing.
fn span_of(root: &DeTable<'_>, key: &str) -> Option<Range<usize>> {
    let mut found = None;
    let mut table = root;
    for step in key.split('.') {
        let (name, index) = match step.split_once('[') {
            Some((name, index)) => (name, index.trim_end_matches(']').parse::<usize>().ok()),
            None => (step, None),
        };
        let Some((spanned_key, spanned_value)) = table.get_key_value(name) else { break };
        found = Some(spanned_value.span());
        let mut value = spanned_value.get_ref();
        if let (Some(index), DeValue::Array(items)) = (index, value) {
            let Some(item) = items.get(index) else { break };
            found = Some(item.span());
            value = item.get_ref();
        }
        match value {
            DeValue::Table(inner) => {
                // A table's own span is its header or all of its body: its name says where it is.
                if index.is_none() {
                    found = Some(spanned_key.span());
                }
                table = inner;
            }
            _ => break,
        }
    }
    found
}

fn line_and_column(text: &str, span: &Range<usize>) -> (usize, usize, usize) {
    let before = text.get(..span.start).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    let column = before.get(line_start..).unwrap_or_default().chars().count() + 1;
    let marked = text.get(span.clone()).unwrap_or_default();
    let length = marked.lines().next().unwrap_or_default().chars().count();
    (line, column, length)
}
