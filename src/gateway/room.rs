//! The gateway: what becomes of a call, from its name to its answer.

mod batch;
mod fresh;

use std::sync::Arc;

use bytes::Bytes;
use serde_json::json;
use tokio::time::{Instant, timeout};

use super::{
    Ask, BlockNeed, Board, Boarding, Bound, Cache, ClientId, Flights, Flown, Head, LogsBounds, Method,
    RpcAnswer, RpcCall, RpcSettings, RpcView, Served, ServedBy, Session, Snapshot, block_need,
    filters::Filters,
    lane::Lane,
    lanes::Lanes,
    methods::{FilterUse, Repeat},
    metrics, own_answer,
    policy::{self, Refusal},
    send,
    shown::{self, Shown},
    split_logs::SplitLogs,
    view,
};
use crate::consensus::WallClock;

/// Most calls whose answers several clients can wait for at once. An arbitrary number: above, each is asked by itself.
const SHARED: usize = 4096;
/// Most bytes of the parameters of such a call. An arbitrary number: all together are 64 MiB.
const MOST_SHARED_BYTES: usize = 16 << 10;

/// What the gateway is made of.
pub struct GatewayParts {
    /// `[rpc]`
    pub settings: RpcSettings,
    /// How each upstream is asked, in the order of the configuration.
    pub upstreams: Vec<Arc<dyn Ask>>,
    /// What is known of the upstreams, in the same order.
    pub board: Board,
    /// The time of day, for what people are shown.
    pub clock: WallClock,
}

/// The gateway.
pub struct Gateway {
    settings: RpcSettings,
    lanes: Arc<Lanes>,
    cache: Cache,
    flights: Flights<RpcCall, Served>,
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
        let GatewayParts { settings, upstreams, board, clock } = parts;
        let bounds = LogsBounds { bytes: settings.limits.max_answer_bytes, ..LogsBounds::default() };
        let all = settings
            .upstreams
            .iter()
            .zip(upstreams)
            .map(|(upstream, ask)| {
                let split = SplitLogs::new(ask, upstream.max_logs_range, bounds, board.clone());
                Lane::new(upstream, Arc::new(split))
            })
            .collect();
        let lanes = Lanes::new(&settings, all, board, clock);
        let cache = Cache::new(settings.cache);
        Arc::new(Self { settings, lanes, cache, flights: Flights::new(SHARED), filters: Filters::default() })
    }

    /// Answers one call by a deadline: where nobody can, with an error that says why.
    pub async fn call(&self, call: RpcCall, session: &Session, deadline: Instant) -> Served {
        let started = Instant::now();
        let call = RpcCall { hops: session.hops().clone(), ..call };
        let method = match self.admit(&call.method, session) {
            Ok(method) => method,
            Err(refusal) => {
                metrics::refused();
                return Served::own(refusal.answer(&call.method));
            }
        };
        let served = match self.of_settings(&call).or_else(|| self.kept(&call)) {
            Some(served) => served,
            None => self.route(&call, method, session, deadline).await,
        };
        metrics::answered(method, &served, started.elapsed());
        served
    }

    fn admit(&self, method: &str, session: &Session) -> Result<Method, Refusal> {
        match session.client() {
            ClientId::Own => policy::admit_own(method, &self.settings.methods),
            ClientId::Token(_) | ClientId::Address(_) => policy::admit(method, &self.settings.methods),
        }
    }

    /// What people are shown.
    pub fn view(&self) -> RpcView {
        view::of(&self.settings, &self.lanes)
    }

    /// What is known of the upstreams.
    pub fn board(&self) -> &Board {
        self.lanes.board()
    }

    /// Waits for transactions that are still being sent although their clients have their answers. Each ends by its deadline, and so does this.
    pub async fn drained(&self) {
        let all = async {
            self.flights.ended().await;
            self.lanes.background().close();
            self.lanes.background().wait().await;
        };
        let _ = timeout(self.settings.deadline, all).await;
    }

    /// The answer that the settings have: an upstream of another chain is never asked, so that nobody could say anything else.
    fn of_settings(&self, call: &RpcCall) -> Option<Served> {
        let chain_id = self.settings.chain_id;
        match &*call.method {
            "eth_chainId" => Some(Served::own(own_answer::quantity(chain_id))),
            // The network's id is the chain's, in decimals.
            "net_version" => Some(Served::own(own_answer::result(&json!(chain_id.to_string())))),
            _ => None,
        }
    }

    /// The answer that is known already.
    fn kept(&self, call: &RpcCall) -> Option<Served> {
        let kept = self.cache.get(call, &self.board().snapshot());
        metrics::looked_up(kept.is_some());
        kept.map(|result| Served { answer: RpcAnswer::Result(result), by: ServedBy::Cache })
    }

    /// Remembers an upstream's answer. `before` is what was known before it was asked.
    fn keep(&self, call: &RpcCall, served: &Served, before: &Snapshot) {
        let (RpcAnswer::Result(result), ServedBy::Upstream(id)) = (&served.answer, &served.by) else {
            return;
        };
        let place = self.lanes.all().iter().position(|lane| lane.id == *id);
        let latest = place.map_or(0, |place| self.lanes.latest(place));
        // Who lacks the end of a range gives fewer logs, and does not say so: that is no answer for all.
        let has_it = match block_need::of(&call.method, &call.params) {
            BlockNeed::Number(number) | BlockNeed::Range { to: Bound::Number(number), .. } => {
                latest >= number
            }
            _ => true,
        };
        if has_it {
            self.cache.put(call, result, id, before);
        }
    }

    async fn route(&self, call: &RpcCall, method: Method, session: &Session, deadline: Instant) -> Served {
        if &*call.method == "eth_sendRawTransaction" {
            return send::send(&self.lanes, call, self.settings.send_to_backups, session, deadline).await;
        }
        if method.filter != FilterUse::None {
            return self.filters.serve(&self.lanes, call, session, deadline).await;
        }
        let before = self.board().snapshot();
        let served = match self.shared(call, method, session, deadline).await {
            Some(served) => served,
            None => self.lanes.run(call, method, session, deadline).await,
        };
        self.keep(call, &served, &before);
        served
    }

    /// The answer to the same call of somebody else's that is under way, or to this one, for all who come meanwhile. `None` where this client needs
    /// an answer of its own: it may not be repeated, or the client was told more of the chain than whoever is asked is known to have.
    async fn shared(
        &self,
        call: &RpcCall,
        method: Method,
        session: &Session,
        deadline: Instant,
    ) -> Option<Served> {
        let (latest, finalized) = self.lanes.told(session);
        let first = self.lanes.candidates(call, session).into_iter().next()?;
        let is_behind = first.latest < latest || first.finalized < finalized;
        if method.repeat == Repeat::Never || is_behind || !is_same_for_all(call) {
            return None;
        }
        // A copy: a slice would keep the whole body that it came in.
        let key = RpcCall { params: Bytes::copy_from_slice(&call.params), ..call.clone() };
        let work = || {
            let (lanes, call, session) = (Arc::clone(&self.lanes), key.clone(), session.clone());
            async move { lanes.run(&call, method, &session, deadline).await }
        };
        let boarding = Boarding { told: (latest, finalized), within: self.lanes.attempt() };
        match self.flights.join(key.clone(), boarding, work).await? {
            Flown::Led(served) => Some(served),
            // Its time was up earlier.
            Flown::Followed(served) if served.by == ServedBy::Gateway => None,
            Flown::Followed(served) => {
                is_news(&served, call, method, session, (latest, finalized)).then_some(served)
            }
        }
    }
}

/// Whether an answer to one client is the answer to all. What is pending changes with each transaction that somebody sends: who asks after it has sent
/// one must see it. And what is large is asked alone, so that what is held is bounded.
fn is_same_for_all(call: &RpcCall) -> bool {
    let is_pending = match block_need::of(&call.method, &call.params) {
        BlockNeed::Pending => true,
        BlockNeed::Range { from, to } => from == Bound::Pending || to == Bound::Pending,
        _ => false,
    };
    !is_pending && &*call.method != "eth_getTransactionCount" && call.params.len() <= MOST_SHARED_BYTES
}

/// Whether an answer to somebody else shows this client nothing older than it was told. What it shows counts as told.
fn is_news(served: &Served, call: &RpcCall, method: Method, session: &Session, told: (u64, u64)) -> bool {
    let RpcAnswer::Result(result) = &served.answer else { return true };
    match shown::of(method, block_need::of(&call.method, &call.params), result) {
        Shown::Nothing => true,
        Shown::Number(number) | Shown::Latest(Head { number, .. }) => {
            session.note_latest(number);
            number >= told.0
        }
        Shown::Finalized(number) => {
            session.note_finalized(number);
            number >= told.1
        }
    }
}

#[cfg(test)]
mod tests;
