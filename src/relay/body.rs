//! Reads a relay's body, never more than it may be.

use bytes::{Bytes, BytesMut};
use reqwest::Response;

use super::CallFailure;

/// Reads a body of at most `limit` bytes, counted after decompression: a bomb is cut off while it unpacks.
pub(super) async fn read_capped(mut response: Response, limit: usize) -> Result<Bytes, CallFailure> {
    let announced = response.content_length().unwrap_or(0);
    if announced > limit as u64 {
        return Err(CallFailure::TooLarge { limit });
    }
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| CallFailure::from_reqwest(&e))? {
        let held = first.as_ref().map_or(0, Bytes::len) + rest.len();
        if held + chunk.len() > limit {
            return Err(CallFailure::TooLarge { limit });
        }
        // Most bids arrive in one piece: hand that piece on without copying it.
        match first.take() {
            None if rest.is_empty() => first = Some(chunk),
            None => rest.extend_from_slice(&chunk),
            Some(head) => {
                rest.reserve(usize::try_from(announced).unwrap_or(0).max(head.len() + chunk.len()));
                rest.extend_from_slice(&head);
                rest.extend_from_slice(&chunk);
            }
        }
    }
    Ok(first.unwrap_or_else(|| rest.freeze()))
}

/// The start of an error body as one line of text: `message` of the API's error shape, or plain text as Helix sends it.
pub(super) async fn read_error_text(mut response: Response) -> String {
    const KEPT_BYTES: usize = 2048;
    const KEPT_CHARS: usize = 200;
    let mut held = BytesMut::new();
    while held.len() < KEPT_BYTES {
        match response.chunk().await {
            Ok(Some(chunk)) => {
                held.extend_from_slice(chunk.get(..KEPT_BYTES.min(chunk.len())).unwrap_or_default())
            }
            Ok(None) | Err(_) => break,
        }
    }
    #[derive(serde::Deserialize)]
    struct ApiError {
        message: String,
    }
    let text = serde_json::from_slice::<ApiError>(&held)
        .map_or_else(|_| String::from_utf8_lossy(&held).into_owned(), |error| error.message);
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(KEPT_CHARS)
        .collect::<String>()
        .trim()
        .to_owned()
}
