//! What is known of a signed block, and what a relay is found to have done with it.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use super::{Evidence, PaymentOutcome};
use crate::types::{RelayId, Slot, Wei, labelled};

labelled! {
    /// What is known of the signature that the consensus client put on a blinded block.
    #[derive(Default)]
    pub enum BlockSignature {
        /// It is being checked.
        #[default]
        Pending = "pending",
        /// The proposer's.
        Valid = "valid",
        /// Not the proposer's: no relay can publish such a block, and none is to blame.
        Invalid = "invalid",
        /// It cannot be checked: the proposer's key or the chain's `genesis_validators_root` is not known.
        Unknown = "unknown",
    }
}

/// The signature of a signed block was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BlockSignatureChecked {
    /// The slot that the block is for.
    pub slot: Slot,
    /// Hash of its execution block.
    pub block_hash: B256,
    /// Whether the proposer's signature is on the block, as far as that can be told.
    pub signature: BlockSignature,
    /// When it was found, in Unix milliseconds.
    pub at: i64,
}

/// What a relay did with a block that it had offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Conduct {
    /// It got the signed block and did not reveal it.
    Withheld,
    /// It delivered another payload than the one signed for.
    Mismatched,
    /// It said that it took the block, and the chain does not have it.
    NotOnChain,
    /// The block paid less than its signed bid promised.
    PaidLess,
    /// It revealed the block.
    Revealed,
    /// The block paid what its signed bid promised.
    PaidAsPromised,
}

impl Conduct {
    /// Every one.
    pub const ALL: [Self; 6] = [
        Self::Withheld,
        Self::Mismatched,
        Self::NotOnChain,
        Self::PaidLess,
        Self::Revealed,
        Self::PaidAsPromised,
    ];

    /// Whether it is an offence: it costs the slot, or its payment.
    pub const fn is_offence(self) -> bool {
        match self {
            Self::Withheld | Self::Mismatched | Self::NotOnChain | Self::PaidLess => true,
            Self::Revealed | Self::PaidAsPromised => false,
        }
    }

    /// What it is as a payment, where it is one.
    pub const fn payment(self) -> Option<PaymentOutcome> {
        match self {
            Self::NotOnChain => Some(PaymentOutcome::NotOnChain),
            Self::PaidLess => Some(PaymentOutcome::PaidLess),
            Self::PaidAsPromised => Some(PaymentOutcome::PaidAsPromised),
            Self::Withheld | Self::Mismatched | Self::Revealed => None,
        }
    }

    /// Its name in metrics and tables, which is older than its name in JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Withheld => "payload_withheld",
            Self::Mismatched => "payload_mismatched",
            Self::NotOnChain => "not_on_chain",
            Self::PaidLess => "paid_less",
            Self::Revealed => "accepted",
            Self::PaidAsPromised => "paid_as_promised",
        }
    }
}

labelled! {
    /// How far a verdict can be relied on.
    pub enum Stage {
        /// The chain may still say otherwise.
        Provisional = "provisional",
        /// Nothing that is still to come can change it.
        Final = "final",
    }
}

labelled! {
    /// What came of an offence that a relay is, or was, accused of.
    pub enum Ruling {
        /// It rests for a while; nothing is counted against it.
        Suspected = "suspected",
        /// It counts as an offence.
        Guilty = "guilty",
        /// The accusation did not hold: nothing of it is left.
        TakenBack = "taken_back",
    }
}

/// A verdict on one relay and one block was given, changed or taken back.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RelayJudged {
    /// The block's slot.
    pub slot: Slot,
    /// Hash of its execution block.
    pub block_hash: B256,
    /// The relay that this is about.
    pub relay: RelayId,
    /// What it did, or is suspected of.
    pub conduct: Conduct,
    /// Whether the relay is suspected, guilty, or cleared of it again.
    pub ruling: Ruling,
    /// Whether that may still change.
    pub stage: Stage,
    /// How it was found out, and how sure that is.
    pub evidence: Evidence,
    /// Wei that the relay promised for the block.
    pub value: Wei,
    /// The evidence, as a sentence for people.
    pub reason: String,
    /// When it was found, in Unix milliseconds.
    pub at: i64,
}

/// All that is known of a block and its relays as JSON, for the ledger. Opaque outside the relay room.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BlockRecordSaved {
    /// The block's slot.
    pub slot: Slot,
    /// Hash of its execution block.
    pub block_hash: B256,
    /// The record as JSON of the relay room's own.
    #[serde(skip)]
    pub record: String,
    /// When it was found, in Unix milliseconds.
    pub at: i64,
}
