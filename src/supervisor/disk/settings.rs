//! What `[disk]` says, checked.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{class::ClassSettings, roots::Protection};
use crate::types::NodeId;

/// `[disk]`, with its filesystems and classes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiskSettings {
    /// `[[disk.filesystems]]`
    pub filesystems: Vec<FilesystemSettings>,
    /// `[[disk.classes]]`, in the order in which they are cleaned.
    pub classes: Vec<ClassSettings>,
    /// Between two looks.
    pub every: Duration,
    /// Folders whose size is told.
    pub sizes: Vec<PathBuf>,
    /// Nodes that may be stopped in an emergency, the first one first.
    pub stop_order: Vec<NodeId>,
    /// What is never touched, beside what is protected by its nature.
    pub protection: Protection,
    /// Where the journal of deletions, the lock and the ballast's memory are: a folder in `data_dir`.
    pub state_dir: PathBuf,
    /// Where this machine's `/proc` is under.
    pub host_root: PathBuf,
}

/// One of `[[disk.filesystems]]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilesystemSettings {
    /// A folder on it, by which it is known.
    pub path: PathBuf,
    /// From when on what is done.
    pub thresholds: Thresholds,
    /// Room that is kept for the worst; none: none is kept.
    pub ballast: Option<BallastSettings>,
}

/// From when on a filesystem is told of, and how far it is cleaned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Thresholds {
    /// A cleaning ends once no more than this is in use, in percent.
    pub target_percent: u8,
    /// A warning, in percent.
    pub warn_percent: u8,
    /// An alert, in percent; below it an emergency is over.
    pub high_percent: u8,
    /// An emergency, in percent.
    pub emergency_percent: u8,
    /// With fewer bytes left it is an emergency, too; 0: off.
    pub min_free_bytes: u64,
    /// With a smaller share of inodes left it is an emergency, too, in percent.
    pub min_free_inodes_percent: u8,
    /// With fewer days until it is full it is an emergency, too; 0: off.
    pub min_days: u8,
}

impl Default for Thresholds {
    fn default() -> Self {
        Self {
            target_percent: 60,
            warn_percent: 75,
            high_percent: 80,
            emergency_percent: 90,
            min_free_bytes: 0,
            min_free_inodes_percent: 5,
            min_days: 3,
        }
    }
}

/// A file that is made to be deleted when nothing else is left, so that databases can be closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BallastSettings {
    /// The file.
    pub path: PathBuf,
    /// Its size, in bytes.
    pub bytes: u64,
}

impl DiskSettings {
    /// The filesystem of a path: of those whose folder holds it, the nearest.
    pub fn filesystem_of(&self, path: &Path) -> Option<&FilesystemSettings> {
        let holds = self.filesystems.iter().filter(|filesystem| path.starts_with(&filesystem.path));
        holds.max_by_key(|filesystem| filesystem.path.components().count())
    }
}
