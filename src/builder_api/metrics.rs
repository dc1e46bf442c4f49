//! What this room counts.

use metrics::{counter, describe_counter};

const REQUESTS: &str = "relaymux_builder_api_requests_total";

/// Describes this room's metrics to the recorder.
pub fn describe_metrics() {
    describe_counter!(REQUESTS, "Requests of the consensus client by endpoint and HTTP status");
}

pub(super) fn record_request(endpoint: &'static str, status: u16) {
    counter!(REQUESTS, "endpoint" => endpoint, "status" => status.to_string()).increment(1);
}
