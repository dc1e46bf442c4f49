//! `relaymux nodes`: what stands beside the validator, by hand.
//!
//! The running service is the one supervisor: what changes something goes through its ops API, so that it knows what a person wanted. Looking
//! needs no service: `plan`, `status` and `logs` ask the runtimes themselves where it does not run.

mod audit;
mod direct;
mod logs;
mod order;
mod plan;
mod seen;
mod status;

use std::process::ExitCode;

use super::{
    arguments::{NodesCommand, NodesOfArguments},
    exit::MISUSED,
    loading::load,
    terminal,
};
use crate::{
    config::Config,
    supervisor::{NodeSettings, NodesSettings},
    types::NodeId,
};

/// Carries one of them out.
pub(super) async fn nodes(command: NodesCommand) -> ExitCode {
    match command {
        NodesCommand::Audit(arguments) => audit::audit(&arguments),
        NodesCommand::Plan(arguments) => plan::plan(arguments).await,
        NodesCommand::Status(arguments) => status::status(arguments).await,
        NodesCommand::Logs(arguments) => logs::logs(arguments).await,
        NodesCommand::Up(arguments) => order::up(arguments).await,
        NodesCommand::Down(arguments) => order::down(arguments).await,
        NodesCommand::Stop(arguments) => order::each(arguments, "stop").await,
        NodesCommand::Restart(arguments) => order::each(arguments, "restart").await,
        NodesCommand::Resume(arguments) => order::each(arguments, "resume").await,
        NodesCommand::Maintenance(arguments) => order::maintenance(arguments).await,
        NodesCommand::Resize(arguments) => order::resize(arguments).await,
    }
}

/// A configuration with nodes, and those that are meant: all, where none is named.
struct Meant {
    config: Config,
    nodes: NodesSettings,
    named: Vec<NodeId>,
}

impl Meant {
    /// Reads the configuration; says what is wrong otherwise.
    fn load(of: &NodesOfArguments) -> Result<Self, ExitCode> {
        let config = load(&of.config)?;
        let Some(nodes) = config.nodes.clone() else {
            terminal::complain(format_args!(
                "{}: there is no [[nodes]] section: write one for each node that is to be looked after (docs/nodes.md shows how)",
                of.config.display()
            ));
            return Err(ExitCode::from(MISUSED));
        };
        let mut named = Vec::new();
        for name in &of.nodes {
            let found = nodes.nodes.iter().find(|node| node.id.as_str() == name);
            let Some(found) = found else {
                let known: Vec<&str> = nodes.nodes.iter().map(|node| node.id.as_str()).collect();
                terminal::complain(format_args!(
                    "no node is called `{name}` in {}: it has {}",
                    of.config.display(),
                    known.join(", ")
                ));
                return Err(ExitCode::from(MISUSED));
            };
            if !named.contains(&found.id) {
                named.push(found.id.clone());
            }
        }
        Ok(Self { config, nodes, named })
    }

    /// Whether a node is meant.
    fn is_named(&self, node: &NodeId) -> bool {
        self.named.is_empty() || self.named.contains(node)
    }

    /// Those that are meant, what others stand on first.
    fn in_order(&self) -> Vec<&NodeSettings> {
        let mut nodes: Vec<&NodeSettings> =
            self.nodes.nodes.iter().filter(|node| self.is_named(&node.id)).collect();
        nodes.sort_by_key(|node| node.kind.layer());
        nodes
    }
}
