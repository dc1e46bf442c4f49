//! Batches: each call is routed by itself, and those that go to the same upstream go there together.
//!
//! What an upstream does not answer well in a batch is asked again by itself, with all that a single call has: one bad item never fails another,
//! and an upstream that refuses batches costs one attempt.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, future::join_all, stream};
use tokio::time::{Instant, timeout_at};

use super::Gateway;
use crate::gateway::{
    CallError, Method, RpcAnswer, RpcCall, Served, Session, TransportFailure,
    dispatch::{Heard, Race, never_lower},
    methods::{FilterUse, Repeat},
    metrics,
    select::Candidate,
    verdict,
};

/// Most calls in one batch to an upstream: what providers take whatever their plan (proxyd has the same bound).
const MAX_UPSTREAM_BATCH: usize = 10;
/// Most calls of one batch that are under way at once, one by one. An arbitrary number.
const AT_ONCE: usize = 20;

/// A call of a batch that may share a request with others.
struct Item {
    place: usize,
    call: RpcCall,
    method: Method,
    candidate: Candidate,
}

impl Gateway {
    /// Answers several calls, each by itself, in their order. Those that go to the same upstream go together.
    pub async fn call_batch(&self, calls: Vec<RpcCall>, session: &Session, deadline: Instant) -> Vec<Served> {
        run(self, calls, session, deadline).await
    }
}

async fn run(gateway: &Gateway, calls: Vec<RpcCall>, session: &Session, deadline: Instant) -> Vec<Served> {
    let count = calls.len();
    let (mut together, mut alone) = (BTreeMap::<usize, Vec<Item>>::new(), Vec::new());
    for (place, call) in calls.into_iter().enumerate() {
        match shared(gateway, place, call, session) {
            Ok(item) => together.entry(item.candidate.place).or_default().push(item),
            Err(call) => alone.push((place, call)),
        }
    }
    let mut groups = Vec::new();
    for items in together.into_values() {
        let mut items = items.into_iter().peekable();
        while items.peek().is_some() {
            let group: Vec<Item> = items.by_ref().take(MAX_UPSTREAM_BATCH).collect();
            match <[Item; 1]>::try_from(group) {
                // A batch of one is a call.
                Ok([item]) => alone.push((item.place, item.call)),
                Err(group) => groups.push(group),
            }
        }
    }
    let one_by_one = async {
        stream::iter(alone)
            .map(|(place, call)| async move { (place, gateway.call(call, session, deadline).await) })
            .buffer_unordered(AT_ONCE)
            .collect::<Vec<_>>()
            .await
    };
    let as_batches = join_all(groups.into_iter().map(|group| one_group(gateway, group, session, deadline)));
    let (one_by_one, as_batches) = tokio::join!(one_by_one, as_batches);
    let mut served: BTreeMap<usize, Served> =
        one_by_one.into_iter().chain(as_batches.into_iter().flatten()).collect();
    (0..count)
        .map(|place| {
            served.remove(&place).unwrap_or_else(|| {
                Served::error(crate::jsonrpc::ErrorCode::Internal, "this call of the batch was not answered")
            })
        })
        .collect()
}

/// A call that may share a request with others; else the call back.
fn shared(gateway: &Gateway, place: usize, call: RpcCall, session: &Session) -> Result<Item, RpcCall> {
    let method = match gateway.admit(&call.method, session) {
        Ok(method)
            if method.repeat == Repeat::Freely
                && method.filter == FilterUse::None
                && method.class == crate::gateway::MethodClass::Read =>
        {
            method
        }
        // Sends, filters and what is heavy go their own ways, and refusals are the gateway's.
        Ok(_) | Err(_) => return Err(call),
    };
    // What is kept costs no request.
    if gateway.cache.get(&call, &gateway.board().snapshot()).is_some() {
        return Err(call);
    }
    match gateway.lanes.candidates(&call, session).into_iter().next() {
        Some(candidate) => Ok(Item { place, call, method, candidate }),
        None => Err(call),
    }
}

/// Asks one upstream for several calls at once; what it does not answer well is asked again by itself.
async fn one_group(
    gateway: &Gateway,
    group: Vec<Item>,
    session: &Session,
    deadline: Instant,
) -> Vec<(usize, Served)> {
    let lanes = &gateway.lanes;
    let (started, before) = (Instant::now(), gateway.board().snapshot());
    let calls: Vec<RpcCall> = group.iter().map(|item| item.call.clone()).collect();
    let until = deadline.min(started + lanes.attempt());
    let answers = match group.first().and_then(|item| lanes.at(item.candidate.place)) {
        Some(lane) => {
            lane.note_asked(calls.len());
            match timeout_at(until, lane.ask.batch(&calls, until)).await {
                Ok(Ok(answers)) if answers.len() == calls.len() => {
                    lane.note_alive(Instant::now());
                    answers.into_iter().map(Some).collect()
                }
                Ok(Ok(_)) => vec![None; calls.len()],
                Ok(Err(error)) => {
                    metrics::attempted(&lane.id, verdict::of_failure(&error).label());
                    vec![None; calls.len()]
                }
                Err(_) => {
                    let error = CallError::Transport(TransportFailure::TimedOut);
                    metrics::attempted(&lane.id, verdict::of_failure(&error).label());
                    vec![None; calls.len()]
                }
            }
        }
        None => vec![None; calls.len()],
    };
    let each = group.into_iter().zip(answers).map(|(item, answer): (Item, Option<RpcAnswer>)| {
        let before = &before;
        async move {
            let place = item.place;
            if let Some(served) = good(gateway, &item, answer, session, deadline, started) {
                gateway.keep(&item.call, &served, before);
                return (place, served);
            }
            (place, gateway.call(item.call, session, deadline).await)
        }
    });
    join_all(each).await
}

/// An answer of a batch that counts as it is.
fn good(
    gateway: &Gateway,
    item: &Item,
    answer: Option<RpcAnswer>,
    session: &Session,
    deadline: Instant,
    started: Instant,
) -> Option<Served> {
    let lane = gateway.lanes.at(item.candidate.place)?;
    let race = Race::new(&gateway.lanes, &item.call, item.method, session, deadline);
    match race.judge(item.candidate, answer?, started.elapsed()) {
        Heard::Good(answer) => {
            let answer = never_lower(answer, item.method, gateway.lanes.told(session).0);
            let served = Served::upstream(lane.id.clone(), answer);
            metrics::answered(item.method, &served, started.elapsed());
            Some(served)
        }
        Heard::Doubtful(..) | Heard::Bad { .. } => None,
    }
}
