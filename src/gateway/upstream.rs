//! What an upstream is called, and which tier it stands in.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::types::{RelayId, labelled};

/// Name of an upstream in the configuration, logs, metrics and the answer header: 1 to 64 of `a-z A-Z 0-9 . - _`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UpstreamId(RelayId);

impl UpstreamId {
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

impl fmt::Display for UpstreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for UpstreamId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

labelled! {
    /// When an upstream is asked: the tiers in their order, each only while no upstream of an earlier one can answer.
    pub enum Tier {
        /// The operator's own node that answers while all is well.
        Primary = "primary",
        /// Another node of the operator's.
        Replica = "replica",
        /// Somebody else's, paid by the request: asked for nothing that another can answer.
        Backup = "backup",
    }
}
