//! Proving a backup by restoring it on trial: into a folder of its own, where each hash is compared, the databases are opened and looked through, and their
//! rows are counted.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{
    BackupError, Manifest, Pace, Verdict, VerdictKind,
    disk::{Disk, folder_of},
    pace::Phase,
    unpack::{Whole, place, unpack},
    work::WorkFolder,
};
use crate::{
    ledger::{Store, inspect_store},
    types::UnixMillis,
};

/// A backup that was proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verified {
    /// Its file.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256, hex.
    pub sha256: String,
    /// What is in it.
    pub manifest: Manifest,
    /// Why the verdict does not stand beside it; none: it does.
    pub not_noted: Option<String>,
}

/// Proves a backup, and writes beside it what was found. `scratch`: where it is restored on trial; none: beside it. Blocks its thread for long: it wants one
/// of its own.
///
/// # Errors
/// When it is of no use ([`BackupError::is_of_the_backup`]), or this could not be found out.
pub async fn verify(
    path: &Path,
    scratch: Option<&Path>,
    now: UnixMillis,
    pace: &Pace,
) -> Result<Verified, BackupError> {
    verify_on(path, scratch, now, pace, &Disk::default()).await
}

pub(super) async fn verify_on(
    path: &Path,
    scratch: Option<&Path>,
    now: UnixMillis,
    pace: &Pace,
    disk: &Disk,
) -> Result<Verified, BackupError> {
    let length = std::fs::metadata(path).map_err(BackupError::at(path))?.len();
    let found = try_out(path, scratch.unwrap_or(folder_of(path)), pace, disk).await;
    let note = |verdict, bytes, sha256: &str, message: String| {
        let version = env!("CARGO_PKG_VERSION").to_owned();
        let verdict = Verdict { verdict, at: now, version, bytes, sha256: sha256.to_owned(), message };
        verdict.write(path, disk)
    };
    match found {
        Ok(Whole { manifest, bytes, sha256 }) => {
            let noted = note(VerdictKind::Verified, bytes, &sha256, in_words(&manifest));
            let not_noted = noted.err().map(|error| error.to_string());
            Ok(Verified { path: path.to_owned(), bytes, sha256, manifest, not_noted })
        }
        Err(error) => {
            if error.is_of_the_backup()
                && let Err(failure) = note(VerdictKind::Failed, length, "", error.to_string())
            {
                tracing::warn!(error = %failure, "the verdict on a backup cannot be written beside it");
            }
            Err(error)
        }
    }
}

async fn try_out(path: &Path, scratch: &Path, pace: &Pace, disk: &Disk) -> Result<Whole, BackupError> {
    let work = WorkFolder::make(scratch, disk)?;
    let whole = unpack(path, work.path(), pace, disk)?;
    look_through(&whole.manifest, work.path(), pace).await?;
    Ok(whole)
}

/// Looks through the databases of a backup that was unpacked into a folder.
pub(super) async fn look_through(manifest: &Manifest, folder: &Path, pace: &Pace) -> Result<(), BackupError> {
    for store in Store::ALL {
        let Some(member) = manifest.store(store) else { continue };
        pace.tell(Phase::Inspect, 0, None);
        let mut worker = pace.begin();
        let file = store.file();
        let found = inspect_store(&folder.join(place(member)), true, move || worker.go_on().is_ok()).await;
        let found = match (found, pace.ended()) {
            (Ok(found), _) => found,
            (Err(_), Some(ended)) => return Err(ended),
            (Err(error), None) => return Err(BackupError::Damaged(format!("{file} in it: {error}"))),
        };
        if let Some(damage) = found.damage {
            return Err(BackupError::Damaged(format!("{file} in it is damaged: {damage}")));
        }
        if found.schema > store.schema() {
            let what = format!("the tables of {file} (schema {})", found.schema);
            return Err(BackupError::Newer { version: manifest.version.clone(), what });
        }
        if found.schema < 1 {
            return Err(BackupError::Damaged(format!("{file} in it has no tables of relaymux")));
        }
        let differs = member.rows.iter().find(|(table, rows)| found.rows.get(*table) != Some(rows));
        if let Some((table, rows)) = differs {
            let has = found.rows.get(table).copied().unwrap_or(0);
            return Err(BackupError::Damaged(format!(
                "{file} in it has {has} rows in {table}, and its manifest says {rows}"
            )));
        }
    }
    Ok(())
}

/// What was proven, in a sentence.
pub(super) fn in_words(manifest: &Manifest) -> String {
    let rows = |store| manifest.store(store).map_or(0, |member| member.rows.values().sum::<u64>());
    format!(
        "restored on trial: {} rows in the ledger, {} in the journal, {} files in all",
        rows(Store::Ledger),
        rows(Store::Journal),
        manifest.members.len()
    )
}
