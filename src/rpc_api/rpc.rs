//! What this server needs of the gateway.

use std::pin::Pin;

use tokio::time::Instant;

use crate::gateway::{RpcAnswer, RpcCall, Session, UpstreamId};

/// A future of an answer.
pub type Answering<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnsweredBy {
    /// An upstream.
    Upstream(UpstreamId),
    /// What is kept of earlier answers.
    Cache,
    /// The gateway itself: a refusal, or that nobody could answer.
    Gateway,
}

impl AnsweredBy {
    /// Its name in the answer's header.
    pub fn name(&self) -> &str {
        match self {
            Self::Upstream(id) => id.as_str(),
            Self::Cache => "cache",
            Self::Gateway => "gateway",
        }
    }
}

/// An answer and who gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The answer.
    pub answer: RpcAnswer,
    /// Who gave it.
    pub by: AnsweredBy,
}

/// Answers calls. Every call gets an answer by its deadline: where nobody can answer, that is an error of the gateway's own.
pub trait Rpc: Send + Sync {
    /// Answers one call.
    fn call<'a>(&'a self, call: RpcCall, session: &'a Session, deadline: Instant) -> Answering<'a, Reply>;

    /// Answers several, in their order.
    fn call_batch<'a>(
        &'a self,
        calls: Vec<RpcCall>,
        session: &'a Session,
        deadline: Instant,
    ) -> Answering<'a, Vec<Reply>>;
}
