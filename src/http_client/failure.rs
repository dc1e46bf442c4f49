//! What a client's error says of a call: its kind, and its cause in words that hold no URL.

use std::{error::Error, io, iter::successors};

use hyper_util::client::legacy;

use super::connector::ConnectTimedOut;

/// A call that brought no whole answer. Its words hold no URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum HttpFailure {
    /// No answer within the time that the system gives a connection.
    #[error("no answer in time")]
    TimedOut,
    /// No connection: refused, no route, no name, TLS failure.
    #[error("no connection: {0}")]
    Connect(String),
    /// The connection broke, or what came was not HTTP.
    #[error("the connection broke: {0}")]
    Broken(String),
    /// The body exceeds what it may be.
    #[error("body larger than {limit} bytes")]
    TooLarge {
        /// Most bytes, after decompression.
        limit: usize,
    },
}

/// Longest text kept of a cause, in characters.
const KEPT_CHARS: usize = 160;

/// The error and what caused it, the innermost last.
fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |&error| error.source())
}

/// Sorts a client's error. No error of these libraries prints the URL, which may hold an account's id.
pub fn failure_of(error: &(dyn Error + 'static)) -> HttpFailure {
    if causes(error).any(is_timeout) {
        return HttpFailure::TimedOut;
    }
    let message = causes(error)
        .last()
        .map(|cause| cause.to_string().chars().take(KEPT_CHARS).collect())
        .unwrap_or_default();
    let is_connect =
        |cause: &(dyn Error + 'static)| cause.downcast_ref().is_some_and(legacy::Error::is_connect);
    if causes(error).any(is_connect) { HttpFailure::Connect(message) } else { HttpFailure::Broken(message) }
}

fn is_timeout(cause: &(dyn Error + 'static)) -> bool {
    cause.is::<ConnectTimedOut>()
        || cause.downcast_ref().is_some_and(hyper::Error::is_timeout)
        || cause.downcast_ref().is_some_and(|error: &io::Error| error.kind() == io::ErrorKind::TimedOut)
}

/// Whether the far side says by HTTP/2 that it has not begun with the call: it closes the connection in good order, or takes no more calls
/// for now (RFC 9113, 8.7).
pub(super) fn was_not_begun(error: &legacy::Error) -> bool {
    let refusal = causes(error).find_map(|cause| cause.downcast_ref::<h2::Error>());
    refusal.is_some_and(|refusal| {
        refusal.is_remote()
            && (refusal.is_go_away() && refusal.reason() == Some(h2::Reason::NO_ERROR)
                || refusal.is_reset() && refusal.reason() == Some(h2::Reason::REFUSED_STREAM))
    })
}
