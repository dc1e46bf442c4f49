//! A call to an upstream that brought nothing.

use std::time::Duration;

/// Why an upstream gave no answer. Its words hold no URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TransportFailure {
    /// No connection: refused, no route, no name, no TLS. The upstream is down, whatever its last probe said.
    #[error("no connection: {0}")]
    Connect(String),
    /// No whole answer within the time there was.
    #[error("no answer in time")]
    TimedOut,
    /// The connection broke, or what came was not HTTP.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// An HTTP status that is no success, without a JSON-RPC answer in it.
    #[error("HTTP {status}")]
    Status {
        /// The status.
        status: u16,
        /// What the upstream asks to wait, where it does.
        retry_after: Option<Duration>,
    },
    /// The answer is larger than it may be.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// Most bytes, after decompression.
        limit: usize,
    },
    /// Our own budget of requests to it is used up: nothing was sent.
    #[error("our budget of requests to it is used up")]
    OverBudget,
}

impl TransportFailure {
    /// Its name in metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Connect(_) => "connect",
            Self::TimedOut => "timeout",
            Self::Broken(_) => "broken",
            Self::Status { status: 429, .. } => "rate_limited",
            Self::Status { .. } => "http_status",
            Self::TooLarge { .. } => "too_large",
            Self::OverBudget => "over_budget",
        }
    }
}
