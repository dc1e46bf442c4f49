//! The internet's part, played on this machine: relays that sign real bids over real payloads, and a consensus client that proposes.
//!
//! It speaks the exact wire protocol over real sockets, for `relaymux demo`, the tests and the benches alike. A relay is honest
//! unless told otherwise: one setter per fault, changeable while it runs, and a record of everything it received. Nothing here is
//! reachable from the service: `run` never starts a simulation.

mod alert_services;
mod beacon;
mod behaviour;
mod bodies;
mod builder;
mod chain;
mod data_api;
mod engine;
mod execution;
mod header;
mod payload;
mod proposer;
mod raw;
mod relay;
mod reveal;
mod shared;
mod stream;
mod upstream;

pub use alert_services::{
    AlertServiceKind, ReceivedAlert, ReceivedMail, ServiceHabit, SimAlertService, SimMailServer, SmtpHabit,
};
pub use beacon::{BeaconBehaviour, EventHabit, SimAttributes, SimBeacon};
pub use behaviour::{Behaviour, DataApiFault, Frame, HeaderFault, PayloadFault, StreamHabit};
pub use builder::{BuilderHabit, ReceivedBundle, SimBuilder};
pub use chain::PrunedAnswer;
pub use engine::{EngineBuilder, PayloadSink};
pub use execution::SimExecution;
pub use payload::{AnyPayload, PayloadParams, Tamper, sim_parent_root, sim_withdrawals};
pub use proposer::{Proposal, ProposerError, SimProposer, sign_block};
pub use raw::{RawFault, RawRelay};
pub use relay::SimRelay;
pub use reveal::UNREADABLE_PAYLOAD;
pub use shared::{ReceivedRequest, SimRelayParts};
pub use upstream::{SimBlocks, SimUpstream, UpstreamFault};
