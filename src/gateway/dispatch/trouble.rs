//! What went wrong with a call so far, and what its client is told when nothing goes right.

use crate::{
    gateway::{RpcAnswer, Served, lane::Lane, verdict::Reason},
    jsonrpc::ErrorCode,
};

/// Why upstreams did not answer a call, in the order in which they did not.
#[derive(Debug, Default)]
pub(super) struct Troubles(Vec<Trouble>);

#[derive(Debug)]
struct Trouble {
    place: usize,
    reason: Reason,
    /// Whether the upstream may have got the call.
    sent: bool,
    /// What it said, where it said something.
    answer: Option<RpcAnswer>,
}

impl Troubles {
    pub(super) fn note(&mut self, place: usize, reason: Reason, sent: bool, answer: Option<RpcAnswer>) {
        // The last round counts.
        self.0.retain(|trouble| trouble.place != place);
        self.0.push(Trouble { place, reason, sent, answer });
    }

    /// Why an upstream did not answer.
    pub(super) fn of(&self, place: usize) -> Option<Reason> {
        self.0.iter().find(|trouble| trouble.place == place).map(|trouble| trouble.reason)
    }

    /// Whether trying everybody again a moment later may help: nobody was reached.
    pub(super) fn may_pass(&self) -> bool {
        self.0.iter().all(|trouble| {
            matches!(trouble.reason, Reason::Unreachable | Reason::Broken | Reason::TimedOut)
                && trouble.answer.is_none()
        })
    }

    /// Whether no upstream can have got the call.
    pub(super) fn nothing_was_sent(&self) -> bool {
        self.0.iter().all(|trouble| !trouble.sent)
    }

    /// What the client is told: what the first upstream said that speaks of the call; else of itself; else that nobody answered, and why.
    pub(super) fn into_served(self, lanes: &[Lane], method: &str) -> Served {
        let said = |of_call: bool| {
            self.0.iter().find_map(|trouble| {
                let speaks_of_itself = matches!(
                    trouble.reason,
                    Reason::RateLimited | Reason::Unauthorized | Reason::Internal | Reason::Syncing
                );
                let answer = trouble.answer.clone().filter(|_| speaks_of_itself != of_call)?;
                Some(Served::upstream(lanes.get(trouble.place)?.id.clone(), answer))
            })
        };
        if let Some(served) = said(true).or_else(|| said(false)) {
            return served;
        }
        let method: String = method.chars().take(64).collect();
        if self.0.is_empty() {
            let message = format!("no upstream that is up may be asked for {method}: see /api/v1/rpc");
            return Served::error(ErrorCode::Internal, message);
        }
        let each: Vec<String> = self
            .0
            .iter()
            .filter_map(|trouble| {
                Some(format!("{}: {}", lanes.get(trouble.place)?.id, trouble.reason.label()))
            })
            .collect();
        Served::error(
            ErrorCode::Internal,
            format!("no upstream answered {method} in time: {}", each.join(", ")),
        )
    }
}
