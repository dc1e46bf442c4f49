//! What the kernel's cgroups say, in the supervisor's words.

use crate::{
    host::{Cgroup, CgroupLimits, CpuQuota},
    supervisor::{Cpuset, Limits, Usage},
};

/// Adds what only the kernel knows, and what nobody has said yet.
pub(super) fn complete(usage: &mut Usage, cgroup: &Cgroup) {
    usage.oom_kills = cgroup.oom_kills();
    usage.memory_psi = cgroup.memory_psi();
    usage.memory = usage.memory.or_else(|| cgroup.memory_used());
    usage.cpu_us = usage.cpu_us.or_else(|| cgroup.cpu_used_us());
    usage.throttled = usage.throttled.or_else(|| cgroup.throttled());
    usage.pids = usage.pids.or_else(|| cgroup.pids_current());
    usage.held_to = Some(limits(cgroup.limits()));
}

/// A cgroup's limits in the supervisor's words.
pub(super) fn limits(held: CgroupLimits) -> Limits {
    Limits {
        memory: held.memory,
        swap: held.swap.unwrap_or(0),
        cpus: held.cpu.map(CpuQuota::cores),
        cpuset: held.cpuset.as_deref().and_then(Cpuset::parse),
        pids: held.pids.map(|pids| u32::try_from(pids).unwrap_or(u32::MAX)),
    }
}

/// Limits as a cgroup has them.
pub(super) fn cgroup_limits(limits: &Limits) -> CgroupLimits {
    CgroupLimits {
        memory: limits.memory,
        swap: limits.memory.map(|_| limits.swap),
        cpu: limits.cpus.map(CpuQuota::of_cores),
        cpuset: limits.cpuset.as_ref().map(ToString::to_string),
        pids: limits.pids.map(u64::from),
    }
}
