//! What a call's answer depends on, as far as that is known: on a height, a hash, or nothing. A method that is not here is never kept.

use alloy_primitives::B256;
use serde::Deserialize;

use super::{key::Key, proof::Proof};
use crate::gateway::{
    BlockNeed, Bound, RpcCall,
    block_need::{self, nth},
};

/// What an answer depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    /// On the chain alone.
    Chain,
    /// On a block that is named by its hash: the one that the answer has to name, where answers name any.
    Hash(Option<B256>),
    /// On the block at a height.
    Number(u64),
    /// On all blocks up to a height.
    Upto(u64),
    /// On the block that a transaction is in.
    Transaction,
}

/// What an answer depends on, and what it says of that itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Subject {
    pub(super) about: About,
    pub(super) proof: Proof,
}

impl Subject {
    /// `None` for what is not kept.
    pub(super) fn of(call: &RpcCall) -> Option<Self> {
        if !Key::fits(call) {
            return None;
        }
        let (proof, is_by_block) = match &*call.method {
            "eth_chainId" | "net_version" => return Some(Self { about: About::Chain, proof: Proof::None }),
            "eth_getTransactionByHash" | "eth_getTransactionReceipt" => {
                return Some(Self { about: About::Transaction, proof: Proof::Inclusion });
            }
            "eth_getBlockByNumber"
            | "eth_getBlockByHash"
            | "eth_getHeaderByNumber"
            | "eth_getHeaderByHash" => (Proof::Block, true),
            "eth_getBlockReceipts" => (Proof::Inclusions, true),
            "eth_getTransactionByBlockNumberAndIndex" | "eth_getTransactionByBlockHashAndIndex" => {
                (Proof::Inclusion, true)
            }
            "eth_getBlockTransactionCountByNumber"
            | "eth_getBlockTransactionCountByHash"
            | "eth_getRawTransactionByBlockNumberAndIndex"
            | "eth_getRawTransactionByBlockHashAndIndex"
            | "eth_getUncleCountByBlockNumber"
            | "eth_getUncleCountByBlockHash"
            | "eth_getUncleByBlockNumberAndIndex"
            | "eth_getUncleByBlockHashAndIndex"
            | "eth_getLogs"
            | "eth_getBalance"
            | "eth_getCode"
            | "eth_getTransactionCount"
            | "eth_getStorageAt"
            | "eth_getProof"
            | "eth_call" => (Proof::None, true),
            _ => (Proof::None, false),
        };
        if !is_by_block {
            return None;
        }
        let about = match block_need::of(&call.method, &call.params) {
            BlockNeed::Hash if wants_canonical(&call.params) => return None,
            // By hash an answer is what it is, wherever the block stands now, if it is that block's at all: who does not have a block yet may say that
            // there are no logs in it, and that would be kept for ever.
            BlockNeed::Hash => {
                let proof = if &*call.method == "eth_getLogs" { Proof::Inclusions } else { proof };
                let named = if proof == Proof::None { None } else { Some(first_hash(&call.params)?) };
                return Some(Self { about: About::Hash(named), proof });
            }
            BlockNeed::Number(number) => About::Number(number),
            BlockNeed::Range { from: Bound::Number(from), to: Bound::Number(to) } if from <= to => {
                About::Upto(to)
            }
            BlockNeed::Range { .. }
            | BlockNeed::None
            | BlockNeed::Latest
            | BlockNeed::Pending
            | BlockNeed::Safe
            | BlockNeed::Finalized
            | BlockNeed::Earliest => return None,
        };
        Some(Self { about, proof })
    }
}

/// The hash that the first parameter names, by itself or in an object.
fn first_hash(params: &[u8]) -> Option<B256> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Named {
        Hash(B256),
        #[serde(rename_all = "camelCase")]
        In {
            block_hash: B256,
        },
    }
    match nth(params, 0)?? {
        Named::Hash(hash) | Named::In { block_hash: hash } => Some(hash),
    }
}

/// Whether a call by hash is to fail once its block is off the chain (EIP-1898). Its answer changes with the chain, so it is not kept.
fn wants_canonical(params: &[u8]) -> bool {
    const WORD: &[u8] = b"requireCanonical";
    params.windows(WORD.len()).any(|window| window == WORD)
}
