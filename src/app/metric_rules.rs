//! Shipped rules over our own metrics: what no room finds by itself, because it only shows in figures.

use std::{sync::Arc, time::Duration};

use crate::{
    alerts::{Aggregation, Comparison, MetricRule},
    app::rules::{ALERT_CHANNEL_DOWN, EVENTS_LOST, LEDGER_BEHIND, RUNTIME_LAG},
    auction::rules::LATE_HEADER,
    events::AlertRule,
    relay::rules::NO_USABLE_RELAY,
};

/// Growth is looked at over five minutes.
const WINDOW: Duration = Duration::from_secs(300);

/// The rules, each over one metric.
pub(super) fn metric_rules() -> Vec<MetricRule> {
    vec![
        level(&NO_USABLE_RELAY, "relaymux_relay_up", Aggregation::Max, Comparison::AtMost, 0.0),
        level(&RUNTIME_LAG, "relaymux_runtime_lag_seconds", Aggregation::Max, Comparison::Above, 0.25),
        level(&LEDGER_BEHIND, "relaymux_ledger_events_waiting", Aggregation::Max, Comparison::Above, 4_000.0),
        level(&ALERT_CHANNEL_DOWN, "relaymux_alert_channel_up", Aggregation::Any, Comparison::Below, 1.0),
        growth(&LATE_HEADER, "relaymux_late_headers_total"),
        growth(&EVENTS_LOST, "relaymux_ledger_events_dropped_total"),
    ]
}

fn level(
    rule: &AlertRule,
    metric: &str,
    aggregation: Aggregation,
    comparison: Comparison,
    threshold: f64,
) -> MetricRule {
    MetricRule {
        rule: Arc::new(rule.clone()),
        metric: metric.to_owned(),
        matchers: Vec::new(),
        aggregation,
        comparison,
        threshold,
        rate_over: None,
    }
}

/// Any growth of a counter.
fn growth(rule: &AlertRule, metric: &str) -> MetricRule {
    MetricRule { rate_over: Some(WINDOW), ..level(rule, metric, Aggregation::Sum, Comparison::Above, 0.0) }
}
