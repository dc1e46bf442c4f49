//! Registrations: to every relay at once, answered at the first that took them, the rest goes on in the background.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc},
    task::{JoinHandle, spawn_blocking},
    time::{Instant, sleep, timeout},
};
use tracing::{debug, info, warn};

use super::{
    metrics::record_unchecked_registrations,
    policy::PolicyTable,
    registration_check::signed_by_their_validators,
    state::{Auction, user_agent},
    validators::Sifted,
};
use crate::{
    consensus::{
        Encoding, RegistrationError, containers::SignedValidatorRegistration, prepare_kzg, visit_json,
        visit_ssz,
    },
    events::{Event, RegistrationAnswer, RegistrationRound},
    ledger::RememberedValidator,
    relay::{CallContext, RegisterOutcome, RegistrationBody, Relay},
    types::{Fork, RelayId, micros},
};

/// Registrations read before the memory of validators is locked once. Arbitrary: bounds both the lock and the buffer.
const CHUNK: usize = 1024;
/// Signatures that the client's answer waits for. Arbitrary: checked in a tenth of a second.
const FEW: usize = 128;
/// How long the client's answer waits for signatures to be checked, beyond the relays' answers.
const CHECK_TIMEOUT: Duration = Duration::from_millis(500);
/// Longest wait for the turn of a batch. Arbitrary: more than any number of them takes, so that none is given up.
const LONGEST_CHECK: Duration = Duration::from_secs(3600);
/// Longest time that registrations wait for pressure to end: relays want them once an epoch.
const LONGEST_DEFERRAL: Duration = Duration::from_secs(120);
/// How often they look.
const DEFERRAL_STEP: Duration = Duration::from_millis(250);

/// A call of `validators`.
#[derive(Clone, Debug)]
pub struct RegisterRequest {
    /// The body, as it came.
    pub body: Bytes,
    /// The encoding of the body, by its content type.
    pub encoding: Encoding,
    /// The client's `Eth-Consensus-Version`, where it sent one.
    pub version: Option<Fork>,
    /// The client's `User-Agent`.
    pub user_agent: String,
}

/// Why registrations were not taken.
#[derive(Debug, thiserror::Error)]
pub enum RegisterError {
    /// The body is not a list of registrations; no relay was called.
    #[error("{0}")]
    Malformed(#[from] RegistrationError),
    /// No relay took them.
    #[error("no relay took the registrations: {0}")]
    NoRelay(String),
}

/// A round of registrations, read.
struct ReadRound {
    count: usize,
    /// When it was heard, by the clock of what is heard.
    heard_at: i64,
    sifted: Sifted,
}

impl Auction {
    /// Remembers what validators wish and registers them with every active relay. Returns at the first relay that took them all.
    ///
    /// # Errors
    /// When the body is malformed, or every relay refused or was too slow.
    pub async fn register_validators(
        self: &Arc<Self>,
        request: RegisterRequest,
    ) -> Result<(), RegisterError> {
        let policies = self.policies.load_full();
        let deadline = Instant::now() + policies.default.settings.timeout_register_validator;
        self.load.stand_back().await;
        let read = self.read_registrations(&request).await?;
        let count = read.count;
        // While the relays are asked: a few signatures cost less than a relay's answer, and many do not hold the client up.
        let unknown = read.sifted.unknown.len();
        let checked = self.check_registrations(read);
        let taken = self.register_everywhere(request, count, &policies, deadline).await;
        // A few are taken in by the time the client has its answer; it does not wait for thousands.
        if unknown <= FEW {
            let _ = timeout(CHECK_TIMEOUT, checked).await;
        }
        // Clients register long before they propose: the second of computing that KZG needs once falls in no auction.
        if self.spec.fork_at(self.slots.slot_at(self.clock.now())) >= Fork::Deneb {
            prepare_kzg();
        }
        taken
    }

    async fn register_everywhere(
        self: &Arc<Self>,
        request: RegisterRequest,
        count: usize,
        policies: &PolicyTable,
        deadline: Instant,
    ) -> Result<(), RegisterError> {
        let relays = self.relays.enabled_of(&policies.relays);
        let body = Arc::new(RegistrationBody::new(request.encoding, request.body, count, request.version));
        let context = CallContext { user_agent: user_agent(&request.user_agent), deadline };
        let (sender, mut answers) = mpsc::channel::<(RelayId, RegisterOutcome)>(relays.len().max(1));
        if self.relays.is_shedding()
            && let Ok(place) = Arc::clone(&self.deferred).try_acquire_owned()
        {
            let timeout = policies.default.settings.timeout_register_validator;
            self.register_sparingly(relays, body, context, sender, timeout, place);
        } else {
            for relay in relays {
                let (body, context, sender) = (Arc::clone(&body), context.clone(), sender.clone());
                let auction = Arc::clone(self);
                self.tasks.spawn(async move {
                    let outcome = auction.register_at(&relay, &body, &context).await;
                    // The client may have its answer already and nobody listens.
                    let _ = sender.send((relay.id().clone(), outcome)).await;
                });
            }
            drop(sender);
        }
        let mut refusals = Vec::new();
        while let Some((relay, outcome)) = answers.recv().await {
            match outcome {
                RegisterOutcome::Accepted => return Ok(()),
                RegisterOutcome::Failed(failure) => refusals.push(format!("{relay}: {failure}")),
            }
        }
        if refusals.is_empty() {
            refusals.push("no relay is enabled".to_owned());
        }
        Err(RegisterError::NoRelay(refusals.join("; ")))
    }

    async fn register_at(
        &self,
        relay: &Relay,
        body: &RegistrationBody,
        context: &CallContext,
    ) -> RegisterOutcome {
        let started = Instant::now();
        let outcome = relay.register(body, context).await;
        self.note_registration(relay.id(), &outcome, started.elapsed());
        outcome
    }

    /// Under pressure: one relay after the other until one took them, the rest once the pressure is over, or after a while.
    fn register_sparingly(
        self: &Arc<Self>,
        mut relays: Vec<Arc<Relay>>,
        body: Arc<RegistrationBody>,
        context: CallContext,
        client: mpsc::Sender<(RelayId, RegisterOutcome)>,
        timeout: Duration,
        place: OwnedSemaphorePermit,
    ) {
        let rank = |relay: &Arc<Relay>| self.relays.status(relay.id()).map_or(0.0, |status| status.rank);
        relays.sort_by(|a, b| rank(b).total_cmp(&rank(a)));
        let auction = Arc::clone(self);
        self.tasks.spawn(async move {
            let mut rest = relays.into_iter();
            for relay in rest.by_ref() {
                // A relay that hangs leaves time for the next.
                let deadline = context.deadline.min(Instant::now() + timeout / 3);
                let context = CallContext { deadline, ..context.clone() };
                let outcome = auction.register_at(&relay, &body, &context).await;
                let is_taken = matches!(outcome, RegisterOutcome::Accepted);
                let _ = client.send((relay.id().clone(), outcome)).await;
                if is_taken {
                    break;
                }
            }
            drop(client);
            let rest: Vec<Arc<Relay>> = rest.collect();
            if rest.is_empty() {
                return;
            }
            info!(relays = rest.len(), "registrations wait for the pressure to end");
            let latest = Instant::now() + LONGEST_DEFERRAL;
            while auction.relays.is_shedding() && Instant::now() < latest && !auction.tasks.is_closed() {
                sleep(DEFERRAL_STEP).await;
            }
            for relay in rest {
                let context = CallContext { deadline: Instant::now() + timeout, ..context.clone() };
                auction.register_at(&relay, &body, &context).await;
            }
            drop(place);
        });
    }

    /// Checks the signatures of registrations that say something new, takes in those that hold, and tells of the round.
    fn check_registrations(self: &Arc<Self>, read: ReadRound) -> JoinHandle<()> {
        let auction = Arc::clone(self);
        let ReadRound { count, heard_at, sifted: Sifted { mut unknown, repeated } } = read;
        // Nobody's slot depends on it: a stop does not wait for it.
        tokio::spawn(async move {
            let mut changed = Vec::new();
            let room = unknown.len().min(auction.unchecked.available_permits());
            let places = u32::try_from(room)
                .ok()
                .and_then(|room| Arc::clone(&auction.unchecked).try_acquire_many_owned(room).ok());
            let taken = if places.is_some() { room } else { 0 };
            if taken < unknown.len() {
                let left_out = unknown.len() - taken;
                record_unchecked_registrations(left_out);
                warn!(
                    left_out,
                    "registrations passed on to relays, and not taken in here: too many wait for their check"
                );
            }
            unknown.truncate(taken);
            if !unknown.is_empty() {
                let (validators, domain) = (Arc::clone(&auction.validators), auction.domain);
                let clock = auction.clock.clone();
                // One batch at a time, whenever its turn comes: a client that registers 100,000 validators waits for none of it.
                let by = Instant::now() + LONGEST_CHECK;
                let check = auction.registration_checks.check(by, move || {
                    let (good, unsigned) = signed_by_their_validators(&unknown, domain);
                    (validators.update(&good, clock.now()), unsigned)
                });
                match check.await {
                    Ok((news, unsigned)) => {
                        changed = news;
                        if unsigned > 0 {
                            warn!(
                                unsigned,
                                "registrations that their validators did not sign: passed on to relays, and not believed here"
                            );
                        }
                    }
                    Err(reason) => {
                        record_unchecked_registrations(taken);
                        warn!(left_out = taken, error = %reason, "registrations passed on to relays, and not taken in here");
                    }
                }
            }
            drop(places);
            let at = auction.clock.now();
            let round = RegistrationRound { count, at, changed, heard_at, repeated };
            auction.spine.publish(Event::Registrations(round));
        })
    }

    /// Reads the body on a blocking thread: a hundred thousand registrations take tens of milliseconds.
    async fn read_registrations(&self, request: &RegisterRequest) -> Result<ReadRound, RegisterError> {
        let (validators, body, encoding) =
            (Arc::clone(&self.validators), request.body.clone(), request.encoding);
        let now = self.clock.now();
        // It never closes; without a place it would be read all the same.
        let _place = self.registration_reads.acquire().await.ok();
        let read = spawn_blocking(move || {
            let heard_at = validators.hear(now);
            let mut sifted = Sifted::default();
            let mut sift = |chunk: &[SignedValidatorRegistration]| {
                let mut more = validators.sift(chunk, now);
                sifted.unknown.append(&mut more.unknown);
                sifted.repeated.append(&mut more.repeated);
            };
            let mut chunk: Vec<SignedValidatorRegistration> = Vec::with_capacity(CHUNK);
            let mut see = |signed: &SignedValidatorRegistration| {
                chunk.push(signed.clone());
                if chunk.len() == CHUNK {
                    sift(&chunk);
                    chunk.clear();
                }
            };
            let count = match encoding {
                Encoding::Json => visit_json(&body, &mut see)?,
                Encoding::Ssz => visit_ssz(&body, &mut see)?,
            };
            sift(&chunk);
            Ok(ReadRound { count, heard_at, sifted })
        });
        read.await
            .unwrap_or_else(|e| Err(RegistrationError::Json(e.to_string())))
            .map_err(RegisterError::Malformed)
    }

    fn note_registration(&self, relay: &RelayId, outcome: &RegisterOutcome, latency: Duration) {
        let (accepted, message, http_status) = match outcome {
            RegisterOutcome::Accepted => (true, "took the registrations".to_owned(), Some(200)),
            RegisterOutcome::Failed(failure) => (false, failure.to_string(), failure.http_status()),
        };
        if accepted {
            debug!(%relay, elapsed_ms = latency.as_millis(), "registrations taken");
        } else {
            warn!(%relay, elapsed_ms = latency.as_millis(), error = %message, "registrations not taken");
        }
        self.spine.publish(Event::RegistrationAnswer(RegistrationAnswer {
            relay: relay.clone(),
            accepted,
            outcome: outcome.kind(),
            message,
            http_status,
            latency_us: micros(latency),
            at: self.clock.now(),
        }));
    }

    /// Puts back what the ledger remembers of earlier registrations.
    pub fn restore_registrations(&self, remembered: &[RememberedValidator]) {
        self.validators.restore(remembered, self.slots.slot_ms(), self.clock.now());
        info!(validators = remembered.len(), "registrations restored");
    }
}
