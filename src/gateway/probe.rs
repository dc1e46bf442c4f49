//! Probes upstreams, judges them, and shows what follows: the shell around `health`.
//!
//! One task owns all that is known. It asks each upstream when it is due, hears what calls observed, takes each step, publishes the board when
//! something changed, and tells the spine. A slow upstream holds up no other: all are asked at once, each within its own deadline. A second task
//! tells the ledger what is wrong.

mod ask;
mod questions;

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, future::BoxFuture, stream::FuturesUnordered};
use tokio::{
    sync::{Mutex, mpsc, watch},
    time::{Instant, sleep_until},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

pub use self::ask::Post;
use self::{
    ask::{Manner, observe},
    questions::questions,
};
use super::{
    Board, Budget, Feedback, RpcSettings, Standing, Tier, UpstreamSettings, UpstreamState,
    health::{Change, Health, HealthRules, Input, Observation, step},
    signals::{Troubles, run_signals},
    troubles::troubles,
};
use crate::{
    consensus::WallClock,
    events::{Event, NodeStates, Spine, UpstreamChanged},
    ledger::SignalBook,
    tasks::TaskGroup,
    types::UnixMillis,
};

/// Longest wait for an own node's answer, and for a provider's.
const OWN_DEADLINE: Duration = Duration::from_secs(2);
const BACKUP_DEADLINE: Duration = Duration::from_secs(5);
/// Between probes of an own node that is in doubt, and of a provider.
const OWN_HASTE: Duration = Duration::from_millis(500);
const BACKUP_HASTE: Duration = Duration::from_secs(5);
/// How often all are judged anew while nothing is observed: heads grow old.
const TICK: Duration = Duration::from_secs(1);

/// One upstream, as probing needs it.
#[derive(Clone, Debug)]
pub struct Probed {
    /// Its settings.
    pub settings: UpstreamSettings,
    /// Brings requests to it.
    pub ask: Arc<dyn Post>,
    /// Its budget, to be told when it is used up. Whoever brings requests takes from it.
    pub budget: Arc<Budget>,
}

/// What probing needs.
#[derive(Clone, Debug)]
pub struct ProbeParts {
    /// In the configuration's order, as on the board.
    pub upstreams: Vec<Probed>,
    /// What they are held against.
    pub rules: HealthRules,
    /// Where it is shown.
    pub board: Board,
    /// What calls observe: the other end of the board.
    pub observed: Arc<Mutex<mpsc::Receiver<(usize, Feedback)>>>,
    /// Carries each change of a state to every watcher.
    pub spine: Spine,
    /// Where what lasts is raised.
    pub signals: SignalBook,
    /// How nodes under supervision are, for upstreams that are some of them; none: nobody supervises any.
    pub nodes: Option<watch::Receiver<NodeStates>>,
    /// The wall clock: heads have times.
    pub clock: WallClock,
}

/// A board for upstreams of which nothing is known yet, and what comes out of it.
pub fn new_board(settings: &RpcSettings, now: UnixMillis) -> (Board, mpsc::Receiver<(usize, Feedback)>) {
    Board::new(Health::new(&settings.upstreams, now).snapshot().upstreams)
}

/// Probes for as long as the group runs.
pub fn start_probes(parts: ProbeParts, group: &TaskGroup) {
    let (wrong, told) = watch::channel(None);
    let book = parts.signals.clone();
    let ids: Vec<_> = parts.upstreams.iter().map(|upstream| upstream.settings.id.clone()).collect();
    group.restarting("rpc_signals", move |stop| run_signals(book.clone(), ids.clone(), told.clone(), stop));
    let wrong = Arc::new(wrong);
    group.restarting("rpc_probes", move |stop| run_probes(parts.clone(), Arc::clone(&wrong), stop));
}

/// One upstream's turn.
struct Turn {
    due: Instant,
    /// When it was last asked.
    asked: Option<Instant>,
    is_under_way: bool,
    /// Ask again as soon as the one under way is back: what was asked before a call failed says nothing of after.
    is_wanted_again: bool,
    round: u64,
    manner: Arc<Manner>,
}

struct Prober {
    parts: ProbeParts,
    health: Health,
    turns: Vec<Turn>,
    wrong: Arc<watch::Sender<Troubles>>,
}

type Answered = (usize, Observation);

async fn run_probes(parts: ProbeParts, wrong: Arc<watch::Sender<Troubles>>, stop: CancellationToken) {
    let observed = Arc::clone(&parts.observed);
    // Held for as long as this runs; one that begins anew waits until the one before is gone.
    let mut observed = observed.lock().await;
    let mut nodes = parts.nodes.clone();
    let mut prober = Prober::new(parts, wrong);
    if let Some(nodes) = &mut nodes {
        prober.supervised(&nodes.borrow_and_update());
    }
    let mut under_way: FuturesUnordered<BoxFuture<'static, Answered>> = FuturesUnordered::new();
    let mut tick = Instant::now() + TICK;
    let mut is_heard = true;
    loop {
        under_way.extend(prober.begin_due(Instant::now()));
        let next = prober.next_due().map_or(tick, |due| due.min(tick));
        tokio::select! {
            Some((place, observation)) = under_way.next() => prober.answered(place, observation),
            feedback = observed.recv(), if is_heard => match feedback {
                Some((place, feedback)) => prober.met(place, feedback),
                None => is_heard = false,
            },
            states = next_states(nodes.as_mut()) => match states {
                Some(states) => prober.supervised(&states),
                // Nobody supervises any more: what was said last holds no longer.
                None => {
                    nodes = None;
                    prober.supervised(&NodeStates::default());
                }
            },
            () = sleep_until(next) => {
                if Instant::now() >= tick {
                    tick = Instant::now() + TICK;
                    prober.take(Input::Tick);
                }
            }
            () = stop.cancelled() => return,
        }
    }
}

/// The next word on nodes, none when there will be no more; never, where nobody supervises any. Cancel-safe.
async fn next_states(nodes: Option<&mut watch::Receiver<NodeStates>>) -> Option<NodeStates> {
    match nodes {
        Some(nodes) => nodes.changed().await.is_ok().then(|| nodes.borrow_and_update().clone()),
        None => std::future::pending().await,
    }
}

impl Prober {
    fn new(parts: ProbeParts, wrong: Arc<watch::Sender<Troubles>>) -> Self {
        let settings: Vec<UpstreamSettings> =
            parts.upstreams.iter().map(|upstream| upstream.settings.clone()).collect();
        let now = Instant::now();
        let turn = |_: &UpstreamSettings| Turn {
            due: now,
            asked: None,
            is_under_way: false,
            is_wanted_again: false,
            round: 0,
            manner: Arc::default(),
        };
        let turns = settings.iter().map(turn).collect();
        let health = Health::new(&settings, parts.clock.now());
        Self { parts, health, turns, wrong }
    }

    /// When the next one is due.
    fn next_due(&self) -> Option<Instant> {
        self.turns.iter().filter(|turn| !turn.is_under_way).map(|turn| turn.due).min()
    }

    /// Begins to ask all that are due.
    fn begin_due(&mut self, now: Instant) -> Vec<BoxFuture<'static, Answered>> {
        let mut begun: Vec<BoxFuture<'static, Answered>> = Vec::new();
        for (place, (turn, upstream)) in self.turns.iter_mut().zip(&self.parts.upstreams).enumerate() {
            if turn.is_under_way || turn.due > now {
                continue;
            }
            turn.is_under_way = true;
            turn.asked = Some(now);
            let tier = upstream.settings.tier;
            let asked = questions(
                tier,
                turn.round,
                self.health.wants_all(place),
                self.health.trails_in_finality(place),
            );
            turn.round = turn.round.wrapping_add(1);
            let limit = if tier == Tier::Backup { BACKUP_DEADLINE } else { OWN_DEADLINE };
            let (ask, manner, deadline) = (Arc::clone(&upstream.ask), Arc::clone(&turn.manner), now + limit);
            begun.push(Box::pin(async move { (place, observe(&*ask, &asked, &manner, deadline).await) }));
        }
        begun
    }

    /// A probe is back.
    fn answered(&mut self, place: usize, observation: Observation) {
        // Nothing was sent, and the next try is soon: a new day has a new budget.
        let is_silent = observation == Observation::NotSent;
        if let Observation::Probed(probe) = &observation {
            self.parts.board.probed(place, probe.latency, Instant::now());
        }
        self.take(Input::Observed(place, observation));
        let is_doubtful = self.health.is_doubtful(place);
        let Some((turn, upstream)) = self.turns.get_mut(place).zip(self.parts.upstreams.get(place)) else {
            return;
        };
        turn.is_under_way = false;
        let every = pause(&upstream.settings, is_doubtful || is_silent);
        // So that upstreams, and gateways, do not ask in step.
        let every = every.mul_f64(rand::random_range(0.9..1.1));
        let now = Instant::now();
        turn.due = if std::mem::take(&mut turn.is_wanted_again) { now } else { now + every };
    }

    /// A call met something.
    fn met(&mut self, place: usize, feedback: Feedback) {
        let is_failure = matches!(feedback, Feedback::Refused(_) | Feedback::Failed(_) | Feedback::Silent);
        let was_serving = self.is_serving(place);
        self.take(Input::Observed(place, Observation::Traffic(feedback)));
        let is_serving = self.is_serving(place);
        let is_lost = was_serving && !is_serving;
        // What was out before is probed often enough.
        if !is_failure || !(is_lost || is_serving) {
            return;
        }
        let haste = if is_lost { Duration::ZERO } else { self.haste(place) };
        let Some(turn) = self.turns.get_mut(place) else { return };
        let now = Instant::now();
        let soonest = turn.asked.map_or(now, |asked| asked + haste).max(now);
        turn.due = turn.due.min(soonest);
        turn.is_wanted_again |= turn.is_under_way && is_lost;
    }

    /// Whoever supervises nodes says how they are. One that is back is asked at once.
    fn supervised(&mut self, states: &NodeStates) {
        let is_now = |upstream: &Probed| upstream.settings.node.as_ref().map(|node| states.get(node));
        let all: Vec<_> = self.parts.upstreams.iter().map(is_now).collect();
        for (place, state) in all.into_iter().enumerate() {
            let Some(state) = state else { continue };
            if !self.health.takes_word(place, state) {
                continue;
            }
            let was_out = self.health.is_out(place);
            self.take(Input::Observed(place, Observation::Node(state)));
            if let (true, false, Some(turn)) = (was_out, self.health.is_out(place), self.turns.get_mut(place))
            {
                turn.due = Instant::now();
                turn.is_wanted_again |= turn.is_under_way;
            }
        }
    }

    fn haste(&self, place: usize) -> Duration {
        let is_own = |upstream: &Probed| upstream.settings.tier != Tier::Backup;
        if self.parts.upstreams.get(place).is_some_and(is_own) { OWN_HASTE } else { BACKUP_HASTE }
    }

    fn is_serving(&self, place: usize) -> bool {
        self.health.state(place).is_some_and(UpstreamState::serves)
    }

    /// Takes a step, and shows and tells what follows.
    fn take(&mut self, input: Input) {
        let now = self.parts.clock.now();
        // The usual answer to a call changes nothing that can be seen, and there are thousands a second.
        let is_seen = !input.is_usual();
        let health = std::mem::take(&mut self.health);
        let (health, changes) = step(health, input, now, &self.parts.rules);
        self.health = health;
        if !is_seen {
            return;
        }
        let snapshot = self.health.snapshot();
        let used_up: Vec<bool> =
            self.parts.upstreams.iter().map(|upstream| upstream.budget.used(now).is_used_up()).collect();
        let health = &self.health;
        let by_hand: Vec<bool> = (0..used_up.len()).map(|place| health.is_out_by_hand(place)).collect();
        let wrong = troubles(&snapshot, health.disagreement(), health.standstill(), &used_up, &by_hand);
        if *self.parts.board.snapshot() != snapshot {
            self.parts.board.publish(snapshot);
        }
        self.wrong.send_if_modified(|told| {
            let is_news = told.as_ref() != Some(&wrong);
            *told = Some(wrong);
            is_news
        });
        changes.into_iter().for_each(|change| self.tell(change, now));
    }

    fn tell(&self, change: Change, now: UnixMillis) {
        match change {
            Change::State { before, now: Standing { id, state, reason, .. } } => {
                if state.serves() {
                    info!(upstream = %id, %state, %before, reason, "upstream changed");
                } else {
                    warn!(upstream = %id, %state, %before, reason, "upstream changed");
                }
                let changed =
                    UpstreamChanged { upstream: id.to_string(), state, before, message: reason, at: now };
                self.parts.spine.publish(Event::UpstreamChanged(changed));
            }
            Change::Switchover(switchover) => {
                let name =
                    |id: &Option<_>| id.as_ref().map_or_else(|| "nobody".to_owned(), ToString::to_string);
                let (from, to) = (name(&switchover.from), name(&switchover.to));
                warn!(from, to, reason = switchover.reason, "switchover");
                self.parts.board.switched_over(switchover);
            }
        }
    }
}

/// How long an upstream is left alone after a probe.
fn pause(settings: &UpstreamSettings, is_doubtful: bool) -> Duration {
    match (is_doubtful, settings.tier) {
        (false, _) => settings.probe_every,
        (true, Tier::Backup) => settings.probe_every.min(BACKUP_HASTE),
        (true, Tier::Primary | Tier::Replica) => settings.probe_every.min(OWN_HASTE),
    }
}

#[cfg(test)]
mod tests;
