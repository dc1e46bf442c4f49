//! Channels: how a message becomes a request of Slack, PagerDuty, Discord, Telegram, ntfy, e-mail, a webhook or Alertmanager, and what the
//! service's answer means.
//!
//! Renderers and classifiers are pure. Each keeps to its service's limits whatever is in a message; what does not fit is counted in words. No
//! address or key is in any text that comes from here, but in the request itself, whose `Debug` shows nothing.

pub(super) mod alertmanager;
mod answer;
mod clip;
mod discord;
pub(super) mod email;
mod ntfy;
mod page;
mod pagerduty;
mod request;
mod slack;
mod telegram;
#[cfg(test)]
mod tests;
mod webhook;

pub use alertmanager::{
    AlertmanagerSettings, AlertmanagerSnapshot, PostableAlert, payload as alertmanager_payload,
};
pub use answer::{Answer, HttpAnswer, Refusal, parse_retry_after};
pub(super) use clip::wrap;
pub use discord::DiscordSettings;
pub use email::{EmailSettings, EmailTls};
pub use ntfy::NtfySettings;
pub use pagerduty::PagerDutySettings;
pub use request::{ChannelContext, Method, Repetition, Request};
pub use slack::SlackSettings;
pub use telegram::TelegramSettings;
pub use webhook::{WebhookSettings, sign};

use super::message::{Message, MessageKind};
use crate::types::labelled;

labelled! {
    /// The kinds of channels, as the configuration names them.
    pub enum ChannelKind {
        /// An incoming webhook of Slack.
        Slack = "slack",
        /// Events API v2.
        PagerDuty = "pagerduty",
        /// A webhook of Discord.
        Discord = "discord",
        /// A bot in a chat.
        Telegram = "telegram",
        /// A topic of ntfy.
        Ntfy = "ntfy",
        /// SMTP.
        Email = "email",
        /// A receiver of the operator's own.
        Webhook = "webhook",
        /// Alertmanager, which takes over grouping and routing.
        Alertmanager = "alertmanager",
    }
}

/// What a service must be told to be reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChannelSettings {
    /// An incoming webhook of Slack.
    Slack(SlackSettings),
    /// Events API v2.
    PagerDuty(PagerDutySettings),
    /// A webhook of Discord.
    Discord(DiscordSettings),
    /// A bot in a chat.
    Telegram(TelegramSettings),
    /// A topic of ntfy.
    Ntfy(NtfySettings),
    /// SMTP.
    Email(Box<EmailSettings>),
    /// A receiver of the operator's own.
    Webhook(WebhookSettings),
    /// Alertmanager. Of messages it is sent tests alone; what fires it is told by `alertmanager`.
    Alertmanager(AlertmanagerSettings),
}

/// A way to reach somebody.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Channel {
    /// Its name in the configuration.
    pub id: String,
    /// How the service is reached.
    pub settings: ChannelSettings,
    /// The name of the channel that is told what this one does not take.
    pub fallback: Option<String>,
}

/// What a message has become.
#[derive(Debug)]
pub enum Rendered {
    /// A request over HTTP.
    Http(Request),
    /// The same to each of several instances: one that takes it is enough.
    Any(Vec<Request>),
    /// A mail.
    Mail(Box<lettre::Message>),
    /// Nothing that the service could be sent, in words.
    Impossible(String),
}

impl ChannelSettings {
    /// Which kind it is.
    pub const fn kind(&self) -> ChannelKind {
        match self {
            Self::Slack(_) => ChannelKind::Slack,
            Self::PagerDuty(_) => ChannelKind::PagerDuty,
            Self::Discord(_) => ChannelKind::Discord,
            Self::Telegram(_) => ChannelKind::Telegram,
            Self::Ntfy(_) => ChannelKind::Ntfy,
            Self::Email(_) => ChannelKind::Email,
            Self::Webhook(_) => ChannelKind::Webhook,
            Self::Alertmanager(_) => ChannelKind::Alertmanager,
        }
    }

    /// Makes a message what the service takes.
    pub fn render(&self, message: &Message, context: &ChannelContext) -> Rendered {
        match self {
            Self::Slack(settings) => Rendered::Http(slack::render(settings, message, context)),
            Self::PagerDuty(settings) => Rendered::Http(pagerduty::render(settings, message, context)),
            Self::Discord(settings) => Rendered::Http(discord::render(settings, message, context)),
            Self::Telegram(settings) => Rendered::Http(telegram::render(settings, message, context)),
            Self::Ntfy(settings) => Rendered::Http(ntfy::render(settings, message, context)),
            Self::Webhook(settings) => Rendered::Http(webhook::render(settings, message, context)),
            Self::Email(settings) => match email::render(settings, message, context) {
                Ok(mail) => Rendered::Mail(Box::new(mail)),
                Err(message) => Rendered::Impossible(message),
            },
            Self::Alertmanager(settings) => Rendered::Any(alertmanager_test(settings, message, context)),
        }
    }

    /// What an answer over HTTP means.
    pub fn classify(&self, answer: &HttpAnswer) -> Answer {
        match self {
            Self::Slack(_) => slack::classify(answer),
            Self::PagerDuty(_) => pagerduty::classify(answer),
            Self::Discord(_) => discord::classify(answer),
            Self::Telegram(_) => telegram::classify(answer),
            Self::Ntfy(_) => ntfy::classify(answer),
            Self::Webhook(_) => webhook::classify(answer),
            Self::Alertmanager(_) => alertmanager::classify(answer),
            // Never spoken to over HTTP.
            Self::Email(_) => Answer::RetryLater { after: None, message: answer.words(None) },
        }
    }
}

/// A message as alerts of a few minutes.
fn alertmanager_test(
    settings: &AlertmanagerSettings,
    message: &Message,
    context: &ChannelContext,
) -> Vec<Request> {
    let is_over = message.kind == MessageKind::Resolved;
    let alerts: Vec<_> = message.alerts.clone();
    let (firing, resolved) = if is_over { (Vec::new(), alerts) } else { (alerts, Vec::new()) };
    let snapshot = AlertmanagerSnapshot {
        firing,
        resolved,
        source: message.source.clone(),
        page_url: message.page_url.clone(),
    };
    let mut alerts = alertmanager::payload(context.now, &snapshot);
    if alerts.is_empty() {
        alerts.push(alertmanager::of_text(context.now, message));
    }
    settings.urls.iter().flat_map(|url| alertmanager::requests(url, &alerts)).collect()
}
