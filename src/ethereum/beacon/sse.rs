//! Server-sent events out of a stream of bytes, however they are cut. Bounded. Source: WHATWG HTML, 9.2.6 "Interpreting an event stream".

/// Most bytes of one event, its lines and what is kept of them. A head event has some 400, payload attributes with 16 withdrawals some 3000.
const MAX_EVENT: usize = 64 << 10;
/// May stand at the start of a stream.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// An event is larger than any that is expected: the stream is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of more than {MAX_EVENT} bytes")]
pub struct EventTooLong;

/// Reads events. Fields that are no use here (`id`, `retry`) are passed over.
#[derive(Debug, Default)]
pub struct SseDecoder {
    line: Vec<u8>,
    name: Vec<u8>,
    data: Vec<u8>,
    has_data: bool,
    is_after_cr: bool,
    is_past_first_line: bool,
}

impl SseDecoder {
    /// Takes in bytes; tells the name and data of each event that they end.
    ///
    /// # Errors
    /// When an event gets too long. The decoder is of no use then.
    pub fn feed(&mut self, bytes: &[u8], mut tell: impl FnMut(&[u8], &[u8])) -> Result<(), EventTooLong> {
        for byte in bytes {
            let is_end_of_crlf = *byte == b'\n' && self.is_after_cr;
            self.is_after_cr = *byte == b'\r';
            match byte {
                b'\n' if is_end_of_crlf => {}
                b'\n' | b'\r' => self.end_line(&mut tell),
                _ => self.line.push(*byte),
            }
            if self.line.len() + self.name.len() + self.data.len() > MAX_EVENT {
                return Err(EventTooLong);
            }
        }
        Ok(())
    }

    fn end_line(&mut self, tell: &mut impl FnMut(&[u8], &[u8])) {
        let line = std::mem::take(&mut self.line);
        let is_first = !std::mem::replace(&mut self.is_past_first_line, true);
        let text = line.strip_prefix(BYTE_ORDER_MARK).filter(|_| is_first).unwrap_or(&line);
        if text.is_empty() {
            self.end_event(tell);
        } else {
            self.field(text);
        }
        // Its room is used again.
        self.line = line;
        self.line.clear();
    }

    fn field(&mut self, line: &[u8]) {
        let mut parts = line.splitn(2, |byte| *byte == b':');
        let (name, value) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match name {
            b"event" => value.clone_into(&mut self.name),
            b"data" => {
                if self.has_data {
                    self.data.push(b'\n');
                }
                self.has_data = true;
                self.data.extend_from_slice(value);
            }
            // A comment has an empty name.
            _ => {}
        }
    }

    fn end_event(&mut self, tell: &mut impl FnMut(&[u8], &[u8])) {
        if self.has_data {
            tell(&self.name, &self.data);
        }
        self.name.clear();
        self.data.clear();
        self.has_data = false;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(bytes: &[u8]) -> String {
        String::from_utf8_lossy(bytes).into_owned()
    }

    fn events(chunks: &[&[u8]]) -> Vec<(String, String)> {
        let (mut decoder, mut events) = (SseDecoder::default(), Vec::new());
        for chunk in chunks {
            decoder.feed(chunk, |name, data| events.push((text(name), text(data)))).unwrap();
        }
        events
    }

    #[test]
    fn lines_become_events_by_the_standard() {
        type Row<'a> = (&'a str, &'a [(&'a str, &'a str)]);
        let rows: [Row<'_>; 12] = [
            ("event: head\ndata: {}\n\n", &[("head", "{}")]),
            ("event:head\ndata:{}\n\n", &[("head", "{}")]),
            ("event: head\r\ndata: {}\r\n\r\n", &[("head", "{}")]),
            ("event: head\rdata: {}\r\rdata: 2\r\r", &[("head", "{}"), ("", "2")]),
            ("\u{feff}event: head\ndata: 1\n\n", &[("head", "1")]),
            // The data of several lines; the order of fields does not matter, and only one space is dropped.
            ("data: a\ndata:  b\nevent: x\n\n", &[("x", "a\n b")]),
            ("data\ndata: a\n\n", &[("", "\na")]),
            // Comments and unknown fields.
            (": alive\n\nid: 7\nretry: 5\nevent: x\ndata: 1\n\n:\n\n", &[("x", "1")]),
            // No data, no event; and its name is not the next one's.
            ("event: x\n\ndata: 1\n\n", &[("", "1")]),
            ("event: x\nevent: y\ndata: 1\n\n", &[("y", "1")]),
            // Not ended.
            ("event: x\ndata: 1\n", &[]),
            ("<html>\n\n{\"code\": 400}\n\n", &[]),
        ];
        for (stream, expected) in rows {
            let expected: Vec<_> =
                expected.iter().map(|(name, data)| ((*name).to_owned(), (*data).to_owned())).collect();
            assert_eq!(events(&[stream.as_bytes()]), expected, "{stream:?}");
        }
    }

    #[test]
    fn what_has_no_end_is_refused() {
        for piece in ["x", "data: x\n", "event: x"] {
            let mut decoder = SseDecoder::default();
            let mut fed = 0;
            while decoder.feed(piece.as_bytes(), |_, _| panic!("an event")).is_ok() {
                fed += piece.len();
                assert!(fed < 8 * MAX_EVENT, "{piece}");
            }
        }
        // Many small ones are no large one.
        let mut decoder = SseDecoder::default();
        let mut count = 0;
        for _ in 0..MAX_EVENT {
            decoder.feed(b"data: 12345\n\n", |_, _| count += 1).unwrap();
        }
        assert_eq!(count, MAX_EVENT);
    }

    proptest! {
        #[test]
        fn how_it_is_cut_does_not_matter(stream in "([a-z: \r\n]|data: |event: ){0,60}", at in prop::collection::vec(0usize..200, 0..6)) {
            let whole = events(&[stream.as_bytes()]);
            let mut cuts: Vec<usize> = at.into_iter().map(|at| at.min(stream.len())).collect();
            cuts.extend([0, stream.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &stream.as_bytes()[pair[0]..pair[1]]).collect();
            prop_assert_eq!(events(&chunks), whole);
        }
    }
}
