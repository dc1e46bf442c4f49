//! What every room may count: what the operator was told, and what does not work as it should.

use metrics::{counter, describe_counter, describe_gauge, gauge};

use super::{AlertRule, alert_signal::SIGNALS};

const DEGRADED: &str = "relaymux_degraded";

/// Describes this room's metrics to the recorder, and begins the counters of these rules at 0.
pub fn describe_metrics(rules: &[&AlertRule]) {
    describe_counter!(SIGNALS, "What the operator was told to look at, by rule");
    for rule in rules {
        counter!(SIGNALS, "rule" => rule.name.clone()).increment(0);
    }
    describe_gauge!(DEGRADED, "1 for a part that does not work as it should; /readyz says why");
}

/// Says whether a part works as it should.
pub fn set_degraded(part: &'static str, is_degraded: bool) {
    gauge!(DEGRADED, "part" => part).set(f64::from(u8::from(is_degraded)));
}
