//! Copies of a file that is being written, and what a copy holds.
//!
//! A copy is one reading transaction (`VACUUM INTO`): writers are not held by it, as the file is in WAL mode, and what they write meanwhile waits in
//! the WAL. It has no free pages, so that nothing that was deleted is in it. Whoever copies is asked every few thousand steps of the database
//! whether to go on, on the database's own thread, where it may also pause: that is how a copy is slow on purpose.

use std::{collections::BTreeMap, path::Path, time::Duration};

use sqlx::{AssertSqlSafe, Connection, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{LedgerError, make_private};

/// Steps of the database between two questions: a fraction of a millisecond.
const STEPS: i32 = 2_000;
/// Most tables that are looked at.
const MAX_TABLES: i64 = 500;
/// Most words of a damage that are kept, in characters.
const MAX_DAMAGE: usize = 400;

/// What a file holds, and whether it is sound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Inspection {
    /// What is damaged, in the database's words; none where it is sound.
    pub damage: Option<String>,
    /// Number of the last change of its schema; 0 where there is none.
    pub schema: i64,
    /// Rows by table.
    pub rows: BTreeMap<String, u64>,
}

/// Copies a database that may be written meanwhile into a file that is not there yet. `go_on` is asked often, on a thread of the database's own.
pub(in crate::ledger) async fn copy(
    from: &Path,
    to: &Path,
    go_on: impl FnMut() -> bool + Send + 'static,
) -> Result<(), LedgerError> {
    let shown = |path: &Path| path.display().to_string();
    make_private(to).map_err(|error| LedgerError::Open { path: shown(to), error: error.into() })?;
    let options =
        SqliteConnectOptions::new().filename(from).read_only(true).busy_timeout(Duration::from_secs(5));
    let mut connection = connect(options, from).await?;
    ask(&mut connection, go_on).await?;
    sqlx::query("VACUUM INTO $1").bind(to.to_string_lossy()).execute(&mut connection).await?;
    connection.close().await?;
    Ok(())
}

/// Looks through a file that nobody writes: its soundness only where `thoroughly`, which reads all of it.
pub(in crate::ledger) async fn inspect(
    path: &Path,
    thoroughly: bool,
    go_on: impl FnMut() -> bool + Send + 'static,
) -> Result<Inspection, LedgerError> {
    // Nothing is made beside it, and no function of its schema is trusted.
    let options = SqliteConnectOptions::new()
        .filename(path)
        .read_only(true)
        .immutable(true)
        .pragma("trusted_schema", "OFF");
    let mut connection = connect(options, path).await?;
    ask(&mut connection, go_on).await?;
    let mut found = Inspection::default();
    if thoroughly {
        let words: Vec<String> =
            sqlx::query_scalar("PRAGMA integrity_check(5)").fetch_all(&mut connection).await?;
        let words = words.join("; ");
        found.damage = (words != "ok").then(|| words.chars().take(MAX_DAMAGE).collect());
    }
    let tables = sqlx::query_scalar(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name LIMIT $1",
    );
    let tables: Vec<String> = tables.bind(MAX_TABLES).fetch_all(&mut connection).await?;
    for table in tables {
        // Ours have plain names; no other is put into a statement.
        if !table.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            continue;
        }
        let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM \"{table}\""));
        let count: i64 = sqlx::query_scalar(count).fetch_one(&mut connection).await?;
        found.rows.insert(table, count.unsigned_abs());
    }
    if found.rows.contains_key("_sqlx_migrations") {
        let last = sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations");
        found.schema = last.fetch_one(&mut connection).await?;
    }
    connection.close().await?;
    Ok(found)
}

async fn connect(options: SqliteConnectOptions, path: &Path) -> Result<SqliteConnection, LedgerError> {
    let connected = SqliteConnection::connect_with(&options).await;
    connected.map_err(|error| LedgerError::Open { path: path.display().to_string(), error })
}

async fn ask(
    connection: &mut SqliteConnection,
    go_on: impl FnMut() -> bool + Send + 'static,
) -> Result<(), LedgerError> {
    connection.lock_handle().await?.set_progress_handler(STEPS, go_on);
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    };

    use super::{
        super::{Durability, Step, open},
        *,
    };

    const ONE: Step = Step { version: 3, name: "one", sql: "CREATE TABLE things (name TEXT)" };

    /// A copy that is paused in its midst holds no writer, and has what was there when it began, all of it.
    #[tokio::test(flavor = "multi_thread")]
    async fn who_writes_is_not_held_by_a_copy_that_takes_long() {
        let folder = tempfile::tempdir().unwrap();
        let (path, to) = (folder.path().join("a.db"), folder.path().join("b.db"));
        let pool = open(&path, Durability::Process, 1, &[ONE], 0).await.unwrap();
        let fill = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) \
                    INSERT INTO things SELECT 'a name of some length ' || i FROM n";
        sqlx::query(fill).execute(&pool).await.unwrap();
        let (asked, may_end) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let copying = {
            let (from, to) = (path.clone(), to.clone());
            let (asked, may_end) = (Arc::clone(&asked), Arc::clone(&may_end));
            tokio::spawn(async move {
                copy(&from, &to, move || {
                    asked.fetch_add(1, Ordering::SeqCst);
                    while !may_end.load(Ordering::SeqCst) {
                        std::thread::yield_now();
                    }
                    true
                })
                .await
            })
        };
        while asked.load(Ordering::SeqCst) == 0 {
            tokio::task::yield_now().await;
        }
        for _ in 0..50 {
            sqlx::query("INSERT INTO things VALUES ('late')").execute(&pool).await.unwrap();
        }
        assert!(!copying.is_finished());
        may_end.store(true, Ordering::SeqCst);
        copying.await.unwrap().unwrap();
        assert!(asked.load(Ordering::SeqCst) > 3);
        let found = inspect(&to, true, || true).await.unwrap();
        assert_eq!(
            (found.damage.clone(), found.schema, found.rows["things"]),
            (None, 3, 20_000),
            "{found:?}"
        );
        pool.close().await;
    }

    #[tokio::test]
    async fn a_copy_ends_when_it_is_told_to() {
        let folder = tempfile::tempdir().unwrap();
        let (path, to) = (folder.path().join("a.db"), folder.path().join("b.db"));
        let pool = open(&path, Durability::Process, 1, &[ONE], 0).await.unwrap();
        let fill = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) \
                    INSERT INTO things SELECT 'x' || i FROM n";
        sqlx::query(fill).execute(&pool).await.unwrap();
        copy(&path, &to, || false).await.unwrap_err();
        pool.close().await;
    }

    #[tokio::test]
    async fn what_is_damaged_is_said_to_be() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        std::fs::write(&path, [b'x'; 9000]).unwrap();
        inspect(&path, true, || true).await.unwrap_err();
        let path = folder.path().join("c.db");
        let pool = open(&path, Durability::Process, 1, &[ONE], 0).await.unwrap();
        let fill = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) \
                    INSERT INTO things SELECT 'a name of some length ' || i FROM n";
        sqlx::query(fill).execute(&pool).await.unwrap();
        pool.close().await;
        let whole = folder.path().join("whole.db");
        copy(&path, &whole, || true).await.unwrap();
        let mut bytes = std::fs::read(&whole).unwrap();
        // A page in the midst of the table.
        for byte in bytes.iter_mut().skip(4096 * 8).take(64) {
            *byte = 0xff;
        }
        std::fs::write(&whole, bytes).unwrap();
        let found = inspect(&whole, true, || true).await;
        assert!(found.as_ref().map_or(true, |found| found.damage.is_some()), "{found:?}");
    }
}
