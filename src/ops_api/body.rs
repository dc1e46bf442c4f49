//! Bodies of requests that change something: JSON, bounded in size and time.

use std::time::Duration;

use axum::{
    body::Body,
    http::{HeaderMap, header},
};
use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::serve::{ApiError, read_body};

/// How long a body may take to come.
const WITHIN: Duration = Duration::from_secs(10);
/// Largest body of what a person sends.
const MAX_JSON: usize = 64 << 10;

/// Reads a body of at most so many bytes.
///
/// # Errors
/// In words, with the status that says whether it was too large or too slow.
pub(super) async fn bytes(headers: &HeaderMap, body: Body, most: usize) -> Result<Bytes, ApiError> {
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse().ok());
    read_body(body, announced, most, WITHIN).await
}

/// Reads a body of JSON; one that is empty is as good as `{}`.
///
/// # Errors
/// As [`bytes`] does, and 400 for what is not understood.
pub(super) async fn json<T: DeserializeOwned>(headers: &HeaderMap, body: Body) -> Result<T, ApiError> {
    let bytes = bytes(headers, body, MAX_JSON).await?;
    parse(&bytes)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    let text = if bytes.iter().all(u8::is_ascii_whitespace) { b"{}" } else { bytes };
    serde_json::from_slice(text)
        .map_err(|error| ApiError::bad_request(format!("the body is not as expected: {error}")))
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    struct Asked {
        by: Option<String>,
    }

    #[test]
    fn nothing_is_an_empty_object() {
        assert_eq!(parse::<Asked>(b" \n").unwrap().by, None);
        assert_eq!(parse::<Asked>(br#"{"by": "anna"}"#).unwrap().by.as_deref(), Some("anna"));
        for bad in [&b"["[..], b"\"by\"", br#"{"by": 5}"#, b"\xff"] {
            assert_eq!(parse::<Asked>(bad).unwrap_err().status(), 400);
        }
    }
}
