//! Reads one parameter of a call and passes over the others, without holding any of them: a body of megabytes costs one pass and no memory.

use std::{fmt, marker::PhantomData};

use alloy_primitives::B256;
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};

/// How a call names a block.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Word {
    /// Not at all.
    #[default]
    Missing,
    /// `latest`
    Latest,
    /// `pending`
    Pending,
    /// `safe`
    Safe,
    /// `finalized`
    Finalized,
    /// `earliest`
    Earliest,
    /// By its height.
    Number(u64),
    /// By its hash.
    Hash(B256),
}

impl Word {
    /// As nodes read it: a tag, a quantity without leading zeros, or a hash.
    fn parse(text: &str) -> Option<Self> {
        Some(match text {
            "latest" => Self::Latest,
            "pending" => Self::Pending,
            "safe" => Self::Safe,
            "finalized" => Self::Finalized,
            "earliest" => Self::Earliest,
            _ if text.len() == 66 => Self::Hash(hash(text)?),
            _ => Self::Number(quantity(text)?),
        })
    }
}

/// A quantity of Ethereum's JSON: `0x`, then hexadecimal digits without a leading zero.
pub(in crate::gateway) fn quantity(text: &str) -> Option<u64> {
    let digits = text.strip_prefix("0x")?;
    let is_plain = digits == "0" || !digits.starts_with(['0', '+']);
    is_plain.then(|| u64::from_str_radix(digits, 16).ok())?
}

fn hash(text: &str) -> Option<B256> {
    text.starts_with("0x").then(|| text.parse().ok())?
}

impl<'de> Deserialize<'de> for Word {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(WordVisitor)
    }
}

struct WordVisitor;

impl<'de> Visitor<'de> for WordVisitor {
    type Value = Word;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a block's number, tag or hash")
    }

    fn visit_unit<E: Error>(self) -> Result<Word, E> {
        Ok(Word::Missing)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Word, E> {
        Word::parse(text).ok_or_else(|| E::custom("no block"))
    }

    /// EIP-1898.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Word, A::Error> {
        let mut found = Word::Missing;
        while let Some(name) = map.next_key::<Name>()? {
            let word = match name {
                Name::BlockHash => map.next_value::<Option<Text>>()?.map_or(Word::Missing, |text| text.0),
                Name::BlockNumber => map.next_value::<Option<Text>>()?.map_or(Word::Missing, |text| text.0),
                Name::Other => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            let is_of_its_kind = match word {
                Word::Missing => continue,
                Word::Hash(_) => matches!(name, Name::BlockHash),
                _ => matches!(name, Name::BlockNumber),
            };
            if !is_of_its_kind || found != Word::Missing {
                return Err(A::Error::custom("no block"));
            }
            found = word;
        }
        if found == Word::Missing { Err(A::Error::custom("no block")) } else { Ok(found) }
    }
}

/// A word that is a text, not an object again.
struct Text(Word);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_str(WordVisitor).map(Self)
    }
}

#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "camelCase")]
enum Name {
    BlockHash,
    BlockNumber,
    #[serde(other)]
    Other,
}

/// The part of a filter of logs that says which blocks are looked through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Filter {
    /// One block alone.
    pub block_hash: Option<B256>,
    /// The first block.
    #[serde(rename = "fromBlock")]
    pub from: Word,
    /// The last block.
    #[serde(rename = "toBlock")]
    pub to: Word,
}

/// The block that a parameter names, counted from 0; [`Word::Missing`] where there are fewer parameters, `None` where nodes would not read it.
pub fn nth_parameter(params: &[u8], place: usize) -> Option<Word> {
    nth::<Word>(params, place).map(Option::unwrap_or_default)
}

/// The parameter at a place; `Some(None)` where there are fewer, `None` where it is none of this kind, or the text is no list.
pub(in crate::gateway) fn nth<'a, T: Deserialize<'a>>(params: &'a [u8], place: usize) -> Option<Option<T>> {
    let mut deserializer = serde_json::Deserializer::from_slice(params);
    let found = deserializer.deserialize_seq(Nth { place, kind: PhantomData }).ok()?;
    deserializer.end().ok()?;
    Some(found)
}

struct Nth<T> {
    place: usize,
    kind: PhantomData<T>,
}

impl<'de, T: Deserialize<'de>> Visitor<'de> for Nth<T> {
    type Value = Option<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of parameters")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
        for _ in 0..self.place {
            if seq.next_element::<IgnoredAny>()?.is_none() {
                return Ok(None);
            }
        }
        let found = seq.next_element::<T>()?;
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(found)
    }
}
