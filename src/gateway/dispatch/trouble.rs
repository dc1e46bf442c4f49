//! What went wrong with a call so far, and what its client is told when nothing goes right.

use tokio::time::Instant;

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
    /// When it may answer, where that is known.
    passes_at: Option<Instant>,
}

impl Troubles {
    pub(super) fn note(
        &mut self,
        place: usize,
        reason: Reason,
        sent: bool,
        answer: Option<RpcAnswer>,
        passes_at: Option<Instant>,
    ) {
        // The last round counts.
        self.0.retain(|trouble| trouble.place != place);
        self.0.push(Trouble { place, reason, sent, answer, passes_at });
    }

    /// Why an upstream did not answer.
    pub(super) fn of(&self, place: usize) -> Option<Reason> {
        self.0.iter().find(|trouble| trouble.place == place).map(|trouble| trouble.reason)
    }

    /// From when on trying again may help, `soon` at the earliest but for those who said when: nobody was reached, or who was asks us to come later.
    /// `None`: it does not help.
    pub(super) fn passes_at(&self, now: Instant, soon: Instant) -> Option<Instant> {
        let each = self.0.iter().map(|trouble| {
            let was_not_reached =
                matches!(trouble.reason, Reason::Unreachable | Reason::Broken | Reason::TimedOut)
                    && trouble.answer.is_none();
            match trouble.passes_at {
                Some(at) if at > now => Some(at),
                Some(_) => Some(soon),
                None => was_not_reached.then_some(soon),
            }
        });
        each.collect::<Option<Vec<_>>>().map(|times| times.into_iter().min().unwrap_or(soon))
    }

    /// Whether an upstream asked us to come later than now.
    pub(super) fn rests(&self, place: usize, now: Instant) -> bool {
        self.0
            .iter()
            .any(|trouble| trouble.place == place && trouble.passes_at.is_some_and(|until| until > now))
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
                    Reason::RateLimited
                        | Reason::Unauthorized
                        | Reason::Internal
                        | Reason::Syncing
                        | Reason::Loop
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
