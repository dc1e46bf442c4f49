//! The verbs of a relay, save for the reveal (`submit`).

use std::{num::NonZeroU32, time::Duration};

use alloy_primitives::B256;
use bytes::Bytes;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{ACCEPT, CONTENT_TYPE, USER_AGENT},
};
use tokio::time::{Instant, sleep_until, timeout_at};

use super::{
    BidAnswer, CallFailure, HeaderMode, HeaderOutcome, RegisterOutcome, RelayClients, RelayMemory,
    RelaySettings,
    http::{Call, Endpoint, read_error_text},
    large_bids::decode_large,
    metrics::CallMeter,
    outcome::Answer,
    registrations::RegistrationBody,
    relay_clock::RelayClock,
};
use crate::{
    consensus::{DecodeError, Encoding, OffsetRange, PresetName, SignedBuilderBid, WallClock, prepare_kzg},
    http_client::{HttpClient, read_capped},
    types::{BlsPublicKey, Fork, RelayId, Slot, UnixMillis},
};

/// Exactly this text: Helix compares strings and answers JSON to any other.
pub(super) const ACCEPT_BOTH: HeaderValue =
    HeaderValue::from_static("application/octet-stream;q=1.0,application/json;q=0.9");
pub(super) const CONSENSUS_VERSION: HeaderName = HeaderName::from_static("eth-consensus-version");
pub(super) const DATE_MILLISECONDS: HeaderName = HeaderName::from_static("date-milliseconds");
pub(super) const TIMEOUT_MS: HeaderName = HeaderName::from_static("x-timeout-ms");

/// Most bytes of a bid: an electra bid with full lists is 1.7 MB of SSZ, 3.6 MB of JSON.
pub(super) const MAX_BID_BYTES: usize = 5 << 20;
/// Bids up to this size are decoded where they arrive: some tens of microseconds. A usual one has 1 to 4 kB.
const INLINE_BID_BYTES: usize = 64 << 10;
/// Most bytes of a payload: 10 MiB of block (EIP-7934) and 21 blobs, in hex.
pub(super) const MAX_PAYLOAD_BYTES: usize = 32 << 20;
/// Most bytes of an answer that should be empty.
const MAX_EMPTY_BYTES: usize = 64 << 10;

/// Pause before the one repetition of a failed header call.
const HEADER_RETRY_PAUSE: Duration = Duration::from_millis(10);
/// First pause before a registration or submission is repeated; doubles each time.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// Longest pause between repetitions.
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// What every call carries.
#[derive(Clone, Debug)]
pub struct CallContext {
    /// `relaymux/<version> <the client's User-Agent>`
    pub user_agent: HeaderValue,
    /// When the call is given up, its retries included.
    pub deadline: Instant,
}

/// A request for a header.
#[derive(Clone, Copy, Debug)]
pub struct HeaderCall {
    /// Slot to be proposed.
    pub slot: Slot,
    /// Execution parent.
    pub parent_hash: B256,
    /// Proposer's key.
    pub proposer: BlsPublicKey,
    /// Fork by slot: what the bid is decoded as.
    pub fork: Fork,
}

/// One relay.
#[derive(Debug)]
pub struct Relay {
    settings: RelaySettings,
    pub(super) preset: PresetName,
    pub(super) clients: RelayClients,
    pub(super) endpoint: Endpoint,
    limiter: Option<DefaultDirectRateLimiter>,
    /// Of its own, so that no batch of registrations ever costs a header.
    registration_limiter: Option<DefaultDirectRateLimiter>,
    pub(super) memory: RelayMemory,
    pub(super) meter: CallMeter,
    clock: WallClock,
    /// What its answers say of the time.
    its_clock: RelayClock,
}

impl Relay {
    /// A relay spoken to through these clients, on a chain of this preset.
    pub fn new(settings: RelaySettings, preset: PresetName, clients: RelayClients, clock: WallClock) -> Self {
        let quota = NonZeroU32::new(settings.max_calls_per_second).map(Quota::per_second);
        let limiter = quota.map(RateLimiter::direct);
        let registration_limiter = quota.map(RateLimiter::direct);
        Self {
            endpoint: Endpoint::new(&settings, clients.proxy_authorization.as_ref()),
            settings,
            preset,
            clients,
            limiter,
            registration_limiter,
            memory: RelayMemory::default(),
            meter: CallMeter::default(),
            clock,
            its_clock: RelayClock::default(),
        }
    }

    pub(super) fn now(&self) -> UnixMillis {
        self.clock.now()
    }

    /// Bounds of our clock's difference from this relay's, by the dates of its answers; `None` where it said none lately.
    pub fn clock_offset(&self) -> Option<OffsetRange> {
        self.its_clock.range(self.now())
    }

    /// The relay's id, by which records and metrics name it.
    pub fn id(&self) -> &RelayId {
        &self.settings.id
    }

    /// What the configuration says of this relay.
    pub fn settings(&self) -> &RelaySettings {
        &self.settings
    }

    /// Asks whether it is well: 200 and nothing else. Opens a connection on the way, which the next call reuses.
    ///
    /// # Errors
    /// Any other answer, or none by the deadline.
    pub async fn status(&self, context: &CallContext) -> Result<(), CallFailure> {
        self.status_by(&self.clients.kept, context).await
    }

    async fn status_by(&self, http: &HttpClient, context: &CallContext) -> Result<(), CallFailure> {
        let started = Instant::now();
        let call = self.endpoint.get(format_args!("/eth/v1/builder/status"));
        let answer = self.call(http, call, context, MAX_EMPTY_BYTES).await;
        let result = answer.and_then(|answer| match answer.status {
            200 => Ok(()),
            status => Err(CallFailure::Status { status, message: "expected 200".to_owned() }),
        });
        let label = result.as_ref().map_or_else(|failure| failure.kind().label(), |()| "ok");
        self.meter.record(self.id(), "status", label, started.elapsed());
        result
    }

    /// Asks for its status, and leaves warm what the next header needs.
    ///
    /// # Errors
    /// As [`Relay::status`].
    pub async fn warm_up(&self, context: &CallContext) -> Result<(), CallFailure> {
        match self.settings.get_header {
            HeaderMode::Http => self.status(context).await,
            // Both: a stream that is not served falls back to HTTP.
            HeaderMode::Stream => {
                let by_http1 = self.status_by(&self.clients.http1, context);
                let (by_http, by_http1) = futures_util::future::join(self.status(context), by_http1).await;
                by_http.and(by_http1)
            }
        }
    }

    /// Asks for a header. A broken connection or 5xx is repeated once, if there is time.
    pub async fn get_header(&self, call: &HeaderCall, context: &CallContext) -> HeaderOutcome {
        let call_meter = self.meter.begin(self.id(), "get_header", context.deadline);
        let started = Instant::now();
        let mut outcome = self.get_header_once(call, context).await;
        if let HeaderOutcome::Failed(failure) = &outcome
            && failure.should_retry()
            && started.elapsed() < context.deadline.saturating_duration_since(started) / 2
        {
            sleep_until((Instant::now() + HEADER_RETRY_PAUSE).min(context.deadline)).await;
            outcome = self.get_header_once(call, context).await;
        }
        call_meter.end(outcome.kind().label());
        outcome
    }

    /// Asks for a header again, in a timing game: once, as the next request is a repetition anyway.
    pub async fn poll_header(&self, call: &HeaderCall, context: &CallContext) -> HeaderOutcome {
        let call_meter = self.meter.begin(self.id(), "poll_header", context.deadline);
        let outcome = self.get_header_once(call, context).await;
        call_meter.end(outcome.kind().label());
        outcome
    }

    /// The relay answered 429 to a repeated request: it is asked once per slot for a while.
    pub fn note_refused_repeat(&self) {
        self.memory.refused_repeat();
    }

    /// Whether it lately refused to be asked again.
    pub fn refuses_repeats(&self) -> bool {
        self.memory.refuses_repeats()
    }

    async fn get_header_once(&self, call: &HeaderCall, context: &CallContext) -> HeaderOutcome {
        if self.limiter.as_ref().is_some_and(|limiter| limiter.check().is_err()) {
            return HeaderOutcome::Failed(CallFailure::RateLimited);
        }
        let HeaderCall { slot, parent_hash, proposer, fork } = call;
        let left = context.deadline.saturating_duration_since(Instant::now()).as_millis();
        let call = self
            .endpoint
            .get(format_args!("/eth/v1/builder/header/{slot}/{parent_hash:#x}/{proposer}"))
            .header(ACCEPT, ACCEPT_BOTH)
            .header(DATE_MILLISECONDS, self.clock.now())
            .header(TIMEOUT_MS, u64::try_from(left).unwrap_or(u64::MAX));
        match self.versioned_call(&self.clients.kept, call, context, *fork, MAX_BID_BYTES).await {
            Err(failure) => HeaderOutcome::Failed(failure),
            Ok(answer) if answer.status == 204 => HeaderOutcome::NoBid,
            Ok(answer) => match decode_bid(*fork, &answer).await {
                Ok(bid) => {
                    self.memory.spoke(answer.encoding);
                    HeaderOutcome::Bid(Box::new(BidAnswer { bid, encoding: answer.encoding }))
                }
                Err(failure) => HeaderOutcome::Failed(failure),
            },
        }
    }

    /// Registers validators: in the encoding and batches this relay takes, repeated until the deadline.
    pub async fn register(&self, body: &RegistrationBody, context: &CallContext) -> RegisterOutcome {
        let started = Instant::now();
        let outcome = match self.register_all(body, context).await {
            Ok(()) => RegisterOutcome::Accepted,
            Err(failure) => RegisterOutcome::Failed(failure),
        };
        self.meter.record(self.id(), "register_validators", outcome.kind().label(), started.elapsed());
        outcome
    }

    async fn register_all(&self, body: &RegistrationBody, context: &CallContext) -> Result<(), CallFailure> {
        'whole: loop {
            let encoding = self.memory.registration_encoding(body.came_as());
            let limit = self.memory.max_registrations(self.settings.max_registrations_per_request);
            let batches = body.batches(encoding, limit).map_err(|e| CallFailure::Transport(e.to_string()))?;
            for batch in batches.iter() {
                match self.register_batch(&batch.bytes, encoding, body.version(), context).await {
                    Ok(()) => {}
                    Err(failure) if failure.refuses_encoding() && encoding == Encoding::Ssz => {
                        self.memory.registrations_need_json();
                        continue 'whole;
                    }
                    Err(CallFailure::Status { status: 413, .. }) if batch.count > 1 => {
                        self.memory.registrations_too_many(batch.count);
                        continue 'whole;
                    }
                    Err(failure) => return Err(failure),
                }
            }
            return Ok(());
        }
    }

    async fn register_batch(
        &self,
        bytes: &Bytes,
        encoding: Encoding,
        version: Option<Fork>,
        context: &CallContext,
    ) -> Result<(), CallFailure> {
        let mut pause = FIRST_PAUSE;
        loop {
            let mut call = self
                .endpoint
                .post("/eth/v1/builder/validators", bytes.clone())
                .header(CONTENT_TYPE, HeaderValue::from_static(encoding.mime()))
                .header(DATE_MILLISECONDS, self.clock.now());
            if let Some(fork) = version {
                call = call.header(CONSENSUS_VERSION, HeaderValue::from_static(fork.name()));
            }
            if let Some(limiter) = &self.registration_limiter {
                // Registrations can wait for their turn; past the deadline the call itself says that it is too late.
                let _ = timeout_at(context.deadline, limiter.until_ready()).await;
            }
            let failure = match self.call(&self.clients.kept, call, context, MAX_EMPTY_BYTES).await {
                Ok(_) => return Ok(()),
                Err(failure) => failure,
            };
            if !failure.should_retry() || Instant::now() + pause >= context.deadline {
                return Err(failure);
            }
            sleep_until(Instant::now() + pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// A call whose answer is an object of `fork`.
    pub(super) async fn versioned_call(
        &self,
        http: &HttpClient,
        call: Call<'_>,
        context: &CallContext,
        fork: Fork,
        limit: usize,
    ) -> Result<Answer, CallFailure> {
        self.call_with(http, call, context, limit, |headers| check_version(headers, fork)).await
    }

    pub(super) async fn call(
        &self,
        http: &HttpClient,
        call: Call<'_>,
        context: &CallContext,
        limit: usize,
    ) -> Result<Answer, CallFailure> {
        self.call_with(http, call, context, limit, |_| Ok(Encoding::Json)).await
    }

    pub(super) async fn call_with(
        &self,
        http: &HttpClient,
        call: Call<'_>,
        context: &CallContext,
        limit: usize,
        check: impl Fn(&HeaderMap) -> Result<Encoding, CallFailure>,
    ) -> Result<Answer, CallFailure> {
        let request = call.header(USER_AGENT, context.user_agent.clone()).into_request()?;
        let whole = async {
            let sent = self.clock.now();
            let response = http.send(request).await?;
            self.its_clock.note(response.headers(), sent, self.clock.now());
            let status = response.status().as_u16();
            match status {
                204 => Ok(Answer { status, encoding: Encoding::Json, body: Bytes::new() }),
                200..300 => {
                    let encoding = check(response.headers())?;
                    let body = read_capped(response, limit).await?;
                    Ok(Answer { status, encoding, body })
                }
                300..400 => Err(CallFailure::Redirect { status }),
                _ => Err(CallFailure::Status { status, message: read_error_text(response).await }),
            }
        };
        timeout_at(context.deadline, whole).await.unwrap_or(Err(CallFailure::TimedOut))
    }
}

/// Decodes a bid: here if it is as small as bids are, else on a thread for such bids, so that a relay which sends megabytes holds up
/// nobody else's answer. Its blobs may have to be checked in a second or two: where no
/// registration came before, the first bid with blobs has KZG made ready.
pub(super) async fn decode_bid(fork: Fork, answer: &Answer) -> Result<SignedBuilderBid, CallFailure> {
    let bid = decode_bid_of(fork, answer).await?;
    if bid.facts().blobs > 0 {
        prepare_kzg();
    }
    Ok(bid)
}

async fn decode_bid_of(fork: Fork, answer: &Answer) -> Result<SignedBuilderBid, CallFailure> {
    let encoding = answer.encoding;
    if answer.body.len() <= INLINE_BID_BYTES {
        return SignedBuilderBid::decode(fork, encoding, &answer.body).map_err(CallFailure::Decode);
    }
    decode_large(fork, encoding, answer.body.clone()).await
}

/// Reads how an answer is encoded, and refuses one that is labelled with another fork. A missing label is taken on trust: the
/// object is decoded as the slot's fork either way, and a signature over it is checked.
fn check_version(headers: &HeaderMap, fork: Fork) -> Result<Encoding, CallFailure> {
    let shown = |value: &HeaderValue, most: usize| -> String {
        String::from_utf8_lossy(value.as_bytes()).chars().take(most).collect()
    };
    if let Some(label) = headers.get(CONSENSUS_VERSION) {
        let labelled = label.to_str().ok().and_then(|label| label.parse::<Fork>().ok());
        if labelled != Some(fork) {
            return Err(CallFailure::WrongFork { expected: fork.name(), got: shown(label, 32) });
        }
    }
    let mime = headers.get(CONTENT_TYPE);
    let encoding = match mime {
        Some(mime) => mime.to_str().ok().and_then(Encoding::from_mime),
        None => Encoding::from_mime(""),
    };
    encoding.ok_or_else(|| CallFailure::ContentType(mime.map_or_else(String::new, |mime| shown(mime, 64))))
}

impl From<DecodeError> for CallFailure {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}
