//! Writes down, in the order in which it was decided: what nodes are wanted to be, what is about to be done, and what happened.

use tokio::sync::{mpsc, oneshot};
use tracing::warn;

use crate::{
    events::NodeAction,
    ledger::{Ledger, NodeFact, NodeMemoryRow},
    types::{NodeId, UnixMillis},
};

/// What waits to be written. Arbitrary; beyond it the disk hangs.
const WAITING: usize = 1024;

/// Something to be written down.
#[derive(Debug)]
pub(super) enum Note {
    /// What a node is wanted to be.
    Remember(NodeMemoryRow),
    /// What is about to be done. `written` is told once it is on disk, or cannot be.
    Begin { node: NodeId, action: NodeAction, at: UnixMillis, written: oneshot::Sender<()> },
    /// What happened.
    Fact(NodeFact),
}

/// Where notes go.
#[derive(Clone, Debug)]
pub(super) struct Scribe(mpsc::Sender<Note>);

impl Scribe {
    pub(super) fn new() -> (Self, mpsc::Receiver<Note>) {
        let (sender, notes) = mpsc::channel(WAITING);
        (Self(sender), notes)
    }

    /// Never waits: nodes are looked after also where the ledger is not.
    pub(super) fn note(&self, note: Note) {
        if self.0.try_send(note).is_err() {
            warn!("what happens to nodes is not written down: the ledger is too slow, or the service stops");
        }
    }
}

/// Writes until nobody is left who notes anything.
pub(super) async fn write(ledger: Ledger, mut notes: mpsc::Receiver<Note>) {
    while let Some(note) = notes.recv().await {
        let result = match note {
            Note::Remember(row) => ledger.remember_node(&row).await,
            Note::Begin { node, action, at, written } => {
                let result = ledger.begin_node_action(node.as_str(), action, at).await;
                // Nobody waits any more where it took too long.
                let _ = written.send(());
                result
            }
            Note::Fact(fact) => ledger.add_node_fact(&fact).await,
        };
        if let Err(error) = result {
            warn!(%error, "what happens to nodes is not in the ledger");
        }
    }
}
