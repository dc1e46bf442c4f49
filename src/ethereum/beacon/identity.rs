//! Whether a beacon node is of the configured network, and how well it is: what decides whether its other answers are used.
//!
//! A node of another network answers every question plausibly, with that network's slots. So each question first asks whether the node
//! is believed; [`BeaconNode::verify_network`] finds out anew, and whoever keeps the node under watch calls it now and then, because
//! another node may be put under the same address at any time.

use alloy_primitives::hex;
use parking_lot::Mutex;
use reqwest::header::{AGE, DATE, HeaderMap, HeaderName};
use serde_json::Value;

use super::{BeaconNode, NodeError, send};
use crate::{
    consensus::{
        BlobLimits, ChainSpec, ClockSample, NamedFork, NetworkMismatch, OffsetRange, ReportedGenesis,
        ReportedSpec, SourceClock, WallClock,
    },
    types::{Epoch, Fork, Slot, UnixMillis, parse_hash},
};

/// End of the keys of a specification that say when a fork starts.
const FORK_EPOCH: &str = "_FORK_EPOCH";
/// Most forks of a specification, and most letters of a name. Arbitrary: there have been some ten in ten years.
const MAX_FORKS: usize = 64;
const MAX_NAME: usize = 32;
/// Most entries of a blob schedule that are read. Arbitrary: there have been three in a year.
const MAX_BLOB_ENTRIES: usize = 256;

/// Whether the node is of the configured network.
#[derive(Clone, Debug, Default)]
enum Identity {
    /// Not asked yet.
    #[default]
    Unknown,
    /// It does not say, or not enough: it is believed, for what does no harm.
    Unsaid,
    /// It is.
    Same,
    /// It is not.
    Other(NetworkMismatch),
}

/// What is known of a node. Clones of a [`BeaconNode`] share it.
#[derive(Debug, Default)]
pub(super) struct Known {
    identity: Mutex<Identity>,
    clock: Mutex<SourceClock>,
}

/// How far a beacon node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SyncStatus {
    /// Slot of its head.
    pub head: Slot,
    /// Whether it says that it is still catching up.
    pub is_syncing: bool,
    /// Whether it says that its execution client is away.
    pub is_execution_offline: bool,
}

impl BeaconNode {
    /// The same, but only if it is of a network.
    #[must_use]
    pub fn of_network(self, spec: &ChainSpec) -> Self {
        Self { spec: Some(spec.clone().into()), ..self }
    }

    /// Asks the node for its genesis and compares it with the configured network's. The outcome holds for all questions until the next
    /// call. A node that does not say is believed: some proxies serve a part of the API.
    ///
    /// # Errors
    /// When the node does not answer, or is of another network.
    pub async fn verify_network(&self) -> Result<(), NodeError> {
        let Some(spec) = &self.spec else { return Ok(()) };
        let url = self.url("/eth/v1/beacon/genesis");
        let reported = match self.ask_anybody(&url).await {
            Ok(answer) => genesis_from(&answer),
            // It answers, and does not serve this.
            Err(NodeError::Status { status: 400..500, .. }) => ReportedGenesis::default(),
            // Away: what was known of it holds, and other questions fail by themselves.
            Err(error) => return Err(error),
        };
        let verdict = match spec.genesis_mismatch(&reported) {
            Some(mismatch) => Identity::Other(mismatch),
            None if spec.is_shown_by(&reported) => Identity::Same,
            None => Identity::Unsaid,
        };
        self.judge(&url, verdict)
    }

    /// Whether the node showed that it is of the configured network when it was last asked. Not saying so is not enough.
    pub fn is_shown_to_be_ours(&self) -> bool {
        matches!(*self.known.identity.lock(), Identity::Same)
    }

    /// Fails if the node was found to be of another network. Asks nobody.
    pub(super) fn refuse_if_other(&self) -> Result<(), NodeError> {
        match &*self.known.identity.lock() {
            Identity::Other(mismatch) => Err(NodeError::other_network(&self.base, mismatch)),
            Identity::Unknown | Identity::Unsaid | Identity::Same => Ok(()),
        }
    }

    /// The node's specification: which forks it knows and when they start.
    ///
    /// # Errors
    /// When the node does not answer as it should, or is of another network, by this specification too.
    pub async fn reported_spec(&self) -> Result<ReportedSpec, NodeError> {
        let url = self.url("/eth/v1/config/spec");
        let reported = spec_from(&self.ask(&url).await?);
        if let Some(mismatch) = self.spec.as_ref().and_then(|spec| spec.spec_mismatch(&reported)) {
            self.judge(&url, Identity::Other(mismatch))?;
        }
        Ok(reported)
    }

    /// How far the node is.
    ///
    /// # Errors
    /// When the node does not answer as it should.
    pub async fn sync_status(&self) -> Result<SyncStatus, NodeError> {
        let url = self.url("/eth/v1/node/syncing");
        let answer = self.ask(&url).await?;
        let data = answer.get("data").unwrap_or(&Value::Null);
        let head = data.get("head_slot").and_then(number).map(Slot::new);
        let says = |key: &str| data.get(key).and_then(Value::as_bool).unwrap_or(false);
        let status = head.map(|head| SyncStatus {
            head,
            is_syncing: says("is_syncing"),
            is_execution_offline: says("el_offline"),
        });
        status.ok_or_else(|| NodeError::answer(&url, "a sync status without head_slot"))
    }

    /// Bounds of our clock's difference from the node's, by the dates of its answers; `None` where it said none lately.
    pub fn clock_offset(&self) -> Option<OffsetRange> {
        self.known.clock.lock().range(WallClock.now())
    }

    /// Whether the node runs on this machine, by its address: then its clock is ours and proves nothing.
    pub fn is_local(&self) -> bool {
        match self.base.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback(),
            Some(url::Host::Ipv6(address)) => address.is_loopback(),
            Some(url::Host::Domain(name)) => name == "localhost",
            None => false,
        }
    }

    /// Fails if the node is of another network. Asks it where that is not known yet.
    pub(super) async fn believe(&self) -> Result<(), NodeError> {
        let identity = self.known.identity.lock().clone();
        match identity {
            Identity::Same | Identity::Unsaid => Ok(()),
            Identity::Other(mismatch) => Err(NodeError::other_network(&self.base, &mismatch)),
            Identity::Unknown => match self.verify_network().await {
                Err(error @ NodeError::OtherNetwork { .. }) => Err(error),
                Ok(()) | Err(_) => Ok(()),
            },
        }
    }

    /// A question whose answer is used only if the node is believed.
    pub(super) async fn ask(&self, url: &url::Url) -> Result<Value, NodeError> {
        self.believe().await?;
        self.ask_anybody(url).await
    }

    async fn ask_anybody(&self, url: &url::Url) -> Result<Value, NodeError> {
        let sent = WallClock.now();
        let (head, body) = send(url, self.http.get(url.clone())).await?;
        // The head is not timed by itself. The whole answer came later, which makes the bound wider and not wrong.
        self.note_date(&head.headers, sent, WallClock.now());
        serde_json::from_slice(&body).map_err(|error| NodeError::answer(url, format!("not JSON: {error}")))
    }

    fn note_date(&self, headers: &HeaderMap, sent: UnixMillis, received: UnixMillis) {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(sample) = ClockSample::of_http(text(DATE), text(AGE), sent, received) {
            self.known.clock.lock().add(sample);
        }
    }

    fn judge(&self, url: &url::Url, verdict: Identity) -> Result<(), NodeError> {
        let result = match &verdict {
            Identity::Other(mismatch) => Err(NodeError::other_network(url, mismatch)),
            Identity::Unknown | Identity::Unsaid | Identity::Same => Ok(()),
        };
        *self.known.identity.lock() = verdict;
        result
    }
}

/// A number, as a text by the specification, plain from some clients.
fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_str()?.parse().ok())
}

fn genesis_from(answer: &Value) -> ReportedGenesis {
    let text = |key: &str| answer.get("data")?.get(key)?.as_str();
    let version = text("genesis_fork_version").and_then(|text| hex::decode(text).ok());
    ReportedGenesis {
        time: answer.get("data").and_then(|data| data.get("genesis_time")).and_then(number),
        fork_version: version.and_then(|bytes| bytes.try_into().ok()),
        validators_root: text("genesis_validators_root").and_then(|text| parse_hash(text).ok()),
    }
}

fn spec_from(answer: &Value) -> ReportedSpec {
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
