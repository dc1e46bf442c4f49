//! What an answer says itself of the block that it is of.

use alloy_primitives::B256;
use serde::{Deserialize, Deserializer};

use crate::gateway::{RawJson, Snapshot, block_need::quantity};

/// A block's height, and its hash where that is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) number: u64,
    pub(super) hash: Option<B256>,
}

impl Place {
    /// Whether the chain has another block there, or has not come so far.
    pub(super) fn is_contradicted(self, now: &Snapshot) -> bool {
        let Some(tip) = now.tip else { return false };
        let there = match tip.number.checked_sub(self.number) {
            None => return true,
            Some(0) => tip.hash,
            Some(1) => tip.parent_hash,
            Some(_) => return false,
        };
        self.hash.is_some_and(|hash| hash != there)
    }
}

/// Where an answer says which block it is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    /// Nowhere.
    None,
    /// It is a block or a header.
    Block,
    /// It is a transaction or a receipt.
    Inclusion,
    /// It is a list of receipts, or of logs, all of one block. An empty one names none.
    Inclusions,
}

/// What it says, as far as it says anything.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) number: Option<u64>,
    pub(super) hash: Option<B256>,
}

#[derive(Deserialize)]
struct Block {
    #[serde(deserialize_with = "height")]
    number: u64,
    hash: B256,
}

#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
struct Inclusion {
    #[serde(deserialize_with = "height")]
    block_number: u64,
    block_hash: B256,
}

impl Proof {
    /// `None` where the answer is not what it ought to be, or is of no block yet.
    pub(super) fn read(self, answer: &RawJson) -> Option<Said> {
        let (number, hash) = match self {
            Self::None => return Some(Said::default()),
            Self::Block => {
                let Block { number, hash } = answer.read().ok()?;
                (number, hash)
            }
            Self::Inclusion => {
                let Inclusion { block_number, block_hash } = answer.read().ok()?;
                (block_number, block_hash)
            }
            Self::Inclusions => {
                let all: Vec<Inclusion> = answer.read().ok()?;
                let Some((first, others)) = all.split_first() else { return Some(Said::default()) };
                if others.iter().any(|other| other != first) {
                    return None;
                }
                (first.block_number, first.block_hash)
            }
        };
        Some(Said { number: Some(number), hash: Some(hash) })
    }
}

fn height<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    let text = <&str>::deserialize(deserializer)?;
    quantity(text).ok_or_else(|| serde::de::Error::custom("no quantity"))
}

/// Whether a hash stands somewhere in an answer.
pub(super) fn names(answer: &RawJson, hash: B256) -> bool {
    let text = hash.to_string();
    answer.as_bytes().windows(text.len()).any(|window| window.eq_ignore_ascii_case(text.as_bytes()))
}
