//! Rules over metrics: a threshold that a number of ours must not cross.
//!
//! A rule looks at all series of one metric that its matchers fit: each for itself, or their sum, largest or smallest. Counters are compared
//! by how fast they grow over a window; one that begins anew at 0, as after a restart, has not shrunk. A metric that has no series makes no
//! trouble: what is not measured is not wrong. How long it must last, the alert's rule says, as of any other.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::{matcher::Matcher, moment::Moment, prometheus_text::Sample, text::span, trouble::Trouble};
use crate::{events::AlertRule, types::labelled};

/// Most series of one rule that are troubles of their own, and most whose growth is remembered.
const MAX_SERIES: usize = 1000;
/// How many points of a counter are kept for a window.
const POINTS: u32 = 12;

labelled! {
    /// What is compared.
    pub enum Aggregation {
        /// Each series for itself: each that crosses is an alert.
        Any = "any",
        /// All together.
        Sum = "sum",
        /// The largest.
        Max = "max",
        /// The smallest.
        Min = "min",
    }
}

labelled! {
    /// When a value is a trouble.
    pub enum Comparison {
        /// It is larger.
        Above = ">",
        /// It is as large, or larger.
        AtLeast = ">=",
        /// It is smaller.
        Below = "<",
        /// It is as small, or smaller.
        AtMost = "<=",
        /// It is this.
        Equal = "==",
        /// It is anything else.
        NotEqual = "!=",
    }
}

impl Comparison {
    /// Whether a value is a trouble.
    pub fn is_crossed(self, value: f64, threshold: f64) -> bool {
        match self {
            Self::Above => value > threshold,
            Self::AtLeast => value >= threshold,
            Self::Below => value < threshold,
            Self::AtMost => value <= threshold,
            Self::Equal => value.total_cmp(&threshold).is_eq(),
            Self::NotEqual => value.total_cmp(&threshold).is_ne(),
        }
    }

    /// In the middle of a sentence.
    const fn in_words(self) -> &'static str {
        match self {
            Self::Above => "above",
            Self::AtLeast => "at or above",
            Self::Below => "below",
            Self::AtMost => "at or below",
            Self::Equal => "exactly",
            Self::NotEqual => "not",
        }
    }
}

/// A threshold that a metric must not cross.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricRule {
    /// What the alert says, and how long it must last.
    pub rule: Arc<AlertRule>,
    /// Name of the metric.
    pub metric: String,
    /// Which of its series; all must fit.
    pub matchers: Vec<Matcher>,
    /// What of them is compared.
    pub aggregation: Aggregation,
    /// How.
    pub comparison: Comparison,
    /// With what.
    pub threshold: f64,
    /// The growth per second over this time is compared, and not the value: of counters.
    pub rate_over: Option<Duration>,
}

/// How far a counter had grown, and when.
#[derive(Clone, Copy, Debug)]
struct Point {
    at: Moment,
    grown: f64,
}

/// A counter over a window.
#[derive(Clone, Debug, Default)]
struct Counter {
    last: f64,
    grown: f64,
    points: VecDeque<Point>,
}

impl Counter {
    /// Takes in a value. The growth per second over the window, once half of it was seen.
    fn rate(&mut self, value: f64, window: Duration, now: Moment) -> Option<f64> {
        if self.points.is_empty() {
            self.last = value;
        }
        // Smaller than before: it began anew at 0.
        self.grown += if value >= self.last { value - self.last } else { value };
        self.last = value;
        let is_due = self.points.back().is_none_or(|last| now.is_after(last.at, window / POINTS));
        if is_due {
            self.points.push_back(Point { at: now, grown: self.grown });
        }
        // One that is as old as the window stays: it is where the window begins.
        while self.points.get(1).is_some_and(|second| now.is_after(second.at, window)) {
            self.points.pop_front();
        }
        let first = *self.points.front()?;
        let seen = now.watched_ms.saturating_sub(first.at.watched_ms);
        let seen = Duration::from_millis(u64::try_from(seen).unwrap_or_default());
        (seen >= window / 2 && !seen.is_zero()).then(|| (self.grown - first.grown) / seen.as_secs_f64())
    }
}

/// Rules over metrics, and what they remember of counters. It begins anew with the process.
#[derive(Clone, Debug)]
pub struct MetricRules {
    rules: Vec<MetricRule>,
    counters: Vec<BTreeMap<BTreeMap<String, String>, Counter>>,
    began: Option<Moment>,
}

impl MetricRules {
    /// These rules, with nothing remembered.
    pub fn new(rules: Vec<MetricRule>) -> Self {
        let counters = rules.iter().map(|_| BTreeMap::new()).collect();
        Self { rules, counters, began: None }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// What is wrong, and the rules of which that is not known yet: counters were not watched for long enough.
    pub fn evaluate(&mut self, samples: &[Sample], now: Moment) -> (Vec<Trouble>, BTreeSet<String>) {
        let began = *self.began.get_or_insert(now);
        let (mut troubles, mut unknown) = (Vec::new(), BTreeSet::new());
        for (rule, counters) in self.rules.iter().zip(&mut self.counters) {
            let fits = |sample: &&Sample| {
                let label = |name: &str| sample.labels.get(name).map(String::as_str);
                sample.name == rule.metric && rule.matchers.iter().all(|matcher| matcher.matches(label))
            };
            let series = samples.iter().filter(fits).take(MAX_SERIES);
            let values: Vec<(&BTreeMap<String, String>, f64)> = match rule.rate_over {
                None => series.map(|sample| (&sample.labels, sample.value)).collect(),
                Some(window) => {
                    if !now.is_after(began, window) {
                        unknown.insert(rule.rule.name.clone().into_owned());
                    }
                    let mut seen = BTreeSet::new();
                    let rates = series.filter_map(|sample| {
                        seen.insert(&sample.labels);
                        let counter = counters.entry(sample.labels.clone()).or_default();
                        Some((&sample.labels, counter.rate(sample.value, window, now)?))
                    });
                    let rates = rates.collect();
                    counters.retain(|labels, _| seen.contains(labels));
                    rates
                }
            };
            troubles.extend(rule.troubles(&values, now));
        }
        (troubles, unknown)
    }
}

impl MetricRule {
    fn troubles(&self, values: &[(&BTreeMap<String, String>, f64)], now: Moment) -> Vec<Trouble> {
        let numbers = values.iter().map(|(_, value)| *value);
        let one = match self.aggregation {
            Aggregation::Any => {
                let crossed =
                    values.iter().filter(|(_, value)| self.comparison.is_crossed(*value, self.threshold));
                return crossed.map(|(labels, value)| self.trouble((*labels).clone(), *value, now)).collect();
            }
            Aggregation::Sum => (!values.is_empty()).then(|| numbers.sum()),
            Aggregation::Max => numbers.reduce(f64::max),
            Aggregation::Min => numbers.reduce(f64::min),
        };
        let crossed = one.filter(|value| self.comparison.is_crossed(*value, self.threshold));
        crossed.map(|value| self.trouble(BTreeMap::new(), value, now)).into_iter().collect()
    }

    fn trouble(&self, labels: BTreeMap<String, String>, value: f64, now: Moment) -> Trouble {
        let subject: Vec<String> = labels.iter().map(|(name, value)| format!("{name} {value}")).collect();
        let of = match self.aggregation {
            Aggregation::Any if subject.is_empty() => String::new(),
            Aggregation::Any => format!(" of {}", subject.join(", ")),
            Aggregation::Sum => " of all together".to_owned(),
            Aggregation::Max => ", the largest of all,".to_owned(),
            Aggregation::Min => ", the smallest of all,".to_owned(),
        };
        let each = match self.rate_over {
            None => String::new(),
            Some(window) => format!(" each second, over {}", span(super::moment::millis(window))),
        };
        let words = self.comparison.in_words();
        let message = format!(
            "{}{of} is {}{each}: {words} {}, which its rule names as wrong.",
            self.metric,
            shown(value),
            shown(self.threshold)
        );
        Trouble {
            rule: Arc::clone(&self.rule),
            subject: subject.join(", "),
            labels,
            severity: None,
            message,
            since: now.at,
        }
    }
}

/// A number as people write it: no more than three digits behind the point.
fn shown(value: f64) -> String {
    let text = format!("{value:.3}");
    match text.split_once('.') {
        Some((_, rest)) if rest.chars().all(|digit| digit == '0') => format!("{value:.0}"),
        Some(_) => text.trim_end_matches('0').to_owned(),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{alert::made, prometheus_text::parse},
        *,
    };
    use crate::events::{Component, Severity};

    fn rule(aggregation: Aggregation, comparison: Comparison, threshold: f64) -> MetricRule {
        MetricRule {
            rule: Arc::new(made::rule("custom", Severity::P3, Component::Relays)),
            metric: "relaymux_x".to_owned(),
            matchers: Vec::new(),
            aggregation,
            comparison,
            threshold,
            rate_over: None,
        }
    }

    fn at(secs: i64) -> Moment {
        Moment { at: secs * 1000, watched_ms: secs * 1000 }
    }

    fn troubles(rule: MetricRule, text: &str) -> Vec<String> {
        let (found, unknown) = MetricRules::new(vec![rule]).evaluate(&parse(text, "relaymux_"), at(0));
        assert!(unknown.is_empty());
        found.into_iter().map(|trouble| trouble.subject).collect()
    }

    #[test]
    fn thresholds_over_series() {
        use Aggregation as A;
        use Comparison as C;
        let text = "relaymux_x{relay=\"a\"} 1\nrelaymux_x{relay=\"b\"} 5\nrelaymux_xx 100\nrelaymux_y 7";
        for (name, rule, expected) in [
            ("each that crosses", rule(A::Any, C::Above, 0.5), &["relay a", "relay b"][..]),
            ("only those that cross", rule(A::Any, C::Above, 1.0), &["relay b"]),
            ("at the threshold", rule(A::Any, C::AtLeast, 5.0), &["relay b"]),
            ("below", rule(A::Any, C::Below, 5.0), &["relay a"]),
            ("together", rule(A::Sum, C::Above, 5.5), &[""]),
            ("together not", rule(A::Sum, C::Above, 6.0), &[]),
            ("the largest", rule(A::Max, C::AtLeast, 5.0), &[""]),
            ("the smallest", rule(A::Min, C::AtMost, 1.0), &[""]),
            ("exactly", rule(A::Any, C::Equal, 1.0), &["relay a"]),
            ("anything else", rule(A::Any, C::NotEqual, 1.0), &["relay b"]),
            (
                "those that fit",
                MetricRule { matchers: vec!["relay!=b".parse().unwrap()], ..rule(A::Sum, C::Equal, 1.0) },
                &[""],
            ),
            (
                "nothing measured",
                MetricRule { metric: "relaymux_z".to_owned(), ..rule(A::Sum, C::Below, 1.0) },
                &[],
            ),
        ] {
            assert_eq!(troubles(rule, text), expected, "{name}");
        }
    }

    #[test]
    fn a_message_says_what_was_measured() {
        let of = |rule: MetricRule| {
            let samples = parse("relaymux_x{relay=\"a\"} 1.25", "relaymux_");
            MetricRules::new(vec![rule]).evaluate(&samples, at(0)).0.remove(0).message
        };
        assert_eq!(
            of(rule(Aggregation::Any, Comparison::Above, 1.0)),
            "relaymux_x of relay a is 1.25: above 1, which its rule names as wrong."
        );
        assert_eq!(
            of(rule(Aggregation::Sum, Comparison::AtLeast, 1.25)),
            "relaymux_x of all together is 1.25: at or above 1.25, which its rule names as wrong."
        );
    }

    #[test]
    fn counters_are_judged_by_their_growth() {
        let window = Duration::from_secs(60);
        let mut rules = MetricRules::new(vec![MetricRule {
            rate_over: Some(window),
            ..rule(Aggregation::Any, Comparison::Above, 1.5)
        }]);
        let mut value = 1000;
        let mut seen = Vec::new();
        for second in 0..300 {
            // One a second; two a second from 100 to 199, with a restart of whoever counts at 150.
            value += if (100..200).contains(&second) { 2 } else { 1 };
            if second == 150 {
                value = 2;
            }
            let samples = parse(&format!("relaymux_x {value}"), "relaymux_");
            let (troubles, unknown) = rules.evaluate(&samples, at(second));
            assert_eq!(unknown.is_empty(), second >= 60, "{second}");
            seen.push(!troubles.is_empty());
        }
        let begins = seen.iter().position(|trouble| *trouble).unwrap();
        let ends = seen.iter().rposition(|trouble| *trouble).unwrap();
        assert!((125..140).contains(&begins), "half of the window at twice the growth: {begins}");
        assert!((225..240).contains(&ends), "{ends}");
        assert!(seen[begins..=ends].iter().all(|trouble| *trouble), "the restart is no gap");
        assert!(rules.counters[0].values().all(|counter| counter.points.len() <= 14));
    }

    #[test]
    fn series_that_are_gone_are_forgotten() {
        let mut rules = MetricRules::new(vec![MetricRule {
            rate_over: Some(Duration::from_secs(60)),
            ..rule(Aggregation::Any, Comparison::Above, 1.5)
        }]);
        rules.evaluate(&parse("relaymux_x{a=\"1\"} 1\nrelaymux_x{a=\"2\"} 1", "relaymux_"), at(0));
        rules.evaluate(&parse("relaymux_x{a=\"2\"} 1", "relaymux_"), at(1));
        assert_eq!(rules.counters[0].len(), 1);
    }
}
