//! What a renderer is told beside the message, and what it makes of it.

use std::fmt;

use bytes::Bytes;

use crate::types::{Secret, SecretUrl, UnixMillis, labelled};

labelled! {
    /// Why a service may have the message already.
    pub enum Repetition {
        /// The process ended between sending and the answer.
        Restarted = "restarted",
        /// An earlier attempt left, and no answer came.
        Unanswered = "unanswered",
    }
}

labelled! {
    /// How a request is made.
    pub enum Method {
        /// Without a body.
        Get = "GET",
        /// With one.
        Post = "POST",
    }
}

/// What a renderer is told beside the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelContext {
    /// Now, in Unix milliseconds: for signatures, and to say that a message is late.
    pub now: UnixMillis,
    /// Why the service may have it already. Shown by services that would show it twice.
    pub repetition: Option<Repetition>,
    /// The channel that did not take it, where this is another's fallback.
    pub fallback_of: Option<String>,
}

/// A request to a service. Its `Debug` shows neither address, headers nor body: each may hold a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Request {
    /// How it is made.
    pub method: Method,
    /// Where it goes.
    pub url: SecretUrl,
    /// Its headers, names in lower case.
    pub headers: Vec<(&'static str, Secret)>,
    /// Its body.
    pub body: Bytes,
}

impl Request {
    /// A request with a body of JSON.
    pub(super) fn json(url: SecretUrl, body: &impl serde::Serialize) -> Self {
        // Cannot fail: what is rendered has text keys and no floats.
        let body = serde_json::to_vec(body).unwrap_or_default();
        let headers = vec![("content-type", Secret("application/json".to_owned()))];
        Self { method: Method::Post, url, headers, body: body.into() }
    }

    /// The same with one more header.
    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, Secret(value.into())));
        self
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.headers.iter().map(|(name, _)| name).collect();
        write!(f, "Request({} …, headers {names:?}, {} bytes)", self.method, self.body.len())
    }
}
