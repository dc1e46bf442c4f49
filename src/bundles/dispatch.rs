//! From an open bundle to builders' queues: written and signed once a dialect, and taken back the same way.

use std::{collections::HashMap, sync::Arc, time::Duration};

use alloy_primitives::Address;
use bytes::Bytes;
use metrics::counter;
use tokio::{sync::mpsc, time::Instant};
use tracing::warn;

use super::{
    BuilderEndpoint,
    budget::HeldBytes,
    dialect::{Auth, Unsupported},
    fanout::{Job, Purpose},
    hash::upstream_uuid,
    intake::BundleIntake,
    pool::PooledBundle,
};
use crate::{
    ledger::{BundleSend, BundleWrite, SendOutcome},
    types::UnixMillis,
};

/// A request to builders as it is sent, and its share of the budget.
#[derive(Clone)]
struct SignedBody {
    body: Bytes,
    signature: Option<String>,
    held: Option<Arc<HeldBytes>>,
}

/// Why there is no request for a builder.
enum NotSigned {
    Unsupported(Unsupported),
    NoMemory,
}

/// Why a builder is not sent a bundle.
enum NotQueued {
    Unsupported(String),
    NoMemory,
    QueueFull,
}

impl NotQueued {
    /// What is written down of it; what our own limits cost is counted.
    fn into_send(self, id: i64, builder: &str, block: u64, now: UnixMillis) -> BundleSend {
        let dropped = |message: &str| {
            counter!("relaymux_bundle_sends_dropped_total", "builder" => builder.to_owned()).increment(1);
            (SendOutcome::QueueFull, message.to_owned())
        };
        let (outcome, message) = match self {
            Self::Unsupported(lack) => (SendOutcome::Unsupported, lack),
            Self::NoMemory => dropped("requests that wait hold bundles.max_open_mib"),
            Self::QueueFull => dropped("its queue is full"),
        };
        BundleSend {
            id,
            builder: builder.to_owned(),
            block: block.cast_signed(),
            outcome,
            message,
            attempts: 0,
            latency_us: 0,
            sent_at: now,
        }
    }
}

impl BundleIntake {
    /// Sends a bundle for a block, for which it counts as sent already; what comes back are the answers, the channel ends with the last.
    pub(super) fn dispatch(
        &self,
        pooled: &PooledBundle,
        block: u64,
        received: Instant,
    ) -> mpsc::Receiver<BundleSend> {
        // One answer of each builder.
        let (reply, answers) = mpsc::channel(self.settings.builders.len().max(1));
        let name: Option<Arc<str>> =
            pooled.bundle.uuid.as_ref().map(|uuid| upstream_uuid(pooled.searcher, uuid).to_string().into());
        let deadline = self.deadline(block);
        // Written and signed once a dialect, however many speak it.
        let mut requests: HashMap<(&str, Auth), Result<SignedBody, NotSigned>> = HashMap::new();
        let chosen = |endpoint: &&BuilderEndpoint| pooled.builders.contains(&endpoint.id);
        for endpoint in self.settings.builders.iter().filter(chosen) {
            let signed = requests
                .entry((endpoint.dialect.name, endpoint.auth))
                .or_insert_with(|| self.sign_request(pooled, endpoint, block, name.as_deref()));
            let queued = match signed {
                Ok(SignedBody { body, signature, held }) => {
                    let job = Job {
                        id: pooled.id,
                        block,
                        body: body.clone(),
                        held: held.clone(),
                        signature: signature.clone(),
                        deadline,
                        purpose: Purpose::Bundle { withdrawn: pooled.withdrawn.clone() },
                        name: name.clone(),
                        received,
                        reply: reply.clone(),
                    };
                    if self.push(&endpoint.id, job) { Ok(()) } else { Err(NotQueued::QueueFull) }
                }
                Err(NotSigned::Unsupported(lack)) => Err(NotQueued::Unsupported(lack.to_string())),
                Err(NotSigned::NoMemory) => Err(NotQueued::NoMemory),
            };
            if let Err(reason) = queued {
                let _ = reply.try_send(reason.into_send(pooled.id, &endpoint.id, block, self.clock.now()));
            }
        }
        answers
    }

    /// Sends a bundle for a block without anybody waiting for it.
    pub(super) fn dispatch_alone(&self, pooled: &PooledBundle, block: u64) {
        let answers = self.dispatch(pooled, block, Instant::now());
        self.collect(answers);
    }

    /// Has the answers written down as they come in, while nobody waits for them.
    pub(super) fn collect(&self, mut answers: mpsc::Receiver<BundleSend>) {
        let pool = self.pool.clone();
        tokio::spawn(async move {
            while let Some(answer) = answers.recv().await {
                pool.answered(answer).await;
            }
        });
    }

    /// A bundle as a builder wants it, signed as it wants it.
    fn sign_request(
        &self,
        pooled: &PooledBundle,
        endpoint: &BuilderEndpoint,
        block: u64,
        name: Option<&str>,
    ) -> Result<SignedBody, NotSigned> {
        let body = endpoint
            .dialect
            .request(&pooled.bundle, block, name, pooled.sequence)
            .map_err(NotSigned::Unsupported)?;
        let held = self.budget.take(body.len()).ok_or(NotSigned::NoMemory)?;
        let signature = self.sign(pooled.searcher, endpoint.auth, &body);
        Ok(SignedBody { body: body.into(), signature, held: Some(Arc::new(held)) })
    }

    fn sign(&self, searcher: Address, auth: Auth, body: &[u8]) -> Option<String> {
        let key = self.settings.searcher_keys.get(&searcher).unwrap_or(&self.settings.key);
        match auth {
            Auth::Signature(how) => Some(key.header(how, body)),
            Auth::None | Auth::Bearer => None,
        }
    }

    fn push(&self, builder: &str, job: Job) -> bool {
        self.queues.get(builder).is_some_and(|queue| queue.push(job))
    }

    /// Asks builders to take a bundle back, each in its way.
    pub(super) fn cancel_at(
        &self,
        pooled: &PooledBundle,
        builders: &[String],
        uuid: &str,
        sequence: u64,
        received: Instant,
    ) {
        let name: Arc<str> = upstream_uuid(pooled.searcher, uuid).to_string().into();
        let block = pooled.blocks().0.max(self.head.borrow().number + 1);
        let deadline = self.deadline(block);
        let (reply, mut answers) = mpsc::channel(self.settings.builders.len().max(1));
        for endpoint in self.settings.builders.iter().filter(|endpoint| builders.contains(&endpoint.id)) {
            let Some(body) = endpoint.dialect.cancel_request(block, &name, sequence) else { continue };
            let job = Job {
                id: pooled.id,
                block,
                signature: self.sign(pooled.searcher, endpoint.auth, &body),
                body: body.into(),
                held: None,
                deadline,
                purpose: Purpose::Cancel,
                name: Some(Arc::clone(&name)),
                received,
                reply: reply.clone(),
            };
            if !self.push(&endpoint.id, job) {
                warn!(builder = endpoint.id, "a bundle could not be taken back: its queue is full");
            }
        }
        drop(reply);
        let recorder = self.recorder.clone();
        tokio::spawn(async move {
            while let Some(mut answer) = answers.recv().await {
                // Beside the answer to the bundle itself, not in its place.
                answer.builder = format!("{} (cancel)", answer.builder);
                recorder.write(BundleWrite::Sent(answer));
            }
        });
    }

    /// When a request for a block is of no use any more: a slot after that block is due.
    fn deadline(&self, block: u64) -> Instant {
        let head = *self.head.borrow();
        let slots = block.saturating_sub(head.number).max(1);
        let due_ms = self.time_of(head.number.saturating_add(slots), head).saturating_mul(1000);
        let left = i64::try_from(due_ms).unwrap_or(i64::MAX).saturating_sub(self.clock.now());
        // A chain that stands still, or whose clock is another, still gives every request a slot.
        let left = u64::try_from(left).unwrap_or(0).clamp(self.slot_secs * 1000, 120_000);
        Instant::now() + Duration::from_millis(left)
    }
}
