//! Pages that could not be written down, sent all the same: a disk that refuses is a thing to be paged about.
//!
//! What is sent here is sent at least once and perhaps again, once the ledger can be written; it is tried three times.

use std::{sync::Arc, time::Duration};

use reqwest::Client;
use tokio::{sync::mpsc, task::JoinSet, time::sleep};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

use super::{
    channels::{Channel, ChannelContext},
    delivery::{ATTEMPT_TIMEOUT, Attempt, attempt},
    message::Message,
};
use crate::{consensus::WallClock, ledger::QueuedMessage};

/// How often a page is tried.
const ATTEMPTS: u32 = 3;
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(5);

/// Pages that are sent at the same time: a channel that hangs keeps no other waiting.
const AT_ONCE: usize = 32;

/// Sends what comes until told to stop. Pages that are under way then are given up: they are in memory alone, and so is their end.
pub(super) async fn run(
    mut pages: mpsc::Receiver<QueuedMessage>,
    channels: Vec<Channel>,
    http: Client,
    clock: WallClock,
    stop: CancellationToken,
) {
    let channels = Arc::new(channels);
    let mut sending = JoinSet::new();
    loop {
        tokio::select! {
            page = pages.recv(), if sending.len() < AT_ONCE => {
                let Some(page) = page else { return };
                let (channels, http, clock) = (Arc::clone(&channels), http.clone(), clock.clone());
                sending.spawn(async move { deliver(&page, &channels, &http, &clock).await });
            }
            Some(_) = sending.join_next() => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Sends a page by its channel, and by the channel's fallback if that does not take it.
async fn deliver(page: &QueuedMessage, channels: &[Channel], http: &Client, clock: &WallClock) {
    let found = channels.iter().find(|channel| channel.id == page.channel);
    let (Some(channel), Ok(message)) = (found, serde_json::from_str::<Message>(&page.body_json)) else {
        return;
    };
    let fallback = channel.fallback.as_ref().and_then(|id| channels.iter().find(|other| other.id == *id));
    let mut sent = send(channel, &message, http, clock, None).await;
    if let (false, Some(fallback)) = (sent, fallback) {
        sent = send(fallback, &message, http, clock, Some(channel.id.clone())).await;
    }
    if sent {
        info!(channel = channel.id, "a page was sent without being written down");
    } else {
        error!(channel = channel.id, title = message.title, "a page could neither be written down nor sent");
    }
}

async fn send(
    channel: &Channel,
    message: &Message,
    http: &Client,
    clock: &WallClock,
    fallback_of: Option<String>,
) -> bool {
    for number in 1..=ATTEMPTS {
        let context = ChannelContext {
            now: clock.now(),
            fallback_of: fallback_of.clone(),
            ..ChannelContext::default()
        };
        match attempt(http, &channel.settings, message, &context, ATTEMPT_TIMEOUT).await {
            Attempt::Taken => return true,
            Attempt::Refused(_) => return false,
            Attempt::Failed { .. } if number < ATTEMPTS => sleep(PAUSE).await,
            Attempt::Failed { .. } => {}
        }
    }
    false
}
