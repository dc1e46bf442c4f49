//! What came of a slot: the pure decision, from what was promised and what the chain has.

use alloy_primitives::{B256, I256, U256};

use super::payment::Payment;
pub use crate::events::SlotOutcome;
use crate::{ledger::SlotCase, types::Wei};

/// What the execution chain has for a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Sight {
    /// Hash of the canonical block of the slot.
    pub(super) canonical: Option<B256>,
    /// Whether the node knows the promised block, canonical or not.
    pub(super) knows_promised: bool,
}

/// Decides what came of a slot.
pub(super) fn decide(case: &SlotCase, sight: Sight) -> SlotOutcome {
    let promised = case.promised.map(|(hash, _)| hash);
    let signed = case.row.promised_block.as_deref().and_then(|text| text.parse().ok());
    let wanted: Option<B256> = promised.or(signed);
    if sight.canonical.is_some() && sight.canonical == wanted {
        return SlotOutcome::Ours;
    }
    // Known to the node, or seen in the chain before: it was published. Nodes forget what is not canonical.
    let before = case.row.outcome.as_deref();
    let was_there = sight.knows_promised
        || [SlotOutcome::Ours, SlotOutcome::Orphaned].iter().any(|outcome| before == Some(outcome.label()));
    match (sight.canonical, case.submitted) {
        (_, true) if was_there => SlotOutcome::Orphaned,
        (_, true) => SlotOutcome::NotDelivered,
        (Some(_), false) => SlotOutcome::Local,
        (None, false) if was_there || case.row.block_hash.is_some() => SlotOutcome::Orphaned,
        (None, false) => SlotOutcome::Missed,
    }
}

/// How a payment compares with its promise.
pub(super) fn compare(promised: Wei, payment: &Payment) -> &'static str {
    match payment.received {
        None => "unknown",
        Some(received) if received.is_zero() && !promised.is_zero() => "unpaid",
        Some(received) => match received.cmp(&promised.as_u256()) {
            std::cmp::Ordering::Less => "under",
            std::cmp::Ordering::Equal => "exact",
            std::cmp::Ordering::Greater => "over",
        },
    }
}

/// `received - promised` in wei.
pub(super) fn difference(promised: Wei, received: Wei) -> I256 {
    let wei = |amount: Wei| I256::try_from(amount.as_u256()).unwrap_or(I256::MAX);
    wei(received).saturating_sub(wei(promised))
}

/// What the best bid that was there in time would have paid beyond what arrived.
pub(super) fn missed_value(case: &SlotCase, received: Option<U256>) -> Option<Wei> {
    let best = case.best_bid?.as_u256();
    Some(Wei::new(best.saturating_sub(received.unwrap_or_default())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ledger::Settled,
        profit::payment::{Confidence, Method},
    };

    const PROMISED: B256 = B256::repeat_byte(1);
    const OTHER: B256 = B256::repeat_byte(2);

    fn case(submitted: bool, before: Option<&str>) -> SlotCase {
        SlotCase {
            row: Settled { outcome: before.map(str::to_owned), ..Settled::default() },
            promised: Some((PROMISED, Wei::new(U256::from(5)))),
            relays: vec!["a".to_owned(), "b".to_owned()],
            took_it: vec!["a".to_owned()],
            submitted,
            ..SlotCase::default()
        }
    }

    #[test]
    fn every_end_of_a_slot_has_its_name() {
        for (submitted, before, canonical, knows, expected) in [
            (true, None, Some(PROMISED), true, SlotOutcome::Ours),
            // Handed in through another sidecar.
            (false, None, Some(PROMISED), true, SlotOutcome::Ours),
            (false, None, Some(OTHER), false, SlotOutcome::Local),
            (false, None, None, false, SlotOutcome::Missed),
            (true, None, None, false, SlotOutcome::NotDelivered),
            (true, None, Some(OTHER), false, SlotOutcome::NotDelivered),
            (true, None, None, true, SlotOutcome::Orphaned),
            (true, Some("ours"), None, false, SlotOutcome::Orphaned),
            (true, Some("ours"), Some(OTHER), false, SlotOutcome::Orphaned),
            (false, Some("ours"), None, false, SlotOutcome::Orphaned),
            (true, Some("orphaned"), Some(PROMISED), true, SlotOutcome::Ours),
            (true, Some("orphaned"), None, false, SlotOutcome::Orphaned),
        ] {
            let sight = Sight { canonical, knows_promised: knows };
            assert_eq!(
                decide(&case(submitted, before), sight),
                expected,
                "{submitted} {before:?} {canonical:?}"
            );
        }
    }

    #[test]
    fn a_wei_counts() {
        let paid = |wei: Option<u64>| Payment {
            received: wei.map(U256::from),
            method: Method::Trace,
            confidence: Confidence::High,
            transactions: Vec::new(),
            other_inflows: U256::ZERO,
            words: String::new(),
        };
        let promised = Wei::new(U256::from(5));
        for (got, expected) in [
            (Some(5), "exact"),
            (Some(4), "under"),
            (Some(6), "over"),
            (Some(0), "unpaid"),
            (None, "unknown"),
        ] {
            assert_eq!(compare(promised, &paid(got)), expected);
        }
        assert_eq!(difference(promised, Wei::new(U256::from(4))).to_string(), "-1");
        assert_eq!(compare(Wei::ZERO, &paid(Some(0))), "exact");
    }
}
