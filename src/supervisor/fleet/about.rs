//! What the fleet knows of a node beforehand: of its settings what decisions need.

use std::time::Duration;

use crate::{
    supervisor::{Layer, Limits, NodeKind, NodeSettings, RestartPolicy, RuntimeSettings, STALL_AFTER},
    types::{NodeId, labelled},
};

labelled! {
    /// Where a node runs.
    pub enum RuntimeKind {
        /// A container.
        Docker = "docker",
        /// A unit of systemd.
        Systemd = "systemd",
        /// A child process of ours.
        Process = "process",
    }
}

impl RuntimeKind {
    /// Of a node's settings.
    pub const fn of(settings: &RuntimeSettings) -> Self {
        match settings {
            RuntimeSettings::Docker(_) => Self::Docker,
            RuntimeSettings::Systemd(_) => Self::Systemd,
            RuntimeSettings::Process(_) => Self::Process,
        }
    }
}

/// A node, as far as decisions need it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct About {
    pub(crate) id: NodeId,
    pub(crate) kind: NodeKind,
    pub(crate) group: String,
    pub(crate) runtime: RuntimeKind,
    /// Where it is asked; none: it has no probe.
    pub(crate) probed_at: Option<String>,
    /// Whether it can be made where it is not there.
    pub(crate) can_create: bool,
    pub(crate) restart: RestartPolicy,
    /// A sync that shows no progress for so long is stalled.
    pub(crate) stall_after: Duration,
    pub(crate) stop_grace: Duration,
    pub(crate) limits: Limits,
}

impl About {
    /// What a person does who gives it more memory, in words: a process that does not run has no limits that could be changed, and gets those of
    /// the configuration when it is started.
    pub(super) fn more_memory(&self) -> String {
        let id = &self.id;
        match self.runtime {
            RuntimeKind::Docker | RuntimeKind::Systemd => format!(
                "Give it more memory (`relaymux nodes resize {id} --memory …`), then `relaymux nodes resume {id}`."
            ),
            RuntimeKind::Process => format!(
                "Give it more memory (`limits` of {id} under [[nodes]], which are read when relaymux is started), then `relaymux nodes up {id}`."
            ),
        }
    }

    pub(crate) fn of(settings: &NodeSettings) -> Self {
        let can_create = match &settings.runtime {
            RuntimeSettings::Docker(docker) => docker.launch.is_some(),
            RuntimeSettings::Systemd(_) => false,
            RuntimeSettings::Process(_) => true,
        };
        Self {
            id: settings.id.clone(),
            kind: settings.kind,
            group: settings.group.clone(),
            runtime: RuntimeKind::of(&settings.runtime),
            probed_at: settings
                .probe
                .as_ref()
                .map(|probe| probe.url.host_str().unwrap_or_default().to_owned()),
            can_create,
            restart: settings.restart.clone(),
            stall_after: settings.probe.as_ref().map_or(STALL_AFTER, |probe| probe.stall_after),
            stop_grace: settings.stop_grace,
            limits: settings.limits.clone(),
        }
    }

    pub(super) fn layer(&self) -> Layer {
        self.kind.layer()
    }
}
