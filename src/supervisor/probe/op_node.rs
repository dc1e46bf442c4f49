//! op-node, the consensus half of an OP Stack node. Source: its `optimism_syncStatus`.
//!
//! Ready: it has read the first layer to within ten blocks of what that one has, the first layer's head that it sees is young, its newest block is young
//! (blocks come each two seconds), and what it has read back from the first layer is not far behind that.

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    failure::ProbeFailure,
    line::{Line, Trouble, number, version},
    pace::{Ages, age, counted, too_far_ahead, words},
};
use crate::{
    supervisor::{NodeKind, ProbeSettings, Ready, Sight},
    types::UnixMillis,
};

/// Blocks of the first layer that it may have yet to read.
const L1_BLOCKS: u64 = 10;
/// Age of the first layer's head from which that one is the trouble.
const L1_AGE: Duration = Duration::from_secs(300);
/// Blocks between the newest and the safe one from which nobody posts batches any more, or they are not read.
const SAFE_BLOCKS: u64 = 600;

/// A block, of either layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) number: u64,
    /// Unix seconds.
    pub(super) timestamp: u64,
}

/// What it answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// How far it has read the first layer.
    pub(super) current_l1: Block,
    /// The first layer's head.
    pub(super) head_l1: Block,
    /// Its newest block, as the sequencer tells it.
    pub(super) unsafe_l2: Block,
    /// Its newest block that the first layer has.
    pub(super) safe_l2: Block,
    pub(super) finalized_l2: Block,
    /// The second layer's chain; none where it was not asked for.
    pub(super) chain_id: Option<u64>,
    pub(super) peers: Option<u64>,
    pub(super) version: Option<String>,
}

#[derive(Deserialize)]
struct WireStatus {
    current_l1: WireBlock,
    head_l1: WireBlock,
    unsafe_l2: WireBlock,
    safe_l2: WireBlock,
    #[serde(default)]
    finalized_l2: WireBlock,
}

#[derive(Default, Deserialize)]
struct WireBlock {
    number: u64,
    timestamp: u64,
}

impl From<WireBlock> for Block {
    fn from(WireBlock { number, timestamp }: WireBlock) -> Self {
        Self { number, timestamp }
    }
}

/// Asks all of it.
pub(super) async fn ask(line: &Line<'_>, settings: &ProbeSettings) -> Result<Seen, Trouble> {
    const STATUS: &str = "optimism_syncStatus";
    let status: Option<WireStatus> = line.needed(STATUS, json!([])).await?;
    let status = status.ok_or_else(|| {
        Trouble::Cannot(format!(
            "It has no {STATUS}: what answers there is no op-node. Its RPC port is 9545 by default; 8545 is its execution client's."
        ))
    })?;
    let chain_id = match settings.chain_id {
        Some(_) => match line.needed::<Value>("optimism_rollupConfig", json!([])).await? {
            Some(config) => Some(config.get("l2_chain_id").and_then(number).ok_or_else(|| {
                ProbeFailure::Garbage("optimism_rollupConfig answers what it should not".to_owned())
            })?),
            None => None,
        },
        None => None,
    };
    let peers: Option<Value> = line.nice("opp2p_peerStats", json!([])).await;
    let named: Option<String> = line.nice("optimism_version", json!([])).await;
    Ok(Seen {
        current_l1: status.current_l1.into(),
        head_l1: status.head_l1.into(),
        unsafe_l2: status.unsafe_l2.into(),
        safe_l2: status.safe_l2.into(),
        finalized_l2: status.finalized_l2.into(),
        chain_id,
        peers: peers.as_ref().and_then(|stats| stats.get("connected")).and_then(number),
        version: named.as_deref().map(version),
    })
}

/// How it is.
pub(super) fn judge(seen: &Seen, settings: &ProbeSettings, now: UnixMillis) -> Sight {
    let is_known = |block: &Block| block.timestamp > 0;
    let age_of = |block: Block| Some(block).filter(is_known).map(|block| age(block.timestamp, now));
    Sight {
        head: Some(seen.unsafe_l2.number),
        head_age: age_of(seen.unsafe_l2),
        behind: Some(seen.head_l1.number.saturating_sub(seen.current_l1.number)),
        peers: seen.peers,
        version: seen.version.clone(),
        finalized_age: age_of(seen.finalized_l2).filter(|_| seen.finalized_l2.number > 0),
        ..Sight::only(ready(seen, settings, now))
    }
}

fn ready(seen: &Seen, settings: &ProbeSettings, now: UnixMillis) -> Ready {
    let Seen { current_l1, head_l1, unsafe_l2, safe_l2, .. } = seen;
    if let (Some(wanted), Some(got)) = (settings.chain_id, seen.chain_id)
        && wanted != got
    {
        return Ready::No(format!(
            "It is a node of chain {got}, and is to be of chain {wanted}: correct its url, its start or chain_id."
        ));
    }
    if head_l1.timestamp == 0 {
        return Ready::Syncing(
            "It has not seen the first layer yet: its --l1 is away, or it has just been started.".to_owned(),
        );
    }
    let old_l1 = age(head_l1.timestamp, now);
    if old_l1 >= L1_AGE {
        return Ready::Lagging(format!(
            "The newest block of the first layer that it sees, {}, is {} old: look at the execution client that it asks.",
            head_l1.number,
            words(old_l1)
        ));
    }
    let unread = head_l1.number.saturating_sub(current_l1.number);
    if unread > L1_BLOCKS {
        return Ready::Syncing(format!(
            "It has yet to read {} of the first layer; its newest block is {}.",
            counted(unread, "block"),
            unsafe_l2.number
        ));
    }
    if let Some(ahead) = too_far_ahead(unsafe_l2.timestamp, now) {
        return Ready::Lagging(format!(
            "Its newest block, {}, has a time {} in the future: it is wrong, or this machine's clock is.",
            unsafe_l2.number,
            words(ahead)
        ));
    }
    let old = age(unsafe_l2.timestamp, now);
    if old >= Ages::of(NodeKind::OpNode, settings).lag {
        let alone =
            if seen.peers == Some(0) { ", and it has no peers that would tell it newer ones" } else { "" };
        let number = unsafe_l2.number;
        return Ready::Lagging(format!("Its newest block, {number}, is {} old{alone}.", words(old)));
    }
    let gap = unsafe_l2.number.saturating_sub(safe_l2.number);
    if gap >= SAFE_BLOCKS {
        return Ready::Lagging(format!(
            "Its newest block, {}, is {} ahead of the newest that the first layer has: batches are not posted any more, or not read.",
            unsafe_l2.number,
            counted(gap, "block")
        ));
    }
    Ready::Yes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::supervisor::probe::testing::{NOW, settings};

    fn block(number: u64, secs_old: u64) -> Block {
        Block { number, timestamp: 1_700_000_000 - secs_old }
    }

    fn well() -> Seen {
        Seen {
            current_l1: block(990, 130),
            head_l1: block(1000, 10),
            unsafe_l2: block(50_000, 3),
            safe_l2: block(49_700, 600),
            finalized_l2: block(49_000, 2000),
            chain_id: Some(10),
            peers: Some(8),
            version: None,
        }
    }

    #[test]
    fn both_layers_must_be_young_and_near() {
        let settings = ProbeSettings { chain_id: Some(10), ..settings("http://x/") };
        for (seen, want, word) in [
            (well(), "yes", ""),
            (Seen { chain_id: Some(8453), ..well() }, "no", "chain 8453"),
            (Seen { chain_id: None, ..well() }, "yes", ""),
            (Seen { current_l1: block(989, 140), ..well() }, "syncing", "11 blocks of the first layer"),
            (Seen { current_l1: block(2000, 0), ..well() }, "yes", ""),
            (Seen { head_l1: block(1000, 299), ..well() }, "yes", ""),
            (Seen { head_l1: block(1000, 300), ..well() }, "lagging", "look at the execution client"),
            (Seen::default(), "syncing", "not seen the first layer"),
            (Seen { unsafe_l2: block(50_000, 29), ..well() }, "yes", ""),
            (Seen { unsafe_l2: block(50_000, 30), ..well() }, "lagging", "30 s old."),
            (Seen { unsafe_l2: block(50_000, 99), peers: Some(0), ..well() }, "lagging", "no peers"),
            (Seen { unsafe_l2: Block { number: 1, timestamp: u64::MAX }, ..well() }, "lagging", "future"),
            (Seen { safe_l2: block(49_401, 900), ..well() }, "yes", ""),
            (Seen { safe_l2: block(49_400, 900), ..well() }, "lagging", "600 blocks ahead"),
        ] {
            let (state, words) = match judge(&seen, &settings, NOW).ready {
                Ready::Yes => ("yes", String::new()),
                Ready::Syncing(words) => ("syncing", words),
                Ready::Lagging(words) => ("lagging", words),
                Ready::No(words) => ("no", words),
            };
            assert_eq!(state, want, "{seen:?}: {words}");
            assert!(words.contains(word), "{words}");
        }
    }

    #[test]
    fn what_is_shown_beside_it() {
        let sight = judge(&well(), &settings("http://x/"), NOW);
        assert_eq!((sight.head, sight.behind, sight.peers), (Some(50_000), Some(10), Some(8)));
        assert_eq!(sight.head_age, Some(Duration::from_secs(3)));
        assert_eq!(sight.finalized_age, Some(Duration::from_secs(2000)));
        let nothing = judge(&Seen::default(), &settings("http://x/"), NOW);
        assert_eq!((nothing.head_age, nothing.finalized_age), (None, None));
    }

    proptest! {
        #[test]
        fn nothing_that_a_node_says_is_too_much(
            numbers in prop::array::uniform5(any::<u64>()), times in prop::array::uniform5(any::<u64>()), now in any::<i64>(),
        ) {
            let block = |place: usize| Block { number: numbers[place], timestamp: times[place] };
            let seen = Seen {
                current_l1: block(0),
                head_l1: block(1),
                unsafe_l2: block(2),
                safe_l2: block(3),
                finalized_l2: block(4),
                ..well()
            };
            judge(&seen, &settings("http://x/"), now);
        }
    }
}
