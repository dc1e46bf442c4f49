//! The beacon node's event stream: what is new on the chain, and what payloads of the coming slots must have. Source: beacon-APIs,
//! `/eth/v1/events`.
//!
//! A stream is heard only from a node that is not known to be of another network, which is asked anew for each stream and looked at again
//! with each event. Streams end, or fall silent as a connection dies unnoticed: whoever follows one begins again.

use std::time::Duration;

use reqwest::Response;
use tokio::{sync::mpsc, time::timeout};
use url::Url;

use super::{node::BeaconNode, sse::SseDecoder};
use crate::ethereum::{NodeError, http::host};

/// Longest silence of a stream with heads in it. A slot is 12 s; a connection that died without a word must not be waited for.
const MAX_SILENCE: Duration = Duration::from_secs(300);

/// What the event stream says is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChainNews {
    /// A new head.
    Head,
    /// The head moved to another branch.
    Reorg,
    /// A checkpoint is final.
    Finalized,
}

impl BeaconNode {
    /// Follows the event stream and says what is new, until the stream ends. A receiver that is full misses news, not their end.
    ///
    /// # Errors
    /// When the node does not answer, or breaks the stream off.
    pub async fn follow(&self, news: &mpsc::Sender<ChainNews>) -> Result<(), NodeError> {
        let (url, stream) = self.open_events("head,chain_reorg,finalized_checkpoint").await?;
        self.hear(&url, stream, |name, _| {
            let event = match name {
                b"head" => Some(ChainNews::Head),
                b"chain_reorg" => Some(ChainNews::Reorg),
                b"finalized_checkpoint" => Some(ChainNews::Finalized),
                _ => None,
            };
            if let Some(event) = event {
                let _ = news.try_send(event);
            }
        })
        .await
    }

    /// Follows what the node has its execution client build: tells when the stream is open, then the data of each `payload_attributes`
    /// event, until the stream ends. A stream of its own, as a node without this topic refuses all topics that are asked for with it.
    ///
    /// # Errors
    /// When the node does not answer, does not serve this, or breaks the stream off.
    pub async fn follow_attributes(
        &self,
        on_open: impl FnOnce(),
        mut on_attributes: impl FnMut(&[u8]),
    ) -> Result<(), NodeError> {
        // Heads only show that the stream is alive: attributes come when a proposer of the node's is near.
        let (url, stream) = self.open_events("head,payload_attributes").await?;
        on_open();
        self.hear(&url, stream, |name, data| {
            if name == b"payload_attributes" {
                on_attributes(data);
            }
        })
        .await
    }

    async fn open_events(&self, topics: &str) -> Result<(Url, Response), NodeError> {
        self.verify_network().await?;
        let mut url = self.url("/eth/v1/events");
        url.query_pairs_mut().append_pair("topics", topics);
        let request = self.http.get(url.clone()).header("accept", "text/event-stream");
        // Some servers send the head of the answer with the first event.
        let response = timeout(MAX_SILENCE, request.send()).await;
        let response = response.map_err(|_| silent(&url))?.map_err(|error| broken(&url, error))?;
        match response.status().as_u16() {
            200 => Ok((url, response)),
            status => Err(NodeError::Status { host: host(&url), status }),
        }
    }

    async fn hear(
        &self,
        url: &Url,
        mut stream: Response,
        mut on_event: impl FnMut(&[u8], &[u8]),
    ) -> Result<(), NodeError> {
        let mut decoder = SseDecoder::default();
        loop {
            let chunk = timeout(MAX_SILENCE, stream.chunk()).await.map_err(|_| silent(url))?;
            let Some(chunk) = chunk.map_err(|error| broken(url, error))? else { return Ok(()) };
            // It may have been found out since, by whoever keeps the node under watch.
            self.refuse_if_other()?;
            decoder.feed(&chunk, &mut on_event).map_err(|error| NodeError::answer(url, error.to_string()))?;
        }
    }
}

fn broken(url: &Url, error: reqwest::Error) -> NodeError {
    NodeError::Transport { host: host(url), message: error.without_url().to_string() }
}

fn silent(url: &Url) -> NodeError {
    NodeError::answer(url, format!("no event for {MAX_SILENCE:?}"))
}
