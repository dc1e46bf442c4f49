//! The one rule for what a relay did with a block: from the block's record to verdicts, each with its reason. Pure.
//!
//! Three questions are asked of everybody who offered the block, in this order. **Did anything else go wrong?** A block that came late, that
//! its proposer did not sign, whose slot another block took, or that was reorganised away, is held against nobody. **What does the chain
//! say?** It outweighs lost and unclear answers: what is on chain may have come from whoever offered it, whatever became of the reply. It does not
//! outweigh a refusal in so many words of what another relay revealed: that block landed in spite of the one that refused it. **What did the relay say itself?** A
//! refusal in so many words is evidence; silence and broken lines alone are not, and convict only together with a chain that lacks
//! the block for good and a line of ours that is known to have worked.
//!
//! Until the chain is final a verdict is provisional, and is given anew whenever something is found out: what no longer follows from the
//! record is taken back by whoever keeps the books.

use super::case::{AnswerKind, BlockRecord, ChainSight, Promise, RevealAnswer};
use crate::{
    events::{BlockSignature, Conduct, Confidence, Evidence, Method, Ruling, SlotOutcome, Stage},
    types::{RelayId, UnixMillis, Wei},
};

/// Relays refuse blocks that come too late: mev-boost-relay and Helix at 4 s. A second before that, by our clock, it is nobody's fault but ours.
const LATE_MS: i64 = 3000;
/// A relay that says that we were late goes by its own clock. So far before its limit it would take a clock that is wrong by seconds.
const LATE_BY_ANOTHER_CLOCK_MS: i64 = 1500;
/// Shorter silence than this proves nothing: the relay hardly had time to answer. Arbitrary: several round trips around the world.
const MIN_WAIT_MS: i64 = 1000;
/// How long verdicts wait for the block's signature to be checked. It takes milliseconds; beyond, it counts as unknown.
const SIGNATURE_WAIT_MS: i64 = 5000;

/// What one relay is found to have done with one block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The relay that is judged.
    pub relay: RelayId,
    /// What it did with the block, good or bad.
    pub conduct: Conduct,
    /// Whether the chain may still say otherwise.
    pub stage: Stage,
    /// How that was found out, and how sure it is.
    pub evidence: Evidence,
    /// What was at stake: what the relay promised.
    pub value: Wei,
    /// Why, for people.
    pub reason: String,
}

impl Verdict {
    /// What follows from it; `None` where it is to the relay's credit.
    pub fn ruling(&self) -> Option<Ruling> {
        let convicts = self.evidence.confidence.convicts();
        self.conduct.is_offence().then_some(if convicts { Ruling::Guilty } else { Ruling::Suspected })
    }
}

/// What follows from a record: at most one offence of each relay that offered the block, and what is to its credit.
pub fn judge(record: &BlockRecord, now: UnixMillis) -> Vec<Verdict> {
    let mut verdicts = Vec::new();
    let awaits_signature = record.signature == BlockSignature::Pending
        && record.received.is_some_and(|received| now < received.at.saturating_add(SIGNATURE_WAIT_MS));
    let is_garbage = record.signature == BlockSignature::Invalid || record.is_undecoded;
    for (relay, promise) in &record.promises {
        let case = Case { record, relay, promise, answer: record.answers.get(relay) };
        if let Some(sight) = record.chain.filter(|sight| sight.outcome == SlotOutcome::Ours) {
            verdicts.extend(case.on_chain(sight));
            verdicts.extend(case.payment(sight));
        } else if !awaits_signature && !is_garbage {
            verdicts.extend(case.not_on_chain());
        }
    }
    verdicts
}

/// One relay and one block that it offered.
struct Case<'a> {
    record: &'a BlockRecord,
    relay: &'a RelayId,
    promise: &'a Promise,
    answer: Option<&'a RevealAnswer>,
}

impl Case<'_> {
    /// The block is on chain: nobody withheld it. To the credit of who says that it revealed it, or must have.
    fn on_chain(&self, sight: ChainSight) -> Option<Verdict> {
        let kind = self.answer.map(|answer| answer.kind);
        let stage = if sight.is_final { Stage::Final } else { Stage::Provisional };
        match kind {
            // Its own doing, whoever else put the block on chain: what the client got could not be proposed.
            Some(AnswerKind::Mismatched) => self.mismatched(),
            Some(AnswerKind::Revealed) => Some(self.verdict(
                Conduct::Revealed,
                stage,
                Method::Chain,
                Confidence::High,
                "revealed it".to_owned(),
            )),
            // Its answer was lost, and nobody else can have had the block.
            Some(AnswerKind::Unreached) if self.record.promises.len() == 1 && !self.record.is_revealed() => {
                let reason = "revealed it, although its answer was lost".to_owned();
                Some(self.verdict(Conduct::Revealed, stage, Method::Chain, Confidence::Medium, reason))
            }
            Some(AnswerKind::Refused | AnswerKind::DoubtsSignature) => self.refused_what_landed(stage),
            // Lost, unclear, "already delivered" and "too late": the block is there, and nothing says that it is so in spite of this relay.
            Some(
                AnswerKind::Unreached
                | AnswerKind::Unclear
                | AnswerKind::AlreadyDelivered
                | AnswerKind::CalledLate
                | AnswerKind::NotSent,
            )
            | None => None,
        }
    }

    /// The block is on chain, and this relay refused it in so many words. Where another that offered it says that it revealed it, the chain has
    /// the block in spite of the refusal, and the refusal stands. Else the chain says more than the answer: somebody published it.
    fn refused_what_landed(&self, stage: Stage) -> Option<Verdict> {
        let (record, answer) = (self.record, self.answer?);
        let doubts_in_vain =
            answer.kind == AnswerKind::DoubtsSignature && record.signature == BlockSignature::Valid;
        let is_refusal = answer.kind == AnswerKind::Refused || doubts_in_vain;
        let is_garbage = record.signature == BlockSignature::Invalid || record.is_undecoded;
        let is_late = answer.sent_ms_into_slot > LATE_MS;
        if !is_refusal || is_garbage || is_late || !record.is_revealed_by_offerer() {
            return None;
        }
        let reason = format!("offered it and refused it, another revealed it: {}", answer.message);
        Some(self.verdict(Conduct::Withheld, stage, Method::Answers, self.weight_of_refusal(), reason))
    }

    /// What the block paid, against what this relay itself signed. Nobody answers for another's promise, nor for one that was never verified.
    fn payment(&self, sight: ChainSight) -> Option<Verdict> {
        let payment = self.record.payment?;
        let promised = self.promise.value.filter(|_| self.promise.verified)?;
        if !payment.evidence.confidence.convicts() {
            return None;
        }
        let Evidence { method, confidence } = payment.evidence;
        let reason = format!(
            "promised {} ETH, paid {} ETH, seen by {method}",
            promised.to_eth(),
            payment.received.to_eth()
        );
        match (payment.received < promised, sight.is_final) {
            (true, is_final) => {
                let stage = if is_final { Stage::Final } else { Stage::Provisional };
                Some(self.verdict(Conduct::PaidLess, stage, method, confidence, reason))
            }
            (false, true) => {
                Some(self.verdict(Conduct::PaidAsPromised, Stage::Final, method, confidence, reason))
            }
            (false, false) => None,
        }
    }

    /// The block is not on chain, or nobody looked.
    fn not_on_chain(&self) -> Option<Verdict> {
        let answer = self.answer?;
        if answer.kind == AnswerKind::Mismatched {
            return self.mismatched();
        }
        let lacks = match self.record.chain {
            None => None,
            // Where nobody looked in time it may have been there: that is no lack for good.
            Some(sight) if sight.outcome == SlotOutcome::NotDelivered && !sight.has_other_block => {
                Some(sight.is_final && sight.absence.convicts())
            }
            // Reorganised away, or the proposer signed another block: no relay can do anything about it.
            Some(_) => return None,
        };
        if answer.kind == AnswerKind::Revealed {
            return match lacks {
                None => {
                    let reason = "revealed it".to_owned();
                    Some(self.verdict(
                        Conduct::Revealed,
                        Stage::Provisional,
                        Method::Answers,
                        Confidence::Medium,
                        reason,
                    ))
                }
                Some(for_good) => self.swallowed(answer, for_good),
            };
        }
        self.withheld(answer, lacks)
    }

    /// It said that it took the block, and the chain lacks it.
    fn swallowed(&self, answer: &RevealAnswer, for_good: bool) -> Option<Verdict> {
        if answer.sent_ms_into_slot > LATE_MS {
            return None;
        }
        let confidence = match (for_good, self.record.signature) {
            (false, _) => Confidence::Low,
            (true, BlockSignature::Valid) => Confidence::High,
            // The relay's own word is that the block was good.
            (true, BlockSignature::Unknown | BlockSignature::Pending | BlockSignature::Invalid) => {
                Confidence::Medium
            }
        };
        let stage = self.stage();
        let reason = format!("took it {} ms into the slot, and it is not on chain", answer.sent_ms_into_slot);
        Some(self.verdict(Conduct::NotOnChain, stage, Method::Chain, confidence, reason))
    }

    /// Whether the chain may still say otherwise.
    fn stage(&self) -> Stage {
        let is_final = self.record.chain.is_some_and(|sight| sight.is_final);
        if is_final { Stage::Final } else { Stage::Provisional }
    }

    /// It did not reveal the block. `lacks` says whether the chain lacks it, and whether for good.
    fn withheld(&self, answer: &RevealAnswer, lacks: Option<bool>) -> Option<Verdict> {
        let limit = match answer.kind {
            AnswerKind::CalledLate => LATE_BY_ANOTHER_CLOCK_MS,
            _ => LATE_MS,
        };
        if answer.sent_ms_into_slot > limit {
            return None;
        }
        let confidence = match answer.kind {
            AnswerKind::Revealed | AnswerKind::Mismatched | AnswerKind::NotSent => return None,
            // "Already delivered" is true if anybody revealed it; if the chain lacks it, it is not.
            AnswerKind::AlreadyDelivered if self.record.is_revealed() || lacks != Some(true) => return None,
            // The block was in time for another that offered it, so no slot was lost: a clock that differs is no offence.
            AnswerKind::CalledLate if self.record.is_revealed_by_offerer() && lacks != Some(true) => {
                return None;
            }
            AnswerKind::DoubtsSignature if self.record.signature != BlockSignature::Valid => Confidence::Low,
            AnswerKind::AlreadyDelivered
            | AnswerKind::DoubtsSignature
            | AnswerKind::CalledLate
            | AnswerKind::Refused => self.weight_of_refusal(),
            AnswerKind::Unclear | AnswerKind::Unreached => self.weight_of_silence(answer, lacks)?,
        };
        let method = match lacks {
            Some(true) => Method::Chain,
            Some(false) | None => Method::Answers,
        };
        let stage = self.stage();
        let and = if lacks == Some(true) { ", and it is not on chain" } else { "" };
        let reason = format!("offered it and did not reveal it: {}{and}", answer.message);
        Some(self.verdict(Conduct::Withheld, stage, method, confidence, reason))
    }

    /// How much a refusal in so many words proves. Where several offered the block, all that answered refuse, and its signature could not be checked, it
    /// is more likely that something is wrong with the block than with all of them.
    fn weight_of_refusal(&self) -> Confidence {
        let record = self.record;
        match record.signature {
            BlockSignature::Valid if record.chain.is_some_and(|sight| sight.is_final) => Confidence::High,
            BlockSignature::Valid => Confidence::Medium,
            BlockSignature::Unknown | BlockSignature::Pending | BlockSignature::Invalid => {
                if record.promises.len() == 1 || record.is_revealed() {
                    Confidence::Medium
                } else {
                    Confidence::Low
                }
            }
        }
    }

    /// How much silence, a broken line or a server error proves: alone, that the relay is best left alone for a while. Together with a chain
    /// that lacks the block for good, that it had the block and kept it. Nothing, where our own line did not work, where we did not wait, or
    /// where somebody else revealed it.
    fn weight_of_silence(&self, answer: &RevealAnswer, lacks: Option<bool>) -> Option<Confidence> {
        let record = self.record;
        let gave_up_early = answer.kind == AnswerKind::Unreached && answer.waited_ms < MIN_WAIT_MS;
        if !record.line_worked(self.relay) || gave_up_early || (record.is_revealed() && lacks.is_none()) {
            return None;
        }
        // A block that its proposer may not have signed is no proof, whatever the chain lacks.
        let is_signed = record.signature == BlockSignature::Valid;
        Some(if lacks == Some(true) && is_signed { Confidence::Medium } else { Confidence::Low })
    }

    fn mismatched(&self) -> Option<Verdict> {
        let message = self.answer.map_or("", |answer| answer.message.as_str());
        let reason = format!("revealed another payload: {message}");
        Some(self.verdict(Conduct::Mismatched, Stage::Final, Method::Answers, Confidence::High, reason))
    }

    fn verdict(
        &self,
        conduct: Conduct,
        stage: Stage,
        method: Method,
        confidence: Confidence,
        reason: String,
    ) -> Verdict {
        let value = self.record.value_of(self.relay);
        let reason = format!("slot {}, block of {} ETH: {reason}", self.record.slot, value.to_eth());
        let evidence = Evidence { method, confidence };
        Verdict { relay: self.relay.clone(), conduct, stage, evidence, value, reason }
    }
}

#[cfg(test)]
#[path = "judge_tests.rs"]
mod tests;
