//! Bodies that no honest relay sends.

use axum::body::Body;
use bytes::Bytes;
use futures_util::stream;

use crate::consensus::Fork;

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
