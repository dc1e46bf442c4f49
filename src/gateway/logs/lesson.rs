//! What an upstream's refusal of a query for logs teaches. There is no code for it: each provider has words of its own, and they change. So what is
//! looked for are the few forms that they have in common, and a number counts only if it is one that explains the refusal.

use super::part::Part;
use crate::gateway::NodeError;

/// What to do about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lesson {
    /// It never takes more blocks than so many.
    Limit(u64),
    /// This query has too many logs, or blocks: try so many blocks.
    Narrower(u64),
}

/// Longest error that is read, in bytes.
const READ_BYTES: usize = 2048;

/// Words that stand before the most blocks that there may be. The more exact ones first. Each is followed by a number, with little between.
const BEFORE_A_LIMIT: &[&str] = &[
    "limited to",
    "range limit",
    "limit of",
    "limit is",
    "limit:",
    "maximum is set to",
    "requested blocks is",
    "max block range",
    "maximum block range",
    "maximum range",
    "max range",
    "maximum allowed",
    "(maximum",
    "(max",
    "maximum of",
    "up to a",
    "up to",
    "ranges over",
    "range over",
    "more than",
    "less than",
    "greater than",
    "larger than",
    "range exceeds",
    "exceeds",
    "maximum",
    "max",
];

/// Words of a refusal for too many blocks.
const TOO_MANY_BLOCKS: &[&str] = &[
    "limited to",
    "limit",
    "exceed",
    "too wide",
    "too large",
    "too big",
    "too many blocks",
    "too long",
    "maximum",
    "max ",
    "not supported",
    "greater than",
    "larger than",
    "bigger than",
    "up to",
];

/// Words of a refusal for too many logs, whatever the blocks.
const TOO_MANY_LOGS: &[&str] = &[
    "returned more than",
    "response size",
    "response is too big",
    "result set too large",
    "too many results",
    "too many logs",
    "max results",
    "results exceed",
    "logs matched by query exceeds",
    "logs over more",
];

impl Lesson {
    /// What an error teaches that answered a query of these blocks; `None` where it is about something else, or the query cannot be smaller.
    pub fn of(error: &NodeError, asked: Part) -> Option<Self> {
        if asked.blocks() <= 1 {
            return None;
        }
        // Not the shortened message: what helps stands at the end of the longest ones, or in `data`.
        let raw = error.raw.as_bytes();
        let text = String::from_utf8_lossy(raw.get(..READ_BYTES).unwrap_or(raw)).to_ascii_lowercase();
        let half = Self::Narrower(asked.blocks().div_ceil(2));
        if let Some(blocks) = suggested(&text, asked) {
            return Some(Self::Narrower(blocks));
        }
        let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
        // One provider says that there are too many logs when it means blocks.
        if says(TOO_MANY_LOGS) && !text.contains("requested blocks") {
            return Some(half);
        }
        let is_of_blocks = text.contains("range") || text.contains("blocks");
        if !is_of_blocks || !says(TOO_MANY_BLOCKS) || is_of_the_chain(&text) {
            return None;
        }
        Some(limit(&text, asked).map_or(half, Self::Limit))
    }

    /// How many blocks to ask for at once.
    pub const fn blocks(self) -> u64 {
        match self {
            Self::Limit(blocks) | Self::Narrower(blocks) => blocks,
        }
    }
}

/// A range that the node does not have, which has nothing to do with its size.
fn is_of_the_chain(text: &str) -> bool {
    ["beyond", "future", "pruned", "not available", "rate limit", "invalid block range", "per second"]
        .iter()
        .any(|word| text.contains(word))
}

/// The width of a range that the node proposes: `[0xa, 0xb]`, or `retry with the range 10-20`.
fn suggested(text: &str, asked: Part) -> Option<u64> {
    let in_brackets = text.match_indices("[0x").find_map(|(at, _)| {
        let (inside, _) = text.get(at + 1..)?.split_once(']')?;
        let (from, to) = inside.split_once(',')?;
        Some((hex(from)?, hex(to)?))
    });
    let in_words = || {
        let (_, behind) = text.split_once("with the range ")?;
        let (from, behind) = number(behind)?;
        let (to, _) = number(behind.strip_prefix('-')?)?;
        Some((from, to))
    };
    let (from, to) = in_brackets.or_else(in_words)?;
    let blocks = to.checked_sub(from)?.saturating_add(1);
    // Some propose what they have just refused.
    (blocks < asked.blocks()).then_some(blocks)
}

/// The most blocks that the node names, if that explains why it refused these.
fn limit(text: &str, asked: Part) -> Option<u64> {
    BEFORE_A_LIMIT.iter().find_map(|words| {
        text.match_indices(words).find_map(|(at, _)| {
            /// Letters between the words and the number: `maximum block range: 5000`, `maximum is set to 2048`.
            const MOST_BETWEEN: usize = 24;
            let behind = text.get(at + words.len()..)?;
            let digit = behind.find(|c: char| c.is_ascii_digit()).filter(|&digit| digit <= MOST_BETWEEN)?;
            // Not out of the text into an error's code.
            if behind.get(..digit)?.contains('"') {
                return None;
            }
            let (first, rest) = number(behind.get(digit..)?)?;
            // `limited to 0 - 50 blocks range`
            let last = rest.trim_start().strip_prefix('-').and_then(|rest| number(rest.trim_start()));
            let blocks = last.map_or(first, |(last, _)| last.saturating_sub(first));
            (1..asked.blocks()).contains(&blocks).then_some(blocks)
        })
    })
}

fn hex(text: &str) -> Option<u64> {
    u64::from_str_radix(text.trim().strip_prefix("0x")?, 16).ok()
}

/// A number as people write it, `10,000` or `10k`, and what stands behind it.
fn number(text: &str) -> Option<(u64, &str)> {
    let mut value: Option<u64> = None;
    let mut rest = text;
    loop {
        let mut chars = rest.chars();
        match chars.next() {
            Some(c) if c.is_ascii_digit() => {
                value = Some(value.unwrap_or(0).checked_mul(10)?.checked_add(u64::from(c.to_digit(10)?))?);
                rest = chars.as_str();
            }
            // Only between digits.
            Some(',' | '_')
                if value.is_some() && chars.as_str().starts_with(|c: char| c.is_ascii_digit()) =>
            {
                rest = chars.as_str();
            }
            Some('k') if value.is_some() => return Some((value?.checked_mul(1000)?, chars.as_str())),
            _ => return Some((value?, rest)),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::gateway::RawJson;

    fn error(message: &str) -> NodeError {
        let raw = serde_json::json!({ "code": -32000, "message": message });
        NodeError {
            code: -32000,
            message: message.into(),
            raw: RawJson::parse(Bytes::from(raw.to_string())).unwrap(),
        }
    }

    const ASKED: Part = Part { from: 0x10, to: 0x10 + 999_999 };
    const HALF: Option<Lesson> = Some(Lesson::Narrower(500_000));

    #[test]
    fn words_of_providers() {
        use Lesson::{Limit, Narrower};
        for (message, want) in [
            // A range that should work.
            (
                "query returned more than 10000 results. Try with this block range [0x10, 0x73].",
                Some(Narrower(100)),
            ),
            (
                "Log response size exceeded. You can make eth_getLogs requests with up to a 2K block range and no limit on the \
              response size, or you can request any block range with a cap of 10K logs in the response. Based on your \
              parameters and the response size limit, this block range should work: [0x10, 0x133]",
                Some(Narrower(292)),
            ),
            ("query exceeds max results 20000, retry with the range 16-115", Some(Narrower(100))),
            // As reth 1.11 did: the very range that it refused.
            ("query exceeds max results 20000, retry with the range 16-1000015", HALF),
            // Too many logs.
            ("query returned more than 10000 results", HALF),
            ("logs matched by query exceeds limit of 10000", HALF),
            ("Log response size exceeded. Please reduce query block range.", HALF),
            // Too many blocks, and how many may be.
            ("eth_getLogs is limited to a 10,000 range", Some(Limit(10_000))),
            ("eth_getLogs is limited to a 5 block range", Some(Limit(5))),
            ("eth_getLogs is limited to 0 - 50 blocks range", Some(Limit(50))),
            ("range 1000000 exceeds limit of 10000", Some(Limit(10_000))),
            ("range 9009594 is bigger than range limit 2000", Some(Limit(2000))),
            ("exceed maximum block range: 50000", Some(Limit(50_000))),
            ("query exceeds max block range 100000", Some(Limit(100_000))),
            ("block range is too wide (maximum 1024)", Some(Limit(1024))),
            ("too wide blocks range, the limit is 100", Some(Limit(100))),
            ("requested too many blocks from 0 to 16777216, maximum is set to 2048", Some(Limit(2048))),
            ("ranges over 10000 blocks are not supported on freetier", Some(Limit(10_000))),
            (
                "You can make eth_getLogs requests with up to a 10 block range. Upgrade to PAYG",
                Some(Limit(10)),
            ),
            ("In eth_getLogs and eth_newFilter, the block range is limited to 2000.", Some(Limit(2000))),
            (
                "Log response size exceeded. Maximum allowed number of requested blocks is 1000",
                Some(Limit(1000)),
            ),
            ("Maximum allowed number of requested blocks is 1000", Some(Limit(1000))),
            ("block range exceeds 10000", Some(Limit(10_000))),
            // Too many blocks, and no more than that.
            ("block range is too wide", HALF),
            ("block range too large", HALF),
            ("requested range too large", HALF),
            ("block range is bigger than maxBlockRange", HALF),
            ("query exceeds max block range", HALF),
            // Something else.
            ("block range extends beyond current head block", None),
            ("invalid block range params", None),
            ("pruned history unavailable", None),
            ("execution reverted", None),
            ("header not found", None),
            ("exceeded the limit of 25 requests per second", None),
            ("rate limit exceeded", None),
            ("", None),
        ] {
            assert_eq!(Lesson::of(&error(message), ASKED), want, "{message}");
        }
    }

    #[test]
    fn one_block_cannot_be_cut() {
        let one = Part { from: 7, to: 7 };
        assert_eq!(Lesson::of(&error("query returned more than 10000 results"), one), None);
        let two = Part { from: 7, to: 8 };
        assert_eq!(
            Lesson::of(&error("query returned more than 10000 results"), two),
            Some(Lesson::Narrower(1))
        );
    }

    #[test]
    fn the_range_may_stand_in_the_data() {
        let raw = r#"{"code":-32602,"message":"invalid params","data":{"payload":"range 9009594 is bigger than range limit 2000"}}"#;
        let error = NodeError {
            code: -32602,
            message: "invalid params".into(),
            raw: RawJson::parse(Bytes::from_static(raw.as_bytes())).unwrap(),
        };
        assert_eq!(Lesson::of(&error, ASKED), Some(Lesson::Limit(2000)));
    }

    #[test]
    fn an_errors_code_is_no_limit() {
        let raw = r#"{"message":"block range exceeds the limit","code":-32000}"#;
        let raw = RawJson::parse(Bytes::from_static(raw.as_bytes())).unwrap();
        assert_eq!(Lesson::of(&NodeError { code: -32000, message: "".into(), raw }, ASKED), HALF);
    }

    #[test]
    fn whatever_it_says_the_next_query_is_smaller() {
        for message in [
            "block range is too wide (maximum 99999999999999999999)",
            "block range limit 0",
            "range limit of 1000000 exceeded",
        ] {
            let lesson = Lesson::of(&error(message), ASKED).unwrap();
            assert!((1..ASKED.blocks()).contains(&lesson.blocks()), "{message}: {lesson:?}");
        }
    }
}
