//! One relay: its address, its connection, its habits, and one typed outcome for every request.
//!
//! In: a request and a deadline. Out: exactly one outcome, in time, whatever the far side does: slow, endless, compressed, wrongly
//! labelled, refusing. A relay's body is read under a cap, after decompression; redirects are not followed; a key is never sent as
//! a credential. What a relay does not understand (SSZ, v2) is learned per relay and forgotten after a while.
//!
//! What each one did is judged here too ([`health`], [`rotation`]: pure), and its monitor decides who is asked. This room never
//! judges a bid's worth: the auction does.

mod client;
mod clock_offsets;
pub mod health;
mod http;
mod large_bids;
mod memory;
mod metrics;
mod monitor;
mod outcome;
mod probes;
mod registrations;
mod relay_clock;
pub mod rotation;
pub mod rules;
mod set;
mod settings;
mod signed_block;
mod stream;
mod submit;

pub use client::{CallContext, HeaderCall, Relay};
pub use clock_offsets::clock_offsets;
pub use memory::RelayMemory;
pub use metrics::describe_metrics;
pub use monitor::{HealthMonitor, HealthMonitorHandle, HealthMonitorSettings, OperatorCommand, SavedHealth};
pub use outcome::{BidAnswer, CallFailure, HeaderOutcome, RawPayload, RegisterOutcome, SubmitOutcome};
pub use probes::{ExpectedProposals, ProbeParts, start_probes};
pub use registrations::{Batch, RegistrationBody};
pub use set::{RelayStatus, SharedRelays};
pub use settings::{HeaderMode, RelaySettings, RelayUrlError, parse_relay_url};
pub use signed_block::{EncodedBlock, RawLabels, SubmitVersion};
pub use stream::{StreamEnd, bid_in_frame, stream_code};

pub use crate::http_client::{HttpClientError, HttpClients as RelayClients, TlsRoots, build_http_client};
