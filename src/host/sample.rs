//! What a look at the machine finds.

/// One look at the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct HostSample {
    /// The whole machine, as far as a container is shown it.
    pub host: Load,
    /// Our own cgroup, of what it may use.
    pub own: Load,
    /// What stood still on the whole machine.
    pub stalls: Stalls,
}

/// PSI `full avg60`: the share of the last minute in which every task that was not idle waited, in percent. None without PSI.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stalls {
    /// For memory.
    pub memory: Option<f64>,
    /// For disks.
    pub io: Option<f64>,
}

/// What one of them is under. What cannot be read is none.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Load {
    /// CPU used since the last look, in percent of what may be used.
    pub cpu: Option<f64>,
    /// PSI `some avg10` of CPU, in percent.
    pub cpu_psi: Option<f64>,
    /// Memory.
    pub memory: Option<Memory>,
    /// PSI `some avg10` of memory, in percent.
    pub memory_psi: Option<f64>,
}

/// Memory, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// In use, without what the kernel could take back at once.
    pub used: u64,
    /// What there is, or may be used.
    pub total: u64,
}
