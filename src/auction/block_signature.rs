//! Whether a signed block was signed by its proposer. Looked at once the block has left, off the hot path: a block with another signature
//! can be published by no relay, and no relay is to be blamed for it.

use std::{sync::Arc, time::Duration};

use alloy_primitives::B256;
use tokio::{task::spawn_blocking, time::sleep};
use tracing::error;

use super::state::Auction;
use crate::{
    consensus::{SignedBlindedBlock, bls::ValidatedKey, proposer_domain, signing_root},
    events::{BlockSignature, BlockSignatureChecked, Event},
    types::{BlsPublicKey, Slot},
};

/// How long the check lets the block go first. Arbitrary: by then every relay's request is written.
const AFTER_THE_BLOCK: Duration = Duration::from_millis(100);
impl Auction {
    /// Looks at a block's signature in a while, and publishes what it finds; of a block that does not decode, that nothing can be found.
    pub(super) fn check_signature_later(
        self: &Arc<Self>,
        block: Option<SignedBlindedBlock>,
        slot: Slot,
        block_hash: B256,
        proposer: Option<BlsPublicKey>,
    ) {
        let auction = Arc::clone(self);
        self.tasks.spawn(async move {
            sleep(AFTER_THE_BLOCK).await;
            let root = auction.genesis_root.get(&auction.spec, auction.beacon.as_ref()).await;
            let signature = match (block, proposer, root) {
                (Some(block), Some(proposer), Some(root)) => {
                    // By the slot, as relays do: what the client calls it decides nothing.
                    let version = auction.spec.fork_version(auction.spec.fork_at(slot));
                    let domain = proposer_domain(version, root);
                    let check = spawn_blocking(move || {
                        let root = signing_root(block.block_root(), domain);
                        ValidatedKey::new(proposer).is_ok_and(|key| key.has_signed(root, block.signature()))
                    });
                    match check.await {
                        Ok(true) => BlockSignature::Valid,
                        Ok(false) => BlockSignature::Invalid,
                        Err(_) => BlockSignature::Unknown,
                    }
                }
                (None, _, _) | (_, None, _) | (_, _, None) => BlockSignature::Unknown,
            };
            if signature == BlockSignature::Invalid {
                error!(%slot, %block_hash,
                    "the consensus client's signature on its block does not hold: no relay can publish it, and none is blamed. \
                     Check that client and relaymux are on the same network, and the client's signer");
            }
            let at = auction.clock.now();
            let checked = BlockSignatureChecked { slot, block_hash, signature, at };
            auction.spine.publish(Event::BlockSignatureChecked(checked));
        });
    }
}
