//! What can be read of a signed blinded block that does not decode, by the places that have been the same in every fork since
//! Bellatrix. Tells what may be such a block from what certainly is none.

use std::{fmt, marker::PhantomData};

use alloy_primitives::B256;
use serde::{
    Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use serde_json::Value;

use super::{Encoding, PresetName};
use crate::types::{Slot, parse_hash};

/// `SignedBeaconBlock`: an offset of 4 bytes, the signature of 96.
const MESSAGE: usize = 100;
/// `BeaconBlock`: slot, proposer index, two roots, an offset.
const BODY_IN_MESSAGE: usize = 84;
/// `BeaconBlockBody` before its lists: randao reveal (96), eth1 data (72), graffiti (32).
const LISTS_IN_BODY: usize = 200;
/// Offsets of slashings (2), attestations, deposits and exits.
const LISTS: usize = 5;
/// `ExecutionPayloadHeader` up to the block hash: its parent comes first, the hash after the base fee.
const BLOCK_HASH_IN_HEADER: usize = 472;
/// A signature in hex with `0x`.
const SIGNATURE_CHARS: usize = 194;

/// The places of a body that looks like a signed blinded block. Nothing of it is proven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeekedBlock {
    /// The slot that the block is for.
    pub slot: Slot,
    /// The proposer's validator index.
    pub proposer_index: u64,
    /// Execution block hash, where the header can be found.
    pub block_hash: Option<B256>,
    /// Execution parent, where the header can be found.
    pub parent_hash: Option<B256>,
}

impl PeekedBlock {
    /// Reads what there is to read. `None` if the bytes are certainly no signed blinded block: not JSON of a signed message with a
    /// slot and a body, or not SSZ whose outer containers and offsets are what they are in every fork.
    pub fn read(encoding: Encoding, preset: PresetName, bytes: &[u8]) -> Option<Self> {
        match encoding {
            Encoding::Json => from_json(bytes),
            Encoding::Ssz => from_ssz(preset, bytes),
        }
    }
}

fn from_json(bytes: &[u8]) -> Option<PeekedBlock> {
    let block: Value = serde_json::from_slice(bytes).ok()?;
    let signature = block.get("signature")?.as_str()?;
    let is_signature = signature.len() == SIGNATURE_CHARS
        && signature.strip_prefix("0x").is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    let message = block.get("message")?;
    let body = message.get("body").filter(|body| body.is_object())?;
    let header = body.get("execution_payload_header");
    let hash = |name| header.and_then(|header| parse_hash(header.get(name)?.as_str()?).ok());
    is_signature.then_some(PeekedBlock {
        slot: Slot::new(number(message.get("slot")?)?),
        proposer_index: number(message.get("proposer_index")?)?,
        block_hash: hash("block_hash"),
        parent_hash: hash("parent_hash"),
    })
}

/// A decimal string, as the specification has it, or a bare number.
fn number(value: &Value) -> Option<u64> {
    value.as_str().map_or_else(|| value.as_u64(), |text| text.parse().ok())
}

fn from_ssz(preset: PresetName, bytes: &[u8]) -> Option<PeekedBlock> {
    let message = bytes.get(MESSAGE..)?;
    if offset(bytes, 0)? != MESSAGE || offset(message, BODY_IN_MESSAGE - 4)? != BODY_IN_MESSAGE {
        return None;
    }
    let body = message.get(BODY_IN_MESSAGE..)?;
    // Whatever follows, the lists lie in order within the body and after its fixed part.
    let mut before = LISTS_IN_BODY + LISTS * 4;
    for list in 0..LISTS {
        let start = offset(body, LISTS_IN_BODY + list * 4)?;
        if start < before || start > body.len() {
            return None;
        }
        before = start;
    }
    let header = header_in(preset, body, before)?;
    let hash = |at: usize| header.get(at..at + 32).map(B256::from_slice);
    Some(PeekedBlock {
        slot: Slot::new(number_at(message, 0)?),
        proposer_index: number_at(message, 8)?,
        block_hash: hash(BLOCK_HASH_IN_HEADER),
        parent_hash: hash(0),
    })
}

/// The execution payload header: its offset follows the sync aggregate. Empty if there is none; `None` if it would begin outside.
fn header_in(preset: PresetName, body: &[u8], after: usize) -> Option<&[u8]> {
    let committee = match preset {
        PresetName::Mainnet => 64,
        PresetName::Minimal => 4,
    };
    let start = offset(body, LISTS_IN_BODY + LISTS * 4 + committee + 96)?;
    if start < after {
        return None;
    }
    body.get(start..)
}

fn offset(bytes: &[u8], at: usize) -> Option<usize> {
    let offset = u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?);
    usize::try_from(offset).ok()
}

fn number_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

/// The slot of a signed block in JSON, found without decoding the rest.
pub(super) fn slot_in_json(bytes: &[u8]) -> Option<u64> {
    // Not `&str`: a text with an escape in it cannot be borrowed, and is the slot all the same.
    let slot = FirstField { name: "slot", seed: PhantomData::<String> };
    let mut text = serde_json::Deserializer::from_slice(bytes);
    let slot = FirstField { name: "message", seed: slot }.deserialize(&mut text).ok()?;
    text.end().ok()?;
    slot.parse().ok()
}

/// Reads the first field of an object and passes over the rest. What decodes objects takes an array of all fields in their order for one, too,
/// and so does this: a block that decodes must not be one whose slot cannot be found.
struct FirstField<T> {
    name: &'static str,
    seed: T,
}

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for FirstField<T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<T::Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: DeserializeSeed<'de>> Visitor<'de> for FirstField<T> {
    type Value = T::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "an object with a field `{}`", self.name)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<T::Value, A::Error> {
        let (mut seed, mut found) = (Some(self.seed), None);
        while let Some(key) = map.next_key::<String>()? {
            if key == self.name {
                let seed = seed.take().ok_or_else(|| A::Error::duplicate_field(self.name))?;
                found = Some(map.next_value_seed(seed)?);
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        found.ok_or_else(|| A::Error::missing_field(self.name))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut fields: A) -> Result<T::Value, A::Error> {
        let first = fields.next_element_seed(self.seed)?;
        while fields.next_element::<IgnoredAny>()?.is_some() {}
        first.ok_or_else(|| A::Error::missing_field(self.name))
    }
}
