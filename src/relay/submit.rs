//! One relay's part in a reveal: the signed block goes to it until it answers, the client has its answer, or the time is over.
//!
//! A connection that went dead between header and block (a NAT entry that expired, a load balancer that was replaced) takes the
//! block and says nothing. So a call that has no answer after a second is made once more, beside the first, on a connection that
//! is opened for it; whichever succeeds first counts. Relays know a block they were given already, so the second copy does no harm.
//! What a relay lacks (SSZ, v2) is worked round within the same submission and remembered.

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    time::Duration,
};

use http::{
    HeaderMap,
    header::{ACCEPT, CONTENT_TYPE},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep_until, timeout_at},
};
use tracing::info;

use super::{
    CallContext, CallFailure, EncodedBlock, RawPayload, Relay, RelayMemory, SubmitOutcome, SubmitVersion,
    client::{
        ACCEPT_BOTH, CONSENSUS_VERSION, DATE_MILLISECONDS, FIRST_PAUSE, LONGEST_PAUSE, MAX_PAYLOAD_BYTES,
    },
    http::Call,
    metrics::SUBMIT,
    outcome::Answer,
};
use crate::{
    consensus::{Encoding, PresetName, RevealedPayload, SignedBlindedBlock},
    http_client::HttpClient,
    types::Fork,
};

/// How long a call may say nothing before it is made once more on a fresh connection. Relays answer v1 within some hundred
/// milliseconds; three seconds of the usual four are left for the second attempt.
const SILENCE: Duration = Duration::from_secs(1);

/// How long blobs are checked by KZG at most. A blob takes 1 to 2 ms in Deneb and Electra and 15 in Fulu.
const KZG_TIME: Duration = Duration::from_millis(100);
/// With less than this left, blobs are not checked: the payload is worth more than the certainty.
const KZG_NEEDS_LEFT: Duration = Duration::from_millis(600);

/// The submission of one block to one relay.
struct Submission<'a> {
    relay: &'a Relay,
    version: SubmitVersion,
    block: &'a EncodedBlock,
    context: &'a CallContext,
    settled: &'a watch::Receiver<bool>,
    calls: AtomicU32,
    /// Since when the first connection has owed an answer; `None` between calls.
    waits_since: watch::Sender<Option<Instant>>,
    has_second: AtomicBool,
}

/// How a block goes to a relay, and which other ways are left: each other one is tried once.
struct Way {
    version: SubmitVersion,
    encoding: Encoding,
    may_change_version: bool,
    may_change_encoding: bool,
}

impl Way {
    /// The first, by what the relay is remembered to lack.
    fn first(block: &EncodedBlock, version: SubmitVersion, memory: &RelayMemory) -> Self {
        let is_decoded = block.decoded().is_some();
        Self {
            version: if memory.lacks_v2() { SubmitVersion::V1 } else { version },
            encoding: if is_decoded { memory.block_encoding(block.came_as()) } else { block.came_as() },
            // Under v2, each version may once be taken for missing and give way to the other.
            may_change_version: version == SubmitVersion::V2,
            may_change_encoding: is_decoded,
        }
    }

    /// Whether a failure is answered by another way at once; what the relay lacks is remembered.
    fn gives_way(&mut self, failure: &CallFailure, memory: &RelayMemory) -> bool {
        if failure.refuses_encoding() && self.may_change_encoding {
            self.may_change_encoding = false;
            if self.encoding == Encoding::Ssz {
                memory.blocks_need_json();
            }
            self.encoding = match self.encoding {
                Encoding::Ssz => Encoding::Json,
                Encoding::Json => Encoding::Ssz,
            };
            return true;
        }
        if failure.http_status() == Some(404) && self.may_change_version {
            self.may_change_version = false;
            self.version = match self.version {
                SubmitVersion::V2 => SubmitVersion::V1,
                SubmitVersion::V1 => {
                    // It was upgraded, and dropped v1 with it.
                    memory.may_have_v2();
                    SubmitVersion::V2
                }
            };
            return true;
        }
        false
    }
}

impl Relay {
    /// Submits a signed block. Broken connections and 5xx are repeated until the deadline or until `settled` says that the client
    /// has its answer; a refused encoding is sent the other way, a missing v2 by v1. Returns the calls made, too.
    pub async fn submit(
        &self,
        version: SubmitVersion,
        block: &EncodedBlock,
        context: &CallContext,
        settled: &watch::Receiver<bool>,
    ) -> (SubmitOutcome, u32) {
        let started = Instant::now();
        let submission = Submission {
            relay: self,
            version,
            block,
            context,
            settled,
            calls: AtomicU32::new(0),
            waits_since: watch::Sender::new(None),
            has_second: AtomicBool::new(false),
        };
        let outcome = submission.on_two_connections().await;
        self.meter.record(self.id(), SUBMIT, outcome.kind().label(), started.elapsed());
        (outcome, submission.calls.into_inner())
    }
}

impl Submission<'_> {
    async fn on_two_connections(&self) -> SubmitOutcome {
        let first = self.until_answered(&self.relay.clients.kept, true);
        let second = async {
            self.first_is_silent().await;
            self.has_second.store(true, Ordering::Relaxed);
            info!(relay = %self.relay.id(), "relay says nothing to a signed block, trying again on a fresh connection");
            self.until_answered(&self.relay.clients.fresh, false).await
        };
        tokio::pin!(first, second);
        tokio::select! {
            outcome = &mut first => {
                if outcome.is_success() || !self.has_second.load(Ordering::Relaxed) {
                    return outcome;
                }
                better_of(outcome, second.await)
            }
            outcome = &mut second => {
                if outcome.is_success() {
                    return outcome;
                }
                better_of(first.await, outcome)
            }
        }
    }

    /// Waits until the first connection has owed an answer for [`SILENCE`]. Never, if the client has its answer by then.
    async fn first_is_silent(&self) {
        let mut waits_since = self.waits_since.subscribe();
        loop {
            let since = *waits_since.borrow_and_update();
            let changed = match since {
                None => waits_since.changed().await.is_ok(),
                Some(since) => match timeout_at(since + SILENCE, waits_since.changed()).await {
                    Ok(changed) => changed.is_ok(),
                    Err(_) if *self.settled.borrow() => false,
                    Err(_) => return,
                },
            };
            if !changed {
                std::future::pending::<()>().await;
            }
        }
    }

    async fn until_answered(&self, http: &HttpClient, is_first: bool) -> SubmitOutcome {
        let memory = &self.relay.memory;
        let mut way = Way::first(self.block, self.version, memory);
        let mut pause = FIRST_PAUSE;
        loop {
            self.calls.fetch_add(1, Ordering::Relaxed);
            if is_first {
                self.waits_since.send_replace(Some(Instant::now()));
            }
            let result = self.call(http, way.version, way.encoding).await;
            if is_first {
                self.waits_since.send_replace(None);
            }
            // Only what this submission saw: a block that goes by v1 for what was remembered must not renew the memory.
            let gave_way = self.version == SubmitVersion::V2 && !way.may_change_version;
            if gave_way && way.version == SubmitVersion::V1 && has_endpoint(&result) {
                memory.has_no_v2();
            }
            let failure = match result {
                Ok(outcome) => return outcome.towards(self.version),
                Err(failure) => failure,
            };
            if way.gives_way(&failure, memory) {
                continue;
            }
            if !failure.should_retry()
                || *self.settled.borrow()
                || Instant::now() + pause >= self.context.deadline
            {
                return SubmitOutcome::Failed(failure);
            }
            sleep_until(Instant::now() + pause).await;
            if *self.settled.borrow() {
                return SubmitOutcome::Failed(failure);
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    async fn call(
        &self,
        http: &HttpClient,
        by: SubmitVersion,
        encoding: Encoding,
    ) -> Result<SubmitOutcome, CallFailure> {
        let relay = self.relay;
        let path = match by {
            SubmitVersion::V1 => "/eth/v1/builder/blinded_blocks",
            SubmitVersion::V2 => "/eth/v2/builder/blinded_blocks",
        };
        let (content_type, consensus_version) = self.block.labels(encoding);
        let mut call = relay
            .endpoint
            .post(path, self.block.bytes(encoding))
            .header(ACCEPT, ACCEPT_BOTH)
            .header(CONTENT_TYPE, content_type)
            .header(DATE_MILLISECONDS, relay.now());
        if let Some(version) = consensus_version {
            call = call.header(CONSENSUS_VERSION, version);
        }
        if by == SubmitVersion::V2 {
            let answer = relay.call(http, call, self.context, MAX_PAYLOAD_BYTES).await?;
            return match answer.status {
                // The specification has 202; some relays answer 200.
                200 | 202 => Ok(SubmitOutcome::Accepted { status: answer.status, has_shown_payload: false }),
                status => Err(CallFailure::Status {
                    status,
                    message: "a success that v2 does not have (202 is); the block counts as not taken"
                        .to_owned(),
                }),
            };
        }
        let Some(block) = self.block.decoded() else { return self.raw_payload(http, call).await };
        let fork = block.fork();
        let answer = relay.versioned_call(http, call, self.context, fork, MAX_PAYLOAD_BYTES).await?;
        has_payload(&answer)?;
        let (preset, signed, deadline) = (relay.preset, block.clone(), self.context.deadline);
        // Megabytes of hex and a trie of transactions: milliseconds that no runtime worker should spend.
        let checked =
            tokio::task::spawn_blocking(move || reveal(fork, preset, &answer, &signed, deadline)).await;
        checked.unwrap_or_else(|e| Err(CallFailure::Transport(format!("check of the payload ended: {e}"))))
    }

    /// The payload of a block that we cannot read is passed on as unread: the client compares it with what it signed.
    async fn raw_payload(&self, http: &HttpClient, call: Call<'_>) -> Result<SubmitOutcome, CallFailure> {
        let headers = OnceLock::new();
        let keep_headers = |of_answer: &HeaderMap| {
            let _ = headers.set(of_answer.clone());
            let mime = of_answer.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let mime = mime.unwrap_or_default();
            Encoding::from_mime(mime).ok_or_else(|| CallFailure::ContentType(mime.chars().take(64).collect()))
        };
        let answer = self.relay.call_with(http, call, self.context, MAX_PAYLOAD_BYTES, keep_headers).await?;
        has_payload(&answer)?;
        let headers: HeaderMap = headers.into_inner().unwrap_or_default();
        Ok(SubmitOutcome::Unchecked(Box::new(RawPayload {
            content_type: headers.get(CONTENT_TYPE).cloned(),
            consensus_version: headers.get(CONSENSUS_VERSION).cloned(),
            body: answer.body,
        })))
    }
}

/// Whether an answer shows that the endpoint is there, whatever it says of the block.
fn has_endpoint(result: &Result<SubmitOutcome, CallFailure>) -> bool {
    match result {
        Ok(_) => true,
        Err(failure) => failure.http_status().is_some_and(|status| status != 404),
    }
}

fn has_payload(answer: &Answer) -> Result<(), CallFailure> {
    if answer.status != 200 || answer.body.is_empty() {
        return Err(CallFailure::Status { status: answer.status, message: "no payload".to_owned() });
    }
    Ok(())
}

/// Of two failures the one that says more: a connection that said nothing has nothing to say.
fn better_of(first: SubmitOutcome, second: SubmitOutcome) -> SubmitOutcome {
    match (first, second) {
        (first, second) if second.is_success() && !first.is_success() => second,
        (SubmitOutcome::Failed(CallFailure::TimedOut), second) => second,
        (first, _) => first,
    }
}

fn reveal(
    fork: Fork,
    preset: PresetName,
    answer: &Answer,
    signed: &SignedBlindedBlock,
    deadline: Instant,
) -> Result<SubmitOutcome, CallFailure> {
    let payload =
        RevealedPayload::decode(fork, preset, answer.encoding, &answer.body).map_err(CallFailure::Decode)?;
    let mut checked = payload.check(signed.facts());
    let now = Instant::now();
    if checked.is_ok() && now + KZG_NEEDS_LEFT < deadline {
        checked = payload.check_blobs(now + KZG_TIME);
    }
    Ok(match checked {
        Ok(()) => SubmitOutcome::Delivered(payload.into()),
        Err(error) => SubmitOutcome::Mismatched(error),
    })
}
