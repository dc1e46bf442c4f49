//! The queue of messages, and for each channel a task that empties it.
//!
//! A message is marked before its first byte leaves and again when the service took it, so that a `kill -9` loses nothing; what may have
//! arrived twice says so, where the service does not know it by its id. What a channel never takes, and everything that waits on a channel
//! that fails for five minutes, goes to the channel's fallback once.

mod choose;
mod parts;
mod sender;

use tokio::sync::watch;

use super::metrics;
use crate::tasks::TaskGroup;
pub use parts::{LIFE_MS, OutboxParts, TellDelivery, queued};

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
