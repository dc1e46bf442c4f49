//! A relay on a real socket.

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::{Address, B256};
use axum::{
    Router,
    body::Body,
    extract::{Path, Request, State},
    http::{HeaderMap, StatusCode, Uri, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{
    AnyPayload, Behaviour, HeaderFault, PayloadParams, Tamper,
    bodies::{
        broken_body, drip, duplicate_keys, endless_body, gzip, half_body, loose_offsets, other_fork, relabel,
    },
    data_api,
    payload::sim_parent_root,
    reveal::{submit_v1, submit_v2},
    stream::header_stream,
};
use crate::{
    consensus::{
        ChainSpec, Encoding, Fork, Mainnet, Minimal, Preset, PresetName, RevealedPayload, WallClock,
        bls::SigningKey, containers::ValidatorRegistration, visit_json, visit_ssz,
    },
    serve::{ApiError, Listener},
    types::{BlsPublicKey, Slot, Wei, parse_hash},
};

/// Helix answers SSZ to exactly these.
const HELIX_ACCEPTS: [&str; 2] =
    ["application/octet-stream", "application/octet-stream;q=1.0,application/json;q=0.9"];
pub(super) const CONSENSUS_VERSION: &str = "eth-consensus-version";
/// Largest body a relay reads, as mev-boost-relay's 15 MiB and room for tests.
pub(super) const MAX_BODY: usize = 128 << 20;

/// More than any blob schedule allows, and few enough for every preset's list.
const TOO_MANY_BLOBS: usize = 30;

/// What a relay is made of.
#[derive(Clone, Debug)]
pub struct SimRelayParts {
    /// The chain.
    pub spec: ChainSpec,
    /// Seed of its key.
    pub seed: u8,
    /// How it behaves.
    pub behaviour: Behaviour,
}

/// A request as the relay got it.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    /// `status`, `validators`, `header`, `blinded_blocks_v1` or `blinded_blocks_v2`.
    pub endpoint: &'static str,
    /// Path and query.
    pub uri: String,
    /// Headers.
    pub headers: HeaderMap,
    /// Body.
    pub body: Bytes,
    /// Unix milliseconds.
    pub at: i64,
}

/// A signed block that was handed in.
pub(super) struct HandedIn {
    pub(super) slot: u64,
    pub(super) block_hash: B256,
    pub(super) value: Wei,
    pub(super) is_revealed: bool,
}

/// A payload that was bid, to be revealed later.
pub(super) struct Stored {
    pub(super) fork: Fork,
    pub(super) reveal: Box<dyn Fn(Tamper) -> RevealedPayload + Send + Sync>,
}

pub(super) struct Shared {
    pub(super) spec: ChainSpec,
    key: SigningKey,
    other_key: SigningKey,
    seed: u8,
    pub(super) behaviour: RwLock<Behaviour>,
    received: Mutex<Vec<ReceivedRequest>>,
    pub(super) payloads: Mutex<HashMap<B256, Arc<Stored>>>,
    bids: Mutex<HashMap<(BidKey, u8), Arc<EncodedBid>>>,
    asked: Mutex<HashMap<BidKey, (usize, Instant)>>,
    pub(super) registered: Mutex<HashMap<BlsPublicKey, ValidatorRegistration>>,
    pub(super) handed_in: Mutex<Vec<HandedIn>>,
    supplied: Mutex<Option<HashMap<B256, AnyPayload<Minimal>>>>,
    answered: Mutex<HashMap<B256, Instant>>,
    /// The connection that says nothing to signed blocks.
    pub(super) dead_connection: Mutex<Option<SocketAddr>>,
    keep_requests: bool,
}

pub(super) type BidKey = (u64, B256, BlsPublicKey);

/// What a bid is to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    pub(super) key: BidKey,
    pub(super) fault: HeaderFault,
    pub(super) value: Wei,
    /// Tells blocks of one builder apart.
    pub(super) variant: u8,
}

/// What a relay with real payloads has for a request.
enum Supplied {
    /// It has none at all and makes its own.
    Unused,
    /// None for this parent, or the proposer is not registered.
    Nothing,
    /// A bid for one.
    Bid(Arc<EncodedBid>),
}

pub(super) struct EncodedBid {
    pub(super) json: Bytes,
    pub(super) ssz: Bytes,
}

/// A running relay. Stops when dropped.
pub struct SimRelay {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

impl std::fmt::Debug for SimRelay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimRelay({})", self.address)
    }
}

impl Drop for SimRelay {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl SimRelay {
    /// Starts a relay on a free port of loopback that remembers every request.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(parts: SimRelayParts) -> Result<Self, crate::serve::ListenError> {
        Self::start_with(parts, true).await
    }

    /// Starts a relay that does not keep requests: for benches that send millions.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start_forgetful(parts: SimRelayParts) -> Result<Self, crate::serve::ListenError> {
        Self::start_with(parts, false).await
    }

    async fn start_with(
        parts: SimRelayParts,
        keep_requests: bool,
    ) -> Result<Self, crate::serve::ListenError> {
        let SimRelayParts { spec, seed, behaviour } = parts;
        let key = |first: u8| {
            // 32 bytes are enough seed, so there is always a key.
            SigningKey::from_seed(&[first ^ seed.wrapping_mul(31); 32]).unwrap_or_else(unreachable_key)
        };
        let shared = Arc::new(Shared {
            spec,
            key: key(0x5a),
            other_key: key(0xa5),
            seed,
            behaviour: RwLock::new(behaviour),
            received: Mutex::default(),
            payloads: Mutex::default(),
            bids: Mutex::default(),
            asked: Mutex::default(),
            registered: Mutex::default(),
            handed_in: Mutex::default(),
            supplied: Mutex::new(None),
            answered: Mutex::default(),
            dead_connection: Mutex::default(),
            keep_requests,
        });
        let router = Router::new()
            .route("/eth/v1/builder/status", get(status))
            .route("/eth/v1/builder/validators", post(validators))
            .route("/eth/v1/builder/header/{slot}/{parent_hash}/{pubkey}", get(get_header))
            .route("/eth/v1/builder/header_stream/{slot}/{parent_hash}/{pubkey}", get(header_stream))
            .route("/redirected/{slot}/{parent_hash}/{pubkey}", get(get_header_honestly))
            .route("/eth/v1/builder/blinded_blocks", post(submit_v1))
            .route("/eth/v2/builder/blinded_blocks", post(submit_v2))
            .route("/relay/v1/data/bidtraces/proposer_payload_delivered", get(data_api::delivered))
            .route("/relay/v1/data/validator_registration", get(data_api::registration))
            .layer(axum::middleware::map_response_with_state(Arc::clone(&shared), date))
            .with_state(Arc::clone(&shared));
        let listener = Listener::bind("simulated relay", SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let (address, stop) = (listener.address(), CancellationToken::new());
        tokio::spawn(listener.serve(router, stop.clone(), Duration::ZERO));
        Ok(Self { address, shared, stop })
    }

    /// Its URL with its key, as `relays.toml` has it.
    pub fn url(&self) -> String {
        format!("http://{}@{}", self.shared.key.public_key(), self.address)
    }

    /// Its key.
    pub fn public_key(&self) -> BlsPublicKey {
        self.shared.key.public_key()
    }

    /// Changes how it behaves from now on.
    pub fn behave(&self, change: impl FnOnce(Behaviour) -> Behaviour) {
        let mut behaviour = self.shared.behaviour.write();
        *behaviour = change(behaviour.clone());
        self.shared.bids.lock().clear();
        self.shared.asked.lock().clear();
    }

    /// Everything it received at an endpoint.
    pub fn received(&self, endpoint: &str) -> Vec<ReceivedRequest> {
        self.shared.received.lock().iter().filter(|request| request.endpoint == endpoint).cloned().collect()
    }

    /// Validators it knows and whom they want paid.
    pub fn registered(&self) -> HashMap<BlsPublicKey, Address> {
        let registered = self.shared.registered.lock();
        registered.iter().map(|(pubkey, message)| (*pubkey, message.fee_recipient)).collect()
    }

    /// Gives it a real payload of a minimal-preset chain to offer. From the first one on it offers supplied payloads only, to
    /// registered proposers only.
    pub fn supply(&self, payload: AnyPayload<Minimal>) {
        self.shared.supplied.lock().get_or_insert_default().insert(payload.parent_hash(), payload);
    }

    /// When it last answered a header request for a parent.
    pub fn answered_at(&self, parent: B256) -> Option<Instant> {
        self.shared.answered.lock().get(&parent).copied()
    }

    /// Forgets every request.
    pub fn forget(&self) {
        self.shared.received.lock().clear();
    }

    /// Stops listening: from now on connections are refused.
    pub fn go_down(&self) {
        self.stop.cancel();
    }
}

#[expect(clippy::panic, reason = "blst derives a key from any 32 bytes")]
fn unreachable_key() -> SigningKey {
    panic!("32 bytes are enough seed for a key")
}

impl Shared {
    pub(super) fn note(&self, endpoint: &'static str, uri: &str, headers: &HeaderMap, body: &Bytes) {
        if self.keep_requests {
            let (uri, headers, body) = (uri.to_owned(), headers.clone(), body.clone());
            self.received.lock().push(ReceivedRequest { endpoint, uri, headers, body, at: WallClock.now() });
        }
    }

    /// Which request of a slot this is, and how long ago the first was.
    fn turn_of(&self, key: BidKey) -> (usize, u64) {
        let mut asked = self.asked.lock();
        let (count, first) = asked.entry(key).or_insert_with(|| (0, Instant::now()));
        let turn = *count;
        *count += 1;
        (turn, u64::try_from(first.elapsed().as_millis()).unwrap_or(u64::MAX))
    }

    pub(super) fn now_behaving(&self) -> Behaviour {
        self.behaviour.read().clone()
    }

    pub(super) fn wants_ssz(behaviour: &Behaviour, headers: &HeaderMap) -> bool {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let understood = if behaviour.helix_accept {
            HELIX_ACCEPTS.contains(&accept)
        } else {
            accept.contains("octet-stream")
        };
        understood && !behaviour.json_only
    }

    /// The bid for a request: of a real payload where it was supplied with any, else of one of its own making.
    pub(super) fn bid_for(&self, behaviour: &Behaviour, wanted: &Wanted) -> Option<Arc<EncodedBid>> {
        match self.supplied_bid(behaviour, wanted.fault, wanted.key) {
            Supplied::Nothing => None,
            Supplied::Bid(bid) => Some(bid),
            Supplied::Unused => Some(self.bid(behaviour, wanted)),
        }
    }

    /// The bid for a slot, built and signed once.
    fn bid(&self, behaviour: &Behaviour, wanted: &Wanted) -> Arc<EncodedBid> {
        let key = (wanted.key, wanted.variant);
        if let Some(bid) = self.bids.lock().get(&key) {
            return Arc::clone(bid);
        }
        let bid = Arc::new(match self.spec.preset {
            PresetName::Mainnet => self.build_bid::<Mainnet>(behaviour, wanted),
            PresetName::Minimal => self.build_bid::<Minimal>(behaviour, wanted),
        });
        self.bids.lock().insert(key, Arc::clone(&bid));
        bid
    }

    /// The bid for a real payload, if it was supplied with any.
    fn supplied_bid(
        &self,
        behaviour: &Behaviour,
        fault: HeaderFault,
        (slot, parent, pubkey): BidKey,
    ) -> Supplied {
        let supplied = self.supplied.lock();
        let Some(payloads) = &*supplied else { return Supplied::Unused };
        let is_registered = self.registered.lock().contains_key(&pubkey);
        let Some(payload) = payloads.get(&parent).filter(|_| is_registered).cloned() else {
            return Supplied::Nothing;
        };
        drop(supplied);
        let fork = self.spec.fork_at(Slot::new(slot));
        let key = if fault == HeaderFault::WrongSignature { &self.other_key } else { &self.key };
        let named = self.key.public_key();
        let bid = payload.bid(fork, behaviour.value_in(slot), 0, named, key, self.spec.builder_domain());
        let block_hash = payload.block_hash();
        let reveal = Box::new(move |tamper| payload.reveal(fork, 0, tamper));
        self.payloads.lock().insert(block_hash, Arc::new(Stored { fork, reveal }));
        Supplied::Bid(Arc::new(EncodedBid {
            json: bid.encode(Encoding::Json).into(),
            ssz: bid.encode(Encoding::Ssz).into(),
        }))
    }

    fn build_bid<P: Preset>(&self, behaviour: &Behaviour, wanted: &Wanted) -> EncodedBid {
        let Wanted { key: (slot, parent, pubkey), fault, value, variant } = *wanted;
        let slot = Slot::new(slot);
        let fork = self.spec.fork_at(slot);
        let timestamp = self.spec.clock().payload_timestamp(slot);
        let params = PayloadParams {
            parent_hash: if fault == HeaderFault::WrongParentHash { B256::repeat_byte(0xdd) } else { parent },
            parent_root: sim_parent_root(parent),
            fee_recipient: {
                let registered = self.registered.lock();
                registered.get(&pubkey).map_or(Address::repeat_byte(0xfe), |message| message.fee_recipient)
            },
            timestamp: if fault == HeaderFault::WrongTimestamp { timestamp + 12 } else { timestamp },
            prev_randao: B256::repeat_byte(if fault == HeaderFault::WrongPrevRandao { 0x54 } else { 0x53 }),
            block_number: behaviour.block_number,
            gas_limit: behaviour.gas_limit,
            transactions: if fault == HeaderFault::EmptyTransactions {
                Vec::new()
            } else {
                vec![vec![2, behaviour.builder, 3, 4, variant], vec![0xf8; 120]]
            },
        };
        let mut payload = AnyPayload::<P>::build(fork, &params);
        match fault {
            HeaderFault::ZeroBlockHash => payload.set_block_hash(B256::ZERO),
            HeaderFault::OwnParent => payload.set_block_hash(parent),
            HeaderFault::FalseBlockHash => payload.set_block_hash(B256::repeat_byte(0xfa)),
            _ => {}
        }
        let value = if fault == HeaderFault::ZeroValue { Wei::ZERO } else { value };
        let (named, key) = match fault {
            HeaderFault::WrongPubkey => (self.other_key.public_key(), &self.other_key),
            HeaderFault::WrongSignature => (self.key.public_key(), &self.other_key),
            _ => (self.key.public_key(), &self.key),
        };
        let blobs = match fault {
            HeaderFault::TooManyBlobs => TOO_MANY_BLOBS,
            _ => behaviour.blobs,
        };
        let blobs = if fork >= Fork::Deneb { blobs } else { 0 };
        let bid = payload.bid(fork, value, blobs, named, key, self.spec.builder_domain());
        let block_hash = payload.block_hash();
        let reveal = Box::new(move |tamper| payload.reveal(fork, blobs, tamper));
        self.payloads.lock().insert(block_hash, Arc::new(Stored { fork, reveal }));
        EncodedBid { json: bid.encode(Encoding::Json).into(), ssz: bid.encode(Encoding::Ssz).into() }
    }
}

/// The date of an answer, by the relay's clock.
async fn date(State(relay): State<Arc<Shared>>, mut response: Response) -> Response {
    let ahead = relay.behaviour.read().clock_ahead_ms;
    if ahead != 0 {
        let now = u64::try_from(WallClock.now().saturating_add(ahead)).unwrap_or(0);
        let date = httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_millis(now));
        if let Ok(date) = header::HeaderValue::from_str(&date) {
            response.headers_mut().insert(header::DATE, date);
        }
    }
    response
}

async fn status(State(relay): State<Arc<Shared>>, request: Request) -> Response {
    relay.note("status", &request.uri().to_string(), request.headers(), &Bytes::new());
    let status = relay.behaviour.read().status;
    StatusCode::from_u16(status).unwrap_or(StatusCode::OK).into_response()
}

async fn validators(State(relay): State<Arc<Shared>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, MAX_BODY).await else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    relay.note("validators", &parts.uri.to_string(), &parts.headers, &body);
    let behaviour = relay.now_behaving();
    sleep(behaviour.register_delay).await;
    {
        let mut behaviour = relay.behaviour.write();
        if behaviour.register_failures > 0 {
            behaviour.register_failures -= 1;
            return error(503, "try again");
        }
    }
    let is_ssz = content_is_ssz(&parts.headers);
    if is_ssz && behaviour.refuses_ssz_registrations {
        return error(415, "only application/json");
    }
    let mut seen = Vec::new();
    let mut see = |signed: &crate::consensus::containers::SignedValidatorRegistration| {
        seen.push((BlsPublicKey(signed.message.pubkey), signed.message.clone()));
    };
    let read = if is_ssz { visit_ssz(&body, &mut see) } else { visit_json(&body, &mut see) };
    match read {
        Err(reason) => error(400, &reason.to_string()),
        Ok(count) if behaviour.max_registrations > 0 && count > behaviour.max_registrations => {
            error(413, "too many")
        }
        Ok(_) if behaviour.register_status != 200 => error(behaviour.register_status, "not today"),
        Ok(_) => {
            relay.registered.lock().extend(seen);
            StatusCode::OK.into_response()
        }
    }
}

type HeaderPath = Path<(u64, String, String)>;

async fn get_header_honestly(
    State(relay): State<Arc<Shared>>,
    Path(path): HeaderPath,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    answer_header(&relay, HeaderFault::None, path, &uri, &headers).await
}

async fn get_header(
    State(relay): State<Arc<Shared>>,
    Path(path): HeaderPath,
    uri: Uri,
    headers: HeaderMap,
) -> Response {
    relay.note("header", &uri.to_string(), &headers, &Bytes::new());
    let fault = relay.behaviour.read().header_in(path.0);
    answer_header(&relay, fault, path, &uri, &headers).await
}

async fn answer_header(
    relay: &Shared,
    fault: HeaderFault,
    (slot, parent_hash, pubkey): (u64, String, String),
    uri: &Uri,
    headers: &HeaderMap,
) -> Response {
    let behaviour = relay.now_behaving();
    let started = Instant::now();
    let (Ok(parent), Ok(pubkey)) = (parse_hash(&parent_hash), pubkey.parse()) else {
        return error(400, "bad path");
    };
    let key = (slot, parent, pubkey);
    let (turn, passed_ms) = relay.turn_of(key);
    if turn > 0 && behaviour.refuses_repeats {
        return error(429, "a top header was already given");
    }
    let fault =
        if turn > 0 && behaviour.repeat_vice != HeaderFault::None { behaviour.repeat_vice } else { fault };
    let (value, variant) = behaviour.value_at(slot, turn, passed_ms);
    // A bid is built and signed before the relay sits on it, so that the delay is what it says.
    let delay = behaviour.delay_in(slot ^ low_bits(parent), u64::from(relay.seed));
    let bid = relay.bid_for(&behaviour, &Wanted { key, fault, value, variant });
    sleep_until(started + delay).await;
    match fault {
        HeaderFault::NoBid => return StatusCode::NO_CONTENT.into_response(),
        HeaderFault::Status(status) => return error(status, "not today"),
        HeaderFault::PlainTextStatus(status) => {
            return (
                StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_REQUEST),
                "proposer not registered",
            )
                .into_response();
        }
        HeaderFault::Hangs => std::future::pending::<()>().await,
        HeaderFault::Redirect => {
            let to = uri.path().replacen("/eth/v1/builder/header", "/redirected", 1);
            return (StatusCode::FOUND, [(header::LOCATION, to)]).into_response();
        }
        _ => {}
    }
    let fork = relay.spec.fork_at(Slot::new(slot));
    let Some(bid) = bid else { return StatusCode::NO_CONTENT.into_response() };
    let ssz = match fault {
        HeaderFault::DuplicateKeys => false,
        HeaderFault::LooseOffsets => true,
        _ => Shared::wants_ssz(&behaviour, headers),
    };
    let encoding = if ssz { Encoding::Ssz } else { Encoding::Json };
    let body = if ssz { bid.ssz.clone() } else { bid.json.clone() };
    let mut response = Response::new(match fault {
        HeaderFault::Drops => broken_body(Bytes::new()),
        HeaderFault::Garbage => Body::from(vec![0x7b; 900]),
        HeaderFault::EmptyBody => Body::empty(),
        HeaderFault::HangsInBody => half_body(&body),
        HeaderFault::Endless => endless_body(),
        HeaderFault::Trailing => Body::from([&body[..], b"}junk"].concat()),
        HeaderFault::GzipBomb => Body::from(gzip(&vec![b' '; 64 << 20])),
        HeaderFault::Gzip => Body::from(gzip(&body)),
        HeaderFault::Drips => drip(body),
        HeaderFault::DuplicateKeys => Body::from(duplicate_keys(&body)),
        HeaderFault::LooseOffsets => Body::from(loose_offsets(&body)),
        _ => {
            Body::from(if fault == HeaderFault::WrongVersion { relabel(&body, fork) } else { body.to_vec() })
        }
    });
    let answered = response.headers_mut();
    let content_type = match (fault, encoding) {
        (HeaderFault::WrongContentType, _) => "text/html",
        (HeaderFault::MimeParameter, Encoding::Json) => "application/json; charset=utf-8",
        (HeaderFault::MimeParameter, Encoding::Ssz) => "application/octet-stream; charset=binary",
        _ => encoding.mime(),
    };
    answered.insert(header::CONTENT_TYPE, header::HeaderValue::from_static(content_type));
    let label = if fault == HeaderFault::WrongVersion { other_fork(fork) } else { fork };
    if fault != HeaderFault::NoVersionHeader {
        answered.insert(CONSENSUS_VERSION, header::HeaderValue::from_static(label.name()));
    }
    if matches!(fault, HeaderFault::Gzip | HeaderFault::GzipBomb) {
        answered.insert(header::CONTENT_ENCODING, header::HeaderValue::from_static("gzip"));
    }
    relay.answered.lock().insert(parent, Instant::now());
    response
}

fn low_bits(hash: B256) -> u64 {
    hash.last_chunk::<8>().map_or(0, |bytes| u64::from_be_bytes(*bytes))
}

pub(super) fn error(status: u16, message: &str) -> Response {
    ApiError::new(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), message)
        .into_response()
}

pub(super) fn content_is_ssz(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/octet-stream"))
}
