//! What came in: a block that decodes, a block that does not and is passed on as it is, or no block at all.
//!
//! A signed block cannot be taken back, so a false refusal costs the slot and a false pass costs nothing: only what is certainly no
//! signed block is refused. That our decoder does not read it is no proof: a list may be longer than our preset has it, a fork may be
//! younger than this program.

use alloy_primitives::B256;
use tracing::warn;

use super::request::{SubmitError, SubmitRequest};
use crate::{
    consensus::{ChainSpec, DecodeError, PeekedBlock, SignedBlindedBlock},
    relay::EncodedBlock,
    types::{Fork, Slot},
};

/// A signed block and what is known of it.
pub(super) struct Incoming {
    pub(super) slot: Slot,
    pub(super) proposer_index: u64,
    /// Zero where it cannot be read.
    pub(super) block_hash: B256,
    /// Zero where it cannot be read.
    pub(super) parent_hash: B256,
    pub(super) fork: Fork,
    pub(super) block: EncodedBlock,
    /// Why it does not decode, where it does not.
    pub(super) undecoded: Option<String>,
}

/// Reads a signed block: by the client's label, by its slot's fork, or, if it only looks like one, not at all.
///
/// # Errors
/// When it is certainly no signed block.
pub(super) fn read_block(spec: &ChainSpec, request: &SubmitRequest) -> Result<Incoming, SubmitError> {
    let SubmitRequest { body, encoding, .. } = request;
    let slot = SignedBlindedBlock::peek_slot(*encoding, body);
    let refusal = match slot {
        None => SubmitError::NoSlot,
        Some(slot) => match decode(spec, slot, request) {
            Ok(block) => {
                let facts = block.facts();
                return Ok(Incoming {
                    slot,
                    proposer_index: facts.proposer_index,
                    block_hash: facts.block_hash,
                    parent_hash: facts.parent_hash,
                    fork: block.fork(),
                    block: EncodedBlock::new(block, *encoding, body.clone()),
                    undecoded: None,
                });
            }
            Err(error) => SubmitError::Malformed(error),
        },
    };
    let Some(peeked) = PeekedBlock::read(*encoding, spec.preset, body) else { return Err(refusal) };
    Ok(Incoming {
        slot: peeked.slot,
        proposer_index: peeked.proposer_index,
        block_hash: peeked.block_hash.unwrap_or_default(),
        parent_hash: peeked.parent_hash.unwrap_or_default(),
        fork: request.fork.unwrap_or_else(|| spec.fork_at(peeked.slot)),
        block: EncodedBlock::undecoded(request.labels.clone(), *encoding, body.clone()),
        undecoded: Some(refusal.to_string()),
    })
}

/// Decodes a block as what the client says it is, else as what its slot says.
fn decode(spec: &ChainSpec, slot: Slot, request: &SubmitRequest) -> Result<SignedBlindedBlock, DecodeError> {
    let by_slot = spec.fork_at(slot);
    let decode_as = |fork| SignedBlindedBlock::decode(fork, spec.preset, request.encoding, &request.body);
    // If the client knows of a fork that our chain spec does not, its word counts.
    let label = request.fork.unwrap_or(by_slot);
    let labelled = decode_as(label);
    if label == by_slot {
        return labelled;
    }
    warn!(%slot, %label, expected = %by_slot, "client labels its block with another fork: check `network`");
    labelled.or_else(|error| decode_as(by_slot).map_err(|_| error))
}
