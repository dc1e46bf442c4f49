//! One header race: all relays at once, the leader verified while the others are awaited, an answer within the budget.

use std::{sync::Arc, time::Duration};

use alloy_primitives::{B256, Bytes};
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tracing::{debug, info, warn};

pub(super) use super::answers::micros;
use super::{
    Auction, Budget, BudgetInputs, Expectations, GasLimitTarget, Policy, PolicyTable, VerifiedBid,
    answers::blank,
    budget,
    clock_note::clock_note,
    gather::{Hurry, Race},
    metrics::record_auction,
    payload_comparison::PayloadComparison,
    shared::{Ended, Lead, Place, RaceKey, Running, Won},
    state::user_agent,
};
use crate::{
    consensus::Encoding,
    ethereum::{BeaconNode, NodeError},
    events::{AuctionRecord, BidOutcome, Event, RaceShare, RelayAnswer, Spine, Winner},
    relay::{CallContext, HeaderCall, Relay},
    types::{BlsPublicKey, Fork, RelayId, Slot, UnixMillis, Wei},
};

/// Time that must be left to hold another race when the one that was joined had too little. Arbitrary: a relay's usual latency.
const MIN_LEFT: Duration = Duration::from_millis(100);

/// A request for a header.
#[derive(Clone, Debug)]
pub struct HeaderRequest {
    /// Slot to be proposed.
    pub slot: Slot,
    /// Execution parent.
    pub parent_hash: B256,
    /// Proposer's key.
    pub proposer: BlsPublicKey,
    /// `X-Timeout-Ms`, where usable.
    pub client_timeout: Option<Duration>,
    /// `Date-Milliseconds`, where usable.
    pub sent_at: Option<UnixMillis>,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// When the request was read.
    pub received: Instant,
}

/// A race that is to be held.
struct HeldRace {
    request: HeaderRequest,
    policies: Arc<PolicyTable>,
    record: AuctionRecord,
    /// When relays are no longer waited for, and when the answer leaves.
    times: Hurry,
    lead: Lead,
}

impl Auction {
    /// Returns the best bid that holds, or none: of a race of its own, or of the one that is held or was won for the same block.
    /// Everything that happened is published as one event.
    pub async fn get_header(self: &Arc<Self>, request: HeaderRequest) -> Option<VerifiedBid> {
        let requested_at = self.clock.now();
        let ms_into_slot = self.slots.ms_into(request.slot, requested_at);
        // One snapshot for the whole race: no reload mixes two configurations in it.
        let policies = self.policies.load_full();
        let policy = policies.policy_of(&request.proposer);
        let settings = &policy.settings;
        let fork = self.spec.fork_at(request.slot);
        let budget = budget(&BudgetInputs {
            timeout: settings.timeout_get_header,
            client_timeout: request.client_timeout,
            sent_ms_ago: request.sent_at.map_or(0, |sent| requested_at.saturating_sub(sent)),
            ms_into_slot,
            late_in_slot_ms: settings.late_in_slot_ms,
            reserve: settings.reserve,
        });
        let mut record = AuctionRecord {
            slot: request.slot,
            parent_hash: request.parent_hash,
            proposer: request.proposer,
            fork,
            requested_at,
            ms_into_slot,
            budget_ms: 0,
            answered_in_us: 0,
            user_agent: request.user_agent.clone(),
            policy: policy.id.clone(),
            fee_recipient: self
                .validators
                .get(&request.proposer)
                .map(|registration| registration.fee_recipient),
            race: RaceShare::Own,
            winner: None,
            no_bid_reason: String::new(),
            answers: Vec::new(),
        };
        let Some(_race) = self.awaited.open_race(request.slot) else {
            record.no_bid_reason = "relaymux is stopping".to_owned();
            self.close(request.received, record, None, false);
            return None;
        };
        let (collect, answer) = match budget {
            Budget::Race { .. } if fork >= Fork::Gloas => {
                record.no_bid_reason = format!("{fork} has no builder bids of relays");
                self.close(request.received, record, None, false);
                return None;
            }
            Budget::TooLate => {
                record.no_bid_reason = format!(
                    "asked {ms_into_slot} ms into the slot, and late_in_slot_time_ms is {}: a header this late may not be \
                     revealed in time",
                    settings.late_in_slot_ms
                );
                self.close(request.received, record, None, true);
                return None;
            }
            Budget::Race { collect, answer } => (collect, answer),
        };
        record.budget_ms = u64::try_from(answer.as_millis()).unwrap_or(u64::MAX);
        let times = Hurry { collect_by: request.received + collect, answer_by: request.received + answer };
        let HeaderRequest { slot, parent_hash, proposer, .. } = request;
        let key = RaceKey { slot, parent_hash, proposer };
        let mut may_try_again = true;
        let lead = loop {
            let running = match self.races.enter(key) {
                Place::Won(won) => {
                    record.race = RaceShare::Repeated;
                    if self.contradicts_node(&key, &won) {
                        record.no_bid_reason = "the bid of the auction for the same block is not as the beacon node has said since: \
                                             the consensus client would refuse the block"
                            .to_owned();
                        self.close(request.received, record, None, false);
                        return None;
                    }
                    return Some(self.share(request.received, record, &won));
                }
                Place::First(lead) => break lead,
                Place::Running(running) => running,
            };
            let joined = AuctionRecord { race: RaceShare::Joined, ..record.clone() };
            let ended = self.join(&running, &request, &joined, times).await;
            if let Some(Ended { won: Some(won), .. }) = &ended {
                return Some(self.share(request.received, joined, won));
            }
            // It had less time than this client has: once more, in what is left.
            let was_cut = ended.as_ref().is_some_and(|ended| ended.was_cut);
            if !(was_cut && may_try_again && Instant::now() + MIN_LEFT < times.collect_by) {
                let no_bid_reason = no_bid_of_shared(ended.is_some()).to_owned();
                self.close(request.received, AuctionRecord { no_bid_reason, ..joined }, None, false);
                return None;
            }
            may_try_again = false;
        };
        let running = Arc::clone(&lead.running);
        let end = running.wait();
        let hang_up = HangUp::of_first(running, slot, request.received);
        let auction = Arc::clone(self);
        let held = HeldRace { request, policies, record, times, lead };
        // A task of its own: others may be waiting for it when this client hangs up.
        self.tasks.spawn(async move { auction.hold(held).await });
        let ended = told(end).await;
        hang_up.disarm();
        ended.and_then(|ended| ended.won).map(|won| won.bid.clone())
    }

    /// Waits for a race under way, until it ends or this request's time is up.
    async fn join(
        &self,
        running: &Arc<Running>,
        request: &HeaderRequest,
        record: &AuctionRecord,
        times: Hurry,
    ) -> Option<Ended> {
        let end = running.wait();
        running.hurry(times);
        let hang_up = HangUp::of_other(&self.spine, record.clone(), request.received);
        let ended = timeout_at(times.answer_by, told(end)).await.ok().flatten();
        hang_up.disarm();
        ended
    }

    /// Whether the beacon node speaks against a bid that was won before it spoke.
    fn contradicts_node(&self, key: &RaceKey, won: &Won) -> bool {
        let mut payloads = PayloadComparison::new(self.node_attributes.subscribe(key.slot, key.parent_hash));
        payloads.refresh() && payloads.contradicts(won.bid.bid().facts())
    }

    /// Gives a bid that was won for another request.
    fn share(&self, received: Instant, mut record: AuctionRecord, won: &Won) -> VerifiedBid {
        self.awaited.returned(record.slot, &self.slots, self.clock.now());
        record.winner = Some(Box::new(won.winner.clone()));
        self.close(received, record, Some(won.bid.clone()), false);
        won.bid.clone()
    }

    /// Holds a race to its end.
    async fn hold(&self, held: HeldRace) {
        let HeldRace { request, policies, mut record, times, lead } = held;
        let policy = policies.policy_of(&request.proposer);
        let settings = &policy.settings;
        let relays = self.relays.asked_of(&policy.relays);
        let registration = self.validators.get(&request.proposer);
        let expected = Expectations {
            parent_hash: request.parent_hash,
            timestamp: self.slots.payload_timestamp(request.slot),
            min_bid: settings.min_bid,
            gas_limit: registration.map(|registration| GasLimitTarget {
                registered: registration.gas_limit,
                parent: self.gas_limits.of(request.parent_hash),
            }),
            gas_limit_check: settings.gas_limit_check,
            max_blobs: self.max_blobs_in(request.slot),
        };
        let payloads =
            PayloadComparison::new(self.node_attributes.subscribe(request.slot, request.parent_hash));
        let mut race = Race::new(&relays, policy, expected, payloads, request.received, record.ms_into_slot);
        let call = HeaderCall {
            slot: request.slot,
            parent_hash: request.parent_hash,
            proposer: request.proposer,
            fork: self.spec.fork_at(request.slot),
        };
        let context = CallContext { user_agent: user_agent(&request.user_agent), deadline: times.collect_by };
        // Asked at once: by the time that bids come it is known what they must exceed.
        let local = match (&self.beacon, settings.min_profit) {
            (Some(beacon), Some(min_profit)) => {
                Some((self.ask_local(beacon.clone(), request.slot), min_profit))
            }
            (None, _) | (_, None) => None,
        };
        self.gather(&mut race, call, &context, times.answer_by, local, &lead.running.wishes()).await;
        let won = race.take_winner().map(|(index, bid)| {
            let facts = bid.bid().facts();
            let also = race.candidates.relays_of(facts.block_hash).filter(|other| *other != index);
            let by = std::iter::once(index).chain(also).filter_map(|i| relays.get(i));
            let mut relays_of_it: Vec<RelayId> = Vec::new();
            for relay in by {
                if !relays_of_it.contains(relay.id()) {
                    relays_of_it.push(relay.id().clone());
                }
            }
            let winner = Winner {
                block_hash: facts.block_hash,
                value: facts.value,
                relays: relays_of_it,
                builder: policy.builder_name(facts),
                signed_bid: Bytes::new(),
            };
            Arc::new(Won { bid, winner })
        });
        // The clients first: what is written down comes when their answer is under way.
        let was_awaited = lead.running.is_awaited();
        let hung_up_after = lead.running.hung_up_after.get().copied();
        let was_cut = race.is_incomplete();
        if won.is_some() && was_awaited {
            self.awaited.returned(record.slot, &self.slots, self.clock.now());
        }
        lead.conclude(Ended { won: won.clone(), was_cut });
        self.node_attributes.record(race.payloads.comparison(request.slot));
        let winner = won.as_ref().map(|won| won.winner.block_hash);
        record.answers = race.records(winner, request.received.elapsed());
        record.answers.extend(self.not_asked(policy, &relays));
        let mut bid = None;
        match (won, was_awaited) {
            (Some(won), true) => {
                record.winner = Some(Box::new(won.winner.clone()));
                bid = Some(won.bid.clone());
            }
            (_, false) => {
                let waited = hung_up_after.unwrap_or_else(|| request.received.elapsed()).as_millis();
                record.no_bid_reason = format!("the client hung up after {waited} ms, before the answer");
            }
            (None, true) => record.no_bid_reason = no_bid_reason(&record.answers),
        }
        self.close(request.received, record, bid, false);
    }

    /// A record of each relay of the policy that was not asked, with the reason.
    fn not_asked(&self, policy: &Policy, asked: &[Arc<Relay>]) -> Vec<RelayAnswer> {
        let is_left_out = |relay: &&Arc<Relay>| {
            relay.settings().enabled && !asked.iter().any(|asked| asked.id() == relay.id())
        };
        let record = |relay: &Arc<Relay>| {
            let status = self.relays.status(relay.id());
            let reason = status.map_or_else(String::new, |status| {
                format!(", {}: {}", status.mode.shown(status.reason), status.message)
            });
            let message = format!("not asked{reason}");
            RelayAnswer { outcome: BidOutcome::NotAsked, message, ..blank(relay, Duration::ZERO) }
        };
        policy.relays.iter().filter(is_left_out).map(record).collect()
    }

    /// Asks the beacon node what a block of its own would pay. Costs it a block that is thrown away.
    fn ask_local(&self, beacon: BeaconNode, slot: Slot) -> JoinHandle<Result<Wei, NodeError>> {
        tokio::spawn(async move {
            let value = beacon.local_block_value(slot).await;
            match &value {
                Ok(value) => debug!(%slot, value_eth = %value.to_eth(), "local block's value"),
                Err(error) => {
                    warn!(%slot, %error, "local block's value is not known, min_profit_eth does not count")
                }
            }
            value
        })
    }

    /// Says so where a request without bid came at a time that a wrong clock explains.
    fn explain_by_clock(&self, record: &mut AuctionRecord) {
        let late = self.policies.load().policy_of(&record.proposer).settings.late_in_slot_ms;
        let note = clock_note(record.ms_into_slot, late, **self.clock_verdict.load());
        if let (None, Some(note)) = (&record.winner, note) {
            warn!(slot = %record.slot, ms_into_slot = record.ms_into_slot, "{note}");
            record.no_bid_reason = format!("{}; {note}", record.no_bid_reason);
        }
    }

    /// Publishes the record, once the answer is under way.
    fn close(&self, received: Instant, mut record: AuctionRecord, bid: Option<VerifiedBid>, too_late: bool) {
        record.answered_in_us = micros(received.elapsed());
        self.explain_by_clock(&mut record);
        // The client first: metrics, log and event come when its answer is under way.
        let spine = self.spine.clone();
        tokio::spawn(async move {
            if let (Some(winner), Some(signed)) = (&mut record.winner, bid) {
                winner.signed_bid = signed.bid().encode(Encoding::Ssz).into();
            }
            record_auction(&record, too_late);
            log_auction(&record);
            spine.publish(Event::Auction(record));
        });
    }
}

/// The race's end, or nothing when it will never be told.
async fn told(mut end: watch::Receiver<Option<Ended>>) -> Option<Ended> {
    end.wait_for(Option::is_some).await.ok()?.clone()
}

/// Why a client that joined a race has no bid.
const fn no_bid_of_shared(has_ended: bool) -> &'static str {
    if has_ended {
        "the auction under way for the same block ended without a bid"
    } else {
        "the auction under way for the same block had no bid when this client's time was up"
    }
}

/// Notes that a client did not wait for its answer: the server drops the request when the client closes its connection, and the
/// operator should see that it gave up and when. The race goes on, as others may wait for it.
struct HangUp<'a> {
    running: Option<Arc<Running>>,
    own_record: Option<(&'a Spine, AuctionRecord)>,
    slot: Slot,
    received: Instant,
    is_armed: bool,
}

impl<'a> HangUp<'a> {
    /// Of the client that began the race: noted in the race's own record.
    fn of_first(running: Arc<Running>, slot: Slot, received: Instant) -> Self {
        Self { running: Some(running), own_record: None, slot, received, is_armed: true }
    }

    /// Of one that joined it: a record of its own.
    fn of_other(spine: &'a Spine, record: AuctionRecord, received: Instant) -> Self {
        let slot = record.slot;
        Self { running: None, own_record: Some((spine, record)), slot, received, is_armed: true }
    }

    fn disarm(mut self) {
        self.is_armed = false;
    }
}

impl Drop for HangUp<'_> {
    fn drop(&mut self) {
        if !self.is_armed {
            return;
        }
        let waited = self.received.elapsed();
        warn!(slot = %self.slot, elapsed_ms = waited.as_millis(), "client hung up before its header came");
        if let Some(running) = &self.running {
            let _ = running.hung_up_after.set(waited);
        }
        if let Some((spine, mut record)) = self.own_record.take() {
            record.answered_in_us = micros(waited);
            record.no_bid_reason =
                format!("the client hung up after {} ms, before the answer", waited.as_millis());
            record_auction(&record, false);
            spine.publish(Event::Auction(record));
        }
    }
}

fn log_auction(record: &AuctionRecord) {
    let elapsed_ms = record.answered_in_us / 1000;
    match &record.winner {
        Some(winner) => info!(
            slot = %record.slot,
            relay = %winner.relays.first().map_or("", |id| id.as_str()),
            value_eth = %winner.value.to_eth(),
            block_hash = %winner.block_hash,
            ms_into_slot = record.ms_into_slot,
            elapsed_ms,
            "bid selected"
        ),
        None => info!(
            slot = %record.slot,
            ms_into_slot = record.ms_into_slot,
            elapsed_ms,
            reason = %record.no_bid_reason,
            "no bid"
        ),
    }
}

/// A reason per relay, in one line.
fn no_bid_reason(answers: &[RelayAnswer]) -> String {
    if answers.is_empty() {
        return "no relay is active".to_owned();
    }
    answers
        .iter()
        .map(|answer| format!("{}: {}", answer.relay, answer.message))
        .collect::<Vec<_>>()
        .join("; ")
}
