//! One header race: all relays at once, the leader verified while the others are awaited, an answer within the budget.

use std::{sync::Arc, time::Duration};

use alloy_primitives::B256;
use futures_util::{StreamExt, stream::FuturesUnordered};
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep_until},
};
use tracing::{debug, info, warn};

use super::{
    Auction, BidFault, Budget, BudgetInputs, Candidates, CheckedBid, Expectations, GasLimitTarget,
    VerifiedBid, budget, check_bid,
    house::user_agent,
    metrics::{record_auction, record_verification},
};
use crate::{
    consensus::{Fork, UnixMillis},
    events::{AuctionRecord, Event, OfferRecord, Spine, Winner},
    relay::{CallContext, CallFailure, HeaderCall, HeaderOutcome, Relay},
    types::{BlsPublicKey, Slot},
};

/// How long a bid must have led before its signature is checked while relays are still awaited. Bids often come in bursts, and a
/// check costs a millisecond of a core that the next bid would make worthless; a winner that came later than this before the end is
/// checked at the end and costs that millisecond once. Measured with `scripts/bench`, see docs/performance.md.
const LEAD_BEFORE_CHECK: Duration = Duration::from_millis(5);

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

/// A signature check on a blocking thread, and whose bid it is.
type Check = (usize, JoinHandle<Result<VerifiedBid, BidFault>>);

struct Race<'a> {
    relays: &'a [Arc<Relay>],
    expected: Expectations,
    offers: Vec<Option<OfferRecord>>,
    candidates: Candidates<Arc<CheckedBid>>,
    verified: Vec<Option<VerifiedBid>>,
    started: Instant,
}

struct RelayAnswer {
    index: usize,
    outcome: HeaderOutcome,
    latency: Duration,
}

impl Auction {
    /// Holds a race and returns the best bid that holds, or none. Everything that happened is published as one event.
    pub async fn get_header(&self, request: HeaderRequest) -> Option<VerifiedBid> {
        let requested_at = self.clock.now();
        let ms_into_slot = self.slots.ms_into(request.slot, requested_at);
        let settings = self.settings.load_full();
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
            fork: fork.name(),
            requested_at,
            ms_into_slot,
            budget_ms: 0,
            answered_in_us: 0,
            user_agent: request.user_agent.clone(),
            winner: None,
            why_no_bid: String::new(),
            offers: Vec::new(),
        };
        let relays = self.relays.active();
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
        let registration = self.validators.get(&request.proposer);
        let mut race = Race {
            relays: &relays,
            expected: Expectations {
                parent_hash: request.parent_hash,
                timestamp: self.slots.payload_timestamp(request.slot),
                min_bid: settings.min_bid,
                gas_limit: registration.map(|registration| GasLimitTarget {
                    registered: registration.gas_limit,
                    parent: self.offers.gas_limit(request.parent_hash),
                }),
                gas_limit_check: settings.gas_limit_check,
            },
            offers: relays.iter().map(|_| None).collect(),
            candidates: Candidates::default(),
            verified: relays.iter().map(|_| None).collect(),
            started: request.received,
        };
        let call = HeaderCall {
            slot: request.slot,
            parent_hash: request.parent_hash,
            proposer: request.proposer,
            fork,
        };
        let context =
            CallContext { user_agent: user_agent(&request.user_agent), deadline: request.received + collect };
        let hang_up = HangUp { spine: &self.spine, record: Some(record.clone()), received: request.received };
        self.collect(&mut race, call, &context, request.received + answer).await;
        hang_up.disarm();
        let winner = race.candidates.winner().map(|(index, _)| index);
        let bid = winner.and_then(|index| race.verified.get_mut(index)).and_then(Option::take);
        record.winner = winner.zip(bid.as_ref()).map(|(index, bid)| {
            let facts = bid.bid().facts();
            let also = race.candidates.relays_of(facts.block_hash).filter(|other| *other != index);
            let by = std::iter::once(index).chain(also).filter_map(|i| relays.get(i));
            Winner {
                block_hash: facts.block_hash,
                value: facts.value,
                relays: by.map(|relay| relay.id().clone()).collect(),
            }
        });
        let waited = request.received.elapsed();
        let missing = |relay: &Arc<Relay>| offer(relay, &CallFailure::TimedOut, waited);
        record.offers = race
            .offers
            .into_iter()
            .zip(relays.iter())
            .map(|(offer, relay)| offer.unwrap_or_else(|| missing(relay)))
            .collect();
        if record.winner.is_none() {
            record.why_no_bid = why_no_bid(&record.offers);
        }
        self.close(request.received, record, bid, false)
    }

    /// Asks everybody and gathers until all have answered and the leader holds, or time is up.
    async fn collect(
        &self,
        race: &mut Race<'_>,
        call: HeaderCall,
        context: &CallContext,
        answer_by: Instant,
    ) {
        // In this task, not one each: every hop between tasks costs a wake-up, and what is done here per relay takes microseconds.
        let started = Instant::now();
        let relays = race.relays;
        let mut calls: FuturesUnordered<_> = relays
            .iter()
            .enumerate()
            .map(|(index, relay)| async move {
                let outcome = relay.get_header(&call, context).await;
                RelayAnswer { index, outcome, latency: started.elapsed() }
            })
            .collect();
        let mut check: Option<Check> = None;
        let mut check_at = race.started;
        let mut collecting = true;
        loop {
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
                Some(answer) = calls.next(), if collecting => {
                    let leads = self.take_in(race, call.slot, answer);
                    if leads {
                        check_at = Instant::now() + LEAD_BEFORE_CHECK;
                    }
                }
                result = join_check(&mut check), if check.is_some() => finish_check(race, &mut check, result),
                () = sleep_until(check_at), if waiting_to_check => {}
                () = sleep_until(context.deadline), if collecting => {
                    collecting = false;
                    calls.clear();
                }
                () = sleep_until(answer_by) => return,
            }
        }
    }

    /// Judges a relay's answer; says whether its bid leads now.
    fn take_in(&self, race: &mut Race<'_>, slot: Slot, answer: RelayAnswer) -> bool {
        let RelayAnswer { index, outcome, latency } = answer;
        let Some(relay) = race.relays.get(index) else { return false };
        let mut record = OfferRecord {
            relay: relay.id().clone(),
            outcome: outcome.kind(),
            detail: String::new(),
            http_status: None,
            latency_us: micros(latency),
            value: None,
            block_hash: None,
            verified: false,
        };
        let mut leads = false;
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
                let facts = answer.bid.facts().clone();
                record.http_status = Some(200);
                record.value = Some(facts.value);
                record.block_hash = Some(facts.block_hash);
                match check_bid(answer.bid, relay.settings().pubkey.bytes(), &race.expected) {
                    Ok(bid) => {
                        self.offers.remember(slot, facts.block_hash, facts.gas_limit, relay.id());
                        record.detail = "offered a usable bid".to_owned();
                        if let Some(warning) = bid.gas_limit_warning() {
                            record.detail = format!("offered a usable bid; warning: {warning}");
                            warn!(%slot, relay = %relay.id(), error = %warning, "bid ignores the registered gas limit");
                        }
                        race.candidates.add(facts.value, facts.block_hash, index, Arc::new(bid));
                        leads = race.candidates.has_unknown_leader();
                    }
                    Err(fault) => {
                        record.outcome = fault.kind();
                        record.detail = fault.to_string();
                    }
                }
            }
        }
        debug!(%slot, relay = %relay.id(), outcome = %record.outcome, elapsed_ms = record.latency_us / 1000,
            detail = %record.detail, "relay answered");
        if let Some(slot) = race.offers.get_mut(index) {
            *slot = Some(record);
        }
        leads
    }

    /// Hands the leader's signature to a blocking thread, if it is worth checking.
    fn start_check(&self, race: &mut Race<'_>) -> Option<Check> {
        let (index, contender) = race.candidates.next_to_verify()?;
        let key = race.relays.get(index)?.settings().pubkey.clone();
        let (bid, domain, known) = (Arc::clone(contender), self.domain, Arc::clone(&self.verified));
        Some((index, tokio::task::spawn_blocking(move || bid.verify(&key, domain, &known))))
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
        // The client first: metrics, log and event come when its answer is under way.
        let spine = self.spine.clone();
        tokio::spawn(async move {
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

/// Waits for the check under way; pends for ever when there is none. Cancel-safe.
async fn join_check(check: &mut Option<Check>) -> Result<VerifiedBid, BidFault> {
    match check {
        // A check that panicked proves nothing: the bid does not hold.
        Some((_, handle)) => handle.await.unwrap_or(Err(BidFault::WrongSignature)),
        None => std::future::pending().await,
    }
}

fn finish_check(race: &mut Race<'_>, check: &mut Option<Check>, result: Result<VerifiedBid, BidFault>) {
    let Some((index, _)) = check.take() else { return };
    record_verification(result.is_ok());
    let record = race.offers.get_mut(index).and_then(Option::as_mut);
    match result {
        Ok(bid) => {
            race.candidates.holds(index);
            if let Some(place) = race.verified.get_mut(index) {
                *place = Some(bid);
            }
            if let Some(record) = record {
                record.verified = true;
            }
        }
        Err(fault) => {
            race.candidates.fails(index);
            if let Some(record) = record {
                record.outcome = fault.kind();
                record.detail = fault.to_string();
            }
        }
    }
}

fn offer(relay: &Relay, failure: &CallFailure, latency: Duration) -> OfferRecord {
    OfferRecord {
        relay: relay.id().clone(),
        outcome: failure.kind(),
        detail: failure.to_string(),
        http_status: None,
        latency_us: micros(latency),
        value: None,
        block_hash: None,
        verified: false,
    }
}

/// A reason per relay, in one line.
fn why_no_bid(offers: &[OfferRecord]) -> String {
    if offers.is_empty() {
        return "no relay is active".to_owned();
    }
    offers.iter().map(|offer| format!("{}: {}", offer.relay, offer.detail)).collect::<Vec<_>>().join("; ")
}

pub(super) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
