//! What an outcome says about the relay that caused it.

use super::{FaultClass, Pulse};
use crate::{consensus::UnixMillis, events::Outcome, types::Wei};

/// One thing a relay did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// How the call ended.
    pub outcome: Outcome,
    /// HTTP status, where there was one.
    pub http_status: Option<u16>,
    /// What was at stake: the bid's value, or nothing.
    pub value: Wei,
    /// In words, for the reason of what follows from it.
    pub detail: String,
    /// When.
    pub at: UnixMillis,
}

/// What a observation says about one class: which, and whether it is good.
pub(super) fn class_of(outcome: Outcome) -> Option<(FaultClass, bool)> {
    match outcome {
        Outcome::Bid | Outcome::BelowMinBid | Outcome::Excluded | Outcome::BelowLocal => {
            Some((FaultClass::Bids, true))
        }
        Outcome::NoBid => Some((FaultClass::Answers, true)),
        Outcome::TimedOut
        | Outcome::Connect
        | Outcome::Transport
        | Outcome::HttpStatus
        | Outcome::Redirect
        | Outcome::TooLarge
        | Outcome::ContentType
        | Outcome::Undecodable => Some((FaultClass::Answers, false)),
        Outcome::WrongFork
        | Outcome::WrongPubkey
        | Outcome::WrongParent
        | Outcome::WrongTimestamp
        | Outcome::WrongGasLimit
        | Outcome::WrongSignature
        | Outcome::ZeroValue
        | Outcome::EmptyTransactions
        | Outcome::ZeroBlockHash => Some((FaultClass::Bids, false)),
        Outcome::Accepted | Outcome::PayloadDelivered => Some((FaultClass::Reveals, true)),
        Outcome::PayloadWithheld | Outcome::PayloadMismatched | Outcome::NotOnChain => {
            Some((FaultClass::Reveals, false))
        }
        Outcome::PaidLess => Some((FaultClass::Payments, false)),
        Outcome::PaidAsPromised => Some((FaultClass::Payments, true)),
        // Our doing, not the relay's; or nothing that we can judge.
        Outcome::NotAsked | Outcome::Late | Outcome::RateLimited | Outcome::PayloadUnchecked => None,
    }
}

/// What an outcome says about a relay's being there. A relay whose every bid is wrong is as good as away; a 4xx other than 429 is an
/// answer ("proposer not registered"), and a 404 or 400 to one proposer says nothing about the next.
pub fn pulse_of(outcome: Outcome, http_status: Option<u16>) -> Pulse {
    match outcome {
        Outcome::Bid
        | Outcome::NoBid
        | Outcome::BelowMinBid
        | Outcome::Excluded
        | Outcome::BelowLocal
        | Outcome::Accepted
        | Outcome::PayloadDelivered
        | Outcome::PayloadUnchecked => Pulse::Alive,
        Outcome::HttpStatus => match http_status {
            Some(429 | 500..) | None => Pulse::Failed,
            Some(_) => Pulse::Unknown,
        },
        Outcome::TimedOut
        | Outcome::Connect
        | Outcome::Transport
        | Outcome::Redirect
        | Outcome::TooLarge
        | Outcome::ContentType
        | Outcome::Undecodable
        | Outcome::WrongFork
        | Outcome::WrongPubkey
        | Outcome::WrongParent
        | Outcome::WrongTimestamp
        | Outcome::WrongGasLimit
        | Outcome::WrongSignature
        | Outcome::ZeroValue
        | Outcome::EmptyTransactions
        | Outcome::ZeroBlockHash => Pulse::Failed,
        Outcome::NotAsked
        | Outcome::Late
        | Outcome::RateLimited
        | Outcome::PayloadWithheld
        | Outcome::PayloadMismatched
        | Outcome::NotOnChain
        | Outcome::PaidLess
        | Outcome::PaidAsPromised => Pulse::Unknown,
    }
}

/// A relay's answer to a submission and all that decides whether it is to blame.
#[derive(Clone, Copy, Debug)]
pub struct RevealCase<'a> {
    /// How the call ended.
    pub outcome: Outcome,
    /// HTTP status, where there was one.
    pub http_status: Option<u16>,
    /// The relay's words.
    pub detail: &'a str,
    /// Whether it had offered the block.
    pub had_offered: bool,
    /// Whether any relay revealed the block.
    pub was_revealed: bool,
    /// How far into the slot the signed block came, in milliseconds.
    pub ms_into_slot: i64,
}

/// Relays refuse blocks that come too late: mev-boost-relay and Helix at 4 s. A second before that, it is nobody's fault but ours.
const LATE_REVEAL_MS: i64 = 3000;

/// What a relay's answer to a submission amounts to: revealed, withheld, mismatched, or nothing that can be held against it.
pub fn judge_reveal(case: &RevealCase<'_>) -> Option<Outcome> {
    match case.outcome {
        Outcome::PayloadDelivered => return Some(case.outcome),
        // Its word alone: worth something only from a relay that can have the block. A maintenance page says 200, too.
        Outcome::Accepted => return case.had_offered.then_some(Outcome::Accepted),
        Outcome::PayloadUnchecked => return None,
        Outcome::PayloadMismatched => return case.had_offered.then_some(Outcome::PayloadMismatched),
        _ => {}
    }
    // Who did not offer the block rightly knows nothing of it; who gets it late may rightly refuse.
    if !case.had_offered || case.ms_into_slot > LATE_REVEAL_MS || case.outcome == Outcome::RateLimited {
        return None;
    }
    // Not to be reached is a matter of being there, and may be our own line.
    if case.outcome == Outcome::Connect {
        return Some(Outcome::Connect);
    }
    if !case.was_revealed {
        return Some(Outcome::PayloadWithheld);
    }
    // Another relay revealed it, so the slot is safe. A refusal in so many words is withholding all the same; a broken line, or
    // "already delivered", is not.
    let refuses = matches!(case.http_status, Some(400..=499)) && case.http_status != Some(429);
    let already = case.detail.to_ascii_lowercase().contains("already");
    (refuses && !already).then_some(Outcome::PayloadWithheld)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_offered_the_block_in_time_can_withhold_it() {
        let case = RevealCase {
            outcome: Outcome::HttpStatus,
            http_status: Some(400),
            detail: "no execution payload",
            had_offered: true,
            was_revealed: false,
            ms_into_slot: 500,
        };
        let withheld = Some(Outcome::PayloadWithheld);
        for (name, case, want) in [
            ("refuses, nobody reveals", case, withheld),
            ("refuses, another reveals", RevealCase { was_revealed: true, ..case }, withheld),
            ("did not offer it", RevealCase { had_offered: false, ..case }, None),
            ("the block came late", RevealCase { ms_into_slot: 3500, ..case }, None),
            ("the block came early", RevealCase { ms_into_slot: -200, ..case }, withheld),
            (
                "hangs, nobody reveals",
                RevealCase { outcome: Outcome::TimedOut, http_status: None, ..case },
                withheld,
            ),
            (
                "hangs, another reveals",
                RevealCase { outcome: Outcome::TimedOut, http_status: None, was_revealed: true, ..case },
                None,
            ),
            (
                "cannot be reached",
                RevealCase { outcome: Outcome::Connect, http_status: None, ..case },
                Some(Outcome::Connect),
            ),
            ("5xx, another reveals", RevealCase { http_status: Some(503), was_revealed: true, ..case }, None),
            ("429, another reveals", RevealCase { http_status: Some(429), was_revealed: true, ..case }, None),
            (
                "says it was delivered, and it was",
                RevealCase {
                    detail: "payload for this slot was already delivered",
                    was_revealed: true,
                    ..case
                },
                None,
            ),
            (
                "says it was delivered, and it was not",
                RevealCase { detail: "payload for this slot was already delivered", ..case },
                withheld,
            ),
            (
                "reveals another payload",
                RevealCase { outcome: Outcome::PayloadMismatched, was_revealed: true, ..case },
                Some(Outcome::PayloadMismatched),
            ),
            (
                "shows the payload of what it never offered",
                RevealCase { outcome: Outcome::PayloadDelivered, had_offered: false, ..case },
                Some(Outcome::PayloadDelivered),
            ),
            (
                "says that it took what it never offered",
                RevealCase { outcome: Outcome::Accepted, had_offered: false, ..case },
                None,
            ),
            (
                "says that it took what it offered",
                RevealCase { outcome: Outcome::Accepted, ..case },
                Some(Outcome::Accepted),
            ),
        ] {
            assert_eq!(judge_reveal(&case), want, "{name}");
        }
    }

    #[test]
    fn a_refusal_of_one_proposer_is_no_sign_of_death() {
        for (outcome, status, pulse) in [
            (Outcome::HttpStatus, Some(400), Pulse::Unknown),
            (Outcome::HttpStatus, Some(404), Pulse::Unknown),
            (Outcome::HttpStatus, Some(429), Pulse::Failed),
            (Outcome::HttpStatus, Some(503), Pulse::Failed),
            (Outcome::NoBid, Some(204), Pulse::Alive),
            (Outcome::WrongSignature, Some(200), Pulse::Failed),
            (Outcome::Late, None, Pulse::Unknown),
        ] {
            assert_eq!(pulse_of(outcome, status), pulse, "{outcome} {status:?}");
        }
    }
}
