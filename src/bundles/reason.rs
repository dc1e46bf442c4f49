//! Why a bundle is in the state it is in: an enum to decide by, a sentence to show.

use std::fmt;

use alloy_primitives::{Address, B256};

use super::inclusion::Disorder;
use crate::ledger::Delivery;

/// Why a block decided what it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// All of it is in a block that it was for.
    AsAsked {
        dropped: usize,
        reverted: usize,
        /// It was withdrawn before, and landed all the same.
        withdrawn: Delivery,
    },
    /// Only these transactions are in the block.
    OnlySome(Vec<B256>),
    /// All are, but not as asked for.
    Disordered(Disorder),
    /// All are, in a block that it was not for.
    NotAskedFor { block: u64 },
    /// Its searcher took it back.
    TakenBack,
    /// Another took its place.
    ReplacedBy(i64),
    /// Another transaction used the nonce; which one, where the block shows it.
    NonceUsed { nonce: u64, sender: Address, by: Option<(B256, u64)> },
    /// It pays less per gas than the block's base fee.
    BaseFee { base_fee: u128, block: u64, max_fee: u128, transaction: B256 },
    /// It failed when it was tried on our own node.
    FailedTrial(String),
    /// Its time had not come before its last block.
    NeverSent,
    /// No builder had answered when its last block came.
    SentTooLate,
    /// Each builder's refusal.
    NobodyTookIt(String),
    /// Its last timestamp passed.
    Expired,
    /// Builders took it, and the block is without it.
    Outbid { takers: String, block: u64, builder: String },
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AsAsked { dropped, reverted, withdrawn } => {
                let mut sentences = Vec::new();
                match withdrawn {
                    Delivery::Active => {}
                    Delivery::CancelRequested => {
                        sentences.push("taken back, and landed all the same".to_owned());
                    }
                    Delivery::Replaced { by } => {
                        sentences.push(format!("replaced by number {by}, and landed all the same"));
                    }
                    Delivery::Refused => {
                        sentences.push("refused by all builders, and landed all the same".to_owned());
                    }
                }
                if (*dropped, *reverted) != (0, 0) {
                    sentences.push(format!("{dropped} left out and {reverted} reverted, as they may"));
                }
                f.write_str(&sentences.join("; "))
            }
            Self::OnlySome(hashes) => {
                let hashes: Vec<String> = hashes.iter().map(ToString::to_string).collect();
                write!(f, "only {} is in the block", hashes.join(", "))
            }
            Self::Disordered(how) => write!(f, "its transactions are in the block {how}"),
            Self::NotAskedFor { block } => write!(f, "block {block} has it, which was not asked for"),
            Self::TakenBack => f.write_str("taken back, and no block had it"),
            Self::ReplacedBy(id) => write!(f, "replaced by number {id}"),
            Self::NonceUsed { nonce, sender, by: Some((by, block)) } => {
                write!(f, "conflicting nonce: nonce {nonce} of {sender} was used by {by} in block {block}")
            }
            Self::NonceUsed { nonce, sender, by: None } => {
                write!(f, "conflicting nonce: nonce {nonce} of {sender} was used by another transaction")
            }
            Self::BaseFee { base_fee, block, max_fee, transaction } => {
                write!(f, "base fee {base_fee} of block {block} is above {max_fee} of {transaction}")
            }
            Self::FailedTrial(error) => write!(f, "reverted in simulation: {error}"),
            Self::NeverSent => f.write_str("never sent: its time had not come before its last block"),
            Self::SentTooLate => f.write_str("sent too late: no builder had answered"),
            Self::NobodyTookIt(refusals) => write!(f, "no builder took it: {refusals}"),
            Self::Expired => f.write_str("expired: its time ended before a block had it"),
            Self::Outbid { takers, block, builder } => {
                write!(f, "outbid or left out: {takers} took it, block {block} is by {builder}")
            }
        }
    }
}
