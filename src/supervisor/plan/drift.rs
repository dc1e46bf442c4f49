//! Where what runs differs from what is configured. It is said, and never mended unasked: a recreated node is away for minutes.

use std::fmt;

use serde::Serialize;

use super::{
    super::{Limits, ProcessStatus, RuntimeSettings},
    look::Look,
};
use crate::types::{ByteSize, NodeId, labelled};

labelled! {
    /// What differs.
    pub enum DriftOf {
        /// The image: it takes a new container.
        Image = "image",
        /// Memory: it can be changed while it runs.
        Memory = "memory",
        /// Cores by time: it can be changed while it runs.
        Cpus = "cpus",
        /// Cores by number: it can be changed while it runs.
        Cpuset = "cpuset",
        /// Processes and threads: it can be changed while it runs.
        Pids = "pids",
    }
}

/// One difference.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Drift {
    /// The node.
    pub node: NodeId,
    /// What differs.
    pub of: DriftOf,
    /// As it runs.
    pub runs: String,
    /// As it is configured.
    pub configured: String,
    /// Whether we made it: else whoever did is the one to change it.
    pub ours: bool,
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { node, of, runs, configured, ours } = self;
        let what = match of {
            DriftOf::Image => "image",
            DriftOf::Memory => "memory limit",
            DriftOf::Cpus => "CPU limit",
            DriftOf::Cpuset => "cores",
            DriftOf::Pids => "limit of processes",
        };
        write!(f, "{node} runs with {what} {runs}, the configuration has {configured}: ")?;
        match (of, ours) {
            (DriftOf::Image, true) => write!(
                f,
                "`relaymux nodes down {node}` and `relaymux nodes up {node}` make it anew from that, with its data"
            ),
            (DriftOf::Image, false) => {
                f.write_str("it was not made here: whoever made it has to make it anew")
            }
            (DriftOf::Memory | DriftOf::Cpus | DriftOf::Cpuset | DriftOf::Pids, _) => {
                let flag = match of {
                    DriftOf::Cpus => "cpus",
                    DriftOf::Cpuset => "cpuset",
                    DriftOf::Pids => "pids",
                    DriftOf::Image | DriftOf::Memory => "memory",
                };
                let value = configured.replace(' ', "");
                write!(f, "`relaymux nodes resize {node} --{flag} {value}` changes it while it runs")
            }
        }
    }
}

/// A page: the kernel rounds limits of memory down to whole ones.
const PAGE: u64 = 4096;
/// A period of CPU time has so many thousandths.
const CPU_STEP: f64 = 0.001;

/// What differs of a node.
pub fn drifts(look: &Look<'_>) -> Vec<Drift> {
    let Some(seen) = look.seen.filter(|seen| seen.status != ProcessStatus::Absent) else { return Vec::new() };
    let drift =
        |of, runs, configured| Drift { node: look.node.id.clone(), of, runs, configured, ours: seen.ours };
    let mut found = Vec::new();
    if let RuntimeSettings::Docker(docker) = &look.node.runtime
        && let Some(launch) = &docker.launch
        && !is_of(&seen.what, &launch.image)
    {
        found.push(drift(DriftOf::Image, seen.what.clone(), launch.image.clone()));
    }
    if let Some(held) = seen.usage.as_ref().and_then(|usage| usage.held_to.as_ref()) {
        let differing = differing(held, &look.node.limits);
        found.extend(differing.into_iter().map(|(of, runs, configured)| drift(of, runs, configured)));
    }
    found
}

/// Limits that are configured, and held to something else.
fn differing(held: &Limits, wanted: &Limits) -> Vec<(DriftOf, String, String)> {
    const NONE: &str = "none";
    let mut found = Vec::new();
    if let Some(memory) = wanted.memory
        && held.memory.is_none_or(|held| held.abs_diff(memory) >= PAGE)
    {
        let runs = held.memory.map_or(NONE.to_owned(), |memory| ByteSize(memory).to_string());
        found.push((DriftOf::Memory, runs, ByteSize(memory).to_string()));
    }
    if let Some(cpus) = wanted.cpus
        && held.cpus.is_none_or(|held| (held - cpus).abs() >= CPU_STEP)
    {
        found.push((DriftOf::Cpus, shown(held.cpus), cpus.to_string()));
    }
    if let Some(cpuset) = &wanted.cpuset
        && held.cpuset.as_ref() != Some(cpuset)
    {
        found.push((DriftOf::Cpuset, shown(held.cpuset.as_ref()), cpuset.to_string()));
    }
    if let Some(pids) = wanted.pids
        && held.pids != Some(pids)
    {
        found.push((DriftOf::Pids, shown(held.pids), pids.to_string()));
    }
    found
}

fn shown(value: Option<impl ToString>) -> String {
    value.map_or("none".to_owned(), |value| value.to_string())
}

/// Whether what a runtime says of an image is the one that is configured: it may add a digest, and a configured digest may be all it knows.
fn is_of(what: &str, image: &str) -> bool {
    let word = |text: &str| {
        what.split([' ', '(', ')', ',']).any(|word| word == text || word.starts_with(&format!("{text}@")))
    };
    word(image) || image.split_once('@').is_some_and(|(_, digest)| what.contains(digest))
}
