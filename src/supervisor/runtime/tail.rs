//! The last lines of an output, bounded in number and in bytes.

use std::collections::VecDeque;

/// Longest line that is kept; the rest of it is left out.
const LINE_BYTES: usize = 4096;
/// All that is kept.
const TOTAL_BYTES: usize = 1 << 20;

/// Keeps the newest lines of what is pushed into it, in pieces of any size.
#[derive(Debug)]
pub(super) struct Tail {
    most: usize,
    lines: VecDeque<String>,
    /// Of all lines.
    bytes: usize,
    /// The line that has no end yet.
    open: Vec<u8>,
}

impl Tail {
    /// At most so many lines.
    pub(super) const fn new(most: usize) -> Self {
        Self { most, lines: VecDeque::new(), bytes: 0, open: Vec::new() }
    }

    /// Takes the next piece.
    pub(super) fn push(&mut self, piece: &[u8]) {
        let mut parts = piece.split(|byte| *byte == b'\n').peekable();
        while let Some(part) = parts.next() {
            let room = LINE_BYTES.saturating_sub(self.open.len());
            self.open.extend(part.iter().take(room));
            if parts.peek().is_some() {
                self.end_line();
            }
        }
    }

    fn end_line(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.open)).trim_end_matches('\r').to_owned();
        self.bytes = self.bytes.saturating_add(line.len());
        self.lines.push_back(line);
        while self.lines.len() > self.most || self.bytes > TOTAL_BYTES {
            let Some(first) = self.lines.pop_front() else { return };
            self.bytes = self.bytes.saturating_sub(first.len());
        }
    }

    /// The newest lines, oldest first; at most so many. A line without an end is one.
    pub(super) fn last(&self, lines: usize) -> Vec<String> {
        let open = (!self.open.is_empty()).then(|| String::from_utf8_lossy(&self.open).into_owned());
        let of_whole = lines.saturating_sub(usize::from(open.is_some()));
        let skipped = self.lines.len().saturating_sub(of_whole);
        self.lines.iter().skip(skipped).cloned().chain(open).take(lines).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_newest_lines_are_kept_in_their_order() {
        let mut tail = Tail::new(3);
        for piece in ["one\ntw", "o\r\n", "three\nfour", "\nfive"] {
            tail.push(piece.as_bytes());
        }
        assert_eq!(tail.last(10), ["two", "three", "four", "five"]);
        assert_eq!(tail.last(2), ["four", "five"]);
        assert_eq!(tail.last(0), [""; 0]);
    }

    #[test]
    fn a_line_without_end_does_not_grow_and_many_do_not_either() {
        let mut tail = Tail::new(usize::MAX);
        for _ in 0..1000 {
            tail.push(&[b'x'; 10_000]);
        }
        assert_eq!(tail.last(1)[0].len(), LINE_BYTES);
        tail.push(b"\n");
        for _ in 0..2000 {
            tail.push(&[&[b'y'; 1000][..], b"\n"].concat());
        }
        assert!(tail.last(usize::MAX).iter().map(String::len).sum::<usize>() <= TOTAL_BYTES);
    }

    proptest! {
        #[test]
        fn how_it_was_cut_does_not_matter(text in "[a-c\n]{0,60}", cut in 1..7_usize) {
            let (mut whole, mut pieces) = (Tail::new(5), Tail::new(5));
            whole.push(text.as_bytes());
            text.as_bytes().chunks(cut).for_each(|piece| pieces.push(piece));
            prop_assert_eq!(whole.last(9), pieces.last(9));
        }
    }
}
