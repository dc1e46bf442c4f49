//! The answers of one batch, bounded together while they come: a few calls at a time, and once the answers are too large nothing more is asked.

use serde_json::json;
use tokio::time::Instant;

use super::{
    class::Class,
    rpc::{Rpc, no_reply},
};
use crate::{
    gateway::{NodeError, RawJson, RpcAnswer, RpcCall, Served, ServedBy, Session},
    jsonrpc::{ErrorCode, RpcError},
};

/// What calls of a batch may cost that are asked at once: each of their answers can be as large as all may be together. Arbitrary: 50 reads, which
/// go to an upstream in batches of ten, or four that are heavy.
const AT_ONCE: u32 = 50;

fn cost(class: Class) -> u32 {
    match class {
        Class::Send | Class::Read => 1,
        Class::Heavy => 12,
    }
}

/// The answers so far.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) replies: Vec<Served>,
    bytes: usize,
    max: usize,
    is_full: bool,
}

impl Kept {
    /// None yet, of at most `max` bytes together.
    pub(super) fn new(max: usize) -> Self {
        Self { replies: Vec::new(), bytes: 0, max, is_full: false }
    }

    /// Asks, and keeps what fits. Once something did not fit, only transactions are still sent: whoever sent them counts on it.
    pub(super) async fn ask(
        &mut self,
        rpc: &dyn Rpc,
        calls: Vec<(RpcCall, Class)>,
        session: &Session,
        deadline: Instant,
    ) {
        let mut calls = calls.into_iter().peekable();
        while calls.peek().is_some() {
            let (mut at_once, mut places, mut costs) = (Vec::new(), Vec::new(), 0);
            while let Some((call, class)) =
                calls.next_if(|(_, class)| costs == 0 || costs + cost(*class) <= AT_ONCE)
            {
                costs += cost(class);
                let is_asked = !self.is_full || class == Class::Send;
                places.push((is_asked, class));
                if is_asked {
                    at_once.push(call);
                }
            }
            let mut answers = if at_once.is_empty() {
                Vec::new()
            } else {
                rpc.call_batch(at_once, session, deadline).await
            }
            .into_iter();
            for (is_asked, class) in places {
                let served = if is_asked { answers.next() } else { Some(self.left_out()) };
                let served = served.unwrap_or_else(no_reply);
                self.keep(served, class);
            }
        }
    }

    /// What became of a transaction is always told: it was sent.
    fn keep(&mut self, served: Served, class: Class) {
        let bytes = self.bytes.saturating_add(size(&served.answer));
        let served = if bytes > self.max && class != Class::Send {
            self.is_full = true;
            self.left_out()
        } else {
            self.bytes = bytes;
            served
        };
        self.replies.push(served);
    }

    fn left_out(&self) -> Served {
        let RpcError { code, message, .. } = too_large(self.max);
        let code = code.number();
        let raw = RawJson::from_value(&json!({ "code": code, "message": message }));
        let answer = RpcAnswer::Error(NodeError { code, message: message.into(), raw });
        Served { answer, by: ServedBy::Gateway }
    }
}

/// What is said in place of an answer that does not fit.
fn too_large(max: usize) -> RpcError {
    let message = format!(
        "the answers of this batch are larger than {max} bytes together: ask in smaller batches, or raise [rpc] max_answer_bytes"
    );
    RpcError::new(ErrorCode::LimitExceeded, message)
}

/// What an answer weighs.
pub(super) fn size(answer: &RpcAnswer) -> usize {
    match answer {
        RpcAnswer::Result(raw) => raw.as_bytes().len(),
        RpcAnswer::Error(error) => error.raw.as_bytes().len(),
    }
}
