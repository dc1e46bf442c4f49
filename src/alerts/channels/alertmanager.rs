//! Alertmanager's API v2: it takes over grouping and routing, and is told the state of things rather than news.
//!
//! Every instance is told everything that fires each minute, each time with an end three minutes ahead, so that alerts end by themselves when
//! we are gone; what is resolved is told for five minutes more. Nothing is queued: what an instance missed, the next round says.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::{
    answer::{Answer, HttpAnswer, Refusal},
    clip::{clip, one_line},
    page::rfc3339,
    pagerduty,
    request::Request,
};
use crate::{
    alerts::message::{AlertText, Message},
    types::{SecretUrl, UnixMillis},
};

/// How long a firing alert lives unless it is told again.
const LIFE_MS: i64 = 180_000;
/// How long what is resolved is told again.
const RESOLVED_MS: i64 = 300_000;
/// How often everything is told again.
pub(in crate::alerts) const ROUND: Duration = Duration::from_secs(60);
/// Alerts in one request; Prometheus sends 64.
const BATCH: usize = 64;
/// Most labels that are passed on, and most UTF-16 units of one value.
const MAX_LABELS: usize = 40;
const MAX_VALUE: usize = 1024;

/// Alertmanagers, all of one cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertmanagerSettings {
    /// Every instance, never a balancer before them: each must know everything.
    pub urls: Vec<SecretUrl>,
}

/// The state of things: all that fires, and what was resolved lately.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertmanagerSnapshot {
    /// What fires.
    pub firing: Vec<AlertText>,
    /// What is over; whatever is older than five minutes is left out.
    pub resolved: Vec<AlertText>,
    /// The name of this machine or sidecar.
    pub source: String,
    /// The page that shows it.
    pub page_url: Option<String>,
}

/// An alert as Alertmanager takes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PostableAlert {
    /// Which one it is.
    pub labels: BTreeMap<String, String>,
    /// What is said of it.
    pub annotations: BTreeMap<String, String>,
    /// RFC 3339.
    pub starts_at: String,
    /// RFC 3339; ahead while it fires.
    pub ends_at: String,
    /// The page that shows it.
    #[serde(rename = "generatorURL", skip_serializing_if = "Option::is_none")]
    pub generator_url: Option<String>,
}

/// What is told now.
pub fn payload(now: UnixMillis, snapshot: &AlertmanagerSnapshot) -> Vec<PostableAlert> {
    let ahead = now.saturating_add(LIFE_MS);
    let firing = snapshot.firing.iter().map(|alert| postable(alert, ahead, snapshot));
    let resolved = snapshot.resolved.iter().filter_map(|alert| {
        let until = alert.until.filter(|until| now.saturating_sub(*until) <= RESOLVED_MS)?;
        // An end ahead would make it fire.
        Some(postable(alert, until.min(now), snapshot))
    });
    firing.chain(resolved).collect()
}

fn postable(alert: &AlertText, until: UnixMillis, snapshot: &AlertmanagerSnapshot) -> PostableAlert {
    let mut labels = BTreeMap::new();
    for (name, value) in alert.labels.iter().take(MAX_LABELS) {
        labels.insert(label_name(name), value.as_str());
    }
    // Last, so that no foreign label stands for one of ours.
    labels.insert("alertname".to_owned(), alert.rule.as_str());
    labels.insert("severity".to_owned(), pagerduty::severity(alert.severity));
    labels.insert("priority".to_owned(), alert.severity.label());
    labels.insert("component".to_owned(), alert.component.label());
    labels.insert("subject".to_owned(), alert.subject.as_str());
    labels.insert("instance".to_owned(), snapshot.source.as_str());
    let texts = [
        ("summary", &alert.title),
        ("description", &alert.message),
        ("cost", &alert.cost),
        ("done", &alert.done),
        ("runbook", &alert.runbook),
    ];
    PostableAlert {
        labels: texts_of(labels.iter().map(|(name, value)| (name.as_str(), *value))),
        annotations: texts_of(texts.into_iter().map(|(name, value)| (name, value.as_str()))),
        starts_at: rfc3339(alert.since.min(until)),
        ends_at: rfc3339(until),
        generator_url: snapshot.page_url.clone(),
    }
}

/// Texts that are not empty: Alertmanager takes an empty label for none at all.
fn texts_of<'a>(texts: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, String> {
    texts
        .map(|(name, value)| (name.to_owned(), clip(&one_line(value), MAX_VALUE).into_owned()))
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

/// A name of a label that every version takes: letters, digits and `_`, no digit first.
fn label_name(name: &str) -> String {
    let kept: String =
        name.chars().take(100).map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
    if kept.starts_with(|c: char| c.is_ascii_digit()) || kept.is_empty() { format!("_{kept}") } else { kept }
}

/// The requests that tell one instance.
pub(in crate::alerts) fn requests(url: &SecretUrl, alerts: &[PostableAlert]) -> Vec<Request> {
    let url = url.join(&["api", "v2", "alerts"]);
    alerts.chunks(BATCH).map(|batch| Request::json(url.clone(), &batch)).collect()
}

/// What follows from Alertmanager's answer.
pub(in crate::alerts) fn classify(answer: &HttpAnswer) -> Answer {
    match answer.status {
        200..=299 => Answer::Taken,
        400 => answer.never(Refusal::BadMessage, None),
        _ => answer.later(None, None),
    }
}

/// A message without alerts, such as a test, as one alert of a few minutes.
pub(super) fn of_text(now: UnixMillis, message: &Message) -> PostableAlert {
    let labels = [
        ("alertname", "RelaymuxMessage"),
        ("severity", pagerduty::severity(message.severity)),
        ("priority", message.severity.label()),
        ("component", "relaymux"),
        ("subject", message.kind.label()),
        ("instance", message.source.as_str()),
    ];
    let annotations =
        [("summary", message.title.as_str()), ("description", message.body.as_deref().unwrap_or_default())];
    PostableAlert {
        labels: texts_of(labels.into_iter()),
        annotations: texts_of(annotations.into_iter()),
        starts_at: rfc3339(message.at.min(now)),
        ends_at: rfc3339(now.saturating_add(LIFE_MS)),
        generator_url: message.page_url.clone(),
    }
}
