//! A message that proves that a channel works: sent at once and once, by whoever asks, whether the service runs or not.

use reqwest::Client;

use super::{
    channels::{Channel, ChannelContext},
    delivery::{ATTEMPT_TIMEOUT, Attempt, attempt},
    message::{Message, MessageKind},
};
use crate::{events::Severity, types::UnixMillis};

/// Sends a test message of a severity by a channel.
///
/// # Errors
/// Why the service did not take it, without anything secret.
pub async fn prove(
    channel: &Channel,
    severity: Severity,
    source: &str,
    http: &Client,
    now: UnixMillis,
) -> Result<(), String> {
    let message = test_message(channel, severity, source, now);
    let context = ChannelContext { now, ..ChannelContext::default() };
    match attempt(http, &channel.settings, &message, &context, ATTEMPT_TIMEOUT).await {
        Attempt::Taken => Ok(()),
        Attempt::Refused(reason) => Err(reason),
        Attempt::Failed { message, after, .. } => Err(match after {
            Some(after) => format!("{message}; it asks to be left alone for {} s", after.as_secs()),
            None => message,
        }),
    }
}

fn test_message(channel: &Channel, severity: Severity, source: &str, now: UnixMillis) -> Message {
    let id = format!("test-{}-{now}", channel.id);
    Message {
        group: id.clone(),
        id,
        kind: MessageKind::Test,
        severity,
        title: format!("{severity} test of the channel {}", channel.id),
        alerts: Vec::new(),
        body: Some(format!(
            "This is a test, asked for with `relaymux alert test`. Nothing is wrong.\nWhoever reads this would be told of alerts of {severity} by {source}."
        )),
        acknowledge_url: None,
        page_url: None,
        at: now,
        source: source.to_owned(),
    }
}
