//! What is measured: the parts whose minutes are counted, by names from a bounded set.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::{
    events::Severity,
    types::{NodeId, RelayId},
};

/// A part whose minutes are counted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Indicator {
    /// The Builder API, as the consensus client saw it.
    BuilderApi,
    /// The JSON-RPC gateway, as its clients saw it.
    Gateway,
    /// All relays together: whether at least one of those that are asked is usable.
    Relays,
    /// One relay.
    Relay(RelayId),
    /// One node of the operator's.
    Node(NodeId),
}

impl Indicator {
    /// Reads a name as it is written down; `None` for one of another version.
    pub fn parse(name: &str) -> Option<Self> {
        match name.split_once(':') {
            None if name == "builder_api" => Some(Self::BuilderApi),
            None if name == "gateway" => Some(Self::Gateway),
            None if name == "relays" => Some(Self::Relays),
            Some(("relay", id)) => RelayId::parse(id).ok().map(Self::Relay),
            Some(("node", id)) => NodeId::parse(id).map(Self::Node),
            None | Some(_) => None,
        }
    }

    /// What it is called in a sentence.
    pub fn in_words(&self) -> String {
        match self {
            Self::BuilderApi => "the builder API".to_owned(),
            Self::Gateway => "the JSON-RPC gateway".to_owned(),
            Self::Relays => "all relays together".to_owned(),
            Self::Relay(id) => format!("relay {id}"),
            Self::Node(name) => format!("the node {}", name.as_str()),
        }
    }

    /// Whether an answer that came too late is as bad as none: a proposer cannot use it any more. A late relay or node is there, all the same.
    pub const fn late_is_down(&self) -> bool {
        matches!(self, Self::BuilderApi)
    }

    /// How grave a burning budget can be at most. Without relays blocks are built locally and pay less; others serve while one relay is away, and
    /// headers are served without a node.
    pub const fn gravest(&self) -> Severity {
        match self {
            Self::BuilderApi => Severity::P1,
            Self::Gateway | Self::Relays | Self::Node(_) => Severity::P2,
            Self::Relay(_) => Severity::P3,
        }
    }
}

impl fmt::Display for Indicator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BuilderApi => f.write_str("builder_api"),
            Self::Gateway => f.write_str("gateway"),
            Self::Relays => f.write_str("relays"),
            Self::Relay(id) => write!(f, "relay:{id}"),
            Self::Node(name) => write!(f, "node:{}", name.as_str()),
        }
    }
}

impl Serialize for Indicator {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for name in
            ["builder_api", "gateway", "relays", "relay:ultra-sound", "node:beacon", "node:geth-primary"]
        {
            assert_eq!(Indicator::parse(name).unwrap().to_string(), name);
        }
        for name in ["", "relay", "relay:", "node:a b", "gateway:x", "relays:x", "builder"] {
            assert_eq!(Indicator::parse(name), None, "{name}");
        }
    }
}
