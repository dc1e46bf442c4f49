//! op-node, the consensus half of an OP Stack node. Source: its `optimism_syncStatus`.
//!
//! Ready: it has read the first layer to within ten blocks of what that one has, the first layer's head that it sees is young, its newest block is young
//! (blocks come each two seconds), stands on a young block of the first layer, and what it has read back from the first layer is not far behind that.
//! And its execution client, where that is known, has the same blocks (`op_pair`).

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    failure::ProbeFailure,
    line::{Line, Trouble, number, version},
    op_heads::{Block, Heads},
    op_pair::{self, Execution},
    pace::{Ages, age, counted, too_far_ahead, words},
};
use crate::{
    supervisor::{NodeKind, ProbeSettings, Ready, Sight},
    types::{UnixMillis, parse_hash},
};

/// Blocks of the first layer that it may have yet to read.
const L1_BLOCKS: u64 = 10;
/// Age of the first layer's head from which that one is the trouble.
const L1_AGE: Duration = Duration::from_secs(300);
/// Blocks between the newest and the safe one from which nobody posts batches any more, or they are not read.
const SAFE_BLOCKS: u64 = 600;
/// Blocks of the first layer, half an hour of them, that its newest block may stand behind that one's head: from there on a sequencer of the OP Stack
/// may put no transactions into blocks (`max_sequencer_drift` since Fjord).
const ORIGIN_BLOCKS: u64 = 150;

/// What it answered.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// How far it has read the first layer.
    pub(super) current_l1: Block,
    /// The first layer's head.
    pub(super) head_l1: Block,
    pub(super) heads: Heads,
    /// Its execution client; none: that is not known, or does not answer.
    pub(super) execution: Option<Execution>,
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
    #[serde(default)]
    hash: String,
    l1origin: Option<Origin>,
}

#[derive(Deserialize)]
struct Origin {
    number: u64,
}

impl From<WireBlock> for Block {
    fn from(WireBlock { number, timestamp, hash, l1origin }: WireBlock) -> Self {
        let hash = parse_hash(&hash).ok().filter(|hash| !hash.is_zero());
        Self { number, timestamp, hash, origin: l1origin.map(|origin| origin.number) }
    }
}

/// Asks all of it, and by the other line its execution client.
pub(super) async fn ask(
    line: &Line<'_>,
    execution: Option<&Line<'_>>,
    settings: &ProbeSettings,
) -> Result<Seen, Trouble> {
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
    let heads = Heads {
        unsafe_l2: status.unsafe_l2.into(),
        safe_l2: status.safe_l2.into(),
        finalized_l2: status.finalized_l2.into(),
    };
    let of_its_own = async {
        let peers: Option<Value> = line.nice("opp2p_peerStats", json!([])).await;
        let named: Option<String> = line.nice("optimism_version", json!([])).await;
        (peers, named)
    };
    let of_execution = async {
        match execution {
            Some(execution) => op_pair::ask(execution, &heads).await,
            None => None,
        }
    };
    let ((peers, named), execution) = tokio::join!(of_its_own, of_execution);
    Ok(Seen {
        current_l1: status.current_l1.into(),
        head_l1: status.head_l1.into(),
        heads,
        execution,
        chain_id,
        peers: peers.as_ref().and_then(|stats| stats.get("connected")).and_then(number),
        version: named.as_deref().map(version),
    })
}

/// How it is.
pub(super) fn judge(seen: &Seen, settings: &ProbeSettings, now: UnixMillis) -> Sight {
    let is_known = |block: &Block| block.timestamp > 0;
    let age_of = |block: Block| Some(block).filter(is_known).map(|block| age(block.timestamp, now));
    let Heads { unsafe_l2, finalized_l2, .. } = seen.heads;
    let unread = seen.head_l1.number.saturating_sub(seen.current_l1.number);
    // Its head moves by what others tell it, and says nothing of a sync. While its execution client is behind, it waits for that one.
    let waits = seen.execution.and_then(|it| Some((it.head, op_pair::lag(it.head, unsafe_l2.number)?)));
    let (reached, behind) = waits.unwrap_or((seen.current_l1.number, unread));
    Sight {
        head: Some(unsafe_l2.number),
        head_age: age_of(unsafe_l2),
        behind: Some(behind),
        reached: Some(reached),
        peers: seen.peers,
        version: seen.version.clone(),
        finalized_age: age_of(finalized_l2).filter(|_| finalized_l2.number > 0),
        ..Sight::only(ready(seen, settings, now))
    }
}

fn ready(seen: &Seen, settings: &ProbeSettings, now: UnixMillis) -> Ready {
    let Seen { current_l1, head_l1, heads, .. } = seen;
    let Heads { unsafe_l2, safe_l2, .. } = heads;
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
    if let Some(found) = seen.execution.and_then(|it| op_pair::execution_behind(heads, &it)) {
        return found;
    }
    let unread = head_l1.number.saturating_sub(current_l1.number);
    if unread > L1_BLOCKS {
        return Ready::Syncing(format!(
            "Its derivation is behind the first layer: it has yet to read {} of that, from {} to {}; its newest block is {}, and {} the newest that it \
             has read back.",
            counted(unread, "block"),
            current_l1.number,
            head_l1.number,
            unsafe_l2.number,
            safe_l2.number
        ));
    }
    if let Some(found) = seen.execution.and_then(|it| op_pair::op_node_behind(heads, &it)) {
        return found;
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
    let behind_l1 = |block: &Block| head_l1.number.saturating_sub(block.origin.unwrap_or(head_l1.number));
    let gap = unsafe_l2.number.saturating_sub(safe_l2.number);
    if gap >= SAFE_BLOCKS {
        let origin = match safe_l2.origin {
            Some(origin) => format!(
                ", which stands on block {origin} of the first layer, {} before that one's head",
                counted(behind_l1(safe_l2), "block")
            ),
            None => String::new(),
        };
        return Ready::Lagging(format!(
            "Its newest block, {}, is {} ahead of the newest that it has read back from the first layer, {}{origin}. It has read that one to block {}: \
             batches are not posted any more, or its derivation does not take them.",
            unsafe_l2.number,
            counted(gap, "block"),
            safe_l2.number,
            current_l1.number
        ));
    }
    let origin_gap = behind_l1(unsafe_l2);
    if origin_gap >= ORIGIN_BLOCKS {
        return Ready::Lagging(format!(
            "Its newest block, {}, is young and stands on an old block of the first layer, {} before that one's head, {}: the sequencer does not see \
             that one any more, and its blocks have no transactions.",
            unsafe_l2.number,
            counted(origin_gap, "block"),
            head_l1.number
        ));
    }
    Ready::Yes
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;
    use proptest::prelude::*;

    use super::*;
    use crate::supervisor::probe::testing::{NOW, settings};

    fn block(number: u64, secs_old: u64) -> Block {
        Block { number, timestamp: 1_700_000_000 - secs_old, ..Block::default() }
    }

    const fn on(number: u64, secs_old: u64, origin: u64) -> Block {
        Block {
            number,
            timestamp: 1_700_000_000 - secs_old,
            hash: Some(B256::repeat_byte(7)),
            origin: Some(origin),
        }
    }

    const HEADS: Heads = Heads {
        unsafe_l2: on(50_000, 3, 998),
        safe_l2: on(49_700, 600, 960),
        finalized_l2: on(49_000, 2000, 900),
    };

    const PAIR: Execution = Execution {
        head: 50_001,
        safe: Some(49_700),
        finalized: Some(49_000),
        is_syncing: false,
        at_safe: Some(B256::repeat_byte(7)),
    };

    fn with(heads: Heads) -> Seen {
        Seen { heads, ..well() }
    }

    fn driving(execution: Execution) -> Seen {
        Seen { execution: Some(execution), ..well() }
    }

    fn well() -> Seen {
        Seen {
            current_l1: block(990, 130),
            head_l1: block(1000, 10),
            heads: HEADS,
            execution: None,
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
            (Seen { current_l1: block(989, 140), ..well() }, "syncing", "yet to read 11 blocks"),
            (Seen { current_l1: block(2000, 0), ..well() }, "yes", ""),
            (Seen { head_l1: block(1000, 299), ..well() }, "yes", ""),
            (Seen { head_l1: block(1000, 300), ..well() }, "lagging", "look at the execution client"),
            (Seen::default(), "syncing", "not seen the first layer"),
            (with(Heads { unsafe_l2: block(50_000, 29), ..HEADS }), "yes", ""),
            (with(Heads { unsafe_l2: block(50_000, 30), ..HEADS }), "lagging", "30 s old."),
            (
                Seen { peers: Some(0), ..with(Heads { unsafe_l2: block(50_000, 99), ..HEADS }) },
                "lagging",
                "no peers",
            ),
            (
                with(Heads {
                    unsafe_l2: Block { number: 1, timestamp: u64::MAX, ..Block::default() },
                    ..HEADS
                }),
                "lagging",
                "future",
            ),
            // Derivation, and what it stands on.
            (with(Heads { safe_l2: block(49_401, 900), ..HEADS }), "yes", ""),
            (with(Heads { safe_l2: block(49_400, 900), ..HEADS }), "lagging", "600 blocks ahead"),
            (
                with(Heads { safe_l2: on(49_400, 1200, 880), ..HEADS }),
                "lagging",
                "stands on block 880 of the first layer, 120 blocks before",
            ),
            (with(Heads { unsafe_l2: on(50_000, 3, 851), ..HEADS }), "yes", ""),
            (with(Heads { unsafe_l2: on(50_000, 3, 850), ..HEADS }), "lagging", "the sequencer does not see"),
            (with(Heads { unsafe_l2: on(50_000, 3, 1_002), ..HEADS }), "yes", ""),
            // Beside its execution client.
            (driving(PAIR), "yes", ""),
            (driving(Execution { head: 49_990, ..PAIR }), "yes", ""),
            (driving(Execution { head: 49_989, ..PAIR }), "lagging", "Its execution client is behind it"),
            (
                driving(Execution { head: 7, is_syncing: true, at_safe: None, ..PAIR }),
                "syncing",
                "op-node waits for it",
            ),
            (driving(Execution { head: 50_010, is_syncing: true, ..PAIR }), "yes", ""),
            (driving(Execution { head: 50_011, ..PAIR }), "lagging", "behind its own execution client"),
            (driving(Execution { at_safe: Some(B256::repeat_byte(8)), ..PAIR }), "no", "different chains"),
            (driving(Execution { at_safe: None, safe: None, finalized: None, ..PAIR }), "yes", ""),
            (driving(Execution { safe: Some(49_100), ..PAIR }), "yes", ""),
            (driving(Execution { safe: Some(49_099), ..PAIR }), "lagging", "newest that is safe, 601 blocks"),
            (driving(Execution { finalized: Some(0), ..PAIR }), "lagging", "newest that is final"),
            // Who reads the first layer anew is behind that, and not behind the client that has it all already.
            (
                Seen { current_l1: block(100, 9999), ..driving(Execution { head: 90_000, ..PAIR }) },
                "syncing",
                "yet to read 900 blocks of that, from 100 to 1000",
            ),
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
        assert_eq!(sight.reached, Some(990), "what it has read, and not what it is told");
        let waiting = judge(&driving(Execution { head: 100, ..PAIR }), &settings("http://x/"), NOW);
        assert_eq!(
            (waiting.reached, waiting.behind),
            (Some(100), Some(49_900)),
            "it waits for its execution client"
        );
        assert_eq!(sight.head_age, Some(Duration::from_secs(3)));
        assert_eq!(sight.finalized_age, Some(Duration::from_secs(2000)));
        let nothing = judge(&Seen::default(), &settings("http://x/"), NOW);
        assert_eq!((nothing.head_age, nothing.finalized_age), (None, None));
    }

    proptest! {
        #[test]
        fn nothing_that_a_node_says_is_too_much(
            numbers in prop::array::uniform5(any::<u64>()), times in prop::array::uniform5(any::<u64>()),
            execution in any::<Option<(u64, Option<u64>, bool)>>(), now in any::<i64>(),
        ) {
            let block = |place: usize| Block {
                number: numbers[place],
                timestamp: times[place],
                hash: None,
                origin: Some(numbers[4 - place]),
            };
            let execution = execution.map(|(head, safe, is_syncing)| Execution { head, safe, finalized: safe, is_syncing, at_safe: None });
            let seen = Seen {
                current_l1: block(0),
                head_l1: block(1),
                heads: Heads { unsafe_l2: block(2), safe_l2: block(3), finalized_l2: block(4) },
                execution,
                ..well()
            };
            judge(&seen, &settings("http://x/"), now);
        }
    }
}
