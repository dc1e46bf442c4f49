//! The way of a client's connection to the hub.

use std::sync::Arc;

use tokio::sync::{Mutex, mpsc, oneshot};

use super::{
    hub::{self, Command, Cut, Notices},
    parts::SubscriptionParts,
    topic::{SubscriptionId, Topic},
};
use crate::{
    jsonrpc::{ErrorCode, RpcError},
    tasks::TaskGroup,
};

/// Commands that wait for the hub, which answers each at once.
const COMMANDS: usize = 1024;

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
    pub notices: Notices,
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
            return Err(RpcError::refused(
                "no upstream has a `ws_url`: there are no pending transactions to be told of",
            ));
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
