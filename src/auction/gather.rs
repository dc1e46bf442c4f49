//! The inside of a race: answers come in, are judged, the leader's signature is checked, until all is said or time is up.

use std::{sync::Arc, time::Duration};

use alloy_primitives::B256;
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    sync::mpsc,
    task::JoinHandle,
    time::{Instant, sleep_until},
};
use tracing::{debug, warn};

use super::{
    Auction, BidFault, Candidates, CheckedBid, Claim, Expectations, Keep, Missing, Policy, RelayTerms,
    VerifiedBid, check_bid, may_answer_early,
    metrics::record_verification,
    polls::{ARRIVALS, Arrival, Ask},
    race::micros,
};
use crate::{
    events::{Outcome, PollRecord, RelayAnswer},
    relay::{BidAnswer, CallContext, HeaderCall, HeaderOutcome, Relay},
    types::RelayId,
};

/// How long a bid must have led before its signature is checked while relays are still awaited. Bids often come in bursts, and a
/// check costs a millisecond of a core that the next bid would make worthless; a winner that came later than this before the end is
/// checked at the end and costs that millisecond once. Measured with `scripts/bench`, see docs/performance.md.
const LEAD_BEFORE_CHECK: Duration = Duration::from_millis(5);
/// How often the question of an early answer is asked again. Arbitrary: well below any relay's latency.
const SOFT_STEP: Duration = Duration::from_millis(10);

/// A signature check on a blocking thread, and which bid it is of.
type Check = (usize, JoinHandle<Result<VerifiedBid, BidFault>>);

/// An answer as judged, and the number of its bid if it has a usable one.
struct Answered {
    record: RelayAnswer,
    bid: Option<usize>,
}

/// What one relay did so far.
#[derive(Default)]
struct Run {
    answers: Vec<Answered>,
    polls: Vec<PollRecord>,
    /// Request of the latest bid, where only that counts.
    latest: Option<u32>,
    is_done: bool,
}

pub(super) struct Race<'a> {
    pub(super) relays: &'a [Arc<Relay>],
    pub(super) policy: &'a Policy,
    terms: Vec<RelayTerms>,
    expected: Expectations,
    runs: Vec<Run>,
    pub(super) candidates: Candidates<Arc<CheckedBid>>,
    verified: Vec<(usize, VerifiedBid)>,
    started: Instant,
    ms_into_slot: i64,
    decided_early: bool,
}

impl<'a> Race<'a> {
    pub(super) fn new(
        relays: &'a [Arc<Relay>],
        policy: &'a Policy,
        expected: Expectations,
        started: Instant,
        ms_into_slot: i64,
    ) -> Self {
        Self {
            relays,
            policy,
            terms: relays.iter().map(|relay| policy.terms_of(relay.id())).collect(),
            expected,
            runs: relays.iter().map(|_| Run::default()).collect(),
            candidates: Candidates::default(),
            verified: Vec::new(),
            started,
            ms_into_slot,
            decided_early: false,
        }
    }

    /// The winner: its relay's index and itself.
    pub(super) fn take_winner(&mut self) -> Option<(usize, VerifiedBid)> {
        let (number, relay, _) = self.candidates.winner()?;
        let place = self.verified.iter().position(|(of, _)| *of == number)?;
        Some((relay, self.verified.swap_remove(place).1))
    }

    /// A relay's best bid is not taken after all.
    pub(super) fn overrule(&mut self, relay: usize, fault: &BidFault) {
        let best = self.runs.get_mut(relay).into_iter().flat_map(|run| &mut run.answers);
        for answer in best.filter(|answer| answer.record.outcome == Outcome::Bid) {
            answer.record.outcome = fault.kind();
            answer.record.detail = fault.to_string();
        }
    }

    /// What each relay did, in one record each: the winning bid's, else its best usable bid's, else its last answer's.
    pub(super) fn records(self, winner: Option<B256>, waited: Duration) -> Vec<RelayAnswer> {
        let Self { relays, runs, decided_early, .. } = self;
        let record = |(run, relay): (Run, &Arc<Relay>)| {
            let best = run.answers.iter().enumerate().max_by_key(|(index, answer)| {
                let is_winner =
                    winner.is_some() && answer.record.block_hash == winner && answer.record.verified;
                let is_usable = answer.record.outcome == Outcome::Bid;
                (
                    is_winner,
                    is_usable,
                    answer.record.score.or(answer.record.value).filter(|_| is_usable),
                    *index,
                )
            });
            let best = best.map(|(_, answer)| answer.record.clone());
            let mut record = best.unwrap_or_else(|| unanswered(relay, decided_early, waited));
            // One answer is its own record.
            if run.polls.len() > 1 {
                record.polls = run.polls;
            }
            record
        };
        runs.into_iter().zip(relays).map(record).collect()
    }

    /// The relays that have not answered, by their record.
    fn missing(
        &self,
        status: impl Fn(&RelayId) -> Option<crate::relay::RelayStatus>,
        budget: Duration,
    ) -> Vec<Missing> {
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
            self.runs.iter().zip(self.relays).filter(|(run, _)| !run.is_done && run.answers.is_empty());
        waiting.map(|(_, relay)| with(relay)).collect()
    }
}

impl Auction {
    /// Asks everybody and gathers until all have answered and the leader holds, or time is up.
    pub(super) async fn gather(
        &self,
        race: &mut Race<'_>,
        call: HeaderCall,
        context: &CallContext,
        answer_by: Instant,
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
        let mut check: Option<Check> = None;
        let mut check_at = race.started;
        let mut collecting = true;
        loop {
            while let Ok(arrival) = arrivals.try_recv() {
                if self.on_arrival(race, &call, arrival) {
                    check_at = Instant::now() + LEAD_BEFORE_CHECK;
                }
            }
            if let (true, Some(soft), Some(at)) = (collecting, soft, soft_at)
                && Instant::now() >= at
            {
                let missing = race.missing(|id| self.relays.status(id), budget);
                let answered = race.relays.len() - missing.len();
                if may_answer_early(
                    &soft,
                    race.started.elapsed(),
                    answered,
                    !race.candidates.is_empty(),
                    &missing,
                ) {
                    race.decided_early = !missing.is_empty();
                    collecting = false;
                    calls.clear();
                }
                soft_at = Some(Instant::now() + SOFT_STEP);
            }
            let settled = calls.is_empty() || !collecting;
            if check.is_none() && (settled || Instant::now() >= check_at) {
                check = self.start_check(race);
            }
            if settled && check.is_none() {
                return;
            }
            let waiting_to_check = check.is_none() && race.candidates.has_unknown_leader();
            tokio::select! {
                biased;
                Some(arrival) = arrivals.recv(), if collecting => {
                    if self.on_arrival(race, &call, arrival) {
                        check_at = Instant::now() + LEAD_BEFORE_CHECK;
                    }
                }
                Some((index, arrival)) = calls.next(), if collecting => {
                    if let Some(run) = race.runs.get_mut(index) {
                        run.is_done = true;
                    }
                    if let Some(arrival) = arrival
                        && self.on_arrival(race, &call, arrival)
                    {
                        check_at = Instant::now() + LEAD_BEFORE_CHECK;
                    }
                }
                result = join_check(&mut check), if check.is_some() => finish_check(race, &mut check, result),
                () = sleep_until(check_at), if waiting_to_check => {}
                () = sleep_until(soft_at.unwrap_or(answer_by)), if collecting && soft_at.is_some() => {}
                () = sleep_until(context.deadline), if collecting => {
                    collecting = false;
                    calls.clear();
                }
                () = sleep_until(answer_by) => return,
            }
        }
    }

    /// Judges a relay's answer; says whether its bid leads now.
    fn on_arrival(&self, race: &mut Race<'_>, call: &HeaderCall, arrival: Arrival) -> bool {
        let Arrival { index, number, sent_ms_into_slot, outcome, latency } = arrival;
        let (Some(relay), Some(terms)) = (race.relays.get(index), race.terms.get(index).copied()) else {
            return false;
        };
        let mut record = RelayAnswer { outcome: outcome.kind(), ..blank(relay, latency) };
        let mut bid = None;
        match outcome {
            HeaderOutcome::NoBid => {
                record.detail = "has no bid".to_owned();
                record.http_status = Some(204);
            }
            HeaderOutcome::Failed(failure) => {
                record.detail = failure.to_string();
                record.http_status = failure.http_status();
            }
            HeaderOutcome::Bid(answer) => {
                bid = self.on_bid(race, call, index, &terms, *answer, &mut record);
            }
        }
        debug!(slot = %call.slot, relay = %relay.id(), outcome = %record.outcome, elapsed_ms = record.latency_us / 1000,
            detail = %record.detail, "relay answered");
        let Some(run) = race.runs.get_mut(index) else { return false };
        run.polls.push(PollRecord {
            number,
            sent_ms_into_slot,
            latency_us: record.latency_us,
            outcome: record.outcome,
            value: record.value,
        });
        run.answers.push(Answered { record, bid });
        if let (Some(bid), Keep::Latest) = (bid, terms.timing.keep) {
            // By when it was asked for: an answer that was overtaken cancels nothing.
            if run.latest.is_none_or(|latest| number > latest) {
                run.latest = Some(number);
                race.candidates.withdraw_others(index, bid);
            } else if run.answers.iter().filter(|answer| answer.bid == Some(bid)).count() == 1 {
                race.candidates.fails(bid);
            }
        }
        bid.is_some() && race.candidates.has_unknown_leader()
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
        let expected =
            Expectations { min_bid: terms.min_bid.unwrap_or(race.expected.min_bid), ..race.expected };
        let score = race.policy.score(&terms.weight, &facts);
        let checked = check_bid(answer.bid, relay.settings().pubkey.bytes(), &expected);
        let checked = checked.and_then(|bid| if score.is_zero() { Err(BidFault::Excluded) } else { Ok(bid) });
        match checked {
            Ok(bid) => {
                self.bid_memory.remember(call.slot, &facts, relay, call.proposer);
                record.detail = "offered a usable bid".to_owned();
                record.score = (score != facts.value).then_some(score);
                if let Some(warning) = bid.gas_limit_warning() {
                    record.detail = format!("offered a usable bid; warning: {warning}");
                    warn!(slot = %call.slot, relay = %relay.id(), error = %warning, "bid ignores the registered gas limit");
                }
                let claim = Claim { score, value: facts.value, block_hash: facts.block_hash, relay: index };
                let (Ok(number) | Err(number)) = race.candidates.add(claim, Arc::new(bid));
                Some(number)
            }
            Err(fault) => {
                record.outcome = fault.kind();
                record.detail = fault.to_string();
                None
            }
        }
    }

    /// Hands the leader's signature to a blocking thread, if it is worth checking.
    fn start_check(&self, race: &mut Race<'_>) -> Option<Check> {
        let (number, index, contender) = race.candidates.next_to_verify()?;
        let key = race.relays.get(index)?.settings().pubkey.clone();
        let (bid, domain, known) = (Arc::clone(contender), self.domain, Arc::clone(&self.verified));
        Some((number, tokio::task::spawn_blocking(move || bid.verify(&key, domain, &known))))
    }
}

/// Waits for the check under way; pends for ever when there is none. Cancel-safe.
async fn join_check(check: &mut Option<Check>) -> Result<VerifiedBid, BidFault> {
    match check {
        // A check that panicked proves nothing: the bid does not hold.
        Some((_, handle)) => handle.await.unwrap_or(Err(BidFault::WrongSignature)),
        None => std::future::pending().await,
    }
}

fn finish_check(race: &mut Race<'_>, check: &mut Option<Check>, result: Result<VerifiedBid, BidFault>) {
    let Some((number, _)) = check.take() else { return };
    record_verification(result.is_ok());
    let mut answers = race.runs.iter_mut().flat_map(|run| &mut run.answers);
    let record = answers.find(|answer| answer.bid == Some(number)).map(|answer| &mut answer.record);
    match result {
        Ok(bid) => {
            race.candidates.holds(number);
            race.verified.push((number, bid));
            if let Some(record) = record {
                record.verified = true;
            }
        }
        Err(fault) => {
            race.candidates.fails(number);
            if let Some(record) = record {
                record.outcome = fault.kind();
                record.detail = fault.to_string();
            }
        }
    }
}

pub(super) fn blank(relay: &Relay, latency: Duration) -> RelayAnswer {
    RelayAnswer {
        relay: relay.id().clone(),
        outcome: Outcome::TimedOut,
        detail: String::new(),
        http_status: None,
        latency_us: micros(latency),
        value: None,
        block_hash: None,
        verified: false,
        score: None,
        polls: Vec::new(),
    }
}

fn unanswered(relay: &Relay, decided_early: bool, waited: Duration) -> RelayAnswer {
    let (outcome, detail) = if decided_early {
        (Outcome::Late, "not waited for: the race was decided at the soft deadline")
    } else {
        (Outcome::TimedOut, "no answer in time")
    };
    RelayAnswer { outcome, detail: detail.to_owned(), ..blank(relay, waited) }
}
