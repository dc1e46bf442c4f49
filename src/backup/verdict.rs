//! What was found when a backup was restored on trial: a small file beside it, so that it outlives the ledger and whoever mounts the folder sees it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{
    BackupError,
    disk::{Disk, with_end},
};
use crate::types::{UnixMillis, labelled};

/// Behind the backup's name.
pub(super) const SUFFIX: &str = ".verdict.json";
/// Largest that is read.
const MAX_BYTES: u64 = 16 << 10;

labelled! {
    /// What was found.
    pub enum VerdictKind {
        /// It was restored on trial, and is as it should be.
        Verified = "verified",
        /// It is of no use.
        Failed = "failed",
    }
}

/// What was found, and of which file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What was found.
    pub verdict: VerdictKind,
    /// When, Unix milliseconds.
    pub at: UnixMillis,
    /// The version that looked.
    pub version: String,
    /// Length of the file that was looked at.
    pub bytes: u64,
    /// Its SHA-256; empty where it could not be read to its end.
    pub sha256: String,
    /// What was found, as a sentence.
    pub message: String,
}

impl Verdict {
    /// Reads what is known of a backup that has so many bytes now; a verdict on another file counts for nothing.
    pub(super) fn read(backup: &Path, bytes: u64) -> Option<Self> {
        let mut text = Vec::new();
        let file = std::fs::File::open(path_of(backup)).ok()?;
        std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_BYTES), &mut text).ok()?;
        let read: Self = serde_json::from_slice(&text).ok()?;
        (read.bytes == bytes).then_some(read)
    }

    /// Writes it down beside the backup.
    pub(super) fn write(&self, backup: &Path, disk: &Disk) -> Result<(), BackupError> {
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        disk.write_whole(&path_of(backup), &text)
    }
}

/// Where it stands.
pub(super) fn path_of(backup: &Path) -> PathBuf {
    with_end(backup, SUFFIX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_is_of_one_file() {
        let folder = tempfile::tempdir().unwrap();
        let backup = folder.path().join("b");
        let verdict = Verdict {
            verdict: VerdictKind::Verified,
            at: 5,
            version: "1".to_owned(),
            bytes: 7,
            sha256: "ab".to_owned(),
            message: "sound".to_owned(),
        };
        assert_eq!(Verdict::read(&backup, 7), None);
        verdict.write(&backup, &Disk::default()).unwrap();
        assert_eq!(Verdict::read(&backup, 7), Some(verdict));
        assert_eq!(Verdict::read(&backup, 8), None);
        std::fs::write(path_of(&backup), "{").unwrap();
        assert_eq!(Verdict::read(&backup, 7), None);
    }
}
