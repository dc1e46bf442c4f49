//! What every room may count: what the operator was told, and what does not work as it should.

use metrics::{counter, describe_counter, describe_gauge, gauge};

use super::notice::{NOTICES, NoticeRule};

const DEGRADED: &str = "relaymux_degraded";

/// Describes this room's metrics to the recorder, and begins their counters at 0.
pub fn describe_metrics() {
    describe_counter!(NOTICES, "What the operator was told to look at, by rule");
    for rule in NoticeRule::ALL {
        counter!(NOTICES, "rule" => rule.label()).increment(0);
    }
    describe_gauge!(DEGRADED, "1 for a part that does not work as it should; /readyz says why");
}

/// Says whether a part works as it should.
pub fn set_degraded(part: &'static str, is_degraded: bool) {
    gauge!(DEGRADED, "part" => part).set(f64::from(u8::from(is_degraded)));
}
