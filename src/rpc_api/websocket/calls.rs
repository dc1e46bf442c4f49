//! What a client's message asks for: subscriptions, which are its connection's own, and everything else.

use std::borrow::Cow;

use serde_json::{Value, value::RawValue};

use crate::{
    gateway::subscriptions::{SubscriptionId, Topic},
    jsonrpc::{
        Asked, BoundedList, FramingLimits, Response, RpcError, StrictCall, StrictIncoming, read_strictly,
    },
};

/// Deepest nesting of a message with subscriptions in it: a filter has four levels in a batch.
const DEPTH: usize = 32;
/// Most parameters of a call: two have a meaning.
const MAX_PARAMS: usize = 16;

/// A call that is about subscriptions.
#[derive(Debug)]
pub(super) struct OwnCall {
    /// Its id, as it came; none for a notification, which is done without an answer.
    id: Option<Box<RawValue>>,
    pub(super) method: &'static str,
    pub(super) wish: Result<Wish, RpcError>,
}

/// What is wished for.
#[derive(Debug)]
pub(super) enum Wish {
    Subscribe(Topic),
    Unsubscribe(SubscriptionId),
}

/// A message, taken apart.
#[derive(Debug)]
pub(super) enum Parts {
    /// Nothing of it is about subscriptions, or it cannot be read: the front answers.
    Others,
    /// One call about subscriptions.
    One(OwnCall),
    /// A batch with such calls in it, and the others as a batch of their own, if there are any.
    Batch(Vec<OwnCall>, Option<Vec<u8>>),
}

/// Takes a message apart.
pub(super) fn take_apart(message: &[u8], max_batch: usize) -> Parts {
    // Nearly all messages are not about subscriptions, and are read once only. A name that is written with escapes is not found, and not served.
    if !message.windows(9).any(|part| part == b"subscribe") {
        return Parts::Others;
    }
    match read_strictly(message, FramingLimits { batch: max_batch, depth: DEPTH }) {
        Ok(StrictIncoming::One(call)) => own(&call).map_or(Parts::Others, Parts::One),
        Ok(StrictIncoming::Batch(calls)) => {
            let owned: Vec<Option<OwnCall>> = calls.iter().map(own).collect();
            if owned.iter().all(Option::is_none) {
                return Parts::Others;
            }
            let texts: Vec<&RawValue> = serde_json::from_slice(message).unwrap_or_default();
            let others: Vec<&RawValue> = texts
                .into_iter()
                .zip(&owned)
                .filter(|(_, own)| own.is_none())
                .map(|(text, _)| text)
                .collect();
            let others = if others.is_empty() { None } else { serde_json::to_vec(&others).ok() };
            Parts::Batch(owned.into_iter().flatten().collect(), others)
        }
        // The front says what is wrong.
        Err(_) => Parts::Others,
    }
}

fn own(call: &StrictCall<'_>) -> Option<OwnCall> {
    let asked = call.asked.as_ref().ok()?;
    let (method, wish) = match &*asked.method {
        "eth_subscribe" => {
            ("eth_subscribe", positional(asked).and_then(|params| Topic::read(&params)).map(Wish::Subscribe))
        }
        "eth_unsubscribe" => ("eth_unsubscribe", positional(asked).and_then(|params| unsubscribe(&params))),
        _ => return None,
    };
    Some(OwnCall { id: call.id.map(ToOwned::to_owned), method, wish })
}

fn positional<'a>(asked: &Asked<'a>) -> Result<Vec<&'a RawValue>, RpcError> {
    let Some(params) = asked.params else { return Ok(Vec::new()) };
    let list: BoundedList<&RawValue, MAX_PARAMS> = serde_json::from_str(params.get())
        .map_err(|error| RpcError::params(format!("params: expected an array: {error}")))?;
    Ok(list.into_vec())
}

fn unsubscribe(params: &[&RawValue]) -> Result<Wish, RpcError> {
    let id: Option<Cow<'_, str>> = params.first().and_then(|id| serde_json::from_str(id.get()).ok());
    let id = id.ok_or_else(|| RpcError::params("eth_unsubscribe wants a subscription's id"))?;
    SubscriptionId::parse(&id).map(Wish::Unsubscribe).ok_or_else(not_found)
}

/// What geth says to the id of no subscription.
pub(super) fn not_found() -> RpcError {
    RpcError::refused("subscription not found")
}

impl OwnCall {
    /// Whether it wants an answer.
    pub(super) fn is_notification(&self) -> bool {
        self.id.is_none()
    }

    /// Its answer.
    pub(super) fn answer(&self, outcome: Result<Value, RpcError>) -> Vec<u8> {
        serde_json::to_vec(&Response { id: self.id.as_deref(), outcome }).unwrap_or_default()
    }
}

/// A batch's answers: those of the front, which are a list or one error for all, then ours. JSON-RPC leaves their order open.
pub(super) fn join(front: Option<&[u8]>, own: &[Vec<u8>]) -> Option<Vec<u8>> {
    let front = front.map(<[u8]>::trim_ascii).unwrap_or_default();
    let inner =
        front.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")).unwrap_or(front).trim_ascii();
    let parts: Vec<&[u8]> =
        [inner].into_iter().chain(own.iter().map(Vec::as_slice)).filter(|part| !part.is_empty()).collect();
    if parts.is_empty() {
        return None;
    }
    let mut text = b"[".to_vec();
    text.extend_from_slice(&parts.join(&b','));
    text.push(b']');
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_taken_apart() {
        let apart = |text: &str| take_apart(text.replace("{'", r#"{"jsonrpc":"2.0","#).as_bytes(), 10);
        for text in [
            r#"{'"id":1,"method":"eth_call"}"#,
            r#"{'"id":1,"method":"x","params":["eth_subscribe"]}"#,
            r#"[{'"id":1,"method":"parity_subscribe"}]"#,
            "eth_subscribe",
            r#"{'"id":1,"method":["eth_subscribe"]}"#,
            // What a node would not take: the front says why.
            r#"{"id":1,"method":"eth_subscribe","params":["newHeads"]}"#,
            r#"{'"id":1,"method":"eth_call","method":"eth_subscribe"}"#,
            r#"{'"id":{},"method":"eth_subscribe"}"#,
        ] {
            assert!(matches!(apart(text), Parts::Others), "{text}");
        }
        let one = apart(r#"{'"id":"a","method":"eth_subscribe","params":["newHeads"]}"#);
        assert!(
            matches!(&one, Parts::One(OwnCall { wish: Ok(Wish::Subscribe(Topic::NewHeads)), .. })),
            "{one:?}"
        );
        let null = apart(r#"{'"id":null,"method":"eth_subscribe","params":["newHeads"]}"#);
        assert!(matches!(&null, Parts::One(own) if !own.is_notification()), "{null:?}");
        let Parts::Batch(own, Some(others)) = apart(
            r#"[{'"id":1,"method":"eth_subscribe","params":["logs",{}]}, {'"id":2,"method":"eth_call"}, 7,
                {'"method":"eth_unsubscribe","params":["0x1"]}]"#,
        ) else {
            panic!()
        };
        assert_eq!(others, br#"[{"jsonrpc":"2.0","id":2,"method":"eth_call"},7]"#);
        assert!(matches!(&own[0].wish, Ok(Wish::Subscribe(Topic::Logs(_)))));
        assert_eq!(own[1].wish.as_ref().unwrap_err().message, "subscription not found");
        assert!(own[1].is_notification());
    }

    #[test]
    fn answers_of_a_batch_are_one_list() {
        let own = [b"{\"id\":1}".to_vec(), b"{\"id\":2}".to_vec()];
        for (front, want) in [
            (Some(&b" [{\"id\":3}] "[..]), r#"[{"id":3},{"id":1},{"id":2}]"#),
            (Some(b"[]"), r#"[{"id":1},{"id":2}]"#),
            (Some(b"{\"id\":null}"), r#"[{"id":null},{"id":1},{"id":2}]"#),
            (None, r#"[{"id":1},{"id":2}]"#),
        ] {
            assert_eq!(join(front, &own).unwrap(), want.as_bytes());
        }
        assert_eq!(join(None, &[]), None);
    }
}
