//! Takes bundles in: who sends, what it is, whether it holds, which builders it goes to; and answers once the first builder has.
//!
//! It waits for no disk, and for a builder only as long as the searcher may be kept waiting.

use std::{
    collections::{BTreeMap, HashMap},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy_primitives::Address;
use bytes::Bytes;
use governor::{Quota, RateLimiter, clock::DefaultClock, state::keyed::HashMapStateStore};
use metrics::{counter, gauge, histogram};
use parking_lot::Mutex;
use reqwest::Client;
use serde_json::{Value, json, value::RawValue};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::{Instant, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    BuilderEndpoint, BundleSettings, FanOut,
    budget::{ByteBudget, HeldBytes},
    bundle::{Bundle, Kind, check},
    dialect::{Auth, Unsupported},
    fanout::{BuilderQueue, Job, Purpose},
    hash::upstream_uuid,
    pool::{Admitted, BundlePool, NewBundle, NotAdmitted, PooledBundle},
    recorder::Recorder,
    simulate::{SimulationRequest, simulate},
    wire::{BundleCommand, private_uuid, read},
};
use crate::{
    consensus::WallClock,
    ethereum::ExecutionNode,
    jsonrpc::{ErrorCode, Request, RpcError},
    ledger::{BundleReceived, BundleSend, BundleWrite, Delivery, SendOutcome},
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

type ByIdentity = RateLimiter<Address, HashMapStateStore<Address>, DefaultClock>;

/// What the intake and the tracker share.
pub(super) struct BundleIntake {
    pub(super) settings: BundleSettings,
    pub(super) node: ExecutionNode,
    /// The chain's number; 0 until the node has told.
    pub(super) chain: AtomicU64,
    pub(super) slot_secs: u64,
    pub(super) pool: Mutex<BundlePool>,
    pub(super) budget: Arc<ByteBudget>,
    pub(super) head: watch::Receiver<HeadView>,
    pub(super) recorder: Recorder,
    pub(super) asking: Arc<Semaphore>,
    queues: BTreeMap<String, BuilderQueue>,
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
    pub(super) head: watch::Receiver<HeadView>,
    pub(super) recorder: Recorder,
    pub(super) last_id: i64,
    pub(super) stop: CancellationToken,
}

impl BundleIntake {
    pub(super) fn new(parts: IntakeParts) -> Self {
        let IntakeParts { settings, node, http, slot_secs, head, recorder, last_id, stop } = parts;
        let queue = |endpoint: &BuilderEndpoint| {
            (endpoint.id.clone(), BuilderQueue::start(endpoint.clone(), http.clone(), stop.clone()))
        };
        let queues = settings.builders.iter().map(queue).collect();
        let limiter = NonZeroU32::new(settings.rate_per_searcher)
            .map(|rate| RateLimiter::hashmap(Quota::per_second(rate)));
        let budget = ByteBudget::new(settings.max_open_bytes);
        Self {
            node,
            chain: AtomicU64::new(0),
            slot_secs,
            pool: Mutex::new(BundlePool::new(Arc::clone(&budget), settings.max_open_per_searcher, last_id)),
            budget,
            head,
            recorder,
            asking: Arc::new(Semaphore::new(ASKED_AT_ONCE)),
            queues,
            limiter,
            settings,
        }
    }

    fn chain(&self) -> u64 {
        self.chain.load(Ordering::Relaxed)
    }

    /// Whether somebody may send at all.
    pub(super) fn admit(&self, searcher: Address) -> Result<(), RpcError> {
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

    /// Answers one call of a searcher.
    pub(super) async fn serve(
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
            BundleCommand::Cancel(uuid) => self.cancel(searcher, &uuid, received),
            BundleCommand::CancelPrivate(hash) => {
                Ok(json!(self.cancel(searcher, &private_uuid(hash), received).is_ok()))
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

    async fn send(
        self: &Arc<Self>,
        searcher: Address,
        bundle: Bundle,
        request: &Request<'_>,
        received: Instant,
        head: HeadView,
    ) -> Result<Value, RpcError> {
        let target = self.validate(&bundle, head)?;
        let builders = self.builders_for(&bundle)?;
        let hash = bundle.hash();
        let answer = match bundle.kind {
            Kind::Bundle | Kind::MevShare => json!({ "bundleHash": hash }),
            Kind::Private => json!(bundle.transactions.first().map(|tx| tx.hash)),
        };
        let is_its_time = bundle.fits_time(self.time_of(target, head));
        let bytes = bundle.held_bytes() + request.params.map_or(0, |params| params.get().len());
        let new = NewBundle { bundle: Arc::new(bundle), searcher, hash, builders, bytes };
        let pooled = match self.admit_to_pool(new, request, received) {
            Ok(pooled) => pooled,
            // Sent again by a searcher that did not wait for the answer: it is on its way.
            Err(NotAdmitted::SameAgain) => return Ok(answer),
            Err(full) => {
                counter!("relaymux_bundles_refused_full_total").increment(1);
                return Err(RpcError::new(ErrorCode::LimitExceeded, full.to_string()));
            }
        };
        counter!("relaymux_bundles_received_total", "kind" => pooled.bundle.kind.label()).increment(1);
        // Not yet its time: it goes out with the head before a block that is. Builders that know no times need not.
        if !is_its_time {
            return Ok(answer);
        }
        let mut answers = self.dispatch(&pooled, target, received);
        if self.settings.simulate {
            self.try_out(&pooled);
        }
        self.first_answer(pooled.id, &mut answers, received).await?;
        // The rest comes in while the searcher has its answer.
        let intake = Arc::clone(self);
        tokio::spawn(async move { while intake.note(answers.recv().await) {} });
        Ok(answer)
    }

    /// When a block comes at the earliest: slots may be missed, so blocks may come later than that, and never earlier.
    fn time_of(&self, block: u64, head: HeadView) -> u64 {
        let slots = block.saturating_sub(head.number);
        head.timestamp.saturating_add(self.slot_secs.saturating_mul(slots))
    }

    /// Checks a bundle against the chain's head; the block that it is first for.
    fn validate(self: &Arc<Self>, bundle: &Bundle, head: HeadView) -> Result<u64, RpcError> {
        check(bundle, self.chain()).map_err(RpcError::params)?;
        let next = head.number + 1;
        let (first, last) = bundle.blocks.unwrap_or((next, next));
        if last <= head.number {
            return Err(RpcError::params(format!("block {last} is past, the next block is {next}")));
        }
        if bundle.max_timestamp.is_some_and(|max| max <= head.timestamp) {
            return Err(RpcError::params("maxTimestamp is past"));
        }
        let target = first.max(next);
        let earliest = self.time_of(target, head);
        if bundle.max_timestamp.is_some_and(|max| earliest > max) {
            let message =
                format!("maxTimestamp is before block {target}, which comes at {earliest} at the earliest");
            return Err(RpcError::params(message));
        }
        self.check_nonces(bundle, head)?;
        Ok(target)
    }

    /// Takes a bundle into the pool and the ledger, in the place of an older one of its name.
    fn admit_to_pool(
        &self,
        new: NewBundle,
        request: &Request<'_>,
        received: Instant,
    ) -> Result<PooledBundle, NotAdmitted> {
        let mut pool = self.pool.lock();
        let Admitted { pooled, replaced } = pool.admit(new)?;
        gauge!("relaymux_bundles_open").set(f64::from(u32::try_from(pool.len()).unwrap_or(u32::MAX)));
        // Under the lock: nothing else is said of this number before that it came.
        let row = BundleWrite::Received(Box::new(received_row(&pooled, request)));
        self.recorder.write_held(row, Some(Arc::clone(&pooled.held)));
        drop(pool);
        if let Some(old) = replaced {
            let (delivery, reason) =
                (Delivery::Replaced { by: pooled.id }, format!("replaced by number {}", pooled.id));
            self.recorder.write(BundleWrite::Withdrawn { id: old.id, delivery, reason });
            // A builder that had the old one and gets no new one must not go on with the old one.
            let left: Vec<String> =
                old.builders.iter().filter(|id| !pooled.builders.contains(id)).cloned().collect();
            if let Some(uuid) = old.bundle.uuid.as_deref() {
                self.cancel_at(&old, &left, uuid, pooled.sequence, received);
            }
        }
        Ok(pooled)
    }

    /// Waits until a builder took it, or all refused, or long enough.
    async fn first_answer(
        &self,
        id: i64,
        answers: &mut mpsc::Receiver<BundleSend>,
        received: Instant,
    ) -> Result<(), RpcError> {
        let until = received + self.settings.answer_within;
        loop {
            match timeout_at(until, answers.recv()).await {
                Ok(Some(answer)) => {
                    let is_taken = answer.outcome == SendOutcome::Accepted;
                    self.note(Some(answer));
                    if is_taken {
                        histogram!("relaymux_bundle_first_ack_seconds")
                            .record(received.elapsed().as_secs_f64());
                        return Ok(());
                    }
                }
                // All have spoken, and nobody took it.
                Ok(None) => return self.all_refused(id),
                // It is in our hands: they are asked again until the block comes.
                Err(_) => return Ok(()),
            }
        }
    }

    /// Nobody took a bundle: its searcher is told, unless it is still sent for later blocks, or is withdrawn anyway.
    fn all_refused(&self, id: i64) -> Result<(), RpcError> {
        let mut pool = self.pool.lock();
        let Some(pooled) = pool.get(id) else { return Ok(()) };
        let (_, last) = pooled.blocks();
        if last > self.head.borrow().number + 1 || pooled.delivery != Delivery::Active {
            return Ok(());
        }
        let reason = format!("no builder took it: {}", pooled.refusals());
        pool.withdraw(id, Delivery::Refused);
        drop(pool);
        let (delivery, shown) = (Delivery::Refused, reason.clone());
        self.recorder.write(BundleWrite::Withdrawn { id, delivery, reason: shown });
        Err(RpcError::refused(reason))
    }

    /// Writes a builder's answer down; `false` at the end.
    fn note(&self, answer: Option<BundleSend>) -> bool {
        let Some(answer) = answer else { return false };
        self.pool.lock().note_answer(answer.id, &answer.builder, answer.outcome, &answer.message);
        self.recorder.write(BundleWrite::Sent(answer));
        true
    }

    /// Sends a bundle for a block; what comes back are the answers, the channel ends with the last.
    pub(super) fn dispatch(
        &self,
        pooled: &PooledBundle,
        block: u64,
        received: Instant,
    ) -> mpsc::Receiver<BundleSend> {
        // One answer of each builder.
        let (reply, answers) = mpsc::channel(self.settings.builders.len().max(1));
        if !self.pool.lock().begin_sending(pooled.id, block) {
            return answers;
        }
        let name: Option<Arc<str>> =
            pooled.bundle.uuid.as_ref().map(|uuid| upstream_uuid(pooled.searcher, uuid).to_string().into());
        let deadline = self.deadline(block);
        // Written and signed once a dialect, however many speak it.
        let mut requests: HashMap<(&str, Auth), Result<SignedBody, NotSigned>> = HashMap::new();
        for endpoint in
            self.settings.builders.iter().filter(|endpoint| pooled.builders.contains(&endpoint.id))
        {
            let signed = requests
                .entry((endpoint.dialect.name, endpoint.auth))
                .or_insert_with(|| self.sign_request(pooled, endpoint, block, name.as_deref()));
            let not_sent = |outcome: SendOutcome, message: String| BundleSend {
                id: pooled.id,
                builder: endpoint.id.clone(),
                block: block.cast_signed(),
                outcome,
                message,
                attempts: 0,
                latency_us: 0,
                sent_at: WallClock.now(),
            };
            let dropped = |message: &str| {
                counter!("relaymux_bundle_sends_dropped_total", "builder" => endpoint.id.clone())
                    .increment(1);
                not_sent(SendOutcome::QueueFull, message.to_owned())
            };
            let SignedBody { body, signature, held } = match signed {
                Ok(signed) => signed.clone(),
                Err(NotSigned::Unsupported(lack)) => {
                    let _ = reply.try_send(not_sent(SendOutcome::Unsupported, lack.to_string()));
                    continue;
                }
                Err(NotSigned::NoMemory) => {
                    let _ = reply.try_send(dropped("requests that wait hold bundles.max_open_mib"));
                    continue;
                }
            };
            let job = Job {
                id: pooled.id,
                block,
                body,
                held,
                signature,
                deadline,
                purpose: Purpose::Bundle { withdrawn: pooled.withdrawn.clone() },
                name: name.clone(),
                received,
                reply: reply.clone(),
            };
            if !self.push(&endpoint.id, job) {
                let _ = reply.try_send(dropped("its queue is full"));
            }
        }
        answers
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

    /// Sends a bundle for a block without anybody waiting for it.
    pub(super) fn dispatch_alone(self: &Arc<Self>, pooled: &PooledBundle, block: u64) {
        let mut answers = self.dispatch(pooled, block, Instant::now());
        let intake = Arc::clone(self);
        tokio::spawn(async move { while intake.note(answers.recv().await) {} });
    }

    /// When a request for a block is of no use any more: a slot after that block is due.
    fn deadline(&self, block: u64) -> Instant {
        let head = *self.head.borrow();
        let slots = block.saturating_sub(head.number).max(1);
        let due_ms = self.time_of(head.number.saturating_add(slots), head).saturating_mul(1000);
        let left = i64::try_from(due_ms).unwrap_or(i64::MAX).saturating_sub(WallClock.now());
        // A chain that stands still, or whose clock is another, still gives every request a slot.
        let left = u64::try_from(left).unwrap_or(0).clamp(self.slot_secs * 1000, 120_000);
        Instant::now() + Duration::from_millis(left)
    }

    fn cancel(&self, searcher: Address, uuid: &str, received: Instant) -> Result<Value, RpcError> {
        let pooled = {
            let mut pool = self.pool.lock();
            let id = pool.named(searcher, uuid).map(|pooled| pooled.id);
            id.and_then(|id| pool.withdraw(id, Delivery::CancelRequested))
        };
        let Some(pooled) = pooled else {
            let shown: String = uuid.chars().take(64).collect();
            return Err(RpcError::refused(format!("no bundle named {shown} of yours is waiting")));
        };
        self.recorder.write(BundleWrite::Withdrawn {
            id: pooled.id,
            delivery: Delivery::CancelRequested,
            reason: "builders that took it may still land it".to_owned(),
        });
        self.cancel_at(&pooled, &pooled.builders, uuid, pooled.sequence + 1, received);
        Ok(json!(true))
    }

    /// Asks builders to take a bundle back, each in its way.
    fn cancel_at(
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

    /// Whom a bundle goes to: at least one that can say all it asks for.
    fn builders_for(&self, bundle: &Bundle) -> Result<Vec<String>, RpcError> {
        let builders = &self.settings.builders;
        let known = |name: &String| builders.iter().any(|endpoint| endpoint.id == *name);
        if let Some(unknown) = bundle.builders.iter().find(|name| !known(name)) {
            let names: Vec<&str> = builders.iter().map(|endpoint| endpoint.id.as_str()).collect();
            let shown: String = unknown.chars().take(64).collect();
            return Err(RpcError::params(format!("builders: {shown} is not one of {}", names.join(", "))));
        }
        let is_chosen = |endpoint: &BuilderEndpoint| match &self.settings.fan_out {
            _ if !bundle.builders.is_empty() => bundle.builders.contains(&endpoint.id),
            FanOut::RefundsTo(only) if bundle.asks_refund() => endpoint.id == *only,
            FanOut::All | FanOut::RefundsTo(_) => !endpoint.on_request,
        };
        let chosen: Vec<&BuilderEndpoint> = builders.iter().filter(|endpoint| is_chosen(endpoint)).collect();
        if chosen.is_empty() {
            return Err(RpcError::refused(
                "there is no builder for it: all that are configured are on_request, and it names none",
            ));
        }
        // A builder that cannot is not asked; if none can, the searcher must know before it counts on it.
        let lacks: Vec<String> = chosen
            .iter()
            .filter_map(|endpoint| {
                let lack = endpoint.dialect.supports(bundle).err()?;
                Some(format!("{} {lack}", endpoint.id))
            })
            .collect();
        if lacks.len() == chosen.len() {
            let message = format!("no builder can do what this bundle asks for: {}", lacks.join("; "));
            return Err(RpcError::refused(message));
        }
        Ok(chosen.into_iter().map(|endpoint| endpoint.id.clone()).collect())
    }
}

fn received_row(pooled: &PooledBundle, request: &Request<'_>) -> BundleReceived {
    let transactions: Vec<Value> = pooled
        .bundle
        .transactions
        .iter()
        .map(|tx| json!({ "hash": tx.hash, "sender": tx.sender, "nonce": tx.nonce }))
        .collect();
    let (first, last) = pooled.blocks();
    let params = request.params.map_or("[]", RawValue::get);
    BundleReceived {
        id: pooled.id,
        hash: pooled.hash.to_string(),
        searcher: pooled.searcher.to_string(),
        kind: pooled.bundle.kind.label(),
        uuid: pooled.bundle.uuid.clone(),
        canonical_uuid: pooled.bundle.canonical_uuid().to_string(),
        sequence: pooled.sequence.cast_signed(),
        transactions: Value::from(transactions).to_string(),
        request: format!(r#"{{"method":{},"params":{params}}}"#, Value::from(&*request.method)),
        builders: json!(pooled.builders).to_string(),
        first_block: first.cast_signed(),
        last_block: last.cast_signed(),
        received_at: WallClock.now(),
    }
}
