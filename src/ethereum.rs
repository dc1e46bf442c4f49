//! Our clients of other people's nodes and services: execution JSON-RPC, the beacon API, key registries.
//!
//! In: an address and a question. Out: an answer, checked and bounded in size and time, or one error that says who failed how. This
//! room keeps no state and decides nothing: whoever asks knows what it can do without.

mod beacon;
mod client_floor;
mod client_version;
mod data_api;
mod execution;
mod gas;
mod http;
mod keys;
mod syncing;
mod tries;

pub use beacon::{BeaconBlock, BeaconNode, ChainNews, EventTooLong, SseDecoder, SyncStatus};
pub use client_floor::{ClientFloor, TooOld, too_old};
pub use client_version::{ClientVersion, Release};
pub use data_api::{BidTrace, Delivered, KnownRegistration, delivered, delivered_in, registration_of};
pub use execution::{
    Block, BlockId, ChainWithdrawal, ExecutionNode, ExecutionProgress, Log, Receipt, Transaction, Transfer,
};
pub use gas::GasPrice;
pub use http::NodeError;
pub use keys::{KeyLoader, KeysLoaded, LoaderKind, load_keys};
pub use syncing::{Syncing, read_syncing, sync_work};
pub use tries::Tries;
