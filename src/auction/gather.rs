//! The inside of a race: answers come in, are judged, the leader's signature is checked, until all is said or time is up.

use std::{sync::Arc, time::Duration};

use alloy_primitives::B256;
use futures_util::{StreamExt, future::pending, stream::FuturesUnordered};
use tokio::{
    sync::{mpsc, watch},
    task::JoinHandle,
    time::{Instant, sleep_until},
};
use tracing::{debug, warn};

use super::{
    Auction, BidFault, Candidates, CheckSchedule, CheckedBid, Claim, Expectations, Keep, Missing, Policy,
    RelayTerms, VerifiedBid,
    answers::{RaceEnd, RelayRun, blank, micros},
    check_bid, checks_at_once, may_answer_early,
    metrics::record_verification,
    payload_comparison::{PayloadComparison, PayloadMismatch},
    polls::{ARRIVALS, Arrival, Ask},
};
use crate::{
    ethereum::NodeError,
    events::{BidFlaw, BidOutcome, RelayAnswer},
    relay::{BidAnswer, CallContext, HeaderCall, HeaderMode, HeaderOutcome, Relay, RelayStatus},
    types::{RelayId, Wei},
};

/// How often the question of an early answer is asked again. Arbitrary: well below any relay's latency.
const SOFT_STEP: Duration = Duration::from_millis(10);

/// The local block's value, on its way, and what a bid must pay above it.
pub(super) type LocalValue = (JoinHandle<Result<Wei, NodeError>>, Wei);

/// A wish of somebody who waits for the same race and has less time: an answer by then, if there is one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Hurry {
    /// Relays are waited for until then.
    pub(super) collect_by: Instant,
    /// The answer leaves by then.
    pub(super) answer_by: Instant,
}

/// What a bid must pay at least, by the beacon node's own block.
#[derive(Clone, Copy, Debug)]
struct ProfitFloor {
    local: Wei,
    min_profit: Wei,
}

impl ProfitFloor {
    fn least(&self) -> Wei {
        self.local.saturating_add(self.min_profit)
    }

    fn fault_of(&self, value: Wei) -> Option<BidFault> {
        let Self { local, min_profit } = *self;
        (value < self.least()).then_some(BidFault::BelowLocal { local, min_profit, got: value })
    }
}

pub(super) struct Race<'a> {
    pub(super) relays: &'a [Arc<Relay>],
    pub(super) policy: &'a Policy,
    terms: Vec<RelayTerms>,
    expected: Expectations,
    runs: Vec<RelayRun>,
    pub(super) candidates: Candidates<Arc<CheckedBid>>,
    verified: Vec<(usize, VerifiedBid)>,
    pub(super) payloads: PayloadComparison,
    schedule: CheckSchedule,
    floor: Option<ProfitFloor>,
    started: Instant,
    ms_into_slot: i64,
    decided_early: bool,
}

impl<'a> Race<'a> {
    pub(super) fn new(
        relays: &'a [Arc<Relay>],
        policy: &'a Policy,
        expected: Expectations,
        payloads: PayloadComparison,
        started: Instant,
        ms_into_slot: i64,
    ) -> Self {
        Self {
            relays,
            policy,
            terms: relays.iter().map(|relay| policy.terms_of(relay.id())).collect(),
            expected,
            runs: relays.iter().map(|_| RelayRun::default()).collect(),
            candidates: Candidates::default(),
            verified: Vec::new(),
            payloads,
            schedule: CheckSchedule::default(),
            floor: None,
            started,
            ms_into_slot,
            decided_early: false,
        }
    }

    /// The winner: its relay's index and itself.
    pub(super) fn take_winner(&mut self) -> Option<(usize, VerifiedBid)> {
        self.refresh_attributes();
        let (number, relay, _) = self.candidates.winner()?;
        let place = self.verified.iter().position(|(of, _)| *of == number)?;
        Some((relay, self.verified.swap_remove(place).1))
    }

    /// Takes in what the beacon node says by now.
    fn refresh_attributes(&mut self) {
        if self.payloads.refresh() {
            self.compare();
            if self.candidates.has_unknown_leader() {
                self.schedule.new_leader(Instant::now());
            }
        }
    }

    /// Leaves out the bids that the beacon node or the other relays contradict, as far as bids have come and hold.
    fn compare(&mut self) {
        let payloads = &self.payloads;
        self.candidates.leave_out(|bid| payloads.contradicts(bid.bid().facts()));
    }

    /// What each relay did, in one record each.
    pub(super) fn records(mut self, winner: Option<B256>, waited: Duration) -> Vec<RelayAnswer> {
        for PayloadMismatch { relay, number, fault, is_corroborated } in self.payloads.mismatches() {
            if let Some(run) = self.runs.get_mut(relay) {
                run.leave_out(number, &fault, is_corroborated);
            }
        }
        let Self { relays, runs, decided_early, .. } = self;
        let end = RaceEnd { winner, decided_early, waited };
        runs.into_iter().zip(relays).map(|(run, relay)| run.into_record(relay, &end)).collect()
    }

    /// The local block's value is known: only bids that exceed it by enough count from now on.
    fn set_floor(&mut self, local: Wei, min_profit: Wei) {
        let floor = ProfitFloor { local, min_profit };
        self.candidates.drop_below(floor.least());
        self.runs.iter_mut().for_each(|run| run.reconsider(|value| floor.fault_of(value)));
        self.floor = Some(floor);
    }

    /// Whether a relay is under way whose game the operator wants played to its end: it streams or is asked again and again, and
    /// either has shown that it is there, or its first request is not due yet.
    fn has_game_under_way(&self, budget: Duration) -> bool {
        let waited = self.started.elapsed();
        let mut all = self.runs.iter().zip(&self.terms).zip(self.relays);
        all.any(|((run, terms), relay)| {
            let plays = terms.timing.is_played() || relay.settings().get_header == HeaderMode::Stream;
            let first = terms.timing.first_delay(self.ms_into_slot, budget);
            plays && !run.is_done && (run.has_answered() || waited < first)
        })
    }

    /// The relays that have not answered, by their record.
    fn missing(&self, status: impl Fn(&RelayId) -> Option<RelayStatus>, budget: Duration) -> Vec<Missing> {
        let waited = micros(self.started.elapsed());
        let with = |relay: &Arc<Relay>| {
            let record = status(relay.id()).map(|status| status.record).unwrap_or_default();
            Missing {
                win_rate: record.win_rate(),
                within_now: record.share_within(waited),
                within_all: record.share_within(micros(budget)),
            }
        };
        let waiting =
            self.runs.iter().zip(self.relays).filter(|(run, _)| !run.is_done && !run.has_answered());
        waiting.map(|(_, relay)| with(relay)).collect()
    }

    /// Whether it ended before everybody had said all.
    pub(super) fn is_incomplete(&self) -> bool {
        self.runs.iter().any(|run| !run.is_done)
    }

    fn has_seen_forgery(&self) -> bool {
        self.runs.iter().any(RelayRun::has_forged)
    }

    /// A bid's signature was checked.
    fn checked(&mut self, number: usize, result: Result<VerifiedBid, BidFault>) {
        record_verification(result.is_ok());
        let fault = result.as_ref().err();
        let of = self.runs.iter_mut().position(|run| run.checked(number, fault));
        match result {
            Ok(bid) => {
                self.candidates.holds(number);
                self.payloads.holds(number);
                self.verified.push((number, bid));
            }
            Err(_) => {
                self.candidates.fails(number);
                self.payloads.remove(number);
                self.compare();
                if let Some(relay) = of {
                    self.candidates.rank_last(relay);
                    if self.runs.get(relay).is_some_and(RelayRun::is_hopeless) {
                        self.candidates.drop_unproven(relay);
                    }
                }
                // Whoever leads now has waited long enough.
                self.schedule.restart();
            }
        }
    }
}

impl Auction {
    /// Asks everybody and gathers until all have answered and the leader holds, or time is up. `hurry` may shorten the time once
    /// there is a bid.
    pub(super) async fn gather(
        &self,
        race: &mut Race<'_>,
        call: HeaderCall,
        context: &CallContext,
        mut answer_by: Instant,
        mut local: Option<LocalValue>,
        hurry: &watch::Receiver<Option<Hurry>>,
    ) {
        // In this task, not one each: every hop between tasks costs a wake-up, and what is done here per relay takes microseconds.
        let started = Instant::now();
        let relays = race.relays;
        let passed = i64::try_from(race.started.elapsed().as_millis()).unwrap_or(0);
        let (sink, mut arrivals) = mpsc::channel(ARRIVALS);
        let mut calls: FuturesUnordered<_> = relays
            .iter()
            .enumerate()
            .map(|(index, relay)| {
                let timing = race.terms.get(index).map(|terms| terms.timing).unwrap_or_default();
                let ms_into_slot = race.ms_into_slot.saturating_add(passed);
                let ask = Ask { index, relay, call, context, timing, started, ms_into_slot };
                let sink = &sink;
                async move { (index, ask.run(sink).await) }
            })
            .collect();
        let budget = context.deadline.saturating_duration_since(race.started);
        let soft = race.policy.settings.soft_deadline;
        let mut soft_at = soft.map(|soft| race.started + soft.after);
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let mut checks = FuturesUnordered::new();
        let mut hurry = hurry.clone();
        let mut can_hurry = true;
        let mut collecting = true;
        loop {
            while let Ok(arrival) = arrivals.try_recv() {
                self.on_arrival(race, &call, arrival);
            }
            race.refresh_attributes();
            let hurried = *hurry.borrow();
            if let (true, Some(soft), Some(at)) = (collecting, soft, soft_at)
                && Instant::now() >= at
            {
                let missing = race.missing(|id| self.relays.status(id), budget);
                let answered = race.relays.len() - missing.len();
                let has_bid = !race.candidates.is_empty();
                if !race.has_game_under_way(budget)
                    && may_answer_early(&soft, race.started.elapsed(), answered, has_bid, &missing)
                {
                    race.decided_early = !missing.is_empty();
                    collecting = false;
                }
                soft_at = Some(Instant::now() + SOFT_STEP);
            }
            // Without a bid nobody is helped by an early end.
            if let Some(hurried) = hurried
                && collecting
                && (hurried.collect_by..hurried.answer_by).contains(&Instant::now())
                && !race.candidates.is_empty()
            {
                race.decided_early = true;
                collecting = false;
                answer_by = answer_by.min(hurried.answer_by);
                local = None;
            }
            if !collecting {
                calls.clear();
            }
            let all_said = calls.is_empty();
            let now = Instant::now();
            let has_proven = race.candidates.winner().is_some();
            let left = answer_by.saturating_duration_since(now);
            let at_once = checks_at_once(cores, has_proven, race.has_seen_forgery(), left);
            while checks.len() < at_once
                && (all_said || race.schedule.due(has_proven).is_none_or(|due| due <= now))
                && let Some(check) = self.start_check(race)
            {
                checks.push(check);
                race.schedule.restart();
            }
            if all_said && checks.is_empty() && local.is_none() {
                return;
            }
            let is_check_waiting = checks.len() < at_once && race.candidates.has_unknown_leader();
            let check_at = race.schedule.due(has_proven).filter(|_| is_check_waiting);
            // A wish that found no bid is looked at again with every arrival.
            let hurry_at = hurried.map(|hurried| hurried.collect_by).filter(|at| collecting && *at > now);
            tokio::select! {
                biased;
                Some(arrival) = arrivals.recv(), if collecting => self.on_arrival(race, &call, arrival),
                Some((index, arrival)) = calls.next(), if collecting => {
                    if let Some(run) = race.runs.get_mut(index) {
                        run.is_done = true;
                    }
                    if let Some(arrival) = arrival {
                        self.on_arrival(race, &call, arrival);
                    }
                }
                Some((number, result)) = checks.next() => {
                    if let Ok(bid) = &result {
                        self.gas_limits.learn(bid.bid().facts());
                    }
                    race.checked(number, result);
                }
                (value, min_profit) = arrival_of(&mut local) => {
                    local = None;
                    if let Some(value) = value {
                        race.set_floor(value, min_profit);
                    }
                }
                () = sleep_until(check_at.unwrap_or(answer_by)), if check_at.is_some() => {}
                () = sleep_until(soft_at.unwrap_or(answer_by)), if collecting && soft_at.is_some() => {}
                () = sleep_until(hurry_at.unwrap_or(answer_by)), if hurry_at.is_some() => {}
                () = race.payloads.changed() => {}
                changed = hurry.changed(), if collecting && can_hurry => can_hurry = changed.is_ok(),
                () = sleep_until(context.deadline), if collecting || local.is_some() => {
                    collecting = false;
                    local = None;
                }
                () = sleep_until(answer_by) => return,
            }
        }
    }

    /// Judges a relay's answer.
    fn on_arrival(&self, race: &mut Race<'_>, call: &HeaderCall, arrival: Arrival) {
        let Arrival { index, number, sent_ms_into_slot, outcome, latency } = arrival;
        let (Some(relay), Some(terms)) = (race.relays.get(index), race.terms.get(index).copied()) else {
            return;
        };
        let mut record = RelayAnswer { outcome: outcome.kind(), ..blank(relay, latency) };
        let mut bid = None;
        match outcome {
            HeaderOutcome::NoBid => {
                record.message = "has no bid".to_owned();
                record.http_status = Some(204);
            }
            HeaderOutcome::Failed(failure) => {
                record.message = failure.to_string();
                record.http_status = failure.http_status();
            }
            HeaderOutcome::Bid(answer) => {
                bid = self.on_bid(race, call, index, &terms, *answer, &mut record);
            }
        }
        debug!(slot = %call.slot, relay = %relay.id(), outcome = %record.outcome, elapsed_ms = record.latency_us / 1000,
            error = %record.message, "relay answered");
        let Some(run) = race.runs.get_mut(index) else { return };
        run.add(number, sent_ms_into_slot, record, bid);
        let Some(bid) = bid else { return };
        if terms.timing.keep == Keep::Latest {
            if run.is_latest(number) {
                race.candidates.withdraw_others(index, bid);
            } else if run.times_bid(bid) == 1 {
                race.candidates.fails(bid);
            }
        }
        if race.candidates.has_unknown_leader() {
            race.schedule.new_leader(Instant::now());
        }
    }

    /// Judges a bid; its number if it is usable.
    fn on_bid(
        &self,
        race: &mut Race<'_>,
        call: &HeaderCall,
        index: usize,
        terms: &RelayTerms,
        answer: BidAnswer,
        record: &mut RelayAnswer,
    ) -> Option<usize> {
        let relay = race.relays.get(index)?;
        let facts = answer.bid.facts().clone();
        record.http_status = Some(200);
        record.value = Some(facts.value);
        record.block_hash = Some(facts.block_hash);
        if race.runs.get(index).is_some_and(RelayRun::has_forged) {
            record.outcome = BidOutcome::Flawed(BidFlaw::WrongSignature);
            "not looked at: an earlier bid of this relay in this auction was not signed by it"
                .clone_into(&mut record.message);
            return None;
        }
        let expected =
            Expectations { min_bid: terms.min_bid.unwrap_or(race.expected.min_bid), ..race.expected };
        let score = race.policy.score(&terms.weight, &facts);
        let checked = check_bid(answer.bid, relay.settings().pubkey.bytes(), &expected);
        let checked = checked.and_then(|bid| if score.is_zero() { Err(BidFault::Excluded) } else { Ok(bid) });
        let below = race.floor.and_then(|floor| floor.fault_of(facts.value));
        let checked = checked.and_then(|bid| below.map_or(Ok(bid), Err));
        match checked {
            Ok(bid) => {
                self.bid_memory.remember(call.slot, &facts, relay, call.proposer);
                record.message = "offered a usable bid".to_owned();
                record.score = (score != facts.value).then_some(score);
                if let Some(warning) = bid.gas_limit_warning() {
                    record.message = format!("offered a usable bid; warning: {warning}");
                    warn!(slot = %call.slot, relay = %relay.id(), error = %warning, "bid ignores the registered gas limit");
                }
                let claim = Claim { score, value: facts.value, block_hash: facts.block_hash, relay: index };
                let added = race.candidates.add(claim, Arc::new(bid));
                if let Ok(number) = added
                    && race.payloads.add(number, index, &facts)
                {
                    race.compare();
                }
                let (Ok(number) | Err(number)) = added;
                Some(number)
            }
            Err(fault) => {
                record.outcome = fault.kind();
                record.message = fault.to_string();
                None
            }
        }
    }

    /// Hands the best bid's signature to a blocking thread, if it is worth checking.
    fn start_check(
        &self,
        race: &mut Race<'_>,
    ) -> Option<impl Future<Output = (usize, Result<VerifiedBid, BidFault>)> + use<>> {
        let (number, index, contender) = race.candidates.next_to_verify()?;
        let key = race.relays.get(index)?.settings().pubkey.clone();
        let (bid, domain, known) = (Arc::clone(contender), self.domain, Arc::clone(&self.verified));
        let check = tokio::task::spawn_blocking(move || bid.verify(&key, domain, &known));
        // A check that panicked proves nothing: the bid does not hold.
        Some(async move { (number, check.await.unwrap_or(Err(BidFault::WrongSignature))) })
    }
}

/// The local block's value, `None` where the node does not say it; pends for ever when it is not asked for. Cancel-safe.
async fn arrival_of(local: &mut Option<LocalValue>) -> (Option<Wei>, Wei) {
    match local {
        Some((value, min_profit)) => (value.await.ok().and_then(Result::ok), *min_profit),
        None => pending().await,
    }
}
