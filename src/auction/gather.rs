//! The course of a race: relays are asked, answers and checks come in, until all is said or time is up.
//!
//! All in one task, not one for each relay: every hop between tasks costs a wake-up, and what is done here per relay takes
//! microseconds. Signatures are checked on threads of their own. The time at which the best bid in hand is taken is looked at before
//! anything else, so that no flood of answers puts it off.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{StreamExt, future::pending, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep_until},
};

use super::{
    check::{BidFault, VerifiedBid},
    check_schedule::checks_at_once,
    deadline::{RaceTimes, Reserve},
    early::{SoftDeadline, may_answer_early},
    polls::{ARRIVALS, Arrival, Ask},
    race::{CheckResult, Race},
    shared::Running,
    state::Auction,
    verify::Pending,
};
use crate::{
    ethereum::NodeError,
    relay::{CallContext, HeaderCall, SharedRelays},
    types::Wei,
};

/// How often the question of an early answer is asked again. Arbitrary: well below any relay's latency.
const SOFT_STEP: Duration = Duration::from_millis(10);
/// Checks at once when all is said and the leader is another than the one that is being checked.
const AT_THE_END: usize = 2;

/// The local block's value, on its way, and what a bid must pay above it.
pub(super) type LocalValue = (JoinHandle<Result<Wei, NodeError>>, Wei);

/// A check under way, and the number of its bid.
struct BidCheck {
    number: usize,
    result: Pending<Result<VerifiedBid, BidFault>>,
}

impl Future for BidCheck {
    type Output = (usize, CheckResult);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let number = self.number;
        Pin::new(&mut self.result).poll(context).map(|result| (number, result))
    }
}

/// What happened next.
enum Step {
    Answered(Arrival),
    /// A relay has said all, and this is the last of it that was not told yet.
    Done(usize, Option<Arrival>),
    Checked(usize, CheckResult),
    /// The local block's value, `None` where the node does not say it, and what a bid must pay above it.
    Local(Option<Wei>, Wei),
    /// Some time has come, or somebody has less time.
    Look,
}

/// What follows for an auction from a client that has less time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hurry {
    /// Nothing: its time is not up yet, or is over.
    No,
    /// The leader is checked at once.
    Check,
    /// The auction ends with what is proven.
    End,
}

impl Hurry {
    fn of(hurried: RaceTimes, now: Instant, is_proven: bool) -> Self {
        match ((hurried.collect_by..hurried.decide_by).contains(&now), is_proven) {
            (false, _) => Self::No,
            (true, false) => Self::Check,
            (true, true) => Self::End,
        }
    }
}

/// What is waited for, and until when.
struct Waiting {
    times: RaceTimes,
    /// When it is looked at again how much of the time must be kept.
    reserve_at: Instant,
    /// Time that relays have from the beginning.
    budget: Duration,
    /// Until when relays have time on a machine that keeps up.
    full_collect_by: Instant,
    is_collecting: bool,
    /// Whether somebody's time is up who could have a bid if one were proven.
    is_urgent: bool,
    local: Option<LocalValue>,
    soft: Option<SoftDeadline>,
    soft_at: Option<Instant>,
}

impl Waiting {
    fn new(race: &Race<'_>, times: RaceTimes, local: Option<LocalValue>) -> Self {
        let soft = race.policy.settings.soft_deadline;
        Self {
            times,
            reserve_at: times.next_look(Instant::now()),
            budget: times.collect_by.saturating_duration_since(race.started),
            full_collect_by: times.full_collect_by(race.started, race.waited, race.policy.settings.reserve),
            is_collecting: true,
            is_urgent: false,
            local,
            soft,
            soft_at: soft.map(|soft| race.started + soft.after),
        }
    }

    /// Whether the time is over, as things are now; relays' time may be over before.
    fn is_over(&mut self, race: &mut Race<'_>, now: Instant, needed: impl FnOnce() -> Reserve) -> bool {
        if self.is_collecting && now >= self.reserve_at {
            self.times = self.times.with_reserve(needed(), now);
            self.reserve_at = self.times.next_look(now);
        }
        if now >= self.times.collect_by {
            // Relays that were cut off because this machine is slow have not been late.
            race.decided_early |= self.is_collecting && self.times.collect_by < self.full_collect_by;
            self.is_collecting = false;
            self.local = None;
        }
        now >= self.times.decide_by
    }

    /// Ends the collecting where whoever is missing is unlikely to win.
    fn end_early(&mut self, race: &mut Race<'_>, shared: &SharedRelays, now: Instant) {
        let (true, Some(soft), Some(at)) = (self.is_collecting, self.soft, self.soft_at) else { return };
        if now < at {
            return;
        }
        let missing = race.missing(shared, self.budget);
        let answered = race.relays.len() - missing.len();
        let has_bid = !race.candidates.is_empty();
        if !race.has_game_under_way(self.budget)
            && may_answer_early(&soft, race.started.elapsed(), answered, has_bid, &missing)
        {
            race.decided_early = !missing.is_empty();
            self.is_collecting = false;
        }
        self.soft_at = Some(now + SOFT_STEP);
    }

    /// Ends the collecting for somebody who has less time, once a bid is proven: without one nobody is helped by an early end, and a forger
    /// must not end everybody's auction with a bid that is not its own. Until then the leader is checked without delay.
    fn hurry(&mut self, race: &mut Race<'_>, hurried: Option<RaceTimes>, now: Instant) {
        let Some(hurried) = hurried.filter(|_| self.is_collecting) else { return };
        let hurry = Hurry::of(hurried, now, race.best().is_some());
        self.is_urgent = hurry == Hurry::Check;
        if hurry == Hurry::End {
            race.decided_early = true;
            self.is_collecting = false;
            self.times.decide_by = self.times.decide_by.min(hurried.decide_by);
            self.local = None;
        }
    }

    /// When to look again, whatever comes. A wish that found no bid is looked at with every arrival.
    fn next_look(&self, check_at: Option<Instant>, hurried: Option<RaceTimes>, now: Instant) -> Instant {
        let is_collecting = self.is_collecting;
        let hurry_at = hurried.map(|hurried| hurried.collect_by).filter(|at| is_collecting && *at > now);
        let soft_at = self.soft_at.filter(|_| is_collecting);
        let collect_by = (is_collecting || self.local.is_some()).then_some(self.times.collect_by);
        let reserve_at = is_collecting.then_some(self.reserve_at);
        [check_at, hurry_at, soft_at, collect_by, reserve_at]
            .into_iter()
            .flatten()
            .fold(self.times.decide_by, Instant::min)
    }
}

impl Auction {
    /// Asks everybody and gathers until all have answered and the leader holds, or time is up. Somebody who has less time may end it
    /// sooner, once there is a bid.
    pub(super) async fn gather(
        &self,
        race: &mut Race<'_>,
        call: HeaderCall,
        context: &CallContext,
        times: RaceTimes,
        local: Option<LocalValue>,
        running: &Running,
    ) {
        let (sink, mut arrivals) = mpsc::channel(ARRIVALS);
        let mut calls = ask_everybody(race, call, context, &sink);
        let mut waiting = Waiting::new(race, times, local);
        let mut checks = FuturesUnordered::new();
        let mut wishes = running.wishes();
        let mut shown = None;
        loop {
            while let Ok(arrival) = arrivals.try_recv() {
                race.on_arrival(&call, arrival, &self.bid_memory);
            }
            race.refresh_attributes();
            show_best(race, running, &mut shown);
            let now = Instant::now();
            let hurried = *wishes.borrow_and_update();
            let is_over = waiting.is_over(race, now, || self.load.load(&self.verify).reserve());
            if running.is_settled() {
                // Whoever was still awaited is not to blame for it.
                race.decided_early |= waiting.is_collecting;
                return;
            }
            if is_over {
                return;
            }
            waiting.end_early(race, &self.relays, now);
            waiting.hurry(race, hurried, now);
            if !waiting.is_collecting {
                calls.clear();
            }
            let has_all_said = calls.is_empty();
            let check_at = self.start_checks(race, &mut checks, &waiting, has_all_said, now);
            if has_all_said && waiting.local.is_none() && is_decided(race, checks.len()) {
                show_best(race, running, &mut shown);
                return;
            }
            let look_at = waiting.next_look(check_at, hurried, now);
            let step = tokio::select! {
                biased;
                Some(arrival) = arrivals.recv(), if waiting.is_collecting => Step::Answered(arrival),
                Some((index, last)) = calls.next(), if waiting.is_collecting => Step::Done(index, last),
                Some((number, result)) = checks.next() => Step::Checked(number, result),
                (value, min_profit) = value_of(&mut waiting.local) => Step::Local(value, min_profit),
                () = race.payloads.changed() => Step::Look,
                Ok(()) = wishes.changed() => Step::Look,
                () = sleep_until(look_at) => Step::Look,
            };
            self.apply(race, &call, &mut waiting, step);
        }
    }

    fn apply(&self, race: &mut Race<'_>, call: &HeaderCall, waiting: &mut Waiting, step: Step) {
        match step {
            Step::Answered(arrival) => race.on_arrival(call, arrival, &self.bid_memory),
            Step::Done(index, last) => {
                race.is_done(index);
                if let Some(arrival) = last {
                    race.on_arrival(call, arrival, &self.bid_memory);
                }
            }
            Step::Checked(number, result) => {
                if let Ok(Ok(bid)) = &result {
                    self.gas_limits.learn(bid.bid().facts());
                }
                if let Some((relay, block_hash)) = race.checked(number, result) {
                    self.bid_memory.forget(call.slot, block_hash, relay.id());
                }
            }
            Step::Local(value, min_profit) => {
                waiting.local = None;
                if let Some(value) = value {
                    race.set_floor(value, min_profit);
                }
            }
            Step::Look => {}
        }
    }

    /// Has the best bids checked that are worth it now; says when to look again, if one is to be checked later.
    fn start_checks(
        &self,
        race: &mut Race<'_>,
        checks: &mut FuturesUnordered<BidCheck>,
        waiting: &Waiting,
        has_all_said: bool,
        now: Instant,
    ) -> Option<Instant> {
        if let Some(at) = race.retry_at.filter(|at| *at > now) {
            return Some(at);
        }
        race.retry_at = None;
        let decide_by = waiting.times.decide_by;
        let left = decide_by.saturating_duration_since(now);
        loop {
            if race.candidates.is_leader_proven() {
                return None;
            }
            let proof = race.proof();
            let threads = self.verify.threads();
            let width = if has_all_said && threads > 1 && race.candidates.has_unknown_leader() {
                AT_THE_END
            } else {
                checks_at_once(threads, proof, left)
            };
            if checks.len() >= width {
                return None;
            }
            if !has_all_said && !waiting.is_urgent {
                let outlook = race.outlook(&self.relays, waiting.budget);
                if let Some(due) = race.schedule.due(proof, &outlook).filter(|due| *due > now) {
                    return Some(due);
                }
            }
            let (number, index, contender) = race.candidates.next_to_verify()?;
            let key = &race.relays.get(index)?.settings().pubkey;
            let (bid, domain) = (Arc::clone(contender), self.domain);
            if let Some(known) = bid.known(key, domain, &self.verified) {
                race.proven(number, known);
            } else {
                let (key, known) = (key.clone(), Arc::clone(&self.verified));
                let result = self.verify.check(decide_by, move || bid.verify(&key, domain, &known));
                checks.push(BidCheck { number, result });
            }
            race.schedule.restart();
        }
    }
}

/// Whether nothing more can come of the bids in hand.
fn is_decided(race: &Race<'_>, checks: usize) -> bool {
    race.candidates.is_leader_proven() || (checks == 0 && race.retry_at.is_none())
}

/// Shows those who wait the best proven bid in hand, when it is another one.
fn show_best(race: &Race<'_>, running: &Running, shown: &mut Option<usize>) {
    let best = race.best();
    if best != *shown {
        *shown = best;
        running.show(race.won().map(Arc::new));
    }
}

/// A call to each relay.
fn ask_everybody<'a>(
    race: &Race<'a>,
    call: HeaderCall,
    context: &'a CallContext,
    sink: &'a mpsc::Sender<Arrival>,
) -> FuturesUnordered<impl Future<Output = (usize, Option<Arrival>)> + use<'a>> {
    let started = Instant::now();
    let passed = i64::try_from(race.started.elapsed().as_millis()).unwrap_or(0);
    let ms_into_slot = race.ms_into_slot.saturating_add(passed);
    let relays = race.relays.iter().enumerate();
    relays
        .map(|(index, relay)| {
            let timing = race.terms.get(index).map(|terms| terms.timing).unwrap_or_default();
            let ask = Ask { index, relay, call, context, timing, started, ms_into_slot };
            async move { (index, ask.run(sink).await) }
        })
        .collect()
}

/// The local block's value, `None` where the node does not say it; pends for ever when it is not asked for. Cancel-safe.
async fn value_of(local: &mut Option<LocalValue>) -> (Option<Wei>, Wei) {
    match local {
        Some((value, min_profit)) => (value.await.ok().and_then(Result::ok), *min_profit),
        None => pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_proven_bid_ends_an_auction_for_others() {
        let now = Instant::now();
        let at = |ms| now + Duration::from_millis(ms);
        let hurried = RaceTimes { collect_by: at(100), decide_by: at(110), answer_by: at(115) };
        for (ms, is_proven, want) in [
            (99, true, Hurry::No),
            (100, false, Hurry::Check),
            (109, false, Hurry::Check),
            (100, true, Hurry::End),
            (109, true, Hurry::End),
            (110, true, Hurry::No),
            (110, false, Hurry::No),
        ] {
            assert_eq!(Hurry::of(hurried, at(ms), is_proven), want, "after {ms} ms, proven: {is_proven}");
        }
    }
}
