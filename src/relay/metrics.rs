//! What this room counts.

use std::time::Duration;

use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};

use crate::types::RelayId;

const CALLS: &str = "relaymux_relay_calls_total";
const DURATION: &str = "relaymux_relay_request_duration_seconds";

/// Describes this room's metrics to the recorder.
pub fn describe_metrics() {
    describe_counter!(CALLS, "Calls to relays by endpoint and outcome, retries counted once");
    describe_histogram!(DURATION, Unit::Seconds, "Time from request to whole answer, retries included");
}

pub(super) fn record_call(relay: &RelayId, endpoint: &'static str, outcome: &'static str, took: Duration) {
    let relay = relay.to_string();
    counter!(CALLS, "relay" => relay.clone(), "endpoint" => endpoint, "outcome" => outcome).increment(1);
    histogram!(DURATION, "relay" => relay, "endpoint" => endpoint).record(took.as_secs_f64());
}
