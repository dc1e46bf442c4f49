//! Forks by their names: those of other people, too.

use crate::types::Epoch;

/// A fork by the name in its `…_FORK_EPOCH` key, in lower case, whether this version knows it or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedFork {
    /// Such as `gloas`.
    pub name: String,
    /// Its first epoch; [`Epoch::NEVER`] when not scheduled.
    pub epoch: Epoch,
}
