//! Slack's incoming webhooks: blocks, and a text for notifications.
//!
//! Limits: 50 blocks, 150 characters of a header, 3,000 of a section; `&`, `<` and `>` are escaped. A webhook cannot edit what it wrote: each
//! message stands for itself. Links are not unfurled: Slack would open the one that acknowledges.

use std::borrow::Cow;

use serde_json::{Value, json};

use super::{
    answer::{Answer, HttpAnswer, Refusal},
    clip::{clip, escaped, pieces, units},
    page::{Entry, LAYOUTS, Layout, page, sign},
    request::{ChannelContext, Request},
};
use crate::{alerts::message::Message, types::SecretUrl};

const HEADER: usize = 150;
const SECTION: usize = 3000;
const BLOCKS: usize = 50;

/// A Slack channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlackSettings {
    /// The incoming webhook.
    pub url: SecretUrl,
}

fn escape(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        _ => None,
    }
}

fn section(text: &str) -> Value {
    json!({"type": "section", "text": {"type": "mrkdwn", "text": text}})
}

fn context_block(text: &str) -> Value {
    json!({"type": "context", "elements": [{"type": "mrkdwn", "text": text}]})
}

/// The request for a message.
pub(super) fn render(settings: &SlackSettings, message: &Message, context: &ChannelContext) -> Request {
    let [richest, ..] = LAYOUTS;
    // Sections have room for the richest layout, whatever is in it: 5 in full, 7 of lines, 7 of a body.
    Request::json(settings.url.clone(), &payload(message, context, richest))
}

fn payload(message: &Message, context: &ChannelContext, layout: Layout) -> Value {
    let page = page(message, context, layout);
    let headline = format!("{} {}", sign(message), page.headline);
    let mut blocks = vec![json!({
        "type": "header",
        "text": {"type": "plain_text", "text": clip(&headline, HEADER), "emoji": true},
    })];
    blocks
        .extend(page.notes.iter().map(|note| section(&format!("*{}*", escaped(note, SECTION - 2, escape)))));
    if let Some(body) = &page.body {
        let lines = body.lines().map(|line| Cow::Owned(escaped(line, SECTION, escape)));
        blocks.extend(
            pieces(lines, SECTION).iter().filter(|piece| !piece.trim().is_empty()).map(|text| section(text)),
        );
    }
    blocks.extend(page.entries.iter().map(|entry| section(&entry_text(entry))));
    let lines = page.lines.iter().map(|line| Cow::Owned(format!("• {}", escaped(line, 1000, escape))));
    blocks.extend(pieces(lines, SECTION).iter().map(|text| section(text)));
    blocks.extend(page.more.iter().map(|more| section(&format!("*{more}*"))));
    if !page.links.is_empty() {
        let links: Vec<_> = page
            .links
            .iter()
            .map(|link| format!("*<{}|{}>*", escaped(&link.url, 1400, escape), link.label))
            .collect();
        blocks.push(section(&links.join("   ")));
    }
    blocks.push(context_block(&escaped(&page.footer, SECTION, escape)));
    blocks.truncate(BLOCKS);
    let what =
        page.entries.first().and_then(|entry| entry.facts.first()).map_or("", |fact| fact.text.as_str());
    let text = escaped(format!("{headline}\n{what}").trim_end(), SECTION, escape);
    json!({"text": text, "blocks": blocks, "unfurl_links": false, "unfurl_media": false})
}

/// An alert in full. Where its texts do not fit, each is cut: what stands last, what to do, must not be what is missing.
fn entry_text(entry: &Entry) -> String {
    let text = |room| {
        let heading = escaped(&entry.heading, 1000, escape);
        let heading = if heading.is_empty() { None } else { Some(format!("*{heading}*")) };
        let facts =
            entry.facts.iter().map(|fact| format!("*{}:* {}", fact.name, escaped(&fact.text, room, escape)));
        heading.into_iter().chain(facts).collect::<Vec<_>>().join("\n")
    };
    let whole = text(SECTION);
    if units(&whole) <= SECTION { whole } else { clip(&text(310), SECTION).into_owned() }
}

/// What follows from Slack's answer.
pub(super) fn classify(answer: &HttpAnswer) -> Answer {
    match answer.status {
        200 => Answer::Taken,
        400 => answer.never(Refusal::BadMessage, None),
        401 | 403 | 404 | 410 => answer.never(Refusal::DeadChannel, None),
        _ if answer.is_passing() => answer.later(None, None),
        _ => answer.never(Refusal::BadMessage, None),
    }
}
