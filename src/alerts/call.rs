//! Calls a service over HTTP: bounded in time and size, and with words that show neither address nor key.

use std::{error::Error, time::Duration};

use reqwest::{Client, Response};
use tokio::time::timeout;

use super::channels::{HttpAnswer, Method, Request, parse_retry_after};
use crate::types::UnixMillis;

/// Most of an answer that is read.
const MAX_BODY: usize = 16 << 10;
/// Most characters of a cause that are kept.
const MAX_CAUSE: usize = 120;

/// How a call went.
#[derive(Debug)]
pub(super) enum Call {
    /// The service answered.
    Answered(HttpAnswer),
    /// No connection: nothing left this machine.
    NotSent(String),
    /// It may have arrived, and no answer is known.
    Unanswered(String),
}

/// Makes a call.
pub(super) async fn call(http: &Client, request: Request, now: UnixMillis, limit: Duration) -> Call {
    let url = request.url.expose().clone();
    let mut builder = match request.method {
        Method::Get => http.get(url),
        Method::Post => http.post(url).body(request.body),
    };
    builder = builder.header("user-agent", concat!("relaymux/", env!("CARGO_PKG_VERSION")));
    for (name, value) in request.headers {
        builder = builder.header(name, value.0);
    }
    let whole = async {
        match builder.send().await {
            Ok(response) => Call::Answered(read(response, now).await),
            Err(error) if error.is_connect() || error.is_builder() => {
                Call::NotSent(format!("no connection: {}", cause(&error)))
            }
            Err(error) => Call::Unanswered(format!("no answer: {}", cause(&error))),
        }
    };
    let silent = || Call::Unanswered(format!("no answer within {} s", limit.as_secs_f64()));
    timeout(limit, whole).await.unwrap_or_else(|_| silent())
}

/// Status and the start of the body. One that breaks off has still said its status.
async fn read(mut response: Response, now: UnixMillis) -> HttpAnswer {
    let status = response.status().as_u16();
    let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
    let retry_after = retry_after.and_then(|value| parse_retry_after(value, now));
    let mut body = Vec::new();
    while body.len() < MAX_BODY {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend(chunk.iter().take(MAX_BODY - body.len())),
            Ok(None) | Err(_) => break,
        }
    }
    HttpAnswer { status, retry_after, body }
}

/// The innermost cause: those around it repeat the address.
fn cause(error: &reqwest::Error) -> String {
    let mut inner: &dyn Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    if inner.is::<reqwest::Error>() {
        return "the connection broke".to_owned();
    }
    inner.to_string().chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_CAUSE).collect()
}
