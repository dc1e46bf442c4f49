//! Shipped rules over our own metrics: what no room finds by itself, because it only shows in figures.

use std::{sync::Arc, time::Duration};

use crate::{
    alerts::{Aggregation, Comparison, MetricRule},
    app::rules::{ALERT_CHANNEL_DOWN, EVENTS_LOST, LEDGER_BEHIND, RUNTIME_LAG},
    auction::rules::LATE_HEADER,
    events::{AlertRule, Persistence},
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

/// Any growth of a counter. It lasts as long as the growth is in the window: by figures alone, one occurrence cannot be told from the next.
fn growth(rule: &AlertRule, metric: &str) -> MetricRule {
    let rule = AlertRule { persistence: Persistence::Condition, clear_for: WINDOW, ..rule.clone() };
    MetricRule { rate_over: Some(WINDOW), ..level(&rule, metric, Aggregation::Sum, Comparison::Above, 0.0) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::{MetricRules, Moment, parse_metrics};

    /// An occurrence is told from the next by when it was, and a figure has no such time: each look would be another.
    #[test]
    fn what_figures_show_lasts() {
        for found in metric_rules() {
            assert_eq!(found.rule.persistence, Persistence::Condition, "{}", found.rule.name);
        }
    }

    /// A disabled relay has no number; the largest of the others counts, however it was before.
    #[test]
    fn no_usable_relay_counts_those_that_are_asked_alone() {
        let of = |text: &str| {
            let samples = parse_metrics(text, "relaymux_");
            let now = Moment { at: 1_000_000_000, watched_ms: 3_600_000 };
            let (troubles, _) = MetricRules::new(metric_rules()).evaluate(&samples, now);
            troubles.into_iter().filter(|found| found.rule.name == NO_USABLE_RELAY.name).count()
        };
        let up = |a: &str, b: &str| {
            of(&format!("relaymux_relay_up{{relay=\"a\"}} {a}\nrelaymux_relay_up{{relay=\"b\"}} {b}\n"))
        };
        assert_eq!([up("1", "0"), up("NaN", "0"), up("NaN", "1"), up("NaN", "NaN")], [0, 1, 0, 0]);
    }
}
