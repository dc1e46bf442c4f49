//! Bodies that no honest relay sends.

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use crate::types::Fork;

pub(super) fn other_fork(fork: Fork) -> Fork {
    if fork == Fork::Electra { Fork::Fulu } else { Fork::Electra }
}

pub(super) fn relabel(body: &[u8], fork: Fork) -> Vec<u8> {
    let label = format!("{{\"version\":\"{fork}\"");
    match body.strip_prefix(label.as_bytes()) {
        Some(rest) => [format!("{{\"version\":\"{}\"", other_fork(fork)).as_bytes(), rest].concat(),
        None => body.to_vec(),
    }
}

pub(super) fn gzip(body: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    // Writing to memory cannot fail.
    let _ = encoder.write_all(body);
    encoder.finish().unwrap_or_default()
}

/// Ends with an error: hyper closes the connection.
pub(super) fn broken_body(start: Bytes) -> Body {
    let broken = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
    Body::from_stream(stream::iter([Ok(start), Err(broken)]))
}

pub(super) fn half_body(body: &Bytes) -> Body {
    let half = body.slice(..body.len() / 2);
    Body::from_stream(stream::unfold(Some(half), |half| async move {
        match half {
            Some(half) => Some((Ok::<_, std::io::Error>(half), None)),
            None => std::future::pending().await,
        }
    }))
}

pub(super) fn endless_body() -> Body {
    let chunk = Bytes::from(vec![b' '; 64 << 10]);
    // An end after all, at 1 GiB: nothing here runs for ever.
    let chunks = (0..16_384).map(move |_| Ok::<_, std::io::Error>(chunk.clone()));
    Body::from_stream(stream::iter(chunks))
}

/// Sixteen bytes every 50 ms: a whole bid takes seconds.
pub(super) fn drip(body: Bytes) -> Body {
    Body::from_stream(stream::unfold(body, |mut rest| async move {
        if rest.is_empty() {
            return None;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        let piece = rest.split_to(16.min(rest.len()));
        Some((Ok::<_, std::io::Error>(piece), rest))
    }))
}

/// `{"version":…,"data":…,"data":…}`
pub(super) fn duplicate_keys(json: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(json);
    let data = text.split_once("\"data\":").map_or("{}}", |(_, data)| data);
    let data = data.strip_suffix('}').unwrap_or(data);
    format!("{},\"data\":{data}}}", text.strip_suffix('}').unwrap_or(&text)).into_bytes()
}

/// Moves everything behind the first offset four bytes on, and says so.
pub(super) fn loose_offsets(ssz: &[u8]) -> Vec<u8> {
    let Some((offset, rest)) = ssz.split_first_chunk::<4>() else { return ssz.to_vec() };
    let at = u32::from_le_bytes(*offset);
    let (fixed, variable) =
        rest.split_at_checked(usize::try_from(at).unwrap_or(0).saturating_sub(4)).unwrap_or((rest, &[]));
    [&(at + 4).to_le_bytes()[..], fixed, &[0; 4], variable].concat()
}
