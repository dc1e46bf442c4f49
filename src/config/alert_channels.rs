//! `[[alerts.channels]]`: by which services people are reached.

mod email;

use std::{collections::BTreeSet, path::Path};

use super::{
    checker::Checker,
    keys::nearest,
    raw_alerts::RawChannel,
    secrets::{Place, PlainHttp, checked_url, secret, secret_url, token},
};
use crate::{
    alerts::channels::{
        AlertmanagerSettings, Channel, ChannelKind, ChannelSettings, DiscordSettings, NtfySettings,
        PagerDutySettings, SlackSettings, TelegramSettings, WebhookSettings,
    },
    types::{Secret, SecretUrl},
};

/// Most Alertmanagers of one cluster.
const MAX_INSTANCES: usize = 20;

/// Checks all channels. Whether their fallbacks are there is known only when all are.
pub(super) fn channels(raw: &[RawChannel], folder: &Path, checker: &mut Checker) -> Vec<Channel> {
    let ids: Vec<&str> = raw.iter().filter_map(|channel| channel.id.as_deref()).collect();
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (index, channel) in raw.iter().enumerate() {
        let section = format!("alerts.channels[{index}]");
        let id = name_of("channel", channel.id.as_ref(), &section, checker);
        if let Some(id) = &id
            && !seen.insert(id.clone())
        {
            checker.wrong(
                &format!("{section}.id"),
                format!("`{id}` is there twice"),
                "give each channel a name of its own",
            );
        }
        if let Some(fallback) = &channel.fallback {
            check_fallback(fallback, channel.id.as_deref(), &ids, &format!("{section}.fallback"), checker);
        }
        let settings = Reading { raw: channel, section: &section, folder, checker }.settings();
        if let (Some(id), Some(settings)) = (id, settings) {
            found.push(Channel { id, settings, fallback: channel.fallback.clone() });
        }
    }
    found
}

/// The name of a channel, contact or rota, if it is one.
pub(super) fn name_of(
    what: &str,
    id: Option<&String>,
    section: &str,
    checker: &mut Checker,
) -> Option<String> {
    let id = id.map(String::as_str).unwrap_or_default();
    let is_name = !id.is_empty()
        && id.len() <= 64
        && id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c));
    if is_name {
        return Some(id.to_owned());
    }
    let message = if id.is_empty() {
        format!("is missing: the {what} needs a name that others can name it by")
    } else {
        "is no short name of letters, digits, - _ .".to_owned()
    };
    checker.wrong(&format!("{section}.id"), message, "such as id = \"ops\"");
    None
}

fn check_fallback(name: &str, own: Option<&str>, ids: &[&str], key: &str, checker: &mut Checker) {
    if own == Some(name) {
        checker.wrong(key, "is the channel itself, which has just failed then", "name another channel");
    } else if !ids.contains(&name) {
        checker.wrong(key, format!("there is no channel `{name}`"), one_of(name, ids, "channels"));
    }
}

/// Which names there are, and which one was meant.
pub(super) fn one_of(name: &str, known: &[&str], what: &str) -> String {
    match nearest(name, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => format!("there are no {what}"),
        None => format!("{what} are: {}", known.join(", ")),
    }
}

/// The keys that a kind takes.
const fn keys_of(kind: ChannelKind) -> &'static [&'static str] {
    match kind {
        ChannelKind::Slack | ChannelKind::Discord => &["url", "url_file"],
        ChannelKind::PagerDuty => &["routing_key", "routing_key_file", "url", "url_file"],
        ChannelKind::Telegram => &["token", "token_file", "chat_id", "thread_id", "url", "url_file"],
        ChannelKind::Ntfy => &["url", "url_file", "topic", "topic_file", "token", "token_file"],
        ChannelKind::Email => {
            &["host", "port", "tls", "username", "password", "password_file", "from", "to", "roots_file"]
        }
        ChannelKind::Webhook => &["url", "url_file", "secret", "secret_file"],
        ChannelKind::Alertmanager => &["urls", "url", "url_file"],
    }
}

/// One channel that is being read.
struct Reading<'a> {
    raw: &'a RawChannel,
    section: &'a str,
    folder: &'a Path,
    checker: &'a mut Checker,
}

impl Reading<'_> {
    fn settings(mut self) -> Option<ChannelSettings> {
        let kind = self.kind()?;
        for key in self.raw.keys() {
            let own = keys_of(kind);
            if !own.contains(&key) {
                let hint = format!("{kind} has: {}", own.join(", "));
                self.wrong(key, &format!("is no key of a channel of kind {kind}"), &hint);
            }
        }
        match kind {
            ChannelKind::Slack => {
                let url = self.needed_url("the incoming webhook's address is the channel")?;
                Some(ChannelSettings::Slack(SlackSettings { url }))
            }
            ChannelKind::Discord => {
                let url = self.needed_url("the webhook's address is the channel")?;
                Some(ChannelSettings::Discord(DiscordSettings { url }))
            }
            ChannelKind::PagerDuty => self.pagerduty(),
            ChannelKind::Telegram => self.telegram(),
            ChannelKind::Ntfy => self.ntfy(),
            ChannelKind::Email => self.email(),
            ChannelKind::Webhook => self.webhook(),
            ChannelKind::Alertmanager => self.alertmanager(),
        }
    }

    fn wrong(&mut self, key: &str, message: &str, hint: &str) {
        self.checker.wrong(&format!("{}.{key}", self.section), message, hint);
    }

    fn kind(&mut self) -> Option<ChannelKind> {
        let names = ChannelKind::ALL.map(ChannelKind::label);
        let Some(text) = &self.raw.kind else {
            self.wrong("kind", "is missing", &format!("one of {}", names.join(", ")));
            return None;
        };
        let kind = ChannelKind::parse(text);
        if kind.is_none() {
            self.wrong("kind", &format!("there is no kind `{text}`"), &one_of(text, &names, "kinds"));
        }
        kind
    }

    fn place<'b>(&'b self, key: &'b str, text: Option<&'b String>, file: Option<&'b String>) -> Place<'b> {
        Place { section: self.section, key, text, file }
    }

    /// The address that nothing else would do for.
    fn needed_url(&mut self, why: &str) -> Option<SecretUrl> {
        let raw = self.raw;
        let place =
            Place { section: self.section, key: "url", text: raw.url.as_ref(), file: raw.url_file.as_ref() };
        if !place.is_there() {
            place.missing(why, self.checker);
        }
        let plain = match ChannelKind::parse(raw.kind.as_deref().unwrap_or_default()) {
            Some(ChannelKind::Webhook) => PlainHttp::InPrivate,
            _ => PlainHttp::Never,
        };
        secret_url(place, self.folder, plain, self.checker)
    }

    /// The address of a service that has a well-known one.
    fn url_or(&mut self, default: &str, plain: PlainHttp) -> Option<SecretUrl> {
        let raw = self.raw;
        let place =
            Place { section: self.section, key: "url", text: raw.url.as_ref(), file: raw.url_file.as_ref() };
        if place.is_there() {
            return secret_url(place, self.folder, plain, self.checker);
        }
        SecretUrl::parse(default).ok()
    }

    fn token(
        &mut self,
        key: &'static str,
        text: Option<&String>,
        file: Option<&String>,
        why: Option<&str>,
    ) -> Option<Secret> {
        let place = Place { section: self.section, key, text, file };
        if let (false, Some(why)) = (place.is_there(), why) {
            place.missing(why, self.checker);
        }
        token(place, self.folder, self.checker)
    }

    fn pagerduty(mut self) -> Option<ChannelSettings> {
        let raw = self.raw;
        let (text, file) = (raw.routing_key.as_ref(), raw.routing_key_file.as_ref());
        let key = self.token("routing_key", text, file, Some("it says which service of PagerDuty is paged"));
        let key = key.filter(|key| {
            let is_key = key.0.len() == 32 && key.0.bytes().all(|byte| byte.is_ascii_alphanumeric());
            if !is_key {
                let given = self.place("routing_key", text, file).given();
                self.checker.wrong(
                    &given,
                    format!(
                        "is no integration key: it has {} characters, and those have 32 letters and digits",
                        key.0.len()
                    ),
                    "copy the Integration Key of an \"Events API v2\" integration of the service",
                );
            }
            is_key
        });
        let url = self.url_or("https://events.pagerduty.com", PlainHttp::Never);
        Some(ChannelSettings::PagerDuty(PagerDutySettings { routing_key: key?, url: url? }))
    }

    fn telegram(mut self) -> Option<ChannelSettings> {
        let raw = self.raw;
        let (text, file) = (raw.token.as_ref(), raw.token_file.as_ref());
        let token = self.token("token", text, file, Some("it is the bot's, from @BotFather"));
        let token = token.filter(|token| {
            let is_token = token.0.split_once(':').is_some_and(|(bot, key)| {
                !bot.is_empty()
                    && bot.bytes().all(|byte| byte.is_ascii_digit())
                    && key.len() >= 20
                    && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
            });
            if !is_token {
                let given = self.place("token", text, file).given();
                self.checker.wrong(
                    &given,
                    "is no token of a bot: those are a number, a colon, and a key",
                    "copy it once more from @BotFather",
                );
            }
            is_token
        });
        let chat = raw.chat_id.as_ref().map(|chat| chat.0.trim().to_owned());
        let is_chat = chat.as_deref().is_some_and(|chat| chat.parse::<i64>().is_ok() || is_channel(chat));
        if !is_chat {
            let message =
                if chat.is_none() { "is missing: it says where the bot writes" } else { "is no chat" };
            let hint = "the chat's number such as -1001234567890 (getUpdates shows it once somebody wrote to the bot), or \"@name\" of a public channel";
            self.wrong("chat_id", message, hint);
        }
        let url = self.url_or("https://api.telegram.org", PlainHttp::Never);
        Some(ChannelSettings::Telegram(TelegramSettings {
            token: token?,
            chat_id: chat.filter(|_| is_chat)?,
            thread_id: raw.thread_id,
            url: url?,
        }))
    }

    fn ntfy(mut self) -> Option<ChannelSettings> {
        let raw = self.raw;
        let (text, file) = (raw.topic.as_ref(), raw.topic_file.as_ref());
        let topic = self.token("topic", text, file, Some("it says what phones subscribe to"));
        let topic = topic.filter(|topic| {
            let is_topic = topic.0.len() <= 64
                && topic.0.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
            if !is_topic {
                let given = self.place("topic", text, file).given();
                let message = "is no topic: those are letters, digits, - and _, 64 at most";
                self.checker.wrong(
                    &given,
                    message,
                    "one that cannot be guessed, such as `openssl rand -hex 12` makes",
                );
            }
            is_topic
        });
        let token = self.token("token", raw.token.as_ref(), raw.token_file.as_ref(), None);
        let is_sound = token.is_some() || (raw.token.is_none() && raw.token_file.is_none());
        let url = self.url_or("https://ntfy.sh", PlainHttp::InPrivate);
        let settings = NtfySettings { url: url?, topic: topic?, token };
        is_sound.then_some(ChannelSettings::Ntfy(settings))
    }

    fn webhook(mut self) -> Option<ChannelSettings> {
        let raw = self.raw;
        let url = self.needed_url("it is where messages are sent");
        let place = Place {
            section: self.section,
            key: "secret",
            text: raw.secret.as_ref(),
            file: raw.secret_file.as_ref(),
        };
        let secret = secret(place, self.folder, self.checker);
        if place.is_there() && secret.is_none() {
            return None;
        }
        if secret.as_ref().is_some_and(|secret| secret.0.len() < 16) {
            self.checker.wrong(
                &place.given(),
                "can be guessed: it has fewer than 16 characters",
                "make one with: openssl rand -hex 32",
            );
        }
        Some(ChannelSettings::Webhook(WebhookSettings { url: url?, secret }))
    }

    fn alertmanager(self) -> Option<ChannelSettings> {
        let raw = self.raw;
        let mut urls = Vec::new();
        let place =
            Place { section: self.section, key: "url", text: raw.url.as_ref(), file: raw.url_file.as_ref() };
        let many = raw.urls.as_deref().unwrap_or_default();
        if place.is_there() {
            urls.push(secret_url(place, self.folder, PlainHttp::Anywhere, self.checker));
        } else if many.is_empty() || many.len() > MAX_INSTANCES {
            self.checker.wrong(
                &format!("{}.urls", self.section),
                if many.is_empty() {
                    "is missing: alerts are sent to every instance"
                } else {
                    "names more than 20"
                },
                "such as urls = [\"http://alertmanager:9093\"]; all instances, and no balancer before them",
            );
        }
        for (index, text) in many.iter().enumerate() {
            let key = format!("{}.urls[{index}]", self.section);
            urls.push(checked_url(&key, text, PlainHttp::Anywhere, self.checker));
        }
        let urls: Vec<SecretUrl> = urls.into_iter().collect::<Option<_>>()?;
        (!urls.is_empty()).then_some(ChannelSettings::Alertmanager(AlertmanagerSettings { urls }))
    }
}

/// The name of a public channel of Telegram.
fn is_channel(chat: &str) -> bool {
    chat.strip_prefix('@').is_some_and(|name| {
        (4..=32).contains(&name.len())
            && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    })
}
