//! Why a probe brought nothing to judge by.

use std::time::Duration;

/// A probe that brought nothing to judge by: the node does not answer, or what answers is no such node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeFailure {
    /// No answer in time: its process hangs, or works on something for too long.
    #[error("it does not answer within {after:?}")]
    TimedOut {
        /// The probe's `timeout`.
        after: Duration,
    },
    /// Nobody listens there, or there is no way.
    #[error("there is no connection to it: {0}")]
    NoConnection(String),
    /// The connection broke, or what came was not HTTP.
    #[error("the connection to it broke: {0}")]
    Broken(String),
    /// It says that it cannot answer now.
    #[error("it answers HTTP {status}")]
    Status {
        /// The HTTP status, 500 or higher, or 429.
        status: u16,
    },
    /// What came makes no sense.
    #[error("{0}")]
    Garbage(String),
}
