//! Signing domains and roots. Source: consensus-specs `compute_domain`, `compute_signing_root`; builder-specs `DOMAIN_APPLICATION_BUILDER`.

use alloy_primitives::B256;
use sha2::{Digest, Sha256};

/// 4 bytes of domain type, 28 bytes of fork data root.
pub type Domain = B256;

const DOMAIN_BEACON_PROPOSER: [u8; 4] = [0, 0, 0, 0];
const DOMAIN_APPLICATION_BUILDER: [u8; 4] = [0, 0, 0, 1];

/// The domain of registrations and builder bids: genesis fork version and a zero validators root, whatever the fork.
pub fn builder_domain(genesis_fork_version: [u8; 4]) -> Domain {
    compute_domain(DOMAIN_APPLICATION_BUILDER, genesis_fork_version, B256::ZERO)
}

/// The domain of (blinded) beacon blocks.
pub fn proposer_domain(fork_version: [u8; 4], genesis_validators_root: B256) -> Domain {
    compute_domain(DOMAIN_BEACON_PROPOSER, fork_version, genesis_validators_root)
}

/// What a BLS key signs: the root of `{object_root, domain}`.
pub fn signing_root(object_root: B256, domain: Domain) -> B256 {
    hash_pair(object_root, domain)
}

fn compute_domain(domain_type: [u8; 4], fork_version: [u8; 4], root: B256) -> Domain {
    let mut version = B256::ZERO;
    version.0.iter_mut().zip(fork_version).for_each(|(to, from)| *to = from);
    let fork_data_root = hash_pair(version, root);
    let mut domain = B256::ZERO;
    let bytes = domain_type.into_iter().chain(fork_data_root.0);
    domain.0.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
    domain
}

fn hash_pair(left: B256, right: B256) -> B256 {
    let mut hasher = Sha256::new();
    hasher.update(left);
    hasher.update(right);
    B256::from(<[u8; 32]>::from(hasher.finalize()))
}

#[cfg(test)]
mod tests {
    use alloy_primitives::b256;

    use super::*;
    use crate::{consensus::Network, types::Fork};

    #[test]
    fn domains_are_those_of_the_networks() {
        for (network, domain) in [
            (Network::Mainnet, b256!("00000001f5a5fd42d16a20302798ef6ed309979b43003d2320d9f0e8ea9831a9")),
            (Network::Hoodi, b256!("00000001719103511efa4f1362ff2a50996cccf329cc84cb410c5e5c7d351d03")),
            (Network::Sepolia, b256!("00000001d3010778cd08ee514b08fe67b6c503b510987a4ce43f42306d97c67c")),
            (Network::Holesky, b256!("000000015b83a23759c560b2d0c64576e1dcfc34ea94c4988f3e0d9f77f05387")),
        ] {
            assert_eq!(network.spec().builder_domain(), domain, "{}", network.name());
        }
        let mainnet = Network::Mainnet.spec();
        let root = mainnet.genesis_validators_root.unwrap();
        assert_eq!(
            proposer_domain(mainnet.fork_version(Fork::Fulu), root),
            b256!("0000000082fae541f8a3db43adb5e7997ac5f562cf682ce6bc41b8ec28ba1a07")
        );
    }
}
