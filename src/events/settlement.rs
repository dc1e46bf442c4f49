//! What came of a slot on chain, and whether its promise was kept.

use alloy_primitives::B256;
use serde::Serialize;

use super::Evidence;
use crate::types::{RelayId, Slot, UnixMillis, Wei, labelled};

labelled! {
    /// How far a slot is settled.
    #[derive(Default)]
    pub enum SlotStatus {
        /// Not looked at.
        #[default]
        Open = "open",
        /// Seen at the head: may change.
        Provisional = "provisional",
        /// Nothing changes any more.
        Final = "final",
        /// Given up: no node here has the blocks that would prove it.
        Unknowable = "unknowable",
    }
}

labelled! {
    /// What came of a slot on chain.
    pub enum SlotOutcome {
        /// The block that a relay had promised.
        Ours = "ours",
        /// Another block: the consensus client built its own, or took another sidecar's.
        Local = "local",
        /// No block, and none was signed: the consensus client did not propose.
        Missed = "missed",
        /// A block was signed and handed in, and never was one.
        NotDelivered = "not_delivered",
        /// There was a block, and the chain went on without it.
        Orphaned = "orphaned",
    }
}

labelled! {
    /// How what a block paid compares with what was promised for it.
    pub enum PaymentVerdict {
        /// To the wei.
        Exact = "exact",
        /// More.
        Over = "over",
        /// Less, and not nothing.
        Under = "under",
        /// Nothing.
        Unpaid = "unpaid",
        /// It cannot be told with this node.
        Unknown = "unknown",
    }
}

labelled! {
    /// What a relay's own public record of deliveries says of a slot.
    pub enum DataApiVerdict {
        /// The same as the chain.
        Agrees = "agrees",
        /// Something else.
        Differs = "differs",
        /// Nothing of the block it delivered.
        Missing = "missing",
        /// It does not answer.
        Unknown = "unknown",
    }
}

labelled! {
    /// What a relay is to answer for, or to be credited with, once the chain has spoken.
    pub enum PaymentOutcome {
        /// It took the block, and the block never came on chain.
        NotOnChain = "not_on_chain",
        /// The block paid the proposer less than the bid promised.
        PaidLess = "paid_less",
        /// It paid what the bid promised.
        PaidAsPromised = "paid_as_promised",
    }
}

impl PaymentVerdict {
    /// Whether the proposer got less than was promised.
    pub const fn is_short(self) -> bool {
        match self {
            Self::Under | Self::Unpaid => true,
            Self::Exact | Self::Over | Self::Unknown => false,
        }
    }
}

/// What came of a block on chain, with regard to one relay that had taken it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Settlement {
    /// The slot that the block is for.
    pub slot: Slot,
    /// Hash of its execution block.
    pub block_hash: B256,
    /// The relay that this is about.
    pub relay: RelayId,
    /// Whether the relay's promise was kept.
    pub outcome: PaymentOutcome,
    /// Wei that the relay's own bid promised.
    pub promised: Wei,
    /// What the fee recipient got for it, as far as it is proven.
    pub paid: Wei,
    /// When this was found, in Unix milliseconds.
    pub at: UnixMillis,
}

/// What came of a slot on chain, as far as it is known now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SlotSettled {
    /// The slot that this is about.
    pub slot: Slot,
    /// Whether it may still change.
    pub status: SlotStatus,
    /// Whether the promised block, another one or none is on chain.
    pub outcome: SlotOutcome,
    /// Whether the promise was kept; none where there was none to keep.
    pub payment: Option<PaymentVerdict>,
    /// Value of the returned bid; none where no bid was returned.
    pub promised: Option<Wei>,
    /// What the fee recipient got for it; none where that is not known.
    pub received: Option<Wei>,
    /// How that was found, and how sure it is.
    pub evidence: Evidence,
    /// The block that was promised or handed in; none where there was none.
    pub block_hash: Option<B256>,
    /// Whether the chain has another block than that in this slot.
    pub has_other_block: bool,
    /// When this was found, in Unix milliseconds.
    pub at: UnixMillis,
}
