//! Registrations in bulk, signed by their validators, and the process at rest.

use std::{path::PathBuf, time::Duration};

use alloy_primitives::Address;
use bytes::Bytes;
use relaymux::{
    consensus::{
        ChainSpec,
        bls::SigningKey,
        containers::{SignedValidatorRegistration, ValidatorRegistration},
        json_from_ssz, signing_root,
    },
    sim::Behaviour,
};
use ssz::Encode;
use tokio::time::{Instant, sleep};
use tree_hash::TreeHash;

use crate::{
    Bench,
    arena::{Running, World},
    table::ms,
};

const BYTES: usize = 180;

/// So many signed registrations in SSZ. Signing a hundred thousand takes a minute, so they are kept beside the build.
pub(crate) fn signed(spec: &ChainSpec, count: usize) -> Bytes {
    let target = PathBuf::from(env!("CARGO_BIN_EXE_relaymux"));
    let kept = target.with_file_name(format!("bench-registrations-{count}.ssz"));
    if let Some(kept) = std::fs::read(&kept).ok().filter(|kept| kept.len() == count * BYTES) {
        return kept.into();
    }
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let numbers: Vec<usize> = (0..count).collect();
    let parts: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let sign = |numbers: &[usize]| numbers.iter().flat_map(|n| one(spec, *n).as_ssz_bytes()).collect();
        let handles: Vec<_> = numbers
            .chunks(count.div_ceil(cores).max(1))
            .map(|part| scope.spawn(move || sign(part)))
            .collect();
        handles.into_iter().map(|handle| handle.join().unwrap()).collect()
    });
    let all = parts.concat();
    std::fs::write(&kept, &all).unwrap();
    all.into()
}

fn one(spec: &ChainSpec, number: usize) -> SignedValidatorRegistration {
    let mut seed = [7; 32];
    seed[..8].copy_from_slice(&number.to_le_bytes());
    let key = SigningKey::from_seed(&seed).unwrap();
    let message = ValidatorRegistration {
        fee_recipient: Address::repeat_byte(0xee),
        gas_limit: 60_000_000,
        timestamp: 1_700_000_000,
        pubkey: key.public_key().0,
    };
    let signature = key.sign(signing_root(message.tree_hash_root(), spec.builder_domain()));
    SignedValidatorRegistration { message, signature }
}

/// What a body of registrations cost.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Taken {
    pub(crate) answer: Duration,
    pub(crate) cpu: Duration,
    pub(crate) peak_kib: u64,
}

/// Sends a body and waits until everything that follows from it is done.
pub(crate) async fn send(process: &Running, content_type: &str, body: Bytes) -> Option<Taken> {
    let mut connection = process.connect().await;
    let cpu = process.cpu_at_rest().await;
    process.forget_peak();
    let idle = process.status("VmRSS");
    let started = Instant::now();
    let answer = connection.post("/eth/v1/builder/validators", content_type, body).await?;
    let took = answer.at.saturating_duration_since(started);
    if answer.status != 200 {
        return None;
    }
    let cpu = process.cpu_at_rest().await.saturating_sub(cpu);
    Some(Taken { answer: took, cpu, peak_kib: process.status("VmHWM").saturating_sub(idle) })
}

fn three_relays() -> Vec<Behaviour> {
    (0..3).map(|n| Behaviour::default().builder(n)).collect()
}

impl Bench {
    pub(crate) async fn registrations(&self) {
        let world = World::of(three_relays()).await;
        let all = signed(&world.spec, self.validators + 1);
        let (first, all) = (all.slice(..BYTES), all.slice(BYTES..));
        let few = all.slice(..all.len().min(10_000 * BYTES));
        let copy = |bytes: usize| format!("copying it: {:.3} s", bytes as f64 / self.floors.copy_per_second);
        let mut sizes = vec![few];
        if all.len() > sizes[0].len() {
            sizes.push(all);
        }
        for ssz in &sizes {
            let count = ssz.len() / BYTES;
            let json = Bytes::from(json_from_ssz(ssz).unwrap());
            for (encoding, content_type, body) in
                [("JSON", "application/json", &json), ("SSZ", "application/octet-stream", ssz)]
            {
                let kib = body.len() as f64 / 1024.0;
                let quiet =
                    self.head(&format!("{count} registrations in {encoding} ({kib:.0} KiB), 3 relays"));
                let (mut once, mut new, mut again) = (Vec::new(), Vec::new(), Vec::new());
                for contestant in &self.contestants {
                    // mev-boost before 1.9 takes no SSZ: its columns stay empty.
                    let process = Running::start(contestant, &world).await;
                    // What the first registration of a process costs once, as KZG's set-up, is a row of its own.
                    let one = if encoding == "JSON" {
                        Bytes::from(json_from_ssz(&first).unwrap())
                    } else {
                        first.clone()
                    };
                    once.push(send(&process, content_type, one).await);
                    new.push(send(&process, content_type, body.clone()).await);
                    again.push(send(&process, content_type, body.clone()).await);
                }
                let seconds = |of: &[Option<Taken>], pick: fn(&Taken) -> Duration| -> Vec<Option<f64>> {
                    of.iter().map(|taken| taken.as_ref().map(|taken| pick(taken).as_secs_f64())).collect()
                };
                let bodies = new.iter().map(|taken| taken.map(|taken| taken.peak_kib as f64 / kib)).collect();
                let checks = self.floors.check.as_secs_f64() * count as f64;
                self.table.row(
                    "new: time to the answer",
                    "s",
                    &seconds(&new, |taken| taken.answer),
                    &copy(body.len()),
                );
                let floor = format!("a check each: {checks:.1} s; {}", copy(body.len()));
                self.table.row("new: CPU until all is done", "s", &seconds(&new, |taken| taken.cpu), &floor);
                self.table.row("new: peak memory above idle", "bodies", &bodies, "1");
                self.table.row(
                    "repeated: time to the answer",
                    "s",
                    &seconds(&again, |taken| taken.answer),
                    &copy(body.len()),
                );
                self.table.row(
                    "repeated: CPU until all is done",
                    "s",
                    &seconds(&again, |taken| taken.cpu),
                    &copy(body.len()),
                );
                self.quiet(&quiet);
            }
        }
    }

    /// At rest: memory half a second after the start, and CPU over some seconds.
    pub(crate) async fn idle(&self) {
        let quiet = self.head("at rest, 3 relays");
        let world = World::of(three_relays()).await;
        let (mut all, mut own, mut threads, mut cpu) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for contestant in &self.contestants {
            let process = Running::start(contestant, &world).await;
            sleep(Duration::from_millis(500)).await;
            all.push(Some(process.status("VmRSS") as f64 / 1024.0));
            own.push(Some(process.status("RssAnon") as f64 / 1024.0));
            threads.push(Some(process.status("Threads") as f64));
            let before = process.cpu();
            let watched = Duration::from_secs(10);
            sleep(watched).await;
            cpu.push(Some(ms(process.cpu().saturating_sub(before)) / watched.as_secs_f64()));
        }
        self.table.row("resident memory half a second after the start", "MiB", &all, "");
        self.table.row("of it the process's own, no file's", "MiB", &own, "");
        self.table.row("threads", "", &threads, "");
        self.table.row("CPU a second", "ms", &cpu, "0");
        self.quiet(&quiet);
    }
}
