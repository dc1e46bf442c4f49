//! Processes that an earlier run of ours left behind, found by a file that has their numbers.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use procfs_core::{FromRead, process::Stat};

use crate::types::NodeId;

/// A process: its number, and when it was started, as numbers are used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) pid: u32,
    /// In clock ticks since the boot.
    pub(super) started: u64,
}

impl Found {
    /// The process of a number, if it is alive.
    pub(super) fn of(pid: u32) -> Option<Self> {
        let stat = stat(pid)?;
        // A zombie has ended, and waits for whoever started it.
        (!matches!(stat.state, 'Z' | 'X')).then_some(Self { pid, started: stat.starttime })
    }

    /// Whether it is still that one.
    pub(super) fn is_alive(&self) -> bool {
        Self::of(self.pid) == Some(*self)
    }
}

/// `/proc/PID/stat`.
pub(super) fn stat(pid: u32) -> Option<Stat> {
    Stat::from_file(format!("/proc/{pid}/stat")).ok()
}

fn file(folder: &Path, id: &NodeId) -> PathBuf {
    folder.join(format!("{id}.pid"))
}

/// Writes down which process is a node's.
pub(super) fn write_down(folder: &Path, id: &NodeId, found: Found) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    fs::write(file(folder, id), format!("{} {} {}\n", found.pid, found.started, boot().unwrap_or_default()))
}

/// It ended.
pub(super) fn forget(folder: &Path, id: &NodeId) {
    let _ = fs::remove_file(file(folder, id));
}

/// The process of a node that is still there. It may be another program by now: scripts that start a node become it.
pub(super) fn left_behind(folder: &Path, id: &NodeId) -> Option<Found> {
    let text = fs::read_to_string(file(folder, id)).ok()?;
    let mut words = text.split_whitespace();
    let found = Found { pid: words.next()?.parse().ok()?, started: words.next()?.parse().ok()? };
    // Start times begin anew with the machine: after a boot the same two numbers may be anybody's.
    let is_of_this_boot = words.next().is_some_and(|written| boot().as_deref() == Some(written));
    (is_of_this_boot && found.is_alive()).then_some(found)
}

/// Which boot of the machine this is.
fn boot() -> Option<String> {
    Some(fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?.trim().to_owned())
}
