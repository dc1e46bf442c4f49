//! A receiver of the operator's own: the message as JSON, signed.
//!
//! `X-Relaymux-Signature: sha256=` and the HMAC-SHA256 of `<timestamp>.<body>` under the shared secret, in hex; `X-Relaymux-Timestamp` is in
//! Unix seconds: a receiver that refuses old ones cannot be played a recording. `Idempotency-Key` is the same at every attempt.

use alloy_primitives::hex;
use hmac::{Hmac, Mac};
use serde::Serialize;
use sha2::Sha256;

use super::{
    answer::{Answer, HttpAnswer, Refusal},
    request::{ChannelContext, Request},
};
use crate::{
    alerts::message::Message,
    types::{Secret, SecretUrl},
};

/// Most alerts in one body.
const MAX_ALERTS: usize = 500;

/// A receiver of the operator's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Where messages go.
    pub url: SecretUrl,
    /// What both sides know; without it nothing is signed.
    pub secret: Option<Secret>,
}

#[derive(Serialize)]
struct Body<'a> {
    version: u8,
    #[serde(flatten)]
    message: &'a Message,
    omitted_alerts: usize,
    fallback_of: Option<&'a str>,
}

/// The signature of a body, as the header has it.
pub fn sign(secret: &Secret, timestamp: &str, body: &[u8]) -> String {
    // Cannot fail: HMAC takes keys of any length.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.0.as_bytes()) else { return String::new() };
    mac.update(timestamp.as_bytes());
    mac.update(b".");
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// The request for a message.
pub(super) fn render(settings: &WebhookSettings, message: &Message, context: &ChannelContext) -> Request {
    let omitted_alerts = message.alerts.len().saturating_sub(MAX_ALERTS);
    let mut kept = message.clone();
    kept.alerts.sort_by_key(|alert| alert.severity);
    kept.alerts.truncate(MAX_ALERTS);
    let body =
        Body { version: 1, message: &kept, omitted_alerts, fallback_of: context.fallback_of.as_deref() };
    let timestamp = context.now.div_euclid(1000).to_string();
    let mut request = Request::json(settings.url.clone(), &body);
    if let Some(secret) = &settings.secret {
        let signature = sign(secret, &timestamp, &request.body);
        request = request.header("x-relaymux-signature", signature);
    }
    request.header("x-relaymux-timestamp", timestamp).header("idempotency-key", message.id.as_str())
}

/// What follows from the receiver's answer. One that is being replaced answers with 401, 403 or 404 for a while: that is no end.
pub(super) fn classify(answer: &HttpAnswer) -> Answer {
    match answer.status {
        200..=299 => Answer::Taken,
        410 => answer.never(Refusal::DeadChannel, None),
        401 | 403 | 404 | 409 => answer.later(None, None),
        _ if answer.is_passing() => answer.later(None, None),
        _ => answer.never(Refusal::BadMessage, None),
    }
}
