//! What a beacon node says of its chain, and whether that is the configured one. Pure.

use std::fmt;

use alloy_primitives::{B256, hex};

use super::{BlobSchedule, ChainSpec, NamedFork, Network};

/// A node's `/eth/v1/beacon/genesis`, as far as it says it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReportedGenesis {
    /// Start of slot 0, Unix seconds.
    pub time: Option<u64>,
    /// Fork version at genesis.
    pub fork_version: Option<[u8; 4]>,
    /// Root of the genesis validators.
    pub validators_root: Option<B256>,
}

/// A node's `/eth/v1/config/spec`, as far as it says it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReportedSpec {
    /// Length of a slot in milliseconds.
    pub slot_ms: Option<u64>,
    /// Number of the execution chain.
    pub chain_id: Option<u64>,
    /// Every fork it has an epoch for.
    pub forks: Vec<NamedFork>,
    /// How many blobs a block may have.
    pub blobs: BlobSchedule,
}

/// In what a node's chain is another than the configured one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkMismatch {
    /// The configured network's name.
    pub expected: String,
    /// The node's network, where it has a name.
    pub got: Option<&'static str>,
    /// What differs, with both sides.
    pub difference: String,
}

impl fmt::Display for NetworkMismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let got = self.got.unwrap_or("another network");
        write!(f, "a node of {got}, the configured network is {}: {}", self.expected, self.difference)
    }
}

impl ChainSpec {
    /// Whether a node's genesis shows that it is of this chain: it says the time and the fork version, and nothing that it says differs.
    pub fn is_shown_by(&self, reported: &ReportedGenesis) -> bool {
        let ReportedGenesis { time, fork_version, .. } = *reported;
        time == Some(self.genesis_time)
            && fork_version == Some(self.genesis_fork_version)
            && self.genesis_mismatch(reported).is_none()
    }

    /// In what a node's genesis differs from this chain's; `None` where nothing that both know differs.
    pub fn genesis_mismatch(&self, reported: &ReportedGenesis) -> Option<NetworkMismatch> {
        let ReportedGenesis { time, fork_version, validators_root } = *reported;
        let named = Network::ALL.into_iter().find(|network| {
            let spec = network.spec();
            validators_root.is_some() && validators_root == spec.genesis_validators_root
        });
        let version = |version: [u8; 4]| hex::encode_prefixed(version);
        let difference = match (self.genesis_validators_root, validators_root, fork_version, time) {
            (Some(ours), Some(theirs), _, _) if ours != theirs => {
                format!("its genesis validators root is {theirs}, expected {ours}")
            }
            (_, _, Some(theirs), _) if theirs != self.genesis_fork_version => {
                let ours = version(self.genesis_fork_version);
                format!("its genesis fork version is {}, expected {ours}", version(theirs))
            }
            (_, _, _, Some(theirs)) if theirs != self.genesis_time => {
                format!("its genesis was at {theirs} (Unix time), expected {}", self.genesis_time)
            }
            (_, _, _, _) => return None,
        };
        Some(NetworkMismatch { expected: self.name.clone(), got: named.map(Network::name), difference })
    }

    /// In what a node's specification differs from this chain's; `None` where nothing that both know differs.
    pub fn spec_mismatch(&self, reported: &ReportedSpec) -> Option<NetworkMismatch> {
        let ReportedSpec { slot_ms, chain_id, .. } = reported;
        let difference = match (slot_ms, chain_id, self.chain_id) {
            (Some(theirs), _, _) if *theirs != self.slot_ms => {
                format!("its slots last {theirs} ms, expected {}", self.slot_ms)
            }
            (_, Some(theirs), Some(ours)) if *theirs != ours => {
                format!("its execution chain is number {theirs}, expected {ours}")
            }
            (_, _, _) => return None,
        };
        Some(NetworkMismatch { expected: self.name.clone(), got: None, difference })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn genesis_of(network: Network) -> ReportedGenesis {
        let spec = network.spec();
        ReportedGenesis {
            time: Some(spec.genesis_time),
            fork_version: Some(spec.genesis_fork_version),
            validators_root: spec.genesis_validators_root,
        }
    }

    #[test]
    fn every_network_is_itself_and_no_other() {
        for ours in Network::ALL {
            for theirs in Network::ALL {
                let found = ours.spec().genesis_mismatch(&genesis_of(theirs));
                assert_eq!(found.is_none(), ours == theirs, "{ours:?} {theirs:?}");
                assert_eq!(ours.spec().is_shown_by(&genesis_of(theirs)), ours == theirs);
                if let Some(found) = found {
                    assert_eq!(found.got, Some(theirs.name()));
                }
            }
        }
    }

    #[test]
    fn what_is_not_said_differs_from_nothing() {
        let spec = Network::Mainnet.spec();
        assert_eq!(spec.genesis_mismatch(&ReportedGenesis::default()), None);
        let silent = ReportedGenesis { time: None, ..genesis_of(Network::Mainnet) };
        assert!(!spec.is_shown_by(&ReportedGenesis::default()) && !spec.is_shown_by(&silent));
        assert_eq!(spec.spec_mismatch(&ReportedSpec::default()), None);
        let mut custom = spec;
        custom.genesis_validators_root = None;
        assert_eq!(custom.genesis_mismatch(&genesis_of(Network::Mainnet)), None);
        let later = ReportedGenesis { time: Some(1), ..genesis_of(Network::Mainnet) };
        let said = custom.genesis_mismatch(&later).unwrap().to_string();
        assert!(said.contains("genesis was at 1 ") && said.contains("expected 1606824023"), "{said}");
        let said = custom.genesis_mismatch(&genesis_of(Network::Hoodi)).unwrap().to_string();
        assert!(said.starts_with("a node of hoodi, the configured network is mainnet"), "{said}");
    }

    #[test]
    fn slots_and_execution_chain_are_compared_too() {
        let spec = Network::Hoodi.spec();
        for (reported, message) in [
            (ReportedSpec { slot_ms: Some(6000), ..ReportedSpec::default() }, "slots last 6000 ms"),
            (ReportedSpec { chain_id: Some(1), ..ReportedSpec::default() }, "number 1, expected 560048"),
        ] {
            let said = spec.spec_mismatch(&reported).unwrap().to_string();
            assert!(said.contains(message), "{said}");
        }
        let same = ReportedSpec { slot_ms: Some(12_000), chain_id: Some(560_048), ..ReportedSpec::default() };
        assert_eq!(spec.spec_mismatch(&same), None);
    }
}
