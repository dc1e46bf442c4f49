//! `[[nodes]]`: the operator's nodes under supervision, from the file as written to settings, or mistakes with their place.

use std::{path::Path, time::Duration};

use super::{
    checker::Checker,
    durations::duration,
    node_clashes::clashes,
    node_keys::node_url,
    node_limits::limits,
    node_pairs::pair,
    node_runtime::{RuntimeParts, runtime},
    raw_nodes::{RawResources, RawSupervisedNode},
    resources::resources,
};
use crate::{
    consensus::ChainSpec,
    supervisor::{
        NodeKind, NodeSettings, NodesSettings, ProbeSettings, RestartPolicy, RuntimeSettings, STALL_AFTER,
        template,
    },
    types::NodeId,
};

/// Between two probes.
const PROBE: Duration = Duration::from_secs(10);
/// Longest wait for an answer to a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(5);
const DAY: Duration = Duration::from_secs(86_400);
const SECOND: Duration = Duration::from_secs(1);

/// What nodes are checked in.
pub(super) struct NodesContext<'a> {
    /// The file's folder.
    pub(super) folder: &'a Path,
    /// The process's environment.
    pub(super) environment: &'a [(String, String)],
    /// The network of the whole configuration.
    pub(super) spec: &'a ChainSpec,
}

/// Checks both sections. None: neither is there.
pub(super) fn nodes(
    raw: Vec<RawSupervisedNode>,
    raw_resources: Option<&RawResources>,
    context: &NodesContext<'_>,
    checker: &mut Checker,
) -> Option<NodesSettings> {
    if raw.is_empty() && raw_resources.is_none() {
        return None;
    }
    let engines: Vec<Option<String>> = raw.iter().map(|raw| raw.engine_url.clone()).collect();
    let mut nodes: Vec<(usize, NodeSettings)> = Vec::new();
    for (index, raw) in raw.into_iter().enumerate() {
        nodes.extend(node(raw, index, context, checker).map(|node| (index, node)));
    }
    clashes(&nodes, checker);
    pair(&mut nodes, &engines);
    let nodes: Vec<NodeSettings> = nodes.into_iter().map(|(_, node)| node).collect();
    let has_docker = nodes.iter().any(|node| matches!(node.runtime, RuntimeSettings::Docker(_)));
    Some(resources(nodes, raw_resources, has_docker, context.environment, checker))
}

fn node(
    raw: RawSupervisedNode,
    index: usize,
    context: &NodesContext<'_>,
    checker: &mut Checker,
) -> Option<NodeSettings> {
    let section = format!("nodes[{index}]");
    let at = |key: &str| format!("{section}.{key}");
    let id = raw.id.as_deref().and_then(NodeId::parse);
    if id.is_none() {
        let message = if raw.id.is_some() { "is no name" } else { "is missing" };
        checker.wrong(&at("id"), message, "1 to 64 letters, digits, - _ . such as \"geth-primary\"");
    }
    let kind = kind(raw.kind.as_deref(), &at("kind"), checker);
    let group = group(raw.group.as_deref(), &at("group"), checker);
    let limits = limits(&raw.limits, &section, kind, checker);
    let restart = restart(&raw, &section, checker);
    let usual_grace = kind.map_or(SECOND * 30, NodeKind::stop_grace);
    let stop_grace = duration(&at("stop_grace"), raw.stop_grace.as_ref(), usual_grace, SECOND..=DAY, checker);
    // What else is wrong with it depends on what it is.
    let (id, kind) = (id?, kind?);
    let probe = probe(&raw, &section, kind, context, checker);
    if stop_grace < usual_grace {
        checker.warn(format!(
            "[[nodes]] {id}: stop_grace is less than the {} s that {kind} may need to close its database: one that is killed while it writes \
             takes hours to recover",
            usual_grace.as_secs()
        ));
    }
    let parts = RuntimeParts {
        section: &section,
        id: &id,
        kind,
        rpc_url: probe.as_ref().map(|probe| &probe.url),
        limits: &limits,
        stop_grace,
        chain: chain(raw.network.as_deref(), kind, context),
        folder: context.folder,
    };
    let runtime = runtime(&raw, &parts, checker)?;
    Some(NodeSettings {
        group: group.unwrap_or_else(|| kind.layer().label().to_owned()),
        id,
        kind,
        runtime,
        limits,
        probe,
        restart,
        stop_grace,
    })
}

fn kind(text: Option<&str>, key: &str, checker: &mut Checker) -> Option<NodeKind> {
    let known = NodeKind::ALL.map(NodeKind::label).join(", ");
    let Some(text) = text else {
        checker.wrong(key, "is missing", format!("one of {known}"));
        return None;
    };
    let found = NodeKind::parse(text);
    if found.is_none() {
        let hint = match text {
            "op-geth" => {
                "op-geth has ended on 2026-05-31: run op-reth, from a new folder or a snapshot".to_owned()
            }
            "lighthouse" | "prysm" | "teku" | "nimbus" | "lodestar" | "grandine" => {
                "write kind = \"beacon\": the client is known by its image".to_owned()
            }
            "arbitrum" => "write kind = \"nitro\"".to_owned(),
            "optimism" => "write two nodes: kind = \"op-node\" and kind = \"op-reth\"".to_owned(),
            "solana" => "write kind = \"agave\" or kind = \"solana-test-validator\"".to_owned(),
            _ => "for anything else write kind = \"generic\"".to_owned(),
        };
        let text: String = text.chars().take(40).collect();
        checker.wrong(key, format!("`{text}` is not one of {known}"), hint);
    }
    found
}

fn group(text: Option<&str>, key: &str, checker: &mut Checker) -> Option<String> {
    let text = text?;
    if NodeId::parse(text).is_none() {
        checker.wrong(key, "is no name", "1 to 64 letters, digits, - _ . such as \"ethereum\"");
    }
    Some(text.to_owned())
}

fn restart(raw: &RawSupervisedNode, section: &str, checker: &mut Checker) -> RestartPolicy {
    let at = |key: &str| format!("{section}.{key}");
    let default = RestartPolicy::default();
    let on_failure = match raw.restart.as_deref() {
        None | Some("on-failure") => true,
        Some("no") => false,
        Some(_) => {
            checker.wrong(
                &at("restart"),
                "is neither `on-failure` nor `no`",
                "on-failure: started again after it ended by itself or hangs; no: watched only",
            );
            false
        }
    };
    let mut count = |key: &str, value: Option<u32>, default: u32| match value {
        None => default,
        Some(0) => {
            checker.wrong(&at(key), "0 would never let it run", "give 1 or more");
            default
        }
        Some(count) => count,
    };
    let hung_after = count("hung_after", raw.hung_after, default.hung_after);
    let burst = count("start_limit_burst", raw.start_limit_burst, default.burst);
    let mut span = |key: &str, value, default| duration(&at(key), value, default, SECOND..=DAY, checker);
    let start_timeout = span("start_timeout", raw.start_timeout.as_ref(), default.start_timeout);
    let backoff = span("restart_delay", raw.restart_delay.as_ref(), default.backoff);
    let max_backoff =
        span("restart_max_delay", raw.restart_max_delay.as_ref(), default.max_backoff.max(backoff));
    let burst_window = span("start_limit_interval", raw.start_limit_interval.as_ref(), default.burst_window);
    if max_backoff < backoff {
        checker.contradicts(
            &at("restart_max_delay"),
            &at("restart_delay"),
            "is less than restart_delay",
            "give the longest wait, such as \"10m\"",
        );
    }
    RestartPolicy { on_failure, hung_after, start_timeout, backoff, max_backoff, burst, burst_window }
}

/// The chain that the client is told: its own key, else the one that goes with the whole configuration's.
fn chain(text: Option<&str>, kind: NodeKind, context: &NodesContext<'_>) -> Option<String> {
    text.or_else(|| kind.usual_chain(&context.spec.name)).map(str::to_owned)
}

fn probe(
    raw: &RawSupervisedNode,
    section: &str,
    kind: NodeKind,
    context: &NodesContext<'_>,
    checker: &mut Checker,
) -> Option<ProbeSettings> {
    let at = |key: &str| format!("{section}.{key}");
    let every = checker.secs(&at("probe_secs"), raw.probe_secs, PROBE);
    let timeout = checker.secs(&at("probe_timeout_secs"), raw.probe_timeout_secs, PROBE_TIMEOUT.min(every));
    if timeout > every {
        checker.contradicts(
            &at("probe_timeout_secs"),
            &at("probe_secs"),
            "is more than probe_secs",
            "give a probe less time than there is between two of them",
        );
    }
    let block_time =
        raw.block_time_ms.map(|_| checker.millis(&at("block_time_ms"), raw.block_time_ms, SECOND));
    let lag_age = raw.lag_secs.map(|_| checker.secs(&at("lag_secs"), raw.lag_secs, SECOND));
    let stall_after =
        duration(&at("stall_timeout"), raw.stall_timeout.as_ref(), STALL_AFTER, SECOND * 60..=DAY, checker);
    let path = health_path(raw.health_path.as_deref(), kind, &at("health_path"), checker);
    let vote_account = vote_account(raw.vote_account.as_deref(), kind, &at("vote_account"), checker);
    let Some(text) = raw.rpc_url.as_deref() else {
        if kind != NodeKind::Generic {
            checker.wrong(
                &at("rpc_url"),
                "is missing: without it a node that hangs could not be told from one that works",
                usual_url(kind),
            );
        } else if path.is_some() {
            checker.wrong(&at("health_path"), "there is no rpc_url to ask it of", "give rpc_url as well");
        }
        return None;
    };
    let url = node_url(text, &at("rpc_url"), checker)?;
    // The network's own where the node is of that; else by the name of its chain, where that is known.
    let usual =
        chain(raw.network.as_deref(), kind, context).and_then(|chain| template::chain_id(kind, &chain));
    let is_of_the_network = raw.network.is_none() && matches!(kind, NodeKind::Geth | NodeKind::Reth);
    let of_network = context.spec.chain_id.filter(|_| is_of_the_network);
    Some(ProbeSettings {
        url,
        every,
        timeout,
        block_time,
        chain_id: raw.chain_id.or(of_network).or(usual),
        lag_age,
        path,
        vote_account,
        stall_after,
        execution: None,
    })
}

fn usual_url(kind: NodeKind) -> String {
    let port = match kind {
        NodeKind::Geth | NodeKind::Reth | NodeKind::OpReth | NodeKind::Generic => 8545,
        NodeKind::Beacon => 5052,
        NodeKind::Nitro => 8547,
        NodeKind::OpNode => 9545,
        NodeKind::Agave | NodeKind::SolanaTestValidator => 8899,
    };
    let what = if kind == NodeKind::Beacon { "its beacon API" } else { "its JSON-RPC" };
    format!("where it answers {what}, such as rpc_url = \"http://127.0.0.1:{port}\"")
}

fn health_path(text: Option<&str>, kind: NodeKind, key: &str, checker: &mut Checker) -> Option<String> {
    let text = text?;
    if kind != NodeKind::Generic {
        let hint = "leave it out: only kind = \"generic\" has one";
        checker.wrong(key, format!("{kind} is probed by what it is"), hint);
    } else if !text.starts_with('/') || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
        checker.wrong(key, "is no path", "such as \"/health\"");
    } else {
        return Some(text.to_owned());
    }
    None
}

/// A key of Solana's: 32 bytes in base 58.
fn vote_account(text: Option<&str>, kind: NodeKind, key: &str, checker: &mut Checker) -> Option<String> {
    let text = text?;
    let is_base58 = |b: u8| b.is_ascii_alphanumeric() && !b"0OIl".contains(&b);
    if !matches!(kind, NodeKind::Agave | NodeKind::SolanaTestValidator) {
        checker.wrong(key, format!("{kind} has none"), "leave it out: it is for kind = \"agave\"");
    } else if !(32..=44).contains(&text.len()) || !text.bytes().all(is_base58) {
        let hint = "32 bytes in base 58, as `solana vote-account` shows it";
        checker.wrong(key, "is no public key of Solana's", hint);
    } else {
        return Some(text.to_owned());
    }
    None
}

#[cfg(test)]
mod tests;
