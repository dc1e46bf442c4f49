//! Asks the beacon node when validators of ours propose: so that connections are warm by then, and so that a slot in which the client
//! never asked for a header leaves a record.

use std::{sync::Arc, time::Duration};

use metrics::counter;
use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{debug, info, warn};

use super::{
    own_duties::{BeaconTrouble, Circumstances, OwnDuties, message},
    rules::MISSED_REQUEST,
};
use crate::{
    auction::Auction,
    consensus::{ChainSpec, WallClock},
    ethereum::{BeaconNode, NodeError},
    events::{AlertSignal, Event, MissedRequest, Spine, count_signal},
    ledger::{LastRun, Ledger, LedgerError},
    relay::ExpectedProposals,
    tasks::TaskGroup,
    types::{BlsPublicKey, Epoch, Slot, UnixMillis},
};

/// Slots between two questions for duties: validators register at any time, and an epoch's duties may change until it begins.
const EVERY_SLOTS: u64 = 4;
/// Epochs before the start that are looked through for slots missed while the service was not running: some three hours. A beacon node
/// has to compute each anew.
const MAX_EPOCHS_BACK: u64 = 32;
/// Slots that an earlier process may not have looked at any more when it ended.
const UNFINISHED_SLOTS: u64 = 4;

/// What the watch of duties works with.
#[derive(Clone, Debug)]
pub(super) struct DutyParts {
    pub(super) beacon: BeaconNode,
    pub(super) auction: Arc<Auction>,
    pub(super) ledger: Ledger,
    pub(super) spine: Spine,
    pub(super) expected: watch::Sender<ExpectedProposals>,
    /// When the service began, Unix milliseconds.
    pub(super) started_at: UnixMillis,
    pub(super) clock: WallClock,
}

/// Watches for as long as the group runs, where there is a beacon node to ask.
pub(super) fn start_duties(parts: Option<DutyParts>, group: &TaskGroup) {
    let Some(parts) = parts else { return };
    group.restarting("duties", move |stop| run_duties(parts.clone(), stop));
}

/// Keeps the expected proposals up to date until told to stop: this epoch and the next. While nobody has registered, every slot may be
/// ours. Records each slot of ours without a request.
async fn run_duties(parts: DutyParts, stop: CancellationToken) {
    let spec = parts.auction.spec().clone();
    let own = OwnDuties::new(spec.clock(), spec.slots_per_epoch, parts.started_at);
    let last_run = parts.ledger.begin_run(parts.started_at).await.unwrap_or_else(|error| {
        warn!(%error, "slots missed while relaymux was not running are not known");
        None
    });
    let mut watch = DutyWatch { parts, spec, own, was_well: true, asked_in: None };
    let rounds = async {
        if let Some(last_run) = last_run {
            watch.look_back(last_run).await;
        }
        loop {
            watch.round().await;
            sleep(Duration::from_millis(watch.spec.slot_ms.max(1))).await;
        }
    };
    tokio::select! {
        () = rounds => {}
        () = stop.cancelled() => {}
    }
    if let Err(error) = watch.parts.ledger.note_run(watch.parts.clock.now(), true).await {
        debug!(%error, "the stop is not in the ledger");
    }
}

#[derive(Debug)]
struct DutyWatch {
    parts: DutyParts,
    spec: ChainSpec,
    own: OwnDuties,
    was_well: bool,
    /// The slot in which duties were last asked for with success.
    asked_in: Option<Slot>,
}

impl DutyWatch {
    async fn round(&mut self) {
        let now = self.spec.clock().slot_at(self.parts.clock.now());
        let trouble = match self.parts.beacon.sync_status().await {
            Ok(status) if status.is_syncing => Some(BeaconTrouble::Syncing),
            // It answers, and does not serve this.
            Ok(_) | Err(NodeError::Status { status: 400..500, .. }) => None,
            Err(_) => Some(BeaconTrouble::Away),
        };
        self.own.note_beacon(now, trouble);
        let is_due =
            self.asked_in.is_none_or(|asked| now.as_u64() >= asked.as_u64().saturating_add(EVERY_SLOTS));
        if is_due {
            self.ask(now).await;
        }
        for (slot, proposer) in self.own.over(now) {
            if let Err(error) = self.look_at(slot, proposer).await {
                debug!(%slot, %error, "whether a header was asked for is not known yet");
            }
        }
        if let Err(error) = self.parts.ledger.note_run(self.parts.clock.now(), false).await {
            debug!(%error, "the sign of life is not in the ledger");
        }
    }

    /// Asks for the duties of this epoch and the next.
    async fn ask(&mut self, now: Slot) {
        let epoch = now.epoch(self.spec.slots_per_epoch).as_u64();
        // Those that passed while the node was away, too.
        let asked = self.asked_in.map_or(epoch, |asked| asked.epoch(self.spec.slots_per_epoch).as_u64());
        let first = asked.min(epoch).max(epoch.saturating_sub(MAX_EPOCHS_BACK));
        let mut failure = None;
        for epoch in first..=epoch.saturating_add(1) {
            failure = self.ask_for(Epoch::new(epoch)).await.err().or(failure);
        }
        let expected = &self.parts.expected;
        match &failure {
            None if !self.parts.auction.has_validators() => {
                expected.send_replace(None);
            }
            None => {
                let coming = self.own.coming(now);
                if expected.borrow().as_ref() != Some(&coming) {
                    info!(slots = ?coming.iter().map(|slot| slot.as_u64()).collect::<Vec<_>>(), "proposals expected");
                    expected.send_replace(Some(coming));
                }
                self.asked_in = Some(now);
            }
            Some(error) => {
                if self.was_well {
                    warn!(%error, "no duties from the beacon node, every slot is taken for one of ours");
                }
                expected.send_replace(None);
            }
        }
        self.was_well = failure.is_none();
    }

    async fn ask_for(&mut self, epoch: Epoch) -> Result<(), NodeError> {
        let duties = self.parts.beacon.proposer_duties(epoch).await?;
        let (auction, clock) = (&self.parts.auction, self.spec.clock());
        // A validator that registered after its slot owes nobody a request.
        let ours = duties.into_iter().filter(|(slot, key)| {
            auction.ours_since(key).is_some_and(|since| since <= clock.start_of(*slot))
        });
        self.own.replace(epoch, ours);
        Ok(())
    }

    /// Asks for the duties of the time since the run before this one ended.
    async fn look_back(&mut self, last: LastRun) {
        let clock = self.spec.clock();
        let epoch_of = |slot: u64| Slot::new(slot).epoch(self.spec.slots_per_epoch).as_u64();
        let now = clock.slot_at(self.parts.clock.now()).as_u64();
        let seen = clock.slot_at(last.seen_at).as_u64().saturating_sub(UNFINISHED_SLOTS);
        self.own.look_back_to(Slot::new(seen));
        let first = epoch_of(seen).max(epoch_of(now).saturating_sub(MAX_EPOCHS_BACK));
        for epoch in first..epoch_of(now) {
            if let Err(error) = self.ask_for(Epoch::new(epoch)).await {
                debug!(epoch, %error, "the duties of a past epoch are not known");
            }
        }
    }

    /// Whether a header was asked for in a slot of ours that is over; if not, writes that down.
    async fn look_at(&mut self, slot: Slot, proposer: BlsPublicKey) -> Result<(), LookError> {
        if self.parts.ledger.has_request(slot, &proposer).await? {
            self.own.done(slot);
            return Ok(());
        }
        // By the chain as it is now: a reorganisation may have given the slot to another.
        let epoch = slot.epoch(self.spec.slots_per_epoch);
        let duties = self.parts.beacon.proposer_duties(epoch).await?;
        if !duties.contains(&(slot, proposer)) {
            self.own.done(slot);
            return Ok(());
        }
        let (now, activity) = (self.parts.clock.now(), self.parts.auction.client_activity());
        let (last_request_at, refused) = (activity.last(), activity.refused());
        let last_refusal = refused.as_ref().map(|(_, refusal)| refusal.at);
        let reason = self.own.reason(slot, Circumstances { last_request: last_request_at, last_refusal });
        let message = message(reason, last_request_at, refused.as_ref(), now);
        let missed = MissedRequest { slot, proposer, reason, message, last_request_at, at: now };
        let is_news = self.parts.ledger.save_missed_request(&missed).await?;
        self.own.done(slot);
        if is_news {
            warn!(%slot, %proposer, reason = reason.label(), "{}", missed.message);
            counter!("relaymux_missed_requests_total", "reason" => reason.label()).increment(1);
            count_signal(&MISSED_REQUEST);
            let message = format!("slot {slot}: {}", missed.message);
            let signal = AlertSignal::raised(&MISSED_REQUEST, &format!("slot {slot}"), message, now);
            self.parts.spine.publish(Event::AlertSignal(signal));
            self.parts.spine.publish(Event::MissedRequest(missed));
        }
        Ok(())
    }
}

/// Why a slot could not be looked at.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error("beacon node: {0}")]
    Node(#[from] NodeError),
    #[error("ledger: {0}")]
    Ledger(#[from] LedgerError),
}
