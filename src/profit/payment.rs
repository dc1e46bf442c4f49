//! What a block paid its proposer: a pure judgement of the block's facts by the strongest method they allow.
//!
//! | method | needs | sees |
//! |---|---|---|
//! | `trace` | every transfer in the block (call traces) | payments by contracts too |
//! | `transactions` | transactions and receipts | payments that are a plain transfer |
//! | `balance` | the recipient's balance before and after | all, mixed: what is known not to be the payment is taken out |
//!
//! Which transfers are the payment: where the fee recipient of the block (`coinbase`) is the proposer's own address, its priority fees and
//! what contracts pay it (`fees.rs`). Else what the coinbase address pays it, anywhere in the block; then what the block's last transactions pay it;
//! then a transfer of just the promised amount. All other inflows are somebody's deposit, and are not the builder's payment:
//! beaconcha.in issue 3163 and the relays' withdrawal incident of 2023-24 are what comes of adding everything up.

use alloy_primitives::{Address, B256, I256, U256};

use super::fees::{FeeIncome, judge_fees};
use crate::ethereum::Transfer;
pub use crate::events::{Confidence, Method};

/// Transactions at the end of a block that are looked at for a payment by an address other than the coinbase. A builder's payment is
/// last; after it come refunds and distributions at most (Rated's study of 23,000 blocks, 2023).
const TAIL: usize = 4;

/// Gwei in wei.
const GWEI: u64 = 1_000_000_000;

/// A transaction, as far as money goes. All in wei.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionFacts {
    /// Its hash, by which it is known.
    pub hash: B256,
    /// Address of whoever signed it.
    pub from: Address,
    /// Who it calls.
    pub to: Option<Address>,
    /// Sent along.
    pub value: U256,
    /// Whether it succeeded.
    pub succeeded: bool,
    /// Priority fee: what the coinbase got of its gas.
    pub tip: U256,
    /// All that its gas and blobs cost its sender.
    pub cost: U256,
}

/// A block, as far as the proposer's money goes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PaymentFacts {
    /// Who gets the priority fees.
    pub coinbase: Address,
    /// Who was to be paid.
    pub recipient: Address,
    /// Its transactions in order.
    pub transactions: Vec<TransactionFacts>,
    /// Withdrawals to the recipient, in gwei.
    pub withdrawals_gwei: u64,
    /// Every transfer, where the node traces.
    pub transfers: Option<Vec<Transfer>>,
    /// The recipient's balance before and after, where the node has both.
    pub balances: Option<(U256, U256)>,
    /// Value of the returned bid; none where no bid was returned.
    pub promised: Option<U256>,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payment {
    /// What reached the recipient from the builder; `None` when that cannot be known.
    pub received: Option<U256>,
    /// How that was found.
    pub method: Method,
    /// How sure that is. Nobody is blamed on `low` or `none`.
    pub confidence: Confidence,
    /// The transactions that paid, in the block's order. None where fees are the payment.
    pub transactions: Vec<B256>,
    /// What else reached the recipient in the block, and is not the payment.
    pub other_inflows: U256,
    /// What happened, as a sentence for people. Nothing is decided by it.
    pub message: String,
}

impl Payment {
    /// Nothing can be known, and why.
    pub fn unknown(message: impl Into<String>) -> Self {
        Self {
            received: None,
            method: Method::None,
            confidence: Confidence::None,
            transactions: Vec::new(),
            other_inflows: U256::ZERO,
            message: message.into(),
        }
    }
}

/// Judges a block.
pub fn judge(block: &PaymentFacts) -> Payment {
    if let Some(transfers) = &block.transfers {
        return by_transfers(block, transfers, Method::Trace);
    }
    let plain = plain_transfers(block);
    let found = by_transfers(block, &plain, Method::Transactions);
    // Plain transfers that add up to the promise leave nothing to be found elsewhere; less may be hidden in a contract.
    let holds = found
        .received
        .is_some_and(|got| !got.is_zero() && block.promised.is_none_or(|promised| got >= promised));
    if holds && block.coinbase != block.recipient {
        return found;
    }
    match block.balances {
        Some((before, after)) => by_balance(block, &plain, before, after, &found),
        None if found.received.is_some_and(|got| !got.is_zero()) => Payment {
            confidence: Confidence::Low,
            message: format!(
                "{}; the node has neither traces nor that block's balances: a contract may have paid more",
                found.message
            ),
            ..found
        },
        None => Payment::unknown(
            "no transaction pays the recipient, and the node has neither traces nor that block's balances",
        ),
    }
}

/// Top-level transfers of transactions that succeeded.
fn plain_transfers(block: &PaymentFacts) -> Vec<Transfer> {
    let plain = block.transactions.iter().enumerate().filter_map(|(transaction, tx)| {
        let to = tx.to.filter(|_| tx.succeeded && !tx.value.is_zero())?;
        Some(Transfer { transaction, from: tx.from, to, value: tx.value })
    });
    plain.collect()
}

fn by_transfers(block: &PaymentFacts, transfers: &[Transfer], method: Method) -> Payment {
    let inflows = Inflows::of(block, transfers, method);
    if block.coinbase == block.recipient {
        return by_fees(block, &inflows.all, method);
    }
    inflows
        .by_builder()
        .or_else(|| inflows.by_exact_amount())
        .or_else(|| inflows.by_the_end())
        .unwrap_or_else(|| {
            let message = if inflows.all.is_empty() {
                "nothing in the block pays the recipient"
            } else {
                "no transfer in the block looks like the builder's payment"
            };
            inflows.found(&[], inflows.seen_all(), message)
        })
}

/// What others send the recipient in a block, and which of it can be the payment.
struct Inflows<'a> {
    block: &'a PaymentFacts,
    method: Method,
    all: Vec<&'a Transfer>,
    /// By transactions at the block's end that are not the block's fee recipient's.
    tail: Vec<&'a Transfer>,
}

impl<'a> Inflows<'a> {
    fn of(block: &'a PaymentFacts, transfers: &'a [Transfer], method: Method) -> Self {
        // What the recipient sends itself is no inflow.
        let is_inflow =
            |transfer: &&Transfer| transfer.to == block.recipient && transfer.from != block.recipient;
        let all: Vec<&Transfer> = transfers.iter().filter(is_inflow).collect();
        let count = block.transactions.len();
        let is_tail = |transfer: &&Transfer| {
            transfer.transaction + TAIL >= count && sender(block, transfer) != Some(block.coinbase)
        };
        let tail = all.iter().copied().filter(is_tail).collect();
        Self { block, method, all, tail }
    }

    /// How sure it is that nothing else was paid.
    const fn seen_all(&self) -> Confidence {
        match self.method {
            Method::Trace => Confidence::High,
            Method::Transactions | Method::Balance | Method::Answers | Method::Chain | Method::None => {
                Confidence::Medium
            }
        }
    }

    fn is_promised(&self, amount: U256) -> bool {
        self.block.promised == Some(amount)
    }

    fn found(&self, chosen: &[&Transfer], confidence: Confidence, message: &str) -> Payment {
        let mut transactions: Vec<B256> = Vec::new();
        for transfer in chosen {
            if let Some(tx) = self.block.transactions.get(transfer.transaction)
                && !transactions.contains(&tx.hash)
            {
                transactions.push(tx.hash);
            }
        }
        Payment {
            received: Some(sum(chosen)),
            method: self.method,
            confidence,
            transactions,
            other_inflows: sum(&self.all).saturating_sub(sum(chosen)),
            message: message.to_owned(),
        }
    }

    /// What the block's fee recipient pays.
    fn by_builder(&self) -> Option<Payment> {
        let is_its = |transfer: &&Transfer| sender(self.block, transfer) == Some(self.block.coinbase);
        let its: Vec<&Transfer> = self.all.iter().copied().filter(is_its).collect();
        if its.is_empty() {
            return None;
        }
        let paid = sum(&its);
        let is_short = self.block.promised.is_some_and(|promised| paid < promised);
        let both: Vec<&Transfer> = its.iter().chain(&self.tail).copied().collect();
        // A distribution beside the builder's own payment (merged blocks): only where both together are what was promised, so that
        // nobody's deposit at the end of a block hides that the builder paid too little.
        if is_short && !self.tail.is_empty() && self.is_promised(sum(&both)) {
            let message =
                "the builder's payment and one of another address at the block's end, together as promised";
            return Some(self.found(&both, Confidence::Medium, message));
        }
        let confidence = if self.is_promised(paid) { Confidence::High } else { self.seen_all() };
        Some(self.found(&its, confidence, "paid by the block's fee recipient"))
    }

    /// A transfer of just the promised amount, wherever it stands.
    fn by_exact_amount(&self) -> Option<Payment> {
        let exact = self.all.iter().copied().find(|transfer| self.is_promised(transfer.value))?;
        let message = "paid by another address than the block's fee recipient, just what was promised";
        Some(self.found(&[exact], Confidence::High, message))
    }

    /// The last of the tail that pays: one transaction, whoever else is in the tail.
    fn by_the_end(&self) -> Option<Payment> {
        let last = self.tail.iter().map(|transfer| transfer.transaction).max()?;
        let paying: Vec<&Transfer> = self.tail.iter().copied().filter(|t| t.transaction == last).collect();
        let message = "paid by another address than the block's fee recipient, at the block's end";
        Some(self.found(&paying, Confidence::Medium, message))
    }
}

fn sender(block: &PaymentFacts, transfer: &Transfer) -> Option<Address> {
    block.transactions.get(transfer.transaction).map(|tx| tx.from)
}

fn sum(transfers: &[&Transfer]) -> U256 {
    transfers.iter().fold(U256::ZERO, |sum, transfer| sum.saturating_add(transfer.value))
}

/// Whether a transfer is the value of a transaction to the recipient: a deposit, if nothing says otherwise. What a contract pays is none.
fn is_plain(block: &PaymentFacts, transfer: &Transfer) -> bool {
    block
        .transactions
        .get(transfer.transaction)
        .is_some_and(|tx| tx.from == transfer.from && tx.to == Some(transfer.to))
}

/// What a block pays whose fees go to the recipient itself.
fn by_fees(block: &PaymentFacts, inflows: &[&Transfer], method: Method) -> Payment {
    // The fees of its own transactions go from the recipient to the recipient.
    let others = block.transactions.iter().filter(|tx| tx.from != block.recipient);
    let fees = others.fold(U256::ZERO, |sum, tx| sum.saturating_add(tx.tip));
    let (plain, by_contracts): (Vec<&Transfer>, Vec<&Transfer>) =
        inflows.iter().copied().partition(|transfer| is_plain(block, transfer));
    let value = |transfer: &&Transfer| transfer.value;
    let found = judge_fees(
        &FeeIncome {
            fees,
            by_contracts: by_contracts.iter().map(value).collect(),
            plain: plain.iter().map(value).collect(),
        },
        block.promised,
    );
    let hash = |transfer: &&Transfer| block.transactions.get(transfer.transaction).map(|tx| tx.hash);
    let counted = by_contracts.iter().filter(|_| found.counts_contracts);
    let counted = counted.chain(found.plain.iter().filter_map(|index| plain.get(*index)));
    let mut paying: Vec<(usize, B256)> =
        counted.filter_map(|transfer| Some((transfer.transaction, hash(transfer)?))).collect();
    paying.sort_unstable();
    paying.dedup();
    // Without traces what contracts pay is not seen.
    let most = if method == Method::Trace { Confidence::High } else { Confidence::Medium };
    Payment {
        received: Some(found.received),
        method,
        confidence: found.confidence.min(most),
        transactions: paying.into_iter().map(|(_, hash)| hash).collect(),
        other_inflows: found.other_inflows,
        message: format!("the block's fee recipient is the proposer's: {}", found.message),
    }
}

/// Plain transfers of others to the recipient.
fn plain_inflows<'a>(block: &PaymentFacts, plain: &'a [Transfer]) -> impl Iterator<Item = &'a Transfer> {
    let recipient = block.recipient;
    plain.iter().filter(move |transfer| transfer.to == recipient && transfer.from != recipient)
}

/// The same without traces: `income` is what the balance grew by beside plain transfers, whoever paid it.
fn by_fees_and_balance(block: &PaymentFacts, plain: &[Transfer], income: U256, seen: &Payment) -> Payment {
    let inflows: Vec<&Transfer> = plain_inflows(block, plain).collect();
    let values = inflows.iter().map(|transfer| transfer.value).collect();
    let found =
        judge_fees(&FeeIncome { fees: income, by_contracts: Vec::new(), plain: values }, block.promised);
    let is_exact = block.promised == Some(found.received);
    let paying = found.plain.iter().filter_map(|index| inflows.get(*index));
    let hashes = paying.filter_map(|transfer| Some(block.transactions.get(transfer.transaction)?.hash));
    Payment {
        received: Some(found.received),
        method: Method::Balance,
        confidence: if is_exact { Confidence::High } else { Confidence::Low },
        transactions: hashes.collect(),
        other_inflows: found.other_inflows,
        message: format!("{}; by the change of the balance", seen.message),
    }
}

/// What the balance says: its difference, without withdrawals, with what the recipient itself spent, without others' plain transfers.
fn by_balance(
    block: &PaymentFacts,
    plain: &[Transfer],
    before: U256,
    after: U256,
    found: &Payment,
) -> Payment {
    let wei = |amount: U256| I256::try_from(amount).unwrap_or(I256::MAX);
    let own = block.transactions.iter().filter(|tx| tx.from == block.recipient);
    let spent = own.fold(U256::ZERO, |sum, tx| {
        let leaves = tx.succeeded && tx.to != Some(block.recipient);
        // Where the recipient is the coinbase, its own tips come back to it.
        let tip = if block.coinbase == block.recipient { tx.tip } else { U256::ZERO };
        sum.saturating_add(tx.cost).saturating_sub(tip).saturating_add(if leaves {
            tx.value
        } else {
            U256::ZERO
        })
    });
    let is_payment = |transfer: &&Transfer| {
        let hash = block.transactions.get(transfer.transaction).map(|tx| tx.hash);
        block.coinbase != block.recipient && hash.is_some_and(|hash| found.transactions.contains(&hash))
    };
    let others = plain_inflows(block, plain)
        .filter(|t| !is_payment(t))
        .fold(U256::ZERO, |sum, t| sum.saturating_add(t.value));
    let withdrawals = U256::from(block.withdrawals_gwei).saturating_mul(U256::from(GWEI));
    let difference = wei(after).saturating_sub(wei(before));
    let payment =
        difference.saturating_sub(wei(withdrawals)).saturating_add(wei(spent)).saturating_sub(wei(others));
    // Below nothing: the recipient is a contract that paid out in this block, and its balance tells nothing.
    let Ok(received) = U256::try_from(payment) else {
        let message = format!(
            "the recipient's balance fell by {} wei beyond its own transactions",
            payment.unsigned_abs()
        );
        return Payment::unknown(message);
    };
    if block.coinbase == block.recipient {
        return by_fees_and_balance(block, plain, received, found);
    }
    let exact = block.promised == Some(received);
    Payment {
        received: Some(received),
        method: Method::Balance,
        // Just the promised amount by chance: not to be believed. Another amount may have reasons nobody sees without traces.
        confidence: if exact { Confidence::High } else { Confidence::Low },
        transactions: found.transactions.clone(),
        other_inflows: others,
        message: format!(
            "balance {difference} wei, withdrawals {withdrawals}, spent by the recipient {spent}, from others {others}"
        ),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BUILDER: Address = Address::repeat_byte(0xb1);
    const US: Address = Address::repeat_byte(0xaa);
    const USER: Address = Address::repeat_byte(0x05);
    const OTHER: Address = Address::repeat_byte(0x0e);
    const CONTRACT: Address = Address::repeat_byte(0xcc);

    fn wei(n: u64) -> U256 {
        U256::from(n)
    }

    fn tx(n: u8, from: Address, to: Address, value: u64) -> TransactionFacts {
        let (value, tip, cost) = (wei(value), wei(10), wei(100));
        TransactionFacts { hash: B256::repeat_byte(n), from, to: Some(to), value, succeeded: true, tip, cost }
    }

    /// A block of plain transactions; traced, with a contract that passes on what it gets to us.
    fn block(transactions: Vec<TransactionFacts>, promised: u64) -> PaymentFacts {
        let block = PaymentFacts {
            coinbase: BUILDER,
            recipient: US,
            transactions,
            promised: Some(wei(promised)),
            ..PaymentFacts::default()
        };
        let mut transfers = plain_transfers(&block);
        let passed: Vec<Transfer> = transfers
            .iter()
            .filter(|t| t.to == CONTRACT)
            .map(|t| Transfer { from: CONTRACT, to: US, ..*t })
            .collect();
        transfers.extend(passed);
        PaymentFacts { transfers: Some(transfers), ..block }
    }

    /// The same without traces, with balances that are right.
    fn untraced(block: &PaymentFacts) -> PaymentFacts {
        let before = wei(1_000_000);
        let moved = block.transfers.clone().unwrap_or_default();
        let mut after = before + wei(block.withdrawals_gwei) * wei(GWEI);
        for transfer in moved {
            if transfer.to == US {
                after += transfer.value;
            }
            if transfer.from == US {
                after -= transfer.value;
            }
        }
        for tx in &block.transactions {
            if tx.from == US {
                after -= tx.cost;
            }
            if block.coinbase == US {
                after += tx.tip;
            }
        }
        PaymentFacts { transfers: None, balances: Some((before, after)), ..block.clone() }
    }

    #[test]
    fn every_way_of_paying_is_found_by_every_method() {
        let user = || tx(1, USER, OTHER, 7);
        let rows: Vec<(&str, PaymentFacts, u64)> = vec![
            ("last", block(vec![user(), tx(2, BUILDER, US, 500)], 500), 500),
            (
                "not last",
                block(vec![tx(2, BUILDER, US, 500), user(), user(), user(), user(), user()], 500),
                500,
            ),
            ("by another address", block(vec![user(), tx(2, OTHER, US, 500)], 500), 500),
            ("through a contract", block(vec![user(), tx(2, BUILDER, CONTRACT, 500)], 500), 500),
            ("a wei too little", block(vec![user(), tx(2, BUILDER, US, 499)], 500), 499),
            ("more than promised", block(vec![user(), tx(2, BUILDER, US, 501)], 500), 501),
            ("in two parts", block(vec![tx(1, BUILDER, US, 300), tx(2, BUILDER, US, 200)], 500), 500),
            ("a deposit beside it", block(vec![tx(1, USER, US, 9000), tx(2, BUILDER, US, 500)], 500), 500),
            ("a deposit at the end", block(vec![tx(2, BUILDER, US, 499), tx(1, USER, US, 9000)], 500), 499),
            ("nothing", block(vec![user()], 500), 0),
            ("merged", block(vec![tx(1, BUILDER, US, 300), tx(2, OTHER, US, 200)], 500), 500),
            (
                "spent in the same block",
                block(vec![tx(3, US, OTHER, 800), tx(2, BUILDER, US, 500)], 500),
                500,
            ),
            (
                "with a withdrawal",
                PaymentFacts { withdrawals_gwei: 3, ..block(vec![user(), tx(2, BUILDER, US, 500)], 500) },
                500,
            ),
            (
                "with a withdrawal, through a contract",
                PaymentFacts {
                    withdrawals_gwei: 3,
                    ..block(vec![user(), tx(2, BUILDER, CONTRACT, 500)], 500)
                },
                500,
            ),
            (
                "our own address collects the fees",
                PaymentFacts {
                    coinbase: US,
                    ..block(vec![user(), tx(2, USER, US, 500), tx(3, US, OTHER, 3)], 520)
                },
                520,
            ),
            (
                "our own address collects the fees, and somebody withdraws from an exchange to it",
                PaymentFacts { coinbase: US, ..block(vec![user(), tx(2, USER, US, 9000)], 20) },
                20,
            ),
            (
                "our own address collects fees and a contract's payment, with a deposit",
                PaymentFacts {
                    coinbase: US,
                    ..block(vec![user(), tx(2, USER, US, 9000), tx(3, OTHER, CONTRACT, 40)], 70)
                },
                70,
            ),
        ];
        for (name, block, expected) in rows {
            let traced = judge(&block);
            assert_eq!(traced.received, Some(wei(expected)), "{name}: {traced:?}");
            assert_eq!(traced.method, Method::Trace);
            let other = judge(&untraced(&block));
            assert_eq!(other.received, Some(wei(expected)), "{name}, no traces: {other:?}");
            assert_ne!(other.method, Method::Trace);
        }
    }

    /// Without traces the balance shows what contracts paid: with a transfer it makes up the promise.
    #[test]
    fn a_promise_is_made_up_of_fees_and_transfers_by_balances_too() {
        let paid = PaymentFacts {
            coinbase: US,
            ..block(vec![tx(1, OTHER, CONTRACT, 40), tx(2, USER, US, 500), tx(3, USER, US, 9000)], 570)
        };
        for judged in [judge(&paid), judge(&untraced(&paid))] {
            assert_eq!(
                (judged.received, judged.confidence),
                (Some(wei(570)), Confidence::High),
                "{judged:?}"
            );
            assert_eq!(judged.other_inflows, wei(9000));
        }
    }

    /// A block built locally, without a promise: what it was worth are its fees, not the 32 ETH that came from an exchange.
    #[test]
    fn a_deposit_is_not_what_a_local_block_was_worth() {
        let local = PaymentFacts {
            coinbase: US,
            promised: None,
            ..block(vec![tx(1, USER, OTHER, 7), tx(2, USER, US, 32_000)], 0)
        };
        let traced = judge(&local);
        assert_eq!((traced.received, traced.confidence), (Some(wei(20)), Confidence::High));
        assert_eq!((traced.other_inflows, traced.transactions), (wei(32_000), Vec::new()));
        let balance = judge(&untraced(&local));
        assert_eq!((balance.received, balance.other_inflows), (Some(wei(20)), wei(32_000)));
        assert_eq!(balance.confidence, Confidence::Low);
    }

    #[test]
    fn a_failed_payment_pays_nothing() {
        let mut failed = tx(2, BUILDER, US, 500);
        failed.succeeded = false;
        assert_eq!(judge(&block(vec![failed], 500)).received, Some(U256::ZERO));
    }

    #[test]
    fn what_cannot_be_known_is_said_to_be_unknown() {
        let hidden = PaymentFacts { transfers: None, ..block(vec![tx(2, BUILDER, CONTRACT, 500)], 500) };
        let payment = judge(&hidden);
        assert_eq!((payment.received, payment.method), (None, Method::None));
        let seen = PaymentFacts { transfers: None, ..block(vec![tx(2, BUILDER, US, 500)], 500) };
        assert_eq!(judge(&seen).received, Some(wei(500)));
        let short = judge(&PaymentFacts { transfers: None, ..block(vec![tx(2, BUILDER, US, 400)], 500) });
        assert_eq!((short.received, short.confidence), (Some(wei(400)), Confidence::Low));
        // A vault that pays out more than it got: its balance tells nothing.
        let vault = PaymentFacts { balances: Some((wei(900), wei(100))), ..hidden };
        assert_eq!(judge(&vault).received, None);
    }

    proptest! {
        /// Whatever else happens in the block, an honest payment by the builder is found to the wei, by traces and by balances.
        #[test]
        fn an_honest_payment_is_found_among_noise(
            noise in proptest::collection::vec((0u8..4, 0u8..4, 0u64..1000), 0..12),
            at in 0usize..12, paid in 1u64..1_000_000, withdrawn in 0u64..5,
        ) {
            let who = |n: u8| [USER, OTHER, US, CONTRACT][usize::from(n)];
            let mut list: Vec<TransactionFacts> = Vec::new();
            for (n, (from, to, value)) in (10u8..).zip(noise) {
                // Contracts sign nothing; a transfer through the contract to us is a deposit nobody could see in balances.
                if from != 3 && to != 3 {
                    list.push(tx(n, who(from), who(to), value));
                }
            }
            let at = at.min(list.len());
            list.insert(at, tx(1, BUILDER, US, paid));
            let block = PaymentFacts { withdrawals_gwei: withdrawn, ..block(list, paid) };
            prop_assert_eq!(judge(&block).received, Some(wei(paid)));
            prop_assert_eq!(judge(&untraced(&block)).received, Some(wei(paid)));
            let silent = PaymentFacts { promised: None, ..untraced(&block) };
            prop_assert_eq!(judge(&silent).received, Some(wei(paid)));
        }
    }
}
