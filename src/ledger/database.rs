//! Opening SQLite files.

pub(super) mod snapshot;

use std::{
    borrow::Cow,
    fs::OpenOptions,
    io,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sqlx::{
    AssertSqlSafe, Connection, SqlStr, SqliteConnection,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous},
};
use tokio::sync::Mutex;
use tracing::{info, warn};

use crate::types::{DAY_MS, UnixMillis};

/// The database's types, named here alone: the rest of the room would be the same over another one.
pub(super) type Db = sqlx::Sqlite;
/// One row of an answer.
pub(super) type Row = sqlx::sqlite::SqliteRow;
/// Connections that questions share.
pub(super) type Pool = sqlx::Pool<Db>;
/// One connection.
pub(super) type DbConnection = SqliteConnection;
/// What keeps a database in memory: a connection that nobody uses.
pub(super) type KeepAlive = Arc<Mutex<DbConnection>>;
/// All or nothing.
pub(super) type Tx<'t> = sqlx::Transaction<'t, Db>;
/// Whatever a question can be asked of.
pub(super) trait Executor<'e>: sqlx::Executor<'e, Database = Db> {}
impl<'e, E: sqlx::Executor<'e, Database = Db>> Executor<'e> for E {}
/// A statement with its values.
pub(super) type Query<'q> = sqlx::query::Query<'q, Db, sqlx::sqlite::SqliteArguments>;

/// SQLite's default page.
const PAGE_BYTES: u64 = 4096;
/// Largest file that is looked through at every start: a fraction of a second.
const CHECKED_BYTES: u64 = 64 << 20;
/// Largest file that is copied before its schema changes: some seconds, in which a consensus client waits.
const COPIED_BYTES: u64 = 1 << 30;
/// How long the copy of a file of an earlier schema is kept, in milliseconds: a week, time to see that there is no need to go back.
const COPY_KEPT_MS: i64 = 7 * DAY_MS;
/// Room that a copy must leave on the disk.
const SPARE_BYTES: u64 = 64 << 20;

/// Why the ledger could not do something.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be opened or made.
    #[error("cannot open {path}: {error}")]
    Open {
        /// The file that this is about.
        path: String,
        /// The database's words.
        error: sqlx::Error,
    },
    /// The file is of another version than this program's.
    #[error("cannot bring {path} up to date: {error}")]
    Migrate {
        /// The file that this is about.
        path: String,
        /// The database's words.
        error: sqlx::migrate::MigrateError,
    },
    /// An older version's file, opened to be read only.
    #[error(
        "{path} was written by an older version of relaymux: start the service once (`relaymux run`), it brings the file up to date, \
         then ask again"
    )]
    Older {
        /// The file that this is about.
        path: String,
    },
    /// A newer version's file, opened to be read only.
    #[error(
        "{path} was written by a newer version of relaymux: ask with that version, this one does not know its tables"
    )]
    Newer {
        /// The file that this is about.
        path: String,
    },
    /// It was made for another chain: slots, blocks and bundles of two chains in one file cannot be told apart.
    #[error("{path} is the ledger of the network {of}, and the configured network is {configured}")]
    OtherChain {
        /// The file that this is about.
        path: String,
        /// The network that it was made for.
        of: String,
        /// The network that was to be written down.
        configured: String,
    },
    /// A statement failed.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
}

/// Why a file is of no use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unusable {
    /// What is in it is no database, or a damaged one.
    Damaged,
    /// Another program version's: nothing is wrong with it.
    OtherVersion,
    /// Another chain's: nothing is wrong with it, and nothing in it is of use.
    OtherChain,
    /// It cannot be reached, read or written.
    Inaccessible,
}

impl LedgerError {
    /// Whether a statement failed for what it says, and would on the best of disks.
    pub fn is_of_the_statement(&self) -> bool {
        match self {
            Self::Database(error) => is_of_the_statement(error),
            Self::Open { .. }
            | Self::Migrate { .. }
            | Self::Older { .. }
            | Self::Newer { .. }
            | Self::OtherChain { .. } => false,
        }
    }

    /// What is wrong with the file.
    pub(super) fn unusable(&self) -> Unusable {
        let of = |error: &sqlx::Error| match error {
            sqlx::Error::Database(error) => {
                // The low byte is SQLite's primary code. Source: https://sqlite.org/rescode.html
                match error.code().and_then(|code| code.parse::<i32>().ok()).map(|code| code & 0xff) {
                    Some(SQLITE_CORRUPT | SQLITE_NOTADB) => Unusable::Damaged,
                    _ => Unusable::Inaccessible,
                }
            }
            sqlx::Error::Decode(error) if error.is::<Damaged>() => Unusable::Damaged,
            _ => Unusable::Inaccessible,
        };
        match self {
            Self::Open { error, .. } | Self::Database(error) => of(error),
            Self::Migrate { error: MigrateError::Execute(error), .. }
            | Self::Migrate { error: MigrateError::ExecuteMigration(error, _), .. } => of(error),
            Self::Migrate { .. } | Self::Older { .. } | Self::Newer { .. } => Unusable::OtherVersion,
            Self::OtherChain { .. } => Unusable::OtherChain,
        }
    }
}

const SQLITE_CORRUPT: i32 = 11;
const SQLITE_NOTADB: i32 = 26;

/// Whether a statement fails for what it says, and would on the best of disks. By SQLite's primary result codes
/// (<https://www.sqlite.org/rescode.html>): ERROR, TOOBIG, CONSTRAINT, MISMATCH, RANGE.
pub(super) fn is_of_the_statement(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().and_then(|code| code.parse::<i32>().ok());
            code.is_some_and(|code| matches!(code & 0xff, 1 | 18 | 19 | 20 | 25))
        }
        sqlx::Error::Encode(_) | sqlx::Error::Decode(_) | sqlx::Error::TypeNotFound { .. } => true,
        _ => false,
    }
}

/// How hard a commit is pressed onto the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Durability {
    /// Survives a crash of the process; the last moments may be lost with the power.
    Process,
    /// Survives a power cut.
    PowerCut,
}

/// One step of a schema.
pub(super) struct Step {
    pub(super) version: i64,
    pub(super) name: &'static str,
    pub(super) sql: &'static str,
}

/// Opens a file, makes it when missing, and brings its schema up to date. Copies of it that are old by `now` are removed.
pub(super) async fn open(
    path: &Path,
    durability: Durability,
    connections: u32,
    steps: &[Step],
    now: UnixMillis,
) -> Result<SqlitePool, LedgerError> {
    let options = prepare(path, durability, steps, now).await?;
    let open_error = |error| LedgerError::Open { path: path.display().to_string(), error };
    pool(options, connections).await.map_err(open_error)
}

/// The same, with one connection more, behind which no reader ever waits.
pub(super) async fn open_with_writer(
    path: &Path,
    durability: Durability,
    readers: u32,
    steps: &[Step],
    now: UnixMillis,
) -> Result<(SqlitePool, SqlitePool), LedgerError> {
    let options = prepare(path, durability, steps, now).await?;
    let open_error = |error| LedgerError::Open { path: path.display().to_string(), error };
    let readers = pool(options.clone(), readers).await.map_err(open_error)?;
    Ok((readers, pool(options, 1).await.map_err(open_error)?))
}

/// Makes a file when missing and brings its schema up to date; how it is opened then.
async fn prepare(
    path: &Path,
    durability: Durability,
    steps: &[Step],
    now: UnixMillis,
) -> Result<SqliteConnectOptions, LedgerError> {
    let shown = || path.display().to_string();
    make_private(path).map_err(|error| LedgerError::Open { path: shown(), error: error.into() })?;
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(match durability {
            Durability::Process => SqliteSynchronous::Normal,
            Durability::PowerCut => SqliteSynchronous::Full,
        })
        .busy_timeout(Duration::from_secs(5))
        // What is deleted is gone from the file: private transactions among it.
        .pragma("secure_delete", "ON");
    // Switching a new file to WAL needs it to itself, and does not wait for its turn: one connection does it before the pool opens.
    let mut first = SqliteConnection::connect_with(&options)
        .await
        .map_err(|error| LedgerError::Open { path: shown(), error })?;
    check(&mut first, path).await.map_err(|error| LedgerError::Open { path: shown(), error })?;
    copy_before_migration(&mut first, path, steps).await;
    migrate(&mut first, steps).await.map_err(|error| LedgerError::Migrate { path: shown(), error })?;
    // A read-only file opens, and finds everything up to date: only writing shows that it can be written.
    let open_error = |error| LedgerError::Open { path: shown(), error };
    let marker: i64 =
        sqlx::query_scalar("PRAGMA user_version").fetch_one(&mut first).await.map_err(open_error)?;
    let write = AssertSqlSafe(format!("PRAGMA user_version = {marker}"));
    sqlx::query(write).execute(&mut first).await.map_err(open_error)?;
    first.close().await.map_err(open_error)?;
    remove_old_copies(path, now);
    Ok(options)
}

/// Begins a transaction that will write: a reader that turns writer later would be refused.
pub(super) async fn begin_write(pool: &Pool) -> Result<Tx<'static>, sqlx::Error> {
    const BEGIN: &str = "BEGIN IMMEDIATE";
    match pool.begin_with(BEGIN).await {
        // A full disk ends a transaction by itself (SQLITE_FULL), and sqlx goes on believing that it is open: this connection would never write again.
        Err(sqlx::Error::InvalidSavePointStatement) => {
            // However that goes, it is gone from the pool.
            let _ = pool.acquire().await?.close().await;
            pool.begin_with(BEGIN).await
        }
        begun => begun,
    }
}

/// When a database got its first schema, in Unix milliseconds.
pub(super) async fn made_at(pool: &Pool) -> Result<Option<UnixMillis>, sqlx::Error> {
    let first = sqlx::query_scalar("SELECT CAST(MIN(installed_on) AS TEXT) FROM _sqlx_migrations");
    let text: Option<String> = first.fetch_one(pool).await?;
    // SQLite's CURRENT_TIMESTAMP: `2026-11-24 20:17:01`, UTC.
    let time = text.and_then(|text| text.parse::<jiff::civil::DateTime>().ok());
    let time = time.and_then(|time| time.to_zoned(jiff::tz::TimeZone::UTC).ok());
    Ok(time.map(|time| time.timestamp().as_millisecond()))
}

/// Room in a file that nothing is in, in bytes.
pub(super) async fn free_bytes(pool: &Pool) -> Result<u64, sqlx::Error> {
    let pages: i64 = sqlx::query_scalar("PRAGMA freelist_count").fetch_one(pool).await?;
    let bytes: i64 = sqlx::query_scalar("PRAGMA page_size").fetch_one(pool).await?;
    Ok(pages.saturating_mul(bytes).unsigned_abs())
}

async fn pool(options: SqliteConnectOptions, connections: u32) -> Result<SqlitePool, sqlx::Error> {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await
}

/// A database of a schema in memory, of at most so many bytes, and the connection that keeps it there as long as it lives.
pub(super) async fn open_in_memory(
    steps: &[Step],
    max_bytes: u64,
) -> Result<(SqlitePool, SqliteConnection), LedgerError> {
    // A name of its own for each, that all connections to it share.
    let options: SqliteConnectOptions = "sqlite::memory:".parse()?;
    let options = options.pragma("max_page_count", (max_bytes / PAGE_BYTES).to_string());
    let mut keep_alive = SqliteConnection::connect_with(&options).await?;
    migrate(&mut keep_alive, steps)
        .await
        .map_err(|error| LedgerError::Migrate { path: "memory".to_owned(), error })?;
    // One connection beside the one that keeps it alive: more would lock each other out of tables.
    Ok((pool(options, 1).await?, keep_alive))
}

/// A file as it is, for reading only, whatever is wrong with it.
pub(super) async fn open_as_it_is(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    let mut failure = None;
    // The second reads without the files beside it, which cannot be made in a folder that nobody writes to.
    for options in [options.clone(), options.immutable(true)] {
        let opened = async {
            let mut connection = SqliteConnection::connect_with(&options).await?;
            sqlx::query("SELECT count(*) FROM sqlite_master").execute(&mut connection).await?;
            Ok::<_, sqlx::Error>(connection)
        };
        match opened.await {
            Ok(connection) => return Ok(connection),
            Err(error) => failure = Some(error),
        }
    }
    Err(failure.unwrap_or(sqlx::Error::RowNotFound))
}

async fn migrate(connection: &mut SqliteConnection, steps: &[Step]) -> Result<(), MigrateError> {
    let migrations = steps.iter().map(|step| {
        let (name, sql) = (Cow::Borrowed(step.name), SqlStr::from_static(step.sql));
        Migration::new(step.version, name, MigrationType::Simple, sql, false)
    });
    Migrator::with_migrations(migrations.collect()).run(connection).await
}

/// Looks through a file that is small enough to be looked through at every start.
async fn check(connection: &mut SqliteConnection, path: &Path) -> Result<(), sqlx::Error> {
    if std::fs::metadata(path).map_or(0, |data| data.len()) > CHECKED_BYTES {
        return Ok(());
    }
    let found: String = sqlx::query_scalar("PRAGMA quick_check(1)").fetch_one(connection).await?;
    if found == "ok" { Ok(()) } else { Err(sqlx::Error::Decode(Box::new(Damaged(found)))) }
}

/// Looks through a whole file, and says what is damaged: at most so many things. Reads all of it.
pub(super) async fn damages(pool: &Pool, most: u8) -> Result<Vec<String>, sqlx::Error> {
    let look = AssertSqlSafe(format!("PRAGMA quick_check({most})"));
    let found: Vec<String> = sqlx::query_scalar(look).fetch_all(pool).await?;
    Ok(found.into_iter().filter(|line| line != "ok").collect())
}

/// Keeps a copy of a file whose schema is about to change: `<file>.schema-<version>`. Whatever goes wrong here is told and no more: each
/// migration is all or nothing by itself.
async fn copy_before_migration(connection: &mut SqliteConnection, path: &Path, steps: &[Step]) {
    let newest = steps.iter().map(|step| step.version).max().unwrap_or(0);
    let version: Result<i64, _> =
        sqlx::query_scalar("SELECT COALESCE(MAX(version), 0) FROM _sqlx_migrations")
            .fetch_one(&mut *connection)
            .await;
    // No such table: a new file.
    let Ok(version @ 1..) = version else { return };
    if version >= newest {
        return;
    }
    let with_end = |end: &str| {
        let mut name = path.as_os_str().to_owned();
        name.push(end);
        PathBuf::from(name)
    };
    let (copy, aside) = (with_end(&format!(".schema-{version}")), with_end(".copying"));
    match write_copy(connection, path, &aside, &copy).await {
        Ok(()) => {
            info!(copy = %copy.display(), from = version, to = newest, "database copied before its schema changes; a start after a week removes the copy");
        }
        Err(error) => {
            let _ = std::fs::remove_file(&aside);
            warn!(path = %path.display(), %error, "database not copied before its schema changes");
        }
    }
}

/// Removes the copies of a file that were made more than a week ago, now that it has opened: what is private, and is gone from the file itself, must
/// not stay in them for ever.
fn remove_old_copies(path: &Path, now: UnixMillis) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else { return };
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let file = entry.file_name();
        let of = file.to_str().and_then(|file| file.strip_prefix(name)?.strip_prefix(".schema-"));
        if of.is_none_or(|version| version.is_empty() || !version.bytes().all(|b| b.is_ascii_digit())) {
            continue;
        }
        let made = entry.metadata().and_then(|data| data.modified()).ok();
        let made = made.and_then(|made| jiff::Timestamp::try_from(made).ok());
        if made.is_none_or(|made| now.saturating_sub(made.as_millisecond()) < COPY_KEPT_MS) {
            continue;
        }
        match std::fs::remove_file(entry.path()) {
            Ok(()) => {
                info!(copy = %entry.path().display(), "the copy of an earlier schema is a week old and was removed")
            }
            Err(error) => {
                warn!(copy = %entry.path().display(), %error, "the copy of an earlier schema cannot be removed")
            }
        }
    }
}

async fn write_copy(
    connection: &mut SqliteConnection,
    path: &Path,
    aside: &Path,
    copy: &Path,
) -> Result<(), CopyError> {
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(&mut *connection).await?;
    let page_size: i64 = sqlx::query_scalar("PRAGMA page_size").fetch_one(&mut *connection).await?;
    let bytes = pages.saturating_mul(page_size).unsigned_abs();
    if bytes > COPIED_BYTES {
        return Err(CopyError::TooLarge(bytes));
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let disk = rustix::fs::statvfs(folder).map_err(io::Error::from)?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    if free < bytes.saturating_mul(2).saturating_add(SPARE_BYTES) {
        return Err(CopyError::NoRoom { bytes, free });
    }
    match std::fs::remove_file(aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        Ok(()) | Err(_) => make_private(aside)?,
    }
    sqlx::query("VACUUM INTO $1").bind(aside.to_string_lossy()).execute(connection).await?;
    std::fs::File::open(aside)?.sync_all()?;
    std::fs::rename(aside, copy)?;
    Ok(())
}

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error(
        "{0} bytes are more than is copied at a start: stop the service and copy it by hand before an upgrade"
    )]
    TooLarge(u64),
    #[error("the copy takes {bytes} bytes and the disk has {free} left")]
    NoRoom { bytes: u64, free: u64 },
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Database(#[from] sqlx::Error),
}

/// What a look through a file found.
#[derive(Debug, thiserror::Error)]
#[error("the file is damaged: {0}")]
struct Damaged(String);

/// Opens a file to read it only. Its schema must be this program's: it is not touched.
pub(super) async fn open_to_read(
    path: &Path,
    connections: u32,
    steps: &[Step],
) -> Result<SqlitePool, LedgerError> {
    let shown = || path.display().to_string();
    let options =
        SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(Duration::from_secs(5));
    let pool = SqlitePoolOptions::new()
        .max_connections(connections)
        .connect_with(options)
        .await
        .map_err(|error| LedgerError::Open { path: shown(), error })?;
    let applied: Vec<i64> = sqlx::query_scalar("SELECT version FROM _sqlx_migrations")
        .fetch_all(&pool)
        .await
        .map_err(|error| LedgerError::Open { path: shown(), error })?;
    if applied.iter().any(|version| steps.iter().all(|step| step.version != *version)) {
        return Err(LedgerError::Newer { path: shown() });
    }
    if steps.iter().any(|step| !applied.contains(&step.version)) {
        return Err(LedgerError::Older { path: shown() });
    }
    Ok(pool)
}

/// Makes an empty file for its owner alone, unless there is one. SQLite would make it readable by everybody; what it makes beside it (WAL,
/// shared memory) has the file's own mode.
fn make_private(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, time::UNIX_EPOCH};

    use super::*;

    const ONE: Step = Step { version: 1, name: "one", sql: "CREATE TABLE things (name TEXT)" };
    const TWO: Step = Step { version: 2, name: "two", sql: "ALTER TABLE things ADD COLUMN size INTEGER" };

    async fn names(path: &Path) -> Vec<String> {
        let mut connection = open_as_it_is(path).await.unwrap();
        sqlx::query_scalar("SELECT name FROM things").fetch_all(&mut connection).await.unwrap()
    }

    #[tokio::test]
    async fn a_file_is_copied_before_its_schema_changes_and_only_then() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        // But for what SQLite puts beside a file while it is open.
        let is_whole = |name: &str| !name.ends_with("-wal") && !name.ends_with("-shm");
        let files = || {
            let files = std::fs::read_dir(folder.path()).unwrap().flatten();
            files.filter(|file| is_whole(&file.file_name().to_string_lossy())).count()
        };
        for _ in 0..2 {
            let pool = open(&path, Durability::Process, 1, &[ONE], 0).await.unwrap();
            sqlx::query("INSERT INTO things VALUES ('kept')").execute(&pool).await.unwrap();
            pool.close().await;
            assert_eq!(files(), 1, "nothing has changed");
        }
        // What a copy that was cut off left behind is in nobody's way.
        std::fs::write(folder.path().join("ledger.db.copying"), "half a copy").unwrap();
        let pool = open(&path, Durability::Process, 1, &[ONE, TWO], 0).await.unwrap();
        sqlx::query("INSERT INTO things VALUES ('after', 1)").execute(&pool).await.unwrap();
        pool.close().await;
        assert_eq!(names(&path).await, ["kept", "kept", "after"]);
        assert_eq!(names(&folder.path().join("ledger.db.schema-1")).await, ["kept", "kept"]);
        assert_eq!(files(), 2);
        // The copy is what the older version can open.
        let old = open(&folder.path().join("ledger.db.schema-1"), Durability::Process, 1, &[ONE], 0).await;
        old.unwrap().close().await;
    }

    #[test]
    fn a_copy_is_removed_when_it_is_a_week_old() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        let kept =
            ["ledger.db", "ledger.db-wal", "ledger.db.schema-", "ledger.db.schema-x", "journal.db.schema-1"];
        let made_at: UnixMillis = 1_700_000_000_000;
        for name in kept.iter().chain(&["ledger.db.schema-1", "ledger.db.schema-17"]) {
            let mut file = std::fs::File::create_new(folder.path().join(name)).unwrap();
            file.write_all(b"raw transactions").unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_millis(made_at.unsigned_abs())).unwrap();
        }
        let names = || {
            let files = std::fs::read_dir(folder.path()).unwrap().flatten();
            let mut names: Vec<String> =
                files.map(|file| file.file_name().to_string_lossy().into_owned()).collect();
            names.sort();
            names
        };
        remove_old_copies(&path, made_at + COPY_KEPT_MS - 1);
        assert_eq!(names().len(), 7);
        remove_old_copies(&path, made_at + COPY_KEPT_MS);
        let mut kept = kept.map(str::to_owned);
        kept.sort();
        assert_eq!(names(), kept);
    }

    #[tokio::test]
    async fn a_newer_files_version_is_told_from_damage() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger.db");
        open(&path, Durability::Process, 1, &[ONE, TWO], 0).await.unwrap().close().await;
        let newer = open(&path, Durability::Process, 1, &[ONE], 0).await.unwrap_err();
        assert_eq!(newer.unusable(), Unusable::OtherVersion, "{newer}");
        std::fs::write(&path, "no database at all, but some text that is long enough to be one".repeat(100))
            .unwrap();
        let damaged = open(&path, Durability::Process, 1, &[ONE], 0).await.unwrap_err();
        assert_eq!(damaged.unusable(), Unusable::Damaged, "{damaged}");
        let folder = open(folder.path(), Durability::Process, 1, &[ONE], 0).await.unwrap_err();
        assert_eq!(folder.unusable(), Unusable::Inaccessible, "{folder}");
    }

    /// SQLite itself ends a transaction for which there is no room.
    #[tokio::test]
    async fn a_disk_that_was_full_is_written_again_once_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let pool = open(&folder.path().join("ledger.db"), Durability::Process, 1, &[ONE], 0).await.unwrap();
        sqlx::query("PRAGMA max_page_count = 20").execute(&pool).await.unwrap();
        let mut tx = begin_write(&pool).await.unwrap();
        let large = "x".repeat(1 << 20);
        assert!(sqlx::query("INSERT INTO things VALUES ($1)").bind(large).execute(&mut *tx).await.is_err());
        drop(tx);
        // Another connection has no such bound: there is room.
        let mut tx = begin_write(&pool).await.unwrap();
        sqlx::query("INSERT INTO things VALUES ('after')").execute(&mut *tx).await.unwrap();
        tx.commit().await.unwrap();
        pool.close().await;
        assert_eq!(names(&folder.path().join("ledger.db")).await, ["after"]);
    }

    #[tokio::test]
    async fn a_database_in_memory_outlives_its_connections_and_is_bounded() {
        let (pool, _keep_alive) = open_in_memory(&[ONE], 1 << 20).await.unwrap();
        sqlx::query("INSERT INTO things VALUES ('kept')").execute(&pool).await.unwrap();
        let connection = pool.acquire().await.unwrap();
        drop(connection.detach());
        let found: String = sqlx::query_scalar("SELECT name FROM things").fetch_one(&pool).await.unwrap();
        assert_eq!(found, "kept");
        let large = "x".repeat(2 << 20);
        assert!(sqlx::query("INSERT INTO things VALUES ($1)").bind(large).execute(&pool).await.is_err());
        sqlx::query("INSERT INTO things VALUES ('after')").execute(&pool).await.unwrap();
        // Each is a database of its own.
        let (other, _keep_alive) = open_in_memory(&[ONE], 1 << 20).await.unwrap();
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM things").fetch_one(&other).await.unwrap();
        assert_eq!(count, 0);
    }
}
