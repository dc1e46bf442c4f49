//! Opening SQLite files.

use std::{borrow::Cow, fs::OpenOptions, io, os::unix::fs::OpenOptionsExt, path::Path, time::Duration};

use sqlx::{
    Connection, SqlStr, SqliteConnection,
    migrate::{Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous},
};

/// Why the ledger could not do something.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// The file cannot be opened or made.
    #[error("cannot open {path}: {error}")]
    Open {
        /// Which file.
        path: String,
        /// The database's words.
        error: sqlx::Error,
    },
    /// The file is of another version than this program's.
    #[error("cannot bring {path} up to date: {error}")]
    Migrate {
        /// Which file.
        path: String,
        /// The database's words.
        error: sqlx::migrate::MigrateError,
    },
    /// A statement failed.
    #[error("database: {0}")]
    Database(#[from] sqlx::Error),
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

/// Opens a file, makes it when missing, and brings its schema up to date.
pub(super) async fn open(
    path: &Path,
    durability: Durability,
    connections: u32,
    steps: &[Step],
) -> Result<SqlitePool, LedgerError> {
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
        .busy_timeout(Duration::from_secs(5));
    // Switching a new file to WAL needs it to itself, and does not wait for its turn: one connection does it before the pool opens.
    let mut first = SqliteConnection::connect_with(&options)
        .await
        .map_err(|error| LedgerError::Open { path: shown(), error })?;
    let migrations = steps
        .iter()
        .map(|step| {
            Migration::new(
                step.version,
                Cow::Borrowed(step.name),
                MigrationType::Simple,
                SqlStr::from_static(step.sql),
                false,
            )
        })
        .collect();
    Migrator::with_migrations(migrations)
        .run(&mut first)
        .await
        .map_err(|error| LedgerError::Migrate { path: shown(), error })?;
    first.close().await.map_err(|error| LedgerError::Open { path: shown(), error })?;
    SqlitePoolOptions::new()
        .max_connections(connections)
        .min_connections(1)
        .idle_timeout(None)
        .max_lifetime(None)
        .connect_with(options)
        .await
        .map_err(|error| LedgerError::Open { path: shown(), error })
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
