//! Which relay's answer settles a submission: gives the client its answer and ends the other relays' repetitions. Pure.
//!
//! A payload that was compared with the signed header is proof, whoever sent it. A mere "I took it" is not: the maintenance page of a
//! relay that never had the block says 200, too. Such a word counts only from a relay that offered the block, as long as one is
//! known that did; where nobody is known to have (another sidecar served the header, or an earlier process did), all are asked as
//! strangers, and anybody's word counts.
//!
//! If every relay that offered the block fails for good and a bystander says that it took it, the submission has failed: under v2 the
//! client cannot publish the block itself, a bystander cannot either, and a slot that is lost must not look like one that is
//! not. The bystander's word stays in the record, and the chain will tell.

use crate::{events::SubmissionAnswer, relay::SubmitOutcome};

/// What one relay's answer is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Worth {
    /// A payload that is the one signed for.
    Proof,
    /// The relay says that it has the block; nothing shows it.
    Word,
    /// A refusal, a fault, or no answer.
    Nothing,
}

impl Worth {
    pub(super) fn of(outcome: &SubmitOutcome) -> Self {
        match outcome {
            SubmitOutcome::Delivered(_) | SubmitOutcome::Accepted { has_shown_payload: true, .. } => {
                Self::Proof
            }
            SubmitOutcome::Accepted { has_shown_payload: false, .. } | SubmitOutcome::Unchecked(_) => {
                Self::Word
            }
            SubmitOutcome::Mismatched(_) | SubmitOutcome::Failed(_) => Self::Nothing,
        }
    }
}

/// Whether an answer settles a submission: by what it is worth, whether its relay offered the block, and whether any relay that is
/// asked did.
pub(super) fn settles(worth: Worth, has_offered: bool, is_offerer_known: bool) -> bool {
    match worth {
        Worth::Proof => true,
        Worth::Word => has_offered || !is_offerer_known,
        Worth::Nothing => false,
    }
}

/// Why a success did not settle the submission, for the record.
pub(super) fn note_bystander(record: &mut SubmissionAnswer) {
    record.message.push_str("; not believed, as it never offered the block and others did");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::CallFailure;

    #[test]
    fn only_proof_or_an_offerers_word_settles_while_an_offerer_is_known() {
        for (name, worth, has_offered, is_offerer_known, want) in [
            ("offerer's word", Worth::Word, true, true, true),
            ("bystander's word", Worth::Word, false, true, false),
            ("anybody's word, nobody offered", Worth::Word, false, false, true),
            ("offerer's payload", Worth::Proof, true, true, true),
            ("bystander's payload", Worth::Proof, false, true, true),
            ("offerer's failure", Worth::Nothing, true, true, false),
            ("a stranger's failure", Worth::Nothing, false, false, false),
        ] {
            assert_eq!(settles(worth, has_offered, is_offerer_known), want, "{name}");
        }
    }

    #[test]
    fn a_status_that_v2_does_not_have_is_worth_nothing() {
        let failure = |status| SubmitOutcome::Failed(CallFailure::Status { status, message: String::new() });
        assert_eq!(Worth::of(&failure(204)), Worth::Nothing);
        assert_eq!(Worth::of(&failure(404)), Worth::Nothing);
        let accepted = |status| SubmitOutcome::Accepted { status, has_shown_payload: false };
        assert_eq!(Worth::of(&accepted(202)), Worth::Word);
        assert_eq!(Worth::of(&accepted(200)), Worth::Word);
        let by_v1 = SubmitOutcome::Accepted { status: 200, has_shown_payload: true };
        assert_eq!(Worth::of(&by_v1), Worth::Proof);
    }
}
