//! What people order, by hand.

use std::time::Duration;

use super::testing::*;

fn pair() -> Vec<About> {
    vec![about("primary", "execution"), about("replica", "execution")]
}

fn one() -> Vec<About> {
    vec![about("geth", "execution")]
}

#[test]
fn maintenance_and_pruning_are_left_alone_until_they_are_over() {
    for (on, off, state) in [
        (
            OrderKind::Maintenance(Some(Duration::from_secs(3600))),
            OrderKind::Maintenance(None),
            NodeState::Maintenance,
        ),
        (OrderKind::Pruning(Some(Duration::from_secs(3600))), OrderKind::Pruning(None), NodeState::Pruning),
    ] {
        let mut scene = Scene::healthy(one());
        scene.order("geth", on.clone()).unwrap();
        scene.fail("geth", 50);
        scene.inspect("geth", exited(0, "first"));
        scene.pass(3_000);
        assert_eq!((scene.state("geth"), scene.acts.len()), (state, 0));
        assert_eq!(scene.rules(), Vec::<String>::new());
        scene.order("geth", off).unwrap();
        scene.pass(7);
        assert_eq!((scene.acts.len(), scene.acts[0].action), (1, NodeAction::Start), "it was wanted up");
        // It ends by itself, too.
        let mut scene = Scene::healthy(one());
        scene.order("geth", on).unwrap();
        scene.pass(3_600);
        assert_eq!(scene.state("geth"), NodeState::Healthy);
    }
    let mut scene = Scene::healthy(one());
    for hold in [Some(Duration::ZERO), Some(LONGEST_HOLD + Duration::from_secs(1)), None] {
        assert!(matches!(scene.order("geth", OrderKind::Maintenance(hold)), Err(OrderRefused::Refused(_))));
    }
    // What waits for a person's word is not let go by the end of a maintenance.
    scene.inspect("geth", oom("first"));
    scene.pass(7);
    scene.done();
    let run = scene.run();
    scene.inspect("geth", oom(&run));
    let hour = Some(Duration::from_secs(3600));
    assert!(matches!(scene.order("geth", OrderKind::Maintenance(hour)), Err(OrderRefused::Refused(_))));
    assert_eq!(scene.state("geth"), NodeState::CrashLoop);
}

#[test]
fn up_creates_what_is_not_there_and_down_removes_only_what_we_created() {
    let mut scene = Scene::new(one());
    scene.inspect("geth", inspection(ProcessStatus::Absent, ""));
    scene.order("geth", OrderKind::Up).unwrap();
    assert_eq!(scene.remembered.last().unwrap().1.wanted, NodeWanted::Up);
    assert_eq!(scene.done().action, NodeAction::Create);
    assert_eq!(scene.done().action, NodeAction::Start);
    assert_eq!(scene.answers.pop().unwrap().unwrap().message, "geth was started.");
    assert_eq!(scene.state("geth"), NodeState::Starting);
    scene.order("geth", OrderKind::Down).unwrap();
    assert_eq!(scene.done().action, NodeAction::Stop);
    assert_eq!(scene.done().action, NodeAction::Remove);
    assert!(scene.answers.pop().unwrap().unwrap().message.contains("its data stays"));
    assert_eq!(scene.state("geth"), NodeState::Stopped);
    // One that somebody else has created.
    let mut scene = Scene::new(one());
    scene.inspect("geth", Inspection { ours: false, ..running("a") });
    scene.order("geth", OrderKind::Down).unwrap();
    assert_eq!(scene.done().action, NodeAction::Stop);
    assert!(scene.answers.pop().unwrap().unwrap().message.contains("was not removed"));
    assert_eq!(scene.acts.len(), 1);
    // One that cannot be created.
    let mut scene = Scene::new(vec![About { can_create: false, ..about("geth", "execution") }]);
    scene.inspect("geth", inspection(ProcessStatus::Absent, ""));
    assert!(matches!(scene.order("geth", OrderKind::Up), Err(OrderRefused::Refused(_))));
    assert_eq!(scene.remembered, []);
}

#[test]
fn orders_that_cannot_be_are_refused_in_words() {
    let mut scene = Scene::healthy(pair());
    assert!(matches!(scene.order("other", OrderKind::Up), Err(OrderRefused::Unknown(_))));
    scene.order("primary", OrderKind::Restart).unwrap();
    assert!(matches!(scene.order("primary", OrderKind::Stop), Err(OrderRefused::Busy(_))));
    assert!(matches!(scene.order("replica", OrderKind::Restart), Err(OrderRefused::Busy(_))));
    scene.done();
    assert!(
        matches!(scene.order("replica", OrderKind::Restart), Err(OrderRefused::Busy(_))),
        "it does not answer yet"
    );
    scene.answer("primary", Ready::Yes);
    scene.order("replica", OrderKind::Restart).unwrap();
    let error = RuntimeError::Refused("No space is left.".to_owned());
    scene.step(Input::Acted { node: id("replica"), action: NodeAction::Restart, result: Err(error) });
    assert_eq!(scene.answers.pop().unwrap(), Err(OrderRefused::Failed("No space is left.".to_owned())));
    scene.away("primary");
    assert!(matches!(scene.order("primary", OrderKind::Up), Err(OrderRefused::Refused(_))));
    // What cannot be known cannot be begun, but a person may say that he works on it.
    scene.order("primary", OrderKind::Maintenance(Some(Duration::from_secs(60)))).unwrap();
}

#[test]
fn the_last_that_serves_is_restarted_only_where_no_other_is_waited_for() {
    let mut scene = Scene::healthy(pair());
    scene.answer("primary", Ready::Lagging("Its head is 70 s old.".to_owned()));
    scene.inspect("replica", exited(1, "first"));
    let refused = scene.order("primary", OrderKind::Restart).unwrap_err();
    assert!(
        matches!(&refused, OrderRefused::Busy(words) if words.contains("replica is crashed")),
        "{refused}"
    );
    // It may be stopped: that is its own word. And one that does not serve may be restarted.
    scene.order("replica", OrderKind::Stop).unwrap();
    scene.order("primary", OrderKind::Restart).unwrap();
    let mut scene = Scene::healthy(pair());
    scene.fail("primary", 5);
    scene.inspect("replica", exited(1, "first"));
    scene.order("primary", OrderKind::Restart).unwrap();
    let mut scene = Scene::healthy(pair());
    scene.inspect("replica", exited(1, "first"));
    scene.order("primary", OrderKind::Stop).unwrap();
    let mut scene = Scene::healthy(one());
    scene.order("geth", OrderKind::Restart).unwrap();
}

#[test]
fn a_resize_carries_its_limits_and_what_is_not_held_is_told() {
    let limits = |gib: u64| Limits { memory: Some(gib << 30), ..Limits::default() };
    let mut scene = Scene::healthy(vec![About { limits: limits(4), ..about("geth", "execution") }]);
    let held = |gib| Inspection {
        usage: Some(Usage { held_to: Some(limits(gib)), ..Usage::default() }),
        ..running("first")
    };
    scene.inspect("geth", held(4));
    assert_eq!(scene.rules(), Vec::<String>::new());
    scene.inspect("geth", held(8));
    assert_eq!(scene.rules(), ["node_limits_not_held geth"]);
    let change = LimitsChange { memory: Some(8 << 30), ..LimitsChange::default() };
    scene.order("geth", OrderKind::Resize(change)).unwrap();
    assert!(matches!(scene.order("geth", OrderKind::Stop), Err(OrderRefused::Busy(_))));
    assert_eq!(scene.done().limits, Some(limits(8)));
    scene.inspect("geth", held(8));
    assert_eq!(scene.rules(), Vec::<String>::new());
}
