//! What delivery is made of, and how a message is kept in the queue.

use std::{fmt, sync::Arc};

use reqwest::Client;
use serde::{Deserialize, Serialize};

use crate::{
    alerts::{channels::Channel, delivery::DeliveryEvent, message::Message},
    consensus::WallClock,
    ledger::{Ledger, NewOutboxRow},
    types::UnixMillis,
};

/// How long a message is tried, in milliseconds.
pub const LIFE_MS: i64 = 24 * 3_600_000;

/// A message as it is in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Stored {
    #[serde(flatten)]
    pub(super) message: Message,
    /// The channel that did not take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fallback_of: Option<String>,
}

/// The row that puts a message into a channel's queue, to be written in the transaction of whoever decided on it.
pub fn queued(message: &Message, channel: &str) -> NewOutboxRow {
    stored(&Stored { message: message.clone(), fallback_of: None }, channel, message.at)
}

/// The row of a message, due now.
pub(super) fn stored(stored: &Stored, channel: &str, now: UnixMillis) -> NewOutboxRow {
    let message = &stored.message;
    NewOutboxRow {
        id: message.id.clone(),
        channel: channel.to_owned(),
        severity: message.severity,
        kind: message.kind.label(),
        // Cannot fail: the keys are texts, and there are no floats.
        body: serde_json::to_string(stored).unwrap_or_default(),
        not_before: now,
        expires_at: now.saturating_add(LIFE_MS),
        made_at: message.at,
    }
}

/// Who is told of every attempt. Must not block.
pub type TellDelivery = Arc<dyn Fn(DeliveryEvent) + Send + Sync>;

/// What delivery is made of.
#[derive(Clone)]
pub struct OutboxParts {
    /// Where the queue is.
    pub ledger: Ledger,
    /// Without redirects: a service that sends us elsewhere is not the one that was configured.
    pub http: Client,
    /// Every channel of the configuration.
    pub channels: Vec<Channel>,
    /// Who is told of every attempt.
    pub tell: TellDelivery,
    /// The time.
    pub now: Arc<dyn Fn() -> UnixMillis + Send + Sync>,
}

impl OutboxParts {
    /// Parts with a clock.
    pub fn new(
        ledger: Ledger,
        http: Client,
        channels: Vec<Channel>,
        tell: TellDelivery,
        clock: WallClock,
    ) -> Self {
        Self { ledger, http, channels, tell, now: Arc::new(move || clock.now()) }
    }
}

impl fmt::Debug for OutboxParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboxParts").field("channels", &self.channels).finish_non_exhaustive()
    }
}
