//! Which nodes a command is about.

use std::process::ExitCode;

use crate::{
    cli::{arguments::NodesOfArguments, exit::MISUSED, loading::load, terminal},
    config::Config,
    supervisor::{NodeSettings, NodesSettings},
    types::NodeId,
};

/// A configuration with nodes, and those that are meant: all, where none is named.
pub(super) struct Meant {
    pub(super) config: Config,
    pub(super) nodes: NodesSettings,
    pub(super) named: Vec<NodeId>,
}

impl Meant {
    /// Reads the configuration; says what is wrong otherwise.
    pub(super) fn load(of: &NodesOfArguments) -> Result<Self, ExitCode> {
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
    pub(super) fn is_named(&self, node: &NodeId) -> bool {
        self.named.is_empty() || self.named.contains(node)
    }

    /// Those that are meant, what others stand on first.
    pub(super) fn in_order(&self) -> Vec<&NodeSettings> {
        let mut nodes: Vec<&NodeSettings> =
            self.nodes.nodes.iter().filter(|node| self.is_named(&node.id)).collect();
        nodes.sort_by_key(|node| node.kind.layer());
        nodes
    }
}
