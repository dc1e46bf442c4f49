//! Describes what is counted of payments, and begins it at 0.

use metrics::{counter, describe_counter, describe_gauge};

use super::settle::{SlotOutcome, SlotStatus};

/// Describes this room's metrics to the recorder, and begins its counters at 0.
pub fn describe_metrics() {
    describe_counter!("relaymux_slots_settled_total", "What came of slots on chain, by outcome and status");
    describe_gauge!("relaymux_last_settled_slot", "The slot that was last looked at on chain");
    describe_gauge!("relaymux_profit_eth_per_day", "ETH a day, average of the last 30 days");
    describe_counter!(
        "relaymux_profit_rounds_failed_total",
        "Rounds of settlement that failed, as a node or the ledger did not answer"
    );
    describe_counter!("relaymux_slots_unknowable_total", "Slots that no node here can prove any more");
    for outcome in SlotOutcome::ALL {
        for status in [SlotStatus::Provisional, SlotStatus::Final] {
            counter!("relaymux_slots_settled_total", "outcome" => outcome.label(), "status" => status.label())
                .increment(0);
        }
    }
    counter!("relaymux_profit_rounds_failed_total").increment(0);
    counter!("relaymux_slots_unknowable_total").increment(0);
}
