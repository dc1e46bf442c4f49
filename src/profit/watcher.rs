//! The task that settles slots: asks the execution node what came of each, writes it down, and tells who has to know.
//!
//! A slot is looked at once the chain is past it, again whenever the canonical block of its height is another, and a last time when that
//! height is final. All state is in the ledger: a `kill -9` or a node that is away for an hour costs nothing but time.

mod look;
mod others;
mod pay;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use metrics::counter;
use parking_lot::Mutex;
use reqwest::Client;
use tokio::{
    sync::mpsc,
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    ProfitSettings,
    settle::{SlotOutcome, SlotStatus, put_off},
    tally::project_sums,
};
use crate::{
    consensus::{SlotClock, WallClock},
    ethereum::{BeaconNode, BlockId, ChainNews, ExecutionNode, NodeError, Tries},
    events::{Event, Spine},
    ledger::{Ledger, LedgerError, Settled},
    relay::SharedRelays,
    types::{DAY_MS, Slot},
};

/// Blocks below the head that count as final where the node does not say what is: two epochs.
const FINAL_DEPTH: u64 = 64;
/// Slots settled in one transaction.
const PAGE: u32 = 256;
/// Slots asked about at once while catching up. The node is the operator's own; more would only queue there.
const AT_ONCE: usize = 4;
/// How often the chain is looked at after a block of ours was handed in, until it is there: a relay that pays too little is to rest before the
/// next slot's auction.
const LOOK_EAGERLY: Duration = Duration::from_secs(1);
/// Slots whose outcome is published again at a start, in milliseconds of their age: a process that died between writing an outcome and
/// publishing it owes it to the relays' reputations. Beyond any usual finality.
const PUBLISHED_AGAIN_MS: i64 = DAY_MS;
/// Between two lines about how far catching up is.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// What the watcher works with.
#[derive(Clone, Debug)]
pub struct WatcherParts {
    /// Has the slots to look at, and takes what is found.
    pub ledger: Ledger,
    /// Carries settlements and notices to the watchers.
    pub spine: Spine,
    /// Shows blocks, receipts and traces.
    pub execution: ExecutionNode,
    /// Knows proposers and their rewards, where there is one.
    pub beacon: Option<BeaconNode>,
    /// The relays, for their public records.
    pub relays: Arc<SharedRelays>,
    /// For the public records.
    pub http: Client,
    /// The chain's time.
    pub slots: SlotClock,
    /// The wall clock.
    pub clock: WallClock,
    /// `[profit]`
    pub settings: ProfitSettings,
}

/// Why a round did not end.
#[derive(Debug, thiserror::Error)]
pub enum WatchError {
    /// The execution node does not answer.
    #[error("execution node: {0}")]
    Node(#[from] NodeError),
    /// The ledger does not.
    #[error("ledger: {0}")]
    Ledger(#[from] LedgerError),
    /// The node has no head.
    #[error("the execution node has no block yet")]
    NoHead,
}

/// How far the chain is.
#[derive(Clone, Copy, Debug)]
struct Head {
    number: u64,
    timestamp: u64,
    final_number: u64,
    final_timestamp: Option<u64>,
}

/// A slot as found.
pub(super) struct Finding {
    pub(super) row: Settled,
    pub(super) outcome: SlotOutcome,
}

/// Settles slots.
#[derive(Clone, Debug)]
pub struct Watcher {
    pub(super) parts: WatcherParts,
    /// Slots of which the node did not tell something in time.
    timeouts: Arc<Tries<u64>>,
    /// Final slots whose reward the beacon node has not told yet.
    unrewarded: Arc<Mutex<BTreeSet<u64>>>,
}

impl Watcher {
    /// A watcher.
    pub fn new(parts: WatcherParts) -> Self {
        Self { parts, timeouts: Arc::default(), unrewarded: Arc::default() }
    }

    /// Settles until told to stop: every slot's length, when `news` come, and every second between a block's handing in and its being seen.
    pub async fn run(self, mut news: mpsc::Receiver<ChainNews>, stop: CancellationToken) {
        let every = Duration::from_millis(self.parts.slots.slot_ms().max(200));
        let mut was_well = true;
        // Perhaps with another node than the last time.
        if let Err(error) = self.parts.ledger.reopen_unknowable().await {
            warn!(%error, "slots that were given up are not looked at again");
        }
        let mut sums_due = Instant::now();
        let mut events = self.parts.spine.subscribe();
        // The last slot in which a block was handed in, while it is not looked at.
        let mut awaited = None;
        if let Err(error) = self.publish_again().await {
            warn!(%error, "what came of the last slots is not published again");
        }
        loop {
            let round = tokio::select! {
                round = self.round() => round,
                () = stop.cancelled() => return,
            };
            was_well = is_well(round, was_well);
            if Instant::now() >= sums_due {
                let WatcherParts { ledger, slots, clock, .. } = &self.parts;
                if let Err(error) = project_sums(ledger, *slots, clock.now()).await {
                    warn!(%error, "the days' sums cannot be made");
                }
                if let Err(error) = self.ask_rewards_again().await {
                    warn!(%error, "rewards of the consensus layer are not in the ledger");
                }
                sums_due = Instant::now() + self.parts.settings.check_every;
            }
            awaited = self.still_awaited(awaited).await;
            let pause = if awaited.is_some() { LOOK_EAGERLY.min(every) } else { every };
            let mut due = Instant::now() + pause;
            loop {
                tokio::select! {
                    () = sleep_until(due) => break,
                    Some(_) = news.recv() => {
                        // News come in bunches; one look serves them all.
                        while news.try_recv().is_ok() {}
                        break;
                    }
                    Some(event) = events.next() => {
                        if let Event::BlockReceived(block) = &*event {
                            awaited = awaited.max(Some(block.slot));
                            due = due.min(Instant::now() + LOOK_EAGERLY);
                        }
                    }
                    () = stop.cancelled() => return,
                }
            }
        }
    }

    /// A slot whose block was handed in and is not seen, until the slot after it is over.
    async fn still_awaited(&self, awaited: Option<Slot>) -> Option<Slot> {
        let slot = awaited?;
        let end = self.parts.slots.start_of(Slot::new(slot.as_u64().saturating_add(2)));
        if self.parts.clock.now() >= end {
            return None;
        }
        let row = self.parts.ledger.settlement(slot).await.ok()?;
        let is_seen = row.is_some_and(|row| row.status != SlotStatus::Open);
        (!is_seen).then_some(slot)
    }

    /// Publishes what is known of the last day's slots, for whom an earlier process may not have told.
    async fn publish_again(&self) -> Result<(), WatchError> {
        let now = self.parts.clock.now();
        let from = self.parts.slots.slot_at(now.saturating_sub(PUBLISHED_AGAIN_MS));
        let until = Slot::new(self.parts.slots.slot_at(now).as_u64().saturating_add(1));
        for row in self.parts.ledger.settlements(from, until).await? {
            if let Some(outcome) = row.known_outcome() {
                self.publish_outcome(&row, outcome);
            }
            self.note_reward(&row);
        }
        Ok(())
    }

    /// One pass over all that is not final; how many slots changed.
    ///
    /// # Errors
    /// When the node or the ledger does not answer: what was found before is kept.
    pub async fn round(&self) -> Result<usize, WatchError> {
        self.parts.execution.chain_id().await?;
        let head = self.head().await?;
        let before = self.slot_of(head.timestamp);
        let before = Slot::new(before.as_u64().saturating_add(1));
        let mut after = None;
        let mut changed = 0;
        let mut said = Instant::now();
        loop {
            // Slot 0 has no proposal: genesis.
            let now = self.parts.clock.now();
            let slots = self.parts.ledger.unsettled(after.unwrap_or(Slot::new(0)), before, now, PAGE).await?;
            let Some(last) = slots.last().copied() else { return Ok(changed) };
            after = Some(last);
            let asked = slots.clone();
            let looks = slots.into_iter().map(|slot| self.look(slot, head));
            let found: Vec<Result<Option<Finding>, WatchError>> =
                stream::iter(looks).buffered(AT_ONCE).collect().await;
            let mut findings = Vec::new();
            let mut refused = Vec::new();
            let mut failure = None;
            for (slot, one) in asked.into_iter().zip(found) {
                match one {
                    Ok(Some(finding)) => findings.push(finding),
                    Ok(None) => {}
                    // The node answers, and does not have it: history that it has pruned. The others do not wait for that slot.
                    Err(WatchError::Node(error)) if self.is_beyond_node(slot, &error) => {
                        tracing::debug!(%slot, %error, "a slot cannot be settled with this node");
                        refused.push(self.put_off(slot, &error, now).await?);
                    }
                    Err(error) => failure = Some(error),
                }
            }
            for finding in &findings {
                self.notify(finding).await?;
            }
            let rows = findings.iter().map(|finding| finding.row.clone()).chain(refused);
            let rows: Vec<Settled> = rows.collect();
            self.parts.ledger.save_settlements(&rows).await?;
            findings.iter().for_each(|finding| self.publish(finding));
            changed += findings.len();
            if said.elapsed() >= SAID_EVERY {
                said = Instant::now();
                info!(settled = changed, at = %last, head = %before, "catching up with slots that are not settled");
            }
            if let Some(failure) = failure {
                return Err(failure);
            }
        }
    }

    /// Whether the node will not tell something of a slot: it says so, or has taken too long some times.
    fn is_beyond_node(&self, slot: Slot, error: &NodeError) -> bool {
        if !error.is_timeout() {
            return error.is_answer();
        }
        // What is still to be had without what took so long is had by the next look.
        let were_over = self.timeouts.are_over(&slot.as_u64());
        self.timeouts.failed(slot.as_u64());
        were_over
    }

    /// The row of a slot that the node could not tell: looked at later again, or given up.
    async fn put_off(&self, slot: Slot, error: &NodeError, now: i64) -> Result<Settled, WatchError> {
        let mut row = self.parts.ledger.slot_case(slot).await?.row;
        if put_off(&mut row, &error.to_string(), now) {
            warn!(%slot, %error, "a slot cannot be proven with this execution node and is given up; a restart looks once more");
            counter!("relaymux_slots_unknowable_total").increment(1);
        }
        Ok(row)
    }

    async fn head(&self) -> Result<Head, WatchError> {
        let latest = self.parts.execution.block(BlockId::Latest, false).await?.ok_or(WatchError::NoHead)?;
        let number = latest.number.to::<u64>();
        // A node that is not told what is final (a development chain, one without consensus client) says null or an error.
        let finalized = match self.parts.execution.block(BlockId::Finalized, false).await {
            Ok(block) => block.filter(|block| !block.number.is_zero()),
            Err(error) if error.is_answer() => None,
            Err(error) => return Err(error.into()),
        };
        Ok(Head {
            number,
            timestamp: latest.timestamp.to(),
            final_number: finalized
                .as_ref()
                .map_or(number.saturating_sub(FINAL_DEPTH), |block| block.number.to()),
            final_timestamp: finalized.map(|block| block.timestamp.to()),
        })
    }

    fn slot_of(&self, timestamp: u64) -> Slot {
        self.parts.slots.slot_at(i64::try_from(timestamp.saturating_mul(1000)).unwrap_or(i64::MAX))
    }
}

/// Whether a round went well; the first that is other than the one before is told.
fn is_well(round: Result<usize, WatchError>, was_well: bool) -> bool {
    match round {
        Ok(settled) => {
            if !was_well {
                info!(settled, "payments are watched again");
            }
            true
        }
        Err(error) => {
            if was_well {
                warn!(%error, "payments cannot be watched, will be caught up with later");
            }
            counter!("relaymux_profit_rounds_failed_total").increment(1);
            false
        }
    }
}

/// Keeps the beacon node's event stream open and passes its news on; without them the watcher looks every slot.
pub async fn follow_chain(beacon: BeaconNode, news: mpsc::Sender<ChainNews>, stop: CancellationToken) {
    loop {
        let end = tokio::select! {
            end = beacon.follow(&news) => end,
            () = stop.cancelled() => return,
        };
        if let Err(error) = end {
            tracing::debug!(%error, "the beacon node's event stream ended");
        }
        tokio::select! {
            () = tokio::time::sleep(Duration::from_secs(5)) => {}
            () = stop.cancelled() => return,
        }
    }
}

#[cfg(test)]
mod tests;
