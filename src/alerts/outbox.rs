//! The queue of messages, and for each channel a task that empties it.
//!
//! A message is marked before its first byte leaves and again when the service took it, so that a `kill -9` loses nothing; what may have
//! arrived twice says so, where the service does not know it by its id. What a channel never takes, and everything that waits on a channel
//! that fails for five minutes, goes to the channel's fallback once.

mod choose;
mod sender;

use std::{fmt, sync::Arc};

use reqwest::Client;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use super::{channels::Channel, delivery::DeliveryEvent, message::Message, metrics};
use crate::{
    consensus::WallClock,
    ledger::{Ledger, NewOutboxRow},
    tasks::TaskGroup,
    types::UnixMillis,
};

/// How long a message is tried, in milliseconds.
pub const LIFE_MS: i64 = 24 * 3_600_000;

/// A message as it is in the queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    #[serde(flatten)]
    message: Message,
    /// The channel that did not take it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    fallback_of: Option<String>,
}

/// The row that puts a message into a channel's queue, to be written in the transaction of whoever decided on it.
pub fn queued(message: &Message, channel: &str) -> NewOutboxRow {
    stored(&Stored { message: message.clone(), fallback_of: None }, channel, message.at)
}

fn stored(stored: &Stored, channel: &str, now: UnixMillis) -> NewOutboxRow {
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
    /// Parts with the machine's clock.
    pub fn new(ledger: Ledger, http: Client, channels: Vec<Channel>, tell: TellDelivery) -> Self {
        Self { ledger, http, channels, tell, now: Arc::new(|| WallClock.now()) }
    }
}

impl fmt::Debug for OutboxParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutboxParts").field("channels", &self.channels).finish_non_exhaustive()
    }
}

/// Tells the channels that there is something to send.
#[derive(Clone, Debug)]
pub struct OutboxHandle {
    wake: watch::Sender<()>,
}

impl OutboxHandle {
    /// There is something to send: to be called once it is written down. Never blocks.
    pub fn wake(&self) {
        self.wake.send_replace(());
    }
}

/// Starts a task for each channel, and one for what waits on channels that the configuration does not have any more.
pub fn start(group: &TaskGroup, parts: OutboxParts) -> OutboxHandle {
    let wake = watch::Sender::new(());
    let handle = OutboxHandle { wake: wake.clone() };
    for channel in &parts.channels {
        metrics::begin_channel(&channel.id);
        let (parts, channel, wake) = (parts.clone(), channel.clone(), wake.clone());
        group.restarting("alert_delivery", move |stop| {
            sender::Sender::new(parts.clone(), channel.clone(), wake.clone()).run(stop)
        });
    }
    group.restarting("alert_orphans", move |stop| sender::bury_orphans(parts.clone(), stop));
    handle
}
