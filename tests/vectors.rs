//! Public example data of the field: both encodings decode, re-encode to the same bytes, and mean the same object; captured
//! signatures verify. The data lie outside the repository (`RELAYMUX_VECTORS`, default `../shared/vectors`).

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    io::Read,
    path::{Path, PathBuf},
};

use alloy_primitives::B256;
use relaymux::{
    consensus::{
        Encoding, Fork, PresetName, RevealedPayload, SignedBlindedBlock, SignedBuilderBid, bls::ValidatedKey,
        builder_domain, containers::SignedValidatorRegistration, json_from_ssz, signing_root, ssz_from_json,
        visit_json,
    },
    types::{BlsPublicKey, Slot},
};
use serde_json::Value;
use tree_hash::TreeHash;

const MAINNET: PresetName = PresetName::Mainnet;

/// The folder of vectors, or a word that there is none: a user's machine may lack it, CI does not.
fn vectors() -> Option<PathBuf> {
    let folder = std::env::var_os("RELAYMUX_VECTORS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors"), PathBuf::from);
    if !folder.is_dir() {
        assert!(
            std::env::var_os("CI").is_none(),
            "CI leaves no test out: no vectors at {}",
            folder.display()
        );
        eprintln!("SKIPPED: no vectors at {} (set RELAYMUX_VECTORS)", folder.display());
        return None;
    }
    Some(folder)
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// The example objects are wrapped in `{"value": …}`, as OpenAPI examples are.
fn example(folder: &Path, fork: Fork, name: &str) -> (Value, Vec<u8>) {
    let base = folder.join("builder-specs").join(fork.name());
    let json: Value = serde_json::from_slice(&read(&base.join(format!("{name}.json")))).unwrap();
    (json["value"].clone(), read(&base.join(format!("{name}.ssz"))))
}

/// Hex case is free in the API; compare without it.
fn lower(value: &Value) -> Value {
    serde_json::from_str(&value.to_string().to_lowercase()).unwrap()
}

#[test]
fn bids_of_every_fork_have_one_meaning_in_both_encodings() {
    let Some(folder) = vectors() else { return };
    for fork in Fork::CLASSIC {
        let (json, ssz) = example(&folder, fork, "signed_builder_bid");
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
    let Some(folder) = vectors() else { return };
    for fork in Fork::CLASSIC {
        let (json, ssz) = example(&folder, fork, "signed_blinded_beacon_block");
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
    let Some(folder) = vectors() else { return };
    for fork in Fork::CLASSIC {
        let name =
            if fork < Fork::Deneb { "execution_payload" } else { "execution_payload_and_blobs_bundle" };
        let (json, ssz) = example(&folder, fork, name);
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
    let Some(folder) = vectors() else { return };
    let (json, ssz) = example(&folder, Fork::Bellatrix, "signed_validator_registrations");
    assert_eq!(ssz_from_json(json.to_string().as_bytes()).unwrap(), ssz);
    let back: Value = serde_json::from_slice(&json_from_ssz(&ssz).unwrap()).unwrap();
    assert_eq!(lower(&back), lower(&json));
}

#[test]
fn bids_that_relays_really_signed_verify() {
    let Some(folder) = vectors() else { return };
    let goerli = builder_domain([0, 0, 0x10, 0x20]);
    for (fork, name) in
        [(Fork::Capella, "get_header_capella_goerli"), (Fork::Deneb, "get_header_deneb_goerli")]
    {
        let json = read(&folder.join(format!("captures/{name}.json")));
        let ssz = read(&folder.join(format!("captures/{name}.ssz")));
        let bid = SignedBuilderBid::decode(fork, Encoding::Json, &json).unwrap();
        assert_eq!(bid.encode(Encoding::Ssz), ssz, "{name}");
        let key = ValidatedKey::new(bid.facts().pubkey).unwrap();
        assert!(key.has_signed(signing_root(bid.message_root(), goerli), bid.signature()), "{name}");
        assert!(
            !key.has_signed(signing_root(bid.message_root(), builder_domain([0; 4])), bid.signature()),
            "{name}"
        );
    }
}

#[test]
fn registrations_that_validators_really_signed_verify() {
    let Some(folder) = vectors() else { return };
    let mut zipped = Vec::new();
    let file = std::fs::File::open(folder.join("captures/registrations_kiln_1250.json.gz")).unwrap();
    flate2::read::GzDecoder::new(file).read_to_end(&mut zipped).unwrap();
    let captures = [
        (read(&folder.join("captures/registrations_kiln_1.json")), [0x70, 0, 0, 0x69], 1),
        (read(&folder.join("captures/registrations_holesky_17.json")), [0x01, 0x01, 0x70, 0], 17),
        (zipped, [0x70, 0, 0, 0x69], 1250),
    ];
    for (body, genesis_fork, count) in captures {
        let domain = builder_domain(genesis_fork);
        let mut seen = Vec::new();
        assert_eq!(visit_json(&body, |r: &SignedValidatorRegistration| seen.push(r.clone())), Ok(count));
        let keys: BTreeSet<_> = seen.iter().map(|r| r.message.pubkey).collect();
        assert!(!keys.is_empty());
        // A millisecond each: the first twenty of a body speak for the rest.
        for registration in seen.iter().take(20) {
            let key = ValidatedKey::new(BlsPublicKey(registration.message.pubkey)).unwrap();
            let root: B256 = signing_root(registration.message.tree_hash_root(), domain);
            assert!(key.has_signed(root, &registration.signature));
        }
    }
}

#[test]
fn a_captured_payload_round_trips_with_its_blobs() {
    let Some(folder) = vectors() else { return };
    let mut json = Vec::new();
    let file = std::fs::File::open(folder.join("captures/payload_and_blobs_deneb_goerli.json.gz")).unwrap();
    flate2::read::GzDecoder::new(file).read_to_end(&mut json).unwrap();
    // The capture is bare, as stored by a relay; relays answer in an envelope.
    let json = [b"{\"version\":\"deneb\",\"data\":", &json[..], b"}"].concat();
    let payload = RevealedPayload::decode(Fork::Deneb, MAINNET, Encoding::Json, &json).unwrap();
    let ssz = payload.encode(Encoding::Ssz);
    let again = RevealedPayload::decode(Fork::Deneb, MAINNET, Encoding::Ssz, &ssz).unwrap();
    let value = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap()["data"].clone();
    assert_eq!(lower(&value(&again.encode(Encoding::Json))), lower(&value(&json)));
}
