//! Bundles without a listener of their own are taken here: the whole request goes to whoever serves them, as it came, since its signature is of
//! the whole body.

use axum::{
    body::Body,
    extract::Request,
    http::request::Parts,
    response::{IntoResponse, Response},
};
use bytes::Bytes;

use crate::{
    bundles::BUNDLE_METHODS,
    jsonrpc::{ErrorCode, RpcError, StrictIncoming},
    serve::Handover,
};

/// What a request is meant for.
#[derive(Debug)]
pub(super) enum Meant {
    /// The gateway.
    Calls,
    /// Whoever takes bundles: so many calls.
    Bundles(usize),
    /// Partly one and partly the other, which cannot be: why, in words.
    Both(RpcError),
}

/// The way to whoever takes bundles.
#[derive(Clone, Debug)]
pub(super) struct BundleDoor(pub(super) Handover);

impl BundleDoor {
    /// Whom a request is meant for. A call that cannot be read is no bundle, and changes nothing about the others.
    pub(super) fn meant(&self, incoming: &StrictIncoming<'_>) -> Meant {
        let calls = match incoming {
            StrictIncoming::One(call) => std::slice::from_ref(call),
            StrictIncoming::Batch(calls) => calls.as_slice(),
        };
        let methods = || calls.iter().filter_map(|call| call.asked.as_ref().ok()).map(|asked| &*asked.method);
        let bundles = methods().filter(|method| BUNDLE_METHODS.contains(method)).count();
        if bundles == 0 {
            return Meant::Calls;
        }
        if bundles == methods().count() {
            return Meant::Bundles(calls.len());
        }
        let message = "a batch has methods of bundles and others: the signature is of the whole body, so send the two as requests of their own";
        Meant::Both(RpcError::new(ErrorCode::InvalidRequest, message))
    }

    /// Has a request answered there.
    pub(super) async fn hand_over(&self, parts: Parts, body: Bytes) -> Response {
        let request = Request::from_parts(parts, Body::from(body));
        self.0.serve(request).await.unwrap_or_else(IntoResponse::into_response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        jsonrpc::{FramingLimits, read_strictly},
        serve::handover,
    };

    #[test]
    fn only_a_request_of_bundles_alone_is_one() {
        let (hand, _handed) = handover();
        let door = BundleDoor(hand);
        let call = |method: &str| format!(r#"{{"jsonrpc":"2.0","id":1,"method":"{method}"}}"#);
        let (bundle, read) = (call("eth_sendBundle"), call("eth_call"));
        for (body, want) in [
            (bundle.clone(), "Bundles"),
            (format!("[{bundle},{bundle}]"), "Bundles"),
            (format!("[{bundle},7]"), "Bundles"),
            (format!("[{bundle},{read}]"), "Both"),
            (read.clone(), "Calls"),
            (format!("[{read},7]"), "Calls"),
            ("7".to_owned(), "Calls"),
        ] {
            let incoming = read_strictly(body.as_bytes(), FramingLimits { batch: 9, depth: 9 }).unwrap();
            assert!(format!("{:?}", door.meant(&incoming)).starts_with(want), "{body}");
        }
    }
}
