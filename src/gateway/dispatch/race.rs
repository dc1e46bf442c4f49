//! One round of a call: candidates are asked one after another, and beside each other where one is slow.
//!
//! A slow one is never given up: the next one is asked beside it, and the first good answer wins. One of the operator's nodes is waited for as long as
//! its calls may take (`patience`) until another of them is asked, within the budget of such questions; whoever comes after that, paid upstreams
//! included, is asked when one upstream may take no longer (`rpc.attempt`).

mod answer;
mod needed;

use std::collections::VecDeque;

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use tokio::time::{Instant, sleep_until};

use self::needed::needed;
use super::{
    patience::{SHORTEST, Usual, patience},
    trouble::Troubles,
};
use crate::gateway::{
    BlockNeed, Bound, CallError, Feedback, Method, MethodClass, RpcAnswer, RpcCall, Session, Tier,
    block_need, hedge, lanes::Lanes, methods::Repeat, metrics, select::Candidate, verdict::Reason,
};

/// An answer that counts.
#[derive(Clone, Debug)]
pub(in crate::gateway) struct Won {
    pub(in crate::gateway) place: usize,
    pub(in crate::gateway) answer: RpcAnswer,
    /// Why it is the best there is, and no good one.
    pub(in crate::gateway) doubt: Option<Reason>,
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

/// An attempt that is over.
struct Ended {
    candidate: Candidate,
    started: Instant,
    result: Result<RpcAnswer, CallError>,
}

/// Why to look again before anybody has answered.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wake {
    /// It is slower than it usually is.
    Hedge,
    /// It may be frozen.
    Patience,
    /// It takes longer than one upstream may.
    Slow,
}

/// What to do next.
enum Step {
    Wait,
    Ask(Candidate),
    Over(Option<Won>),
}

/// How a round stands.
struct Round {
    /// Who can still be asked, the best first.
    waiting: VecDeque<Candidate>,
    under_way: Vec<Candidate>,
    /// Who was asked last, and when.
    newest: Option<(Candidate, Instant)>,
    wake: Option<(Instant, Wake)>,
    hedged: Option<usize>,
    /// The best of the doubtful answers, and of the last one whose it is and why.
    kept: Option<Won>,
    doubted: Option<(Candidate, Reason)>,
}

impl Round {
    /// Whoever was asked last, where it has not answered.
    fn slow(&self) -> Option<(Candidate, Instant)> {
        self.newest.filter(|(slow, _)| self.under_way.iter().any(|asked| asked.place == slow.place))
    }
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
        let mut round = Round {
            waiting: candidates.iter().copied().collect(),
            under_way: Vec::new(),
            newest: None,
            wake: None,
            hedged: None,
            kept: None,
            doubted: None,
        };
        let mut running = FuturesUnordered::new();
        loop {
            if running.is_empty() {
                if round.kept.is_some() {
                    return round.kept;
                }
                let first = round.waiting.pop_front()?;
                self.asks(&mut round, first);
                running.push(self.attempt(first)?);
            }
            let wake_at = round.wake.map_or(self.deadline, |(at, _)| at);
            let step = tokio::select! {
                biased;
                Some(ended) = running.next() => self.ended(&mut round, ended, troubles),
                () = sleep_until(wake_at), if round.wake.is_some() => self.woken(&mut round, troubles),
                () = sleep_until(self.deadline) => {
                    self.note_slow(&round, troubles);
                    Step::Over(round.kept.take())
                }
            };
            match step {
                Step::Wait => {}
                Step::Ask(next) => running.push(self.attempt(next)?),
                Step::Over(won) => return won,
            }
        }
    }

    /// The end of the range of logs that an answer may lack, as whoever gave it is not known to have that block.
    pub(super) fn lacks(&self, won: &Won) -> Option<u64> {
        let is_range = matches!(self.block, BlockNeed::Range { .. });
        self.needed.filter(|_| is_range && won.doubt == Some(Reason::MissingBlock))
    }

    /// Whether the range's end is a block that the client names.
    pub(super) const fn names_its_end(&self) -> bool {
        matches!(self.block, BlockNeed::Range { to: Bound::Number(_), .. })
    }

    /// One attempt is over.
    fn ended(&self, round: &mut Round, ended: Ended, troubles: &mut Troubles) -> Step {
        let candidate = ended.candidate;
        round.under_way.retain(|asked| asked.place != candidate.place);
        match self.heard(ended) {
            Heard::Good(answer) => {
                if let Some(second) = round.hedged {
                    metrics::hedged(second == candidate.place);
                }
                Step::Over(Some(Won { place: candidate.place, answer, doubt: None }))
            }
            Heard::Doubtful(answer, reason) => {
                let better = self.better(candidate, reason, &round.waiting);
                let first = round.kept.is_none();
                round.doubted = Some((candidate, reason));
                let won = Won { place: candidate.place, answer, doubt: Some(reason) };
                round.kept = self.best(round.kept.take(), won, reason);
                // One second opinion on what is absent; as many as can do better on an old head.
                let may_go_on = first || reason != Reason::Absent;
                let next = better.filter(|_| may_go_on).and_then(|at| round.waiting.remove(at));
                let may_do_better = |asked: &Candidate| self.is_better(candidate, reason, asked);
                match next {
                    Some(next) => self.asks(round, next),
                    // Somebody who is slow may still do better.
                    None if may_go_on && round.under_way.iter().any(may_do_better) => {
                        round.wake = Some((Instant::now() + self.lanes.attempt(), Wake::Slow));
                        Step::Wait
                    }
                    None => Step::Over(round.kept.take()),
                }
            }
            Heard::Bad { reason, sent, answer, passes_at } => {
                troubles.note(candidate.place, reason, sent, answer, passes_at);
                if sent && self.method.repeat == Repeat::Never {
                    return Step::Over(None);
                }
                self.next(round).map_or(Step::Wait, |next| self.asks(round, next))
            }
        }
    }

    /// Nobody has answered by the time that there was.
    fn woken(&self, round: &mut Round, troubles: &mut Troubles) -> Step {
        match round.wake.take().map(|(_, wake)| wake) {
            Some(Wake::Hedge) => match self.next(round) {
                Some(next) => {
                    round.hedged = Some(next.place);
                    self.asks(round, next)
                }
                None => Step::Wait,
            },
            Some(Wake::Patience) => self.impatient(round, troubles),
            Some(Wake::Slow) => {
                self.note_slow(round, troubles);
                match self.next(round) {
                    Some(next) => self.asks(round, next),
                    None if round.kept.is_some() => Step::Over(round.kept.take()),
                    None => Step::Wait,
                }
            }
            None => Step::Wait,
        }
    }

    /// A node of the operator's has been waited for as long as any is at least: another one is asked beside it, unless this one usually takes so long.
    fn impatient(&self, round: &mut Round, troubles: &mut Troubles) -> Step {
        let Some((slow, since)) = round.slow() else { return Step::Wait };
        let attempt = self.lanes.attempt();
        round.wake = Some((since + attempt, Wake::Slow));
        let of = |class| self.lanes.at(slow.place).and_then(|lane| lane.quantiles(class));
        let usual = Usual::of(self.method, of(MethodClass::Read));
        let patience = patience(of(self.method.class), usual, 1, attempt);
        if patience >= attempt {
            return Step::Wait;
        }
        let now = Instant::now();
        if since + patience > now {
            round.wake = Some((since + patience, Wake::Patience));
            return Step::Wait;
        }
        self.lanes.waited(slow.place, patience);
        let beside = self.own_beside(slow, &round.waiting).filter(|_| self.lanes.retries().try_take(1, now));
        let Some(next) = beside.and_then(|at| round.waiting.remove(at)) else { return Step::Wait };
        if let Some(lane) = self.lanes.at(slow.place) {
            metrics::attempted(&lane.id, Reason::TimedOut.label());
        }
        troubles.note(slow.place, Reason::TimedOut, true, None, None);
        self.asks(round, next)
    }

    /// The place in the queue of another node of the operator's that can be asked beside one of them.
    fn own_beside(&self, asked: Candidate, waiting: &VecDeque<Candidate>) -> Option<usize> {
        let is_own = |candidate: &Candidate| candidate.tier != Tier::Backup;
        let can_help = |other: &Candidate| is_own(other) && !self.lanes.is_silent(other.place);
        waiting.iter().position(can_help).filter(|_| is_own(&asked))
    }

    /// Whom to ask next: beside a doubtful answer, only who may have a better one.
    fn next(&self, round: &mut Round) -> Option<Candidate> {
        match round.doubted {
            None => round.waiting.pop_front(),
            Some((_, Reason::Absent)) => None,
            Some((from, reason)) => {
                self.better(from, reason, &round.waiting).and_then(|at| round.waiting.remove(at))
            }
        }
    }

    /// Somebody is asked: how long it is waited for.
    fn asks(&self, round: &mut Round, next: Candidate) -> Step {
        let now = Instant::now();
        round.wake = match round.doubted {
            // There is an answer: nobody is waited for until the deadline.
            Some(_) => Some((now + self.lanes.attempt(), Wake::Slow)),
            None => self.wake(next, round, now),
        };
        round.newest = Some((next, now));
        round.under_way.push(next);
        Step::Ask(next)
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
    fn wake(&self, asked: Candidate, round: &Round, now: Instant) -> Option<(Instant, Wake)> {
        let next = round.waiting.front().filter(|_| self.method.repeat == Repeat::Freely)?;
        let attempt = self.lanes.attempt();
        let may_hedge = self.lanes.hedges()
            && round.hedged.is_none()
            && round.under_way.is_empty()
            && self.method.class == MethodClass::Read
            && next.tier != Tier::Backup;
        let usual = self.lanes.at(asked.place).filter(|_| may_hedge);
        match usual.and_then(|lane| hedge::delay(lane.quantiles(self.method.class))) {
            Some(delay) if delay < attempt => Some((now + delay, Wake::Hedge)),
            Some(_) | None if SHORTEST < attempt && self.own_beside(asked, &round.waiting).is_some() => {
                Some((now + SHORTEST, Wake::Patience))
            }
            Some(_) | None => Some((now + attempt, Wake::Slow)),
        }
    }

    /// Whoever was asked last takes longer than it may. Whether that says something of the upstream, or of this call alone, what else it answered tells.
    fn note_slow(&self, round: &Round, troubles: &mut Troubles) {
        let Some((slow, since)) = round.slow() else { return };
        troubles.note(slow.place, Reason::TimedOut, true, None, None);
        let Some(lane) = self.lanes.at(slow.place) else { return };
        metrics::attempted(&lane.id, Reason::TimedOut.label());
        if !lane.answered_since(since) {
            let words = format!("no answer within {} ms", since.elapsed().as_millis());
            self.lanes.board().observed(slow.place, Feedback::Failed(words));
            self.lanes.waited(slow.place, since.elapsed());
        }
    }
}
