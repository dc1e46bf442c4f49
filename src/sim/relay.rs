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
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use bytes::Bytes;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use super::{
    AnyPayload, Behaviour, data_api,
    header::{get_header, get_header_honestly},
    reveal::{submit_v1, submit_v2},
    shared::{MAX_BODY, ReceivedRequest, Shared, SimRelayParts, Wanted, content_is_ssz, error},
    stream::header_stream,
};
use crate::{
    consensus::{Minimal, WallClock, containers::SignedValidatorRegistration, visit_json, visit_ssz},
    serve::{ListenError, Listener},
    types::{BlsPublicKey, Slot},
};

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
    pub async fn start(parts: SimRelayParts) -> Result<Self, ListenError> {
        Self::start_with(parts, true).await
    }

    /// Starts a relay that does not keep requests: for benches that send millions.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start_forgetful(parts: SimRelayParts) -> Result<Self, ListenError> {
        Self::start_with(parts, false).await
    }

    async fn start_with(parts: SimRelayParts, keep_requests: bool) -> Result<Self, ListenError> {
        let shared = Arc::new(Shared::new(parts, keep_requests));
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
        let listener = Listener::bind("simulated relay", SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let (address, stop) = (listener.address(), CancellationToken::new());
        tokio::spawn(listener.serve(router, stop.clone(), Duration::ZERO));
        Ok(Self { address, shared, stop })
    }

    /// Its URL with its key, as `relays.toml` has it.
    pub fn url(&self) -> String {
        format!("http://{}@{}", self.public_key(), self.address)
    }

    /// Its key.
    pub fn public_key(&self) -> BlsPublicKey {
        self.shared.public_key()
    }

    /// Changes how it behaves from now on.
    pub fn behave(&self, change: impl FnOnce(Behaviour) -> Behaviour) {
        self.shared.behave(change);
    }

    /// Builds and signs its bid for a request ahead of it: what a bench times is then nobody's signing.
    pub fn prepare(&self, slot: Slot, parent: B256, proposer: BlsPublicKey) {
        let behaviour = self.shared.now_behaving();
        let (value, variant) = behaviour.value_at(slot.as_u64(), 0, 0);
        let fault = behaviour.header_in(slot.as_u64());
        self.shared
            .bid_for(&behaviour, &Wanted { key: (slot.as_u64(), parent, proposer), fault, value, variant });
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
        self.shared.supply(payload);
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

/// The date of an answer, by the relay's clock.
async fn date(State(relay): State<Arc<Shared>>, mut response: Response) -> Response {
    let ahead = relay.behaviour.read().clock_ahead_ms;
    if ahead != 0 {
        let now = u64::try_from(WallClock::system().now().saturating_add(ahead)).unwrap_or(0);
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
    let mut see = |signed: &SignedValidatorRegistration| {
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
