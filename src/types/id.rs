//! Names that people give to things.

use std::{fmt, sync::Arc};

/// Longest name of a relay, in bytes. Arbitrary: long enough for a host name.
const MAX_ID_BYTES: usize = 64;

/// Name of a relay in logs, metrics and `relays.toml`: 1 to 64 of `a-z A-Z 0-9 . - _`, so it is safe as a metric label.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelayId(Arc<str>);

/// Why a text is not a name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a relay id: use 1 to 64 letters, digits, `.`, `-` or `_`")]
pub struct IdError(String);

impl RelayId {
    /// Parses a name.
    ///
    /// # Errors
    /// When it is empty, too long, or has another character.
    pub fn parse(text: &str) -> Result<Self, IdError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if text.is_empty() || text.len() > MAX_ID_BYTES || !text.bytes().all(allowed) {
            return Err(IdError(text.chars().take(MAX_ID_BYTES).collect()));
        }
        Ok(Self(text.into()))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RelayId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl serde::Serialize for RelayId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> serde::Deserialize<'de> for RelayId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_safe_as_labels() {
        assert!(RelayId::parse("ultra-sound_1.eu").is_ok());
        for text in ["", "a b", "a\"b", "ä", "a/b", &"x".repeat(65)] {
            assert!(RelayId::parse(text).is_err(), "{text}");
        }
    }
}
