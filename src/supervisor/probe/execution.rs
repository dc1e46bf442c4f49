//! Execution clients: geth, reth, op-reth. Source: execution-apis `eth`.
//!
//! The age of the head is the authority. `eth_syncing` with an object says that a node is not there yet only while its head is old as well, or many blocks are left.
//! Without it an old head is a lag, whatever the node says.

use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    failure::ProbeFailure,
    line::{Line, Trouble, number, quantity, version},
    pace::{Ages, age, block_time, counted, is_on_demand, too_far_ahead, words},
};
use crate::{
    ethereum::{Syncing, read_syncing, sync_work},
    supervisor::{NodeKind, ProbeSettings, Ready, Sight},
    types::UnixMillis,
};

/// A block, as far as it matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) number: u64,
    /// Unix seconds.
    pub(super) timestamp: u64,
}

/// What it answered. None: it has no such method, or did not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) chain_id: Option<u64>,
    pub(super) head: Option<Block>,
    pub(super) syncing: Option<Syncing>,
    /// What its sync has done beside blocks.
    pub(super) work: Option<u64>,
    pub(super) peers: Option<u64>,
    pub(super) finalized: Option<Block>,
    pub(super) version: Option<String>,
}

/// Asks all of it. The head comes first: who has none to show need not be asked anything else.
pub(super) async fn ask(line: &Line<'_>) -> Result<Seen, Trouble> {
    let seen = ask_common(line).await?;
    let peers: Option<Value> = line.nice("net_peerCount", json!([])).await;
    Ok(Seen { peers: peers.as_ref().and_then(number), ..seen })
}

/// What every chain with an EVM has.
pub(super) async fn ask_common(line: &Line<'_>) -> Result<Seen, Trouble> {
    let head: Option<WireBlock> =
        line.needed::<Option<WireBlock>>("eth_getBlockByNumber", json!(["latest", false])).await?.flatten();
    let chain_id: Option<String> = line.needed("eth_chainId", json!([])).await?;
    let syncing: Option<Value> = line.nice("eth_syncing", json!([])).await;
    let finalized: Option<WireBlock> = line.nice("eth_getBlockByNumber", json!(["finalized", false])).await;
    let named: Option<String> = line.nice("web3_clientVersion", json!([])).await;
    let garbled = |what: &str| ProbeFailure::Garbage(format!("{what} answers what it should not"));
    Ok(Seen {
        chain_id: match chain_id {
            Some(text) => Some(quantity(&text).ok_or_else(|| garbled("eth_chainId"))?),
            None => None,
        },
        head: match head {
            Some(block) => Some(block.read().ok_or_else(|| garbled("eth_getBlockByNumber"))?),
            None => None,
        },
        syncing: syncing.as_ref().and_then(read_syncing),
        work: syncing.as_ref().and_then(sync_work),
        peers: None,
        finalized: finalized.and_then(|block| block.read()),
        version: named.as_deref().map(version),
    })
}

#[derive(Deserialize)]
struct WireBlock {
    number: String,
    timestamp: String,
}

impl WireBlock {
    fn read(&self) -> Option<Block> {
        Some(Block { number: quantity(&self.number)?, timestamp: quantity(&self.timestamp)? })
    }
}

/// How it is.
pub(super) fn judge(kind: NodeKind, seen: &Seen, settings: &ProbeSettings, now: UnixMillis) -> Sight {
    let behind = match seen.syncing {
        Some(Syncing::Yes { remaining }) => remaining,
        Some(Syncing::No) => Some(0),
        None => None,
    };
    Sight {
        head: seen.head.map(|head| head.number),
        head_age: seen.head.map(|head| age(head.timestamp, now)),
        behind,
        work: seen.work,
        peers: seen.peers,
        version: seen.version.clone(),
        // A chain's first block is as old as the chain, and no sign of anything.
        finalized_age: seen.finalized.filter(|block| block.number > 0).map(|block| age(block.timestamp, now)),
        ..Sight::only(ready(kind, seen, settings, now))
    }
}

fn ready(kind: NodeKind, seen: &Seen, settings: &ProbeSettings, now: UnixMillis) -> Ready {
    if let (Some(wanted), Some(got)) = (settings.chain_id, seen.chain_id)
        && wanted != got
    {
        return Ready::No(format!(
            "It is a node of chain {got}, and is to be of chain {wanted}: correct its url, its start or chain_id."
        ));
    }
    let Some(head) = seen.head else {
        return Ready::No(
            "It has no latest block: its database is empty, or it cannot read it. Look at its log."
                .to_owned(),
        );
    };
    let number = head.number;
    let left = match seen.syncing {
        Some(Syncing::Yes { remaining }) => Some(remaining),
        Some(Syncing::No) | None => None,
    };
    let syncing = |remaining: Option<u64>| {
        let left = remaining.filter(|blocks| *blocks > 0);
        let left = left.map(|blocks| format!(", {} to go", counted(blocks, "block"))).unwrap_or_default();
        Ready::Syncing(format!("It says that it is syncing{left}; its head is block {number}."))
    };
    if is_on_demand(seen.chain_id, settings) {
        return match left.flatten() {
            Some(blocks @ 1..) => syncing(Some(blocks)),
            Some(0) | None => Ready::Yes,
        };
    }
    if let Some(ahead) = too_far_ahead(head.timestamp, now) {
        return Ready::Lagging(format!(
            "Its head, block {number}, has a time {} in the future: it is wrong, or this machine's clock is.",
            words(ahead)
        ));
    }
    let ages = Ages::of(kind, settings);
    let old = age(head.timestamp, now);
    let is_old = old > ages.lag;
    if let Some(remaining) = left {
        let block = block_time(kind, settings);
        let far = |blocks: u64| block.saturating_mul(u32::try_from(blocks).unwrap_or(u32::MAX)) > ages.lag;
        if is_old || remaining.is_some_and(far) {
            return syncing(remaining);
        }
    }
    if !is_old {
        return Ready::Yes;
    }
    let alone = if seen.peers == Some(0) { ", and it has no peers" } else { "" };
    let hint = match (number, kind) {
        (0, _) => " It has only its first block: no consensus client drives it, or its sync has not begun.",
        (_, NodeKind::Geth | NodeKind::Reth) if old > ages.down => {
            " Look whether its consensus client runs and reaches its engine port."
        }
        (_, NodeKind::OpReth) if old > ages.down => {
            " Look whether its op-node runs and reaches its engine port."
        }
        _ => "",
    };
    Ready::Lagging(format!("Its head, block {number}, is {} old{alone}.{hint}", words(old)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;
    use crate::supervisor::probe::testing::{NOW, settings};

    fn head(secs_old: u64) -> Option<Block> {
        Some(Block { number: 100, timestamp: 1_700_000_000 - secs_old })
    }

    fn well() -> Seen {
        Seen {
            chain_id: Some(1),
            head: head(5),
            syncing: Some(Syncing::No),
            peers: Some(25),
            ..Seen::default()
        }
    }

    #[track_caller]
    fn check(kind: NodeKind, seen: &Seen, want: &str, word: &str) {
        let settings = ProbeSettings { chain_id: Some(1), ..settings("http://x/") };
        check_with(kind, seen, &settings, want, word);
    }

    #[track_caller]
    fn check_with(kind: NodeKind, seen: &Seen, settings: &ProbeSettings, want: &str, word: &str) {
        let (state, words) = match judge(kind, seen, settings, NOW).ready {
            Ready::Yes => ("yes", String::new()),
            Ready::Syncing(words) => ("syncing", words),
            Ready::Lagging(words) => ("lagging", words),
            Ready::No(words) => ("no", words),
        };
        assert_eq!(state, want, "{seen:?}: {words}");
        assert!(words.contains(word), "{words}");
    }

    #[test]
    fn the_age_of_the_head_is_the_authority() {
        use NodeKind::{Geth, OpReth};
        let on_its_way = |remaining| Some(Syncing::Yes { remaining });
        for (kind, seen, want, word) in [
            (Geth, well(), "yes", ""),
            (Geth, Seen { head: head(60), ..well() }, "yes", ""),
            (Geth, Seen { head: head(61), ..well() }, "lagging", "block 100, is 61 s old."),
            (Geth, Seen { head: head(301), ..well() }, "lagging", "consensus client"),
            (OpReth, Seen { head: head(31), ..well() }, "lagging", "31 s"),
            (OpReth, Seen { head: head(30), ..well() }, "yes", ""),
            // What it says of itself does not help it, nor does it harm.
            (Geth, Seen { head: head(600), syncing: None, ..well() }, "lagging", "10 min"),
            (Geth, Seen { syncing: on_its_way(Some(0)), ..well() }, "yes", ""),
            (Geth, Seen { syncing: on_its_way(None), ..well() }, "yes", ""),
            (Geth, Seen { syncing: on_its_way(Some(5)), ..well() }, "yes", ""),
            (Geth, Seen { syncing: on_its_way(Some(6)), ..well() }, "syncing", "6 blocks to go"),
            (Geth, Seen { head: head(600), syncing: on_its_way(None), ..well() }, "syncing", "block 100"),
            (
                Geth,
                Seen { head: Some(Block { number: 0, timestamp: 0 }), ..well() },
                "lagging",
                "first block",
            ),
            // No peers are a fault only with an old head.
            (Geth, Seen { peers: Some(0), ..well() }, "yes", ""),
            (Geth, Seen { peers: Some(0), head: head(100), ..well() }, "lagging", "no peers"),
            (Geth, Seen { peers: None, ..well() }, "yes", ""),
            (Geth, Seen { chain_id: Some(5), ..well() }, "no", "chain 5"),
            (Geth, Seen { chain_id: None, ..well() }, "yes", ""),
            (Geth, Seen { head: None, ..well() }, "no", "no latest block"),
            (
                Geth,
                Seen { head: Some(Block { number: 1, timestamp: u64::MAX }), ..well() },
                "lagging",
                "in the future",
            ),
        ] {
            check(kind, &seen, want, word);
        }
    }

    #[test]
    fn a_chain_of_developers_may_rest() {
        let seen = Seen { chain_id: Some(1337), head: head(86_400), ..well() };
        let plain = settings("http://x/");
        check_with(NodeKind::Geth, &seen, &plain, "yes", "");
        let limited = ProbeSettings { lag_age: Some(Duration::from_secs(10)), ..plain.clone() };
        check_with(NodeKind::Geth, &seen, &limited, "lagging", "24 h");
        let paced = ProbeSettings { block_time: Some(Duration::from_secs(1)), ..plain.clone() };
        check_with(NodeKind::Geth, &seen, &paced, "lagging", "24 h");
        let of_another = ProbeSettings { chain_id: Some(31_337), ..plain };
        check_with(NodeKind::Geth, &seen, &of_another, "no", "chain 1337");
    }

    #[test]
    fn what_is_shown_beside_it() {
        let seen = Seen {
            finalized: Some(Block { number: 40, timestamp: 1_700_000_000 - 900 }),
            version: Some("Geth/v1.16".to_owned()),
            syncing: Some(Syncing::Yes { remaining: Some(3) }),
            ..well()
        };
        let sight = judge(NodeKind::Geth, &seen, &settings("http://x/"), NOW);
        assert_eq!((sight.head, sight.behind, sight.peers), (Some(100), Some(3), Some(25)));
        assert_eq!(
            (sight.head_age, sight.finalized_age),
            (Some(Duration::from_secs(5)), Some(Duration::from_secs(900)))
        );
        let first = Seen { finalized: Some(Block { number: 0, timestamp: 0 }), ..well() };
        assert_eq!(judge(NodeKind::Geth, &first, &settings("http://x/"), NOW).finalized_age, None);
    }

    proptest! {
        #[test]
        fn nothing_that_a_node_says_is_too_much(
            number in any::<u64>(), timestamp in any::<u64>(), remaining in any::<Option<u64>>(),
            peers in any::<Option<u64>>(), chain_id in any::<Option<u64>>(), now in any::<i64>(),
        ) {
            let seen = Seen {
                chain_id,
                head: Some(Block { number, timestamp }),
                syncing: Some(Syncing::Yes { remaining }),
                work: remaining,
                peers,
                finalized: Some(Block { number, timestamp }),
                version: None,
            };
            judge(NodeKind::OpReth, &seen, &settings("http://x/"), now);
        }

        #[test]
        fn an_old_head_is_never_ready(
            old in 61_u64..1_000_000, syncing in prop::option::of(prop::option::of(any::<u64>())), peers in any::<Option<u64>>(),
        ) {
            let syncing = syncing.map_or(Some(Syncing::No), |remaining| Some(Syncing::Yes { remaining }));
            let seen = Seen { head: head(old), syncing, peers, ..well() };
            prop_assert_ne!(judge(NodeKind::Geth, &seen, &settings("http://x/"), NOW).ready, Ready::Yes);
        }
    }
}
