//! An answer and who gave it.

use super::{RpcAnswer, UpstreamId, own_answer};
use crate::jsonrpc::ErrorCode;

/// Who answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServedBy {
    /// An upstream.
    Upstream(UpstreamId),
    /// What is kept of earlier answers.
    Cache,
    /// The gateway itself: a refusal, or that nobody could answer.
    Gateway,
}

impl ServedBy {
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
pub struct Served {
    /// The answer.
    pub answer: RpcAnswer,
    /// Who gave it.
    pub by: ServedBy,
}

impl Served {
    /// An answer of the gateway's own.
    pub const fn own(answer: RpcAnswer) -> Self {
        Self { answer, by: ServedBy::Gateway }
    }

    /// An error of the gateway's own.
    pub fn error(code: ErrorCode, message: impl Into<String>) -> Self {
        Self::own(own_answer::error(code, message))
    }

    /// An upstream's answer.
    pub const fn upstream(id: UpstreamId, answer: RpcAnswer) -> Self {
        Self { answer, by: ServedBy::Upstream(id) }
    }
}
