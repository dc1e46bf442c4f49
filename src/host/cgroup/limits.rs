//! Limits of a cgroup: read, and written.

use std::{fs, io, path::Path};

use super::{Cgroup, V1_UNLIMITED, number};

/// The period that is written with a quota: the kernel's own default.
const PERIOD_US: u64 = 100_000;

/// What a cgroup may use. None: no limit of that kind, or it cannot be read.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CgroupLimits {
    /// Memory, in bytes.
    pub memory: Option<u64>,
    /// Swap beside the memory, in bytes.
    pub swap: Option<u64>,
    /// CPU time.
    pub cpu: Option<CpuQuota>,
    /// Cores, in the kernel's list format.
    pub cpuset: Option<String>,
    /// Processes and threads.
    pub pids: Option<u64>,
}

/// How much CPU time in each period, both in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuQuota {
    quota_us: u64,
    period_us: u64,
}

impl CpuQuota {
    /// So many cores; at least a hundredth of one, which is the least that the kernel takes.
    pub fn of_cores(cores: f64) -> Self {
        // Through text: a cast of a float may lose what it does not say. Microseconds of one period: at most nine digits.
        let us = format!("{:.0}", cores.clamp(0.01, 4096.0) * 100_000.0).parse().unwrap_or(PERIOD_US);
        Self { quota_us: us, period_us: PERIOD_US }
    }

    /// As cores.
    pub fn cores(self) -> f64 {
        // Both are far below 2^32 in every kernel.
        let float = |us: u64| u32::try_from(us).map_or(f64::MAX, f64::from);
        float(self.quota_us) / float(self.period_us)
    }
}

impl Cgroup {
    /// The limits that the kernel holds it to.
    pub fn limits(&self) -> CgroupLimits {
        CgroupLimits {
            memory: self.memory_limit(),
            swap: self.swap_limit(),
            cpu: self.cpu_quota(),
            cpuset: self.text("cpuset.cpus").filter(|cores| !cores.is_empty()),
            // `max` is no number, and no limit.
            pids: self.text("pids.max").and_then(|text| text.parse().ok()),
        }
    }

    /// Cores that it may use; none where it may use all.
    pub fn cores(&self) -> Option<f64> {
        self.cpu_quota().map(CpuQuota::cores)
    }

    pub(super) fn memory_limit(&self) -> Option<u64> {
        match self {
            Self::V2(folder) => number(&folder.join("memory.max")),
            Self::V1(folders) => {
                let limit: u64 = number(&folders.memory.as_ref()?.join("memory.limit_in_bytes"))?;
                (limit < V1_UNLIMITED).then_some(limit)
            }
        }
    }

    fn swap_limit(&self) -> Option<u64> {
        match self {
            Self::V2(folder) => number(&folder.join("memory.swap.max")),
            Self::V1(folders) => {
                // Version 1 counts memory and swap together; without swap accounting the file is not there.
                let both: u64 = number(&folders.memory.as_ref()?.join("memory.memsw.limit_in_bytes"))?;
                (both < V1_UNLIMITED).then(|| both.saturating_sub(self.memory_limit().unwrap_or(both)))
            }
        }
    }

    fn cpu_quota(&self) -> Option<CpuQuota> {
        let (quota_us, period_us) = match self {
            Self::V2(folder) => {
                // `max 100000` or `150000 100000`
                let text = fs::read_to_string(folder.join("cpu.max")).ok()?;
                let (quota, period) = text.trim().split_once(' ')?;
                (quota.parse().ok()?, period.parse().ok()?)
            }
            Self::V1(folders) => {
                let cpu = folders.cpu.as_ref()?;
                // -1: no quota.
                (number(&cpu.join("cpu.cfs_quota_us"))?, number(&cpu.join("cpu.cfs_period_us"))?)
            }
        };
        (quota_us > 0 && period_us > 0).then_some(CpuQuota { quota_us, period_us })
    }

    fn text(&self, file: &str) -> Option<String> {
        let folder = match self {
            Self::V2(folder) => folder,
            Self::V1(folders) if file.starts_with("cpuset") => folders.cpuset.as_ref()?,
            Self::V1(folders) => folders.pids.as_ref()?,
        };
        fs::read_to_string(folder.join(file)).ok().map(|text| text.trim().to_owned())
    }

    /// Writes limits, swap with memory; none takes a limit away, but for cores: those stay. Whoever shrinks memory looks at `memory_used` before: version 2 kills at once.
    ///
    /// # Errors
    /// The first file that could not be written, by name. A controller that is not there is an error only where there is a limit for it.
    pub fn hold_to(&self, limits: &CgroupLimits) -> io::Result<()> {
        self.hold_memory(limits.memory, limits.swap)?;
        self.hold_cpu(limits.cpu)?;
        if let Some(cpuset) = &limits.cpuset {
            self.put(Part::Cpuset, "cpuset.cpus", cpuset)?;
        }
        match limits.pids {
            Some(pids) => self.put(Part::Pids, "pids.max", &pids.to_string()),
            None => self.put_if_there(Part::Pids, "pids.max", "max"),
        }
    }

    fn hold_memory(&self, memory: Option<u64>, swap: Option<u64>) -> io::Result<()> {
        let Some(memory) = memory else {
            return match self {
                Self::V2(_) => {
                    self.put_if_there(Part::Memory, "memory.swap.max", "max")?;
                    self.put_if_there(Part::Memory, "memory.max", "max")
                }
                Self::V1(_) => {
                    self.put_if_there(Part::Memory, "memory.memsw.limit_in_bytes", "-1")?;
                    self.put_if_there(Part::Memory, "memory.limit_in_bytes", "-1")
                }
            };
        };
        let bytes = memory.to_string();
        match self {
            Self::V2(_) => {
                let swap = swap.map_or_else(|| "max".to_owned(), |swap| swap.to_string());
                self.put(Part::Memory, "memory.max", &bytes)?;
                self.put_if_there(Part::Memory, "memory.swap.max", &swap)
            }
            Self::V1(_) => {
                let both =
                    swap.map_or_else(|| "-1".to_owned(), |swap| memory.saturating_add(swap).to_string());
                // The sum may never be below the memory, not for a moment: a larger one is written first, a smaller one last.
                if self.memory_limit().is_some_and(|now| now < memory) {
                    self.put_if_there(Part::Memory, "memory.memsw.limit_in_bytes", &both)?;
                    return self.put(Part::Memory, "memory.limit_in_bytes", &bytes);
                }
                self.put(Part::Memory, "memory.limit_in_bytes", &bytes)?;
                self.put_if_there(Part::Memory, "memory.memsw.limit_in_bytes", &both)
            }
        }
    }

    fn hold_cpu(&self, cpu: Option<CpuQuota>) -> io::Result<()> {
        match (self, cpu) {
            (Self::V2(_), None) => self.put_if_there(Part::Cpu, "cpu.max", &format!("max {PERIOD_US}")),
            (Self::V2(_), Some(cpu)) => {
                self.put(Part::Cpu, "cpu.max", &format!("{} {}", cpu.quota_us, cpu.period_us))
            }
            (Self::V1(_), None) => self.put_if_there(Part::Cpu, "cpu.cfs_quota_us", "-1"),
            (Self::V1(_), Some(cpu)) => {
                self.put(Part::Cpu, "cpu.cfs_period_us", &cpu.period_us.to_string())?;
                self.put(Part::Cpu, "cpu.cfs_quota_us", &cpu.quota_us.to_string())
            }
        }
    }

    /// From here on the kernel slows it down instead of killing it: `memory.high`, version 2 only. None takes it away.
    ///
    /// # Errors
    /// The file could not be written, or this is version 1, which has none.
    pub fn set_memory_high(&self, bytes: Option<u64>) -> io::Result<()> {
        match self {
            Self::V2(_) => {
                let text = bytes.map_or_else(|| "max".to_owned(), |bytes| bytes.to_string());
                self.put(Part::Memory, "memory.high", &text)
            }
            Self::V1(_) => Err(io::Error::new(io::ErrorKind::Unsupported, "cgroup v1 has no memory.high")),
        }
    }

    fn put(&self, part: Part, file: &str, text: &str) -> io::Result<()> {
        let folder = self.folder(part).ok_or_else(|| {
            io::Error::new(io::ErrorKind::NotFound, format!("there is no controller for {file}"))
        })?;
        write(&folder.join(file), text)
    }

    fn put_if_there(&self, part: Part, file: &str, text: &str) -> io::Result<()> {
        match self.folder(part).map(|folder| folder.join(file)).filter(|path| path.exists()) {
            Some(path) => write(&path, text),
            None => Ok(()),
        }
    }

    fn folder(&self, part: Part) -> Option<&Path> {
        match (self, part) {
            (Self::V2(folder), _) => Some(folder),
            (Self::V1(folders), Part::Memory) => folders.memory.as_deref(),
            (Self::V1(folders), Part::Cpu) => folders.cpu.as_deref(),
            (Self::V1(folders), Part::Cpuset) => folders.cpuset.as_deref(),
            (Self::V1(folders), Part::Pids) => folders.pids.as_deref(),
        }
    }
}

/// Which controller.
#[derive(Clone, Copy)]
enum Part {
    Memory,
    Cpu,
    Cpuset,
    Pids,
}

/// Writes a file of a cgroup as the kernel wants it: one write, never a new file.
pub(super) fn write(path: &Path, text: &str) -> io::Result<()> {
    let written = fs::OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(path)
        .and_then(|mut file| io::Write::write_all(&mut file, text.as_bytes()));
    written.map_err(|error| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        io::Error::new(error.kind(), format!("{name} cannot be set to {text}: {error}"))
    })
}
