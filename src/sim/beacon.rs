//! A beacon node on a real socket: genesis, specification, duties, head, sync status and events, as beacon-APIs has them.

mod events;

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::{B256, hex};
use axum::{
    Json, Router,
    extract::{Path, Query, State},
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::get,
};
use parking_lot::RwLock;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use self::events::EventFeed;
pub use self::events::{EventHabit, SimAttributes};

use crate::{
    consensus::{ChainSpec, WallClock},
    serve::{ListenError, Listener},
    types::{BlsPublicKey, Fork, Slot},
};

/// How it behaves; everything can be changed while it runs.
#[derive(Clone, Debug)]
pub struct BeaconBehaviour {
    /// The chain it says it is on.
    pub spec: ChainSpec,
    /// Who proposes when, by it.
    pub duties: BTreeMap<Slot, BlsPublicKey>,
    /// Its head; the slot of the moment where not set.
    pub head: Option<Slot>,
    /// Whether it says that it is catching up.
    pub is_syncing: bool,
    /// Whether it says that its execution client has not checked its newest blocks.
    pub is_optimistic: bool,
    /// How far it says that it is behind, in slots.
    pub distance: u64,
    /// Whether it answers 503 to everything.
    pub is_down: bool,
    /// Forks beside those of the chain, by name and epoch, for `config/spec`.
    pub other_forks: Vec<(String, u64)>,
    /// `BLOB_SCHEDULE` of its `config/spec`: epochs and limits.
    pub blob_schedule: Vec<(u64, u64)>,
    /// Whether its genesis says only its time, as a proxy's that leaves things out.
    pub hides_genesis: bool,
    /// What becomes of a request for its events.
    pub events: EventHabit,
    /// What it says of itself.
    pub version: String,
}

/// A running beacon node. Stops when dropped.
#[derive(Debug)]
pub struct SimBeacon {
    address: SocketAddr,
    behaviour: Arc<RwLock<BeaconBehaviour>>,
    asked: Arc<RwLock<BTreeMap<String, usize>>>,
    events: EventFeed,
    stop: CancellationToken,
}

#[derive(Clone)]
struct Shared {
    behaviour: Arc<RwLock<BeaconBehaviour>>,
    asked: Arc<RwLock<BTreeMap<String, usize>>>,
    events: EventFeed,
}

impl Drop for SimBeacon {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl SimBeacon {
    /// Starts a synced node of a chain, without duties.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(spec: ChainSpec) -> Result<Self, ListenError> {
        let behaviour = Arc::new(RwLock::new(BeaconBehaviour {
            spec,
            duties: BTreeMap::new(),
            head: None,
            is_syncing: false,
            is_optimistic: false,
            distance: 0,
            is_down: false,
            other_forks: Vec::new(),
            blob_schedule: Vec::new(),
            hides_genesis: false,
            events: EventHabit::Served,
            version: "SimBeacon/v1.0.0/sim".to_owned(),
        }));
        let events = EventFeed::default();
        let asked: Arc<RwLock<BTreeMap<String, usize>>> = Arc::default();
        let shared =
            Shared { behaviour: Arc::clone(&behaviour), asked: Arc::clone(&asked), events: events.clone() };
        let router = Router::new()
            .route("/eth/v1/beacon/genesis", get(genesis))
            .route("/eth/v1/config/spec", get(config_spec))
            .route("/eth/v1/events", get(event_stream))
            .route("/eth/v1/node/syncing", get(syncing))
            .route("/eth/v1/node/version", get(version))
            .route("/eth/v1/beacon/headers/head", get(head))
            .route("/eth/v1/validator/duties/proposer/{epoch}", get(duties))
            .layer(axum::middleware::from_fn_with_state(shared.clone(), count))
            .with_state(shared);
        let listener = Listener::bind("beacon node", SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let (address, stop) = (listener.address(), CancellationToken::new());
        tokio::spawn(listener.serve(router, stop.clone(), Duration::ZERO));
        Ok(Self { address, behaviour, asked, events, stop })
    }

    /// Its address, as `[beacon] url` has it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes how it behaves from now on.
    pub fn behave(&self, change: impl FnOnce(&mut BeaconBehaviour)) {
        change(&mut self.behaviour.write());
    }

    /// Tells the followers of `payload_attributes` what a payload must have. Whoever is not there hears nothing of it.
    pub fn tell_attributes(&self, attributes: &SimAttributes) {
        let data = attributes.data(&self.behaviour.read().spec);
        self.tell("payload_attributes", &data);
    }

    /// Tells the followers of a topic any data.
    pub fn tell(&self, topic: &'static str, data: &str) {
        self.events.tell(topic, data);
    }

    /// Ends all event streams.
    pub fn break_streams(&self) {
        self.events.end();
    }

    /// How often a path was asked for that begins so.
    pub fn asked(&self, path: &str) -> usize {
        self.asked.read().iter().filter(|(asked, _)| asked.starts_with(path)).map(|(_, count)| count).sum()
    }
}

async fn count(
    State(node): State<Shared>,
    request: axum::extract::Request,
    next: axum::middleware::Next,
) -> Response {
    *node.asked.write().entry(request.uri().path().to_owned()).or_default() += 1;
    if node.behaviour.read().is_down {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    next.run(request).await
}

async fn genesis(State(node): State<Shared>) -> Json<Value> {
    let behaviour = node.behaviour.read();
    let spec = &behaviour.spec;
    if behaviour.hides_genesis {
        return Json(json!({ "data": { "genesis_time": spec.genesis_time.to_string() } }));
    }
    Json(json!({ "data": {
        "genesis_time": spec.genesis_time.to_string(),
        "genesis_validators_root": spec.genesis_validators_root.unwrap_or(B256::ZERO),
        "genesis_fork_version": hex::encode_prefixed(spec.genesis_fork_version),
    } }))
}

async fn config_spec(State(node): State<Shared>) -> Json<Value> {
    let behaviour = node.behaviour.read();
    let spec = &behaviour.spec;
    let mut data = serde_json::Map::new();
    data.insert("CONFIG_NAME".to_owned(), spec.name.clone().into());
    data.insert("SECONDS_PER_SLOT".to_owned(), (spec.slot_ms / 1000).to_string().into());
    let entry = |(epoch, max): &(u64, u64)| json!({ "EPOCH": epoch.to_string(), "MAX_BLOBS_PER_BLOCK": max.to_string() });
    let schedule: Vec<Value> = behaviour.blob_schedule.iter().map(entry).collect();
    data.insert("BLOB_SCHEDULE".to_owned(), schedule.into());
    let forks = spec.forks.iter().map(|f| (f.fork.name().to_owned(), f.epoch.as_u64()));
    for (name, epoch) in forks.chain(behaviour.other_forks.iter().cloned()) {
        data.insert(format!("{}_FORK_EPOCH", name.to_uppercase()), epoch.to_string().into());
    }
    if let Some(chain) = spec.chain_id {
        data.insert("DEPOSIT_CHAIN_ID".to_owned(), chain.to_string().into());
    }
    Json(json!({ "data": data }))
}

impl BeaconBehaviour {
    fn head(&self) -> Slot {
        self.head.unwrap_or_else(|| self.spec.clock().slot_at(WallClock::system().now()))
    }

    /// Moves the start of a fork.
    pub fn schedule(&mut self, fork: Fork, epoch: u64) {
        for activation in self.spec.forks.iter_mut().filter(|activation| activation.fork == fork) {
            activation.epoch = crate::types::Epoch::new(epoch);
        }
    }
}

async fn event_stream(State(node): State<Shared>, Query(query): Query<BTreeMap<String, String>>) -> Response {
    let habit = node.behaviour.read().events;
    node.events.serve(habit, query.get("topics").map_or("", String::as_str))
}

async fn syncing(State(node): State<Shared>) -> Json<Value> {
    let behaviour = node.behaviour.read();
    Json(json!({ "data": {
        "head_slot": behaviour.head().to_string(),
        "sync_distance": behaviour.distance.to_string(),
        "is_syncing": behaviour.is_syncing,
        "is_optimistic": behaviour.is_optimistic,
        "el_offline": false,
    } }))
}

async fn version(State(node): State<Shared>) -> Json<Value> {
    let version = node.behaviour.read().version.clone();
    Json(json!({ "data": { "version": version } }))
}

async fn head(State(node): State<Shared>) -> Json<Value> {
    let slot = node.behaviour.read().head().to_string();
    Json(json!({ "data": { "root": B256::repeat_byte(0x21), "header": { "message": { "slot": slot } } } }))
}

async fn duties(State(node): State<Shared>, Path(epoch): Path<u64>) -> Json<Value> {
    let behaviour = node.behaviour.read();
    let ours = behaviour
        .duties
        .iter()
        .filter(|(slot, _)| slot.epoch(behaviour.spec.slots_per_epoch).as_u64() == epoch);
    let list: Vec<Value> = ours
        .map(|(slot, pubkey)| json!({ "slot": slot.to_string(), "pubkey": pubkey.to_string(), "validator_index": "1" }))
        .collect();
    Json(json!({ "data": list }))
}
