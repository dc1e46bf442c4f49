//! Looks that go on by themselves: at each node's process, at what it answers, at what its runtime tells, and at the machine's memory. Each in a
//! task of its own, so that one that hangs holds up no other.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::StreamExt;
use tokio::{
    sync::{Notify, mpsc, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    grade::grade,
    shared::{Seen, Shared},
};
use crate::{
    events::NodeState,
    host::HostSampler,
    supervisor::{NodeSettings, ProbeFailed, Runtime, RuntimeError, fleet::Input},
    types::NodeId,
};

/// Between two looks at a process. What happens meanwhile the runtime's events tell.
const LOOK_EVERY: Duration = Duration::from_secs(5);
/// Longest wait for a look: runtimes have shorter limits of their own.
const LOOK_WITHIN: Duration = Duration::from_secs(30);
/// Between two looks at the machine.
const MACHINE_EVERY: Duration = Duration::from_secs(10);
/// Pauses before a runtime's events are followed again.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Where looks at one node meet what is done to it.
#[derive(Clone, Debug)]
pub(super) struct Desk {
    /// Look at its process now.
    pub(super) look: Arc<Notify>,
    /// How many actions have begun and ended: odd while one is under way. A look that was begun in another turn is old.
    pub(super) turn: watch::Receiver<u64>,
}

/// Looks at a node's process for ever.
pub(super) async fn inspect(shared: Arc<Shared>, node: NodeSettings, desk: Desk, tell: mpsc::Sender<Seen>) {
    let runtime = Arc::clone(shared.parts.runtimes.of(&node));
    loop {
        let turn = *desk.turn.borrow();
        let looked = match timeout(LOOK_WITHIN, runtime.inspect(&node)).await {
            Ok(looked) => looked,
            Err(_) => {
                Err(RuntimeError::TimedOut(format!("it gave no answer within {} s", LOOK_WITHIN.as_secs())))
            }
        };
        let seen = Seen { input: Input::Inspected(node.id.clone(), looked), turn: Some(turn) };
        if tell.send(seen).await.is_err() {
            return;
        }
        tokio::select! {
            () = sleep(LOOK_EVERY) => {}
            () = desk.look.notified() => {}
        }
    }
}

/// Probes a node for ever; not while it is known not to run.
pub(super) async fn probe(shared: Arc<Shared>, node: NodeSettings, desk: Desk, tell: mpsc::Sender<Seen>) {
    let Some(settings) = node.probe.clone() else { return };
    let meter = shared.meters.get(&node.id).cloned().unwrap_or_default();
    // Not all at the same moment.
    sleep(settings.every.mul_f64(rand::random_range(0.0..1.0))).await;
    loop {
        let state = shared.states.borrow().get(&node.id).unwrap_or(NodeState::Unknown);
        if !matches!(state, NodeState::Stopped | NodeState::Absent) {
            let (turn, began) = (*desk.turn.borrow(), Instant::now());
            let limit = settings.timeout.saturating_mul(4).saturating_add(Duration::from_secs(5));
            let result = match timeout(limit, shared.parts.probe.probe(&node, shared.parts.clock.now())).await
            {
                Ok(result) => result,
                Err(_) => Err(ProbeFailed(format!("It gave no answer within {} s.", limit.as_secs()))),
            };
            if let Some(grade) = grade(state, &result) {
                meter.note(grade, began.elapsed());
            }
            let seen = Seen { input: Input::Probed(node.id.clone(), result), turn: Some(turn) };
            if tell.send(seen).await.is_err() {
                return;
            }
        }
        sleep(settings.every).await;
    }
}

/// Follows what a runtime tells of its nodes, for ever.
pub(super) async fn follow(
    runtime: Arc<dyn Runtime>,
    nodes: Vec<NodeSettings>,
    looks: HashMap<NodeId, Arc<Notify>>,
    tell: mpsc::Sender<Seen>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let mut events = runtime.events(&nodes);
        while let Some(event) = events.next().await {
            pause = FIRST_PAUSE;
            let look = looks.get(&event.node).cloned();
            if tell.send(Seen::now(Input::Told(event))).await.is_err() {
                return;
            }
            if let Some(look) = look {
                look.notify_one();
            }
        }
        // The runtime went away: how are they?
        looks.values().for_each(|look| look.notify_one());
        sleep(pause).await;
        pause = pause.saturating_mul(2).min(LONGEST_PAUSE);
    }
}

/// Looks at the machine's memory for ever.
pub(super) async fn machine(shared: Arc<Shared>, tell: mpsc::Sender<Seen>) {
    let mut sampler = HostSampler::under(&shared.parts.host_root);
    loop {
        // A handful of small files in memory.
        let stalls = sampler.sample(Instant::now()).stalls;
        if tell.send(Seen::now(Input::HostPressure(stalls))).await.is_err() {
            return;
        }
        sleep(MACHINE_EVERY).await;
    }
}
