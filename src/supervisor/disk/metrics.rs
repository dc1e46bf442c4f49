//! What is counted of disks.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

use super::{
    board::{DiskBoard, FilesystemView},
    forecast::Forecast,
    report::CleanReport,
};
use crate::events::DiskRung;

const USED: &str = "relaymux_disk_used_ratio";
const AVAILABLE: &str = "relaymux_disk_available_bytes";
const TOTAL: &str = "relaymux_disk_total_bytes";
const INODES: &str = "relaymux_disk_inodes_used_ratio";
const READ_ONLY: &str = "relaymux_disk_read_only";
const REACHABLE: &str = "relaymux_disk_reachable";
const FULL_IN: &str = "relaymux_disk_full_in_seconds";
const EMERGENCY: &str = "relaymux_disk_emergency";
const READ: &str = "relaymux_disk_read_bytes_per_second";
const WRITTEN: &str = "relaymux_disk_written_bytes_per_second";
const BUSY: &str = "relaymux_disk_busy_ratio";
const PATH: &str = "relaymux_disk_path_bytes";
const DELETED_OPEN: &str = "relaymux_disk_deleted_open_bytes";
const CLEANED_FILES: &str = "relaymux_disk_cleaned_files_total";
const CLEANED_BYTES: &str = "relaymux_disk_cleaned_bytes_total";
const CLEANINGS: &str = "relaymux_disk_cleanings_total";
const RUNGS: &str = "relaymux_disk_rungs_total";

/// Describes them, and begins counters at 0.
pub fn describe_metrics() {
    describe_gauge!(USED, "Share of a filesystem that is in use, as df has it");
    describe_gauge!(AVAILABLE, Unit::Bytes, "Bytes that are left on a filesystem");
    describe_gauge!(TOTAL, Unit::Bytes, "Bytes of a filesystem");
    describe_gauge!(INODES, "Share of a filesystem's inodes that are in use");
    describe_gauge!(READ_ONLY, "1 while a filesystem cannot be written");
    describe_gauge!(REACHABLE, "0 while a filesystem does not answer");
    describe_gauge!(
        FULL_IN,
        Unit::Seconds,
        "Seconds until a filesystem is full as it grows now; +Inf: it does not grow; absent before a day"
    );
    describe_gauge!(
        EMERGENCY,
        "1 while there is hardly any room on a filesystem and something is done about it"
    );
    describe_gauge!(READ, "Bytes that a filesystem's device reads a second");
    describe_gauge!(WRITTEN, "Bytes that a filesystem's device writes a second");
    describe_gauge!(BUSY, "Share of the time in which a filesystem's device has something to do");
    describe_gauge!(PATH, Unit::Bytes, "Bytes that a named folder takes");
    describe_gauge!(
        DELETED_OPEN,
        Unit::Bytes,
        "Bytes of deleted files that are still open, of the largest twenty"
    );
    describe_counter!(CLEANED_FILES, "Files that were deleted, by class");
    describe_counter!(CLEANED_BYTES, Unit::Bytes, "Bytes that deleted files took, by class");
    describe_counter!(CLEANINGS, "Cleanings by result: done, partly, failed");
    describe_counter!(RUNGS, "What was done about filesystems with hardly any room, and undone");
    for result in ["done", "partly", "failed"] {
        counter!(CLEANINGS, "result" => result).increment(0);
    }
    for rung in DiskRung::ALL {
        counter!(RUNGS, "rung" => rung.label()).increment(0);
    }
}

/// Shows how disks are.
pub(super) fn show(board: &DiskBoard) {
    for view in &board.filesystems {
        show_one(view);
    }
    for size in board.sizes.iter().filter(|size| size.error.is_none()) {
        gauge!(PATH, "path" => size.path.display().to_string()).set(float(size.bytes));
    }
    let deleted = board.deleted_open.iter().map(|deleted| deleted.bytes).fold(0, u64::saturating_add);
    gauge!(DELETED_OPEN).set(float(deleted));
}

fn show_one(view: &FilesystemView) {
    let label = view.path.display().to_string();
    let of = |name: &'static str| gauge!(name, "filesystem" => label.clone());
    of(REACHABLE).set(f64::from(u8::from(view.error.is_none())));
    of(EMERGENCY).set(f64::from(u8::from(view.ladder.since.is_some())));
    let Some(seen) = &view.seen else { return };
    of(USED).set(f64::from(view.used_permille) / 1000.0);
    of(INODES).set(f64::from(view.inodes_used_permille) / 1000.0);
    of(AVAILABLE).set(float(seen.space.available_bytes));
    of(TOTAL).set(float(seen.space.total_bytes));
    of(READ_ONLY).set(f64::from(u8::from(seen.space.read_only)));
    match &view.forecast {
        Forecast::TooEarly { .. } => {}
        Forecast::Steady => of(FULL_IN).set(f64::INFINITY),
        Forecast::Filling(filling) => {
            of(FULL_IN).set(float(filling.hours.saturating_mul(3600)));
        }
    }
    if let Some(io) = &view.io {
        of(READ).set(float(io.read_bytes_per_second));
        of(WRITTEN).set(float(io.written_bytes_per_second));
        of(BUSY).set(float(io.busy_percent) / 100.0);
    }
}

/// A cleaning has ended.
pub(super) fn cleaned(report: &CleanReport) {
    for class in &report.classes {
        counter!(CLEANED_FILES, "class" => class.class.clone()).increment(class.files);
        counter!(CLEANED_BYTES, "class" => class.class.clone()).increment(class.bytes);
    }
    let result = if report.is_well() { "done" } else { "partly" };
    counter!(CLEANINGS, "result" => result).increment(1);
}

/// A cleaning did not happen.
pub(super) fn not_cleaned() {
    counter!(CLEANINGS, "result" => "failed").increment(1);
}

/// Something was done.
pub(super) fn acted(rung: DiskRung) {
    counter!(RUNGS, "rung" => rung.label()).increment(1);
}

#[expect(clippy::cast_precision_loss, reason = "a gauge is a float, and no disk has 2^53 bytes to the byte")]
const fn float(number: u64) -> f64 {
    number as f64
}
