//! The task of one submission: the block to everybody, the client's answer at the first success that counts, and every relay's answer
//! written down.

use std::sync::Arc;

use alloy_primitives::B256;
use http::HeaderValue;
use tokio::{
    sync::{mpsc, watch},
    time::{Duration, Instant, sleep, timeout},
};
use tracing::{error, info, warn};

use super::{
    copies::AnswerSender,
    request::Revealed,
    settle::{Worth, note_bystander, settles},
};
use crate::{
    auction::{
        metrics::{record_journal_failure, record_submission},
        rules::{BLOCK_NOT_PUBLISHED, JOURNAL_FAILED},
        state::Auction,
    },
    events::{BlockReceived, Event, Fate, SubmissionAnswer, SubmissionClosed},
    ledger::JournaledLabels,
    relay::{CallContext, EncodedBlock, RawLabels, Relay, SubmitOutcome, SubmitVersion},
    types::{RelayId, Slot, micros},
};

/// Longest wait for the journal. A disk that takes longer is reported, and the block leaves without it: a lost slot is certain
/// if it does not, and only its trace after a crash is lost if it does.
const JOURNAL_TIMEOUT: Duration = Duration::from_millis(500);

/// A block on its way.
pub(super) struct Submission {
    pub(super) slot: Slot,
    pub(super) block_hash: B256,
    pub(super) block: Arc<EncodedBlock>,
    pub(super) version: SubmitVersion,
    pub(super) context: CallContext,
    pub(super) received: Instant,
    /// Who offered it, as they were then: one that was removed, disabled or rotated out since still gets its block.
    pub(super) offered_by: Vec<Arc<Relay>>,
    pub(super) others_delay: Duration,
    /// Whether the journal and the ledger hear of it.
    pub(super) is_recorded: bool,
}

impl Submission {
    fn closed(&self, fate: Fate, by: Option<RelayId>, at: i64) -> SubmissionClosed {
        let (slot, block_hash) = (self.slot, self.block_hash);
        SubmissionClosed { slot, block_hash, fate, by, latency_us: micros(self.received.elapsed()), at }
    }
}

struct RevealAnswer {
    relay: RelayId,
    has_offered: bool,
    outcome: SubmitOutcome,
    attempts: u32,
    latency: Duration,
}

/// How far a submission has come.
struct Course {
    /// Who waits for the answer, until it is given.
    client: Option<AnswerSender>,
    settle: watch::Sender<bool>,
    /// Why nobody has revealed it so far.
    refusals: Vec<String>,
    /// Written down only when the client has its answer: no disk stands between a relay's payload and the client.
    unwritten: Vec<SubmissionAnswer>,
}

impl Auction {
    /// Makes the block durable.
    pub(super) async fn journal_block(&self, event: &BlockReceived, block: &EncodedBlock) {
        let (bytes, labels) = (block.ssz_or_original(), block.raw_labels().map(journaled));
        let append = self.journal.append(event, &bytes, labels.as_ref());
        let failure = match timeout(JOURNAL_TIMEOUT, append).await {
            Ok(Ok(())) => return,
            Ok(Err(failure)) => failure.to_string(),
            Err(_) => "the disk is too slow".to_owned(),
        };
        record_journal_failure();
        error!(slot = %event.slot, block_hash = %event.block_hash, error = %failure,
            "signed block leaves without being in the journal: check the disk of data_dir");
        let message = format!("block {} left without being in the journal: {failure}", event.block_hash);
        self.raise(&JOURNAL_FAILED, event.slot, message);
    }

    /// Sends the block to everybody, answers the client at the first success that counts, and stays until all have answered.
    pub(super) async fn run_submission(&self, submission: Submission, client: AnswerSender) {
        let (settle, settled) = watch::channel(false);
        let mut answers = self.send_to_everybody(&submission, &settled);
        let mut course = Course { client: Some(client), settle, refusals: Vec::new(), unwritten: Vec::new() };
        while let Some(answer) = answers.recv().await {
            self.on_reveal_answer(&submission, &mut course, answer).await;
            if course.client.is_none() {
                for record in course.unwritten.drain(..) {
                    self.note_answer(record).await;
                }
            }
        }
        let Course { client, mut refusals, unwritten, .. } = course;
        if let Some(client) = client {
            if refusals.is_empty() {
                refusals.push("no relay is enabled".to_owned());
            }
            let reason = refusals.join("; ");
            let Submission { slot, block_hash, is_recorded, .. } = submission;
            error!(%slot, %block_hash, %reason, "no relay revealed the payload");
            client.answer(Err(reason.into()));
            self.end_submission(submission.closed(Fate::Failed, None, self.clock.now()), is_recorded).await;
        }
        for record in unwritten {
            self.note_answer(record).await;
        }
    }

    /// Judges one relay's answer; the client gets the first that counts.
    async fn on_reveal_answer(&self, submission: &Submission, course: &mut Course, answer: RevealAnswer) {
        let RevealAnswer { relay, has_offered, outcome, attempts, latency } = answer;
        let Submission { slot, block_hash, is_recorded, .. } = *submission;
        let mut record = SubmissionAnswer {
            slot,
            block_hash,
            relay: relay.clone(),
            outcome: outcome.kind(),
            message: outcome.message(),
            http_status: outcome.http_status(),
            latency_us: micros(latency),
            attempts,
            at: self.clock.now(),
        };
        let worth = Worth::of(&outcome);
        if settles(worth, has_offered, !submission.offered_by.is_empty()) {
            if let Some(client) = course.client.take()
                && let Some((fate, revealed)) = what_the_client_gets(outcome)
            {
                // The client first: whatever the disk does comes after.
                client.answer(Ok(revealed));
                course.settle.send_replace(true);
                self.awaited.revealed(slot);
                info!(%slot, %relay, %block_hash, elapsed_ms = submission.received.elapsed().as_millis(),
                    fate = fate.label(), "block revealed");
                self.end_submission(submission.closed(fate, Some(relay), self.clock.now()), is_recorded)
                    .await;
            }
        } else {
            if let SubmitOutcome::Mismatched(fault) = &outcome {
                error!(%slot, %relay, %block_hash, error = %fault, "relay delivered another payload");
            }
            if worth == Worth::Word {
                note_bystander(&mut record);
            }
            course.refusals.push(format!("{relay}: {}", record.message));
        }
        if is_recorded {
            course.unwritten.push(record);
        }
    }

    /// Starts a task for each relay: those that offered the block at once, all other enabled ones with them or a little later.
    fn send_to_everybody(
        &self,
        submission: &Submission,
        settled: &watch::Receiver<bool>,
    ) -> mpsc::Receiver<RevealAnswer> {
        let offered_by = &submission.offered_by;
        let has_offered = |relay: &Relay| offered_by.iter().any(|other| other.id() == relay.id());
        let mut others = self.relays.enabled_of(&self.policies.load().relays);
        others.retain(|relay| !has_offered(relay));
        let delay = if offered_by.is_empty() { Duration::ZERO } else { submission.others_delay };
        let offerers = offered_by.iter().map(|relay| (Arc::clone(relay), true, Duration::ZERO));
        let everybody: Vec<_> =
            offerers.chain(others.into_iter().map(|relay| (relay, false, delay))).collect();
        let (sender, answers) = mpsc::channel(everybody.len().max(1));
        for (relay, has_offered, delay) in everybody {
            let (block, version) = (Arc::clone(&submission.block), submission.version);
            let (context, settled, sender) = (submission.context.clone(), settled.clone(), sender.clone());
            self.tasks.spawn(async move {
                if !delay.is_zero() {
                    sleep(delay).await;
                }
                let started = Instant::now();
                let (outcome, attempts) = relay.submit(version, &block, &context, &settled).await;
                let (relay, latency) = (relay.id().clone(), started.elapsed());
                let _ = sender.send(RevealAnswer { relay, has_offered, outcome, attempts, latency }).await;
            });
        }
        answers
    }

    async fn note_answer(&self, record: SubmissionAnswer) {
        if let Err(failure) = self.journal.answer(&record).await {
            warn!(slot = %record.slot, relay = %record.relay, error = %failure, "answer not in the journal");
        }
        self.spine.publish(Event::SubmissionAnswer(record));
    }

    pub(super) async fn settle(
        &self,
        slot: Slot,
        block_hash: B256,
        fate: Fate,
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
        self.end_submission(closed, true).await;
    }

    async fn end_submission(&self, closed: SubmissionClosed, is_recorded: bool) {
        record_submission(&closed);
        if !is_recorded {
            return;
        }
        let SubmissionClosed { slot, block_hash, fate, .. } = closed;
        if fate == Fate::Failed {
            let message = format!(
                "block {block_hash} of slot {slot} was signed, and no relay published it: each relay's answer is at /api/v1/slots/{slot}"
            );
            self.raise(&BLOCK_NOT_PUBLISHED, slot, message);
        }
        if let Err(failure) = self.journal.close(&closed).await {
            warn!(%slot, %block_hash, error = %failure, "fate not in the journal");
        }
        self.spine.publish(Event::SubmissionClosed(closed));
    }
}

fn journaled(labels: &RawLabels) -> JournaledLabels {
    // Visible characters, or they would not have been read as a content type and a fork.
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_owned();
    JournaledLabels {
        content_type: text(&labels.content_type),
        consensus_version: labels.consensus_version.as_ref().map(text),
    }
}

/// The block's fate and the client's answer, if a relay's answer is a success.
fn what_the_client_gets(outcome: SubmitOutcome) -> Option<(Fate, Revealed)> {
    match outcome {
        SubmitOutcome::Delivered(payload) => Some((Fate::Delivered, Revealed::Payload(payload))),
        SubmitOutcome::Unchecked(raw) => Some((Fate::Delivered, Revealed::Unchecked(raw.into()))),
        SubmitOutcome::Accepted { .. } => Some((Fate::Accepted, Revealed::Accepted)),
        SubmitOutcome::Mismatched(_) | SubmitOutcome::Failed(_) => None,
    }
}
