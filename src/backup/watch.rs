//! Looks each minute whether the backups that there are will do, and raises what is wrong with them.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::{
    BackupKeeper,
    judge::{Ages, judge},
    metrics::show,
    rules::{BACKUP_DAMAGED, BACKUP_STALE, BACKUP_UNVERIFIED},
};

/// How often.
const EVERY: Duration = Duration::from_secs(60);

/// Looks until told to stop.
pub async fn watch_backups(keeper: BackupKeeper, stop: CancellationToken) {
    let parts = &keeper.0.parts;
    // Before there was a ledger, there was nothing to back up.
    let since = parts.ledger.made_at().await.ok().flatten().unwrap_or_else(|| parts.clock.now());
    loop {
        tokio::select! {
            () = keeper.look() => {}
            () = stop.cancelled() => return,
        }
        let now = parts.clock.now();
        let (ages, found, is_known) = {
            let board = keeper.0.board.lock();
            (
                Ages::of(&board.backups, now),
                judge(&board.backups, &parts.settings, since, now),
                board.error.is_none(),
            )
        };
        // A folder that does not answer says nothing of what is in it: what was known of it grows older all the same.
        show(&ages);
        for (rule, message) in [
            (&BACKUP_STALE, found.stale),
            (&BACKUP_UNVERIFIED, found.unverified),
            (&BACKUP_DAMAGED, found.damaged),
        ] {
            match message {
                Some(message) => keeper.raise(rule, &message).await,
                None if is_known => keeper.resolve(rule).await,
                None => {}
            }
        }
        tokio::select! {
            () = sleep(EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
}
