//! What subscriptions are made of.

use std::{sync::Arc, time::Duration};

use futures_util::future::BoxFuture;

use super::{dial::Dial, upstream_socket::Feed};
use crate::{
    consensus::WallClock,
    gateway::{Board, ClientLimits, RawJson, RpcCall, RpcSettings, UpstreamId},
};

/// How blocks and logs are fetched: through the gateway, by whichever upstream can answer.
pub trait Backfill: Send + Sync {
    /// The result of a call, or in words why there is none. Whoever asks bounds the time.
    fn call(&self, call: RpcCall) -> BoxFuture<'_, Result<RawJson, String>>;

    /// The result of a call that an upstream is asked for now, whatever is known of earlier ones, and that none of `avoid` is asked for.
    fn call_avoiding(
        &self,
        call: RpcCall,
        avoid: Vec<UpstreamId>,
    ) -> BoxFuture<'_, Result<Fetched, NotFetched>>;
}

/// A result, and who gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetched {
    /// What it said.
    pub result: RawJson,
    /// Who.
    pub by: UpstreamId,
}

/// Why there is no result.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotFetched {
    /// All that serve were to be avoided.
    #[error("there is no other upstream to ask")]
    NobodyElse,
    /// In words.
    #[error("{0}")]
    Failed(String),
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
