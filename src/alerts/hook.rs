//! Others' alerts: the body of Alertmanager's webhook, version 4, as it comes over the network. Nothing in it is believed to be small.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{
    events::Severity,
    types::{UnixMillis, labelled},
};

/// Largest body.
pub const MAX_BODY: usize = 1 << 20;
/// Most alerts in one body.
const MAX_ALERTS: usize = 1000;
/// Most labels or annotations of one alert.
const MAX_PAIRS: usize = 64;
/// Longest name of a label, in bytes.
const MAX_NAME: usize = 128;
/// Longest value of a label, in bytes.
const MAX_VALUE: usize = 1024;
/// Longest annotation, in bytes; the rest is cut off.
const MAX_ANNOTATION: usize = 4096;

labelled! {
    /// Whether an alert lasts.
    pub enum ForeignStatus {
        /// It lasts.
        Firing = "firing",
        /// It is over.
        Resolved = "resolved",
    }
}

/// An alert that somebody else found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ForeignAlert {
    /// Which one it is. `alertname` is among them.
    pub labels: BTreeMap<String, String>,
    /// What is said of it.
    pub annotations: BTreeMap<String, String>,
    /// Whether it lasts.
    pub status: ForeignStatus,
    /// How grave it is, by its label `severity`.
    pub severity: Severity,
    /// Since when, in Unix milliseconds; none where it does not say.
    pub starts_at: Option<UnixMillis>,
    /// Until when, in Unix milliseconds; none while it lasts.
    pub ends_at: Option<UnixMillis>,
    /// The sender's name for its labels; may be empty.
    pub fingerprint: String,
    /// A page about it, where it is an address of the web.
    pub generator_url: Option<String>,
}

/// What came in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HookBody {
    /// The alerts, in their order.
    pub alerts: Vec<ForeignAlert>,
    /// How many more the sender had and left out.
    pub truncated: u64,
}

/// Why a body was not taken.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// Larger than anything that is read.
    #[error(
        "the body has {got} bytes, and at most {MAX_BODY} are taken: lower `max_alerts` of the receiver's `webhook_config`"
    )]
    TooLarge {
        /// Its size in bytes.
        got: usize,
    },
    /// Not what Alertmanager sends.
    #[error("not the body of an Alertmanager webhook: {0}")]
    Json(String),
    /// Of another version of the format.
    #[error("the webhook's version is {0:?}, and only \"4\" is known")]
    Version(String),
    /// More alerts than are taken.
    #[error(
        "the body has {got} alerts, and at most {MAX_ALERTS} are taken: set `max_alerts` of the receiver's `webhook_config`"
    )]
    TooMany {
        /// How many it has.
        got: usize,
    },
    /// An alert that cannot be kept.
    #[error("alert {number}: {what}")]
    Alert {
        /// Which one, from 1.
        number: usize,
        /// What is wrong with it.
        what: String,
    },
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawBody {
    version: String,
    #[serde(default)]
    truncated_alerts: u64,
    alerts: Vec<RawAlert>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAlert {
    status: String,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    #[serde(default)]
    starts_at: String,
    #[serde(default)]
    ends_at: String,
    #[serde(default)]
    fingerprint: String,
    #[serde(default, rename = "generatorURL")]
    generator_url: String,
}

/// Reads the body of Alertmanager's webhook.
///
/// # Errors
/// When it is none, or too large. Never a part of it: what was refused is sent again whole.
pub fn parse(body: &[u8]) -> Result<HookBody, HookError> {
    if body.len() > MAX_BODY {
        return Err(HookError::TooLarge { got: body.len() });
    }
    let raw: RawBody = serde_json::from_slice(body).map_err(|error| HookError::Json(error.to_string()))?;
    if raw.version != "4" {
        return Err(HookError::Version(raw.version.chars().take(20).collect()));
    }
    if raw.alerts.len() > MAX_ALERTS {
        return Err(HookError::TooMany { got: raw.alerts.len() });
    }
    let alerts = raw
        .alerts
        .into_iter()
        .enumerate()
        .map(|(index, raw)| read(raw).map_err(|what| HookError::Alert { number: index + 1, what }));
    Ok(HookBody { alerts: alerts.collect::<Result<_, _>>()?, truncated: raw.truncated_alerts })
}

fn read(raw: RawAlert) -> Result<ForeignAlert, String> {
    let known = || ForeignStatus::ALL.map(ForeignStatus::label).join(" or ");
    let status =
        ForeignStatus::parse(&raw.status).ok_or_else(|| format!("its status is neither {}", known()))?;
    if raw.labels.len() > MAX_PAIRS || raw.annotations.len() > MAX_PAIRS {
        return Err(format!("more than {MAX_PAIRS} labels or annotations"));
    }
    if raw.labels.get("alertname").is_none_or(|name| name.trim().is_empty()) {
        return Err("no label alertname".to_owned());
    }
    for (name, value) in &raw.labels {
        if name.is_empty() || name.len() > MAX_NAME || value.len() > MAX_VALUE {
            return Err(format!(
                "a label's name has more than {MAX_NAME} bytes or none, or its value more than {MAX_VALUE}"
            ));
        }
    }
    let annotations =
        raw.annotations.into_iter().map(|(name, value)| (cut(name, MAX_NAME), cut(value, MAX_ANNOTATION)));
    let severity = severity_of(raw.labels.get("severity").map_or("", String::as_str));
    let is_link =
        url::Url::parse(&raw.generator_url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    Ok(ForeignAlert {
        annotations: annotations.collect(),
        status,
        severity,
        starts_at: time(&raw.starts_at),
        ends_at: time(&raw.ends_at).filter(|_| status == ForeignStatus::Resolved),
        fingerprint: cut(raw.fingerprint, MAX_NAME),
        generator_url: (is_link && raw.generator_url.len() <= MAX_VALUE).then_some(raw.generator_url),
        labels: raw.labels,
    })
}

/// How grave an alert is by the words that people use for it; what nobody knows is to be looked at.
pub fn severity_of(label: &str) -> Severity {
    match label.trim().to_ascii_lowercase().as_str() {
        "p1" | "critical" | "page" | "emergency" | "fatal" => Severity::P1,
        "p2" | "error" | "high" | "major" => Severity::P2,
        "p4" | "info" | "information" | "none" | "low" => Severity::P4,
        _ => Severity::P3,
    }
}

/// A time of Alertmanager's; its year 1 is no time.
fn time(text: &str) -> Option<UnixMillis> {
    let at = text.parse::<jiff::Timestamp>().ok()?.as_millisecond();
    (at > 0).then_some(at)
}

fn cut(mut text: String, most: usize) -> String {
    let end = (0..=most.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.truncate(end);
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    /// As Alertmanager 0.25 sends it.
    fn sample() -> Value {
        json!({
            "receiver": "relaymux", "status": "firing", "externalURL": "http://am:9093", "version": "4",
            "groupKey": "{}:{alertname=\"DiskFull\"}", "truncatedAlerts": 2,
            "groupLabels": {"alertname": "DiskFull"}, "commonLabels": {}, "commonAnnotations": {},
            "alerts": [{
                "status": "firing",
                "labels": {"alertname": "DiskFull", "severity": "critical", "instance": "box-1"},
                "annotations": {"summary": "No room on /data"},
                "startsAt": "2026-11-28T05:00:00.123456789Z", "endsAt": "0001-01-01T00:00:00Z",
                "generatorURL": "http://prometheus:9090/graph?g0.expr=x", "fingerprint": "c5b2f8b6d8f1a2b3"
            }]
        })
    }

    fn parse_json(value: &Value) -> Result<HookBody, HookError> {
        parse(value.to_string().as_bytes())
    }

    #[test]
    fn alertmanagers_body_is_understood() {
        let body = parse_json(&sample()).unwrap();
        assert_eq!((body.alerts.len(), body.truncated), (1, 2));
        let alert = &body.alerts[0];
        assert_eq!(alert.labels["instance"], "box-1");
        assert_eq!((alert.severity, alert.status), (Severity::P1, ForeignStatus::Firing));
        assert_eq!((alert.starts_at, alert.ends_at), (Some(1_795_842_000_123), None));
        assert_eq!(alert.fingerprint, "c5b2f8b6d8f1a2b3");
        assert!(alert.generator_url.as_deref().unwrap().starts_with("http://prometheus"));
    }

    #[test]
    fn what_is_over_has_an_end() {
        let mut resolved = sample();
        resolved["alerts"][0]["status"] = "resolved".into();
        resolved["alerts"][0]["endsAt"] = "2026-11-28T06:00:00Z".into();
        let alert = parse_json(&resolved).unwrap().alerts.remove(0);
        assert_eq!((alert.status, alert.ends_at), (ForeignStatus::Resolved, Some(1_795_845_600_000)));
    }

    /// Made by Alertmanager 0.25 of what `alertmanagers` told it.
    #[test]
    fn a_real_alertmanagers_body_is_understood() {
        let body = parse(include_bytes!("../../fixtures/alerts/alertmanager-webhook.json")).unwrap();
        let got: Vec<_> =
            body.alerts.iter().map(|alert| (alert.labels["subject"].as_str(), alert.status)).collect();
        assert_eq!(got, [("relay-b", ForeignStatus::Firing), ("relay-c", ForeignStatus::Resolved)]);
        assert!(body.alerts.iter().all(|alert| alert.severity == Severity::P1 && alert.starts_at.is_some()));
        assert!(body.alerts[0].ends_at.is_none() && body.alerts[1].ends_at.is_some());
    }

    #[test]
    fn severities_have_many_names() {
        let cases = [
            ("critical", Severity::P1),
            ("page", Severity::P1),
            ("P1", Severity::P1),
            ("error", Severity::P2),
            ("HIGH", Severity::P2),
            ("p2", Severity::P2),
            ("warning", Severity::P3),
            ("P3", Severity::P3),
            ("", Severity::P3),
            ("weird", Severity::P3),
            ("info", Severity::P4),
            ("P4", Severity::P4),
        ];
        for (label, want) in cases {
            assert_eq!(severity_of(label), want, "{label}");
        }
    }

    #[track_caller]
    fn refused(change: impl FnOnce(&mut Value), want: &str) {
        let mut body = sample();
        change(&mut body);
        let message = parse_json(&body).unwrap_err().to_string();
        assert!(message.contains(want), "{message}");
    }

    #[test]
    fn what_is_too_much_is_refused_whole_and_what_just_fits_is_not() {
        refused(|body| body["version"] = "3".into(), "version");
        refused(|body| body["alerts"][0]["status"] = "maybe".into(), "alert 1: its status");
        refused(|body| body["alerts"][0]["labels"] = json!({"a": "b"}), "no label alertname");
        refused(|body| body["alerts"][0]["labels"]["x"] = "v".repeat(MAX_VALUE + 1).into(), "label");
        refused(|body| body["alerts"][0]["labels"]["n".repeat(MAX_NAME + 1)] = "v".into(), "label");
        refused(
            |body| body["alerts"] = vec![body["alerts"][0].clone(); MAX_ALERTS + 1].into(),
            "1001 alerts",
        );
        refused(|body| body["alerts"] = "none".into(), "not the body");
        assert!(matches!(parse(&vec![b' '; MAX_BODY + 1]), Err(HookError::TooLarge { .. })));
        let mut fits = sample();
        fits["alerts"][0]["labels"]["x"] = "v".repeat(MAX_VALUE).into();
        fits["alerts"][0]["annotations"]["x"] = "é".repeat(MAX_ANNOTATION).into();
        let alert = parse_json(&fits).unwrap().alerts.remove(0);
        assert_eq!(alert.annotations["x"].len(), MAX_ANNOTATION);
        fits["alerts"] = vec![sample()["alerts"][0].clone(); MAX_ALERTS].into();
        assert_eq!(parse_json(&fits).unwrap().alerts.len(), MAX_ALERTS);
    }

    #[test]
    fn a_link_that_is_none_is_left_out() {
        let mut body = sample();
        body["alerts"][0]["generatorURL"] = "javascript:alert(1)".into();
        assert_eq!(parse_json(&body).unwrap().alerts[0].generator_url, None);
    }

    proptest! {
        #[test]
        fn nothing_that_comes_in_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300), at in 0usize..400, byte: u8) {
            let _ = parse(&bytes);
            let mut damaged = sample().to_string().into_bytes();
            let at = at % damaged.len();
            damaged[at] = byte;
            let _ = parse(&damaged);
        }
    }
}
