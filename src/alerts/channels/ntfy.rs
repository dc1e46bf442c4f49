//! ntfy, of ntfy.sh or one's own: published as JSON, 4,096 bytes of text (more would become a file that nobody opens).

use serde_json::{Value, json};

use super::{
    answer::{Answer, HttpAnswer, Refusal},
    clip::clip_bytes,
    page::{LAYOUTS, Page, page},
    request::{ChannelContext, Request},
};
use crate::{
    alerts::message::{Message, MessageKind},
    events::Severity,
    types::{Secret, SecretUrl},
};

const TEXT: usize = 4096;
const TITLE: usize = 250;

/// A topic of an ntfy server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NtfySettings {
    /// The server, without the topic. Default `https://ntfy.sh`.
    pub url: SecretUrl,
    /// The topic. On an open server whoever knows it reads along.
    pub topic: Secret,
    /// An access token, where the server wants one.
    pub token: Option<Secret>,
}

/// The request for a message.
pub(super) fn render(settings: &NtfySettings, message: &Message, context: &ChannelContext) -> Request {
    let mut shown = String::new();
    let mut title = String::new();
    let mut links = Vec::new();
    for layout in LAYOUTS {
        let page = page(message, context, layout);
        shown = text(&page);
        (title, links) = (page.headline, page.links);
        if shown.len() <= TEXT {
            break;
        }
    }
    let actions: Vec<Value> = links
        .iter()
        .map(|link| json!({"action": "view", "label": link.label, "url": link.url, "clear": link.label == "Acknowledge"}))
        .collect();
    let click = links.iter().find(|link| link.label != "Acknowledge").map(|link| link.url.as_str());
    let (priority, tag) = look(message);
    let mut body = json!({
        "topic": settings.topic.0,
        "title": clip_bytes(&title, TITLE),
        "message": clip_bytes(&shown, TEXT),
        "priority": priority,
        "tags": [tag, message.severity.label()],
        "actions": actions,
    });
    if let (Some(body), Some(click)) = (body.as_object_mut(), click) {
        body.insert("click".to_owned(), click.into());
    }
    let request = Request::json(settings.url.clone(), &body);
    match &settings.token {
        Some(token) => request.header("authorization", format!("Bearer {}", token.0)),
        None => request,
    }
}

/// How loud it is, from 1 to 5, and the sign before it, by the name that ntfy has for it.
const fn look(message: &Message) -> (u8, &'static str) {
    match (message.kind, message.severity) {
        (MessageKind::Resolved, _) => (3, "white_check_mark"),
        (MessageKind::Acknowledged, _) => (2, "eyes"),
        (MessageKind::Digest, _) => (1, "clipboard"),
        (_, Severity::P1) => (5, "rotating_light"),
        (_, Severity::P2) => (4, "warning"),
        (_, Severity::P3) => (3, "large_yellow_circle"),
        (_, Severity::P4) => (2, "information_source"),
    }
}

fn text(page: &Page) -> String {
    let mut lines = page.notes.clone();
    lines.extend(page.body.clone());
    for entry in &page.entries {
        if !entry.heading.is_empty() {
            lines.push(entry.heading.clone());
        }
        lines.extend(entry.facts.iter().map(|fact| format!("{}: {}", fact.name, fact.text)));
        lines.push(String::new());
    }
    lines.extend(page.lines.iter().map(|line| format!("- {line}")));
    lines.extend(page.more.clone());
    lines.push(page.footer.clone());
    lines.join("\n")
}

/// What follows from ntfy's answer.
pub(super) fn classify(answer: &HttpAnswer) -> Answer {
    let json = answer.json();
    let said = json.get("error").and_then(Value::as_str);
    match answer.status {
        200..=299 => Answer::Taken,
        _ if answer.is_passing() => answer.later(None, said),
        401 | 403 | 404 => answer.never(Refusal::DeadChannel, said),
        _ => answer.never(Refusal::BadMessage, said),
    }
}
