//! Counts what is asked and answered, and tells the auction when the consensus client asked and what was refused to it. A prober, a browser
//! and whoever asks for a route that is not there are counted, and are no client.

use std::sync::Arc;

use axum::{
    Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::Response,
};

use super::{
    grading::Waiting,
    metrics::{record_arrival, record_request},
};
use crate::{
    auction::{Auction, Refusal},
    consensus::WallClock,
    events::AnswerMeter,
    serve::error_message,
};

/// Most characters kept of the message of a refusal.
const MAX_MESSAGE: usize = 200;

/// What a path asks for. Labels come from here and never from the path: they must come from a bounded set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// A route of the Builder API, which consensus clients ask.
    Client(&'static str),
    /// Anything else.
    Other(&'static str),
}

impl Asked {
    fn of(path: &str) -> Self {
        match path {
            "/" => Self::Other("root"),
            "/eth/v1/builder/bundles" => Self::Other("bundles"),
            "/eth/v1/builder/status" => Self::Client("status"),
            "/eth/v1/builder/validators" => Self::Client("register_validators"),
            "/eth/v1/builder/blinded_blocks" => Self::Client("submit_blinded_block_v1"),
            "/eth/v2/builder/blinded_blocks" => Self::Client("submit_blinded_block_v2"),
            path if path.starts_with("/eth/v1/builder/header/") => Self::Client("get_header"),
            _ => Self::Other("unknown"),
        }
    }

    fn label(self) -> &'static str {
        match self {
            Self::Client(label) | Self::Other(label) => label,
        }
    }
}

/// Who is told, and when it is.
#[derive(Clone, Debug)]
pub(super) struct Counting {
    pub(super) auction: Arc<Auction>,
    pub(super) clock: WallClock,
    pub(super) answers: AnswerMeter,
}

/// Notes requests of the client as they come: an answer may take seconds, and whoever hangs up before it has asked all the same.
pub(super) fn note_arrivals(router: Router, counting: Counting) -> Router {
    router.layer(middleware::from_fn_with_state(counting, note_arrival))
}

async fn note_arrival(
    State(Counting { auction, clock, .. }): State<Counting>,
    request: Request,
    next: Next,
) -> Response {
    if let Asked::Client(endpoint) = Asked::of(request.uri().path()) {
        let now = clock.now();
        auction.client_activity().note(now);
        record_arrival(endpoint, now);
    }
    next.run(request).await
}

/// Counts answers by endpoint and status, and notes what was refused to a client and why.
pub(super) fn count_answers(router: Router, counting: Counting) -> Router {
    router.layer(middleware::from_fn_with_state(counting, count_answer))
}

async fn count_answer(
    State(Counting { auction, clock, answers }): State<Counting>,
    request: Request,
    next: Next,
) -> Response {
    let asked = Asked::of(request.uri().path());
    let waiting = match asked {
        Asked::Client(endpoint) => Some(Waiting::new(endpoint, Arc::clone(&auction), answers)),
        Asked::Other(_) => None,
    };
    let response = next.run(request).await;
    let status = response.status();
    if let Some(waiting) = waiting {
        waiting.answered(status);
    }
    record_request(asked.label(), status.as_u16());
    if let Asked::Client(endpoint) = asked
        && status.is_client_error()
    {
        let message = error_message(&response).unwrap_or_default().chars().take(MAX_MESSAGE).collect();
        let refusal = Refusal { at: clock.now(), endpoint, status: status.as_u16(), message };
        auction.client_activity().note_refusal(refusal);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_clients_ask_is_a_clients() {
        for (path, want) in [
            ("/eth/v1/builder/status", Asked::Client("status")),
            ("/eth/v1/builder/header/1/2/3", Asked::Client("get_header")),
            ("/eth/v1/builder/header", Asked::Other("unknown")),
            ("/eth/v2/builder/blinded_blocks", Asked::Client("submit_blinded_block_v2")),
            ("/eth/v1/builder/bundles", Asked::Other("bundles")),
            ("/", Asked::Other("root")),
            ("/metrics", Asked::Other("unknown")),
        ] {
            assert_eq!(Asked::of(path), want, "{path}");
        }
    }
}
