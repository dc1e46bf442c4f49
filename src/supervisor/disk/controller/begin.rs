//! What an earlier process left, and our own files, made ready while there is room for them.

use std::{path::Path, time::Duration};

use tokio::time::timeout;
use tracing::warn;

use crate::{
    ledger::{DiskUsageRow, Ledger, LedgerError},
    supervisor::disk::{
        bounded::Bounded,
        forecast::UsageSample,
        journal::Journal,
        lock::take,
        memory_file::{Memories, load, save},
    },
    types::{DAY_MS, UnixMillis},
};

/// Samples that are remembered.
pub(super) const REMEMBERED_MS: i64 = 8 * DAY_MS;
const MOST_SAMPLES: u32 = 400;
/// Longest wait for the ledger, and for the folder of our own files.
const LEDGER_WITHIN: Duration = Duration::from_secs(10);
pub(super) const STATE_WITHIN: Duration = Duration::from_secs(5);

/// What the ladder remembers. Where it cannot be read, nothing is.
pub(super) async fn memories(bounded: &Bounded, state_dir: &Path) -> Memories {
    let folder = state_dir.to_owned();
    let read = bounded.run("state", STATE_WITHIN, move || {
        let memories = load(&folder);
        (make_ready(&folder, memories.as_ref().ok()), memories)
    });
    let (ready, memories) = match read.await {
        Ok((ready, memories)) => {
            (ready.map_err(|error| error.to_string()), memories.map_err(|error| error.to_string()))
        }
        Err(hangs) => (Err(hangs.to_string()), Err(hangs.to_string())),
    };
    if let Err(error) = ready {
        warn!(error, "the journal of deletions cannot be made ready: nothing can be cleaned until it can");
    }
    memories.unwrap_or_else(|error| {
        warn!(
            error,
            "what was stopped for a full disk cannot be read: start it yourself (`relaymux nodes up`)"
        );
        Memories::new()
    })
}

/// Makes our own files while there is room for them, and keeps room in them.
fn make_ready(state_dir: &Path, memories: Option<&Memories>) -> std::io::Result<()> {
    if let Some(memories) = memories {
        save(state_dir, memories)?;
    }
    // Whoever has the lock has made the journal.
    if let Ok(_lock) = take(state_dir) {
        Journal::open(state_dir)?;
    }
    Ok(())
}

/// How full a filesystem was. Where it cannot be read, forecasts begin anew.
pub(super) async fn samples_of(ledger: &Ledger, path: &Path, now: UnixMillis) -> Vec<UsageSample> {
    match timeout(LEDGER_WITHIN, read_samples(ledger, path, now)).await {
        Ok(Ok(samples)) => samples,
        Ok(Err(error)) => {
            warn!(%error, "how full disks were cannot be read: forecasts begin anew");
            Vec::new()
        }
        Err(_) => {
            warn!("how full disks were cannot be read in time: forecasts begin anew");
            Vec::new()
        }
    }
}

async fn read_samples(
    ledger: &Ledger,
    path: &Path,
    now: UnixMillis,
) -> Result<Vec<UsageSample>, LedgerError> {
    let since = now.saturating_sub(REMEMBERED_MS);
    let rows = ledger.disk_usage(&path.display().to_string(), since, MOST_SAMPLES).await?;
    let sample = |row: DiskUsageRow| UsageSample {
        at: row.at,
        used: row.used_bytes,
        capacity: row.total_bytes,
        cleaned: row.cleaned != 0,
    };
    Ok(rows.into_iter().map(sample).filter(|sample| sample.at <= now).collect())
}
