//! The shell around the fleet: looks at nodes, probes them, carries out what the fleet decides, and tells of it.
//!
//! One task owns the fleet. Looks, probes and actions run beside it and come back as inputs, so that a runtime call that hangs holds up its own
//! node alone. Before anything is done it is written down what will be (`scribe`); a ledger that cannot be written holds nothing up for longer
//! than some seconds.

mod act;
mod capacity;
mod grade;
mod look;
mod restore;
mod run;
mod scribe;
mod shared;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc, time::Duration};

use tokio::{
    sync::{Mutex, mpsc, oneshot, watch},
    time::timeout,
};

use super::{
    NodeSettings, NodeView, Order, OrderDone, OrderRefused, RuntimeError, rules::RULES, signals::run_signals,
};
use crate::{
    events::{AnswerMeter, NodeStates},
    tasks::TaskGroup,
    types::NodeId,
};
use shared::{Asked, Shared};

pub use shared::{Runtimes, SupervisorParts};

/// Orders that wait. Arbitrary: people are few.
const WAITING_ORDERS: usize = 64;
/// Longest wait for lines of output.
const LOGS_WITHIN: Duration = Duration::from_secs(15);

/// Takes orders, and shows how nodes are. Clones are of the same supervisor.
#[derive(Clone)]
pub struct SupervisorHandle {
    orders: mpsc::Sender<Asked>,
    states: watch::Receiver<NodeStates>,
    views: watch::Receiver<Vec<NodeView>>,
    nodes: Arc<Vec<NodeSettings>>,
    runtimes: Runtimes,
}

impl fmt::Debug for SupervisorHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SupervisorHandle").finish_non_exhaustive()
    }
}

impl SupervisorHandle {
    /// Has an order carried out. The answer comes once it is done: a stop may take as long as the node's grace. It is carried out also if nobody waits.
    ///
    /// # Errors
    /// When it is refused or fails, in words.
    pub async fn order(&self, order: Order) -> Result<OrderDone, OrderRefused> {
        let away = || OrderRefused::Away("the supervisor is stopping, or begins anew: ask again".to_owned());
        let (answer, answered) = oneshot::channel();
        self.orders.send(Asked { order, answer }).await.map_err(|_| away())?;
        answered.await.map_err(|_| away())?
    }

    /// The state of each node, and each change of it.
    pub fn states(&self) -> watch::Receiver<NodeStates> {
        self.states.clone()
    }

    /// All nodes as they are now, in the order of the configuration. Empty until they were looked at first.
    pub fn view(&self) -> Vec<NodeView> {
        self.views.borrow().clone()
    }

    /// A node's last lines of output, oldest first.
    ///
    /// # Errors
    /// When there is no such node, or its runtime cannot.
    pub async fn logs(&self, node: &NodeId, lines: usize) -> Result<Vec<String>, OrderRefused> {
        let Some(settings) = self.nodes.iter().find(|settings| settings.id == *node) else {
            return Err(OrderRefused::Unknown(format!("no node `{node}` is configured under [[nodes]]")));
        };
        match timeout(LOGS_WITHIN, self.runtimes.of(settings).logs(settings, lines)).await {
            Ok(Ok(lines)) => Ok(lines),
            Ok(Err(RuntimeError::Refused(words))) => Err(OrderRefused::Refused(words)),
            Ok(Err(error)) => Err(OrderRefused::Failed(error.to_string())),
            Err(_) => {
                Err(OrderRefused::Failed(format!("no logs of {node} within {} s", LOGS_WITHIN.as_secs())))
            }
        }
    }
}

/// A supervisor that runs.
#[derive(Debug)]
pub struct Supervising {
    /// Takes orders, and shows how nodes are.
    pub handle: SupervisorHandle,
    /// Where each node's answers to its probes are counted.
    pub meters: Vec<(NodeId, AnswerMeter)>,
}

/// Starts looking after nodes.
pub fn start(parts: SupervisorParts, group: &TaskGroup) -> Supervising {
    let (orders, asked) = mpsc::channel(WAITING_ORDERS);
    let (states, seen_states) = watch::channel(NodeStates::default());
    let (views, seen_views) = watch::channel(Vec::new());
    let (troubles, wrong) = watch::channel(None);
    let meters: Vec<(NodeId, AnswerMeter)> = parts
        .nodes
        .iter()
        .filter(|node| node.probe.is_some())
        .map(|node| (node.id.clone(), AnswerMeter::default()))
        .collect();
    let handle = SupervisorHandle {
        orders,
        states: seen_states,
        views: seen_views,
        nodes: Arc::new(parts.nodes.clone()),
        runtimes: parts.runtimes.clone(),
    };
    let book = parts.signals.clone();
    let meters_of = meters.iter().cloned().collect();
    let one_start = Mutex::new(());
    let shared = Arc::new(Shared { parts, states, views, troubles, meters: meters_of, one_start });
    let asked = Arc::new(Mutex::new(asked));
    group.restarting("supervisor", move |stop| run::run(Arc::clone(&shared), Arc::clone(&asked), stop));
    group.restarting("node_signals", move |stop| run_signals(book.clone(), RULES, wrong.clone(), stop));
    Supervising { handle, meters }
}
