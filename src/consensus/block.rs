//! What the consensus client signs and wants published: the signed blinded beacon block, in every fork.

use std::{fmt, sync::Arc};

use alloy_primitives::{B256, Bytes};
use serde::{Serialize, de::DeserializeOwned};
use ssz::{Decode, Encode};
use tree_hash::TreeHash;

use super::{
    DecodeError, Encoding, Mainnet, Minimal, Preset, PresetName,
    containers::{
        BlindedBlock, BlindedBodyBellatrix, BlindedBodyCapella, BlindedBodyDeneb, BlindedBodyElectra,
        ExecutionRequests, KzgBytes, Signed,
    },
    peek::slot_in_json,
};
use crate::types::{BlsSignature, Fork, Slot};

const OBJECT: &str = "signed blinded beacon block";

/// Offset of the slot in a `SignedBlindedBeaconBlock`: 4 bytes of offset, 96 of signature.
const SLOT_OFFSET: usize = 100;

/// What submission needs to know of a block, whatever its fork.
#[derive(Clone, Debug)]
pub struct BlockFacts {
    /// Whose slot it is for.
    pub slot: Slot,
    /// The proposer's validator index.
    pub proposer_index: u64,
    /// Root of the parent beacon block: goes into the execution block hash from Deneb on.
    pub parent_root: B256,
    /// Hash of the execution block that this one is built on.
    pub parent_hash: B256,
    /// Execution block hash that was signed for.
    pub block_hash: B256,
    /// Hash tree root of the execution payload header in the body: the payload must have the same.
    pub header_root: B256,
    /// Commitments in the body, from Deneb on.
    pub commitments: Vec<KzgBytes>,
    /// The body's execution requests in EIP-7685 form (type byte and SSZ list), from Electra on.
    pub execution_requests: Option<[Bytes; 3]>,
}

/// A decoded `SignedBlindedBeaconBlock`. Its signature is not checked here: a block leaves whatever it is, and whoever judges relays checks
/// it afterwards.
#[derive(Clone)]
pub struct SignedBlindedBlock {
    fork: Fork,
    facts: Arc<BlockFacts>,
    object: Arc<dyn BlockObject>,
}

trait BlockObject: Send + Sync {
    fn signature(&self) -> &BlsSignature;
    fn root(&self) -> B256;
    fn ssz(&self) -> Vec<u8>;
    fn json(&self) -> Vec<u8>;
}

/// A fork's `BlindedBeaconBlockBody`.
pub trait BlindedBody:
    Encode + Decode + TreeHash + Serialize + DeserializeOwned + Send + Sync + 'static
{
    /// Parent hash, block hash and root of the execution payload header.
    fn header(&self) -> (B256, B256, B256);
    /// Commitments; none before Deneb.
    fn commitments(&self) -> Vec<KzgBytes>;
    /// Execution requests; `None` before Electra.
    fn execution_requests(&self) -> Option<[Bytes; 3]>;
}

impl<B: BlindedBody> BlockObject for Signed<BlindedBlock<B>> {
    fn signature(&self) -> &BlsSignature {
        &self.signature
    }

    fn root(&self) -> B256 {
        self.message.tree_hash_root()
    }

    fn ssz(&self) -> Vec<u8> {
        self.as_ssz_bytes()
    }

    fn json(&self) -> Vec<u8> {
        // Serializing to memory cannot fail: every key is a string and no field refuses.
        serde_json::to_vec(self).unwrap_or_default()
    }
}

macro_rules! blinded_body {
    ($body:ident, $commitments:expr, $requests:expr) => {
        impl<P: Preset> BlindedBody for $body<P> {
            fn header(&self) -> (B256, B256, B256) {
                let header = &self.execution_payload_header;
                (header.parent_hash, header.block_hash, header.tree_hash_root())
            }

            fn commitments(&self) -> Vec<KzgBytes> {
                let of: fn(&Self) -> Vec<KzgBytes> = $commitments;
                of(self)
            }

            fn execution_requests(&self) -> Option<[Bytes; 3]> {
                let of: fn(&Self) -> Option<[Bytes; 3]> = $requests;
                of(self)
            }
        }
    };
}
blinded_body!(BlindedBodyBellatrix, |_| Vec::new(), |_| None);
blinded_body!(BlindedBodyCapella, |_| Vec::new(), |_| None);
blinded_body!(BlindedBodyDeneb, |body| body.blob_kzg_commitments.to_vec(), |_| None);
blinded_body!(BlindedBodyElectra, |body| body.blob_kzg_commitments.to_vec(), |body| {
    Some(eip7685(&body.execution_requests))
});

/// The three request lists as EIP-7685 hashes them. Source: EIP-6110 (type 0), EIP-7002 (1), EIP-7251 (2).
fn eip7685(requests: &ExecutionRequests) -> [Bytes; 3] {
    let typed = |kind: u8, ssz: Vec<u8>| Bytes::from([vec![kind], ssz].concat());
    [
        typed(0, requests.deposits.as_ssz_bytes()),
        typed(1, requests.withdrawals.as_ssz_bytes()),
        typed(2, requests.consolidations.as_ssz_bytes()),
    ]
}

impl SignedBlindedBlock {
    /// The slot of an encoded block, found without decoding it, so that the fork to decode it as is known. `None` when the bytes
    /// are too short or not such JSON.
    pub fn peek_slot(encoding: Encoding, bytes: &[u8]) -> Option<Slot> {
        match encoding {
            Encoding::Ssz => {
                let slot = bytes.get(SLOT_OFFSET..SLOT_OFFSET + 8)?;
                Some(Slot::new(u64::from_le_bytes(slot.try_into().ok()?)))
            }
            Encoding::Json => slot_in_json(bytes).map(Slot::new),
        }
    }

    /// Decodes a bare block of a fork.
    ///
    /// # Errors
    /// When the bytes are not such an object.
    pub fn decode(
        fork: Fork,
        preset: PresetName,
        encoding: Encoding,
        bytes: &[u8],
    ) -> Result<Self, DecodeError> {
        match preset {
            PresetName::Mainnet => decode_in::<Mainnet>(fork, encoding, bytes),
            PresetName::Minimal => decode_in::<Minimal>(fork, encoding, bytes),
        }
    }

    /// Wraps a signed block of `fork`.
    pub fn new<B: BlindedBody>(fork: Fork, signed: Signed<BlindedBlock<B>>) -> Self {
        let block = &signed.message;
        let (parent_hash, block_hash, header_root) = block.body.header();
        let facts = BlockFacts {
            slot: Slot::new(block.slot),
            proposer_index: block.proposer_index,
            parent_root: block.parent_root,
            parent_hash,
            block_hash,
            header_root,
            commitments: block.body.commitments(),
            execution_requests: block.body.execution_requests(),
        };
        Self { fork, facts: Arc::new(facts), object: Arc::new(signed) }
    }

    /// The fork it was decoded as.
    pub fn fork(&self) -> Fork {
        self.fork
    }

    /// The fields that every fork has.
    pub fn facts(&self) -> &BlockFacts {
        &self.facts
    }

    /// Hash tree root of the block: equals that of the unblinded block.
    pub fn block_root(&self) -> B256 {
        self.object.root()
    }

    /// The proposer's signature, not checked.
    pub fn signature(&self) -> &BlsSignature {
        self.object.signature()
    }

    /// Encodes it bare, as relays take it.
    pub fn encode(&self, encoding: Encoding) -> Vec<u8> {
        match encoding {
            Encoding::Ssz => self.object.ssz(),
            Encoding::Json => self.object.json(),
        }
    }
}

fn decode_in<P: Preset>(
    fork: Fork,
    encoding: Encoding,
    bytes: &[u8],
) -> Result<SignedBlindedBlock, DecodeError> {
    match fork {
        Fork::Bellatrix => decode_as::<BlindedBodyBellatrix<P>>(fork, encoding, bytes),
        Fork::Capella => decode_as::<BlindedBodyCapella<P>>(fork, encoding, bytes),
        Fork::Deneb => decode_as::<BlindedBodyDeneb<P>>(fork, encoding, bytes),
        Fork::Electra | Fork::Fulu => decode_as::<BlindedBodyElectra<P>>(fork, encoding, bytes),
        Fork::Gloas => Err(DecodeError::NotInFork { object: OBJECT, fork }),
    }
}

fn decode_as<B: BlindedBody>(
    fork: Fork,
    encoding: Encoding,
    bytes: &[u8],
) -> Result<SignedBlindedBlock, DecodeError> {
    type Block<B> = Signed<BlindedBlock<B>>;
    let signed = match encoding {
        Encoding::Ssz => Block::<B>::from_ssz_bytes(bytes).map_err(|e| DecodeError::ssz(OBJECT, fork, &e))?,
        Encoding::Json => {
            serde_json::from_slice::<Block<B>>(bytes).map_err(|e| DecodeError::json(OBJECT, fork, &e))?
        }
    };
    Ok(SignedBlindedBlock::new(fork, signed))
}

impl fmt::Debug for SignedBlindedBlock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let BlockFacts { slot, block_hash, .. } = &*self.facts;
        write!(f, "SignedBlindedBlock({}, slot {slot}, block hash {block_hash})", self.fork)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Found by fuzzing: JSON may write any character as an escape, and a block whose slot cannot be read is refused.
    #[test]
    fn the_slot_is_read_however_it_is_written() {
        for slot in ["77", "\\u00377", "7\\u0037"] {
            let body =
                format!("{{\"signature\": \"0x\", \"message\": {{\"slot\": \"{slot}\", \"other\": []}}}}");
            let read = SignedBlindedBlock::peek_slot(Encoding::Json, body.as_bytes());
            assert_eq!(read, Some(Slot::new(77)), "{body}");
        }
        // As every decoder of objects has it, the fields' values in their order are the object.
        for body in ["[{\"slot\": \"77\"}, \"0x\"]", "{\"message\": [\"77\", \"1\", {}]}"] {
            let read = SignedBlindedBlock::peek_slot(Encoding::Json, body.as_bytes());
            assert_eq!(read, Some(Slot::new(77)), "{body}");
        }
        for body in [
            "",
            "{}",
            "[]",
            "{\"message\": {\"slot\": \"7\", \"slot\": \"7\"}}",
            "{\"message\": {\"slot\": \"7\"}} {}",
            "{\"message\": {\"slot\": 77}}",
            "{\"message\": {\"slot\": \"-1\"}}",
        ] {
            assert_eq!(SignedBlindedBlock::peek_slot(Encoding::Json, body.as_bytes()), None, "{body}");
        }
    }
}
