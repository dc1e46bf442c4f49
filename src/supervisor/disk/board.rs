//! What is shown of disks.

use std::path::PathBuf;

use serde::Serialize;

use super::{
    filesystem::FilesystemSeen, forecast::Forecast, io_rates::IoRates, open_files::DeletedOpen,
    report::CleanReport, space::Level,
};
use crate::types::{NodeId, UnixMillis};

/// Everything that is known of disks.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct DiskBoard {
    /// When it was looked last, in Unix milliseconds; none: not yet.
    pub looked_at: Option<UnixMillis>,
    /// The filesystems of the configuration.
    pub filesystems: Vec<FilesystemView>,
    /// Sizes of named folders.
    pub sizes: Vec<SizeView>,
    /// The largest files that were deleted and are still open: a cleaning gives nothing of them back.
    pub deleted_open: Vec<DeletedOpen>,
    /// The last cleaning.
    pub last_cleaning: Option<CleanReport>,
    /// Why the last cleaning did not happen.
    pub cleaning_failed: Option<String>,
}

/// A filesystem.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FilesystemView {
    /// The folder by which it is known.
    pub path: PathBuf,
    /// What was seen of it last; none: nothing yet.
    #[serde(flatten)]
    pub seen: Option<FilesystemSeen>,
    /// Why it could not be looked at; none: it could.
    pub error: Option<String>,
    /// In use, in thousandths.
    pub used_permille: u32,
    /// Inodes in use, in thousandths.
    pub inodes_used_permille: u32,
    /// What it amounts to.
    pub level: Level,
    /// Whether inodes are few.
    pub lacks_inodes: bool,
    /// When it is full.
    pub forecast: Forecast,
    /// What its device does; none where that is not known.
    pub io: Option<IoRates>,
    /// What it is to be cleaned to, in percent.
    pub target_percent: u8,
    /// What is done about it.
    pub ladder: LadderView,
}

/// What is done about a filesystem that is nearly full.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LadderView {
    /// Since when it is an emergency, in Unix milliseconds; none: it is none.
    pub since: Option<UnixMillis>,
    /// Nodes that were stopped for it.
    pub stopped: Vec<NodeId>,
    /// Whether the ballast was deleted for it.
    pub ballast_released: bool,
}

/// The size of a named folder.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SizeView {
    /// The folder.
    pub path: PathBuf,
    /// Room that it takes, in bytes.
    pub bytes: u64,
    /// Files and folders in it.
    pub entries: u64,
    /// Whether all of it was seen.
    pub is_whole: bool,
    /// Why it could not be looked at.
    pub error: Option<String>,
    /// When, in Unix milliseconds.
    pub at: UnixMillis,
}
