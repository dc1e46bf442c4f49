//! `relaymux nodes up|down|stop|restart|resume|maintenance|resize`: what a person wants of the running service.

use std::{process::ExitCode, time::Duration};

use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use super::{
    meant::Meant,
    seen::{Seen, all},
};
use crate::{
    cli::{
        arguments::{
            NodesChangeArguments, NodesDownArguments, NodesMaintenanceArguments, NodesResizeArguments,
            NodesUpArguments,
        },
        exit::{FAILED, MISUSED},
        progress::Progress,
        service::{Service, Trouble},
        terminal,
    },
    events::NodeState,
    types::NodeId,
};

/// Longest wait for the answer to one order: the service itself says after 25 s that it goes on.
const ORDER: Duration = Duration::from_secs(40);
/// Between two looks at what became of it.
const EVERY: Duration = Duration::from_millis(500);
/// How long it must be well until it is believed.
const STEADY: Duration = Duration::from_secs(2);
/// How long the service may be silent meanwhile.
const SILENCE: Duration = Duration::from_secs(30);

/// Which orders there are.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// The node answers, or is on its way.
    Serves,
    /// It serves again: what stands in for it is not to be taken down before.
    Back,
    /// It does not run.
    Stopped,
    /// The order's own answer is all.
    Said,
}

/// Starts nodes, what others stand on first.
pub(super) async fn up(arguments: NodesUpArguments) -> ExitCode {
    let names = |meant: &Meant| meant.in_order().into_iter().map(|node| node.id.clone()).collect();
    carry_out(&arguments.change, "up", Map::new(), End::Serves, names).await
}

/// Stops nodes, what stands on others first, and removes what we made of them with `--remove`.
pub(super) async fn down(arguments: NodesDownArguments) -> ExitCode {
    let order = if arguments.remove { "down" } else { "stop" };
    carry_out(&arguments.change, order, Map::new(), End::Stopped, reversed).await
}

/// Stops, restarts or resumes nodes: each must be named.
pub(super) async fn each(arguments: NodesChangeArguments, order: &'static str) -> ExitCode {
    if arguments.of.nodes.is_empty() {
        terminal::complain(format_args!("name the nodes that are meant: relaymux nodes {order} NODE…"));
        return ExitCode::from(MISUSED);
    }
    match order {
        "stop" => carry_out(&arguments, order, Map::new(), End::Stopped, reversed).await,
        _ => {
            let names = |meant: &Meant| meant.in_order().into_iter().map(|node| node.id.clone()).collect();
            let end = if order == "restart" { End::Back } else { End::Serves };
            carry_out(&arguments, order, Map::new(), end, names).await
        }
    }
}

/// Lets the operator work on nodes: nothing is judged, and nothing done.
pub(super) async fn maintenance(arguments: NodesMaintenanceArguments) -> ExitCode {
    if arguments.change.of.nodes.is_empty() {
        terminal::complain("name the nodes that are meant: relaymux nodes maintenance NODE…");
        return ExitCode::from(MISUSED);
    }
    let secs = if arguments.end { 0 } else { arguments.within.as_secs() };
    let details = Map::from_iter([("for_secs".to_owned(), json!(secs))]);
    carry_out(&arguments.change, "maintenance", details, End::Said, |meant| meant.named.clone()).await
}

/// Changes a node's limits while it runs.
pub(super) async fn resize(arguments: NodesResizeArguments) -> ExitCode {
    if arguments.change.of.nodes.len() != 1 {
        terminal::complain("name one node: relaymux nodes resize NODE --memory 8GiB");
        return ExitCode::from(MISUSED);
    }
    let mut details = Map::new();
    let limits = [
        ("memory_bytes", arguments.memory.map(|size| json!(size.0))),
        ("swap_bytes", arguments.swap.map(|size| json!(size.0))),
        ("cpus", arguments.cpus.map(|cpus| json!(cpus))),
        ("cpuset", arguments.cpuset.as_ref().map(|cores| json!(cores))),
        ("pids", arguments.pids.map(|pids| json!(pids))),
    ];
    for (key, value) in limits {
        if let Some(value) = value {
            details.insert(key.to_owned(), value);
        }
    }
    if details.is_empty() {
        terminal::complain("say what is to change: --memory, --swap, --cpus, --cpuset or --pids");
        return ExitCode::from(MISUSED);
    }
    carry_out(&arguments.change, "resize", details, End::Said, |meant| meant.named.clone()).await
}

fn reversed(meant: &Meant) -> Vec<NodeId> {
    meant.in_order().into_iter().rev().map(|node| node.id.clone()).collect()
}

async fn carry_out(
    arguments: &NodesChangeArguments,
    order: &'static str,
    mut details: Map<String, Value>,
    end: End,
    names: impl FnOnce(&Meant) -> Vec<NodeId>,
) -> ExitCode {
    let meant = match Meant::load(&arguments.of) {
        Ok(meant) => meant,
        Err(code) => return code,
    };
    let service = match Service::of(&meant.config, arguments.of.url.as_deref()) {
        Ok(service) => service,
        Err(message) => {
            terminal::complain(terminal::wrapped(&message, 0));
            return ExitCode::from(FAILED);
        }
    };
    let by = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER"));
    details.insert("by".to_owned(), json!(by.unwrap_or_else(|_| "the command line".to_owned())));
    if let Some(why) = &arguments.why {
        details.insert("why".to_owned(), json!(why));
    }
    let is_quiet = arguments.of.json;
    let mut are_well = true;
    let names = names(&meant);
    let mut waited_for = Vec::new();
    for node in &names {
        match ordered(&service, node, order, &Value::Object(details.clone())).await {
            Ok(message) => {
                if !is_quiet {
                    terminal::say(terminal::wrapped(&format!("{node}: {message}"), 2));
                }
                waited_for.push(node.clone());
                if end != End::Said && !arguments.no_wait {
                    are_well &= wait(&service, node, end, arguments, is_quiet).await;
                }
            }
            Err(message) => {
                terminal::complain(terminal::wrapped(&format!("{node}: {message}"), 2));
                are_well = false;
            }
        }
    }
    if is_quiet {
        match all(&service).await {
            Ok((_, raw)) => {
                let is_named = |value: &&Value| {
                    let id = value.get("id").and_then(Value::as_str);
                    names.iter().any(|name| Some(name.as_str()) == id)
                };
                let nodes: Vec<&Value> = raw.as_array().into_iter().flatten().filter(is_named).collect();
                terminal::write(terminal::json(&json!({ "ordered": waited_for, "nodes": nodes })));
            }
            Err(trouble) => {
                terminal::complain(service.cannot(&trouble, "knows no nodes"));
                are_well = false;
            }
        }
    }
    if are_well { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

/// Gives an order; what the service says to it.
async fn ordered(service: &Service, node: &NodeId, order: &str, details: &Value) -> Result<String, String> {
    let path = format!("/api/v1/nodes/{node}/{order}");
    match service.ask_within(ORDER, Method::POST, &path, Some(details)).await {
        Ok(answer) => {
            let message = answer.get("message").and_then(Value::as_str).unwrap_or("it is done");
            Ok(message.to_owned())
        }
        // Its own words are about this node.
        Err(Trouble::Refused(status, message))
            if !message.is_empty() && status != StatusCode::UNAUTHORIZED =>
        {
            Err(message)
        }
        Err(trouble) => Err(service.cannot(&trouble, "knows no nodes")),
    }
}

/// Waits until the node is as it was wanted; says each new state. Whether it came so far.
async fn wait(
    service: &Service,
    node: &NodeId,
    end: End,
    arguments: &NodesChangeArguments,
    is_quiet: bool,
) -> bool {
    let _progress = Progress::of(None, format!("waiting for {node}"));
    let begun = Instant::now();
    let (mut heard, mut shown, mut well) = (begun, None, None);
    loop {
        match all(service).await {
            Ok((nodes, _)) => {
                heard = Instant::now();
                let Some(seen) = nodes.into_iter().find(|seen| seen.id == node.as_str()) else {
                    terminal::complain(format_args!("{node}: the service knows it no longer."));
                    return false;
                };
                let word = (seen.state.clone(), seen.why.clone());
                if shown.as_ref() != Some(&word) {
                    if !is_quiet {
                        let line = format!("{node}: {}: {}", seen.state.replace('_', " "), seen.why);
                        terminal::say(terminal::wrapped(&line, 2));
                    }
                    shown = Some(word);
                }
                match verdict(&seen, end) {
                    // What ends at once shows itself within a moment.
                    Some(true)
                        if matches!(end, End::Serves | End::Back)
                            && well.get_or_insert_with(Instant::now).elapsed() < STEADY => {}
                    Some(came) => return came,
                    None => well = None,
                }
            }
            Err(trouble) if heard.elapsed() > SILENCE => {
                terminal::complain(service.cannot(&trouble, "knows no nodes"));
                return false;
            }
            Err(_) => {}
        }
        if begun.elapsed() > arguments.timeout {
            terminal::complain(terminal::wrapped(
                &format!(
                    "{node}: not there after {} s. It goes on by itself: `relaymux nodes status {node}` shows how far it is.",
                    arguments.timeout.as_secs()
                ),
                2,
            ));
            return false;
        }
        sleep(EVERY).await;
    }
}

/// Whether the wait is over: it is as wanted, or only a person can help.
fn verdict(node: &Seen, end: End) -> Option<bool> {
    if node.doing.is_some() {
        return None;
    }
    match (end, node.state()?) {
        (End::Serves, NodeState::Healthy | NodeState::Syncing | NodeState::Lagging) => Some(true),
        (End::Back, NodeState::Healthy | NodeState::Lagging) => Some(true),
        (End::Serves | End::Back, NodeState::CrashLoop | NodeState::Maintenance | NodeState::Pruning) => {
            Some(false)
        }
        // Somebody stopped it meanwhile.
        (End::Serves | End::Back, NodeState::Stopped) if node.wanted != "up" => Some(false),
        (End::Serves | End::Back, _) => None,
        (End::Stopped, NodeState::Stopped | NodeState::Absent) => Some(true),
        (End::Stopped, _) => None,
        (End::Said, _) => Some(true),
    }
}
