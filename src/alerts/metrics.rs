//! What delivery counts.

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge};

use super::delivery::DeliveryOutcome;

const DELIVERIES: &str = "relaymux_alert_deliveries_total";
const QUEUE: &str = "relaymux_alert_queue";
const UP: &str = "relaymux_alert_channel_up";
const ALERTMANAGER: &str = "relaymux_alertmanager_posts_total";
const DEADMAN: &str = "relaymux_deadman_pings_total";

/// Describes what delivery counts to the recorder.
pub fn describe_delivery_metrics() {
    describe_counter!(DELIVERIES, "Attempts to deliver alerts by channel and outcome: sent, failed, dead");
    describe_gauge!(QUEUE, Unit::Count, "Messages that wait on the channel, at most 1000");
    describe_gauge!(UP, "1 while the channel takes alerts, 0 since it last did not");
    describe_counter!(ALERTMANAGER, "Requests to Alertmanagers by outcome: sent, failed, dead");
    describe_counter!(DEADMAN, "Signs of life sent outward by outcome: sent, failed, dead");
    for outcome in DeliveryOutcome::ALL {
        counter!(ALERTMANAGER, "outcome" => outcome.label()).increment(0);
        counter!(DEADMAN, "outcome" => outcome.label()).increment(0);
    }
}

/// Begins what matters of a channel at 0: a counter that appears with its first failure has no increase.
pub(super) fn begin_channel(channel: &str) {
    for outcome in DeliveryOutcome::ALL {
        counter!(DELIVERIES, "channel" => channel.to_owned(), "outcome" => outcome.label()).increment(0);
    }
    queue(channel, 0);
    channel_up(channel, true);
}

pub(super) fn count_delivery(channel: &str, outcome: DeliveryOutcome) {
    counter!(DELIVERIES, "channel" => channel.to_owned(), "outcome" => outcome.label()).increment(1);
}

pub(super) fn queue(channel: &str, waiting: usize) {
    gauge!(QUEUE, "channel" => channel.to_owned()).set(u32::try_from(waiting).unwrap_or(u32::MAX));
}

pub(super) fn channel_up(channel: &str, is_up: bool) {
    gauge!(UP, "channel" => channel.to_owned()).set(f64::from(u8::from(is_up)));
}

pub(super) fn count_alertmanager(outcome: DeliveryOutcome) {
    counter!(ALERTMANAGER, "outcome" => outcome.label()).increment(1);
}

pub(super) fn count_ping(outcome: DeliveryOutcome) {
    counter!(DEADMAN, "outcome" => outcome.label()).increment(1);
}
