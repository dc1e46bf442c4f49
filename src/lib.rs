//! relaymux: the builder endpoint of a consensus client. See `README.md` for use and each room's header for what it promises.

pub mod auction;
pub mod consensus;
pub mod events;
pub mod ledger;
pub mod relay;
pub mod types;
