//! What it says of an upstream that it gave no answer.

use tokio::time::Instant;

use crate::gateway::{
    CallError, Feedback, TransportFailure,
    lanes::Lanes,
    metrics,
    verdict::{self, Reason},
};

/// Remembers it, of a call or of a batch that was asked at `started`: whoever judges upstreams is told, and one that asks for rest gets it.
pub(in crate::gateway) fn note_failure(
    lanes: &Lanes,
    place: usize,
    started: Instant,
    error: &CallError,
) -> Reason {
    let reason = verdict::of_failure(error);
    let Some(lane) = lanes.at(place) else { return reason };
    metrics::attempted(&lane.id, reason.label());
    let observed = |feedback| lanes.board().observed(place, feedback);
    match error {
        CallError::Transport(TransportFailure::Connect(words)) => observed(Feedback::Refused(words.clone())),
        CallError::Transport(TransportFailure::Status { status: 429, retry_after }) => {
            lane.rest(*retry_after, Instant::now());
        }
        CallError::Transport(TransportFailure::TimedOut) if lane.answered_since(started) => {}
        // None of these says anything of the upstream: a client that sends nonsense must not take it from all others.
        CallError::Transport(TransportFailure::OverBudget | TransportFailure::TooLarge { .. }) => {}
        CallError::Transport(TransportFailure::Status { status: 400 | 404..=499, .. }) => {}
        CallError::Transport(
            TransportFailure::TimedOut | TransportFailure::Broken(_) | TransportFailure::Status { .. },
        )
        | CallError::Bad(_) => observed(Feedback::Failed(error.to_string())),
    }
    reason
}

/// When an upstream that gave no answer may give one, where it says so or we know: our budget of a second comes again all the time.
pub(super) fn passes_at(error: &CallError, now: Instant) -> Option<Instant> {
    match error {
        CallError::Transport(TransportFailure::OverBudget) => Some(now),
        CallError::Transport(TransportFailure::Status { status: 429, retry_after: Some(after) }) => {
            now.checked_add(*after)
        }
        CallError::Transport(_) | CallError::Bad(_) => None,
    }
}
