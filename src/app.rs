//! Wiring: the only place that knows every room. Starts them in order, connects them, and stops them in the reverse order.
//!
//! | task | ends | when it fails ([`crate::tasks`]) |
//! |---|---|---|
//! | `builder_api`: listener; its connections are tasks of their own | on stop, requests in flight finish first | the process ends, to be started again |
//! | submissions and registrations in flight (the auction's) | each at its own deadline; a stop waits for them | its client is told; nobody else notices |
//! | `ops_api`: listener and connections | on stop | the service goes on without, degraded: a proposer needs none of it |
//! | `probes`: status of relays | on stop | begins anew |
//! | `monitor`: reputations, rotation | on stop, reputations are saved first | the process ends: a relay that steals would go on being asked |
//! | `reload`: configuration, key loading | on stop | goes on with the configuration it has, degraded |
//! | `chain_watch`: clock, networks of the nodes, forks | on stop | begins anew |
//! | `duties`: proposers and missed requests, with a beacon node | on stop | begins anew |
//! | `public_record` of relays, where asked for | when all are looked at, or on stop | told; trust begins without it |
//! | `settlements`, `profit_checks`, `registration_checks` | on stop; all state is in the ledger | begins anew |
//! | `bundles`: listener, queues to builders, chain, records, on a thread and runtime of their own | on stop, records are written first | goes on without, degraded |
//! | `rpc_api`: the gateway's listener and connections; `rpc_pressure`; all on threads of their own but `rpc_lateness` | on stop, calls in flight finish first | goes on without, degraded; the watch begins anew |
//! | `maintenance`: tasks by the clock, `maintenance_signals` | on stop, what runs has two seconds to end | begins anew; what ran is in the ledger |
//! | `backup_watch`: the age of backups, with `[backup]` | on stop | begins anew |
//! | `ledger_trim`: what is old, with `[ledger]` | on stop; where it stands is in the ledger | begins anew |
//! | `metrics`: folds histograms | on stop | begins anew |
//! | `ledger_writer` | last, when everything published is written | begins anew; what waited in memory is lost and said to be |
//!
//! Everything but the auction's own tasks is owned by [`Service`].
//!
//! Channels: the event spine (bounded, lagging watchers lose their own events), one bounded channel per submission and registration
//! round, one of length 1 for requests to reload, one of commands to the monitor, a watch of expected proposals.

mod admin_token;
mod age_source;
mod alert_rules;
mod alerting;
mod attributes_watch;
mod backup;
mod budget_watch;
mod certificate;
mod chain_watch;
mod client_watch;
mod clock_watch;
mod conflict_watch;
mod connect;
mod data_dir;
mod digests;
mod disk;
mod duties;
mod files;
mod fork_watch;
mod gateway;
mod host_judge;
mod host_source;
mod ledger_trim;
mod maintenance_watch;
mod metric_rules;
mod node_watch;
mod open;
mod own_duties;
mod policies;
mod reload;
mod rpc_pressure;
mod rules;
mod seed;
mod service;
mod shutdown;

mod start_error;
mod storage;
mod supervisor;
mod sync_gate;
mod sync_watch;
mod task_news;
mod task_schedule;
mod tasks_backup;
mod tasks_clients;
mod tasks_disk;
mod tasks_health;
mod tasks_profit;
mod telemetry;
mod unwatched;
mod watch_signals;

pub use alert_rules::alert_rules;
pub(crate) use backup::{backup_files, restore_into};
pub(crate) use clock_watch::clock_message;
pub(crate) use disk::clean_parts;
pub(crate) use files::write_whole;
pub use reload::ConfigSource;
pub use service::Service;
pub use shutdown::{Signal, Signals};
pub use start_error::StartError;
pub(crate) use supervisor::{NodeRuntimes, probe as node_probe};
pub(crate) use task_schedule::{scheduled_tasks, weekly_digest};
pub use telemetry::{LogFormat, init_logging, install_metrics, parse_log_filter};
