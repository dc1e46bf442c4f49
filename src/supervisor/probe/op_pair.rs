//! The two halves of an OP Stack node against each other: what op-node knows, and the head of the execution client that it drives.
//!
//! They should have the same blocks, a few seconds apart. Where they do not, each by itself may look well; which of them is behind says where to
//! look. An execution client that does not answer is told by its own probe, and nothing is compared.

use alloy_primitives::B256;
use serde::Deserialize;
use serde_json::{Value, json};

use super::{
    line::{Line, quantity},
    op_heads::Heads,
    pace::counted,
};
use crate::{
    ethereum::{Syncing, read_syncing},
    supervisor::Ready,
    types::parse_hash,
};

/// Blocks of two seconds that they may be apart: they are asked one after the other, and a block takes its time.
const APART: u64 = 10;
/// The same for what is safe, which comes in batches of many.
const SAFE_APART: u64 = 600;

/// What the execution client has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Execution {
    /// Its newest block.
    pub(super) head: u64,
    /// Its newest that it takes for safe; none: it was not told of one, or does not say.
    pub(super) safe: Option<u64>,
    pub(super) finalized: Option<u64>,
    /// Whether it says that it syncs.
    pub(super) is_syncing: bool,
    /// Its block where op-node has its newest safe one; none: it has none there.
    pub(super) at_safe: Option<B256>,
}

/// Asks it, after op-node: so it has no less than op-node was told of, where both are well.
pub(super) async fn ask(line: &Line<'_>, heads: &Heads) -> Option<Execution> {
    let head = block(line, "latest").await?;
    let syncing: Option<Value> = line.nice("eth_syncing", json!([])).await;
    let at_safe = block(line, &format!("{:#x}", heads.safe_l2.number)).await;
    Some(Execution {
        head: head.number,
        safe: block(line, "safe").await.map(|block| block.number),
        finalized: block(line, "finalized").await.map(|block| block.number),
        is_syncing: matches!(syncing.as_ref().and_then(read_syncing), Some(Syncing::Yes { .. })),
        at_safe: at_safe.and_then(|block| block.hash),
    })
}

struct Block {
    number: u64,
    hash: Option<B256>,
}

async fn block(line: &Line<'_>, which: &str) -> Option<Block> {
    #[derive(Deserialize)]
    struct Wire {
        number: String,
        #[serde(default)]
        hash: String,
    }
    let wire: Option<Wire> = line.nice("eth_getBlockByNumber", json!([which, false])).await?;
    let wire = wire?;
    Some(Block { number: quantity(&wire.number)?, hash: parse_hash(&wire.hash).ok() })
}

/// What is wrong with the execution client, by what op-node knows.
pub(super) fn execution_behind(heads: &Heads, execution: &Execution) -> Option<Ready> {
    let Heads { unsafe_l2, safe_l2, .. } = heads;
    let Execution { head, is_syncing, at_safe, .. } = execution;
    if let (Some(ours), Some(theirs)) = (safe_l2.hash, at_safe)
        && ours != *theirs
    {
        return Some(Ready::No(format!(
            "Its block {} is another one than its execution client's: {ours} here, {theirs} there. They follow different chains, or its --l2 is not the \
             op-reth that is under [[nodes]].",
            safe_l2.number
        )));
    }
    let gap = lag(execution.head, unsafe_l2.number)?;
    let which = format!(
        "Its execution client is behind it: that one is at block {head}, {} before the newest that op-node knows, {}.",
        counted(gap, "block"),
        unsafe_l2.number
    );
    Some(if *is_syncing {
        Ready::Syncing(format!("{which} It syncs, and op-node waits for it."))
    } else {
        Ready::Lagging(format!(
            "{which} It executes too slowly, or does not take what it is given: look at the execution client's log."
        ))
    })
}

/// Blocks that the execution client is behind, where that is too many.
pub(super) fn lag(head: u64, unsafe_l2: u64) -> Option<u64> {
    Some(unsafe_l2.saturating_sub(head)).filter(|gap| *gap > APART)
}

/// What is wrong with op-node, by what its execution client has, and with what that one was told.
pub(super) fn op_node_behind(heads: &Heads, execution: &Execution) -> Option<Ready> {
    let Heads { unsafe_l2, safe_l2, finalized_l2 } = heads;
    let ahead = execution.head.saturating_sub(unsafe_l2.number);
    if ahead > APART {
        return Some(Ready::Lagging(format!(
            "It is behind its own execution client: op-node is at block {}, {} before that one's head, {}. It was reset, or another op-node drives \
             that client.",
            unsafe_l2.number,
            counted(ahead, "block"),
            execution.head
        )));
    }
    let told = [("safe", safe_l2, execution.safe), ("final", finalized_l2, execution.finalized)];
    told.into_iter().find_map(|(what, known, said)| {
        let (said, gap) = (said?, known.number.saturating_sub(said?));
        (gap > SAFE_APART).then(|| {
            Ready::Lagging(format!(
                "Its execution client takes block {said} for the newest that is {what}, {} before op-node's, {}: what op-node tells over the \
                 engine port does not arrive there.",
                counted(gap, "block"),
                known.number
            ))
        })
    })
}
