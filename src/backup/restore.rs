//! Bringing a backup back into `data_dir`.
//!
//! All that takes long or may fail happens beside what is there: unpacking, hashes, a look through the databases. Then one small file is written
//! (`restore.json`): from then on the backup counts, and putting its files in place is a list of renames that whoever holds the folder next goes on with,
//! the service at its start included. Killed before: everything is as it was. Killed after: the next one finishes it. What was there is renamed and kept.

mod intent;

use std::path::{Path, PathBuf};

use serde::Serialize;
use tracing::{info, warn};

use super::{
    BackupError, Keys, LeftOut, Manifest, Pace,
    disk::Disk,
    manifest::{MemberKind, is_plain},
    name::stamp,
    pace::Phase,
    seal::{self, OF_DATA_DIR, OpenedSecret},
    unpack::{place, unpack},
    verify::look_through,
};
use crate::{ledger::Store, types::UnixMillis};
use intent::{Intent, Move, STAGED};

/// Where configuration comes to lie: never in the place of one that is there.
const CONFIG: &str = "restored-config-";
/// And where it waits for that.
const STAGED_CONFIG: &str = "config";
/// What says where the files of the configuration were, beside them.
const SOURCES: &str = "sources.json";

/// What is brought back, and where to. The caller holds the lock of `data_dir`.
#[derive(Clone, Debug)]
pub struct RestoreParts {
    /// The backup.
    pub archive: PathBuf,
    /// Where it is restored to.
    pub data_dir: PathBuf,
    /// The network that it must be of; none: of any.
    pub network: Option<String>,
    /// What opens the envelope; none: it is kept closed.
    pub keys: Option<Keys>,
    /// Names of secrets that belong into `data_dir` itself.
    pub data_files: Vec<String>,
    /// When this is, Unix milliseconds.
    pub now: UnixMillis,
    /// How hard the machine is worked.
    pub pace: Pace,
}

/// What was brought back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Restored {
    /// What was in the backup.
    pub manifest: Manifest,
    /// Files that are in their place now.
    pub placed: Vec<PathBuf>,
    /// What was there before, under its new name.
    pub kept: Vec<PathBuf>,
    /// Where the configuration and the secrets lie; none where there were none.
    pub config: Option<PathBuf>,
    /// What is still closed, or was left out when it was made.
    pub missing: Vec<LeftOut>,
}

/// A restore that somebody else had begun.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Resumed {
    /// The backup's file name.
    pub archive: String,
    /// Files that were put in their place now.
    pub placed: Vec<PathBuf>,
    /// What was there before, under its new name.
    pub kept: Vec<PathBuf>,
}

/// Brings a backup back. Blocks its thread for long: it wants one of its own.
///
/// # Errors
/// When the backup is of no use, newer, of another network, or there is no room: nothing has changed then. When the disk fails while files are put in
/// their place, [`resume_restore`] goes on.
pub async fn restore(parts: RestoreParts) -> Result<Restored, BackupError> {
    restore_on(parts, &Disk::default()).await
}

/// Finishes a restore that was begun and not finished. The caller holds the lock of the folder.
///
/// # Errors
/// When the disk refuses; another try goes on from there.
pub fn resume_restore(data_dir: &Path) -> Result<Option<Resumed>, BackupError> {
    resume_on(data_dir, &Disk::default())
}

pub(super) fn resume_on(data_dir: &Path, disk: &Disk) -> Result<Option<Resumed>, BackupError> {
    let Some(intent) = Intent::read(data_dir)? else {
        remove_staged(data_dir, disk);
        return Ok(None);
    };
    let archive = intent.archive.clone();
    let (placed, kept) = carry_out(&intent, data_dir, disk)?;
    Ok(Some(Resumed { archive, placed, kept }))
}

pub(super) async fn restore_on(parts: RestoreParts, disk: &Disk) -> Result<Restored, BackupError> {
    let RestoreParts { archive, data_dir, network, keys, data_files, now, pace } = parts;
    disk.make_folder(&data_dir)?;
    if let Some(resumed) = resume_on(&data_dir, disk)? {
        info!(archive = resumed.archive, "a restore that was not finished is finished now");
    }
    let stamp = stamp(now);
    let staged = data_dir.join(format!("{STAGED}{stamp}"));
    disk.make_folder(&staged)?;
    let prepared = async {
        let manifest = unpack(&archive, &staged, &pace, disk)?.manifest;
        if let Some(configured) = network.filter(|network| *network != manifest.network) {
            return Err(BackupError::OtherNetwork { of: manifest.network, configured });
        }
        look_through(&manifest, &staged, &pace).await?;
        let found = stage_rest(&manifest, &staged, keys.as_ref(), &data_files, disk)?;
        Ok((manifest, found))
    };
    let (manifest, rest) = match prepared.await {
        Ok(prepared) => prepared,
        Err(error) => {
            if let Err(failure) = disk.remove_folder(&staged) {
                warn!(error = %failure, "what was unpacked stays; the next restore removes it");
            }
            return Err(error);
        }
    };
    let mut intent = Intent::new(&stamp, &archive);
    for store in Store::ALL.into_iter().filter(|store| manifest.store(*store).is_some()) {
        intent.add(store.file(), store.file());
    }
    for name in &rest.data_files {
        intent.add(&staged_data_file(name), name);
    }
    let config = format!("{CONFIG}{stamp}");
    if rest.has_config {
        intent.add(STAGED_CONFIG, &config);
    }
    // All of it is on the disk before it counts.
    disk.sync(&staged)?;
    disk.sync(&data_dir)?;
    intent.write(&data_dir, disk)?;
    pace.tell(Phase::Replace, 0, None);
    let (placed, kept) = carry_out(&intent, &data_dir, disk)?;
    let mut missing = manifest.left_out.clone();
    missing.extend(rest.closed);
    let config = rest.has_config.then(|| data_dir.join(config));
    Ok(Restored { manifest, placed, kept, config, missing })
}

/// What was made ready beside the databases.
#[derive(Debug, Default)]
struct Rest {
    has_config: bool,
    /// Names of files of `data_dir`.
    data_files: Vec<String>,
    closed: Vec<LeftOut>,
}

fn staged_data_file(name: &str) -> String {
    format!("data-{name}")
}

/// Gathers the configuration and what the envelope holds.
fn stage_rest(
    manifest: &Manifest,
    staged: &Path,
    keys: Option<&Keys>,
    data_files: &[String],
    disk: &Disk,
) -> Result<Rest, BackupError> {
    let folder = staged.join(STAGED_CONFIG);
    let mut rest = Rest::default();
    let mut sources = serde_json::Map::new();
    let others = manifest.members.iter().filter(|member| member.kind.store().is_none());
    for member in others {
        let from = staged.join(place(member));
        if !rest.has_config {
            disk.make_folder(&folder)?;
            rest.has_config = true;
        }
        if member.kind == MemberKind::Sealed
            && let Some(keys) = keys
        {
            let sealed = std::fs::read(&from).map_err(BackupError::at(&from))?;
            for (number, secret) in seal::open(&sealed, keys)?.into_iter().enumerate() {
                let OpenedSecret { source, bytes } = secret;
                let of_data = source.strip_prefix(OF_DATA_DIR);
                match of_data.filter(|name| is_plain(name) && data_files.iter().any(|known| known == name)) {
                    Some(name) => {
                        disk.write_whole(&staged.join(staged_data_file(name)), &bytes)?;
                        rest.data_files.push(name.to_owned());
                    }
                    None => {
                        let name = format!("secret-{:03}", number + 1);
                        disk.write_whole(&folder.join(&name), &bytes)?;
                        sources.insert(name, source.into());
                    }
                }
            }
            disk.remove(&from)?;
            continue;
        }
        let name = member.name.rsplit('/').next().unwrap_or(&member.name);
        disk.rename(&from, &folder.join(name))?;
        sources.insert(name.to_owned(), member.source.clone().unwrap_or_default().into());
        if member.kind == MemberKind::Sealed {
            let why =
                "no key was given: --identity or --passphrase-file opens them, as does `age -d`".to_owned();
            rest.closed.push(LeftOut { what: folder_words(&manifest.sealed), why });
        }
    }
    if rest.has_config {
        let text = serde_json::to_vec_pretty(&sources).unwrap_or_default();
        disk.write_whole(&folder.join(SOURCES), &text)?;
        disk.sync(&folder)?;
    }
    Ok(rest)
}

fn folder_words(sealed: &[String]) -> String {
    format!("{} secrets ({})", sealed.len(), sealed.join(", "))
}

/// Puts everything in its place that is not there yet, and ends the restore.
fn carry_out(
    intent: &Intent,
    data_dir: &Path,
    disk: &Disk,
) -> Result<(Vec<PathBuf>, Vec<PathBuf>), BackupError> {
    let (mut placed, mut kept) = (Vec::new(), Vec::new());
    for moves in intent.moves(data_dir, |path| path.symlink_metadata().is_ok()) {
        for one in moves {
            match one {
                Move::Aside { from, to } => {
                    disk.rename(&from, &to)?;
                    kept.push(to);
                }
                Move::Place { from, to } => {
                    disk.rename(&from, &to)?;
                    placed.push(to);
                }
            }
        }
        disk.sync(data_dir)?;
    }
    // It is over before what is left of it is removed: nothing of that is needed.
    intent.remove(data_dir, disk)?;
    disk.sync(data_dir)?;
    if let Err(error) = disk.remove_folder(&data_dir.join(&intent.folder)) {
        warn!(%error, "what is left of a restore cannot be removed");
    }
    Ok((placed, kept))
}

/// Removes what restores left that never counted.
fn remove_staged(data_dir: &Path, disk: &Disk) {
    let Ok(entries) = std::fs::read_dir(data_dir) else { return };
    for entry in entries.flatten() {
        let is_staged = entry.file_name().to_str().is_some_and(|name| name.starts_with(STAGED));
        if is_staged
            && entry.file_type().is_ok_and(|kind| kind.is_dir())
            && let Err(error) = disk.remove_folder(&entry.path())
        {
            warn!(%error, "what an earlier restore unpacked cannot be removed");
        }
    }
}
