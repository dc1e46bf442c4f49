//! The reveal: a signed block goes to the journal, then to every relay, and the first good answer is the client's.
//!
//! A submission is a task of its own: the client hanging up does not end it, and a graceful stop waits for it. Its parts: what came in
//! (`incoming`), whether it came before (`copies`), whether it is written down (`quota`), whose answer counts (`settle`), and the task (`run`).

pub(super) mod copies;
mod incoming;
pub(super) mod quota;
mod request;
mod run;
mod settle;

use std::{sync::Arc, time::Duration};

use alloy_primitives::B256;
use bytes::Bytes;
use http::HeaderValue;
use tokio::time::{Instant, timeout_at};
use tracing::{error, info, warn};

pub use self::request::{Revealed, SubmitError, SubmitRequest};
use self::{
    copies::{Answer, AnswerReceiver, AnswerSender, BlockIdentity, Entry},
    incoming::{Incoming, read_block},
    run::Submission,
};
use super::{
    metrics::{
        record_conflicting_block, record_repeated_block, record_undecoded_block, record_unrecorded_block,
    },
    rules::{CONFLICTING_BLOCK, UNDECODED_BLOCK},
    state::{Auction, user_agent},
};
use crate::{
    consensus::{Encoding, SignedBlindedBlock},
    events::{BlockReceived, ConflictingBlock, Event, Fate},
    ledger::{JournaledLabels, UnsettledBlock},
    relay::{CallContext, EncodedBlock, RawLabels, SubmitVersion},
    types::{Fork, Slot, UnixMillis},
};

impl Auction {
    /// Journals a signed block, sends it to every relay that is not disabled and to those that offered it, and returns the first
    /// answer that counts. The same block again gets the answer of the first.
    ///
    /// # Errors
    /// When the body is malformed, or no relay took the block in time.
    pub async fn submit_blinded_block(
        self: &Arc<Self>,
        request: SubmitRequest,
    ) -> Result<Revealed, SubmitError> {
        // While it is under way and the machine is busy, no header is begun: it goes first.
        let _under_way = self.load.begin_block();
        let incoming = read_block(&self.spec, &request)?;
        let Incoming { slot, proposer_index, block_hash, .. } = incoming;
        let identity = BlockIdentity::of(slot, proposer_index, block_hash, &incoming.block);
        // By the terms its proposer had when the header was given; a block that this process never offered, by everybody's.
        let policies = self.policies.load_full();
        let proposer = self.bid_memory.proposer(slot, block_hash);
        let settings = &proposer.map_or(&policies.default, |proposer| policies.policy_of(&proposer)).settings;
        let deadline = request.received + settings.timeout_get_payload;
        let answer = loop {
            match self.enter(identity, request.version) {
                Entry::Submit(client, answer) => {
                    let others_delay = settings.submit_others_delay;
                    self.start_submission(incoming, &request, deadline, others_delay, client);
                    break answer_of(answer).await;
                }
                Entry::Join(answer) => {
                    record_repeated_block();
                    info!(%slot, %block_hash, "the client hands in a block again, it gets the first one's answer");
                    match timeout_at(deadline, answer_of(answer)).await {
                        // The first has failed, and there is time left for another try.
                        Ok(Err(_)) if Instant::now() < deadline => {}
                        Ok(answer) => break answer,
                        Err(_) => break Err("the block's first submission is still under way".into()),
                    }
                }
            }
        };
        answer.map_err(SubmitError::NoRelay)
    }

    /// Takes up a block that an earlier process journaled and left without a fate: reports it, and submits it again if its slot
    /// is not over.
    pub fn resume(self: &Arc<Self>, unsettled: UnsettledBlock) {
        let UnsettledBlock { slot, block_hash, proposer_index, version, bytes, labels, offered_by } =
            unsettled;
        let into = self.slots.ms_into(slot, self.clock.now());
        let slot_ms = i64::try_from(self.slots.slot_ms()).unwrap_or(i64::MAX);
        let auction = Arc::clone(self);
        let settings = self.policies.load().default.settings.clone();
        let block = match labels {
            Some(labels) => undecoded_from(&labels, bytes.into()),
            None => self.decode_journaled(slot, bytes.into()),
        };
        match block {
            Some(block) if into < slot_ms => {
                warn!(%slot, %block_hash, ms_into_slot = into, "block in the journal has no fate, submitting it again");
                let version = if version == 1 { SubmitVersion::V1 } else { SubmitVersion::V2 };
                let identity = BlockIdentity::of(slot, proposer_index, block_hash, &block);
                // A relay that is no longer configured is lost with the process that knew its address.
                let all = self.relays.all();
                let submission = Submission {
                    slot,
                    block_hash,
                    block: Arc::new(block),
                    version,
                    context: CallContext {
                        user_agent: user_agent(""),
                        deadline: Instant::now() + settings.timeout_get_payload,
                    },
                    received: Instant::now(),
                    offered_by: all.iter().filter(|relay| offered_by.contains(relay.id())).cloned().collect(),
                    others_delay: settings.submit_others_delay,
                    is_recorded: true,
                };
                // Nobody waits for the answer yet: the client may hand the block in again, and joins.
                if let Entry::Submit(client, _) = self.enter(identity, version) {
                    self.tasks.spawn(async move { auction.run_submission(submission, client).await });
                }
            }
            Some(_) | None => {
                warn!(%slot, %block_hash, ms_into_slot = into,
                    "block in the journal has no fate and its slot is over: check whether it is on chain");
                self.tasks.spawn(async move {
                    auction.settle(slot, block_hash, Fate::Unknown, None, Duration::ZERO).await;
                });
            }
        }
    }

    /// By its slot's fork; a label that said another is not journaled, so any fork that reads it.
    fn decode_journaled(&self, slot: Slot, ssz: Bytes) -> Option<EncodedBlock> {
        let by_slot = self.spec.fork_at(slot);
        let forks =
            std::iter::once(by_slot).chain(Fork::ALL.into_iter().rev().filter(|fork| *fork != by_slot));
        let mut blocks = forks
            .filter_map(|fork| SignedBlindedBlock::decode(fork, self.spec.preset, Encoding::Ssz, &ssz).ok());
        blocks.next().map(|block| EncodedBlock::new(block, Encoding::Ssz, ssz.clone()))
    }

    /// Whether the block came before; and the alarm, if its proposer signed another one for its slot.
    fn enter(&self, block: BlockIdentity, version: SubmitVersion) -> Entry {
        let (entry, other) = self.submissions.enter(block, version);
        if let Some(other) = other {
            let BlockIdentity { slot, proposer_index, block_hash, .. } = block;
            record_conflicting_block();
            error!(%slot, proposer_index, %block_hash, %other,
                "a second, different block of one proposer for one slot: two clients may be signing with one key, which is \
                 slashed; it is submitted all the same");
            let message = format!(
                "proposer {proposer_index} signed block {block_hash} for slot {slot}, after {other} for the same slot"
            );
            self.raise(&CONFLICTING_BLOCK, slot, message);
            let at = self.clock.now();
            self.spine.publish(Event::ConflictingBlock(ConflictingBlock {
                slot,
                proposer_index,
                block_hash,
                other,
                at,
            }));
        }
        entry
    }

    fn start_submission(
        self: &Arc<Self>,
        incoming: Incoming,
        request: &SubmitRequest,
        deadline: Instant,
        others_delay: Duration,
        client: AnswerSender,
    ) {
        let Incoming { slot, proposer_index, block_hash, parent_hash, fork, block, undecoded } = incoming;
        // A block whose hash cannot be read is whichever was offered for its slot.
        let offered_by = match block_hash {
            B256::ZERO => self.bid_memory.relays_in(slot),
            block_hash => self.bid_memory.relays(slot, block_hash),
        };
        let at = self.clock.now();
        if let Some(reason) = &undecoded {
            record_undecoded_block();
            warn!(%slot, %block_hash, error = %reason,
                "signed block cannot be decoded and is passed on as it came: check `network`, or whether this version is too old");
            self.raise(&UNDECODED_BLOCK, slot, format!("block {block_hash}: {reason}"));
        }
        let is_recorded = self.may_record(slot, block_hash, !offered_by.is_empty(), request.body.len(), at);
        let event = BlockReceived {
            slot,
            block_hash,
            parent_hash,
            proposer_index,
            fork,
            version: request.version.number(),
            at,
            ms_into_slot: self.slots.ms_into(slot, at),
            offered_by: offered_by.iter().map(|relay| relay.id().clone()).collect(),
            undecoded,
        };
        let submission = Submission {
            slot,
            block_hash,
            block: Arc::new(block),
            version: request.version,
            context: CallContext { user_agent: user_agent(&request.user_agent), deadline },
            received: request.received,
            offered_by,
            others_delay,
            is_recorded,
        };
        let proposer = self.bid_memory.proposer(slot, block_hash);
        let auction = Arc::clone(self);
        self.tasks.spawn(async move {
            if is_recorded {
                auction.journal_block(&event, &submission.block).await;
                auction.spine.publish(Event::BlockReceived(event));
                auction.check_signature_later(
                    submission.block.decoded().cloned(),
                    slot,
                    block_hash,
                    proposer,
                );
            }
            auction.run_submission(submission, client).await;
        });
    }

    /// Whether the journal and the ledger hear of a block: not of any number that nobody offered.
    fn may_record(
        &self,
        slot: Slot,
        block_hash: B256,
        is_offered: bool,
        bytes: usize,
        at: UnixMillis,
    ) -> bool {
        let present = self.slots.slot_at(at);
        let quota = self.record_quota.admit(slot, is_offered, bytes, present, at);
        if let Err(reason) = quota {
            record_unrecorded_block(reason);
            warn!(%slot, %block_hash, bytes, reason = reason.label(),
                "signed block that was not offered here goes to the relays and is not written down");
        }
        quota.is_ok()
    }
}

fn undecoded_from(labels: &JournaledLabels, bytes: Bytes) -> Option<EncodedBlock> {
    let encoding = Encoding::from_mime(&labels.content_type)?;
    let labels = RawLabels {
        content_type: HeaderValue::from_str(&labels.content_type).ok()?,
        consensus_version: labels.consensus_version.as_ref().and_then(|v| HeaderValue::from_str(v).ok()),
    };
    Some(EncodedBlock::undecoded(labels, encoding, bytes))
}

async fn answer_of(mut answer: AnswerReceiver) -> Answer {
    let ended = || Err("the submission ended early".into());
    match answer.wait_for(Option::is_some).await {
        Ok(answer) => answer.clone().unwrap_or_else(ended),
        Err(_) => ended(),
    }
}
