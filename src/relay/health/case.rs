//! The record of one block: all that is known of who promised it, who was handed it, what they answered, and what the chain made of it.
//!
//! It is filled in as facts come, in whatever order they come, and kept over restarts. It judges nobody: [`judge`](super::judge) does.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use serde::{Deserialize, Serialize};

use crate::{
    events::{BlockSignature, CallFault, Confidence, Evidence, RevealOutcome, SlotOutcome},
    types::{RelayId, Slot, UnixMillis, Wei},
};

/// Longest message of a relay that is kept, in characters. Arbitrary: a sentence or two.
const MAX_MESSAGE: usize = 300;

/// What one relay promised.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Promise {
    /// What its own bid for the block was to pay; none where only the block is known.
    pub value: Option<Wei>,
    /// Whether that bid's signature was checked, and the relay's.
    pub verified: bool,
}

/// What a relay's answer to a signed block amounts to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AnswerKind {
    /// It took the block, or delivered the payload that was signed for.
    Revealed,
    /// It delivered another payload.
    Mismatched,
    /// It refused, as the block was delivered already.
    AlreadyDelivered,
    /// It refused, as the request came too late by its clock.
    CalledLate,
    /// It refused, and names the signature as the reason.
    DoubtsSignature,
    /// It refused in so many words.
    Refused,
    /// It answered something else: a server error, a maintenance page, garbage.
    Unclear,
    /// No answer came: no connection, a broken one, silence. The relay's doing, or our line's.
    Unreached,
    /// Nothing was sent to it.
    NotSent,
}

impl AnswerKind {
    /// Sorts an answer by how the call ended.
    pub fn of(outcome: RevealOutcome, http_status: Option<u16>, message: &str) -> Self {
        match outcome {
            RevealOutcome::Accepted | RevealOutcome::PayloadDelivered => Self::Revealed,
            RevealOutcome::PayloadMismatched => Self::Mismatched,
            // Of a block that does not decode: nothing was compared.
            RevealOutcome::PayloadUnchecked => Self::Unclear,
            RevealOutcome::Failed(fault) => match fault {
                CallFault::RateLimited => Self::NotSent,
                CallFault::TimedOut | CallFault::Connect | CallFault::Transport => Self::Unreached,
                CallFault::HttpStatus => Self::of_status(http_status, message),
                CallFault::Redirect
                | CallFault::TooLarge
                | CallFault::ContentType
                | CallFault::Undecodable
                | CallFault::WrongFork => Self::Unclear,
            },
        }
    }

    /// A 4xx is a refusal of this block, unless it is one of those that gateways, firewalls and missing routes give: they know nothing of
    /// blocks. "Failed to publish" (mev-boost-relay says so with a 400) is none either: the relay had the block and tried, and its beacon node
    /// may have refused it because another relay was faster.
    fn of_status(status: Option<u16>, message: &str) -> Self {
        let message = message.to_ascii_lowercase();
        let says = |what: &str| message.contains(what);
        match status {
            Some(401 | 403..=408 | 411..=417 | 421 | 425..=499) | None => Self::Unclear,
            Some(400..=499) if says("already") || says("duplicate") => Self::AlreadyDelivered,
            Some(400..=499) if says("publish") => Self::Unclear,
            Some(400..=499) if says("signature") => Self::DoubtsSignature,
            Some(400..=499) if says("too late") || says("called late") || says("in the past") => {
                Self::CalledLate
            }
            Some(400..=499) => Self::Refused,
            Some(_) => Self::Unclear,
        }
    }

    /// Whether it proves that our line reached somebody and back.
    pub fn proves_line(self) -> bool {
        match self {
            Self::Revealed
            | Self::Mismatched
            | Self::AlreadyDelivered
            | Self::CalledLate
            | Self::DoubtsSignature
            | Self::Refused
            | Self::Unclear => true,
            Self::Unreached | Self::NotSent => false,
        }
    }
}

/// One relay's answer to a signed block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RevealAnswer {
    /// What the answer proves for or against the relay.
    pub kind: AnswerKind,
    /// HTTP status, where there was one.
    pub http_status: Option<u16>,
    /// The answer for people, the relay's words included.
    pub message: String,
    /// When the block left for this relay, in milliseconds into the slot: the client's lateness and ours together.
    pub sent_ms_into_slot: i64,
    /// How long it had to answer, or took, in milliseconds.
    pub waited_ms: i64,
    /// When it was over, Unix milliseconds.
    pub at: UnixMillis,
}

/// When a signed block came to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Received {
    /// Unix milliseconds.
    pub at: UnixMillis,
    /// How far into the slot that was; negative before it.
    pub ms_into_slot: i64,
}

/// What the chain has of the block's slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainSight {
    /// Whether the promised block, another one or none is on chain.
    pub outcome: SlotOutcome,
    /// Whether the chain has another block in this slot.
    pub has_other_block: bool,
    /// Whether that is final.
    pub is_final: bool,
    /// Where the chain lacks the block: how sure it is that it never was there.
    #[serde(default = "sure")]
    pub absence: Confidence,
}

/// Records of versions that did not ask.
const fn sure() -> Confidence {
    Confidence::High
}

/// What the block paid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PaymentSight {
    /// Wei that reached the fee recipient for this block, as far as it is proven.
    pub received: Wei,
    /// How that was found, and how sure it is.
    pub evidence: Evidence,
}

/// All that is known of one block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlockRecord {
    /// The slot that the block is for.
    pub slot: Slot,
    /// Hash of the execution block; with the slot it names the record.
    pub block_hash: B256,
    /// When its header was given out, or else when the signed block came; Unix milliseconds.
    pub since: UnixMillis,
    /// What the header that was given out promised.
    #[serde(default)]
    pub value: Wei,
    /// Who offered it, and what each promised.
    #[serde(default)]
    pub promises: BTreeMap<RelayId, Promise>,
    /// When the signed block came; none while none did.
    #[serde(default)]
    pub received: Option<Received>,
    /// What is known of its signature.
    #[serde(default)]
    pub signature: BlockSignature,
    /// Whether it could not even be read here: then nobody knows whether a relay could.
    #[serde(default)]
    pub is_undecoded: bool,
    /// What each relay answered to it.
    #[serde(default)]
    pub answers: BTreeMap<RelayId, RevealAnswer>,
    /// What the chain has; none while nobody looked.
    #[serde(default)]
    pub chain: Option<ChainSight>,
    /// What it paid; none while that is not known.
    #[serde(default)]
    pub payment: Option<PaymentSight>,
}

impl BlockRecord {
    /// A record of a block of which nothing is known yet.
    pub fn new(slot: Slot, block_hash: B256, since: UnixMillis) -> Self {
        Self {
            slot,
            block_hash,
            since,
            value: Wei::ZERO,
            promises: BTreeMap::new(),
            received: None,
            signature: BlockSignature::Pending,
            is_undecoded: false,
            answers: BTreeMap::new(),
            chain: None,
            payment: None,
        }
    }

    /// A relay offered the block. What it signed counts more than what it merely said, and a higher promise more than a lower one.
    pub fn promised(&mut self, relay: &RelayId, value: Option<Wei>, verified: bool) {
        let promise = self.promises.entry(relay.clone()).or_default();
        if (verified, value) > (promise.verified, promise.value) {
            *promise = Promise { value, verified };
        }
    }

    /// A relay answered. A block may be handed in twice (v2, then v1; again after a crash): that it revealed counts, and else its first
    /// answer, as the second may be a refusal of what it has already done.
    pub fn answered(&mut self, relay: &RelayId, mut answer: RevealAnswer) {
        answer.message = answer.message.chars().take(MAX_MESSAGE).collect();
        let is_news = self.answers.get(relay).is_none_or(|before| {
            before.kind == AnswerKind::NotSent
                || (before.kind != AnswerKind::Revealed && answer.kind == AnswerKind::Revealed)
        });
        if is_news {
            self.answers.insert(relay.clone(), answer);
        }
    }

    /// What a relay promised to pay, as far as its bid is known; else what the returned header promised.
    pub fn value_of(&self, relay: &RelayId) -> Wei {
        self.promises.get(relay).and_then(|promise| promise.value).unwrap_or(self.value)
    }

    /// Whether some relay said that it revealed the block.
    pub fn is_revealed(&self) -> bool {
        self.answers.values().any(|answer| answer.kind == AnswerKind::Revealed)
    }

    /// Whether some relay that offered the block said that it revealed it.
    pub fn is_revealed_by_offerer(&self) -> bool {
        let offerers = self.answers.iter().filter(|(relay, _)| self.promises.contains_key(*relay));
        offerers.into_iter().any(|(_, answer)| answer.kind == AnswerKind::Revealed)
    }

    /// Whether our line worked while the block was handed in, apart from what `relay` itself makes of it: somebody else answered, and not
    /// fewer than were out of reach. Its own answer proves it, too.
    pub fn line_worked(&self, relay: &RelayId) -> bool {
        if self.answers.get(relay).is_some_and(|answer| answer.kind.proves_line()) {
            return true;
        }
        let others = self.answers.iter().filter(|(id, _)| *id != relay).map(|(_, answer)| answer.kind);
        let (reached, unreached) = others.fold((0, 0), |(reached, unreached), kind| match kind {
            AnswerKind::NotSent => (reached, unreached),
            kind if kind.proves_line() => (reached + 1, unreached),
            _ => (reached, unreached + 1),
        });
        reached > 0 && reached >= unreached
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_sorted_by_what_they_say_of_the_block() {
        use AnswerKind::{
            AlreadyDelivered, CalledLate, DoubtsSignature, Mismatched, NotSent, Refused, Revealed, Unclear,
            Unreached,
        };
        for (outcome, status, message, kind) in [
            (RevealOutcome::Accepted, Some(202), "", Revealed),
            (RevealOutcome::PayloadDelivered, Some(200), "", Revealed),
            (RevealOutcome::PayloadMismatched, Some(200), "", Mismatched),
            (
                RevealOutcome::Failed(CallFault::HttpStatus),
                Some(400),
                "HTTP 400: no execution payload for this request",
                Refused,
            ),
            (
                RevealOutcome::Failed(CallFault::HttpStatus),
                Some(400),
                "payload for this slot was already delivered",
                AlreadyDelivered,
            ),
            (RevealOutcome::Failed(CallFault::HttpStatus), Some(400), "duplicate block", AlreadyDelivered),
            (
                RevealOutcome::Failed(CallFault::HttpStatus),
                Some(400),
                "failed to publish block: block is already known",
                AlreadyDelivered,
            ),
            (RevealOutcome::Failed(CallFault::HttpStatus), Some(400), "failed to publish block", Unclear),
            (
                RevealOutcome::Failed(CallFault::HttpStatus),
                Some(400),
                "could not verify payload signature",
                DoubtsSignature,
            ),
            (RevealOutcome::Failed(CallFault::HttpStatus), Some(400), "sent too late into slot", CalledLate),
            (RevealOutcome::Failed(CallFault::HttpStatus), Some(422), "no", Refused),
            (RevealOutcome::Failed(CallFault::HttpStatus), Some(403), "blocked by the firewall", Unclear),
            (RevealOutcome::Failed(CallFault::HttpStatus), Some(404), "no such route", Unclear),
            (RevealOutcome::Failed(CallFault::HttpStatus), Some(429), "slow down", Unclear),
            (RevealOutcome::Failed(CallFault::HttpStatus), Some(500), "already broken", Unclear),
            (RevealOutcome::Failed(CallFault::Undecodable), None, "", Unclear),
            (RevealOutcome::Failed(CallFault::TimedOut), None, "", Unreached),
            (RevealOutcome::Failed(CallFault::Transport), None, "connection reset", Unreached),
            (RevealOutcome::Failed(CallFault::Connect), None, "", Unreached),
            (RevealOutcome::Failed(CallFault::RateLimited), None, "", NotSent),
        ] {
            assert_eq!(AnswerKind::of(outcome, status, message), kind, "{outcome} {status:?} {message}");
        }
    }

    #[test]
    fn a_record_survives_the_ledger() {
        let mut record = BlockRecord::new(Slot::new(9), B256::repeat_byte(1), 5);
        let relay = RelayId::parse("a").unwrap();
        record.promised(&relay, Some(Wei::parse_eth("0.05").unwrap()), true);
        record.received = Some(Received { at: 7, ms_into_slot: -3 });
        let json = serde_json::to_string(&record).unwrap();
        assert_eq!(serde_json::from_str::<BlockRecord>(&json).unwrap(), record);
        // What a later version adds, and an earlier one lacks, does no harm.
        let short =
            format!("{{\"slot\":9,\"block_hash\":\"{}\",\"since\":5,\"new\":1}}", B256::repeat_byte(1));
        let short: BlockRecord = serde_json::from_str(&short).unwrap();
        assert_eq!(short, BlockRecord::new(Slot::new(9), B256::repeat_byte(1), 5));
    }

    #[test]
    fn what_was_signed_counts_more_than_what_was_said() {
        let (relay, eth) = (RelayId::parse("a").unwrap(), |text: &str| Wei::parse_eth(text).ok());
        let mut record = BlockRecord::new(Slot::new(9), B256::ZERO, 0);
        record.promised(&relay, eth("3"), false);
        record.promised(&relay, eth("1"), true);
        record.promised(&relay, eth("2"), false);
        record.promised(&relay, None, false);
        assert_eq!(record.promises[&relay], Promise { value: eth("1"), verified: true });
    }
}
