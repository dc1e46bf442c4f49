//! Reads a relay's body, unpacked where it came packed, never more than it may be.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header::CONTENT_ENCODING};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::{Answered, failure_of, gzip::Unpacking};
use crate::relay::CallFailure;

/// Reads a body of at most `limit` bytes, counted after decompression: a bomb is cut off while it unpacks.
///
/// # Errors
/// When it is larger, breaks off, or does not unpack.
pub(in crate::relay) async fn read_capped(answer: Answered, limit: usize) -> Result<Bytes, CallFailure> {
    let is_packed = is_packed(answer.headers());
    let mut body = answer.into_body();
    let announced = body.size_hint().exact().unwrap_or(0);
    if announced > limit as u64 {
        return Err(CallFailure::TooLarge { limit });
    }
    if is_packed {
        let mut unpacking = Unpacking::new(limit);
        while let Some(chunk) = next(&mut body).await? {
            unpacking.push(&chunk)?;
        }
        return unpacking.finish().map(Bytes::from);
    }
    let mut first: Option<Bytes> = None;
    let mut rest = BytesMut::new();
    while let Some(chunk) = next(&mut body).await? {
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

fn is_packed(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_ENCODING).is_some_and(|coding| coding.as_bytes().eq_ignore_ascii_case(b"gzip"))
}

/// The next bytes of a body; trailers are passed over.
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, CallFailure> {
    while let Some(frame) = body.frame().await {
        if let Ok(chunk) = frame.map_err(|error| failure_of(&error))?.into_data() {
            return Ok(Some(chunk));
        }
    }
    Ok(None)
}

/// The start of an error body as one line of text: `message` of the API's error shape, or plain text as Helix sends it.
pub(in crate::relay) async fn read_error_text(answer: Answered) -> String {
    const KEPT_BYTES: usize = 2048;
    let mut unpacking = is_packed(answer.headers()).then(|| Unpacking::new(KEPT_BYTES));
    let mut body = answer.into_body();
    let mut held = Vec::new();
    while held.len() < KEPT_BYTES
        && let Ok(Some(chunk)) = next(&mut body).await
    {
        match &mut unpacking {
            None => held.extend_from_slice(chunk.get(..KEPT_BYTES.min(chunk.len())).unwrap_or_default()),
            Some(unpacking) => {
                if unpacking.push(&chunk).is_err() {
                    break;
                }
            }
        }
    }
    shown(&unpacking.map_or(held, Unpacking::so_far))
}

/// What of an error body is shown.
fn shown(body: &[u8]) -> String {
    const KEPT_CHARS: usize = 200;
    #[derive(serde::Deserialize)]
    struct ApiError {
        message: String,
    }
    let text = serde_json::from_slice::<ApiError>(body)
        .map_or_else(|_| String::from_utf8_lossy(body).into_owned(), |error| error.message);
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .take(KEPT_CHARS)
        .collect::<String>()
        .trim()
        .to_owned()
}
