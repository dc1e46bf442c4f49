//! What is fetched for the chain and its logs: one gap and one block's logs at a time, again until it comes.

use std::{collections::HashMap, sync::Arc, time::Duration};

use alloy_primitives::B256;
use bytes::Bytes;
use futures_util::{
    StreamExt,
    future::BoxFuture,
    stream::{self},
};
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use crate::gateway::{
    RawJson, RpcCall,
    subscriptions::{
        block::Block,
        chain::{Gap, RING},
        logs::{self, BadLogs, Log},
        parts::Backfill,
    },
};

/// Longest time for one call, all attempts of the gateway's together. Its own deadline is shorter.
const CALL: Duration = Duration::from_secs(30);
/// Calls for the blocks of one gap that are under way at once.
const AT_ONCE: usize = 8;
/// Attempts at the block that closes a gap, with pauses of ten seconds altogether, until it counts as one that nobody has.
const ATTEMPTS: u32 = 8;
/// Pauses between attempts, doubled with each.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Answers to the same block's logs that do not make its bloom until they are taken all the same.
const PROOFS: u32 = 5;

/// Something that was fetched.
pub(super) enum Done {
    /// Blocks of a gap.
    Filled(Gap, Vec<Block>),
    /// A block's logs.
    Logs(Arc<Block>, Result<RawJson, String>),
    /// The newest block.
    Polled(Option<Box<Block>>),
}

fn pause_after(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => FIRST_PAUSE.saturating_mul(1 << doublings.min(16)).min(LONGEST_PAUSE),
    }
}

/// Fetches the newest block.
pub(super) fn newest(backfill: Arc<dyn Backfill>) -> BoxFuture<'static, Done> {
    Box::pin(async move {
        let call = RpcCall::new("eth_getBlockByNumber", &b"[\"latest\",false]"[..]);
        Done::Polled(block(&*backfill, call).await.map(Box::new))
    })
}

/// Fills gaps, one after the other.
#[derive(Debug, Default)]
pub(super) struct GapFiller {
    under_way: Option<Gap>,
    /// Attempts by the hash of what was wanted.
    failed: HashMap<B256, u32>,
}

impl GapFiller {
    /// Begins to fill one of several gaps, the one that failed least, unless one is being filled.
    pub(super) fn fill(
        &mut self,
        gaps: &[Gap],
        backfill: &Arc<dyn Backfill>,
    ) -> Option<BoxFuture<'static, Done>> {
        if self.under_way.is_some() {
            return None;
        }
        let failures = |gap: &Gap| self.failed.get(&gap.hash).copied().unwrap_or_default();
        let gap = *gaps.iter().min_by_key(|gap| failures(gap))?;
        let (pause, backfill) = (pause_after(failures(&gap)), Arc::clone(backfill));
        self.under_way = Some(gap);
        debug!(from = gap.from, to = gap.to, "fetching blocks that no websocket told of");
        Some(Box::pin(async move {
            sleep(pause).await;
            Done::Filled(gap, blocks_of(&*backfill, gap).await)
        }))
    }

    /// An attempt has ended; whether the gap's last block counts as one that nobody has.
    pub(super) fn ended(&mut self, gap: &Gap, blocks: &[Block]) -> bool {
        self.under_way = None;
        if blocks.iter().any(|block| block.hash() == gap.hash) {
            self.failed.clear();
            return false;
        }
        if self.failed.len() > RING {
            self.failed.clear();
        }
        let failures = self.failed.entry(gap.hash).or_default();
        *failures += 1;
        *failures >= ATTEMPTS
    }
}

async fn blocks_of(backfill: &dyn Backfill, gap: Gap) -> Vec<Block> {
    let last = RpcCall::new("eth_getBlockByHash", Bytes::from(format!("[\"{}\",false]", gap.hash)));
    let last = block(backfill, last).await.filter(|block| block.hash() == gap.hash);
    let ring = u64::try_from(RING).unwrap_or(u64::MAX);
    let from = gap.from.max(gap.to.saturating_sub(ring));
    // By their numbers, all at once: what is of another branch does not link, and its parents are asked for by hash.
    let others = stream::iter(from..gap.to).map(|number| async move {
        let call = RpcCall::new("eth_getBlockByNumber", Bytes::from(format!("[\"{number:#x}\",false]")));
        block(backfill, call).await.filter(|block| block.number() == number)
    });
    let mut blocks: Vec<Block> = others.buffered(AT_ONCE).filter_map(|block| async { block }).collect().await;
    blocks.extend(last);
    blocks
}

async fn block(backfill: &dyn Backfill, call: RpcCall) -> Option<Block> {
    match timeout(CALL, backfill.call(call)).await {
        Ok(Ok(result)) => Block::read(&result),
        Ok(Err(error)) => {
            debug!(error, "a block could not be fetched");
            None
        }
        Err(_) => None,
    }
}

/// Fetches logs, of one block after the other.
#[derive(Debug, Default)]
pub(super) struct LogFetcher {
    is_under_way: bool,
    /// Failures in a row for a block.
    failed: Option<(B256, u32)>,
}

impl LogFetcher {
    /// Begins to fetch a block's logs, unless some are being fetched.
    pub(super) fn fetch(
        &mut self,
        block: &Arc<Block>,
        backfill: &Arc<dyn Backfill>,
    ) -> Option<BoxFuture<'static, Done>> {
        if std::mem::replace(&mut self.is_under_way, true) {
            return None;
        }
        let (block, backfill) = (Arc::clone(block), Arc::clone(backfill));
        let pause = pause_after(self.failures(&block));
        Some(Box::pin(async move {
            sleep(pause).await;
            let answer = timeout(CALL, backfill.call(logs::call_for(block.hash()))).await;
            let answer = answer.unwrap_or_else(|_| Err("no answer in time".to_owned()));
            Done::Logs(block, answer)
        }))
    }

    fn failures(&self, block: &Block) -> u32 {
        self.failed.filter(|(hash, _)| *hash == block.hash()).map_or(0, |(_, failures)| failures)
    }

    /// An attempt has ended: the logs, or none when it is to be tried again.
    pub(super) fn ended(&mut self, block: &Block, answer: Result<RawJson, String>) -> Option<Vec<Log>> {
        self.is_under_way = false;
        let failures = self.failures(block) + 1;
        let error = match answer {
            Ok(answer) => match logs::read(&answer, block) {
                Ok(logs) => return Some(logs),
                Err(BadLogs::Incomplete) if failures >= PROOFS => {
                    warn!(
                        number = block.number(),
                        "the logs of a block do not make its bloom, taking them all the same"
                    );
                    return logs::read_unproved(&answer, block).ok();
                }
                Err(error) => error.to_string(),
            },
            Err(error) => error,
        };
        debug!(number = block.number(), error, failures, "the logs of a block could not be fetched");
        self.failed = Some((block.hash(), failures));
        None
    }
}
