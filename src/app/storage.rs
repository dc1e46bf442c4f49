//! The folder `data_dir` with all that is in it, opened so that nothing wrong with it keeps the service from starting.
//!
//! Only another process that has the folder does: two of them would submit each other's blocks. Everything else is told in the log, by
//! `/readyz`, in the dashboard, as an event and as an alert, and the service goes on without.

use std::time::Duration;

use tokio::time::timeout;
use tracing::{error, info, warn};

use super::{
    admin_token::{AdminToken, ensure_admin_token},
    data_dir::{DataDirLock, LockError, lock_data_dir, make_data_dir, tighten_data_dir},
    rules::{STORAGE_IN_MEMORY, STORAGE_REPLACED},
    start_error::StartError,
};
use crate::{
    config::Config,
    events::AlertRule,
    ledger::{SignalBook, StoreTrouble, Stores},
    ops_api::Degraded,
    types::UnixMillis,
};

/// How long the journal keeps settled blocks: a month, in milliseconds. The ledger keeps their fates for ever.
const JOURNAL_KEPT_MS: i64 = 30 * 24 * 3600 * 1000;

/// How long the files may take to be opened, checked and brought up to date. Until then no header is served, and the consensus client builds
/// its own blocks; a year's ledger takes some seconds (docs/upgrading.md). A disk that hangs must not take the builder API with it.
const OPEN_TIMEOUT: Duration = Duration::from_secs(120);

/// Memory in a file's place, and a new file in a damaged one's.
static TROUBLES: [(&AlertRule, bool); 2] = [(&STORAGE_IN_MEMORY, true), (&STORAGE_REPLACED, false)];
/// What a trouble can be about.
const PARTS: [&str; 2] = ["journal", "ledger"];

/// What is in the folder, or takes its place.
#[derive(Debug)]
pub(super) struct Storage {
    pub(super) admin_token: String,
    pub(super) stores: Stores,
}

/// Makes the folder and takes it for this process.
///
/// # Errors
/// When another process has it.
pub(super) fn take_data_dir(config: &Config) -> Result<Option<DataDirLock>, StartError> {
    let data_dir = &config.data_dir;
    if let Err(failure) = make_data_dir(data_dir) {
        error!(data_dir = %data_dir.display(), error = %failure, "data_dir cannot be made: nothing is kept on disk");
    }
    let lock = hold_data_dir(config)?;
    tighten_data_dir(data_dir);
    Ok(lock)
}

/// Opens everything in it.
///
/// # Errors
/// When not even memory can be had.
pub(super) async fn open_storage(
    config: &Config,
    degraded: &Degraded,
    now: UnixMillis,
) -> Result<Storage, StartError> {
    let data_dir = &config.data_dir;
    let admin_token = match ensure_admin_token(data_dir) {
        AdminToken::Kept(token) => token,
        AdminToken::InMemory { token, failure } => {
            let message = format!(
                "{failure}. The token of this run is in memory and nobody can know it: for the routes that need one, write a token of your own \
                 into {} (for example by `openssl rand -hex 32`), or make the folder writable, and restart",
                data_dir.join("admin.token").display()
            );
            error!("no admin token: {message}");
            degraded.set("admin_token", message);
            token
        }
    };
    let chain = &config.spec.name;
    let opening = Stores::open(data_dir, chain, now, now.saturating_sub(JOURNAL_KEPT_MS));
    let stores = match timeout(OPEN_TIMEOUT, opening).await {
        Ok(opened) => opened?,
        Err(_) => {
            let reason =
                format!("{} could not be opened in {} s", data_dir.display(), OPEN_TIMEOUT.as_secs());
            Stores::in_memory(chain, &reason).await?
        }
    };
    for trouble in &stores.troubles {
        error!(part = trouble.part, in_memory = trouble.in_memory, "{}", trouble.message);
        degraded.set(trouble.part, trouble.message.clone());
    }
    Ok(Storage { admin_token, stores })
}

/// Takes `data_dir` for this process. Where no lock is to be had (a read-only disk, a filesystem without locks) it goes on without one.
fn hold_data_dir(config: &Config) -> Result<Option<DataDirLock>, StartError> {
    match lock_data_dir(&config.data_dir, &config.spec.name) {
        Ok(lock) => Ok(Some(lock)),
        Err(LockError::InUse(holder)) => {
            Err(StartError::DataDirInUse { path: config.data_dir.clone(), holder })
        }
        Err(LockError::Io(error)) => {
            warn!(data_dir = %config.data_dir.display(), %error, "data_dir cannot be locked: see to it that no other relaymux uses it");
            Ok(None)
        }
    }
}

/// Raises a signal for what is wrong, and resolves those of earlier starts for what is well again.
pub(super) async fn publish_storage_troubles(book: &SignalBook, troubles: &[StoreTrouble]) {
    for part in PARTS {
        let trouble = troubles.iter().find(|trouble| trouble.part == part);
        for (rule, in_memory) in TROUBLES {
            match trouble.filter(|trouble| trouble.in_memory == in_memory) {
                // Each start says it anew, whatever the ledger has of it.
                Some(trouble) => match book.raise(rule, part, &trouble.message).await {
                    Ok(true) => {}
                    Ok(false) | Err(_) => book.publish(rule, rule.severity, part, &trouble.message),
                },
                None => match book.resolve(rule, part, "").await {
                    Ok(false) => {}
                    Ok(true) => info!(rule = &*rule.name, part, "resolved"),
                    Err(error) => warn!(rule = &*rule.name, part, %error, "signal not resolved"),
                },
            }
        }
    }
}
