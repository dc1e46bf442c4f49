//! What a request comes to, whatever its method.

use alloy_primitives::B256;

use super::super::{bundle::Bundle, simulate::SimulationRequest};

/// What a searcher asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum BundleCommand {
    /// A bundle, or a private transaction, is to be sent.
    Send(Box<Bundle>),
    /// The bundle of a UUID is to be taken back.
    Cancel(String),
    /// The private transaction of a hash is to be taken back.
    CancelPrivate(B256),
    /// A bundle is to be tried.
    Simulate(Box<SimulationRequest>),
}
