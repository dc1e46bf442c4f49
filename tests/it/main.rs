//! Behaviour of the real binary against simulated relays on real sockets.
//!
//! A tag in brackets in a test's comment, `[H2]`, is its row of `docs/conformance.md`.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it fails by panicking and speaks to its user"
)]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod alerts;
mod backup;
mod box_alerts;
mod bundles;
mod checks;
mod clock;
mod commands;
mod conformance;
mod data_dir;
mod demo;
mod docs;
mod far_side;
mod first_hour;
mod forgers;
mod get_header;
mod guard;
mod http;
mod import;
mod journal;
mod ledger_writes;
mod mail;
mod maintenance;
mod metrics;
mod missed_requests;
mod monitoring;
mod networks;
mod node_audit;
mod node_sync;
mod nodes;
mod ops;
mod overload;
mod payload_attributes;
mod portable_sql;
mod profit;
mod proposers;
mod randao;
mod register_validators;
mod relay_calls;
mod reload;
mod report;
mod reveal;
mod rooms;
mod rotation;
mod rpc;
mod rpc_websocket;
#[expect(dead_code, reason = "shared with the tests on real chains, which use more of it")]
mod searcher;
mod shared;
#[expect(dead_code, reason = "shared with the other black-box tests, which use more of it")]
mod stage;
mod status;
mod stop;
mod storage;
mod streams;
mod submit;
mod supervision;
mod timing;
mod trust;
mod unknowable;
mod weights;
