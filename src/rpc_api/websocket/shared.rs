//! What all connections share, and who answers their calls.

use std::{
    collections::HashMap,
    sync::{Arc, atomic::AtomicUsize},
};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    gateway::{ClientId, ClientLimits, Session, subscriptions::Subscriptions},
    jsonrpc::RpcError,
    rpc_api::{AnswerRoom, AnswerRooms},
    serve::ByteBudget,
};

/// Answers calls as over HTTP.
pub trait RpcFront: Send + Sync {
    /// The answer to a message, one call or a batch; `None` where there is nothing to say, as for notifications. Until it is dropped it takes of
    /// the room.
    fn answer<'a>(
        &'a self,
        body: Bytes,
        session: &'a Session,
        room: &'a AnswerRoom,
    ) -> BoxFuture<'a, Option<Bytes>>;

    /// Takes one call from what a client may ask, which is answered elsewhere.
    ///
    /// # Errors
    /// When it asks too much, or the configuration refuses the method.
    fn admit(&self, method: &str, session: &Session) -> Result<(), RpcError>;
}

/// What all connections share.
pub(super) struct Shared {
    pub(super) front: Arc<dyn RpcFront>,
    pub(super) subscriptions: Subscriptions,
    pub(super) limits: ClientLimits,
    /// What messages are charged to.
    pub(super) bodies: ByteBudget,
    /// What answers that wait are charged to.
    pub(super) answers: AnswerRooms,
    pub(super) allowed_origins: Vec<String>,
    pub(super) open: AtomicUsize,
    /// Open connections by client.
    pub(super) by_client: Mutex<HashMap<ClientId, usize>>,
    pub(super) tasks: TaskTracker,
    pub(super) stop: CancellationToken,
}
