//! Payloads that relays reveal.

use std::sync::LazyLock;

use relaymux::consensus::{Encoding, RevealedPayload, SignedBlindedBlock};

use super::fate::{Fate, assert_bounded};
use crate::corpus::{self, Seed};

/// Blocks that a payload is compared with, whatever it is.
static BLOCKS: LazyLock<Vec<SignedBlindedBlock>> = LazyLock::new(|| {
    let decode =
        |seed: Seed| SignedBlindedBlock::decode(seed.fork, seed.preset, seed.encoding, &seed.bytes).unwrap();
    corpus::seeds("signed_blinded_beacon_block").into_iter().map(decode).collect()
});

/// The examples have blobs; those with random contents are bare from Deneb on and get an empty bundle here, small enough to be many.
pub(crate) fn seeds() -> Vec<Seed> {
    let mut all = corpus::seeds("execution_payload_and_blobs_bundle");
    for mut seed in corpus::seeds("execution_payload") {
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
    all
}

pub(crate) fn check(seed: &Seed) -> Fate {
    let Seed { fork, preset, encoding, bytes } = seed;
    let Ok(payload) = RevealedPayload::decode(*fork, *preset, *encoding, bytes) else {
        return Fate::Refused;
    };
    if *encoding == Encoding::Ssz {
        assert_eq!(payload.encode(Encoding::Ssz), *bytes, "SSZ has one encoding only");
    }
    let verdicts = |payload: &RevealedPayload| -> Vec<_> {
        BLOCKS.iter().map(|block| payload.check(block.facts())).collect()
    };
    let before = verdicts(&payload);
    for encoding in [Encoding::Json, Encoding::Ssz] {
        let encoded = payload.encode(encoding);
        assert_bounded(bytes, &encoded);
        let again = RevealedPayload::decode(*fork, *preset, encoding, &encoded).unwrap();
        assert_eq!(again.encode(Encoding::Ssz), payload.encode(Encoding::Ssz));
        assert_eq!(verdicts(&again), before);
    }
    Fate::Decoded
}
