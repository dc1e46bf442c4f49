//! What each service wants, and how it says that it did not get it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::parts::{AlertServiceKind, RawRequest, Reply};
use crate::{alerts::channels::sign, types::Secret};

pub(super) const SLACK_PATH: &str = "/services/T00000000/B00000000/sim-secret";
pub(super) const DISCORD_PATH: &str = "/api/webhooks/1/sim-secret";
pub(super) const WEBHOOK_PATH: &str = "/hook/sim-secret";
pub(super) const CHECK_PATH: &str = "/ping/sim-secret";
const TELEGRAM_PATH: &str = "/bot123:sim-secret/sendMessage";
const NTFY_AUTH: &str = "Bearer sim-secret";
/// What PagerDuty's keys look like.
const ROUTING_KEY: usize = 32;

impl Reply {
    pub(super) fn text(status: u16, body: &str) -> Self {
        Self { status, content_type: "text/plain", headers: Vec::new(), body: body.to_owned() }
    }

    fn json(status: u16, body: &Value) -> Self {
        Self { content_type: "application/json", ..Self::text(status, &body.to_string()) }
    }

    /// How the service asks for patience.
    pub(super) fn patience(kind: &AlertServiceKind, seconds: u64) -> Self {
        let mut reply = match kind {
            AlertServiceKind::Discord => Self::json(
                429,
                &json!({"message": "You are being rate limited.", "retry_after": seconds, "global": false}),
            ),
            AlertServiceKind::Telegram => {
                let description = format!("Too Many Requests: retry after {seconds}");
                let parameters = json!({"retry_after": seconds});
                // Without the header: Telegram says it in the body alone.
                return Self::json(
                    429,
                    &json!({"ok": false, "error_code": 429, "description": description, "parameters": parameters}),
                );
            }
            AlertServiceKind::Ntfy => Self::json(
                429,
                &json!({"code": 42901, "http": 429, "error": "limit reached: too many requests, please be nice"}),
            ),
            AlertServiceKind::PagerDuty => Self::json(
                429,
                &json!({"status": "throttle exceeded", "message": "Requests for this service are arriving too quickly."}),
            ),
            AlertServiceKind::Slack => Self::text(429, "rate_limited"),
            AlertServiceKind::Webhook(_) | AlertServiceKind::Alertmanager | AlertServiceKind::Check => {
                Self::text(429, "too many requests")
            }
        };
        reply.headers.push(("retry-after", seconds.to_string()));
        reply
    }

    /// How the service says that there is no such channel any more.
    pub(super) fn gone(kind: &AlertServiceKind) -> Self {
        match kind {
            AlertServiceKind::Slack => Self::text(404, "no_service"),
            AlertServiceKind::Discord => {
                Self::json(404, &json!({"message": "Unknown Webhook", "code": 10015}))
            }
            AlertServiceKind::Telegram => {
                telegram_error(403, "Forbidden: bot was kicked from the group chat")
            }
            AlertServiceKind::PagerDuty => Self::json(
                400,
                &json!({"status": "invalid event", "message": "Event object is invalid", "errors": ["Invalid routing key"]}),
            ),
            AlertServiceKind::Ntfy => {
                Self::json(403, &json!({"code": 40301, "http": 403, "error": "forbidden"}))
            }
            AlertServiceKind::Webhook(_) => Self::text(410, "gone"),
            AlertServiceKind::Alertmanager | AlertServiceKind::Check => Self::text(404, "not found"),
        }
    }
}

fn telegram_error(code: u16, description: &str) -> Reply {
    Reply::json(code, &json!({"ok": false, "error_code": code, "description": description}))
}

/// Looks at a request as the service would.
pub(super) fn check(kind: &AlertServiceKind, request: &RawRequest) -> Reply {
    if *kind == AlertServiceKind::Check {
        let path = request.path.strip_prefix(CHECK_PATH);
        return match path {
            Some("" | "/fail") if request.method == "GET" => Reply::text(200, "OK"),
            _ => Reply::text(404, "not found"),
        };
    }
    if request.method != "POST" {
        return Reply::text(405, "method not allowed");
    }
    let body: Value = serde_json::from_slice(&request.body).unwrap_or_default();
    if request.header("content-type") != "application/json" || body.is_null() {
        return Reply::text(400, "invalid_payload");
    }
    match kind {
        AlertServiceKind::Slack if request.path != SLACK_PATH => Reply::text(404, "no_service"),
        AlertServiceKind::Slack => match slack(&body) {
            Ok(()) => Reply::text(200, "ok"),
            Err(error) => Reply::text(400, &error),
        },
        AlertServiceKind::Discord if request.path != DISCORD_PATH => Reply::gone(kind),
        AlertServiceKind::Discord => match discord(&body) {
            Ok(()) => Reply::text(204, ""),
            Err(error) => {
                Reply::json(400, &json!({"code": 50035, "message": "Invalid Form Body", "errors": error}))
            }
        },
        AlertServiceKind::Telegram if request.path != TELEGRAM_PATH => telegram_error(404, "Not Found"),
        AlertServiceKind::Telegram => match telegram(&body) {
            Ok(()) => Reply::json(200, &json!({"ok": true, "result": {"message_id": 1}})),
            Err(error) => telegram_error(400, &format!("Bad Request: {error}")),
        },
        AlertServiceKind::PagerDuty => pagerduty(&request.path, request.body.len(), &body),
        AlertServiceKind::Ntfy if request.header("authorization") != NTFY_AUTH => {
            Reply::json(401, &json!({"code": 40101, "http": 401, "error": "unauthorized"}))
        }
        AlertServiceKind::Ntfy => match ntfy(&request.path, &body) {
            Ok(()) => Reply::json(200, &json!({"id": "sim", "event": "message"})),
            Err(error) => Reply::json(400, &json!({"code": 40024, "http": 400, "error": error})),
        },
        AlertServiceKind::Webhook(secret) => match webhook(secret, request, &body) {
            Ok(()) => Reply::text(200, "ok"),
            Err(error) => Reply::text(400, &error),
        },
        AlertServiceKind::Alertmanager => match alertmanager(&request.path, &body) {
            Ok(()) => Reply::text(200, ""),
            Err(error) => Reply::json(400, &error.into()),
        },
        AlertServiceKind::Check => Reply::text(404, "not found"),
    }
}

/// A text of 1 to `most` characters.
fn text(value: Option<&Value>, most: usize, name: &str) -> Result<usize, String> {
    let text = value.and_then(Value::as_str).ok_or_else(|| format!("{name} is no text"))?;
    let length = text.chars().count();
    if length == 0 || length > most {
        Err(format!("{name} has {length} of at most {most} characters"))
    } else {
        Ok(length)
    }
}

fn only(value: &Value, known: &[&str]) -> Result<(), String> {
    let object = value.as_object().ok_or("no object")?;
    let other = object.keys().find(|key| !known.contains(&key.as_str()));
    other.map_or(Ok(()), |key| Err(format!("unknown field {key}")))
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn slack(body: &Value) -> Result<(), String> {
    only(body, &["text", "blocks", "unfurl_links", "unfurl_media"]).map_err(|_| "invalid_payload")?;
    text(body.get("text"), 40_000, "text").map_err(|_| "no_text")?;
    escaped(body.get("text"))?;
    let blocks = list(body, "blocks");
    if blocks.is_empty() || blocks.len() > 50 {
        return Err("invalid_blocks".to_owned());
    }
    for block in blocks {
        let inner = block.get("text");
        let inner_type = inner.and_then(|inner| inner.get("type")).and_then(Value::as_str);
        let content = inner.and_then(|inner| inner.get("text"));
        let is_sound = match block.get("type").and_then(Value::as_str) {
            Some("header") => inner_type == Some("plain_text") && text(content, 150, "header").is_ok(),
            Some("section") => {
                inner_type == Some("mrkdwn")
                    && text(content, 3000, "section").is_ok()
                    && escaped(content).is_ok()
            }
            Some("context") => {
                let elements = list(block, "elements");
                (1..=10).contains(&elements.len())
                    && elements.iter().all(|element| text(element.get("text"), 3000, "context").is_ok())
            }
            _ => false,
        };
        if !is_sound {
            return Err("invalid_blocks".to_owned());
        }
    }
    Ok(())
}

/// Every `&` begins one of three entities, and `<` and `>` stand around links alone.
fn escaped(value: Option<&Value>) -> Result<(), String> {
    let text = value.and_then(Value::as_str).unwrap_or_default();
    let entities = ["&amp;", "&lt;", "&gt;"];
    let is_sound = text.match_indices('&').all(|(at, _)| {
        text.get(at..).is_some_and(|rest| entities.iter().any(|entity| rest.starts_with(entity)))
    });
    let links = text.split('<').skip(1).all(|rest| {
        rest.split_once('>')
            .is_some_and(|(link, _)| link.starts_with("http://") || link.starts_with("https://"))
    });
    if is_sound && links && text.matches('<').count() == text.matches('>').count() {
        Ok(())
    } else {
        Err("invalid_blocks".to_owned())
    }
}

fn discord(body: &Value) -> Result<(), String> {
    only(body, &["content", "embeds", "allowed_mentions", "username"])?;
    text(body.get("content"), 2000, "content")?;
    let embeds = list(body, "embeds");
    if embeds.len() > 10 {
        return Err("more than 10 embeds".to_owned());
    }
    let mut total = 0;
    for embed in embeds {
        only(embed, &["title", "description", "url", "color", "timestamp", "footer", "fields"])?;
        for (name, most) in [("title", 256), ("description", 4096)] {
            if embed.get(name).is_some() {
                total += text(embed.get(name), most, name)?;
            }
        }
        if let Some(footer) = embed.get("footer") {
            total += text(footer.get("text"), 2048, "footer")?;
        }
        if embed.get("color").and_then(Value::as_u64).is_none_or(|color| color > 0xff_ffff) {
            return Err("color".to_owned());
        }
        let at = embed.get("timestamp").and_then(Value::as_str).unwrap_or_default();
        at.parse::<jiff::Timestamp>().map_err(|_| "timestamp")?;
    }
    if total > 6000 {
        return Err(format!("embeds have {total} of at most 6000 characters"));
    }
    // Real Discord takes mentions; whoever sends alerts must have forbidden them.
    if body.pointer("/allowed_mentions/parse") != Some(&json!([])) {
        return Err("mentions are allowed".to_owned());
    }
    Ok(())
}

fn telegram(body: &Value) -> Result<(), String> {
    only(
        body,
        &[
            "chat_id",
            "text",
            "parse_mode",
            "link_preview_options",
            "disable_notification",
            "message_thread_id",
        ],
    )?;
    text(body.get("chat_id"), 100, "chat_id").map_err(|_| "chat not found")?;
    if body.get("parse_mode").and_then(Value::as_str) != Some("HTML") {
        return Err("unsupported parse_mode".to_owned());
    }
    let plain = plain_of_html(body.get("text").and_then(Value::as_str).unwrap_or_default())
        .map_err(|error| format!("can't parse entities: {error}"))?;
    match plain.encode_utf16().count() {
        0 => Err("message text is empty".to_owned()),
        1..=4096 => Ok(()),
        _ => Err("message is too long".to_owned()),
    }
}

/// What is left of Telegram's HTML without tags and entities.
fn plain_of_html(html: &str) -> Result<String, String> {
    let (mut plain, mut open, mut rest) = (String::new(), Vec::new(), html);
    while let Some(c) = rest.chars().next() {
        match c {
            '<' => {
                let (tag, after) = rest.split_once('>').ok_or("unclosed start tag")?;
                let tag = tag.trim_start_matches('<');
                match tag.strip_prefix('/') {
                    Some(name) if open.pop() == Some(name) => {}
                    Some(name) => return Err(format!("unexpected end tag {name}")),
                    None => {
                        let name = tag.split(' ').next().unwrap_or_default();
                        if !["b", "i", "u", "s", "a", "code", "pre"].contains(&name) {
                            return Err(format!("unsupported start tag {name}"));
                        }
                        open.push(name);
                    }
                }
                rest = after;
            }
            '&' => {
                let entities = [("&amp;", '&'), ("&lt;", '<'), ("&gt;", '>'), ("&quot;", '"')];
                let found = entities.into_iter().find(|(name, _)| rest.starts_with(name));
                let (name, c) = found.ok_or("a bare &")?;
                plain.push(c);
                rest = rest.get(name.len()..).unwrap_or_default();
            }
            c => {
                plain.push(c);
                rest = rest.get(c.len_utf8()..).unwrap_or_default();
            }
        }
    }
    if open.is_empty() { Ok(plain) } else { Err("can't find end tag".to_owned()) }
}

fn pagerduty(path: &str, size: usize, body: &Value) -> Reply {
    if size > 512 << 10 {
        return Reply::json(413, &json!({"message": "event too large"}));
    }
    let invalid = |error: &str| {
        Reply::json(
            400,
            &json!({"status": "invalid event", "message": "Event object is invalid", "errors": [error]}),
        )
    };
    let key = body.get("routing_key").and_then(Value::as_str).unwrap_or_default();
    if key.len() != ROUTING_KEY {
        return invalid("Length of 'routing_key' is incorrect (should be 32 characters)");
    }
    let payload = body.get("payload").cloned().unwrap_or_default();
    let common = [
        text(payload.get("summary"), 1024, "payload.summary"),
        text(payload.get("source"), 1024, "payload.source"),
    ];
    if let Some(error) = common.into_iter().find_map(Result::err) {
        return invalid(&error);
    }
    match path {
        "/v2/change/enqueue" => {
            Reply::json(202, &json!({"status": "success", "message": "Change event processed"}))
        }
        "/v2/enqueue" => {
            let action = body.get("event_action").and_then(Value::as_str);
            let severity = payload.get("severity").and_then(Value::as_str);
            if !matches!(action, Some("trigger" | "acknowledge" | "resolve")) {
                return invalid("'event_action' is invalid");
            }
            if !matches!(severity, Some("critical" | "error" | "warning" | "info")) {
                return invalid("'payload.severity' is invalid");
            }
            if let Err(error) = text(body.get("dedup_key"), 255, "dedup_key") {
                return invalid(&error);
            }
            let dedup_key = body.get("dedup_key");
            Reply::json(
                202,
                &json!({"status": "success", "message": "Event processed", "dedup_key": dedup_key}),
            )
        }
        _ => Reply::json(404, &json!({"message": "not found"})),
    }
}

fn ntfy(path: &str, body: &Value) -> Result<(), String> {
    if path != "/" {
        return Err("JSON is published at /".to_owned());
    }
    only(body, &["topic", "title", "message", "priority", "tags", "click", "actions"])?;
    let topic = body.get("topic").and_then(Value::as_str).unwrap_or_default();
    if topic.is_empty()
        || topic.len() > 64
        || !topic.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    {
        return Err("topic name invalid".to_owned());
    }
    let message = body.get("message").and_then(Value::as_str).unwrap_or_default();
    if message.is_empty() || message.len() > 4096 {
        return Err(format!("message of {} bytes would become an attachment", message.len()));
    }
    if body.get("priority").and_then(Value::as_u64).is_none_or(|priority| !(1..=5).contains(&priority)) {
        return Err("priority invalid".to_owned());
    }
    let actions = list(body, "actions");
    let is_sound = |action: &Value| {
        action.get("action").and_then(Value::as_str) == Some("view")
            && text(action.get("label"), 100, "label").is_ok()
            && text(action.get("url"), 2000, "url").is_ok()
    };
    if actions.len() > 3 || !actions.iter().all(is_sound) {
        return Err("actions invalid".to_owned());
    }
    Ok(())
}

fn webhook(secret: &Secret, request: &RawRequest, body: &Value) -> Result<(), String> {
    if request.path != WEBHOOK_PATH {
        return Err("another path".to_owned());
    }
    let timestamp = request.header("x-relaymux-timestamp");
    timestamp.parse::<i64>().map_err(|_| "no timestamp")?;
    if request.header("x-relaymux-signature") != sign(secret, timestamp, &request.body) {
        return Err("the signature does not hold".to_owned());
    }
    let id = body.get("id").and_then(Value::as_str).unwrap_or_default();
    if id.is_empty() || request.header("idempotency-key") != id {
        return Err("no Idempotency-Key".to_owned());
    }
    Ok(())
}

fn alertmanager(path: &str, body: &Value) -> Result<(), String> {
    if path != "/api/v2/alerts" {
        return Err("not found".to_owned());
    }
    let alerts = body.as_array().ok_or("no list")?;
    let mut seen = BTreeSet::new();
    for alert in alerts {
        only(alert, &["labels", "annotations", "startsAt", "endsAt", "generatorURL"])?;
        let labels = alert.get("labels").and_then(Value::as_object).ok_or("no labels")?;
        for (name, value) in labels {
            let begins = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
            let is_name = begins && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if !is_name || value.as_str().is_none_or(str::is_empty) {
                return Err(format!("invalid label set: invalid name or value of {name:?}"));
            }
        }
        if !labels.contains_key("alertname") {
            return Err("no alertname".to_owned());
        }
        if !seen.insert(format!("{labels:?}")) {
            return Err("one label set twice".to_owned());
        }
        let time = |name: &str| -> Result<jiff::Timestamp, String> {
            let text = alert.get(name).and_then(Value::as_str).unwrap_or_default();
            text.parse().map_err(|_| format!("{name} is no time"))
        };
        if time("startsAt")? > time("endsAt")? {
            return Err("start time must be before end time".to_owned());
        }
    }
    Ok(())
}
