//! Calls in a body, read by reference.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{
    bounded::BoundedList,
    depth::is_deeper_than,
    error::{ErrorCode, RpcError},
};

/// Longest id given back, in bytes. Clients use a number or a UUID.
pub(super) const MAX_ID_BYTES: usize = 256;
/// Most positional parameters of a call. No Ethereum method has more than five.
const MAX_PARAMS: usize = 16;
/// Most calls of a batch whatever a listener allows: the bound of the list that is read.
const MAX_BATCH: usize = 1000;

/// What a listener takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FramingLimits {
    /// Most calls in one batch; at most 1000.
    pub batch: usize,
    /// Deepest nesting of arrays and objects in the whole body.
    pub depth: usize,
}

/// One call. Everything is a slice of the body.
#[derive(Clone, Debug, Deserialize)]
pub struct Request<'a> {
    /// Given back as it came; none for a notification, which is answered all the same.
    #[serde(borrow, default)]
    pub id: Option<&'a RawValue>,
    /// The method's name, as it was sent.
    #[serde(borrow)]
    pub method: Cow<'a, str>,
    /// Its parameters, not read yet.
    #[serde(borrow, default)]
    pub params: Option<&'a RawValue>,
}

impl<'a> Request<'a> {
    /// The positional parameters, not read yet.
    ///
    /// # Errors
    /// When they are an object, or more than any method has.
    pub fn positional(&self) -> Result<Vec<&'a RawValue>, RpcError> {
        let Some(params) = self.params else { return Ok(Vec::new()) };
        let list: BoundedList<&'a RawValue, MAX_PARAMS> = serde_json::from_str(params.get())
            .map_err(|error| RpcError::params(format!("params: expected an array: {error}")))?;
        Ok(list.into_vec())
    }
}

/// A call of a body: readable, or why it is not.
pub type Call<'a> = Result<Request<'a>, RpcError>;

/// What a body holds.
#[derive(Debug)]
pub enum Incoming<'a> {
    /// One call.
    One(Call<'a>),
    /// Several, to be answered in their order.
    Batch(Vec<Call<'a>>),
}

/// Reads the calls of a body.
///
/// # Errors
/// When the body is not JSON, nests too deep, or is an empty batch or too large a one.
pub fn read_body(body: &[u8], limits: FramingLimits) -> Result<Incoming<'_>, RpcError> {
    read_framing(
        body,
        limits,
        |one| Incoming::One(read_call(one)),
        |calls| Incoming::Batch(calls.iter().map(|call| read_call(call)).collect()),
    )
}

/// Reads what is around calls: whether there is one or a batch of them, each not read yet.
pub(super) fn read_framing<'a, T>(
    body: &'a [u8],
    limits: FramingLimits,
    one: impl FnOnce(&'a RawValue) -> T,
    batch: impl FnOnce(&[&'a RawValue]) -> T,
) -> Result<T, RpcError> {
    if is_deeper_than(body, limits.depth) {
        let message = format!("nested deeper than {} arrays and objects", limits.depth);
        return Err(RpcError::new(ErrorCode::InvalidRequest, message));
    }
    let not_json = |error: serde_json::Error| {
        // JSON, and more of it than is taken.
        let code = if error.is_data() { ErrorCode::InvalidRequest } else { ErrorCode::Parse };
        let what = if error.is_data() { "the batch is refused" } else { "the body is not JSON" };
        RpcError::new(code, format!("{what}: {error}"))
    };
    if body.iter().find(|byte| !byte.is_ascii_whitespace()) != Some(&b'[') {
        return serde_json::from_slice(body).map(one).map_err(not_json);
    }
    let calls: BoundedList<&RawValue, MAX_BATCH> = serde_json::from_slice(body).map_err(not_json)?;
    if calls.is_empty() {
        return Err(RpcError::new(ErrorCode::InvalidRequest, "the batch is empty"));
    }
    if calls.len() > limits.batch {
        let message = format!("{} calls in a batch, at most {} are taken", calls.len(), limits.batch);
        return Err(RpcError::new(ErrorCode::InvalidRequest, message));
    }
    Ok(batch(&calls))
}

fn read_call(call: &RawValue) -> Call<'_> {
    let invalid = |message: String| RpcError::new(ErrorCode::InvalidRequest, message);
    let request: Request<'_> = serde_json::from_str(call.get())
        .map_err(|error| invalid(format!("this is no JSON-RPC call: {error}")))?;
    if request.id.is_some_and(|id| id.get().len() > MAX_ID_BYTES) {
        return Err(invalid(format!("the id is longer than {MAX_ID_BYTES} bytes")));
    }
    Ok(request)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: FramingLimits = FramingLimits { batch: 3, depth: 6 };

    fn one(text: &str) -> Call<'_> {
        match read_body(text.as_bytes(), LIMITS) {
            Ok(Incoming::One(call)) => call,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_call_is_read_by_reference() {
        let call = one(r#" {"jsonrpc":"2.0","id":"a","method":"m","params":[1,{"b":2}],"more":[]}"#).unwrap();
        assert_eq!((call.id.unwrap().get(), &*call.method), ("\"a\"", "m"));
        let params: Vec<&str> = call.positional().unwrap().iter().map(|param| param.get()).collect();
        assert_eq!(params, ["1", r#"{"b":2}"#]);
        assert!(one(r#"{"method":"m"}"#).unwrap().positional().unwrap().is_empty());
        assert!(one(r#"{"method":"m","params":{}}"#).unwrap().positional().is_err());
        assert!(one(r#"{"method":"m","params":null}"#).unwrap().positional().unwrap().is_empty());
    }

    #[test]
    fn a_batch_keeps_its_readable_calls() {
        let body = r#"[{"method":"a"}, 7, {"method":"b"}]"#;
        let Ok(Incoming::Batch(calls)) = read_body(body.as_bytes(), LIMITS) else { panic!() };
        let methods: Vec<Option<&str>> =
            calls.iter().map(|call| call.as_ref().ok().map(|call| &*call.method)).collect();
        assert_eq!(methods, [Some("a"), None, Some("b")]);
    }

    #[test]
    fn what_is_no_body_has_its_code() {
        let long_id = format!(r#"{{"id":"{}","method":"m"}}"#, "x".repeat(300));
        assert_eq!(one(&long_id).unwrap_err().code, ErrorCode::InvalidRequest);
        assert_eq!(one(r#"{"id":1}"#).unwrap_err().code, ErrorCode::InvalidRequest);
        let deep = format!("{}1{}", "[".repeat(7), "]".repeat(7));
        for (body, code) in [
            ("", ErrorCode::Parse),
            ("nonsense", ErrorCode::Parse),
            ("[1", ErrorCode::Parse),
            ("[]", ErrorCode::InvalidRequest),
            ("[1,2,3,4]", ErrorCode::InvalidRequest),
            (deep.as_str(), ErrorCode::InvalidRequest),
        ] {
            let error = read_body(body.as_bytes(), LIMITS).unwrap_err();
            assert_eq!(error.code, code, "{body}: {error}");
        }
    }

    /// Found by `tests/fuzz`: the parser's words repeat what it did not expect.
    #[test]
    fn an_error_is_short_whatever_the_body_holds() {
        let long = "é".repeat(100_000);
        for body in [
            format!(r#""{long}""#),
            format!(r#"{{"method":["{long}"]}}"#),
            format!(r#"{{"method":"m","params":"{long}"}}"#),
        ] {
            let error = one(&body).and_then(|call| call.positional()).unwrap_err();
            assert!(error.message.len() <= 1000, "{} bytes", error.message.len());
        }
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(body in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read_body(&body, LIMITS);
        }

        #[test]
        fn no_json_like_text_makes_it_panic(body in r#"[\[\]{}",:0-9a-z\\ ]{0,120}"#) {
            if let Ok(Incoming::One(Ok(call))) = read_body(body.as_bytes(), LIMITS) {
                let _ = call.positional();
            }
        }
    }
}
