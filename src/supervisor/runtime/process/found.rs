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
    fs::write(file(folder, id), format!("{} {}\n", found.pid, found.started))
}

/// It ended.
pub(super) fn forget(folder: &Path, id: &NodeId) {
    let _ = fs::remove_file(file(folder, id));
}

/// The process of a node that is still there, if its program is still the same.
pub(super) fn left_behind(folder: &Path, id: &NodeId, program: &Path) -> Option<Found> {
    let text = fs::read_to_string(file(folder, id)).ok()?;
    let (pid, started) = text.trim().split_once(' ')?;
    let found = Found { pid: pid.parse().ok()?, started: started.parse().ok()? };
    // Start times restart with the machine: after a boot the same two numbers may be anybody's. The kernel cuts names at 15 bytes.
    let name: String = program.file_name()?.to_string_lossy().into_owned();
    let is_it = found.is_alive() && stat(found.pid).is_some_and(|stat| name.starts_with(&stat.comm));
    is_it.then_some(found)
}
