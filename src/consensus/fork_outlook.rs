//! Whether a fork comes, or has come, that this version does not serve. Pure.
//!
//! From Gloas on (EIP-7732) proposers get their blocks from builders by the protocol itself: there are no relays' builder bids any more,
//! and every header request is answered with 204. An operator has to hear of that before it happens, not from his income afterwards.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{ChainSpec, NamedFork};
use crate::types::{DAY_MS, Epoch, Fork, Slot, UnixMillis};

/// A fork that is this near is warned of, not only mentioned: 30 days, in milliseconds. Arbitrary: time for an update.
const NEAR_MS: i64 = 30 * DAY_MS;
/// Forks before the first with builder bids, by name.
const EARLIER: [&str; 2] = ["phase0", "altair"];

/// The first fork that this version does not serve.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnservedFork {
    /// Its name, in lower case.
    pub name: String,
    /// The first epoch in which it is in force.
    pub epoch: Epoch,
    /// The start of that epoch, Unix milliseconds.
    pub at: UnixMillis,
    /// Whose schedule it is in: only the configuration's decides what the auction serves.
    pub source: ForkSource,
    /// The epoch that the other source has for it, where that is another one.
    pub otherwise: Option<Epoch>,
}

/// Who says when a fork starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForkSource {
    /// The configured network or chain spec.
    Configuration,
    /// The beacon node's specification, by which nothing is served or refused.
    BeaconNode,
}

/// How near a fork is, by the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForkUrgency {
    /// More than 30 days off.
    Far,
    /// Within 30 days.
    Near,
    /// Its epoch has begun. Where the configuration says so, no header is served any more.
    InForce,
}

impl ChainSpec {
    /// The first fork that this version does not serve: by the configuration, which the auction goes by, once it is in force by that;
    /// else by the configuration or the beacon node's specification, whichever has it earlier. `None` when none is scheduled.
    pub fn unserved_fork(&self, reported: Option<&[NamedFork]>, now: UnixMillis) -> Option<UnservedFork> {
        let configured =
            self.forks.iter().map(|f| NamedFork { name: f.fork.name().to_owned(), epoch: f.epoch });
        let configured: Vec<NamedFork> = configured.chain(self.other_forks.iter().cloned()).collect();
        let reported = reported.unwrap_or_default();
        let first = |list: &[NamedFork]| {
            let scheduled = list.iter().filter(|fork| !is_served(&fork.name) && fork.epoch != Epoch::NEVER);
            scheduled.min_by_key(|fork| fork.epoch).cloned()
        };
        let (first, source) = match (first(&configured), first(reported)) {
            (Some(own), Some(other)) if other.epoch < own.epoch && self.start_of(own.epoch) > now => {
                (other, ForkSource::BeaconNode)
            }
            (Some(own), _) => (own, ForkSource::Configuration),
            (None, other) => (other?, ForkSource::BeaconNode),
        };
        let other = match source {
            ForkSource::Configuration => reported,
            ForkSource::BeaconNode => &configured,
        };
        let otherwise = other.iter().find(|fork| fork.name == first.name && fork.epoch != first.epoch);
        Some(UnservedFork {
            at: self.start_of(first.epoch),
            otherwise: otherwise.map(|fork| fork.epoch),
            name: first.name,
            epoch: first.epoch,
            source,
        })
    }

    /// When each fork begins or began, by name and in Unix milliseconds: by the configuration and the beacon node's specification, whichever has
    /// it earlier. Forks without a date are left out.
    pub fn fork_starts(&self, reported: Option<&[NamedFork]>) -> BTreeMap<String, UnixMillis> {
        let own = self.forks.iter().map(|fork| (fork.fork.name(), fork.epoch));
        let named = self.other_forks.iter().chain(reported.unwrap_or_default());
        let mut starts = BTreeMap::new();
        for (name, epoch) in own.chain(named.map(|fork| (fork.name.as_str(), fork.epoch))) {
            if epoch != Epoch::NEVER {
                let at = self.start_of(epoch);
                starts
                    .entry(name.to_owned())
                    .and_modify(|known: &mut UnixMillis| *known = at.min(*known))
                    .or_insert(at);
            }
        }
        starts
    }

    fn start_of(&self, epoch: Epoch) -> UnixMillis {
        self.clock().start_of(Slot::new(epoch.as_u64().saturating_mul(self.slots_per_epoch)))
    }
}

fn is_served(name: &str) -> bool {
    EARLIER.contains(&name) || Fork::CLASSIC.iter().any(|fork| fork.name() == name)
}

impl UnservedFork {
    /// Whether no header is served any more: the auction goes by the configuration alone. A node may name any fork of its own.
    pub fn ends_service(&self, now: UnixMillis) -> bool {
        self.source == ForkSource::Configuration && self.urgency(now) == ForkUrgency::InForce
    }

    /// How near it is at a moment.
    pub fn urgency(&self, now: UnixMillis) -> ForkUrgency {
        match self.at.saturating_sub(now) {
            ..=0 => ForkUrgency::InForce,
            1..=NEAR_MS => ForkUrgency::Near,
            _ => ForkUrgency::Far,
        }
    }

    /// What happens, when, and what to do, in whole sentences.
    pub fn message(&self, network: &str, now: UnixMillis) -> String {
        let Self { name, epoch, at, source, otherwise } = self;
        let when = Timestamp::from_millisecond(*at).map_or_else(
            |_| "at the end of time".to_owned(),
            |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        );
        let by = match source {
            ForkSource::Configuration => "by the configured network",
            ForkSource::BeaconNode => "by the beacon node",
        };
        let days = at.saturating_sub(now).unsigned_abs();
        let days = format!(
            "{}.{} days",
            days / DAY_MS.unsigned_abs(),
            days % DAY_MS.unsigned_abs() * 10 / DAY_MS.unsigned_abs()
        );
        let then = "proposers get no builder bids from relays any more: every header request is answered with 204 and every block is \
                    built locally";
        let to_do = format!(
            "install a version of relaymux that serves {name}, or set up your consensus client's own builders for {name}"
        );
        let otherwise = otherwise.map_or_else(String::new, |epoch| {
            let other = match source {
                ForkSource::Configuration => "the beacon node",
                ForkSource::BeaconNode => "the configured network",
            };
            let says = if epoch == Epoch::NEVER {
                "is not scheduled".to_owned()
            } else {
                format!("starts at epoch {epoch}")
            };
            format!(". By {other} it {says}: one of the two is out of date")
        });
        if self.urgency(now) == ForkUrgency::InForce && *source == ForkSource::BeaconNode {
            format!(
                "{network} is on {name} since epoch {epoch} ({when}, {days} ago), {by}, and this version of relaymux does not know of it: \
                 headers are served by the configured network as before. What to do: see whether your client still gets bids; if not, \
                 {to_do}{otherwise}"
            )
        } else if self.urgency(now) == ForkUrgency::InForce {
            format!(
                "{network} is on {name} since epoch {epoch} ({when}, {days} ago), {by}, and this version of relaymux does not serve it: \
                 {then}. What to do: {to_do}{otherwise}"
            )
        } else {
            format!(
                "{name} starts on {network} at epoch {epoch} ({when}, in {days}), {by}, and this version of relaymux does not serve it: \
                 from then on {then}. What to do before: {to_do}{otherwise}"
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::consensus::Network;

    fn named(name: &str, epoch: u64) -> NamedFork {
        NamedFork { name: name.to_owned(), epoch: Epoch::new(epoch) }
    }

    #[test]
    fn the_first_fork_that_is_not_served_is_found() {
        let (mainnet, sepolia) = (Network::Mainnet.spec(), Network::Sepolia.spec());
        let never = u64::MAX;
        let (configured, node) = (ForkSource::Configuration, ForkSource::BeaconNode);
        for (name, spec, reported, want) in [
            ("none scheduled", &mainnet, None, None),
            ("by the configuration", &sepolia, None, Some(("gloas", 353_024, configured, None))),
            (
                "by the beacon node",
                &mainnet,
                Some(vec![named("fulu", 411_392), named("gloas", 500_000)]),
                Some(("gloas", 500_000, node, Some(never))),
            ),
            (
                "withdrawn, and the auction still goes by it",
                &sepolia,
                Some(vec![named("gloas", never)]),
                Some(("gloas", 353_024, configured, Some(never))),
            ),
            (
                "one that nobody here has heard of",
                &mainnet,
                Some(vec![named("altair", 1), named("gloas", never), named("heze", 600_000)]),
                Some(("heze", 600_000, node, None)),
            ),
            (
                "a node that says nothing of it",
                &sepolia,
                Some(vec![named("phase0", 0), named("fulu", 272_640)]),
                Some(("gloas", 353_024, configured, None)),
            ),
            (
                "both agree",
                &sepolia,
                Some(vec![named("gloas", 353_024)]),
                Some(("gloas", 353_024, configured, None)),
            ),
        ] {
            let found = spec.unserved_fork(reported.as_deref(), 0);
            let found = found.as_ref().map(|fork| {
                let otherwise = fork.otherwise.map(Epoch::as_u64);
                (fork.name.as_str(), fork.epoch.as_u64(), fork.source, otherwise)
            });
            assert_eq!(found, want, "{name}");
        }
    }

    #[test]
    fn only_the_configured_schedule_ends_the_service() {
        let (mainnet, sepolia) = (Network::Mainnet.spec(), Network::Sepolia.spec());
        // Sepolia's Gloas is in force then, by the configuration.
        let now = sepolia.unserved_fork(None, 0).unwrap().at;
        for (name, spec, reported, want) in [
            ("a node's own fork, long past", &mainnet, named("eip7805", 0), (ForkSource::BeaconNode, false)),
            ("a node's Gloas", &mainnet, named("gloas", 1), (ForkSource::BeaconNode, false)),
            ("both, the node's is earlier", &sepolia, named("gloas", 1), (ForkSource::Configuration, true)),
            ("a node's own fork beside it", &sepolia, named("heze", 0), (ForkSource::Configuration, true)),
        ] {
            let fork = spec.unserved_fork(Some(&[reported]), now).unwrap();
            assert_eq!((fork.source, fork.ends_service(now)), want, "{name}");
            assert_eq!(fork.message("x", now).contains("answered with 204"), want.1, "{name}");
        }
        let before = sepolia.unserved_fork(Some(&[named("gloas", 1)]), now - 1).unwrap();
        assert_eq!(
            before.source,
            ForkSource::BeaconNode,
            "the earlier one is told until the other is in force"
        );
    }

    #[test]
    fn it_is_said_what_happens_when_and_what_to_do() {
        let fork = Network::Sepolia.spec().unserved_fork(None, 0).unwrap();
        // 2026-10-06 13:53:36 UTC.
        assert_eq!(fork.at, 1_791_294_816_000);
        for (now, urgency, message) in [
            (fork.at - 31 * DAY_MS, ForkUrgency::Far, "2026-10-06 13:53 UTC, in 31.0 days"),
            (fork.at - DAY_MS * 3 / 2, ForkUrgency::Near, "in 1.5 days"),
            (fork.at, ForkUrgency::InForce, "since epoch 353024"),
            (fork.at + 49 * DAY_MS, ForkUrgency::InForce, "49.0 days ago"),
        ] {
            let said = fork.message("sepolia", now);
            assert_eq!(fork.urgency(now), urgency, "{said}");
            assert!(said.contains(message) && said.contains("204") && said.contains("What to do"), "{said}");
        }
    }
}
