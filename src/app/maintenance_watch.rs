//! Announces maintenance windows of the configuration to whoever measures availability: minutes in a window with `sla = true` are no downtime.
//!
//! A window is announced when it begins, with its end. One that the configuration does not have any more, or shortens while it holds, ends
//! when that is seen: an end that was announced and is not meant would excuse what it should not.

use std::{collections::BTreeMap, time::Duration};

use tokio::{sync::watch, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    alerts::{AlertSettings, Maintenance},
    consensus::WallClock,
    ledger::{Ledger, LedgerError, MaintenanceRow},
    types::UnixMillis,
};

/// How often windows are looked at: a few times in a minute, which is the grain of availability.
const EVERY: Duration = Duration::from_secs(15);
/// What the reason of an announcement of ours begins with: whose is whose.
const OURS: &str = "maintenance window: ";

/// What this watch works with.
#[derive(Clone, Debug)]
pub(super) struct MaintenanceWatchParts {
    pub(super) settings: watch::Receiver<std::sync::Arc<AlertSettings>>,
    pub(super) ledger: Ledger,
    pub(super) clock: WallClock,
}

/// Looks until told to stop.
pub(super) async fn watch_maintenance(parts: MaintenanceWatchParts, stop: CancellationToken) {
    loop {
        let windows = parts.settings.borrow().maintenance.clone();
        if let Err(error) = look(&parts.ledger, &windows, parts.clock.now()).await {
            warn!(%error, "maintenance windows are not announced: minutes in them may count as downtime");
        }
        tokio::select! {
            () = sleep(EVERY) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn look(ledger: &Ledger, windows: &[Maintenance], now: UnixMillis) -> Result<(), LedgerError> {
    let announced = ledger.maintenance(now, now.saturating_add(1)).await?;
    for row in changes(&announced, windows, now) {
        info!(reason = row.reason, until = row.ends_at, "maintenance is announced anew");
        ledger.save_maintenance(&row).await?;
    }
    Ok(())
}

/// What is to be announced anew. `announced`: what holds now.
fn changes(announced: &[MaintenanceRow], windows: &[Maintenance], now: UnixMillis) -> Vec<MaintenanceRow> {
    // Two that begin together are one announcement, and last as long as the longer one.
    let mut wanted: BTreeMap<UnixMillis, MaintenanceRow> = BTreeMap::new();
    for window in windows.iter().filter(|window| window.sla) {
        let Some(span) = window.span_at(now) else { continue };
        let row = MaintenanceRow {
            starts_at: span.from,
            ends_at: span.until,
            indicator: String::new(),
            reason: format!("{OURS}{}", window.name),
        };
        let known = wanted.entry(span.from).or_insert_with(|| row.clone());
        if known.ends_at < row.ends_at {
            *known = row;
        }
    }
    let ours = announced.iter().filter(|row| row.indicator.is_empty() && row.reason.starts_with(OURS));
    let over = ours
        .filter(|row| !wanted.contains_key(&row.starts_at))
        .map(|row| MaintenanceRow { ends_at: now, ..row.clone() });
    let over: Vec<MaintenanceRow> = over.collect();
    wanted.into_values().filter(|row| !announced.contains(row)).chain(over).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::MaintenanceTime;

    fn window(name: &str, from: i64, until: i64, sla: bool) -> Maintenance {
        let when = MaintenanceTime::Once { from, until };
        Maintenance { name: name.to_owned(), matchers: Vec::new(), when, sla }
    }

    fn row(name: &str, starts_at: i64, ends_at: i64) -> MaintenanceRow {
        let reason = format!("{OURS}{name}");
        MaintenanceRow { starts_at, ends_at, indicator: String::new(), reason }
    }

    #[test]
    fn what_holds_and_is_meant_is_announced_once_and_what_is_gone_ends() {
        let disk = window("disk", 100, 200, true);
        let foreign = MaintenanceRow { reason: "by hand".to_owned(), ..row("", 90, 300) };
        type Case<'a> = (&'a str, Vec<MaintenanceRow>, Vec<Maintenance>, i64, Vec<MaintenanceRow>);
        let cases: Vec<Case<'_>> = vec![
            ("not yet", vec![], vec![disk.clone()], 99, vec![]),
            ("it begins", vec![], vec![disk.clone()], 100, vec![row("disk", 100, 200)]),
            ("it is known", vec![row("disk", 100, 200)], vec![disk.clone()], 150, vec![]),
            ("it is over", vec![], vec![disk.clone()], 200, vec![]),
            ("alerts alone", vec![], vec![window("disk", 100, 200, false)], 150, vec![]),
            ("no longer meant", vec![row("disk", 100, 200)], vec![], 150, vec![row("disk", 100, 150)]),
            (
                "shorter than it was",
                vec![row("disk", 100, 200)],
                vec![window("disk", 100, 180, true)],
                150,
                vec![row("disk", 100, 180)],
            ),
            (
                "two that begin together",
                vec![],
                vec![window("short", 100, 150, true), disk.clone()],
                120,
                vec![row("disk", 100, 200)],
            ),
            ("what others announced stays", vec![foreign], vec![], 150, vec![]),
        ];
        for (name, announced, windows, now, want) in cases {
            assert_eq!(changes(&announced, &windows, now), want, "{name}");
        }
    }

    #[tokio::test]
    async fn an_announcement_is_in_the_ledger_and_ends_there() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        look(&ledger, &[window("disk", 100, 200, true)], 150).await.unwrap();
        assert_eq!(ledger.maintenance(0, 1000).await.unwrap(), [row("disk", 100, 200)]);
        look(&ledger, &[], 160).await.unwrap();
        assert_eq!(ledger.maintenance(0, 1000).await.unwrap(), [row("disk", 100, 160)]);
    }
}
