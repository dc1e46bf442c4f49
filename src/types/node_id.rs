//! What the operator calls a node.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::RelayId;

/// Name of one of the operator's nodes in the configuration, logs, metrics and container names: 1 to 64 of `a-z A-Z 0-9 . - _`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(RelayId);

impl NodeId {
    /// Parses a name; `None` for what is none.
    pub fn parse(text: &str) -> Option<Self> {
        // The same characters are safe for the same reasons.
        RelayId::parse(text).ok().map(Self)
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        self.0.as_str()
    }
}

impl fmt::Display for NodeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for NodeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for NodeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| {
            serde::de::Error::custom("a node's name is 1 to 64 letters, digits, `.`, `-` or `_`")
        })
    }
}
