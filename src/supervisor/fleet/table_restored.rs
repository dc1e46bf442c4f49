//! What is kept over restarts, by hand.

use super::testing::*;

fn one() -> Vec<About> {
    vec![about("geth", "execution")]
}

const HOUR: i64 = 3_600_000;

fn wanted(wanted: NodeWanted) -> Memory {
    Memory { wanted, hold: NodeHold::None, hold_until: None, hold_why: String::new(), removal_at: None }
}

/// An action that was begun so many milliseconds ago.
fn begun(action: NodeAction, ago: i64) -> Option<UnderWay> {
    Some(UnderWay { action, at: Scene::new(one()).now - ago })
}

fn left(memory: Memory, under_way: Option<UnderWay>) -> Remembered {
    Remembered { node: id("geth"), memory, under_way, restarts: Vec::new() }
}

#[test]
fn restarts_that_an_earlier_process_made_count() {
    let memory = wanted(NodeWanted::Up);
    let now = Scene::new(one()).now;
    let restarts = (1..=5).map(|minutes| now - minutes * 60_000).collect();
    let left = Remembered { node: id("geth"), memory, under_way: None, restarts };
    let mut scene = Scene::restored(one(), &[left], None);
    scene.inspect("geth", exited(1, "a"));
    assert_eq!(scene.state("geth"), NodeState::CrashLoop);
}

#[test]
fn a_stop_by_order_stays_over_a_restart_of_relaymux() {
    let mut scene = Scene::healthy(one());
    assert!(scene.order("geth", OrderKind::Stop).is_ok());
    assert_eq!(scene.remembered.last().unwrap().1.wanted, NodeWanted::Stopped, "before it is done");
    let act = scene.done();
    assert_eq!((act.action, act.by), (NodeAction::Stop, ActedBy::Operator));
    assert_eq!(scene.state("geth"), NodeState::Stopped);
    assert_eq!(scene.rules(), Vec::<String>::new(), "whoever ordered it knows");
    scene.inspect("geth", exited(1, "first"));
    let (_, memory) = scene.remembered.last().unwrap().clone();
    let left = Remembered { node: id("geth"), memory, under_way: None, restarts: Vec::new() };
    let mut next = Scene::restored(one(), &[left], None);
    next.inspect("geth", exited(1, "first"));
    next.pass(5_000);
    assert_eq!((next.state("geth"), next.acts.len()), (NodeState::Stopped, 0));
}

#[test]
fn a_restart_that_was_cut_short_is_gone_on_with() {
    let memory = wanted(NodeWanted::Up);
    let left =
        |under_way| Remembered { node: id("geth"), memory: memory.clone(), under_way, restarts: Vec::new() };
    let mut scene = Scene::restored(one(), &[left(begun(NodeAction::Restart, 20_000))], None);
    scene.inspect("geth", exited(0, "a"));
    assert_eq!(scene.state("geth"), NodeState::Crashed);
    scene.pass(7);
    assert_eq!(scene.acts.len(), 1);
    let mut scene = Scene::restored(one(), &[left(None)], None);
    scene.inspect("geth", exited(0, "a"));
    scene.pass(700);
    assert_eq!(
        (scene.state("geth"), scene.acts.len()),
        (NodeState::Stopped, 0),
        "a person's, while we were away"
    );
}

#[test]
fn a_stop_that_was_cut_short_is_carried_out() {
    let memory = wanted(NodeWanted::Stopped);
    let left =
        |under_way| Remembered { node: id("geth"), memory: memory.clone(), under_way, restarts: Vec::new() };
    let mut scene = Scene::restored(one(), &[left(begun(NodeAction::Stop, 20_000))], None);
    scene.inspect("geth", running("a"));
    let act = scene.done();
    assert_eq!((act.action, act.by), (NodeAction::Stop, ActedBy::Operator));
    scene.inspect("geth", exited(0, "a"));
    assert_eq!(scene.state("geth"), NodeState::Stopped);
    // Without that, somebody has started it while we were away.
    let mut scene = Scene::restored(one(), &[left(None)], None);
    scene.inspect("geth", running("a"));
    assert_eq!((scene.state("geth"), scene.acts.len()), (NodeState::Starting, 0));
    assert_eq!(scene.remembered.last().unwrap().1.wanted, NodeWanted::Up);
}

#[test]
fn a_machine_that_was_restarted_gets_its_nodes_back() {
    let memory = wanted(NodeWanted::Up);
    let left = Remembered { node: id("geth"), memory, under_way: None, restarts: Vec::new() };
    let mut scene = Scene::restored(one(), std::slice::from_ref(&left), Some(5_000));
    let ended = |at| ProcessStatus::Exited { code: Some(143), oom_killed: false, at: Some(at) };
    scene.inspect("geth", inspection(ended(4_000), "a"));
    scene.pass(7);
    assert_eq!((scene.acts.len(), scene.acts[0].action), (1, NodeAction::Start));
    let mut scene = Scene::restored(one(), &[left], Some(5_000));
    scene.inspect("geth", inspection(ended(6_000), "a"));
    scene.pass(7);
    assert_eq!(scene.acts.len(), 0);
}

/// relaymux was away for hours: what a person did meanwhile is not what was under way when it ended.
#[test]
fn what_a_person_did_while_relaymux_was_away_is_no_end_of_what_was_under_way() {
    let now = Scene::new(one()).now;
    let runs = |since: i64| inspection(ProcessStatus::Running { since: Some(now - since) }, "a");
    let ended = |ago: i64| {
        let at = Some(now - ago);
        inspection(ProcessStatus::Exited { code: Some(0), oom_killed: false, at }, "a")
    };
    // A stop that is hours old, and a node that was started since.
    let stopping = left(wanted(NodeWanted::Stopped), begun(NodeAction::Stop, 5 * HOUR));
    let mut scene = Scene::restored(one(), std::slice::from_ref(&stopping), None);
    scene.inspect("geth", runs(HOUR));
    scene.pass(500);
    assert_eq!((scene.state("geth"), scene.acts.len()), (NodeState::Starting, 0));
    assert_eq!(scene.remembered.last().unwrap().1.wanted, NodeWanted::Up);
    // One that runs as it did when it was ordered to stop is stopped, however late.
    let mut scene = Scene::restored(one(), &[stopping], None);
    scene.inspect("geth", runs(9 * HOUR));
    assert_eq!(scene.done().action, NodeAction::Stop);
    // A restart that is hours old: what ended hours later was not ended by it.
    let restarting = left(wanted(NodeWanted::Up), begun(NodeAction::Restart, 5 * HOUR));
    let mut scene = Scene::restored(one(), std::slice::from_ref(&restarting), None);
    scene.inspect("geth", ended(HOUR));
    scene.pass(700);
    assert_eq!((scene.state("geth"), scene.acts.len()), (NodeState::Stopped, 0));
    let mut scene = Scene::restored(one(), &[restarting], None);
    scene.inspect("geth", ended(5 * HOUR - 60_000));
    scene.pass(7);
    assert_eq!((scene.state("geth"), scene.acts.len()), (NodeState::Crashed, 1));
    // What is being stopped is no end yet.
    let mut scene =
        Scene::restored(one(), &[left(wanted(NodeWanted::Up), begun(NodeAction::Restart, 20_000))], None);
    scene.inspect("geth", inspection(ProcessStatus::Stopping, "a"));
    scene.inspect("geth", ended(1_000));
    scene.pass(7);
    assert_eq!(scene.acts.len(), 1, "{}", scene.why("geth"));
}

#[test]
fn a_removal_that_was_cut_short_is_finished_or_told() {
    let mut scene = Scene::healthy(one());
    scene.order("geth", OrderKind::Down).unwrap();
    let memory = scene.remembered.last().unwrap().1.clone();
    assert_eq!((memory.wanted, memory.removal_at), (NodeWanted::Stopped, Some(scene.now)));
    scene.done();
    scene.done();
    assert_eq!(scene.remembered.last().unwrap().1.removal_at, None, "it is done");

    let now = scene.now;
    let ordered = |ago: i64| Memory { removal_at: Some(now - ago), ..wanted(NodeWanted::Stopped) };
    let actions = |scene: &Scene| scene.acts.iter().map(|act| act.action).collect::<Vec<_>>();
    // Cut short while it was being stopped, and after that.
    let mut scene = Scene::restored(one(), &[left(ordered(HOUR), begun(NodeAction::Stop, HOUR))], None);
    scene.inspect("geth", inspection(ProcessStatus::Running { since: Some(now - 2 * HOUR) }, "a"));
    scene.done();
    scene.done();
    assert_eq!(actions(&scene), [NodeAction::Stop, NodeAction::Remove]);
    assert_eq!(scene.remembered.last().unwrap().1.removal_at, None);
    let ended = |ago: i64| {
        let at = Some(now - ago);
        inspection(ProcessStatus::Exited { code: Some(0), oom_killed: false, at }, "a")
    };
    let mut scene = Scene::restored(one(), &[left(ordered(HOUR), None)], None);
    scene.inspect("geth", ended(HOUR - 60_000));
    scene.done();
    assert_eq!((actions(&scene), scene.calls.len()), (vec![NodeAction::Remove], 0));
    // Somebody has started it since; it ended long after; it is not ours; it is gone.
    let running = inspection(ProcessStatus::Running { since: Some(now - 60_000) }, "a");
    for (name, seen, calls) in [
        ("started", running, 1),
        ("used", ended(60_000), 1),
        ("another's", Inspection { ours: false, ..ended(HOUR) }, 1),
        ("gone", inspection(ProcessStatus::Absent, ""), 0),
    ] {
        let mut scene = Scene::restored(one(), &[left(ordered(HOUR), None)], None);
        scene.inspect("geth", seen);
        scene.pass(500);
        assert_eq!((scene.acts.len(), scene.calls.len()), (0, calls), "{name}: {:?}", scene.calls);
        assert_eq!(scene.remembered.last().unwrap().1.removal_at, None, "{name}");
    }
}
