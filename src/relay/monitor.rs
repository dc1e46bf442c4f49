//! Keeps every relay's reputation: takes in what happened, decides places, tells everybody.
//!
//! One task owns the reputations. It reads the event spine, samples the machine's pressure, takes the operator's commands, steps the
//! pure cores, and puts a new board of statuses where the hot path reads it. The hot path never waits for it: between an offence and
//! the next board lie microseconds of this task, and a race that begins meanwhile goes by the old board.

mod blocks;
mod commands;
mod handle;
mod places;
mod settings;
#[cfg(test)]
mod tests;
mod verdicts;

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::mpsc,
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    SharedRelays,
    health::{Observation, Reputation},
    rotation::Rotation,
};
use crate::{
    breaker::Pulse,
    consensus::WallClock,
    events::{
        AuctionRecord, BidOutcome, CallFault, Event, ModeReason, RelayMode, ReputationSaved, Spine,
        SubmissionAnswer, Subscription,
    },
    host::{HostSampler, LagMeter},
    tasks::TaskGroup,
    types::{RelayId, UnixMillis},
};

pub use handle::{HealthMonitorHandle, OperatorCommand};
pub use settings::HealthMonitorSettings;

use blocks::BlockRecords;
use handle::{Command, command_channel};

/// How often time alone may change places (a quarantine ends, a breaker half-opens).
const TICK: Duration = Duration::from_secs(1);
/// How often reputations that changed a little are saved.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// A relay that does not answer within less than this is not to blame: a request late in the slot leaves hardly any time. Arbitrary.
const MIN_BUDGET_MS: u64 = 200;

/// What an earlier process knew.
#[derive(Clone, Debug, Default)]
pub struct SavedHealth {
    /// A relay's name and its reputation as saved.
    pub reputations: Vec<(String, String)>,
    /// The records of blocks as saved, oldest first.
    pub blocks: Vec<String>,
}

/// Keeps relays' reputations and decides who is asked. One task owns it; everybody else reaches it by its handle.
pub struct HealthMonitor {
    relays: Arc<SharedRelays>,
    settings: HealthMonitorSettings,
    spine: Spine,
    events: Subscription,
    commands: mpsc::Receiver<Command>,
    reputations: HashMap<RelayId, Reputation>,
    /// What was told last: place, reason and score.
    told_modes: HashMap<RelayId, (RelayMode, ModeReason, f64)>,
    is_stale: bool,
    unsaved: HashSet<RelayId>,
    blocks: BlockRecords,
    rotation: Rotation,
    resting: BTreeSet<RelayId>,
    resting_reason: String,
    sampler: HostSampler,
    lag: LagMeter,
    /// What rotation's times are measured from.
    started: Instant,
    clock: WallClock,
}

impl HealthMonitor {
    /// A monitor of these relays, with what an earlier process knew of them.
    pub fn new(
        relays: Arc<SharedRelays>,
        settings: HealthMonitorSettings,
        spine: Spine,
        saved: SavedHealth,
        clock: WallClock,
    ) -> (Self, HealthMonitorHandle) {
        let (handle, commands) = command_channel();
        let reputations = saved
            .reputations
            .into_iter()
            .filter_map(|(relay, json)| {
                let reputation: Reputation = serde_json::from_str(&json).ok()?;
                Some((RelayId::parse(&relay).ok()?, reputation.restored()))
            })
            .collect();
        let mut monitor = Self {
            events: spine.subscribe(),
            relays,
            settings,
            spine,
            commands,
            reputations,
            told_modes: HashMap::new(),
            is_stale: false,
            unsaved: HashSet::new(),
            blocks: BlockRecords::restored(&saved.blocks),
            rotation: Rotation::default(),
            resting: BTreeSet::new(),
            resting_reason: String::new(),
            sampler: HostSampler::new(),
            lag: LagMeter::default(),
            started: Instant::now(),
            clock,
        };
        monitor.configured();
        (monitor, handle)
    }

    /// Keeps reputations for as long as the group runs. The process ends without it: nobody would rest who should.
    pub fn start(self, group: &TaskGroup) {
        group.vital("monitor", |stop| self.run(stop));
    }

    /// Keeps until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut tick = interval(TICK);
        let mut save = interval(SAVE_EVERY);
        let mut sample = interval(Duration::from_secs(self.settings.rotation.interval_secs.max(1)));
        for timer in [&mut tick, &mut save, &mut sample] {
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        // A task of its own, as others wait for a worker: what this one does in between would not show.
        let _lag = AbortOnDropHandle::new(tokio::spawn(self.lag.clone().run(stop.clone())));
        loop {
            tokio::select! {
                event = self.events.next() => match event {
                    Some(event) => {
                        self.on_event(&event);
                        // Whatever else waits comes along: places are decided once for all of it.
                        while let Some(event) = self.events.try_next() {
                            self.on_event(&event);
                        }
                        self.judge_changed();
                        self.place_if_stale();
                    }
                    None => return,
                },
                Some(command) = self.commands.recv() => {
                    let interval_before = self.settings.rotation.interval_secs;
                    self.on_command(command);
                    let interval_now = self.settings.rotation.interval_secs;
                    if interval_now != interval_before {
                        sample = interval(Duration::from_secs(interval_now.max(1)));
                    }
                }
                _ = sample.tick() => self.sample_pressure(),
                _ = tick.tick() => {
                    self.judge_all(self.blocks.awaiting_signature());
                    self.place();
                }
                _ = save.tick() => self.save(),
                () = stop.cancelled() => {
                    while let Some(event) = self.events.try_next() {
                        self.on_event(&event);
                    }
                    self.judge_changed();
                    self.save();
                    return;
                }
            }
        }
    }

    fn on_event(&mut self, event: &Event) {
        match event {
            Event::Auction(record) => self.raced(record),
            Event::BlockReceived(block) => self.blocks.received(block),
            Event::BlockSignatureChecked(checked) => self.blocks.signature(checked),
            Event::SubmissionAnswer(answer) => self.answered(answer),
            Event::SlotSettled(settled) => self.blocks.settled(settled),
            Event::Relay(_)
            | Event::Registrations(_)
            | Event::RegistrationAnswer(_)
            | Event::SubmissionClosed(_)
            | Event::Settlement(_)
            | Event::RelayModeChanged(_)
            | Event::RelayJudged(_)
            | Event::AlertSignal(_)
            | Event::ConflictingBlock(_)
            | Event::BlockRecordSaved(_)
            | Event::MissedRequest(_)
            | Event::UpstreamChanged(_)
            | Event::NodeChanged(_)
            | Event::NodeActed(_)
            | Event::TaskRun(_)
            | Event::DiskActed(_)
            | Event::DiskCleaned(_)
            | Event::BackupFinished(_)
            | Event::ReputationSaved(_) => {}
        }
    }

    fn raced(&mut self, record: &AuctionRecord) {
        // Nobody could be reached: that is our line, or a budget too short to answer in, and no fault of theirs.
        let unreached = |outcome| {
            matches!(
                outcome,
                BidOutcome::Failed(CallFault::Connect | CallFault::Transport | CallFault::TimedOut)
            )
        };
        let asked: Vec<_> =
            record.answers.iter().filter(|answer| answer.outcome != BidOutcome::NotAsked).collect();
        let is_our_line = asked.len() > 1 && asked.iter().all(|answer| unreached(answer.outcome));
        let is_short = record.budget_ms < MIN_BUDGET_MS;
        for answer in asked {
            if is_our_line || (is_short && answer.outcome == BidOutcome::Failed(CallFault::TimedOut)) {
                continue;
            }
            let observation = Observation {
                outcome: answer.outcome,
                http_status: answer.http_status,
                message: answer.message.clone(),
                is_corroborated: answer.is_corroborated,
                at: record.requested_at,
            };
            let answered =
                matches!(answer.outcome, BidOutcome::Bid | BidOutcome::NoBid | BidOutcome::BelowMinBid);
            let had_top_bid =
                record.winner.as_ref().is_some_and(|winner| winner.relays.contains(&answer.relay));
            let reputation = self.reputations.entry(answer.relay.clone()).or_default();
            reputation.step(&observation, &self.settings.trust);
            // What we did not send, or did not wait for, says nothing of how it bids.
            if !matches!(answer.outcome, BidOutcome::Failed(CallFault::RateLimited) | BidOutcome::Late) {
                let has_bid = matches!(answer.outcome, BidOutcome::Bid | BidOutcome::BelowLocal);
                reputation.record.raced(has_bid, had_top_bid, answered.then_some(answer.latency_us));
            }
            self.unsaved.insert(answer.relay.clone());
        }
        self.blocks.auction(record);
        self.is_stale |= !record.answers.is_empty();
    }

    fn answered(&mut self, answer: &SubmissionAnswer) {
        self.blocks.answered(answer);
        let has_offered = self
            .blocks
            .get(&(answer.slot, answer.block_hash))
            .is_some_and(|record| record.promises.contains_key(&answer.relay));
        if has_offered && answer.outcome.reveals() {
            let reputation = self.reputations.entry(answer.relay.clone()).or_default();
            reputation.pulse(Pulse::Alive, "", answer.at, &self.settings.trust);
        }
    }

    fn save(&mut self) {
        let now = self.clock.now();
        for relay in std::mem::take(&mut self.unsaved) {
            self.save_one(&relay, now);
        }
    }

    fn save_one(&mut self, relay: &RelayId, at: UnixMillis) {
        self.unsaved.remove(relay);
        let reputation =
            self.reputations.get(relay).and_then(|reputation| serde_json::to_string(reputation).ok());
        if let Some(reputation) = reputation {
            self.spine.publish(Event::ReputationSaved(ReputationSaved {
                relay: relay.clone(),
                reputation,
                at,
            }));
        }
    }
}

impl std::fmt::Debug for HealthMonitor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "HealthMonitor({} reputations)", self.reputations.len())
    }
}
