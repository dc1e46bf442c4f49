//! Takes bundles in: who sends, what it is, whether it holds, which builders it goes to; and answers once the first builder has.
//!
//! It waits for no disk, and for a builder only as long as the searcher may be kept waiting.

use std::{
    collections::BTreeMap,
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy_primitives::Address;
use governor::{Quota, RateLimiter, clock::DefaultClock, state::keyed::HashMapStateStore};
use metrics::{counter, histogram};
use reqwest::Client;
use serde_json::{Value, json, value::RawValue};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    BuilderEndpoint, BundleSettings,
    budget::ByteBudget,
    bundle::{Bundle, check},
    fanout::BuilderQueue,
    pool::{Admitted, NewBundle, NotAdmitted, PoolEnded, PoolHandle, PooledBundle},
    recorder::Recorder,
    simulate::{SimulationRequest, simulate},
    wire::{BundleCommand, private_uuid, read},
};
use crate::{
    consensus::WallClock,
    ethereum::ExecutionNode,
    jsonrpc::{ErrorCode, Request, RpcError},
    ledger::{BundleKind, BundleSend, SendOutcome},
};

/// Questions to the node about nonces and trials at once.
const ASKED_AT_ONCE: usize = 16;
/// Longest wait of a searcher's simulation for its turn at the node.
const SIMULATION_WAIT: Duration = Duration::from_secs(2);
/// Identities whose rate is remembered before quiet ones are forgotten.
const MAX_IDENTITIES: usize = 10_000;

/// The chain's head, as the tracker saw it last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HeadView {
    pub(super) number: u64,
    pub(super) timestamp: u64,
}

/// A bundle that holds.
#[derive(Debug)]
pub(super) struct ValidBundle {
    pub(super) bundle: Bundle,
    /// Names of the builders it goes to.
    pub(super) builders: Vec<String>,
    /// The block that it is first for.
    pub(super) target: u64,
    /// Whether it fits the time at which that block comes at the earliest. Otherwise it goes out with the head before a block that it
    /// fits: builders that know no times need not wait for it.
    pub(super) is_due: bool,
}

impl ValidBundle {
    /// What its searcher is told.
    pub(super) fn answer(&self) -> Value {
        match self.bundle.kind {
            BundleKind::Bundle | BundleKind::MevShare => json!({ "bundleHash": self.bundle.hash() }),
            BundleKind::Private => json!(self.bundle.transactions.first().map(|tx| tx.hash)),
        }
    }
}

type ByIdentity = RateLimiter<Address, HashMapStateStore<Address>, DefaultClock>;

/// What the intake and the tracker share.
pub struct BundleIntake {
    pub(super) settings: BundleSettings,
    pub(super) node: ExecutionNode,
    /// The chain's number; 0 until the node has told.
    pub(super) chain: AtomicU64,
    pub(super) slot_secs: u64,
    pub(super) clock: WallClock,
    pub(super) pool: PoolHandle,
    pub(super) budget: Arc<ByteBudget>,
    pub(super) head: watch::Receiver<HeadView>,
    pub(super) recorder: Recorder,
    pub(super) asking: Arc<Semaphore>,
    pub(super) queues: BTreeMap<String, BuilderQueue>,
    limiter: Option<ByIdentity>,
}

impl std::fmt::Debug for BundleIntake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BundleIntake").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What an intake is made of.
pub(super) struct IntakeParts {
    pub(super) settings: BundleSettings,
    pub(super) node: ExecutionNode,
    pub(super) http: Client,
    pub(super) slot_secs: u64,
    pub(super) clock: WallClock,
    pub(super) head: watch::Receiver<HeadView>,
    pub(super) recorder: Recorder,
    pub(super) pool: PoolHandle,
    pub(super) budget: Arc<ByteBudget>,
    pub(super) stop: CancellationToken,
}

impl BundleIntake {
    pub(super) fn new(parts: IntakeParts) -> Self {
        let IntakeParts { settings, node, http, slot_secs, clock, head, recorder, pool, budget, stop } =
            parts;
        let queue = |endpoint: &BuilderEndpoint| {
            let queue = BuilderQueue::start(endpoint.clone(), http.clone(), clock.clone(), stop.clone());
            (endpoint.id.clone(), queue)
        };
        let queues = settings.builders.iter().map(queue).collect();
        let limiter = NonZeroU32::new(settings.rate_per_searcher)
            .map(|rate| RateLimiter::hashmap(Quota::per_second(rate)));
        Self {
            node,
            chain: AtomicU64::new(0),
            slot_secs,
            clock,
            pool,
            budget,
            head,
            recorder,
            asking: Arc::new(Semaphore::new(ASKED_AT_ONCE)),
            queues,
            limiter,
            settings,
        }
    }

    pub(super) fn chain(&self) -> u64 {
        self.chain.load(Ordering::Relaxed)
    }

    /// Whether somebody may send at all.
    ///
    /// # Errors
    /// When the operator named searchers, and this is none of them.
    pub fn admit(&self, searcher: Address) -> Result<(), RpcError> {
        if self.settings.searchers.is_empty() || self.settings.searchers.contains(&searcher) {
            Ok(())
        } else {
            Err(RpcError::refused(format!("{searcher} is not one of bundles.searchers")))
        }
    }

    /// Charges one call of a searcher, alone or in a batch, against its rate.
    fn charge(&self, searcher: Address) -> Result<(), RpcError> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        // Identities cost nothing to make: those that have been quiet are forgotten.
        if limiter.len() > MAX_IDENTITIES {
            limiter.retain_recent();
        }
        if limiter.check_key(&searcher).is_ok() {
            return Ok(());
        }
        counter!("relaymux_bundles_rate_limited_total").increment(1);
        let message = format!(
            "more than {} calls in a second, each call of a batch counted: see bundles.rate_per_searcher",
            self.settings.rate_per_searcher
        );
        Err(RpcError::new(ErrorCode::LimitExceeded, message))
    }

    /// The number of the chain's head; 0 until the node has told.
    pub fn head_number(&self) -> u64 {
        self.head.borrow().number
    }

    /// The names of the builders that bundles go to.
    pub fn builders(&self) -> Vec<&str> {
        self.settings.builders.iter().map(|endpoint| endpoint.id.as_str()).collect()
    }

    /// Answers one call of a searcher.
    ///
    /// # Errors
    /// What the searcher is told instead of a result.
    pub async fn serve(
        self: &Arc<Self>,
        searcher: Address,
        request: &Request<'_>,
        received: Instant,
    ) -> Result<Value, RpcError> {
        self.charge(searcher)?;
        let head = *self.head.borrow();
        if head.number == 0 && head.timestamp == 0 {
            return Err(RpcError::refused(
                "the execution node does not answer, or is of another chain: its head is not known",
            ));
        }
        match read(request, head.number + 1)? {
            BundleCommand::Send(bundle) => self.send(searcher, *bundle, request, received, head).await,
            BundleCommand::Cancel(uuid) => self.cancel(searcher, &uuid, received).await,
            BundleCommand::CancelPrivate(hash) => {
                Ok(json!(self.cancel(searcher, &private_uuid(hash), received).await.is_ok()))
            }
            BundleCommand::Simulate(request) => self.simulate(&request).await,
        }
    }

    async fn simulate(&self, request: &SimulationRequest) -> Result<Value, RpcError> {
        check(&request.bundle, self.chain()).map_err(RpcError::params)?;
        let Ok(Ok(_permit)) = timeout(SIMULATION_WAIT, self.asking.acquire()).await else {
            let message =
                format!("{ASKED_AT_ONCE} simulations are at the node: try again when one has ended");
            return Err(RpcError::new(ErrorCode::LimitExceeded, message));
        };
        simulate(&self.node, request).await.map_err(|error| RpcError::refused(error.to_string()))
    }

    /// Validates, admits and dispatches; the answer comes with the first builder that takes it, when all have refused, or when it has waited
    /// long enough.
    async fn send(
        self: &Arc<Self>,
        searcher: Address,
        bundle: Bundle,
        request: &Request<'_>,
        received: Instant,
        head: HeadView,
    ) -> Result<Value, RpcError> {
        let valid = self.validate(bundle, head).await?;
        let answer = valid.answer();
        let params = request.params.map_or("[]", RawValue::get);
        let request = format!(r#"{{"method":{},"params":{params}}}"#, Value::from(&*request.method));
        let intake = Arc::clone(self);
        to_its_end(async move {
            let (target, is_due) = (valid.target, valid.is_due);
            let Some(pooled) = intake.admit_to_pool(searcher, valid, request, received).await? else {
                return Ok(());
            };
            if !is_due {
                return Ok(());
            }
            let answers = intake.dispatch(&pooled, target, received);
            if intake.settings.simulate {
                intake.try_out(&pooled);
            }
            intake.first_answer(pooled.id, answers, received).await
        })
        .await?;
        Ok(answer)
    }

    /// Takes a bundle into the pool, in the place of an older one of its name. Nothing, where its searcher has sent the very same before and did
    /// not wait for the answer: that one is on its way.
    async fn admit_to_pool(
        &self,
        searcher: Address,
        valid: ValidBundle,
        request: String,
        received: Instant,
    ) -> Result<Option<PooledBundle>, RpcError> {
        let ValidBundle { bundle, builders, target, is_due } = valid;
        let bytes = bundle.held_bytes() + request.len();
        let (hash, bundle) = (bundle.hash(), Arc::new(bundle));
        let new = NewBundle { bundle, searcher, hash, builders, request, bytes };
        let admitted = self.pool.admit(new, is_due.then_some(target)).await.map_err(gone)?;
        let Admitted { pooled, replaced } = match admitted {
            Ok(admitted) => admitted,
            Err(NotAdmitted::SameAgain) => return Ok(None),
            Err(full) => {
                counter!("relaymux_bundles_refused_full_total").increment(1);
                return Err(RpcError::new(ErrorCode::LimitExceeded, full.to_string()));
            }
        };
        counter!("relaymux_bundles_received_total", "kind" => pooled.bundle.kind.label()).increment(1);
        if let Some(old) = replaced {
            // A builder that had the old one and gets no new one must not go on with the old one.
            let left: Vec<String> =
                old.builders.iter().filter(|id| !pooled.builders.contains(id)).cloned().collect();
            if let Some(uuid) = old.bundle.uuid.as_deref() {
                self.cancel_at(&old, &left, uuid, pooled.sequence, received);
            }
        }
        Ok(Some(pooled))
    }

    /// Waits until a builder took it, or all refused, or long enough. What comes later is written down while the searcher has its answer.
    async fn first_answer(
        &self,
        id: i64,
        mut answers: mpsc::Receiver<BundleSend>,
        received: Instant,
    ) -> Result<(), RpcError> {
        let until = received + self.settings.answer_within;
        loop {
            match timeout_at(until, answers.recv()).await {
                Ok(Some(answer)) => {
                    let is_taken = answer.outcome == SendOutcome::Accepted;
                    self.pool.answered(answer).await;
                    if is_taken {
                        histogram!("relaymux_bundle_first_ack_seconds")
                            .record(received.elapsed().as_secs_f64());
                        break;
                    }
                }
                // All have spoken, and nobody took it. It may be sent for later blocks all the same.
                Ok(None) => {
                    let head = self.head.borrow().number;
                    return match self.pool.nobody_took(id, head).await.map_err(gone)? {
                        Some(reason) => Err(RpcError::refused(reason)),
                        None => Ok(()),
                    };
                }
                // It is in our hands: they are asked again until the block comes.
                Err(_) => break,
            }
        }
        self.collect(answers);
        Ok(())
    }

    async fn cancel(
        self: &Arc<Self>,
        searcher: Address,
        uuid: &str,
        received: Instant,
    ) -> Result<Value, RpcError> {
        let (intake, uuid) = (Arc::clone(self), uuid.to_owned());
        to_its_end(async move {
            let Some((pooled, sequence)) = intake.pool.cancel(searcher, &uuid).await.map_err(gone)? else {
                let shown: String = uuid.chars().take(64).collect();
                return Err(RpcError::refused(format!("no bundle named {shown} of yours is waiting")));
            };
            intake.cancel_at(&pooled, &pooled.builders, &uuid, sequence, received);
            Ok(json!(true))
        })
        .await
    }
}

/// Does what changes the pool to its end, also when the searcher hangs up meanwhile: a bundle that is in the pool must go out, and builders must
/// hear of one that is taken back.
async fn to_its_end<T: Send + 'static>(
    work: impl Future<Output = Result<T, RpcError>> + Send + 'static,
) -> Result<T, RpcError> {
    tokio::spawn(work).await.unwrap_or_else(|_| Err(gone(PoolEnded)))
}

fn gone(ended: PoolEnded) -> RpcError {
    RpcError::refused(ended.to_string())
}
