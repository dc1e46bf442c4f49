//! Filters (`eth_newFilter` and the like), which live in the node that made them: a client has an id of ours, behind which the node can change.
//!
//! When a filter's upstream dies, or has forgotten it, the filter is made anew, where it died at another one, and what happened since the client's last look is
//! read from the chain: logs by `eth_getLogs`, blocks by their numbers. Nothing is told twice. Pending transactions that came in between are lost,
//! as they are with a node that starts again: they are no part of the chain.
//!
//! Ids are random, so that nobody guesses another client's. What nobody asks for within five minutes is forgotten, as in go-ethereum
//! (`eth/filters/api.go`).

mod catch_up;
mod kept;
mod told;

use std::sync::Arc;

use serde_json::{json, value::RawValue};
use tokio::time::{Instant, timeout_at};

use self::{
    catch_up::{blocks_since, logs_since},
    kept::{Filter, FilterKind, Kept, Made, is_small},
};
use super::{
    CallError, Method, RawJson, RpcAnswer, RpcCall, Served, ServedBy, Session, TransportFailure,
    dispatch::note_failure,
    lanes::Lanes,
    own_answer,
    verdict::{self, Verdict},
};
use crate::jsonrpc::ErrorCode;

/// All clients' filters.
#[derive(Debug, Default)]
pub(super) struct Filters(Kept);

impl Filters {
    /// Serves a call that makes a filter or uses one.
    pub(super) async fn serve(
        &self,
        lanes: &Arc<Lanes>,
        call: &RpcCall,
        session: &Session,
        deadline: Instant,
    ) -> Served {
        if let Some(kind) = FilterKind::made_by(call) {
            return self.create(lanes, kind, session, deadline).await;
        }
        let Some((id, filter)) = id_of(call).and_then(|id| Some((id, self.0.find(id, Instant::now())?)))
        else {
            // Word for word what geth says: clients make a new one then.
            return Served::error(ErrorCode::Server, "filter not found");
        };
        if &*call.method == "eth_uninstallFilter" {
            self.0.remove(id);
            let filter = filter.lock().await;
            return uninstall(lanes, &filter, deadline).await;
        }
        // One look at a time: each takes what it is told out of the filter.
        let Ok(mut filter) = timeout_at(deadline, filter.lock()).await else {
            return Served::error(ErrorCode::Internal, "another look at this filter takes too long");
        };
        if &*call.method == "eth_getFilterLogs" {
            return all_logs(lanes, &filter, session, deadline).await;
        }
        changes(lanes, &mut filter, session, deadline).await
    }

    async fn create(
        &self,
        lanes: &Arc<Lanes>,
        kind: FilterKind,
        session: &Session,
        deadline: Instant,
    ) -> Served {
        if !is_small(&kind) {
            return Served::error(ErrorCode::LimitExceeded, "this filter names too many addresses or topics");
        }
        if let Err(why) = self.0.has_room(session.client(), Instant::now()) {
            return Served::error(ErrorCode::LimitExceeded, why);
        }
        match make(lanes, &kind, session, deadline).await {
            Ok(made) => {
                let by = lanes.at(made.place).map(|lane| lane.id.clone());
                let filter = Filter::new(session.client().clone(), kind, made);
                let id = self.0.insert(filter, Instant::now());
                let answer = own_answer::result(&json!(format!("{id:#x}")));
                Served { answer, by: by.map_or(ServedBy::Gateway, ServedBy::Upstream) }
            }
            Err(served) => served,
        }
    }
}

/// Makes a filter at whichever upstream takes it.
async fn make(
    lanes: &Arc<Lanes>,
    kind: &FilterKind,
    session: &Session,
    deadline: Instant,
) -> Result<Made, Served> {
    let call = RpcCall { hops: session.hops().clone(), ..kind.call() };
    // Before it is made: a block that comes between is told by the filter.
    let heads: Vec<u64> = (0..lanes.all().len()).map(|place| lanes.latest(place)).collect();
    let served = lanes.run(&call, Method::of(&call.method), session, deadline).await;
    let place = match &served.by {
        ServedBy::Upstream(id) => lanes.all().iter().position(|lane| lane.id == *id),
        ServedBy::Cache | ServedBy::Gateway => None,
    };
    match (place, served) {
        (Some(place), Served { answer: RpcAnswer::Result(id), .. }) => {
            let head = heads.get(place).copied().unwrap_or_default();
            Ok(Made { place, id, head })
        }
        (_, served) => Err(served),
    }
}

/// Makes a filter anew at the first upstream that takes it: one after another, each for no longer than one may take. One that made it and was too
/// slow to say so forgets it by itself.
async fn make_anew(
    lanes: &Arc<Lanes>,
    kind: &FilterKind,
    failed: Option<usize>,
    session: &Session,
    deadline: Instant,
) -> Result<Made, Served> {
    let call = RpcCall { hops: session.hops().clone(), ..kind.call() };
    let mut said = None;
    for candidate in lanes.candidates(&call, session) {
        let place = candidate.place;
        if Some(place) == failed || Instant::now() >= deadline {
            continue;
        }
        let head = lanes.latest(place);
        let Some(lane) = lanes.at(place) else { continue };
        match ask(lanes, place, &call, deadline).await {
            Ok(RpcAnswer::Result(id)) => return Ok(Made { place, id, head }),
            Ok(answer) => said = said.or(Some(Served::upstream(lane.id.clone(), answer))),
            Err(_) => {}
        }
    }
    Err(said.unwrap_or_else(|| {
        let words =
            "this filter's upstream failed and no other could make it anew; the next look tries again";
        Served::error(ErrorCode::Internal, words)
    }))
}

/// What happened since the last look.
async fn changes(lanes: &Arc<Lanes>, filter: &mut Filter, session: &Session, deadline: Instant) -> Served {
    // Before it is asked: what it tells reaches to here at least.
    let head = lanes.latest(filter.place);
    let call = RpcCall::new("eth_getFilterChanges", with_id(&filter.id));
    match ask(lanes, filter.place, &call, deadline).await {
        Ok(answer @ RpcAnswer::Result(_)) => told(lanes, filter, answer, head),
        Ok(answer) if !is_lost(&answer) => match lanes.at(filter.place) {
            Some(lane) => Served::upstream(lane.id.clone(), answer),
            None => Served::own(answer),
        },
        // It is well, and does not know the filter any more: it may make it again.
        Ok(answer) if is_unknown(&answer) => move_on(lanes, filter, None, session, deadline).await,
        Ok(_) | Err(_) => move_on(lanes, filter, Some(filter.place), session, deadline).await,
    }
}

/// Makes the filter anew, not where it has just failed, and reads what happened since the last look.
async fn move_on(
    lanes: &Arc<Lanes>,
    filter: &mut Filter,
    failed: Option<usize>,
    session: &Session,
    deadline: Instant,
) -> Served {
    // First the filter, then the past: what comes in between is told by both, and told once.
    let made = match make_anew(lanes, &filter.kind, failed, session, deadline).await {
        Ok(made) => made,
        Err(served) => return served,
    };
    let missed = match &filter.kind {
        FilterKind::Logs(params) => logs_since(lanes, params, filter.last, session, deadline).await,
        FilterKind::Blocks => blocks_since(lanes, filter.last, session, deadline).await,
        FilterKind::PendingTransactions => Ok((json!([]), made.head)),
    };
    match missed {
        Ok((missed, head)) => {
            (filter.place, filter.id) = (made.place, made.id);
            let answer = RpcAnswer::Result(RawJson::from_value(&missed));
            told(lanes, filter, answer, head.min(made.head.max(filter.last)))
        }
        // The filter stays where it was: the next look begins with the same.
        Err(served) => served,
    }
}

/// What is told of an answer: what was not told before.
fn told(lanes: &Lanes, filter: &mut Filter, answer: RpcAnswer, head: u64) -> Served {
    let answer = match answer {
        // Of transactions that wait nothing is read anew, so that nothing is told twice.
        RpcAnswer::Result(result) if filter.kind != FilterKind::PendingTransactions => {
            RpcAnswer::Result(filter.told.only_new(result, head))
        }
        answer => answer,
    };
    filter.last = filter.last.max(head);
    match lanes.at(filter.place) {
        Some(lane) => Served::upstream(lane.id.clone(), answer),
        None => Served::own(answer),
    }
}

/// `eth_getFilterLogs`: all logs of the filter, which any upstream can read.
async fn all_logs(lanes: &Arc<Lanes>, filter: &Filter, session: &Session, deadline: Instant) -> Served {
    let FilterKind::Logs(params) = &filter.kind else {
        return Served::error(ErrorCode::Server, "filter not found");
    };
    let call = RpcCall::new("eth_getLogs", params.clone());
    lanes.run(&call, Method::of("eth_getLogs"), session, deadline).await
}

async fn uninstall(lanes: &Arc<Lanes>, filter: &Filter, deadline: Instant) -> Served {
    let call = RpcCall::new("eth_uninstallFilter", with_id(&filter.id));
    // For the client it is gone, whatever its upstream says: that forgets it by itself.
    let _ = ask(lanes, filter.place, &call, deadline).await;
    Served::own(own_answer::result(&json!(true)))
}

/// Asks one upstream, for no longer than one may take.
async fn ask(lanes: &Lanes, place: usize, call: &RpcCall, deadline: Instant) -> Result<RpcAnswer, CallError> {
    let lane = lanes.at(place).ok_or(CallError::Transport(TransportFailure::TimedOut))?;
    let started = Instant::now();
    let until = deadline.min(started + lanes.attempt());
    lane.note_asked(1);
    let result = match timeout_at(until, lane.ask.call(call, until)).await {
        Ok(result) => result,
        Err(_) => Err(CallError::Transport(TransportFailure::TimedOut)),
    };
    match &result {
        Ok(_) => lane.note_answer(Method::of(&call.method).class, started.elapsed(), Instant::now()),
        Err(error) => {
            note_failure(lanes, place, started, error);
        }
    }
    result
}

/// Whether an upstream cannot tell what happened: it does not know the filter any more, or is in trouble itself.
fn is_lost(answer: &RpcAnswer) -> bool {
    is_unknown(answer) || matches!(verdict::of_answer(answer), Verdict::NextUpstream(_))
}

/// Whether an upstream does not know the filter any more.
fn is_unknown(answer: &RpcAnswer) -> bool {
    let RpcAnswer::Error(error) = answer else { return false };
    // geth, Nethermind and reth say "filter not found" or "filter with id … not found", Erigon and Nethermind "filter … does not exist".
    let words = error.message.to_ascii_lowercase();
    words.contains("filter") && (words.contains("not found") || words.contains("not exist"))
}

fn with_id(id: &RawJson) -> Vec<u8> {
    [b"[", &id.as_bytes()[..], b"]"].concat()
}

/// The id of ours that a call names.
fn id_of(call: &RpcCall) -> Option<u128> {
    let params: Vec<&RawValue> = serde_json::from_slice(&call.params).ok()?;
    let id: &str = serde_json::from_str(params.first()?.get()).ok()?;
    u128::from_str_radix(id.strip_prefix("0x")?, 16).ok()
}

#[cfg(test)]
mod tests;
