//! Which backups there are in a folder, and what is known of each.

use std::{
    fs,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{BackupError, Verdict, VerdictKind, name::BackupName};
use crate::types::UnixMillis;

/// Most files of a folder that are looked at.
const MAX_FILES: usize = 100_000;

/// A backup in a folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Backup {
    /// Its file's name.
    pub file: String,
    /// Where it is.
    #[serde(skip)]
    pub path: PathBuf,
    /// When it was made, Unix milliseconds.
    pub made_at: UnixMillis,
    /// Its length.
    pub bytes: u64,
    /// What was found when it was restored on trial; none: nobody has tried.
    pub verdict: Option<Verdict>,
}

impl Backup {
    /// What is known of it.
    pub fn known(&self) -> Option<VerdictKind> {
        self.verdict.as_ref().map(|verdict| verdict.verdict)
    }
}

/// The backups of a network in a folder, the newest first; none where there is no such folder.
///
/// # Errors
/// When the folder cannot be read.
pub fn list_backups(directory: &Path, network: &str) -> Result<Vec<Backup>, BackupError> {
    let of = BackupName::new(network, 0).network;
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(BackupError::at(directory)(error)),
    };
    let mut found = Vec::new();
    for entry in entries.take(MAX_FILES) {
        let entry = entry.map_err(BackupError::at(directory))?;
        let Ok(file) = entry.file_name().into_string() else { continue };
        let Some(name) = BackupName::parse(&file).filter(|name| name.network == of) else { continue };
        // Of a link, what it leads to is not ours.
        let Some(data) = entry.metadata().ok().filter(fs::Metadata::is_file) else { continue };
        let (path, bytes) = (entry.path(), data.len());
        let verdict = Verdict::read(&path, bytes);
        found.push(Backup { file, path, made_at: name.made_at, bytes, verdict });
    }
    found.sort_by(|a, b| b.made_at.cmp(&a.made_at).then_with(|| b.file.cmp(&a.file)));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_backups_of_the_network_are_listed_and_no_links() {
        let folder = tempfile::tempdir().unwrap();
        for name in [
            "relaymux-mainnet-20261128T020000Z.tar.gz",
            "relaymux-mainnet-20261129T020000Z.tar.gz",
            "relaymux-hoodi-20261130T020000Z.tar.gz",
            "relaymux-mainnet-20261129T020000Z.tar.gz.verdict.json",
            "holiday.tar.gz",
        ] {
            fs::write(folder.path().join(name), "x").unwrap();
        }
        fs::create_dir(folder.path().join("relaymux-mainnet-20261201T020000Z.tar.gz")).unwrap();
        std::os::unix::fs::symlink(
            folder.path().join("holiday.tar.gz"),
            folder.path().join("relaymux-mainnet-20261202T020000Z.tar.gz"),
        )
        .unwrap();
        let found = list_backups(folder.path(), "mainnet").unwrap();
        let files: Vec<&str> = found.iter().map(|backup| backup.file.as_str()).collect();
        assert_eq!(
            files,
            ["relaymux-mainnet-20261129T020000Z.tar.gz", "relaymux-mainnet-20261128T020000Z.tar.gz"]
        );
        assert_eq!(list_backups(&folder.path().join("none"), "mainnet").unwrap(), []);
    }
}
