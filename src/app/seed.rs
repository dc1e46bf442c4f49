//! Seeds trust with the relays' public record, where the operator turns that on: what each says that it delivered lately, compared with
//! the chain by our own execution node. A small operator proposes a few times a year: without this it would know nothing for long.

use std::sync::Arc;

use reqwest::Client;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{
    ethereum::{BlockId, ExecutionNode, NodeError, delivered},
    relay::{HealthMonitorHandle, Relay, SharedRelays},
    tasks::TaskGroup,
};

/// Deliveries looked at per relay.
const LOOKED_AT: u32 = 100;
/// Blocks of the head that may still be reorganised: two epochs.
const UNSETTLED: u64 = 64;

/// What the look at the public record works with.
pub(super) struct SeedParts {
    pub(super) http: Client,
    pub(super) node: ExecutionNode,
    pub(super) relays: Arc<SharedRelays>,
    pub(super) monitor: HealthMonitorHandle,
}

/// Looks once, where the operator turned that on.
pub(super) fn start_seed(parts: Option<SeedParts>, group: &TaskGroup) {
    let Some(parts) = parts else { return };
    group.finite("public_record", |stop| run_seed(parts, stop));
}

/// Looks at every relay's record once.
async fn run_seed(parts: SeedParts, stop: CancellationToken) {
    let SeedParts { http, node, relays, monitor } = parts;
    if let Err(error) = node.chain_id().await {
        warn!(%error, "public record not known, trust begins without it");
        return;
    }
    for relay in relays.all().iter().filter(|relay| relay.settings().enabled) {
        let record = tokio::select! {
            record = record_of(&http, &node, relay) => record,
            () = stop.cancelled() => return,
        };
        match record {
            Ok((good, bad)) => {
                info!(relay = %relay.id(), on_chain = good, not_on_chain = bad, "public record compared with the chain");
                monitor.seed(relay.id().clone(), good, bad).await;
            }
            Err(error) => {
                warn!(relay = %relay.id(), %error, "public record not known, trust begins without it")
            }
        }
    }
}

/// How many of a relay's deliveries are on chain, and how many are not.
async fn record_of(http: &Client, node: &ExecutionNode, relay: &Relay) -> Result<(u32, u32), NodeError> {
    let head = node.block(BlockId::Latest, false).await?;
    let settled = head.map_or(0, |head| head.number.to::<u64>()).saturating_sub(UNSETTLED);
    let (mut good, mut bad) = (0, 0);
    for block in delivered(http, &relay.settings().url, LOOKED_AT).await? {
        if block.block_number > settled {
            continue;
        }
        // A height the node does not have (pruned, another chain) says nothing.
        match node.block(BlockId::Number(block.block_number), false).await? {
            Some(canonical) if canonical.hash == block.block_hash => good += 1,
            Some(_) => bad += 1,
            None => {}
        }
    }
    Ok((good, bad))
}
