//! From which age on a head is old, by a chain's pace.

use std::time::Duration;

use crate::{
    supervisor::{NodeKind, ProbeSettings},
    types::UnixMillis,
};

/// The block time that the two ages below are meant for.
const USUAL_BLOCK: Duration = Duration::from_secs(12);
/// Ages of a head of Ethereum, from which a node lags and from which it cannot serve: some slots in a row are missed now and then.
const USUAL_LAG: Duration = Duration::from_secs(60);
const USUAL_DOWN: Duration = Duration::from_secs(300);
/// However short blocks are, younger heads are neither: nodes of fast chains pause that long.
const SHORTEST_LAG: Duration = Duration::from_secs(30);
const SHORTEST_DOWN: Duration = Duration::from_secs(120);
/// How far in the future a head's time may lie.
const MAX_FUTURE: Duration = Duration::from_secs(15);
/// Chains of developers, which make a block when they are asked to: anvil and hardhat, geth and ganache.
const ON_DEMAND: [u64; 2] = [31_337, 1337];

/// Ages of a head from which on its node is not what it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ages {
    /// From here on it lags.
    pub lag: Duration,
    /// From here on it is of no use to anybody.
    pub down: Duration,
}

impl Ages {
    /// Those of a node: `lag_age` where the operator says it, else by the time between two blocks, else by the kind.
    pub fn of(kind: NodeKind, settings: &ProbeSettings) -> Self {
        let block = block_time(kind, settings);
        let (lag, down) = match kind {
            // The head whose time can be asked for is the finalized one, some 13 s behind, and clocks of the chain may drift.
            NodeKind::Agave | NodeKind::SolanaTestValidator => (USUAL_LAG, USUAL_DOWN),
            _ => (
                paced(USUAL_LAG, SHORTEST_LAG, block).max(block.saturating_mul(3)),
                paced(USUAL_DOWN, SHORTEST_DOWN, block).max(block.saturating_mul(6)),
            ),
        };
        let lag = settings.lag_age.unwrap_or(lag);
        Self { lag, down: down.max(lag) }
    }
}

/// Shorter where blocks are shorter.
fn paced(age: Duration, shortest: Duration, block: Duration) -> Duration {
    if block >= USUAL_BLOCK {
        return age;
    }
    age.mul_f64(block.as_secs_f64() / USUAL_BLOCK.as_secs_f64()).max(shortest)
}

/// Usual time between two blocks, or slots.
pub(super) fn block_time(kind: NodeKind, settings: &ProbeSettings) -> Duration {
    settings.block_time.unwrap_or(match kind {
        NodeKind::Geth | NodeKind::Reth | NodeKind::Beacon | NodeKind::Generic => USUAL_BLOCK,
        NodeKind::OpNode | NodeKind::OpReth => Duration::from_secs(2),
        NodeKind::Nitro => Duration::from_millis(250),
        NodeKind::Agave | NodeKind::SolanaTestValidator => Duration::from_millis(400),
    })
}

/// Whether the age of a chain's head says anything: a chain of developers makes no blocks while nobody asks for any. Where the operator says how
/// often it does, or from when on it lags, it does.
pub(super) fn is_on_demand(chain_id: Option<u64>, settings: &ProbeSettings) -> bool {
    settings.block_time.is_none()
        && settings.lag_age.is_none()
        && chain_id.is_some_and(|id| ON_DEMAND.contains(&id))
}

/// How old something is that happened at a Unix time in seconds; nothing when it is in the future.
pub(super) fn age(secs: u64, now: UnixMillis) -> Duration {
    Duration::from_millis(unsigned(now).saturating_sub(secs.saturating_mul(1000)))
}

/// How far ahead of now a Unix time in seconds is, where that is too far to be true.
pub(super) fn too_far_ahead(secs: u64, now: UnixMillis) -> Option<Duration> {
    let ahead = Duration::from_millis(secs.saturating_mul(1000).saturating_sub(unsigned(now)));
    (ahead > MAX_FUTURE).then_some(ahead)
}

/// A time of ours, which is after 1970.
pub(super) fn unsigned(now: UnixMillis) -> u64 {
    u64::try_from(now).unwrap_or(0)
}

/// A duration as people say it.
pub(super) fn words(duration: Duration) -> String {
    match duration.as_secs() {
        secs @ 0..=119 => format!("{secs} s"),
        secs @ 120..=7199 => format!("{} min", secs / 60),
        secs @ 7200..=172_799 => format!("{} h", secs / 3600),
        secs => format!("{} days", secs / 86_400),
    }
}

/// A number of things as people say it.
pub(super) fn counted(count: u64, one: &str) -> String {
    if count == 1 { format!("1 {one}") } else { format!("{count} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::probe::testing::settings;

    #[test]
    fn ages_follow_the_kind_the_pace_and_the_operator() {
        let secs = Duration::from_secs;
        for (kind, block_time, lag_age, want) in [
            (NodeKind::Geth, None, None, (60, 300)),
            (NodeKind::Reth, None, None, (60, 300)),
            (NodeKind::Beacon, None, None, (60, 300)),
            (NodeKind::OpReth, None, None, (30, 120)),
            (NodeKind::OpNode, None, None, (30, 120)),
            (NodeKind::Nitro, None, None, (30, 120)),
            (NodeKind::Agave, None, None, (60, 300)),
            (NodeKind::Geth, Some(6), None, (30, 150)),
            (NodeKind::Geth, Some(60), None, (180, 360)),
            (NodeKind::Geth, None, Some(5), (5, 300)),
            (NodeKind::Nitro, None, Some(900), (900, 900)),
        ] {
            let settings = ProbeSettings {
                block_time: block_time.map(secs),
                lag_age: lag_age.map(secs),
                ..settings("http://x/")
            };
            let ages = Ages::of(kind, &settings);
            assert_eq!((ages.lag.as_secs(), ages.down.as_secs()), want, "{kind} {block_time:?} {lag_age:?}");
        }
    }

    #[test]
    fn a_chain_of_developers_is_not_old_unless_the_operator_says_so() {
        let plain = settings("http://x/");
        for (chain, want) in [(Some(31_337), true), (Some(1337), true), (Some(1), false), (None, false)] {
            assert_eq!(is_on_demand(chain, &plain), want, "{chain:?}");
        }
        let paced = ProbeSettings { block_time: Some(Duration::from_secs(1)), ..plain.clone() };
        let limited = ProbeSettings { lag_age: Some(Duration::from_secs(10)), ..plain };
        assert!(!is_on_demand(Some(1337), &paced) && !is_on_demand(Some(1337), &limited));
    }

    #[test]
    fn times_have_bounds() {
        assert_eq!(age(u64::MAX, 1000), Duration::ZERO);
        assert_eq!(age(0, -5), Duration::ZERO);
        assert_eq!(age(1, 3_500), Duration::from_millis(2_500));
        assert!(too_far_ahead(u64::MAX, i64::MAX).is_some());
        assert!(too_far_ahead(16, 1_000).is_none() && too_far_ahead(17, 1_000).is_some());
    }
}
