//! Asks an upstream some questions, in one request where it takes batches.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use tokio::time::Instant;

use super::questions::{Question, read};
use crate::gateway::{
    BadAnswer, RpcAnswer, RpcCall, TransportFailure,
    health::{Observation, Probe},
    read_answer, read_answers,
};

/// Whoever brings a request to one upstream and its answer back, budget included.
pub trait Post: std::fmt::Debug + Send + Sync {
    /// Posts a body that is so many calls, and answers what came of it by the deadline.
    fn post(
        &self,
        body: Bytes,
        calls: u32,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Bytes, TransportFailure>>;
}

/// What is remembered of how one upstream wants to be asked.
#[derive(Debug, Default)]
pub(super) struct Manner {
    /// It does not take batches.
    one_by_one: AtomicBool,
}

enum Unanswered {
    Transport(TransportFailure),
    Bad(BadAnswer),
}

/// Asks.
pub(super) async fn observe(
    upstream: &dyn Post,
    questions: &[Question],
    manner: &Manner,
    deadline: Instant,
) -> Observation {
    let asked = Instant::now();
    let calls: Vec<RpcCall> = questions.iter().map(|question| question.call()).collect();
    let failed = |message: String| Observation::Failed { refused: false, message };
    match answers(upstream, &calls, manner, deadline).await {
        Ok(answers) => read(questions, &answers, asked.elapsed())
            .map_or_else(failed, |probe: Probe| Observation::Probed(probe)),
        Err(Unanswered::Transport(TransportFailure::OverBudget)) => Observation::NotSent,
        Err(Unanswered::Transport(failure)) => {
            let refused = matches!(failure, TransportFailure::Connect(_));
            Observation::Failed { refused, message: failure.to_string() }
        }
        Err(Unanswered::Bad(bad)) => failed(bad.to_string()),
    }
}

async fn answers(
    upstream: &dyn Post,
    calls: &[RpcCall],
    manner: &Manner,
    deadline: Instant,
) -> Result<Vec<RpcAnswer>, Unanswered> {
    if calls.len() > 1 && !manner.one_by_one.load(Relaxed) {
        match post(upstream, RpcCall::to_batch(calls), calls.len(), deadline).await {
            Ok(body) => match read_answers(&body, calls.len()) {
                // One and the same error for each of different calls is about the batch, not about them.
                Ok(answers) if !is_refusal_of_all(&answers) => return Ok(answers),
                Ok(_) | Err(_) => {}
            },
            // 4xx without an answer in it is how some refuse a batch. What asks for patience is no such thing.
            Err(Unanswered::Transport(TransportFailure::Status {
                status: 400 | 405 | 413 | 422, ..
            })) => {}
            Err(other) => return Err(other),
        }
    }
    let each = calls.iter().map(|call| async move {
        let body = post(upstream, call.to_body(0), 1, deadline).await?;
        read_answer(&body, 0).map_err(Unanswered::Bad)
    });
    let answers: Vec<RpcAnswer> = join_all(each).await.into_iter().collect::<Result<_, _>>()?;
    if calls.len() > 1 && !is_refusal_of_all(&answers) {
        manner.one_by_one.store(true, Relaxed);
    }
    Ok(answers)
}

async fn post(
    upstream: &dyn Post,
    body: Bytes,
    calls: usize,
    deadline: Instant,
) -> Result<Bytes, Unanswered> {
    let calls = u32::try_from(calls).unwrap_or(u32::MAX);
    // Whoever posts keeps the deadline; what it forgets must not hold up probing for ever.
    match tokio::time::timeout_at(deadline, upstream.post(body, calls, deadline)).await {
        Ok(answer) => answer.map_err(Unanswered::Transport),
        Err(_) => Err(Unanswered::Transport(TransportFailure::TimedOut)),
    }
}

fn is_refusal_of_all(answers: &[RpcAnswer]) -> bool {
    let mut codes = answers.iter().map(|answer| match answer {
        RpcAnswer::Error(error) => Some((error.code, &error.message)),
        RpcAnswer::Result(_) => None,
    });
    match codes.next() {
        Some(Some(first)) => codes.all(|code| code == Some(first)),
        Some(None) | None => false,
    }
}
