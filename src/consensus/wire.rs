//! How an object travels: JSON or SSZ, and why bytes are not an object.

use std::fmt;

use crate::types::Fork;

/// The two encodings of the Builder API.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// `application/json`
    Json,
    /// `application/octet-stream`
    Ssz,
}

/// Why bytes are not the object they should be. The message never contains the bytes themselves.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Not JSON of that shape.
    #[error("not valid JSON of a {fork} {object}: {reason}")]
    Json {
        /// What was expected.
        object: &'static str,
        /// Under which fork.
        fork: Fork,
        /// The parser's words, shortened.
        reason: String,
    },
    /// Not SSZ of that shape.
    #[error("not valid SSZ of a {fork} {object}: {reason}")]
    Ssz {
        /// What was expected.
        object: &'static str,
        /// Under which fork.
        fork: Fork,
        /// The decoder's words, shortened.
        reason: String,
    },
    /// The JSON envelope names another fork than the slot's.
    #[error("labelled {got}, but the slot's fork is {expected}")]
    WrongFork {
        /// The fork that the slot has by the chain's schedule.
        expected: Fork,
        /// The text of `Eth-Consensus-Version`.
        got: String,
    },
    /// The thread that decoded it ended.
    #[error("decoding a {fork} object ended early: {reason}")]
    Ended {
        /// Under which fork.
        fork: Fork,
        /// How the thread ended, in the runtime's words.
        reason: String,
    },
    /// No such object in that fork.
    #[error("there is no {object} in {fork}")]
    NotInFork {
        /// The kind of object that was to be decoded.
        object: &'static str,
        /// Under which fork.
        fork: Fork,
    },
}

/// Longest reason kept from a parser, in characters: enough to say where, too short to smuggle a body into a log.
const MAX_REASON_CHARS: usize = 160;

impl DecodeError {
    pub(crate) fn json(object: &'static str, fork: Fork, error: &serde_json::Error) -> Self {
        Self::Json { object, fork, reason: shorten(error) }
    }

    pub(crate) fn ssz(object: &'static str, fork: Fork, error: &ssz::DecodeError) -> Self {
        Self::Ssz { object, fork, reason: shorten(&format_args!("{error:?}")) }
    }
}

fn shorten(reason: &dyn fmt::Display) -> String {
    reason.to_string().chars().take(MAX_REASON_CHARS).collect()
}

impl Encoding {
    /// The MIME type.
    pub const fn mime(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ssz => "application/octet-stream",
        }
    }

    /// The encoding that a `Content-Type` names, MIME parameters ignored; `None` for another type. An empty text is JSON, the
    /// API's default.
    pub fn from_mime(text: &str) -> Option<Self> {
        let essence = text.split(';').next().unwrap_or_default().trim();
        if essence.is_empty() || essence.eq_ignore_ascii_case(Self::Json.mime()) {
            Some(Self::Json)
        } else if essence.eq_ignore_ascii_case(Self::Ssz.mime()) {
            Some(Self::Ssz)
        } else {
            None
        }
    }
}

/// The JSON envelope of versioned answers.
#[derive(serde::Deserialize)]
pub(crate) struct Versioned<T> {
    pub(crate) version: Option<String>,
    pub(crate) data: T,
}

/// Writes `{"version":…,"data":…}`.
pub(crate) fn versioned_json(fork: Fork, data: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(data.len() + 40);
    out.extend_from_slice(b"{\"version\":\"");
    out.extend_from_slice(fork.name().as_bytes());
    out.extend_from_slice(b"\",\"data\":");
    out.extend_from_slice(data);
    out.push(b'}');
    out
}

/// Checks an envelope's label against the fork by slot. A missing label is taken on trust: the fork by slot decided the decoding.
pub(crate) fn check_label(version: Option<&str>, expected: Fork) -> Result<(), DecodeError> {
    match version {
        Some(label) if label.parse::<Fork>().ok() != Some(expected) => {
            Err(DecodeError::WrongFork { expected, got: label.chars().take(32).collect() })
        }
        Some(_) | None => Ok(()),
    }
}
