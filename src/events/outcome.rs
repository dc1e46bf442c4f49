//! Every way a call to a relay can end, by what was asked of it. Whoever judges relays matches on all of them: there is no "other".
//!
//! A failed call is the same whatever was asked ([`CallFault`]). What an answer can be is not: a header is a bid or none
//! ([`BidOutcome`]), a signed block is revealed or not ([`RevealOutcome`]), registrations are taken or not ([`RegistrationOutcome`]).
//! What a block pays in the end is [`Conduct`](super::Conduct).

use crate::types::labelled;

labelled! {
    /// Why a call brought no answer that could be read.
    pub enum CallFault {
        /// No whole answer within the time there was.
        TimedOut = "timed_out",
        /// Our own limit: of calls, then nothing was sent, or of large bids that wait to be decoded.
        RateLimited = "rate_limited",
        /// No connection: refused, no route, no name, TLS failure.
        Connect = "connect",
        /// The connection broke, or what came was not HTTP.
        Transport = "transport",
        /// An HTTP status that is no success.
        HttpStatus = "http_status",
        /// A redirect, which is never followed.
        Redirect = "redirect",
        /// A body above the cap.
        TooLarge = "too_large",
        /// Neither JSON nor SSZ.
        ContentType = "content_type",
        /// A body that does not decode.
        Undecodable = "undecodable",
        /// Another fork than the slot's.
        WrongFork = "wrong_fork",
    }
}

labelled! {
    /// What is wrong with a bid.
    pub enum BidFlaw {
        /// Signed by another key than the relay's.
        WrongPubkey = "wrong_pubkey",
        /// A bid on another block.
        WrongParent = "wrong_parent",
        /// A bid for another time.
        WrongTimestamp = "wrong_timestamp",
        /// A bid that ignores the registered gas limit.
        WrongGasLimit = "wrong_gas_limit",
        /// A bid with more blobs than the blob schedule allows, as far as it is known here.
        TooManyBlobs = "too_many_blobs",
        /// A bid with other randomness than the beacon node says, or than the other relays agree on.
        WrongPrevRandao = "wrong_prev_randao",
        /// A bid with other withdrawals than the beacon node says.
        WrongWithdrawals = "wrong_withdrawals",
        /// A bid that its relay did not sign.
        WrongSignature = "wrong_signature",
        /// A bid of nothing.
        ZeroValue = "zero_value",
        /// A block that pays nobody.
        EmptyTransactions = "empty_transactions",
        /// No block.
        ZeroBlockHash = "zero_block_hash",
    }
}

labelled! {
    /// How asking a relay for a header ended.
    pub enum BidOutcome {
        /// A usable bid.
        Bid = "bid",
        /// 204: an honest "nothing".
        NoBid = "no_bid",
        /// A bid below the operator's minimum.
        BelowMinBid = "below_min_bid",
        /// A bid that the operator's weights exclude.
        Excluded = "excluded",
        /// A bid that does not exceed the local block by as much as the operator wants.
        BelowLocal = "below_local",
        /// Not asked: its mode did not allow it.
        NotAsked = "not_asked",
        /// Not waited for: the auction was decided early without it.
        Late = "late",
    }
    or {
        /// No answer that could be read.
        Failed(CallFault),
        /// A bid that cannot be used for what it is.
        Flawed(BidFlaw),
    }
}

labelled! {
    /// How handing a signed block to a relay ended.
    pub enum RevealOutcome {
        /// v2: took the block to publish it.
        Accepted = "accepted",
        /// v1: the payload that was signed for.
        PayloadDelivered = "payload_delivered",
        /// v1: something for a block that our decoder refuses, so that nothing could be compared.
        PayloadUnchecked = "payload_unchecked",
        /// v1: another payload than the one signed for.
        PayloadMismatched = "payload_mismatched",
    }
    or {
        /// No answer that could be read.
        Failed(CallFault),
    }
}

labelled! {
    /// How handing registrations to a relay ended.
    pub enum RegistrationOutcome {
        /// Took them all.
        Accepted = "accepted",
    }
    or {
        /// No answer that could be read, or a refusal.
        Failed(CallFault),
    }
}

impl RevealOutcome {
    /// Whether the relay's answer revealed the block.
    pub const fn reveals(self) -> bool {
        match self {
            Self::Accepted | Self::PayloadDelivered => true,
            Self::PayloadUnchecked | Self::PayloadMismatched | Self::Failed(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_end_of_a_call_has_a_name_of_its_own() {
        let headers: BTreeSet<_> = BidOutcome::all().map(BidOutcome::label).collect();
        assert_eq!(headers.len(), BidOutcome::all().count());
        let reveals: BTreeSet<_> = RevealOutcome::all().map(RevealOutcome::label).collect();
        assert_eq!(reveals.len(), RevealOutcome::all().count());
        for outcome in BidOutcome::all() {
            assert_eq!(BidOutcome::parse(outcome.label()), Some(outcome));
        }
    }
}
