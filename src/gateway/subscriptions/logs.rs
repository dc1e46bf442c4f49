//! Logs for subscribers, made from the chain that they were told, in its order.
//!
//! An upstream's own `logs` subscription loses what happened while one upstream takes another's place, and doubles what both had. Here the logs
//! of each told block are fetched by its hash: once for all filters, and only where the header's bloom says that any filter may match. A hash
//! names one block for ever, so no log is of another branch, none is missed between two blocks, and none comes twice. That an upstream gave all
//! logs of the block, and is not merely without it, the bloom proves: it must be the one that the logs make. A reorganisation
//! takes back exactly what was sent, from memory.

use std::{collections::VecDeque, sync::Arc};

use alloy_primitives::{Address, B256, Bloom};
use bytes::Bytes;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::{block::Block, chain::RING};
use crate::gateway::{RawJson, RpcCall};

/// Most bytes of sent logs that are kept for a reorganisation. Arbitrary: hundreds of full blocks.
const MAX_KEPT_BYTES: usize = 64 << 20;

/// A log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// Who logged it.
    pub address: Address,
    /// Its topics.
    pub topics: Vec<B256>,
    /// As clients are told it.
    pub raw: RawJson,
}

/// Why an answer is not the logs of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadLogs {
    /// It is no list of logs.
    #[error("the answer is no list of logs")]
    NotLogs,
    /// One is of another block.
    #[error("the answer has a log of another block")]
    OtherBlock,
    /// They do not make the header's bloom.
    #[error("the answer has not the logs that the block's bloom tells of")]
    Incomplete,
    /// There are none, and the header has no bloom to prove it.
    #[error("the answer has no logs, and the block has no bloom to prove that")]
    Unproved,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    address: Address,
    topics: Vec<B256>,
    block_hash: B256,
}

/// The call that gives all logs of a block.
pub fn call_for(hash: B256) -> RpcCall {
    RpcCall::new("eth_getLogs", Bytes::from(format!("[{{\"blockHash\":\"{hash}\"}}]")))
}

/// Reads the logs of a block.
///
/// # Errors
/// When they are not, or not all.
pub fn read(answer: &RawJson, block: &Block) -> Result<Vec<Log>, BadLogs> {
    let logs = read_unproved(answer, block)?;
    let Some(told) = &block.bloom else {
        // Logs that name the block are of an upstream that has it.
        return if logs.is_empty() { Err(BadLogs::Unproved) } else { Ok(logs) };
    };
    let mut made = Bloom::ZERO;
    for log in &logs {
        made.accrue_raw_log(log.address, &log.topics);
    }
    if made == *told { Ok(logs) } else { Err(BadLogs::Incomplete) }
}

/// The same where the bloom is no proof: a chain whose blooms are made by a rule of its own.
///
/// # Errors
/// When they are no logs of the block.
pub fn read_unproved(answer: &RawJson, block: &Block) -> Result<Vec<Log>, BadLogs> {
    let texts: Vec<&RawValue> = answer.read().map_err(|_| BadLogs::NotLogs)?;
    texts
        .into_iter()
        .map(|text| {
            let wire: Wire = serde_json::from_str(text.get()).map_err(|_| BadLogs::NotLogs)?;
            if wire.block_hash != block.hash() {
                return Err(BadLogs::OtherBlock);
            }
            let raw =
                RawJson::parse(answer.as_bytes().slice_ref(text.get().as_bytes())).ok_or(BadLogs::NotLogs)?;
            Ok(Log { address: wire.address, topics: wire.topics, raw })
        })
        .collect()
}

impl Log {
    /// As clients are told that it is none any more.
    fn taken_back(&self) -> Self {
        let mut fields: serde_json::Map<String, serde_json::Value> = self.raw.read().unwrap_or_default();
        fields.insert("removed".to_owned(), true.into());
        Self { raw: RawJson::from_value(&fields.into()), ..self.clone() }
    }

    /// Without the answer that it came in, which may be large.
    fn on_its_own(self) -> Self {
        let raw = RawJson::parse(Bytes::copy_from_slice(self.raw.as_bytes())).unwrap_or(self.raw);
        Self { raw, ..self }
    }
}

/// Logs of one block, to be sent to whoever subscribed before it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Batch {
    /// When the block was told: the number of blocks told before it.
    pub turn: u64,
    /// The block's number.
    pub number: u64,
    /// In the order in which they are sent.
    pub logs: Vec<Arc<Log>>,
}

/// The logs of told blocks: those to be fetched, in their order, and those sent.
#[derive(Clone, Debug, Default)]
pub struct LogBook {
    waiting: VecDeque<(u64, Arc<Block>)>,
    sent: VecDeque<(B256, Batch)>,
    bytes: usize,
}

impl LogBook {
    /// A block was told whose logs somebody may want.
    pub fn want(&mut self, turn: u64, block: Arc<Block>) {
        self.waiting.push_back((turn, block));
    }

    /// The block whose logs are to be fetched now.
    pub fn next(&self) -> Option<&Arc<Block>> {
        self.waiting.front().map(|(_, block)| block)
    }

    /// Blocks whose logs were not fetched yet.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The logs of a block have come: what is to be sent, of what is wanted. `None` when the block is none any more.
    pub fn fetched(&mut self, hash: B256, logs: Vec<Log>, is_wanted: impl Fn(&Log) -> bool) -> Option<Batch> {
        self.waiting.front().filter(|(_, block)| block.hash() == hash)?;
        let (turn, block) = self.waiting.pop_front()?;
        let logs: Vec<_> = logs.into_iter().filter(is_wanted).map(|log| Arc::new(log.on_its_own())).collect();
        let batch = Batch { turn, number: block.number(), logs };
        if !batch.logs.is_empty() {
            self.bytes = self.bytes.saturating_add(size(&batch));
            self.sent.push_back((hash, batch.clone()));
            while self.bytes > MAX_KEPT_BYTES || self.sent.len() > RING {
                let Some((_, oldest)) = self.sent.pop_front() else { break };
                self.bytes = self.bytes.saturating_sub(size(&oldest));
            }
        }
        Some(batch)
    }

    /// A block is none any more: its logs are not fetched, or those sent are taken back, the last first.
    pub fn removed(&mut self, hash: B256) -> Option<Batch> {
        self.waiting.retain(|(_, block)| block.hash() != hash);
        let place = self.sent.iter().position(|(sent, _)| *sent == hash)?;
        let (_, batch) = self.sent.remove(place)?;
        self.bytes = self.bytes.saturating_sub(size(&batch));
        let logs = batch.logs.iter().rev().map(|log| Arc::new(log.taken_back())).collect();
        Some(Batch { logs, ..batch })
    }

    /// Nothing waits any more.
    pub fn give_up_waiting(&mut self) {
        self.waiting.clear();
    }
}

fn size(batch: &Batch) -> usize {
    batch.logs.iter().map(|log| log.raw.as_bytes().len() + 160).sum()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::gateway::subscriptions::testing::{block, hash, log};

    fn answer(logs: &[Value]) -> RawJson {
        RawJson::from_value(&json!(logs))
    }

    #[test]
    fn an_answer_is_the_logs_of_the_block_or_none() {
        let block = block(7, 'a');
        assert_eq!(read(&answer(&[log(7, 'a')]), &block).unwrap().len(), 1);
        for (logs, want) in [
            (answer(&[]), BadLogs::Incomplete),
            (answer(&[log(8, 'a')]), BadLogs::OtherBlock),
            (answer(&[log(7, 'a'), json!({})]), BadLogs::NotLogs),
            (RawJson::from_value(&json!(null)), BadLogs::NotLogs),
        ] {
            assert_eq!(read(&logs, &block), Err(want));
        }
        let silent = Block { bloom: None, ..block };
        assert_eq!(read(&answer(&[]), &silent), Err(BadLogs::Unproved));
        assert_eq!(read(&answer(&[log(7, 'a')]), &silent).unwrap().len(), 1);
    }

    #[test]
    fn what_was_sent_is_taken_back_in_reverse() {
        let mut book = LogBook::default();
        let told = Arc::new(block(7, 'a'));
        book.want(3, Arc::clone(&told));
        let (mut first, mut second) = (log(7, 'a'), log(7, 'a'));
        first["logIndex"] = json!("0x0");
        second["logIndex"] = json!("0x1");
        let logs = read(&answer(&[first, second]), &told).unwrap();
        let batch = book.fetched(told.hash(), logs, |_| true).unwrap();
        assert_eq!((batch.turn, batch.number, batch.logs.len()), (3, 7, 2));
        let back = book.removed(told.hash()).unwrap();
        let read: Vec<Value> = back.logs.iter().map(|log| log.raw.read().unwrap()).collect();
        assert_eq!((&read[0]["logIndex"], &read[0]["removed"]), (&json!("0x1"), &json!(true)));
        assert_eq!((&read[1]["logIndex"], &read[1]["removed"]), (&json!("0x0"), &json!(true)));
        assert_eq!(book.removed(told.hash()), None, "once");
    }

    proptest! {
        /// Blocks are told, fetched late, and taken back to any depth: what is taken back is what was sent, each once.
        #[test]
        fn exactly_what_was_sent_is_taken_back(fetched in 0..20_u64, depth in 0..20_u64) {
            let mut book = LogBook::default();
            for number in 0..20 {
                book.want(number, Arc::new(block(number, 'a')));
            }
            for number in 0..fetched {
                let told = block(number, 'a');
                prop_assert_eq!(book.next().map(|block| block.number()), Some(number));
                let logs = read(&answer(&[log(number, 'a')]), &told).unwrap();
                prop_assert!(book.fetched(told.hash(), logs, |_| true).is_some());
            }
            let back: Vec<u64> = (20 - depth..20).rev()
                .filter_map(|number| book.removed(hash(number, 'a')))
                .map(|batch| batch.number)
                .collect();
            prop_assert_eq!(back, (20 - depth..fetched.max(20 - depth)).rev().collect::<Vec<_>>());
            prop_assert_eq!(book.waiting() as u64, (20 - fetched).saturating_sub(depth.min(20 - fetched)));
            // The answer to a call that was under way is of a block that is none any more.
            if fetched < 20 && depth >= 20 - fetched {
                prop_assert_eq!(book.fetched(hash(fetched, 'a'), vec![], |_| true), None);
            }
        }
    }
}
