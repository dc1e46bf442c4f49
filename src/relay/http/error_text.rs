//! What a relay says of an error.

use crate::http_client::{Answered, read_start};

/// The start of an error body as one line of text: `message` of the API's error shape, or plain text as Helix sends it.
pub(in crate::relay) async fn read_error_text(answer: Answered) -> String {
    const KEPT_BYTES: usize = 2048;
    shown(&read_start(answer, KEPT_BYTES).await)
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
