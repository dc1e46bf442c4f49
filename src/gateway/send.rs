//! Raw transactions: to the operator's nodes at once, and the first that takes one answers the client; the others go on.
//!
//! A raw transaction is the same however often it is sent, so that nothing is lost by sending it everywhere, and a node that dies with it in its pool
//! loses nothing. "Already known" is therefore success: the transaction is where it should be. "Nonce too low" may mean that it is in a block
//! already, which is asked before it is told. Backups are asked when the operator's own nodes cannot take it, or at once where the
//! configuration says so.

mod said;

use std::{sync::Arc, time::Duration};

use alloy_primitives::{B256, hex, keccak256};
use serde_json::{json, value::RawValue};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep, sleep_until, timeout_at},
};

use self::said::{Said, of_answer};
use super::{
    CallError, Feedback, Method, RpcAnswer, RpcCall, Served, Session, Tier, TransportFailure, lanes::Lanes,
    metrics, own_answer, select::Candidate, verdict,
};
use crate::jsonrpc::ErrorCode;

/// Longest search for a transaction whose nonce is too low.
const SEARCH: Duration = Duration::from_secs(3);
/// First pause before everybody is tried again; it doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// How long a transaction waits for anybody to come up while nobody serves. An arbitrary number.
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends a raw transaction. When nobody can be reached, everybody is tried again a moment later, as long as the client waits.
pub(super) async fn send(
    lanes: &Arc<Lanes>,
    call: &RpcCall,
    to_backups: bool,
    session: &Session,
    deadline: Instant,
) -> Served {
    let (started, mut pause) = (Instant::now(), FIRST_PAUSE);
    let mut changes = lanes.board().changes();
    loop {
        let candidates = lanes.candidates(call, session);
        let nobody = candidates.is_empty();
        let refused = match everybody(lanes, call, candidates, to_backups, deadline).await {
            Ok(served) => return served,
            Err(refused) => refused,
        };
        let patience = if nobody { PATIENCE } else { deadline.duration_since(started) };
        if refused.said_anything() || started.elapsed() >= patience || Instant::now() + pause >= deadline {
            return refused.into_served();
        }
        tokio::select! {
            () = sleep(pause) => {}
            _ = changes.changed() => {}
        }
        pause = pause.saturating_mul(2);
    }
}

/// Sends to everybody once: to the operator's own nodes at once, and to backups when none of those took it within the time that one upstream may take.
async fn everybody(
    lanes: &Arc<Lanes>,
    call: &RpcCall,
    candidates: Vec<Candidate>,
    to_backups: bool,
    deadline: Instant,
) -> Result<Served, Refused> {
    let (tell, mut came) = mpsc::channel(candidates.len().max(1));
    let start = |(rank, candidate): (usize, Candidate)| {
        start(Arc::clone(lanes), call.clone(), rank, candidate.place, deadline, tell.clone());
    };
    let (mut later, now): (Vec<_>, Vec<_>) = candidates
        .into_iter()
        .enumerate()
        .partition(|(_, candidate)| candidate.tier == Tier::Backup && !to_backups);
    let (mut open, mut refused) = (now.len(), Refused::default());
    now.into_iter().for_each(start);
    let backups_at = Instant::now() + lanes.attempt();
    let mut until = deadline;
    loop {
        // A paid upstream is not asked what the operator's own nodes have looked at and refused.
        let wanted = !later.is_empty() && !refused.by_words();
        if open == 0 && !wanted {
            return Err(refused);
        }
        let is_due = open == 0;
        tokio::select! {
            biased;
            Some(came) = came.recv(), if !is_due => {
                open -= 1;
                let was_refused = refused.by_words();
                if let Some(served) = hear(lanes, came, hash_of(call), &mut refused) {
                    return Ok(served);
                }
                // There is an answer: one that is frozen holds it up no longer than one may take.
                if refused.by_words() && !was_refused {
                    until = deadline.min(Instant::now() + lanes.attempt());
                }
            }
            () = sleep_until(if is_due { Instant::now() } else { backups_at }), if wanted => {
                open += later.len();
                later.drain(..).for_each(start);
            }
            () = sleep_until(until) => return Err(refused),
        }
    }
}

/// The hash of the transaction in a call's parameters; none for what is no transaction.
pub(super) fn hash_of(call: &RpcCall) -> Option<B256> {
    let params: Vec<&RawValue> = serde_json::from_slice(&call.params).ok()?;
    let raw: &str = serde_json::from_str(params.first()?.get()).ok()?;
    let bytes = hex::decode(raw.strip_prefix("0x")?).ok()?;
    (!bytes.is_empty()).then(|| keccak256(bytes))
}

struct Came {
    /// Its place in the order in which upstreams are asked.
    rank: usize,
    place: usize,
    result: Result<RpcAnswer, CallError>,
    /// It refused the nonce, and has the transaction.
    has_it: bool,
}

/// Sends to one upstream, in a task of its own: it goes on when the client has its answer, as the transaction should be everywhere.
fn start(
    lanes: Arc<Lanes>,
    call: RpcCall,
    rank: usize,
    place: usize,
    deadline: Instant,
    tell: mpsc::Sender<Came>,
) {
    let tracker = lanes.background().clone();
    tracker.spawn(async move {
        let result = ask(&lanes, place, &call, deadline).await;
        let too_low = result.as_ref().is_ok_and(|answer| of_answer(answer) == Said::NonceTooLow);
        let has_it = match hash_of(&call).filter(|_| too_low) {
            Some(hash) => is_known(&lanes, place, hash, deadline).await,
            None => false,
        };
        let _ = tell.send(Came { rank, place, result, has_it }).await;
    });
}

/// What an upstream's answer comes to: success, or one more that did not take it.
fn hear(lanes: &Lanes, came: Came, hash: Option<B256>, refused: &mut Refused) -> Option<Served> {
    let Came { rank, place, result, has_it } = came;
    let lane = lanes.at(place)?;
    let answer = match result {
        Ok(answer) => answer,
        Err(error) => {
            refused.failed(rank, format!("{}: {}", lane.id, error.label()));
            return None;
        }
    };
    let success = |answer| Some(Served::upstream(lane.id.clone(), answer));
    match (of_answer(&answer), hash) {
        (Said::Taken, _) => return success(answer),
        (Said::Known, Some(hash)) => return success(own_answer::result(&json!(hash))),
        (Said::NonceTooLow, Some(hash)) if has_it => return success(own_answer::result(&json!(hash))),
        (Said::Known | Said::NonceTooLow | Said::Refused, _) => {
            refused.said(rank, true, Served::upstream(lane.id.clone(), answer));
        }
        (Said::OwnFault, _) => refused.said(rank, false, Served::upstream(lane.id.clone(), answer)),
    }
    None
}

/// Asks one upstream, and tells what that says of it.
async fn ask(lanes: &Lanes, place: usize, call: &RpcCall, deadline: Instant) -> Result<RpcAnswer, CallError> {
    let lane = lanes.at(place).ok_or(CallError::Transport(TransportFailure::TimedOut))?;
    let (started, method) = (Instant::now(), Method::of(&call.method));
    lane.note_asked(1);
    let result = match timeout_at(deadline, lane.ask.call(call, deadline)).await {
        Ok(result) => result,
        Err(_) => Err(CallError::Transport(TransportFailure::TimedOut)),
    };
    let observed = |feedback| lanes.board().observed(place, feedback);
    match &result {
        Ok(_) => {
            metrics::attempted(&lane.id, "answered");
            lane.note_answer(method.class, started.elapsed(), Instant::now());
            observed(Feedback::Answered { elapsed: started.elapsed() });
        }
        Err(error) => {
            metrics::attempted(&lane.id, verdict::of_failure(error).label());
            match error {
                CallError::Transport(TransportFailure::Connect(words)) => {
                    observed(Feedback::Refused(words.clone()));
                }
                CallError::Transport(TransportFailure::TimedOut) if !lane.answered_since(started) => {
                    observed(Feedback::Failed(error.to_string()));
                }
                CallError::Transport(TransportFailure::Status { status: 429, retry_after }) => {
                    lane.rest(*retry_after, Instant::now());
                }
                CallError::Transport(_) | CallError::Bad(_) => {}
            }
        }
    }
    result
}

/// Whether an upstream has a transaction, in its pool or in a block.
async fn is_known(lanes: &Lanes, place: usize, hash: B256, deadline: Instant) -> bool {
    let call = RpcCall::new("eth_getTransactionByHash", json!([hash]).to_string());
    let deadline = deadline.min(Instant::now() + SEARCH);
    match ask(lanes, place, &call, deadline).await {
        Ok(RpcAnswer::Result(found)) => found.as_bytes() != "null",
        Ok(RpcAnswer::Error(_)) | Err(_) => false,
    }
}

/// What was said by those that did not take it.
#[derive(Default)]
struct Refused {
    /// By the order of upstreams: whether its words are of the transaction, and the words.
    said: Vec<(usize, bool, Served)>,
    failed: Vec<(usize, String)>,
}

impl Refused {
    fn said(&mut self, rank: usize, of_transaction: bool, served: Served) {
        self.said.push((rank, of_transaction, served));
    }

    fn failed(&mut self, rank: usize, words: String) {
        self.failed.push((rank, words));
    }

    /// Whether anybody could be reached.
    fn said_anything(&self) -> bool {
        !self.said.is_empty()
    }

    /// Whether anybody looked at the transaction and refused it.
    fn by_words(&self) -> bool {
        self.said.iter().any(|(_, of_transaction, _)| *of_transaction)
    }

    /// What the client is told: what the first upstream said of the transaction; else what one said of itself; else that nobody answered.
    fn into_served(mut self) -> Served {
        self.said.sort_by_key(|(rank, of_transaction, _)| (!of_transaction, *rank));
        if let Some((_, _, served)) = self.said.into_iter().next() {
            return served;
        }
        self.failed.sort_by_key(|(rank, _)| *rank);
        let each: Vec<String> = self.failed.into_iter().map(|(_, words)| words).collect();
        let why = if each.is_empty() { "none is up".to_owned() } else { each.join(", ") };
        Served::error(
            ErrorCode::Internal,
            format!(
                "no upstream took the transaction: {why}. It may be sent again: it is the same transaction"
            ),
        )
    }
}

#[cfg(test)]
mod tests;
