//! Upstreams that play a script, for tests of routing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use alloy_primitives::B256;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    time::{Instant, sleep},
};

use super::{
    Ask, Asking, Board, CacheSettings, CallError, ClientId, ClientLimits, Feedback, Head, HealthPolicy,
    MethodPolicy, NodeError, RawJson, RpcAnswer, RpcCall, RpcSettings, Session, Snapshot, Standing, Tier,
    TransportFailure, UpstreamId, UpstreamSettings, UpstreamState, lane::Lane, lanes::Lanes,
};
use crate::consensus::WallClock;

/// What an upstream does with a call.
#[derive(Clone, Debug)]
pub(super) enum Act {
    Say(Value),
    Refuse(i64, &'static str),
    Fail(TransportFailure),
    Hang,
    After(u64, Box<Act>),
}

impl Act {
    pub(super) fn after(ms: u64, act: Act) -> Self {
        Self::After(ms, Box::new(act))
    }

    pub(super) fn refused() -> Self {
        Self::Fail(TransportFailure::Connect("connection refused".to_owned()))
    }
}

type Script = Box<dyn Fn(&RpcCall, usize) -> Act + Send + Sync>;

/// An upstream, and what it was asked.
pub(super) struct Actor {
    script: Mutex<Arc<Script>>,
    pub(super) heard: Mutex<Vec<RpcCall>>,
    pub(super) batches: Mutex<Vec<usize>>,
    pub(super) finished: AtomicUsize,
    pub(super) broke: AtomicBool,
    pub(super) most_at_once: AtomicUsize,
}

impl Actor {
    pub(super) fn plays(&self, script: impl Fn(&RpcCall, usize) -> Act + Send + Sync + 'static) {
        *self.script.lock() = Arc::new(Box::new(script));
    }

    async fn act(&self, call: &RpcCall) -> Result<RpcAnswer, CallError> {
        let nth = {
            let mut heard = self.heard.lock();
            heard.push(call.clone());
            heard.len() - 1
        };
        let script = Arc::clone(&self.script.lock());
        let mut act = script(call, nth);
        while let Act::After(ms, then) = act {
            sleep(Duration::from_millis(ms)).await;
            act = *then;
        }
        self.finished.fetch_add(1, Relaxed);
        match act {
            Act::Say(value) => Ok(RpcAnswer::Result(RawJson::from_value(&value))),
            Act::Refuse(code, message) => {
                let raw = RawJson::from_value(&json!({ "code": code, "message": message }));
                Ok(RpcAnswer::Error(NodeError { code, message: message.into(), raw }))
            }
            Act::Fail(failure) => Err(failure.into()),
            Act::Hang | Act::After(..) => std::future::pending().await,
        }
    }
}

impl Ask for Arc<Actor> {
    fn call<'a>(&'a self, call: &'a RpcCall, _: Instant) -> Asking<'a, RpcAnswer> {
        Box::pin(self.act(call))
    }

    fn batch<'a>(&'a self, calls: &'a [RpcCall], _: Instant) -> Asking<'a, Vec<RpcAnswer>> {
        Box::pin(async move {
            self.batches.lock().push(calls.len());
            let mut answers = Vec::new();
            for call in calls {
                answers.push(self.act(call).await?);
            }
            Ok(answers)
        })
    }

    fn most_at_once(&self) -> usize {
        self.most_at_once.load(Relaxed)
    }

    fn has_budget(&self) -> bool {
        !self.broke.load(Relaxed)
    }
}

/// Upstreams and what is known of them.
pub(super) struct Stage {
    pub(super) actors: Vec<Arc<Actor>>,
    pub(super) settings: RpcSettings,
    pub(super) board: Board,
    pub(super) observed: mpsc::Receiver<(usize, Feedback)>,
    pub(super) session: Session,
}

pub(super) const PRIMARY: usize = 0;
pub(super) const REPLICA: usize = 1;
pub(super) const BACKUP: usize = 2;

impl Stage {
    /// A primary, a replica and a backup, all at block 100, that answer each call with their place.
    pub(super) fn new() -> Self {
        let tiers = [Tier::Primary, Tier::Replica, Tier::Backup];
        let actors: Vec<Arc<Actor>> = (0..tiers.len())
            .map(|place| {
                Arc::new(Actor {
                    script: Mutex::new(Arc::new(Box::new(move |_, _| Act::Say(json!(place))))),
                    heard: Mutex::default(),
                    batches: Mutex::default(),
                    finished: AtomicUsize::new(0),
                    broke: AtomicBool::new(false),
                    most_at_once: AtomicUsize::new(usize::MAX),
                })
            })
            .collect();
        let upstreams: Vec<UpstreamSettings> = tiers.iter().map(|tier| settings_of(*tier)).collect();
        let (board, observed) = Board::new(upstreams.iter().map(|upstream| standing(upstream, 0)).collect());
        let client = ClientId::Token("t".into());
        let stage =
            Self { actors, settings: settings(upstreams), board, observed, session: Session::new(client) };
        stage.heads([100, 100, 100]);
        stage
    }

    /// The board shows these heads.
    pub(super) fn heads(&self, heads: [u64; 3]) {
        let upstreams: Vec<Standing> = self
            .settings
            .upstreams
            .iter()
            .zip(heads)
            .map(|(upstream, head)| standing(upstream, head))
            .collect();
        let tip = upstreams.iter().filter_map(|standing| standing.head).max_by_key(|head| head.number);
        self.board.publish(Snapshot { upstreams, order: vec![0, 1, 2], tip, finalized: Some(64) });
    }

    /// Only these serve.
    pub(super) fn serve(&self, order: &[usize]) {
        let snapshot = Snapshot { order: order.to_vec(), ..(*self.board.snapshot()).clone() };
        self.board.publish(snapshot);
    }

    pub(super) fn lanes(&self) -> Arc<Lanes> {
        let all = self
            .settings
            .upstreams
            .iter()
            .zip(&self.actors)
            .map(|(upstream, actor)| Lane::new(upstream, Arc::new(Arc::clone(actor))))
            .collect();
        Lanes::new(&self.settings, all, self.board.clone(), WallClock::manual(1_000).0)
    }

    pub(super) fn asks(&self) -> Vec<Arc<dyn Ask>> {
        self.actors.iter().map(|actor| Arc::new(Arc::clone(actor)) as Arc<dyn Ask>).collect()
    }

    pub(super) fn actor(&self, place: usize) -> &Actor {
        &self.actors[place]
    }

    /// How many calls each upstream got.
    pub(super) fn heard(&self) -> [usize; 3] {
        [0, 1, 2].map(|place: usize| self.actors[place].heard.lock().len())
    }

    pub(super) fn feedback(&mut self) -> Vec<(usize, Feedback)> {
        std::iter::from_fn(|| self.observed.try_recv().ok()).collect()
    }
}

pub(super) fn deadline() -> Instant {
    Instant::now() + Duration::from_secs(10)
}

pub(super) fn block(number: u64) -> Value {
    json!({
        "number": format!("{number:#x}"), "hash": hash(number), "parentHash": hash(number.wrapping_sub(1)),
        "timestamp": "0x64",
    })
}

pub(super) fn hash(number: u64) -> B256 {
    B256::left_padding_from(&number.to_be_bytes())
}

fn settings_of(tier: Tier) -> UpstreamSettings {
    UpstreamSettings {
        id: UpstreamId::parse(tier.label()).unwrap(),
        node: None,
        url: "http://127.0.0.1:1".parse().unwrap(),
        ws_url: None,
        tier,
        headers: http::HeaderMap::new(),
        probe_every: Duration::from_secs(3),
        max_requests_per_second: None,
        max_requests_per_day: None,
        max_logs_range: None,
        methods: Vec::new(),
        ignore_methods: Vec::new(),
    }
}

fn settings(upstreams: Vec<UpstreamSettings>) -> RpcSettings {
    RpcSettings {
        listen: "127.0.0.1:0".parse().unwrap(),
        chain_id: 1,
        block_time: Duration::from_secs(12),
        upstreams,
        health: HealthPolicy::default(),
        methods: MethodPolicy::default(),
        deadline: Duration::from_secs(10),
        attempt: Duration::from_millis(500),
        hedge: false,
        send_to_backups: false,
        cache: CacheSettings { max_bytes: 0 },
        limits: ClientLimits::default(),
        tokens: Vec::new(),
        allowed_hosts: Vec::new(),
        allowed_origins: Vec::new(),
    }
}

fn standing(upstream: &UpstreamSettings, number: u64) -> Standing {
    let head = Head { number, hash: hash(number), parent_hash: hash(number.wrapping_sub(1)), timestamp: 100 };
    Standing {
        id: upstream.id.clone(),
        tier: upstream.tier,
        state: UpstreamState::Healthy,
        reason: String::new(),
        since: 0,
        head: Some(head),
        finalized: Some(number.saturating_sub(36)),
        lag: Some(0),
        earliest: None,
        version: None,
    }
}
