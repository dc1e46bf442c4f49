//! What a simulated relay knows, and the bids that it makes: shared by the handlers of its endpoints.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use alloy_primitives::{Address, B256};
use axum::{
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::time::Instant;

use super::{
    AnyPayload, Behaviour, HeaderFault, PayloadParams, Tamper,
    payload::{OTHER_RANDAO, SIM_RANDAO, sim_parent_root, sim_withdrawals},
};
use crate::{
    consensus::{
        ChainSpec, Encoding, Mainnet, Minimal, Preset, PresetName, RevealedPayload, WallClock,
        bls::SigningKey, containers::ValidatorRegistration,
    },
    serve::ApiError,
    types::{BlsPublicKey, Fork, Slot, Wei},
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
    /// The chain that is served.
    pub spec: ChainSpec,
    /// Seed of its key.
    pub seed: u8,
    /// How the relay behaves from the next request on.
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
    /// When it came, in Unix milliseconds.
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

/// What all requests to one relay share.
pub(super) struct Shared {
    pub(super) spec: ChainSpec,
    key: SigningKey,
    other_key: SigningKey,
    pub(super) seed: u8,
    pub(super) behaviour: RwLock<Behaviour>,
    pub(super) received: Mutex<Vec<ReceivedRequest>>,
    pub(super) payloads: Mutex<HashMap<B256, Arc<Stored>>>,
    bids: Mutex<HashMap<(BidKey, u8), Arc<EncodedBid>>>,
    asked: Mutex<HashMap<BidKey, (usize, Instant)>>,
    pub(super) registered: Mutex<HashMap<BlsPublicKey, ValidatorRegistration>>,
    pub(super) handed_in: Mutex<Vec<HandedIn>>,
    supplied: Mutex<Option<HashMap<B256, AnyPayload<Minimal>>>>,
    pub(super) answered: Mutex<HashMap<B256, Instant>>,
    /// The connection that says nothing to signed blocks.
    pub(super) dead_connection: Mutex<Option<SocketAddr>>,
    keep_requests: bool,
}

/// Slot, parent and proposer.
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

#[expect(clippy::panic, reason = "blst derives a key from any 32 bytes")]
fn unreachable_key() -> SigningKey {
    panic!("32 bytes are enough seed for a key")
}

impl Shared {
    /// A relay to which nothing has happened yet.
    pub(super) fn new(parts: SimRelayParts, keep_requests: bool) -> Self {
        let SimRelayParts { spec, seed, behaviour } = parts;
        let key = |first: u8| {
            // 32 bytes are enough seed, so there is always a key.
            SigningKey::from_seed(&[first ^ seed.wrapping_mul(31); 32]).unwrap_or_else(unreachable_key)
        };
        Self {
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
        }
    }

    pub(super) fn public_key(&self) -> BlsPublicKey {
        self.key.public_key()
    }

    /// Behaves otherwise from now on; bids of before are made anew.
    pub(super) fn behave(&self, change: impl FnOnce(Behaviour) -> Behaviour) {
        let mut behaviour = self.behaviour.write();
        *behaviour = change(behaviour.clone());
        self.bids.lock().clear();
        self.asked.lock().clear();
    }

    /// Has a real payload to offer, and from now on no others.
    pub(super) fn supply(&self, payload: AnyPayload<Minimal>) {
        self.supplied.lock().get_or_insert_default().insert(payload.parent_hash(), payload);
    }

    pub(super) fn note(&self, endpoint: &'static str, uri: &str, headers: &HeaderMap, body: &Bytes) {
        if self.keep_requests {
            let (uri, headers, body) = (uri.to_owned(), headers.clone(), body.clone());
            self.received.lock().push(ReceivedRequest {
                endpoint,
                uri,
                headers,
                body,
                at: WallClock::system().now(),
            });
        }
    }

    /// Which request of a slot this is, and how long ago the first was.
    pub(super) fn turn_of(&self, key: BidKey) -> (usize, u64) {
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
            prev_randao: if fault == HeaderFault::WrongPrevRandao { OTHER_RANDAO } else { SIM_RANDAO },
            block_number: behaviour.block_number,
            gas_limit: behaviour.gas_limit,
            transactions: if fault == HeaderFault::EmptyTransactions {
                Vec::new()
            } else {
                vec![vec![2, behaviour.builder, 3, 4, variant], vec![0xf8; 120]]
            },
            withdrawals: sim_withdrawals(u64::from(fault == HeaderFault::WrongWithdrawals)),
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

pub(super) fn error(status: u16, message: &str) -> Response {
    ApiError::new(StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), message)
        .into_response()
}

pub(super) fn content_is_ssz(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().starts_with(b"application/octet-stream"))
}
