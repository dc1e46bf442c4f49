//! The caller's side: a call's body, and what comes back for it.

use serde::{Deserialize, Deserializer};
use serde_json::{Value, json, value::RawValue};

/// Longest part of the far side's words that is kept, in characters.
const KEPT_CHARS: usize = 200;

/// The body of one call.
pub fn call_body(id: u64, method: &str, params: &Value) -> String {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }).to_string()
}

/// What was answered to one call.
#[derive(Clone, Debug)]
pub enum Reply {
    /// Its result, `null` included.
    Result(Box<RawValue>),
    /// An error.
    Error(ReplyError),
}

/// An error of the far side's.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReplyError {
    /// Its number; 0 where it has none.
    pub code: i64,
    /// Its words, at most 200 characters.
    pub message: String,
    /// What comes with it; `null` where there is nothing.
    pub data: Value,
}

impl ReplyError {
    /// Whether it says that there is no such method.
    pub const fn is_no_method(&self) -> bool {
        self.code == -32601
    }
}

/// Why a body is no answer to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadReply {
    /// Not JSON, cut off, or no answer of JSON-RPC.
    #[error("what came is no JSON-RPC answer")]
    NotJsonRpc,
    /// It answers another call.
    #[error("the answer has the id of another call")]
    WrongId,
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// `null` is a result, too.
fn even_null<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

#[derive(Deserialize)]
struct WireError {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: String,
    #[serde(default)]
    data: Value,
}

/// Reads the answer to the call that was sent with an id.
///
/// # Errors
/// When it is none, or another call's.
pub fn read_reply(body: &[u8], id: u64) -> Result<Reply, BadReply> {
    let wire: Wire<'_> = serde_json::from_slice(body).map_err(|_| BadReply::NotJsonRpc)?;
    let is_ours = wire.id.is_some_and(|got| got.get().parse() == Ok(id));
    match (wire.error, wire.result) {
        // Who could not read the call answers with no id.
        (Some(error), _) if is_ours || wire.id.is_none() => Ok(Reply::Error(read_error(error))),
        (None, Some(result)) if is_ours => Ok(Reply::Result(result.to_owned())),
        (None, None) => Err(BadReply::NotJsonRpc),
        (Some(_), _) | (None, Some(_)) => Err(BadReply::WrongId),
    }
}

/// Some answer with a bare text; it is an error all the same.
fn read_error(error: &RawValue) -> ReplyError {
    let read: WireError = serde_json::from_str(error.get()).unwrap_or_else(|_| WireError {
        code: 0,
        message: error.get().to_owned(),
        data: Value::Null,
    });
    let is_shown = |c: &char| !c.is_control();
    let message = read.message.chars().filter(is_shown).take(KEPT_CHARS).collect();
    ReplyError { code: read.code, message, data: read.data }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_sent_and_what_comes_back_belong_together() {
        let body = call_body(7, "eth_call", &json!([1]));
        let sent: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(sent, json!({"jsonrpc": "2.0", "id": 7, "method": "eth_call", "params": [1]}));
        for (text, want) in [
            (r#"{"id":7,"result":{"a":1}}"#, r#"{"a":1}"#),
            (r#"{"result":null,"id":7}"#, "null"),
            (r#"{"id":7,"result":"0x1","error":null}"#, "\"0x1\""),
        ] {
            let Ok(Reply::Result(result)) = read_reply(text.as_bytes(), 7) else { panic!("{text}") };
            assert_eq!(result.get(), want);
        }
    }

    #[test]
    fn errors_are_read_however_they_look() {
        for (text, code, message) in [
            (r#"{"id":7,"error":{"code":-32601,"message":"no such method"}}"#, -32601, "no such method"),
            (r#"{"id":null,"error":{"code":-32700,"message":"parse\n"},"result":1}"#, -32700, "parse"),
            (r#"{"error":"out of order"}"#, 0, "\"out of order\""),
            (r#"{"id":7,"error":{"code":1e999}}"#, 0, r#"{"code":1e999}"#),
            (r#"{"id":7,"error":{}}"#, 0, ""),
        ] {
            let Ok(Reply::Error(error)) = read_reply(text.as_bytes(), 7) else { panic!("{text}") };
            assert_eq!((error.code, error.message.as_str()), (code, message), "{text}");
        }
    }

    #[test]
    fn what_is_no_answer_is_said_to_be_none() {
        let deep = "[".repeat(100_000);
        for text in ["", "<html>", r#"{"id":7,"result":"0x"#, r#"{"id":7}"#, "[]", "null", "7", deep.as_str()]
        {
            assert_eq!(read_reply(text.as_bytes(), 7).unwrap_err(), BadReply::NotJsonRpc, "{text}");
        }
        for text in [r#"{"id":8,"result":1}"#, r#"{"result":1}"#, r#"{"id":"7","error":{"code":1}}"#] {
            assert_eq!(read_reply(text.as_bytes(), 7).unwrap_err(), BadReply::WrongId, "{text}");
        }
    }
}
