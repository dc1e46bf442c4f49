//! What a block pays whose fee recipient is the proposer's own address. Pure.
//!
//! Its priority fees are income, and so is what contracts pay it: searchers pay `block.coinbase` that way. A plain transfer to it is
//! somebody's deposit (an exchange's withdrawal of 32 ETH is not what the block was worth), unless it makes up the promise to the wei: some
//! builders leave the proposer the fees and add what is missing. Only where nothing is left to guess is the confidence high.

use alloy_primitives::U256;

use crate::events::Confidence;

/// What came in, in wei.
#[derive(Clone, Debug, Default)]
pub(super) struct FeeIncome {
    /// Priority fees of others' transactions.
    pub(super) fees: U256,
    /// Wei of each transfer to the recipient that a contract made.
    pub(super) by_contracts: Vec<U256>,
    /// Transactions' own values.
    pub(super) plain: Vec<U256>,
}

/// What of it is the block's payment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FeeVerdict {
    pub(super) received: U256,
    pub(super) other_inflows: U256,
    pub(super) confidence: Confidence,
    /// Whether what contracts paid is part of it.
    pub(super) counts_contracts: bool,
    /// Which plain transfers are part of it.
    pub(super) plain: Vec<usize>,
    pub(super) message: &'static str,
}

/// Judges it against what was promised, if anything was.
pub(super) fn judge_fees(income: &FeeIncome, promised: Option<U256>) -> FeeVerdict {
    let sum = |values: &[U256]| values.iter().fold(U256::ZERO, |sum, value| sum.saturating_add(*value));
    let (contracts, deposits) = (sum(&income.by_contracts), sum(&income.plain));
    let all = income.fees.saturating_add(contracts).saturating_add(deposits);
    let found = |received: U256, counts_contracts, plain, confidence, message| FeeVerdict {
        received,
        other_inflows: all.saturating_sub(received),
        confidence,
        counts_contracts,
        plain,
        message,
    };
    let usual = income.fees.saturating_add(contracts);
    for (counts_contracts, base) in [(true, usual), (false, income.fees)] {
        let Some(missing) = promised.and_then(|promised| promised.checked_sub(base)) else { continue };
        if missing.is_zero() {
            let message = if counts_contracts {
                "its priority fees and what contracts paid it are what was promised"
            } else {
                "its priority fees are what was promised"
            };
            return found(base, counts_contracts, Vec::new(), Confidence::High, message);
        }
        let one = income.plain.iter().position(|value| *value == missing).map(|index| vec![index]);
        let every = (missing == deposits).then(|| (0..income.plain.len()).collect());
        if let Some(plain) = one.or(every) {
            let message = "its priority fees and transfers to it are together what was promised";
            return found(base.saturating_add(missing), counts_contracts, plain, Confidence::High, message);
        }
    }
    let (confidence, message) = match promised {
        // The fees alone would be too little, with the deposits it would be enough: whose the deposits are decides, and nobody can say.
        Some(promised) if usual < promised && all >= promised => (
            Confidence::Low,
            "its priority fees and what contracts paid it; transfers to it may be deposits or the rest of the payment",
        ),
        _ if income.by_contracts.is_empty()
            && (deposits.is_zero() || promised.is_none_or(|p| usual >= p)) =>
        {
            (Confidence::High, "its priority fees")
        }
        _ => (Confidence::Medium, "its priority fees and what contracts paid it"),
    };
    found(usual, true, Vec::new(), confidence, message)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn income(fees: u64, by_contracts: &[u64], plain: &[u64]) -> FeeIncome {
        let wei = |values: &[u64]| values.iter().copied().map(U256::from).collect();
        FeeIncome { fees: U256::from(fees), by_contracts: wei(by_contracts), plain: wei(plain) }
    }

    #[test]
    fn a_deposit_is_no_income_unless_it_makes_up_the_promise() {
        use Confidence::{High, Low, Medium};
        let deposit = 32_000_000;
        for (name, income, promised, received, confidence) in [
            ("fees alone", income(20, &[], &[]), Some(20), 20, High),
            ("a local block", income(20, &[], &[]), None, 20, High),
            ("a local block and a withdrawal from an exchange", income(20, &[], &[deposit]), None, 20, High),
            ("a local block that searchers pay", income(20, &[7, 3], &[deposit]), None, 30, Medium),
            ("fees as promised and a deposit", income(20, &[], &[deposit]), Some(20), 20, High),
            ("fees and a top-up as promised", income(20, &[], &[500]), Some(520), 520, High),
            ("and a deposit beside", income(20, &[], &[deposit, 500]), Some(520), 520, High),
            ("two top-ups", income(20, &[], &[400, 100]), Some(520), 520, High),
            ("what contracts pay counts", income(20, &[30], &[deposit]), Some(50), 50, High),
            ("a contract's deposit does not", income(20, &[deposit], &[]), Some(20), 20, High),
            ("too little, however one counts", income(20, &[], &[5]), Some(100), 20, Medium),
            ("too little, and nothing else came", income(20, &[], &[]), Some(100), 20, High),
            (
                "too little without a deposit that may be the rest",
                income(20, &[], &[deposit]),
                Some(100),
                20,
                Low,
            ),
            ("more than promised", income(120, &[], &[5]), Some(100), 120, High),
        ] {
            let found = judge_fees(&income, promised.map(U256::from));
            assert_eq!(
                (found.received, found.confidence),
                (U256::from(received), confidence),
                "{name}: {found:?}"
            );
        }
    }

    proptest! {
        /// Nothing is counted twice, nothing is left out, and fees always count.
        #[test]
        fn income_and_deposits_are_all_that_came(
            fees in 0u64..1000, contracts in proptest::collection::vec(0u64..1000, 0..4),
            plain in proptest::collection::vec(0u64..1000, 0..4), promised in proptest::option::of(0u64..3000),
        ) {
            let income = income(fees, &contracts, &plain);
            let found = judge_fees(&income, promised.map(U256::from));
            let all = fees + contracts.iter().sum::<u64>() + plain.iter().sum::<u64>();
            prop_assert_eq!(found.received + found.other_inflows, U256::from(all));
            prop_assert!(found.received >= U256::from(fees));
            let counted: U256 = found.plain.iter().map(|index| income.plain[*index]).sum();
            let contracts: U256 = income.by_contracts.iter().copied().filter(|_| found.counts_contracts).sum();
            prop_assert_eq!(found.received, U256::from(fees) + contracts + counted);
            // A deposit never turns a promise kept into more than that.
            if promised.is_some_and(|promised| promised == fees) && income.by_contracts.is_empty() {
                prop_assert_eq!(found.received, U256::from(fees));
            }
        }
    }
}
