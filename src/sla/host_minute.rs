//! What the machine is under in a minute: mean and highest of what was looked at.

use std::path::Path;

use crate::{host::HostSample, ledger::HostRow};

/// One number's looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Looks {
    sum: f64,
    count: u32,
    max: f64,
}

impl Looks {
    fn add(&mut self, value: Option<f64>) {
        let Some(value) = value.filter(|value| value.is_finite()) else { return };
        self.max = if self.count == 0 { value } else { self.max.max(value) };
        self.sum += value;
        self.count = self.count.saturating_add(1);
    }

    fn mean(self) -> Option<f64> {
        (self.count > 0).then(|| self.sum / f64::from(self.count))
    }

    fn highest(self) -> Option<f64> {
        (self.count > 0).then_some(self.max)
    }
}

/// The machine's minute while it goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct HostMinute {
    cpu: Looks,
    memory: Looks,
    disk: Looks,
}

impl HostMinute {
    /// Adds a look at the machine, and the used share of the disk.
    pub(super) fn add(&mut self, sample: &HostSample, disk: Option<f64>) {
        self.cpu.add(sample.host.cpu.map(|percent| percent / 100.0));
        self.memory.add(sample.host.memory.and_then(|memory| super::words::share(memory.used, memory.total)));
        self.disk.add(disk);
    }

    /// What it comes to; none where nothing could be read.
    pub(super) fn row(&self, minute: i64) -> Option<HostRow> {
        (*self != Self::default()).then(|| HostRow {
            minute,
            cpu_mean: self.cpu.mean(),
            cpu_max: self.cpu.highest(),
            memory_mean: self.memory.mean(),
            memory_max: self.memory.highest(),
            disk_mean: self.disk.mean(),
            disk_max: self.disk.highest(),
        })
    }
}

/// The used share of the filesystem that has a folder, as `df` says it: of what is not kept for root.
pub(super) fn disk_used(folder: &Path) -> Option<f64> {
    let disk = rustix::fs::statvfs(folder).ok()?;
    let used = disk.f_blocks.saturating_sub(disk.f_bfree);
    super::words::share(used, used.saturating_add(disk.f_bavail))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{Load, Memory};

    #[test]
    fn a_minute_has_mean_and_highest_of_what_could_be_read() {
        let mut minute = HostMinute::default();
        assert_eq!(minute.row(5), None);
        for (cpu, used, disk) in [(None, 10, Some(0.5)), (Some(20.0), 30, None), (Some(40.0), 20, Some(0.7))]
        {
            let host = Load { cpu, memory: Some(Memory { used, total: 100 }), ..Load::default() };
            minute.add(&HostSample { host, ..HostSample::default() }, disk);
        }
        let row = minute.row(5).unwrap();
        let close =
            |value: Option<f64>, want: f64| assert!((value.unwrap() - want).abs() < 1e-9, "{value:?}");
        close(row.cpu_mean, 0.3);
        close(row.cpu_max, 0.4);
        close(row.memory_mean, 0.2);
        close(row.memory_max, 0.3);
        close(row.disk_mean, 0.6);
        close(row.disk_max, 0.7);
    }

    #[test]
    fn a_folders_disk_is_read() {
        let used = disk_used(&std::env::temp_dir()).unwrap();
        assert!((0.0..=1.0).contains(&used));
        assert_eq!(disk_used(Path::new("/nowhere/at/all")), None);
    }
}
