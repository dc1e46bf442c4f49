//! What this server needs of the gateway.

use std::pin::Pin;

use serde_json::json;
use tokio::time::Instant;

use crate::{
    gateway::{Gateway, NodeError, RawJson, RpcAnswer, RpcCall, Served, ServedBy, Session},
    jsonrpc::ErrorCode,
};

/// A future of an answer.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Answers calls. Every call gets an answer by its deadline: where nobody can answer, that is an error of the gateway's own.
pub trait Rpc: Send + Sync {
    /// Answers one call.
    fn call<'a>(&'a self, call: RpcCall, session: &'a Session, deadline: Instant) -> Answering<'a, Served>;

    /// Answers several, in their order.
    fn call_batch<'a>(
        &'a self,
        calls: Vec<RpcCall>,
        session: &'a Session,
        deadline: Instant,
    ) -> Answering<'a, Vec<Served>>;
}

impl Rpc for Gateway {
    fn call<'a>(&'a self, call: RpcCall, session: &'a Session, deadline: Instant) -> Answering<'a, Served> {
        Box::pin(Self::call(self, call, session, deadline))
    }

    fn call_batch<'a>(
        &'a self,
        calls: Vec<RpcCall>,
        session: &'a Session,
        deadline: Instant,
    ) -> Answering<'a, Vec<Served>> {
        Box::pin(Self::call_batch(self, calls, session, deadline))
    }
}

/// What is said where the time was up before anybody said anything.
pub(super) fn no_reply() -> Served {
    let (code, message) = (ErrorCode::Internal.number(), "no answer within the time there is");
    let raw = RawJson::from_value(&json!({ "code": code, "message": message }));
    Served {
        answer: RpcAnswer::Error(NodeError { code, message: message.into(), raw }),
        by: ServedBy::Gateway,
    }
}
