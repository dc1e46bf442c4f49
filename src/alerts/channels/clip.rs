//! Cuts texts to what a service takes, never inside a character, and shows that something is missing.

use std::borrow::Cow;

/// What stands where something was cut off.
const CUT: char = '…';

/// Length as the strictest of the services count: UTF-16 units.
pub(super) fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

/// At most so many UTF-16 units of a text.
pub(super) fn clip(text: &str, limit: usize) -> Cow<'_, str> {
    clip_by(text, limit, char::len_utf16)
}

/// At most so many bytes of a text.
pub(super) fn clip_bytes(text: &str, limit: usize) -> Cow<'_, str> {
    clip_by(text, limit, char::len_utf8)
}

/// A text with some characters written otherwise, of at most so many UTF-16 units: what stands for one character is never cut.
pub(super) fn escaped(text: &str, limit: usize, escape: fn(char) -> Option<&'static str>) -> String {
    let size = |c: char| escape(c).map_or_else(|| c.len_utf16(), units);
    let kept = clip_by(text, limit, size);
    let mut out = String::with_capacity(kept.len());
    for c in kept.chars() {
        match escape(c) {
            Some(other) => out.push_str(other),
            None => out.push(c),
        }
    }
    out
}

fn clip_by(text: &str, limit: usize, size: impl Fn(char) -> usize) -> Cow<'_, str> {
    if text.chars().map(&size).sum::<usize>() <= limit {
        return Cow::Borrowed(text);
    }
    let room = limit.saturating_sub(size(CUT));
    let mut used = 0;
    let mut kept: String = text
        .chars()
        .take_while(|c| {
            used += size(*c);
            used <= room
        })
        .collect();
    kept.truncate(kept.trim_end().len());
    if size(CUT) <= limit {
        kept.push(CUT);
    }
    Cow::Owned(kept)
}

/// A text in one line: whatever others wrote into it, it cannot end the line or move the cursor.
pub(super) fn one_line(text: &str) -> String {
    let plain: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    plain.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A text of several lines without other control characters.
pub(super) fn plain_lines(text: &str) -> String {
    let kept = text.lines().map(|line| {
        line.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>().trim_end().to_owned()
    });
    kept.collect::<Vec<_>>().join("\n")
}

/// Breaks a text at spaces into lines of at most `width` characters, each behind an indent. Words that are longer stay whole: a link that is
/// broken leads nowhere.
pub(in crate::alerts) fn wrap(text: &str, width: usize, first_indent: &str, indent: &str) -> String {
    let mut out = String::from(first_indent);
    let mut column = first_indent.chars().count();
    let mut is_empty = true;
    for word in text.split_whitespace() {
        let length = word.chars().count();
        if !is_empty && column + 1 + length > width {
            out.push('\n');
            out.push_str(indent);
            column = indent.chars().count();
            is_empty = true;
        }
        if !is_empty {
            out.push(' ');
            column += 1;
        }
        out.push_str(word);
        column += length;
        is_empty = false;
    }
    out
}

/// Puts lines together into pieces of at most `limit` UTF-16 units; a line that is longer is cut.
pub(super) fn pieces<'a>(lines: impl IntoIterator<Item = Cow<'a, str>>, limit: usize) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    for line in lines {
        let line = clip(&line, limit);
        match pieces.last_mut() {
            Some(piece) if units(piece) + 1 + units(&line) <= limit => {
                piece.push('\n');
                piece.push_str(&line);
            }
            _ => pieces.push(line.into_owned()),
        }
    }
    pieces
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn html(c: char) -> Option<&'static str> {
        match c {
            '&' => Some("&amp;"),
            '<' => Some("&lt;"),
            '>' => Some("&gt;"),
            _ => None,
        }
    }

    #[test]
    fn what_fits_exactly_is_whole_and_one_more_is_cut() {
        assert_eq!(clip("abcde", 5), "abcde");
        assert_eq!(clip("abcdef", 5), "abcd…");
        assert_eq!(clip("ab 🚨🚨", 6), "ab 🚨…");
        assert_eq!(clip_bytes("abcdef", 5), "ab…");
        assert_eq!(clip_bytes("ééé", 6), "ééé");
        assert_eq!(escaped("a<b", 6, html), "a&lt;b");
        assert_eq!(escaped("a<b", 5, html), "a…");
        assert_eq!(clip("abc", 0), "");
    }

    #[test]
    fn lines_break_at_spaces_only() {
        let text = "one two three https://example.org/a/very/long/address four";
        assert_eq!(
            wrap(text, 16, "- ", "  "),
            "- one two three\n  https://example.org/a/very/long/address\n  four"
        );
        assert_eq!(wrap("", 10, "> ", ""), "> ");
    }

    #[test]
    fn foreign_texts_stay_in_their_line() {
        assert_eq!(one_line("a\r\nb\u{1b}[31m\tc"), "a b [31m c");
        assert_eq!(plain_lines("a\r\nb\u{7}c  \n"), "a\nb c");
    }

    proptest! {
        #[test]
        fn nothing_is_ever_longer_than_allowed(text in "\\PC{0,80}", limit in 0usize..60) {
            prop_assert!(units(&clip(&text, limit)) <= limit);
            prop_assert!(clip_bytes(&text, limit).len() <= limit);
            prop_assert!(units(&escaped(&text, limit, html)) <= limit);
            for piece in pieces(text.split(' ').map(Cow::Borrowed), limit) {
                prop_assert!(units(&piece) <= limit);
            }
        }
    }
}
