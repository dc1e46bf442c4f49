//! Bundles as people and reports see them.

use serde::Serialize;
use serde_json::Value;

use super::{
    Ledger, LedgerError,
    bundle_state::{BundleKind, BundleState, SendOutcome},
    database::Row,
    row::{from_row, get},
};
use crate::types::Label;

/// A bundle as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct BundleView {
    /// Its number in the ledger, which no other bundle has.
    pub id: i64,
    /// Its hash.
    pub hash: String,
    /// Address that signed the request: the searcher's identity.
    pub searcher: String,
    /// The method that brought it.
    pub kind: Label<BundleKind>,
    /// The searcher's name for it.
    pub uuid: Option<String>,
    /// The name that BuilderNet's builders know it by (version 2), for its first block.
    pub canonical_uuid: String,
    /// Which one of that name.
    pub sequence: i64,
    /// Hashes, senders and nonces.
    pub transactions: Value,
    /// First block it may be in.
    pub first_block: i64,
    /// Last block that it may be in.
    pub last_block: i64,
    /// When it came, in Unix milliseconds.
    pub received_at: i64,
    /// What became of it.
    pub state: Label<BundleState>,
    /// Why it is in this state, as a sentence for people.
    pub reason: String,
    /// The block that decided it.
    pub block_number: Option<i64>,
    /// Its hash.
    pub block_hash: Option<String>,
    /// Who built it.
    pub block_builder: Option<String>,
    /// Whether the chain can no longer change it.
    pub is_final: bool,
    /// What trying it gave.
    pub simulation: Value,
    /// What its gas cost, once it is final.
    pub gas_cost_wei: Option<String>,
    /// What the block's builder got of it.
    pub paid_to_builder_wei: Option<String>,
    /// Change of the watched addresses' ether.
    pub eth_wei: Option<String>,
    /// Change of their WETH.
    pub weth_wei: Option<String>,
    /// Both.
    pub profit_wei: Option<String>,
    /// Each builder's answer.
    pub sends: Vec<SendView>,
}

/// A builder's answer as it is shown.
#[derive(Clone, Debug, Serialize)]
pub struct SendView {
    /// Id of the builder that the request went to.
    pub builder: String,
    /// For which block.
    pub block: i64,
    /// What came of it.
    pub outcome: Label<SendOutcome>,
    /// A sentence for people.
    #[serde(rename = "detail")]
    pub message: String,
    /// How often it was called, the first call included.
    pub attempts: i64,
    /// Until the answer, in microseconds.
    pub latency_us: i64,
    /// When the first call left, in Unix milliseconds.
    pub sent_at: i64,
}

/// The newest bundles of a span of time, along its index.
pub(super) const BETWEEN: &str = "SELECT * FROM bundles WHERE received_at >= $1 AND received_at < $2 ORDER BY received_at DESC, id DESC LIMIT $3";

impl Ledger {
    /// The newest bundles, or all of a hash; newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn bundles(&self, hash: Option<&str>, limit: u32) -> Result<Vec<BundleView>, LedgerError> {
        let newest = match hash {
            Some(hash) => sqlx::query_as("SELECT * FROM bundles WHERE hash = $2 ORDER BY id DESC LIMIT $1")
                .bind(i64::from(limit))
                .bind(hash),
            None => sqlx::query_as("SELECT * FROM bundles ORDER BY id DESC LIMIT $1").bind(i64::from(limit)),
        };
        self.with_sends(newest.fetch_all(self.pool()).await?).await
    }

    /// The newest bundles of those that came from `since` on and before `until` (Unix milliseconds); newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn bundles_between(
        &self,
        since: i64,
        until: i64,
        limit: u32,
    ) -> Result<Vec<BundleView>, LedgerError> {
        let newest = sqlx::query_as(BETWEEN).bind(since).bind(until).bind(i64::from(limit));
        self.with_sends(newest.fetch_all(self.pool()).await?).await
    }

    async fn with_sends(&self, mut views: Vec<BundleView>) -> Result<Vec<BundleView>, LedgerError> {
        for view in &mut views {
            let sends =
                sqlx::query_as("SELECT * FROM bundle_sends WHERE bundle_id = $1 ORDER BY block, builder");
            view.sends = sends.bind(view.id).fetch_all(self.pool()).await?;
        }
        Ok(views)
    }
}

from_row!(|row| SendView { builder, block, outcome, message: "detail", attempts, latency_us, sent_at });

from_row!(|row| BundleView {
    id, hash, searcher, kind, uuid, canonical_uuid, sequence, first_block, last_block, received_at, state, reason, block_number,
    block_hash, block_builder, is_final, gas_cost_wei, paid_to_builder_wei, eth_wei, weth_wei, profit_wei;
    transactions = json(row, "transactions")?,
    simulation = json(row, "simulation")?,
    sends = Vec::new(),
});

/// JSON; null where there is none, or none that can be read.
fn json(row: &Row, column: &str) -> Result<Value, sqlx::Error> {
    let text: Option<String> = get(row, column)?;
    Ok(text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default())
}
