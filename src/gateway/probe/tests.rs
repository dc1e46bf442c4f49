use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use super::*;
use crate::gateway::{
    Head, HealthPolicy, TransportFailure, UpstreamId, UpstreamState as State, rules::RPC_BUDGET_USED,
};
use crate::{
    events::{NodeState, Subscription},
    ledger::Ledger,
    types::NodeId,
};

/// When the tests begin, in Unix milliseconds.
const START: i64 = 1_700_000_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Well,
    Refuses,
    Hangs,
    NoBatches,
    /// Answers the same error to everything.
    Errs,
}

/// A node whose newest block is always of now.
#[derive(Debug)]
struct Node {
    mode: parking_lot::Mutex<Mode>,
    clock: WallClock,
    bodies: parking_lot::Mutex<VecDeque<Value>>,
    budget: Arc<Budget>,
    requests: AtomicU64,
}

impl Node {
    fn answer(&self, call: &Value) -> Value {
        let secs = u64::try_from(self.clock.now()).unwrap() / 1000;
        let result = match call["method"].as_str().unwrap() {
            "eth_chainId" => json!("0x1"),
            "eth_getBlockByNumber" => json!({
                "number": format!("{:#x}", secs / 12),
                "hash": format!("{:#066x}", secs / 12),
                "parentHash": format!("{:#066x}", secs / 12 - 1),
                "timestamp": format!("{:#x}", secs / 12 * 12),
            }),
            "eth_syncing" => json!(false),
            "net_peerCount" => json!("0x10"),
            "web3_clientVersion" => json!("Geth/v1.16"),
            _ => return json!({"id": call["id"], "error": {"code": -32601, "message": "no such method"}}),
        };
        json!({"id": call["id"], "result": result})
    }
}

impl Post for Node {
    fn post(
        &self,
        body: Bytes,
        _calls: u32,
        _deadline: Instant,
    ) -> BoxFuture<'_, Result<Bytes, TransportFailure>> {
        Box::pin(async move {
            if !self.budget.try_take(1, self.clock.now()) {
                return Err(TransportFailure::OverBudget);
            }
            self.requests.fetch_add(1, Relaxed);
            let call: Value = serde_json::from_slice(&body).unwrap();
            self.bodies.lock().push_back(call.clone());
            tokio::time::sleep(Duration::from_millis(5)).await;
            let mode = *self.mode.lock();
            let answer = match (mode, call.as_array()) {
                (Mode::Refuses, _) => return Err(TransportFailure::Connect("connection refused".to_owned())),
                (Mode::Hangs, _) => std::future::pending().await,
                (Mode::Errs, _) => {
                    json!({"id": null, "error": {"code": -32005, "message": "limit exceeded"}})
                }
                (Mode::NoBatches, Some(_)) => {
                    json!({"id": null, "error": {"code": -32600, "message": "no batches"}})
                }
                (Mode::Well, Some(calls)) => calls.iter().map(|call| self.answer(call)).collect(),
                (Mode::Well | Mode::NoBatches, None) => self.answer(&call),
            };
            Ok(Bytes::from(answer.to_string()))
        })
    }
}

struct Stage {
    nodes: Vec<Arc<Node>>,
    board: Board,
    events: Subscription,
    wrong: watch::Receiver<Troubles>,
    supervised: watch::Sender<NodeStates>,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

fn node_id(place: usize) -> NodeId {
    NodeId::parse(&format!("n{place}")).unwrap()
}

fn settings(place: usize, tier: Tier) -> UpstreamSettings {
    UpstreamSettings {
        id: UpstreamId::parse(&format!("u{place}")).unwrap(),
        node: Some(node_id(place)),
        url: "http://node.invalid/key".parse().unwrap(),
        ws_url: None,
        tier,
        headers: HeaderMap::new(),
        probe_every: Duration::from_secs(if tier == Tier::Backup { 15 } else { 3 }),
        max_requests_per_second: None,
        max_requests_per_day: (tier == Tier::Backup).then_some(25),
        max_logs_range: None,
        methods: Vec::new(),
        ignore_methods: Vec::new(),
    }
}

impl Stage {
    /// Begins to probe; time stands still but for what the test waits.
    async fn begin(all: &[(Tier, Mode)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        tokio::time::pause();
        let (clock, hand) = WallClock::manual(START);
        let begun = Instant::now();
        // The wall clock goes as tokio's does.
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                hand.set(START + i64::try_from(begun.elapsed().as_millis()).unwrap());
            }
        });
        let spine = Spine::new();
        let (mut nodes, mut upstreams) = (Vec::new(), Vec::new());
        for (place, (tier, mode)) in all.iter().enumerate() {
            let settings = settings(place, *tier);
            let budget = Arc::new(Budget::of(&settings));
            let node = Arc::new(Node {
                mode: parking_lot::Mutex::new(*mode),
                clock: clock.clone(),
                bodies: parking_lot::Mutex::default(),
                budget: Arc::clone(&budget),
                requests: AtomicU64::new(0),
            });
            upstreams.push(Probed { settings, ask: Arc::clone(&node) as _, budget });
            nodes.push(node);
        }
        let all: Vec<UpstreamSettings> = upstreams.iter().map(|upstream| upstream.settings.clone()).collect();
        let (board, observed) = Board::new(Health::new(&all, START).snapshot().upstreams);
        let events = spine.subscribe();
        let (supervised, nodes_seen) = watch::channel(NodeStates::default());
        let parts = ProbeParts {
            upstreams,
            rules: HealthRules {
                policy: HealthPolicy::default(),
                chain_id: 1,
                block_time: Duration::from_secs(12),
            },
            board: board.clone(),
            observed: Arc::new(Mutex::new(observed)),
            spine: spine.clone(),
            signals: SignalBook::new(ledger, spine, clock.clone()),
            nodes: Some(nodes_seen),
            clock,
        };
        let (say, wrong) = watch::channel(None);
        let stop = CancellationToken::new();
        tokio::spawn(run_probes(parts, Arc::new(say), stop.clone()));
        Self { nodes, board, events, wrong, supervised, stop, _folder: folder }
    }

    /// Waits until the board shows what is wanted.
    async fn until(&self, what: &str, wanted: impl Fn(&crate::gateway::Snapshot) -> bool) {
        let mut changes = self.board.changes();
        let shown = async {
            while !wanted(&self.board.snapshot()) {
                changes.changed().await.unwrap();
            }
        };
        let shown = tokio::time::timeout(Duration::from_secs(300), shown).await;
        assert!(shown.is_ok(), "{what}: {:#?}", self.board.snapshot());
    }

    async fn until_order(&self, order: &[usize]) {
        self.until(&format!("{order:?}"), |snapshot| snapshot.order == order).await;
    }

    fn set(&self, place: usize, mode: Mode) {
        *self.nodes[place].mode.lock() = mode;
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test]
async fn upstreams_are_probed_without_traffic_and_shown_with_their_reasons() {
    let mut stage = Stage::begin(&[
        (Tier::Backup, Mode::Well),
        (Tier::Primary, Mode::Well),
        (Tier::Replica, Mode::Hangs),
    ])
    .await;
    stage.until_order(&[1, 0]).await;
    let first = stage.nodes[1].bodies.lock()[0].clone();
    assert_eq!(first.as_array().map(Vec::len), Some(6), "one request for all: {first}");
    stage.until("the hanging one is down", |snapshot| snapshot.upstreams[2].state == State::Down).await;
    let snapshot = stage.board.snapshot();
    assert_eq!(snapshot.upstreams[2].reason, "Its probes fail: no answer in time.");
    assert_eq!(snapshot.upstreams[1].version.as_deref(), Some("Geth/v1.16"));
    let latest: Head = snapshot.upstreams[1].head.unwrap();
    assert_eq!(snapshot.tip, Some(latest));
    assert!(stage.board.probe_latency(1).is_some() && stage.board.probe_latency(2).is_none());
    let changed: Vec<(String, State)> = std::iter::from_fn(|| stage.events.try_next())
        .map(|event| match &*event {
            Event::UpstreamChanged(changed) => (changed.upstream.clone(), changed.state),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(changed.len(), 3, "{changed:?}");
    assert!(changed.contains(&("u2".to_owned(), State::Down)));
    let wrong = stage.wrong.borrow().clone().unwrap();
    assert_eq!(wrong.len(), 1, "{wrong:?}");
}

#[tokio::test]
async fn a_refused_call_takes_it_out_and_a_probe_that_follows_says_whether_it_stays_out() {
    let stage = Stage::begin(&[(Tier::Primary, Mode::Well), (Tier::Replica, Mode::Well)]).await;
    stage.until_order(&[0, 1]).await;
    let refused = || Feedback::Refused("connection refused".to_owned());
    // A passing refusal: lifted without waiting for the next round.
    let before = Instant::now();
    stage.board.observed(0, refused());
    stage.until_order(&[1]).await;
    stage.until_order(&[1, 0]).await;
    assert!(before.elapsed() < Duration::from_millis(200), "{:?}", before.elapsed());
    // A lasting one.
    stage.set(0, Mode::Refuses);
    stage.until_order(&[1]).await;
    let reason = &stage.board.snapshot().upstreams[0].reason;
    assert_eq!(reason, "Its probes fail: no connection: connection refused.");
    stage.set(0, Mode::Well);
    stage.until_order(&[1, 0]).await;
    let back = Instant::now();
    stage.until_order(&[0, 1]).await;
    let waited = back.elapsed();
    assert!(waited >= Duration::from_secs(59) && waited < Duration::from_secs(70), "{waited:?}");
    let switchovers: Vec<String> = stage
        .board
        .switchovers()
        .into_iter()
        .map(|switchover| format!("{} {}", switchover.from.unwrap(), switchover.to.unwrap()))
        .collect();
    assert_eq!(switchovers, ["u1 u0", "u0 u1"]);
}

#[tokio::test]
async fn one_that_is_silent_is_probed_at_once_and_that_is_no_fault_by_itself() {
    let stage = Stage::begin(&[(Tier::Primary, Mode::Well), (Tier::Replica, Mode::Well)]).await;
    stage.until_order(&[0, 1]).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let (asked, silent) = (stage.nodes[0].bodies.lock().len(), Instant::now());
    for _ in 0..10 {
        stage.board.observed(0, Feedback::Silent);
    }
    while stage.board.probe_answered(0) < Some(silent) {
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(silent.elapsed() < Duration::from_millis(100), "it is not probed");
    }
    assert_eq!(stage.nodes[0].bodies.lock().len(), asked + 1);
    let snapshot = stage.board.snapshot();
    assert_eq!((snapshot.order.as_slice(), snapshot.upstreams[0].state), (&[0, 1][..], State::Healthy));
}

#[tokio::test]
async fn a_node_that_its_supervisor_is_about_to_stop_is_out_before_it_is_stopped() {
    let stage = Stage::begin(&[(Tier::Primary, Mode::Well), (Tier::Replica, Mode::Well)]).await;
    stage.until_order(&[0, 1]).await;
    let say = |state| stage.supervised.send_modify(|states| _ = states.set(node_id(0), state));
    let told = Instant::now();
    say(NodeState::Stopped);
    stage.until_order(&[1]).await;
    assert!(told.elapsed() < Duration::from_millis(100), "without waiting for a probe: {:?}", told.elapsed());
    let switchover = stage.board.switchovers()[0].clone();
    assert_eq!(switchover.reason, "Its supervisor says that it is stopped, or about to be.");
    // It still answers, and is asked for its head alone.
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(stage.board.snapshot().order, [1]);
    // It is started again: what it shows is asked for at once.
    let told = Instant::now();
    say(NodeState::Starting);
    stage.until_order(&[1, 0]).await;
    assert!(told.elapsed() < Duration::from_millis(100), "{:?}", told.elapsed());
}

#[tokio::test]
async fn what_a_supervisor_said_that_is_gone_holds_no_longer() {
    let mut stage = Stage::begin(&[(Tier::Primary, Mode::Well)]).await;
    stage.until_order(&[0]).await;
    stage.supervised.send_modify(|states| _ = states.set(node_id(0), NodeState::Maintenance));
    stage.until_order(&[]).await;
    drop(std::mem::replace(&mut stage.supervised, watch::channel(NodeStates::default()).0));
    stage.until_order(&[0]).await;
}

#[tokio::test]
async fn a_node_that_hangs_is_out_within_seconds_and_holds_up_no_other() {
    let stage = Stage::begin(&[(Tier::Primary, Mode::Well), (Tier::Replica, Mode::Well)]).await;
    stage.until_order(&[0, 1]).await;
    stage.set(0, Mode::Hangs);
    let since = Instant::now();
    let before = stage.nodes[1].requests.load(Relaxed);
    stage.until_order(&[1]).await;
    assert!(since.elapsed() < Duration::from_secs(9), "{:?}", since.elapsed());
    assert!(stage.nodes[1].requests.load(Relaxed) > before);
}

#[tokio::test]
async fn who_refuses_batches_is_asked_one_by_one_from_then_on() {
    let stage = Stage::begin(&[(Tier::Primary, Mode::NoBatches)]).await;
    stage.until_order(&[0]).await;
    tokio::time::sleep(Duration::from_secs(10)).await;
    let bodies = stage.nodes[0].bodies.lock().clone();
    assert_eq!(bodies.iter().filter(|body| body.is_array()).count(), 1, "{bodies:?}");
    assert!(bodies.len() > 10);
}

#[tokio::test]
async fn who_answers_everything_with_an_error_is_down_in_its_words() {
    let stage = Stage::begin(&[(Tier::Primary, Mode::Errs)]).await;
    stage.until("down", |snapshot| snapshot.upstreams[0].state == State::Down).await;
    let reason = &stage.board.snapshot().upstreams[0].reason;
    assert!(reason.contains("error -32005, \"limit exceeded\""), "{reason}");
}

#[tokio::test]
async fn a_paid_upstream_is_asked_rarely_and_its_budget_is_no_fault_of_its_own() {
    let mut stage = Stage::begin(&[(Tier::Backup, Mode::Well)]).await;
    stage.until_order(&[0]).await;
    tokio::time::sleep(Duration::from_secs(240)).await;
    let requests = stage.nodes[0].requests.load(Relaxed);
    assert!((14..=19).contains(&requests), "{requests} requests in four minutes");
    let bodies = stage.nodes[0].bodies.lock().clone();
    assert!(bodies.iter().skip(1).all(|body| body["method"] == "eth_getBlockByNumber"), "{bodies:?}");
    // Its 25 of the day are used up soon.
    let is_used =
        |wrong: &Troubles| wrong.iter().flatten().any(|trouble| trouble.rule.name == RPC_BUDGET_USED.name);
    tokio::time::timeout(Duration::from_secs(300), stage.wrong.wait_for(is_used)).await.unwrap().unwrap();
    assert_ne!(stage.board.snapshot().upstreams[0].state, State::Down);
}
