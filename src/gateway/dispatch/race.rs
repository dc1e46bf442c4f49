//! One round of a call: candidates are asked one after another, and beside each other where one is slow.

use std::{collections::VecDeque, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};

use super::{
    failure::{note_failure, passes_at},
    trouble::Troubles,
};
use crate::gateway::{
    BlockNeed, Bound, CallError, Feedback, Method, MethodClass, RawJson, RpcAnswer, RpcCall, Session,
    Standing, Tier, TransportFailure, block_need, hedge,
    lane::Lane,
    lanes::Lanes,
    methods::Repeat,
    metrics,
    select::Candidate,
    shown::{self, Shown},
    verdict::{self, Reason, Verdict},
};

/// An answer that counts.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Won {
    pub(in crate::gateway) place: usize,
    pub(in crate::gateway) answer: RpcAnswer,
}

/// What came of one attempt.
#[derive(Clone, Debug)]
pub(in crate::gateway) enum Heard {
    /// The answer.
    Good(RpcAnswer),
    /// An answer that counts unless somebody else has a better one.
    Doubtful(RpcAnswer, Reason),
    /// None.
    Bad { reason: Reason, sent: bool, answer: Option<RpcAnswer>, passes_at: Option<Instant> },
}

struct Ended {
    candidate: Candidate,
    started: Instant,
    result: Result<RpcAnswer, CallError>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Wake {
    /// It is slower than it usually is.
    Hedge,
    /// It takes longer than one upstream may.
    Slow,
}

/// One round.
pub(in crate::gateway) struct Race<'a> {
    lanes: &'a Lanes,
    call: &'a RpcCall,
    method: Method,
    block: BlockNeed,
    session: &'a Session,
    /// What the client was told when it asked. What it is told meanwhile is no measure of this answer.
    told: (u64, u64),
    /// The block without which an upstream's answer would lack something and not say so.
    needed: Option<u64>,
    deadline: Instant,
}

impl<'a> Race<'a> {
    pub(in crate::gateway) fn new(
        lanes: &'a Lanes,
        call: &'a RpcCall,
        method: Method,
        session: &'a Session,
        deadline: Instant,
    ) -> Self {
        let block = block_need::of(&call.method, &call.params);
        let told = lanes.told(session);
        let needed = needed(method, block, told.0).filter(|number| *number <= lanes.known(told.0));
        Self { lanes, call, method, block, session, told, needed, deadline }
    }

    /// Asks until an answer counts; `None` when nobody had one.
    pub(super) async fn run(&self, candidates: &[Candidate], troubles: &mut Troubles) -> Option<Won> {
        let mut waiting: VecDeque<Candidate> = candidates.iter().copied().collect();
        let mut running = FuturesUnordered::new();
        let (mut kept, mut hedged, mut wake, mut newest): (Option<Won>, Option<usize>, _, _) =
            (None, None, None, None::<(Candidate, Instant)>);
        let mut doubted: Option<(Candidate, Reason)> = None;
        let mut under_way: Vec<Candidate> = Vec::new();
        loop {
            if running.is_empty() {
                if kept.is_some() {
                    return kept;
                }
                let candidate = waiting.pop_front()?;
                newest = Some((candidate, Instant::now()));
                wake = self.wake(candidate, waiting.front(), hedged.is_some());
                under_way.push(candidate);
                running.push(self.attempt(candidate)?);
            }
            let wake_at = wake.map_or(self.deadline, |(at, _)| at);
            tokio::select! {
                biased;
                Some(ended) = running.next() => {
                    let Ended { candidate, .. } = ended;
                    under_way.retain(|asked| asked.place != candidate.place);
                    match self.heard(ended) {
                        Heard::Good(answer) => {
                            if let Some(second) = hedged {
                                metrics::hedged(second == candidate.place);
                            }
                            return Some(Won { place: candidate.place, answer });
                        }
                        Heard::Doubtful(answer, reason) => {
                            let better = self.better(candidate, reason, &waiting);
                            let first = kept.is_none();
                            doubted = Some((candidate, reason));
                            kept = self.best(kept, Won { place: candidate.place, answer }, reason);
                            // One second opinion on what is absent; as many as can do better on an old head.
                            let may_go_on = first || reason != Reason::Absent;
                            match better.filter(|_| may_go_on).and_then(|at| waiting.remove(at)) {
                                Some(next) => {
                                    newest = Some((next, Instant::now()));
                                    under_way.push(next);
                                    running.push(self.attempt(next)?);
                                }
                                // Somebody who is slow may still do better.
                                None if may_go_on
                                    && under_way.iter().any(|asked| self.is_better(candidate, reason, asked)) => {}
                                None => return kept,
                            }
                            // There is an answer: nobody is waited for until the deadline.
                            wake = Some((Instant::now() + self.lanes.attempt(), Wake::Slow));
                        }
                        Heard::Bad { reason, sent, answer, passes_at } => {
                            troubles.note(candidate.place, reason, sent, answer, passes_at);
                            if sent && self.method.repeat == Repeat::Never {
                                return None;
                            }
                            // Beside a doubtful answer, only who may have a better one.
                            if let Some(next) = self.next(doubted, &mut waiting) {
                                newest = Some((next, Instant::now()));
                                wake = match doubted {
                                    Some(_) => Some((Instant::now() + self.lanes.attempt(), Wake::Slow)),
                                    None => self.wake(next, waiting.front(), hedged.is_some()),
                                };
                                under_way.push(next);
                                running.push(self.attempt(next)?);
                            }
                        }
                    }
                }
                () = sleep_until(wake_at), if wake.is_some() => {
                    let is_hedge = matches!(wake, Some((_, Wake::Hedge)));
                    if !is_hedge
                        && let Some((slow, since)) = newest
                        && under_way.iter().any(|asked| asked.place == slow.place)
                    {
                        self.is_slow(slow.place, since);
                        troubles.note(slow.place, Reason::TimedOut, true, None, None);
                    }
                    let next = self.next(doubted, &mut waiting);
                    if kept.is_some() && next.is_none() {
                        return kept;
                    }
                    wake = None;
                    if let Some(next) = next {
                        if is_hedge {
                            hedged = Some(next.place);
                        }
                        newest = Some((next, Instant::now()));
                        wake = match doubted {
                            Some(_) => Some((Instant::now() + self.lanes.attempt(), Wake::Slow)),
                            None => self.wake(next, waiting.front(), true),
                        };
                        under_way.push(next);
                        running.push(self.attempt(next)?);
                    }
                }
                () = sleep_until(self.deadline) => {
                    if let Some((slow, since)) = newest
                        && under_way.iter().any(|asked| asked.place == slow.place)
                    {
                        self.is_slow(slow.place, since);
                        troubles.note(slow.place, Reason::TimedOut, true, None, None);
                    }
                    return kept;
                }
            }
        }
    }

    /// Whom to ask next: beside a doubtful answer, only who may have a better one.
    fn next(
        &self,
        doubted: Option<(Candidate, Reason)>,
        waiting: &mut VecDeque<Candidate>,
    ) -> Option<Candidate> {
        match doubted {
            None => waiting.pop_front(),
            Some((_, Reason::Absent)) => None,
            Some((from, reason)) => self.better(from, reason, waiting).and_then(|at| waiting.remove(at)),
        }
    }

    /// Asks one upstream.
    fn attempt(&self, candidate: Candidate) -> Option<impl Future<Output = Ended> + Send + use<'_, 'a>> {
        let lane = self.lanes.at(candidate.place)?;
        lane.note_asked(1);
        let (call, deadline) = (self.call, self.deadline);
        Some(async move {
            let started = Instant::now();
            let result = lane.ask.call(call, deadline).await;
            Ended { candidate, started, result }
        })
    }

    /// When to ask the next upstream beside this one, and why; never where the call may not be asked twice.
    fn wake(&self, asked: Candidate, next: Option<&Candidate>, hedged: bool) -> Option<(Instant, Wake)> {
        let next = next.filter(|_| self.method.repeat == Repeat::Freely)?;
        let (now, attempt) = (Instant::now(), self.lanes.attempt());
        let may_hedge = self.lanes.hedges()
            && !hedged
            && self.method.class == MethodClass::Read
            && next.tier != Tier::Backup;
        let usual = self.lanes.at(asked.place).filter(|_| may_hedge);
        match usual.and_then(|lane| hedge::delay(lane.quantiles(self.method.class))) {
            Some(delay) if delay < attempt => Some((now + delay, Wake::Hedge)),
            Some(_) | None => Some((now + attempt, Wake::Slow)),
        }
    }

    /// It takes longer than it may. Whether that says something of the upstream, or of this call alone, what else it answered tells.
    fn is_slow(&self, place: usize, since: Instant) {
        let Some(lane) = self.lanes.at(place) else { return };
        metrics::attempted(&lane.id, Reason::TimedOut.label());
        if !lane.answered_since(since) {
            let words = format!("no answer within {} ms", since.elapsed().as_millis());
            self.lanes.board().observed(place, Feedback::Failed(words));
        }
    }

    fn heard(&self, ended: Ended) -> Heard {
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
        let passes_at = passes_at(error, Instant::now());
        Heard::Bad { reason, sent: !shut_out && !error.nothing_was_sent(), answer: None, passes_at }
    }

    /// What an answer of an upstream's comes to.
    pub(in crate::gateway) fn judge(&self, from: Candidate, answer: RpcAnswer, elapsed: Duration) -> Heard {
        let Some(lane) = self.lanes.at(from.place) else { return Heard::Good(answer) };
        self.lanes.board().observed(from.place, Feedback::Answered { elapsed });
        let result = match (verdict::of_answer(&answer), &answer) {
            (Verdict::NextUpstream(reason), _) => {
                metrics::attempted(&lane.id, reason.label());
                if reason == Reason::RateLimited {
                    lane.rest(None, Instant::now());
                }
                // Whoever does not serve it, or does not let us in, has done nothing. Words prove nothing: a node may have done it and complain of
                // what came after.
                let undone =
                    matches!(&answer, RpcAnswer::Error(error) if matches!(error.code, -32601 | 401 | 403));
                return Heard::Bad { reason, sent: !undone, answer: Some(answer), passes_at: None };
            }
            (Verdict::Answer, RpcAnswer::Result(result)) => result,
            (Verdict::Answer | Verdict::Final, _) => {
                metrics::attempted(&lane.id, "answered");
                return Heard::Good(answer);
            }
        };
        let doubt = self.doubt(from, lane, result);
        metrics::attempted(&lane.id, doubt.map_or("answered", Reason::label));
        match doubt {
            None => Heard::Good(answer),
            Some(reason) => Heard::Doubtful(answer, reason),
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
    fn is_better(&self, from: Candidate, reason: Reason, other: &Candidate) -> bool {
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
    fn best(&self, kept: Option<Won>, new: Won, reason: Reason) -> Option<Won> {
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

/// The block that an upstream must have for an answer that lacks nothing: a node gives what it has of a range, and does not say what it lacks.
fn needed(method: Method, block: BlockNeed, told_latest: u64) -> Option<u64> {
    // What is found by its block shows by itself that the block is there.
    if method.repeat == Repeat::Never || method.may_be_absent {
        return None;
    }
    match block {
        BlockNeed::Number(number) | BlockNeed::Range { to: Bound::Number(number), .. } => Some(number),
        BlockNeed::Range { from, to: Bound::Latest | Bound::Pending } => match from {
            Bound::Number(from) => Some(from.max(told_latest)),
            _ => Some(told_latest),
        },
        _ => None,
    }
}
