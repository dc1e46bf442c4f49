//! Which chain mev-boost's network flags mean. It is that chain or none: an answer for another one is a slot lost for every block.

use toml::{Table, Value};

use super::ImportError;
use crate::{config::chain::parse_fork_version, consensus::Network};

/// What was said about the chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct GenesisFlags {
    /// `-sepolia`, `-holesky` or `-hoodi`; `-mainnet` is what no flag means.
    pub(super) named: Vec<&'static str>,
    /// `-genesis-fork-version`
    pub(super) fork_version: Option<String>,
    /// `-genesis-timestamp`; mev-boost's example of an environment file has -1 for "none".
    pub(super) timestamp: Option<String>,
    /// `SLOT_SEC`
    pub(super) slot_secs: Option<String>,
}

type Refused<T> = Result<T, ImportError>;

fn refuse<T>(what: &str, reason: String) -> Refused<T> {
    Err(ImportError::Value { what: what.to_owned(), reason })
}

/// The value of `network`, and what is to be said about it.
pub(super) fn network(flags: &GenesisFlags) -> Refused<(Value, Option<String>)> {
    let named = match flags.named.as_slice() {
        [] => None,
        [name] => Network::ALL.into_iter().find(|network| network.name() == *name),
        [..] => return refuse(&flags.named.join(", "), "more than one network is named".to_owned()),
    };
    let (timestamp, slot_secs) = (flags.timestamp()?, flags.slot_secs()?);
    let Some(text) = &flags.fork_version else {
        let network = public_network(named.unwrap_or(Network::Mainnet), timestamp, slot_secs)?;
        return Ok((Value::from(network.name()), None));
    };
    let Some(version) = parse_fork_version(text) else {
        return refuse("-genesis-fork-version", format!("`{text}` is not 0x and 8 hex digits"));
    };
    if let Some(network) = named
        && network.spec().genesis_fork_version != version
    {
        let reason = format!("{text} is not {}'s: two chains are named", network.name());
        return refuse("-genesis-fork-version", reason);
    }
    let known = Network::ALL.into_iter().find(|network| {
        let spec = network.spec();
        spec.genesis_fork_version == version
            && timestamp.is_none_or(|seconds| seconds == spec.genesis_time)
            && has_usual_slots(slot_secs)
    });
    if let Some(network) = known {
        return Ok((Value::from(network.name()), None));
    }
    let Some(timestamp) = timestamp.and_then(|seconds| i64::try_from(seconds).ok()) else {
        let reason = format!(
            "{text} is no known network's, and without -genesis-timestamp its slots cannot be told. {SPEC_HINT}"
        );
        return refuse("-genesis-fork-version", reason);
    };
    Ok((Value::Table(own_chain(version, timestamp, slot_secs)), Some(OWN_CHAIN_NOTE.to_owned())))
}

impl GenesisFlags {
    fn timestamp(&self) -> Refused<Option<u64>> {
        let Some(text) = self.timestamp.as_deref().filter(|text| *text != "-1") else { return Ok(None) };
        match text.parse() {
            Ok(seconds) => Ok(Some(seconds)),
            Err(_) => refuse("-genesis-timestamp", format!("`{text}` is no time in Unix seconds")),
        }
    }

    fn slot_secs(&self) -> Refused<Option<u64>> {
        let Some(text) = self.slot_secs.as_deref() else { return Ok(None) };
        match text.parse() {
            Ok(seconds @ 1..=3600) => Ok(Some(seconds)),
            Ok(_) | Err(_) => refuse("SLOT_SEC", format!("`{text}` is no length of a slot in seconds")),
        }
    }
}

fn has_usual_slots(slot_secs: Option<u64>) -> bool {
    slot_secs.is_none_or(|seconds| seconds == 12)
}

/// A public network, unless a flag says what is not so of it.
fn public_network(network: Network, timestamp: Option<u64>, slot_secs: Option<u64>) -> Refused<Network> {
    if timestamp.is_some_and(|seconds| seconds != network.spec().genesis_time) {
        let reason = format!(
            "is not {}'s: a chain of its own needs -genesis-fork-version, too. {SPEC_HINT}",
            network.name()
        );
        return refuse("-genesis-timestamp", reason);
    }
    if !has_usual_slots(slot_secs) {
        return refuse("SLOT_SEC", format!("{} has slots of 12 seconds. {SPEC_HINT}", network.name()));
    }
    Ok(network)
}

fn own_chain(version: [u8; 4], timestamp: i64, slot_secs: Option<u64>) -> Table {
    let mut chain = Table::new();
    chain.insert("genesis_time".to_owned(), Value::from(timestamp));
    chain.insert(
        "genesis_fork_version".to_owned(),
        Value::from(format!("{:#010x}", u32::from_be_bytes(version))),
    );
    let slot_secs = i64::try_from(slot_secs.unwrap_or(12)).unwrap_or(12);
    chain.insert("seconds_per_slot".to_owned(), Value::from(slot_secs));
    chain
}

const OWN_CHAIN_NOTE: &str = "a chain of its own by its genesis: it is taken to be at Fulu since its start. Where it is not, name its config.yaml in \
     `network` (or RELAYMUX_NETWORK)";

const SPEC_HINT: &str =
    "Name the chain's config.yaml: RELAYMUX_NETWORK=/path/config.yaml, or `network` in a relays.toml";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_flags_mean_that_chain_or_none() {
        let chain = |time: i64, version: &str, secs: i64| {
            toml::from_str::<Table>(&format!(
                "genesis_time = {time}\ngenesis_fork_version = \"{version}\"\nseconds_per_slot = {secs}"
            ))
            .map(Value::Table)
            .unwrap()
        };
        let flags = |named: &[&'static str], version: &str, timestamp: &str, slot: &str| {
            let some = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
            let (fork_version, timestamp, slot_secs) = (some(version), some(timestamp), some(slot));
            GenesisFlags { named: named.to_vec(), fork_version, timestamp, slot_secs }
        };
        for (case, want) in [
            (flags(&[], "", "", ""), Some(Value::from("mainnet"))),
            (flags(&["hoodi"], "", "-1", "12"), Some(Value::from("hoodi"))),
            (flags(&[], "0x10000910", "", ""), Some(Value::from("hoodi"))),
            (flags(&["hoodi"], "0x10000910", "1742213400", ""), Some(Value::from("hoodi"))),
            (flags(&[], "0x00000000", "", ""), Some(Value::from("mainnet"))),
            (flags(&[], "0x10000038", "1700000000", ""), Some(chain(1_700_000_000, "0x10000038", 12))),
            (flags(&[], "0x10000038", "1700000000", "2"), Some(chain(1_700_000_000, "0x10000038", 2))),
            // A development chain that kept mainnet's version is not mainnet.
            (flags(&[], "0x00000000", "1700000000", ""), Some(chain(1_700_000_000, "0x00000000", 12))),
            (flags(&[], "0x10000038", "", ""), None),
            (flags(&[], "0x10000038", "-1", ""), None),
            (flags(&[], "", "1700000000", ""), None),
            (flags(&["sepolia"], "0x10000910", "", ""), None),
            (flags(&[], "0x1000", "1700000000", ""), None),
            (flags(&[], "0x10000038", "soon", ""), None),
            (flags(&[], "", "", "2"), None),
            (flags(&[], "0x10000038", "1700000000", "0"), None),
            (flags(&["sepolia", "hoodi"], "", "", ""), None),
        ] {
            assert_eq!(network(&case).ok().map(|(value, _)| value), want, "{case:?}");
        }
    }
}
