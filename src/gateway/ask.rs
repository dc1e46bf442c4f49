//! How one upstream is asked: what routing needs of a transport, so that it knows no HTTP.

use std::pin::Pin;

use tokio::time::Instant;

use super::{CallError, RpcAnswer, RpcCall};

/// A call to an upstream that is under way. Dropping it ends it.
pub type Asking<'a, T> = Pin<Box<dyn Future<Output = Result<T, CallError>> + Send + 'a>>;

/// An upstream that can be asked.
pub trait Ask: Send + Sync {
    /// Asks for one call.
    fn call<'a>(&'a self, call: &'a RpcCall, deadline: Instant) -> Asking<'a, RpcAnswer>;

    /// Asks for several at once; their answers in the calls' order.
    fn batch<'a>(&'a self, calls: &'a [RpcCall], deadline: Instant) -> Asking<'a, Vec<RpcAnswer>>;

    /// Whether our own budget of requests to it has one left. Takes none.
    fn has_budget(&self) -> bool {
        true
    }

    /// The most calls that can be asked for together, as our own budget has no more at once. At least 1. Takes none.
    fn most_at_once(&self) -> usize {
        usize::MAX
    }

    /// Requests of today's budget that are used up; none where there is no budget.
    fn used_today(&self) -> Option<u64> {
        None
    }
}
