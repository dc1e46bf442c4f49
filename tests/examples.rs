//! The examples of ethereum/builder-specs: both encodings decode, re-encode to the same bytes, and mean the same object. Their
//! signatures are made up. `fixtures/README.md` names the source.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it fails by panicking and speaks to its user"
)]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::path::Path;

use relaymux::{
    consensus::{
        Encoding, PresetName, RevealedPayload, SignedBlindedBlock, SignedBuilderBid, json_from_ssz,
        ssz_from_json,
    },
    types::{Fork, Slot},
};
use serde_json::Value;

const MAINNET: PresetName = PresetName::Mainnet;

/// The example objects are wrapped in `{"value": …}`, as OpenAPI examples are.
fn example(fork: Fork, name: &str) -> (Value, Vec<u8>) {
    let base = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/builder-specs").join(fork.name());
    let read = |path: &Path| std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let json: Value = serde_json::from_slice(&read(&base.join(format!("{name}.json")))).unwrap();
    (json["value"].clone(), read(&base.join(format!("{name}.ssz"))))
}

/// Hex case is free in the API; compare without it.
fn lower(value: &Value) -> Value {
    serde_json::from_str(&value.to_string().to_lowercase()).unwrap()
}

#[test]
fn bids_of_every_fork_have_one_meaning_in_both_encodings() {
    for fork in Fork::CLASSIC {
        let (json, ssz) = example(fork, "signed_builder_bid");
        let from_ssz = SignedBuilderBid::decode(fork, Encoding::Ssz, &ssz).unwrap();
        let from_json = SignedBuilderBid::decode(fork, Encoding::Json, json.to_string().as_bytes()).unwrap();
        assert_eq!(from_ssz.facts(), from_json.facts(), "{fork}");
        assert_eq!(from_ssz.message_root(), from_json.message_root(), "{fork}");
        assert_eq!(from_json.encode(Encoding::Ssz), ssz, "{fork}");
        let back: Value = serde_json::from_slice(&from_ssz.encode(Encoding::Json)).unwrap();
        assert_eq!(lower(&back), lower(&json), "{fork}");
        // Any other fork's label is refused.
        let relabelled =
            json.to_string().replacen(&format!("\"version\":\"{fork}\""), "\"version\":\"altair\"", 1);
        assert!(SignedBuilderBid::decode(fork, Encoding::Json, relabelled.as_bytes()).is_err());
    }
}

#[test]
fn blinded_blocks_of_every_fork_have_one_meaning_in_both_encodings() {
    for fork in Fork::CLASSIC {
        let (json, ssz) = example(fork, "signed_blinded_beacon_block");
        let text = json.to_string();
        let from_ssz = SignedBlindedBlock::decode(fork, MAINNET, Encoding::Ssz, &ssz).unwrap();
        let from_json = SignedBlindedBlock::decode(fork, MAINNET, Encoding::Json, text.as_bytes()).unwrap();
        assert_eq!(from_ssz.block_root(), from_json.block_root(), "{fork}");
        assert_eq!(from_json.encode(Encoding::Ssz), ssz, "{fork}");
        let back: Value = serde_json::from_slice(&from_ssz.encode(Encoding::Json)).unwrap();
        assert_eq!(lower(&back), lower(&json), "{fork}");
        let slot = Some(Slot::new(json["message"]["slot"].as_str().unwrap().parse().unwrap()));
        assert_eq!(SignedBlindedBlock::peek_slot(Encoding::Ssz, &ssz), slot);
        assert_eq!(SignedBlindedBlock::peek_slot(Encoding::Json, text.as_bytes()), slot);
    }
}

#[test]
fn payloads_of_every_fork_have_one_meaning_in_both_encodings() {
    for fork in Fork::CLASSIC {
        let name =
            if fork < Fork::Deneb { "execution_payload" } else { "execution_payload_and_blobs_bundle" };
        let (json, ssz) = example(fork, name);
        let from_ssz = RevealedPayload::decode(fork, MAINNET, Encoding::Ssz, &ssz).unwrap();
        let from_json =
            RevealedPayload::decode(fork, MAINNET, Encoding::Json, json.to_string().as_bytes()).unwrap();
        assert_eq!(from_json.encode(Encoding::Ssz), ssz, "{fork}");
        let back: Value = serde_json::from_slice(&from_ssz.encode(Encoding::Json)).unwrap();
        assert_eq!(lower(&back), lower(&json), "{fork}");
    }
}

#[test]
fn registrations_have_one_meaning_in_both_encodings() {
    let (json, ssz) = example(Fork::Bellatrix, "signed_validator_registrations");
    assert_eq!(ssz_from_json(json.to_string().as_bytes()).unwrap(), ssz);
    let back: Value = serde_json::from_slice(&json_from_ssz(&ssz).unwrap()).unwrap();
    assert_eq!(lower(&back), lower(&json));
}
