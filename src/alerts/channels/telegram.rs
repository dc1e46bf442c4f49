//! Telegram's `sendMessage`, in HTML. 4,096 characters after the tags are gone; links are not previewed: Telegram would open them.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::{
    answer::{Answer, HttpAnswer, Refusal},
    clip::{clip, escaped, units},
    page::{LAYOUTS, Page, page, sign},
    request::{ChannelContext, Request},
};
use crate::{
    alerts::message::{Message, MessageKind},
    events::Severity,
    types::{Secret, SecretUrl},
};

const TEXT: usize = 4096;

/// A chat with a bot in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TelegramSettings {
    /// The bot's token.
    pub token: Secret,
    /// The chat's number, or the name of a public channel with its `@`.
    pub chat_id: String,
    /// The topic of a group that has some.
    pub thread_id: Option<i64>,
    /// The API. Default `https://api.telegram.org`.
    pub url: SecretUrl,
}

fn escape(c: char) -> Option<&'static str> {
    match c {
        '&' => Some("&amp;"),
        '<' => Some("&lt;"),
        '>' => Some("&gt;"),
        '"' => Some("&quot;"),
        _ => None,
    }
}

/// A text being written, and how long it is without its tags.
#[derive(Default)]
struct Html {
    html: String,
    units: usize,
}

impl Html {
    fn tag(&mut self, tag: &str) {
        self.html.push_str(tag);
    }

    fn text(&mut self, text: &str) {
        self.units += units(text);
        self.html.push_str(&escaped(text, usize::MAX, escape));
    }

    fn bold(&mut self, text: &str) {
        self.tag("<b>");
        self.text(text);
        self.tag("</b>");
    }
}

/// The request for a message.
pub(super) fn render(settings: &TelegramSettings, message: &Message, context: &ChannelContext) -> Request {
    let headline = |page: &Page| format!("{} {}", sign(message), page.headline);
    let mut shown = Html::default();
    for layout in LAYOUTS {
        let page = page(message, context, layout);
        shown = html(&page, &headline(&page));
        if shown.units <= TEXT {
            break;
        }
    }
    let is_quiet = message.severity == Severity::P4
        || matches!(message.kind, MessageKind::Acknowledged | MessageKind::Digest);
    let mut body = Map::new();
    body.insert("chat_id".to_owned(), settings.chat_id.as_str().into());
    if let Some(thread) = settings.thread_id {
        body.insert("message_thread_id".to_owned(), thread.into());
    }
    body.insert("text".to_owned(), shown.html.into());
    body.insert("parse_mode".to_owned(), "HTML".into());
    body.insert("link_preview_options".to_owned(), json!({"is_disabled": true}));
    body.insert("disable_notification".to_owned(), is_quiet.into());
    let bot = format!("bot{}", settings.token.0);
    Request::json(settings.url.join(&[&bot, "sendMessage"]), &body)
}

fn html(page: &Page, headline: &str) -> Html {
    let mut out = Html::default();
    out.bold(headline);
    for note in &page.notes {
        out.text("\n");
        out.tag("<i>");
        out.text(note);
        out.tag("</i>");
    }
    if let Some(body) = &page.body {
        out.text("\n\n");
        // The barest layout of a digest is far below the limit, so this cuts nothing there.
        out.text(&clip(body, TEXT));
    }
    for entry in &page.entries {
        out.text("\n");
        if !entry.heading.is_empty() {
            out.text("\n");
            out.bold(&entry.heading);
        }
        for fact in &entry.facts {
            out.text("\n");
            out.bold(&format!("{}:", fact.name));
            out.text(&format!(" {}", fact.text));
        }
    }
    if !page.lines.is_empty() {
        out.text("\n");
    }
    for line in &page.lines {
        out.text(&format!("\n• {line}"));
    }
    if let Some(more) = &page.more {
        out.text("\n\n");
        out.bold(more);
    }
    for (number, link) in page.links.iter().enumerate() {
        out.text(if number == 0 { "\n\n" } else { "   " });
        out.tag(&format!("<a href=\"{}\">", escaped(&link.url, usize::MAX, escape)));
        out.text(link.label);
        out.tag("</a>");
    }
    out.text(&format!("\n\n{}", page.footer));
    out
}

/// What follows from Telegram's answer.
pub(super) fn classify(answer: &HttpAnswer) -> Answer {
    let json = answer.json();
    let said = json.get("description").and_then(Value::as_str);
    let is_ok = json.get("ok").and_then(Value::as_bool);
    match answer.status {
        200 if is_ok != Some(false) => Answer::Taken,
        429 => {
            let after =
                json.pointer("/parameters/retry_after").and_then(Value::as_u64).map(Duration::from_secs);
            answer.later(after, said)
        }
        // The chat does not exist for the bot, or has become another.
        400 if said.is_some_and(|said| {
            said.contains("chat not found") || said.contains("upgraded to a supergroup")
        }) =>
        {
            answer.never(Refusal::DeadChannel, said)
        }
        // 401 and 404: the token; 403: the bot was thrown out.
        401 | 403 | 404 => answer.never(Refusal::DeadChannel, said),
        400 | 413 => answer.never(Refusal::BadMessage, said),
        _ => answer.later(None, said),
    }
}
