//! What `GET /api/v1/rpc` shows.

use serde::Serialize;

use super::{
    Failover, Head, MethodClass, RpcSettings, Standing, Switchover, Tier, UpstreamId, UpstreamState,
    lane::Lane, lanes::Lanes,
};
use crate::types::UnixMillis;

/// The gateway at one time.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RpcView {
    /// The chain.
    pub chain_id: u64,
    /// The chain's tip, as those who can be believed show it.
    pub tip: Option<Head>,
    /// The finalized block that those who serve hold together.
    pub finalized: Option<u64>,
    /// Names of the upstreams that serve, in the order in which they are asked.
    pub order: Vec<UpstreamId>,
    /// All upstreams, in the configuration's order.
    pub upstreams: Vec<UpstreamView>,
    /// The last calls that another upstream than the first answered, the newest first.
    pub failovers: Vec<Failover>,
    /// The last times that another upstream was asked first from then on, the newest first.
    pub switchovers: Vec<Switchover>,
}

/// One upstream.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct UpstreamView {
    /// Its name.
    pub id: UpstreamId,
    /// Its tier.
    pub tier: Tier,
    /// How it is.
    pub state: UpstreamState,
    /// Why; empty while it is healthy.
    pub why: String,
    /// Since when, in Unix milliseconds.
    pub since: UnixMillis,
    /// The newest block that it showed.
    pub head: Option<Head>,
    /// Blocks behind the tip.
    pub lag: Option<u64>,
    /// The newest finalized block that it showed.
    pub finalized: Option<u64>,
    /// What it calls itself.
    pub version: Option<String>,
    /// Half of its last reads took no longer, in milliseconds; none while there are too few.
    pub latency_p50_ms: Option<f64>,
    /// Nineteen of twenty did not.
    pub latency_p95_ms: Option<f64>,
    /// Calls sent to it since the start.
    pub requests: u64,
    /// Its share of the calls sent to all, from 0 to 1; none before the first.
    pub share: Option<f64>,
    /// Requests of today's budget that are used up.
    pub budget_used: Option<u64>,
    /// Today's budget.
    pub budget: Option<u64>,
}

/// What is shown now.
pub(super) fn of(settings: &RpcSettings, lanes: &Lanes) -> RpcView {
    let snapshot = lanes.board().snapshot();
    let all: u64 = lanes.all().iter().map(Lane::asked).sum();
    let upstreams = snapshot
        .upstreams
        .iter()
        .enumerate()
        .map(|(place, standing)| upstream(settings, lanes, place, standing, all))
        .collect();
    let order = snapshot.order.iter().filter_map(|place| Some(snapshot.upstreams.get(*place)?.id.clone()));
    RpcView {
        chain_id: settings.chain_id,
        tip: snapshot.tip,
        finalized: snapshot.finalized,
        order: order.collect(),
        upstreams,
        failovers: lanes.failovers().list(),
        switchovers: lanes.board().switchovers(),
    }
}

fn upstream(
    settings: &RpcSettings,
    lanes: &Lanes,
    place: usize,
    standing: &Standing,
    all: u64,
) -> UpstreamView {
    let lane = lanes.at(place);
    let known = lane.and_then(|lane| lane.quantiles(MethodClass::Read));
    let requests = lane.map_or(0, Lane::asked);
    let budget = settings.upstreams.get(place).and_then(|upstream| upstream.max_requests_per_day);
    UpstreamView {
        id: standing.id.clone(),
        tier: standing.tier,
        state: standing.state,
        why: standing.reason.clone(),
        since: standing.since,
        head: standing.head,
        lag: standing.lag,
        finalized: standing.finalized,
        version: standing.version.clone(),
        latency_p50_ms: known.map(|known| known.p50.as_secs_f64() * 1000.0),
        latency_p95_ms: known.map(|known| known.p95.as_secs_f64() * 1000.0),
        requests,
        share: share(requests, all),
        budget_used: lane.and_then(|lane| lane.ask.used_today()),
        budget,
    }
}

#[expect(clippy::cast_precision_loss, reason = "a share for people, of counts far below 2^52")]
fn share(of: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| of as f64 / all as f64)
}
