//! Wiring: the only place that knows every room. Starts them in order, connects them, and stops them in the reverse order.
//!
//! | task | owner | ends |
//! |---|---|---|
//! | builder API listener and its connections | [`Service`] | on stop, requests in flight finish first |
//! | submissions and registrations in flight | the auction | each at its own deadline; a stop waits for them |
//! | ops API listener and its connections | [`Service`] | on stop |
//! | status probes | [`Service`] | on stop |
//! | relays' monitor: standings, rotation | [`Service`] | on stop, standings are saved first |
//! | configuration reload and key loading | [`Service`] | on stop |
//! | proposer duties, with a beacon node | [`Service`] | on stop |
//! | public record of relays, where asked for | [`Service`] | when all are looked at, or on stop |
//! | payments: settling, checks, registrations at relays, the beacon node's events | [`Service`] | on stop; all state is in the ledger |
//! | bundles: listener, queues to builders, chain, records, on a thread and runtime of their own | [`Service`] | on stop, records are written first |
//! | ledger writer | [`Service`] | last, when everything published is written |
//!
//! Channels: the event spine (bounded, lagging watchers lose their own events), one bounded channel per submission and registration
//! round, one of length 1 for wishes to reload, one of wishes to the monitor, a watch of expected proposals.

mod admin_token;
mod bundles;
mod data_dir;
mod duties;
mod policies;
mod reload;
mod seed;
mod service;
mod settlements;
mod shutdown;
mod storage;
mod telemetry;

pub use reload::ConfigSource;
pub use service::{Service, StartError};
pub use shutdown::{Signal, Signals};
pub use telemetry::{LogFormat, init_logging, install_metrics};
