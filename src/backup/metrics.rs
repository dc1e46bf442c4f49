//! What this room counts and shows, described.

use metrics::{counter, describe_counter, describe_gauge, gauge};

use super::judge::Ages;
use crate::events::{BackupAction, BackupResult};

/// Describes this room's metrics to the recorder, and begins its counters at 0.
pub fn describe_metrics() {
    describe_counter!("relaymux_backup_runs_total", "Backups that were made or proven, by what came of it");
    describe_gauge!("relaymux_backup_age_seconds", "Age of the newest backup; NaN where there is none");
    describe_gauge!(
        "relaymux_backup_verified_age_seconds",
        "Age of the newest backup that was restored on trial; NaN where there is none"
    );
    describe_gauge!("relaymux_backup_bytes", "Size of the newest backup; NaN where there is none");
    describe_gauge!("relaymux_backups", "Backups that are kept");
    describe_gauge!("relaymux_backup_duration_seconds", "How long the last one took to make or prove");
    for action in BackupAction::ALL {
        for result in BackupResult::ALL {
            counter!("relaymux_backup_runs_total", "action" => action.label(), "result" => result.label())
                .increment(0);
        }
    }
}

pub(super) fn count_run(action: BackupAction, result: BackupResult, took_ms: u64) {
    counter!("relaymux_backup_runs_total", "action" => action.label(), "result" => result.label())
        .increment(1);
    gauge!("relaymux_backup_duration_seconds", "action" => action.label()).set(number(took_ms) / 1000.0);
}

pub(super) fn show(ages: &Ages) {
    let seconds = |ms: Option<i64>| ms.map_or(f64::NAN, |ms| number(ms.max(0).unsigned_abs()) / 1000.0);
    gauge!("relaymux_backup_age_seconds").set(seconds(ages.newest_ms));
    gauge!("relaymux_backup_verified_age_seconds").set(seconds(ages.verified_ms));
    gauge!("relaymux_backup_bytes").set(ages.bytes.map_or(f64::NAN, number));
    gauge!("relaymux_backups").set(number(u64::try_from(ages.count).unwrap_or(u64::MAX)));
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
const fn number(value: u64) -> f64 {
    value as f64
}
