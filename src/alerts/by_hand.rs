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

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
        time::timeout,
    };

    use super::*;
    use crate::{
        alerts::{
            channels::{ChannelSettings, WebhookSettings},
            message::MessageKind,
        },
        events::Severity,
        types::SecretUrl,
    };

    async fn channel(id: &str) -> (Channel, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/hook", listener.local_addr().unwrap());
        let settings = WebhookSettings { url: SecretUrl::parse(&url).unwrap(), secret: None };
        let settings = ChannelSettings::Webhook(settings);
        (Channel { id: id.to_owned(), settings, fallback: None }, listener)
    }

    fn page(number: usize, channel: &str) -> QueuedMessage {
        let message = Message {
            id: format!("m{number}"),
            group: "i".to_owned(),
            kind: MessageKind::Firing,
            severity: Severity::P1,
            title: "P1 It burns".to_owned(),
            alerts: Vec::new(),
            body: None,
            acknowledge_url: None,
            page_url: None,
            at: 0,
            source: "box".to_owned(),
        };
        QueuedMessage {
            id: message.id.clone(),
            channel: channel.to_owned(),
            severity: message.severity,
            kind: "firing".to_owned(),
            body_json: serde_json::to_string(&message).unwrap(),
            not_before: 0,
            expires_at: i64::MAX,
            made_at: 0,
        }
    }

    /// One that takes connections and never answers has all places but one.
    #[tokio::test]
    async fn a_channel_that_hangs_keeps_no_other_waiting() {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let ((hangs, held), (works, listener)) = (channel("hangs").await, channel("works").await);
        let (pages, waiting) = mpsc::channel(AT_ONCE + 8);
        for number in 0..AT_ONCE - 1 {
            pages.send(page(number, "hangs")).await.unwrap();
        }
        pages.send(page(AT_ONCE, "works")).await.unwrap();
        pages.send(page(AT_ONCE + 1, "works")).await.unwrap();
        let http = Client::builder().no_proxy().build().unwrap();
        let stop = CancellationToken::new();
        let running =
            tokio::spawn(run(waiting, vec![hangs, works], http, WallClock::manual(0).0, stop.clone()));
        let answered = async {
            for _ in 0..2 {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 4096]).await;
                let answer = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        };
        timeout(Duration::from_secs(8), answered).await.unwrap();
        stop.cancel();
        timeout(Duration::from_secs(5), running).await.unwrap().unwrap();
        drop(held);
    }
}
