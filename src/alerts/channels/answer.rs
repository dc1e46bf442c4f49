//! What a service said to a message, and what follows from it.

use std::time::Duration;

use serde_json::Value;

use super::clip::{clip, one_line};
use crate::types::{UnixMillis, labelled};

/// Longest time that a service can keep a channel waiting: beyond it we ask again.
const LONGEST_WAIT: Duration = Duration::from_secs(3600);
/// Most characters of a service's words that are kept.
const WORDS: usize = 200;

labelled! {
    /// Why a service never takes a message.
    pub enum Refusal {
        /// It is the channel: the address, key or chat is not valid any more. Others will fare no better.
        DeadChannel = "dead_channel",
        /// It is the message.
        BadMessage = "bad_message",
    }
}

/// What a service said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// It has the message.
    Taken,
    /// Not now.
    RetryLater {
        /// How long it wants to be left alone; none where it does not say.
        after: Option<Duration>,
        /// What happened, without address or key.
        message: String,
    },
    /// Not now and not later.
    Never {
        /// What is wrong.
        refusal: Refusal,
        /// What the service said, without address or key.
        message: String,
    },
}

/// An answer over HTTP, its body already cut to what is read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpAnswer {
    /// The status.
    pub status: u16,
    /// `Retry-After`, understood.
    pub retry_after: Option<Duration>,
    /// The start of its body.
    pub body: Vec<u8>,
}

impl HttpAnswer {
    /// The body, where it is JSON.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Status and what the service said, in one short line.
    pub(super) fn words(&self, said: Option<&str>) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let said = one_line(said.unwrap_or(&text));
        if said.is_empty() {
            return format!("HTTP {}", self.status);
        }
        format!("HTTP {}: {}", self.status, clip(&said, WORDS))
    }

    /// Not now; after `Retry-After` or `wait`.
    pub(super) fn later(&self, wait: Option<Duration>, said: Option<&str>) -> Answer {
        let after = wait.or(self.retry_after).map(|wait| wait.min(LONGEST_WAIT));
        Answer::RetryLater { after, message: self.words(said) }
    }

    /// Not now and not later.
    pub(super) fn never(&self, refusal: Refusal, said: Option<&str>) -> Answer {
        Answer::Never { refusal, message: self.words(said) }
    }

    /// Whether it is the service that is in trouble, or asks for patience: every service means the same by these.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self.status, 408 | 425 | 429 | 500..=599)
    }
}

/// `Retry-After`: seconds, also broken ones as some services send, or a date.
pub fn parse_retry_after(value: &str, now: UnixMillis) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse::<f64>() {
        return seconds_of(seconds);
    }
    let at = httpdate::parse_http_date(value).ok()?.duration_since(std::time::UNIX_EPOCH).ok()?;
    let now = Duration::from_millis(u64::try_from(now).ok()?);
    Some(at.saturating_sub(now).min(LONGEST_WAIT))
}

/// A wait that a service gives in seconds; none of what is no time.
pub(super) fn seconds_of(seconds: f64) -> Option<Duration> {
    (seconds >= 0.0).then(|| Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_understood_in_every_form() {
        let seconds = |s| Some(Duration::from_secs(s));
        let at = 1_445_412_480_000;
        let cases = [
            ("30", seconds(30)),
            (" 0 ", seconds(0)),
            ("1.5", Some(Duration::from_millis(1500))),
            ("Wed, 21 Oct 2015 07:28:30 GMT", seconds(30)),
            ("Wed, 21 Oct 2015 07:27:30 GMT", seconds(0)),
            ("99999999", Some(LONGEST_WAIT)),
            ("1e300", Some(LONGEST_WAIT)),
            ("-5", None),
            ("NaN", None),
            ("soon", None),
        ];
        for (value, want) in cases {
            assert_eq!(parse_retry_after(value, at), want, "{value}");
        }
    }

    #[test]
    fn a_services_words_are_short_and_in_one_line() {
        let answer = HttpAnswer {
            status: 400,
            body: format!("no\n{}", "x".repeat(9000)).into(),
            ..HttpAnswer::default()
        };
        let words = answer.words(None);
        assert!(words.starts_with("HTTP 400: no xxx") && words.chars().count() <= 10 + WORDS, "{words}");
        assert_eq!(HttpAnswer { status: 502, ..HttpAnswer::default() }.words(None), "HTTP 502");
    }
}
