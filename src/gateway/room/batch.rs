//! Batches: each call is routed by itself, and those that go to the same upstream go there together.
//!
//! What an upstream does not answer well in a batch is asked again by itself, with all that a single call has: one bad item never fails another,
//! and an upstream that refuses batches costs one attempt.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, future::join_all, stream};
use tokio::time::{Instant, timeout_at};

use super::Gateway;
use crate::gateway::{
    BadAnswer, CallError, Method, MethodClass, RpcAnswer, RpcCall, Served, Session, TransportFailure,
    dispatch::{Heard, Race, Usual, never_lower, note_failure, patience},
    methods::{FilterUse, Repeat},
    metrics,
    select::Candidate,
    verdict::Reason,
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
        let call = RpcCall { hops: session.hops().clone(), ..call };
        match shared(gateway, place, call, session) {
            Ok(item) => together.entry(item.candidate.place).or_default().push(item),
            Err(call) => alone.push((place, call)),
        }
    }
    let mut groups = Vec::new();
    for items in together.into_values() {
        let lane = items.first().and_then(|item| gateway.lanes.at(item.candidate.place));
        let most = lane.map_or(1, |lane| lane.ask.most_at_once()).clamp(1, MAX_UPSTREAM_BATCH);
        let mut items = items.into_iter().peekable();
        while items.peek().is_some() {
            let group: Vec<Item> = items.by_ref().take(most).collect();
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
                && method.class == MethodClass::Read =>
        {
            method
        }
        // Sends, filters and what is heavy go their own ways, and refusals are the gateway's.
        Ok(_) | Err(_) => return Err(call),
    };
    // What is known or kept costs no request.
    if gateway.of_settings(&call).is_some() || gateway.cache.get(&call, &gateway.board().snapshot()).is_some()
    {
        return Err(call);
    }
    match gateway.lanes.candidates(&call, session).into_iter().next() {
        Some(candidate) => Ok(Item { place, call, method, candidate }),
        None => Err(call),
    }
}

/// Asks one upstream for several calls at once; what it does not answer well is asked again by itself, of the others first.
async fn one_group(
    gateway: &Gateway,
    group: Vec<Item>,
    session: &Session,
    deadline: Instant,
) -> Vec<(usize, Served)> {
    let (started, before) = (Instant::now(), gateway.board().snapshot());
    let answers = ask(gateway, &group, deadline).await;
    let answers = answers.map_or_else(|| vec![None; group.len()], |all| all.into_iter().map(Some).collect());
    let each = group.into_iter().zip(answers).map(|(item, answer): (Item, Option<RpcAnswer>)| {
        let before = &before;
        async move {
            let served = match good(gateway, &item, answer, session, deadline, started) {
                Good::Yes(served) => served,
                Good::Fallback(served) => match again(gateway, &item, session, deadline).await {
                    Served { answer: RpcAnswer::Error(_), .. } => served,
                    better => better,
                },
                Good::No => again(gateway, &item, session, deadline).await,
            };
            gateway.keep(&item.call, &served, before);
            metrics::answered(item.method, &served, started.elapsed());
            (item.place, served)
        }
    });
    join_all(each).await
}

/// The answers of a batch's upstream, if it gave any within the time that one upstream may take; one that may be frozen is left earlier where another
/// node of the operator's can be asked.
async fn ask(gateway: &Gateway, group: &[Item], deadline: Instant) -> Option<Vec<RpcAnswer>> {
    let (lanes, started) = (&gateway.lanes, Instant::now());
    let place = group.first()?.candidate.place;
    let lane = lanes.at(place)?;
    let calls: Vec<RpcCall> = group.iter().map(|item| item.call.clone()).collect();
    let until = deadline.min(started + lanes.attempt());
    lane.note_asked(calls.len());
    let known = lane.quantiles(MethodClass::Read);
    let patience = patience(known, Usual::Quick, calls.len(), lanes.attempt());
    let mut asking = lane.ask.batch(&calls, until);
    let came = match timeout_at(until.min(started + patience), &mut asking).await {
        Ok(came) => Ok(came),
        Err(_) if started + patience < until => {
            lanes.waited(place, patience);
            let questions = u64::try_from(calls.len()).unwrap_or(u64::MAX);
            if lanes.has_own_beside(place) && lanes.retries().try_take(questions, Instant::now()) {
                metrics::attempted(&lane.id, Reason::TimedOut.label());
                return None;
            }
            timeout_at(until, asking).await
        }
        Err(elapsed) => Err(elapsed),
    };
    let error = match came.unwrap_or(Err(CallError::Transport(TransportFailure::TimedOut))) {
        Ok(answers) if answers.len() == calls.len() => {
            lane.note_alive(Instant::now());
            return Some(answers);
        }
        Ok(answers) => BadAnswer::Incomplete { got: answers.len(), wanted: calls.len() }.into(),
        Err(error) => error,
    };
    note_failure(lanes, place, started, &error);
    None
}

/// Asks for a call by itself: the upstream that has not answered it well comes last.
async fn again(gateway: &Gateway, item: &Item, session: &Session, deadline: Instant) -> Served {
    let last = Some(item.candidate.place);
    gateway.lanes.run_after(&item.call, item.method, session, deadline, last).await
}

/// Whether an answer of a batch counts.
enum Good {
    /// As it is.
    Yes(Served),
    /// Unless somebody else has a better one.
    Fallback(Served),
    /// There is none.
    No,
}

fn good(
    gateway: &Gateway,
    item: &Item,
    answer: Option<RpcAnswer>,
    session: &Session,
    deadline: Instant,
    started: Instant,
) -> Good {
    let lanes = &gateway.lanes;
    let (Some(lane), Some(answer)) = (lanes.at(item.candidate.place), answer) else { return Good::No };
    let race = Race::new(lanes, &item.call, item.method, session, deadline);
    let served =
        |answer| Served::upstream(lane.id.clone(), never_lower(answer, item.method, lanes.told(session).0));
    match race.judge(item.candidate, answer, started.elapsed()) {
        Heard::Good(answer) => Good::Yes(served(answer)),
        Heard::Doubtful(answer, reason) => {
            let all = lanes.candidates(&item.call, session).into_iter();
            let others = all.filter(|other| other.place != item.candidate.place).collect();
            match race.better(item.candidate, reason, &others) {
                Some(_) => Good::Fallback(served(answer)),
                None => Good::Yes(served(answer)),
            }
        }
        Heard::Bad { .. } => Good::No,
    }
}
