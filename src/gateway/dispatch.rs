//! Runs one call: upstream after upstream until one of them answers, all within one deadline.
//!
//! An upstream that does not answer in the time that it may take is not given up: the next one is asked beside it, and the first good answer wins. What
//! may not be asked twice is asked once, and goes on to another upstream only where the first cannot have got it. When nobody can be reached, or
//! all ask us to come later, everybody is tried again a moment later, as long as the client waits: two nodes that start again at the same time are no reason to fail.

mod failure;
mod incomplete;
mod patience;
mod race;
mod trouble;

use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use self::{race::Won, trouble::Troubles};
use super::{
    Method, RpcAnswer, RpcCall, Served, Session,
    lanes::Lanes,
    methods::{Repeat, Shows},
    metrics, own_answer,
    select::Candidate,
};

pub(super) use self::{
    failure::note_failure,
    patience::{Usual, patience},
    race::{Heard, Race},
};

/// First pause before everybody is tried again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How long a call waits for anybody to come up while nobody serves, or to get the end of the logs that are asked for. An arbitrary number.
const PATIENCE: Duration = Duration::from_secs(1);

impl Lanes {
    /// Asks until somebody answers.
    pub(super) async fn run(
        &self,
        call: &RpcCall,
        method: Method,
        session: &Session,
        deadline: Instant,
    ) -> Served {
        self.run_after(call, method, session, deadline, None).await
    }

    /// The same; the upstream at `last` is asked after the others, as it has just failed.
    pub(super) async fn run_after(
        &self,
        call: &RpcCall,
        method: Method,
        session: &Session,
        deadline: Instant,
        last: Option<usize>,
    ) -> Served {
        let started = Instant::now();
        self.retries().note_call(started);
        let (mut troubles, mut first, mut pause) = (Troubles::default(), None, FIRST_PAUSE);
        let mut was_asked_anew = false;
        let mut changes = self.board().changes();
        loop {
            let mut candidates = self.candidates(call, session);
            candidates.sort_by_key(|candidate| Some(candidate.place) == last);
            first = first.or(candidates.first().map(|candidate| candidate.place));
            let race = Race::new(self, call, method, session, deadline);
            let now = Instant::now();
            let rested: Vec<Candidate> = candidates
                .iter()
                .filter(|candidate| !troubles.rests(candidate.place, now))
                .copied()
                .collect();
            if let Some(won) = race.run(&rested, &mut troubles).await {
                let Some(end) = race.lacks(&won) else {
                    return self.served(won, first, &troubles, method, session, started);
                };
                let has_it = !was_asked_anew && self.shows(won.place, end, deadline).await;
                was_asked_anew |= has_it;
                let is_over = started.elapsed() >= PATIENCE || Instant::now() + pause >= deadline;
                if !has_it && is_over {
                    return if race.names_its_end() {
                        self.incomplete(won.place, end)
                    } else {
                        self.served(won, first, &troubles, method, session, started)
                    };
                }
                if !has_it {
                    tokio::select! {
                        () = sleep(pause) => {}
                        _ = changes.changed() => {}
                    }
                    pause = pause.saturating_mul(2);
                }
                continue;
            }
            let now = Instant::now();
            let passes_at = troubles.passes_at(now, now + pause);
            let again = if candidates.is_empty() {
                // Nobody serves, and somebody may at once; or nobody may be asked, and waiting changes nothing.
                self.board().snapshot().order.is_empty() && started.elapsed() < PATIENCE
            } else {
                passes_at.is_some() && (method.repeat == Repeat::Freely || troubles.nothing_was_sent())
            };
            let wake = passes_at.unwrap_or(now + pause);
            if !again || wake >= deadline {
                return troubles.into_served(self.all(), &call.method);
            }
            tokio::select! {
                () = sleep_until(wake) => {}
                _ = changes.changed() => {}
            }
            pause = pause.saturating_mul(2);
        }
    }

    fn served(
        &self,
        won: Won,
        first: Option<usize>,
        troubles: &Troubles,
        method: Method,
        session: &Session,
        started: Instant,
    ) -> Served {
        let Some(lane) = self.at(won.place) else { return Served::own(won.answer) };
        if let Some(from) = first.filter(|first| *first != won.place)
            && let Some(reason) = troubles.of(from)
            && let Some(from) = self.at(from)
        {
            self.failovers().note(&from.id, &lane.id, reason, started.elapsed(), self.time_of_day());
            metrics::failed_over(&from.id, reason);
        }
        Served::upstream(lane.id.clone(), never_lower(won.answer, method, self.told(session).0))
    }
}

/// `eth_blockNumber` is never lower than what the client was told and can be: the block that it heard of exists.
pub(super) fn never_lower(answer: RpcAnswer, method: Method, told: u64) -> RpcAnswer {
    if method.shows != Shows::Number {
        return answer;
    }
    let RpcAnswer::Result(result) = &answer else { return answer };
    let number = result.read::<&str>().ok().and_then(own_answer::read_quantity);
    match number {
        Some(number) if number < told => own_answer::quantity(told),
        Some(_) | None => answer,
    }
}

#[cfg(test)]
mod tests;
