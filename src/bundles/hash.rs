//! What identifies a bundle: its hash and its canonical UUID. Sources: go-utils `rpctypes`, rbuilder, FlowProxy; vectors from go-utils.

use alloy_primitives::{Address, B256, Keccak256, keccak256};
use sha2::{Digest, Sha256};
use uuid::{Builder, Uuid};

/// Keccak of the transactions' hashes, one behind the other. It ignores block, times and what may revert: not unique per submission.
pub fn bundle_hash(transactions: &[B256]) -> B256 {
    let mut hasher = Keccak256::new();
    transactions.iter().for_each(|hash| hasher.update(hash));
    hasher.finalize()
}

/// Hash of a `mev_sendBundle`: that of its only element itself, else of all behind each other (rbuilder).
pub fn mev_bundle_hash(elements: &[B256]) -> B256 {
    match elements {
        [one] => *one,
        many => bundle_hash(many),
    }
}

/// What the canonical UUID of version 2 is made of.
#[derive(Clone, Debug, Default)]
pub struct UuidParts {
    /// Block, 0 for the next one.
    pub block: u64,
    /// Earliest timestamp.
    pub min_timestamp: Option<u64>,
    /// Latest timestamp.
    pub max_timestamp: Option<u64>,
    /// The bundle's hash.
    pub bundle_hash: B256,
    /// Transactions that may revert.
    pub reverting: Vec<B256>,
    /// Transactions that may be left out.
    pub dropping: Vec<B256>,
    /// Refund: percent, recipient, transactions it is of.
    pub refund: Option<(u8, Address, Vec<B256>)>,
}

/// The canonical UUID of version 2: SHA-256 of 16 zero bytes and the parts, in the shape of a version 5 UUID.
pub fn bundle_uuid(parts: &UuidParts) -> Uuid {
    let sorted = |hashes: &[B256]| {
        let mut hashes = hashes.to_vec();
        hashes.sort_unstable();
        hashes
    };
    let mut bytes = vec![0_u8; 16];
    for number in [
        parts.block,
        parts.min_timestamp.unwrap_or(0),
        parts.max_timestamp.unwrap_or(u64::MAX),
        parts.reverting.len() as u64,
        parts.dropping.len() as u64,
    ] {
        put_uvarint(&mut bytes, number);
    }
    bytes.extend_from_slice(parts.bundle_hash.as_slice());
    for hash in sorted(&parts.reverting).iter().chain(&sorted(&parts.dropping)) {
        bytes.extend_from_slice(hash.as_slice());
    }
    if let Some((percent, recipient, hashes)) = &parts.refund
        && *percent != 0
    {
        bytes.push(*percent);
        bytes.extend_from_slice(recipient.as_slice());
        put_uvarint(&mut bytes, hashes.len() as u64);
        for hash in sorted(hashes) {
            bytes.extend_from_slice(hash.as_slice());
        }
    }
    shaped(&bytes)
}

/// The UUID that stands for a searcher's own towards builders: two searchers that share our key never share a replacement.
pub fn upstream_uuid(searcher: Address, own: &str) -> Uuid {
    let mut bytes = vec![0_u8; 16];
    bytes.extend_from_slice(keccak256(own).as_slice());
    bytes.extend_from_slice(searcher.as_slice());
    shaped(&bytes)
}

fn shaped(bytes: &[u8]) -> Uuid {
    let digest = Sha256::digest(bytes);
    let mut first = [0_u8; 16];
    first.iter_mut().zip(digest.iter()).for_each(|(to, from)| *to = *from);
    Builder::from_sha1_bytes(first).into_uuid()
}

/// Go's `binary.PutUvarint`.
fn put_uvarint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    bytes.push(number.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_uuid_tells_what_matters_apart() {
        let parts = UuidParts { block: 255, bundle_hash: B256::repeat_byte(9), ..UuidParts::default() };
        let uuid = bundle_uuid(&parts);
        // SHA-256 of 16 zero bytes, varints 255, 0, 2^64-1, 0, 0 and the hash: computed with Python's hashlib.
        assert_eq!(uuid.to_string(), "9c148a4e-276d-550e-9468-b65611e42f72");
        assert_eq!(
            bundle_uuid(&UuidParts {
                min_timestamp: Some(0),
                max_timestamp: Some(u64::MAX),
                ..parts.clone()
            }),
            uuid
        );
        let (a, b) = (B256::repeat_byte(1), B256::repeat_byte(2));
        let reverting = |list: Vec<B256>| bundle_uuid(&UuidParts { reverting: list, ..parts.clone() });
        assert_eq!(reverting(vec![a, b]), reverting(vec![b, a]));
        let others = [
            UuidParts { block: 256, ..parts.clone() },
            UuidParts { reverting: vec![a], ..parts.clone() },
            UuidParts { dropping: vec![a], ..parts.clone() },
            UuidParts { refund: Some((90, Address::ZERO, vec![a])), ..parts.clone() },
        ];
        let uuids: std::collections::BTreeSet<Uuid> = others.iter().map(bundle_uuid).chain([uuid]).collect();
        assert_eq!(uuids.len(), 5);
        assert_eq!(bundle_uuid(&UuidParts { refund: Some((0, Address::ZERO, vec![a])), ..parts }), uuid);
    }

    #[test]
    fn hashes_are_of_hashes() {
        let (a, b) = (B256::repeat_byte(1), B256::repeat_byte(2));
        assert_eq!(bundle_hash(&[a, b]), keccak256([a.as_slice(), b.as_slice()].concat()));
        assert_eq!(mev_bundle_hash(&[a]), a);
        assert_eq!(mev_bundle_hash(&[a, b]), bundle_hash(&[a, b]));
        assert_ne!(bundle_hash(&[a, b]), bundle_hash(&[b, a]));
    }

    #[test]
    fn searchers_do_not_share_replacements() {
        let (a, b) = (Address::repeat_byte(1), Address::repeat_byte(2));
        assert_ne!(upstream_uuid(a, "x"), upstream_uuid(b, "x"));
        assert_ne!(upstream_uuid(a, "x"), upstream_uuid(a, "y"));
        assert_eq!(upstream_uuid(a, "x"), upstream_uuid(a, "x"));
        assert_eq!(upstream_uuid(a, "x").get_version_num(), 5);
    }

    #[test]
    fn varints_are_as_gos() {
        for (number, expected) in [(0, vec![0]), (127, vec![127]), (128, vec![0x80, 1]), (300, vec![0xac, 2])]
        {
            let mut bytes = Vec::new();
            put_uvarint(&mut bytes, number);
            assert_eq!(bytes, expected);
        }
    }
}
