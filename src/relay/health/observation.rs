//! What the outcome of a header request says about the relay that caused it.

use super::FaultClass;
use crate::{
    breaker::Pulse,
    events::{BidFlaw, BidOutcome, CallFault},
    types::UnixMillis,
};

/// One thing a relay did in an auction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Observation {
    /// How the call ended: a usable bid, none, a wrong one, or a failure.
    pub outcome: BidOutcome,
    /// HTTP status, where there was one.
    pub http_status: Option<u16>,
    /// In words, for the reason of what follows from it.
    pub message: String,
    /// Whether a wrong bid is shown to be wrong by the beacon node and another relay, where its outcome alone proves nothing.
    pub is_corroborated: bool,
    /// When it was observed, Unix milliseconds: older observations weigh less.
    pub at: UnixMillis,
}

impl Observation {
    /// What it says about one class: which, and whether it is good.
    pub(super) fn class(&self) -> Option<(FaultClass, bool)> {
        if self.is_wrong_by_two() { Some((FaultClass::Bids, false)) } else { class_of(self.outcome) }
    }

    /// What it says about the relay's being there.
    pub(super) fn pulse(&self) -> Pulse {
        if self.is_wrong_by_two() { Pulse::Failed } else { pulse_of(self.outcome, self.http_status) }
    }

    /// Whether it is a wrong bid by the beacon node and by another relay.
    fn is_wrong_by_two(&self) -> bool {
        let depends = [BidFlaw::WrongPrevRandao, BidFlaw::WrongWithdrawals].map(BidOutcome::Flawed);
        self.is_corroborated && depends.contains(&self.outcome)
    }
}

fn class_of(outcome: BidOutcome) -> Option<(FaultClass, bool)> {
    match outcome {
        BidOutcome::Bid | BidOutcome::BelowMinBid | BidOutcome::Excluded | BidOutcome::BelowLocal => {
            Some((FaultClass::Bids, true))
        }
        BidOutcome::NoBid => Some((FaultClass::Answers, true)),
        // Our doing, not the relay's.
        BidOutcome::NotAsked | BidOutcome::Late => None,
        BidOutcome::Failed(fault) => match fault {
            CallFault::TimedOut
            | CallFault::Connect
            | CallFault::Transport
            | CallFault::HttpStatus
            | CallFault::Redirect
            | CallFault::TooLarge
            | CallFault::ContentType
            | CallFault::Undecodable => Some((FaultClass::Answers, false)),
            CallFault::WrongFork => Some((FaultClass::Bids, false)),
            // Our doing, too.
            CallFault::RateLimited => None,
        },
        BidOutcome::Flawed(flaw) => match flaw {
            BidFlaw::WrongPubkey
            | BidFlaw::WrongParent
            | BidFlaw::WrongTimestamp
            | BidFlaw::WrongGasLimit
            | BidFlaw::WrongSignature
            | BidFlaw::ZeroValue
            | BidFlaw::EmptyTransactions
            | BidFlaw::ZeroBlockHash => Some((FaultClass::Bids, false)),
            // The blob schedule known here may be out of date, and two relays may be wrong together, or the beacon node.
            BidFlaw::TooManyBlobs | BidFlaw::WrongPrevRandao | BidFlaw::WrongWithdrawals => None,
        },
    }
}

/// What an outcome says about a relay's being there. A relay whose every bid is wrong is as good as away; a 4xx other than 429 is an
/// answer ("proposer not registered"), and a 404 or 400 to one proposer says nothing about the next.
pub fn pulse_of(outcome: BidOutcome, http_status: Option<u16>) -> Pulse {
    match outcome {
        BidOutcome::Bid
        | BidOutcome::NoBid
        | BidOutcome::BelowMinBid
        | BidOutcome::Excluded
        | BidOutcome::BelowLocal => Pulse::Alive,
        BidOutcome::NotAsked | BidOutcome::Late => Pulse::Unknown,
        BidOutcome::Failed(fault) => match fault {
            CallFault::HttpStatus => match http_status {
                Some(429 | 500..) | None => Pulse::Failed,
                Some(_) => Pulse::Unknown,
            },
            CallFault::TimedOut
            | CallFault::Connect
            | CallFault::Transport
            | CallFault::Redirect
            | CallFault::TooLarge
            | CallFault::ContentType
            | CallFault::Undecodable
            | CallFault::WrongFork => Pulse::Failed,
            CallFault::RateLimited => Pulse::Unknown,
        },
        BidOutcome::Flawed(flaw) => match flaw {
            BidFlaw::WrongPubkey
            | BidFlaw::WrongParent
            | BidFlaw::WrongTimestamp
            | BidFlaw::WrongGasLimit
            | BidFlaw::WrongSignature
            | BidFlaw::ZeroValue
            | BidFlaw::EmptyTransactions
            | BidFlaw::ZeroBlockHash => Pulse::Failed,
            BidFlaw::TooManyBlobs | BidFlaw::WrongPrevRandao | BidFlaw::WrongWithdrawals => Pulse::Unknown,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_payload_is_held_against_a_relay_by_two_witnesses_only() {
        for outcome in BidOutcome::all() {
            let observation = |is_corroborated| {
                let message = String::new();
                Observation { outcome, http_status: None, message, is_corroborated, at: 0 }
            };
            let [alone, by_two] = [observation(false), observation(true)];
            if ["wrong_prev_randao", "wrong_withdrawals"].contains(&outcome.label()) {
                assert_eq!((alone.class(), alone.pulse()), (None, Pulse::Unknown), "{outcome}");
                let found = (by_two.class(), by_two.pulse());
                assert_eq!(found, (Some((FaultClass::Bids, false)), Pulse::Failed), "{outcome}");
            } else {
                assert_eq!((alone.class(), alone.pulse()), (by_two.class(), by_two.pulse()), "{outcome}");
            }
        }
    }

    #[test]
    fn a_refusal_of_one_proposer_is_no_sign_of_death() {
        for (outcome, status, pulse) in [
            (BidOutcome::Failed(CallFault::HttpStatus), Some(400), Pulse::Unknown),
            (BidOutcome::Failed(CallFault::HttpStatus), Some(404), Pulse::Unknown),
            (BidOutcome::Failed(CallFault::HttpStatus), Some(429), Pulse::Failed),
            (BidOutcome::Failed(CallFault::HttpStatus), Some(503), Pulse::Failed),
            (BidOutcome::NoBid, Some(204), Pulse::Alive),
            (BidOutcome::Flawed(BidFlaw::WrongSignature), Some(200), Pulse::Failed),
            (BidOutcome::Late, None, Pulse::Unknown),
        ] {
            assert_eq!(pulse_of(outcome, status), pulse, "{outcome} {status:?}");
        }
    }
}
