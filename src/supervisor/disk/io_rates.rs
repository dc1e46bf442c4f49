//! What a device reads and writes, by `/proc/diskstats`.

use std::{collections::HashMap, path::Path, time::Duration};

use serde::Serialize;
use tokio::time::Instant;

/// The kernel counts in sectors of 512 bytes, whatever the device's own are.
const SECTOR: u64 = 512;
/// Most bytes of the list that are read.
const MAX_BYTES: usize = 4 << 20;

/// What a device has done since it is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct IoCounters {
    reads: u64,
    read_bytes: u64,
    writes: u64,
    written_bytes: u64,
    busy_ms: u64,
}

/// What a device does, over the time between two looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct IoRates {
    /// Reads a second.
    pub reads_per_second: u64,
    /// Bytes read a second.
    pub read_bytes_per_second: u64,
    /// Writes a second.
    pub writes_per_second: u64,
    /// Bytes written a second.
    pub written_bytes_per_second: u64,
    /// Share of the time in which it had something to do, in percent.
    pub busy_percent: u64,
}

/// Reads the counters again and again.
#[derive(Debug, Default)]
pub(super) struct IoSampler {
    before: Option<(HashMap<String, IoCounters>, Instant)>,
}

impl IoSampler {
    /// What each device (`8:1`) did since the last call; nothing at the first.
    pub(super) fn sample(&mut self, host_root: &Path, now: Instant) -> HashMap<String, IoRates> {
        let Ok(text) = std::fs::read_to_string(host_root.join("proc/diskstats")) else {
            return HashMap::new();
        };
        let counters = parse(text.get(..MAX_BYTES).unwrap_or(&text));
        let rates = match &self.before {
            Some((before, at)) => {
                let elapsed = now.saturating_duration_since(*at);
                let known = |(device, after): (&String, &IoCounters)| {
                    Some((device.clone(), rates(before.get(device)?, after, elapsed)?))
                };
                counters.iter().filter_map(known).collect()
            }
            None => HashMap::new(),
        };
        self.before = Some((counters, now));
        rates
    }
}

/// `   8       1 sda1 reads merged sectors ms writes merged sectors ms in_flight busy_ms weighted_ms …`
fn parse(text: &str) -> HashMap<String, IoCounters> {
    let line = |line: &str| {
        let mut fields = line.split_ascii_whitespace();
        let device = format!("{}:{}", fields.next()?, fields.next()?);
        let numbers: Vec<u64> = fields.skip(1).map(|field| field.parse().unwrap_or(0)).collect();
        let at = |place: usize| numbers.get(place).copied();
        Some((
            device,
            IoCounters {
                reads: at(0)?,
                read_bytes: at(2)?.saturating_mul(SECTOR),
                writes: at(4)?,
                written_bytes: at(6)?.saturating_mul(SECTOR),
                busy_ms: at(9)?,
            },
        ))
    };
    text.lines().filter_map(line).collect()
}

/// None: no time has passed, or the counters began anew.
fn rates(before: &IoCounters, after: &IoCounters, elapsed: Duration) -> Option<IoRates> {
    let ms = u64::try_from(elapsed.as_millis()).ok().filter(|ms| *ms > 0)?;
    let a_second = |before: u64, after: u64| {
        after.checked_sub(before).map(|grown| grown.saturating_mul(1000).checked_div(ms).unwrap_or(0))
    };
    Some(IoRates {
        reads_per_second: a_second(before.reads, after.reads)?,
        read_bytes_per_second: a_second(before.read_bytes, after.read_bytes)?,
        writes_per_second: a_second(before.writes, after.writes)?,
        written_bytes_per_second: a_second(before.written_bytes, after.written_bytes)?,
        busy_percent: (a_second(before.busy_ms, after.busy_ms)? / 10).min(100),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn rates_are_what_was_done_between_two_looks() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("proc")).unwrap();
        let write = |text: &str| std::fs::write(folder.path().join("proc/diskstats"), text).unwrap();
        let mut sampler = IoSampler::default();
        write("   8       1 sda1 100 0 2000 5 10 0 800 5 0 1000 10\n  8 2 sda2 1\n nonsense\n");
        assert!(sampler.sample(folder.path(), Instant::now()).is_empty());
        tokio::time::advance(Duration::from_secs(2)).await;
        write("   8       1 sda1 120 0 4000 5 14 0 1000 5 0 2500 10 0 0 0\n");
        let rates = sampler.sample(folder.path(), Instant::now());
        let want = IoRates {
            reads_per_second: 10,
            read_bytes_per_second: 512_000,
            writes_per_second: 2,
            written_bytes_per_second: 51_200,
            busy_percent: 75,
        };
        assert_eq!(rates, HashMap::from([("8:1".to_owned(), want)]));
        // The device was taken out and put in again.
        tokio::time::advance(Duration::from_secs(2)).await;
        write("8 1 sda1 1 0 1 1 1 0 1 1 0 1 1\n");
        assert!(sampler.sample(folder.path(), Instant::now()).is_empty());
    }
}
