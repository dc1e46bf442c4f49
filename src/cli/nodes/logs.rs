//! `relaymux nodes logs`: a node's last lines of output.

use std::process::ExitCode;

use reqwest::Method;
use serde_json::{Value, json};

use super::meant::Meant;
use crate::{
    app::NodeRuntimes,
    cli::{
        arguments::NodesLogsArguments,
        exit::{FAILED, MISUSED},
        service::{Service, Trouble},
        terminal,
    },
    consensus::WallClock,
    supervisor::{NodeSettings, RuntimeSettings},
};

/// Prints them: through the service where it runs, else by the node's runtime.
pub(super) async fn logs(arguments: NodesLogsArguments) -> ExitCode {
    let meant = match Meant::load(&arguments.of) {
        Ok(meant) => meant,
        Err(code) => return code,
    };
    let [node] = meant.in_order()[..] else {
        terminal::complain("name one node: relaymux nodes logs NODE");
        return ExitCode::from(MISUSED);
    };
    match lines(&meant, node, &arguments).await {
        Ok(lines) => {
            if arguments.of.json {
                terminal::write(terminal::json(&json!({ "id": node.id, "lines": lines })));
            } else if lines.is_empty() {
                terminal::complain(format_args!("{} has written nothing.", node.id));
            } else {
                terminal::say(lines.join("\n"));
            }
            ExitCode::SUCCESS
        }
        Err(message) => {
            terminal::complain(message);
            ExitCode::from(FAILED)
        }
    }
}

async fn lines(
    meant: &Meant,
    node: &NodeSettings,
    arguments: &NodesLogsArguments,
) -> Result<Vec<String>, String> {
    let path = format!("/api/v1/nodes/{}/logs?lines={}", node.id, arguments.lines);
    let service = Service::of(&meant.config, arguments.of.url.as_deref());
    let silent = match &service {
        Ok(service) => match service.ask(Method::GET, &path, None).await {
            Ok(answer) => return Ok(lines_of(&answer)),
            Err(trouble @ Trouble::Refused(..)) => {
                return Err(service.cannot(&trouble, "knows no nodes"));
            }
            Err(trouble) => service.cannot(&trouble, "knows no nodes"),
        },
        Err(message) => message.clone(),
    };
    if matches!(node.runtime, RuntimeSettings::Process(_)) {
        let file = meant.config.data_dir.join("nodes").join(format!("{}.log", node.id));
        return Err(format!("{silent}. What it wrote is in {}", file.display()));
    }
    let runtimes = NodeRuntimes::new(Some(&meant.nodes), &meant.config.data_dir, WallClock::system());
    runtimes.all.of(node).logs(node, arguments.lines).await.map_err(|error| error.to_string())
}

fn lines_of(answer: &Value) -> Vec<String> {
    let lines = answer.get("lines").and_then(Value::as_array);
    lines.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
}
