//! Bids that relays send.

use relaymux::consensus::{Encoding, SignedBuilderBid};

use super::fate::{Fate, assert_bounded};
use crate::corpus::{self, Seed};

pub(crate) fn seeds() -> Vec<Seed> {
    corpus::seeds("signed_builder_bid")
}

pub(crate) fn check(seed: &Seed) -> Fate {
    let Seed { fork, encoding, bytes, .. } = seed;
    let Ok(bid) = SignedBuilderBid::decode(*fork, *encoding, bytes) else { return Fate::Refused };
    if *encoding == Encoding::Ssz {
        assert_eq!(bid.encode(Encoding::Ssz), *bytes, "SSZ has one encoding only");
    }
    for encoding in [Encoding::Json, Encoding::Ssz] {
        let encoded = bid.encode(encoding);
        assert_bounded(bytes, &encoded);
        let again = SignedBuilderBid::decode(*fork, encoding, &encoded).unwrap();
        assert_eq!(again.facts(), bid.facts());
        assert_eq!((again.message_root(), again.signature()), (bid.message_root(), bid.signature()));
        assert_eq!(again.encode(encoding), encoded);
    }
    Fate::Decoded
}
