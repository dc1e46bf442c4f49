//! The beacon node: who proposes when, what a local block would pay, what came of a slot. Source: beacon-APIs.

mod events;
mod node;
mod questions;
mod reported;
mod sse;

pub use events::ChainNews;
pub use node::BeaconNode;
pub use questions::{BeaconBlock, SyncStatus};
pub use sse::{EventTooLong, SseDecoder};
