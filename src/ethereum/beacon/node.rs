//! Whether a beacon node is of the configured network, and how well it is: what decides whether its other answers are used.
//!
//! A node of another network answers every question plausibly, with that network's slots. So each question first asks whether the node
//! is believed; [`BeaconNode::verify_network`] finds out anew, and whoever keeps the node under watch calls it now and then, because
//! another node may be put under the same address at any time.

use std::sync::Arc;

use parking_lot::Mutex;
use reqwest::{
    Client,
    header::{AGE, DATE, HeaderMap, HeaderName},
};
use serde_json::Value;
use url::Url;

use super::reported::genesis_from;
use crate::{
    consensus::{
        ChainSpec, ClockSample, NetworkMismatch, OffsetRange, ReportedGenesis, SourceClock, WallClock,
    },
    ethereum::{NodeError, http::send},
    types::UnixMillis,
};

/// Whether the node is of the configured network.
#[derive(Clone, Debug, Default)]
pub(super) enum Identity {
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
struct Known {
    identity: Mutex<Identity>,
    clock: Mutex<SourceClock>,
}

/// A beacon node's API. Clones share what was found out about it.
#[derive(Clone, Debug)]
pub struct BeaconNode {
    pub(super) http: Client,
    base: Url,
    /// The network it is to be of; any, where there is none.
    pub(super) spec: Option<Arc<ChainSpec>>,
    known: Arc<Known>,
    wall: WallClock,
}

impl BeaconNode {
    /// A node at `base`, such as `http://127.0.0.1:5052`.
    pub fn new(http: Client, base: Url, wall: WallClock) -> Self {
        Self { http, base, spec: None, known: Arc::default(), wall }
    }

    pub(super) fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}{path}", self.base.path().trim_end_matches('/')));
        url
    }

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

    /// Bounds of our clock's difference from the node's, by the dates of its answers; `None` where it said none lately.
    pub fn clock_offset(&self) -> Option<OffsetRange> {
        self.known.clock.lock().range(self.wall.now())
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
    pub(super) async fn ask(&self, url: &Url) -> Result<Value, NodeError> {
        self.believe().await?;
        self.ask_anybody(url).await
    }

    async fn ask_anybody(&self, url: &Url) -> Result<Value, NodeError> {
        let sent = self.wall.now();
        let (head, body) = send(url, self.http.get(url.clone())).await?;
        // The head is not timed by itself. The whole answer came later, which makes the bound wider and not wrong.
        self.note_date(&head.headers, sent, self.wall.now());
        serde_json::from_slice(&body).map_err(|error| NodeError::answer(url, format!("not JSON: {error}")))
    }

    fn note_date(&self, headers: &HeaderMap, sent: UnixMillis, received: UnixMillis) {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(sample) = ClockSample::of_http(text(DATE), text(AGE), sent, received) {
            self.known.clock.lock().add(sample);
        }
    }

    pub(super) fn judge(&self, url: &Url, verdict: Identity) -> Result<(), NodeError> {
        let result = match &verdict {
            Identity::Other(mismatch) => Err(NodeError::other_network(url, mismatch)),
            Identity::Unknown | Identity::Unsaid | Identity::Same => Ok(()),
        };
        *self.known.identity.lock() = verdict;
        result
    }
}
