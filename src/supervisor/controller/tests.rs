//! The shell with a runtime that does as it is told and a real ledger.

use std::{path::PathBuf, time::Duration};

use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::CancellationToken;

use super::{
    testing::{Fake, settings},
    *,
};
use crate::{
    consensus::WallClock,
    events::{ActedBy, AnswersSeen, Event, NodeAction, NodeState, NodeWanted, Spine, Subscription},
    ledger::{Ledger, SignalBook},
    supervisor::{OrderKind, ProcessStatus, PsiGuard, Runtime},
    tasks::Tasks,
};

/// A supervisor, and all that it works with.
struct Stage {
    fake: Arc<Fake>,
    ledger: Ledger,
    handle: SupervisorHandle,
    meters: Vec<(NodeId, AnswerMeter)>,
    events: Subscription,
    group: TaskGroup,
    _ticking: JoinSet<()>,
}

impl Stage {
    fn start(fake: Arc<Fake>, ledger: Ledger, nodes: Vec<NodeSettings>) -> Self {
        let spine = Spine::new();
        let (clock, hand) = WallClock::manual(1_800_000_000_000);
        // Waits before restarts are a millisecond, and have to pass.
        let mut ticking = JoinSet::new();
        ticking.spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(5)).await;
                hand.advance(5);
            }
        });
        let events = spine.subscribe();
        let runtime: Arc<dyn Runtime> = Arc::clone(&fake) as _;
        let parts = SupervisorParts {
            nodes,
            runtimes: Runtimes {
                docker: Arc::clone(&runtime),
                systemd: Arc::clone(&runtime),
                process: runtime,
            },
            probe: Arc::clone(&fake) as _,
            signals: SignalBook::new(ledger.clone(), spine.clone(), clock.clone()),
            ledger: ledger.clone(),
            spine,
            clock,
            // Nothing is read of the machine that runs the tests.
            capacity: None,
            guard: PsiGuard::default(),
            stopping: CancellationToken::new(),
            host_root: PathBuf::from("/nonexistent"),
        };
        let (tasks, _fatal) = Tasks::new(|_| {});
        let group = tasks.group();
        let Supervising { handle, meters } = start(parts, &group);
        Self { fake, ledger, handle, meters, events, group, _ticking: ticking }
    }

    async fn with(nodes: &[(&str, &str)], running: &[&str]) -> Self {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let fake = Fake::new(ledger.clone());
        for name in running {
            fake.set(name, ProcessStatus::Running { since: None });
        }
        let nodes = nodes.iter().map(|(name, group)| settings(name, group)).collect();
        Self::start(fake, ledger, nodes)
    }

    async fn until(&self, name: &str, wanted: NodeState) {
        let (mut states, id) = (self.handle.states(), NodeId::parse(name).unwrap());
        let reached = states.wait_for(|states| states.get(&id) == Some(wanted));
        let reached = timeout(Duration::from_secs(20), reached).await.map(drop);
        assert!(reached.is_ok(), "{name} is never {wanted}: {:?}", self.handle.view());
    }

    async fn order(&self, name: &str, kind: OrderKind) -> Result<OrderDone, OrderRefused> {
        let node = NodeId::parse(name).unwrap();
        let order = Order { node, kind, by: ActedBy::Operator, why: "Asked for by a test.".to_owned() };
        timeout(Duration::from_secs(20), self.handle.order(order)).await.unwrap()
    }

    async fn next_act(&mut self) -> crate::events::NodeActed {
        let next = async {
            loop {
                if let Event::NodeActed(acted) = &*self.events.next().await.unwrap() {
                    return acted.clone();
                }
            }
        };
        timeout(Duration::from_secs(20), next).await.unwrap()
    }

    async fn stop(&self) {
        self.group.stop();
        timeout(Duration::from_secs(20), self.group.ended()).await.unwrap();
    }
}

#[tokio::test]
async fn a_crash_is_written_down_before_it_is_started_again_and_told_afterwards() {
    let mut stage = Stage::with(&[("a", "execution")], &["a"]).await;
    stage.until("a", NodeState::Healthy).await;
    stage.fake.exits("a", 2);
    let acted = stage.next_act().await;
    assert_eq!((acted.action, acted.by, acted.error), (NodeAction::Start, ActedBy::Supervisor, None));
    assert!(acted.message.starts_with("It ended with code 2"), "{}", acted.message);
    stage.until("a", NodeState::Healthy).await;
    assert_eq!(*stage.fake.calls.lock(), [("start a".to_owned(), Some("start".to_owned()))]);
    stage.stop().await;
    let history = stage.ledger.node_history("a", 50).await.unwrap();
    let names: Vec<&str> = history.iter().rev().map(|fact| fact.name.as_str()).collect();
    let (state, action) = (["starting", "healthy", "crashed"], ["start", "starting", "healthy"]);
    assert_eq!(names, [state, action].concat(), "{history:?}");
    assert_eq!(stage.ledger.node_memories().await.unwrap()[0].under_way, None);
    let AnswersSeen { good, bad, .. } = stage.meters[0].1.take();
    assert!(good > 0 && bad > 0, "{good} {bad}");
}

#[tokio::test]
async fn a_hung_node_is_stopped_and_started() {
    let mut stage = Stage::with(&[("a", "execution")], &["a"]).await;
    stage.until("a", NodeState::Healthy).await;
    stage.fake.mute.lock().insert("a".to_owned());
    let acted = stage.next_act().await;
    assert_eq!(acted.action, NodeAction::Restart);
    stage.fake.mute.lock().clear();
    stage.until("a", NodeState::Healthy).await;
    assert_eq!(stage.fake.called()[..2], ["stop a", "start a"]);
    stage.stop().await;
}

#[tokio::test]
async fn a_stop_that_takes_long_keeps_nobody_else_down_and_starts_come_one_after_the_other() {
    let stage = Stage::with(&[("a", "1"), ("b", "2")], &["a", "b"]).await;
    let fake = &stage.fake;
    stage.until("a", NodeState::Healthy).await;
    stage.until("b", NodeState::Healthy).await;
    fake.hanging.lock().extend(["stop a".to_owned(), "start b".to_owned()]);
    fake.mute.lock().insert("a".to_owned());
    timeout(Duration::from_secs(20), fake.until_called("stop a")).await.unwrap();
    fake.exits("b", 1);
    timeout(Duration::from_secs(20), fake.until_called("start b")).await.unwrap();
    fake.hanging.lock().remove("stop a");
    fake.mute.lock().clear();
    while fake.runs("a") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    fake.inspected_again("b").await;
    assert_eq!(fake.called(), ["stop a", "start b"], "the other is being started");
    fake.hanging.lock().clear();
    stage.until("b", NodeState::Healthy).await;
    stage.until("a", NodeState::Healthy).await;
    assert_eq!(fake.called(), ["stop a", "start b", "start a"]);
    stage.stop().await;
}

#[tokio::test]
async fn a_call_that_hangs_holds_up_its_own_node_alone() {
    let stage = Stage::with(&[("a", "1"), ("b", "2"), ("c", "3")], &["a", "b", "c"]).await;
    stage.fake.hanging.lock().extend(["inspect c".to_owned(), "stop a".to_owned()]);
    stage.until("a", NodeState::Healthy).await;
    stage.until("b", NodeState::Healthy).await;
    let handle = stage.handle.clone();
    let node = NodeId::parse("a").unwrap();
    let order = Order { node, kind: OrderKind::Stop, by: ActedBy::Operator, why: String::new() };
    let hangs = tokio::spawn(async move { handle.order(order).await });
    while !stage.fake.called().contains(&"stop a".to_owned()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let told = stage.handle.states().borrow().get(&NodeId::parse("a").unwrap());
    assert_eq!(told, Some(NodeState::Stopped), "whoever asks it is told before it is stopped");
    assert!(matches!(stage.order("a", OrderKind::Up).await, Err(OrderRefused::Busy(_))));
    stage.fake.exits("b", 1);
    stage.until("b", NodeState::Crashed).await;
    stage.until("b", NodeState::Healthy).await;
    assert!(stage.order("b", OrderKind::Stop).await.is_ok());
    stage.until("b", NodeState::Stopped).await;
    stage.stop().await;
    assert!(matches!(hangs.await.unwrap(), Err(OrderRefused::Away(_))), "whoever waits is told");
}

/// Taken for news, it would be a node that somebody has started again after it was stopped.
#[tokio::test]
async fn a_look_that_was_begun_before_an_action_shows_nothing_of_what_is_after_it() {
    let stage = Stage::with(&[("a", "1")], &["a"]).await;
    stage.until("a", NodeState::Healthy).await;
    stage.fake.are_late.send_replace(true);
    // Something happens: look at it now.
    stage.fake.set("a", ProcessStatus::Running { since: None });
    while !stage.fake.late.lock().contains("a") {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stage.order("a", OrderKind::Stop).await.unwrap();
    stage.fake.are_late.send_replace(false);
    // The late one is heard before the next, which is begun after it.
    stage.fake.inspected_again("a").await;
    stage.until("a", NodeState::Stopped).await;
    let view = &stage.handle.view()[0];
    assert_eq!(view.wanted, NodeWanted::Stopped);
    assert_eq!(view.why, "It was stopped by hand, and stays so.", "and not started by somebody since");
    stage.stop().await;
}

#[tokio::test]
async fn what_was_under_way_is_gone_on_with_and_what_was_stopped_stays_so() {
    let stage = Stage::with(&[("a", "1"), ("b", "2")], &["a", "b"]).await;
    stage.until("a", NodeState::Healthy).await;
    stage.until("b", NodeState::Healthy).await;
    stage.order("b", OrderKind::Stop).await.unwrap();
    // Killed between the stop and the start of a restart.
    stage.fake.hanging.lock().insert("start a".to_owned());
    stage.fake.mute.lock().insert("a".to_owned());
    while !stage.fake.called().contains(&"start a".to_owned()) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    stage.stop().await;
    stage.fake.hanging.lock().clear();
    stage.fake.mute.lock().clear();
    let (fake, ledger) = (Arc::clone(&stage.fake), stage.ledger.clone());
    fake.calls.lock().clear();
    let next = Stage::start(fake, ledger, vec![settings("a", "1"), settings("b", "2")]);
    next.until("a", NodeState::Healthy).await;
    next.until("b", NodeState::Stopped).await;
    assert_eq!(next.fake.called(), ["start a"]);
    next.stop().await;
}

#[tokio::test]
async fn a_disk_that_hangs_keeps_no_node_down() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
    let fake = Fake::new(ledger.clone());
    fake.set("a", ProcessStatus::Running { since: None });
    let stage = Stage::start(fake, ledger, vec![settings("a", "1")]);
    stage.until("a", NodeState::Healthy).await;
    let held = stage.ledger.hold_for_test().await;
    stage.fake.exits("a", 1);
    stage.until("a", NodeState::Crashed).await;
    stage.until("a", NodeState::Healthy).await;
    drop(held);
    stage.stop().await;
}

#[tokio::test]
async fn orders_are_answered_when_they_are_done_or_refused() {
    let stage = Stage::with(&[("a", "1"), ("b", "2")], &["a"]).await;
    stage.until("a", NodeState::Healthy).await;
    stage.until("b", NodeState::Absent).await;
    assert!(matches!(stage.order("b", OrderKind::Up).await, Err(OrderRefused::Refused(_))), "no template");
    assert!(matches!(stage.order("c", OrderKind::Up).await, Err(OrderRefused::Unknown(_))));
    let change = crate::supervisor::LimitsChange { memory: Some(5), ..Default::default() };
    let refused = stage.order("a", OrderKind::Resize(change)).await;
    assert_eq!(refused, Err(OrderRefused::Failed("It uses more than that.".to_owned())));
    let done = stage.order("a", OrderKind::Down).await.unwrap();
    assert_eq!(done.message, "a is stopped, and stays so. It was removed; its data stays.");
    assert_eq!(stage.fake.called(), ["resize a", "stop a", "remove a"]);
    let logs = stage.handle.logs(&NodeId::parse("a").unwrap(), 9).await.unwrap();
    assert_eq!(logs.len(), 2);
    stage.stop().await;
}

#[tokio::test]
async fn what_is_wrong_is_raised_and_resolved() {
    let mut stage = Stage::with(&[("a", "1")], &["a"]).await;
    stage.until("a", NodeState::Healthy).await;
    stage.fake.exits("a", 143);
    let mut seen = async |resolved: bool| loop {
        if let Event::AlertSignal(signal) = &*stage.events.next().await.unwrap()
            && signal.resolved == resolved
        {
            return (signal.rule.name.to_string(), signal.subject.clone());
        }
    };
    let wanted = ("node_stopped".to_owned(), "a".to_owned());
    assert_eq!(timeout(Duration::from_secs(20), seen(false)).await.unwrap(), wanted);
    stage.fake.set("a", ProcessStatus::Running { since: None });
    assert_eq!(timeout(Duration::from_secs(20), seen(true)).await.unwrap(), wanted);
    stage.stop().await;
}
