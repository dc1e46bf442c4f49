//! Calls read by the letter of JSON-RPC 2.0, for a listener that stands where a node would.
//!
//! As geth: `jsonrpc` must be "2.0"; an id is a string, a number or null; a call without an id is a notification, and one with the id null is
//! none; what is wrong with a call is told under its id, where that can be read. Beyond geth: a name that stands twice in a call is refused, as
//! two readers would take two different calls for it.

use std::borrow::Cow;

use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{
    error::{ErrorCode, RpcError},
    request::{FramingLimits, MAX_ID_BYTES, read_framing},
};

/// A call of a body, as strictly as a node reads it.
#[derive(Clone, Debug)]
pub struct StrictCall<'a> {
    /// Given back as it came. None: a notification, or a call whose id could not be read, which is answered under the id null.
    pub id: Option<&'a RawValue>,
    /// What is asked, or what is wrong with it.
    pub asked: Result<Asked<'a>, RpcError>,
}

/// What a call asks.
#[derive(Clone, Debug)]
pub struct Asked<'a> {
    /// The method's name.
    pub method: Cow<'a, str>,
    /// Its parameters, an array or an object, not read yet; none where there are none.
    pub params: Option<&'a RawValue>,
}

impl StrictCall<'_> {
    /// Whether nobody waits for an answer: a sound call without an id. What is wrong is answered whatever it has.
    pub const fn is_notification(&self) -> bool {
        self.id.is_none() && self.asked.is_ok()
    }
}

/// What a body holds.
#[derive(Debug)]
pub enum StrictIncoming<'a> {
    /// One call.
    One(StrictCall<'a>),
    /// Several, to be answered in one list.
    Batch(Vec<StrictCall<'a>>),
}

/// Reads the calls of a body by the letter.
///
/// # Errors
/// When the body is not JSON, nests too deep, or is an empty batch or too large a one.
pub fn read_strictly(body: &[u8], limits: FramingLimits) -> Result<StrictIncoming<'_>, RpcError> {
    read_framing(
        body,
        limits,
        |one| StrictIncoming::One(read_call(one)),
        |calls| StrictIncoming::Batch(calls.iter().map(|call| read_call(call)).collect()),
    )
}

#[derive(Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default)]
    jsonrpc: Option<Cow<'a, str>>,
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    method: Cow<'a, str>,
    #[serde(borrow, default)]
    params: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct JustId<'a> {
    #[serde(borrow, default, deserialize_with = "present")]
    id: Option<&'a RawValue>,
}

/// A value that is there, also when it is `null`.
fn present<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(deserializer).map(Some)
}

fn read_call(text: &RawValue) -> StrictCall<'_> {
    let invalid = |message: String| RpcError::new(ErrorCode::InvalidRequest, message);
    // Read of every byte that it has: an id is only ours to give back where it is one.
    if !text.get().starts_with('{') {
        return StrictCall { id: None, asked: Err(invalid("a call is a JSON object".to_owned())) };
    }
    let wire: Wire<'_> = match serde_json::from_str(text.get()) {
        Ok(wire) => wire,
        Err(error) => {
            let id = serde_json::from_str::<JustId<'_>>(text.get()).ok().and_then(|just| just.id);
            let asked = Err(invalid(format!("this is no JSON-RPC call: {error}")));
            return StrictCall { id: id.filter(|id| check_id(id).is_ok()), asked };
        }
    };
    if let Some(Err(message)) = wire.id.map(check_id) {
        return StrictCall { id: None, asked: Err(invalid(message)) };
    }
    StrictCall { id: wire.id, asked: asked(wire) }
}

fn asked(wire: Wire<'_>) -> Result<Asked<'_>, RpcError> {
    if wire.jsonrpc.as_deref() != Some("2.0") {
        let message = "`jsonrpc` must be \"2.0\"";
        return Err(RpcError::new(ErrorCode::InvalidRequest, message));
    }
    if wire.method.is_empty() {
        return Err(RpcError::new(ErrorCode::InvalidRequest, "`method` is empty"));
    }
    match wire.params.map(|params| params.get().as_bytes().first().copied()) {
        None | Some(Some(b'[' | b'{')) => Ok(Asked { method: wire.method, params: wire.params }),
        Some(_) => Err(RpcError::params("params: expected an array or an object")),
    }
}

fn check_id(id: &RawValue) -> Result<(), String> {
    if id.get().len() > MAX_ID_BYTES {
        return Err(format!("the id is longer than {MAX_ID_BYTES} bytes"));
    }
    match id.get().as_bytes().first() {
        Some(b'"' | b'-' | b'0'..=b'9' | b'n') => Ok(()),
        _ => Err("an id is a string, a number or null".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: FramingLimits = FramingLimits { batch: 3, depth: 6 };

    fn one(text: &str) -> StrictCall<'_> {
        match read_strictly(text.as_bytes(), LIMITS) {
            Ok(StrictIncoming::One(call)) => call,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn sound_calls_and_notifications_are_told_apart() {
        for (text, id, is_notification) in [
            (r#"{"jsonrpc":"2.0","id":1,"method":"m"}"#, Some("1"), false),
            (r#"{"jsonrpc":"2.0","id":"a\"b","method":"m","params":[]}"#, Some(r#""a\"b""#), false),
            (r#"{"jsonrpc":"2.0","id":-1.5e3,"method":"m","params":{"a":1}}"#, Some("-1.5e3"), false),
            (r#"{"jsonrpc":"2.0","id":null,"method":"m","params":null}"#, Some("null"), false),
            (r#"{"jsonrpc":"2.0","method":"m"}"#, None, true),
            (r#"{"jsonrpc":"2.0","method":"m","more":{"x":[]}}"#, None, true),
        ] {
            let call = one(text);
            assert!(call.asked.is_ok(), "{text}: {:?}", call.asked);
            assert_eq!(call.id.map(RawValue::get), id, "{text}");
            assert_eq!(call.is_notification(), is_notification, "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_under_the_id_where_there_is_one() {
        const INVALID: ErrorCode = ErrorCode::InvalidRequest;
        for (text, id, code) in [
            (r#"{"id":1,"method":"m"}"#, Some("1"), INVALID),
            (r#"{"jsonrpc":"1.0","id":1,"method":"m"}"#, Some("1"), INVALID),
            (r#"{"jsonrpc":2.0,"id":1,"method":"m"}"#, Some("1"), INVALID),
            (r#"{"jsonrpc":"2.0","id":1}"#, Some("1"), INVALID),
            (r#"{"jsonrpc":"2.0","id":1,"method":1}"#, Some("1"), INVALID),
            (r#"{"jsonrpc":"2.0","id":1,"method":""}"#, Some("1"), INVALID),
            (r#"{"jsonrpc":"2.0","id":1,"method":"a","method":"b"}"#, Some("1"), INVALID),
            (r#"{"jsonrpc":"2.0","id":1,"id":2,"method":"a"}"#, None, INVALID),
            (r#"{"jsonrpc":"2.0","id":{},"method":"m"}"#, None, INVALID),
            (r#"{"jsonrpc":"2.0","id":[1],"method":"m"}"#, None, INVALID),
            (r#"{"jsonrpc":"2.0","id":true,"method":"m"}"#, None, INVALID),
            (r#"{"method":"m"}"#, None, INVALID),
            (r#"{"jsonrpc":"2.0","id":1,"result":1}"#, Some("1"), INVALID),
            ("1", None, INVALID),
            ("null", None, INVALID),
            (r#""eth_chainId""#, None, INVALID),
            (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":"bar"}"#, Some("1"), ErrorCode::InvalidParams),
            (r#"{"jsonrpc":"2.0","id":1,"method":"m","params":7}"#, Some("1"), ErrorCode::InvalidParams),
        ] {
            let call = one(text);
            assert_eq!(call.id.map(RawValue::get), id, "{text}");
            assert_eq!(call.asked.as_ref().map_err(|error| error.code).err(), Some(code), "{text}");
            assert!(!call.is_notification(), "{text}");
        }
        let long = format!(r#"{{"jsonrpc":"2.0","id":"{}","method":"m"}}"#, "x".repeat(300));
        assert_eq!(one(&long).id.map(RawValue::get), None);
    }

    #[test]
    fn a_batch_keeps_its_order_whatever_is_in_it() {
        let body = r#" [{"jsonrpc":"2.0","id":1,"method":"a"}, 7, {"jsonrpc":"2.0","method":"b"}]"#;
        let Ok(StrictIncoming::Batch(calls)) = read_strictly(body.as_bytes(), LIMITS) else { panic!() };
        let shape: Vec<(bool, bool)> =
            calls.iter().map(|call| (call.asked.is_ok(), call.is_notification())).collect();
        assert_eq!(shape, [(true, false), (false, false), (true, true)]);
        for (body, code) in [
            ("", ErrorCode::Parse),
            ("[1", ErrorCode::Parse),
            ("{} {}", ErrorCode::Parse),
            ("\u{feff}{}", ErrorCode::Parse),
            ("[]", ErrorCode::InvalidRequest),
            ("[1,2,3,4]", ErrorCode::InvalidRequest),
            ("[[[[[[[1]]]]]]]", ErrorCode::InvalidRequest),
        ] {
            assert_eq!(read_strictly(body.as_bytes(), LIMITS).unwrap_err().code, code, "{body}");
        }
    }

    proptest! {
        #[test]
        fn no_json_like_text_makes_it_panic(body in r#"[\[\]{}",:0-9a-z\\ ]{0,120}"#) {
            let _ = read_strictly(body.as_bytes(), LIMITS);
        }
    }
}
