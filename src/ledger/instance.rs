//! Which sidecar, on which chain, writes this ledger.
//!
//! The name of a sidecar is drawn once and kept in its file, so that it outlives moves to other machines and changes of the configuration. Rows
//! hold the instance's number: together with it, their ids are those of no other sidecar.

use super::database::Pool;

/// The number of this file's instance of a chain; begun if it is the first of its kind.
///
/// # Errors
/// When the file cannot be read or written.
pub(super) async fn instance_of(pool: &Pool, chain: &str) -> Result<i64, sqlx::Error> {
    let name = sqlx::query_scalar("SELECT name FROM instances ORDER BY id LIMIT 1");
    let name: Option<String> = name.fetch_optional(pool).await?;
    let name = name.unwrap_or_else(|| format!("{:016x}", rand::random::<u64>()));
    let known = sqlx::query_scalar("SELECT id FROM instances WHERE name = $1 AND chain = $2");
    if let Some(id) = known.bind(&name).bind(chain).fetch_optional(pool).await? {
        return Ok(id);
    }
    let begun = sqlx::query_scalar(
        "INSERT INTO instances (id, name, chain) SELECT COALESCE(MAX(id), 0) + 1, $1, $2 FROM instances RETURNING id",
    );
    begun.bind(&name).bind(chain).fetch_one(pool).await
}

#[cfg(test)]
mod tests {
    use crate::ledger::Ledger;

    #[tokio::test]
    async fn a_file_keeps_its_name_and_each_chain_is_an_instance_of_its_own() {
        let folder = tempfile::tempdir().unwrap();
        let mut found = Vec::new();
        for chain in ["mainnet", "hoodi", "mainnet"] {
            let ledger = Ledger::open(folder.path(), chain).await.unwrap();
            let write = ledger.write().await.unwrap();
            let name: String = sqlx::query_scalar("SELECT name FROM instances WHERE id = $1")
                .bind(write.instance)
                .fetch_one(ledger.pool())
                .await
                .unwrap();
            found.push((write.instance, name));
            drop(write);
            ledger.shut().await;
        }
        assert_eq!(found.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [1, 2, 1]);
        assert!(found.iter().all(|(_, name)| *name == found[0].1 && name.len() == 16));
        let other = tempfile::tempdir().unwrap();
        let other = Ledger::open(other.path(), "mainnet").await.unwrap();
        let name: String =
            sqlx::query_scalar("SELECT name FROM instances").fetch_one(other.pool()).await.unwrap();
        assert_ne!(name, found[0].1, "two sidecars are two instances");
    }
}
