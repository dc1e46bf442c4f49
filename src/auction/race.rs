//! One header race: all relays at once, the leader verified while the others are awaited, an answer within the budget.

use std::{sync::Arc, time::Duration};

use alloy_primitives::{B256, Bytes};
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};
use tracing::{debug, info, warn};

use super::{
    Auction, BidFault, Budget, BudgetInputs, Expectations, GasLimitTarget, Policy, VerifiedBid, budget,
    clock_note::clock_note,
    gather::{Race, blank},
    metrics::record_auction,
    state::user_agent,
};
use crate::{
    consensus::{Encoding, Fork, UnixMillis},
    ethereum::{BeaconNode, NodeError},
    events::{AuctionRecord, Event, Outcome, RelayAnswer, Spine, Winner},
    relay::{CallContext, HeaderCall, Relay},
    types::{BlsPublicKey, RelayId, Slot, Wei},
};

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

impl Auction {
    /// Holds a race and returns the best bid that holds, or none. Everything that happened is published as one event.
    pub async fn get_header(&self, request: HeaderRequest) -> Option<VerifiedBid> {
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
        let registration = self.validators.get(&request.proposer);
        let mut record = AuctionRecord {
            slot: request.slot,
            parent_hash: request.parent_hash,
            proposer: request.proposer,
            fork: fork.name(),
            requested_at,
            ms_into_slot,
            budget_ms: 0,
            answered_in_us: 0,
            user_agent: request.user_agent.clone(),
            policy: policy.id.clone(),
            fee_recipient: registration.map(|registration| registration.fee_recipient),
            winner: None,
            why_no_bid: String::new(),
            offers: Vec::new(),
        };
        let Some(_race) = self.awaited.open_race(request.slot) else {
            record.why_no_bid = "relaymux is stopping".to_owned();
            return self.close(request.received, record, None, false);
        };
        let relays = self.relays.asked_of(&policy.relays);
        let (collect, answer) = match budget {
            Budget::Race { .. } if fork >= Fork::Gloas => {
                record.why_no_bid = format!("{fork} has no builder bids of relays");
                return self.close(request.received, record, None, false);
            }
            Budget::TooLate => {
                record.why_no_bid = format!(
                    "asked {ms_into_slot} ms into the slot, and late_in_slot_time_ms is {}: a header this late may not be \
                     revealed in time",
                    settings.late_in_slot_ms
                );
                return self.close(request.received, record, None, true);
            }
            Budget::Race { collect, answer } => (collect, answer),
        };
        record.budget_ms = u64::try_from(answer.as_millis()).unwrap_or(u64::MAX);
        let expected = Expectations {
            parent_hash: request.parent_hash,
            timestamp: self.slots.payload_timestamp(request.slot),
            min_bid: settings.min_bid,
            gas_limit: registration.map(|registration| GasLimitTarget {
                registered: registration.gas_limit,
                parent: self.bid_memory.gas_limit(request.parent_hash),
            }),
            gas_limit_check: settings.gas_limit_check,
        };
        let mut race = Race::new(&relays, policy, expected, request.received, ms_into_slot);
        let call = HeaderCall {
            slot: request.slot,
            parent_hash: request.parent_hash,
            proposer: request.proposer,
            fork,
        };
        let context =
            CallContext { user_agent: user_agent(&request.user_agent), deadline: request.received + collect };
        // Asked at once, wanted only if there is a bid.
        let local = match (&self.beacon, settings.min_profit) {
            (Some(beacon), Some(min_profit)) => {
                Some((self.ask_local(beacon.clone(), request.slot), min_profit))
            }
            (None, _) | (_, None) => None,
        };
        let hang_up = HangUp { spine: &self.spine, record: Some(record.clone()), received: request.received };
        self.gather(&mut race, call, &context, request.received + answer).await;
        let mut bid = None;
        let mut best = race.take_winner();
        if let (Some((index, winner)), Some((local, min_profit))) = (&best, local)
            && let Ok(Ok(Ok(local))) = timeout_at(context.deadline, local).await
            && winner.bid().facts().value < local.saturating_add(min_profit)
        {
            let fault = BidFault::BelowLocal { local, min_profit, got: winner.bid().facts().value };
            race.overrule(*index, &fault);
            best = None;
        }
        hang_up.disarm();
        if let Some((index, winner)) = best {
            let facts = winner.bid().facts();
            let also = race.candidates.relays_of(facts.block_hash).filter(|other| *other != index);
            let by = std::iter::once(index).chain(also).filter_map(|i| relays.get(i));
            let mut relays_of_it: Vec<RelayId> = Vec::new();
            for relay in by {
                if !relays_of_it.contains(relay.id()) {
                    relays_of_it.push(relay.id().clone());
                }
            }
            record.winner = Some(Box::new(Winner {
                block_hash: facts.block_hash,
                value: facts.value,
                relays: relays_of_it,
                builder: policy.builder_name(facts),
                signed_bid: Bytes::new(),
            }));
            bid = Some(winner);
        }
        let winner = record.winner.as_ref().map(|winner| winner.block_hash);
        record.offers = race.records(winner, request.received.elapsed());
        record.offers.extend(self.not_asked(policy, &relays));
        if record.winner.is_none() {
            record.why_no_bid = why_no_bid(&record.offers);
        }
        self.close(request.received, record, bid, false)
    }

    /// A record of each relay of the policy that was not asked, with the reason.
    fn not_asked(&self, policy: &Policy, asked: &[Arc<Relay>]) -> Vec<RelayAnswer> {
        let is_left_out = |relay: &&Arc<Relay>| {
            relay.settings().enabled && !asked.iter().any(|asked| asked.id() == relay.id())
        };
        let record = |relay: &Arc<Relay>| {
            let status = self.relays.status(relay.id());
            let why = status
                .map_or_else(String::new, |status| format!(", {}: {}", status.place.label(), status.why));
            let detail = format!("not asked{why}");
            RelayAnswer { outcome: Outcome::NotAsked, detail, ..blank(relay, Duration::ZERO) }
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
            record.why_no_bid = format!("{}; {note}", record.why_no_bid);
        }
    }

    /// Publishes the record and hands the answer on.
    fn close(
        &self,
        received: Instant,
        mut record: AuctionRecord,
        bid: Option<VerifiedBid>,
        too_late: bool,
    ) -> Option<VerifiedBid> {
        record.answered_in_us = micros(received.elapsed());
        if bid.is_some() {
            self.awaited.returned(record.slot, &self.slots, self.clock.now());
        }
        self.explain_by_clock(&mut record);
        // The client first: metrics, log and event come when its answer is under way.
        let spine = self.spine.clone();
        let signed = bid.clone();
        tokio::spawn(async move {
            if let (Some(winner), Some(signed)) = (&mut record.winner, signed) {
                winner.signed_bid = signed.bid().encode(Encoding::Ssz).into();
            }
            record_auction(&record, too_late);
            log_auction(&record);
            spine.publish(Event::Auction(record));
        });
        bid
    }
}

/// Publishes that nobody waited for the answer, if the race is dropped before its end: the server drops it when the client closes
/// its connection, and the operator should see that the client gave up and when.
struct HangUp<'a> {
    spine: &'a Spine,
    record: Option<AuctionRecord>,
    received: Instant,
}

impl HangUp<'_> {
    fn disarm(mut self) {
        self.record = None;
    }
}

impl Drop for HangUp<'_> {
    fn drop(&mut self) {
        let Some(mut record) = self.record.take() else { return };
        let waited = self.received.elapsed();
        record.answered_in_us = micros(waited);
        record.why_no_bid = format!("the client hung up after {} ms, before the answer", waited.as_millis());
        record_auction(&record, false);
        warn!(slot = %record.slot, elapsed_ms = waited.as_millis(), "client hung up before its header came");
        self.spine.publish(Event::Auction(record));
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
            why = %record.why_no_bid,
            "no bid"
        ),
    }
}

/// A reason per relay, in one line.
fn why_no_bid(offers: &[RelayAnswer]) -> String {
    if offers.is_empty() {
        return "no relay is active".to_owned();
    }
    offers.iter().map(|offer| format!("{}: {}", offer.relay, offer.detail)).collect::<Vec<_>>().join("; ")
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
