//! How hard the machine is pressed, read from `/proc` and the cgroup file system. What cannot be read is none: on another system
//! than Linux, in a container without its cgroup, with PSI switched off, the rest still counts.
//!
//! Host: `/proc/stat` (share of time not idle, all cores) and `/proc/pressure/cpu`. Own cgroup: `cpu.stat` and `cpu.pressure` in
//! v2, `cpuacct.usage` in v1, against the quota in `cpu.max` or `cpu.cfs_quota_us`, else against all cores. Sources: proc(5),
//! kernel documentation of cgroup-v1, cgroup-v2 and PSI.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::rotation::Sample;

/// How often a timer of our own is set to see how late it comes.
const HEARTBEAT: Duration = Duration::from_millis(50);
/// Lateness of the latest timers kept between two looks. Arbitrary: a minute of them.
const HEARTBEATS_KEPT: usize = 1200;

/// How late timers come on the runtime that also serves requests: what a request has to wait for a worker. Clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct LagMeter(Arc<Mutex<Vec<f64>>>);

impl LagMeter {
    /// Sets timers until told to stop.
    pub(super) async fn run(self, stop: CancellationToken) {
        loop {
            let due = Instant::now() + HEARTBEAT;
            tokio::select! {
                () = sleep_until(due) => {}
                () = stop.cancelled() => return,
            }
            let mut late = self.0.lock();
            if late.len() < HEARTBEATS_KEPT {
                late.push(due.elapsed().as_secs_f64() * 1e3);
            }
        }
    }

    /// Milliseconds that one in ten timers exceeded since this was last asked; none where there was no timer.
    pub(super) fn take(&self) -> Option<f64> {
        let mut late = std::mem::take(&mut *self.0.lock());
        late.sort_by(f64::total_cmp);
        late.get((late.len() * 9 / 10).min(late.len().saturating_sub(1))).copied()
    }
}

/// Where a cgroup's CPU is accounted.
#[derive(Debug)]
enum Cgroup {
    V2(PathBuf),
    V1 { usage: PathBuf, quota: PathBuf },
}

/// Reads samples; remembers the last counters, as only their difference tells.
#[derive(Debug)]
pub struct PressureSampler {
    root: PathBuf,
    cgroup: Option<Cgroup>,
    cores: f64,
    last_host: Option<(u64, u64)>,
    last_own: Option<(u64, Instant)>,
}

impl PressureSampler {
    /// A sampler of this machine.
    pub fn new() -> Self {
        Self::under(Path::new("/"))
    }

    /// A sampler of a machine whose `/proc` and `/sys` are under `root`: for tests.
    pub fn under(root: &Path) -> Self {
        let membership = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let stat = fs::read_to_string(root.join("proc/stat")).unwrap_or_default();
        let cores = stat.lines().filter(|line| line.starts_with("cpu") && !line.starts_with("cpu ")).count();
        Self {
            cgroup: find_cgroup(root, &membership),
            root: root.to_owned(),
            cores: f64::from(u32::try_from(cores.max(1)).unwrap_or(1)),
            last_host: None,
            last_own: None,
        }
    }

    /// One look. The first gives no CPU shares: there is nothing to compare with yet.
    pub fn sample(&mut self, now: Instant) -> Sample {
        Sample {
            lag_ms: None,
            host_cpu: self.host_cpu(),
            own_cpu: self.own_cpu(now),
            host_psi: read_psi(&self.root.join("proc/pressure/cpu")),
            own_psi: match &self.cgroup {
                Some(Cgroup::V2(path)) => read_psi(&path.join("cpu.pressure")),
                Some(Cgroup::V1 { .. }) | None => None,
            },
        }
    }

    fn host_cpu(&mut self) -> Option<f64> {
        let stat = fs::read_to_string(self.root.join("proc/stat")).ok()?;
        let now = busy_and_total(&stat)?;
        let (busy, total) = self.last_host.replace(now)?;
        let total = now.1.checked_sub(total).filter(|total| *total > 0)?;
        Some(percent(now.0.saturating_sub(busy), total))
    }

    fn own_cpu(&mut self, now: Instant) -> Option<f64> {
        let (used_us, cores) = match self.cgroup.as_ref()? {
            Cgroup::V2(path) => {
                let stat = fs::read_to_string(path.join("cpu.stat")).ok()?;
                let used =
                    stat.lines().find_map(|line| line.strip_prefix("usage_usec "))?.trim().parse().ok()?;
                let quota =
                    fs::read_to_string(path.join("cpu.max")).ok().and_then(|text| cores_of_max(&text));
                (used, quota)
            }
            Cgroup::V1 { usage, quota } => {
                let used_ns: u64 = fs::read_to_string(usage).ok()?.trim().parse().ok()?;
                let number = |name: &str| {
                    fs::read_to_string(quota.join(name)).ok()?.trim().parse::<f64>().ok().filter(|n| *n > 0.0)
                };
                let cores = number("cpu.cfs_quota_us")
                    .zip(number("cpu.cfs_period_us"))
                    .map(|(quota, period)| quota / period);
                (used_ns / 1000, cores)
            }
        };
        let (before_us, at) = self.last_own.replace((used_us, now))?;
        let passed = now.saturating_duration_since(at).as_secs_f64() * cores.unwrap_or(self.cores);
        (passed > 0.0).then(|| 100.0 * micros(used_us.saturating_sub(before_us)) / (passed * 1e6))
    }
}

impl Default for PressureSampler {
    fn default() -> Self {
        Self::new()
    }
}

#[expect(clippy::cast_precision_loss, reason = "differences of counters over seconds")]
fn micros(us: u64) -> f64 {
    us as f64
}

fn percent(part: u64, whole: u64) -> f64 {
    100.0 * micros(part) / micros(whole)
}

/// Ticks not idle, and all ticks, of the first line of `/proc/stat`. Guest time is in user time already.
fn busy_and_total(stat: &str) -> Option<(u64, u64)> {
    let line = stat.lines().next()?.strip_prefix("cpu ")?;
    let ticks: Vec<u64> = line.split_whitespace().take(8).map_while(|n| n.parse().ok()).collect();
    let idle = ticks.get(3)?.saturating_add(*ticks.get(4)?);
    let total = ticks.iter().fold(0, |sum: u64, n| sum.saturating_add(*n));
    Some((total.saturating_sub(idle), total))
}

/// `some avg10=1.23 …`
fn read_psi(path: &Path) -> Option<f64> {
    let text = fs::read_to_string(path).ok()?;
    let some = text.lines().find_map(|line| line.strip_prefix("some "))?;
    some.split_whitespace().find_map(|word| word.strip_prefix("avg10="))?.parse().ok()
}

/// `max 100000` or `150000 100000`.
fn cores_of_max(text: &str) -> Option<f64> {
    let mut words = text.split_whitespace();
    let (quota, period) = (words.next()?.parse::<f64>().ok()?, words.next()?.parse::<f64>().ok()?);
    (period > 0.0).then_some(quota / period)
}

/// Our cgroup's folder, by `/proc/self/cgroup`. In a container without a cgroup namespace the path is the host's and may not be
/// there: the mount's own root is ours then.
fn find_cgroup(root: &Path, membership: &str) -> Option<Cgroup> {
    let base = root.join("sys/fs/cgroup");
    let under = |mount: PathBuf, path: &str, file: &str| {
        let own = mount.join(path.trim_start_matches('/'));
        [own, mount].into_iter().find(|folder| folder.join(file).exists())
    };
    for line in membership.lines() {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        if controllers.is_empty()
            && let Some(folder) = under(base.clone(), path, "cpu.stat")
        {
            return Some(Cgroup::V2(folder));
        }
        if controllers.split(',').any(|controller| controller == "cpuacct") {
            let mounts = [base.join(controllers), base.join("cpuacct"), base.join("cpu,cpuacct")];
            let folder = mounts.into_iter().find_map(|mount| under(mount, path, "cpuacct.usage"));
            if let Some(folder) = folder {
                return Some(Cgroup::V1 { usage: folder.join("cpuacct.usage"), quota: folder });
            }
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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

    const STAT: &str =
        "cpu  100 0 100 700 100 0 0 0 50 0\ncpu0 50 0 50 350 50 0 0 0 0 0\ncpu1 50 0 50 350 50 0 0 0 0 0\n";

    #[test]
    fn a_host_with_cgroup_v2() {
        let folder = machine(&[
            ("proc/stat", STAT),
            ("proc/self/cgroup", "0::/system.slice/relaymux.service\n"),
            (
                "proc/pressure/cpu",
                "some avg10=12.50 avg60=3.00 avg300=1.00 total=9\nfull avg10=0.00 avg60=0 avg300=0 total=0\n",
            ),
            ("sys/fs/cgroup/system.slice/relaymux.service/cpu.stat", "usage_usec 1000000\nuser_usec 1\n"),
            ("sys/fs/cgroup/system.slice/relaymux.service/cpu.max", "50000 100000\n"),
            (
                "sys/fs/cgroup/system.slice/relaymux.service/cpu.pressure",
                "some avg10=70.00 avg60=0 avg300=0 total=0\n",
            ),
        ]);
        let mut sampler = PressureSampler::under(folder.path());
        let start = Instant::now();
        let first = sampler.sample(start);
        assert_eq!((first.host_cpu, first.own_cpu), (None, None));
        assert_eq!((first.host_psi, first.own_psi), (Some(12.5), Some(70.0)));
        write(
            folder.path(),
            &[
                // 100 ticks later, 90 of them busy.
                ("proc/stat", "cpu  150 0 140 705 105 0 0 0 90 0\n"),
                // 0.4 s of CPU in one second, of half a core.
                ("sys/fs/cgroup/system.slice/relaymux.service/cpu.stat", "usage_usec 1400000\n"),
            ],
        );
        let second = sampler.sample(start + Duration::from_secs(1));
        assert_eq!(second.host_cpu, Some(90.0));
        assert!((second.own_cpu.unwrap() - 80.0).abs() < 1e-9);
    }

    #[test]
    fn a_container_with_cgroup_v1() {
        let folder = machine(&[
            ("proc/stat", STAT),
            ("proc/self/cgroup", "5:memory:/docker/ab\n4:cpu,cpuacct:/docker/ab\n0::/\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "1000000000\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
            ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ]);
        let mut sampler = PressureSampler::under(folder.path());
        let start = Instant::now();
        sampler.sample(start);
        write(folder.path(), &[("sys/fs/cgroup/cpu,cpuacct/cpuacct.usage", "2000000000\n")]);
        let sample = sampler.sample(start + Duration::from_secs(1));
        // One second of CPU in one second of two cores, without a quota.
        assert!((sample.own_cpu.unwrap() - 50.0).abs() < 1e-9);
        assert_eq!((sample.host_psi, sample.own_psi), (None, None));
    }

    /// Ten timers, of which one was late, and nothing is counted twice. Then a runtime whose only worker is kept busy.
    #[tokio::test]
    async fn timers_tell_how_late_they_were() {
        let meter = LagMeter::default();
        assert_eq!(meter.take(), None);
        meter.0.lock().extend([1.0, 30.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]);
        assert_eq!(meter.take(), Some(30.0));
        assert_eq!(meter.take(), None);
        let stop = CancellationToken::new();
        let task = tokio::spawn(meter.clone().run(stop.clone()));
        tokio::task::yield_now().await;
        let begun = Instant::now();
        while begun.elapsed() < HEARTBEAT * 3 {
            std::hint::spin_loop();
        }
        while meter.0.lock().is_empty() {
            tokio::task::yield_now().await;
        }
        assert!(meter.take().unwrap() >= 90.0);
        stop.cancel();
        task.await.unwrap();
    }

    #[test]
    fn a_machine_that_tells_nothing_is_not_under_pressure() {
        let folder = machine(&[("proc/stat", "nonsense"), ("proc/pressure/cpu", "some avg10=x\n")]);
        let mut sampler = PressureSampler::under(folder.path());
        for _ in 0..2 {
            assert_eq!(sampler.sample(Instant::now()), Sample::default());
        }
    }
}
