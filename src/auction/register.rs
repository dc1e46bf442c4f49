//! Registrations: to every relay at once, answered at the first that took them, the rest goes on in the background.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::mpsc, time::Instant};
use tracing::{debug, info, warn};

use super::{Auction, house::user_agent, race::micros};
use crate::{
    consensus::{Encoding, Fork, Registration, RegistrationError, visit_json, visit_ssz},
    events::{Event, RegistrationAnswer, RegistrationFacts, RegistrationRound},
    relay::{CallContext, RegisterOutcome, RegistrationBody},
    types::RelayId,
};

/// Registrations read before the memory of validators is locked once. Arbitrary: bounds both the lock and the buffer.
const CHUNK: usize = 1024;

/// A call of `validators`.
#[derive(Clone, Debug)]
pub struct RegisterRequest {
    /// The body, as it came.
    pub body: Bytes,
    /// How it is encoded.
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

impl Auction {
    /// Remembers what validators wish and registers them with every active relay. Returns at the first relay that took them all.
    ///
    /// # Errors
    /// When the body is malformed, or every relay refused or was too slow.
    pub async fn register_validators(
        self: &Arc<Self>,
        request: RegisterRequest,
    ) -> Result<(), RegisterError> {
        let arrangement = self.arrangement.load_full();
        let deadline = Instant::now() + arrangement.default.settings.timeout_register_validator;
        let (count, changed) = self.read_registrations(&request).await?;
        self.spine.publish(Event::Registrations(RegistrationRound { count, at: self.clock.now(), changed }));
        let relays = self.relays.enabled_of(&arrangement.relays);
        let body = Arc::new(RegistrationBody::new(request.encoding, request.body, count, request.version));
        let context = CallContext { user_agent: user_agent(&request.user_agent), deadline };
        let (sender, mut answers) = mpsc::channel::<(RelayId, RegisterOutcome)>(relays.len().max(1));
        for relay in relays.iter() {
            let (relay, body, context, sender) =
                (Arc::clone(relay), Arc::clone(&body), context.clone(), sender.clone());
            let house = Arc::clone(self);
            self.tasks.spawn(async move {
                let started = Instant::now();
                let outcome = relay.register(&body, &context).await;
                house.note_registration(relay.id(), &outcome, started.elapsed());
                // The client may have its answer already and nobody listens.
                let _ = sender.send((relay.id().clone(), outcome)).await;
            });
        }
        drop(sender);
        let mut refusals = Vec::new();
        while let Some((relay, outcome)) = answers.recv().await {
            match outcome {
                RegisterOutcome::Accepted => return Ok(()),
                RegisterOutcome::Failed(failure) => refusals.push(format!("{relay}: {failure}")),
            }
        }
        if refusals.is_empty() {
            refusals.push("no relay is active".to_owned());
        }
        Err(RegisterError::NoRelay(refusals.join("; ")))
    }

    /// Reads the body on a blocking thread: a hundred thousand registrations take tens of milliseconds.
    async fn read_registrations(
        &self,
        request: &RegisterRequest,
    ) -> Result<(usize, Vec<RegistrationFacts>), RegisterError> {
        let (validators, body, encoding) =
            (Arc::clone(&self.validators), request.body.clone(), request.encoding);
        let read = tokio::task::spawn_blocking(move || {
            let mut changed = Vec::new();
            let mut chunk: Vec<Registration> = Vec::with_capacity(CHUNK);
            let mut see = |signed: &_| {
                chunk.push(Registration::from(signed));
                if chunk.len() == CHUNK {
                    changed.append(&mut validators.update(&chunk));
                    chunk.clear();
                }
            };
            let count = match encoding {
                Encoding::Json => visit_json(&body, &mut see)?,
                Encoding::Ssz => visit_ssz(&body, &mut see)?,
            };
            changed.append(&mut validators.update(&chunk));
            Ok((count, changed))
        });
        read.await
            .unwrap_or_else(|e| Err(RegistrationError::Json(e.to_string())))
            .map_err(RegisterError::Malformed)
    }

    fn note_registration(&self, relay: &RelayId, outcome: &RegisterOutcome, latency: Duration) {
        let (accepted, detail, http_status) = match outcome {
            RegisterOutcome::Accepted => (true, "took the registrations".to_owned(), Some(200)),
            RegisterOutcome::Failed(failure) => (false, failure.to_string(), failure.http_status()),
        };
        if accepted {
            debug!(%relay, elapsed_ms = latency.as_millis(), "registrations taken");
        } else {
            warn!(%relay, elapsed_ms = latency.as_millis(), error = %detail, "registrations not taken");
        }
        self.spine.publish(Event::RegistrationAnswer(RegistrationAnswer {
            relay: relay.clone(),
            accepted,
            outcome: outcome.kind(),
            detail,
            http_status,
            latency_us: micros(latency),
            at: self.clock.now(),
        }));
    }

    /// Puts back what the ledger remembers of earlier registrations.
    pub fn restore_registrations(&self, facts: &[RegistrationFacts]) {
        self.validators.restore(facts);
        info!(validators = facts.len(), "registrations restored");
    }
}
