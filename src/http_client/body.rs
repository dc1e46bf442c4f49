//! Reads a body, unpacked where it came packed, never more than it may be.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header::CONTENT_ENCODING};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};

use super::{Answered, HttpFailure, failure_of, gzip::Unpacking};

/// Reads a body of at most `limit` bytes, counted after decompression: a bomb is cut off while it unpacks.
///
/// # Errors
/// When it is larger, breaks off, or does not unpack.
pub async fn read_capped(answer: Answered, limit: usize) -> Result<Bytes, HttpFailure> {
    let is_packed = is_packed(answer.headers());
    let mut body = answer.into_body();
    let announced = body.size_hint().exact().unwrap_or(0);
    if announced > limit as u64 {
        return Err(HttpFailure::TooLarge { limit });
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
            return Err(HttpFailure::TooLarge { limit });
        }
        // Most answers arrive in one piece: hand that piece on without copying it.
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
async fn next(body: &mut Incoming) -> Result<Option<Bytes>, HttpFailure> {
    while let Some(frame) = body.frame().await {
        if let Ok(chunk) = frame.map_err(|error| failure_of(&error))?.into_data() {
            return Ok(Some(chunk));
        }
    }
    Ok(None)
}

/// The start of a body, unpacked: at most `limit` bytes of it, however much there is and however it ends. For what an error says.
pub async fn read_start(answer: Answered, limit: usize) -> Vec<u8> {
    let mut unpacking = is_packed(answer.headers()).then(|| Unpacking::new(limit));
    let mut body = answer.into_body();
    let mut held = Vec::new();
    while held.len() < limit
        && let Ok(Some(chunk)) = next(&mut body).await
    {
        match &mut unpacking {
            None => {
                let room = limit - held.len();
                held.extend_from_slice(chunk.get(..room.min(chunk.len())).unwrap_or_default());
            }
            Some(unpacking) => {
                if unpacking.push(&chunk).is_err() {
                    break;
                }
            }
        }
    }
    unpacking.map_or(held, Unpacking::so_far)
}
