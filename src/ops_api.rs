//! The HTTP server for people and Prometheus: health, metrics, relays, slots, alerts, availability, the event stream, a dashboard that works
//! without internet.
//!
//! It reads snapshots, the ledger and the spine; what changes something needs the admin token, and on an address that others reach, so does
//! reading. It never waits on the hot path and the hot path never waits on it; callers
//! share one rate limit, so that a wild script cannot take the machine from the auction. No key material, token or query string
//! of a relay's URL is shown.

mod access;
mod acknowledge;
mod admin;
mod alert_views;
mod alerts;
mod backups;
mod body;
mod bundles;
mod degraded;
mod digest;
mod disk;
mod drill;
mod events;
mod facts;
mod handlers;
mod maintenance;
mod nodes;
mod profit;
mod rpc;
mod rpc_view;
mod settings;
mod silences;
mod sla;
mod state;
mod views;

pub use degraded::Degraded;
pub use digest::DigestMaker;
pub use facts::{MoneyFacts, money_facts};
pub use rpc_view::RpcView;
pub use settings::{OpsSettings, Secret};
pub use state::OpsParts;

use std::time::Duration;

use crate::{serve::Listener, tasks::TaskGroup};

/// Longest wait at a stop for requests in flight.
const DRAIN: Duration = Duration::from_secs(2);

/// Serves until the group stops.
pub fn start(parts: OpsParts, listener: Listener, group: &TaskGroup) {
    let router = handlers::router(parts, group.stop_token());
    group.optional("ops_api", |stop| listener.serve(router, stop, DRAIN));
}
