//! How many bytes of answers may wait for the clients of websockets: for one that is slow, and for all together.
//!
//! A connection asks many calls at once, and its answers wait while an earlier one is on its way. A client that takes that one slowly has a minute for it,
//! so what waits behind it is bounded in bytes, too. Nobody is cut for it: what does not fit is an error in its answer's place, as in a batch.

use serde_json::json;

use super::{batch::size, class::Class};
use crate::{
    gateway::{NodeError, RawJson, RpcAnswer, Served, ServedBy},
    jsonrpc::{ErrorCode, RpcError},
    serve::{ByteBudget, ByteShare},
};
use bytes::Bytes;

/// Bytes of the answer to one message that cost nothing: most have no more, and a connection has few under way.
const FREE: usize = 1 << 10;
/// Bytes of answers that wait for all clients together; and never less than room for four of the largest.
const ALL: usize = 256 << 20;

/// The room of all connections.
#[derive(Clone, Debug)]
pub struct AnswerRooms {
    all: ByteBudget,
    of_one: usize,
}

/// The room of one connection. Clones are of the same.
#[derive(Clone, Debug)]
pub struct AnswerRoom {
    all: ByteBudget,
    own: ByteBudget,
}

/// Answers' share of the room, given back when it is dropped.
#[derive(Debug)]
pub(super) struct HeldAnswers {
    all: ByteShare,
    own: ByteShare,
}

impl AnswerRooms {
    /// Each connection has room for as many bytes as one answer may have.
    pub fn new(max_answer: usize) -> Self {
        Self::of(ALL.max(max_answer.saturating_mul(4)), max_answer)
    }

    /// Room for so many bytes of all connections, and so many of one.
    fn of(all: usize, of_one: usize) -> Self {
        Self { all: ByteBudget::new(all), of_one }
    }

    /// The room of a connection.
    pub fn room(&self) -> AnswerRoom {
        AnswerRoom { all: self.all.clone(), own: ByteBudget::new(self.of_one) }
    }
}

impl AnswerRoom {
    /// Charges the answers to one message. What has no room is forgotten, and an error is in its place; but what became of a transaction is always
    /// told.
    pub(super) fn hold(&self, replies: &mut [Served], classes: &[Class]) -> HeldAnswers {
        let mut held = HeldAnswers { all: self.all.share(), own: self.own.share() };
        let mut bytes = 0_usize;
        for (reply, class) in replies.iter_mut().zip(classes) {
            let with_it = bytes.saturating_add(size(&reply.answer));
            if held.grow_to(with_it.saturating_sub(FREE)) || *class == Class::Send {
                bytes = with_it;
            } else {
                *reply = no_room();
            }
        }
        held
    }
}

impl HeldAnswers {
    fn grow_to(&mut self, bytes: usize) -> bool {
        // What one of them took and the other had no room for is given back with the rest, a moment later.
        self.own.grow_to(bytes) && self.all.grow_to(bytes)
    }

    /// The answers' text, which keeps the share until the last of it is dropped.
    pub(super) fn keep(self, text: Bytes) -> Bytes {
        self.own.keep(self.all.keep(text))
    }
}

fn no_room() -> Served {
    let message = "too many bytes of answers wait for this connection to read them: read the others first, and ask again";
    let RpcError { code, message, .. } = RpcError::new(ErrorCode::LimitExceeded, message);
    let code = code.number();
    let raw = RawJson::from_value(&json!({ "code": code, "message": message }));
    Served {
        answer: RpcAnswer::Error(NodeError { code, message: message.into(), raw }),
        by: ServedBy::Gateway,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answers(sizes: &[usize]) -> Vec<Served> {
        let answer = |size: &usize| RpcAnswer::Result(RawJson::from_value(&json!("x".repeat(size - 2))));
        sizes.iter().map(|size| Served { answer: answer(size), by: ServedBy::Cache }).collect()
    }

    fn sizes(replies: &[Served]) -> Vec<Option<usize>> {
        let size = |answer: &RpcAnswer| match answer {
            RpcAnswer::Result(raw) => Some(raw.as_bytes().len()),
            RpcAnswer::Error(error) => {
                assert_eq!(error.code, ErrorCode::LimitExceeded.number());
                None
            }
        };
        replies.iter().map(|reply| size(&reply.answer)).collect()
    }

    #[test]
    fn what_waits_is_bounded_and_what_was_read_makes_room() {
        const KIB: usize = 1 << 10;
        let rooms = AnswerRooms::of(400 * KIB, 200 * KIB);
        let (one, other, third) = (rooms.room(), rooms.room(), rooms.room());
        let take = |room: &AnswerRoom, asked: &[usize], class| {
            let mut replies = answers(asked);
            let held = room.hold(&mut replies, &vec![class; asked.len()]);
            (sizes(&replies), held.keep(Bytes::from_static(b"text")))
        };
        let (first, text) = take(&one, &[150 * KIB], Class::Read);
        assert_eq!(first, [Some(150 * KIB)]);
        // Of a batch, what fits.
        let (second, _kept) = take(&one, &[20 * KIB, 60 * KIB, 10 * KIB], Class::Read);
        assert_eq!(second, [Some(20 * KIB), None, Some(10 * KIB)]);
        assert_eq!(take(&one, &[100 * KIB], Class::Read).0, [None]);
        assert_eq!(take(&one, &[KIB], Class::Read).0, [Some(KIB)], "small ones cost nothing");
        assert_eq!(take(&one, &[100 * KIB], Class::Send).0, [Some(100 * KIB)], "a transaction was sent");
        // Another connection has its own room, until all together have too much.
        let (of_other, _other) = take(&other, &[190 * KIB], Class::Heavy);
        assert_eq!(of_other, [Some(190 * KIB)]);
        assert_eq!(take(&third, &[100 * KIB], Class::Heavy).0, [None]);
        drop(text);
        assert_eq!(take(&one, &[150 * KIB], Class::Read).0, [Some(150 * KIB)]);
        assert_eq!(take(&third, &[100 * KIB], Class::Heavy).0, [Some(100 * KIB)]);
    }
}
