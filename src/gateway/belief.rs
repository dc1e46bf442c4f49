//! How high a block may be that an upstream shows, and be believed.

use std::time::Duration;

use super::Snapshot;
use crate::types::UnixMillis;

/// Blocks beyond the tip that are believed whatever the time. Arbitrary: chains catch up in bursts. As `health` has it for heads of probes.
const BURST: u64 = 16;

/// The highest block that there can be: what upstreams showed that can be believed, and what the chain may have made since the tip's time, at twice
/// its usual pace. `u64::MAX` while nothing is known.
pub(super) fn ceiling(snapshot: &Snapshot, now: UnixMillis, block_time: Duration) -> u64 {
    let heads = || {
        let serving = snapshot.upstreams.iter().filter(|standing| standing.state.serves());
        serving.filter_map(|standing| standing.head)
    };
    let Some(tip) = snapshot.tip.or_else(|| heads().max_by_key(|head| head.number)) else { return u64::MAX };
    let now_secs = u64::try_from(now / 1000).unwrap_or(0);
    let elapsed_ms = u128::from(now_secs.saturating_sub(tip.timestamp)) * 1000;
    let made = u64::try_from(elapsed_ms * 2 / block_time.as_millis().max(1)).unwrap_or(u64::MAX);
    let beyond = BURST.saturating_add(made);
    // A head that is no block of this chain's raises nothing.
    let most = tip.number.saturating_add(beyond);
    let highest = heads().map(|head| head.number).filter(|number| *number <= most).max();
    highest.unwrap_or(0).max(tip.number).saturating_add(beyond)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::stage::Stage;

    #[test]
    fn what_the_chain_cannot_have_made_is_not_believed() {
        let stage = Stage::new();
        let at = |secs: i64| ceiling(&stage.board.snapshot(), secs * 1000, Duration::from_secs(12));
        // The tip, block 100, is of second 100.
        assert_eq!((at(0), at(100), at(112), at(700)), (116, 116, 118, 216));
        stage.heads([100, 103, 100]);
        assert_eq!(at(100), 119);
        let absurd = || {
            let mut snapshot = (*stage.board.snapshot()).clone();
            for (standing, number) in snapshot.upstreams.iter_mut().zip([100, 9_000, 100]) {
                standing.head = standing.head.map(|head| crate::gateway::Head { number, ..head });
            }
            snapshot.tip = snapshot.upstreams[0].head;
            snapshot
        };
        assert_eq!(ceiling(&absurd(), 100_000, Duration::from_secs(12)), 116);
        assert_eq!(ceiling(&Snapshot::default(), 0, Duration::from_secs(12)), u64::MAX);
    }
}
