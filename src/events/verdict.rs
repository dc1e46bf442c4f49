//! What the chain has of a slot, what is known of a signed block, and what a relay is found to have done with it.

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use super::{Evidence, Outcome};
use crate::types::{RelayId, Slot, Wei};

/// What came of a slot on chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SlotOutcome {
    /// The block that a relay had promised.
    Ours,
    /// Another block: the consensus client built its own, or took another sidecar's.
    Local,
    /// No block, and none was signed: the consensus client did not propose.
    Missed,
    /// A block was signed and handed in, and never was one.
    NotDelivered,
    /// There was a block, and the chain went on without it.
    Orphaned,
}

impl SlotOutcome {
    /// Every one.
    pub const ALL: [Self; 5] = [Self::Ours, Self::Local, Self::Missed, Self::NotDelivered, Self::Orphaned];

    /// Its name in records.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Local => "local",
            Self::Missed => "missed",
            Self::NotDelivered => "not_delivered",
            Self::Orphaned => "orphaned",
        }
    }

    /// By its name in records.
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.label() == label)
    }
}

/// What is known of the signature that the consensus client put on a blinded block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum BlockSignature {
    /// It is being checked.
    #[default]
    Pending,
    /// The proposer's.
    Valid,
    /// Not the proposer's: no relay can publish such a block, and none is to blame.
    Invalid,
    /// It cannot be checked: the proposer's key or the chain's `genesis_validators_root` is not known.
    Unknown,
}

/// The signature of a signed block was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BlockSignatureChecked {
    /// The slot that the block is for.
    pub slot: Slot,
    /// Hash of its execution block.
    pub block_hash: B256,
    /// What was found.
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

    /// The outcome that it is in metrics and records.
    pub const fn outcome(self) -> Outcome {
        match self {
            Self::Withheld => Outcome::PayloadWithheld,
            Self::Mismatched => Outcome::PayloadMismatched,
            Self::NotOnChain => Outcome::NotOnChain,
            Self::PaidLess => Outcome::PaidLess,
            Self::Revealed => Outcome::Accepted,
            Self::PaidAsPromised => Outcome::PaidAsPromised,
        }
    }
}

/// How far a verdict can be relied on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// The chain may still say otherwise.
    Provisional,
    /// Nothing that is still to come can change it.
    Final,
}

/// What came of an offence that a relay is, or was, accused of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ruling {
    /// It rests for a while; nothing is counted against it.
    Suspected,
    /// It counts as an offence.
    Guilty,
    /// The accusation did not hold: nothing of it is left.
    TakenBack,
}

impl Ruling {
    /// Every one.
    pub const ALL: [Self; 3] = [Self::Suspected, Self::Guilty, Self::TakenBack];

    /// Its name in JSON and metrics.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Suspected => "suspected",
            Self::Guilty => "guilty",
            Self::TakenBack => "taken_back",
        }
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
    /// What follows.
    pub ruling: Ruling,
    /// Whether that may still change.
    pub stage: Stage,
    /// How it was found out, and how sure that is.
    pub evidence: Evidence,
    /// What was at stake.
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
    /// The record.
    #[serde(skip)]
    pub record: String,
    /// When it was found, in Unix milliseconds.
    pub at: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outcomes_come_back_from_their_labels() {
        for outcome in SlotOutcome::ALL {
            assert_eq!(SlotOutcome::parse(outcome.label()), Some(outcome));
        }
        assert_eq!(SlotOutcome::parse("open"), None);
    }
}
