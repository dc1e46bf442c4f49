//! Bids, blocks, payloads, registrations.

use relaymux::consensus::{
    Encoding, PeekedBlock, RevealedPayload, SignedBlindedBlock, SignedBuilderBid, json_from_ssz, split_json,
    ssz_from_json, visit_json, visit_ssz,
};

use crate::{
    corpus::{Seed, damaged, seeds},
    harness::{Fate, run},
};

const ENCODINGS: [Encoding; 2] = [Encoding::Json, Encoding::Ssz];

/// What an encoding of what was decoded may weigh: a multiple of what came, as an empty transaction of four bytes is `"0x",` in JSON, and
/// what is there whatever the contents are.
fn assert_bounded(came: &[u8], encoded: &[u8]) {
    assert!(encoded.len() <= came.len() * 8 + 16 * 1024, "{} bytes became {}", came.len(), encoded.len());
}

#[test]
fn bids() {
    let seeds = seeds("signed_builder_bid");
    run("bids", |random| {
        let Seed { fork, encoding, bytes, .. } = damaged(random, &seeds);
        let Ok(bid) = SignedBuilderBid::decode(fork, encoding, &bytes) else { return Fate::Refused };
        if encoding == Encoding::Ssz {
            assert_eq!(bid.encode(Encoding::Ssz), bytes, "SSZ has one encoding only");
        }
        for encoding in ENCODINGS {
            let encoded = bid.encode(encoding);
            assert_bounded(&bytes, &encoded);
            let again = SignedBuilderBid::decode(fork, encoding, &encoded).unwrap();
            assert_eq!(again.facts(), bid.facts());
            assert_eq!((again.message_root(), again.signature()), (bid.message_root(), bid.signature()));
            assert_eq!(again.encode(encoding), encoded);
        }
        Fate::Decoded
    });
}

#[test]
fn blocks() {
    let seeds = seeds("signed_blinded_beacon_block");
    run("blocks", |random| {
        let Seed { fork, preset, encoding, bytes } = damaged(random, &seeds);
        let slot = SignedBlindedBlock::peek_slot(encoding, &bytes);
        let peeked = PeekedBlock::read(encoding, preset, &bytes);
        let Ok(block) = SignedBlindedBlock::decode(fork, preset, encoding, &bytes) else {
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
        if encoding == Encoding::Ssz {
            assert!(peeked.is_some(), "a block that decodes looks like one");
            assert_eq!(block.encode(Encoding::Ssz), bytes, "SSZ has one encoding only");
        }
        for encoding in ENCODINGS {
            let encoded = block.encode(encoding);
            assert_bounded(&bytes, &encoded);
            let again = SignedBlindedBlock::decode(fork, preset, encoding, &encoded).unwrap();
            assert_eq!((again.block_root(), again.signature()), (block.block_root(), block.signature()));
            assert_eq!(again.facts().header_root, facts.header_root);
            assert_eq!(again.encode(encoding), encoded);
        }
        Fate::Decoded
    });
}

/// The examples have blobs; those with random contents are bare from Deneb on and get an empty bundle here, small enough to be many.
fn payload_seeds() -> Vec<Seed> {
    let mut all = seeds("execution_payload_and_blobs_bundle");
    for mut seed in seeds("execution_payload") {
        if RevealedPayload::decode(seed.fork, seed.preset, seed.encoding, &seed.bytes).is_ok() {
            all.push(seed);
        } else if seed.encoding == Encoding::Json {
            let bare: serde_json::Value = serde_json::from_slice(&seed.bytes).unwrap();
            let bundle = serde_json::json!({ "commitments": [], "proofs": [], "blobs": [] });
            let data = serde_json::json!({ "execution_payload": bare["data"], "blobs_bundle": bundle });
            let json = serde_json::json!({ "version": seed.fork.name(), "data": data });
            seed.bytes = json.to_string().into_bytes();
            let payload =
                RevealedPayload::decode(seed.fork, seed.preset, Encoding::Json, &seed.bytes).unwrap();
            let ssz = payload.encode(Encoding::Ssz);
            all.push(Seed { encoding: Encoding::Ssz, bytes: ssz, ..seed.clone() });
            all.push(seed);
        }
    }
    // The rare large ones would eat the time of the many small ones.
    let small: Vec<Seed> = all.iter().filter(|seed| seed.bytes.len() < 50_000).cloned().collect();
    for _ in 0..8 {
        all.extend(small.iter().cloned());
    }
    all
}

#[test]
fn payloads() {
    let seeds = payload_seeds();
    let blocks: Vec<SignedBlindedBlock> = crate::corpus::seeds("signed_blinded_beacon_block")
        .into_iter()
        .map(|seed| SignedBlindedBlock::decode(seed.fork, seed.preset, seed.encoding, &seed.bytes).unwrap())
        .collect();
    run("payloads", |random| {
        let Seed { fork, preset, encoding, bytes } = damaged(random, &seeds);
        let Ok(payload) = RevealedPayload::decode(fork, preset, encoding, &bytes) else {
            return Fate::Refused;
        };
        if encoding == Encoding::Ssz {
            assert_eq!(payload.encode(Encoding::Ssz), bytes, "SSZ has one encoding only");
        }
        let verdicts = |payload: &RevealedPayload| -> Vec<_> {
            blocks.iter().map(|block| payload.check(block.facts())).collect()
        };
        let before = verdicts(&payload);
        for encoding in ENCODINGS {
            let encoded = payload.encode(encoding);
            assert_bounded(&bytes, &encoded);
            let again = RevealedPayload::decode(fork, preset, encoding, &encoded).unwrap();
            assert_eq!(again.encode(Encoding::Ssz), payload.encode(Encoding::Ssz));
            assert_eq!(verdicts(&again), before);
        }
        Fate::Decoded
    });
}

/// Lists of one to three: the fixtures' registrations are single, or a list already.
fn registration_seeds() -> Vec<Seed> {
    let mut all = seeds("signed_validator_registrations");
    for seed in seeds("signed_validator_registration") {
        for count in 1..=3 {
            let bytes = match seed.encoding {
                Encoding::Ssz => seed.bytes.repeat(count),
                Encoding::Json => [b"[", &vec![seed.bytes.clone(); count].join(&b',')[..], b"]"].concat(),
            };
            all.push(Seed { bytes, ..seed.clone() });
        }
    }
    all
}

#[test]
fn registrations() {
    let seeds = registration_seeds();
    run("registrations", |random| {
        let Seed { encoding, bytes, .. } = damaged(random, &seeds);
        let mut seen = Vec::new();
        let see = |signed: &_| seen.push(Clone::clone(signed));
        let count = match encoding {
            Encoding::Json => visit_json(&bytes, see),
            Encoding::Ssz => visit_ssz(&bytes, see),
        };
        // Cuts are made before anything is read: they must not lose what reads.
        let parts = split_json(&bytes, 2);
        let Ok(count) = count else { return Fate::Refused };
        assert_eq!(count, seen.len());
        let (ssz, json) = match encoding {
            Encoding::Json => (ssz_from_json(&bytes).unwrap(), bytes.clone()),
            Encoding::Ssz => (bytes.clone(), json_from_ssz(&bytes).unwrap()),
        };
        assert_bounded(&bytes, &ssz);
        assert_bounded(&bytes, &json);
        let mut again = Vec::new();
        visit_ssz(&ssz, |signed| again.push(signed.clone())).unwrap();
        assert_eq!(again, seen);
        assert_eq!(ssz_from_json(&json_from_ssz(&ssz).unwrap()).unwrap(), ssz);
        if encoding == Encoding::Json {
            let cut: Vec<u8> = parts.unwrap().iter().flat_map(|part| ssz_from_json(part).unwrap()).collect();
            assert_eq!(cut, ssz);
        }
        Fate::Decoded
    });
}
