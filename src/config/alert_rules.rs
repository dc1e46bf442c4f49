//! `[[alerts.rules]]`: the operator's own rules over metrics; and which of the shipped ones are off or of another severity.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use super::{
    Mistake,
    alert_channels::one_of,
    alert_people::severity,
    checker::Checker,
    durations::{duration, shown},
    raw_alerts::{RawAlerts, RawLabels, RawRule},
};
use crate::{
    alerts::{Aggregation, Comparison, MatchOperator, Matcher, MetricRule},
    events::{AlertRule, Component, Persistence, Severity},
};

/// Most rules of the operator's own: each is looked at every few seconds.
const MAX_RULES: usize = 200;
/// Most matchers of one.
const MAX_MATCHERS: usize = 20;
/// Longest text that is shown in messages, in bytes.
const MAX_TEXT_BYTES: usize = 300;

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// The operator's own rules.
pub(super) fn rules(raw: &[RawRule], shipped: &[&AlertRule], checker: &mut Checker) -> Vec<MetricRule> {
    if raw.len() > MAX_RULES {
        checker.wrong(
            "alerts.rules",
            format!("there are more than {MAX_RULES}"),
            "leave out what nobody acts on",
        );
    }
    let mut names = BTreeSet::new();
    let mut found = Vec::new();
    for (index, rule) in raw.iter().enumerate() {
        let section = format!("alerts.rules[{index}]");
        let name = name(rule.name.as_ref(), &section, shipped, checker);
        if let Some(name) = &name
            && !names.insert(name.clone())
        {
            checker.wrong(
                &format!("{section}.name"),
                format!("`{name}` is there twice"),
                "give each a name of its own",
            );
        }
        let rule = read_rule(rule, name, &section, checker);
        found.extend(rule);
    }
    found
}

fn name(
    name: Option<&String>,
    section: &str,
    shipped: &[&AlertRule],
    checker: &mut Checker,
) -> Option<String> {
    let key = format!("{section}.name");
    let name = name.map(String::as_str).unwrap_or_default();
    let is_name = (1..=64).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_')
        && name.starts_with(|first: char| first.is_ascii_lowercase());
    if !is_name {
        let message =
            if name.is_empty() { "is missing" } else { "is no name of lower case letters, digits and _" };
        checker.wrong(&key, message, "such as name = \"slow_headers\"");
        return None;
    }
    if shipped.iter().any(|rule| rule.name == name) {
        let hint = "give it another; alerts.severities changes the severity of a shipped rule, alerts.disable turns it off";
        checker.wrong(&key, format!("`{name}` is a rule of relaymux itself"), hint);
        return None;
    }
    Some(name.to_owned())
}

fn read_rule(
    raw: &RawRule,
    name: Option<String>,
    section: &str,
    checker: &mut Checker,
) -> Option<MetricRule> {
    let at = |key: &str| format!("{section}.{key}");
    let metric = metric(raw.metric.as_ref(), &at("metric"), checker);
    let matchers = matchers(raw.labels.as_ref(), &at("labels"), checker);
    let aggregation = match &raw.aggregate {
        None => Some(Aggregation::Any),
        Some(text) => Aggregation::parse(text),
    };
    if aggregation.is_none() {
        let message = format!(
            "there is no way `{}` to put series together",
            raw.aggregate.as_deref().unwrap_or_default()
        );
        checker.wrong(
            &at("aggregate"),
            message,
            "any: each series for itself; sum, max or min: of all together",
        );
    }
    let comparison = raw.op.as_deref().and_then(Comparison::parse);
    if comparison.is_none() {
        let message = raw
            .op
            .as_ref()
            .map_or("is missing".to_owned(), |text| format!("there is no comparison `{text}`"));
        let hint = format!(
            "one of {}: the value is wrong when it is so",
            Comparison::ALL.map(Comparison::label).join(" ")
        );
        checker.wrong(&at("op"), message, hint);
    }
    let threshold = raw.threshold.filter(|threshold| threshold.is_finite());
    if threshold.is_none() {
        let message =
            if raw.threshold.is_none() { "is missing" } else { "is no number that can be compared with" };
        checker.wrong(&at("threshold"), message, "such as threshold = 0.5");
    }
    let severity = match &raw.severity {
        None => Some(Severity::P3),
        text => severity(&at("severity"), text.as_ref(), checker),
    };
    let component = component(raw.component.as_ref(), &at("component"), checker);
    let rate_over = raw
        .rate_over
        .as_ref()
        .map(|over| duration(&at("rate_over"), Some(over), 5 * MINUTE, 30 * SECOND..=DAY, checker));
    let fail_for =
        duration(&at("for"), raw.fail_for.as_ref(), Duration::ZERO, Duration::ZERO..=7 * DAY, checker);
    let clear_for =
        duration(&at("clear_for"), raw.clear_for.as_ref(), MINUTE, Duration::ZERO..=7 * DAY, checker);
    let title = text(raw.title.as_ref(), &at("title"), checker);
    let runbook = text(raw.runbook.as_ref(), &at("runbook"), checker);
    let (metric, comparison, threshold) = (metric?, comparison?, threshold?);
    let condition = match rate_over {
        None => format!("{metric} {comparison} {threshold}"),
        Some(over) => format!("{metric} each second over {} {comparison} {threshold}", shown(over)),
    };
    let name = name?;
    let rule = AlertRule {
        severity: severity?,
        component: component?,
        title: Cow::Owned(title.unwrap_or(condition)),
        cost: Cow::Borrowed("Whoever wrote this rule into [[alerts.rules]] knows: relaymux does not."),
        done: Cow::Borrowed("Nothing: relaymux only tells."),
        runbook: Cow::Owned(runbook.unwrap_or_else(|| {
            format!("Look at {metric} in /metrics. The rule `{name}` in [[alerts.rules]] has no runbook: write one.")
        })),
        name: Cow::Owned(name),
        page: Cow::Borrowed("/"),
        fail_for,
        clear_for,
        persistence: Persistence::Condition,
    };
    Some(MetricRule {
        rule: Arc::new(rule),
        metric,
        matchers: matchers?,
        aggregation: aggregation?,
        comparison,
        threshold,
        rate_over,
    })
}

fn metric(name: Option<&String>, key: &str, checker: &mut Checker) -> Option<String> {
    let name = name.map(String::as_str).unwrap_or_default();
    let is_name = name.len() <= 200 && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let message = match name {
        "" => "is missing",
        _ if !is_name => "is no name of a metric: labels have a key of their own",
        _ if !name.starts_with("relaymux_") => "is none of relaymux's metrics: those begin with relaymux_",
        _ => return Some(name.to_owned()),
    };
    checker.wrong(key, message, "such as metric = \"relaymux_relay_up\"; /metrics shows them all");
    None
}

fn component(name: Option<&String>, key: &str, checker: &mut Checker) -> Option<Component> {
    let Some(name) = name else { return Some(Component::Relaymux) };
    // A drill is about nothing.
    let found = Component::parse(name).filter(|found| *found != Component::Drill);
    if found.is_none() {
        let known: Vec<&str> = Component::ALL
            .into_iter()
            .filter(|known| *known != Component::Drill)
            .map(Component::label)
            .collect();
        checker.wrong(key, format!("there is no component `{name}`"), one_of(name, &known, "components"));
    }
    found
}

fn text(text: Option<&String>, key: &str, checker: &mut Checker) -> Option<String> {
    let text = text.map(|text| text.trim().to_owned())?;
    if text.is_empty() || text.len() > MAX_TEXT_BYTES || text.chars().any(char::is_control) {
        checker.wrong(
            key,
            format!("is empty, longer than {MAX_TEXT_BYTES} bytes, or has several lines"),
            "write a sentence or two for whoever is woken by it",
        );
        return None;
    }
    Some(text)
}

/// The conditions on labels. `None`: they are wrong.
fn matchers(labels: Option<&RawLabels>, key: &str, checker: &mut Checker) -> Option<Vec<Matcher>> {
    let read: Result<Vec<Matcher>, String> = match labels {
        None => return Some(Vec::new()),
        Some(RawLabels::Exactly(labels)) => labels
            .iter()
            .map(|(label, value)| {
                // By its text: it says what a label may be.
                let plain = format!("{label}=x").parse::<Matcher>().ok();
                if plain.and_then(|plain| plain.exact_value_of(label).map(str::to_owned)).is_none() {
                    return Err(format!("`{label}` is no name of a label"));
                }
                Matcher::new(label, MatchOperator::Equal, value).map_err(|error| error.to_string())
            })
            .collect(),
        Some(RawLabels::Text(text)) => parts(text)
            .into_iter()
            .map(|part| part.parse::<Matcher>().map_err(|error| error.to_string()))
            .collect(),
    };
    let read = read.and_then(|matchers| {
        if matchers.len() > MAX_MATCHERS {
            Err(format!("has more than {MAX_MATCHERS} conditions"))
        } else {
            Ok(matchers)
        }
    });
    read.map_err(|error| {
        checker.wrong(
            key,
            error,
            "such as labels = { relay = \"titan\" } or labels = 'relay=~\"titan.*\",outcome!=\"ok\"'",
        );
    })
    .ok()
}

/// Splits `{a="x,y",b="z"}` at the commas that stand outside quotes. Braces may be left out.
fn parts(text: &str) -> Vec<&str> {
    let text = text.trim();
    let text = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    let (mut is_quoted, mut is_escaped, mut start) = (false, false, 0);
    let mut found = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' if is_quoted => is_escaped = true,
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => {
                found.extend(text.get(start..at));
                start = at + 1;
            }
            _ => {}
        }
    }
    found.extend(text.get(start..));
    // A comma may come last, as in Prometheus.
    found.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect()
}

/// The shipped rules that are off, and those that are of another severity.
pub(super) fn shipped_rules(
    raw: &RawAlerts,
    shipped: &[&AlertRule],
    checker: &mut Checker,
) -> (BTreeSet<String>, BTreeMap<String, Severity>) {
    let known: Vec<&str> = shipped.iter().map(|rule| &*rule.name).collect();
    let is_own = |name: &str| raw.rules.iter().any(|rule| rule.name.as_deref() == Some(name));
    let unknown = |name: &str| {
        let message = if is_own(name) {
            format!("`{name}` is one of [[alerts.rules]], not one of relaymux's own")
        } else {
            format!("there is no rule `{name}`")
        };
        let hint = if is_own(name) { "change it there".to_owned() } else { one_of(name, &known, "rules") };
        (message, hint)
    };
    for (index, name) in raw.disable.iter().enumerate() {
        if !known.contains(&name.as_str()) {
            let (message, hint) = unknown(name);
            checker.wrong(&format!("alerts.disable[{index}]"), message, hint);
        }
    }
    let mut severities = BTreeMap::new();
    for (name, text) in &raw.severities {
        let key = format!("alerts.severities.{name}");
        if !known.contains(&name.as_str()) {
            let (message, hint) = unknown(name);
            checker.mistakes.push(Mistake::at(key.clone(), message, hint).at_key_itself());
        }
        if raw.disable.contains(name) {
            let message = format!("`{name}` is in alerts.disable: it has no severity");
            checker.contradicts(&key, "alerts.disable", message, "keep one of the two");
        }
        severities.extend(severity(&key, Some(text), checker).map(|severity| (name.clone(), severity)));
    }
    (raw.disable.iter().cloned().collect(), severities)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_split_at_commas_outside_quotes() {
        for (text, want) in [
            ("", &[][..]),
            ("{}", &[]),
            ("a=\"x\"", &["a=\"x\""]),
            ("{a=\"x,y\", b=~\"z|,\"}", &["a=\"x,y\"", "b=~\"z|,\""]),
            ("a=\"x\\\",\",b=c,", &["a=\"x\\\",\"", "b=c"]),
        ] {
            assert_eq!(parts(text), want, "{text}");
        }
    }

    #[test]
    fn conditions_on_labels_come_in_two_shapes() {
        let exactly = |label: &str| RawLabels::Exactly([(label.to_owned(), "x\"y".to_owned())].into());
        let mut checker = Checker::default();
        let table = matchers(Some(&exactly("relay")), "k", &mut checker).unwrap();
        assert_eq!(table[0].exact_value_of("relay"), Some("x\"y"));
        let text = RawLabels::Text("{relay!=\"a\",code=~\"5..\"}".to_owned());
        assert_eq!(matchers(Some(&text), "k", &mut checker).unwrap().len(), 2);
        assert_eq!(checker.mistakes, []);
        for wrong in [
            exactly("a b"),
            exactly("a!"),
            exactly(""),
            RawLabels::Text("relay".to_owned()),
            RawLabels::Text("relay=~\"(\"".to_owned()),
            RawLabels::Text("a=b,".repeat(21)),
        ] {
            let mut checker = Checker::default();
            assert_eq!(matchers(Some(&wrong), "k", &mut checker), None, "{wrong:?}");
            assert_eq!(checker.mistakes.len(), 1);
        }
    }
}
