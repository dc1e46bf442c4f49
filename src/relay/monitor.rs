//! Keeps every relay's reputation: takes in what happened, decides places, tells everybody.
//!
//! One task owns the reputations. It reads the event spine, samples the machine's pressure, takes the operator's commands, steps the
//! pure cores, and puts a new board of statuses where the hot path reads it. The hot path never waits for it: between an offence and
//! the next board lie microseconds of this task, and a race that begins meanwhile goes by the old board.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};
use tracing::{info, warn};

use super::{
    SharedRelays,
    health::{
        BlockRecord, Change, Contender, Eligibility, Observation, OperatorSetting, Placement, Pulse,
        Reputation, SUSPICION_MS, TrustPolicy, Verdict, judge, place_all,
    },
    metrics::{record_mode, record_verdict},
    pressure::{LagMeter, PressureSampler},
    rotation::{FitRelay, Move, Rotation, RotationPolicy, Sample},
    set::{RelayStatus, StatusBoard},
};
use crate::{
    consensus::WallClock,
    events::{
        AuctionRecord, BidOutcome, BlockRecordSaved, CallFault, Conduct, Event, Method, ModeReason, Notice,
        NoticeRule, PaymentOutcome, RelayJudged, RelayMode, RelayModeChanged, ReputationSaved, Ruling,
        Settlement, Severity, Spine, SubmissionAnswer, Subscription, count_notice,
    },
    tasks::TaskGroup,
    types::{RelayId, UnixMillis},
};
use blocks::BlockRecords;

/// How often time alone may change places (a quarantine ends, a breaker half-opens).
const TICK: Duration = Duration::from_secs(1);
/// The rule by which the operator is told of it.
const PRESSURE: NoticeRule = NoticeRule::MachinePressure;
/// How often reputations that changed a little are saved.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// A relay that does not answer within less than this is not to blame: a request late in the slot leaves hardly any time. Arbitrary.
const MIN_BUDGET_MS: u64 = 200;
/// Wishes that wait. Arbitrary: people and probes send a handful.
const COMMANDS: usize = 256;

/// How relays are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct HealthMonitorSettings {
    /// How observations are judged.
    pub trust: TrustPolicy,
    /// When relays rest.
    pub rotation: RotationPolicy,
    /// Whether somebody watches the chain. Then a relay's word that it revealed a block is to its credit only once the block is there.
    pub watches_chain: bool,
}

/// What the operator can do to one relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatorCommand {
    /// Always ask it.
    Pin,
    /// Never ask it.
    Disable,
    /// Neither pinned nor disabled by hand any more.
    Release,
    /// Forgive all it did.
    Pardon,
}

enum Command {
    Rotate { reason: String, reply: oneshot::Sender<Vec<RelayId>> },
    Hand { relay: RelayId, command: OperatorCommand, reply: oneshot::Sender<bool> },
    Probed { relay: RelayId, failure: Option<String> },
    Seed { relay: RelayId, good: u32, bad: u32 },
    Configured(HealthMonitorSettings),
}

/// Speaks to the monitor; clones speak to the same.
#[derive(Clone, Debug)]
pub struct HealthMonitorHandle(mpsc::Sender<Command>);

impl HealthMonitorHandle {
    /// Rotates now; answers who is asked from now on. `None` once the monitor has ended.
    pub async fn rotate(&self, reason: &str) -> Option<Vec<RelayId>> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Command::Rotate { reason: reason.to_owned(), reply }).await.ok()?;
        answer.await.ok()
    }

    /// Does the operator's will; false when there is no such relay, `None` once the monitor has ended.
    pub async fn operator_command(&self, relay: RelayId, command: OperatorCommand) -> Option<bool> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Command::Hand { relay, command, reply }).await.ok()?;
        answer.await.ok()
    }

    /// A probe ended, well or with these words.
    pub(super) async fn probed(&self, relay: RelayId, failure: Option<String>) {
        let _ = self.0.send(Command::Probed { relay, failure }).await;
    }

    /// So many of a relay's public deliveries are on chain, and so many are not.
    pub async fn seed(&self, relay: RelayId, good: u32, bad: u32) {
        let _ = self.0.send(Command::Seed { relay, good, bad }).await;
    }

    /// Goes by other settings, and looks at the configured relays again.
    pub async fn configure(&self, settings: HealthMonitorSettings) {
        let _ = self.0.send(Command::Configured(settings)).await;
    }
}

/// What an earlier process knew.
#[derive(Clone, Debug, Default)]
pub struct SavedHealth {
    /// A relay's name and its reputation as saved.
    pub reputations: Vec<(String, String)>,
    /// The records of blocks as saved, oldest first.
    pub blocks: Vec<String>,
}

/// The monitor.
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
    sampler: PressureSampler,
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
    ) -> (Self, HealthMonitorHandle) {
        let (sender, commands) = mpsc::channel(COMMANDS);
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
            sampler: PressureSampler::new(),
            lag: LagMeter::default(),
            started: Instant::now(),
            clock: WallClock,
        };
        monitor.configured();
        (monitor, HealthMonitorHandle(sender))
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
            | Event::Notice(_)
            | Event::ConflictingBlock(_)
            | Event::BlockRecordSaved(_)
            | Event::MissedRequest(_)
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

    /// Judges every block of which something new is known, and keeps its record.
    fn judge_changed(&mut self) {
        let changed = self.blocks.take_changed();
        for record in &changed {
            let Ok(json) = serde_json::to_string(record) else { continue };
            let (slot, block_hash) = (record.slot, record.block_hash);
            let at = self.clock.now();
            let saved = BlockRecordSaved { slot, block_hash, record: json, at };
            self.spine.publish(Event::BlockRecordSaved(saved));
        }
        self.judge_all(changed);
    }

    fn judge_all(&mut self, records: Vec<BlockRecord>) {
        let now = self.clock.now();
        for record in records {
            let mut verdicts = judge(&record, now);
            if self.settings.watches_chain {
                verdicts.retain(|verdict| {
                    verdict.conduct != Conduct::Revealed || verdict.evidence.method == Method::Chain
                });
            }
            let relays: Vec<RelayId> = record.promises.keys().cloned().collect();
            for relay in relays {
                let own: Vec<Verdict> =
                    verdicts.iter().filter(|verdict| verdict.relay == relay).cloned().collect();
                self.apply(&relay, &record, &own, now);
            }
        }
    }

    /// Enters into a relay's reputation what is found of it and a block, and tells of what changed.
    fn apply(&mut self, relay: &RelayId, record: &BlockRecord, verdicts: &[Verdict], now: UnixMillis) {
        let reputation = self.reputations.entry(relay.clone()).or_default();
        let before = reputation.trust;
        let change = reputation.apply(record, verdicts, now, &self.settings.trust);
        if reputation.trust != before {
            self.unsaved.insert(relay.clone());
            self.is_stale = true;
        }
        let is_credited = reputation.trust != before;
        let offences = reputation.level(now, &self.settings.trust);
        if is_credited && verdicts.iter().any(|verdict| verdict.conduct == Conduct::PaidAsPromised) {
            self.publish_settlement(relay, record, PaymentOutcome::PaidAsPromised, now);
        }
        let Some(Change { accusation, ruling, is_new_ruling }) = change else { return };
        self.is_stale = true;
        let conduct = accusation.conduct;
        match ruling {
            Ruling::Guilty => {
                warn!(%relay, ?conduct, offences,
                    stage = ?accusation.stage, confidence = %accusation.evidence.confidence,
                    reason = %accusation.reason, "relay offended");
            }
            Ruling::Suspected => {
                warn!(%relay, ?conduct, reason = %accusation.reason,
                    "relay rests, suspected of an offence: the chain will say");
            }
            Ruling::TakenBack => {
                info!(%relay, ?conduct, reason = %accusation.reason, "accusation taken back, it did not hold");
            }
        }
        if is_new_ruling {
            record_verdict(relay, conduct, ruling);
        }
        if let (Ruling::Guilty, Some(outcome)) = (ruling, conduct.payment()) {
            self.publish_settlement(relay, record, outcome, now);
        }
        self.spine.publish(Event::RelayJudged(RelayJudged {
            slot: accusation.slot,
            block_hash: accusation.block_hash,
            relay: relay.clone(),
            conduct,
            ruling,
            stage: accusation.stage,
            evidence: accusation.evidence,
            value: accusation.value,
            reason: accusation.reason,
            at: now,
        }));
        // Rare, and who is asked instead depends on what is known of the others.
        self.unsaved.insert(relay.clone());
        self.save();
    }

    fn publish_settlement(
        &self,
        relay: &RelayId,
        record: &BlockRecord,
        outcome: PaymentOutcome,
        at: UnixMillis,
    ) {
        self.spine.publish(Event::Settlement(Settlement {
            slot: record.slot,
            block_hash: record.block_hash,
            relay: relay.clone(),
            outcome,
            promised: record.value_of(relay),
            paid: record.payment.map(|payment| payment.received).unwrap_or_default(),
            at,
        }));
    }

    fn on_command(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Rotate { reason, reply } => {
                self.rotation = self.rotation.rotate_now(self.started.elapsed());
                self.rotated(&reason);
                let active = self.relays.active();
                // The asker may have gone.
                let _ = reply.send(active.iter().map(|relay| relay.id().clone()).collect());
            }
            Command::Hand { relay, command, reply } => {
                let is_known = self.relays.all().iter().any(|known| *known.id() == relay);
                if is_known {
                    let reputation = self.reputations.entry(relay.clone()).or_default();
                    match command {
                        OperatorCommand::Pin => reputation.operator_setting = Some(OperatorSetting::Pinned),
                        OperatorCommand::Disable => {
                            reputation.operator_setting = Some(OperatorSetting::Disabled)
                        }
                        OperatorCommand::Release => reputation.operator_setting = None,
                        OperatorCommand::Pardon => reputation.pardon(now),
                    }
                    info!(%relay, ?command, "relay set by hand");
                    self.save_one(&relay, now);
                    self.place();
                }
                let _ = reply.send(is_known);
            }
            Command::Probed { relay, failure } => {
                let pulse = if failure.is_some() { Pulse::Failed } else { Pulse::Alive };
                let reputation = self.reputations.entry(relay).or_default();
                let was_closed = reputation.breaker.is_closed();
                // A good status call does not make up for bad answers in races; a bad one counts like them.
                if pulse == Pulse::Failed || !was_closed {
                    reputation.pulse(pulse, &failure.unwrap_or_default(), now, &self.settings.trust);
                    self.place();
                }
            }
            Command::Seed { relay, good, bad } => {
                let reputation = self.reputations.entry(relay.clone()).or_default();
                if reputation.seed(good, bad, now, &self.settings.trust) {
                    self.save_one(&relay, now);
                    self.place();
                }
            }
            Command::Configured(settings) => {
                self.settings = settings;
                self.configured();
            }
        }
    }

    /// The configuration is new: forgives what it says is forgiven, and places everybody.
    fn configured(&mut self) {
        let all = self.relays.all();
        for relay in all.iter() {
            let Some(before) = relay.settings().pardon_before else { continue };
            let reputation = self.reputations.entry(relay.id().clone()).or_default();
            if reputation.pardoned_at < before {
                reputation.pardon(before);
                self.unsaved.insert(relay.id().clone());
            }
        }
        self.told_modes.retain(|id, _| all.iter().any(|relay| relay.id() == id));
        self.rest();
        self.place();
    }

    fn sample_pressure(&mut self) {
        let policy = self.settings.rotation;
        let lag_ms = self.lag.take();
        let sample = if policy.enabled {
            Sample { lag_ms, ..self.sampler.sample(Instant::now()) }
        } else {
            Sample::default()
        };
        let (rotation, done) = self.rotation.step(&sample, &policy, self.started.elapsed());
        self.rotation = rotation;
        match done {
            None => {}
            Some(Move::Shed(reason)) => {
                self.relays.set_shedding(true);
                self.rotated(&reason);
                self.publish_pressure_notice(&reason, false);
            }
            Some(Move::Restore(reason)) => {
                let was_shedding = self.relays.is_shedding();
                self.relays.set_shedding(false);
                self.rotated(&reason);
                if was_shedding {
                    self.publish_pressure_notice(&reason, true);
                }
            }
        }
    }

    /// Tells the operator that this machine is too slow for what runs on it, or no longer.
    fn publish_pressure_notice(&self, reason: &str, resolved: bool) {
        let resting: Vec<&str> = self.resting.iter().map(RelayId::as_str).collect();
        let resting = if resting.is_empty() {
            "no relay can be spared, optional work rests".to_owned()
        } else {
            format!("these relays rest, whose bids are hardly ever the best: {}", resting.join(", "))
        };
        let message = if resolved { reason.to_owned() } else { format!("{reason}; {resting}") };
        if !resolved {
            count_notice(PRESSURE);
        }
        self.spine.publish(Event::Notice(Notice {
            rule: PRESSURE,
            subject: "relays".to_owned(),
            severity: Some(Severity::P3),
            message,
            resolved,
            at: self.clock.now(),
        }));
    }

    fn rotated(&mut self, reason: &str) {
        reason.clone_into(&mut self.resting_reason);
        self.rest();
        self.place();
        let active: Vec<String> = self.relays.active().iter().map(|relay| relay.id().to_string()).collect();
        info!(reason, active = active.join(","), "relays rotated");
    }

    /// Decides who rests. Only here, so that a drifting rank does not swap relays between races.
    fn rest(&mut self) {
        self.resting.clear();
        let (ids, placements) = self.placements();
        let mut fit: Vec<(FitRelay, f64)> = ids
            .into_iter()
            .zip(&placements)
            .filter(|(_, placement)| placement.eligibility == Eligibility::Fit)
            .map(|(id, placement)| {
                let win_rate = self.reputations.get(&id).map_or(1.0, |known| known.record.win_rate());
                (FitRelay { id, win_rate }, placement.rank)
            })
            .collect();
        fit.sort_by(|(a, rank_a), (b, rank_b)| rank_b.total_cmp(rank_a).then(a.id.cmp(&b.id)));
        let best_first: Vec<FitRelay> = fit.into_iter().map(|(relay, _)| relay).collect();
        let pinned =
            placements.iter().filter(|placement| placement.eligibility == Eligibility::Pinned).count();
        let places = self.settings.rotation.min_active.saturating_sub(pinned);
        self.resting = self.rotation.resting(&best_first, places);
    }

    fn placements(&self) -> (Vec<RelayId>, Vec<Placement>) {
        let all = self.relays.all();
        let unknown = Reputation::default();
        let contenders: Vec<Contender<'_>> = all
            .iter()
            .map(|relay| Contender {
                enabled: relay.settings().enabled,
                pinned: relay.settings().pinned,
                reputation: self.reputations.get(relay.id()).unwrap_or(&unknown),
                shed: self.resting.contains(relay.id()).then_some(self.resting_reason.as_str()),
            })
            .collect();
        let min_active = self.settings.rotation.min_active;
        let placements = place_all(&contenders, min_active, self.clock.now(), &self.settings.trust);
        (all.iter().map(|relay| relay.id().clone()).collect(), placements)
    }

    fn place_if_stale(&mut self) {
        if std::mem::take(&mut self.is_stale) {
            self.place();
        }
    }

    /// Places everybody anew and tells of every change.
    fn place(&mut self) {
        let now = self.clock.now();
        let (ids, placements) = self.placements();
        let mut statuses = HashMap::with_capacity(ids.len());
        let mut moved = Vec::new();
        for (id, placement) in ids.into_iter().zip(placements) {
            let reputation = self.reputations.entry(id.clone()).or_default();
            let said = (placement.mode, placement.reason, placement.score);
            let told = self.told_modes.insert(id.clone(), said);
            if told != Some(said) {
                record_mode(&id, placement.mode, placement.reason, placement.score);
            }
            let before = told.map(|(mode, _, _)| mode);
            let is_new_mode =
                before != Some(placement.mode) && (before.is_some() || placement.mode != RelayMode::Active);
            // One that was away and is found dishonest keeps its mode, and is another thing.
            let is_new_reason = placement.mode == RelayMode::Quarantined
                && told.is_some_and(|(_, reason, _)| reason != placement.reason);
            if is_new_mode || is_new_reason {
                moved.push(RelayModeChanged {
                    relay: id.clone(),
                    state: placement.mode,
                    before,
                    reason: placement.reason,
                    message: placement.message.clone(),
                    score: placement.score,
                    at: now,
                });
            }
            let Placement { mode, eligibility, score, rank, reason, message } = placement;
            let status = RelayStatus {
                mode,
                eligibility,
                score,
                rank,
                reason,
                message,
                trust: reputation.trust,
                record: reputation.record.clone(),
                breaker: reputation.breaker,
                offences: reputation.level(now, &self.settings.trust),
                quarantined_until: reputation
                    .quarantined(now)
                    .map(|quarantine| quarantine.until)
                    .or(reputation.suspicion(now).map(|suspicion| suspicion.at.saturating_add(SUSPICION_MS))),
                accusations: reputation.accusations.clone(),
                operator_setting: reputation.operator_setting,
            };
            statuses.insert(id, status);
        }
        let Self { settings, .. } = self;
        let (min_active, half_life_ms) = (settings.rotation.min_active, settings.trust.half_life_ms);
        self.relays.set_board(StatusBoard { statuses, min_active, half_life_ms });
        for placed in moved {
            if placed.before.is_some() {
                info!(relay = %placed.relay, state = placed.state.label(), reason = %placed.message, "relay placed");
            }
            self.save_one(&placed.relay.clone(), now);
            self.spine.publish(Event::RelayModeChanged(placed));
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

mod blocks;
#[cfg(test)]
mod tests;
