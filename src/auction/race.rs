//! One race for a header as it stands: what each relay answered, which bids are in hand, which of them are proven.
//!
//! Answers and the results of checks come in one after the other; what follows from each is worked out here, without waiting for
//! anything. Who is asked, what is waited for and when a signature is checked is `gather`'s.

use std::{sync::Arc, time::Duration};

use alloy_primitives::{B256, Bytes};
use tokio::time::Instant;
use tracing::{debug, error, warn};

use super::{
    answers::{RaceEnd, RelayRun, blank},
    bid_memory::BidMemory,
    candidates::{Candidates, Claim},
    check::{BidFault, CheckedBid, Expectations, VerifiedBid, check_bid},
    check_schedule::{Chance, CheckSchedule, Outlook, Proof, leader_stays_after},
    early::Missing,
    metrics::record_verification,
    payload_comparison::{PayloadComparison, PayloadMismatch},
    policy::{Policy, RelayTerms},
    polls::Arrival,
    shared::Won,
    timing::Keep,
    verify::NotChecked,
};
use crate::{
    events::{BidFlaw, BidOutcome, RelayAnswer, Winner},
    relay::{BidAnswer, HeaderCall, HeaderMode, HeaderOutcome, Relay, SharedRelays},
    types::{RelayId, Wei, micros},
};

/// How long a bid waits whose check was refused, before it is tried again. Arbitrary: some checks' time.
const RETRY: Duration = Duration::from_millis(3);

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

/// What came of a check.
pub(super) type CheckResult = Result<Result<VerifiedBid, BidFault>, NotChecked>;

/// When a race began.
#[derive(Clone, Copy, Debug)]
pub(super) struct Begun {
    pub(super) at: Instant,
    /// Where in the slot that was, in milliseconds.
    pub(super) ms_into_slot: i64,
    /// How long it had waited for its turn.
    pub(super) waited: Duration,
}

impl Begun {
    /// A request's own race: with it, unless it had to wait for its turn until now.
    pub(super) fn of(received: Instant, ms_into_slot: i64, has_waited: bool) -> Self {
        let waited = if has_waited { received.elapsed() } else { Duration::ZERO };
        let ms = i64::try_from(waited.as_millis()).unwrap_or(i64::MAX);
        Self { at: received + waited, ms_into_slot: ms_into_slot.saturating_add(ms), waited }
    }
}

pub(super) struct Race<'a> {
    pub(super) relays: &'a [Arc<Relay>],
    pub(super) policy: &'a Policy,
    pub(super) terms: Vec<RelayTerms>,
    pub(super) candidates: Candidates<Arc<CheckedBid>>,
    pub(super) payloads: PayloadComparison,
    pub(super) schedule: CheckSchedule,
    pub(super) started: Instant,
    pub(super) ms_into_slot: i64,
    /// Before it was started.
    pub(super) waited: Duration,
    /// When a check is tried again that was refused.
    pub(super) retry_at: Option<Instant>,
    pub(super) decided_early: bool,
    expected: Expectations,
    runs: Vec<RelayRun>,
    verified: Vec<(usize, VerifiedBid)>,
    floor: Option<ProfitFloor>,
    /// What each relay is expected to do; read when the first bid is in hand.
    chances: Vec<Chance>,
    /// After how long the leader is likely to stay; `None` when that has to be worked out anew.
    stays_after: Option<Duration>,
    /// Why the last check that was refused was.
    not_checked: Option<NotChecked>,
}

impl<'a> Race<'a> {
    pub(super) fn new(
        relays: &'a [Arc<Relay>],
        policy: &'a Policy,
        expected: Expectations,
        payloads: PayloadComparison,
        begun: Begun,
    ) -> Self {
        let Begun { at: started, ms_into_slot, waited } = begun;
        Self {
            relays,
            policy,
            terms: relays.iter().map(|relay| policy.terms_of(relay.id())).collect(),
            candidates: Candidates::default(),
            payloads,
            schedule: CheckSchedule::default(),
            started,
            ms_into_slot,
            waited,
            retry_at: None,
            decided_early: false,
            expected,
            runs: relays.iter().map(|_| RelayRun::default()).collect(),
            verified: Vec::new(),
            floor: None,
            chances: Vec::new(),
            stays_after: None,
            not_checked: None,
        }
    }

    /// The number of the best proven bid.
    pub(super) fn best(&self) -> Option<usize> {
        self.candidates.winner().map(|(number, _, _)| number)
    }

    /// The best proven bid, as a client is given it.
    pub(super) fn won(&self) -> Option<Won> {
        let (number, index, _) = self.candidates.winner()?;
        let (_, bid) = self.verified.iter().find(|(of, _)| *of == number)?;
        let facts = bid.bid().facts();
        let also = self.candidates.relays_of(facts.block_hash).filter(|other| *other != index);
        let mut relays: Vec<RelayId> = Vec::new();
        for relay in std::iter::once(index).chain(also).filter_map(|i| self.relays.get(i)) {
            if !relays.contains(relay.id()) {
                relays.push(relay.id().clone());
            }
        }
        let winner = Winner {
            block_hash: facts.block_hash,
            value: facts.value,
            relays,
            builder: self.policy.builder_name(facts),
            signed_bid: Bytes::new(),
        };
        Some(Won::new(bid.clone(), winner))
    }

    /// Why the best bid in hand is not proven, if that is for want of a check.
    pub(super) fn not_checked(&self) -> Option<NotChecked> {
        self.not_checked.filter(|_| !self.candidates.is_leader_proven() && !self.candidates.is_empty())
    }

    /// Takes in what the beacon node says by now.
    pub(super) fn refresh_attributes(&mut self) {
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
    pub(super) fn set_floor(&mut self, local: Wei, min_profit: Wei) {
        let floor = ProfitFloor { local, min_profit };
        self.candidates.drop_below(floor.least());
        self.runs.iter_mut().for_each(|run| run.reconsider(|value| floor.fault_of(value)));
        self.floor = Some(floor);
    }

    /// Whether a relay bids more than once, by its terms.
    fn plays(&self, index: usize) -> bool {
        let is_played = self.terms.get(index).is_some_and(|terms| terms.timing.is_played());
        let streams =
            self.relays.get(index).is_some_and(|relay| relay.settings().get_header == HeaderMode::Stream);
        is_played || streams
    }

    /// Whether a relay is under way whose game the operator wants played to its end: it streams or is asked again and again, and
    /// either has shown that it is there, or its first request is not due yet.
    pub(super) fn has_game_under_way(&self, budget: Duration) -> bool {
        let waited = self.started.elapsed();
        self.runs.iter().zip(&self.terms).enumerate().any(|(index, (run, terms))| {
            let first = terms.timing.first_delay(self.ms_into_slot, budget);
            self.plays(index) && !run.is_done && (run.has_answered() || waited < first)
        })
    }

    /// The relays that have not answered, by their record.
    pub(super) fn missing(&self, shared: &SharedRelays, budget: Duration) -> Vec<Missing> {
        let waited = micros(self.started.elapsed());
        let with = |relay: &Arc<Relay>| {
            shared.by_record(relay.id(), |record| Missing {
                win_rate: record.win_rate(),
                within_now: record.share_within(waited),
                within_all: record.share_within(micros(budget)),
            })
        };
        let waiting =
            self.runs.iter().zip(self.relays).filter(|(run, _)| !run.is_done && !run.has_answered());
        waiting.map(|(_, relay)| with(relay)).collect()
    }

    /// How long the leader is likely to lead.
    pub(super) fn outlook(&mut self, shared: &SharedRelays, budget: Duration) -> Outlook {
        if self.chances.is_empty() {
            let chance_of = |relay: &Arc<Relay>| shared.by_record(relay.id(), Chance::of);
            self.chances = self.relays.iter().map(chance_of).collect();
        }
        let stays_after = self.stays_after.unwrap_or_else(|| {
            let may_bid = self.runs.iter().zip(&self.chances).enumerate();
            leader_stays_after(may_bid.filter(|(_, (run, _))| !run.is_done).filter_map(
                |(index, (run, chance))| match (run.has_answered(), self.plays(index)) {
                    (false, false) => Some(*chance),
                    // When it bids next, nobody knows.
                    (_, true) => Some(Chance { usually_within: None, ..*chance }),
                    (true, false) => None,
                },
            ))
        });
        self.stays_after = Some(stays_after);
        Outlook { started: self.started, stays_after, budget }
    }

    /// Nothing more comes of a relay.
    pub(super) fn is_done(&mut self, index: usize) {
        self.stays_after = None;
        if let Some(run) = self.runs.get_mut(index) {
            run.is_done = true;
        }
    }

    /// Whether it ended before everybody had said all.
    pub(super) fn is_incomplete(&self) -> bool {
        self.runs.iter().any(|run| !run.is_done)
    }

    /// What the checks have come to.
    pub(super) fn proof(&self) -> Proof {
        if self.best().is_some() {
            Proof::InHand
        } else if self.runs.iter().any(RelayRun::has_forged) {
            Proof::OnlyForgeries
        } else {
            Proof::None
        }
    }

    /// A bid's signature was checked, or was not. Returns the relay and the block of a bid that is not its relay's.
    pub(super) fn checked(&mut self, number: usize, result: CheckResult) -> Option<(&'a Arc<Relay>, B256)> {
        match result {
            Ok(Ok(bid)) => {
                record_verification(true);
                self.proven(number, bid);
            }
            Ok(Err(fault)) => {
                record_verification(false);
                return self.refuted(number, &fault);
            }
            Err(reason @ NotChecked::Broken) => {
                // It proves nothing: the bid is not returned, and its relay is not blamed.
                error!(relay = self.relay_name(number), error = %reason, "bid left out");
                self.not_checked = Some(reason);
                self.candidates.fails(number);
            }
            Err(reason @ (NotChecked::QueueFull | NotChecked::NoTime)) => {
                debug!(relay = self.relay_name(number), error = %reason, "bid not checked");
                self.not_checked = Some(reason);
                self.candidates.not_checked(number);
                self.retry_at = Some(Instant::now() + RETRY);
            }
        }
        None
    }

    /// A bid is its relay's.
    pub(super) fn proven(&mut self, number: usize, bid: VerifiedBid) {
        self.runs.iter_mut().any(|run| run.checked(number, None));
        self.candidates.holds(number);
        self.payloads.holds(number);
        self.verified.push((number, bid));
    }

    /// A bid is not its relay's.
    fn refuted(&mut self, number: usize, fault: &BidFault) -> Option<(&'a Arc<Relay>, B256)> {
        let block_hash = self.runs.iter().find_map(|run| run.block_of(number));
        let of = self.runs.iter_mut().position(|run| run.checked(number, Some(fault)));
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
        let (relay, block_hash) = (of?, block_hash?);
        let has_another = self.candidates.relays_of(block_hash).any(|other| other == relay);
        self.relays.get(relay).filter(|_| !has_another).map(|relay| (relay, block_hash))
    }

    fn relay_name(&self, number: usize) -> &str {
        let relay = self.runs.iter().position(|run| run.times_bid(number) > 0);
        let relay = relay.and_then(|relay| self.relays.get(relay));
        relay.map_or("", |relay| relay.id().as_str())
    }

    /// Judges a relay's answer.
    pub(super) fn on_arrival(&mut self, call: &HeaderCall, arrival: Arrival, memory: &BidMemory) {
        let Arrival { index, number, sent_ms_into_slot, outcome, latency } = arrival;
        let (Some(relay), Some(terms)) = (self.relays.get(index), self.terms.get(index).copied()) else {
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
                bid = self.on_bid(call, index, &terms, *answer, &mut record, memory);
            }
        }
        debug!(slot = %call.slot, relay = %relay.id(), outcome = %record.outcome, elapsed_ms = record.latency_us / 1000,
            error = %record.message, "relay answered");
        self.stays_after = None;
        let Some(run) = self.runs.get_mut(index) else { return };
        run.add(number, sent_ms_into_slot, record, bid);
        let Some(bid) = bid else { return };
        if terms.timing.keep == Keep::Latest {
            if run.is_latest(number) {
                self.candidates.withdraw_others(index, bid);
            } else if run.times_bid(bid) == 1 {
                self.candidates.fails(bid);
            }
        }
        if self.candidates.has_unknown_leader() {
            self.schedule.new_leader(Instant::now());
        }
    }

    /// Judges a bid; its number if it is usable.
    fn on_bid(
        &mut self,
        call: &HeaderCall,
        index: usize,
        terms: &RelayTerms,
        answer: BidAnswer,
        record: &mut RelayAnswer,
        memory: &BidMemory,
    ) -> Option<usize> {
        let relay = self.relays.get(index)?;
        let facts = answer.bid.facts();
        let (value, block_hash) = (facts.value, facts.block_hash);
        record.http_status = Some(200);
        record.value = Some(value);
        record.block_hash = Some(block_hash);
        if self.runs.get(index).is_some_and(RelayRun::has_forged) {
            record.outcome = BidOutcome::Flawed(BidFlaw::WrongSignature);
            "not looked at: an earlier bid of this relay in this auction was not signed by it"
                .clone_into(&mut record.message);
            return None;
        }
        let score = self.policy.score(&terms.weight, facts);
        let bid = match self.usable(answer, relay, terms, score) {
            Ok(bid) => bid,
            Err(fault) => {
                record.outcome = fault.kind();
                record.message = fault.to_string();
                return None;
            }
        };
        let bid = Arc::new(bid);
        let facts = bid.bid().facts();
        memory.remember(call.slot, facts, relay, call.proposer);
        record.message = "offered a usable bid".to_owned();
        record.score = (score != value).then_some(score);
        if let Some(warning) = bid.gas_limit_warning() {
            record.message = format!("offered a usable bid; warning: {warning}");
            warn!(slot = %call.slot, relay = %relay.id(), error = %warning, "bid ignores the registered gas limit");
        }
        let claim = Claim { score, value, block_hash, relay: index };
        let added = self.candidates.add(claim, Arc::clone(&bid));
        if let Ok(number) = added
            && self.payloads.add(number, index, facts)
        {
            self.compare();
        }
        let (Ok(number) | Err(number)) = added;
        Some(number)
    }

    /// A bid that says what it should, and counts something.
    fn usable(
        &self,
        answer: BidAnswer,
        relay: &Relay,
        terms: &RelayTerms,
        score: Wei,
    ) -> Result<CheckedBid, BidFault> {
        let expected =
            Expectations { min_bid: terms.min_bid.unwrap_or(self.expected.min_bid), ..self.expected };
        let bid = check_bid(answer.bid, relay.settings().pubkey.bytes(), &expected)?;
        if score.is_zero() {
            return Err(BidFault::Excluded);
        }
        let below = self.floor.and_then(|floor| floor.fault_of(bid.bid().facts().value));
        below.map_or(Ok(bid), Err)
    }
}
