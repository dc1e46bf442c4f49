//! Cgroups for our children, under our own.

use std::path::PathBuf;

use crate::{
    host::Cgroup,
    supervisor::{Limits, runtime::kernel::cgroup_limits},
    types::NodeId,
};

/// Where cgroups are.
#[derive(Debug)]
pub(super) struct OwnCgroups(PathBuf);

impl OwnCgroups {
    pub(super) fn under(root: impl Into<PathBuf>) -> Self {
        Self(root.into())
    }

    /// A cgroup for a node, held to its limits. None where it cannot be made, which is said: it runs all the same, as an operator without
    /// a cgroup of his own would have no node at all otherwise.
    pub(super) fn of(&self, id: &NodeId, limits: &Limits) -> Option<Cgroup> {
        let made = Cgroup::find(&self.0)
            .ok_or_else(|| std::io::Error::other("this system shows no cgroup"))
            .and_then(|own| own.child(&format!("relaymux/{id}"), std::process::id()))
            .and_then(|child| child.hold_to(&cgroup_limits(limits)).map(|()| child));
        match made {
            Ok(cgroup) => Some(cgroup),
            Err(_) if *limits == Limits::default() => None,
            Err(error) => {
                tracing::warn!(
                    node = %id,
                    %error,
                    "limits of this node are not held: its cgroup cannot be made; run as root or in a unit with Delegate=yes, or use Docker or a \
                     unit of systemd"
                );
                None
            }
        }
    }
}
