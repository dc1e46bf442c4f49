//! The signed blocks of the last slots and what became of them: the same block handed in twice is one submission, another block for
//! the same slot and proposer is an alarm.
//!
//! Clients hand a block in again after their own timeout, and by v1 after v2. The second call of a version waits for the first's
//! answer or gets it; a call of v1 gets the payload where it is known and goes to the relays where it is not. A submission that
//! failed is no answer: the block goes out again. Signatures count, so a copy with a broken one is another submission: nobody who
//! hands in garbage first can make the true block wait for it.

use std::{collections::VecDeque, sync::Arc};

use alloy_primitives::{B256, keccak256};
use parking_lot::Mutex;
use tokio::sync::watch;

use super::request::Revealed;
use crate::{
    relay::{EncodedBlock, SubmitVersion},
    types::Slot,
};

/// Blocks remembered. A proposer signs one a slot; each may hold a payload of some megabytes.
const BLOCKS_KEPT: usize = 16;
/// Bytes of a signed block's SSZ before its message: an offset and the signature.
const MESSAGE_OFFSET: usize = 100;

/// What a submission came to: what the client gets, or each relay's reason.
pub(super) type Answer = Result<Revealed, Arc<str>>;

/// Whoever waits for a submission's answer.
pub(super) type AnswerReceiver = watch::Receiver<Option<Answer>>;

/// The one end that answers them all. Dropped without an answer, it wakes them, too.
#[derive(Debug)]
pub(super) struct AnswerSender(watch::Sender<Option<Answer>>);

impl AnswerSender {
    pub(super) fn answer(self, answer: Answer) {
        self.0.send_replace(Some(answer));
    }
}

/// Which block a body is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct BlockIdentity {
    pub(super) slot: Slot,
    pub(super) proposer_index: u64,
    /// Zero where it cannot be read.
    pub(super) block_hash: B256,
    /// Hash of the whole, in SSZ where it decodes.
    signed: B256,
    /// Hash of what was signed, where it decodes.
    message: Option<B256>,
}

impl BlockIdentity {
    pub(super) fn of(slot: Slot, proposer_index: u64, block_hash: B256, block: &EncodedBlock) -> Self {
        let bytes = block.ssz_or_original();
        let message = block.decoded().and(bytes.get(MESSAGE_OFFSET..)).map(keccak256);
        Self { slot, proposer_index, block_hash, signed: keccak256(&bytes), message }
    }

    /// Whether a proposer signed two blocks for one slot: what is slashed.
    fn contradicts(&self, other: &Self) -> bool {
        if (self.slot, self.proposer_index) != (other.slot, other.proposer_index) {
            return false;
        }
        match (self.message, other.message) {
            (Some(one), Some(another)) => one != another,
            // One of them does not decode: its execution block is all there is to compare.
            (None, _) | (_, None) => self.block_hash != other.block_hash,
        }
    }
}

#[derive(Debug)]
struct Known {
    block: BlockIdentity,
    by_v1: Option<AnswerReceiver>,
    by_v2: Option<AnswerReceiver>,
}

impl Known {
    fn submission(&mut self, version: SubmitVersion) -> &mut Option<AnswerReceiver> {
        match version {
            SubmitVersion::V1 => &mut self.by_v1,
            SubmitVersion::V2 => &mut self.by_v2,
        }
    }
}

/// What to do with a block that came in.
#[derive(Debug)]
pub(super) enum Entry {
    /// It goes to the relays; its answer goes here.
    Submit(AnswerSender, AnswerReceiver),
    /// It is under way or done: this is its answer.
    Join(AnswerReceiver),
}

/// The memory. Locked for microseconds, never across an await.
#[derive(Debug, Default)]
pub(in crate::auction) struct SubmissionMemory {
    known: Mutex<VecDeque<Known>>,
}

impl SubmissionMemory {
    /// Takes a block in. Also names another block of the same slot and proposer, the first time this one is seen.
    pub(super) fn enter(&self, block: BlockIdentity, version: SubmitVersion) -> (Entry, Option<B256>) {
        let mut known = self.known.lock();
        let mut other = None;
        if !known.iter().any(|entry| entry.block == block) {
            let contradicted = known.iter().find(|entry| entry.block.contradicts(&block));
            other = contradicted.map(|entry| entry.block.block_hash);
            if known.len() >= BLOCKS_KEPT {
                known.pop_front();
            }
            known.push_back(Known { block, by_v1: None, by_v2: None });
        }
        let (sender, receiver) = watch::channel(None);
        if let Some(entry) = known.iter_mut().find(|entry| entry.block == block) {
            let submission = entry.submission(version);
            if let Some(answer) = submission.as_ref().filter(|answer| is_of_use(answer)) {
                return (Entry::Join(answer.clone()), other);
            }
            *submission = Some(receiver.clone());
        }
        (Entry::Submit(AnswerSender(sender), receiver), other)
    }
}

/// Whether a submission is under way or has succeeded.
fn is_of_use(answer: &AnswerReceiver) -> bool {
    match &*answer.borrow() {
        Some(answer) => answer.is_ok(),
        // An error says that the task has ended without an answer.
        None => answer.has_changed().is_ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block(slot: u64, proposer_index: u64, signed: u8, message: Option<u8>) -> BlockIdentity {
        BlockIdentity {
            slot: Slot::new(slot),
            proposer_index,
            block_hash: B256::repeat_byte(message.unwrap_or(signed)),
            signed: B256::repeat_byte(signed),
            message: message.map(B256::repeat_byte),
        }
    }

    fn submit(memory: &SubmissionMemory, block: BlockIdentity, version: SubmitVersion) -> AnswerSender {
        match memory.enter(block, version).0 {
            Entry::Submit(sender, _) => sender,
            Entry::Join(_) => panic!("joined"),
        }
    }

    fn joins(memory: &SubmissionMemory, block: BlockIdentity, version: SubmitVersion) -> bool {
        matches!(memory.enter(block, version).0, Entry::Join(_))
    }

    #[test]
    fn the_same_block_joins_while_the_first_is_under_way_or_has_succeeded() {
        let memory = SubmissionMemory::default();
        let one = block(1, 7, 1, Some(1));
        let sender = submit(&memory, one, SubmitVersion::V2);
        assert!(joins(&memory, one, SubmitVersion::V2));
        sender.answer(Ok(Revealed::Accepted));
        assert!(joins(&memory, one, SubmitVersion::V2));
    }

    #[test]
    fn a_failed_or_abandoned_submission_is_no_answer() {
        let memory = SubmissionMemory::default();
        let one = block(1, 7, 1, Some(1));
        submit(&memory, one, SubmitVersion::V2).answer(Err("all refused".into()));
        let abandoned = submit(&memory, one, SubmitVersion::V2);
        drop(abandoned);
        assert!(!joins(&memory, one, SubmitVersion::V2));
    }

    #[test]
    fn v1_after_v2_goes_out_for_its_payload() {
        let memory = SubmissionMemory::default();
        let one = block(1, 7, 1, Some(1));
        submit(&memory, one, SubmitVersion::V2).answer(Ok(Revealed::Accepted));
        assert!(!joins(&memory, one, SubmitVersion::V1));
    }

    #[test]
    fn another_block_of_one_slot_and_proposer_is_told_once_and_goes_out() {
        let first = block(1, 7, 1, Some(1));
        for (name, second, is_alarm) in [
            ("another message", block(1, 7, 2, Some(2)), true),
            ("the same message, another signature", block(1, 7, 2, Some(1)), false),
            ("another proposer", block(1, 8, 2, Some(2)), false),
            ("another slot", block(2, 7, 2, Some(2)), false),
            ("another block that does not decode", block(1, 7, 3, None), true),
            ("the same block, that does not decode", block(1, 7, 1, None), false),
        ] {
            let memory = SubmissionMemory::default();
            let _first = submit(&memory, first, SubmitVersion::V2);
            let (entry, other) = memory.enter(second, SubmitVersion::V2);
            assert!(matches!(entry, Entry::Submit(..)), "{name}");
            assert_eq!(other, is_alarm.then_some(first.block_hash), "{name}");
            assert_eq!(memory.enter(second, SubmitVersion::V2).1, None, "{name}: told once");
        }
    }

    #[test]
    fn a_flood_is_bounded() {
        let memory = SubmissionMemory::default();
        for slot in 0..1000 {
            let _ = memory.enter(block(slot, 7, 1, Some(1)), SubmitVersion::V2);
        }
        assert!(memory.known.lock().len() <= BLOCKS_KEPT);
    }
}
