//! What the machine can do and how much of it was ours: without both no figure means anything.

use std::{fs, hint::black_box, time::Duration};

use alloy_primitives::B256;
use relaymux::consensus::bls::{SigningKey, ValidatedKey};
use tokio::time::Instant;

/// How long the probe spins: long enough to be interrupted by a timer tick or two, short enough to come after every row.
const PROBE: Duration = Duration::from_millis(200);

/// What nobody's code can beat here.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Floors {
    /// One check of a bid's signature, key prepared.
    pub(crate) check: Duration,
    /// Copying, bytes a second.
    pub(crate) copy_per_second: f64,
}

impl Floors {
    pub(crate) fn measure() -> Self {
        let key = SigningKey::from_seed(&[1; 32]).unwrap();
        let (root, signature) = (B256::repeat_byte(7), key.sign(B256::repeat_byte(7)));
        let public = ValidatedKey::new(key.public_key()).unwrap();
        let mut checks: Vec<Duration> = (0..200)
            .map(|_| {
                let started = Instant::now();
                assert!(public.has_signed(black_box(root), black_box(&signature)));
                started.elapsed()
            })
            .collect();
        checks.sort_unstable();
        let (from, mut to) = (vec![7_u8; 32 << 20], vec![1_u8; 32 << 20]);
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let started = Instant::now();
            to.copy_from_slice(black_box(&from));
            black_box(&to);
            best = best.min(started.elapsed());
        }
        Self { check: checks[checks.len() / 2], copy_per_second: from.len() as f64 / best.as_secs_f64() }
    }
}

/// The machine in a line.
pub(crate) fn description() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = memory.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let model = model.map_or("unknown processor", |(_, name)| name);
    format!("{cores} cores of {model}, {} GiB, Linux {}", kib >> 20, kernel.trim())
}

/// Clock ticks of all cores so far: all, and those that the hypervisor took for others.
#[derive(Clone, Copy, Debug)]
struct Ticks {
    all: u64,
    stolen: u64,
}

impl Ticks {
    fn now() -> Self {
        let stat = fs::read_to_string("/proc/stat").unwrap_or_default();
        let line = stat.lines().next().unwrap_or_default();
        let fields: Vec<u64> = line.split_whitespace().skip(1).filter_map(|n| n.parse().ok()).collect();
        Self { all: fields.iter().take(8).sum(), stolen: fields.get(7).copied().unwrap_or(0) }
    }
}

/// Watches how quiet it is while a row is measured.
#[derive(Debug)]
pub(crate) struct Quiet {
    before: Ticks,
    foreign: u64,
}

impl Quiet {
    pub(crate) fn watch() -> Self {
        Self { before: Ticks::now(), foreign: foreign_running() }
    }

    /// In words: load, stolen time, and what a loop that only looks at the clock missed.
    pub(crate) fn report(&self) -> String {
        let now = Ticks::now();
        let all = now.all.saturating_sub(self.before.all).max(1);
        let stolen = 100.0 * now.stolen.saturating_sub(self.before.stolen) as f64 / all as f64;
        let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
        let load = load.split_whitespace().next().unwrap_or("?").to_owned();
        let (worst, lost) = jitter();
        format!(
            "load {load}, stolen {stolen:.1} %, jitter of a spinning loop: worst gap {:.2} ms, {lost:.1} % lost; others running before: {}",
            worst.as_secs_f64() * 1000.0,
            self.foreign,
        )
    }
}

/// Tasks that wanted a core just before the row began, but for this one.
fn foreign_running() -> u64 {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let running = load.split_whitespace().nth(3).and_then(|field| field.split_once('/')).map(|(n, _)| n);
    running.and_then(|n| n.parse::<u64>().ok()).unwrap_or(1).saturating_sub(1)
}

/// The worst gap between two looks at the clock, and the share of the time that was lost in gaps above 50 µs.
fn jitter() -> (Duration, f64) {
    let started = Instant::now();
    let (mut last, mut worst, mut lost) = (started, Duration::ZERO, Duration::ZERO);
    while last.duration_since(started) < PROBE {
        let now = Instant::now();
        let gap = now.duration_since(last);
        worst = worst.max(gap);
        if gap > Duration::from_micros(50) {
            lost += gap;
        }
        last = now;
    }
    (worst, 100.0 * lost.as_secs_f64() / PROBE.as_secs_f64())
}
