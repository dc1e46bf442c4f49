//! Whether a bid says what it should, and who signed it.
//!
//! In: one decoded bid and what is expected of it. Out: a rung up the ladder, or the first thing that is wrong. Cheap comparisons
//! come here; the signature (a millisecond) is asked for only of candidates for the win.

use std::sync::Arc;

use alloy_primitives::{B256, b256};

use super::{settings::GasLimitCheck, verified_cache::VerifiedCache};
use crate::{
    consensus::{Domain, SignedBuilderBid, bls::ValidatedKey, signing_root},
    events::{BidFlaw, BidOutcome},
    types::{BlsPublicKey, Wei},
};

/// SSZ root of an empty transactions list: a block without transactions pays nobody.
const EMPTY_TRANSACTIONS_ROOT: B256 =
    b256!("7ffe241ea60187fdb0187bfa22de35d1f9bed7ab061d9401fd47e34a54fbede1");

/// Parent gas limit divided by this is how far a block's may be from it, exclusive. Source: EIP-1559, `GAS_LIMIT_BOUND_DIVISOR`.
const GAS_LIMIT_BOUND_DIVISOR: u64 = 1024;

/// What a bid must say.
#[derive(Clone, Copy, Debug)]
pub struct Expectations {
    /// Asked for.
    pub parent_hash: B256,
    /// Start of the slot, Unix seconds.
    pub timestamp: u64,
    /// Smallest acceptable value.
    pub min_bid: Wei,
    /// What the proposer registered, where known.
    pub gas_limit: Option<GasLimitTarget>,
    /// What to do about the gas limit.
    pub gas_limit_check: GasLimitCheck,
    /// Most blobs of a block in this slot, where the chain spec says.
    pub max_blobs: Option<u64>,
}

/// What is known about the gas limit that the block should have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GasLimitTarget {
    /// The proposer's registered wish.
    pub registered: u64,
    /// The parent block's limit, where an earlier bid told.
    pub parent: Option<u64>,
}

/// Who else says what the node says.
fn others_agree(count: usize) -> String {
    match count {
        0 => "no other relay's proven bid agrees with the node, so nobody is blamed".to_owned(),
        1 => "another relay's bid agrees with the node".to_owned(),
        more => format!("{more} other relays' bids agree with the node"),
    }
}

/// What is wrong with a bid.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BidFault {
    /// Signed by another key than the relay's.
    #[error("wrong pubkey: the relay's is {expected}, the bid has {got}")]
    WrongPubkey {
        /// Configured.
        expected: BlsPublicKey,
        /// In the bid.
        got: BlsPublicKey,
    },
    /// Builds on another block.
    #[error("wrong parent hash: asked for {expected}, got {got}")]
    WrongParent {
        /// Asked for.
        expected: B256,
        /// In the bid.
        got: B256,
    },
    /// The only one with this randomness, against several.
    #[error(
        "prev_randao {got} is this relay's alone, {relays} other relays agree on {others_say}: the consensus client would refuse the \
         block if they are right"
    )]
    WrongPrevRandao {
        /// In the bid.
        got: B256,
        /// In the others' bids.
        others_say: B256,
        /// How many other relays agree on that.
        relays: usize,
    },
    /// Other randomness than the beacon node's.
    #[error(
        "prev_randao {got}, the beacon node says {node_says}: the consensus client would refuse the block; {}",
        others_agree(*agreeing)
    )]
    PrevRandaoNotTheNodes {
        /// In the bid.
        got: B256,
        /// By the node.
        node_says: B256,
        /// Other relays with bids as the node has it.
        agreeing: usize,
    },
    /// Other withdrawals than the beacon node's.
    #[error(
        "withdrawals root {got}, that of the beacon node's withdrawals is {node_says}: the consensus client would refuse the block; {}",
        others_agree(*agreeing)
    )]
    WrongWithdrawals {
        /// In the bid.
        got: B256,
        /// By the node.
        node_says: B256,
        /// Other relays with bids as the node has it.
        agreeing: usize,
    },
    /// Is its own parent. Seen on a development network in August 2026.
    #[error("wrong parent hash: the bid's block and its parent have the same hash {0}")]
    OwnParent(B256),
    /// More blobs than the chain allows: other nodes would refuse the block.
    #[error(
        "too many blobs: {got}, and the blob schedule known here (this version's, and the beacon node's where it raises it) allows {max} in \
         this slot"
    )]
    TooManyBlobs {
        /// By the chain spec.
        max: u64,
        /// In the bid.
        got: u64,
    },
    /// For another time.
    #[error("wrong timestamp: the slot starts at {expected}, got {got}")]
    WrongTimestamp {
        /// Start of the slot.
        expected: u64,
        /// In the bid.
        got: u64,
    },
    /// It pays nothing.
    #[error("zero value")]
    ZeroValue,
    /// It pays less than the operator wants.
    #[error("below the minimum bid of {min} ETH: {got} ETH", min = min.to_eth(), got = got.to_eth())]
    BelowMinBid {
        /// Configured.
        min: Wei,
        /// In the bid.
        got: Wei,
    },
    /// Not worth more than a local block by as much as the operator wants.
    #[error(
        "below the local block's {local} ETH and the wanted profit of {profit} ETH: {got} ETH",
        local = local.to_eth(), profit = min_profit.to_eth(), got = got.to_eth()
    )]
    BelowLocal {
        /// The local block's value.
        local: Wei,
        /// Configured.
        min_profit: Wei,
        /// In the bid.
        got: Wei,
    },
    /// The operator's weights leave it nothing.
    #[error("excluded by the configured weights")]
    Excluded,
    /// A block without transactions cannot pay.
    #[error("empty transactions root")]
    EmptyTransactions,
    /// No block.
    #[error("zero block hash")]
    ZeroBlockHash,
    /// Ignores the registration.
    #[error(
        "wrong gas limit: {got} does not move from {parent} towards the registered {registered} by the 1/1024 rule"
    )]
    WrongGasLimit {
        /// The parent's.
        parent: u64,
        /// The proposer's wish.
        registered: u64,
        /// In the bid.
        got: u64,
    },
    /// Not signed by its relay.
    #[error("wrong signature")]
    WrongSignature,
}

impl BidFault {
    /// What it is in metrics and records.
    pub const fn kind(&self) -> BidOutcome {
        match self {
            Self::WrongPubkey { .. } => BidOutcome::Flawed(BidFlaw::WrongPubkey),
            Self::WrongParent { .. } | Self::OwnParent(_) => BidOutcome::Flawed(BidFlaw::WrongParent),
            Self::TooManyBlobs { .. } => BidOutcome::Flawed(BidFlaw::TooManyBlobs),
            Self::WrongPrevRandao { .. } | Self::PrevRandaoNotTheNodes { .. } => {
                BidOutcome::Flawed(BidFlaw::WrongPrevRandao)
            }
            Self::WrongWithdrawals { .. } => BidOutcome::Flawed(BidFlaw::WrongWithdrawals),
            Self::WrongTimestamp { .. } => BidOutcome::Flawed(BidFlaw::WrongTimestamp),
            Self::ZeroValue => BidOutcome::Flawed(BidFlaw::ZeroValue),
            Self::BelowMinBid { .. } => BidOutcome::BelowMinBid,
            Self::BelowLocal { .. } => BidOutcome::BelowLocal,
            Self::Excluded => BidOutcome::Excluded,
            Self::EmptyTransactions => BidOutcome::Flawed(BidFlaw::EmptyTransactions),
            Self::ZeroBlockHash => BidOutcome::Flawed(BidFlaw::ZeroBlockHash),
            Self::WrongGasLimit { .. } => BidOutcome::Flawed(BidFlaw::WrongGasLimit),
            Self::WrongSignature => BidOutcome::Flawed(BidFlaw::WrongSignature),
        }
    }
}

/// A bid that says what it should; who signed it is not known yet.
#[derive(Debug)]
pub struct CheckedBid {
    bid: Arc<SignedBuilderBid>,
    gas_limit_warning: Option<BidFault>,
}

/// A bid that its relay signed: the only kind that can be returned.
#[derive(Clone, Debug)]
pub struct VerifiedBid(Arc<SignedBuilderBid>);

/// Compares a bid with what is expected.
///
/// # Errors
/// The first thing that is wrong.
pub fn check_bid(
    bid: SignedBuilderBid,
    relay: BlsPublicKey,
    expected: &Expectations,
) -> Result<CheckedBid, BidFault> {
    let facts = bid.facts();
    if facts.pubkey != relay {
        return Err(BidFault::WrongPubkey { expected: relay, got: facts.pubkey });
    }
    if facts.parent_hash != expected.parent_hash {
        return Err(BidFault::WrongParent { expected: expected.parent_hash, got: facts.parent_hash });
    }
    if facts.timestamp != expected.timestamp {
        return Err(BidFault::WrongTimestamp { expected: expected.timestamp, got: facts.timestamp });
    }
    if facts.block_hash.is_zero() {
        return Err(BidFault::ZeroBlockHash);
    }
    if facts.block_hash == facts.parent_hash {
        return Err(BidFault::OwnParent(facts.block_hash));
    }
    if facts.transactions_root == EMPTY_TRANSACTIONS_ROOT {
        return Err(BidFault::EmptyTransactions);
    }
    if facts.value.is_zero() {
        return Err(BidFault::ZeroValue);
    }
    if facts.value < expected.min_bid {
        return Err(BidFault::BelowMinBid { min: expected.min_bid, got: facts.value });
    }
    let blobs = u64::try_from(facts.blobs).unwrap_or(u64::MAX);
    if let Some(max) = expected.max_blobs.filter(|max| blobs > *max) {
        return Err(BidFault::TooManyBlobs { max, got: blobs });
    }
    let gas_limit_fault = gas_limit_fault(facts.gas_limit, expected);
    match (expected.gas_limit_check, gas_limit_fault) {
        (GasLimitCheck::Enforce, Some(fault)) => Err(fault),
        (GasLimitCheck::Warn, warning) => Ok(CheckedBid { bid: Arc::new(bid), gas_limit_warning: warning }),
        (GasLimitCheck::Off, _) | (GasLimitCheck::Enforce, None) => {
            Ok(CheckedBid { bid: Arc::new(bid), gas_limit_warning: None })
        }
    }
}

/// Whether `got` is the gas limit that a block on a parent of `parent` gas has when its proposer wishes `registered`: as near to
/// the wish as the 1/1024 rule lets it. Source: EIP-1559 and consensus clients' `expected_gas_limit`.
pub fn gas_limit_is_reachable(parent: u64, registered: u64, got: u64) -> bool {
    let step = (parent / GAS_LIMIT_BOUND_DIVISOR).saturating_sub(1);
    got == registered.clamp(parent.saturating_sub(step), parent.saturating_add(step))
}

fn gas_limit_fault(got: u64, expected: &Expectations) -> Option<BidFault> {
    let GasLimitTarget { registered, parent } = expected.gas_limit?;
    let parent = parent?;
    (!gas_limit_is_reachable(parent, registered, got)).then_some(BidFault::WrongGasLimit {
        parent,
        registered,
        got,
    })
}

impl CheckedBid {
    /// The bid.
    pub fn bid(&self) -> &SignedBuilderBid {
        &self.bid
    }

    /// What is odd about its gas limit, when that is only warned about.
    pub fn gas_limit_warning(&self) -> Option<&BidFault> {
        self.gas_limit_warning.as_ref()
    }

    /// Climbs the last rung without a check, where this very signature was found good before. Costs next to nothing where it was not.
    pub(super) fn known(
        &self,
        key: &ValidatedKey,
        domain: Domain,
        known: &VerifiedCache,
    ) -> Option<VerifiedBid> {
        let signature = *self.bid.signature();
        if key.bytes() != self.bid.facts().pubkey || !known.has_seen(&signature) {
            return None;
        }
        let root = signing_root(self.bid.message_root(), domain);
        known.knows(&(root, signature, key.bytes())).then(|| VerifiedBid(Arc::clone(&self.bid)))
    }

    /// Climbs the last rung. Costs a millisecond of CPU.
    ///
    /// # Errors
    /// When `key` did not sign it.
    pub(super) fn verify(
        &self,
        key: &ValidatedKey,
        domain: Domain,
        known: &VerifiedCache,
    ) -> Result<VerifiedBid, BidFault> {
        if key.bytes() != self.bid.facts().pubkey {
            return Err(BidFault::WrongSignature);
        }
        let (root, signature) = (signing_root(self.bid.message_root(), domain), *self.bid.signature());
        if !key.has_signed(root, &signature) {
            return Err(BidFault::WrongSignature);
        }
        known.keep((root, signature, key.bytes()));
        Ok(VerifiedBid(Arc::clone(&self.bid)))
    }
}

impl VerifiedBid {
    /// The bid.
    pub fn bid(&self) -> &SignedBuilderBid {
        &self.0
    }
}

/// A bid of a value that counts as verified, and what is said of it.
#[cfg(test)]
pub(super) fn example(value: u64) -> (VerifiedBid, crate::events::Winner) {
    use alloy_primitives::{Address, FixedBytes, U256};

    use crate::{
        consensus::containers::{BuilderBidBellatrix, ExecutionPayloadHeaderBellatrix, Signed},
        types::Fork,
    };

    let header = ExecutionPayloadHeaderBellatrix {
        parent_hash: B256::ZERO,
        fee_recipient: Address::ZERO,
        state_root: B256::ZERO,
        receipts_root: B256::ZERO,
        logs_bloom: FixedBytes::ZERO,
        prev_randao: B256::ZERO,
        block_number: 1,
        gas_limit: 1,
        gas_used: 0,
        timestamp: 1,
        extra_data: Default::default(),
        base_fee_per_gas: U256::ZERO,
        block_hash: B256::left_padding_from(&value.to_be_bytes()),
        transactions_root: B256::ZERO,
    };
    let message = BuilderBidBellatrix { header, value: U256::from(value), pubkey: FixedBytes::ZERO };
    let bid = SignedBuilderBid::new(Fork::Bellatrix, Signed { message, signature: FixedBytes::ZERO });
    let winner = crate::events::Winner {
        block_hash: bid.facts().block_hash,
        value: bid.facts().value,
        relays: Vec::new(),
        builder: String::new(),
        signed_bid: Default::default(),
    };
    (VerifiedBid(Arc::new(bid)), winner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gas_limits_move_towards_the_wish_as_fast_as_they_may() {
        for (parent, registered, got, fits) in [
            (60_000_000, 60_000_000, 60_000_000, true),
            (30_000_000, 60_000_000, 30_029_295, true),
            (30_000_000, 60_000_000, 30_029_296, false),
            (30_000_000, 60_000_000, 30_000_000, false),
            (60_000_000, 30_000_000, 59_941_408, true),
            (60_000_000, 60_000_001, 60_000_001, true),
            (0, 60_000_000, 0, true),
            (u64::MAX, u64::MAX, u64::MAX, true),
        ] {
            assert_eq!(gas_limit_is_reachable(parent, registered, got), fits, "{parent} {registered} {got}");
        }
    }
}
