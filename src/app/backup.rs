//! Backups of the running service, and a restore into a folder that nobody else holds.

use std::{path::Path, sync::Arc};

use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use super::{
    admin_token,
    alerting::KEY_FILE,
    data_dir::{lock_data_dir, make_data_dir},
};
use crate::{
    backup::{
        BackupError, BackupKeeper, ConfigFiles, KeeperParts, RestoreParts, Restored, Resumed, SecretFile,
        apart, read_manifest, restore, resume_restore, watch_backups,
    },
    config::{Config, without_secrets},
    consensus::WallClock,
    events::Spine,
    ledger::{Ledger, SignalBook},
    ops_api::Degraded,
    tasks::TaskGroup,
};

/// Secrets that belong into `data_dir` itself.
const DATA_FILES: [&str; 2] = [admin_token::FILE, KEY_FILE];

/// What a backup takes beside the databases: the configuration, and the secrets of `data_dir`.
pub(crate) fn backup_files(config: &Config) -> ConfigFiles {
    let mut files = config.files.clone();
    if let Some(settings) = &mut files.settings
        && let Ok(text) = std::fs::read_to_string(&settings.path)
    {
        // As it is now: it may have been changed since it was read.
        settings.without_secrets = without_secrets(&text);
    }
    for name in DATA_FILES {
        let path = config.data_dir.join(name);
        if path.is_file() {
            files.secret.push(SecretFile { path, of_data_dir: Some(name.to_owned()) });
        }
    }
    files
}

/// What backups are made of and where to; none where no folder is configured for them.
pub(super) fn keeper(
    config: &Config,
    ledger: &Ledger,
    spine: &Spine,
    signals: SignalBook,
    clock: &WallClock,
    stop: CancellationToken,
) -> Option<BackupKeeper> {
    let settings = config.backup.clone()?;
    let config = config.clone();
    Some(BackupKeeper::new(KeeperParts {
        settings,
        data_dir: config.data_dir.clone(),
        network: config.spec.name.clone(),
        files: Arc::new(move || backup_files(&config)),
        ledger: ledger.clone(),
        spine: spine.clone(),
        signals,
        clock: clock.clone(),
        stop,
    }))
}

/// Looks after the backups' age.
pub(super) fn start_backup_watch(keeper: Option<BackupKeeper>, group: &TaskGroup) {
    if let Some(keeper) = keeper {
        group.restarting("backup_watch", move |stop| watch_backups(keeper.clone(), stop));
    }
}

/// Restores a backup into `data_dir`, which nobody else may hold meanwhile.
///
/// # Errors
/// When a service runs on the folder, or as [`restore`].
pub(crate) async fn restore_into(parts: RestoreParts) -> Result<Restored, BackupError> {
    let RestoreParts { archive, data_dir, .. } = &parts;
    // Before the folder is touched: the lock notes whose it is.
    let network = read_manifest(archive)?.network;
    if let Some(configured) = parts.network.clone().filter(|configured| *configured != network) {
        return Err(BackupError::OtherNetwork { of: network, configured });
    }
    make_data_dir(data_dir).map_err(|error| BackupError::Io { path: data_dir.clone(), error })?;
    let lock = lock_data_dir(data_dir, &network).map_err(|error| {
        BackupError::Refused(format!(
            "{}: {error}. Stop it first: a restore never changes files under a running service",
            data_dir.display()
        ))
    })?;
    let data_files = DATA_FILES.map(str::to_owned).to_vec();
    let done = apart(move || restore(RestoreParts { data_files, ..parts })).await;
    drop(lock);
    done
}

/// Finishes a restore that did not come to its end, before anything of the folder is opened. The service starts in any case.
pub(super) fn finish_restore(data_dir: &Path, degraded: &Degraded) {
    match resume_restore(data_dir) {
        Ok(None) => {}
        Ok(Some(Resumed { archive, placed, kept })) => {
            warn!(
                archive,
                ?placed,
                ?kept,
                "a restore that was not finished was finished: what was there before is kept under the names in `kept`"
            );
        }
        Err(failure) => {
            let message = format!(
                "a restore that was begun cannot be finished: {failure}. Nothing is lost: mend it, then restart, or run the restore again"
            );
            error!("{message}");
            degraded.set("restore", message);
        }
    }
}
