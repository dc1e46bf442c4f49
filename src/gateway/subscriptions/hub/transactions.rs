//! Whole pending transactions that no upstream tells of by itself: fetched by their hashes, a few at a time, and no more than can be had.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use alloy_primitives::B256;
use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use tokio::time::{sleep, timeout};
use tracing::debug;

use super::fetch::Done;
use crate::gateway::{RawJson, RpcCall, subscriptions::parts::Backfill};

/// Calls that are under way at once.
const AT_ONCE: usize = 8;
/// Hashes that wait for their turn. Arbitrary: seconds of a busy chain's. The oldest gives way: it may be in a block by then.
const WAITING: usize = 1024;
/// Longest time for one call.
const CALL: Duration = Duration::from_secs(5);
/// Until whoever does not know a transaction yet is asked once more: another one told of it.
const AGAIN: Duration = Duration::from_millis(500);

/// Fetches transactions.
#[derive(Debug, Default)]
pub(super) struct TransactionFetcher {
    waiting: VecDeque<B256>,
    under_way: usize,
}

#[derive(Deserialize)]
struct WithHash {
    hash: B256,
}

impl TransactionFetcher {
    /// A transaction is wanted whole.
    pub(super) fn want(&mut self, hash: B256) {
        if self.waiting.len() >= WAITING {
            debug!("pending transactions come faster than they can be fetched, the oldest is left out");
            self.waiting.pop_front();
        }
        self.waiting.push_back(hash);
    }

    /// Nobody wants any more.
    pub(super) fn forget(&mut self) {
        self.waiting = VecDeque::new();
    }

    /// Begins to fetch as many as may be fetched.
    pub(super) fn fetch(&mut self, backfill: &Arc<dyn Backfill>) -> Vec<BoxFuture<'static, Done>> {
        let mut begun: Vec<BoxFuture<'static, Done>> = Vec::new();
        while self.under_way < AT_ONCE
            && let Some(hash) = self.waiting.pop_front()
        {
            self.under_way += 1;
            let backfill = Arc::clone(backfill);
            begun.push(Box::pin(async move { Done::Transaction(hash, fetched(&*backfill, hash).await) }));
        }
        begun
    }

    /// One has ended.
    pub(super) fn ended(&mut self) {
        self.under_way = self.under_way.saturating_sub(1);
    }
}

async fn fetched(backfill: &dyn Backfill, hash: B256) -> Option<RawJson> {
    let first = once(backfill, hash).await;
    if first.is_some() {
        return first;
    }
    sleep(AGAIN).await;
    once(backfill, hash).await
}

async fn once(backfill: &dyn Backfill, hash: B256) -> Option<RawJson> {
    let call = RpcCall::new("eth_getTransactionByHash", Bytes::from(format!("[\"{hash}\"]")));
    let result = timeout(CALL, backfill.call(call)).await.ok()?.ok()?;
    // `null` is of who does not know it.
    let is_it = result.read::<WithHash>().is_ok_and(|body| body.hash == hash);
    // It is kept for as long as clients do not read.
    is_it.then(|| result.detached())
}
