//! From the keys of `[[nodes]]` to how a container is started: one pure function for each kind.
//!
//! In: what the operator wrote, each key checked for itself. Out: a [`LaunchSpec`](super::LaunchSpec), or every key that the kind lacks, with what to
//! write. The flags are those of the clients' own documentation. Where clients have no flag in common, all of them are told: beacon
//! nodes answer on 5052 whatever the client, so that `http://beacon:5052` is right after a change of client, too.
//!
//! It promises: no port but peers' is published on another address than loopback; the secret of the engine is a file, mounted read-only, and
//! in no argument and no variable; nothing is written outside the mounts, as the root of every container is read-only.
//!
//! RPC, engine and metrics listen on every address inside: the container's network is an internal one, which nothing outside reaches.

mod beacon;
mod chain;
mod execution;
mod input;
mod launch;
mod nitro;
mod optimism;
mod shape;
mod solana;
mod summary;
#[cfg(test)]
mod tests;

pub use chain::chain_id;
pub use input::{Lack, NodePorts, Template};
pub use launch::launch;
pub use summary::summary;
