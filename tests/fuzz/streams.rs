//! Frames of a relay's header stream.

use rand::{Rng, seq::IndexedRandom};
use relaymux::types::Fork;

use crate::{
    harness::run,
    mutate,
    targets::relay_streams::{check, seeds},
};

#[test]
fn relay_streams() {
    let frames = seeds();
    let all: Vec<Vec<u8>> = frames.iter().map(|(_, frame)| frame.clone()).collect();
    run("relay streams", |random| {
        let (mut fork, frame) = frames.choose(random).unwrap().clone();
        let mut frame = mutate::bytes(random, &frame, &all);
        match random.random_range(0..8) {
            0 => fork = *Fork::ALL.choose(random).unwrap(),
            1 => frame.truncate(random.random_range(0..4)),
            2 => drop(
                frame.splice(0..frame.len().min(2), [random.random_range(0..3), random.random_range(0..9)]),
            ),
            _ => {}
        }
        check(fork, &frame)
    });
}
