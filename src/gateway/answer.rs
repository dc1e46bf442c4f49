//! Answers, read without copying what they hold: a result stays the slice of the body that it came in.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

/// JSON text that was read once and is passed on as it came. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RawJson(Bytes);

impl RawJson {
    /// A slice of a body that serde has read as a value.
    fn of(body: &Bytes, value: &RawValue) -> Self {
        Self(body.slice_ref(value.get().as_bytes()))
    }

    /// A value of ours.
    pub fn from_value(value: &serde_json::Value) -> Self {
        Self(Bytes::from(value.to_string()))
    }

    /// Text that is known to be one JSON value; `None` for what is none.
    pub fn parse(text: Bytes) -> Option<Self> {
        serde_json::from_slice::<&RawValue>(&text).ok()?;
        Some(Self(text))
    }

    /// Text that was put together from JSON values here, so that it need not be read again.
    pub(super) fn composed(text: Bytes) -> Self {
        Self(text)
    }

    /// The same with memory of its own: what is kept for long must not hold the whole body that it came in.
    #[must_use]
    pub fn detached(&self) -> Self {
        Self(Bytes::copy_from_slice(&self.0))
    }

    /// The text.
    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }

    /// Reads it.
    ///
    /// # Errors
    /// When it is not what is wanted.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, serde_json::Error> {
        serde_json::from_slice(&self.0)
    }
}

/// A JSON-RPC error of an upstream's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeError {
    /// Its number.
    pub code: i64,
    /// Its words.
    pub message: Box<str>,
    /// The whole error object, as it came.
    pub raw: RawJson,
}

/// The answer to one call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RpcAnswer {
    /// Its result.
    Result(RawJson),
    /// An error.
    Error(NodeError),
}

/// Why a body is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadAnswer {
    /// Not JSON, cut off, or no JSON-RPC answer.
    #[error("what came is no JSON-RPC answer: {0}")]
    NotJsonRpc(String),
    /// It answers another call.
    #[error("the answer has the id of another call")]
    WrongId,
    /// Of a batch, an answer is missing.
    #[error("the batch has {got} of {wanted} answers")]
    Incomplete {
        /// Answers that came.
        got: usize,
        /// Calls that were sent.
        wanted: usize,
    },
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default)]
    id: Option<&'a RawValue>,
    #[serde(borrow, default)]
    result: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct WireError {
    #[serde(default)]
    code: i64,
    #[serde(default)]
    message: Option<String>,
}

/// Longest part of a node's words that is kept for logs.
const KEPT_CHARS: usize = 300;

/// Reads the answer to the one call that was sent with an id.
///
/// # Errors
/// When it is no answer, or another call's.
pub fn read_answer(body: &Bytes, id: u64) -> Result<RpcAnswer, BadAnswer> {
    let wire: Wire<'_> = serde_json::from_slice(body).map_err(not_json_rpc)?;
    let answer = of_wire(body, &wire)?;
    match wire.id.and_then(number) {
        Some(got) if got == id => Ok(answer),
        // A node that could not read the call answers with the id null, and an error.
        None if matches!(answer, RpcAnswer::Error(_)) && wire.id.is_none_or(is_null) => Ok(answer),
        Some(_) | None => Err(BadAnswer::WrongId),
    }
}

/// Reads the answers to a batch of calls that were sent with the ids from 0, in their order whatever order they came in.
///
/// # Errors
/// When it is no batch of answers, one is missing, or one is of no call. A node that refuses a whole batch answers one error, which is then
/// each call's.
pub fn read_answers(body: &Bytes, wanted: usize) -> Result<Vec<RpcAnswer>, BadAnswer> {
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'[') {
        let wire: Wire<'_> = serde_json::from_slice(body).map_err(not_json_rpc)?;
        return match of_wire(body, &wire)? {
            RpcAnswer::Error(error) => Ok(vec![RpcAnswer::Error(error); wanted]),
            RpcAnswer::Result(_) => Err(BadAnswer::Incomplete { got: 1, wanted }),
        };
    }
    let wires: Vec<Wire<'_>> = serde_json::from_slice(body).map_err(not_json_rpc)?;
    let mut answers: Vec<Option<RpcAnswer>> = vec![None; wanted];
    for wire in &wires {
        let id = wire.id.and_then(number).and_then(|id| usize::try_from(id).ok());
        let place = id.and_then(|id| answers.get_mut(id)).ok_or(BadAnswer::WrongId)?;
        *place = Some(of_wire(body, wire)?);
    }
    let got = answers.iter().flatten().count();
    answers.into_iter().collect::<Option<Vec<_>>>().ok_or(BadAnswer::Incomplete { got, wanted })
}

fn of_wire(body: &Bytes, wire: &Wire<'_>) -> Result<RpcAnswer, BadAnswer> {
    match (wire.result, wire.error.filter(|error| !is_null(error))) {
        (_, Some(error)) => {
            // Some nodes answer with a bare text; it is an error all the same.
            let read: WireError =
                serde_json::from_str(error.get()).unwrap_or(WireError { code: 0, message: None });
            let message: String =
                read.message.unwrap_or_else(|| error.get().to_owned()).chars().take(KEPT_CHARS).collect();
            Ok(RpcAnswer::Error(NodeError {
                code: read.code,
                message: message.into(),
                raw: RawJson::of(body, error),
            }))
        }
        (Some(result), None) => Ok(RpcAnswer::Result(RawJson::of(body, result))),
        (None, None) if body_has_null_result(body) => {
            Ok(RpcAnswer::Result(RawJson(Bytes::from_static(b"null"))))
        }
        (None, None) => Err(BadAnswer::NotJsonRpc("it has neither a result nor an error".to_owned())),
    }
}

/// serde reads `"result": null` as none at all.
fn body_has_null_result(body: &Bytes) -> bool {
    body.windows(8).any(|window| window == b"\"result\"")
}

fn not_json_rpc(error: serde_json::Error) -> BadAnswer {
    // Where, not what: the parser's words may repeat the body.
    BadAnswer::NotJsonRpc(format!("line {}, column {}: {:?}", error.line(), error.column(), error.classify()))
}

fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

fn number(id: &RawValue) -> Option<u64> {
    id.get().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str) -> Result<RpcAnswer, BadAnswer> {
        read_answer(&Bytes::copy_from_slice(text.as_bytes()), 7)
    }

    #[test]
    fn results_and_errors_are_slices_of_the_body() {
        let Ok(RpcAnswer::Result(result)) = one(r#"{"jsonrpc":"2.0","id":7,"result":{"a": [1]}}"#) else {
            panic!()
        };
        assert_eq!(result.as_bytes(), &br#"{"a": [1]}"#[..]);
        let Ok(RpcAnswer::Result(null)) = one(r#"{"id":7,"result":null}"#) else { panic!() };
        assert_eq!(null.as_bytes(), "null");
        let Ok(RpcAnswer::Error(error)) =
            one(r#"{"id":7,"error":{"code":-32000,"message":"header not found"}}"#)
        else {
            panic!()
        };
        assert_eq!((error.code, &*error.message), (-32000, "header not found"));
        assert!(matches!(one(r#"{"id":7,"result":null,"error":{"code":1}}"#), Ok(RpcAnswer::Error(_))));
        assert!(matches!(
            one(r#"{"id":null,"error":{"code":-32700,"message":"parse"}}"#),
            Ok(RpcAnswer::Error(_))
        ));
    }

    #[test]
    fn what_is_no_answer_is_said_to_be_none() {
        assert_eq!(one(r#"{"id":8,"result":1}"#), Err(BadAnswer::WrongId));
        assert_eq!(one(r#"{"result":1}"#), Err(BadAnswer::WrongId));
        for text in ["", "<html>", r#"{"id":7,"result":"0x"#, r#"{"id":7}"#, "[]", "null"] {
            assert!(matches!(one(text), Err(BadAnswer::NotJsonRpc(_))), "{text}");
        }
    }

    #[test]
    fn a_batch_is_put_in_order() {
        let read = |text: &str| read_answers(&Bytes::copy_from_slice(text.as_bytes()), 2);
        let answers = read(r#"[{"id":1,"result":"b"},{"id":0,"error":{"code":3,"message":"m"}}]"#).unwrap();
        assert!(matches!(&answers[0], RpcAnswer::Error(error) if error.code == 3));
        assert!(matches!(&answers[1], RpcAnswer::Result(result) if result.as_bytes() == "\"b\""));
        assert_eq!(read(r#"[{"id":1,"result":1}]"#), Err(BadAnswer::Incomplete { got: 1, wanted: 2 }));
        assert_eq!(read(r#"[{"id":2,"result":1}]"#), Err(BadAnswer::WrongId));
        assert_eq!(read(r#"{"id":null,"error":{"code":-32600,"message":"too many"}}"#).unwrap().len(), 2);
    }
}
