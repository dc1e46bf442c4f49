//! Pressure stall information.

use std::{fs, path::Path};

use procfs_core::parse_pressure_record;

/// `avg60` of the line `full`: the share of the last minute in which no task got anything done for it, in percent.
pub(super) fn full_avg60(path: &Path) -> Option<f64> {
    let text = fs::read_to_string(path).ok()?;
    let full = text.lines().find(|line| line.starts_with("full "))?;
    Some(f64::from(parse_pressure_record(full).ok()?.avg60))
}

/// `avg10` of the line `some`: the share of the last ten seconds in which some task waited, in percent.
pub(super) fn some_avg10(path: &Path) -> Option<f64> {
    let text = fs::read_to_string(path).ok()?;
    let some = text.lines().find(|line| line.starts_with("some "))?;
    Some(f64::from(parse_pressure_record(some).ok()?.avg10))
}
