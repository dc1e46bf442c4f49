//! Nodes under supervision: what each is wanted to be, what is being done to it, and what happened to it.
//!
//! What is about to be done is written down before it is done. So a process that is killed in between leaves word of it, and the next one does
//! not take a node that was being restarted for one that a person has stopped.

use serde::Serialize;

use super::{
    Ledger, LedgerError,
    query::WriteTransaction,
    row::{from_row, get},
};
use crate::{
    events::{ActedBy, NodeAction, NodeHold, NodeWanted},
    types::{Label, UnixMillis, labelled},
};

/// Rows of history that are kept of each node: at ten a day, three months.
const KEPT: i64 = 1000;

/// What is remembered of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NodeMemoryRow {
    /// Its name.
    pub node: String,
    /// What it is wanted to be.
    pub wanted: Label<NodeWanted>,
    /// What keeps the supervisor's hands off it.
    pub hold: Label<NodeHold>,
    /// Until when, in Unix milliseconds; none: until a person says so.
    pub hold_until: Option<UnixMillis>,
    /// Why, as a sentence for people.
    pub hold_why: String,
    /// When this was written, in Unix milliseconds.
    pub changed_at: UnixMillis,
    /// What was begun and whose end was not written down.
    pub under_way: Option<Label<NodeAction>>,
    /// When that was begun, in Unix milliseconds.
    pub under_way_at: Option<UnixMillis>,
    /// When its removal was ordered, in Unix milliseconds; none: it is done, or was not ordered.
    pub removal_at: Option<UnixMillis>,
}

from_row!(|row| NodeMemoryRow {
    node,
    wanted,
    hold,
    hold_until,
    hold_why,
    changed_at,
    under_way_at,
    removal_at;
    under_way = Some(get::<String>(row, "under_way")?)
        .filter(|label| !label.is_empty())
        .map(|label| Label::read(&label)),
});

labelled! {
    /// What a row of history is about.
    pub enum NodeFactKind {
        /// A new state.
        State = "state",
        /// Something that was done.
        Action = "action",
    }
}

/// Something that happened to a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NodeFact {
    /// The node.
    #[serde(skip)]
    pub node: String,
    /// When, in Unix milliseconds.
    pub at: UnixMillis,
    /// A state or an action.
    pub kind: Label<NodeFactKind>,
    /// Name of the new state, or of what was done.
    pub name: String,
    /// Who wanted it; empty for a state.
    #[serde(rename = "by")]
    pub actor: String,
    /// Why, as sentences for people.
    pub why: String,
    /// What went wrong with it; empty when it was done.
    pub error: String,
    /// How long it took, in milliseconds.
    pub took_ms: u64,
}

from_row!(|row| NodeFact { node, at, kind, name, actor, why, error, took_ms });

impl Ledger {
    /// Writes down what a node is wanted to be. What is under way stays.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn remember_node(&self, row: &NodeMemoryRow) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        sqlx::query(
            "INSERT INTO node_memory (node, wanted, hold, hold_until, hold_why, changed_at, removal_at, instance) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
             ON CONFLICT (instance, node) DO UPDATE SET wanted = excluded.wanted, hold = excluded.hold, hold_until = excluded.hold_until, \
             hold_why = excluded.hold_why, changed_at = excluded.changed_at, removal_at = excluded.removal_at",
        )
        .bind(&row.node)
        .bind(row.wanted.as_str())
        .bind(row.hold.as_str())
        .bind(row.hold_until)
        .bind(&row.hold_why)
        .bind(row.changed_at)
        .bind(row.removal_at)
        .bind(write.instance)
        .execute(&mut *write.tx)
        .await?;
        write.commit().await?;
        Ok(())
    }

    /// Writes down what is about to be done to a node.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn begin_node_action(
        &self,
        node: &str,
        action: NodeAction,
        at: UnixMillis,
    ) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        set_under_way(&mut write, node, action.label(), Some(at)).await?;
        write.commit().await?;
        Ok(())
    }

    /// Writes down what happened to a node: with an action's end, nothing is under way any more. Forgets what is beyond the newest thousand.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn add_node_fact(&self, fact: &NodeFact) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        let last = sqlx::query_scalar(
            "SELECT COALESCE(MAX(number), 0) FROM node_history WHERE instance = $1 AND node = $2",
        );
        let last: i64 = last.bind(write.instance).bind(&fact.node).fetch_one(&mut *write.tx).await?;
        let number = last.saturating_add(1);
        sqlx::query(
            "INSERT INTO node_history (node, number, at, kind, name, actor, why, error, took_ms, instance) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        )
        .bind(&fact.node)
        .bind(number)
        .bind(fact.at)
        .bind(fact.kind.as_str())
        .bind(&fact.name)
        .bind(&fact.actor)
        .bind(&fact.why)
        .bind(&fact.error)
        .bind(fact.took_ms.cast_signed())
        .bind(write.instance)
        .execute(&mut *write.tx)
        .await?;
        sqlx::query("DELETE FROM node_history WHERE instance = $1 AND node = $2 AND number <= $3")
            .bind(write.instance)
            .bind(&fact.node)
            .bind(number.saturating_sub(KEPT))
            .execute(&mut *write.tx)
            .await?;
        if fact.kind == NodeFactKind::Action {
            set_under_way(&mut write, &fact.node, "", None).await?;
        }
        write.commit().await?;
        Ok(())
    }

    /// What is remembered of all nodes.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn node_memories(&self) -> Result<Vec<NodeMemoryRow>, LedgerError> {
        let rows = sqlx::query_as("SELECT * FROM node_memory WHERE instance = $1 ORDER BY node");
        Ok(rows.bind(self.instance()).fetch_all(self.pool()).await?)
    }

    /// What happened to a node, the newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn node_history(&self, node: &str, limit: u32) -> Result<Vec<NodeFact>, LedgerError> {
        let rows = sqlx::query_as(
            "SELECT node, at, kind, name, actor, why, error, took_ms FROM node_history WHERE instance = $1 AND node = $2 \
             ORDER BY number DESC LIMIT $3",
        );
        Ok(rows.bind(self.instance()).bind(node).bind(i64::from(limit)).fetch_all(self.pool()).await?)
    }

    /// When the supervisor has started a node by itself since a time, in Unix milliseconds, oldest first; at most a hundred. Also what it could not do counts.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn node_restarts(&self, node: &str, since: UnixMillis) -> Result<Vec<UnixMillis>, LedgerError> {
        let rows = sqlx::query_scalar(
            "SELECT at FROM node_history WHERE instance = $1 AND node = $2 AND at >= $3 AND kind = $4 AND actor = $5 \
             AND name IN ($6, $7) ORDER BY number LIMIT 100",
        );
        let rows = rows.bind(self.instance()).bind(node).bind(since);
        let rows = rows.bind(NodeFactKind::Action.label()).bind(ActedBy::Supervisor.label());
        let rows = rows.bind(NodeAction::Start.label()).bind(NodeAction::Restart.label());
        Ok(rows.fetch_all(self.pool()).await?)
    }
}

/// What is under way with a node of which nothing else may be known yet.
async fn set_under_way(
    write: &mut WriteTransaction,
    node: &str,
    action: &str,
    at: Option<UnixMillis>,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO node_memory (node, wanted, hold, hold_why, changed_at, under_way, under_way_at, instance) \
         VALUES ($1, $2, $3, '', COALESCE($5, 0), $4, $5, $6) \
         ON CONFLICT (instance, node) DO UPDATE SET under_way = excluded.under_way, under_way_at = excluded.under_way_at",
    )
    .bind(node)
    .bind(NodeWanted::Watched.label())
    .bind(NodeHold::None.label())
    .bind(action)
    .bind(at)
    .bind(write.instance)
    .execute(&mut *write.tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn memory(node: &str, wanted: NodeWanted) -> NodeMemoryRow {
        NodeMemoryRow {
            node: node.to_owned(),
            wanted: wanted.into(),
            hold: NodeHold::Maintenance.into(),
            hold_until: Some(90),
            hold_why: "A new disk.".to_owned(),
            changed_at: 5,
            under_way: None,
            under_way_at: None,
            removal_at: Some(4),
        }
    }

    fn fact(node: &str, at: UnixMillis, kind: NodeFactKind, name: &str) -> NodeFact {
        NodeFact {
            node: node.to_owned(),
            at,
            kind: kind.into(),
            name: name.to_owned(),
            actor: if kind == NodeFactKind::Action { "supervisor".to_owned() } else { String::new() },
            why: "It crashed.".to_owned(),
            error: String::new(),
            took_ms: 7,
        }
    }

    #[tokio::test]
    async fn what_was_begun_is_known_after_a_restart_until_its_end_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        ledger.remember_node(&memory("geth", NodeWanted::Up)).await.unwrap();
        ledger.begin_node_action("geth", NodeAction::Restart, 6).await.unwrap();
        // Of this one nothing is known yet.
        ledger.begin_node_action("reth", NodeAction::Start, 6).await.unwrap();
        ledger.shut().await;
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        let restarting = NodeMemoryRow {
            under_way: Some(NodeAction::Restart.into()),
            under_way_at: Some(6),
            ..memory("geth", NodeWanted::Up)
        };
        let known = ledger.node_memories().await.unwrap();
        assert_eq!(known[0], restarting);
        assert_eq!(
            (known[1].wanted.known(), known[1].hold.known()),
            (Some(NodeWanted::Watched), Some(NodeHold::None))
        );
        // What it is wanted to be may change meanwhile, and a state ends no action.
        ledger.remember_node(&memory("geth", NodeWanted::Stopped)).await.unwrap();
        ledger.add_node_fact(&fact("geth", 7, NodeFactKind::State, "crashed")).await.unwrap();
        assert_eq!(ledger.node_memories().await.unwrap()[0].under_way, restarting.under_way);
        ledger.add_node_fact(&fact("geth", 8, NodeFactKind::Action, "restart")).await.unwrap();
        assert_eq!(ledger.node_memories().await.unwrap()[0], memory("geth", NodeWanted::Stopped));
    }

    #[tokio::test]
    async fn history_is_the_newest_thousand_and_restarts_are_counted_from_it() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        for at in 1..=KEPT + 2 {
            ledger.add_node_fact(&fact("geth", at, NodeFactKind::State, "healthy")).await.unwrap();
        }
        ledger.add_node_fact(&fact("reth", 1, NodeFactKind::Action, "start")).await.unwrap();
        let history = ledger.node_history("geth", 5000).await.unwrap();
        assert_eq!((history.len(), history[0].at, history[999].at), (1000, KEPT + 2, 3));
        assert_eq!(ledger.node_history("geth", 2).await.unwrap().len(), 2);
        for (at, name) in [(5, "stop"), (6, "restart"), (7, "start"), (8, "start")] {
            ledger.add_node_fact(&fact("reth", at, NodeFactKind::Action, name)).await.unwrap();
        }
        let by_hand =
            NodeFact { actor: "operator".to_owned(), ..fact("reth", 9, NodeFactKind::Action, "start") };
        ledger.add_node_fact(&by_hand).await.unwrap();
        assert_eq!(ledger.node_restarts("reth", 6).await.unwrap(), [6, 7, 8]);
        let shown = serde_json::to_value(&ledger.node_history("reth", 1).await.unwrap()[0]).unwrap();
        let wanted = serde_json::json!({
            "at": 9, "kind": "action", "name": "start", "by": "operator", "why": "It crashed.", "error": "", "took_ms": 7,
        });
        assert_eq!(shown, wanted);
    }
}
