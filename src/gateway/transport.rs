//! JSON-RPC over HTTP to one upstream: one call or a batch in, its answer or why there is none out, by a deadline.
//!
//! What does not change between calls is made once (`target`). Answers are unpacked and bounded. An HTTP status that is no success, but has a JSON-RPC
//! answer in it, is that answer: nodes and providers say so what is wrong with a call. Not where the status is about who calls or how often: then what
//! is in it is no answer to the client's call.
//!
//! No error and no debug output holds the URL or a header. Nothing is sent twice here: hyper makes a call again only if no byte of it was read.

mod retry_after;
mod target;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use http::StatusCode;
use tokio::time::{Instant, timeout_at};

use self::{retry_after::retry_after, target::Target};
use super::{
    CallError, Hops, RpcAnswer, RpcCall, TransportFailure, UpstreamId, UpstreamSettings, read_answer,
    read_answers,
};
use crate::http_client::{HttpClient, HttpClients, HttpFailure, read_capped};

/// Most bytes of a body that comes with an HTTP error. Arbitrary: more than the words of any.
const MAX_ERROR_BYTES: usize = 256 << 10;

/// Takes so many requests of an upstream's budget, and says whether it has them.
pub type TakeBudget = Arc<dyn Fn(u32) -> bool + Send + Sync>;

/// An upstream over HTTP.
pub struct Transport {
    id: UpstreamId,
    target: Result<Target, &'static str>,
    http: HttpClient,
    budget: TakeBudget,
    max_answer_bytes: usize,
    next_id: AtomicU64,
}

impl fmt::Debug for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transport").field("id", &self.id).finish_non_exhaustive()
    }
}

/// What came back.
struct Came {
    status: StatusCode,
    failure: Option<TransportFailure>,
    body: Bytes,
}

impl Transport {
    /// By the configuration. `max_answer_bytes` is counted after decompression.
    pub fn new(
        settings: &UpstreamSettings,
        clients: &HttpClients,
        budget: TakeBudget,
        max_answer_bytes: usize,
    ) -> Self {
        Self {
            id: settings.id.clone(),
            target: Target::new(settings, clients.proxy_authorization.as_ref()),
            http: clients.kept.clone(),
            budget,
            max_answer_bytes,
            next_id: AtomicU64::new(1),
        }
    }

    /// The upstream's name.
    pub const fn id(&self) -> &UpstreamId {
        &self.id
    }

    /// Asks for one call.
    ///
    /// # Errors
    /// When no answer comes by the deadline, or what comes is none to this call.
    pub async fn call(&self, call: &RpcCall, deadline: Instant) -> Result<RpcAnswer, CallError> {
        let id = self.next_id.fetch_add(1, Relaxed);
        let came = self.exchange(call.to_body(id), 1, &call.hops, deadline).await?;
        answer_in(&came, |body| read_answer(body, id))
    }

    /// Asks for several at once; their answers in the calls' order. Each counts in the budget.
    ///
    /// # Errors
    /// As [`Transport::call`]; one answer that is missing fails all.
    pub async fn batch(&self, calls: &[RpcCall], deadline: Instant) -> Result<Vec<RpcAnswer>, CallError> {
        let Some(first) = calls.first() else { return Ok(Vec::new()) };
        let requests = u32::try_from(calls.len()).unwrap_or(u32::MAX);
        let came = self.exchange(RpcCall::to_batch(calls), requests, &first.hops, deadline).await?;
        answer_in(&came, |body| read_answers(body, calls.len()))
    }

    /// Sends a body that is so many calls, each of which counts in the budget, and gives back what came with a success.
    ///
    /// # Errors
    /// When nothing came by the deadline, or an HTTP status that is no success.
    pub async fn post(&self, body: Bytes, calls: u32, deadline: Instant) -> Result<Bytes, TransportFailure> {
        let came = self.exchange(body, calls, &Hops::default(), deadline).await?;
        came.failure.map_or(Ok(came.body), Err)
    }

    async fn exchange(
        &self,
        body: Bytes,
        requests: u32,
        hops: &Hops,
        deadline: Instant,
    ) -> Result<Came, TransportFailure> {
        let target =
            self.target.as_ref().map_err(|reason| TransportFailure::Connect((*reason).to_owned()))?;
        if !(self.budget)(requests) {
            return Err(TransportFailure::OverBudget);
        }
        let whole = async {
            let answer = self.http.send(target.request(body, hops)).await?;
            let status = answer.status();
            if status.is_success() {
                let body = read_capped(answer, self.max_answer_bytes).await?;
                return Ok(Came { status, failure: None, body });
            }
            let failure = TransportFailure::Status {
                status: status.as_u16(),
                retry_after: retry_after(answer.headers()),
            };
            // The status is what matters; of what stands in it, as much as comes.
            let body =
                read_capped(answer, self.max_answer_bytes.min(MAX_ERROR_BYTES)).await.unwrap_or_default();
            Ok::<_, TransportFailure>(Came { status, failure: Some(failure), body })
        };
        timeout_at(deadline, whole).await.unwrap_or(Err(TransportFailure::TimedOut))
    }
}

/// The answer in what came.
fn answer_in<T>(
    came: &Came,
    read: impl FnOnce(&Bytes) -> Result<T, super::BadAnswer>,
) -> Result<T, CallError> {
    match &came.failure {
        None => Ok(read(&came.body)?),
        Some(failure) if is_about_the_caller(came.status) || came.body.is_empty() => {
            Err(failure.clone().into())
        }
        Some(failure) => read(&came.body).map_err(|_| failure.clone().into()),
    }
}

/// Whether a status says that we may not call, or not so often, whatever the call: no key, no money, a limit.
fn is_about_the_caller(status: StatusCode) -> bool {
    matches!(status.as_u16(), 300..=399 | 401 | 402 | 403 | 407 | 408 | 425 | 429)
}

impl From<HttpFailure> for TransportFailure {
    fn from(failure: HttpFailure) -> Self {
        match failure {
            HttpFailure::TimedOut => Self::TimedOut,
            HttpFailure::Connect(words) => Self::Connect(words),
            HttpFailure::Broken(words) => Self::Broken(words),
            HttpFailure::TooLarge { limit } => Self::TooLarge { limit },
        }
    }
}

#[cfg(test)]
mod tests;
