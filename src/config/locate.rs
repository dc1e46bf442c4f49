//! Finds where in the file a key stands, so that a mistake has a line and a column.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

use super::{Mark, Mistake, excerpt::excerpt_of};

/// Gives mistakes their places and puts them in the file's order; those of the environment come last.
pub(super) fn place(text: &str, mut mistakes: Vec<Mistake>) -> Vec<Mistake> {
    if let Ok(root) = DeTable::parse(text) {
        for mistake in mistakes.iter_mut().filter(|mistake| mistake.variable.is_none()) {
            let span = span_of(root.get_ref(), &mistake.key, mistake.mark);
            point(mistake, text, span);
        }
    }
    mistakes.sort_by_key(|mistake| {
        let (line, column, _) = mistake.place.unwrap_or((usize::MAX, 0, 0));
        (mistake.variable.is_some(), line, column)
    });
    mistakes
}

/// Gives a mistake its place and what may be shown of it.
fn point(mistake: &mut Mistake, text: &str, span: Option<Range<usize>>) {
    mistake.place = span.map(|span| line_and_column(text, &span));
    mistake.excerpt = mistake.place.and_then(|place| excerpt_of(text, mistake, place));
}

/// All mistakes of TOML itself: the parser goes on after each.
pub(super) fn syntax(text: &str) -> Vec<Mistake> {
    let (_, errors) = DeTable::parse_recoverable(text);
    let mut mistakes: Vec<Mistake> = errors
        .iter()
        .map(|error| {
            let mut mistake = Mistake::at("", error.message(), "this is not TOML: see https://toml.io");
            point(&mut mistake, text, error.span());
            mistake
        })
        .collect();
    mistakes.sort_by_key(|mistake| mistake.place.unwrap_or((usize::MAX, 0, 0)));
    mistakes
}

/// The span of the deepest part of a key's path that the file has: of the value (or, if the key itself is marked, its name) when all
/// of it is there, else of the table or entry in which the rest is missing.
fn span_of(root: &DeTable<'_>, key: &str, mark: Mark) -> Option<Range<usize>> {
    let mut found = None;
    let mut table = root;
    let mut rest = key;
    while !rest.is_empty() {
        let (name, index, after) = first_step(table, rest)?;
        let Some((spanned_key, spanned_value)) = table.get_key_value(name) else { break };
        rest = after;
        let mut value = spanned_value.get_ref();
        found = Some(if rest.is_empty() && index.is_none() && mark == Mark::Key {
            spanned_key.span()
        } else {
            spanned_value.span()
        });
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

/// The first step of a path in a table: its name, its index, and what comes after. A name may have dots in it, as ids of relays do:
/// the longest that the table has counts.
fn first_step<'a>(table: &DeTable<'_>, path: &'a str) -> Option<(&'a str, Option<usize>, &'a str)> {
    let split = |end: usize| {
        let (step, after) = (path.get(..end)?, path.get(end..)?);
        let (name, index) = match step.strip_suffix(']').and_then(|step| step.rsplit_once('[')) {
            Some((name, index)) => (name, index.parse::<usize>().ok()),
            None => (step, None),
        };
        Some((name, index, after.trim_start_matches('.')))
    };
    let mut ends: Vec<usize> = path.match_indices('.').map(|(at, _)| at).collect();
    ends.push(path.len());
    let known = ends.iter().rev().filter_map(|end| split(*end)).find(|(name, ..)| table.get(*name).is_some());
    known.or_else(|| split(*ends.first()?))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_values_are_found_also_where_names_have_dots() {
        let text = "[[proposers]]\nid = \"x\"\n[proposers.terms.\"relay.example.org\"]\nkeep = \"all\"\n";
        let root = DeTable::parse(text).unwrap();
        for (key, mark, want) in [
            ("proposers[0].id", Mark::Value, Some((2, 6))),
            ("proposers[0].id", Mark::Key, Some((2, 1))),
            ("proposers[0].relays", Mark::Value, Some((1, 1))),
            ("proposers[1].id", Mark::Value, Some((1, 1))),
            ("proposers[0].terms.relay.example.org.keep", Mark::Value, Some((4, 8))),
            ("proposers[0].terms.relay.example.org.keep", Mark::Key, Some((4, 1))),
            ("auction.min_bid_eth", Mark::Value, None),
            ("", Mark::Value, None),
        ] {
            let found = span_of(root.get_ref(), key, mark);
            let found =
                found.map(|span| line_and_column(text, &span)).map(|(line, column, _)| (line, column));
            assert_eq!(found, want, "{key} {mark:?}");
        }
    }

    #[test]
    fn every_mistake_of_toml_itself_is_found() {
        let lines: Vec<usize> = syntax("a = \nb = 1\nb = 2\nc = [1\n")
            .iter()
            .filter_map(|mistake| mistake.place.map(|(line, ..)| line))
            .collect();
        assert!(lines.contains(&1) && lines.contains(&3), "{lines:?}");
        assert_eq!(syntax("a = 1\n"), []);
    }
}
