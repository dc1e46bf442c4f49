//! The intake where bundles come in: who sends, what, whether it holds, whom it goes to; and the answer once the first builder has spoken.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    num::NonZeroU32,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy_primitives::{Address, B256};
use bytes::Bytes;
use governor::{Quota, RateLimiter, clock::DefaultClock, state::keyed::HashMapStateStore};
use metrics::{counter, gauge, histogram};
use parking_lot::Mutex;
use reqwest::Client;
use serde_json::{Value, json};
use tokio::{
    sync::{Semaphore, mpsc, watch},
    time::{Instant, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::{
    BundleSettings, FanOut,
    bundle::{Bundle, Kind, check},
    dialect::Auth,
    fanout::{BuilderQueue, Job},
    hash::upstream_uuid,
    pool::{BundlePool, Decision, MAX_POOLED, PooledBundle},
    simulate::simulate,
    wire::{BundleCommand, private_uuid, read},
};
use crate::{
    consensus::WallClock,
    ethereum::ExecutionNode,
    jsonrpc::{ErrorCode, Request, RpcError},
    ledger::{BundleFate, BundleReceived, BundleSend, BundleWrite},
};

/// Writes that wait for the ledger. Beyond it they are lost and counted; no bundle waits for a disk.
pub(super) const WRITES: usize = 65_536;
/// Questions to the node about nonces and trials at once.
const ASKED_AT_ONCE: usize = 16;

/// Identities whose rate is remembered before quiet ones are forgotten.
const MAX_IDENTITIES: usize = 10_000;

/// The chain's head, as the tracker saw it last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct HeadView {
    pub(super) number: u64,
    pub(super) timestamp: u64,
}

/// A request and its signature, where it has one.
type SignedBody = (Bytes, Option<String>);

type ByIdentity = RateLimiter<Address, HashMapStateStore<Address>, DefaultClock>;

/// What the intake and the tracker share.
pub(super) struct BundleIntake {
    pub(super) settings: BundleSettings,
    pub(super) node: ExecutionNode,
    /// The chain's number; 0 until the node has told.
    pub(super) chain: AtomicU64,
    pub(super) slot_secs: u64,
    pub(super) pool: Mutex<BundlePool>,
    pub(super) head: watch::Receiver<HeadView>,
    queues: BTreeMap<String, BuilderQueue>,
    writes: mpsc::Sender<BundleWrite>,
    next_id: Mutex<i64>,
    limiter: Option<ByIdentity>,
    /// Counters of accounts at a head.
    pub(super) nonces: Mutex<(u64, HashMap<Address, u64>)>,
    pub(super) asking: Arc<Semaphore>,
}

impl std::fmt::Debug for BundleIntake {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BundleIntake").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What a intake is made of.
pub(super) struct IntakeParts {
    pub(super) settings: BundleSettings,
    pub(super) node: ExecutionNode,
    pub(super) http: Client,
    pub(super) slot_secs: u64,
    pub(super) head: watch::Receiver<HeadView>,
    pub(super) writes: mpsc::Sender<BundleWrite>,
    pub(super) last_id: i64,
    pub(super) stop: CancellationToken,
}

impl BundleIntake {
    pub(super) fn new(parts: IntakeParts) -> Self {
        let IntakeParts { settings, node, http, slot_secs, head, writes, last_id, stop } = parts;
        let queue = |endpoint: &super::BuilderEndpoint| {
            (endpoint.id.clone(), BuilderQueue::start(endpoint.clone(), http.clone(), stop.clone()))
        };
        let queues = settings.builders.iter().map(queue).collect();
        let limiter = NonZeroU32::new(settings.rate_per_searcher)
            .map(|rate| RateLimiter::hashmap(Quota::per_second(rate)));
        Self {
            node,
            chain: AtomicU64::new(0),
            slot_secs,
            pool: Mutex::default(),
            head,
            queues,
            writes,
            next_id: Mutex::new(last_id),
            limiter,
            nonces: Mutex::default(),
            asking: Arc::new(Semaphore::new(ASKED_AT_ONCE)),
            settings,
        }
    }

    /// Hands something to the ledger's writer; lost if that is far behind.
    pub(super) fn write(&self, write: BundleWrite) {
        if self.writes.try_send(write).is_err() {
            counter!("relaymux_bundle_writes_lost_total").increment(1);
        }
    }

    fn chain(&self) -> u64 {
        self.chain.load(Ordering::Relaxed)
    }

    /// Whether somebody may send, and how much.
    pub(super) fn admit(&self, searcher: Address) -> Result<(), RpcError> {
        if !self.settings.searchers.is_empty() && !self.settings.searchers.contains(&searcher) {
            return Err(RpcError::refused(format!("{searcher} is not one of bundles.searchers")));
        }
        // Identities cost nothing to make: those that have been quiet are forgotten.
        if let Some(limiter) = self.limiter.as_ref().filter(|limiter| limiter.len() > MAX_IDENTITIES) {
            limiter.retain_recent();
        }
        if self.limiter.as_ref().is_some_and(|limiter| limiter.check_key(&searcher).is_err()) {
            counter!("relaymux_bundles_rate_limited_total").increment(1);
            let message = format!(
                "more than {} requests in a second: see bundles.rate_per_searcher",
                self.settings.rate_per_searcher
            );
            return Err(RpcError::new(ErrorCode::LimitExceeded, message));
        }
        Ok(())
    }

    /// Answers one request of a searcher.
    pub(super) async fn serve(
        self: &Arc<Self>,
        searcher: Address,
        request: &Request<'_>,
        received: Instant,
    ) -> Result<Value, RpcError> {
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
            BundleCommand::Simulate(request) => {
                check(&request.bundle, self.chain()).map_err(RpcError::params)?;
                simulate(&self.node, &request).await.map_err(|error| RpcError::refused(error.to_string()))
            }
        }
    }

    async fn send(
        self: &Arc<Self>,
        searcher: Address,
        bundle: Bundle,
        request: &Request<'_>,
        received: Instant,
        head: HeadView,
    ) -> Result<Value, RpcError> {
        check(&bundle, self.chain()).map_err(RpcError::params)?;
        let (first, last) = bundle.blocks.unwrap_or((head.number + 1, head.number + 1));
        if last <= head.number {
            return Err(RpcError::params(format!(
                "block {last} is past, the next block is {}",
                head.number + 1
            )));
        }
        // When a block would come, if every slot until then has one.
        let time_of = |block: u64| head.timestamp + self.slot_secs * block.saturating_sub(head.number);
        let target = first.max(head.number + 1);
        if bundle.max_timestamp.is_some_and(|max| max <= head.timestamp) {
            return Err(RpcError::params("maxTimestamp is past"));
        }
        // Slots may be missed, so blocks may come later than that, and never earlier.
        if bundle.max_timestamp.is_some_and(|max| time_of(target) > max) {
            let message = format!(
                "maxTimestamp is before block {target}, which comes at {} at the earliest",
                time_of(target)
            );
            return Err(RpcError::params(message));
        }
        self.check_nonces(&bundle, head)?;
        let builders = self.builders_for(&bundle)?;
        let hash = bundle.hash();
        let answer = match bundle.kind {
            Kind::Bundle | Kind::MevShare => json!({ "bundleHash": hash }),
            Kind::Private => json!(bundle.transactions.first().map(|tx| tx.hash)),
        };
        let pooled = {
            let mut pool = self.pool.lock();
            if pool.same(searcher, &bundle).is_some() {
                // Sent again by a searcher that did not wait for the answer: it is on its way.
                return Ok(answer);
            }
            if pool.len() >= MAX_POOLED {
                return Err(RpcError::refused(format!(
                    "{MAX_POOLED} bundles are open: try again after the next block"
                )));
            }
            let before = bundle.uuid.as_ref().and_then(|uuid| pool.named(searcher, uuid)).map(|before| {
                (before.id, before.sequence, before.builders.clone(), before.bundle.uuid.clone())
            });
            let id = {
                let mut next = self.next_id.lock();
                *next += 1;
                *next
            };
            let sequence = before.as_ref().map_or(0, |(_, sequence, _, _)| sequence + 1);
            let pooled = PooledBundle {
                id,
                searcher,
                hash,
                sequence,
                builders,
                sent_for: HashSet::new(),
                taken_by: HashSet::new(),
                refused: BTreeMap::new(),
                cancel_requested: false,
                seen: None,
                failed_trial: None,
                decision: None,
                bundle,
            };
            self.write(BundleWrite::Received(Box::new(self.received_row(&pooled, request))));
            if let Some((old, _, its_builders, Some(uuid))) = before {
                let reason = format!("replaced by number {id}");
                if let Some(old) = pool.get_mut(old) {
                    old.decision = Some(Decision {
                        state: "replaced",
                        reason: reason.clone(),
                        block: None,
                        places: Vec::new(),
                    });
                }
                self.write_fate(old, "replaced", reason, None, true);
                // A builder that had the old one and gets no new one must not go on with the old one.
                let left: Vec<String> =
                    its_builders.into_iter().filter(|id| !pooled.builders.contains(id)).collect();
                self.cancel_at(&pooled, &left, &uuid, sequence, received);
            }
            pool.add(pooled.clone());
            gauge!("relaymux_bundles_open").set(f64::from(u32::try_from(pool.len()).unwrap_or(u32::MAX)));
            pooled
        };
        counter!("relaymux_bundles_received_total", "kind" => pooled.bundle.kind.label()).increment(1);
        // Not yet its time: it goes out with the head before a block that is. Builders that know no times need not.
        if !pooled.bundle.fits_time(time_of(target)) {
            return Ok(answer);
        }
        let mut answers = self.dispatch(&pooled, target, received);
        if self.settings.simulate {
            self.try_out(&pooled);
        }
        self.first_word(pooled.id, &mut answers, received).await?;
        // The rest comes in while the searcher has its answer.
        let intake = Arc::clone(self);
        tokio::spawn(async move { while intake.note(answers.recv().await) {} });
        Ok(answer)
    }

    /// Waits until a builder took it, or all refused, or long enough.
    async fn first_word(
        &self,
        id: i64,
        answers: &mut mpsc::Receiver<BundleSend>,
        received: Instant,
    ) -> Result<(), RpcError> {
        let until = received + self.settings.answer_within;
        loop {
            match timeout_at(until, answers.recv()).await {
                Ok(Some(answer)) => {
                    let taken = answer.outcome == "accepted";
                    self.note(Some(answer));
                    if taken {
                        histogram!("relaymux_bundle_first_ack_seconds")
                            .record(received.elapsed().as_secs_f64());
                        return Ok(());
                    }
                }
                // All have spoken, and nobody took it.
                Ok(None) => {
                    let mut pool = self.pool.lock();
                    let Some(pooled) = pool.get_mut(id) else { return Ok(()) };
                    let words: Vec<String> =
                        pooled.refused.iter().map(|(builder, words)| format!("{builder}: {words}")).collect();
                    let (_, last) = pooled.blocks();
                    // One that may still be sent for later blocks stays.
                    if last > self.head.borrow().number + 1 {
                        return Ok(());
                    }
                    let reason = format!("no builder took it: {}", words.join("; "));
                    pooled.decision = Some(Decision {
                        state: "failed",
                        reason: reason.clone(),
                        block: None,
                        places: Vec::new(),
                    });
                    self.write_fate(id, "failed", reason.clone(), None, true);
                    return Err(RpcError::refused(reason));
                }
                // It is in our hands: they are asked again until the block comes.
                Err(_) => return Ok(()),
            }
        }
    }

    /// Writes a builder's answer down; `false` at the end.
    fn note(&self, answer: Option<BundleSend>) -> bool {
        let Some(answer) = answer else { return false };
        if let Some(pooled) = self.pool.lock().get_mut(answer.id) {
            if answer.outcome == "accepted" {
                pooled.refused.remove(&answer.builder);
                pooled.taken_by.insert(answer.builder.clone());
            } else if !answer.outcome.starts_with("cancel") {
                let words =
                    if answer.detail.is_empty() { answer.outcome.clone() } else { answer.detail.clone() };
                pooled.refused.insert(answer.builder.clone(), words);
            }
        }
        self.write(BundleWrite::Sent(answer));
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
        let key = self.settings.searcher_keys.get(&pooled.searcher).unwrap_or(&self.settings.key);
        let uuid = pooled.bundle.uuid.as_ref().map(|uuid| upstream_uuid(pooled.searcher, uuid).to_string());
        if let Some(pooled) = self.pool.lock().get_mut(pooled.id) {
            pooled.sent_for.insert(block);
        }
        let deadline = self.deadline(block);
        // Said and signed once a dialect, whoever many speak it.
        let mut said: HashMap<(&str, Auth), Result<SignedBody, String>> = HashMap::new();
        for endpoint in
            self.settings.builders.iter().filter(|endpoint| pooled.builders.contains(&endpoint.id))
        {
            let dialect = endpoint.dialect;
            let words = said.entry((dialect.name, endpoint.auth)).or_insert_with(|| {
                let body = dialect.request(&pooled.bundle, block, uuid.as_deref(), pooled.sequence)?;
                let signature = match endpoint.auth {
                    Auth::Signature(how) => Some(key.header(how, &body)),
                    Auth::None | Auth::Bearer => None,
                };
                Ok((body.into(), signature))
            });
            let lost = |outcome: &str, detail: String| BundleSend {
                id: pooled.id,
                builder: endpoint.id.clone(),
                block: block.cast_signed(),
                outcome: outcome.to_owned(),
                detail,
                attempts: 0,
                latency_us: 0,
                sent_at: WallClock.now(),
            };
            match words {
                Err(why) => {
                    let _ = reply.try_send(lost("unsupported", why.clone()));
                }
                Ok((body, signature)) => {
                    let job = Job {
                        id: pooled.id,
                        block,
                        body: body.clone(),
                        signature: signature.clone(),
                        deadline,
                        is_cancel: false,
                        received,
                        reply: reply.clone(),
                    };
                    if !self.queues.get(&endpoint.id).is_some_and(|queue| queue.push(job)) {
                        counter!("relaymux_bundle_sends_dropped_total", "builder" => endpoint.id.clone())
                            .increment(1);
                        let _ = reply.try_send(lost("queue_full", "its queue is full".to_owned()));
                    }
                }
            }
        }
        answers
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
        let due_ms = (head.timestamp + slots * self.slot_secs).saturating_mul(1000);
        let left = i64::try_from(due_ms).unwrap_or(i64::MAX).saturating_sub(WallClock.now());
        // A chain that stands still, or whose clock is another, still gives every request a slot.
        let left = u64::try_from(left).unwrap_or(0).clamp(self.slot_secs * 1000, 120_000);
        Instant::now() + Duration::from_millis(left)
    }

    fn cancel(self: &Arc<Self>, searcher: Address, uuid: &str, received: Instant) -> Result<Value, RpcError> {
        let pooled = {
            let mut pool = self.pool.lock();
            let Some(id) = pool.named(searcher, uuid).map(|pooled| pooled.id) else {
                let shown: String = uuid.chars().take(64).collect();
                return Err(RpcError::refused(format!("no bundle named {shown} of yours is waiting")));
            };
            let Some(pooled) = pool.get_mut(id) else {
                return Err(RpcError::new(ErrorCode::Internal, "it is gone"));
            };
            pooled.cancel_requested = true;
            pooled.clone()
        };
        self.write_fate(
            pooled.id,
            "cancel_requested",
            "builders that took it may still land it".to_owned(),
            None,
            false,
        );
        let builders = pooled.builders.clone();
        self.cancel_at(&pooled, &builders, uuid, pooled.sequence + 1, received);
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
        let upstream = upstream_uuid(pooled.searcher, uuid).to_string();
        let key = self.settings.searcher_keys.get(&pooled.searcher).unwrap_or(&self.settings.key);
        let block = pooled.blocks().0.max(self.head.borrow().number + 1);
        let (reply, mut answers) = mpsc::channel(self.settings.builders.len().max(1));
        for endpoint in self.settings.builders.iter().filter(|endpoint| builders.contains(&endpoint.id)) {
            let Some(body) = endpoint.dialect.cancel_request(block, &upstream, sequence) else { continue };
            let signature = match endpoint.auth {
                Auth::Signature(how) => Some(key.header(how, &body)),
                Auth::None | Auth::Bearer => None,
            };
            let deadline = self.deadline(block);
            let (id, reply) = (pooled.id, reply.clone());
            let job =
                Job { id, block, body: body.into(), signature, deadline, is_cancel: true, received, reply };
            if !self.queues.get(&endpoint.id).is_some_and(|queue| queue.push(job)) {
                warn!(builder = endpoint.id, "a bundle could not be taken back: its queue is full");
            }
        }
        drop(reply);
        let writes = self.writes.clone();
        tokio::spawn(async move {
            while let Some(mut answer) = answers.recv().await {
                // Beside the answer to the bundle itself, not in its place.
                answer.builder = format!("{} (cancel)", answer.builder);
                let _ = writes.try_send(BundleWrite::Sent(answer));
            }
        });
    }

    /// Whom a bundle goes to.
    fn builders_for(&self, bundle: &Bundle) -> Result<Vec<String>, RpcError> {
        let known = |name: &String| self.settings.builders.iter().any(|endpoint| endpoint.id == *name);
        if let Some(unknown) = bundle.builders.iter().find(|name| !known(name)) {
            let names: Vec<&str> =
                self.settings.builders.iter().map(|endpoint| endpoint.id.as_str()).collect();
            let shown: String = unknown.chars().take(64).collect();
            return Err(RpcError::params(format!("builders: {shown} is not one of {}", names.join(", "))));
        }
        let chosen: Vec<String> = match (&self.settings.fan_out, bundle.refund.is_some()) {
            (FanOut::RefundsTo(only), true) if bundle.builders.is_empty() => vec![only.clone()],
            (FanOut::All | FanOut::RefundsTo(_), _) => self
                .settings
                .builders
                .iter()
                .filter(|endpoint| match bundle.builders.is_empty() {
                    true => !endpoint.on_request,
                    false => bundle.builders.contains(&endpoint.id),
                })
                .map(|endpoint| endpoint.id.clone())
                .collect(),
        };
        if chosen.is_empty() { Err(RpcError::refused("there is no builder for it")) } else { Ok(chosen) }
    }

    fn received_row(&self, pooled: &PooledBundle, request: &Request<'_>) -> BundleReceived {
        let transactions: Vec<Value> = pooled
            .bundle
            .transactions
            .iter()
            .map(|tx| json!({ "hash": tx.hash, "sender": tx.sender, "nonce": tx.nonce }))
            .collect();
        let (first, last) = pooled.blocks();
        BundleReceived {
            id: pooled.id,
            hash: pooled.hash.to_string(),
            searcher: pooled.searcher.to_string(),
            kind: pooled.bundle.kind.label(),
            uuid: pooled.bundle.uuid.clone(),
            canonical_uuid: pooled.bundle.canonical_uuid().to_string(),
            sequence: pooled.sequence.cast_signed(),
            transactions: Value::from(transactions).to_string(),
            request: json!({ "method": request.method, "params": request.params }).to_string(),
            first_block: first.cast_signed(),
            last_block: last.cast_signed(),
            received_at: WallClock.now(),
        }
    }

    pub(super) fn write_fate(
        &self,
        id: i64,
        state: &'static str,
        reason: String,
        block: Option<(u64, B256, String)>,
        is_final: bool,
    ) {
        self.write(BundleWrite::Fate(Box::new(BundleFate {
            id,
            state,
            reason,
            block_number: block.as_ref().map(|(number, _, _)| number.cast_signed()),
            block_hash: block.as_ref().map(|(_, hash, _)| hash.to_string()),
            block_builder: block.map(|(_, _, builder)| builder),
            is_final,
            money: None,
        })));
    }
}
