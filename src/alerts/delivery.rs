//! One attempt to deliver a message by a channel, and what is told of it.

use std::time::Duration;

use reqwest::Client;

use super::{
    call::{Call, call},
    channels::{Answer, ChannelContext, ChannelSettings, Refusal, Rendered, Request, email},
    message::Message,
};
use crate::{
    events::Severity,
    types::{Label, UnixMillis, labelled},
};

/// Longest wait for a service's answer.
pub(super) const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);

labelled! {
    /// What an attempt came to.
    pub enum DeliveryOutcome {
        /// The service has the message.
        Sent = "sent",
        /// Not this time; it is tried again.
        Failed = "failed",
        /// Never on this channel.
        Dead = "dead",
    }
}

/// What became of a message on a channel. Says nothing secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryEvent {
    /// The message's id.
    pub message: String,
    /// The channel's name.
    pub channel: String,
    /// How grave the message is.
    pub severity: Label<Severity>,
    /// What the attempt came to.
    pub outcome: DeliveryOutcome,
    /// Attempts so far.
    pub attempts: i64,
    /// Why it failed.
    pub reason: Option<String>,
    /// The channel that is told instead, where it was not told before.
    pub fallback: Option<String>,
    /// When it happened, in Unix milliseconds.
    pub at: UnixMillis,
}

/// How an attempt went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Attempt {
    /// The service has it.
    Taken,
    /// Not this time.
    Failed {
        /// How long the service wants to be left alone.
        after: Option<Duration>,
        /// Whether the service may have it all the same.
        may_have_arrived: bool,
        message: String,
    },
    /// Never.
    Refused(String),
}

/// Sends a message once.
pub(super) async fn attempt(
    http: &Client,
    settings: &ChannelSettings,
    message: &Message,
    context: &ChannelContext,
    limit: Duration,
) -> Attempt {
    match settings.render(message, context) {
        Rendered::Http(request) => over_http(http, settings, request, context.now, limit).await,
        Rendered::Any(requests) => {
            let calls =
                requests.into_iter().map(|request| over_http(http, settings, request, context.now, limit));
            let mut attempts = futures_util::future::join_all(calls).await;
            let taken = attempts.iter().position(|attempt| *attempt == Attempt::Taken);
            match taken {
                Some(_) => Attempt::Taken,
                None => attempts.pop().unwrap_or_else(|| Attempt::Refused("it has no instance".to_owned())),
            }
        }
        Rendered::Mail(mail) => by_mail(settings, *mail, limit).await,
        Rendered::Impossible(message) => Attempt::Refused(message),
    }
}

async fn over_http(
    http: &Client,
    settings: &ChannelSettings,
    request: Request,
    now: UnixMillis,
    limit: Duration,
) -> Attempt {
    match call(http, request, now, limit).await {
        Call::Answered(answer) => understood(settings.classify(&answer)),
        Call::NotSent(message) => Attempt::Failed { after: None, may_have_arrived: false, message },
        Call::Unanswered(message) => Attempt::Failed { after: None, may_have_arrived: true, message },
    }
}

async fn by_mail(settings: &ChannelSettings, mail: lettre::Message, limit: Duration) -> Attempt {
    let ChannelSettings::Email(settings) = settings else {
        return Attempt::Refused("a mail for a channel that is none".to_owned());
    };
    let silent = || email::Sent::Unanswered(format!("no answer within {} s", limit.as_secs_f64()));
    // The library's own limit is for each command.
    let sent = tokio::time::timeout(limit, email::send(settings, mail, limit)).await;
    match sent.unwrap_or_else(|_| silent()) {
        email::Sent::Answered(answer) => understood(answer),
        email::Sent::NotConnected(message) => {
            Attempt::Failed { after: None, may_have_arrived: false, message }
        }
        email::Sent::Unanswered(message) => Attempt::Failed { after: None, may_have_arrived: true, message },
    }
}

fn understood(answer: Answer) -> Attempt {
    match answer {
        Answer::Taken => Attempt::Taken,
        Answer::RetryLater { after, message } => Attempt::Failed { after, may_have_arrived: false, message },
        Answer::Never { refusal: Refusal::DeadChannel, message } => {
            Attempt::Refused(format!("the channel is not valid any more: {message}"))
        }
        Answer::Never { refusal: Refusal::BadMessage, message } => {
            Attempt::Refused(format!("the service does not take this message: {message}"))
        }
    }
}
