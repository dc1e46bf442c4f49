//! PagerDuty's Events API v2: what fires triggers, and the same `dedup_key` acknowledges and resolves it.
//!
//! A digest becomes a change event, which is shown and pages nobody. Limits: 1,024 characters of a summary, 255 of a key, 512 KB in all.

use std::time::Duration;

use alloy_primitives::hex;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::{
    answer::{Answer, HttpAnswer, Refusal},
    clip::{clip, one_line, units},
    page::{Layout, gravest_first, page, rfc3339},
    request::{ChannelContext, Request},
};
use crate::{
    alerts::message::{Message, MessageKind},
    events::Severity,
    types::{Secret, SecretUrl},
};

const SUMMARY: usize = 1024;
const DEDUP_KEY: usize = 255;
/// PagerDuty does not say how long it wants to be left alone; its documentation asks for minutes.
const WAIT: Duration = Duration::from_secs(60);
/// Much larger than on a telephone: details are read on a desk. At most some 120 KB.
const LAYOUT: Layout = Layout { full: 10, lines: 100, field: 600, body: 9000 };

/// A PagerDuty service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PagerDutySettings {
    /// The integration's key, of 32 characters.
    pub routing_key: Secret,
    /// Where events go, without a path. Default `https://events.pagerduty.com`; accounts in Europe have another.
    pub url: SecretUrl,
}

/// `dedup_key` of a group: the group itself, or its hash where it is too long.
pub(super) fn dedup_key(group: &str) -> String {
    if units(group) <= DEDUP_KEY {
        return group.to_owned();
    }
    hex::encode(Sha256::digest(group.as_bytes()))
}

/// The word that others than us have for a severity.
pub(super) const fn severity(severity: Severity) -> &'static str {
    match severity {
        Severity::P1 => "critical",
        Severity::P2 => "error",
        Severity::P3 => "warning",
        Severity::P4 => "info",
    }
}

/// The request for a message.
pub(super) fn render(settings: &PagerDutySettings, message: &Message, context: &ChannelContext) -> Request {
    // It shows a doubled event once: nothing to be said about repetitions.
    let context = ChannelContext { repetition: None, ..context.clone() };
    let page = page(message, &context, LAYOUT);
    let mut details = Map::new();
    if !page.notes.is_empty() {
        details.insert("note".to_owned(), page.notes.join(" ").into());
    }
    if let Some(body) = &page.body {
        details.insert("text".to_owned(), body.as_str().into());
    }
    for (number, entry) in page.entries.iter().enumerate() {
        let facts: Map<String, Value> =
            entry.facts.iter().map(|fact| (fact.name.to_owned(), fact.text.as_str().into())).collect();
        if entry.heading.is_empty() {
            details.extend(facts);
        } else {
            details.insert(format!("{}. {}", number + 1, entry.heading), facts.into());
        }
    }
    if !page.lines.is_empty() {
        details.insert("others".to_owned(), page.lines.into());
    }
    if let Some(more) = page.more {
        details.insert("not shown".to_owned(), more.into());
    }
    let links: Vec<_> = page.links.iter().map(|link| json!({"href": link.url, "text": link.label})).collect();
    let summary = clip(&page.headline, SUMMARY);
    let source = clip(&one_line(&message.source), 200).into_owned();
    let source = if source.is_empty() { "relaymux".to_owned() } else { source };
    let key = &settings.routing_key.0;
    if message.kind == MessageKind::Digest {
        let event = json!({
            "routing_key": key,
            "payload": {"summary": summary, "timestamp": rfc3339(message.at), "source": source, "custom_details": details},
            "links": links,
        });
        return Request::json(settings.url.join(&["v2", "change", "enqueue"]), &event);
    }
    let action = match message.kind {
        MessageKind::Firing | MessageKind::Reminder | MessageKind::Test | MessageKind::Digest => "trigger",
        MessageKind::Acknowledged => "acknowledge",
        MessageKind::Resolved => "resolve",
    };
    let gravest = gravest_first(message).first().copied();
    let mut event = json!({
        "routing_key": key,
        "event_action": action,
        "dedup_key": dedup_key(&message.group),
        "client": "relaymux",
        "links": links,
        "payload": {
            "summary": summary,
            "source": source,
            "severity": severity(message.severity),
            "timestamp": rfc3339(message.at),
            "component": gravest.map_or("relaymux", |alert| alert.component.label()),
            "class": gravest.map_or("relaymux", |alert| alert.rule.as_str()),
            "group": "relaymux",
            "custom_details": details,
        },
    });
    if let (Some(event), Some(url)) = (event.as_object_mut(), &message.page_url) {
        event.insert("client_url".to_owned(), url.as_str().into());
    }
    Request::json(settings.url.join(&["v2", "enqueue"]), &event)
}

/// What follows from PagerDuty's answer.
pub(super) fn classify(answer: &HttpAnswer) -> Answer {
    let json = answer.json();
    let said =
        json.get("errors").map(Value::to_string).or_else(|| Some(json.get("message")?.as_str()?.to_owned()));
    let said = said.as_deref();
    match answer.status {
        200..=299 => Answer::Taken,
        429 => answer.later(Some(answer.retry_after.unwrap_or(WAIT)), said),
        _ if answer.is_passing() => answer.later(None, said),
        401 | 403 | 404 => answer.never(Refusal::DeadChannel, said),
        _ => answer.never(Refusal::BadMessage, said),
    }
}
