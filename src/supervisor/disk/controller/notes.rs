//! What is written to the ledger.

use std::time::Duration;

use tokio::time::timeout;
use tracing::warn;

use crate::ledger::{DiskActRow, DiskCleaningRow, DiskUsageRow, Ledger};

/// Longest wait for the ledger.
const WITHIN: Duration = Duration::from_secs(10);

/// A row.
pub(super) enum Note {
    Usage(DiskUsageRow),
    Act(DiskActRow),
    Cleaning(DiskCleaningRow),
}

/// Writes it; gives it back where the ledger does not take it.
pub(super) async fn write_note(ledger: &Ledger, note: Note) -> Option<Note> {
    let write = async {
        match &note {
            Note::Usage(row) => ledger.add_disk_usage(row).await,
            Note::Act(row) => ledger.add_disk_act(row).await,
            Note::Cleaning(row) => ledger.add_disk_cleaning(row).await,
        }
    };
    match timeout(WITHIN, write).await {
        Ok(Ok(())) => return None,
        Ok(Err(error)) => {
            warn!(%error, "what happened to disks is not in the ledger yet: it is tried again")
        }
        Err(_) => {
            warn!("what happened to disks is not in the ledger yet: it is too slow, and is tried again")
        }
    }
    Some(note)
}
