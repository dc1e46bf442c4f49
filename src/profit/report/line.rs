//! One line of a report, and how its judgements are come by.

use std::collections::BTreeMap;

use alloy_primitives::U256;
use serde::Serialize;

use crate::{
    events::{BidOutcome, CallFault},
    profit::tally::Tally,
    types::Wei,
};

/// One line: counts, and amounts in wei and ETH.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ReportLine {
    /// What it is about: the day, week (its Monday), month, relay, validator or builder; empty for the total.
    pub name: String,
    /// Its period, where a relay's, validator's or builder's lines are divided by time.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub period: String,
    /// Slots with an auction or a submission.
    pub slots: u64,
    /// Slots whose header was delivered to the consensus client.
    pub wins: u64,
    /// Slots answered with no bid.
    pub no_bid: u64,
    /// Why: how relays' answers ended in those.
    pub no_bid_reasons: BTreeMap<String, u64>,
    /// Answers of relays that came too late to count.
    pub late: u64,
    /// Blocks on chain that were the promised one.
    pub delivered: u64,
    /// Built locally.
    pub local: u64,
    /// No block, and none was signed here.
    pub missed: u64,
    /// Signed and handed in, and never on chain.
    pub not_delivered: u64,
    /// Published, and the chain went on without it.
    pub orphaned: u64,
    /// Not looked at yet.
    pub open: u64,
    /// Given up: no node here has the blocks that would prove them.
    pub unknowable: u64,
    /// Own proposals with a known end: delivered, local, missed, not delivered, orphaned.
    pub proposals: u64,
    /// Of them, those whose block paid what a relay had promised, or more or less of it, and not nothing.
    pub relay_paid: u64,
    /// See `estimators`; none without a proposal.
    pub mev_success_rate: Option<f64>,
    /// Delivered ones by payment.
    pub exact: u64,
    /// More than promised.
    pub over: u64,
    /// Less than promised.
    pub under: u64,
    /// Nothing at all.
    pub unpaid: u64,
    /// Not to be known with this node.
    pub unknown: u64,
    /// Promised for delivered blocks.
    pub claimed_wei: String,
    /// The same in ETH, as an exact decimal.
    pub claimed_eth: String,
    /// What arrived for them.
    pub received_wei: String,
    /// The same in ETH, as an exact decimal.
    pub received_eth: String,
    /// Promised beyond what arrived.
    pub short_eth: String,
    /// Arrived beyond what was promised.
    pub over_eth: String,
    /// What locally built blocks paid.
    pub local_value_eth: String,
    /// See `estimators`.
    pub missed_value_eth: String,
    /// See `estimators`.
    pub timing_value_eth: String,
    /// See `estimators`.
    pub cost_of_misses_eth: String,
    /// By the consensus layer, where the beacon node told.
    pub consensus_reward_eth: String,
    /// Delivered of those wins that have an end; none without any.
    pub success_rate: Option<f64>,
}

impl ReportLine {
    pub(super) fn new(name: String, period: String, tally: &Tally) -> Self {
        let eth = |amount: U256| Wei::new(amount).to_eth();
        let ended = tally.ours + tally.not_delivered + tally.orphaned;
        let late = [BidOutcome::Late, CallFault::TimedOut.into()];
        let late = late.iter().filter_map(|outcome| tally.outcomes.get(outcome.label())).sum();
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let success_rate = (ended > 0).then(|| tally.ours as f64 / ended as f64);
        let proposals = ended + tally.local + tally.missed;
        let relay_paid = tally.exact + tally.over + tally.under;
        let judged = proposals.saturating_sub(tally.unknown);
        #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
        let mev_success_rate = (judged > 0).then(|| relay_paid as f64 / judged as f64);
        Self {
            name,
            period,
            slots: tally.slots,
            wins: tally.headers,
            no_bid: tally.no_bid,
            no_bid_reasons: tally.no_bid_reasons.clone(),
            late,
            delivered: tally.ours,
            local: tally.local,
            missed: tally.missed,
            not_delivered: tally.not_delivered,
            orphaned: tally.orphaned,
            open: tally.open,
            unknowable: tally.unknowable,
            proposals,
            relay_paid,
            mev_success_rate,
            exact: tally.exact,
            over: tally.over,
            under: tally.under,
            unpaid: tally.unpaid,
            unknown: tally.unknown,
            claimed_wei: tally.claimed.to_string(),
            claimed_eth: eth(tally.claimed),
            received_wei: tally.received.to_string(),
            received_eth: eth(tally.received),
            short_eth: eth(tally.short),
            over_eth: eth(tally.beyond),
            local_value_eth: eth(tally.local_value),
            missed_value_eth: eth(tally.missed_value),
            timing_value_eth: eth(tally.timing_value),
            cost_of_misses_eth: eth(tally.cost_of_misses),
            consensus_reward_eth: eth(
                U256::from(tally.consensus_gwei).saturating_mul(U256::from(1_000_000_000))
            ),
            success_rate,
        }
    }
}

/// How numbers that are judgements were come by.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Estimators {
    missed_value: &'static str,
    timing_value: &'static str,
    cost_of_misses: &'static str,
    success_rate: &'static str,
    mev_success_rate: &'static str,
    eth_per_day: &'static str,
}

pub(super) const ESTIMATORS: Estimators = Estimators {
    missed_value: "best usable bid that this sidecar had before it answered, less what arrived (bids that came later do not count)",
    timing_value: "the returned bid, less the first bid of the same relay in the same auction",
    cost_of_misses: "the returned bid of slots that have no block in the end (missed, not delivered, orphaned)",
    success_rate: "delivered / (delivered + not_delivered + orphaned): headers whose block was signed or seen; local blocks do not count",
    mev_success_rate: "relay_paid / proposals: own slots whose block paid by a relay's bid, of all own slots that have an end (local, missed and lost ones too); payments that cannot be known are in neither",
    eth_per_day: "received and built locally, over the time asked for, or since the ledger was made where that is shorter; days without a proposal count",
};
