//! A cgroup, our own or a node's: where it is, what it used, what it may use.

mod child;
mod limits;

use std::{
    fs,
    path::{Path, PathBuf},
};

use procfs_core::{FromRead, ProcessCGroups};

pub use limits::{CgroupLimits, CpuQuota};

use super::{Memory, psi::some_avg10};

/// A limit of v1 from here on is none: the kernel writes the largest multiple of a page there.
const V1_UNLIMITED: u64 = 1 << 60;

/// A cgroup, by the folders in which the kernel shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cgroup {
    /// Version 2: one folder for everything.
    V2(PathBuf),
    /// Version 1: a folder for each controller.
    V1(Controllers),
}

/// The folders of a cgroup of version 1.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Controllers {
    cpuacct: Option<PathBuf>,
    cpu: Option<PathBuf>,
    cpuset: Option<PathBuf>,
    memory: Option<PathBuf>,
    pids: Option<PathBuf>,
}

/// Whether a folder that is not where `/proc` says is looked for at the mount's root.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// In a container without a cgroup namespace our path is the host's and may not be there: the mount's own root is ours then.
    Own,
    /// The root would be somebody else's.
    Others,
}

impl Cgroup {
    /// Our own cgroup, of a machine whose `/proc` and `/sys` are under `root`.
    pub fn find(root: &Path) -> Option<Self> {
        Self::by_membership(root, &root.join("proc/self/cgroup"), Whose::Own)
    }

    /// The cgroup of a process; none where it is gone, or its cgroup is not to be seen from here.
    pub fn of_pid(root: &Path, pid: u32) -> Option<Self> {
        Self::by_membership(root, &root.join(format!("proc/{pid}/cgroup")), Whose::Others)
    }

    fn by_membership(root: &Path, file: &Path, whose: Whose) -> Option<Self> {
        let memberships = ProcessCGroups::from_file(file).ok()?;
        let base = root.join("sys/fs/cgroup");
        let of_controller = |name: &str, file: &str| {
            memberships.0.iter().filter(|one| one.controllers.iter().any(|known| known == name)).find_map(
                |one| {
                    let mounts =
                        [base.join(one.controllers.join(",")), base.join(name), base.join("cpu,cpuacct")];
                    mounts.iter().find_map(|mount| folder_with(mount, &one.pathname, file, whose))
                },
            )
        };
        let v1 = Controllers {
            cpuacct: of_controller("cpuacct", "cpuacct.usage"),
            cpu: of_controller("cpu", "cpu.cfs_quota_us"),
            cpuset: of_controller("cpuset", "cpuset.cpus"),
            memory: of_controller("memory", "memory.usage_in_bytes"),
            pids: of_controller("pids", "cgroup.procs"),
        };
        if v1.cpuacct.is_some() {
            return Some(Self::V1(v1));
        }
        let unified = memberships.0.iter().filter(|one| one.controllers.is_empty());
        unified
            .map(|one| one.pathname.as_str())
            .find_map(|path| folder_with(&base, path, "cpu.stat", whose))
            .map(Self::V2)
    }

    /// Whether its path has a part that contains `name`: a container's id stands in the path of its cgroup, whichever driver made it.
    pub fn is_named(&self, name: &str) -> bool {
        let folder = match self {
            Self::V2(folder) => Some(folder),
            Self::V1(folders) => folders.memory.as_ref().or(folders.cpuacct.as_ref()),
        };
        folder.is_some_and(|folder| folder.to_string_lossy().contains(name))
    }

    /// CPU time used so far, in microseconds.
    pub fn cpu_used_us(&self) -> Option<u64> {
        match self {
            Self::V2(folder) => field(&folder.join("cpu.stat"), "usage_usec"),
            Self::V1(folders) => {
                Some(number::<u64>(&folders.cpuacct.as_ref()?.join("cpuacct.usage"))? / 1000)
            }
        }
    }

    /// Memory in use without what the kernel could take back at once, and the limit; none where there is no limit.
    pub(super) fn memory(&self) -> Option<Memory> {
        Some(Memory { used: self.memory_used()?, total: self.memory_limit()? })
    }

    /// Memory in use without what the kernel could take back at once, in bytes.
    pub fn memory_used(&self) -> Option<u64> {
        let (used, cache) = match self {
            Self::V2(folder) => (
                number::<u64>(&folder.join("memory.current"))?,
                field(&folder.join("memory.stat"), "inactive_file"),
            ),
            Self::V1(folders) => {
                let folder = folders.memory.as_ref()?;
                (
                    number::<u64>(&folder.join("memory.usage_in_bytes"))?,
                    field(&folder.join("memory.stat"), "total_inactive_file"),
                )
            }
        };
        Some(used.saturating_sub(cache.unwrap_or(0)))
    }

    /// How often the kernel killed a process of it for memory.
    pub fn oom_kills(&self) -> Option<u64> {
        match self {
            Self::V2(folder) => field(&folder.join("memory.events"), "oom_kill"),
            Self::V1(folders) => field(&folders.memory.as_ref()?.join("memory.oom_control"), "oom_kill"),
        }
    }

    /// Periods in which it wanted more CPU than it may have.
    pub fn throttled(&self) -> Option<u64> {
        match self {
            Self::V2(folder) => field(&folder.join("cpu.stat"), "nr_throttled"),
            Self::V1(folders) => field(&folders.cpu.as_ref()?.join("cpu.stat"), "nr_throttled"),
        }
    }

    /// Processes and threads in it.
    pub fn pids_current(&self) -> Option<u64> {
        match self {
            Self::V2(folder) => number(&folder.join("pids.current")),
            Self::V1(folders) => number(&folders.pids.as_ref()?.join("pids.current")),
        }
    }

    /// PSI of its CPU, in percent; v1 has none.
    pub(super) fn cpu_psi(&self) -> Option<f64> {
        match self {
            Self::V2(folder) => some_avg10(&folder.join("cpu.pressure")),
            Self::V1(_) => None,
        }
    }

    /// PSI of its memory, in percent; v1 has none.
    pub fn memory_psi(&self) -> Option<f64> {
        match self {
            Self::V2(folder) => some_avg10(&folder.join("memory.pressure")),
            Self::V1(_) => None,
        }
    }
}

/// The folder of a cgroup under a mount.
fn folder_with(mount: &Path, path: &str, file: &str, whose: Whose) -> Option<PathBuf> {
    let there = mount.join(path.trim_start_matches('/'));
    let root = (whose == Whose::Own).then(|| mount.to_owned());
    [Some(there), root].into_iter().flatten().find(|folder| folder.join(file).exists())
}

fn number<T: std::str::FromStr>(path: &Path) -> Option<T> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

/// A number in a file of lines `name number`.
fn field(path: &Path, name: &str) -> Option<u64> {
    let text = fs::read_to_string(path).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '))?;
    value.trim().parse().ok()
}

#[cfg(test)]
mod tests;
