//! `[disk]` as it is written.

use serde::Deserialize;

use super::raw_text::Span;

/// `[disk]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawDisk {
    pub(super) check_every: Option<Span>,
    pub(super) sizes: Vec<String>,
    pub(super) protect: Vec<String>,
    pub(super) stop_order: Vec<String>,
    pub(super) filesystems: Vec<RawFilesystem>,
    pub(super) classes: Vec<RawClass>,
}

/// `[[disk.filesystems]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawFilesystem {
    pub(super) path: Option<String>,
    pub(super) target_percent: Option<u64>,
    pub(super) warn_percent: Option<u64>,
    pub(super) high_percent: Option<u64>,
    pub(super) emergency_percent: Option<u64>,
    pub(super) min_free: Option<String>,
    pub(super) min_free_inodes_percent: Option<u64>,
    pub(super) min_days: Option<u64>,
    pub(super) ballast: Option<String>,
    pub(super) ballast_file: Option<String>,
}

/// `[[disk.classes]]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawClass {
    pub(super) id: Option<String>,
    pub(super) kind: Option<String>,
    pub(super) root: Option<String>,
    pub(super) glob: Option<String>,
    pub(super) min_age: Option<Span>,
    pub(super) max_bytes: Option<String>,
    pub(super) max_count: Option<u64>,
    pub(super) keep_newest: Option<u64>,
    pub(super) keep: Option<String>,
}
