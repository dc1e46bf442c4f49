//! The operator's nodes and what they stand for: is each there, is it of the configured network, is this machine's clock theirs, and does
//! a fork come that this version does not serve.

use std::{sync::Arc, time::Duration};

use reqwest::Client;
use url::Url;

use super::super::findings::{Finding, Findings, State};
use crate::{
    app::clock_message,
    bundles::BundleSettings,
    consensus::{ChainSpec, ClockOffset, ClockVerdict, NamedFork, WallClock},
    ethereum::{BeaconNode, BlockId, ExecutionNode, NodeError},
    relay::{Relay, clock_offsets},
    types::UnixMillis,
};

/// Longest wait for a builder.
const TIMEOUT: Duration = Duration::from_secs(5);

/// What is asked.
pub(super) struct Nodes {
    pub(super) spec: ChainSpec,
    pub(super) execution: Option<Url>,
    pub(super) beacon: Option<Url>,
    pub(super) bundles: Option<BundleSettings>,
    pub(super) clock: WallClock,
}

impl Nodes {
    /// How many there are to ask.
    pub(super) fn count(&self) -> usize {
        let builders = self.bundles.as_ref().map_or(0, |bundles| bundles.builders.len());
        usize::from(self.execution.is_some()) + usize::from(self.beacon.is_some()) + builders
    }
}

/// Asks the nodes and bundles' builders whether they are there and of this network; tells what they say, what the schedule of forks
/// means, and how this machine's clock compares.
pub(super) async fn check_nodes(http: &Client, nodes: Nodes, relays: &[Arc<Relay>], findings: &mut Findings) {
    let Nodes { spec, execution, beacon, bundles, clock } = nodes;
    let mut row = |name: String, answer: Result<String, String>| {
        let state = if answer.is_ok() { State::Ok } else { State::Failed };
        let answer = answer.unwrap_or_else(|error| error);
        let width = name.len().max(9);
        findings.add(Finding { kind: "node", id: name, url: None, state, answer, ms: None, width });
    };
    if let Some(url) = execution {
        let node = ExecutionNode::new(http.clone(), url).of_chain(spec.chain_id);
        row("execution".to_owned(), execution_answer(&node).await);
    }
    let beacon = beacon.map(|url| BeaconNode::new(http.clone(), url, clock.clone()).of_network(&spec));
    let mut schedule = None;
    if let Some(node) = &beacon {
        let answer = beacon_answer(node, &spec, &clock, &mut schedule).await;
        row("beacon".to_owned(), answer.map_err(|error| error.to_string()));
    }
    for builder in bundles.into_iter().flat_map(|bundles| bundles.builders) {
        // Any answer will do: what a builder says to a request without a bundle differs.
        let body = r#"{"jsonrpc":"2.0","id":1,"method":"eth_chainId","params":[]}"#;
        let request =
            http.post(builder.url).header("content-type", "application/json").body(body).timeout(TIMEOUT);
        let answer =
            request.send().await.map(|answer| format!("answers (HTTP {})", answer.status().as_u16()));
        row(format!("builder {}", builder.id), answer.map_err(|error| error.without_url().to_string()));
    }
    let is_served = report_fork(&spec, schedule.as_deref(), clock.now(), findings);
    let mut ranges = clock_offsets(relays);
    ranges.extend(beacon.filter(|node| !node.is_local()).and_then(|node| node.clock_offset()));
    let verdict = ClockOffset::verdict(ClockOffset::of(&ranges), false);
    findings.remark("clock", clock_message(verdict));
    if !is_served || matches!(verdict, ClockVerdict::Wrong(_)) {
        findings.not_well();
    }
}

/// Tells what fork comes that this version does not serve. Whether headers are served.
pub(super) fn report_fork(
    spec: &ChainSpec,
    reported: Option<&[NamedFork]>,
    now: UnixMillis,
    findings: &mut Findings,
) -> bool {
    let Some(fork) = spec.unserved_fork(reported, now) else { return true };
    findings.remark("fork", fork.message(&spec.name, now));
    !fork.ends_service(now)
}

async fn execution_answer(node: &ExecutionNode) -> Result<String, String> {
    let head = match node.chain_id().await {
        Ok(_) => node.block(BlockId::Latest, false).await,
        Err(error) => Err(error),
    };
    match head {
        Ok(Some(head)) => {
            // Whether payments can be proved by traces: an empty answer or an error about the block is a yes.
            let traces = node
                .call("debug_traceBlockByHash", serde_json::json!([head.hash, {"tracer": "callTracer"}]))
                .await;
            let has_traces = !matches!(&traces, Err(error) if error.is_unknown_method());
            let by = if has_traces {
                "call traces: payments are proved"
            } else {
                "no debug namespace: payments by transfers and balances"
            };
            Ok(format!("block {}, {by}", head.number))
        }
        Ok(None) => Err("no block yet".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

async fn beacon_answer(
    node: &BeaconNode,
    spec: &ChainSpec,
    clock: &WallClock,
    schedule: &mut Option<Vec<NamedFork>>,
) -> Result<String, NodeError> {
    node.verify_network().await?;
    match node.reported_spec().await {
        Ok(reported) => *schedule = Some(reported.forks),
        Err(error @ NodeError::OtherNetwork { .. }) => return Err(error),
        // It does not serve this; its blocks may be of use all the same.
        Err(_) => {}
    }
    let head = node.head().await?;
    let now = spec.clock().slot_at(clock.now());
    let behind = now.as_u64().saturating_sub(head.as_u64());
    let distance = match (head.as_u64().checked_sub(now.as_u64()), behind) {
        (Some(ahead @ 1..), _) => format!(
            "{ahead} slots ahead of this machine's clock, which cannot be: one of the two clocks is wrong"
        ),
        (_, 0 | 1) => "synced".to_owned(),
        (_, behind) => format!("{behind} slots behind"),
    };
    let syncing = node.sync_status().await.is_ok_and(|status| status.is_syncing);
    let syncing = if syncing { ", syncing" } else { "" };
    Ok(format!("head at slot {head} of {}, {distance}{syncing}", spec.name))
}
