//! What applies to whom: settings, relays and weights by proposer. Pure.
//!
//! A [`PolicyTable`] is one configuration's word on everything: a request takes one snapshot of it and goes by that to its end, so
//! a reload never mixes two configurations in one race. A proposer's key is looked up in one map; a key is in one set at most.

use std::{collections::HashMap, sync::Arc, time::Duration};

use alloy_primitives::{Address, U256};

use super::{settings::AuctionSettings, timing::Timing};
use crate::{
    consensus::BidFacts,
    relay::Relay,
    types::{BlsPublicKey, RelayId, Wei},
};

/// How much a bid counts beside the others: `(value + offset) × factor / 100`, as Vouch scores. The value told to the consensus
/// client stays the bid's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Weight {
    /// In percent: 100 is neutral, 0 excludes.
    pub factor_percent: u64,
    /// Added before.
    pub offset: Wei,
    /// Whether the offset is taken away instead.
    pub is_negative: bool,
}

impl Weight {
    /// Changes nothing.
    pub const NEUTRAL: Self = Self { factor_percent: 100, offset: Wei::ZERO, is_negative: false };

    /// The score of a value; zero excludes. Saturates: no weight turns a large value into a small score.
    pub fn score(&self, value: Wei) -> Wei {
        if *self == Self::NEUTRAL {
            return value;
        }
        let (value, offset) = (value.as_u256(), self.offset.as_u256());
        let moved =
            if self.is_negative { value.saturating_sub(offset) } else { value.saturating_add(offset) };
        let hundred = U256::from(100);
        let factor = U256::from(self.factor_percent);
        // Divided first where the product would not fit.
        Wei::new(
            moved
                .checked_mul(factor)
                .map_or_else(|| (moved / hundred).saturating_mul(factor), |n| n / hundred),
        )
    }
}

/// A builder's weight: by what its blocks say of it. A bid names its relay's key, not its builder's; the block's fee recipient and
/// extra data are what a builder leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuilderRule {
    /// The operator's name for it, in records and reports.
    pub id: String,
    /// Fee recipient of its blocks.
    pub fee_recipient: Option<Address>,
    /// Text in its blocks' extra data, in lower case; any case matches.
    pub extra_data: Option<String>,
    /// How much its bids count.
    pub weight: Weight,
}

impl BuilderRule {
    /// Whether a bid is of this builder: all that the rule names must fit.
    pub fn fits(&self, bid: &BidFacts) -> bool {
        let text = || String::from_utf8_lossy(&bid.extra_data).to_lowercase();
        self.fee_recipient.is_none_or(|address| address == bid.fee_recipient)
            && self.extra_data.as_ref().is_none_or(|part| text().contains(part))
    }
}

/// What applies to one relay in an auction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RelayTerms {
    /// How much its bids count.
    pub weight: Weight,
    /// Smallest acceptable value, in place of the auction's.
    pub min_bid: Option<Wei>,
    /// Timing games.
    pub timing: Timing,
}

impl Default for RelayTerms {
    fn default() -> Self {
        Self { weight: Weight::NEUTRAL, min_bid: None, timing: Timing::default() }
    }
}

/// What applies to some proposers.
#[derive(Debug)]
pub struct Policy {
    /// The set's name; `None` for everybody else.
    pub id: Option<String>,
    /// Times, minimums and checks of their auctions.
    pub settings: AuctionSettings,
    /// Who may take part, in the order of the configuration.
    pub relays: Vec<Arc<Relay>>,
    /// What applies to each relay, where anything does.
    pub terms: HashMap<RelayId, RelayTerms>,
    /// Builders with a weight of their own; the first that fits counts.
    pub builders: Vec<BuilderRule>,
}

impl Policy {
    /// Who built a bid's block: the operator's name for it, else the printable part of what it wrote into the block, else its fee
    /// recipient.
    pub fn builder_name(&self, bid: &BidFacts) -> String {
        if let Some(rule) = self.builders.iter().find(|rule| rule.fits(bid)) {
            return rule.id.clone();
        }
        let text = String::from_utf8_lossy(&bid.extra_data);
        let printable: String = text.chars().filter(|c| c.is_ascii_graphic() || *c == ' ').collect();
        let name = printable.trim();
        if name.is_empty() { bid.fee_recipient.to_string() } else { name.to_owned() }
    }

    /// What applies to a relay.
    pub fn terms_of(&self, relay: &RelayId) -> RelayTerms {
        self.terms.get(relay).copied().unwrap_or_default()
    }

    /// A bid's score: by its relay's weight, then its builder's.
    pub fn score(&self, weight: &Weight, bid: &BidFacts) -> Wei {
        let by_relay = weight.score(bid.value);
        let builder = self.builders.iter().find(|rule| rule.fits(bid));
        builder.map_or(by_relay, |rule| rule.weight.score(by_relay))
    }
}

/// One configuration's word on who gets what.
#[derive(Debug)]
pub struct PolicyTable {
    /// For proposers of no set.
    pub default: Arc<Policy>,
    /// Sets, in the order of the configuration.
    pub sets: Vec<Arc<Policy>>,
    /// Which set a key is in.
    pub set_of: HashMap<BlsPublicKey, usize>,
    /// Every relay of any set.
    pub relays: Vec<Arc<Relay>>,
}

impl PolicyTable {
    /// The longest time that a signed block may take by any policy.
    pub fn longest_submission(&self) -> Duration {
        self.longest(|settings| settings.timeout_get_payload)
    }

    /// The longest time that a header may take by any policy.
    pub fn longest_header(&self) -> Duration {
        self.longest(|settings| settings.timeout_get_header)
    }

    /// The longest time that registrations may take by any policy.
    pub fn longest_registration(&self) -> Duration {
        self.longest(|settings| settings.timeout_register_validator)
    }

    fn longest(&self, of: impl Fn(&AuctionSettings) -> Duration) -> Duration {
        let all = self.sets.iter().chain(std::iter::once(&self.default));
        all.map(|policy| of(&policy.settings)).max().unwrap_or_default()
    }

    /// What applies to a proposer.
    pub fn policy_of(&self, proposer: &BlsPublicKey) -> &Arc<Policy> {
        self.set_of.get(proposer).and_then(|set| self.sets.get(*set)).unwrap_or(&self.default)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn eth(text: &str) -> Wei {
        Wei::parse_eth(text).unwrap()
    }

    #[test]
    fn weights_score_as_vouch_does() {
        let weight = |factor_percent, offset: &str, is_negative| Weight {
            factor_percent,
            offset: eth(offset),
            is_negative,
        };
        for (name, weight, value, score) in [
            ("neutral", Weight::NEUTRAL, "0.05", "0.05"),
            ("half", weight(50, "0", false), "0.05", "0.025"),
            ("offset before factor", weight(200, "0.01", false), "0.05", "0.12"),
            ("malus", weight(100, "0.02", true), "0.05", "0.03"),
            ("malus beyond the value excludes", weight(100, "0.2", true), "0.05", "0"),
            ("factor 0 excludes", weight(0, "1", false), "0.05", "0"),
            ("privileged", weight(1_000_000_000, "0", false), "0.05", "500000"),
        ] {
            assert_eq!(weight.score(eth(value)), eth(score), "{name}");
        }
        let most = Wei::new(U256::MAX);
        assert_eq!(weight(200, "1", false).score(most), most);
        assert_eq!(
            weight(50, "0", false).score(most).as_u256(),
            U256::MAX / U256::from(100) * U256::from(50)
        );
    }

    #[test]
    fn the_longest_submission_is_that_of_any_set() {
        let policy = |ms| {
            let settings = AuctionSettings {
                timeout_get_payload: Duration::from_millis(ms),
                ..AuctionSettings::default()
            };
            Arc::new(Policy { id: None, settings, relays: vec![], terms: HashMap::new(), builders: vec![] })
        };
        let table = |default, sets: &[u64]| PolicyTable {
            default: policy(default),
            sets: sets.iter().map(|ms| policy(*ms)).collect(),
            set_of: HashMap::new(),
            relays: vec![],
        };
        for (default, sets, want) in
            [(4000, &[][..], 4000), (4000, &[1000, 9000], 9000), (4000, &[1000], 4000)]
        {
            assert_eq!(table(default, sets).longest_submission(), Duration::from_millis(want));
        }
    }

    proptest! {
        #[test]
        fn more_value_never_scores_less(
            a in any::<u128>(), b in any::<u128>(), factor in 0u64..10_000, offset in any::<u64>(), is_negative in any::<bool>(),
        ) {
            let weight = Weight { factor_percent: factor, offset: Wei::new(U256::from(offset)), is_negative };
            let (low, high) = (Wei::new(U256::from(a.min(b))), Wei::new(U256::from(a.max(b))));
            prop_assert!(weight.score(low) <= weight.score(high));
        }
    }
}
