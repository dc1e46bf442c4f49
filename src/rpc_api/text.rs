//! The text of answers, put together of slices: a result of megabytes goes out as it came in, without being copied or read.

use std::{
    collections::VecDeque,
    pin::Pin,
    task::{Context, Poll},
};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use serde_json::{Value, json, value::RawValue};

use crate::{
    gateway::{NodeError, RpcAnswer},
    jsonrpc::{ErrorCode, RpcError},
};

/// Up to this many bytes, copying is cheaper than a slice of its own.
const COPIED: usize = 8 << 10;

/// A text that grows by slices.
#[derive(Debug, Default)]
pub(super) struct Text {
    done: VecDeque<Bytes>,
    open: BytesMut,
    len: usize,
}

impl Text {
    /// Its length so far, in bytes.
    #[cfg(test)]
    const fn len(&self) -> usize {
        self.len
    }

    fn push(&mut self, text: &[u8]) {
        self.open.extend_from_slice(text);
        self.len += text.len();
    }

    fn push_slice(&mut self, slice: &Bytes) {
        if slice.len() <= COPIED {
            return self.push(slice);
        }
        if !self.open.is_empty() {
            self.done.push_back(self.open.split().freeze());
        }
        self.done.push_back(slice.clone());
        self.len += slice.len();
    }

    /// Begins a list.
    pub(super) fn begin_list(&mut self) {
        self.push(b"[");
    }

    /// Between two entries of a list.
    pub(super) fn next(&mut self) {
        self.push(b",");
    }

    /// Ends a list.
    pub(super) fn end_list(&mut self) {
        self.push(b"]");
    }

    fn head(&mut self, id: Option<&RawValue>) {
        self.push(b"{\"jsonrpc\":\"2.0\",\"id\":");
        self.push(id.map_or("null", RawValue::get).as_bytes());
    }

    /// The answer to a call: what an upstream said, as it said it.
    pub(super) fn answer(&mut self, id: Option<&RawValue>, answer: &RpcAnswer) {
        self.head(id);
        match answer {
            RpcAnswer::Result(result) => {
                self.push(b",\"result\":");
                self.push_slice(result.as_bytes());
            }
            RpcAnswer::Error(error) => {
                self.push(b",\"error\":");
                match error.raw.as_bytes().first() {
                    Some(b'{') => self.push_slice(error.raw.as_bytes()),
                    // What a node said in another shape, in the one that clients can read.
                    _ => self.push(of_node(error).to_string().as_bytes()),
                }
            }
        }
        self.push(b"}");
    }

    /// An error of ours.
    pub(super) fn error(&mut self, id: Option<&RawValue>, error: &RpcError) {
        self.head(id);
        self.push(b",\"error\":");
        let error = json!({ "code": error.code.number(), "message": error.message });
        self.push(error.to_string().as_bytes());
        self.push(b"}");
    }

    /// As one piece.
    pub(super) fn into_bytes(self) -> Bytes {
        if self.done.is_empty() {
            return self.open.freeze();
        }
        let mut whole = BytesMut::with_capacity(self.len);
        self.done.iter().for_each(|slice| whole.extend_from_slice(slice));
        whole.extend_from_slice(&self.open);
        whole.freeze()
    }

    /// As the body of an HTTP answer, of known length.
    pub(super) fn into_body(mut self) -> Body {
        if self.done.is_empty() {
            return Body::from(self.open.freeze());
        }
        if !self.open.is_empty() {
            self.done.push_back(self.open.split().freeze());
        }
        Body::new(UnsyncBoxBody::new(Slices { slices: self.done, left: self.len as u64 }))
    }
}

fn of_node(error: &NodeError) -> Value {
    let code = if error.code == 0 { ErrorCode::Server.number() } else { error.code };
    json!({ "code": code, "message": &*error.message })
}

struct Slices {
    slices: VecDeque<Bytes>,
    left: u64,
}

impl HttpBody for Slices {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let next = self.slices.pop_front();
        self.left = self.left.saturating_sub(next.as_ref().map_or(0, Bytes::len) as u64);
        Poll::Ready(next.map(|slice| Ok(Frame::data(slice))))
    }

    fn is_end_stream(&self) -> bool {
        self.slices.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt;

    use super::*;
    use crate::gateway::RawJson;

    fn result(text: &str) -> RpcAnswer {
        RpcAnswer::Result(RawJson::parse(Bytes::copy_from_slice(text.as_bytes())).unwrap())
    }

    #[tokio::test]
    async fn slices_come_out_as_they_went_in() {
        let large = format!("\"{}\"", "a".repeat(100_000));
        let id = RawValue::from_string("1e3".to_owned()).unwrap();
        let mut text = Text::default();
        text.begin_list();
        text.answer(Some(&id), &result("{\"a\": 1}"));
        text.next();
        text.answer(None, &result(&large));
        text.next();
        text.error(Some(&id), &RpcError::params("a \"quoted\" word"));
        text.end_list();
        let len = text.len();
        let body = text.into_body();
        assert_eq!(HttpBody::size_hint(&body).exact(), Some(len as u64));
        let bytes = body.collect().await.unwrap().to_bytes();
        assert_eq!(bytes.len(), len);
        let want = format!(
            "[{}1e3,\"result\":{{\"a\": 1}}}},{}null,\"result\":{large}}},{}1e3,\"error\":{{\"code\":-32602,\"message\":\"a \\\"quoted\\\" word\"}}}}]",
            HEAD, HEAD, HEAD
        );
        assert_eq!(bytes, want.as_bytes());
        serde_json::from_slice::<Value>(&bytes).unwrap();
    }

    const HEAD: &str = "{\"jsonrpc\":\"2.0\",\"id\":";

    #[test]
    fn an_error_is_an_object_whatever_the_node_wrote() {
        let answer = |raw: &str, code| {
            RpcAnswer::Error(NodeError {
                code,
                message: "m".into(),
                raw: RawJson::parse(Bytes::copy_from_slice(raw.as_bytes())).unwrap(),
            })
        };
        for (raw, code, want) in [
            (
                r#"{"code":3,"message":"revert","data":"0x"}"#,
                3,
                r#"{"code":3,"message":"revert","data":"0x"}"#,
            ),
            (r#""m""#, 0, r#"{"code":-32000,"message":"m"}"#),
        ] {
            let mut text = Text::default();
            text.answer(None, &answer(raw, code));
            assert_eq!(text.open, format!("{HEAD}null,\"error\":{want}}}"));
        }
    }
}
