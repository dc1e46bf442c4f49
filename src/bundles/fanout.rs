//! Sending to builders: a bounded queue each, so that a slow one costs only itself. What does not fit is dropped, never waited for.
//!
//! A bundle may be taken back while its request waits: each attempt looks before it leaves. Requests of one name (a bundle, its
//! replacement, its cancellation) leave in their order, so that a builder does not see the old one last.

use std::{collections::HashMap, num::NonZeroU32, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::FutureExt;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use metrics::{counter, histogram};
use reqwest::Client;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::{Instant, sleep, sleep_until, timeout_at},
};
use tokio_util::sync::CancellationToken;
use tracing::error;

use super::{
    BuilderEndpoint,
    budget::HeldBytes,
    dialect::{Auth, read_answer},
    identity::HEADER,
    metrics::begin_builder,
};
use crate::{
    consensus::WallClock,
    ledger::{BundleSend, SendOutcome},
};

/// Requests that wait for one builder. Beyond it the oldest wait is longer than a slot anyway.
const QUEUE: usize = 4096;
/// Requests to one builder at once.
const IN_FLIGHT: usize = 64;
/// Largest answer read.
const MAX_ANSWER: usize = 64 << 10;
/// Most calls for one request.
const MAX_ATTEMPTS: u32 = 3;
/// Between two calls.
const PAUSE: Duration = Duration::from_millis(100);
/// Longest wait for the request of the same name before this one. A builder that hangs must not keep a cancellation back for long.
const ORDER_WAIT: Duration = Duration::from_millis(500);
/// How long a request that is on the wire when its bundle is withdrawn may still end by itself, so that its outcome is known.
const WITHDRAWN_GRACE: Duration = Duration::from_millis(250);
/// Names whose last request is remembered before those that have ended are forgotten.
const MAX_NAMES: usize = 1024;

/// What a request is for.
#[derive(Clone, Debug)]
pub(super) enum Purpose {
    /// A bundle; not sent any more once the token is cancelled.
    Bundle {
        /// Cancelled when the bundle is taken back or replaced.
        withdrawn: CancellationToken,
    },
    /// Takes a bundle back.
    Cancel,
}

/// A request to a builder.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// The bundle's number in the ledger.
    pub(super) id: i64,
    /// For which block.
    pub(super) block: u64,
    /// The bytes; signed as they are.
    pub(super) body: Bytes,
    /// Their share of the budget for open bundles.
    #[expect(dead_code, reason = "it is held, and given back with the last job that has these bytes")]
    pub(super) held: Option<Arc<HeldBytes>>,
    /// `X-Flashbots-Signature`, where the builder wants it.
    pub(super) signature: Option<String>,
    /// When it is of no use any more.
    pub(super) deadline: Instant,
    /// Whether it sends a bundle or takes one back.
    pub(super) purpose: Purpose,
    /// The bundle's name towards builders: requests of one name leave in their order.
    pub(super) name: Option<Arc<str>>,
    /// When the searcher's request was read.
    pub(super) received: Instant,
    /// Takes the outcome, once: sent, refused, or dropped from the queue.
    pub(super) reply: mpsc::Sender<BundleSend>,
}

impl Job {
    fn is_withdrawn(&self) -> bool {
        match &self.purpose {
            Purpose::Bundle { withdrawn } => withdrawn.is_cancelled(),
            Purpose::Cancel => false,
        }
    }

    /// Ends a while after the bundle was withdrawn; never for a cancellation.
    async fn withdrawn_for(&self, grace: Duration) {
        match &self.purpose {
            Purpose::Bundle { withdrawn } => {
                withdrawn.cancelled().await;
                sleep(grace).await;
            }
            Purpose::Cancel => std::future::pending().await,
        }
    }
}

/// The queue of one builder.
#[derive(Clone, Debug)]
pub(super) struct BuilderQueue {
    queue: mpsc::Sender<Job>,
}

impl BuilderQueue {
    /// Starts the sender for a builder; it ends with `stop`.
    pub(super) fn start(
        endpoint: BuilderEndpoint,
        http: Client,
        clock: WallClock,
        stop: CancellationToken,
    ) -> Self {
        begin_builder(&endpoint.id);
        let (queue, mut jobs) = mpsc::channel(QUEUE);
        tokio::spawn(async move {
            // Whatever one request does to the sender, the next one is sent.
            while AssertUnwindSafe(send_all(&endpoint, &http, &clock, &mut jobs, &stop))
                .catch_unwind()
                .await
                .is_err()
            {
                error!(builder = %endpoint.id, "sending bundles panicked, and begins anew: a defect of relaymux, please report it");
            }
        });
        Self { queue }
    }

    /// Puts a request into the queue; `false` if there is no room.
    pub(super) fn push(&self, job: Job) -> bool {
        self.queue.try_send(job).is_ok()
    }
}

async fn send_all(
    endpoint: &BuilderEndpoint,
    http: &Client,
    clock: &WallClock,
    jobs: &mut mpsc::Receiver<Job>,
    stop: &CancellationToken,
) {
    let room = Arc::new(Semaphore::new(IN_FLIGHT));
    let limiter =
        NonZeroU32::new(endpoint.rate).map(|rate| Arc::new(RateLimiter::direct(Quota::per_second(rate))));
    let endpoint = Arc::new(endpoint.clone());
    // The end of the last request of each name.
    let mut last_of: HashMap<Arc<str>, oneshot::Receiver<()>> = HashMap::new();
    loop {
        let job = tokio::select! {
            job = jobs.recv() => job,
            () = stop.cancelled() => return,
        };
        let Some(job) = job else { return };
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let (ended, end) = oneshot::channel();
        let before = job.name.as_ref().and_then(|name| last_of.insert(Arc::clone(name), end));
        if last_of.len() > MAX_NAMES {
            last_of.retain(|_, end| matches!(end.try_recv(), Err(oneshot::error::TryRecvError::Empty)));
        }
        let (endpoint, limiter) = (Arc::clone(&endpoint), limiter.clone());
        let (http, clock) = (http.clone(), clock.clone());
        tokio::spawn(async move {
            if let Some(before) = before {
                let _ = timeout_at(job.deadline.min(Instant::now() + ORDER_WAIT), before).await;
            }
            let answer = send(&endpoint, &http, limiter.as_deref(), &clock, &job).await;
            counter!("relaymux_bundle_sends_total", "builder" => endpoint.id.clone(), "outcome" => answer.outcome.label())
                .increment(1);
            let _ = job.reply.try_send(answer);
            drop((ended, permit));
        });
    }
}

/// What one attempt came to: the end of it all, or a reason to try again.
enum Attempt {
    Done(SendOutcome, String),
    Again(SendOutcome, String),
}

async fn send(
    endpoint: &BuilderEndpoint,
    http: &Client,
    limiter: Option<&DefaultDirectRateLimiter>,
    clock: &WallClock,
    job: &Job,
) -> BundleSend {
    let started = Instant::now();
    let answer = |outcome: SendOutcome, message: String, attempts: u32| BundleSend {
        id: job.id,
        builder: endpoint.id.clone(),
        block: job.block.cast_signed(),
        outcome,
        message,
        attempts: i64::from(attempts),
        latency_us: i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX),
        sent_at: clock.now(),
    };
    let withdrawn =
        |message: &str, attempts: u32| answer(SendOutcome::Withdrawn, message.to_owned(), attempts);
    const NOT_SENT: &str = "taken back or replaced before it was sent";
    if job.is_withdrawn() {
        return withdrawn(NOT_SENT, 0);
    }
    if let Some(limiter) = limiter
        && timeout_at(job.deadline, limiter.until_ready()).await.is_err()
    {
        let message = format!("our limit of {} requests a second", endpoint.rate);
        return answer(SendOutcome::RateLimited, message, 0);
    }
    let mut attempts = 0;
    loop {
        if job.is_withdrawn() {
            return withdrawn(NOT_SENT, attempts);
        }
        attempts += 1;
        if attempts == 1 {
            histogram!("relaymux_bundle_to_socket_seconds").record(job.received.elapsed().as_secs_f64());
        }
        let attempt = tokio::select! {
            attempt = attempt(endpoint, http, job) => attempt,
            () = sleep_until(job.deadline) => {
                return answer(SendOutcome::TimedOut, "no answer while it was of use".to_owned(), attempts);
            }
            () = job.withdrawn_for(WITHDRAWN_GRACE) => {
                return withdrawn("taken back or replaced while it was being sent; the builder may have it", attempts);
            }
        };
        match attempt {
            Attempt::Done(outcome, message) => return answer(outcome, message, attempts),
            Attempt::Again(outcome, message)
                if attempts >= MAX_ATTEMPTS || Instant::now() + PAUSE >= job.deadline =>
            {
                return answer(outcome, message, attempts);
            }
            Attempt::Again(..) => sleep(PAUSE).await,
        }
    }
}

/// One call to a builder.
async fn attempt(endpoint: &BuilderEndpoint, http: &Client, job: &Job) -> Attempt {
    let mut request = http
        .post(endpoint.url.clone())
        .header("content-type", "application/json")
        .header("user-agent", concat!("relaymux/", env!("CARGO_PKG_VERSION")))
        .body(job.body.clone());
    if let Some(signature) = &job.signature {
        request = request.header(HEADER, signature);
    }
    if let (Auth::Bearer, Some(bearer)) = (endpoint.auth, &endpoint.bearer) {
        request = request.header("authorization", &bearer.0);
    }
    let whole = async {
        let mut response = request.send().await?;
        let status = response.status().as_u16();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await? {
            if body.len() + chunk.len() > MAX_ANSWER {
                break;
            }
            body.extend_from_slice(&chunk);
        }
        Ok::<_, reqwest::Error>((status, body))
    };
    match whole.await {
        Ok((status, body)) if status < 500 => {
            let (taken, refused) = match job.purpose {
                Purpose::Bundle { .. } => (SendOutcome::Accepted, SendOutcome::Refused),
                Purpose::Cancel => (SendOutcome::CancelAccepted, SendOutcome::CancelRefused),
            };
            match read_answer(status, &body) {
                Ok(()) => Attempt::Done(taken, String::new()),
                Err(message) => Attempt::Done(refused, message),
            }
        }
        Ok((status, body)) => {
            Attempt::Again(SendOutcome::Refused, read_answer(status, &body).err().unwrap_or_default())
        }
        Err(error) => Attempt::Again(SendOutcome::Transport, error.without_url().to_string()),
    }
}
