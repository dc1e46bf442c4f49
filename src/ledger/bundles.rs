//! Bundles: what came, whom it was sent to, what a block decided, what it came to when that block was final.
//!
//! A bundle is open until a block decides it, decided until that block is final, and then done. Open ones are in memory, too; decided ones
//! are here alone.

use serde::Serialize;

use super::{
    Ledger, LedgerError,
    bundle_state::{BundleKind, BundleState, Delivery, SendOutcome},
    query::WriteTransaction,
};
use crate::events::Confidence;

/// A bundle that came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleReceived {
    /// Its number in the ledger, which no other bundle has.
    pub id: i64,
    /// The bundle's hash, 0x and 64 hex digits.
    pub hash: String,
    /// Address that signed the request: the searcher's identity.
    pub searcher: String,
    /// The method that brought it.
    pub kind: BundleKind,
    /// The searcher's name for it.
    pub uuid: Option<String>,
    /// The name that BuilderNet's builders know it by.
    pub canonical_uuid: String,
    /// Counts the bundles of a searcher under one replacement name, from 0.
    pub sequence: i64,
    /// Its transactions' hashes, senders and nonces, as JSON.
    pub transactions: String,
    /// The request, as JSON.
    pub request: String,
    /// Ids of the builders that it goes to, as a JSON list.
    pub builders: String,
    /// First block it may be in.
    pub first_block: i64,
    /// Last block that it may be in.
    pub last_block: i64,
    /// When it came, in Unix milliseconds.
    pub received_at: i64,
}

/// A builder's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BundleSend {
    /// The bundle's number in the ledger.
    #[serde(skip)]
    pub id: i64,
    /// Id of the builder that the request went to.
    pub builder: String,
    /// For which block.
    pub block: i64,
    /// Whether the builder took it, and why not.
    pub outcome: SendOutcome,
    /// What happened, as a sentence for people. Nothing is decided by it.
    #[serde(rename = "detail")]
    pub message: String,
    /// How often it was called, the first call included.
    pub attempts: i64,
    /// Until the answer, in microseconds.
    pub latency_us: i64,
    /// When the first call left, in Unix milliseconds.
    pub sent_at: i64,
}

/// What a block decided about a bundle; counts for good once that block is final.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleDecision {
    /// The bundle's number in the ledger.
    pub id: i64,
    /// What the block makes of the bundle: included, unbundled, or another end.
    pub state: BundleState,
    /// A sentence for people.
    pub reason: String,
    /// The block's height.
    pub block_number: i64,
    /// The block's hash.
    pub block_hash: String,
    /// The block's builder, by its extra data, else by its fee recipient.
    pub block_builder: String,
}

/// What a bundle's transactions cost and brought. Decimal wei; signed where they may be below zero.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BundleProfit {
    /// Gas and blobs.
    pub gas_cost: String,
    /// What the block's builder got of it.
    pub paid_to_builder: String,
    /// Change of the watched addresses' ether.
    pub eth: String,
    /// Change of their WETH.
    pub weth: String,
    /// The sum of both: what the bundle brought.
    pub profit: String,
    /// Whether the node had call traces: without them only plain transfers count.
    pub is_traced: bool,
}

/// Something to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BundleWrite {
    /// A bundle came.
    Received(Box<BundleReceived>),
    /// A builder answered.
    Sent(BundleSend),
    /// A bundle is sent no more; it is still watched.
    Withdrawn {
        /// The bundle's number in the ledger.
        id: i64,
        /// Why it is not.
        delivery: Delivery,
        /// The same as a sentence for people.
        reason: String,
    },
    /// A block decided it.
    Decided(Box<BundleDecision>),
    /// That block is not in the chain any more.
    Reopened {
        /// The bundle's number in the ledger.
        id: i64,
        /// Whether it is sent again.
        delivery: Delivery,
        /// A sentence for people.
        reason: String,
    },
    /// That block is final; with what the bundle came to, where the block's receipts could be had.
    Booked(i64, Option<Box<BundleProfit>>),
    /// What trying it gave, as JSON.
    Simulated(i64, String),
}

/// A bundle that a final block has transactions of.
#[derive(Clone, Debug)]
pub struct UnbookedBundle {
    /// Its number in the ledger, which no other bundle has.
    pub id: i64,
    /// The end that the deciding block gave it.
    pub state: BundleState,
    /// The request, as JSON.
    pub request: String,
    /// First block it may be in.
    pub first_block: i64,
}

type Sql<T> = Result<T, sqlx::Error>;

/// What a final block has of bundles that are not booked yet.
pub(super) const TO_BOOK: &str = "SELECT id, state, request, first_block FROM bundles WHERE NOT is_final AND block_hash = $1 \
     AND state IN ('included', 'partly_included', 'unbundled') ORDER BY id";

impl Ledger {
    /// Writes a batch, all or nothing.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn save_bundles(&self, writes: &[BundleWrite]) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        for one in writes {
            match one {
                BundleWrite::Received(row) => received(&mut write, row).await?,
                BundleWrite::Sent(row) => sent(&mut write, row).await?,
                BundleWrite::Withdrawn { id, delivery, reason }
                | BundleWrite::Reopened { id, delivery, reason } => {
                    undecided(&mut write, *id, *delivery, reason).await?;
                }
                BundleWrite::Decided(row) => decided(&mut write, row).await?,
                BundleWrite::Booked(id, profit) => booked(&mut write, *id, profit.as_deref()).await?,
                BundleWrite::Simulated(id, text) => {
                    let update = sqlx::query("UPDATE bundles SET simulation = $2 WHERE id = $1");
                    update.bind(id).bind(text).execute(&mut *write.tx).await?;
                }
            }
        }
        write.commit().await?;
        Ok(())
    }

    /// The newest number of a bundle.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn last_bundle(&self) -> Result<i64, LedgerError> {
        Ok(sqlx::query_scalar("SELECT COALESCE(MAX(id), 0) FROM bundles").fetch_one(self.pool()).await?)
    }

    /// Blocks that decided bundles and are not known as final yet, oldest first: height and hash.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn deciding_blocks(&self, limit: u32) -> Result<Vec<(i64, String)>, LedgerError> {
        let query = sqlx::query_as(
            "SELECT DISTINCT block_number, block_hash FROM bundles \
             WHERE NOT is_final AND block_number IS NOT NULL AND block_hash IS NOT NULL ORDER BY block_number LIMIT $1",
        );
        Ok(query.bind(i64::from(limit)).fetch_all(self.pool()).await?)
    }

    /// Bundles that a block has transactions of and that are not booked yet, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn bundles_to_book(&self, block_hash: &str) -> Result<Vec<UnbookedBundle>, LedgerError> {
        let query = sqlx::query_as(TO_BOOK);
        let rows: Vec<(i64, String, String, i64)> = query.bind(block_hash).fetch_all(self.pool()).await?;
        let unbooked = rows.into_iter().filter_map(|(id, state, request, first_block)| {
            Some(UnbookedBundle { id, state: BundleState::parse(&state)?, request, first_block })
        });
        Ok(unbooked.collect())
    }

    /// Closes what a block, that is final now, decided without having any of it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn close_missed_bundles(&self, block_hash: &str) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        let update = sqlx::query(
            "UPDATE bundles SET is_final = TRUE, request = '' WHERE NOT is_final AND block_hash = $1 \
             AND state NOT IN ('included', 'partly_included', 'unbundled')",
        );
        update.bind(block_hash).execute(&mut *write.tx).await?;
        write.commit().await?;
        Ok(())
    }
}

async fn received(write: &mut WriteTransaction, row: &BundleReceived) -> Sql<()> {
    sqlx::query(
        "INSERT INTO bundles (id, hash, searcher, kind, uuid, canonical_uuid, sequence, transactions, request, builders, first_block, \
         last_block, received_at, instance) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14) ON CONFLICT DO NOTHING",
    )
    .bind(row.id)
    .bind(&row.hash)
    .bind(&row.searcher)
    .bind(row.kind.label())
    .bind(&row.uuid)
    .bind(&row.canonical_uuid)
    .bind(row.sequence)
    .bind(&row.transactions)
    .bind(&row.request)
    .bind(&row.builders)
    .bind(row.first_block)
    .bind(row.last_block)
    .bind(row.received_at)
    .bind(write.instance)
    .execute(&mut *write.tx)
    .await?;
    Ok(())
}

async fn sent(write: &mut WriteTransaction, row: &BundleSend) -> Sql<()> {
    sqlx::query(
        "INSERT INTO bundle_sends (bundle_id, builder, block, outcome, detail, attempts, latency_us, sent_at, instance) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (bundle_id, builder, block) DO UPDATE SET \
         outcome = excluded.outcome, detail = excluded.detail, attempts = excluded.attempts, \
         latency_us = excluded.latency_us, sent_at = excluded.sent_at",
    )
    .bind(row.id)
    .bind(&row.builder)
    .bind(row.block)
    .bind(row.outcome.label())
    .bind(&row.message)
    .bind(row.attempts)
    .bind(row.latency_us)
    .bind(row.sent_at)
    .bind(write.instance)
    .execute(&mut *write.tx)
    .await?;
    Ok(())
}

async fn undecided(write: &mut WriteTransaction, id: i64, delivery: Delivery, reason: &str) -> Sql<()> {
    sqlx::query(
        "UPDATE bundles SET state = $2, reason = $3, delivery = $4, replaced_by = $5, block_number = NULL, block_hash = NULL, \
         block_builder = NULL WHERE id = $1 AND NOT is_final",
    )
    .bind(id)
    .bind(delivery.state().label())
    .bind(reason)
    .bind(delivery.label())
    .bind(delivery.replaced_by())
    .execute(&mut *write.tx)
    .await?;
    Ok(())
}

async fn decided(write: &mut WriteTransaction, row: &BundleDecision) -> Sql<()> {
    sqlx::query(
        "UPDATE bundles SET state = $2, reason = $3, block_number = $4, block_hash = $5, block_builder = $6 \
         WHERE id = $1 AND NOT is_final",
    )
    .bind(row.id)
    .bind(row.state.label())
    .bind(&row.reason)
    .bind(row.block_number)
    .bind(&row.block_hash)
    .bind(&row.block_builder)
    .execute(&mut *write.tx)
    .await?;
    Ok(())
}

async fn booked(write: &mut WriteTransaction, id: i64, profit: Option<&BundleProfit>) -> Sql<()> {
    sqlx::query(
        // Its transactions are private, and needed no more.
        "UPDATE bundles SET is_final = TRUE, request = '', gas_cost_wei = $2, paid_to_builder_wei = $3, eth_wei = $4, weth_wei = $5, profit_wei = $6, \
         profit_confidence = $7 \
         WHERE id = $1",
    )
    .bind(id)
    .bind(profit.map(|profit| &profit.gas_cost))
    .bind(profit.map(|profit| &profit.paid_to_builder))
    .bind(profit.map(|profit| &profit.eth))
    .bind(profit.map(|profit| &profit.weth))
    .bind(profit.map(|profit| &profit.profit))
    .bind(profit.map(|profit| if profit.is_traced { Confidence::High } else { Confidence::Medium }.label()))
    .execute(&mut *write.tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn came(id: i64, builders: &str) -> BundleWrite {
        BundleWrite::Received(Box::new(BundleReceived {
            id,
            kind: BundleKind::Bundle,
            builders: builders.to_owned(),
            request: format!("raw {id}"),
            first_block: 10,
            last_block: 12,
            ..BundleReceived::default()
        }))
    }

    fn sent(id: i64, builder: &str, outcome: SendOutcome) -> BundleWrite {
        BundleWrite::Sent(BundleSend {
            id,
            builder: builder.to_owned(),
            block: 10,
            outcome,
            message: String::new(),
            attempts: 1,
            latency_us: 1,
            sent_at: 1,
        })
    }

    fn decision(id: i64, state: BundleState, block_number: i64) -> BundleWrite {
        BundleWrite::Decided(Box::new(BundleDecision {
            id,
            state,
            reason: String::new(),
            block_number,
            block_hash: format!("0x{block_number}"),
            block_builder: "b".to_owned(),
        }))
    }

    #[tokio::test]
    async fn a_bundle_is_open_then_decided_then_done() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        let replaced = BundleWrite::Withdrawn {
            id: 2,
            delivery: Delivery::Replaced { by: 3 },
            reason: "replaced by number 3".to_owned(),
        };
        ledger
            .save_bundles(&[
                came(1, r#"["x","y"]"#),
                came(2, r#"["x"]"#),
                came(3, r#"["x"]"#),
                sent(1, "x", SendOutcome::Accepted),
                sent(1, "x (cancel)", SendOutcome::CancelAccepted),
                replaced,
                decision(3, BundleState::Missed, 11),
            ])
            .await
            .unwrap();
        let open = ledger.open_bundles(9).await.unwrap();
        assert_eq!(open.iter().map(|row| row.id).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(
            (open[0].builders.join(" "), &open[0].taken),
            ("x y".to_owned(), &vec![("x".to_owned(), 10)])
        );
        assert_eq!(open[1].delivery, Delivery::Replaced { by: 3 });
        // Landed all the same.
        ledger.save_bundles(&[decision(2, BundleState::Included, 11)]).await.unwrap();
        assert_eq!(ledger.deciding_blocks(9).await.unwrap(), [(11, "0x11".to_owned())]);
        assert_eq!(ledger.bundles_decided_above(10, 9).await.unwrap().len(), 2);
        // The block is gone: open again, and still not sent.
        let delivery = Delivery::Replaced { by: 3 };
        ledger
            .save_bundles(&[BundleWrite::Reopened { id: 2, delivery, reason: "gone".to_owned() }])
            .await
            .unwrap();
        assert_eq!(ledger.open_bundles(9).await.unwrap()[1].delivery, delivery);
        ledger.save_bundles(&[decision(2, BundleState::Included, 11)]).await.unwrap();
        let to_book = ledger.bundles_to_book("0x11").await.unwrap();
        assert_eq!(to_book.iter().map(|row| row.id).collect::<Vec<_>>(), [2]);
        let profit = BundleProfit {
            profit: "-7".to_owned(),
            paid_to_builder: "90".to_owned(),
            is_traced: true,
            ..BundleProfit::default()
        };
        let trial = r#"{"success": true, "profit": "0x64"}"#.to_owned();
        ledger.save_bundles(&[BundleWrite::Simulated(2, trial)]).await.unwrap();
        ledger.save_bundles(&[BundleWrite::Booked(2, Some(Box::new(profit)))]).await.unwrap();
        ledger.close_missed_bundles("0x11").await.unwrap();
        assert!(ledger.deciding_blocks(9).await.unwrap().is_empty());
        let views = ledger.bundles(None, 9).await.unwrap();
        assert_eq!(views.iter().map(|view| view.is_final).collect::<Vec<_>>(), [true, true, false]);
        let requests: Vec<String> = sqlx::query_scalar("SELECT request FROM bundles ORDER BY id")
            .fetch_all(ledger.pool())
            .await
            .unwrap();
        assert_eq!(requests, ["raw 1", "", ""], "private transactions are gone once they are final");
        let totals = ledger.bundle_totals(0, i64::MAX).await.unwrap();
        assert_eq!((totals.profit_wei.as_str(), totals.profit_confidence), ("-7", Some(Confidence::High)));
        // It was to pay 100 wei, and paid 90.
        let compared = (totals.simulated_to_builder_wei.as_str(), totals.actual_to_builder_wei.as_str());
        assert_eq!((compared, totals.simulated, totals.below_simulation), (("100", "90"), 1, 1));
        assert_eq!(ledger.bundle_totals(1, i64::MAX).await.unwrap().submitted, 0, "all came at 0");
        assert_eq!(ledger.bundles_between(0, 1, 9).await.unwrap().len(), 3);
        assert!(ledger.bundles_between(1, 9, 9).await.unwrap().is_empty());
    }

    #[tokio::test]
    async fn the_last_number_of_a_name_outlives_the_process() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let named = |id: i64, uuid: Option<&str>, sequence: i64| {
            BundleWrite::Received(Box::new(BundleReceived {
                id,
                kind: BundleKind::Bundle,
                searcher: "0x5".to_owned(),
                uuid: uuid.map(str::to_owned),
                sequence,
                ..BundleReceived::default()
            }))
        };
        assert_eq!(ledger.last_of_names(9).await.unwrap(), []);
        let cancelled =
            BundleWrite::Withdrawn { id: 4, delivery: Delivery::CancelRequested, reason: String::new() };
        let writes = [
            named(1, Some("old"), 3),
            named(2, Some("a"), 7),
            named(3, None, 0),
            named(4, Some("b"), 1),
            cancelled,
            named(5, Some("a"), 8),
        ];
        ledger.save_bundles(&writes).await.unwrap();
        let known = |name: &str, last: i64| ("0x5".to_owned(), name.to_owned(), last);
        assert_eq!(ledger.last_of_names(4).await.unwrap(), [known("a", 8), known("b", 2)]);
    }

    #[tokio::test]
    async fn a_row_of_a_version_without_builders_goes_to_those_it_was_sent_to() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        let sends = [sent(1, "x", SendOutcome::Refused), sent(1, "y (cancel)", SendOutcome::CancelRefused)];
        ledger.save_bundles(&[came(1, "[]")]).await.unwrap();
        ledger.save_bundles(&sends).await.unwrap();
        sqlx::query("UPDATE bundles SET builders = NULL").execute(ledger.pool()).await.unwrap();
        assert_eq!(ledger.open_bundles(9).await.unwrap()[0].builders, ["x"]);
    }

    #[tokio::test]
    async fn labels_of_a_newer_version_are_shown_and_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        ledger
            .save_bundles(&[came(1, "[]"), came(2, "[]"), sent(1, "x", SendOutcome::Refused)])
            .await
            .unwrap();
        for sql in [
            "UPDATE bundles SET state = 'parked', delivery = 'parked' WHERE id = 1",
            "UPDATE bundle_sends SET outcome = 'bounced'",
        ] {
            sqlx::query(sql).execute(ledger.pool()).await.unwrap();
        }
        let open = ledger.open_bundles(9).await.unwrap();
        assert_eq!(open.iter().map(|row| row.id).collect::<Vec<_>>(), [2]);
        let views = ledger.bundles(None, 9).await.unwrap();
        assert_eq!((views[1].state.as_str(), views[1].sends[0].outcome.as_str()), ("parked", "bounced"));
        assert_eq!(ledger.bundle_totals(0, i64::MAX).await.unwrap().by_state["parked"], 1);
    }
}
