//! What the runtimes' tests share.

use std::time::Duration;

use crate::{
    supervisor::{DockerSettings, Limits, NodeKind, NodeSettings, RestartPolicy, RuntimeSettings},
    types::NodeId,
};

/// A node that is only attached to.
pub(super) fn node(id: &str, container: &str) -> NodeSettings {
    of(id, RuntimeSettings::Docker(DockerSettings { container: container.to_owned(), launch: None }))
}

/// A node of any runtime.
pub(super) fn of(id: &str, runtime: RuntimeSettings) -> NodeSettings {
    NodeSettings {
        id: NodeId::parse(id).unwrap(),
        kind: NodeKind::Generic,
        group: "other".to_owned(),
        runtime,
        limits: Limits::default(),
        probe: None,
        restart: RestartPolicy::default(),
        stop_grace: Duration::from_secs(30),
    }
}
