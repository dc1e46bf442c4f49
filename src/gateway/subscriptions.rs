//! Subscriptions: one stream of heads, logs and pending transactions, made of what all upstreams show.
//!
//! In: new heads and pending transactions from each upstream's websocket, subscribed once however many clients there are; where no websocket
//! is open, the newest block as calls show it. Out: `eth_subscription` notices for any number of clients, whose subscription ids are ours and
//! live as long as their connection, whatever becomes of upstreams.
//!
//! `chain` decides what is told and what is missing, `logs` makes logs of told blocks, `hub` is the one task that owns them. What is missing
//! is fetched through the gateway ([`Backfill`]), so by whichever upstream can answer.
//!
//! It promises: every block of the chain that is told is told once, in order and linked to the one before, and every log of it once; what a
//! reorganisation undoes is taken back as nodes do. What upstreams show while none of them can be believed, and gaps of more than
//! [`chain::RING`] blocks, are left out with a warning. A client that does not read is cut with a reason: nothing waits for it without bound.
//! Pending transactions are best effort: each once, and none that no upstream with a websocket shows.

pub mod block;
pub mod chain;
pub mod dial;
pub mod filter;
mod hub;
pub mod logs;
mod seen;
#[cfg(test)]
pub(crate) mod testing;
pub mod topic;
mod upstream_socket;

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;
use tokio::sync::{Mutex, mpsc, oneshot};

pub use block::Block;
pub use dial::{ByteStream, Dial, Direct};
pub use hub::{Cut, Notice, describe_metrics};
pub use topic::{Bodies, SubscriptionId, Topic};
pub use upstream_socket::Feed;

use super::{Board, ClientLimits, RawJson, RpcCall, RpcSettings};
use crate::{
    consensus::WallClock,
    jsonrpc::{ErrorCode, RpcError},
    tasks::TaskGroup,
};
use hub::Command;

/// Commands that wait for the hub, which answers each at once.
const COMMANDS: usize = 1024;

/// How blocks and logs are fetched: through the gateway, by whichever upstream can answer.
pub trait Backfill: Send + Sync {
    /// The result of a call, or in words why there is none. Whoever asks bounds the time.
    fn call(&self, call: RpcCall) -> BoxFuture<'_, Result<RawJson, String>>;
}

/// What subscriptions are made of.
#[derive(Clone)]
pub struct SubscriptionParts {
    /// The upstreams that have a websocket.
    pub feeds: Vec<Feed>,
    /// Usual time between two blocks.
    pub block_time: Duration,
    /// How far in the future a head's time may lie.
    pub max_future: Duration,
    /// Subscriptions of one connection, and messages that wait for it.
    pub limits: ClientLimits,
    /// Who is believed, and in which order; it is told of heads.
    pub board: Board,
    /// How blocks and logs are fetched.
    pub backfill: Arc<dyn Backfill>,
    /// How sockets are opened.
    pub dial: Arc<dyn Dial>,
    /// The time of day.
    pub clock: WallClock,
}

impl SubscriptionParts {
    /// Of the gateway's settings. Places are those of `settings.upstreams`, which the board has in the same order.
    pub fn new(
        settings: &RpcSettings,
        board: Board,
        backfill: Arc<dyn Backfill>,
        dial: Arc<dyn Dial>,
        clock: WallClock,
    ) -> Self {
        let feeds = settings.upstreams.iter().enumerate().filter_map(|(place, upstream)| {
            Some(Feed {
                place,
                id: upstream.id.clone(),
                tier: upstream.tier,
                url: upstream.ws_url.clone()?,
                headers: upstream.headers.clone(),
            })
        });
        Self {
            feeds: feeds.collect(),
            block_time: settings.block_time,
            max_future: settings.health.max_future,
            limits: settings.limits.clone(),
            board,
            backfill,
            dial,
            clock,
        }
    }
}

/// Starts the task that serves subscriptions, `rpc_subscriptions`. Should it fail it begins anew, and who was subscribed is cut.
pub fn start_subscriptions(parts: SubscriptionParts, group: &TaskGroup) -> Subscriptions {
    let (commands, receiver) = mpsc::channel(COMMANDS);
    let receiver = Arc::new(Mutex::new(receiver));
    let has_sockets = !parts.feeds.is_empty();
    group.restarting("rpc_subscriptions", move |stop| hub::run(parts.clone(), Arc::clone(&receiver), stop));
    Subscriptions { commands, has_sockets }
}

/// Where connections subscribe. Clones are of the same hub.
#[derive(Clone, Debug)]
pub struct Subscriptions {
    commands: mpsc::Sender<Command>,
    has_sockets: bool,
}

/// One connection's subscriptions: they end when this is dropped.
#[derive(Debug)]
pub struct Line {
    client: u64,
    hub: Subscriptions,
    /// What it is told. It ends when the hub does.
    pub notices: mpsc::Receiver<Notice>,
    /// Whether it is to be closed.
    pub cut: Cut,
}

impl Subscriptions {
    /// A line for a connection that subscribes for the first time.
    ///
    /// # Errors
    /// When the service is stopping.
    pub async fn join(&self) -> Result<Line, RpcError> {
        let (client, notices, cut) = self.ask(Command::Join).await?;
        Ok(Line { client, hub: self.clone(), notices, cut })
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<T>) -> Command) -> Result<T, RpcError> {
        let gone = || RpcError::new(ErrorCode::Internal, "subscriptions are not served just now: try again");
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| gone())?;
        answer.await.map_err(|_| gone())
    }
}

impl Line {
    /// Subscribes. What the subscription is told comes after this returns.
    ///
    /// # Errors
    /// When there are as many as there may be, or what is wanted cannot be had.
    pub async fn subscribe(&self, topic: Topic) -> Result<SubscriptionId, RpcError> {
        if matches!(topic, Topic::Pending(_)) && !self.hub.has_sockets {
            return Err(RpcError::refused("no upstream has a `ws_url`: there are no pending transactions to be told of"));
        }
        self.hub.ask(|reply| Command::Subscribe(self.client, topic, reply)).await?
    }

    /// Ends a subscription; whether there was such a one.
    ///
    /// # Errors
    /// When the service is stopping.
    pub async fn unsubscribe(&self, id: SubscriptionId) -> Result<bool, RpcError> {
        self.hub.ask(|reply| Command::Unsubscribe(self.client, id, reply)).await
    }
}
