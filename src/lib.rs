//! relaymux: the builder endpoint of a consensus client. See `README.md` for use and each room's header for what it promises.

pub mod alerts;
pub mod app;
pub mod auction;
pub mod breaker;
pub mod builder_api;
pub mod bundles;
pub mod bundles_api;
pub mod cli;
pub mod config;
pub mod consensus;
pub mod ethereum;
pub mod events;
pub mod gateway;
pub mod host;
pub mod http_client;
pub mod jsonrpc;
pub mod ledger;
pub mod ops_api;
pub mod profit;
pub mod relay;
pub mod rpc_api;
pub mod serve;
pub mod sim;
pub mod sla;
pub mod tasks;
pub mod types;
