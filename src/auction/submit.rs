//! The reveal: a signed block goes to the journal, then to every relay, and the first good answer is the client's.
//!
//! A submission is a task of its own: the client hanging up does not end it, and a graceful stop waits for it.

use std::{sync::Arc, time::Duration};

use alloy_primitives::B256;
use bytes::Bytes;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::{Instant, sleep, timeout},
};
use tracing::{error, info, warn};

use super::{
    Auction,
    metrics::{record_journal_failure, record_submission},
    race::micros,
    state::user_agent,
};
use crate::{
    consensus::{DecodeError, Encoding, Fork, RevealedPayload, SignedBlindedBlock},
    events::{BlockReceived, Event, Notice, SubmissionAnswer, SubmissionClosed},
    ledger::UnsettledBlock,
    relay::{CallContext, EncodedBlock, Relay, SubmitOutcome, SubmitVersion},
    types::{RelayId, Slot},
};

/// Longest wait for the journal. A disk that takes longer is reported, and the block leaves without it: a lost slot is certain
/// if it does not, and only its trace after a crash is lost if it does.
const JOURNAL_TIMEOUT: Duration = Duration::from_millis(500);

/// A call of `blinded_blocks`.
#[derive(Clone, Debug)]
pub struct SubmitRequest {
    /// The body, as it came.
    pub body: Bytes,
    /// How it is encoded.
    pub encoding: Encoding,
    /// The client's `Eth-Consensus-Version`, where it sent one.
    pub fork: Option<Fork>,
    /// v1 or v2.
    pub version: SubmitVersion,
    /// The client's `User-Agent`.
    pub user_agent: String,
    /// When the request was read.
    pub received: Instant,
}

/// Why a block was not revealed.
#[derive(Debug, thiserror::Error)]
pub enum SubmitError {
    /// The body is not a signed blinded block; no relay was called.
    #[error("{0}")]
    Malformed(#[from] DecodeError),
    /// The slot cannot be read out of the body; no relay was called.
    #[error("the body is not a signed blinded beacon block: its slot cannot be read")]
    NoSlot,
    /// No relay took it.
    #[error("no relay revealed the payload: {0}")]
    NoRelay(String),
}

/// What the client gets: the payload under v1, nothing under v2.
type Revealed = Option<Box<RevealedPayload>>;

struct Submission {
    block: Arc<EncodedBlock>,
    version: SubmitVersion,
    context: CallContext,
    received: Instant,
    offered_by: Vec<RelayId>,
    others_delay: Duration,
}

struct RevealAnswer {
    relay: RelayId,
    outcome: SubmitOutcome,
    attempts: u32,
    latency: Duration,
}

impl Auction {
    /// Journals a signed block, sends it to every relay that is not disabled, and returns the first good answer.
    ///
    /// # Errors
    /// When the body is malformed, or no relay took the block in time.
    pub async fn submit_blinded_block(
        self: &Arc<Self>,
        request: SubmitRequest,
    ) -> Result<Revealed, SubmitError> {
        let slot =
            SignedBlindedBlock::peek_slot(request.encoding, &request.body).ok_or(SubmitError::NoSlot)?;
        let by_slot = self.spec.fork_at(slot);
        // A signed block cannot be taken back: if the client knows of a fork that our chain spec does not, its word counts.
        let fork = request.fork.unwrap_or(by_slot);
        if fork != by_slot {
            warn!(%slot, labelled = %fork, expected = %by_slot, "client labels its block with another fork: check `network`");
        }
        let block = SignedBlindedBlock::decode(fork, self.spec.preset, request.encoding, &request.body)?;
        let facts = block.facts();
        let offered_by = self.bid_memory.relays(slot, facts.block_hash);
        // By the terms its proposer had when the header was given; a block that this process never offered, by everybody's.
        let policies = self.policies.load_full();
        let proposer = self.bid_memory.proposer(slot, facts.block_hash);
        let policy = proposer.map_or(&policies.default, |proposer| policies.policy_of(&proposer));
        let at = self.clock.now();
        let event = BlockReceived {
            slot,
            block_hash: facts.block_hash,
            parent_hash: facts.parent_hash,
            proposer_index: facts.proposer_index,
            fork: fork.name(),
            version: match request.version {
                SubmitVersion::V1 => 1,
                SubmitVersion::V2 => 2,
            },
            at,
            ms_into_slot: self.slots.ms_into(slot, at),
            offered_by: offered_by.clone(),
        };
        let submission = Submission {
            block: Arc::new(EncodedBlock::new(block, request.encoding, request.body)),
            version: request.version,
            context: CallContext {
                user_agent: user_agent(&request.user_agent),
                deadline: request.received + policy.settings.timeout_get_payload,
            },
            received: request.received,
            offered_by,
            others_delay: policy.settings.submit_others_delay,
        };
        let (sender, answer) = oneshot::channel();
        let auction = Arc::clone(self);
        self.tasks.spawn(async move {
            auction.journal_block(&event, &submission.block).await;
            auction.spine.publish(Event::BlockReceived(event));
            auction.run_submission(submission, sender).await;
        });
        answer.await.unwrap_or_else(|_| Err(SubmitError::NoRelay("the submission ended early".to_owned())))
    }

    /// Takes up a block that an earlier process journaled and left without a fate: reports it, and submits it again if its slot
    /// is not over.
    pub fn resume(self: &Arc<Self>, unsettled: UnsettledBlock) {
        let UnsettledBlock { slot, block_hash, version, ssz, offered_by } = unsettled;
        let into = self.slots.ms_into(slot, self.clock.now());
        let slot_ms = i64::try_from(self.slots.slot_ms()).unwrap_or(i64::MAX);
        let fork = self.spec.fork_at(slot);
        let block = SignedBlindedBlock::decode(fork, self.spec.preset, Encoding::Ssz, &ssz);
        let auction = Arc::clone(self);
        let everybody = self.policies.load().default.settings.clone();
        match block {
            Ok(block) if into < slot_ms => {
                warn!(%slot, %block_hash, ms_into_slot = into, "block in the journal has no fate, submitting it again");
                let submission = Submission {
                    block: Arc::new(EncodedBlock::new(block, Encoding::Ssz, ssz.into())),
                    version: if version == 1 { SubmitVersion::V1 } else { SubmitVersion::V2 },
                    context: CallContext {
                        user_agent: user_agent(""),
                        deadline: Instant::now() + everybody.timeout_get_payload,
                    },
                    received: Instant::now(),
                    offered_by,
                    others_delay: everybody.submit_others_delay,
                };
                // Nobody waits for the payload: under v1 the relay publishes too, and the client has long given up.
                let (sender, _) = oneshot::channel();
                self.tasks.spawn(async move { auction.run_submission(submission, sender).await });
            }
            Ok(_) | Err(_) => {
                warn!(%slot, %block_hash, ms_into_slot = into,
                    "block in the journal has no fate and its slot is over: check whether it is on chain");
                self.tasks.spawn(async move {
                    auction.settle(slot, block_hash, "unknown", None, Duration::ZERO).await;
                });
            }
        }
    }

    /// Makes the block durable.
    async fn journal_block(&self, event: &BlockReceived, block: &EncodedBlock) {
        let ssz = block.bytes(Encoding::Ssz);
        let failure = match timeout(JOURNAL_TIMEOUT, self.journal.append(event, &ssz)).await {
            Ok(Ok(())) => return,
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => "the disk is too slow".to_owned(),
        };
        record_journal_failure();
        error!(slot = %event.slot, block_hash = %event.block_hash, error = %failure,
            "signed block leaves without being in the journal: check the disk of data_dir");
        self.spine.publish(Event::Notice(Notice {
            rule: "journal_failed".to_owned(),
            subject: format!("slot {}", event.slot),
            severity: "P1".to_owned(),
            words: format!("block {} left without being in the journal: {failure}", event.block_hash),
            resolved: false,
            at: self.clock.now(),
        }));
    }

    /// Sends the block to everybody, answers the client at the first success, and stays until all have answered.
    async fn run_submission(
        &self,
        submission: Submission,
        client: oneshot::Sender<Result<Revealed, SubmitError>>,
    ) {
        let facts = submission.block.block.facts();
        let (slot, block_hash) = (facts.slot, facts.block_hash);
        let relays = self.relays.enabled_of(&self.policies.load().relays);
        let (settle, settled) = watch::channel(false);
        let (sender, mut answers) = mpsc::channel(relays.len().max(1));
        let offered = |relay: &Relay| submission.offered_by.contains(relay.id());
        let (first, others): (Vec<_>, Vec<_>) = relays.iter().cloned().partition(|relay| offered(relay));
        let delay = if first.is_empty() { Duration::ZERO } else { submission.others_delay };
        let ordered =
            first.into_iter().map(|r| (r, Duration::ZERO)).chain(others.into_iter().map(|r| (r, delay)));
        for (relay, delay) in ordered {
            let (block, version) = (Arc::clone(&submission.block), submission.version);
            let (context, settled, sender) = (submission.context.clone(), settled.clone(), sender.clone());
            self.tasks.spawn(async move {
                if !delay.is_zero() {
                    sleep(delay).await;
                }
                let started = Instant::now();
                let (outcome, attempts) = relay.submit(version, &block, &context, &settled).await;
                let answer =
                    RevealAnswer { relay: relay.id().clone(), outcome, attempts, latency: started.elapsed() };
                let _ = sender.send(answer).await;
            });
        }
        drop(sender);

        let mut client = Some(client);
        let mut refusals = Vec::new();
        // Written down only when the client has its answer: no disk stands between a relay's payload and the client.
        let mut unwritten = Vec::new();
        while let Some(RevealAnswer { relay, outcome, attempts, latency }) = answers.recv().await {
            let record = SubmissionAnswer {
                slot,
                block_hash,
                relay: relay.clone(),
                outcome: outcome.kind(),
                detail: outcome.words(),
                http_status: outcome.http_status(),
                latency_us: micros(latency),
                attempts,
                at: self.clock.now(),
            };
            let (won, revealed) = match outcome {
                SubmitOutcome::Delivered(payload) => (Some("delivered"), Some(payload)),
                SubmitOutcome::Accepted { .. } => (Some("accepted"), None),
                SubmitOutcome::Mismatched(fault) => {
                    error!(%slot, %relay, %block_hash, error = %fault, "relay delivered another payload");
                    (None, None)
                }
                SubmitOutcome::Failed(_) => (None, None),
            };
            match won {
                None => refusals.push(format!("{relay}: {}", record.detail)),
                Some(fate) => {
                    if let Some(client) = client.take() {
                        // The client first: whatever the disk does comes after.
                        let _ = client.send(Ok(revealed));
                        settle.send_replace(true);
                        info!(%slot, %relay, %block_hash, elapsed_ms = submission.received.elapsed().as_millis(),
                            fate, "block revealed");
                        self.settle(slot, block_hash, fate, Some(relay), submission.received.elapsed()).await;
                    }
                }
            }
            unwritten.push(record);
            if client.is_none() {
                for record in unwritten.drain(..) {
                    self.note_answer(record).await;
                }
            }
        }
        if let Some(client) = client.take() {
            if refusals.is_empty() {
                refusals.push("no relay is enabled".to_owned());
            }
            let why = refusals.join("; ");
            error!(%slot, %block_hash, %why, "no relay revealed the payload");
            let _ = client.send(Err(SubmitError::NoRelay(why)));
            self.settle(slot, block_hash, "failed", None, submission.received.elapsed()).await;
        }
        for record in unwritten {
            self.note_answer(record).await;
        }
    }

    async fn note_answer(&self, record: SubmissionAnswer) {
        if let Err(failure) = self.journal.answer(&record).await {
            warn!(slot = %record.slot, relay = %record.relay, error = %failure, "answer not in the journal");
        }
        self.spine.publish(Event::SubmissionAnswer(record));
    }

    async fn settle(
        &self,
        slot: Slot,
        block_hash: B256,
        fate: &'static str,
        by: Option<RelayId>,
        latency: Duration,
    ) {
        let closed = SubmissionClosed {
            slot,
            block_hash,
            fate,
            by,
            latency_us: micros(latency),
            at: self.clock.now(),
        };
        record_submission(&closed);
        if let Err(failure) = self.journal.close(&closed).await {
            warn!(%slot, %block_hash, error = %failure, "fate not in the journal");
        }
        self.spine.publish(Event::SubmissionClosed(closed));
    }
}
