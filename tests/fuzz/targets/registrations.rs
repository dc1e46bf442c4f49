//! Lists of validators' registrations.

use relaymux::consensus::{Encoding, json_from_ssz, split_json, ssz_from_json, visit_json, visit_ssz};

use super::fate::{Fate, assert_bounded};
use crate::corpus::{self, Seed};

/// Lists of one to three: the fixtures' registrations are single, or a list already.
pub(crate) fn seeds() -> Vec<Seed> {
    let mut all = corpus::seeds("signed_validator_registrations");
    for seed in corpus::seeds("signed_validator_registration") {
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

pub(crate) fn check(encoding: Encoding, bytes: &[u8]) -> Fate {
    let mut seen = Vec::new();
    let see = |signed: &_| seen.push(Clone::clone(signed));
    let count = match encoding {
        Encoding::Json => visit_json(bytes, see),
        Encoding::Ssz => visit_ssz(bytes, see),
    };
    // Cuts are made before anything is read: they must not lose what reads.
    let parts = split_json(bytes, 2);
    let Ok(count) = count else { return Fate::Refused };
    assert_eq!(count, seen.len());
    let (ssz, json) = match encoding {
        Encoding::Json => (ssz_from_json(bytes).unwrap(), bytes.to_vec()),
        Encoding::Ssz => (bytes.to_vec(), json_from_ssz(bytes).unwrap()),
    };
    assert_bounded(bytes, &ssz);
    assert_bounded(bytes, &json);
    let mut again = Vec::new();
    visit_ssz(&ssz, |signed| again.push(signed.clone())).unwrap();
    assert_eq!(again, seen);
    assert_eq!(ssz_from_json(&json_from_ssz(&ssz).unwrap()).unwrap(), ssz);
    if encoding == Encoding::Json {
        let cut: Vec<u8> = parts.unwrap().iter().flat_map(|part| ssz_from_json(part).unwrap()).collect();
        assert_eq!(cut, ssz);
    }
    Fate::Decoded
}
