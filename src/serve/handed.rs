//! Requests that one listener hands to a room with a runtime of its own, and their answers back.
//!
//! The room serves them on its own threads as it would serve a listener's: what it does costs the listener's threads nothing but the wait.

use std::time::Duration;

use axum::{Router, body::Body, extract::Request, http::StatusCode, response::Response};
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower::ServiceExt;
use tracing::warn;

use super::{ApiError, Listener};

/// Requests that wait for the room. Arbitrary: it takes each up at once, so that more wait only where it hangs.
const WAITING: usize = 1024;

/// A request, and where its answer goes.
type Handed = (Request, oneshot::Sender<Response>);

/// Where requests are handed over. Clones lead to the same room.
#[derive(Clone, Debug)]
pub struct Handover(mpsc::Sender<Handed>);

/// Where they come out.
#[derive(Debug)]
pub struct HandedRequests(mpsc::Receiver<Handed>);

/// Both ends.
pub fn handover() -> (Handover, HandedRequests) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Handover(sender), HandedRequests(receiver))
}

impl Handover {
    /// Has a request answered.
    ///
    /// # Errors
    /// 503 when the room has ended, or does not take requests up.
    pub async fn serve(&self, request: Request<Body>) -> Result<Response, ApiError> {
        let away = |why: &str| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, why);
        let (answer, answered) = oneshot::channel();
        self.0
            .try_send((request, answer))
            .map_err(|_| away("whoever serves this does not take requests now"))?;
        answered.await.map_err(|_| away("whoever serves this has ended"))
    }
}

impl HandedRequests {
    /// Serves until `stop` or until nobody can hand anything over, then lets requests in flight finish for at most `drain`.
    pub async fn serve(mut self, router: Router, stop: CancellationToken, drain: Duration) {
        let tasks = TaskTracker::new();
        loop {
            let handed = tokio::select! {
                handed = self.0.recv() => handed,
                () = stop.cancelled() => break,
            };
            let Some((request, answer)) = handed else {
                stop.cancelled().await;
                break;
            };
            let router = router.clone();
            tasks.spawn(async move {
                let Ok(response) = router.oneshot(request).await;
                // Whoever asked may have hung up.
                let _ = answer.send(response);
            });
        }
        // What waits is told at once that nobody serves it.
        drop(self);
        tasks.close();
        if timeout(drain, tasks.wait()).await.is_err() {
            warn!(open = tasks.len(), "requests still open at the end of the drain");
        }
    }
}

/// How requests come to a room: over a listener of its own, or handed over by another room's.
#[derive(Debug)]
pub enum Door {
    /// A listener of its own.
    Listener(Listener),
    /// By another's.
    Handed(HandedRequests),
}

impl Door {
    /// Serves until `stop`, then lets requests in flight finish for at most `drain`.
    pub async fn serve(self, router: Router, stop: CancellationToken, drain: Duration) {
        match self {
            Self::Listener(listener) => listener.serve(router, stop, drain).await,
            Self::Handed(requests) => requests.serve(router, stop, drain).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::post;

    use super::*;

    #[tokio::test]
    async fn a_request_is_answered_by_whoever_takes_it_up_or_at_once_by_nobody() {
        let (hand, handed) = handover();
        let stop = CancellationToken::new();
        let router = Router::new().route("/", post(|body: bytes::Bytes| async move { body }));
        let room = tokio::spawn(handed.serve(router, stop.clone(), Duration::from_secs(5)));
        let request = || Request::post("/").body(Body::from("x")).unwrap();
        assert_eq!(hand.serve(request()).await.unwrap().status(), StatusCode::OK);
        stop.cancel();
        room.await.unwrap();
        let late = timeout(Duration::from_secs(20), hand.serve(request())).await;
        let error = late.expect("nobody says that nobody serves").unwrap_err();
        assert_eq!(error.status(), StatusCode::SERVICE_UNAVAILABLE);
    }
}
