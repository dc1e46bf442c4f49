//! What is asked of an upstream, when, and what its answers mean. Pure.

use std::time::Duration;

use alloy_primitives::B256;
use bytes::Bytes;
use serde::Deserialize;

use crate::{
    ethereum::{Syncing, read_syncing},
    gateway::{
        Head, NodeError, RawJson, RpcAnswer, RpcCall, Tier,
        health::{Finalized, Probe},
    },
};

/// The code of an error that says that there is no such method.
const NO_METHOD: i64 = -32601;
/// Rounds after which all is asked again of a paid upstream: every five minutes at one each 15 s.
const BACKUP_ROUNDS: u64 = 20;
/// Rounds after which one whose finalized block was lower than another's is asked for it again: each minute.
const TRAILING_ROUNDS: u64 = 4;
/// Rounds after which an own node is asked again what it calls itself, and its chain: every five minutes at one each 3 s.
const OWN_ROUNDS: u64 = 100;
/// Most bytes of what `eth_syncing` says: reth names some dozen stages.
const SYNCING_BYTES: usize = 64 << 10;
/// Most characters of a version that are kept.
const VERSION_CHARS: usize = 120;

/// One question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Question {
    ChainId,
    Head,
    Finalized,
    Syncing,
    Peers,
    Version,
}

impl Question {
    pub(super) fn call(self) -> RpcCall {
        let block =
            |tag: &str| RpcCall::new("eth_getBlockByNumber", Bytes::from(format!("[\"{tag}\",false]")));
        match self {
            Self::ChainId => RpcCall::bare("eth_chainId"),
            Self::Head => block("latest"),
            Self::Finalized => block("finalized"),
            Self::Syncing => RpcCall::bare("eth_syncing"),
            Self::Peers => RpcCall::bare("net_peerCount"),
            Self::Version => RpcCall::bare("web3_clientVersion"),
        }
    }
}

/// What is asked in a round. Rounds count from 0; `wants_all` is after trouble, `trails` while another has a higher finalized block. An own node is asked much and often; of a paid one the head alone,
/// but for the first round and one in twenty.
pub(super) fn questions(tier: Tier, round: u64, wants_all: bool, trails: bool) -> Vec<Question> {
    use Question::{ChainId, Finalized, Head, Peers, Syncing, Version};
    match tier {
        // Peers of a provider are nobody's business, and many have no such method.
        Tier::Backup if round.is_multiple_of(BACKUP_ROUNDS) => {
            vec![ChainId, Head, Syncing, Finalized, Version]
        }
        Tier::Backup if wants_all => vec![ChainId, Head, Syncing],
        // Of two, both must have a block final: the other one's is not held up for five minutes.
        Tier::Backup if trails && round.is_multiple_of(TRAILING_ROUNDS) => vec![Head, Finalized],
        Tier::Backup => vec![Head],
        Tier::Primary | Tier::Replica if wants_all || round.is_multiple_of(OWN_ROUNDS) => {
            vec![ChainId, Head, Syncing, Finalized, Peers, Version]
        }
        Tier::Primary | Tier::Replica => vec![Head, Syncing, Finalized, Peers],
    }
}

/// Reads the answers to questions.
///
/// # Errors
/// When what is needed is not in them, in words. A missing method is no error.
pub(super) fn read(
    questions: &[Question],
    answers: &[RpcAnswer],
    latency: Duration,
) -> Result<Probe, String> {
    let mut probe = Probe { latency, ..Probe::default() };
    for (question, answer) in questions.iter().zip(answers) {
        match question {
            Question::ChainId => probe.chain_id = needed("eth_chainId", answer)?.map(quantity).transpose()?,
            Question::Head => {
                let block = needed("eth_getBlockByNumber", answer)?.map(block).transpose()?;
                if let Some(None) = block {
                    return Err("it has no latest block".to_owned());
                }
                probe.head = block.flatten();
            }
            // What is nice to know takes nobody out when it is not told.
            Question::Finalized => {
                let block = result(answer).and_then(|result| block(result).ok()).flatten();
                probe.finalized =
                    block.map(|block| Finalized { number: block.number, timestamp: block.timestamp });
            }
            Question::Syncing => probe.syncing = result(answer).and_then(syncing),
            Question::Peers => probe.peers = result(answer).and_then(|result| quantity(result).ok()),
            Question::Version => {
                let version: Option<String> = result(answer).and_then(|result| result.read().ok());
                probe.version = version
                    .map(|text| text.chars().filter(|c| !c.is_control()).take(VERSION_CHARS).collect());
            }
        }
    }
    Ok(probe)
}

fn result(answer: &RpcAnswer) -> Option<&RawJson> {
    match answer {
        RpcAnswer::Result(result) => Some(result),
        RpcAnswer::Error(_) => None,
    }
}

/// The result; none where there is no such method.
fn needed<'a>(method: &str, answer: &'a RpcAnswer) -> Result<Option<&'a RawJson>, String> {
    match answer {
        RpcAnswer::Result(result) => Ok(Some(result)),
        RpcAnswer::Error(NodeError { code: NO_METHOD, .. }) => Ok(None),
        RpcAnswer::Error(NodeError { code, message, .. }) => {
            Err(format!("{method} brought the error {code}, {:?}", brief(message)))
        }
    }
}

/// Foreign words, short enough for a sentence.
fn brief(message: &str) -> String {
    message.chars().take(120).collect()
}

fn quantity(result: &RawJson) -> Result<u64, String> {
    let text: &str = result.read().map_err(|_| "a number that is no text".to_owned())?;
    number(text).ok_or_else(|| format!("{:?} instead of a number", brief(text)))
}

fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

/// Whether it says that it is not there yet. What is larger than any node says is not read.
fn syncing(result: &RawJson) -> Option<bool> {
    if result.as_bytes().len() > SYNCING_BYTES {
        return None;
    }
    read_syncing(&result.read().ok()?).map(|syncing| syncing != Syncing::No)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Block {
    number: String,
    hash: B256,
    parent_hash: B256,
    timestamp: String,
}

/// A block; none for `null`.
fn block(result: &RawJson) -> Result<Option<Head>, String> {
    let what = || "what came for a block is none".to_owned();
    let block: Option<Block> = result.read().map_err(|_| what())?;
    let Some(Block { number: at, hash, parent_hash, timestamp }) = block else { return Ok(None) };
    let (number, timestamp) = number(&at).zip(number(&timestamp)).ok_or_else(what)?;
    Ok(Some(Head { number, hash, parent_hash, timestamp }))
}

#[cfg(test)]
mod tests {
    use Question::{ChainId, Finalized as Final, Head as Newest, Peers, Syncing, Version};

    use super::*;
    use crate::gateway::read_answer;

    fn answer(text: &str) -> RpcAnswer {
        let body = if text.contains("\"code\"") {
            format!("{{\"id\":0,\"error\":{text}}}")
        } else {
            format!("{{\"id\":0,\"result\":{text}}}")
        };
        read_answer(&Bytes::from(body), 0).unwrap()
    }

    fn block_text(number: &str) -> String {
        let (one, two) = (B256::repeat_byte(1), B256::repeat_byte(2));
        format!(
            r#"{{"number":"{number}","hash":"{one}","parentHash":"{two}","timestamp":"0x64","extra":[1]}}"#
        )
    }

    #[test]
    fn a_paid_upstream_is_asked_for_its_head_alone_most_of_the_time() {
        assert_eq!(questions(Tier::Backup, 0, true, false), [ChainId, Newest, Syncing, Final, Version]);
        assert!((1..20).all(|round| questions(Tier::Backup, round, false, false) == [Newest]));
        assert_eq!(questions(Tier::Backup, 20, false, false).len(), 5);
        assert_eq!(questions(Tier::Backup, 21, true, false), [ChainId, Newest, Syncing]);
        assert_eq!(questions(Tier::Primary, 1, false, false), [Newest, Syncing, Final, Peers]);
        assert_eq!(questions(Tier::Replica, 1, true, false).len(), 6);
        for tier in Tier::ALL {
            assert!((0..300).all(|round| questions(tier, round, false, false).contains(&Newest)));
        }
        let trails = |round| questions(Tier::Backup, round, false, true);
        assert_eq!((trails(3), trails(4)), (vec![Newest], vec![Newest, Final]));
    }

    #[test]
    fn answers_are_read_and_missing_methods_skipped() {
        let all = [ChainId, Newest, Final, Syncing, Peers, Version];
        let texts =
            ["\"0x1\"", &block_text("0x10"), &block_text("0x8"), "false", "\"0x19\"", "\"Geth/v1.16\\n\""];
        let probe = read(&all, &texts.map(answer), Duration::from_millis(3)).unwrap();
        let head = Head {
            number: 16,
            hash: B256::repeat_byte(1),
            parent_hash: B256::repeat_byte(2),
            timestamp: 100,
        };
        let want = Probe {
            chain_id: Some(1),
            head: Some(head),
            finalized: Some(Finalized { number: 8, timestamp: 100 }),
            syncing: Some(false),
            peers: Some(25),
            version: Some("Geth/v1.16".to_owned()),
            latency: Duration::from_millis(3),
        };
        assert_eq!(probe, want);
        let missing = all.map(|_| answer(r#"{"code":-32601,"message":"the method does not exist"}"#));
        assert_eq!(read(&all, &missing, Duration::ZERO), Ok(Probe::default()));
        // Other errors of what is only nice to know, too.
        let refused = answer(r#"{"code":-32000,"message":"no finalized block"}"#);
        for question in [Final, Syncing, Peers, Version] {
            assert_eq!(
                read(&[question], std::slice::from_ref(&refused), Duration::ZERO),
                Ok(Probe::default())
            );
        }
    }

    #[test]
    fn what_is_needed_and_does_not_come_is_a_failure_in_words() {
        for (question, text, word) in [
            (
                ChainId,
                r#"{"code":-32005,"message":"limit exceeded"}"#,
                "eth_chainId brought the error -32005",
            ),
            (Newest, r#"{"code":-32000,"message":"starting"}"#, "\"starting\""),
            (Newest, "null", "no latest block"),
            (Newest, "[]", "none"),
            (Newest, &block_text("16"), "none"),
            (Newest, &block_text("0x11111111111111111"), "none"),
            (ChainId, "1", "no text"),
            (ChainId, "\"0x\"", "instead of a number"),
            (ChainId, "\"0x1ffffffffffffffff\"", "instead of a number"),
        ] {
            let error = read(&[question], &[answer(text)], Duration::ZERO).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn syncing_is_an_object_that_says_something() {
        for (text, want) in [
            ("false", Some(false)),
            ("true", Some(true)),
            ("{}", Some(false)),
            ("{ }", Some(false)),
            (r#"{"currentBlock":"0x1"}"#, Some(true)),
            // geth that only indexes serves.
            (r#"{"currentBlock":"0x5","highestBlock":"0x5","txIndexRemainingBlocks":"0x9"}"#, Some(false)),
            ("null", None),
            ("7", None),
        ] {
            assert_eq!(read(&[Syncing], &[answer(text)], Duration::ZERO).unwrap().syncing, want, "{text}");
        }
    }
}
