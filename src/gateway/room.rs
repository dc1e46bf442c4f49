//! The gateway: what becomes of a call, from its name to its answer.

mod batch;

use std::sync::Arc;

use tokio::time::Instant;

use super::{
    Ask, Board, Method, RawJson, RpcAnswer, RpcCall, RpcSettings, RpcView, Served, ServedBy, Session,
    block_need::{self, BlockNeed},
    filters::Filters,
    lane::Lane,
    lanes::Lanes,
    methods::FilterUse,
    metrics, policy, send, view,
};
use crate::consensus::WallClock;

/// What is kept of answers that cannot change.
pub trait Keep: Send + Sync {
    /// The answer to a call, where it is known for good. `finalized` is the highest block that is known to be final.
    fn get(&self, call: &RpcCall, finalized: Option<u64>) -> Option<RawJson>;

    /// A call was answered. Whether that is kept is decided there.
    fn put(&self, call: &RpcCall, answer: &RawJson, finalized: Option<u64>);
}

/// What the gateway is made of.
pub struct GatewayParts {
    /// `[rpc]`
    pub settings: RpcSettings,
    /// How each upstream is asked, in the order of the configuration.
    pub upstreams: Vec<Arc<dyn Ask>>,
    /// What is known of the upstreams, in the same order.
    pub board: Board,
    /// What is kept of answers; none: nothing is.
    pub cache: Option<Arc<dyn Keep>>,
    /// The time of day, for what people are shown.
    pub clock: WallClock,
}

/// The gateway.
pub struct Gateway {
    settings: RpcSettings,
    lanes: Arc<Lanes>,
    cache: Option<Arc<dyn Keep>>,
    filters: Filters,
}

impl std::fmt::Debug for Gateway {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gateway").field("lanes", &self.lanes).finish_non_exhaustive()
    }
}

impl Gateway {
    /// Makes it. It asks nobody yet.
    pub fn new(parts: GatewayParts) -> Arc<Self> {
        let GatewayParts { settings, upstreams, board, cache, clock } = parts;
        let all =
            settings.upstreams.iter().zip(upstreams).map(|(upstream, ask)| Lane::new(upstream, ask)).collect();
        let lanes = Lanes::new(&settings, all, board, clock);
        Arc::new(Self { settings, lanes, cache, filters: Filters::default() })
    }

    /// Answers one call by a deadline: where nobody can, with an error that says why.
    pub async fn call(&self, call: RpcCall, session: &Session, deadline: Instant) -> Served {
        let started = Instant::now();
        let method = match policy::admit(&call.method, &self.settings.methods) {
            Ok(method) => method,
            Err(refusal) => {
                metrics::refused();
                return Served::own(refusal.answer(&call.method));
            }
        };
        let served = match self.kept(&call) {
            Some(served) => served,
            None => self.route(&call, method, session, deadline).await,
        };
        metrics::answered(method, &served, started.elapsed());
        served
    }

    /// What people are shown.
    pub fn view(&self) -> RpcView {
        view::of(&self.settings, &self.lanes)
    }

    /// What is known of the upstreams.
    pub fn board(&self) -> &Board {
        self.lanes.board()
    }

    /// Waits for transactions that are still being sent although their clients have their answers. Each ends by its deadline.
    pub async fn drained(&self) {
        self.lanes.background().close();
        self.lanes.background().wait().await;
    }

    /// The answer that is known already.
    fn kept(&self, call: &RpcCall) -> Option<Served> {
        let cache = self.cache.as_ref()?;
        // What names no block that can be final cannot be kept: no look is counted.
        if !matches!(
            block_need::of(&call.method, &call.params),
            BlockNeed::Number(_) | BlockNeed::Hash | BlockNeed::None | BlockNeed::Range { .. }
        ) {
            return None;
        }
        let kept = cache.get(call, self.lanes.board().snapshot().finalized);
        metrics::looked_up(kept.is_some());
        kept.map(|result| Served { answer: RpcAnswer::Result(result), by: ServedBy::Cache })
    }

    /// Remembers an upstream's answer.
    fn keep(&self, call: &RpcCall, served: &Served) {
        if let (Some(cache), RpcAnswer::Result(result), ServedBy::Upstream(_)) =
            (&self.cache, &served.answer, &served.by)
        {
            cache.put(call, result, self.lanes.board().snapshot().finalized);
        }
    }

    async fn route(&self, call: &RpcCall, method: Method, session: &Session, deadline: Instant) -> Served {
        if &*call.method == "eth_sendRawTransaction" {
            return send::send(&self.lanes, call, self.settings.send_to_backups, session, deadline).await;
        }
        if method.filter != FilterUse::None {
            return self.filters.serve(&self.lanes, call, session, deadline).await;
        }
        let served = self.lanes.run(call, method, session, deadline).await;
        self.keep(call, &served);
        served
    }
}

#[cfg(test)]
mod tests;
