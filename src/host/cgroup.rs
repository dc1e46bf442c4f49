//! Our own cgroup: where it is, what it used, what it may use.

use std::{
    fs,
    path::{Path, PathBuf},
};

use procfs_core::{FromRead, ProcessCGroups};

use super::{Memory, psi::some_avg10};

/// A limit of v1 from here on is none: the kernel writes the largest multiple of a page there.
const V1_UNLIMITED: u64 = 1 << 60;

/// Where a cgroup's accounts are.
#[derive(Debug)]
pub(super) enum Cgroup {
    /// One folder for everything.
    V2(PathBuf),
    /// A folder for each controller.
    V1 { cpu: PathBuf, memory: Option<PathBuf> },
}

impl Cgroup {
    /// Our cgroup by `/proc/self/cgroup`, of a machine whose `/proc` and `/sys` are under `root`.
    pub(super) fn find(root: &Path) -> Option<Self> {
        let memberships = ProcessCGroups::from_file(root.join("proc/self/cgroup")).ok()?;
        let base = root.join("sys/fs/cgroup");
        let of_controller = |name: &str, file: &str| {
            memberships.0.iter().filter(|one| one.controllers.iter().any(|known| known == name)).find_map(
                |one| {
                    let mounts =
                        [base.join(one.controllers.join(",")), base.join(name), base.join("cpu,cpuacct")];
                    mounts.iter().find_map(|mount| folder_with(mount, &one.pathname, file))
                },
            )
        };
        if let Some(cpu) = of_controller("cpuacct", "cpuacct.usage") {
            return Some(Self::V1 { cpu, memory: of_controller("memory", "memory.usage_in_bytes") });
        }
        let unified = memberships.0.iter().filter(|one| one.controllers.is_empty());
        unified
            .map(|one| one.pathname.as_str())
            .find_map(|path| folder_with(&base, path, "cpu.stat"))
            .map(Self::V2)
    }

    /// CPU time used so far, in microseconds.
    pub(super) fn cpu_used_us(&self) -> Option<u64> {
        match self {
            Self::V2(folder) => field(&folder.join("cpu.stat"), "usage_usec"),
            Self::V1 { cpu, .. } => Some(number::<u64>(&cpu.join("cpuacct.usage"))? / 1000),
        }
    }

    /// Cores that it may use; none where it may use all.
    pub(super) fn cores(&self) -> Option<f64> {
        let (quota, period) = match self {
            Self::V2(folder) => {
                // `max 100000` or `150000 100000`
                let text = fs::read_to_string(folder.join("cpu.max")).ok()?;
                let (quota, period) = text.trim().split_once(' ')?;
                (quota.parse().ok()?, period.parse().ok()?)
            }
            // -1: no quota.
            Self::V1 { cpu, .. } => (
                number::<f64>(&cpu.join("cpu.cfs_quota_us"))?,
                number::<f64>(&cpu.join("cpu.cfs_period_us"))?,
            ),
        };
        (quota > 0.0 && period > 0.0).then_some(quota / period)
    }

    /// Memory in use without what the kernel could take back at once, and the limit; none where there is no limit.
    pub(super) fn memory(&self) -> Option<Memory> {
        let (used, limit, cache) = match self {
            Self::V2(folder) => (
                number::<u64>(&folder.join("memory.current"))?,
                // `max` is no number, and no limit.
                number::<u64>(&folder.join("memory.max"))?,
                field(&folder.join("memory.stat"), "inactive_file"),
            ),
            Self::V1 { memory, .. } => {
                let folder = memory.as_ref()?;
                let limit = number::<u64>(&folder.join("memory.limit_in_bytes"))?;
                (
                    number::<u64>(&folder.join("memory.usage_in_bytes"))?,
                    Some(limit).filter(|limit| *limit < V1_UNLIMITED)?,
                    field(&folder.join("memory.stat"), "total_inactive_file"),
                )
            }
        };
        Some(Memory { used: used.saturating_sub(cache.unwrap_or(0)), total: limit })
    }

    /// PSI of its CPU, in percent; v1 has none.
    pub(super) fn cpu_psi(&self) -> Option<f64> {
        match self {
            Self::V2(folder) => some_avg10(&folder.join("cpu.pressure")),
            Self::V1 { .. } => None,
        }
    }

    /// PSI of its memory, in percent; v1 has none.
    pub(super) fn memory_psi(&self) -> Option<f64> {
        match self {
            Self::V2(folder) => some_avg10(&folder.join("memory.pressure")),
            Self::V1 { .. } => None,
        }
    }
}

/// The folder of a cgroup under a mount. In a container without a cgroup namespace the path is the host's and may not be there: the mount's own
/// root is ours then.
fn folder_with(mount: &Path, path: &str, file: &str) -> Option<PathBuf> {
    let own = mount.join(path.trim_start_matches('/'));
    [own, mount.to_owned()].into_iter().find(|folder| folder.join(file).exists())
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
