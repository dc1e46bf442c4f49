//! What came of a slot: the pure decision, from what was promised and what the chain has.

use alloy_primitives::{B256, I256, U256};

use super::payment::Payment;
pub use crate::events::{SlotOutcome, SlotStatus};
use crate::{
    events::{Confidence, PaymentVerdict},
    ledger::{Settled, SlotCase},
    types::Wei,
};

/// Looks at a slot that the node cannot tell before it is given up: over some 21 hours, time to mend a node.
const LOOKS: i64 = 12;
/// The first pause between two looks, doubled up to the longest.
const FIRST_PAUSE_MS: i64 = 60_000;
const LONGEST_PAUSE_MS: i64 = 6 * 3_600_000;

/// When a slot is looked at again that the node could not tell `refusals` times in a row, in milliseconds from now; `None`: never.
fn next_look_ms(refusals: i64) -> Option<i64> {
    if refusals >= LOOKS {
        return None;
    }
    let doublings = u32::try_from(refusals.clamp(1, 32) - 1).unwrap_or(0);
    Some(FIRST_PAUSE_MS.saturating_mul(1 << doublings).min(LONGEST_PAUSE_MS))
}

/// Enters that the node could not tell of a slot once more, and why: it is looked at later again, or given up. Whether it is given up.
pub(super) fn put_off(row: &mut Settled, reason: &str, now: i64) -> bool {
    row.refusals = row.refusals.saturating_add(1);
    row.looked_at = now;
    if let Some(pause) = next_look_ms(row.refusals) {
        row.look_after = now.saturating_add(pause);
        return false;
    }
    row.status = SlotStatus::Unknowable.into();
    let seen = if row.outcome.is_some() { "seen at the head, never proven final" } else { "never seen" };
    row.message = format!("given up after {} looks, {seen}: {reason}", row.refusals);
    true
}

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
    let was_seen = match case.row.known_outcome() {
        Some(SlotOutcome::Ours | SlotOutcome::Orphaned) => true,
        Some(SlotOutcome::Local | SlotOutcome::Missed | SlotOutcome::NotDelivered) | None => false,
    };
    let was_there = sight.knows_promised || was_seen;
    match (sight.canonical, case.submitted) {
        (_, true) if was_there => SlotOutcome::Orphaned,
        (_, true) => SlotOutcome::NotDelivered,
        (Some(_), false) => SlotOutcome::Local,
        (None, false) if was_there || case.row.block_hash.is_some() => SlotOutcome::Orphaned,
        (None, false) => SlotOutcome::Missed,
    }
}

/// Slots after its own in which a first look at a slot still proves that its block never was there: two epochs. Nodes forget a block that left the
/// chain once the chain is final, and one that was away meanwhile never heard of it.
const LOOKED_IN_TIME: i64 = 64;

/// How sure it is that a block which the chain lacks never was there, by what was found of the slot before this look. Where nobody looked in time,
/// it may have been published and reorganised away.
pub(super) fn absence(before: &Settled, slots_since: i64) -> Confidence {
    let was_looked_for =
        before.known_outcome() == Some(SlotOutcome::NotDelivered) && before.evidence().confidence.convicts();
    if slots_since <= LOOKED_IN_TIME || was_looked_for { Confidence::High } else { Confidence::Low }
}

/// How a payment compares with its promise.
pub(super) fn compare(promised: Wei, payment: &Payment) -> PaymentVerdict {
    match payment.received {
        None => PaymentVerdict::Unknown,
        Some(received) if received.is_zero() && !promised.is_zero() => PaymentVerdict::Unpaid,
        Some(received) => match received.cmp(&promised.as_u256()) {
            std::cmp::Ordering::Less => PaymentVerdict::Under,
            std::cmp::Ordering::Equal => PaymentVerdict::Exact,
            std::cmp::Ordering::Greater => PaymentVerdict::Over,
        },
    }
}

/// `received - promised` in wei.
pub(super) fn difference(promised: Wei, received: Wei) -> I256 {
    let wei = |amount: Wei| I256::try_from(amount.as_u256()).unwrap_or(I256::MAX);
    wei(received).saturating_sub(wei(promised))
}

/// What came of a slot in money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Income {
    /// The slot has no block.
    NoBlock,
    /// There is a block, and what it paid cannot be known.
    Unknown,
    /// What the block paid, in wei.
    Paid(U256),
}

/// What the best bid that was there in time would have paid beyond what arrived. What is not known is no miss.
pub(super) fn missed_value(case: &SlotCase, income: Income) -> Option<Wei> {
    let best = case.best_bid?.as_u256();
    match income {
        Income::NoBlock => Some(Wei::new(best)),
        Income::Unknown => None,
        Income::Paid(received) => Some(Wei::new(best.saturating_sub(received))),
    }
}

/// Who got a locally built block's fees, and who should have: where the block names another fee recipient than the validator's
/// registration, and nothing of it reached that one. A block of another sidecar's relay names its builder and pays: it is none of these.
pub(super) fn pays_another(row: &Settled) -> Option<(&str, &str)> {
    let (registered, named) = (row.fee_recipient.as_deref()?, row.coinbase.as_deref()?);
    let is_local = row.known_outcome() == Some(SlotOutcome::Local);
    let got_nothing = row.received_wei.as_deref() == Some("0");
    (is_local && got_nothing && !registered.eq_ignore_ascii_case(named)).then_some((named, registered))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ledger::Settled, profit::payment::Method, types::Label};

    const PROMISED: B256 = B256::repeat_byte(1);
    const OTHER: B256 = B256::repeat_byte(2);

    fn case(submitted: bool, before: Option<SlotOutcome>) -> SlotCase {
        SlotCase {
            row: Settled { outcome: before.map(Into::into), ..Settled::default() },
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
            (true, Some(SlotOutcome::Ours), None, false, SlotOutcome::Orphaned),
            (true, Some(SlotOutcome::Ours), Some(OTHER), false, SlotOutcome::Orphaned),
            (false, Some(SlotOutcome::Ours), None, false, SlotOutcome::Orphaned),
            (true, Some(SlotOutcome::Orphaned), Some(PROMISED), true, SlotOutcome::Ours),
            (true, Some(SlotOutcome::Orphaned), None, false, SlotOutcome::Orphaned),
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
    fn a_block_that_nobody_looked_for_in_time_may_have_been_there() {
        let row = |outcome: Option<SlotOutcome>, confidence: Option<Confidence>| Settled {
            outcome: outcome.map(Into::into),
            confidence: confidence.map(Into::into),
            ..Settled::default()
        };
        let never = row(None, None);
        for (before, slots_since, expected) in [
            (&never, -1, Confidence::High),
            (&never, 64, Confidence::High),
            // The node was away for an hour.
            (&never, 65, Confidence::Low),
            // It was missing at the head, and is at the end.
            (&row(Some(SlotOutcome::NotDelivered), Some(Confidence::High)), 100, Confidence::High),
            (&row(Some(SlotOutcome::NotDelivered), Some(Confidence::Low)), 100, Confidence::Low),
            // Of a version that did not say when it looked.
            (&row(Some(SlotOutcome::NotDelivered), None), 100, Confidence::Low),
            (&row(Some(SlotOutcome::Missed), Some(Confidence::High)), 100, Confidence::Low),
        ] {
            assert_eq!(absence(before, slots_since), expected, "{before:?} {slots_since}");
        }
    }

    #[test]
    fn a_local_block_that_pays_somebody_else_is_seen() {
        let row = |outcome: SlotOutcome, coinbase: &str, received: Option<&str>| Settled {
            outcome: Some(outcome.into()),
            fee_recipient: Some("0xAa".to_owned()),
            coinbase: Some(coinbase.to_owned()),
            received_wei: received.map(str::to_owned),
            ..Settled::default()
        };
        assert_eq!(pays_another(&row(SlotOutcome::Local, "0xbb", Some("0"))), Some(("0xbb", "0xAa")));
        for (reason, row) in [
            (
                "its own recipient, whatever the case of its letters",
                row(SlotOutcome::Local, "0xaA", Some("0")),
            ),
            ("another sidecar's builder paid", row(SlotOutcome::Local, "0xbb", Some("7"))),
            ("it cannot be known", row(SlotOutcome::Local, "0xbb", None)),
            ("a relay's block, judged by its promise", row(SlotOutcome::Ours, "0xbb", Some("0"))),
        ] {
            assert_eq!(pays_another(&row), None, "{reason}");
        }
    }

    #[test]
    fn an_unknown_payment_is_no_missed_value() {
        let best = |best| SlotCase { best_bid: Some(Wei::new(U256::from(best))), ..SlotCase::default() };
        for (income, missed) in [
            (Income::NoBlock, Some(9)),
            (Income::Unknown, None),
            (Income::Paid(U256::from(5)), Some(4)),
            (Income::Paid(U256::from(10)), Some(0)),
        ] {
            assert_eq!(
                missed_value(&best(9), income),
                missed.map(|wei: u64| Wei::new(U256::from(wei))),
                "{income:?}"
            );
            assert_eq!(missed_value(&SlotCase::default(), income), None);
        }
    }

    #[test]
    fn a_slot_that_cannot_be_proven_is_given_up_in_the_end() {
        let pauses: Vec<i64> = (1..).map_while(next_look_ms).map(|ms| ms / 60_000).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 360, 360]);
    }

    #[test]
    fn each_refusal_is_counted_and_the_last_gives_up() {
        for outcome in [None, Some(Label::from(SlotOutcome::Ours))] {
            let status = if outcome.is_some() { SlotStatus::Provisional } else { SlotStatus::Open };
            let mut row = Settled { status: status.into(), outcome: outcome.clone(), ..Settled::default() };
            let mut now = 1_000_000;
            for refusal in 1..LOOKS {
                assert!(!put_off(&mut row, "pruned", now), "refusal {refusal}");
                assert_eq!(
                    (row.refusals, row.looked_at, row.status.as_str()),
                    (refusal, now, status.label())
                );
                assert!(row.look_after >= now + FIRST_PAUSE_MS && row.message.is_empty());
                now = row.look_after;
            }
            assert!(put_off(&mut row, "pruned", now));
            let seen = if outcome.is_some() { "seen at the head, never proven final" } else { "never seen" };
            assert_eq!(row.message, format!("given up after 12 looks, {seen}: pruned"));
            // What was seen is not forgotten, and never becomes a miss.
            assert_eq!((row.status.as_str(), &row.outcome), ("unknowable", &outcome));
            assert!(now - 1_000_000 > 20 * 3_600_000, "time to mend a node");
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
            message: String::new(),
        };
        let promised = Wei::new(U256::from(5));
        for (got, expected) in [
            (Some(5), PaymentVerdict::Exact),
            (Some(4), PaymentVerdict::Under),
            (Some(6), PaymentVerdict::Over),
            (Some(0), PaymentVerdict::Unpaid),
            (None, PaymentVerdict::Unknown),
        ] {
            assert_eq!(compare(promised, &paid(got)), expected);
        }
        assert_eq!(difference(promised, Wei::new(U256::from(4))).to_string(), "-1");
        assert_eq!(compare(Wei::ZERO, &paid(Some(0))), PaymentVerdict::Exact);
    }
}
