//! Keeps every relay's standing: takes in what happened, decides places, tells everybody.
//!
//! One task owns the standings. It reads the event spine, samples the machine's pressure, takes the operator's wishes, steps the
//! pure cores, and puts a new board of seats where the hot path reads it. The hot path never waits for it: between an offence and
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
        Contender, Deed, Fitness, HandSetting, Placing, Pulse, RevealCase, Standing, TrustPolicy,
        judge_reveal, place_all,
    },
    metrics::{record_offence, record_place},
    pressure::PressureSampler,
    rotation::{Move, Rotation, RotationPolicy},
    set::{Board, Seat},
};
use crate::{
    consensus::{UnixMillis, WallClock},
    events::{
        AuctionRecord, BlockReceived, Event, Outcome, RelayPlace, RelayPlaced, Settlement, Spine,
        StandingSaved, SubmissionAnswer, SubmissionClosed, Subscription,
    },
    types::{RelayId, Slot, Wei},
};

/// How often time alone may change places (a quarantine ends, a breaker half-opens).
const TICK: Duration = Duration::from_secs(1);
/// How often standings that changed a little are saved.
const SAVE_EVERY: Duration = Duration::from_secs(60);
/// Blocks remembered between their races and the answers to their submissions. Arbitrary: some slots' worth.
const BLOCKS_KEPT: usize = 256;
/// A relay that does not answer within less than this is not to blame: a request late in the slot leaves hardly any time. Arbitrary.
const LEAST_BUDGET_MS: u64 = 200;
/// Wishes that wait. Arbitrary: people and probes send a handful.
const WISHES: usize = 256;

/// How relays are kept.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeeperSettings {
    /// How deeds are judged.
    pub trust: TrustPolicy,
    /// When relays rest.
    pub rotation: RotationPolicy,
}

/// What the operator can do to one relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HandWish {
    /// Always ask it.
    Pin,
    /// Never ask it.
    Disable,
    /// Neither pinned nor disabled by hand any more.
    Release,
    /// Forgive all it did.
    Pardon,
}

enum Wish {
    Rotate { why: String, reply: oneshot::Sender<Vec<RelayId>> },
    Hand { relay: RelayId, wish: HandWish, reply: oneshot::Sender<bool> },
    Probed { relay: RelayId, failure: Option<String> },
    Seed { relay: RelayId, good: u32, bad: u32 },
    Configured(KeeperSettings),
}

/// Speaks to the keeper; clones speak to the same.
#[derive(Clone, Debug)]
pub struct KeeperHandle(mpsc::Sender<Wish>);

impl KeeperHandle {
    /// Rotates now; answers who is asked from now on. `None` once the keeper has ended.
    pub async fn rotate(&self, why: &str) -> Option<Vec<RelayId>> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Wish::Rotate { why: why.to_owned(), reply }).await.ok()?;
        answer.await.ok()
    }

    /// Does the operator's will; false when there is no such relay, `None` once the keeper has ended.
    pub async fn set_by_hand(&self, relay: RelayId, wish: HandWish) -> Option<bool> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Wish::Hand { relay, wish, reply }).await.ok()?;
        answer.await.ok()
    }

    /// A probe ended, well or with these words.
    pub(super) async fn probed(&self, relay: RelayId, failure: Option<String>) {
        let _ = self.0.send(Wish::Probed { relay, failure }).await;
    }

    /// So many of a relay's public deliveries are on chain, and so many are not.
    pub async fn seed(&self, relay: RelayId, good: u32, bad: u32) {
        let _ = self.0.send(Wish::Seed { relay, good, bad }).await;
    }

    /// Goes by other settings, and looks at the configured relays again.
    pub async fn configure(&self, settings: KeeperSettings) {
        let _ = self.0.send(Wish::Configured(settings)).await;
    }
}

/// A block between its race and its reveal.
#[derive(Debug, Default)]
struct Sold {
    value: Wei,
    offered_by: Vec<RelayId>,
    ms_into_slot: i64,
    was_revealed: bool,
    judged: HashSet<RelayId>,
}

/// The keeper.
pub struct Keeper {
    relays: Arc<SharedRelays>,
    settings: KeeperSettings,
    spine: Spine,
    events: Subscription,
    wishes: mpsc::Receiver<Wish>,
    standings: HashMap<RelayId, Standing>,
    /// What was told last: place and score.
    places: HashMap<RelayId, (RelayPlace, f64)>,
    is_stale: bool,
    unsaved: HashSet<RelayId>,
    sold: HashMap<(Slot, B256), Sold>,
    sold_order: VecDeque<(Slot, B256)>,
    rotation: Rotation,
    resting: BTreeSet<RelayId>,
    resting_why: String,
    sampler: PressureSampler,
    clock: WallClock,
}

impl Keeper {
    /// A keeper of these relays, with what an earlier process knew of them (a relay's name and its standing as saved).
    pub fn new(
        relays: Arc<SharedRelays>,
        settings: KeeperSettings,
        spine: Spine,
        saved: Vec<(String, String)>,
    ) -> (Self, KeeperHandle) {
        let (sender, wishes) = mpsc::channel(WISHES);
        let standings = saved
            .into_iter()
            .filter_map(|(relay, json)| {
                Some((RelayId::parse(&relay).ok()?, serde_json::from_str(&json).ok()?))
            })
            .collect();
        let mut keeper = Self {
            events: spine.subscribe(),
            relays,
            settings,
            spine,
            wishes,
            standings,
            places: HashMap::new(),
            is_stale: false,
            unsaved: HashSet::new(),
            sold: HashMap::new(),
            sold_order: VecDeque::new(),
            rotation: Rotation::default(),
            resting: BTreeSet::new(),
            resting_why: String::new(),
            sampler: PressureSampler::new(),
            clock: WallClock,
        };
        keeper.configured();
        (keeper, KeeperHandle(sender))
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
                        self.take_in(&event);
                        // Whatever else waits comes along: places are decided once for all of it.
                        while let Some(event) = self.events.try_next() {
                            self.take_in(&event);
                        }
                        self.place_if_stale();
                    }
                    None => return,
                },
                Some(wish) = self.wishes.recv() => {
                    let interval_before = self.settings.rotation.interval_secs;
                    self.fulfil(wish);
                    let interval_now = self.settings.rotation.interval_secs;
                    if interval_now != interval_before {
                        sample = interval(Duration::from_secs(interval_now.max(1)));
                    }
                }
                _ = sample.tick() => self.look_at_the_machine(),
                _ = tick.tick() => self.place(),
                _ = save.tick() => self.save(),
                () = stop.cancelled() => {
                    while let Some(event) = self.events.try_next() {
                        self.take_in(&event);
                    }
                    self.save();
                    return;
                }
            }
        }
    }

    fn take_in(&mut self, event: &Event) {
        match event {
            Event::Auction(record) => self.raced(record),
            Event::BlockReceived(block) => self.block_received(block),
            Event::SubmissionClosed(closed) => self.closed(closed),
            Event::SubmissionAnswer(answer) => self.answered(answer),
            Event::Settlement(settlement) => self.settled(settlement),
            Event::Relay(_)
            | Event::Registrations(_)
            | Event::RegistrationAnswer(_)
            | Event::RelayPlaced(_)
            | Event::SlotSettled(_)
            | Event::Notice(_)
            | Event::StandingSaved(_) => {}
        }
    }

    fn raced(&mut self, record: &AuctionRecord) {
        // Nobody could be reached: that is our line, or a budget too short to answer in, and no fault of theirs.
        let unreached =
            |outcome| matches!(outcome, Outcome::Connect | Outcome::Transport | Outcome::TimedOut);
        let asked: Vec<_> = record.offers.iter().filter(|offer| offer.outcome != Outcome::NotAsked).collect();
        let is_our_line = asked.len() > 1 && asked.iter().all(|offer| unreached(offer.outcome));
        let is_short = record.budget_ms < LEAST_BUDGET_MS;
        for offer in asked {
            if is_our_line || (is_short && offer.outcome == Outcome::TimedOut) {
                continue;
            }
            let deed = Deed {
                outcome: offer.outcome,
                http_status: offer.http_status,
                value: Wei::ZERO,
                detail: offer.detail.clone(),
                at: record.requested_at,
            };
            let answered = matches!(offer.outcome, Outcome::Bid | Outcome::NoBid | Outcome::BelowMinBid);
            let had_top_bid =
                record.winner.as_ref().is_some_and(|winner| winner.relays.contains(&offer.relay));
            let standing = self.standings.entry(offer.relay.clone()).or_default();
            standing.step(&deed, &self.settings.trust);
            if offer.outcome != Outcome::RateLimited {
                standing.record.raced(had_top_bid, answered.then_some(offer.latency_us));
            }
            self.unsaved.insert(offer.relay.clone());
        }
        if let Some(winner) = &record.winner {
            self.sold_block(record.slot, winner.block_hash).value = winner.value;
        }
        self.is_stale |= !record.offers.is_empty();
    }

    fn sold_block(&mut self, slot: Slot, block_hash: B256) -> &mut Sold {
        let key = (slot, block_hash);
        if !self.sold.contains_key(&key) {
            self.sold_order.push_back(key);
            while self.sold_order.len() > BLOCKS_KEPT {
                if let Some(old) = self.sold_order.pop_front() {
                    self.sold.remove(&old);
                }
            }
        }
        self.sold.entry(key).or_default()
    }

    fn block_received(&mut self, block: &BlockReceived) {
        let sold = self.sold_block(block.slot, block.block_hash);
        sold.offered_by.clone_from(&block.offered_by);
        sold.ms_into_slot = block.ms_into_slot;
    }

    fn closed(&mut self, closed: &SubmissionClosed) {
        let revealed = matches!(closed.fate, "delivered" | "accepted");
        self.sold_block(closed.slot, closed.block_hash).was_revealed |= revealed;
    }

    fn answered(&mut self, answer: &SubmissionAnswer) {
        let sold = self.sold_block(answer.slot, answer.block_hash);
        let verdict = judge_reveal(&RevealCase {
            outcome: answer.outcome,
            http_status: answer.http_status,
            detail: &answer.detail,
            had_offered: sold.offered_by.contains(&answer.relay),
            was_revealed: sold.was_revealed,
            ms_into_slot: sold.ms_into_slot,
        });
        // A client may submit a block twice (v2, then v1): a relay is judged once for it.
        let Some(outcome) = verdict.filter(|_| sold.judged.insert(answer.relay.clone())) else { return };
        let value = sold.value;
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
        let standing = self.standings.entry(relay.clone()).or_default();
        let before = standing.quarantine.clone();
        standing.step(&Deed { outcome, http_status, value, detail, at }, &self.settings.trust);
        if standing.quarantine != before
            && let Some(quarantine) = &standing.quarantine
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

    fn fulfil(&mut self, wish: Wish) {
        let now = self.clock.now();
        match wish {
            Wish::Rotate { why, reply } => {
                self.rotation = self.rotation.rotate_now();
                self.rotated(&why);
                let active = self.relays.active();
                // The asker may have gone.
                let _ = reply.send(active.iter().map(|relay| relay.id().clone()).collect());
            }
            Wish::Hand { relay, wish, reply } => {
                let is_known = self.relays.all().iter().any(|known| *known.id() == relay);
                if is_known {
                    let standing = self.standings.entry(relay.clone()).or_default();
                    match wish {
                        HandWish::Pin => standing.hand = Some(HandSetting::Pinned),
                        HandWish::Disable => standing.hand = Some(HandSetting::Disabled),
                        HandWish::Release => standing.hand = None,
                        HandWish::Pardon => standing.pardon(now),
                    }
                    info!(%relay, ?wish, "relay set by hand");
                    self.save_one(&relay, now);
                    self.place();
                }
                let _ = reply.send(is_known);
            }
            Wish::Probed { relay, failure } => {
                let pulse = if failure.is_some() { Pulse::Failed } else { Pulse::Alive };
                let standing = self.standings.entry(relay).or_default();
                let was_closed = standing.breaker.is_closed();
                // A good status call does not make up for bad answers in races; a bad one counts like them.
                if pulse == Pulse::Failed || !was_closed {
                    standing.pulse(pulse, &failure.unwrap_or_default(), now, &self.settings.trust);
                    self.place();
                }
            }
            Wish::Seed { relay, good, bad } => {
                let standing = self.standings.entry(relay.clone()).or_default();
                if standing.seed(good, bad, now, &self.settings.trust) {
                    self.save_one(&relay, now);
                    self.place();
                }
            }
            Wish::Configured(settings) => {
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
            let standing = self.standings.entry(relay.id().clone()).or_default();
            if standing.pardoned_at < before {
                standing.pardon(before);
                self.unsaved.insert(relay.id().clone());
            }
        }
        self.places.retain(|id, _| all.iter().any(|relay| relay.id() == id));
        self.rest();
        self.place();
    }

    fn look_at_the_machine(&mut self) {
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
        let (ids, placings) = self.placings();
        let mut fit: Vec<(RelayId, f64)> = ids
            .into_iter()
            .zip(&placings)
            .filter(|(_, placing)| placing.fitness == Fitness::Fit)
            .map(|(id, placing)| (id, placing.rank))
            .collect();
        fit.sort_by(|(a, rank_a), (b, rank_b)| rank_b.total_cmp(rank_a).then(a.cmp(b)));
        let best_first: Vec<RelayId> = fit.into_iter().map(|(id, _)| id).collect();
        let pinned = placings.iter().filter(|placing| placing.fitness == Fitness::Pinned).count();
        let places = self.settings.rotation.min_active.saturating_sub(pinned);
        self.resting = self.rotation.resting(&best_first, places);
    }

    fn placings(&self) -> (Vec<RelayId>, Vec<Placing>) {
        let all = self.relays.all();
        let unknown = Standing::default();
        let contenders: Vec<Contender<'_>> = all
            .iter()
            .map(|relay| Contender {
                enabled: relay.settings().enabled,
                pinned: relay.settings().pinned,
                standing: self.standings.get(relay.id()).unwrap_or(&unknown),
                shed: self.resting.contains(relay.id()).then_some(self.resting_why.as_str()),
            })
            .collect();
        let min_active = self.settings.rotation.min_active;
        let placings = place_all(&contenders, min_active, self.clock.now(), &self.settings.trust);
        (all.iter().map(|relay| relay.id().clone()).collect(), placings)
    }

    fn place_if_stale(&mut self) {
        if std::mem::take(&mut self.is_stale) {
            self.place();
        }
    }

    /// Places everybody anew and tells of every change.
    fn place(&mut self) {
        let now = self.clock.now();
        let (ids, placings) = self.placings();
        let mut seats = HashMap::with_capacity(ids.len());
        let mut moved = Vec::new();
        for (id, placing) in ids.into_iter().zip(placings) {
            let standing = self.standings.entry(id.clone()).or_default();
            let told = self.places.insert(id.clone(), (placing.place, placing.score));
            if told != Some((placing.place, placing.score)) {
                record_place(&id, placing.place, placing.score);
            }
            let before = told.map(|(place, _)| place);
            if before != Some(placing.place) && (before.is_some() || placing.place != RelayPlace::Active) {
                moved.push(RelayPlaced {
                    relay: id.clone(),
                    state: placing.place,
                    before,
                    why: placing.why.clone(),
                    score: placing.score,
                    at: now,
                });
            }
            let Placing { place, fitness, score, rank, why } = placing;
            let seat = Seat {
                place,
                fitness,
                score,
                rank,
                why,
                trust: standing.trust,
                record: standing.record.clone(),
                breaker: standing.breaker,
                offences: standing.level(now, &self.settings.trust),
                quarantined_until: standing.quarantined(now).map(|quarantine| quarantine.until),
                hand: standing.hand,
            };
            seats.insert(id, seat);
        }
        let Self { settings, .. } = self;
        let (min_active, half_life_ms) = (settings.rotation.min_active, settings.trust.half_life_ms);
        self.relays.set_board(Board { seats, min_active, half_life_ms });
        for placed in moved {
            if placed.before.is_some() {
                info!(relay = %placed.relay, state = placed.state.label(), why = %placed.why, "relay placed");
            }
            self.save_one(&placed.relay.clone(), now);
            self.spine.publish(Event::RelayPlaced(placed));
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
        let standing = self.standings.get(relay).and_then(|standing| serde_json::to_string(standing).ok());
        if let Some(standing) = standing {
            self.spine.publish(Event::StandingSaved(StandingSaved { relay: relay.clone(), standing, at }));
        }
    }
}

impl std::fmt::Debug for Keeper {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Keeper({} standings)", self.standings.len())
    }
}

#[cfg(test)]
mod tests;
