//! Where troubles come from.

use std::{collections::BTreeSet, fmt, sync::Arc};

use futures_util::{FutureExt, future::BoxFuture};
use parking_lot::Mutex;

use super::{
    alert::Alert, engine::Absence, metric_rule::MetricRules, moment::Moment, prometheus_text,
    trouble::Trouble,
};

/// What a source found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Collected {
    /// All that is wrong now.
    pub troubles: Vec<Trouble>,
    /// What it means that a trouble of this source is not among them.
    pub absence: Absence,
}

/// Somebody who knows of troubles: open signals, rules over metrics, the hook.
pub trait TroubleSource: Send + Sync + 'static {
    /// Its name in messages.
    fn name(&self) -> &'static str;

    /// All that is wrong now. Whoever cannot say fails, with a sentence: nothing is over for that. Has five seconds.
    fn collect(&self, now: Moment) -> BoxFuture<'_, Result<Collected, String>>;

    /// How troubles ended that are over since this was asked last: their fingerprints, and words for people.
    fn ends(&self) -> Vec<(String, String)> {
        Vec::new()
    }

    /// An occurrence is over, as somebody acknowledged it or its time has passed, and is still shown. Asked with each look until it is not.
    fn end<'a>(&'a self, alert: &'a Alert) -> BoxFuture<'a, ()> {
        let _ = alert;
        std::future::ready(()).boxed()
    }
}

/// Rules over this process's own metrics.
pub struct MetricSource {
    rules: Mutex<MetricRules>,
    render: Arc<dyn Fn() -> String + Send + Sync>,
}

impl MetricSource {
    /// `render` makes what `/metrics` shows.
    pub fn new(rules: MetricRules, render: Arc<dyn Fn() -> String + Send + Sync>) -> Self {
        Self { rules: Mutex::new(rules), render }
    }

    /// Replaces the rules; what was remembered of counters is forgotten.
    pub fn replace(&self, rules: MetricRules) {
        *self.rules.lock() = rules;
    }
}

impl fmt::Debug for MetricSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetricSource").finish_non_exhaustive()
    }
}

impl TroubleSource for MetricSource {
    fn name(&self) -> &'static str {
        "metrics"
    }

    fn collect(&self, now: Moment) -> BoxFuture<'_, Result<Collected, String>> {
        let mut rules = self.rules.lock();
        let samples =
            if rules.is_empty() { Vec::new() } else { prometheus_text::parse(&(self.render)(), "relaymux_") };
        let (troubles, unknown) = rules.evaluate(&samples, now);
        std::future::ready(Ok(Collected { troubles, absence: unknown_of(unknown) })).boxed()
    }
}

fn unknown_of(rules: BTreeSet<String>) -> Absence {
    if rules.is_empty() { Absence::Over } else { Absence::UnknownOf(rules) }
}
