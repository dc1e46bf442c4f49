//! What the machine is under: CPU, memory and pressure stall information, of the whole host and of our own cgroup, v1 or v2; the same of a
//! node's cgroup, with the limits that it is held to; and how late timers come on the runtime that serves requests.
//!
//! In: `/proc` and the cgroup file system. Out: numbers of one moment. What cannot be read is none: on another system than Linux, in a
//! container without its cgroup, with PSI switched off, the rest still counts. It judges nothing and remembers nothing but the last counters, as
//! only their difference tells. Limits are written where the supervisor says so, and nowhere else.
//!
//! Formats of `/proc` are read by `procfs-core`. The cgroup file system is read here, as that library knows a process's membership and none of
//! the files it leads to; of a PSI file only the lines that are asked for, as CPU has no line `full` before Linux 5.13. Sources: proc(5), kernel
//! documentation of cgroup-v1, cgroup-v2 and PSI.

mod cgroup;
mod lag;
mod psi;
mod sample;
mod sampler;
mod size;

pub use cgroup::{Cgroup, CgroupLimits, CpuQuota};
pub use lag::LagMeter;
pub use sample::{HostSample, Load, Memory, Stalls};
pub use sampler::{HostSampler, booted_at};
pub use size::HostSize;
