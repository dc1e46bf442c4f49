//! Bundles as they were left, to go on with after a restart or when the chain goes back.

use std::collections::BTreeMap;

use tracing::warn;

use super::{
    Ledger, LedgerError,
    bundle_state::{Delivery, SendOutcome},
    row::from_row,
};

/// A bundle as it was left, to go on with.
#[derive(Clone, Debug)]
pub struct StoredBundle {
    /// Its number in the ledger, which no other bundle has.
    pub id: i64,
    /// Address that signed the request: the searcher's identity.
    pub searcher: String,
    /// Which one of its name.
    pub sequence: i64,
    /// The request, as JSON.
    pub request: String,
    /// First block it may be in.
    pub first_block: i64,
    /// Whether it is still sent.
    pub delivery: Delivery,
    /// Builders that it goes to. Those that it was sent to, in rows of versions that did not write it down: never more.
    pub builders: Vec<String>,
    /// Builders that took it, and for which block.
    pub taken: Vec<(String, i64)>,
}

/// A query for the columns of a [`StoredBundle`].
macro_rules! stored {
    ($rest:literal) => {
        concat!(
            "SELECT id, searcher, sequence, request, first_block, delivery, replaced_by, builders FROM bundles ",
            $rest
        )
    };
}

impl Ledger {
    /// Bundles that no block has decided, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn open_bundles(&self, limit: u32) -> Result<Vec<StoredBundle>, LedgerError> {
        let query =
            sqlx::query_as(stored!("WHERE NOT is_final AND block_number IS NULL ORDER BY id LIMIT $1"));
        let rows = query.bind(i64::from(limit)).fetch_all(self.pool()).await?;
        self.stored(rows).await
    }

    /// Bundles that a block above a height decided, oldest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn bundles_decided_above(
        &self,
        number: i64,
        limit: u32,
    ) -> Result<Vec<StoredBundle>, LedgerError> {
        let query = sqlx::query_as(stored!("WHERE NOT is_final AND block_number > $1 ORDER BY id LIMIT $2"));
        let rows = query.bind(number).bind(i64::from(limit)).fetch_all(self.pool()).await?;
        self.stored(rows).await
    }

    /// The highest number that was given under each name, its cancellation's included, of the newest `limit` bundles: searcher, name, number.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn last_of_names(&self, limit: u32) -> Result<Vec<(String, String, i64)>, LedgerError> {
        let names = sqlx::query_as(
            "SELECT searcher, uuid, MAX(CASE WHEN delivery = 'cancel_requested' THEN sequence + 1 ELSE sequence END) \
             FROM bundles WHERE uuid IS NOT NULL AND id > (SELECT COALESCE(MAX(id), 0) FROM bundles) - $1 \
             GROUP BY searcher, uuid",
        );
        Ok(names.bind(i64::from(limit)).fetch_all(self.pool()).await?)
    }

    async fn stored(&self, rows: Vec<StoredRow>) -> Result<Vec<StoredBundle>, LedgerError> {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return Ok(Vec::new()) };
        let sends = sqlx::query_as(
            "SELECT s.bundle_id, s.builder, s.block, s.outcome FROM bundle_sends s \
             JOIN bundles b ON b.id = s.bundle_id WHERE s.bundle_id BETWEEN $1 AND $2 AND NOT b.is_final",
        );
        let sends: Vec<(i64, String, i64, String)> =
            sends.bind(first.id).bind(last.id).fetch_all(self.pool()).await?;
        let mut asked: BTreeMap<i64, Vec<Asked>> = BTreeMap::new();
        for (id, builder, block, outcome) in sends {
            let outcome = SendOutcome::parse(&outcome);
            // What was taken back stands beside the sends, under the builder's name with a mark.
            if !matches!(outcome, Some(SendOutcome::CancelAccepted | SendOutcome::CancelRefused)) {
                let has_taken = outcome == Some(SendOutcome::Accepted);
                asked.entry(id).or_default().push(Asked { builder, block, has_taken });
            }
        }
        let rows = rows.into_iter().map(|row| (asked.remove(&row.id).unwrap_or_default(), row));
        Ok(rows.filter_map(|(asked, row)| row.with(asked)).collect())
    }
}

/// A builder that a bundle was sent to.
struct Asked {
    builder: String,
    block: i64,
    has_taken: bool,
}

/// The columns of a [`StoredBundle`].
struct StoredRow {
    id: i64,
    searcher: String,
    sequence: i64,
    request: String,
    first_block: i64,
    delivery: String,
    replaced_by: Option<i64>,
    builders: Option<String>,
}

from_row!(|row| StoredRow { id, searcher, sequence, request, first_block, delivery, replaced_by, builders });

impl StoredRow {
    /// The bundle; none where a newer version says of its delivery what is not known here: it is left to that one.
    fn with(self, asked: Vec<Asked>) -> Option<StoredBundle> {
        let Some(delivery) = Delivery::parse(&self.delivery, self.replaced_by) else {
            warn!(
                bundle = self.id,
                delivery = self.delivery,
                "a bundle of a newer version is not gone on with"
            );
            return None;
        };
        let builders = match self.builders.and_then(|text| serde_json::from_str(&text).ok()) {
            Some(chosen) => chosen,
            None => {
                let mut known: Vec<String> = asked.iter().map(|asked| asked.builder.clone()).collect();
                known.sort_unstable();
                known.dedup();
                known
            }
        };
        let taken = asked.into_iter().filter(|asked| asked.has_taken);
        Some(StoredBundle {
            id: self.id,
            searcher: self.searcher,
            sequence: self.sequence,
            request: self.request,
            first_block: self.first_block,
            delivery,
            builders,
            taken: taken.map(|asked| (asked.builder, asked.block)).collect(),
        })
    }
}
