//! Which sidecar, on which chain, writes this ledger.
//!
//! The name and the number of a sidecar are drawn once and kept in its file, so that they outlive moves to other machines and changes of the
//! configuration. Rows hold the instance's number: together with it, their ids are those of no other sidecar. A file is of one chain for
//! good: slots, blocks and bundles have the same numbers on each.

use super::{LedgerError, database::Pool};

/// The instance of files that were begun before there were instances: their rows say so by default.
const OF_OLDER_ROWS: i64 = 1;

/// Whether a file has rows of a version that knew no instances.
const HAS_OLDER_ROWS: &str = "SELECT EXISTS (SELECT 1 FROM settlements) OR EXISTS (SELECT 1 FROM auctions) \
     OR EXISTS (SELECT 1 FROM submissions) OR EXISTS (SELECT 1 FROM registrations) OR EXISTS (SELECT 1 FROM bundles) \
     OR EXISTS (SELECT 1 FROM notices) OR EXISTS (SELECT 1 FROM counterparty_states) \
     OR EXISTS (SELECT 1 FROM counterparty_standings) OR EXISTS (SELECT 1 FROM service_runs)";

/// The number of this file's instance; begun if the file has none yet.
///
/// # Errors
/// When the file cannot be read or written, or is another chain's.
pub(super) async fn instance_of(pool: &Pool, path: &str, chain: &str) -> Result<i64, LedgerError> {
    // One of an earlier version may have several chains: it was made for the first.
    let known = sqlx::query_as("SELECT id, chain FROM instances ORDER BY id LIMIT 1");
    let known: Option<(i64, String)> = known.fetch_optional(pool).await?;
    match known {
        Some((id, of)) if of == chain => return Ok(id),
        Some((_, of)) => {
            let (path, configured) = (path.to_owned(), chain.to_owned());
            return Err(LedgerError::OtherChain { path, of, configured });
        }
        None => {}
    }
    let has_older_rows: bool = sqlx::query_scalar(HAS_OLDER_ROWS).fetch_one(pool).await?;
    // Two sidecars that share a database one day draw the same of 2^63 numbers as good as never.
    let drawn = (rand::random::<u64>() >> 1).cast_signed();
    let id = if has_older_rows { OF_OLDER_ROWS } else { drawn.max(OF_OLDER_ROWS + 1) };
    let begin = sqlx::query("INSERT INTO instances (id, name, chain) VALUES ($1, $2, $3)");
    begin.bind(id).bind(format!("{:016x}", rand::random::<u64>())).bind(chain).execute(pool).await?;
    Ok(id)
}

#[cfg(test)]
mod tests {
    use crate::ledger::Ledger;

    async fn instances(ledger: &Ledger) -> Vec<(i64, String, String)> {
        let all = sqlx::query_as("SELECT id, name, chain FROM instances ORDER BY id");
        all.fetch_all(ledger.pool()).await.unwrap()
    }

    /// Whose the rows are that it writes.
    async fn writes_as(ledger: &Ledger) -> i64 {
        ledger.write().await.unwrap().instance
    }

    #[tokio::test]
    async fn a_file_keeps_its_number_and_is_of_one_chain() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        let begun = instances(&ledger).await;
        assert_eq!((begun.len(), begun[0].0, begun[0].2.as_str()), (1, writes_as(&ledger).await, "mainnet"));
        ledger.shut().await;
        let refused = Ledger::open(folder.path(), "hoodi", 0).await.unwrap_err().to_string();
        assert!(refused.contains("network mainnet") && refused.contains("network is hoodi"), "{refused}");
        let again = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        assert_eq!(instances(&again).await, begun, "nothing of the other chain is in it");
        let other = tempfile::tempdir().unwrap();
        let other = Ledger::open(other.path(), "mainnet", 0).await.unwrap();
        assert_ne!(writes_as(&other).await, writes_as(&again).await, "two sidecars are two instances");
        assert_ne!(instances(&other).await[0].1, begun[0].1);
    }

    #[tokio::test]
    async fn a_file_of_two_chains_is_that_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        for sql in [
            "DELETE FROM instances",
            "INSERT INTO instances (id, name, chain) VALUES (1, 'a', 'mainnet'), (2, 'a', 'hoodi')",
        ] {
            sqlx::query(sql).execute(ledger.pool()).await.unwrap();
        }
        ledger.shut().await;
        assert!(Ledger::open(folder.path(), "hoodi", 0).await.is_err());
        assert_eq!(writes_as(&Ledger::open(folder.path(), "mainnet", 0).await.unwrap()).await, 1);
    }
}
