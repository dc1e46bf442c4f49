//! Counts what the consensus client asks and is told, and when it last asked.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

use crate::types::UnixMillis;

const REQUESTS: &str = "relaymux_builder_api_requests_total";
const LAST_REQUEST: &str = "relaymux_last_client_request_timestamp_seconds";

/// What consensus clients ask, and the answers that an operator may watch.
const ANSWERS: [(&str, &[u16]); 5] = [
    ("status", &[200, 403, 503]),
    ("register_validators", &[200, 400, 403, 502]),
    ("get_header", &[200, 204, 400, 403, 406]),
    ("submit_blinded_block_v1", &[200, 400, 403, 502]),
    ("submit_blinded_block_v2", &[202, 400, 403, 502]),
];

/// Describes this room's metrics to the recorder, and begins those of what clients ask at 0.
pub fn describe_metrics() {
    describe_counter!(REQUESTS, "Requests of the consensus client by endpoint and HTTP status");
    describe_gauge!(
        LAST_REQUEST,
        Unit::Seconds,
        "When the consensus client last asked, Unix time; 0: not since the start"
    );
    for (endpoint, statuses) in ANSWERS {
        gauge!(LAST_REQUEST, "endpoint" => endpoint).set(0.0);
        for status in statuses {
            counter!(REQUESTS, "endpoint" => endpoint, "status" => status.to_string()).increment(0);
        }
    }
}

/// A request came: said at once, as its answer may take seconds.
pub(super) fn record_arrival(endpoint: &'static str, now: UnixMillis) {
    let whole = u32::try_from(now / 1000).unwrap_or(u32::MAX);
    gauge!(LAST_REQUEST, "endpoint" => endpoint).set(f64::from(whole));
}

pub(super) fn record_request(endpoint: &'static str, status: u16) {
    counter!(REQUESTS, "endpoint" => endpoint, "status" => status.to_string()).increment(1);
}
