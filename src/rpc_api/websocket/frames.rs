//! Where a client's bytes are among frames: whether a message has begun and is not complete, and how much of it has come.
//!
//! The protocol itself is the library's, which shows a message only once all of it is held. Source: RFC 6455, section 5.2.

/// Most bytes of a frame's head: two, eight of length, four of mask.
const MAX_HEAD: usize = 14;

/// The frames of one direction of a connection.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; MAX_HEAD],
    /// Bytes of the head that have come.
    have: usize,
    /// Bytes of the payload that have not come yet.
    left: u64,
    is_in_payload: bool,
    /// A message has begun, of which the last frame has not ended.
    is_open: bool,
    is_closed: bool,
}

/// What some bytes were.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Fed {
    /// Bytes of messages.
    pub(super) data: usize,
    /// Whether a message ended among them.
    pub(super) has_ended: bool,
}

impl Frames {
    /// Takes what came.
    pub(super) fn feed(&mut self, mut bytes: &[u8]) -> Fed {
        let mut fed = Fed::default();
        while !bytes.is_empty() {
            if self.is_in_payload {
                let part = usize::try_from(self.left).map_or(bytes.len(), |left| left.min(bytes.len()));
                bytes = bytes.get(part..).unwrap_or_default();
                self.left = self.left.saturating_sub(part as u64);
                if self.is_data() {
                    fed.data += part;
                }
            } else if let (Some((first, rest)), Some(place)) =
                (bytes.split_first(), self.head.get_mut(self.have))
            {
                *place = *first;
                self.have += 1;
                bytes = rest;
                if self.have < self.head_len() {
                    continue;
                }
                self.left = self.payload_len();
                self.is_in_payload = true;
                self.is_open |= self.is_data();
            }
            if self.is_in_payload && self.left == 0 {
                fed.has_ended |= self.end();
            }
        }
        fed
    }

    /// A frame is complete; whether its message is.
    fn end(&mut self) -> bool {
        const CLOSE: u8 = 8;
        let [first, ..] = self.head;
        (self.is_in_payload, self.have) = (false, 0);
        self.is_closed |= first & 0x0f == CLOSE;
        let has_ended = self.is_data() && first & 0x80 != 0;
        if has_ended {
            self.is_open = false;
        }
        has_ended
    }

    fn is_data(&self) -> bool {
        let [first, ..] = self.head;
        first & 0x0f < 8
    }

    fn head_len(&self) -> usize {
        let [_, second, ..] = self.head;
        if self.have < 2 {
            return 2;
        }
        let length = match second & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        };
        let mask = if second & 0x80 == 0 { 0 } else { 4 };
        2 + length + mask
    }

    fn payload_len(&self) -> u64 {
        let [_, second, a, b, c, d, e, f, g, h, ..] = self.head;
        match second & 0x7f {
            126 => u16::from_be_bytes([a, b]).into(),
            127 => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
            short => short.into(),
        }
    }

    /// Whether something has begun and is not complete.
    pub(super) fn is_incomplete(&self) -> bool {
        self.is_open || self.is_in_payload || self.have > 0
    }

    /// Whether the client has said that it closes.
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A client's frame.
    fn frame(first: u8, payload: usize) -> Vec<u8> {
        let mut frame = vec![first];
        match payload {
            0..=125 => frame.push(0x80 | u8::try_from(payload).unwrap()),
            126..=0xffff => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(payload).unwrap().to_be_bytes());
            }
            _ => {
                frame.push(0x80 | 127);
                frame.extend((payload as u64).to_be_bytes());
            }
        }
        frame.extend([1, 2, 3, 4]);
        frame.extend(vec![0x88; payload]);
        frame
    }

    #[test]
    fn messages_are_followed_however_they_are_cut() {
        const TEXT: u8 = 0x81;
        let begun = [frame(0x01, 3), frame(0x89, 5), frame(0x00, 70_000)].concat();
        let table = [
            (frame(TEXT, 0), 0, true, false),
            (frame(TEXT, 125), 125, true, false),
            (frame(TEXT, 126), 126, true, false),
            (frame(TEXT, 65_536), 65_536, true, false),
            (frame(0x89, 7), 0, false, false),
            // A ping in between ends nothing.
            (begun.clone(), 70_003, false, true),
            ([begun, frame(0x80, 1)].concat(), 70_004, true, false),
            ([frame(TEXT, 3), frame(0x01, 2)].concat(), 5, true, true),
            (vec![TEXT], 0, false, true),
            (
                vec![TEXT, 0x80 | 127, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0, 7],
                1,
                false,
                true,
            ),
        ];
        for (bytes, data, has_ended, is_incomplete) in table {
            for step in [1, 2, 7, bytes.len()] {
                let mut frames = Frames::default();
                let mut sum = Fed::default();
                for part in bytes.chunks(step) {
                    let fed = frames.feed(part);
                    sum.data += fed.data;
                    sum.has_ended |= fed.has_ended;
                }
                let head: Vec<u8> = bytes.iter().copied().take(16).collect();
                assert_eq!(sum, Fed { data, has_ended }, "{head:x?} by {step}");
                assert_eq!(
                    (frames.is_incomplete(), frames.is_closed()),
                    (is_incomplete, false),
                    "{head:x?} by {step}"
                );
            }
        }
        let mut frames = Frames::default();
        frames.feed(&frame(0x88, 2));
        assert!(frames.is_closed() && !frames.is_incomplete());
    }
}
