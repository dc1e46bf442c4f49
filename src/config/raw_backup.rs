//! `[backup]` as it is written.

use serde::Deserialize;

use super::raw_text::Span;

/// `[backup]`
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawBackup {
    pub(super) directory: Option<String>,
    pub(super) keep: Option<usize>,
    pub(super) max_age: Option<Span>,
    pub(super) stale_after: Option<Span>,
    pub(super) unverified_after: Option<Span>,
    pub(super) verify_new: Option<bool>,
    pub(super) busy_percent: Option<u32>,
    pub(super) recipients: Vec<String>,
    pub(super) passphrase_file: Option<String>,
}
