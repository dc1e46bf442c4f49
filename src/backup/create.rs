//! Making a backup, beside a service that writes.
//!
//! Everything is made in a folder of its own beside its place, on the same disk, and gets its name as the last step: whoever is killed before leaves
//! nothing that looks like a backup.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{
    BackupError, LeftOut, Manifest, Member, Pace, Sealing,
    archive::{Contents, hash_bytes, hash_file, write_archive},
    disk::{Disk, check_room},
    manifest::{CONFIG, MAX_FILE, MemberKind, SEALED, is_plain},
    name::BackupName,
    pace::Phase,
    seal::{self, seal},
    settings::ConfigFiles,
    work::WorkFolder,
};
use crate::{
    ledger::{Store, copy_store, inspect_store},
    types::UnixMillis,
};

/// Longest name of a file of the configuration that is kept in an archive.
const MAX_SHOWN: usize = 60;

/// What is backed up, and where to.
#[derive(Clone, Debug)]
pub struct CreateParts {
    /// Where the ledger and the journal are.
    pub data_dir: PathBuf,
    /// The network that they are of.
    pub network: String,
    /// The configuration and the secrets.
    pub files: ConfigFiles,
    /// How secrets are encrypted; none: they are left out.
    pub sealing: Option<Sealing>,
    /// The folder that it is put into; made when missing.
    pub directory: PathBuf,
    /// When this is, Unix milliseconds.
    pub now: UnixMillis,
    /// How hard the machine is worked.
    pub pace: Pace,
}

/// A backup that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Created {
    /// Its file.
    pub path: PathBuf,
    /// Its length.
    pub bytes: u64,
    /// What is in it.
    pub manifest: Manifest,
}

/// Makes a backup. Blocks its thread for long: it wants one of its own.
///
/// # Errors
/// When something cannot be read or there is no room; there is no backup then, and nothing else has changed.
pub async fn create(parts: CreateParts) -> Result<Created, BackupError> {
    create_on(parts, &Disk::default()).await
}

pub(super) async fn create_on(parts: CreateParts, disk: &Disk) -> Result<Created, BackupError> {
    let CreateParts { data_dir, directory, pace, .. } = &parts;
    if !data_dir.join(Store::Ledger.file()).is_file() {
        return Err(BackupError::NothingThere(data_dir.clone()));
    }
    disk.make_folder(directory)?;
    let to = directory.join(BackupName::new(&parts.network, parts.now).file());
    if to.symlink_metadata().is_ok() {
        return Err(BackupError::Refused(format!("{} is there already: wait a second", to.display())));
    }
    let work = WorkFolder::make(directory, disk)?;
    // The copies, and at worst as much again for the archive.
    let raw = Store::ALL.iter().fold(0_u64, |sum, store| sum.saturating_add(store.bytes(data_dir)));
    check_room(directory, raw.saturating_mul(2))?;
    let mut manifest = Manifest::new(&parts.network, parts.now);
    let mut contents = Vec::new();
    for store in Store::ALL {
        match copy_of(store, data_dir, work.path(), pace).await? {
            Some((member, path)) => {
                manifest.members.push(member);
                contents.push(Contents::File(path));
            }
            None => manifest
                .left_out
                .push(LeftOut { what: store.file().to_owned(), why: "there is no such file".to_owned() }),
        }
    }
    for (member, bytes) in configuration(&parts, &mut manifest)? {
        manifest.members.push(member);
        contents.push(Contents::Bytes(bytes));
    }
    let aside = work.path().join("archive");
    let bytes = write_archive(&aside, &manifest, contents, pace, disk)?;
    disk.rename_new(&aside, &to)?;
    disk.sync(directory)?;
    Ok(Created { path: to, bytes, manifest })
}

/// A copy of a database in a folder, and what is in it; none where there is no such file.
async fn copy_of(
    store: Store,
    data_dir: &Path,
    work: &Path,
    pace: &Pace,
) -> Result<Option<(Member, PathBuf)>, BackupError> {
    if !data_dir.join(store.file()).is_file() {
        return Ok(None);
    }
    let to = work.join(store.file());
    let (kind, phase) = match store {
        Store::Ledger => (MemberKind::Ledger, Phase::CopyLedger),
        Store::Journal => (MemberKind::Journal, Phase::CopyJournal),
    };
    pace.tell(phase, 0, None);
    let asked = || {
        let mut worker = pace.begin();
        move || worker.go_on().is_ok()
    };
    copy_store(store, data_dir, &to, asked()).await.map_err(|error| pace.explain(error))?;
    // Whoever restores it looks whether it is sound; how much there is has to be known now.
    let found = inspect_store(&to, false, asked()).await.map_err(|error| pace.explain(error))?;
    pace.tell(Phase::Hash, 0, None);
    let (bytes, sha256) = hash_file(&to, &mut pace.begin())?;
    let member = Member {
        name: store.file().to_owned(),
        kind,
        bytes,
        sha256,
        source: None,
        schema: Some(found.schema),
        rows: found.rows,
    };
    Ok(Some((member, to)))
}

/// The configuration and the envelope. What is left out is said in the manifest.
fn configuration(
    parts: &CreateParts,
    manifest: &mut Manifest,
) -> Result<Vec<(Member, Vec<u8>)>, BackupError> {
    let mut found = Vec::new();
    let mut leave_out = |what: &Path, why: String| {
        manifest.left_out.push(LeftOut { what: what.display().to_string(), why });
    };
    if let Some(settings) = &parts.files.settings {
        match &settings.without_secrets {
            None => leave_out(&settings.path, "it cannot be read as a configuration".to_owned()),
            Some((text, withheld)) => {
                let name = format!("{CONFIG}relays.toml");
                found.push(config_member(name, &settings.path, text.clone().into_bytes()));
                if !withheld.is_empty() && parts.sealing.is_none() {
                    let why = format!(
                        "may be secret, and [backup] says not how to encrypt it: {}",
                        withheld.join(", ")
                    );
                    leave_out(&settings.path, why);
                }
            }
        }
    }
    for (number, file) in parts.files.plain.iter().enumerate() {
        match read_file(&file.path) {
            Ok(bytes) => {
                let name = format!("{CONFIG}{:03}-{}", number + 1, shown(&file.path));
                found.push(config_member(name, &file.path, bytes));
            }
            Err(error) => leave_out(&file.path, error.to_string()),
        }
    }
    let Some(sealing) = &parts.sealing else {
        for secret in &parts.files.secret {
            leave_out(&secret.path, "it is secret, and [backup] says not how to encrypt it".to_owned());
        }
        return Ok(found);
    };
    let mut secrets = Vec::new();
    for secret in &parts.files.secret {
        match seal::read_secret(&secret.path) {
            Ok(bytes) => secrets.push((secret.source(), bytes)),
            Err(error) => leave_out(&secret.path, error.to_string()),
        }
    }
    // All of the file, with what is withheld above.
    if let Some(settings) = &parts.files.settings
        && let Ok(bytes) = read_file(&settings.path)
    {
        secrets.push((settings.path.display().to_string(), bytes));
    }
    if !secrets.is_empty() {
        let sealed = seal(&secrets, sealing)?;
        let (bytes, sha256) = hash_bytes(&sealed);
        manifest.sealed = secrets.into_iter().map(|(source, _)| source).collect();
        let member = Member {
            name: SEALED.to_owned(),
            kind: MemberKind::Sealed,
            bytes,
            sha256,
            source: None,
            schema: None,
            rows: std::collections::BTreeMap::new(),
        };
        found.push((member, sealed));
    }
    Ok(found)
}

fn config_member(name: String, path: &Path, contents: Vec<u8>) -> (Member, Vec<u8>) {
    let (bytes, sha256) = hash_bytes(&contents);
    let member = Member {
        name,
        kind: MemberKind::Config,
        bytes,
        sha256,
        source: Some(path.display().to_string()),
        schema: None,
        rows: std::collections::BTreeMap::new(),
    };
    (member, contents)
}

/// A file within bounds.
fn read_file(path: &Path) -> std::io::Result<Vec<u8>> {
    let length = std::fs::metadata(path)?.len();
    if length > MAX_FILE {
        return Err(std::io::Error::other(format!("{length} bytes are more than is taken of one file")));
    }
    std::fs::read(path)
}

/// A file's name as it may stand in an archive.
fn shown(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let keep = |c: char| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '_' };
    let name: String = name.chars().map(keep).take(MAX_SHOWN).collect();
    if is_plain(&name) { name } else { format!("file{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_are_made_plain() {
        for (path, want) in [
            ("keys/a b.txt", "a_b.txt"),
            ("x/.hidden", "file.hidden"),
            ("/", "file"),
            ("x/schlüssel", "schl_ssel"),
        ] {
            assert_eq!(shown(Path::new(path)), want);
            assert!(is_plain(&format!("{CONFIG}001-{}", shown(Path::new(path)))));
        }
    }
}
