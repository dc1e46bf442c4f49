//! What an earlier process left of nodes.

use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

use crate::{
    events::{NodeHold, NodeWanted},
    ledger::{Ledger, LedgerError, NodeMemoryRow},
    supervisor::{
        NodeSettings,
        fleet::{Memory, Remembered, UnderWay},
    },
    types::{Label, NodeId, UnixMillis},
};

/// Longest wait for the ledger.
const WITHIN: Duration = Duration::from_secs(10);

/// Reads what is remembered. A ledger that cannot be read leaves nothing: then what runs is looked after, and what does not is left alone.
pub(super) async fn restore(ledger: &Ledger, nodes: &[NodeSettings], now: UnixMillis) -> Vec<Remembered> {
    match timeout(WITHIN, read(ledger, nodes, now)).await {
        Ok(Ok(left)) => left,
        Ok(Err(error)) => {
            warn!(%error, "what nodes were wanted to be cannot be read: those that do not run are left alone");
            Vec::new()
        }
        Err(_) => {
            warn!(
                "what nodes were wanted to be cannot be read in time: those that do not run are left alone"
            );
            Vec::new()
        }
    }
}

async fn read(
    ledger: &Ledger,
    nodes: &[NodeSettings],
    now: UnixMillis,
) -> Result<Vec<Remembered>, LedgerError> {
    let mut left = Vec::new();
    for row in ledger.node_memories().await? {
        let Some(settings) = nodes.iter().find(|node| node.id.as_str() == row.node) else { continue };
        let window = i64::try_from(settings.restart.burst_window.as_millis()).unwrap_or(i64::MAX);
        let restarts = ledger.node_restarts(&row.node, now.saturating_sub(window)).await?;
        left.push(remembered(&settings.id, &row, restarts));
    }
    Ok(left)
}

/// Words of another version: nothing is done by what is not understood.
fn remembered(node: &NodeId, row: &NodeMemoryRow, restarts: Vec<UnixMillis>) -> Remembered {
    let memory = Memory {
        wanted: row.wanted.known().unwrap_or(NodeWanted::Watched),
        hold: row.hold.known().unwrap_or(NodeHold::CrashLoop),
        hold_until: row.hold_until,
        hold_why: row.hold_why.clone(),
        removal_at: row.removal_at,
    };
    let action = row.under_way.as_ref().and_then(Label::known);
    let under_way = action.map(|action| UnderWay { action, at: row.under_way_at.unwrap_or_default() });
    Remembered { node: node.clone(), memory, under_way, restarts }
}

/// As it is written.
pub(super) fn row_of(node: &NodeId, memory: &Memory, now: UnixMillis) -> NodeMemoryRow {
    NodeMemoryRow {
        node: node.to_string(),
        wanted: memory.wanted.into(),
        hold: memory.hold.into(),
        hold_until: memory.hold_until,
        hold_why: memory.hold_why.clone(),
        changed_at: now,
        under_way: None,
        under_way_at: None,
        removal_at: memory.removal_at,
    }
}
