//! What a consensus client has its execution client build for a slot: the `payload_attributes` event of beacon-APIs, read and checked.
//!
//! Randomness and withdrawals of a payload follow from the parent's state, its time from the slot. A client refuses a block that differs in
//! any of them, so a header that differs is worth nothing to it.

use alloy_primitives::B256;
use serde::Deserialize;
use ssz_types::VariableList;
use tree_hash::TreeHash;

use super::{ChainSpec, Mainnet, Minimal, Preset, PresetName, containers::Withdrawal, quoted};
use crate::types::Slot;

/// What a payload of a slot on a parent must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PayloadAttributes {
    /// The slot of the block.
    pub slot: Slot,
    /// Its parent (execution layer).
    pub parent_hash: B256,
    /// The beacon chain's randomness.
    pub prev_randao: B256,
    /// Root of the withdrawals; none before Capella.
    pub withdrawals_root: Option<B256>,
}

/// Why an event says nothing.
#[derive(Debug, thiserror::Error)]
pub enum AttributesError {
    /// It does not read as the specification has it.
    #[error("does not read: {0}")]
    NotReadable(#[from] serde_json::Error),
    /// Its time is not its slot's. Whoever says so is of another chain, or wrong about this one.
    #[error("slot {slot} starts at {expected} (Unix time), the event says {got}")]
    WrongTime {
        /// The slot that the event names.
        slot: Slot,
        /// Its start by the chain spec.
        expected: u64,
        /// In the event.
        got: u64,
    },
}

#[derive(Deserialize)]
#[serde(bound = "")]
struct Event<P: Preset> {
    data: EventData<P>,
}

#[derive(Deserialize)]
#[serde(bound = "")]
struct EventData<P: Preset> {
    #[serde(with = "quoted")]
    proposal_slot: u64,
    parent_block_hash: B256,
    payload_attributes: Attributes<P>,
}

#[derive(Deserialize)]
#[serde(bound = "")]
struct Attributes<P: Preset> {
    #[serde(with = "quoted")]
    timestamp: u64,
    prev_randao: B256,
    withdrawals: Option<VariableList<Withdrawal, P::MaxWithdrawals>>,
}

impl PayloadAttributes {
    /// Reads the data of an event of a chain's node. Its time need not be compared with a header's any more: it is the slot's start.
    ///
    /// # Errors
    /// When it is not such an event, or its time is not its slot's.
    pub fn from_event(spec: &ChainSpec, json: &[u8]) -> Result<Self, AttributesError> {
        match spec.preset {
            PresetName::Mainnet => Self::read::<Mainnet>(spec, json),
            PresetName::Minimal => Self::read::<Minimal>(spec, json),
        }
    }

    fn read<P: Preset>(spec: &ChainSpec, json: &[u8]) -> Result<Self, AttributesError> {
        let Event::<P> { data } = serde_json::from_slice(json)?;
        let Attributes { timestamp, prev_randao, withdrawals } = data.payload_attributes;
        let slot = Slot::new(data.proposal_slot);
        let expected = spec.clock().payload_timestamp(slot);
        if timestamp != expected {
            return Err(AttributesError::WrongTime { slot, expected, got: timestamp });
        }
        let withdrawals_root = withdrawals.map(|list| list.tree_hash_root());
        Ok(Self { slot, parent_hash: data.parent_block_hash, prev_randao, withdrawals_root })
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::Address;
    use serde_json::{Value, json};

    use super::*;
    use crate::consensus::Network;

    const SLOT: u64 = 14_000_000;

    fn withdrawal(n: u64) -> Withdrawal {
        Withdrawal {
            index: n,
            validator_index: 7 * n,
            address: Address::repeat_byte(0xaa),
            amount: 16_000 + n,
        }
    }

    /// An event as beacon-APIs have it, with so many withdrawals.
    fn event(count: u64, timestamp: u64) -> Value {
        json!({ "version": "fulu", "data": {
            "proposer_index": "123", "proposal_slot": SLOT.to_string(), "parent_block_number": "9",
            "parent_block_root": B256::repeat_byte(1), "parent_block_hash": B256::repeat_byte(2),
            "payload_attributes": {
                "timestamp": timestamp.to_string(), "prev_randao": B256::repeat_byte(3),
                "suggested_fee_recipient": Address::repeat_byte(4),
                "withdrawals": (0..count).map(withdrawal).collect::<Vec<_>>(),
                "parent_beacon_block_root": B256::repeat_byte(5),
            },
        } })
    }

    fn read(spec: &ChainSpec, event: &Value) -> Result<PayloadAttributes, AttributesError> {
        PayloadAttributes::from_event(spec, event.to_string().as_bytes())
    }

    #[test]
    fn an_event_is_read_and_its_withdrawals_hashed_as_a_header_has_them() {
        let spec = Network::Mainnet.spec();
        let at = spec.clock().payload_timestamp(Slot::new(SLOT));
        let found = read(&spec, &event(16, at)).unwrap();
        let list: VariableList<Withdrawal, ssz_types::typenum::U16> =
            VariableList::new((0..16).map(withdrawal).collect()).unwrap();
        let expected = PayloadAttributes {
            slot: Slot::new(SLOT),
            parent_hash: B256::repeat_byte(2),
            prev_randao: B256::repeat_byte(3),
            withdrawals_root: Some(list.tree_hash_root()),
        };
        assert_eq!(found, expected);
        // The root of an empty list of sixteen, as every client has it: sha256 of a zero subtree of depth 4, mixed with the length 0.
        let empty = read(&spec, &event(0, at)).unwrap().withdrawals_root.unwrap();
        let root = "0x792930bbd5baac43bcc798ee49aa8185ef76bb3b44ba62b91d86ae569e4bb535";
        assert_eq!(empty.to_string(), root);
        let mut before_capella = event(0, at);
        before_capella["data"]["payload_attributes"].as_object_mut().unwrap().remove("withdrawals");
        assert_eq!(read(&spec, &before_capella).unwrap().withdrawals_root, None);
    }

    #[test]
    fn what_is_not_of_this_chain_says_nothing() {
        let spec = Network::Mainnet.spec();
        let at = spec.clock().payload_timestamp(Slot::new(SLOT));
        let other = Network::Hoodi.spec().clock().payload_timestamp(Slot::new(SLOT));
        assert!(matches!(read(&spec, &event(0, other)), Err(AttributesError::WrongTime { .. })));
        let mut minimal = spec.clone();
        minimal.preset = PresetName::Minimal;
        for (spec, event) in [
            (&spec, event(17, at)),
            (&minimal, event(5, at)),
            (&spec, json!({ "data": {} })),
            (&spec, json!([])),
            (&spec, json!("head")),
        ] {
            assert!(matches!(read(spec, &event), Err(AttributesError::NotReadable(_))), "{event}");
        }
        assert!(PayloadAttributes::from_event(&spec, b"{").is_err());
    }
}
