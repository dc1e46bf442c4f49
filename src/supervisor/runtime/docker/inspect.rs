//! What the engine's answers mean: pure.

use bollard::models::{
    ContainerInspectResponse, ContainerMemoryStats, ContainerStateStatusEnum, ContainerStatsResponse,
    HostConfig,
};

use super::{
    create::{LABEL_INSTANCE, LABEL_NODE},
    resize,
};
use crate::{
    supervisor::{Inspection, NodeSettings, ProcessStatus, Usage},
    types::UnixMillis,
};

/// There is no such container.
pub(super) fn absent() -> Inspection {
    Inspection {
        status: ProcessStatus::Absent,
        ours: false,
        run: None,
        what: "no container".to_owned(),
        usage: None,
    }
}

/// A container, without what it uses.
pub(super) fn inspection(
    found: &ContainerInspectResponse,
    node: &NodeSettings,
    instance: &str,
) -> Inspection {
    let started = found.state.as_ref().and_then(|state| state.started_at.as_deref()).unwrap_or_default();
    let image = found.config.as_ref().and_then(|config| config.image.clone()).unwrap_or_default();
    let digest = found.image.as_deref().unwrap_or_default();
    Inspection {
        status: status(found),
        ours: is_ours(found, node, instance),
        run: found.id.as_ref().map(|id| format!("{id}@{started}")),
        what: format!("{image} ({})", digest.chars().take("sha256:".len() + 12).collect::<String>()),
        usage: None,
    }
}

/// Whether this sidecar made it, for this node.
pub(super) fn is_ours(found: &ContainerInspectResponse, node: &NodeSettings, instance: &str) -> bool {
    let labels = found.config.as_ref().and_then(|config| config.labels.as_ref());
    let says = |name: &str, value: &str| {
        labels.and_then(|labels| labels.get(name)).is_some_and(|label| label == value)
    };
    says(LABEL_NODE, node.id.as_str()) && says(LABEL_INSTANCE, instance)
}

/// How its process is.
pub(super) fn status(found: &ContainerInspectResponse) -> ProcessStatus {
    let Some(state) = &found.state else { return ProcessStatus::Absent };
    let ended = || {
        let code = state.exit_code;
        ProcessStatus::Exited {
            code,
            // The engine says this as soon as the kernel killed any process of it. If the first one ended well all the same, it was not that.
            oom_killed: state.oom_killed == Some(true) && code != Some(0),
            at: state.finished_at.as_deref().and_then(millis),
        }
    };
    match state.status.unwrap_or(ContainerStateStatusEnum::EMPTY) {
        ContainerStateStatusEnum::CREATED => ProcessStatus::Created,
        ContainerStateStatusEnum::RUNNING => {
            ProcessStatus::Running { since: state.started_at.as_deref().and_then(millis) }
        }
        ContainerStateStatusEnum::PAUSED => ProcessStatus::Paused,
        ContainerStateStatusEnum::REMOVING | ContainerStateStatusEnum::STOPPING => ProcessStatus::Stopping,
        // `restarting`: it ended, and a policy of Docker's own will start it again.
        ContainerStateStatusEnum::RESTARTING
        | ContainerStateStatusEnum::EXITED
        | ContainerStateStatusEnum::DEAD
        | ContainerStateStatusEnum::EMPTY => ended(),
    }
}

/// The engine's time; none for its zero (`0001-01-01T00:00:00Z`).
fn millis(text: &str) -> Option<UnixMillis> {
    let at = text.parse::<jiff::Timestamp>().ok()?.as_millisecond();
    (at > 0).then_some(at)
}

/// What it uses, as far as the engine tells.
pub(super) fn usage(stats: Option<&ContainerStatsResponse>, config: Option<&HostConfig>) -> Usage {
    let cpu = stats.and_then(|stats| stats.cpu_stats.as_ref());
    Usage {
        memory: stats.and_then(|stats| working_set(stats.memory_stats.as_ref()?)),
        cpu_us: cpu.and_then(|cpu| Some(cpu.cpu_usage.as_ref()?.total_usage? / 1000)),
        throttled: cpu.and_then(|cpu| cpu.throttling_data.as_ref()?.throttled_periods),
        pids: stats.and_then(|stats| stats.pids_stats.as_ref()?.current),
        oom_kills: None,
        memory_psi: None,
        held_to: config.map(|config| resize::held(Some(config))),
    }
}

/// Memory without what the kernel could take back at once. Version 1 has a `total_` with what is below it.
fn working_set(memory: &ContainerMemoryStats) -> Option<u64> {
    let stats = memory.stats.as_ref();
    let cache = stats
        .and_then(|stats| stats.get("total_inactive_file").or_else(|| stats.get("inactive_file")))
        .copied()
        .unwrap_or(0);
    Some(memory.usage?.saturating_sub(cache))
}

#[cfg(test)]
#[path = "inspect_tests.rs"]
mod tests;
