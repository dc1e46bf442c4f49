//! The HTTP server for people and Prometheus: health, metrics, relays, slots, the event stream, a dashboard that works without
//! internet.
//!
//! It only reads: snapshots, the ledger, the spine. It never waits on the hot path and the hot path never waits on it; callers
//! share one rate limit, so that a wild script cannot take the machine from the auction. No key material, token or query string
//! of a relay's URL is shown.

mod events;
mod handlers;
mod settings;
mod views;

pub use handlers::{OpsParts, router};
pub use settings::OpsSettings;
