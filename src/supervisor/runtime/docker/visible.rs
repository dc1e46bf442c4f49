//! Containers' cgroups, where they are this machine's: what the engine does not tell is read there, and its word is checked.

use std::path::PathBuf;

use bollard::models::ContainerInspectResponse;

use crate::{
    host::Cgroup,
    supervisor::{Limits, Usage, runtime::kernel},
};

/// Where `/proc` and `/sys` of the engine's machine are; none where it is another one.
#[derive(Debug)]
pub(super) struct VisibleCgroups(Option<PathBuf>);

impl VisibleCgroups {
    pub(super) fn under(root: impl Into<PathBuf>) -> Self {
        Self(Some(root.into()))
    }

    pub(super) const fn none() -> Self {
        Self(None)
    }

    /// The cgroup of a container that runs. Its path must have the container's id: behind the socket may be a machine of its own
    /// (Docker Desktop), whose process numbers mean others here.
    fn of(&self, found: &ContainerInspectResponse) -> Option<Cgroup> {
        let id = found.id.as_deref().filter(|id| !id.is_empty())?;
        let pid = u32::try_from(found.state.as_ref()?.pid?).ok().filter(|pid| *pid > 0)?;
        Cgroup::of_pid(self.0.as_deref()?, pid).filter(|cgroup| cgroup.is_named(id))
    }

    /// What the kernel holds a container to.
    pub(super) fn limits(&self, found: &ContainerInspectResponse) -> Option<Limits> {
        self.of(found).map(|cgroup| kernel::limits(cgroup.limits()))
    }

    /// Adds what only the kernel knows.
    pub(super) fn complete(&self, usage: &mut Usage, found: &ContainerInspectResponse) {
        let Some(cgroup) = self.of(found) else { return };
        kernel::complete(usage, &cgroup);
    }
}
