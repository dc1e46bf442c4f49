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
    RawJson, RpcCall, UpstreamId,
    subscriptions::{
        block::Block,
        chain::{Gap, RING},
        logs::{self, Log},
        parts::{Backfill, Fetched, NotFetched},
    },
};

/// Longest time for one call, all attempts of the gateway's together. Its own deadline is shorter.
const CALL: Duration = Duration::from_secs(30);
/// Calls for the blocks of one gap that are under way at once.
const AT_ONCE: usize = 8;
/// Answers that there is no such block as closes a gap, with pauses of ten seconds altogether, until it counts as one that nobody has.
const ATTEMPTS: u32 = 8;
/// The same where nobody answers at all, which says nothing of the block: minutes, as what is given up is lost to all who subscribed.
const UNANSWERED: u32 = 40;
/// Pauses between attempts, doubled with each.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);
/// Rounds of all upstreams whose logs of a block do not make its bloom until they are taken all the same.
const PROOFS: u32 = 5;
/// The same for a block without a bloom: there, no answer can prove that there are no logs.
const PROOFS_WITHOUT_BLOOM: u32 = 2;

/// Something that was fetched.
pub(super) enum Done {
    /// Blocks of a gap, and whether somebody said of the last what is known of it.
    Filled(Gap, Vec<Block>, bool),
    /// A block's logs.
    Logs(Arc<Block>, Result<Fetched, NotFetched>),
    /// The newest block, and the question that was open when it was asked for.
    Polled(Option<Box<Block>>, Option<u64>),
    /// A pending transaction; none where nobody knows it.
    Transaction(B256, Option<RawJson>),
}

fn pause_after(failures: u32) -> Duration {
    match failures.checked_sub(1) {
        None => Duration::ZERO,
        Some(doublings) => FIRST_PAUSE.saturating_mul(1 << doublings.min(16)).min(LONGEST_PAUSE),
    }
}

/// Fetches the newest block.
pub(super) fn newest(backfill: Arc<dyn Backfill>, question: Option<u64>) -> BoxFuture<'static, Done> {
    Box::pin(async move {
        let call = RpcCall::new("eth_getBlockByNumber", &b"[\"latest\",false]"[..]);
        Done::Polled(block(&*backfill, call).await.map(Box::new), question)
    })
}

/// Attempts that did not bring a block.
#[derive(Clone, Copy, Debug, Default)]
struct Failed {
    attempts: u32,
    /// Those in which somebody said that there is no such block.
    answers: u32,
}

/// Fills gaps, one after the other.
#[derive(Debug, Default)]
pub(super) struct GapFiller {
    under_way: Option<Gap>,
    /// By the hash of what was wanted.
    failed: HashMap<B256, Failed>,
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
        let failures = |gap: &Gap| self.failed.get(&gap.hash).map_or(0, |failed| failed.attempts);
        let gap = *gaps.iter().min_by_key(|gap| failures(gap))?;
        let (pause, backfill) = (pause_after(failures(&gap)), Arc::clone(backfill));
        self.under_way = Some(gap);
        debug!(from = gap.from, to = gap.to, "fetching blocks that no websocket told of");
        Some(Box::pin(async move {
            sleep(pause).await;
            let (blocks, is_answered) = blocks_of(&*backfill, gap).await;
            Done::Filled(gap, blocks, is_answered)
        }))
    }

    /// An attempt has ended; whether the gap's last block counts as one that nobody has.
    pub(super) fn ended(&mut self, gap: &Gap, blocks: &[Block], is_answered: bool) -> bool {
        self.under_way = None;
        if blocks.iter().any(|block| block.hash() == gap.hash) {
            self.failed.clear();
            return false;
        }
        if self.failed.len() > RING {
            self.failed.clear();
        }
        let failed = self.failed.entry(gap.hash).or_default();
        failed.attempts += 1;
        failed.answers += u32::from(is_answered);
        failed.answers >= ATTEMPTS || failed.attempts >= UNANSWERED
    }
}

async fn blocks_of(backfill: &dyn Backfill, gap: Gap) -> (Vec<Block>, bool) {
    let last = RpcCall::new("eth_getBlockByHash", Bytes::from(format!("[\"{}\",false]", gap.hash)));
    let last = answer(backfill, last).await;
    let is_answered = last.is_some();
    let last = last.and_then(|raw| Block::read(&raw)).filter(|block| block.hash() == gap.hash);
    let ring = u64::try_from(RING).unwrap_or(u64::MAX);
    let from = gap.from.max(gap.to.saturating_sub(ring));
    // By their numbers, all at once: what is of another branch does not link, and its parents are asked for by hash.
    let others = stream::iter(from..gap.to).map(|number| async move {
        let call = RpcCall::new("eth_getBlockByNumber", Bytes::from(format!("[\"{number:#x}\",false]")));
        block(backfill, call).await.filter(|block| block.number() == number)
    });
    let mut blocks: Vec<Block> = others.buffered(AT_ONCE).filter_map(|block| async { block }).collect().await;
    blocks.extend(last);
    (blocks, is_answered)
}

async fn block(backfill: &dyn Backfill, call: RpcCall) -> Option<Block> {
    Block::read(&answer(backfill, call).await?)
}

async fn answer(backfill: &dyn Backfill, call: RpcCall) -> Option<RawJson> {
    match timeout(CALL, backfill.call(call)).await {
        Ok(Ok(result)) => Some(result),
        Ok(Err(error)) => {
            debug!(error, "a block could not be fetched");
            None
        }
        Err(_) => None,
    }
}

/// Fetches logs, of one block after the other. What a block's bloom does not prove is asked of another upstream at once, and is taken only
/// when every upstream that serves has said the same, several times.
#[derive(Debug, Default)]
pub(super) struct LogFetcher {
    is_under_way: bool,
    tried: Option<Tried>,
}

/// What came of the attempts at a block's logs so far.
#[derive(Debug)]
struct Tried {
    block: B256,
    /// Rounds of all upstreams that are over.
    rounds: u32,
    /// What upstreams said in this round; none where it was nothing that could be this block's logs.
    said: Vec<(UpstreamId, Option<Vec<Log>>)>,
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
        let tried = self.tried(&block);
        let avoid: Vec<UpstreamId> = tried.said.iter().map(|(by, _)| by.clone()).collect();
        let pause = if avoid.is_empty() { pause_after(tried.rounds) } else { Duration::ZERO };
        Some(Box::pin(async move {
            sleep(pause).await;
            let call = backfill.call_avoiding(logs::call_for(block.hash()), avoid);
            let answer = timeout(CALL, call).await;
            let answer = answer.unwrap_or_else(|_| Err(NotFetched::Failed("no answer in time".to_owned())));
            Done::Logs(block, answer)
        }))
    }

    fn tried(&mut self, block: &Block) -> &mut Tried {
        let hash = block.hash();
        if self.tried.as_ref().is_some_and(|tried| tried.block != hash) {
            self.tried = None;
        }
        self.tried.get_or_insert(Tried { block: hash, rounds: 0, said: Vec::new() })
    }

    /// An attempt has ended: the logs, or none when it is to be tried again.
    pub(super) fn ended(&mut self, block: &Block, answer: Result<Fetched, NotFetched>) -> Option<Vec<Log>> {
        self.is_under_way = false;
        let number = block.number();
        let tried = self.tried(block);
        match answer {
            Ok(Fetched { result, by }) => {
                let error = match logs::read(&result, block) {
                    Ok(logs) => return Some(logs),
                    Err(error) => error,
                };
                debug!(number, upstream = %by, %error, "an upstream's logs of a block cannot be taken");
                tried.said.push((by, logs::read_unproved(&result, block).ok()));
            }
            Err(error) => {
                debug!(number, %error, rounds = tried.rounds, "no upstream gave logs that prove themselves");
                tried.rounds = tried.rounds.saturating_add(1);
                let said = std::mem::take(&mut tried.said);
                let proofs = if block.bloom.is_some() { PROOFS } else { PROOFS_WITHOUT_BLOOM };
                if error == NotFetched::NobodyElse && tried.rounds >= proofs {
                    let logs = agreed(said)?;
                    if block.bloom.is_some() {
                        warn!(
                            number,
                            "the logs of a block do not make its bloom, taking them all the same, as every upstream says so"
                        );
                    }
                    return Some(logs);
                }
            }
        }
        None
    }
}

/// What all say, if they say the same.
fn agreed(said: Vec<(UpstreamId, Option<Vec<Log>>)>) -> Option<Vec<Log>> {
    let mut said = said.into_iter().map(|(_, logs)| logs);
    let first = said.next()??;
    // Not their text: nodes write the same log in different ways.
    let is_same = |other: &[Log]| {
        other.len() == first.len()
            && other.iter().zip(&first).all(|(a, b)| (a.address, &a.topics) == (b.address, &b.topics))
    };
    said.all(|other| other.is_some_and(|other| is_same(&other))).then_some(first)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::gateway::subscriptions::testing::{block, log};

    fn said(by: &str, logs: &[Value]) -> Result<Fetched, NotFetched> {
        let by = UpstreamId::parse(by).unwrap();
        Ok(Fetched { result: RawJson::from_value(&json!(logs)), by })
    }

    #[test]
    fn unproved_logs_are_taken_once_every_upstream_has_said_the_same_often_enough() {
        let (block, odd) = (block(7, 'a'), [log(7, 'b')]);
        let odd = [{
            let mut log = odd[0].clone();
            log["blockHash"] = json!(block.hash());
            log
        }];
        let round = |fetcher: &mut LogFetcher, first: &[Value], second: &[Value], end: NotFetched| {
            assert_eq!(fetcher.ended(&block, said("u0", first)), None);
            assert_eq!(fetcher.ended(&block, said("u1", second)), None);
            fetcher.ended(&block, Err(end))
        };
        for (second, end, taken) in [
            (&odd[..], NotFetched::NobodyElse, Some(1)),
            (&[], NotFetched::NobodyElse, None),
            (&[json!(7)], NotFetched::NobodyElse, None),
            // A third one serves, and has not said anything.
            (&odd[..], NotFetched::Failed("timeout".to_owned()), None),
        ] {
            let mut fetcher = LogFetcher::default();
            for _ in 1..PROOFS {
                assert_eq!(round(&mut fetcher, &odd, second, end.clone()), None);
            }
            let logs = round(&mut fetcher, &odd, second, end);
            assert_eq!(logs.map(|logs| logs.len()), taken, "{second:?}");
            assert_eq!(
                fetcher.ended(&block, said("u0", &[log(7, 'a')])).unwrap().len(),
                1,
                "a proof is enough"
            );
        }
        let (silent, mut fetcher) = (Block { bloom: None, ..block }, LogFetcher::default());
        let mut nobody_else = || {
            assert_eq!(fetcher.ended(&silent, said("u0", &[])), None);
            assert_eq!(fetcher.ended(&silent, said("u1", &[])), None);
            fetcher.ended(&silent, Err(NotFetched::NobodyElse))
        };
        assert_eq!((nobody_else(), nobody_else()), (None, Some(Vec::new())));
    }
}
