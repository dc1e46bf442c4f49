//! Who subscribed to what, and what each of them is told.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock},
};

use alloy_primitives::Bloom;
use tokio_util::sync::CancellationToken;

use super::notices::{self, Notices, Queue, Results};
use crate::{
    gateway::{
        RawJson,
        subscriptions::{
            block::Block,
            logs::{Batch, Log},
            topic::{Bodies, SubscriptionId, Topic},
        },
    },
    jsonrpc::{ErrorCode, RpcError},
};

/// Shows a client's connection that it is to be closed, and why.
#[derive(Clone, Debug, Default)]
pub struct Cut {
    token: CancellationToken,
    reason: Arc<OnceLock<&'static str>>,
}

impl Cut {
    /// Waits until it is to be closed; the reason in words. Cancel-safe.
    pub async fn reason(&self) -> &'static str {
        self.token.cancelled().await;
        self.given().unwrap_or_default()
    }

    /// The reason, if it is to be closed.
    pub fn given(&self) -> Option<&'static str> {
        self.reason.get().copied()
    }

    fn cut(&self, reason: &'static str) {
        let _ = self.reason.set(reason);
        self.token.cancel();
    }
}

struct Client {
    queue: Queue,
    cut: Cut,
    subscriptions: Vec<Subscription>,
}

struct Subscription {
    id: SubscriptionId,
    topic: Topic,
    /// How many blocks had been told when it began.
    begun: u64,
}

/// Everybody who subscribed.
pub(super) struct Clients {
    all: HashMap<u64, Client>,
    next: u64,
    max_subscriptions: usize,
    max_waiting: usize,
}

impl Clients {
    pub(super) fn new(max_subscriptions: usize, max_waiting: usize) -> Self {
        Self { all: HashMap::new(), next: 0, max_subscriptions, max_waiting }
    }

    pub(super) fn join(&mut self) -> (u64, Notices, Cut) {
        let (queue, notices) = notices::queue(self.max_waiting);
        let (id, cut) = (self.next, Cut::default());
        self.next += 1;
        self.all.insert(id, Client { queue, cut: cut.clone(), subscriptions: Vec::new() });
        (id, notices, cut)
    }

    /// # Errors
    /// When the connection has as many subscriptions as it may, or is being cut.
    pub(super) fn subscribe(
        &mut self,
        client: u64,
        topic: Topic,
        begun: u64,
    ) -> Result<SubscriptionId, RpcError> {
        let max = self.max_subscriptions;
        let client =
            self.all.get_mut(&client).ok_or_else(|| RpcError::refused("this connection is being closed"))?;
        if client.subscriptions.len() >= max {
            let message = format!("a connection may have {max} subscriptions: end one by eth_unsubscribe");
            return Err(RpcError::new(ErrorCode::LimitExceeded, message));
        }
        let id = SubscriptionId::random();
        client.subscriptions.push(Subscription { id, topic, begun });
        Ok(id)
    }

    /// Whether there was such a subscription.
    pub(super) fn unsubscribe(&mut self, client: u64, id: SubscriptionId) -> bool {
        let Some(client) = self.all.get_mut(&client) else { return false };
        let before = client.subscriptions.len();
        client.subscriptions.retain(|subscription| subscription.id != id);
        client.subscriptions.len() < before
    }

    /// Forgets those whose connection is gone.
    pub(super) fn sweep(&mut self) {
        self.all.retain(|_, client| !client.queue.is_closed());
    }

    pub(super) fn subscriptions(&self) -> usize {
        self.all.values().map(|client| client.subscriptions.len()).sum()
    }

    fn topics(&self) -> impl Iterator<Item = &Topic> {
        self.all.values().flat_map(|client| &client.subscriptions).map(|subscription| &subscription.topic)
    }

    /// Whether anybody wants to be told of blocks, or of what is in them.
    pub(super) fn want_blocks(&self) -> bool {
        self.topics().any(|topic| matches!(topic, Topic::NewHeads | Topic::Logs(_)))
    }

    /// What is wanted of pending transactions.
    pub(super) fn want_pending(&self) -> Option<Bodies> {
        self.topics()
            .filter_map(|topic| match topic {
                Topic::Pending(bodies) => Some(*bodies),
                Topic::NewHeads | Topic::Logs(_) => None,
            })
            .max()
    }

    /// Whether a block of a bloom may have a log that anybody wants.
    pub(super) fn may_want(&self, bloom: Option<&Bloom>) -> bool {
        self.topics().any(|topic| match topic {
            Topic::Logs(filter) => bloom.is_none_or(|bloom| filter.may_match(bloom)),
            Topic::NewHeads | Topic::Pending(_) => false,
        })
    }

    /// Whether anybody wants a log.
    pub(super) fn want_log(&self, log: &Log) -> bool {
        self.topics().any(|topic| match topic {
            Topic::Logs(filter) => filter.matches(log.address, &log.topics),
            Topic::NewHeads | Topic::Pending(_) => false,
        })
    }

    pub(super) fn tell_head(&mut self, block: &Block) {
        self.tell(Some(block.number()), |subscription| {
            matches!(subscription.topic, Topic::NewHeads).then(|| Results::One(block.raw.clone()))
        });
    }

    /// Tells logs, or that they are none any more, to those who subscribed before their block was told.
    pub(super) fn tell_logs(&mut self, batch: &Batch) {
        self.tell(Some(batch.number), |subscription| {
            let Topic::Logs(filter) = &subscription.topic else { return None };
            if subscription.begun >= batch.turn {
                return None;
            }
            let wanted = batch.logs.iter().filter(|log| filter.matches(log.address, &log.topics));
            let logs: Vec<Arc<Log>> = wanted.cloned().collect();
            (!logs.is_empty()).then_some(Results::Logs(logs))
        });
    }

    pub(super) fn tell_pending(&mut self, wanted: Bodies, result: &RawJson) {
        self.tell(None, |subscription| {
            matches!(subscription.topic, Topic::Pending(bodies) if bodies == wanted)
                .then(|| Results::One(result.clone()))
        });
    }

    /// Closes the connections of all who subscribed to logs.
    pub(super) fn cut_log_subscribers(&mut self, reason: &'static str) {
        self.all.retain(|_, client| {
            let has_logs = client.subscriptions.iter().any(|one| matches!(one.topic, Topic::Logs(_)));
            if has_logs {
                client.cut.cut(reason);
            }
            !has_logs
        });
    }

    /// Tells each subscription what `tell` says of one block or transaction. Whoever does not read is cut: what waits for it is bounded.
    fn tell(&mut self, latest: Option<u64>, tell: impl Fn(&Subscription) -> Option<Results>) {
        self.all.retain(|_, client| {
            let Client { queue, cut, subscriptions } = client;
            // Bytes are looked at once, before a block: how large it is, is not the client's fault.
            let is_full = queue.is_full();
            let keeps = subscriptions.iter().all(|subscription| match tell(subscription) {
                Some(results) => !is_full && queue.put(subscription.id, results, latest),
                None => true,
            });
            if !keeps && !queue.is_closed() {
                cut.cut("too many messages wait: this client does not read fast enough");
                metrics::counter!("relaymux_rpc_websocket_cuts_total", "reason" => "slow").increment(1);
            }
            keeps
        });
    }
}
