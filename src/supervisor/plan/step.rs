//! Steps of a plan, and how they are shown.

use std::{fmt, time::Duration};

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{
    super::{Limits, Network},
    drift::Drift,
};
use crate::types::{ByteSize, NodeId};

/// What is done.
#[derive(Clone, Debug, PartialEq)]
pub enum StepKind {
    /// A network is made, where it is not there.
    CreateNetwork(Network),
    /// A container is made from its template.
    Create,
    /// It is started.
    Start,
    /// It is asked to stop, and killed once this is over.
    Stop(Duration),
    /// A container that was made here is removed; its data stays.
    Remove,
    /// Its limits are changed while it runs.
    Resize(Limits),
    /// It runs already: it is looked after as it is.
    Attach,
    /// Nothing is done.
    LeaveAlone,
    /// What was wanted cannot be done.
    Refuse,
}

impl StepKind {
    /// Its name in text and JSON.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::CreateNetwork(_) => "create-network",
            Self::Create => "create",
            Self::Start => "start",
            Self::Stop(_) => "stop",
            Self::Remove => "remove",
            Self::Resize(_) => "resize",
            Self::Attach => "attach",
            Self::LeaveAlone => "leave-alone",
            Self::Refuse => "refuse",
        }
    }

    /// Whether anything changes by it.
    pub const fn changes(&self) -> bool {
        match self {
            Self::CreateNetwork(_)
            | Self::Create
            | Self::Start
            | Self::Stop(_)
            | Self::Remove
            | Self::Resize(_) => true,
            Self::Attach | Self::LeaveAlone | Self::Refuse => false,
        }
    }
}

/// One step.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// The node; none for what is of all of them.
    pub node: Option<NodeId>,
    /// What is done.
    pub kind: StepKind,
    /// Why, as sentences for people.
    pub why: String,
}

/// What would be done, in this order.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Plan {
    /// The steps.
    pub steps: Vec<Step>,
    /// Where what runs differs from what is configured.
    pub drifts: Vec<Drift>,
}

impl Plan {
    /// Whether anything of what was wanted cannot be done.
    pub fn is_refused(&self) -> bool {
        self.steps.iter().any(|step| step.kind == StepKind::Refuse)
    }

    /// Whether anything would change.
    pub fn changes(&self) -> bool {
        self.steps.iter().any(|step| step.kind.changes())
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("step", self.kind.label())?;
        if let Some(node) = &self.node {
            map.serialize_entry("node", node)?;
        }
        match &self.kind {
            StepKind::CreateNetwork(network) => map.serialize_entry("network", network)?,
            StepKind::Stop(grace) => map.serialize_entry("grace_secs", &grace.as_secs())?,
            StepKind::Resize(limits) => {
                if let Some(memory) = limits.memory {
                    map.serialize_entry("memory_bytes", &memory)?;
                    map.serialize_entry("swap_bytes", &limits.swap)?;
                }
                if let Some(cpus) = limits.cpus {
                    map.serialize_entry("cpus", &cpus)?;
                }
                if let Some(cpuset) = &limits.cpuset {
                    map.serialize_entry("cpuset", &cpuset.to_string())?;
                }
                if let Some(pids) = limits.pids {
                    map.serialize_entry("pids", &pids)?;
                }
            }
            StepKind::Create
            | StepKind::Start
            | StepKind::Remove
            | StepKind::Attach
            | StepKind::LeaveAlone
            | StepKind::Refuse => {}
        }
        map.serialize_entry("why", &self.why)?;
        map.end()
    }
}

impl fmt::Display for Step {
    /// `start geth-primary: …`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.kind, &self.node) {
            (StepKind::CreateNetwork(network), _) => write!(f, "create network {network}")?,
            (StepKind::LeaveAlone, Some(node)) => write!(f, "leave alone {node}")?,
            (kind, Some(node)) => write!(f, "{} {node}", kind.label())?,
            (kind, None) => f.write_str(kind.label())?,
        }
        write!(f, ": {}", self.why)
    }
}

impl fmt::Display for Plan {
    /// A line for each step, by number, and for each drift.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() {
            return f.write_str("There is nothing to do.");
        }
        for (index, step) in self.steps.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}. {step}", index + 1)?;
        }
        for drift in &self.drifts {
            write!(f, "\nnote: {drift}")?;
        }
        Ok(())
    }
}

/// Limits in words: `8 GiB of memory without swap, 3 CPUs`. Empty where there is none.
pub(super) fn limits_in_words(limits: &Limits) -> String {
    let mut parts = Vec::new();
    if let Some(memory) = limits.memory {
        let swap = match limits.swap {
            0 => "without swap".to_owned(),
            swap => format!("with {} of swap", ByteSize(swap)),
        };
        parts.push(format!("{} of memory {swap}", ByteSize(memory)));
    }
    parts.extend(limits.cpus.map(|cpus| format!("{cpus} CPUs")));
    parts.extend(limits.cpuset.as_ref().map(|cpuset| format!("cores {cpuset}")));
    parts.extend(limits.pids.map(|pids| format!("{pids} processes and threads")));
    parts.join(", ")
}
