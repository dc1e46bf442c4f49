//! Frames of a relay's header stream.

use bytes::Bytes;
use relaymux::{
    consensus::{Encoding, SignedBuilderBid},
    relay::{bid_in_frame, stream_code},
    types::Fork,
};

use super::fate::Fate;
use crate::corpus;

/// Frames of a bid, each with the fork that its slot is of.
pub(crate) fn seeds() -> Vec<(Fork, Vec<u8>)> {
    let bids = corpus::seeds("signed_builder_bid").into_iter();
    bids.filter(|seed| seed.encoding == Encoding::Ssz)
        .map(|seed| (seed.fork, [vec![1, stream_code(seed.fork)], seed.bytes].concat()))
        .collect()
}

pub(crate) fn check(fork: Fork, frame: &[u8]) -> Fate {
    let frame = Bytes::copy_from_slice(frame);
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
}
