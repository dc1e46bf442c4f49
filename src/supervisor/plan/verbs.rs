//! What each command would do.

use super::{
    super::{
        Admission, LaunchSpec, Limits, Network, NodeKind, NodeSettings, ProcessStatus, RuntimeSettings, Usage,
    },
    drift::drifts,
    look::{Look, rank},
    step::{Plan, Step, StepKind, limits_in_words},
};
use crate::types::{ByteSize, NodeId};

/// `up`: every node that is named, or all, is to run. `admission`: of the nodes that [`counted`](super::counted) gives.
pub fn up(looks: &[Look<'_>], named: &[NodeId], admission: &Admission) -> Plan {
    let mut plan = Plan::default();
    for look in in_order(looks, named) {
        let steps = up_one(&look, admission.fits());
        if steps.iter().any(|step| step.kind == StepKind::Create) {
            for network in launch_of(look.node).iter().flat_map(|launch| &launch.networks) {
                let kind = StepKind::CreateNetwork(*network);
                if plan.steps.iter().all(|step| step.kind != kind) {
                    let why = match network {
                        Network::Internal => {
                            "where nodes reach each other's RPC, engine and metrics, without a way out or in; kept where it is there already"
                        }
                        Network::P2p => "the way out to peers; kept where it is there already",
                    };
                    plan.steps.push(Step { node: None, kind, why: why.to_owned() });
                }
            }
        }
        plan.steps.extend(steps);
        plan.drifts.extend(drifts(&look));
    }
    plan
}

fn up_one(look: &Look<'_>, fits: bool) -> Vec<Step> {
    let node = look.node;
    let Some(seen) = look.seen else {
        return vec![of(node, StepKind::LeaveAlone, UNSEEN)];
    };
    let start = |why: &str| match fits {
        true => vec![of(node, StepKind::Start, why)],
        false => vec![of(node, StepKind::Refuse, DOES_NOT_FIT)],
    };
    match &seen.status {
        ProcessStatus::Running { .. } if seen.ours => {
            vec![of(node, StepKind::Attach, "it runs already, and was made here")]
        }
        ProcessStatus::Running { .. } => vec![of(
            node,
            StepKind::Attach,
            "it runs already, and was not made here: it is watched and started again as configured, and never removed",
        )],
        ProcessStatus::Paused => vec![of(
            node,
            StepKind::LeaveAlone,
            "it is frozen, which somebody did by hand: `docker unpause` lets it go on",
        )],
        ProcessStatus::Stopping => {
            vec![of(node, StepKind::LeaveAlone, "it is about to stop: run this again once it has")]
        }
        ProcessStatus::Created => start("it is there, and was never started"),
        ProcessStatus::Exited { oom_killed: true, .. } => start(
            "it is there; the kernel has killed it for its memory: give it more before it is killed again",
        ),
        ProcessStatus::Exited { code, .. } => start(&match code {
            Some(code) => format!("it is there, and has ended with exit code {code}"),
            None => "it is there, and does not run".to_owned(),
        }),
        ProcessStatus::Absent => match &node.runtime {
            RuntimeSettings::Docker(docker) if docker.launch.is_none() => vec![of(
                node,
                StepKind::Refuse,
                &format!(
                    "there is no container {}, and nothing says how to make it: give it an image, or make it yourself",
                    docker.container
                ),
            )],
            RuntimeSettings::Systemd(unit) => vec![of(
                node,
                StepKind::Refuse,
                &format!("there is no unit {}: units are started, and never written, by relaymux", unit.unit),
            )],
            RuntimeSettings::Docker(_) | RuntimeSettings::Process(_) if !fits => {
                vec![of(node, StepKind::Refuse, DOES_NOT_FIT)]
            }
            RuntimeSettings::Docker(docker) => {
                let image = docker.launch.as_ref().map_or("", |launch| launch.image.as_str());
                let limits = match limits_in_words(&node.limits) {
                    limits if limits.is_empty() => "no limits".to_owned(),
                    limits => limits,
                };
                vec![
                    of(
                        node,
                        StepKind::Create,
                        &format!("there is no container {}: from {image}, {limits}", docker.container),
                    ),
                    of(node, StepKind::Start, "it was just made"),
                ]
            }
            RuntimeSettings::Process(_) => {
                vec![of(
                    node,
                    StepKind::Start,
                    "it does not run: as a child process, which ends with relaymux",
                )]
            }
        },
    }
}

/// `down`: every node that is named, or all that were made here, is to stop, and its container to go.
pub fn down(looks: &[Look<'_>], named: &[NodeId]) -> Plan {
    let mut plan = Plan::default();
    for look in in_order(looks, named).into_iter().rev() {
        plan.steps.extend(down_one(&look, !named.is_empty()));
    }
    plan
}

fn down_one(look: &Look<'_>, is_named: bool) -> Vec<Step> {
    let node = look.node;
    let Some(seen) = look.seen else {
        return vec![of(node, StepKind::LeaveAlone, UNSEEN)];
    };
    let is_there = seen.status != ProcessStatus::Absent;
    if is_there && !seen.ours && !is_named {
        let why = format!("it was not made here: name it, `relaymux nodes down {}`, to stop it", node.id);
        return vec![of(node, StepKind::LeaveAlone, &why)];
    }
    let mut steps = Vec::new();
    match &seen.status {
        ProcessStatus::Running { .. } | ProcessStatus::Paused | ProcessStatus::Stopping => {
            let grace = format!(
                "it is asked to stop, and killed after {} s, as a database that is killed while it writes takes hours to recover",
                node.stop_grace.as_secs()
            );
            steps.push(of(node, StepKind::Stop(node.stop_grace), &grace));
        }
        ProcessStatus::Created | ProcessStatus::Exited { .. } | ProcessStatus::Absent => {}
    }
    if is_there && seen.ours && matches!(node.runtime, RuntimeSettings::Docker(_)) {
        steps.push(of(node, StepKind::Remove, "its container was made here; its data stays where it is"));
    }
    if steps.is_empty() {
        let why = if is_there { "it does not run, and was not made here" } else { "it is not there" };
        steps.push(of(node, StepKind::LeaveAlone, why));
    }
    steps
}

/// What a node must have above what it uses, so that it is not killed by a limit the moment that is set: a sixteenth.
const HEADROOM: u64 = 16;

/// `resize`: a node's limits are to be others, while it runs. `admission`: with the new limits.
pub fn resize(look: &Look<'_>, limits: &Limits, admission: &Admission) -> Plan {
    let node = look.node;
    let refuse = |why: String| Plan { steps: vec![of(node, StepKind::Refuse, &why)], drifts: Vec::new() };
    let Some(seen) = look.seen else { return refuse(UNSEEN.to_owned()) };
    if !look.runs() {
        return refuse(
            "it does not run: write the limits into the configuration, which the next `relaymux nodes up` goes by"
                .to_owned(),
        );
    }
    if let (Some(memory), Some(usage)) = (limits.memory, seen.usage.as_ref())
        && let Some(least) = least(usage)
        && memory < least
    {
        return refuse(format!(
            "it uses {} now, and with {} the kernel would kill it at once: give it {} or more, or stop it first",
            ByteSize(usage.memory.unwrap_or_default()),
            ByteSize(memory),
            ByteSize(rounded_up(least)),
        ));
    }
    if !admission.fits() && grows(seen.usage.as_ref(), limits) {
        return refuse(admission.words());
    }
    let mut why = format!("from now on {}", limits_in_words(limits));
    if limits.memory.is_some() {
        why.push_str("; the limit of swap moves with it");
    }
    if matches!(node.kind, NodeKind::Geth) && limits.memory.is_some() {
        why.push_str("; geth's cache stays as it is until the container is made anew");
    }
    why.push_str("; write it into the configuration as well, or the next container has the old one");
    Plan { steps: vec![of(node, StepKind::Resize(limits.clone()), &why)], drifts: Vec::new() }
}

/// The least memory that does not kill a node by itself.
fn least(usage: &Usage) -> Option<u64> {
    usage.memory.map(|used| used.saturating_add(used / HEADROOM))
}

/// A size that is shown as what it is, and no less.
const fn rounded_up(bytes: u64) -> u64 {
    let step: u64 = if bytes >= 1 << 30 { 1 << 29 } else { 1 << 20 };
    bytes.div_ceil(step).saturating_mul(step)
}

/// Whether limits are more than a node is held to now: less may always be given, if all do not fit.
fn grows(usage: Option<&Usage>, limits: &Limits) -> bool {
    let Some(held) = usage.and_then(|usage| usage.held_to.as_ref()) else { return true };
    let more_memory = limits.memory.is_some_and(|memory| held.memory.is_some_and(|held| memory > held));
    more_memory || limits.cpus.is_some_and(|cpus| held.cpus.is_some_and(|held| cpus > held))
}

const UNSEEN: &str = "its runtime does not answer, so nothing is known of it: see that Docker or systemd can be reached, then run this again";
const DOES_NOT_FIT: &str = "the nodes do not fit this machine together: see the table, and `relaymux check`";

fn of(node: &NodeSettings, kind: StepKind, why: &str) -> Step {
    Step { node: Some(node.id.clone()), kind, why: why.to_owned() }
}

fn launch_of(node: &NodeSettings) -> Option<&LaunchSpec> {
    match &node.runtime {
        RuntimeSettings::Docker(docker) => docker.launch.as_ref(),
        RuntimeSettings::Systemd(_) | RuntimeSettings::Process(_) => None,
    }
}

/// Those that are named, each after those that it stands on.
fn in_order<'a>(looks: &[Look<'a>], named: &[NodeId]) -> Vec<Look<'a>> {
    let mut looks: Vec<Look<'a>> = looks.iter().copied().filter(|look| look.is_named(named)).collect();
    looks.sort_by_key(|look| rank(look.node.kind));
    looks
}
