//! JSON-RPC of searchers: what they ask for, read strictly where it decides, leniently where clients differ.
//!
//! Everything is read by reference and in bounds: what a request holds in memory while it is read is what it weighs on the wire, however it
//! is nested. Source: flashbots-docs, rbuilder and FlowProxy for what is accepted in practice. Numbers may come as hex text or as JSON numbers.

mod command;
mod fields;
mod mev_share;
mod plain;
mod private;
mod simulation;

pub use command::BundleCommand;
pub(super) use private::private_uuid;

use crate::jsonrpc::{ErrorCode, Request, RpcError};

/// Every method of bundles.
pub const BUNDLE_METHODS: [&str; 8] = [
    "eth_sendBundle",
    "eth_cancelBundle",
    "eth_callBundle",
    "mev_sendBundle",
    "mev_simBundle",
    "eth_sendPrivateTransaction",
    "eth_sendPrivateRawTransaction",
    "eth_cancelPrivateTransaction",
];

/// Reads what a request asks for; `next` is the height of the next block.
///
/// # Errors
/// An unknown method, or parameters that are wrong.
pub fn read(request: &Request<'_>, next: u64) -> Result<BundleCommand, RpcError> {
    let params = request.positional()?;
    let param = |index: usize| params.get(index).map_or("null", |raw| raw.get());
    let first = || param(0);
    match &*request.method {
        "eth_sendBundle" => plain::send(first(), next),
        "eth_cancelBundle" => plain::cancel(first()),
        "eth_callBundle" => simulation::call_bundle(first(), next),
        "mev_sendBundle" => Ok(BundleCommand::Send(Box::new(mev_share::mev_bundle(first(), next)?))),
        "mev_simBundle" => simulation::simulate_mev(first(), param(1), next),
        "eth_sendPrivateTransaction" => private::send(first(), next),
        "eth_sendPrivateRawTransaction" => private::send_raw(first(), param(1), next),
        "eth_cancelPrivateTransaction" => private::cancel(first()),
        other => {
            let shown: String = other.chars().take(64).collect();
            let message = format!("there is no {shown} here: {}", BUNDLE_METHODS.join(", "));
            Err(RpcError::new(ErrorCode::MethodNotFound, message))
        }
    }
}

#[cfg(test)]
mod tests;
