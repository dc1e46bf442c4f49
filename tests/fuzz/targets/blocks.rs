//! Blinded blocks that consensus clients sign.

use relaymux::consensus::{Encoding, PeekedBlock, SignedBlindedBlock};

use super::fate::{Fate, assert_bounded};
use crate::corpus::{self, Seed};

pub(crate) fn seeds() -> Vec<Seed> {
    corpus::seeds("signed_blinded_beacon_block")
}

pub(crate) fn check(seed: &Seed) -> Fate {
    let Seed { fork, preset, encoding, bytes } = seed;
    let slot = SignedBlindedBlock::peek_slot(*encoding, bytes);
    let peeked = PeekedBlock::read(*encoding, *preset, bytes);
    let Ok(block) = SignedBlindedBlock::decode(*fork, *preset, *encoding, bytes) else {
        return Fate::Refused;
    };
    let facts = block.facts();
    // The fork to decode it as comes from this slot: a block that decodes and whose slot cannot be found would be refused.
    assert_eq!(slot, Some(facts.slot));
    if let Some(peeked) = peeked {
        assert_eq!((peeked.slot, peeked.proposer_index), (facts.slot, facts.proposer_index));
        assert_eq!(peeked.block_hash.unwrap_or(facts.block_hash), facts.block_hash);
        assert_eq!(peeked.parent_hash.unwrap_or(facts.parent_hash), facts.parent_hash);
    }
    if *encoding == Encoding::Ssz {
        assert!(peeked.is_some(), "a block that decodes looks like one");
        assert_eq!(block.encode(Encoding::Ssz), *bytes, "SSZ has one encoding only");
    }
    for encoding in [Encoding::Json, Encoding::Ssz] {
        let encoded = block.encode(encoding);
        assert_bounded(bytes, &encoded);
        let again = SignedBlindedBlock::decode(*fork, *preset, encoding, &encoded).unwrap();
        assert_eq!((again.block_root(), again.signature()), (block.block_root(), block.signature()));
        assert_eq!(again.facts().header_root, facts.header_root);
        assert_eq!(again.encode(encoding), encoded);
    }
    Fate::Decoded
}
