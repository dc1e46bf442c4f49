//! Sending to builders: a bounded queue each, so that a slow one costs only itself. What does not fit is dropped, never waited for.

use std::{num::NonZeroU32, sync::Arc, time::Duration};

use bytes::Bytes;
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use metrics::{counter, histogram};
use reqwest::Client;
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, sleep, timeout_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    BuilderEndpoint,
    dialect::{Auth, read_answer},
    identity::HEADER,
};
use crate::{consensus::WallClock, ledger::BundleSend};

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

/// A request to a builder.
#[derive(Clone, Debug)]
pub(super) struct Job {
    /// Which bundle.
    pub(super) id: i64,
    /// For which block.
    pub(super) block: u64,
    /// The bytes; signed as they are.
    pub(super) body: Bytes,
    /// `X-Flashbots-Signature`, where the builder wants it.
    pub(super) signature: Option<String>,
    /// When it is of no use any more.
    pub(super) deadline: Instant,
    /// Whether it takes a bundle back.
    pub(super) is_cancel: bool,
    /// When the searcher's request was read.
    pub(super) received: Instant,
    /// Who wants to know.
    pub(super) reply: mpsc::Sender<BundleSend>,
}

/// The queue of one builder.
#[derive(Clone, Debug)]
pub(super) struct BuilderQueue {
    queue: mpsc::Sender<Job>,
}

impl BuilderQueue {
    /// Starts the sender for a builder; it ends with `stop`.
    pub(super) fn start(endpoint: BuilderEndpoint, http: Client, stop: CancellationToken) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        tokio::spawn(send_all(endpoint, http, jobs, stop));
        Self { queue }
    }

    /// Puts a request into the queue; `false` if there is no room.
    pub(super) fn push(&self, job: Job) -> bool {
        self.queue.try_send(job).is_ok()
    }
}

async fn send_all(
    endpoint: BuilderEndpoint,
    http: Client,
    mut jobs: mpsc::Receiver<Job>,
    stop: CancellationToken,
) {
    let room = Arc::new(Semaphore::new(IN_FLIGHT));
    let limiter =
        NonZeroU32::new(endpoint.rate).map(|rate| Arc::new(RateLimiter::direct(Quota::per_second(rate))));
    let endpoint = Arc::new(endpoint);
    loop {
        let job = tokio::select! {
            job = jobs.recv() => job,
            () = stop.cancelled() => return,
        };
        let Some(job) = job else { return };
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let (endpoint, http, limiter) = (Arc::clone(&endpoint), http.clone(), limiter.clone());
        tokio::spawn(async move {
            let answer = send(&endpoint, &http, limiter.as_deref(), &job).await;
            counter!("relaymux_bundle_sends_total", "builder" => endpoint.id.clone(), "outcome" => answer.outcome.clone())
                .increment(1);
            let _ = job.reply.try_send(answer);
            drop(permit);
        });
    }
}

async fn send(
    endpoint: &BuilderEndpoint,
    http: &Client,
    limiter: Option<&DefaultDirectRateLimiter>,
    job: &Job,
) -> BundleSend {
    let started = Instant::now();
    let mut attempts = 0;
    let answer = |outcome: &str, detail: String, attempts: i64| BundleSend {
        id: job.id,
        builder: endpoint.id.clone(),
        block: job.block.cast_signed(),
        outcome: outcome.to_owned(),
        detail,
        attempts,
        latency_us: i64::try_from(started.elapsed().as_micros()).unwrap_or(i64::MAX),
        sent_at: WallClock.now(),
    };
    if let Some(limiter) = limiter
        && timeout_at(job.deadline, limiter.until_ready()).await.is_err()
    {
        return answer("rate_limited", format!("our limit of {} requests a second", endpoint.rate), 0);
    }
    loop {
        attempts += 1;
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
        if attempts == 1 {
            histogram!("relaymux_bundle_to_socket_seconds").record(job.received.elapsed().as_secs_f64());
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
        let (outcome, detail) = match timeout_at(job.deadline, whole).await {
            Err(_) => {
                return answer("timed_out", "no answer while it was of use".to_owned(), i64::from(attempts));
            }
            Ok(Ok((status, body))) if status < 500 => {
                let (taken, refused) = if job.is_cancel {
                    ("cancel_accepted", "cancel_refused")
                } else {
                    ("accepted", "refused")
                };
                return match read_answer(status, &body) {
                    Ok(()) => answer(taken, String::new(), i64::from(attempts)),
                    Err(words) => answer(refused, words, i64::from(attempts)),
                };
            }
            Ok(Ok((status, body))) => ("refused", read_answer(status, &body).err().unwrap_or_default()),
            Ok(Err(error)) => ("transport", error.without_url().to_string()),
        };
        if attempts >= MAX_ATTEMPTS || Instant::now() + PAUSE >= job.deadline {
            return answer(outcome, detail, i64::from(attempts));
        }
        sleep(PAUSE).await;
    }
}
