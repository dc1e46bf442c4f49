//! Every way a call to a relay can end, under one name each.

use std::fmt;

use serde::{Serialize, Serializer};

/// How a call to a relay ended. Whoever judges relays matches on all of it: there is no "other".
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// A usable bid.
    Bid,
    /// 204: an honest "nothing".
    NoBid,
    /// A bid below the operator's minimum.
    BelowMinBid,
    /// A bid that the operator's weights exclude.
    Excluded,
    /// A bid that does not exceed the local block by as much as the operator wants.
    BelowLocal,
    /// Not asked: its mode did not allow it.
    NotAsked,
    /// Not waited for: the auction was decided early without it.
    Late,
    /// No whole answer within the time there was.
    TimedOut,
    /// Our own limit of calls; nothing was sent.
    RateLimited,
    /// No connection: refused, no route, no name, TLS failure.
    Connect,
    /// The connection broke, or what came was not HTTP.
    Transport,
    /// An HTTP status that is no success.
    HttpStatus,
    /// A redirect, which is never followed.
    Redirect,
    /// A body above the cap.
    TooLarge,
    /// Neither JSON nor SSZ.
    ContentType,
    /// A body that does not decode.
    Undecodable,
    /// Another fork than the slot's.
    WrongFork,
    /// Signed by another key than the relay's.
    WrongPubkey,
    /// A bid on another block.
    WrongParent,
    /// A bid for another time.
    WrongTimestamp,
    /// A bid that ignores the registered gas limit.
    WrongGasLimit,
    /// A bid with more blobs than the blob schedule allows, as far as it is known here.
    TooManyBlobs,
    /// A bid with other randomness than the other relays agree on.
    WrongPrevRandao,
    /// A bid that its relay did not sign.
    WrongSignature,
    /// A bid of nothing.
    ZeroValue,
    /// A block that pays nobody.
    EmptyTransactions,
    /// No block.
    ZeroBlockHash,
    /// v2: took the block to publish it. Registrations: took them.
    Accepted,
    /// v1: the payload that was signed for.
    PayloadDelivered,
    /// v1: something for a block that our decoder refuses, so that nothing could be compared.
    PayloadUnchecked,
    /// Offered the block and did not reveal it.
    PayloadWithheld,
    /// v1: another payload than the one signed for.
    PayloadMismatched,
    /// Took the block, and it never came on chain.
    NotOnChain,
    /// Paid the proposer less than the bid promised.
    PaidLess,
    /// Paid what the bid promised.
    PaidAsPromised,
}

impl Outcome {
    /// Every one, for tests and tables.
    pub const ALL: [Self; 35] = [
        Self::Bid,
        Self::NoBid,
        Self::BelowMinBid,
        Self::Excluded,
        Self::BelowLocal,
        Self::NotAsked,
        Self::Late,
        Self::TimedOut,
        Self::RateLimited,
        Self::Connect,
        Self::Transport,
        Self::HttpStatus,
        Self::Redirect,
        Self::TooLarge,
        Self::ContentType,
        Self::Undecodable,
        Self::WrongFork,
        Self::WrongPubkey,
        Self::WrongParent,
        Self::WrongTimestamp,
        Self::WrongGasLimit,
        Self::TooManyBlobs,
        Self::WrongPrevRandao,
        Self::WrongSignature,
        Self::ZeroValue,
        Self::EmptyTransactions,
        Self::ZeroBlockHash,
        Self::Accepted,
        Self::PayloadDelivered,
        Self::PayloadUnchecked,
        Self::PayloadWithheld,
        Self::PayloadMismatched,
        Self::NotOnChain,
        Self::PaidLess,
        Self::PaidAsPromised,
    ];

    /// Its name in metrics, records and JSON.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Bid => "bid",
            Self::NoBid => "no_bid",
            Self::BelowMinBid => "below_min_bid",
            Self::Excluded => "excluded",
            Self::BelowLocal => "below_local",
            Self::NotAsked => "not_asked",
            Self::Late => "late",
            Self::TimedOut => "timed_out",
            Self::RateLimited => "rate_limited",
            Self::Connect => "connect",
            Self::Transport => "transport",
            Self::HttpStatus => "http_status",
            Self::Redirect => "redirect",
            Self::TooLarge => "too_large",
            Self::ContentType => "content_type",
            Self::Undecodable => "undecodable",
            Self::WrongFork => "wrong_fork",
            Self::WrongPubkey => "wrong_pubkey",
            Self::WrongParent => "wrong_parent",
            Self::WrongTimestamp => "wrong_timestamp",
            Self::WrongGasLimit => "wrong_gas_limit",
            Self::TooManyBlobs => "too_many_blobs",
            Self::WrongPrevRandao => "wrong_prev_randao",
            Self::WrongSignature => "wrong_signature",
            Self::ZeroValue => "zero_value",
            Self::EmptyTransactions => "empty_transactions",
            Self::ZeroBlockHash => "zero_block_hash",
            Self::Accepted => "accepted",
            Self::PayloadDelivered => "payload_delivered",
            Self::PayloadUnchecked => "payload_unchecked",
            Self::PayloadWithheld => "payload_withheld",
            Self::PayloadMismatched => "payload_mismatched",
            Self::NotOnChain => "not_on_chain",
            Self::PaidLess => "paid_less",
            Self::PaidAsPromised => "paid_as_promised",
        }
    }

    /// Whether a relay's answer to a submission revealed the block.
    pub const fn reveals(self) -> bool {
        matches!(self, Self::Accepted | Self::PayloadDelivered)
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl Serialize for Outcome {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_outcome_has_a_name_of_its_own() {
        let names: std::collections::BTreeSet<_> = Outcome::ALL.into_iter().map(Outcome::label).collect();
        assert_eq!(names.len(), Outcome::ALL.len());
    }
}
