//! The task that owns the fleet: waits for an input, has the fleet decide, and carries out what follows.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{Mutex, Notify, mpsc, oneshot, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    act::{act, called, record},
    capacity::no_room,
    look::{Desk, follow, inspect, machine, probe},
    restore::{restore, row_of},
    scribe::{Note, Scribe, write},
    shared::{Asked, Seen, Shared},
};
use crate::{
    events::{ActedBy, Event, NodeActed, NodeAction, NodeChanged, NodeState, NodeStates},
    host::booted_at,
    ledger::{NodeFact, NodeFactKind},
    supervisor::{
        Inspection, OrderDone, OrderRefused, ProcessStatus, RuntimeKind,
        fleet::{About, Act, Effect, Fleet, Input},
        metrics::{NodeMeter, RestartReason},
    },
    types::{NodeId, UnixMillis},
};

/// What looks and actions have to say and was not heard yet. They wait meanwhile.
const UNHEARD: usize = 256;
/// Between two steps in which nothing was observed.
const TICK: Duration = Duration::from_secs(1);
/// After so long it is told what is wrong, also where a runtime has not said how nodes are.
const FIRST_WORD: Duration = Duration::from_secs(60);
/// Longest wait at a stop for what is to be written down.
const LAST_NOTES: Duration = Duration::from_secs(2);

/// Looks after nodes until told to stop.
pub(super) async fn run(
    shared: Arc<Shared>,
    asked: Arc<Mutex<mpsc::Receiver<Asked>>>,
    stop: CancellationToken,
) {
    let mut asked = asked.lock().await;
    let (tell, mut told) = mpsc::channel(UNHEARD);
    let (scribe, notes) = Scribe::new();
    let mut scribing = JoinSet::new();
    scribing.spawn(write(shared.parts.ledger.clone(), notes));
    let stopping = shared.parts.stopping.clone();
    let mut controller = Controller::new(shared, scribe, tell).await;
    controller.start_looks();
    let mut tick = interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(seen) = told.recv() => controller.seen(seen),
            Some(asked) = asked.recv() => controller.asked(asked),
            _ = tick.tick() => controller.step(Input::Tick),
            Some(ended) = controller.tasks.join_next() => {
                if let Err(error) = ended && let Ok(panic) = error.try_into_panic() {
                    // The whole begins anew, with what is in the ledger: half of it would look after half of the nodes.
                    std::panic::resume_unwind(panic);
                }
            }
            // From here on nothing is started any more: whatever ends now may be told to by whoever stops us.
            () = stopping.cancelled() => break,
            () = stop.cancelled() => break,
        }
    }
    // What is under way is in the ledger; the next process finds it there.
    drop(controller);
    let _ = timeout(LAST_NOTES, scribing.join_next()).await;
    stop.cancelled().await;
}

struct Controller {
    shared: Arc<Shared>,
    fleet: Fleet,
    scribe: Scribe,
    tell: mpsc::Sender<Seen>,
    tasks: JoinSet<()>,
    looks: HashMap<NodeId, Arc<Notify>>,
    turns: HashMap<NodeId, watch::Sender<u64>>,
    answers: BTreeMap<u64, oneshot::Sender<Result<OrderDone, OrderRefused>>>,
    tickets: u64,
    /// What an earlier process had begun, of nodes that were not looked at yet.
    cut_short: HashMap<NodeId, NodeAction>,
    began: Instant,
    meter: NodeMeter,
}

impl Controller {
    async fn new(shared: Arc<Shared>, scribe: Scribe, tell: mpsc::Sender<Seen>) -> Self {
        let parts = &shared.parts;
        let now = parts.clock.now();
        let left = restore(&parts.ledger, &parts.nodes, now).await;
        let about = parts.nodes.iter().map(About::of).collect();
        let cut_short =
            left.iter().filter_map(|left| Some((left.node.clone(), left.under_way?.action))).collect();
        let fleet = Fleet::new(about, &left, booted_at(&parts.host_root), rand::random(), now)
            .guarded_by(parts.guard);
        Self {
            looks: parts.nodes.iter().map(|node| (node.id.clone(), Arc::default())).collect(),
            turns: parts.nodes.iter().map(|node| (node.id.clone(), watch::channel(0).0)).collect(),
            fleet,
            scribe,
            tell,
            tasks: JoinSet::new(),
            answers: BTreeMap::new(),
            tickets: 0,
            cut_short,
            began: Instant::now(),
            meter: NodeMeter::begin(parts.nodes.iter().map(|node| &node.id)),
            shared,
        }
    }

    fn start_looks(&mut self) {
        let parts = self.shared.parts.clone();
        for node in &parts.nodes {
            let (Some(look), Some(turn)) = (self.looks.get(&node.id), self.turns.get(&node.id)) else {
                continue;
            };
            let desk = Desk { look: Arc::clone(look), turn: turn.subscribe() };
            self.tasks.spawn(inspect(
                Arc::clone(&self.shared),
                node.clone(),
                desk.clone(),
                self.tell.clone(),
            ));
            if node.probe.is_some() {
                self.tasks.spawn(probe(Arc::clone(&self.shared), node.clone(), desk, self.tell.clone()));
            }
        }
        for kind in RuntimeKind::ALL {
            let of_kind = parts.nodes.iter().filter(|node| RuntimeKind::of(&node.runtime) == kind);
            let nodes: Vec<_> = of_kind.cloned().collect();
            if let Some(first) = nodes.first() {
                let runtime = Arc::clone(parts.runtimes.of(first));
                self.tasks.spawn(follow(runtime, nodes, self.looks.clone(), self.tell.clone()));
            }
        }
        self.tasks.spawn(machine(Arc::clone(&self.shared), self.tell.clone()));
    }

    fn seen(&mut self, Seen { input, turn }: Seen) {
        let id = match &input {
            Input::Inspected(id, _) | Input::Probed(id, _) | Input::Acted { node: id, .. } => {
                Some(id.clone())
            }
            Input::Told(_) | Input::Ordered { .. } | Input::HostPressure(_) | Input::Tick => None,
        };
        let now_in = id.as_ref().and_then(|id| self.turns.get(id));
        if let Some((turn, now_in)) = turn.zip(now_in) {
            let now_in = *now_in.borrow();
            // What was seen while something was being done to it, or before, is not how it is.
            if turn != now_in || now_in % 2 == 1 {
                return;
            }
        }
        if matches!(input, Input::Acted { .. }) {
            if let Some(turn) = now_in {
                turn.send_modify(|turn| *turn = turn.wrapping_add(1));
            }
            if let Some(look) = id.as_ref().and_then(|id| self.looks.get(id)) {
                look.notify_one();
            }
        }
        let runs = match &input {
            Input::Inspected(id, Ok(Inspection { status, .. })) if *status != ProcessStatus::Stopping => {
                Some(id.clone())
            }
            _ => None,
        };
        self.step(input);
        if let Some(id) = runs {
            self.tell_cut_short(id);
        }
    }

    /// A node was seen: whatever an earlier process had begun to do to it is over, unless it is being done anew.
    fn tell_cut_short(&mut self, node: NodeId) {
        let Some(action) = self.cut_short.remove(&node) else { return };
        let error = Some("relaymux itself ended while this was under way".to_owned());
        let (by, at) = (ActedBy::Supervisor, self.shared.parts.clock.now());
        let message = "An earlier process of relaymux had begun this.".to_owned();
        record(&self.shared, &self.scribe, NodeActed { node, action, by, message, error, at, took_ms: 0 });
    }

    fn asked(&mut self, Asked { order, answer }: Asked) {
        info!(node = %order.node, by = order.by.label(), order = order.kind.label(), "ordered: {}", order.why);
        let parts = &self.shared.parts;
        if let Some(words) =
            parts.capacity.and_then(|capacity| no_room(&order, &parts.nodes, &self.fleet.view(), capacity))
        {
            // Who asked may be gone: nothing was done.
            let _ = answer.send(Err(OrderRefused::Refused(words)));
            return;
        }
        self.tickets = self.tickets.wrapping_add(1);
        self.answers.insert(self.tickets, answer);
        self.step(Input::Ordered { ticket: self.tickets, order });
    }

    fn step(&mut self, input: Input) {
        let now = self.shared.parts.clock.now();
        for effect in self.fleet.step(input, now) {
            self.apply(effect, now);
        }
        self.show();
    }

    fn apply(&mut self, effect: Effect, now: UnixMillis) {
        match effect {
            Effect::Act(act) => self.act(act),
            Effect::Call { node, why } => called(&self.shared, &self.scribe, node, why),
            Effect::Changed(changed) => self.changed(changed),
            Effect::SyncNews { node, message, at } => {
                info!(%node, "{message}");
                self.note_state(&node, NodeState::Syncing, message, at);
            }
            Effect::Remember { node, memory } => {
                self.scribe.note(Note::Remember(row_of(&node, &memory, now)));
            }
            Effect::Answer { ticket, answer } => {
                if let Some(waiting) = self.answers.remove(&ticket) {
                    // Nobody waits any more: it was done all the same.
                    let _ = waiting.send(answer);
                }
            }
        }
    }

    fn act(&mut self, what: Act) {
        let Some(settings) = self.shared.parts.nodes.iter().find(|node| node.id == what.node).cloned() else {
            return;
        };
        self.cut_short.remove(&what.node);
        let state = self.fleet.state(&what.node).unwrap_or(NodeState::Unknown);
        if let Some(reason) = RestartReason::of(what.action, what.by, state) {
            self.meter.restarts(&what.node, reason);
        }
        if let Some(turn) = self.turns.get(&what.node) {
            turn.send_modify(|turn| *turn = turn.wrapping_add(1));
        }
        self.tasks.spawn(act(
            Arc::clone(&self.shared),
            settings,
            what,
            self.scribe.clone(),
            self.tell.clone(),
        ));
    }

    fn changed(&self, changed: NodeChanged) {
        let NodeChanged { node, state, before, message, at } = &changed;
        let is_bad = matches!(
            state,
            NodeState::Hung | NodeState::Crashed | NodeState::OutOfMemory | NodeState::CrashLoop
        );
        if is_bad {
            warn!(%node, state = state.label(), before = before.label(), "{message}");
        } else {
            info!(%node, state = state.label(), before = before.label(), "{message}");
        }
        self.note_state(node, *state, message.clone(), *at);
        self.shared.parts.spine.publish(Event::NodeChanged(changed));
    }

    fn note_state(&self, node: &NodeId, state: NodeState, why: String, at: UnixMillis) {
        self.scribe.note(Note::Fact(NodeFact {
            node: node.to_string(),
            at,
            kind: NodeFactKind::State.into(),
            name: state.label().to_owned(),
            actor: String::new(),
            why,
            error: String::new(),
            took_ms: 0,
        }));
    }

    /// Shows how everything is.
    fn show(&mut self) {
        let states: NodeStates = self.fleet.said().map(|(id, state)| (id.clone(), state)).collect();
        // What an earlier process told is not over because nobody has looked yet.
        let is_known =
            states.all().all(|(_, state)| state != NodeState::Unknown) || self.began.elapsed() >= FIRST_WORD;
        self.shared.states.send_if_modified(|shown| {
            let is_news = *shown != states;
            *shown = states;
            is_news
        });
        let views = self.fleet.view();
        self.meter.show(&views);
        self.shared.views.send_replace(views);
        if is_known {
            let wrong = Some(self.fleet.troubles());
            self.shared.troubles.send_if_modified(|shown| {
                let is_news = *shown != wrong;
                *shown = wrong;
                is_news
            });
        }
    }
}
