//! Frames of a relay's header stream.

use bytes::Bytes;
use rand::{Rng, seq::IndexedRandom};
use relaymux::{
    consensus::{Encoding, Fork, SignedBuilderBid},
    relay::{bid_in_frame, stream_code},
};

use crate::{
    corpus::{Seed, seeds},
    harness::{Fate, run},
    mutate,
};

#[test]
fn relay_streams() {
    let frames: Vec<(Fork, Vec<u8>)> = seeds("signed_builder_bid")
        .into_iter()
        .filter(|seed| seed.encoding == Encoding::Ssz)
        .map(|Seed { fork, bytes, .. }| (fork, [vec![1, stream_code(fork)], bytes].concat()))
        .collect();
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
        let frame = Bytes::from(frame);
        let Some(body) = bid_in_frame(fork, &frame) else {
            assert!(frame.len() < 2 || frame[0] != 1, "a frame of a bid was passed over");
            return Fate::Refused;
        };
        assert_eq!((frame[0], body.is_ok()), (1, frame[1] == stream_code(fork)));
        let Ok(body) = body else { return Fate::Refused };
        assert_eq!(body, frame[2..]);
        let Ok(bid) = SignedBuilderBid::decode(fork, Encoding::Ssz, &body) else { return Fate::Refused };
        assert_eq!(bid.fork(), fork);
        assert_eq!(bid.encode(Encoding::Ssz), body);
        Fate::Decoded
    });
}
