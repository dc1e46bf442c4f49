//! Bodies of requests: bounded in size, in time, and all together in memory.

use std::{sync::Arc, time::Duration};

use axum::{body::Body, http::StatusCode};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout, timeout_at},
};

use super::ApiError;

/// What bodies are charged in: a semaphore counts in 32 bits, and a body grows by more than bytes.
const UNIT: usize = 16 << 10;
/// How long the rest of a refused body is read and forgotten. Arbitrary: on its way from a client of ours it is there in a fraction of that.
const LINGER: Duration = Duration::from_secs(1);

/// How many bytes of bodies may be held at once. Clones share one budget. What was read keeps its share until the last of it is dropped.
#[derive(Clone, Debug)]
pub struct ByteBudget {
    units: Arc<Semaphore>,
}

/// Bytes and their share of a budget.
struct Charged<T> {
    bytes: T,
    _share: OwnedSemaphorePermit,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for Charged<T> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

/// Somebody's share of a budget, given back when it is dropped.
#[derive(Debug)]
pub struct ByteShare {
    units: Arc<Semaphore>,
    held: Option<OwnedSemaphorePermit>,
}

impl ByteShare {
    /// Makes it as large as so many bytes need; it never becomes smaller. False where there is no room, and it stays as it was.
    pub fn grow_to(&mut self, bytes: usize) -> bool {
        let units = bytes.div_ceil(UNIT);
        let more = units.saturating_sub(self.held.as_ref().map_or(0, OwnedSemaphorePermit::num_permits));
        if more == 0 {
            return true;
        }
        let more = u32::try_from(more).unwrap_or(u32::MAX);
        match (Arc::clone(&self.units).try_acquire_many_owned(more), &mut self.held) {
            (Ok(permit), Some(held)) => held.merge(permit),
            (Ok(permit), held) => *held = Some(permit),
            (Err(_), _) => return false,
        }
        true
    }

    /// Bytes that keep the share until the last of them is dropped.
    pub fn keep<T: AsRef<[u8]> + Into<Bytes> + Send + 'static>(self, bytes: T) -> Bytes {
        match self.held {
            Some(share) => Bytes::from_owner(Charged { bytes, _share: share }),
            None => bytes.into(),
        }
    }
}

impl ByteBudget {
    /// A budget of some bytes.
    pub fn new(bytes: usize) -> Self {
        Self { units: Arc::new(Semaphore::new(bytes.div_ceil(UNIT).min(Semaphore::MAX_PERMITS))) }
    }

    /// A share of it, of nothing yet.
    pub fn share(&self) -> ByteShare {
        ByteShare { units: Arc::clone(&self.units), held: None }
    }

    /// Reads a request's body of at most `limit` bytes within a time. It is charged as it comes, not as it is announced: a peer that
    /// announces much and sends nothing takes no room from the others.
    ///
    /// # Errors
    /// 413 when it is larger, 408 when it does not come, 400 when the connection breaks, 503 when too much is held already.
    pub async fn read_body(
        &self,
        body: Body,
        announced: Option<u64>,
        limit: usize,
        within: Duration,
    ) -> Result<Bytes, ApiError> {
        let mut share = self.share();
        let charge = |held: usize| {
            if share.grow_to(held) {
                return Ok(());
            }
            let message = "too many bytes of bodies are being read at once: try again";
            Err(ApiError::new(StatusCode::SERVICE_UNAVAILABLE, message))
        };
        let bytes = collect(body, announced, limit, within, charge).await?;
        Ok(share.keep(bytes))
    }
}

/// Reads a request's body of at most `limit` bytes within a time.
///
/// # Errors
/// 413 when it is larger, 408 when it does not come, 400 when the connection breaks.
pub async fn read_body(
    body: Body,
    announced: Option<u64>,
    limit: usize,
    within: Duration,
) -> Result<Bytes, ApiError> {
    collect(body, announced, limit, within, |_| Ok(())).await.map(BytesMut::freeze)
}

/// Collects a body; of one that is refused, the rest is taken off the line for a while. A connection that is closed with bytes unread is reset, and
/// the reset may take our answer along before the peer has read it.
async fn collect(
    mut body: Body,
    announced: Option<u64>,
    limit: usize,
    within: Duration,
    charge: impl FnMut(usize) -> Result<(), ApiError>,
) -> Result<BytesMut, ApiError> {
    let collected = collect_frames(&mut body, announced, limit, within, charge).await;
    let is_refused = collected.as_ref().is_err_and(|error| {
        matches!(error.status(), StatusCode::PAYLOAD_TOO_LARGE | StatusCode::SERVICE_UNAVAILABLE)
    });
    if is_refused {
        let rest = async { while let Some(Ok(_)) = body.frame().await {} };
        let _ = timeout(LINGER.min(within), rest).await;
    }
    collected
}

async fn collect_frames(
    body: &mut Body,
    announced: Option<u64>,
    limit: usize,
    within: Duration,
    mut charge: impl FnMut(usize) -> Result<(), ApiError>,
) -> Result<BytesMut, ApiError> {
    let too_large = || {
        let message = format!("the body is larger than {limit} bytes");
        ApiError::new(StatusCode::PAYLOAD_TOO_LARGE, message)
    };
    let announced = usize::try_from(announced.unwrap_or(0)).unwrap_or(usize::MAX);
    if announced > limit {
        return Err(too_large());
    }
    let deadline = Instant::now() + within;
    // Room for what was announced, so that a large body is held once; memory that a liar never fills is never taken from the system.
    let mut held = BytesMut::with_capacity(announced);
    loop {
        let frame = timeout_at(deadline, body.frame()).await.map_err(|_| {
            let message = format!("the body did not come within {} s", within.as_secs());
            ApiError::new(StatusCode::REQUEST_TIMEOUT, message)
        })?;
        let Some(frame) = frame else { return Ok(held) };
        let frame = frame.map_err(|_| ApiError::bad_request("the body ended early"))?;
        let Some(data) = frame.data_ref() else { continue };
        if held.len() + data.len() > limit {
            return Err(too_large());
        }
        charge(held.len() + data.len())?;
        held.extend_from_slice(data);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{StreamExt, stream};

    use super::*;

    const SOON: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn all_bodies_together_are_bounded_until_they_are_dropped() {
        let budget = ByteBudget::new(4 * UNIT);
        let read = async |bytes: usize| {
            budget.read_body(Body::from(vec![7; bytes]), Some(bytes as u64), 10 * UNIT, SOON).await
        };
        let first = read(3 * UNIT).await.unwrap();
        assert_eq!(first.len(), 3 * UNIT);
        assert_eq!(read(2 * UNIT).await.unwrap_err().status(), StatusCode::SERVICE_UNAVAILABLE);
        let second = read(UNIT).await.unwrap();
        // A part of a body holds all of it.
        let part = first.slice(1..2);
        drop(first);
        assert!(read(1).await.is_err());
        drop(part);
        assert!(read(3 * UNIT).await.is_ok());
        drop(second);
        assert!(read(4 * UNIT).await.is_ok());
        assert_eq!(read(0).await.unwrap().len(), 0);
    }

    /// All but the last byte, and then nothing: held until its time is over, and no longer.
    #[tokio::test(start_paused = true)]
    async fn a_body_that_does_not_come_gives_its_room_back() {
        let budget = ByteBudget::new(2 * UNIT);
        let part = Ok::<_, std::io::Error>(Bytes::from(vec![7; 2 * UNIT - 1]));
        let slow = Body::from_stream(stream::iter([part]).chain(stream::pending()));
        let reading = tokio::spawn({
            let budget = budget.clone();
            async move { budget.read_body(slow, Some(2 * UNIT as u64), 2 * UNIT, SOON).await }
        });
        tokio::time::sleep(SOON / 2).await;
        let other = async || budget.read_body(Body::from("x"), None, UNIT, SOON).await;
        assert_eq!(other().await.unwrap_err().status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(reading.await.unwrap().unwrap_err().status(), StatusCode::REQUEST_TIMEOUT);
        assert!(other().await.is_ok());
    }

    /// Else the connection would be closed with bytes unread, and our answer lost with it.
    #[tokio::test(start_paused = true)]
    async fn of_a_body_that_is_refused_the_rest_is_read() {
        let budget = ByteBudget::new(UNIT);
        let left = Arc::new(std::sync::atomic::AtomicUsize::new(10));
        let frames = stream::unfold(Arc::clone(&left), async |left| {
            let more = left.load(std::sync::atomic::Ordering::Relaxed).checked_sub(1)?;
            left.store(more, std::sync::atomic::Ordering::Relaxed);
            Some((Ok::<_, std::io::Error>(Bytes::from(vec![7; UNIT])), left))
        });
        let refused = budget.read_body(Body::from_stream(frames), None, 20 * UNIT, SOON).await.unwrap_err();
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(left.load(std::sync::atomic::Ordering::Relaxed), 0);
        // But not for ever.
        let begun = Instant::now();
        let part = stream::iter([Ok::<_, std::io::Error>(Bytes::from(vec![7; 2 * UNIT]))]);
        let endless = Body::from_stream(part.chain(stream::pending()));
        assert!(budget.read_body(endless, None, 20 * UNIT, SOON).await.is_err());
        assert!((LINGER..LINGER + Duration::from_millis(10)).contains(&begun.elapsed()));
    }

    #[tokio::test]
    async fn an_announcement_costs_nothing() {
        let budget = ByteBudget::new(UNIT);
        let body = || Body::from("short");
        for _ in 0..3 {
            assert!(budget.read_body(body(), Some(100 << 20), 200 << 20, SOON).await.is_ok());
        }
        let refused = budget.read_body(body(), Some(300 << 20), 200 << 20, SOON).await.unwrap_err();
        assert_eq!(refused.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
}
