//! Trims the ledger of what is older than `[ledger]` says, a little at a time.

use std::time::Duration;

use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    consensus::{SlotClock, WallClock},
    ledger::{Ledger, Retention},
};

/// How often it is looked whether something has become old.
const EVERY: Duration = Duration::from_secs(3600);
/// After a start, others go first.
const FIRST: Duration = Duration::from_secs(300);
/// Between two steps: others write for most of the time.
const PAUSE: Duration = Duration::from_millis(200);

/// What is trimmed.
#[derive(Clone, Debug)]
pub(super) struct TrimParts {
    pub(super) ledger: Ledger,
    pub(super) retention: Retention,
    pub(super) slots: SlotClock,
    pub(super) clock: WallClock,
}

/// Trims until told to stop.
pub(super) async fn trim_ledger(parts: TrimParts, stop: CancellationToken) {
    let mut wait = FIRST;
    loop {
        tokio::select! {
            () = sleep(wait) => {}
            () = stop.cancelled() => return,
        }
        wait = EVERY;
        let (mut rows, begun) = (0_u64, Instant::now());
        loop {
            let step = parts.ledger.trim(&parts.retention, parts.slots, parts.clock.now()).await;
            match step {
                Ok(step) => {
                    rows = rows.saturating_add(step.rows);
                    if step.is_done {
                        break;
                    }
                }
                Err(error) => {
                    warn!(%error, "the ledger is not trimmed; it is tried again in an hour");
                    break;
                }
            }
            tokio::select! {
                () = sleep(PAUSE) => {}
                () = stop.cancelled() => return,
            }
        }
        if rows > 0 {
            let free_bytes = parts.ledger.free_bytes().await.unwrap_or_default();
            let secs = begun.elapsed().as_secs();
            info!(
                rows,
                secs,
                free_bytes,
                "ledger trimmed; its file keeps the room for what comes, docs/backup.md says how to make it smaller"
            );
        }
        if let Ok(bytes) = parts.ledger.free_bytes().await {
            metrics::gauge!("relaymux_ledger_free_bytes").set(as_number(bytes));
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
const fn as_number(bytes: u64) -> f64 {
    bytes as f64
}
