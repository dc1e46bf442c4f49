//! Looks at the machine.

use std::path::{Path, PathBuf};

use procfs_core::{CpuTime, ExplicitSystemInfo, FromRead, FromReadSI, KernelStats, Meminfo};
use tokio::time::Instant;

use super::{
    HostSample, Load, Memory, Stalls,
    cgroup::Cgroup,
    psi::{full_avg60, some_avg10},
};

/// `/proc/stat` is read for shares of ticks, whatever their length.
const ANY_SYSTEM: ExplicitSystemInfo = ExplicitSystemInfo {
    boot_time_secs: 0,
    ticks_per_second: 100,
    page_size: 4096,
    is_little_endian: cfg!(target_endian = "little"),
};

/// Takes samples; remembers the last counters.
#[derive(Debug)]
pub struct HostSampler {
    root: PathBuf,
    cgroup: Option<Cgroup>,
    cores: f64,
    last_host: Option<Ticks>,
    last_own: Option<(u64, Instant)>,
}

#[derive(Clone, Copy, Debug)]
struct Ticks {
    busy: u64,
    total: u64,
}

impl HostSampler {
    /// A sampler of this machine.
    pub fn new() -> Self {
        Self::under(Path::new("/"))
    }

    /// A sampler of a machine whose `/proc` and `/sys` are under `root`: for tests.
    pub fn under(root: &Path) -> Self {
        let cores = kernel_stats(root).map_or(1, |stats| stats.cpu_time.len().max(1));
        Self {
            cgroup: Cgroup::find(root),
            root: root.to_owned(),
            cores: f64::from(u32::try_from(cores).unwrap_or(1)),
            last_host: None,
            last_own: None,
        }
    }

    /// One look. The first gives no CPU shares: there is nothing to compare with yet.
    pub fn sample(&mut self, now: Instant) -> HostSample {
        let pressure = self.root.join("proc/pressure");
        let host = Load {
            cpu: self.host_cpu(),
            cpu_psi: some_avg10(&pressure.join("cpu")),
            memory: host_memory(&self.root),
            memory_psi: some_avg10(&pressure.join("memory")),
        };
        let own =
            Load { cpu: self.own_cpu(now), ..self.cgroup.as_ref().map(load_without_cpu).unwrap_or_default() };
        let stalls =
            Stalls { memory: full_avg60(&pressure.join("memory")), io: full_avg60(&pressure.join("io")) };
        HostSample { host, own, stalls }
    }

    fn host_cpu(&mut self) -> Option<f64> {
        let now = ticks(&kernel_stats(&self.root)?.total);
        let before = self.last_host.replace(now)?;
        let total = now.total.checked_sub(before.total).filter(|total| *total > 0)?;
        Some(100.0 * float(now.busy.saturating_sub(before.busy)) / float(total))
    }

    fn own_cpu(&mut self, now: Instant) -> Option<f64> {
        let cgroup = self.cgroup.as_ref()?;
        let used_us = cgroup.cpu_used_us()?;
        let cores = cgroup.cores().unwrap_or(self.cores);
        let (before_us, at) = self.last_own.replace((used_us, now))?;
        let passed = now.saturating_duration_since(at).as_secs_f64() * cores;
        (passed > 0.0).then(|| 100.0 * float(used_us.saturating_sub(before_us)) / (passed * 1e6))
    }
}

impl Default for HostSampler {
    fn default() -> Self {
        Self::new()
    }
}

/// When this machine was started, in Unix milliseconds, by its clock of now; none where `/proc` under `root` does not say.
pub fn booted_at(root: &Path) -> Option<i64> {
    let secs = i64::try_from(kernel_stats(root)?.btime).ok()?;
    secs.checked_mul(1000).filter(|at| *at > 0)
}

fn load_without_cpu(cgroup: &Cgroup) -> Load {
    Load { cpu: None, cpu_psi: cgroup.cpu_psi(), memory: cgroup.memory(), memory_psi: cgroup.memory_psi() }
}

fn kernel_stats(root: &Path) -> Option<KernelStats> {
    KernelStats::from_file(root.join("proc/stat"), &ANY_SYSTEM).ok()
}

/// Guest time is in user time already.
fn ticks(cpu: &CpuTime) -> Ticks {
    let idle = cpu.idle.saturating_add(cpu.iowait.unwrap_or(0));
    let others = [cpu.irq, cpu.softirq, cpu.steal].into_iter().flatten();
    let busy = others.chain([cpu.user, cpu.nice, cpu.system]).fold(0, u64::saturating_add);
    Ticks { busy, total: busy.saturating_add(idle) }
}

fn host_memory(root: &Path) -> Option<Memory> {
    let info = Meminfo::from_file(root.join("proc/meminfo")).ok()?;
    Some(Memory { used: info.mem_total.saturating_sub(info.mem_available?), total: info.mem_total })
}

#[expect(clippy::cast_precision_loss, reason = "differences of counters over seconds")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use super::*;

    fn machine(files: &[(&str, &str)]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), files);
        folder
    }

    fn write(root: &Path, files: &[(&str, &str)]) {
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }

    fn stat(cpu: &str) -> String {
        format!(
            "{cpu}\ncpu0 50 0 50 350 50 0 0 0 0 0\ncpu1 50 0 50 350 50 0 0 0 0 0\nintr 5\nctxt 7\nbtime 1700000000\nprocesses 9\n"
        )
    }

    const MEMINFO: &str = "MemTotal:  1000 kB\nMemFree:  100 kB\nMemAvailable:  400 kB\nBuffers:  1 kB\nCached:  200 kB\nSwapCached:  0 kB\n\
         Active:  1 kB\nInactive:  1 kB\nSwapTotal:  0 kB\nSwapFree:  0 kB\nDirty:  0 kB\nWriteback:  0 kB\nMapped:  1 kB\nSlab:  1 kB\n\
         Committed_AS:  1 kB\nVmallocTotal:  1 kB\nVmallocUsed:  1 kB\nVmallocChunk:  1 kB\n";

    #[test]
    fn a_host_with_cgroup_v2() {
        let own = |file: &str| format!("sys/fs/cgroup/system.slice/relaymux.service/{file}");
        let psi = "some avg10=70.00 avg60=0 avg300=0 total=0\n";
        let folder = machine(&[
            ("proc/stat", &stat("cpu  100 0 100 700 100 0 0 0 50 0")),
            ("proc/meminfo", MEMINFO),
            ("proc/self/cgroup", "0::/system.slice/relaymux.service\n"),
            (
                "proc/pressure/cpu",
                "some avg10=12.50 avg60=3.00 avg300=1.00 total=9\nfull avg10=0.00 avg60=0 avg300=0 total=0\n",
            ),
            (
                "proc/pressure/io",
                "some avg10=1.00 avg60=2.00 avg300=3.00 total=9\nfull avg10=4.00 avg60=5.50 avg300=6.00 total=9\n",
            ),
            (&own("cpu.stat"), "usage_usec 1000000\nuser_usec 1\n"),
            (&own("cpu.max"), "50000 100000\n"),
            // As Linux before 5.13 writes it.
            (&own("cpu.pressure"), psi),
            (&own("memory.current"), "5000\n"),
            (&own("memory.max"), "8000\n"),
            (&own("memory.stat"), "anon 1\ninactive_file 2000\nactive_file 3\n"),
            (&own("memory.pressure"), &psi.replace("70", "3")),
        ]);
        let mut sampler = HostSampler::under(folder.path());
        let start = Instant::now();
        let HostSample { host, own: first, stalls } = sampler.sample(start);
        assert_eq!((host.cpu, first.cpu), (None, None));
        assert_eq!((host.cpu_psi, first.cpu_psi), (Some(12.5), Some(70.0)));
        assert_eq!((host.memory_psi, first.memory_psi), (None, Some(3.0)));
        assert_eq!(stalls, Stalls { memory: None, io: Some(5.5) });
        assert_eq!(host.memory, Some(Memory { used: 600 * 1024, total: 1000 * 1024 }));
        assert_eq!(first.memory, Some(Memory { used: 3000, total: 8000 }));
        write(
            folder.path(),
            &[
                // 100 ticks later, 90 of them busy.
                ("proc/stat", &stat("cpu  150 0 140 705 105 0 0 0 90 0")),
                // 0.4 s of CPU in one second, of half a core.
                (&own("cpu.stat"), "usage_usec 1400000\n"),
                (&own("memory.max"), "max\n"),
            ],
        );
        let HostSample { host, own, .. } = sampler.sample(start + Duration::from_secs(1));
        assert_eq!(host.cpu, Some(90.0));
        assert!((own.cpu.unwrap() - 80.0).abs() < 1e-9);
        assert_eq!(own.memory, None);
    }

    #[test]
    fn a_container_with_cgroup_v1() {
        let folder = machine(&[
            ("proc/stat", &stat("cpu  100 0 100 700 100 0 0 0 50 0")),
            ("proc/self/cgroup", "5:memory:/docker/ab\n4:cpu,cpuacct:/docker/ab\n0::/\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "1000000000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
            ("sys/fs/cgroup/memory/memory.usage_in_bytes", "5000\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/memory.stat", "inactive_file 9\ntotal_inactive_file 1000\n"),
        ]);
        let mut sampler = HostSampler::under(folder.path());
        let start = Instant::now();
        assert_eq!(sampler.sample(start).own.memory, None);
        write(
            folder.path(),
            &[
                ("sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "2000000000\n"),
                ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9000\n"),
            ],
        );
        let HostSample { host, own, .. } = sampler.sample(start + Duration::from_secs(1));
        // One second of CPU in one second of two cores, without a quota.
        assert!((own.cpu.unwrap() - 50.0).abs() < 1e-9);
        assert_eq!(own.memory, Some(Memory { used: 4000, total: 9000 }));
        assert_eq!((host.cpu_psi, own.cpu_psi, own.memory_psi), (None, None, None));
    }

    #[test]
    fn a_machine_that_tells_nothing_is_not_under_pressure() {
        let folder = machine(&[
            ("proc/stat", "nonsense"),
            ("proc/meminfo", "MemTotal: some\n"),
            ("proc/pressure/cpu", "some avg10=x\n"),
            ("proc/pressure/memory", "some\n"),
            ("proc/self/cgroup", "?\n"),
        ]);
        let mut sampler = HostSampler::under(folder.path());
        for _ in 0..2 {
            assert_eq!(sampler.sample(Instant::now()), HostSample::default());
        }
    }
}
