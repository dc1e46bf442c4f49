//! The root that every signature of a beacon block depends on.

use std::time::Duration;

use alloy_primitives::B256;
use tokio::sync::OnceCell;
use tracing::warn;

use crate::{consensus::ChainSpec, ethereum::BeaconNode};

/// Longest wait for the beacon node's genesis: verdicts wait for this check.
const GENESIS_TIMEOUT: Duration = Duration::from_secs(3);

/// The chain's `genesis_validators_root`: a fact of the named networks and of some spec files, else the beacon node's to tell.
#[derive(Debug, Default)]
pub(super) struct GenesisRoot(OnceCell<B256>);

impl GenesisRoot {
    /// Tells it; asks the beacon node where it must, and remembers what that says.
    pub(super) async fn get(&self, spec: &ChainSpec, beacon: Option<&BeaconNode>) -> Option<B256> {
        if let Some(root) = spec.genesis_validators_root {
            return Some(root);
        }
        let beacon = beacon?;
        let ask = self.0.get_or_try_init(|| beacon.genesis_validators_root());
        match tokio::time::timeout(GENESIS_TIMEOUT, ask).await {
            Ok(Ok(root)) => Some(*root),
            Ok(Err(failure)) => {
                warn!(error = %failure, "the beacon node does not tell its genesis: signed blocks are not checked");
                None
            }
            Err(_) => {
                warn!("the beacon node does not tell its genesis in time: signed blocks are not checked");
                None
            }
        }
    }
}
