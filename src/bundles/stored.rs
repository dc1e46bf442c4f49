//! Bundles as the ledger keeps them: the request that brought them.

use super::{
    Bundle,
    wire::{BundleCommand, read},
};
use crate::jsonrpc::Request;

/// The bundle of a stored request.
pub(super) fn stored_bundle(request: &str, first_block: i64) -> Option<Bundle> {
    let request: Request<'_> = serde_json::from_str(request).ok()?;
    let first = u64::try_from(first_block).ok()?;
    match read(&request, first) {
        Ok(BundleCommand::Send(bundle)) => Some(*bundle),
        Ok(_) | Err(_) => None,
    }
}
