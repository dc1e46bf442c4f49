//! What every room may count: what the operator was told, and what does not work as it should.

use metrics::{counter, describe_counter, describe_gauge, gauge};

const NOTICES: &str = "relaymux_notices_total";
const DEGRADED: &str = "relaymux_degraded";

/// Every rule that a notice can be raised by. Each is counted from 0 on: the first notice is an increase.
pub const NOTICE_RULES: [&str; 17] = [
    "clock_wrong",
    "data_api_differs",
    "fork_not_served",
    "journal_failed",
    "local_block_pays_another",
    "machine_pressure",
    "node_of_other_network",
    "not_delivered",
    "payment_missing",
    "payment_unclear",
    "rate_under_target",
    "registration_drift",
    "settlement_behind",
    "slots_unknowable",
    "storage_in_memory",
    "storage_replaced",
    "task_failed",
];

/// Describes this room's metrics to the recorder, and begins their counters at 0.
pub fn describe_metrics() {
    describe_counter!(NOTICES, "What the operator was told to look at, by rule");
    for rule in NOTICE_RULES {
        counter!(NOTICES, "rule" => rule).increment(0);
    }
    describe_gauge!(DEGRADED, "1 for a part that does not work as it should; /readyz says why");
}

/// Counts a notice that was raised, not one that is over.
pub fn count_notice(rule: &str) {
    debug_assert!(
        NOTICE_RULES.contains(&rule),
        "{rule} is not in NOTICE_RULES: its first notice is no increase"
    );
    counter!(NOTICES, "rule" => rule.to_owned()).increment(1);
}

/// Says whether a part works as it should.
pub fn set_degraded(part: &'static str, is_degraded: bool) {
    gauge!(DEGRADED, "part" => part).set(f64::from(u8::from(is_degraded)));
}
