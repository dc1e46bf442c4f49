//! What a slot's block paid, asked of the execution node.

use alloy_primitives::{Address, U256};

use super::{WatchError, Watcher};
use crate::{
    ethereum::{Block, BlockId, NodeError, Receipt},
    events::PaymentVerdict,
    ledger::{Settled, SlotCase},
    profit::{
        payment::{Payment, PaymentFacts, TransactionFacts, judge},
        settle::{Income, SlotOutcome, compare, missed_value},
    },
    types::Wei,
};

impl Watcher {
    /// Fills in what a slot's block paid.
    pub(super) async fn pay(
        &self,
        row: &mut Settled,
        case: &SlotCase,
        outcome: SlotOutcome,
        block: Option<&Block>,
    ) -> Result<(), WatchError> {
        row.payment = None;
        row.received_wei = None;
        row.method = None;
        row.confidence = None;
        row.transactions = None;
        row.other_inflows_wei = None;
        row.withdrawals_gwei = None;
        row.block_number = block.and_then(|block| i64::try_from(block.number.to::<u64>()).ok());
        row.coinbase = block.map(|block| block.coinbase.to_string());
        let is_ours_or_local = matches!(outcome, SlotOutcome::Ours | SlotOutcome::Local);
        let Some(block) = block.filter(|_| is_ours_or_local) else {
            row.missed_value_wei = missed_value(case, Income::NoBlock).map(|value| value.to_string());
            row.message = match outcome {
                SlotOutcome::NotDelivered => {
                    format!(
                        "the block was signed and handed in, {} took it, and it is not on chain",
                        listed(&case.took_it)
                    )
                }
                SlotOutcome::Orphaned => "there was a block, and the chain went on without it".to_owned(),
                SlotOutcome::Missed | SlotOutcome::Ours | SlotOutcome::Local => {
                    "no block, and none was signed through this sidecar".to_owned()
                }
            };
            return Ok(());
        };
        let promised = case.promised.filter(|_| outcome == SlotOutcome::Ours).map(|(_, value)| value);
        // A local block without a known registration pays whoever it names.
        let recipient = case.fee_recipient.or((outcome == SlotOutcome::Local).then_some(block.coinbase));
        let (payment, withdrawals) = match recipient {
            Some(recipient) => self.payment(row.slot, block, recipient, promised).await?,
            None => {
                (Payment::unknown("the validator's fee recipient is not known: it never registered here"), 0)
            }
        };
        row.withdrawals_gwei = Some(withdrawals.cast_signed());
        row.received_wei = payment.received.map(|wei| wei.to_string());
        row.method = Some(payment.method.into());
        row.confidence = Some(payment.confidence.into());
        let hashes: Vec<String> = payment.transactions.iter().map(ToString::to_string).collect();
        row.transactions = Some(hashes.join(","));
        row.other_inflows_wei = Some(payment.other_inflows.to_string());
        let income = payment.received.map_or(Income::Unknown, Income::Paid);
        row.missed_value_wei = missed_value(case, income).map(|value| value.to_string());
        if outcome == SlotOutcome::Ours {
            row.payment =
                Some(promised.map_or(PaymentVerdict::Unknown, |promised| compare(promised, &payment)).into());
        }
        row.message = payment.message;
        Ok(())
    }

    /// What a block paid a recipient; and the withdrawals to it, in gwei.
    async fn payment(
        &self,
        slot: u64,
        head: &Block,
        recipient: Address,
        promised: Option<Wei>,
    ) -> Result<(Payment, u64), WatchError> {
        let node = &self.parts.execution;
        let Some(block) = node.block(BlockId::Hash(head.hash), true).await? else {
            return Ok((Payment::unknown("the node has forgotten the block's transactions"), 0));
        };
        let ours = block.withdrawals.iter().filter(|withdrawal| withdrawal.address == recipient);
        let withdrawals_gwei = ours.fold(0_u64, |sum, w| sum.saturating_add(w.amount.to()));
        let receipts = match node.receipts(&block).await {
            Ok(receipts) => receipts,
            Err(error) if error.is_answer() => {
                return Ok((Payment::unknown(format!("no receipts: {error}")), withdrawals_gwei));
            }
            Err(error) => return Err(error.into()),
        };
        let mut facts = payment_facts(&block, &receipts, recipient, withdrawals_gwei, promised);
        facts.transfers = match node.transfers(&block).await {
            Ok(transfers) => transfers,
            Err(error) if error.is_answer() => None,
            // A trace may take any time, and the slots after this one wait: transactions and balances tell, too.
            Err(error) if error.is_timeout() && self.timeouts.are_over(&slot) => None,
            Err(error) => return Err(error.into()),
        };
        if facts.transfers.is_none() {
            let number = block.number.to::<u64>();
            let balances = async {
                let before = node.balance(recipient, number.saturating_sub(1)).await?;
                Ok((before, node.balance(recipient, number).await?))
            };
            facts.balances = match balances.await {
                Ok(both) => Some(both),
                Err(error) if NodeError::is_answer(&error) => None,
                Err(error) => return Err(error.into()),
            };
        }
        Ok((judge(&facts), withdrawals_gwei))
    }
}

fn listed(names: &[String]) -> String {
    if names.is_empty() { "no relay".to_owned() } else { names.join(", ") }
}

fn payment_facts(
    block: &Block,
    receipts: &[Receipt],
    recipient: Address,
    withdrawals_gwei: u64,
    promised: Option<Wei>,
) -> PaymentFacts {
    let transactions = block.transactions.iter().zip(receipts).map(|(tx, receipt)| {
        let gas = U256::from(receipt.gas_used);
        let blobs = U256::from(receipt.blob_gas_used.unwrap_or_default())
            .saturating_mul(receipt.blob_gas_price.unwrap_or_default());
        TransactionFacts {
            hash: tx.hash,
            from: tx.from,
            to: tx.to,
            value: tx.value,
            succeeded: !receipt.status.is_zero(),
            tip: gas.saturating_mul(receipt.effective_gas_price.saturating_sub(block.base_fee_per_gas)),
            cost: gas.saturating_mul(receipt.effective_gas_price).saturating_add(blobs),
        }
    });
    PaymentFacts {
        coinbase: block.coinbase,
        recipient,
        transactions: transactions.collect(),
        withdrawals_gwei,
        transfers: None,
        balances: None,
        promised: promised.map(Wei::as_u256),
    }
}
