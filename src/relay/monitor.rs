//! Keeps every relay's reputation: takes in what happened, decides places, tells everybody.
//!
//! One task owns the reputations. It reads the event spine, samples the machine's pressure, takes the operator's commands, steps the
//! pure cores, and puts a new board of statuses where the hot path reads it. The hot path never waits for it: between an offence and
//! the next board lie microseconds of this task, and a race that begins meanwhile goes by the old board.

use std::{
    collections::{BTreeSet, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::B256;
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    SharedRelays,
    health::{
        Contender, Eligibility, Observation, OperatorSetting, Placement, Pulse, Reputation, RevealCase,
        TrustPolicy, judge_reveal, place_all,
    },
    metrics::{record_offence, record_place},
    pressure::PressureSampler,
    rotation::{Move, Rotation, RotationPolicy},
    set::{RelayStatus, StatusBoard},
};
use crate::{
    consensus::{UnixMillis, WallClock},
    events::{
        AuctionRecord, BlockReceived, Event, Outcome, RelayMode, RelayModeChanged, ReputationSaved,
        Settlement, Spine, SubmissionAnswer, SubmissionClosed, Subscription,
    },
    types::{RelayId, Slot, Wei},
};

/// How often time alone may change places (a quarantine ends, a breaker half-opens).
const TICK: Duration = Duration::from_secs(1);
/// How often reputations that changed a little are saved.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// Blocks remembered between their races and the answers to their submissions. Arbitrary: some slots' worth.
const BLOCKS_KEPT: usize = 256;
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
    Rotate { why: String, reply: oneshot::Sender<Vec<RelayId>> },
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
    pub async fn rotate(&self, why: &str) -> Option<Vec<RelayId>> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Command::Rotate { why: why.to_owned(), reply }).await.ok()?;
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

/// A block between its race and its reveal.
#[derive(Debug, Default)]
struct WonBlock {
    value: Wei,
    offered_by: Vec<RelayId>,
    ms_into_slot: i64,
    was_revealed: bool,
    judged: HashSet<RelayId>,
}

/// The monitor.
pub struct HealthMonitor {
    relays: Arc<SharedRelays>,
    settings: HealthMonitorSettings,
    spine: Spine,
    events: Subscription,
    commands: mpsc::Receiver<Command>,
    reputations: HashMap<RelayId, Reputation>,
    /// What was told last: place and score.
    places: HashMap<RelayId, (RelayMode, f64)>,
    is_stale: bool,
    unsaved: HashSet<RelayId>,
    won: HashMap<(Slot, B256), WonBlock>,
    won_order: VecDeque<(Slot, B256)>,
    rotation: Rotation,
    resting: BTreeSet<RelayId>,
    resting_why: String,
    sampler: PressureSampler,
    clock: WallClock,
}

impl HealthMonitor {
    /// A monitor of these relays, with what an earlier process knew of them (a relay's name and its reputation as saved).
    pub fn new(
        relays: Arc<SharedRelays>,
        settings: HealthMonitorSettings,
        spine: Spine,
        saved: Vec<(String, String)>,
    ) -> (Self, HealthMonitorHandle) {
        let (sender, commands) = mpsc::channel(COMMANDS);
        let reputations = saved
            .into_iter()
            .filter_map(|(relay, json)| {
                Some((RelayId::parse(&relay).ok()?, serde_json::from_str(&json).ok()?))
            })
            .collect();
        let mut monitor = Self {
            events: spine.subscribe(),
            relays,
            settings,
            spine,
            commands,
            reputations,
            places: HashMap::new(),
            is_stale: false,
            unsaved: HashSet::new(),
            won: HashMap::new(),
            won_order: VecDeque::new(),
            rotation: Rotation::default(),
            resting: BTreeSet::new(),
            resting_why: String::new(),
            sampler: PressureSampler::new(),
            clock: WallClock,
        };
        monitor.configured();
        (monitor, HealthMonitorHandle(sender))
    }

    /// Keeps until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut tick = interval(TICK);
        let mut save = interval(SAVE_EVERY);
        let mut sample = interval(Duration::from_secs(self.settings.rotation.interval_secs.max(1)));
        for timer in [&mut tick, &mut save, &mut sample] {
            timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        loop {
            tokio::select! {
                event = self.events.next() => match event {
                    Some(event) => {
                        self.on_event(&event);
                        // Whatever else waits comes along: places are decided once for all of it.
                        while let Some(event) = self.events.try_next() {
                            self.on_event(&event);
                        }
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
                _ = tick.tick() => self.place(),
                _ = save.tick() => self.save(),
                () = stop.cancelled() => {
                    while let Some(event) = self.events.try_next() {
                        self.on_event(&event);
                    }
                    self.save();
                    return;
                }
            }
        }
    }

    fn on_event(&mut self, event: &Event) {
        match event {
            Event::Auction(record) => self.raced(record),
            Event::BlockReceived(block) => self.block_received(block),
            Event::SubmissionClosed(closed) => self.closed(closed),
            Event::SubmissionAnswer(answer) => self.answered(answer),
            Event::Settlement(settlement) => self.settled(settlement),
            Event::Relay(_)
            | Event::Registrations(_)
            | Event::RegistrationAnswer(_)
            | Event::RelayModeChanged(_)
            | Event::SlotSettled(_)
            | Event::Notice(_)
            | Event::ConflictingBlock(_)
            | Event::ReputationSaved(_) => {}
        }
    }

    fn raced(&mut self, record: &AuctionRecord) {
        // Nobody could be reached: that is our line, or a budget too short to answer in, and no fault of theirs.
        let unreached =
            |outcome| matches!(outcome, Outcome::Connect | Outcome::Transport | Outcome::TimedOut);
        let asked: Vec<_> = record.offers.iter().filter(|offer| offer.outcome != Outcome::NotAsked).collect();
        let is_our_line = asked.len() > 1 && asked.iter().all(|offer| unreached(offer.outcome));
        let is_short = record.budget_ms < MIN_BUDGET_MS;
        for offer in asked {
            if is_our_line || (is_short && offer.outcome == Outcome::TimedOut) {
                continue;
            }
            let observation = Observation {
                outcome: offer.outcome,
                http_status: offer.http_status,
                value: Wei::ZERO,
                detail: offer.detail.clone(),
                at: record.requested_at,
            };
            let answered = matches!(offer.outcome, Outcome::Bid | Outcome::NoBid | Outcome::BelowMinBid);
            let had_top_bid =
                record.winner.as_ref().is_some_and(|winner| winner.relays.contains(&offer.relay));
            let reputation = self.reputations.entry(offer.relay.clone()).or_default();
            reputation.step(&observation, &self.settings.trust);
            if offer.outcome != Outcome::RateLimited {
                reputation.record.raced(had_top_bid, answered.then_some(offer.latency_us));
            }
            self.unsaved.insert(offer.relay.clone());
        }
        if let Some(winner) = &record.winner {
            self.won_block(record.slot, winner.block_hash).value = winner.value;
        }
        self.is_stale |= !record.offers.is_empty();
    }

    fn won_block(&mut self, slot: Slot, block_hash: B256) -> &mut WonBlock {
        let key = (slot, block_hash);
        if !self.won.contains_key(&key) {
            self.won_order.push_back(key);
            while self.won_order.len() > BLOCKS_KEPT {
                if let Some(old) = self.won_order.pop_front() {
                    self.won.remove(&old);
                }
            }
        }
        self.won.entry(key).or_default()
    }

    fn block_received(&mut self, block: &BlockReceived) {
        let won = self.won_block(block.slot, block.block_hash);
        won.offered_by.clone_from(&block.offered_by);
        won.ms_into_slot = block.ms_into_slot;
    }

    fn closed(&mut self, closed: &SubmissionClosed) {
        let revealed = matches!(closed.fate, "delivered" | "accepted");
        self.won_block(closed.slot, closed.block_hash).was_revealed |= revealed;
    }

    fn answered(&mut self, answer: &SubmissionAnswer) {
        let block = self.won_block(answer.slot, answer.block_hash);
        let verdict = judge_reveal(&RevealCase {
            outcome: answer.outcome,
            http_status: answer.http_status,
            detail: &answer.detail,
            had_offered: block.offered_by.contains(&answer.relay),
            was_revealed: block.was_revealed,
            ms_into_slot: block.ms_into_slot,
        });
        // A client may submit a block twice (v2, then v1): a relay is judged once for it.
        let Some(outcome) = verdict.filter(|_| block.judged.insert(answer.relay.clone())) else { return };
        let value = block.value;
        let what = match outcome {
            Outcome::PayloadWithheld => "offered it and did not reveal it",
            Outcome::PayloadMismatched => "revealed another payload",
            _ => "answered",
        };
        let detail =
            format!("slot {}, block of {} ETH: {what}: {}", answer.slot, value.to_eth(), answer.detail);
        self.judge(&answer.relay, outcome, answer.http_status, value, detail, answer.at);
    }

    fn settled(&mut self, settlement: &Settlement) {
        let Settlement { slot, block_hash: _, relay, outcome, promised, paid, at } = settlement;
        let detail = match outcome {
            Outcome::NotOnChain => {
                format!("slot {slot}: took the block of {} ETH, and it is not on chain", promised.to_eth())
            }
            _ => format!("slot {slot}: promised {} ETH, paid {} ETH", promised.to_eth(), paid.to_eth()),
        };
        self.judge(relay, *outcome, None, *promised, detail, *at);
    }

    fn judge(
        &mut self,
        relay: &RelayId,
        outcome: Outcome,
        http_status: Option<u16>,
        value: Wei,
        detail: String,
        at: UnixMillis,
    ) {
        let reputation = self.reputations.entry(relay.clone()).or_default();
        let before = reputation.quarantine.clone();
        reputation.step(&Observation { outcome, http_status, value, detail, at }, &self.settings.trust);
        if reputation.quarantine != before
            && let Some(quarantine) = &reputation.quarantine
        {
            let minutes = quarantine.until.saturating_sub(at) / 60_000;
            warn!(%relay, offence = quarantine.level, minutes, why = %quarantine.why, "relay offended");
            record_offence(relay, outcome);
            self.save_one(&relay.clone(), at);
        } else {
            self.unsaved.insert(relay.clone());
        }
        self.is_stale = true;
    }

    fn on_command(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Rotate { why, reply } => {
                self.rotation = self.rotation.rotate_now();
                self.rotated(&why);
                let active = self.relays.active();
                // The asker may have gone.
                let _ = reply.send(active.iter().map(|relay| relay.id().clone()).collect());
            }
            Command::Hand { relay, command, reply } => {
                let is_known = self.relays.all().iter().any(|known| *known.id() == relay);
                if is_known {
                    let reputation = self.reputations.entry(relay.clone()).or_default();
                    match command {
                        OperatorCommand::Pin => reputation.hand = Some(OperatorSetting::Pinned),
                        OperatorCommand::Disable => reputation.hand = Some(OperatorSetting::Disabled),
                        OperatorCommand::Release => reputation.hand = None,
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
        self.places.retain(|id, _| all.iter().any(|relay| relay.id() == id));
        self.rest();
        self.place();
    }

    fn sample_pressure(&mut self) {
        let policy = self.settings.rotation;
        let sample = if policy.enabled { self.sampler.sample(Instant::now()) } else { Default::default() };
        let (rotation, done) = self.rotation.step(&sample, &policy);
        self.rotation = rotation;
        match done {
            None => {}
            Some(Move::Shed(why) | Move::Rotate(why)) => {
                self.relays.set_shedding(true);
                self.rotated(&why);
            }
            Some(Move::Restore(why)) => {
                self.relays.set_shedding(false);
                self.rotated(&why);
            }
        }
    }

    fn rotated(&mut self, why: &str) {
        why.clone_into(&mut self.resting_why);
        self.rest();
        self.place();
        let active: Vec<String> = self.relays.active().iter().map(|relay| relay.id().to_string()).collect();
        info!(why, active = active.join(","), "relays rotated");
    }

    /// Decides who rests. Only here, so that a drifting rank does not swap relays between races.
    fn rest(&mut self) {
        self.resting.clear();
        let (ids, placements) = self.placements();
        let mut fit: Vec<(RelayId, f64)> = ids
            .into_iter()
            .zip(&placements)
            .filter(|(_, placement)| placement.eligibility == Eligibility::Fit)
            .map(|(id, placement)| (id, placement.rank))
            .collect();
        fit.sort_by(|(a, rank_a), (b, rank_b)| rank_b.total_cmp(rank_a).then(a.cmp(b)));
        let best_first: Vec<RelayId> = fit.into_iter().map(|(id, _)| id).collect();
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
                shed: self.resting.contains(relay.id()).then_some(self.resting_why.as_str()),
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
            let told = self.places.insert(id.clone(), (placement.place, placement.score));
            if told != Some((placement.place, placement.score)) {
                record_place(&id, placement.place, placement.score);
            }
            let before = told.map(|(place, _)| place);
            if before != Some(placement.place) && (before.is_some() || placement.place != RelayMode::Active) {
                moved.push(RelayModeChanged {
                    relay: id.clone(),
                    state: placement.place,
                    before,
                    why: placement.why.clone(),
                    score: placement.score,
                    at: now,
                });
            }
            let Placement { place, eligibility, score, rank, why } = placement;
            let status = RelayStatus {
                place,
                eligibility,
                score,
                rank,
                why,
                trust: reputation.trust,
                record: reputation.record.clone(),
                breaker: reputation.breaker,
                offences: reputation.level(now, &self.settings.trust),
                quarantined_until: reputation.quarantined(now).map(|quarantine| quarantine.until),
                hand: reputation.hand,
            };
            statuses.insert(id, status);
        }
        let Self { settings, .. } = self;
        let (min_active, half_life_ms) = (settings.rotation.min_active, settings.trust.half_life_ms);
        self.relays.set_board(StatusBoard { statuses, min_active, half_life_ms });
        for placed in moved {
            if placed.before.is_some() {
                info!(relay = %placed.relay, state = placed.state.label(), why = %placed.why, "relay placed");
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

#[cfg(test)]
mod tests;
