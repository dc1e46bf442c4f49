//! What is kept over restarts, by hand.

use super::testing::*;

fn one() -> Vec<About> {
    vec![about("geth", "execution")]
}

#[test]
fn restarts_that_an_earlier_process_made_count() {
    let memory =
        Memory { wanted: NodeWanted::Up, hold: NodeHold::None, hold_until: None, hold_why: String::new() };
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
    let memory =
        Memory { wanted: NodeWanted::Up, hold: NodeHold::None, hold_until: None, hold_why: String::new() };
    let left =
        |under_way| Remembered { node: id("geth"), memory: memory.clone(), under_way, restarts: Vec::new() };
    let mut scene = Scene::restored(one(), &[left(Some(NodeAction::Restart))], None);
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
    let memory = Memory {
        wanted: NodeWanted::Stopped,
        hold: NodeHold::None,
        hold_until: None,
        hold_why: String::new(),
    };
    let left =
        |under_way| Remembered { node: id("geth"), memory: memory.clone(), under_way, restarts: Vec::new() };
    let mut scene = Scene::restored(one(), &[left(Some(NodeAction::Stop))], None);
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
    let memory =
        Memory { wanted: NodeWanted::Up, hold: NodeHold::None, hold_until: None, hold_why: String::new() };
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
