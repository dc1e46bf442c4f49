//! A custom chain spec: a consensus-layer `config.yaml`.
//!
//! Unknown keys are ignored, as consensus clients do; a fork that is not named, or whose epoch is 2^64-1, never happens.

use alloy_primitives::{B256, hex};
use serde::Deserialize;

use super::{BlobLimits, BlobSchedule, ChainSpec, ForkActivation, NamedFork, PresetName};
use crate::types::{Epoch, Fork};

/// End of the keys that say when a fork starts.
const FORK_EPOCH: &str = "_FORK_EPOCH";

/// Why a text is not a chain spec.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecFileError {
    /// Not YAML of that shape.
    #[error("not a consensus-layer config.yaml: {0}")]
    Yaml(String),
    /// A key that is needed is not there.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A value that does not parse.
    #[error("{key} is `{value}`, expected {expected}")]
    Value {
        /// The key of the `config.yaml`.
        key: &'static str,
        /// The text that stands there.
        value: String,
        /// What the key's value should be, such as a number.
        expected: &'static str,
    },
}

/// The keys that matter here. All are read as text: YAML would read a fork version as a number.
#[derive(Deserialize, Default)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", default)]
struct RawSpec {
    config_name: Option<String>,
    deposit_chain_id: Option<String>,
    preset_base: Option<String>,
    min_genesis_time: Option<String>,
    genesis_delay: Option<String>,
    genesis_time: Option<String>,
    genesis_fork_version: Option<String>,
    genesis_validators_root: Option<String>,
    seconds_per_slot: Option<String>,
    slot_duration_ms: Option<String>,
    bellatrix_fork_epoch: Option<String>,
    bellatrix_fork_version: Option<String>,
    capella_fork_epoch: Option<String>,
    capella_fork_version: Option<String>,
    deneb_fork_epoch: Option<String>,
    deneb_fork_version: Option<String>,
    electra_fork_epoch: Option<String>,
    electra_fork_version: Option<String>,
    fulu_fork_epoch: Option<String>,
    fulu_fork_version: Option<String>,
    gloas_fork_epoch: Option<String>,
    gloas_fork_version: Option<String>,
    max_blobs_per_block: Option<String>,
    max_blobs_per_block_electra: Option<String>,
    blob_schedule: Option<Vec<RawBlobLimit>>,
}

/// An entry of `BLOB_SCHEDULE`.
#[derive(Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
struct RawBlobLimit {
    epoch: String,
    max_blobs_per_block: String,
}

/// Parses a `config.yaml`.
///
/// # Errors
/// When it is not YAML, or a needed value is missing or malformed.
pub fn parse_spec_file(text: &str) -> Result<ChainSpec, SpecFileError> {
    let raw: RawSpec = serde_saphyr::from_str(text)
        .map_err(|e| SpecFileError::Yaml(e.to_string().lines().next().unwrap_or_default().to_owned()))?;
    let preset = match raw.preset_base.as_deref() {
        None | Some("mainnet") => PresetName::Mainnet,
        Some("minimal") => PresetName::Minimal,
        Some(other) => return Err(bad("PRESET_BASE", other, "mainnet or minimal")),
    };
    let (genesis_time, slot_ms) = (genesis_time(&raw)?, slot_ms(&raw)?);
    let genesis = raw.genesis_fork_version.as_ref().ok_or(SpecFileError::Missing("GENESIS_FORK_VERSION"))?;
    let genesis_fork_version = version("GENESIS_FORK_VERSION", genesis)?;
    let forks = activations(&raw, genesis_fork_version)?;
    let root =
        raw.genesis_validators_root.as_ref().map(|text| root("GENESIS_VALIDATORS_ROOT", text)).transpose()?;
    let chain_id = raw.deposit_chain_id.as_ref().map(|text| number("DEPOSIT_CHAIN_ID", text)).transpose()?;
    let blobs = blob_schedule(&raw, &forks)?;
    Ok(ChainSpec {
        name: raw.config_name.unwrap_or_else(|| "custom".to_owned()),
        chain_id,
        genesis_time,
        slot_ms,
        slots_per_epoch: match preset {
            PresetName::Mainnet => 32,
            PresetName::Minimal => 8,
        },
        genesis_fork_version,
        genesis_validators_root: root,
        preset,
        blobs,
        forks,
        other_forks: other_forks(text),
    })
}

fn genesis_time(raw: &RawSpec) -> Result<u64, SpecFileError> {
    if let Some(time) = &raw.genesis_time {
        return number("GENESIS_TIME", time);
    }
    let min =
        raw.min_genesis_time.as_ref().ok_or(SpecFileError::Missing("GENESIS_TIME or MIN_GENESIS_TIME"))?;
    let delay = raw.genesis_delay.as_ref().ok_or(SpecFileError::Missing("GENESIS_DELAY"))?;
    Ok(number("MIN_GENESIS_TIME", min)?.saturating_add(number("GENESIS_DELAY", delay)?))
}

fn slot_ms(raw: &RawSpec) -> Result<u64, SpecFileError> {
    let slot_ms = match (&raw.slot_duration_ms, &raw.seconds_per_slot) {
        (Some(ms), _) => number("SLOT_DURATION_MS", ms)?,
        (None, Some(secs)) => number("SECONDS_PER_SLOT", secs)?.saturating_mul(1000),
        (None, None) => return Err(SpecFileError::Missing("SECONDS_PER_SLOT or SLOT_DURATION_MS")),
    };
    if slot_ms == 0 {
        return Err(bad("SECONDS_PER_SLOT", "0", "a slot longer than nothing"));
    }
    Ok(slot_ms)
}

/// When each fork begins and what it signs under. One without an epoch never begins; one without a version has genesis's.
fn activations(raw: &RawSpec, genesis_version: [u8; 4]) -> Result<[ForkActivation; 6], SpecFileError> {
    let activation = |fork,
                      (epoch_key, epoch): (&'static str, &Option<String>),
                      (version_key, at): (&'static str, &Option<String>)|
     -> Result<ForkActivation, SpecFileError> {
        let epoch = epoch.as_ref().map_or(Ok(u64::MAX), |text| number(epoch_key, text))?;
        let version = at.as_ref().map_or(Ok(genesis_version), |text| version(version_key, text))?;
        Ok(ForkActivation { fork, epoch: Epoch::new(epoch), version })
    };
    Ok([
        activation(
            Fork::Bellatrix,
            ("BELLATRIX_FORK_EPOCH", &raw.bellatrix_fork_epoch),
            ("BELLATRIX_FORK_VERSION", &raw.bellatrix_fork_version),
        )?,
        activation(
            Fork::Capella,
            ("CAPELLA_FORK_EPOCH", &raw.capella_fork_epoch),
            ("CAPELLA_FORK_VERSION", &raw.capella_fork_version),
        )?,
        activation(
            Fork::Deneb,
            ("DENEB_FORK_EPOCH", &raw.deneb_fork_epoch),
            ("DENEB_FORK_VERSION", &raw.deneb_fork_version),
        )?,
        activation(
            Fork::Electra,
            ("ELECTRA_FORK_EPOCH", &raw.electra_fork_epoch),
            ("ELECTRA_FORK_VERSION", &raw.electra_fork_version),
        )?,
        activation(
            Fork::Fulu,
            ("FULU_FORK_EPOCH", &raw.fulu_fork_epoch),
            ("FULU_FORK_VERSION", &raw.fulu_fork_version),
        )?,
        activation(
            Fork::Gloas,
            ("GLOAS_FORK_EPOCH", &raw.gloas_fork_epoch),
            ("GLOAS_FORK_VERSION", &raw.gloas_fork_version),
        )?,
    ])
}

/// Forks of the file that are not in [`Fork::ALL`] and have an epoch. Read by line: the file is a list of keys, its other values are of
/// every type, and what is not understood here is a fork that is not warned of, no reason to refuse the file.
fn other_forks(text: &str) -> Vec<NamedFork> {
    let fork = |line: &str| {
        let (key, value) = line.split_once(':')?;
        let name = key.strip_suffix(FORK_EPOCH)?.to_ascii_lowercase();
        let value = value.split('#').next()?.trim().trim_matches(['\'', '"']);
        let epoch = Epoch::new(value.parse().ok()?);
        let is_known = Fork::ALL.iter().any(|fork| fork.name() == name) || name == "altair";
        (!is_known && epoch != Epoch::NEVER).then_some(NamedFork { name, epoch })
    };
    text.lines().filter_map(fork).collect()
}

fn blob_schedule(raw: &RawSpec, forks: &[ForkActivation]) -> Result<BlobSchedule, SpecFileError> {
    let limit = |key, text: &Option<String>| text.as_deref().map(|text| number(key, text)).transpose();
    let mut limits = BlobLimits {
        deneb: limit("MAX_BLOBS_PER_BLOCK", &raw.max_blobs_per_block)?,
        electra: limit("MAX_BLOBS_PER_BLOCK_ELECTRA", &raw.max_blobs_per_block_electra)?,
        entries: Vec::new(),
    };
    for entry in raw.blob_schedule.iter().flatten() {
        let epoch = number("EPOCH of BLOB_SCHEDULE", &entry.epoch)?;
        let max = number("MAX_BLOBS_PER_BLOCK of BLOB_SCHEDULE", &entry.max_blobs_per_block)?;
        limits.entries.push((Epoch::new(epoch), max));
    }
    Ok(limits.schedule(|fork| forks.iter().find(|f| f.fork == fork).map_or(Epoch::NEVER, |f| f.epoch)))
}

fn bad(key: &'static str, value: &str, expected: &'static str) -> SpecFileError {
    SpecFileError::Value { key, value: value.chars().take(80).collect(), expected }
}

fn number(key: &'static str, text: &str) -> Result<u64, SpecFileError> {
    text.trim().parse().map_err(|_| bad(key, text, "a whole number"))
}

fn version(key: &'static str, text: &str) -> Result<[u8; 4], SpecFileError> {
    let bytes = text.strip_prefix("0x").and_then(|digits| hex::decode(digits).ok());
    bytes.and_then(|b| b.try_into().ok()).ok_or_else(|| bad(key, text, "0x and 8 hex digits"))
}

fn root(key: &'static str, text: &str) -> Result<B256, SpecFileError> {
    crate::types::parse_hash(text).map_err(|_| bad(key, text, "0x and 64 hex digits"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Slot;

    const SPEC: &str = "\
PRESET_BASE: 'minimal'
CONFIG_NAME: devnet # a comment
MIN_GENESIS_TIME: 1700000000
GENESIS_DELAY: 5
GENESIS_FORK_VERSION: 0x00000001
SECONDS_PER_SLOT: 2
ALTAIR_FORK_EPOCH: 0
BELLATRIX_FORK_EPOCH: 0
BELLATRIX_FORK_VERSION: 0x02000001
CAPELLA_FORK_EPOCH: 1
CAPELLA_FORK_VERSION: '0x03000001'
DENEB_FORK_EPOCH: 18446744073709551615
DENEB_FORK_VERSION: 0x04000001
DEPOSIT_CONTRACT_ADDRESS: 0x1234567890123456789012345678901234567890
TERMINAL_TOTAL_DIFFICULTY: 115792089237316195423570985008687907853269984665640564039457584007913129638912
TERMINAL_BLOCK_HASH: 0x0000000000000000000000000000000000000000000000000000000000000000
REORG_HEAD_WEIGHT_THRESHOLD: 20
ATTESTATION_PROPAGATION_SLOT_RANGE: 32
MESSAGE_DOMAIN_INVALID_SNAPPY: 0x00000000
BLOB_SCHEDULE:
  - EPOCH: 0
    MAX_BLOBS_PER_BLOCK: 9
";

    #[test]
    fn a_devnet_spec_is_read() {
        let spec = parse_spec_file(SPEC).unwrap();
        assert_eq!((spec.genesis_time, spec.slot_ms, spec.slots_per_epoch), (1_700_000_005, 2000, 8));
        assert_eq!(spec.genesis_fork_version, [0, 0, 0, 1]);
        assert_eq!(spec.fork_version(Fork::Capella), [3, 0, 0, 1]);
        assert_eq!(spec.fork_at(Slot::new(7)), Fork::Bellatrix);
        assert_eq!(spec.fork_at(Slot::new(8)), Fork::Capella);
        assert_eq!(spec.fork_at(Slot::new(1 << 60)), Fork::Capella);
        assert_eq!(spec.name, "devnet");
    }

    #[test]
    fn forks_nobody_here_has_heard_of_are_kept_if_they_are_scheduled() {
        let text = format!(
            "{SPEC}HEZE_FORK_EPOCH: 77 # soon\nEIP7805_FORK_EPOCH: 18446744073709551615\nX_FORK_EPOCH: y\n"
        );
        let spec = parse_spec_file(&text).unwrap();
        assert_eq!(spec.other_forks, [NamedFork { name: "heze".to_owned(), epoch: Epoch::new(77) }]);
    }

    #[test]
    fn blob_limits_are_read_and_a_schedule_does_not_count_before_fulu() {
        let text = SPEC.replace("DENEB_FORK_EPOCH: 18446744073709551615", "DENEB_FORK_EPOCH: 2")
            + "ELECTRA_FORK_EPOCH: 3\nFULU_FORK_EPOCH: 5\nMAX_BLOBS_PER_BLOCK: 6\nMAX_BLOBS_PER_BLOCK_ELECTRA: 7\n";
        let text = text.replace(
            "  - EPOCH: 0\n    MAX_BLOBS_PER_BLOCK: 9\n",
            "  - EPOCH: 8\n    MAX_BLOBS_PER_BLOCK: 15\n  - EPOCH: 0\n    MAX_BLOBS_PER_BLOCK: 9\n",
        );
        let spec = parse_spec_file(&text).unwrap();
        for (epoch, max) in [(1, None), (2, Some(6)), (4, Some(7)), (5, Some(9)), (8, Some(15))] {
            assert_eq!(spec.blobs.max_at(Epoch::new(epoch)), max, "{epoch}");
        }
        // Without Fulu there is no schedule; without limits, no check.
        assert_eq!(parse_spec_file(SPEC).unwrap().blobs.max_at(Epoch::new(9)), None);
    }

    #[test]
    fn genesis_time_goes_before_the_minimum() {
        let spec = parse_spec_file(&format!("{SPEC}GENESIS_TIME: 1800000000\n")).unwrap();
        assert_eq!(spec.genesis_time, 1_800_000_000);
    }

    #[test]
    fn mistakes_name_their_key() {
        for (from, to, said) in [
            ("SECONDS_PER_SLOT: 2", "SECONDS_PER_SLOT: two", "SECONDS_PER_SLOT"),
            ("SECONDS_PER_SLOT: 2", "X: 2", "SECONDS_PER_SLOT"),
            ("GENESIS_FORK_VERSION: 0x00000001", "GENESIS_FORK_VERSION: 0x01", "GENESIS_FORK_VERSION"),
            ("'minimal'", "'gnosis'", "PRESET_BASE"),
            ("MIN_GENESIS_TIME: 1700000000", "A: 1", "GENESIS_TIME"),
        ] {
            let error = parse_spec_file(&SPEC.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
        }
        assert!(matches!(parse_spec_file("- a\n- b"), Err(SpecFileError::Yaml(_))));
    }
}
