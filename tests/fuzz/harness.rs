//! Runs a target: one random generator per case, so that a case can be played again without those before it.

use std::{
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use rand::{SeedableRng, rngs::StdRng};
use tokio::time::Instant;

use crate::targets::fate::Fate;

/// Targets that share the time.
const TARGETS: u32 = 7;
/// Cases of each target, unless a time is asked for: a count, so that the same run passes or fails on every machine. Some 10 s in all.
const DEFAULT_CASES: u64 = 8000;
/// The seed of a run that nobody asked to be longer.
const FIXED_SEED: u64 = 42;
/// A case that takes as long hangs, whatever else the machine does: the largest takes milliseconds.
const HANGS_AFTER: Duration = Duration::from_secs(60);

fn asked<T: std::str::FromStr>(name: &str) -> Option<T> {
    let text = std::env::var(name).ok()?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name}={text} is no number")))
}

/// Plays so many cases, or as many as the target's share of the time allows. Some must decode and some must not: otherwise the damage is too much or
/// too little, and the run says nothing.
pub(crate) fn run(target: &'static str, mut case: impl FnMut(&mut StdRng) -> Fate) {
    let seconds: Option<u32> = asked("RELAYMUX_FUZZ_SECONDS");
    let seed = asked("RELAYMUX_FUZZ_SEED").unwrap_or_else(|| match seconds {
        None => FIXED_SEED,
        Some(_) => rand::random(),
    });
    let play = |number: u64, case: &mut dyn FnMut(&mut StdRng) -> Fate| {
        let name =
            target.bytes().fold(0_u64, |hash, byte| hash.wrapping_mul(31).wrapping_add(u64::from(byte)));
        let mut random =
            StdRng::seed_from_u64(seed ^ name.rotate_left(32) ^ number.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        catch_unwind(AssertUnwindSafe(|| case(&mut random))).unwrap_or_else(|panic| {
            eprintln!(
                "{target} failed: play it again with RELAYMUX_FUZZ_SEED={seed} RELAYMUX_FUZZ_CASE={number}"
            );
            resume_unwind(panic)
        })
    };
    if let Some(number) = asked("RELAYMUX_FUZZ_CASE") {
        play(number, &mut case);
        return;
    }
    println!("{target}: RELAYMUX_FUZZ_SEED={seed}");
    let now = Arc::new(AtomicU64::new(0));
    watch(target, seed, &now);
    let end = seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds.into()) / TARGETS);
    let goes_on = |number: u64| end.map_or(number < DEFAULT_CASES, |end| Instant::now() < end);
    let (mut decoded, mut refused) = (0_u64, 0_u64);
    while goes_on(decoded + refused) || decoded == 0 || refused == 0 {
        let number = decoded + refused;
        assert!(number < 10_000_000 || goes_on(number), "{target}: {decoded} decoded, {refused} refused");
        now.store(number, Ordering::Relaxed);
        match play(number, &mut case) {
            Fate::Decoded => decoded += 1,
            Fate::Refused => refused += 1,
        }
    }
    println!("{target}: {} cases, {decoded} decoded, {refused} refused", decoded + refused);
}

/// Ends the process with the case's number when one case does not end. The thread ends with the target, whose counter it holds weakly.
fn watch(target: &'static str, seed: u64, now: &Arc<AtomicU64>) {
    let now = Arc::downgrade(now);
    std::thread::spawn(move || {
        let (mut last, mut since) = (u64::MAX, Instant::now());
        while let Some(now) = now.upgrade() {
            let number = now.load(Ordering::Relaxed);
            drop(now);
            if number != last {
                (last, since) = (number, Instant::now());
            } else if since.elapsed() > HANGS_AFTER {
                eprintln!(
                    "{target} hangs: play it again with RELAYMUX_FUZZ_SEED={seed} RELAYMUX_FUZZ_CASE={number}"
                );
                std::process::abort();
            }
            std::thread::park_timeout(Duration::from_millis(500));
        }
    });
}
