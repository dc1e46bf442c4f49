//! `limits` of a node.

use super::{checker::Checker, raw_nodes::RawLimits};
use crate::{
    supervisor::{Cpuset, Limits, NodeKind, admission::need},
    types::ByteSize,
};

const SIZE_HINT: &str = "write a number and a unit, such as \"8GiB\" or \"512MiB\"";
/// Least memory that a container can be given: Docker's own bound is 6 MB.
const LEAST_MEMORY: u64 = 6 << 20;
/// Most cores: more than any machine has, so that a slip is seen.
const MOST_CPUS: f64 = 4096.0;
/// Least CPU: Docker's own bound.
const LEAST_CPUS: f64 = 0.01;

/// Checks them.
pub(super) fn limits(
    raw: &RawLimits,
    section: &str,
    kind: Option<NodeKind>,
    checker: &mut Checker,
) -> Limits {
    let at = |key: &str| format!("{section}.limits.{key}");
    let memory = raw.memory.as_deref().and_then(|text| size(text, &at("memory"), checker));
    if memory.is_some_and(|memory| memory < LEAST_MEMORY) {
        checker.wrong(&at("memory"), "is less than the 6 MiB that Docker takes", SIZE_HINT);
    }
    if let (Some(kind), Some(memory)) = (kind, memory)
        && memory < need(kind).least
    {
        checker.warn(format!(
            "{}: {} is less than the {} that {kind} takes on its main network: it would be killed for it; {} is what it needs there",
            at("memory"),
            ByteSize(memory),
            ByteSize(need(kind).least),
            ByteSize(need(kind).memory),
        ));
    }
    let swap = raw.swap.as_deref().and_then(|text| size(text, &at("swap"), checker)).unwrap_or(0);
    if swap > 0 && memory.is_none() {
        checker.wrong(
            &at("swap"),
            "there is no memory limit that it would be beside",
            "give memory as well, or leave it out",
        );
    }
    let cpus = raw.cpus.filter(|cpus| {
        let is_sound = (LEAST_CPUS..=MOST_CPUS).contains(cpus);
        if !is_sound {
            checker.wrong(&at("cpus"), "is no number of cores", "such as 3.0, or 0.5 for half a core");
        }
        is_sound
    });
    let cpuset = raw.cpuset.as_deref().and_then(|text| {
        let found = Cpuset::parse(text);
        if found.is_none() {
            checker.wrong(&at("cpuset"), "is no list of cores", "such as \"0-3\" or \"0,2\"");
        }
        found
    });
    if let (Some(cpus), Some(cpuset)) = (cpus, &cpuset) {
        let cores = u32::try_from(cpuset.cores().len()).map_or(f64::INFINITY, f64::from);
        if cpus > cores {
            checker.contradicts(
                &at("cpus"),
                &at("cpuset"),
                format!("{cpus} is more than the {cores} cores of cpuset"),
                "give it no more than it may run on, or leave one of the two out",
            );
        }
    }
    if raw.pids == Some(0) {
        checker.wrong(&at("pids"), "0 would let nothing run", "leave it out for no limit");
    }
    Limits { memory, swap, cpus, cpuset, pids: raw.pids.filter(|pids| *pids > 0) }
}

/// A size, or a mistake.
pub(super) fn size(text: &str, key: &str, checker: &mut Checker) -> Option<u64> {
    let found = ByteSize::parse(text);
    if found.is_none() {
        let is_bare = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let message = if is_bare { "has no unit" } else { "is no size" };
        checker.wrong(key, message, SIZE_HINT);
    }
    found.map(|size| size.0)
}
