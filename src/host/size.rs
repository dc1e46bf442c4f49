//! How large the machine is.

use std::path::Path;

use procfs_core::{FromRead, Meminfo};

/// What the machine has: of the whole host, whatever our own cgroup may use, as other programs run beside us.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HostSize {
    /// Memory, in bytes, as the kernel counts it: a little less than what is built in.
    pub memory: u64,
    /// Cores, hyperthreads counted.
    pub cpus: f64,
}

impl HostSize {
    /// Reads it of a machine whose `/proc` is under `root`. None where that cannot be read.
    pub fn read(root: &Path) -> Option<Self> {
        let memory = Meminfo::from_file(root.join("proc/meminfo")).ok()?.mem_total;
        let text = std::fs::read_to_string(root.join("proc/stat")).ok()?;
        let is_core = |line: &str| {
            line.strip_prefix("cpu").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
        };
        let cpus = text.lines().filter(|line| is_core(line)).count();
        (cpus > 0).then_some(Self { memory, cpus: f64::from(u32::try_from(cpus).ok()?) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_has_memory_and_cores() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(HostSize::read(folder.path()), None);
        std::fs::create_dir(folder.path().join("proc")).unwrap();
        let write =
            |name: &str, text: &str| std::fs::write(folder.path().join("proc").join(name), text).unwrap();
        write("stat", "cpu  1 2 3 4\ncpu0 1 2 3 4\ncpu1 1 2 3 4\nintr 5\n");
        write(
            "meminfo",
            "MemTotal:       32768000 kB\nMemFree:        1000 kB\nMemAvailable:   2000 kB\nBuffers: 0 kB\nCached: 0 kB\nSwapCached: 0 kB\n\
             Active: 0 kB\nInactive: 0 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\nDirty: 0 kB\nWriteback: 0 kB\nMapped: 0 kB\nSlab: 0 kB\n\
             Committed_AS: 0 kB\nVmallocTotal: 0 kB\nVmallocUsed: 0 kB\nVmallocChunk: 0 kB\n",
        );
        assert_eq!(HostSize::read(folder.path()), Some(HostSize { memory: 32_768_000 * 1024, cpus: 2.0 }));
    }
}
