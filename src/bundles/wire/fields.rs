//! What parameters are made of, read as leniently as clients differ and within bounds.

use std::{collections::BTreeSet, fmt};

use alloy_primitives::{Address, B256};
use serde::Deserialize;

use super::super::bundle::{BundleTx, MAX_TRANSACTIONS, read_transaction};
use crate::jsonrpc::{BoundedList, RpcError};

/// Most names in a list of builders.
const MAX_BUILDERS: usize = 64;

/// Longest `replacementUuid`; a UUID has 36 characters.
const MAX_NAME: usize = 128;

/// Longest message to a searcher about parameters: a parser repeats what it did not expect.
const MAX_MESSAGE: usize = 300;

pub(super) type Hashes = BoundedList<B256, MAX_TRANSACTIONS>;

pub(super) type Names = BoundedList<String, MAX_BUILDERS>;

/// Whom refunds go to.
#[derive(Debug, Deserialize)]
pub(super) struct RefundConfig {
    #[serde(rename = "address")]
    _address: Address,
    pub(super) percent: u8,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct Privacy {
    pub(super) builders: Names,
}

/// A searcher's name for a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Name(pub(super) String);

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let name = String::deserialize(deserializer)?;
        if name.len() > MAX_NAME {
            let message = format!("a name of {} bytes, at most {MAX_NAME} are taken", name.len());
            return Err(serde::de::Error::custom(message));
        }
        Ok(Self(name))
    }
}

/// A number: `0x` text, decimal text or a JSON number. An empty text and `0x` are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Number(Option<u64>);

struct NumberVisitor;

impl serde::de::Visitor<'_> for NumberVisitor {
    type Value = Number;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number: 0x text, decimal text or a JSON number")
    }

    fn visit_u64<E: serde::de::Error>(self, number: u64) -> Result<Number, E> {
        Ok(Number(Some(number)))
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Number, E> {
        Ok(Number(None))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Number, E> {
        if text.is_empty() || text == "0x" {
            return Ok(Number(None));
        }
        let parsed = match text.strip_prefix("0x") {
            Some(digits) => u64::from_str_radix(digits, 16),
            None => text.parse(),
        };
        let shown = || text.chars().take(32).collect::<String>();
        parsed.map(|n| Number(Some(n))).map_err(|_| E::custom(format!("`{}` is no number", shown())))
    }
}

impl<'de> Deserialize<'de> for Number {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NumberVisitor)
    }
}

pub(super) fn number(number: Option<Number>) -> Option<u64> {
    number.and_then(|Number(number)| number)
}

pub(super) fn parse<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, RpcError> {
    serde_json::from_str(text)
        .map_err(|error| RpcError::params(error.to_string().chars().take(MAX_MESSAGE).collect::<String>()))
}

pub(super) fn transaction(index: usize, raw: &[u8]) -> Result<BundleTx, RpcError> {
    read_transaction(raw).map_err(|error| RpcError::params(format!("transaction {index}: {error}")))
}

pub(super) fn names(builders: &Names) -> BTreeSet<String> {
    builders.iter().map(|name| name.to_lowercase()).collect()
}
