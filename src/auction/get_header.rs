//! `getHeader`: a request is prepared, raced for, and concluded; one that wants the same block as another shares its race.
//!
//! Promises an answer within the request's budget whatever any relay, disk or other process does: a race shows the best proven bid it
//! has in hand, and when a client's time is up it is given that one, or told that there is none. What cannot be done in time is refused
//! at once, or when its turn has not come in its time. Everything that happened is published as one event a request.

use std::{sync::Arc, time::Duration};

use alloy_primitives::B256;
use tokio::{
    sync::watch,
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tracing::{debug, warn};

use super::{
    admission::{Load, Refusal},
    awaited::OpenRace,
    check::{Expectations, GasLimitTarget, VerifiedBid},
    closing::no_bid_reason,
    deadline::{Budget, BudgetInputs, RaceTimes, budget},
    gather::LocalValue,
    hang_up::HangUp,
    load::Admitted,
    metrics::{record_held, record_late_answer, record_shared},
    payload_comparison::PayloadComparison,
    policy::{Policy, PolicyTable},
    race::{Begun, Race},
    shared::{Ended, Lead, Place, RaceKey, Running, Won},
    state::{Auction, user_agent},
};
use crate::{
    ethereum::{BeaconNode, NodeError},
    events::{AuctionRecord, RaceShare},
    relay::{CallContext, HeaderCall},
    types::{BlsPublicKey, Fork, Slot, UnixMillis, Wei, micros},
};

/// Time that must be left to hold another race when the one that was joined had too little. Arbitrary: a relay's usual latency.
const MIN_LEFT: Duration = Duration::from_millis(100);

/// Why a bid that was won is not given again.
const NODE_DISAGREES: &str = "the bid of the auction for the same block is not as the beacon node has said since: the consensus client would \
                              refuse the block";

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

/// A request that may be raced for.
struct Prepared {
    request: HeaderRequest,
    policies: Arc<PolicyTable>,
    record: AuctionRecord,
    times: RaceTimes,
    /// Time that there is in all.
    budget: Duration,
    load: Load,
}

/// A race that is to be held.
struct HeldRace {
    request: HeaderRequest,
    policies: Arc<PolicyTable>,
    record: AuctionRecord,
    times: RaceTimes,
    lead: Lead,
    admitted: Admitted,
}

/// Whose race is a request's.
enum Entered {
    /// It has its answer: another one's bid, or none.
    Answered(Option<VerifiedBid>),
    /// Its own.
    Own(Lead),
}

impl Auction {
    /// Returns the best bid that holds, or none: of a race of its own, or of the one that is held or was won for the same block.
    /// Everything that happened is published as one event.
    pub async fn get_header(self: &Arc<Self>, request: HeaderRequest) -> Option<VerifiedBid> {
        let received = request.received;
        let (prepared, _open) = self.prepare(request)?;
        let budget = prepared.budget;
        let bid = match self.enter_race(&prepared).await {
            Entered::Answered(bid) => bid,
            Entered::Own(lead) => self.hold_own(prepared, lead).await,
        };
        if received.elapsed() > budget {
            record_late_answer();
        }
        bid
    }

    /// Works out what applies to a request and how long it has; closes one that is not raced for.
    fn prepare(&self, request: HeaderRequest) -> Option<(Prepared, OpenRace<'_>)> {
        let requested_at = self.clock.now();
        let ms_into_slot = self.slots.ms_into(request.slot, requested_at);
        // One snapshot for the whole race: no reload mixes two configurations in it.
        let policies = self.policies.load_full();
        let policy = policies.policy_of(&request.proposer);
        let settings = &policy.settings;
        let load = self.load.load(&self.verify);
        let budget = budget(&BudgetInputs {
            timeout: settings.timeout_get_header,
            client_timeout: request.client_timeout,
            sent_ms_ago: request.sent_at.map_or(0, |sent| requested_at.saturating_sub(sent)),
            ms_into_slot,
            late_in_slot_ms: settings.late_in_slot_ms,
            reserve: settings.reserve,
            needed: load.reserve(),
        });
        let late_in_slot_ms = settings.late_in_slot_ms;
        let mut record = self.begin_record(&request, policy, requested_at, ms_into_slot);
        let Some(open) = self.awaited.open_race(request.slot) else {
            record.no_bid_reason = "relaymux is stopping".to_owned();
            self.close(request.received, record, None, false);
            return None;
        };
        let fork = self.spec.fork_at(request.slot);
        if let Some(held) = self.held(requested_at) {
            record_held();
            record.no_bid_reason.clone_from(&held.reason);
            self.close(request.received, record, None, false);
            return None;
        }
        match budget {
            Budget::Race { .. } if fork >= Fork::Gloas => {
                record.no_bid_reason = format!("{fork} has no builder bids of relays");
                self.close(request.received, record, None, false);
                None
            }
            Budget::TooLate => {
                record.no_bid_reason = format!(
                    "asked {ms_into_slot} ms into the slot, and late_in_slot_time_ms is {late_in_slot_ms}: a header this late may \
                     not be published in time"
                );
                self.close(request.received, record, None, true);
                None
            }
            Budget::Race { collect, decide, answer } => {
                record.budget_ms = u64::try_from(answer.as_millis()).unwrap_or(u64::MAX);
                let times = RaceTimes {
                    collect_by: request.received + collect,
                    decide_by: request.received + decide,
                    answer_by: request.received + answer,
                };
                Some((Prepared { request, policies, record, times, budget: answer, load }, open))
            }
        }
    }

    fn begin_record(
        &self,
        request: &HeaderRequest,
        policy: &Policy,
        requested_at: UnixMillis,
        ms_into_slot: i64,
    ) -> AuctionRecord {
        let registration = self.validators.get(&request.proposer);
        AuctionRecord {
            slot: request.slot,
            parent_hash: request.parent_hash,
            proposer: request.proposer,
            fork: self.spec.fork_at(request.slot),
            requested_at,
            ms_into_slot,
            budget_ms: 0,
            answered_in_us: 0,
            user_agent: request.user_agent.clone(),
            policy: policy.id.clone(),
            fee_recipient: registration.map(|registration| registration.fee_recipient),
            race: RaceShare::Own,
            winner: None,
            no_bid_reason: String::new(),
            answers: Vec::new(),
        }
    }

    /// Finds the race for a request's block: its own to be held, or another one's and with it the answer.
    async fn enter_race(&self, prepared: &Prepared) -> Entered {
        let Prepared { request, record, times, .. } = prepared;
        let HeaderRequest { slot, parent_hash, proposer, received, .. } = *request;
        let key = RaceKey { slot, parent_hash, proposer };
        let mut may_try_again = true;
        loop {
            let running = match self.races.enter(key) {
                Place::Won(won) => {
                    let is_told = won.repeated.add();
                    let repeated =
                        is_told.then(|| AuctionRecord { race: RaceShare::Repeated, ..record.clone() });
                    if self.contradicts_node(&key, &won) {
                        self.share_nothing(received, RaceShare::Repeated, repeated, NODE_DISAGREES);
                        return Entered::Answered(None);
                    }
                    return Entered::Answered(Some(self.share(request, RaceShare::Repeated, repeated, &won)));
                }
                Place::First(lead) => return Entered::Own(lead),
                Place::Running(running) => running,
            };
            let is_told = running.joined.add();
            let joined = is_told.then(|| AuctionRecord { race: RaceShare::Joined, ..record.clone() });
            let ended = self.join(&running, received, joined.as_ref(), *times).await;
            if let Some(Ended { won: Some(won), .. }) = &ended {
                return Entered::Answered(Some(self.share(request, RaceShare::Joined, joined, won)));
            }
            // It had less time than this client has: once more, in what is left.
            let was_cut = ended.as_ref().is_some_and(|ended| ended.was_cut);
            if !(was_cut && may_try_again && Instant::now() + MIN_LEFT < times.collect_by) {
                self.share_nothing(received, RaceShare::Joined, joined, no_bid_of_shared(ended.is_some()));
                return Entered::Answered(None);
            }
            may_try_again = false;
        }
    }

    /// Waits for a race under way, until it ends or this request's time is up.
    async fn join(
        &self,
        running: &Arc<Running>,
        received: Instant,
        record: Option<&AuctionRecord>,
        times: RaceTimes,
    ) -> Option<Ended> {
        let end = running.wait();
        running.hurry(times);
        let hang_up = record.map(|record| HangUp::of_other(&self.spine, record.clone(), received));
        // Without a bid in hand it goes on for those who have more time.
        let ended = self.end_of(end, times).await.or_else(|| running.settle());
        if let Some(hang_up) = hang_up {
            hang_up.disarm();
        }
        ended
    }

    /// Whether the beacon node speaks against a bid that was won before it spoke.
    fn contradicts_node(&self, key: &RaceKey, won: &Won) -> bool {
        let mut payloads = PayloadComparison::new(self.node_attributes.subscribe(key.slot, key.parent_hash));
        payloads.refresh() && payloads.contradicts(won.bid.bid().facts())
    }

    /// Closes a request that got no bid of another one's race.
    fn share_nothing(
        &self,
        received: Instant,
        share: RaceShare,
        record: Option<AuctionRecord>,
        reason: &'static str,
    ) {
        match record {
            Some(record) => {
                let record = AuctionRecord { no_bid_reason: reason.to_owned(), ..record };
                self.close(received, record, None, false);
            }
            None => record_shared(share),
        }
    }

    /// Gives a bid that was won for another request.
    fn share(
        &self,
        request: &HeaderRequest,
        share: RaceShare,
        record: Option<AuctionRecord>,
        won: &Won,
    ) -> VerifiedBid {
        self.awaited.returned(request.slot, &self.slots, self.clock.now());
        match record {
            Some(mut record) => {
                record.winner = Some(Box::new(won.winner.clone()));
                self.close(request.received, record, Some(won.bid.clone()), false);
            }
            None => record_shared(share),
        }
        won.bid.clone()
    }

    /// Has a race held for a request, if it can be held in time, and waits for its end.
    async fn hold_own(self: &Arc<Self>, prepared: Prepared, lead: Lead) -> Option<VerifiedBid> {
        let Prepared { request, policies, record, times, budget, load } = prepared;
        let admitted = match self.load.begin_race(&load, budget) {
            Ok(admitted) => admitted,
            Err(refusal) => {
                drop(lead);
                self.refuse(request.received, record, refusal);
                return None;
            }
        };
        let running = Arc::clone(&lead.running);
        let end = running.wait();
        let slot = request.slot;
        let hang_up = HangUp::of_first(Arc::clone(&running), slot, request.received);
        let auction = Arc::clone(self);
        let held = HeldRace { request, policies, record, times, lead, admitted };
        // A task of its own: others may be waiting for it when this client hangs up.
        self.tasks.spawn(async move { auction.hold(held).await });
        let ended = self.end_of(end, times).await.unwrap_or_else(|| running.give_up());
        hang_up.disarm();
        let won = ended.won?;
        self.awaited.returned(slot, &self.slots, self.clock.now());
        Some(won.bid.clone())
    }

    /// The race's end, if it is told before this request must be decided. When that is, is looked at anew towards the end.
    async fn end_of(&self, mut end: watch::Receiver<Option<Ended>>, mut times: RaceTimes) -> Option<Ended> {
        loop {
            let look_at = times.next_look(Instant::now()).min(times.decide_by);
            if let Ok(told) = timeout_at(look_at, end.wait_for(Option::is_some)).await {
                return told.ok()?.clone();
            }
            if Instant::now() >= times.decide_by {
                return None;
            }
            times = times.with_reserve(self.load.load(&self.verify).reserve(), Instant::now());
        }
    }

    /// Holds a race to its end, when its turn has come.
    async fn hold(&self, held: HeldRace) {
        let HeldRace { request, policies, record, mut times, lead, admitted } = held;
        let has_waited = !admitted.is_now();
        // Counts as under way as long as it lives.
        let Some(_under_way) = admitted.turn(request.received).await else {
            drop(lead);
            return self.refuse(request.received, record, Refusal::TooMany);
        };
        if has_waited {
            if !lead.running.is_awaited() {
                let mut record = record;
                record.no_bid_reason = hung_up(&lead.running, request.received);
                drop(lead);
                return self.close(request.received, record, None, false);
            }
            times = times.with_reserve(self.load.load(&self.verify).reserve(), Instant::now());
            if times.collect_by <= Instant::now() {
                drop(lead);
                return self.refuse(request.received, record, Refusal::NoTime);
            }
        }
        let policy = policies.policy_of(&request.proposer);
        let relays = self.relays.asked_of(&policy.relays);
        let expected = self.expectations(&request, policy);
        let payloads =
            PayloadComparison::new(self.node_attributes.subscribe(request.slot, request.parent_hash));
        let begun = Begun::of(request.received, record.ms_into_slot, has_waited);
        let mut race = Race::new(&relays, policy, expected, payloads, begun);
        let call = HeaderCall {
            slot: request.slot,
            parent_hash: request.parent_hash,
            proposer: request.proposer,
            fork: self.spec.fork_at(request.slot),
        };
        let context = CallContext { user_agent: user_agent(&request.user_agent), deadline: times.collect_by };
        let local = self.local_value(policy, request.slot);
        self.gather(&mut race, call, &context, times, local, &lead.running).await;
        self.conclude(race, lead, record, request.received);
    }

    /// What a bid for a request must say.
    fn expectations(&self, request: &HeaderRequest, policy: &Policy) -> Expectations {
        let registration = self.validators.get(&request.proposer);
        Expectations {
            parent_hash: request.parent_hash,
            timestamp: self.slots.payload_timestamp(request.slot),
            min_bid: policy.settings.min_bid,
            gas_limit: registration.map(|registration| GasLimitTarget {
                registered: registration.gas_limit,
                parent: self.gas_limits.of(request.parent_hash),
            }),
            gas_limit_check: policy.settings.gas_limit_check,
            max_blobs: self.max_blobs_in(request.slot),
        }
    }

    /// Tells the end, the clients first: what is written down comes when their answer is under way.
    fn conclude(&self, mut race: Race<'_>, lead: Lead, mut record: AuctionRecord, received: Instant) {
        let running = Arc::clone(&lead.running);
        let was_awaited = running.is_awaited();
        race.refresh_attributes();
        let won = race.won().map(Arc::new);
        if won.is_some() && was_awaited {
            self.awaited.returned(record.slot, &self.slots, self.clock.now());
        }
        let ended = lead.conclude(Ended { won, was_cut: race.is_incomplete() });
        let won = ended.won;
        self.node_attributes.record(race.payloads.comparison(record.slot));
        let (policy, relays, not_checked) = (race.policy, race.relays, race.not_checked());
        let winner = won.as_ref().map(|won| won.winner.block_hash);
        let waited = race.started.elapsed();
        record.answers = race.records(winner, waited);
        record.answers.extend(self.not_asked(policy, relays));
        let mut bid = None;
        match (won, was_awaited) {
            (Some(won), true) => {
                record.winner = Some(Box::new(won.winner.clone()));
                bid = Some(won.bid.clone());
            }
            (_, false) => record.no_bid_reason = hung_up(&running, received),
            (None, true) => record.no_bid_reason = no_bid_reason(&record.answers, not_checked),
        }
        self.close(received, record, bid, false);
    }

    /// Has the beacon node asked what a block of its own would pay, where that counts. Asked at once: by the time that bids come it
    /// is known what they must exceed.
    fn local_value(&self, policy: &Policy, slot: Slot) -> Option<LocalValue> {
        let (beacon, min_profit) = (self.beacon.as_ref()?, policy.settings.min_profit?);
        Some((ask_local(beacon.clone(), slot), min_profit))
    }
}

/// Asks the beacon node what a block of its own would pay. Costs it a block that is thrown away.
fn ask_local(beacon: BeaconNode, slot: Slot) -> JoinHandle<Result<Wei, NodeError>> {
    tokio::spawn(async move {
        let asked = Instant::now();
        let value = beacon.local_block_value(slot).await;
        match &value {
            Ok(value) => {
                debug!(%slot, value_eth = %value.to_eth(), elapsed_us = micros(asked.elapsed()), "local block's value");
            }
            Err(error) => {
                warn!(%slot, %error, "local block's value is not known, min_profit_eth does not count")
            }
        }
        value
    })
}

/// Why a race had nobody to be held for.
fn hung_up(running: &Running, received: Instant) -> String {
    let hung_up_after = running.hung_up_after.get().copied();
    let waited = hung_up_after.unwrap_or_else(|| received.elapsed()).as_millis();
    format!("the client hung up after {waited} ms, before the answer")
}

/// Why a client that joined a race has no bid.
const fn no_bid_of_shared(has_ended: bool) -> &'static str {
    if has_ended {
        "the auction under way for the same block ended without a bid"
    } else {
        "the auction under way for the same block had no bid when this client's time was up"
    }
}
