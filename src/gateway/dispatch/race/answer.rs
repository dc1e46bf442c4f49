//! What an upstream's answer comes to for one call: whether it counts, whether somebody else may have a better one, and what is remembered of it.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::{Ended, Heard, Race, Won};
use crate::gateway::{
    BlockNeed, Bound, CallError, Feedback, RawJson, RpcAnswer, Standing, Tier, TransportFailure,
    dispatch::failure::{note_failure, passes_at},
    lane::Lane,
    methods::Repeat,
    metrics,
    pruned::Past,
    select::Candidate,
    shown::{self, Shown},
    verdict::{self, Reason, Verdict},
};

/// Longest rest without a word for how long that a call waits for. An arbitrary number.
const SHORT_REST: Duration = Duration::from_secs(1);

fn is_short(rests_until: Instant, now: Instant) -> bool {
    rests_until.saturating_duration_since(now) <= SHORT_REST
}

impl Race<'_> {
    pub(super) fn heard(&self, ended: Ended) -> Heard {
        let Ended { candidate, started, result } = ended;
        let Some(lane) = self.lanes.at(candidate.place) else {
            return Heard::Bad { reason: Reason::Internal, sent: true, answer: None, passes_at: None };
        };
        match result {
            Ok(answer) => {
                lane.note_answer(self.method.class, started.elapsed(), Instant::now());
                self.judge(candidate, answer, started.elapsed())
            }
            Err(error) => self.failed(candidate.place, started, &error),
        }
    }

    fn failed(&self, place: usize, started: Instant, error: &CallError) -> Heard {
        let reason = note_failure(self.lanes, place, started, error);
        let shut_out =
            matches!(error, CallError::Transport(TransportFailure::Status { status: 401 | 403, .. }));
        let now = Instant::now();
        let rests_until = match error {
            // It was told already; this is when it ends.
            CallError::Transport(TransportFailure::Status { status: 429, retry_after: None }) => {
                self.lanes.at(place).map(|lane| lane.rest(None, now)).filter(|until| is_short(*until, now))
            }
            CallError::Transport(_) | CallError::Bad(_) => None,
        };
        let passes_at = rests_until.or_else(|| passes_at(error, now));
        Heard::Bad { reason, sent: !shut_out && !error.nothing_was_sent(), answer: None, passes_at }
    }

    /// What an answer of an upstream's comes to.
    pub(in crate::gateway) fn judge(&self, from: Candidate, answer: RpcAnswer, elapsed: Duration) -> Heard {
        let Some(lane) = self.lanes.at(from.place) else { return Heard::Good(answer) };
        self.lanes.board().observed(from.place, Feedback::Answered { elapsed });
        let result = match (verdict::of_answer(&answer), &answer) {
            (Verdict::NextUpstream(reason), _) => {
                metrics::attempted(&lane.id, reason.label());
                let now = Instant::now();
                let rests_until = (reason == Reason::RateLimited).then(|| lane.rest(None, now));
                // A short rest is waited for when nobody else is left.
                let passes_at = rests_until.filter(|until| is_short(*until, now));
                if let (Reason::MissingState, Some(number)) = (reason, self.past_block()) {
                    let latest = from.latest.max(self.lanes.latest(from.place));
                    lane.note_pruned(Past::of(&self.call.method), number, latest, now);
                }
                // Whoever does not serve it, or does not let us in, has done nothing. Words prove nothing: a node may have done it and complain of
                // what came after.
                let undone =
                    matches!(&answer, RpcAnswer::Error(error) if matches!(error.code, -32601 | 401 | 403));
                return Heard::Bad { reason, sent: !undone, answer: Some(answer), passes_at };
            }
            (Verdict::Answer, RpcAnswer::Result(result)) => result,
            (Verdict::Answer | Verdict::Final, _) => {
                metrics::attempted(&lane.id, "answered");
                return Heard::Good(answer);
            }
        };
        lane.note_rested(Instant::now());
        if let Some(number) = self.past_block()
            && result.as_bytes() != "null"
        {
            lane.note_not_pruned(Past::of(&self.call.method), number);
        }
        let doubt = self.doubt(from, lane, result);
        metrics::attempted(&lane.id, doubt.map_or("answered", Reason::label));
        match doubt {
            None => Heard::Good(answer),
            Some(reason) => Heard::Doubtful(answer, reason),
        }
    }

    /// The oldest block that this call is about.
    const fn past_block(&self) -> Option<u64> {
        match self.block {
            BlockNeed::Number(number) | BlockNeed::Range { from: Bound::Number(number), .. } => Some(number),
            BlockNeed::Earliest | BlockNeed::Range { from: Bound::Earliest, .. } => Some(0),
            _ => None,
        }
    }

    /// Why a result should not be believed yet. One that is believed is remembered: of the upstream, and of what the client was told.
    fn doubt(&self, from: Candidate, lane: &Lane, result: &RawJson) -> Option<Reason> {
        let place = from.place;
        let ceiling = self.lanes.ceiling();
        let absurd = |number: u64| number > ceiling;
        let snapshot = self.lanes.board().snapshot();
        let standing = snapshot.upstreams.get(place);
        match shown::of(self.method, self.block, result) {
            Shown::Nothing if self.method.may_be_absent && result.as_bytes() == "null" => {
                Some(Reason::Absent)
            }
            Shown::Nothing => {
                // It may have got the block since it was asked.
                let lacks = |number: u64| from.latest.max(self.lanes.latest(place)) < number;
                self.needed.filter(|number| lacks(*number)).map(|_| Reason::MissingBlock)
            }
            Shown::Number(number) if absurd(number) => Some(Reason::AbsurdHead),
            Shown::Latest(head) if absurd(head.number) => Some(Reason::AbsurdHead),
            Shown::Finalized(number) if absurd(number) => Some(Reason::AbsurdHead),
            Shown::Number(number) => self.showed_latest(lane, standing, number),
            Shown::Latest(head) => {
                self.lanes.board().observed(place, Feedback::Head(head));
                self.showed_latest(lane, standing, head.number)
            }
            Shown::Finalized(number) => {
                lane.note_finalized(number, standing);
                if number < self.told.1 {
                    return Some(Reason::OlderHead);
                }
                self.session.note_finalized(number);
                None
            }
        }
    }

    fn showed_latest(&self, lane: &Lane, standing: Option<&Standing>, number: u64) -> Option<Reason> {
        lane.note_latest(number, standing);
        if number < self.told.0 {
            return Some(Reason::OlderHead);
        }
        self.session.note_latest(number);
        None
    }

    /// The place in the queue of somebody who may have a better answer than a doubtful one.
    pub(in crate::gateway) fn better(
        &self,
        from: Candidate,
        reason: Reason,
        waiting: &VecDeque<Candidate>,
    ) -> Option<usize> {
        if self.method.repeat == Repeat::Never {
            return None;
        }
        waiting.iter().position(|other| self.is_better(from, reason, other))
    }

    /// Whether somebody may have a better answer than a doubtful one.
    pub(super) fn is_better(&self, from: Candidate, reason: Reason, other: &Candidate) -> bool {
        match (reason, self.block) {
            (Reason::AbsurdHead, _) => true,
            (Reason::OlderHead, BlockNeed::Finalized) => other.finalized >= self.told.1,
            (Reason::OlderHead, _) => other.latest >= self.told.0,
            (Reason::MissingBlock, _) => self.needed.is_some_and(|number| other.latest >= number),
            // A block that nobody has yet is absent everywhere.
            (_, BlockNeed::Number(number)) if other.latest < number => false,
            // A wallet asks for its receipt each second: a paid upstream is asked only where the other is truly behind, not between two probes.
            _ if other.tier == Tier::Backup => other.latest > from.latest.saturating_add(1),
            _ => other.latest > from.latest,
        }
    }

    /// The better of two doubtful answers: the higher head; of absent ones the first.
    pub(super) fn best(&self, kept: Option<Won>, new: Won, reason: Reason) -> Option<Won> {
        let Some(kept) = kept else { return Some(new) };
        let height = |won: &Won| match &won.answer {
            RpcAnswer::Result(result) => match shown::of(self.method, self.block, result) {
                Shown::Nothing => 0,
                Shown::Number(number) | Shown::Finalized(number) => number,
                Shown::Latest(head) => head.number,
            },
            RpcAnswer::Error(_) => 0,
        };
        // The first absurd head is no better than the second.
        let higher = reason == Reason::OlderHead && height(&new) > height(&kept);
        Some(if higher { new } else { kept })
    }
}
