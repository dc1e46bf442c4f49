//! What this room counts, described.

use metrics::{counter, describe_counter, describe_gauge};

/// Describes this room's metrics to the recorder, and begins its counters at 0.
pub fn describe_metrics() {
    describe_counter!(
        "relaymux_ledger_events_dropped_total",
        "Events that are not in the ledger: too many waited, or the writer fell behind"
    );
    describe_counter!(
        "relaymux_ledger_writes_failed_total",
        "Batches that could not be written; their events are kept and tried again"
    );
    describe_counter!(
        "relaymux_ledger_events_skipped_total",
        "Events that the ledger refuses for what they are, left out, by kind"
    );
    describe_counter!(
        "relaymux_ledger_auctions_of_other_times_total",
        "Header requests for slots long past or far ahead: answered, and not in the ledger"
    );
    describe_gauge!("relaymux_ledger_events_waiting", "Events that are still to be written");
    describe_gauge!(
        "relaymux_ledger_free_bytes",
        "Room in the ledger's file that is used again before it grows; after something was trimmed"
    );
    counter!("relaymux_ledger_events_dropped_total").increment(0);
    counter!("relaymux_ledger_writes_failed_total").increment(0);
    counter!("relaymux_ledger_auctions_of_other_times_total").increment(0);
    for kind in super::writer::KINDS {
        counter!("relaymux_ledger_events_skipped_total", "event" => kind).increment(0);
    }
}
