//! What the services share: which there are, what came and what is answered, and taking connections.

use std::io;

use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use crate::types::Secret;

/// Which service is played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertServiceKind {
    /// An incoming webhook.
    Slack,
    /// Events API v2 and change events.
    PagerDuty,
    /// A webhook.
    Discord,
    /// A bot's API.
    Telegram,
    /// A server with an access token.
    Ntfy,
    /// A receiver that checks signatures under a secret.
    Webhook(Secret),
    /// API v2.
    Alertmanager,
    /// A check in the manner of healthchecks.io.
    Check,
}

/// A request as it came.
pub(super) struct RawRequest {
    pub(super) method: String,
    pub(super) path: String,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl RawRequest {
    pub(super) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str())
    }
}

/// An answer.
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

/// Takes connections until it is stopped; those that are open then end.
pub(super) async fn accept<T>(listener: TcpListener, stop: CancellationToken, serve: impl Fn(TcpStream) -> T)
where
    T: Future<Output = io::Result<()>> + Send + 'static,
{
    loop {
        let stream = tokio::select! {
            accepted = listener.accept() => accepted,
            () = stop.cancelled() => return,
        };
        let Ok((stream, _)) = stream else { continue };
        let (served, stop) = (serve(stream), stop.clone());
        tokio::spawn(async move {
            tokio::select! {
                _ = served => {}
                () = stop.cancelled() => {}
            }
        });
    }
}
