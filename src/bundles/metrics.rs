//! Describes what is counted of bundles, and begins it at 0.

use metrics::{Unit, counter, describe_counter, describe_gauge, describe_histogram};

use crate::ledger::BundleKind;
use crate::ledger::{BundleState, SendOutcome};

/// Describes this room's metrics to the recorder, and begins its counters without a builder at 0.
pub fn describe_metrics() {
    describe_counter!("relaymux_bundles_received_total", "Bundles taken from searchers, by kind");
    describe_counter!("relaymux_bundles_decided_total", "What became of bundles, by state");
    describe_counter!("relaymux_bundles_reorged_total", "Bundles decided anew, as the chain changed");
    describe_counter!(
        "relaymux_bundles_rate_limited_total",
        "Calls refused, as the searcher called too often"
    );
    describe_counter!(
        "relaymux_bundles_refused_full_total",
        "Bundles refused, as there was no room for them"
    );
    describe_gauge!("relaymux_bundles_open", "Bundles whose blocks are still to come");
    describe_gauge!("relaymux_bundles_open_bytes", Unit::Bytes, "Memory that open bundles hold, in bytes");
    describe_gauge!("relaymux_bundles_head", "Number of the newest block that bundles were looked for in");
    describe_counter!("relaymux_bundle_sends_total", "Requests to builders, by builder and outcome");
    describe_counter!(
        "relaymux_bundle_sends_dropped_total",
        "Requests to builders that their queue had no room for, by builder"
    );
    describe_counter!("relaymux_bundle_writes_lost_total", "Facts of bundles that are not in the ledger");
    describe_histogram!(
        "relaymux_bundle_to_socket_seconds",
        Unit::Seconds,
        "Time from a searcher's request to a builder's socket"
    );
    describe_histogram!(
        "relaymux_bundle_first_ack_seconds",
        Unit::Seconds,
        "Time from a searcher's request to the first builder's acknowledgement"
    );
    describe_histogram!(
        "relaymux_bundle_write_seconds",
        Unit::Seconds,
        "Time to write a batch to the ledger"
    );
    for name in [
        "relaymux_bundles_reorged_total",
        "relaymux_bundles_rate_limited_total",
        "relaymux_bundles_refused_full_total",
        "relaymux_bundle_writes_lost_total",
    ] {
        counter!(name).increment(0);
    }
    for kind in BundleKind::ALL {
        counter!("relaymux_bundles_received_total", "kind" => kind.label()).increment(0);
    }
    for state in BundleState::ALL {
        counter!("relaymux_bundles_decided_total", "state" => state.label()).increment(0);
    }
}

/// Begins what is counted of a builder at 0.
pub(super) fn begin_builder(builder: &str) {
    counter!("relaymux_bundle_sends_dropped_total", "builder" => builder.to_owned()).increment(0);
    for outcome in SendOutcome::ALL {
        counter!("relaymux_bundle_sends_total", "builder" => builder.to_owned(), "outcome" => outcome.label())
            .increment(0);
    }
}
