//! What all connections share, and who answers their calls.

use std::sync::{Arc, atomic::AtomicUsize};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    gateway::{ClientLimits, Session, subscriptions::Subscriptions},
    serve::ByteBudget,
};

/// Answers calls as over HTTP.
pub trait RpcFront: Send + Sync {
    /// The answer to a message, one call or a batch; `None` where there is nothing to say, as for notifications.
    fn answer<'a>(&'a self, body: Bytes, session: &'a Session) -> BoxFuture<'a, Option<Bytes>>;
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) front: Arc<dyn RpcFront>,
    pub(super) subscriptions: Subscriptions,
    pub(super) limits: ClientLimits,
    /// What messages are charged to.
    pub(super) bodies: ByteBudget,
    pub(super) allowed_origins: Vec<String>,
    pub(super) open: AtomicUsize,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}
