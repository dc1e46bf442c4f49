//! Discord's webhooks: a line that notifications show, and an embed with the rest.
//!
//! Limits: 2,000 characters of content, 4,096 of an embed's description, 6,000 of all embeds together. Nobody is mentioned, whatever a
//! foreign label says.

use serde_json::{Value, json};

use super::{
    answer::{Answer, HttpAnswer, Refusal, seconds_of},
    clip::{clip, escaped, units},
    page::{LAYOUTS, Page, page, rfc3339, sign},
    request::{ChannelContext, Request},
};
use crate::{
    alerts::message::{Message, MessageKind},
    events::Severity,
    types::SecretUrl,
};

const CONTENT: usize = 2000;
const DESCRIPTION: usize = 4096;

/// A Discord channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiscordSettings {
    /// The channel's webhook.
    pub url: SecretUrl,
}

fn escape(c: char) -> Option<&'static str> {
    match c {
        '\\' => Some("\\\\"),
        '*' => Some("\\*"),
        '_' => Some("\\_"),
        '~' => Some("\\~"),
        '`' => Some("\\`"),
        '|' => Some("\\|"),
        '>' => Some("\\>"),
        '<' => Some("\\<"),
        '[' => Some("\\["),
        ']' => Some("\\]"),
        _ => None,
    }
}

/// The request for a message.
pub(super) fn render(settings: &DiscordSettings, message: &Message, context: &ChannelContext) -> Request {
    let pages = LAYOUTS.iter().map(|layout| page(message, context, *layout));
    let mut texts = pages.map(|page| (description(&page), page.headline, page.footer));
    let mut shown = texts.next().unwrap_or_default();
    for barer in texts {
        if units(&shown.0) <= DESCRIPTION {
            break;
        }
        shown = barer;
    }
    let (description, headline, footer) = shown;
    let content = format!("**{} {}**", sign(message), escaped(&headline, CONTENT - 10, escape));
    let body = json!({
        "content": content,
        "embeds": [{
            "description": clip(&description, DESCRIPTION),
            "color": color(message),
            "timestamp": rfc3339(message.at),
            "footer": {"text": footer},
        }],
        "allowed_mentions": {"parse": []},
    });
    Request::json(settings.url.clone(), &body)
}

fn description(page: &Page) -> String {
    let mut lines: Vec<String> =
        page.notes.iter().map(|note| format!("*{}*", escaped(note, 400, escape))).collect();
    lines.extend(page.body.iter().map(|body| escaped(body, DESCRIPTION, escape)));
    for entry in &page.entries {
        if !entry.heading.is_empty() {
            lines.push(format!("**{}**", escaped(&entry.heading, 500, escape)));
        }
        lines.extend(
            entry
                .facts
                .iter()
                .map(|fact| format!("**{}:** {}", fact.name, escaped(&fact.text, 1500, escape))),
        );
        lines.push(String::new());
    }
    lines.extend(page.lines.iter().map(|line| format!("- {}", escaped(line, 400, escape))));
    lines.extend(page.more.iter().map(|more| format!("**{more}**")));
    let links: Vec<_> = page.links.iter().map(|link| format!("**[{}]({})**", link.label, link.url)).collect();
    lines.push(links.join("   "));
    lines.join("\n").trim_end().to_owned()
}

const fn color(message: &Message) -> u32 {
    match (message.kind, message.severity) {
        (MessageKind::Resolved, _) => 0x2e_cc71,
        (_, Severity::P1) => 0xe7_4c3c,
        (_, Severity::P2) => 0xe6_7e22,
        (_, Severity::P3) => 0xf1_c40f,
        (_, Severity::P4) => 0x34_98db,
    }
}

/// What follows from Discord's answer.
pub(super) fn classify(answer: &HttpAnswer) -> Answer {
    let json = answer.json();
    let said = json.get("message").and_then(Value::as_str);
    match answer.status {
        200..=299 => Answer::Taken,
        429 => {
            // More exact than the header, which is rounded up.
            let after = json.get("retry_after").and_then(Value::as_f64).and_then(seconds_of);
            answer.later(after, said)
        }
        _ if answer.is_passing() => answer.later(None, said),
        401 | 403 | 404 => answer.never(Refusal::DeadChannel, said),
        _ => answer.never(Refusal::BadMessage, said),
    }
}
