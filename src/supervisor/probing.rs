//! How the supervisor asks a node how it is: what it needs of a prober, and no more.

use futures_util::future::BoxFuture;

use super::{NodeSettings, Sight};
use crate::types::UnixMillis;

/// Asks a node, by its kind. Each call ends within the probe's timeout, or not long after.
pub trait Probe: Send + Sync {
    /// Asks it now. Only called for a node that has a probe.
    fn probe<'a>(
        &'a self,
        node: &'a NodeSettings,
        now: UnixMillis,
    ) -> BoxFuture<'a, Result<Sight, ProbeFailed>>;
}

/// Why a probe has shown nothing: sentences for people, without URLs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct ProbeFailed(pub String);
