//! What the outcome of a header request says about the relay that caused it.

use super::{FaultClass, Pulse};
use crate::{events::Outcome, types::UnixMillis};

/// One thing a relay did in an auction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// How the call ended.
    pub outcome: Outcome,
    /// HTTP status, where there was one.
    pub http_status: Option<u16>,
    /// In words, for the reason of what follows from it.
    pub message: String,
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
        // What became of a signed block is judged by its record, not by one answer.
        Outcome::Accepted
        | Outcome::PayloadDelivered
        | Outcome::PayloadUnchecked
        | Outcome::PayloadWithheld
        | Outcome::PayloadMismatched
        | Outcome::NotOnChain
        | Outcome::PaidLess
        | Outcome::PaidAsPromised => None,
        // Our doing, not the relay's.
        Outcome::NotAsked | Outcome::Late | Outcome::RateLimited => None,
        // The blob schedule known here may be out of date, and two relays may be wrong together.
        Outcome::TooManyBlobs | Outcome::WrongPrevRandao => None,
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
        | Outcome::TooManyBlobs
        | Outcome::WrongPrevRandao
        | Outcome::PayloadWithheld
        | Outcome::PayloadMismatched
        | Outcome::NotOnChain
        | Outcome::PaidLess
        | Outcome::PaidAsPromised => Pulse::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
