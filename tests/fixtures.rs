//! Our containers against an independent implementation's: SSZ bytes, JSON, roots, domains and signatures of random objects of
//! every fork in both presets (`fixtures/README.md`). And no decoder panics, whatever it is given.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it fails by panicking and speaks to its user"
)]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};

use alloy_primitives::{B256, hex};
use proptest::prelude::*;
use relaymux::{
    consensus::{
        Encoding, Mainnet, Minimal, PeekedBlock, Preset, PresetName, RevealedPayload, SignedBlindedBlock,
        SignedBuilderBid,
        bls::ValidatedKey,
        builder_domain,
        containers::{
            ExecutionPayloadBellatrix, ExecutionPayloadCapella, ExecutionPayloadDeneb,
            SignedValidatorRegistration,
        },
        signing_root, split_json, ssz_from_json, visit_json, visit_ssz,
    },
    types::{Fork, Slot},
};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use tree_hash::TreeHash;

struct Fixture {
    fork: Fork,
    facts: Value,
    json: Vec<u8>,
    ssz: Vec<u8>,
}

fn folder(preset: PresetName) -> PathBuf {
    let name = match preset {
        PresetName::Mainnet => "mainnet",
        PresetName::Minimal => "minimal",
    };
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/generated").join(name)
}

fn manifest(preset: PresetName) -> Value {
    serde_json::from_slice(&std::fs::read(folder(preset).join("manifest.json")).unwrap()).unwrap()
}

fn fixtures(preset: PresetName, name: &str) -> Vec<Fixture> {
    let manifest = manifest(preset);
    let objects = manifest["objects"].as_array().unwrap();
    let found: Vec<Fixture> = objects
        .iter()
        .filter(|facts| facts["name"] == name)
        .map(|facts| {
            let base = folder(preset).join(facts["fork"].as_str().unwrap());
            Fixture {
                fork: facts["fork"].as_str().unwrap().parse().unwrap(),
                facts: facts.clone(),
                json: std::fs::read(base.join(format!("{name}.json"))).unwrap(),
                ssz: std::fs::read(base.join(format!("{name}.ssz"))).unwrap(),
            }
        })
        .collect();
    assert!(!found.is_empty());
    found
}

fn hash(facts: &Value, key: &str) -> B256 {
    facts[key].as_str().unwrap().parse().unwrap()
}

/// Equal but for the case of hex digits: Lodestar writes addresses with checksums.
fn same_json(ours: &[u8], theirs: &[u8]) {
    let parse = |bytes: &[u8]| serde_json::from_slice::<Value>(&bytes.to_ascii_lowercase()).unwrap();
    assert_eq!(parse(ours), parse(theirs));
}

const PRESETS: [PresetName; 2] = [PresetName::Mainnet, PresetName::Minimal];

#[test]
fn bids_agree_to_the_last_bit_and_their_signatures_hold() {
    for preset in PRESETS {
        let manifest = manifest(preset);
        let genesis: [u8; 4] =
            hex::decode(manifest["genesis_fork_version"].as_str().unwrap()).unwrap().try_into().unwrap();
        let domain = builder_domain(genesis);
        assert_eq!(domain, hash(&manifest, "builder_domain"));
        let bids = fixtures(preset, "signed_builder_bid");
        assert_eq!(bids.len(), 5);
        for Fixture { fork, facts, json, ssz } in bids {
            for (encoding, bytes) in [(Encoding::Json, &json), (Encoding::Ssz, &ssz)] {
                let bid = SignedBuilderBid::decode(fork, encoding, bytes).unwrap();
                assert_eq!(bid.message_root(), hash(&facts, "root"), "{fork}");
                assert_eq!(signing_root(bid.message_root(), domain), hash(&facts, "signing_root"));
                assert_eq!(bid.facts().block_hash, hash(&facts, "block_hash"));
                assert_eq!(bid.facts().value.to_string(), facts["value"].as_str().unwrap());
                let key = ValidatedKey::new(facts["pubkey"].as_str().unwrap().parse().unwrap()).unwrap();
                assert!(key.has_signed(signing_root(bid.message_root(), domain), bid.signature()), "{fork}");
                assert_eq!(bid.encode(Encoding::Ssz), ssz, "{fork}");
                same_json(&bid.encode(Encoding::Json), &json);
            }
        }
    }
}

/// What is read by fixed places is what decoding gives, in every fork; and what lost its end is no block.
#[test]
fn a_block_is_peeked_at_as_it_decodes() {
    for preset in PRESETS {
        for Fixture { fork, json, ssz, .. } in fixtures(preset, "signed_blinded_beacon_block") {
            let block = SignedBlindedBlock::decode(fork, preset, Encoding::Ssz, &ssz).unwrap();
            let facts = block.facts();
            for (encoding, bytes) in [(Encoding::Json, &json), (Encoding::Ssz, &ssz)] {
                let peeked = PeekedBlock::read(encoding, preset, bytes).unwrap();
                assert_eq!(
                    (peeked.slot, peeked.proposer_index),
                    (facts.slot, facts.proposer_index),
                    "{fork}"
                );
                assert_eq!(peeked.block_hash, Some(facts.block_hash), "{fork} {encoding:?}");
                assert_eq!(peeked.parent_hash, Some(facts.parent_hash), "{fork} {encoding:?}");
                let half = &bytes[..300];
                assert_eq!(PeekedBlock::read(encoding, preset, half), None, "{fork} {encoding:?}");
            }
            assert_eq!(PeekedBlock::read(Encoding::Ssz, preset, &json), None);
            assert_eq!(PeekedBlock::read(Encoding::Json, preset, &ssz), None);
        }
        for garbage in [
            "",
            "{}",
            r#"{"message":{"slot":"1"}}"#,
            r#"{"message":{"slot":"1","proposer_index":"1","body":{}}}"#,
        ] {
            assert_eq!(PeekedBlock::read(Encoding::Json, preset, garbage.as_bytes()), None, "{garbage}");
        }
        assert_eq!(PeekedBlock::read(Encoding::Ssz, preset, &[0x64; 4096]), None);
    }
}

#[test]
fn blinded_blocks_agree_to_the_last_bit() {
    for preset in PRESETS {
        for Fixture { fork, facts, json, ssz } in fixtures(preset, "signed_blinded_beacon_block") {
            for (encoding, bytes) in [(Encoding::Json, &json), (Encoding::Ssz, &ssz)] {
                let slot = Slot::new(facts["slot"].as_str().unwrap().parse().unwrap());
                assert_eq!(SignedBlindedBlock::peek_slot(encoding, bytes), Some(slot));
                let block = SignedBlindedBlock::decode(fork, preset, encoding, bytes).unwrap();
                assert_eq!(block.block_root(), hash(&facts, "root"), "{fork}");
                assert_eq!(block.facts().header_root, hash(&facts, "header_root"), "{fork}");
                assert_eq!(block.facts().block_hash, hash(&facts, "block_hash"));
                assert_eq!(block.facts().slot, slot);
                assert_eq!(block.encode(Encoding::Ssz), ssz, "{fork}");
                same_json(&block.encode(Encoding::Json), &json);
            }
        }
    }
}

fn payload<T: ssz::Encode + ssz::Decode + TreeHash + Serialize + DeserializeOwned>(fixture: &Fixture) {
    let from_ssz = T::from_ssz_bytes(&fixture.ssz).unwrap();
    let data = serde_json::from_slice::<Value>(&fixture.json).unwrap()["data"].take();
    let from_json: T = serde_json::from_value(data.clone()).unwrap();
    for payload in [&from_ssz, &from_json] {
        assert_eq!(payload.tree_hash_root(), hash(&fixture.facts, "root"), "{}", fixture.fork);
        assert_eq!(payload.as_ssz_bytes(), fixture.ssz);
        same_json(&serde_json::to_vec(payload).unwrap(), data.to_string().as_bytes());
    }
}

fn payloads_of<P: Preset>(preset: PresetName) {
    for fixture in fixtures(preset, "execution_payload") {
        match fixture.fork {
            Fork::Bellatrix => payload::<ExecutionPayloadBellatrix>(&fixture),
            Fork::Capella => payload::<ExecutionPayloadCapella<P>>(&fixture),
            _ => payload::<ExecutionPayloadDeneb<P>>(&fixture),
        }
    }
}

#[test]
fn payloads_agree_to_the_last_bit() {
    payloads_of::<Mainnet>(PresetName::Mainnet);
    payloads_of::<Minimal>(PresetName::Minimal);
}

#[test]
fn registrations_agree_to_the_last_bit_and_their_signatures_hold() {
    for preset in PRESETS {
        let manifest = manifest(preset);
        let Fixture { facts, json, ssz, .. } = fixtures(preset, "signed_validator_registration").remove(0);
        let signed: SignedValidatorRegistration = serde_json::from_slice(&json).unwrap();
        assert_eq!(signed.message.tree_hash_root(), hash(&facts, "root"));
        let root = signing_root(signed.message.tree_hash_root(), hash(&manifest, "builder_domain"));
        assert_eq!(root, hash(&facts, "signing_root"));
        let key = ValidatedKey::new(facts["pubkey"].as_str().unwrap().parse().unwrap()).unwrap();
        assert!(key.has_signed(root, &signed.signature));
        assert_eq!(ssz_from_json(&[b"[", &json[..], b"]"].concat()).unwrap(), ssz);
    }
}

/// Every decoder on the same bytes; the results do not matter, returning does.
fn decode_everything(bytes: &[u8]) {
    for preset in PRESETS {
        for fork in Fork::ALL {
            for encoding in [Encoding::Json, Encoding::Ssz] {
                let _ = SignedBuilderBid::decode(fork, encoding, bytes);
                let _ = SignedBlindedBlock::decode(fork, preset, encoding, bytes);
                let _ = RevealedPayload::decode(fork, preset, encoding, bytes);
                let _ = SignedBlindedBlock::peek_slot(encoding, bytes);
                let _ = PeekedBlock::read(encoding, preset, bytes);
            }
        }
    }
    let _ = visit_json(bytes, |_| ());
    let _ = visit_ssz(bytes, |_| ());
    let _ = split_json(bytes, 3);
}

fn any_fixture() -> impl Strategy<Value = Vec<u8>> {
    let mut all = Vec::new();
    for preset in PRESETS {
        for name in ["signed_builder_bid", "signed_blinded_beacon_block", "execution_payload"] {
            all.extend(fixtures(preset, name).into_iter().flat_map(|fixture| [fixture.json, fixture.ssz]));
        }
    }
    proptest::sample::select(all)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_decoder_panics_on_arbitrary_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..2000)) {
        decode_everything(&bytes);
    }

    #[test]
    fn no_decoder_panics_on_damaged_objects(
        mut bytes in any_fixture(), at in any::<prop::sample::Index>(), damage in proptest::collection::vec(any::<u8>(), 1..9),
        cut in any::<prop::sample::Index>(),
    ) {
        let start = at.index(bytes.len());
        for (place, byte) in bytes.iter_mut().skip(start).zip(damage) {
            *place = byte;
        }
        decode_everything(&bytes);
        bytes.truncate(cut.index(bytes.len() + 1));
        decode_everything(&bytes);
    }

    /// SSZ that decodes is canonical: it encodes to the very same bytes.
    #[test]
    fn what_decodes_from_ssz_encodes_to_the_same_bytes(
        mut bytes in any_fixture(), at in any::<prop::sample::Index>(), byte in any::<u8>(),
    ) {
        let place = at.index(bytes.len());
        bytes[place] = byte;
        for fork in Fork::CLASSIC {
            if let Ok(bid) = SignedBuilderBid::decode(fork, Encoding::Ssz, &bytes) {
                prop_assert_eq!(bid.encode(Encoding::Ssz), bytes.clone());
            }
            if let Ok(block) = SignedBlindedBlock::decode(fork, PresetName::Mainnet, Encoding::Ssz, &bytes) {
                prop_assert_eq!(block.encode(Encoding::Ssz), bytes.clone());
            }
        }
    }
}
