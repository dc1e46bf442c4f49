//! Recomputes an execution block's hash from a revealed payload, so that a relay cannot hand over other contents under the hash
//! that was signed for.

use alloy_consensus::{EMPTY_OMMER_ROOT_HASH, Header};
use alloy_eips::{eip4895::Withdrawal as EipWithdrawal, eip7685::Requests};
use alloy_primitives::{B256, Bloom, Bytes, U256};
use alloy_trie::root::{ordered_trie_root, ordered_trie_root_encoded};

use super::containers::Withdrawal;

/// What the payload says, and what of its header lies in the beacon block.
#[derive(Clone, Copy, Debug)]
pub struct BlockHashInputs<'a> {
    /// Root of the parent beacon block (EIP-4788): from Deneb on.
    pub parent_beacon_block_root: Option<B256>,
    /// Execution requests (EIP-7685): from Electra on.
    pub execution_requests: Option<&'a [Bytes; 3]>,
}

/// A payload as an execution header without the beacon block's part.
pub trait ToExecutionHeader {
    /// The header; roots are computed from the contents.
    fn to_execution_header(&self) -> Header;
}

macro_rules! to_execution_header {
    ($payload:ty $(, $generic:ident)?; $withdrawals:expr, $blob_gas:expr) => {
        impl $(<$generic: super::Preset>)? ToExecutionHeader for $payload {
            fn to_execution_header(&self) -> Header {
                let transactions: Vec<&[u8]> = self.transactions.iter().map(|tx| &tx[..]).collect();
                let withdrawals: fn(&Self) -> Option<&[Withdrawal]> = $withdrawals;
                let blob_gas: fn(&Self) -> Option<(u64, u64)> = $blob_gas;
                Header {
                    parent_hash: self.parent_hash,
                    ommers_hash: EMPTY_OMMER_ROOT_HASH,
                    beneficiary: self.fee_recipient,
                    state_root: self.state_root,
                    transactions_root: ordered_trie_root_encoded(&transactions),
                    receipts_root: self.receipts_root,
                    logs_bloom: Bloom::from(self.logs_bloom),
                    difficulty: U256::ZERO,
                    number: self.block_number,
                    gas_limit: self.gas_limit,
                    gas_used: self.gas_used,
                    timestamp: self.timestamp,
                    extra_data: Bytes::copy_from_slice(&self.extra_data),
                    mix_hash: self.prev_randao,
                    base_fee_per_gas: u64::try_from(self.base_fee_per_gas).ok(),
                    withdrawals_root: withdrawals(self).map(withdrawals_root),
                    blob_gas_used: blob_gas(self).map(|(used, _)| used),
                    excess_blob_gas: blob_gas(self).map(|(_, excess)| excess),
                    ..Header::default()
                }
            }
        }
    };
}
to_execution_header!(super::containers::ExecutionPayloadBellatrix; |_| None, |_| None);
to_execution_header!(super::containers::ExecutionPayloadCapella<P>, P; |p| Some(&p.withdrawals), |_| None);
to_execution_header!(super::containers::ExecutionPayloadDeneb<P>, P;
    |p| Some(&p.withdrawals), |p| Some((p.blob_gas_used, p.excess_blob_gas)));

fn withdrawals_root(withdrawals: &[Withdrawal]) -> B256 {
    let list: Vec<EipWithdrawal> = withdrawals
        .iter()
        .map(|w| EipWithdrawal {
            index: w.index,
            validator_index: w.validator_index,
            address: w.address,
            amount: w.amount,
        })
        .collect();
    ordered_trie_root(&list)
}

/// The hash that the payload's block really has.
pub fn recompute_block_hash<T: ToExecutionHeader>(payload: &T, inputs: BlockHashInputs<'_>) -> B256 {
    let mut header = payload.to_execution_header();
    header.parent_beacon_block_root = inputs.parent_beacon_block_root;
    header.requests_hash =
        inputs.execution_requests.map(|lists| Requests::new(lists.to_vec()).requests_hash());
    header.hash_slow()
}
