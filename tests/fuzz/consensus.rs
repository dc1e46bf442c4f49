//! Bids, blocks, payloads, registrations.

use crate::{
    corpus::{Seed, damaged},
    harness::run,
    targets::{bids, blocks, payloads, registrations},
};

#[test]
fn bids() {
    let seeds = bids::seeds();
    run("bids", |random| bids::check(&damaged(random, &seeds)));
}

#[test]
fn blocks() {
    let seeds = blocks::seeds();
    run("blocks", |random| blocks::check(&damaged(random, &seeds)));
}

#[test]
fn payloads() {
    let mut seeds = payloads::seeds();
    // The rare large ones would eat the time of the many small ones.
    let small: Vec<Seed> = seeds.iter().filter(|seed| seed.bytes.len() < 50_000).cloned().collect();
    for _ in 0..8 {
        seeds.extend(small.iter().cloned());
    }
    run("payloads", |random| payloads::check(&damaged(random, &seeds)));
}

#[test]
fn registrations() {
    let seeds = registrations::seeds();
    run("registrations", |random| {
        let Seed { encoding, bytes, .. } = damaged(random, &seeds);
        registrations::check(encoding, &bytes)
    });
}
