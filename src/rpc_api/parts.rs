//! What the server is made of.

use std::{fmt, sync::Arc};

use http::HeaderValue;
use tokio::sync::watch;

use super::{rpc::Rpc, shed::Pressure};
use crate::{
    events::AnswerMeter,
    gateway::{Board, RpcSettings, subscriptions::Subscriptions},
    serve::Handover,
    types::Secret,
};

/// What the server works with.
pub struct RpcApiParts {
    /// `[rpc]`
    pub settings: RpcSettings,
    /// Who answers.
    pub rpc: Arc<dyn Rpc>,
    /// What is known of upstreams, for `/healthz`.
    pub board: Board,
    /// How short CPU is.
    pub pressure: watch::Receiver<Pressure>,
    /// Counts answers as clients saw them.
    pub answers: AnswerMeter,
    /// The token of the service itself; its calls are not limited.
    pub own_token: Option<Secret>,
    /// Where requests of bundles go, where they have no listener of their own.
    pub bundles: Option<Handover>,
    /// What this process sends with each call to upstreams (`X-Relaymux-Hop`): a call that brings it has come back.
    pub hop: Option<HeaderValue>,
    /// What websockets can subscribe to; none: there are no websockets.
    pub subscriptions: Option<Subscriptions>,
}

impl fmt::Debug for RpcApiParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RpcApiParts").field("listen", &self.settings.listen).finish_non_exhaustive()
    }
}
