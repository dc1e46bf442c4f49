//! What a beacon node says of its network, read from its JSON: genesis, specification, forks and blob schedule.

use alloy_primitives::hex;
use serde_json::Value;

use crate::{
    consensus::{BlobLimits, NamedFork, ReportedGenesis, ReportedSpec},
    types::{Epoch, Fork, parse_hash},
};

/// End of the keys of a specification that say when a fork starts.
const FORK_EPOCH: &str = "_FORK_EPOCH";
/// Most forks of a specification, and most letters of a name. Arbitrary: there have been some ten in ten years.
const MAX_FORKS: usize = 64;
const MAX_NAME: usize = 32;
/// Most entries of a blob schedule that are read. Arbitrary: there have been three in a year.
const MAX_BLOB_ENTRIES: usize = 256;

/// A number, as a text by the specification, plain from some clients.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

pub(super) fn genesis_from(answer: &Value) -> ReportedGenesis {
    let text = |key: &str| answer.get("data")?.get(key)?.as_str();
    let version = text("genesis_fork_version").and_then(|text| hex::decode(text).ok());
    ReportedGenesis {
        time: answer.get("data").and_then(|data| data.get("genesis_time")).and_then(number),
        fork_version: version.and_then(|bytes| bytes.try_into().ok()),
        validators_root: text("genesis_validators_root").and_then(|text| parse_hash(text).ok()),
    }
}

pub(super) fn spec_from(answer: &Value) -> ReportedSpec {
    let Some(data) = answer.get("data").and_then(Value::as_object) else { return ReportedSpec::default() };
    let value = |key: &str| data.get(key).and_then(number);
    let seconds = value("SECONDS_PER_SLOT").map(|seconds| seconds.saturating_mul(1000));
    let fork = |(key, epoch): (&String, &Value)| {
        let name = key.strip_suffix(FORK_EPOCH).filter(|name| name.len() <= MAX_NAME)?;
        Some(NamedFork { name: name.to_ascii_lowercase(), epoch: Epoch::new(number(epoch)?) })
    };
    let forks: Vec<NamedFork> = data.iter().filter_map(fork).take(MAX_FORKS).collect();
    let entry = |entry: &Value| {
        Some((Epoch::new(number(entry.get("EPOCH")?)?), number(entry.get("MAX_BLOBS_PER_BLOCK")?)?))
    };
    let entries = data.get("BLOB_SCHEDULE").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let limits = BlobLimits {
        deneb: value("MAX_BLOBS_PER_BLOCK"),
        electra: value("MAX_BLOBS_PER_BLOCK_ELECTRA"),
        entries: entries.iter().take(MAX_BLOB_ENTRIES).filter_map(entry).collect(),
    };
    let start = |fork: Fork| forks.iter().find(|f| f.name == fork.name()).map_or(Epoch::NEVER, |f| f.epoch);
    ReportedSpec {
        slot_ms: value("SLOT_DURATION_MS").or(seconds),
        chain_id: value("DEPOSIT_CHAIN_ID"),
        blobs: limits.schedule(start),
        forks,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::consensus::BlobSchedule;

    #[test]
    fn genesis_and_specification_are_read_in_every_clients_way() {
        let root = format!("0x{}", "4b".repeat(32));
        let answer = json!({ "data": { "genesis_time": "1606824023", "genesis_fork_version": "0x00000000",
            "genesis_validators_root": root } });
        let genesis = genesis_from(&answer);
        assert_eq!((genesis.time, genesis.fork_version), (Some(1_606_824_023), Some([0; 4])));
        assert_eq!(genesis.validators_root.map(|root| root.0), Some([0x4b; 32]));
        assert_eq!(genesis_from(&json!({ "data": 5 })), ReportedGenesis::default());
        let answer = json!({ "data": { "SECONDS_PER_SLOT": "12", "DEPOSIT_CHAIN_ID": 1, "BLOB_SCHEDULE": [],
            "GLOAS_FORK_EPOCH": "77", "HEZE_FORK_EPOCH": u64::MAX, "FULU_FORK_VERSION": "0x06000000" } });
        let spec = spec_from(&answer);
        assert_eq!((spec.slot_ms, spec.chain_id), (Some(12_000), Some(1)));
        let forks: Vec<_> = spec.forks.iter().map(|fork| (fork.name.as_str(), fork.epoch.as_u64())).collect();
        assert_eq!(forks, [("gloas", 77), ("heze", u64::MAX)]);
        assert_eq!(spec_from(&json!([])), ReportedSpec::default());
    }

    #[test]
    fn the_nodes_blob_schedule_is_read() {
        let answer = json!({ "data": { "DENEB_FORK_EPOCH": "10", "ELECTRA_FORK_EPOCH": "20", "FULU_FORK_EPOCH": "30",
            "MAX_BLOBS_PER_BLOCK": "6", "MAX_BLOBS_PER_BLOCK_ELECTRA": 9, "BLOB_SCHEDULE": [
                { "EPOCH": "40", "MAX_BLOBS_PER_BLOCK": "21" }, { "EPOCH": 25, "MAX_BLOBS_PER_BLOCK": 15 },
                { "EPOCH": "x" }, 7,
            ] } });
        let blobs = spec_from(&answer).blobs;
        for (epoch, max) in [(9, None), (10, Some(6)), (29, Some(9)), (30, Some(15)), (40, Some(21))] {
            assert_eq!(blobs.max_at(Epoch::new(epoch)), max, "{epoch}");
        }
        // A limit of a fork that the node does not know of says nothing.
        let partial = json!({ "data": { "MAX_BLOBS_PER_BLOCK": "6", "BLOB_SCHEDULE": "none" } });
        assert_eq!(spec_from(&partial).blobs, BlobSchedule::default());
    }
}
