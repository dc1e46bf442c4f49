//! `network`: a known name, a consensus-layer `config.yaml`, or a chain by its genesis.
//!
//! The last is what mev-boost's genesis flags and Commit-Boost's custom chain say. Of the forks it has only the newest: everything before
//! Fulu is taken as long past, and Gloas as not scheduled. Whoever needs more gives the `config.yaml`.

use std::path::Path;

use super::{
    checker::Checker,
    raw::{RawChain, RawNetwork},
};
use crate::{
    consensus::{BlobSchedule, ChainSpec, ForkActivation, Network, PresetName, parse_spec_file},
    types::{Epoch, Fork},
};

/// The chain that the configuration names.
pub(super) fn chain_spec(network: Option<&RawNetwork>, folder: &Path, checker: &mut Checker) -> ChainSpec {
    match network {
        None => Network::Mainnet.spec(),
        Some(RawNetwork::Named(name)) => named(name, folder, checker),
        Some(RawNetwork::Chain(chain)) => by_genesis(chain, checker),
    }
}

fn named(name: &str, folder: &Path, checker: &mut Checker) -> ChainSpec {
    if let Some(network) = Network::ALL.into_iter().find(|network| network.name() == name) {
        return network.spec();
    }
    let path = folder.join(name);
    checker.plain.push(path.clone());
    let read = checker.read(path.clone()).map_err(|error| {
        let names: Vec<_> = Network::ALL.into_iter().map(Network::name).collect();
        let message = format!("`{name}` is no known network, and {}: {error}", path.display());
        (message, format!("write one of {}, or the path of a config.yaml", names.join(", ")))
    });
    let spec = read.and_then(|text| {
        parse_spec_file(&text).map_err(|error| {
            let hint = "give the config.yaml that the consensus client was started with".to_owned();
            (format!("{}: {error}", path.display()), hint)
        })
    });
    spec.unwrap_or_else(|(message, hint)| {
        checker.wrong("network", message, hint);
        Network::Mainnet.spec()
    })
}

fn by_genesis(raw: &RawChain, checker: &mut Checker) -> ChainSpec {
    let missing = "is missing: the chain cannot be told without it";
    let genesis_time = raw.genesis_time.unwrap_or_else(|| {
        checker.wrong("network.genesis_time", missing, "give the start of slot 0 in Unix seconds");
        0
    });
    let version = raw.genesis_fork_version.as_deref();
    let hint = "write 0x and 8 hex digits, as GENESIS_FORK_VERSION of the chain's config.yaml has it";
    let genesis_fork_version = match version.map(parse_fork_version) {
        Some(Some(version)) => version,
        Some(None) => {
            let message = format!("`{}` is no fork version", version.unwrap_or_default());
            checker.wrong("network.genesis_fork_version", message, hint);
            [0; 4]
        }
        None => {
            checker.wrong("network.genesis_fork_version", missing, hint);
            [0; 4]
        }
    };
    let slot_ms = raw.seconds_per_slot.unwrap_or(12).saturating_mul(1000);
    if slot_ms == 0 {
        checker.wrong("network.seconds_per_slot", "a slot is longer than nothing", "12 is the default");
    }
    // Of one shape with the spec files' forks: the versions matter for blocks' signatures only, and are not known here.
    let forks = Fork::ALL.map(|fork| ForkActivation {
        fork,
        epoch: match fork {
            Fork::Bellatrix | Fork::Capella | Fork::Deneb | Fork::Electra => Epoch::new(0),
            Fork::Fulu => Epoch::new(raw.fulu_fork_epoch.unwrap_or(0)),
            Fork::Gloas => Epoch::NEVER,
        },
        version: genesis_fork_version,
    });
    ChainSpec {
        name: raw.name.clone().unwrap_or_else(|| "custom".to_owned()),
        chain_id: raw.chain_id,
        genesis_time,
        slot_ms: slot_ms.max(1000),
        slots_per_epoch: 32,
        genesis_fork_version,
        genesis_validators_root: None,
        other_forks: Vec::new(),
        preset: PresetName::Mainnet,
        forks,
        // Not in the genesis: bids' blobs are not counted.
        blobs: BlobSchedule::default(),
    }
}

/// Four bytes in hex, with or without `0x`.
pub(super) fn parse_fork_version(text: &str) -> Option<[u8; 4]> {
    let text = text.trim();
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    let all_hex = digits.len() == 8 && digits.bytes().all(|b| b.is_ascii_hexdigit());
    all_hex.then(|| u32::from_str_radix(digits, 16).ok()).flatten().map(u32::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fork_versions_are_four_bytes_in_hex() {
        for (text, want) in [
            ("0x10000910", Some([0x10, 0, 9, 0x10])),
            ("0X0000000A", Some([0, 0, 0, 10])),
            ("00000000", Some([0; 4])),
            ("0x1", None),
            ("0x1000091g", None),
            ("+1234567", None),
            ("", None),
        ] {
            assert_eq!(parse_fork_version(text), want, "{text}");
        }
    }
}
