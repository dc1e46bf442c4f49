//! Questions to one node: each bounded in bytes, all of them within one deadline.

use std::{
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Uri,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, USER_AGENT},
};
use http_body_util::Full;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::failure::ProbeFailure;
use crate::{
    http_client::{HttpClient, HttpFailure, read_capped},
    jsonrpc::{Reply, ReplyError, call_body, read_reply},
};

/// Most bytes of an answer. A block with its transactions' hashes alone is some hundred KiB.
const MAX_BYTES: usize = 4 << 20;
/// Most characters of a version that are kept.
const VERSION_CHARS: usize = 120;

/// Why a probe has nothing to judge by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trouble {
    /// It does not answer, or not with sense.
    Failed(ProbeFailure),
    /// It answers, and what was asked is not for us, or it cannot: to start it again would change nothing. Sentences for people.
    Cannot(String),
}

impl From<ProbeFailure> for Trouble {
    fn from(failure: ProbeFailure) -> Self {
        Self::Failed(failure)
    }
}

/// What came.
#[derive(Clone, Debug)]
pub(super) struct Came {
    pub(super) status: u16,
    pub(super) body: Bytes,
}

impl Came {
    pub(super) const fn is_success(&self) -> bool {
        matches!(self.status, 200..=299)
    }
}

/// The way to one node, for one probe.
#[derive(Debug)]
pub(super) struct Line<'a> {
    http: &'a HttpClient,
    url: &'a Url,
    timeout: Duration,
    deadline: Instant,
    next_id: AtomicU64,
}

impl<'a> Line<'a> {
    /// A way that is open for so long.
    pub(super) fn new(http: &'a HttpClient, url: &'a Url, timeout: Duration) -> Self {
        Self { http, url, timeout, deadline: Instant::now() + timeout, next_id: AtomicU64::new(1) }
    }

    /// Where it leads.
    pub(super) const fn url(&self) -> &Url {
        self.url
    }

    /// Waits for something, until the time is over.
    pub(super) async fn within<T>(&self, what: impl Future<Output = T>) -> Result<T, ProbeFailure> {
        timeout_at(self.deadline, what).await.map_err(|_| ProbeFailure::TimedOut { after: self.timeout })
    }

    /// GET of a path below the node's address, whatever its status.
    pub(super) async fn get(&self, path: &str) -> Result<Came, ProbeFailure> {
        let mut url = self.url.clone();
        let (path, query) = path.split_once('?').map_or((path, None), |(path, query)| (path, Some(query)));
        url.set_path(&format!("{}{path}", self.url.path().trim_end_matches('/')));
        if query.is_some() {
            url.set_query(query);
        }
        self.send(Method::GET, &url, Bytes::new()).await
    }

    /// GET of a JSON document; none where the node does not serve it.
    pub(super) async fn document(&self, path: &str) -> Result<Option<Value>, Trouble> {
        let came = self.get(path).await?;
        match came.status {
            200..=299 => match serde_json::from_slice(&came.body) {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(ProbeFailure::Garbage(format!("what came for {path} is no JSON")).into()),
            },
            400 | 404 | 405 | 501 => Ok(None),
            status => Err(refused(status, path)),
        }
    }

    /// A call of JSON-RPC.
    pub(super) async fn call(&self, method: &str, params: Value) -> Result<Reply, Trouble> {
        let id = self.next_id.fetch_add(1, Relaxed);
        let body = Bytes::from(call_body(id, method, &params));
        let came = self.send(Method::POST, self.url, body).await?;
        match read_reply(&came.body, id) {
            Ok(reply) => Ok(reply),
            Err(bad) if came.is_success() => Err(ProbeFailure::Garbage(format!("{method}: {bad}")).into()),
            Err(_) => Err(refused(came.status, method)),
        }
    }

    /// The result of a call that is needed; none where there is no such method.
    pub(super) async fn needed<T: DeserializeOwned>(
        &self,
        method: &str,
        params: Value,
    ) -> Result<Option<T>, Trouble> {
        match self.call(method, params).await? {
            Reply::Result(result) => match serde_json::from_str(result.get()) {
                Ok(value) => Ok(Some(value)),
                Err(_) => Err(ProbeFailure::Garbage(format!("{method} answers what it should not")).into()),
            },
            Reply::Error(error) if error.is_no_method() => Ok(None),
            Reply::Error(ReplyError { code, message, .. }) => {
                Err(Trouble::Cannot(format!("It answers {method} with the error {code}, {message:?}.")))
            }
        }
    }

    /// The result of a call that is only nice to know: none where it does not come. Time that is over is over for all.
    pub(super) async fn nice<T: DeserializeOwned>(&self, method: &str, params: Value) -> Option<T> {
        self.needed(method, params).await.ok().flatten()
    }

    async fn send(&self, method: Method, url: &Url, body: Bytes) -> Result<Came, ProbeFailure> {
        let request = request(method, url, body)?;
        let whole = async {
            let answer = self.http.send(request).await?;
            let status = answer.status().as_u16();
            Ok(Came { status, body: read_capped(answer, MAX_BYTES).await? })
        };
        self.within(whole).await?.map_err(|failure| self.failed(failure))
    }

    fn failed(&self, failure: HttpFailure) -> ProbeFailure {
        match failure {
            HttpFailure::TimedOut => ProbeFailure::TimedOut { after: self.timeout },
            HttpFailure::Connect(words) => ProbeFailure::NoConnection(words),
            HttpFailure::Broken(words) => ProbeFailure::Broken(words),
            HttpFailure::TooLarge { limit } => {
                ProbeFailure::Garbage(format!("the answer is larger than {limit} bytes"))
            }
        }
    }
}

/// What a status means that is no success, when something was asked.
pub(super) fn refused(status: u16, what: &str) -> Trouble {
    match status {
        401 | 403 => Trouble::Cannot(format!(
            "It answers HTTP {status} to {what}: it wants credentials, or may not be called by this name. Is it the engine API's port, which is for \
             the consensus client alone (8551; JSON-RPC is 8545), or does --http.vhosts lack the name? Correct the url of its probe."
        )),
        300..=428 | 430..=499 => Trouble::Cannot(format!(
            "It answers HTTP {status} to {what}: correct the url or path of its probe."
        )),
        _ => Trouble::Failed(ProbeFailure::Status { status }),
    }
}

fn request(method: Method, url: &Url, body: Bytes) -> Result<Request<Full<Bytes>>, ProbeFailure> {
    let unusable = || ProbeFailure::Garbage("the url of its probe is none that HTTP can ask".to_owned());
    let mut bare = url.clone();
    bare.set_fragment(None);
    bare.set_username("").and_then(|()| bare.set_password(None)).map_err(|()| unusable())?;
    let uri = Uri::try_from(bare.as_str()).map_err(|_| unusable())?;
    let mut request = Request::new(Full::new(body));
    *request.method_mut() = method;
    *request.uri_mut() = uri;
    let headers = request.headers_mut();
    headers.insert(ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("relaymux/", env!("CARGO_PKG_VERSION"))));
    if let Some(authorization) = basic_auth(url) {
        headers.insert(AUTHORIZATION, authorization);
    }
    Ok(request)
}

/// User name and password of a URL, as a header. A `%` in them is not decoded: write such words into no URL.
fn basic_auth(url: &Url) -> Option<HeaderValue> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let both = format!("{}:{}", url.username(), url.password().unwrap_or_default());
    let mut value = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(both))).ok()?;
    value.set_sensitive(true);
    Some(value)
}

/// `0x…` as a number; none for what is none, or above 64 bits.
pub(super) fn quantity(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// A number as nodes write it: a number, its digits in a text, or hex.
pub(super) fn number(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| {
        let text = value.as_str()?;
        quantity(text).or_else(|| text.parse().ok())
    })
}

/// What a node calls itself, in bounds.
pub(super) fn version(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(VERSION_CHARS).collect()
}
