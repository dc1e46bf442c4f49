//! Data captured from public test networks: what relays and validators really signed verifies, and what a relay really revealed
//! means the same in both encodings.
//!
//! The captures lie outside the repository, in the folder that `RELAYMUX_VECTORS` names (default `../shared/vectors`). A case whose
//! data are not there is reported as ignored, never as passed; under `CI` it fails.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it fails by panicking and speaks to its user"
)]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    io::Read,
    path::{Path, PathBuf},
    process::ExitCode,
};

use alloy_primitives::B256;
use libtest_mimic::{Arguments, Trial};
use relaymux::{
    consensus::{
        Encoding, PresetName, RevealedPayload, SignedBuilderBid, bls::ValidatedKey, builder_domain,
        containers::SignedValidatorRegistration, signing_root, visit_json,
    },
    types::{BlsPublicKey, Fork},
};
use serde_json::Value;
use tree_hash::TreeHash;

const MAINNET: PresetName = PresetName::Mainnet;

/// A case: its name, the captures it reads, and what it asserts.
type Case = (&'static str, &'static [&'static str], fn());

const CASES: [Case; 3] = [
    (
        "bids_that_relays_really_signed_verify",
        &[
            "get_header_capella_goerli.json",
            "get_header_capella_goerli.ssz",
            "get_header_deneb_goerli.json",
            "get_header_deneb_goerli.ssz",
        ],
        bids_that_relays_really_signed_verify,
    ),
    (
        "registrations_that_validators_really_signed_verify",
        &["registrations_kiln_1.json", "registrations_holesky_17.json", "registrations_kiln_1250.json.gz"],
        registrations_that_validators_really_signed_verify,
    ),
    (
        "a_captured_payload_round_trips_with_its_blobs",
        &["payload_and_blobs_deneb_goerli.json.gz"],
        a_captured_payload_round_trips_with_its_blobs,
    ),
];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let is_ci = std::env::var_os("CI").is_some();
    let trials = CASES.map(|(name, files, assert)| {
        let missing =
            files.iter().map(|file| vectors().join("captures").join(file)).find(|path| !path.is_file());
        if let Some(path) = &missing {
            eprintln!("{name}: no {} (set RELAYMUX_VECTORS to the folder of captures)", path.display());
        }
        // CI leaves no case out: there the missing file fails the case when it is read.
        Trial::test(name, move || {
            assert();
            Ok(())
        })
        .with_ignored_flag(missing.is_some() && !is_ci)
    });
    libtest_mimic::run(&arguments, trials.into()).exit_code()
}

/// The folder of vectors, whether or not it is there.
fn vectors() -> PathBuf {
    std::env::var_os("RELAYMUX_VECTORS")
        .map_or_else(|| Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/vectors"), PathBuf::from)
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

/// Hex case is free in the API; compare without it.
fn lower(value: &Value) -> Value {
    serde_json::from_str(&value.to_string().to_lowercase()).unwrap()
}

fn bids_that_relays_really_signed_verify() {
    let folder = vectors();
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

fn registrations_that_validators_really_signed_verify() {
    let folder = vectors();
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

fn a_captured_payload_round_trips_with_its_blobs() {
    let folder = vectors();
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
