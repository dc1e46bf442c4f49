//! Each rule of the fleet, by hand.

use super::testing::*;

fn pair() -> Vec<About> {
    vec![about("primary", "execution"), about("replica", "execution")]
}

fn one() -> Vec<About> {
    vec![about("geth", "execution")]
}

#[test]
fn a_start_a_sync_and_a_lag() {
    let mut scene = Scene::new(one());
    assert_eq!(scene.state("geth"), NodeState::Unknown);
    scene.inspect("geth", running("a"));
    assert_eq!(scene.state("geth"), NodeState::Starting);
    scene.answer("geth", Ready::Lagging("Its head is 900 s old.".to_owned()));
    assert_eq!(scene.state("geth"), NodeState::Syncing, "it was never at the tip");
    scene.answer("geth", Ready::Yes);
    assert_eq!(scene.state("geth"), NodeState::Healthy);
    scene.answer("geth", Ready::Lagging("Its head is 900 s old.".to_owned()));
    assert_eq!(
        (scene.state("geth"), scene.why("geth").as_str()),
        (NodeState::Lagging, "Its head is 900 s old.")
    );
    assert_eq!(scene.rules(), ["node_lagging geth"]);
    // Whatever it takes: no restart for a lag.
    for _ in 0..100 {
        scene.pass(60);
        scene.answer("geth", Ready::Lagging("Its head is old.".to_owned()));
    }
    assert_eq!((scene.acts.len(), scene.calls.len()), (0, 0));
    let states: Vec<NodeState> = scene.changes.iter().map(|changed| changed.state).collect();
    let way = [NodeState::Starting, NodeState::Syncing, NodeState::Healthy, NodeState::Lagging];
    assert_eq!(states, way);
    assert!(scene.changes.iter().all(|changed| !changed.message.is_empty()));
}

#[test]
fn a_crash_is_started_again_after_a_wait_that_doubles_and_is_short_again_after_a_good_while() {
    let mut scene = Scene::healthy(one());
    let mut waits = Vec::new();
    let mut run = "first".to_owned();
    for _ in 0..3 {
        scene.inspect("geth", exited(2, &run));
        assert_eq!(scene.state("geth"), NodeState::Crashed);
        let began = scene.acts.len();
        let since = scene.now;
        while scene.acts.len() == began {
            scene.pass(1);
        }
        waits.push((scene.now - since) / 1000);
        let act = scene.done();
        assert_eq!((act.action, act.by), (NodeAction::Start, ActedBy::Supervisor));
        assert!(act.why.starts_with("It ended with code 2 by itself."), "{}", act.why);
        assert_eq!(scene.state("geth"), NodeState::Starting);
        run = scene.run();
        scene.answer("geth", Ready::Yes);
        assert_eq!(scene.state("geth"), NodeState::Healthy);
    }
    assert!(
        (5..=7).contains(&waits[0]) && (10..=13).contains(&waits[1]) && (20..=26).contains(&waits[2]),
        "{waits:?}"
    );
    scene.pass(601);
    scene.inspect("geth", exited(2, &run));
    scene.pass(7);
    assert_eq!(scene.acts.len(), 4);
}

/// Crashes again and again until it is held; returns the run of the last.
fn crash_until_held(scene: &mut Scene) -> usize {
    let mut run = "first".to_owned();
    for _ in 0..20 {
        let began = scene.acts.len();
        scene.inspect("geth", exited(1, &run));
        if scene.state("geth") == NodeState::CrashLoop {
            return began;
        }
        for _ in 0..700 {
            if scene.acts.len() > began {
                break;
            }
            scene.pass(1);
        }
        scene.done();
        run = scene.run();
    }
    panic!("never held");
}

#[test]
fn the_sixth_crash_in_a_row_waits_for_a_person() {
    let mut scene = Scene::healthy(one());
    assert_eq!(crash_until_held(&mut scene), 5);
    assert_eq!(scene.rules(), ["node_crash_loop geth"]);
    assert!(scene.why("geth").contains("`relaymux nodes resume geth`"), "{}", scene.why("geth"));
    scene.pass(90_000);
    assert_eq!(scene.acts.len(), 5, "a day later nothing was done");
    let (_, memory) = scene.remembered.last().unwrap();
    assert_eq!(memory.hold, NodeHold::CrashLoop);
    // Over a restart of relaymux, too.
    let left = Remembered { node: id("geth"), memory: memory.clone(), under_way: None, restarts: Vec::new() };
    let mut next = Scene::restored(one(), &[left], None);
    next.inspect("geth", exited(1, "x"));
    next.pass(9_000);
    assert_eq!((next.state("geth"), next.acts.len()), (NodeState::CrashLoop, 0));
    // Until a person says so.
    scene.order("geth", OrderKind::Resume).unwrap();
    assert_eq!(scene.acts.last().unwrap().action, NodeAction::Resume);
    scene.done();
    assert_eq!(scene.acts.last().unwrap().action, NodeAction::Start);
    scene.done();
    assert!(scene.answers.last().unwrap().is_ok());
    assert_eq!(scene.state("geth"), NodeState::Starting);
    assert_eq!(scene.remembered.last().unwrap().1.hold, NodeHold::None);
}

#[test]
fn out_of_memory_is_started_once_and_then_left() {
    let mut scene = Scene::healthy(one());
    scene.inspect("geth", oom("first"));
    assert_eq!(scene.state("geth"), NodeState::OutOfMemory);
    assert_eq!(scene.rules(), ["node_out_of_memory geth", "node_down geth"]);
    scene.pass(7);
    scene.done();
    scene.answer("geth", Ready::Yes);
    assert_eq!(scene.rules(), ["node_out_of_memory geth"], "what killed it is to be known still");
    let mut later = Scene::healthy(one());
    later.inspect("geth", oom("first"));
    later.pass(7);
    later.done();
    later.answer("geth", Ready::Yes);
    later.pass(3_600);
    assert_eq!(later.rules(), Vec::<String>::new(), "and not for ever");
    scene.pass(1_000);
    let run = scene.run();
    scene.inspect("geth", oom(&run));
    assert_eq!(scene.state("geth"), NodeState::CrashLoop);
    assert!(scene.why("geth").contains("relaymux nodes resize geth"), "{}", scene.why("geth"));
    assert_eq!(scene.fleet.view()[0].oom_kills, 2);
    scene.pass(10_000);
    assert_eq!(scene.acts.len(), 1);
}

/// A process that is down cannot be resized: it is not told to be.
#[test]
fn advice_for_more_memory_can_be_followed() {
    let mut scene =
        Scene::healthy(vec![About { runtime: RuntimeKind::Process, ..about("geth", "execution") }]);
    scene.inspect("geth", oom("first"));
    scene.pass(7);
    scene.done();
    scene.answer("geth", Ready::Yes);
    let run = scene.run();
    scene.inspect("geth", oom(&run));
    let why = scene.why("geth");
    assert!(
        why.contains("`limits` of geth under [[nodes]]") && why.contains("`relaymux nodes up geth`"),
        "{why}"
    );
    assert!(!why.contains("resize"), "{why}");
}

#[test]
fn a_hung_node_is_restarted_after_enough_failures_and_not_before() {
    let mut scene = Scene::healthy(one());
    scene.fail("geth", 4);
    assert_eq!(scene.state("geth"), NodeState::Healthy);
    scene.answer("geth", Ready::Yes);
    scene.fail("geth", 4);
    assert_eq!(scene.state("geth"), NodeState::Healthy, "failures in a row");
    scene.fail("geth", 1);
    assert_eq!(scene.state("geth"), NodeState::Hung);
    assert_eq!(scene.rules(), ["node_down geth", "node_hung geth"]);
    scene.pass(7);
    let act = scene.done();
    assert_eq!((act.action, act.by), (NodeAction::Restart, ActedBy::Supervisor));
    assert!(act.why.contains("probes"), "{}", act.why);
}

#[test]
fn starting_and_syncing_have_their_allowance() {
    let mut scene = Scene::new(one());
    scene.inspect("geth", running("a"));
    scene.fail("geth", 599);
    assert_eq!(scene.state("geth"), NodeState::Starting, "ten minutes");
    scene.fail("geth", 1);
    assert_eq!(scene.state("geth"), NodeState::Hung);
    let mut scene = Scene::new(one());
    scene.inspect("geth", running("a"));
    scene.answer("geth", Ready::Syncing("It is 5,000,000 blocks behind.".to_owned()));
    scene.fail("geth", 600);
    assert_eq!(scene.state("geth"), NodeState::Syncing);
    scene.fail("geth", 1);
    assert_eq!(scene.state("geth"), NodeState::Hung);
}

#[test]
fn a_node_that_says_why_it_cannot_serve_is_not_restarted() {
    let mut scene = Scene::healthy(one());
    for _ in 0..30 {
        scene.answer("geth", Ready::No("It is of chain 5, and should be of chain 1.".to_owned()));
        scene.pass(60);
    }
    assert_eq!((scene.state("geth"), scene.acts.len()), (NodeState::Hung, 0));
    assert!(scene.why("geth").contains("chain 5"), "{}", scene.why("geth"));
}

#[test]
fn a_stalled_sync_is_told_and_not_restarted() {
    let mut scene = Scene::new(one());
    scene.inspect("geth", running("a"));
    for _ in 0..40 {
        scene.pass(60);
        scene.answer("geth", Ready::Syncing("It syncs.".to_owned()));
    }
    assert_eq!((scene.state("geth"), scene.acts.len()), (NodeState::Syncing, 0));
    assert_eq!(scene.rules(), ["node_sync_stalled geth"]);
}

#[test]
fn one_restart_at_a_time_and_never_two_of_a_group() {
    let mut scene = Scene::healthy(pair());
    scene.fail("primary", 5);
    scene.fail("replica", 5);
    scene.pass(30);
    assert_eq!(scene.acts.len(), 1, "the other waits while the first is being restarted");
    scene.done();
    scene.pass(300);
    assert_eq!(scene.acts.len(), 1, "and while it has not answered");
    scene.answer("primary", Ready::Syncing("It is 900 blocks behind.".to_owned()));
    scene.pass(100);
    assert_eq!((scene.state("primary"), scene.acts.len()), (NodeState::Syncing, 1), "and while it syncs");
    scene.answer("primary", Ready::Yes);
    scene.pass(1);
    assert_eq!(scene.acts.last().unwrap().node, id("replica"));
    // A sync of hours is no reason to leave the other hanging.
    let mut scene = Scene::healthy(pair());
    scene.fail("primary", 5);
    scene.fail("replica", 5);
    scene.pass(30);
    scene.done();
    scene.answer("primary", Ready::Syncing("It is 900,000 blocks behind.".to_owned()));
    scene.pass(599);
    assert_eq!(scene.acts.len(), 1);
    scene.pass(1);
    assert_eq!(scene.acts.last().unwrap().node, id("replica"));
    // Of other groups only the one in flight counts.
    let mut scene = Scene::healthy(vec![about("geth", "execution"), about("arbitrum", "l2")]);
    scene.inspect("geth", exited(1, "first"));
    scene.inspect("arbitrum", exited(1, "first"));
    scene.pass(30);
    assert_eq!(scene.acts.len(), 1);
    scene.done();
    scene.pass(1);
    assert_eq!(scene.acts.len(), 2);
}

#[test]
fn what_has_ended_is_started_also_while_a_hung_one_is_being_stopped() {
    let nodes = vec![
        about("primary", "execution"),
        about("replica", "execution"),
        about("arbitrum", "l2"),
        about("optimism", "other"),
    ];
    let mut scene = Scene::healthy(nodes);
    scene.fail("primary", 5);
    scene.pass(10);
    assert_eq!(scene.acts.last().map(|act| act.action), Some(NodeAction::Restart));
    // Its stop takes five minutes. One that hangs meanwhile has to wait, whatever its group.
    scene.fail("optimism", 5);
    scene.pass(30);
    assert_eq!(scene.acts.len(), 1);
    // Those that have ended are down already, one after the other; also of its own group, as somebody has to serve.
    scene.inspect("replica", exited(1, "first"));
    scene.pass(3);
    scene.inspect("arbitrum", exited(1, "first"));
    scene.pass(30);
    let started = |scene: &Scene, from: usize| -> Vec<String> {
        scene.acts[from..].iter().map(|act| format!("{} {}", act.action, act.node)).collect()
    };
    assert_eq!(started(&scene, 1), ["start replica"]);
    scene.done();
    scene.pass(1);
    assert_eq!(started(&scene, 1), ["start replica", "start arbitrum"]);
    scene.done();
    scene.pass(200);
    assert_eq!(scene.acts.len(), 3);
    scene.step(Input::Acted { node: id("primary"), action: NodeAction::Restart, result: Ok(()) });
    scene.pass(1);
    assert_eq!(started(&scene, 3), ["restart optimism"]);
}

#[test]
fn where_the_first_never_answers_the_other_gets_its_turn() {
    let mut scene = Scene::healthy(pair());
    scene.fail("primary", 5);
    scene.fail("replica", 5);
    scene.pass(30);
    scene.done();
    scene.fail("primary", 601);
    scene.fail("replica", 1);
    assert_eq!(scene.state("primary"), NodeState::Hung);
    scene.pass(1);
    assert_eq!(scene.acts.last().unwrap().node, id("replica"));
}

#[test]
fn where_everything_fails_at_once_on_different_hosts_a_person_is_called() {
    let far = About { probed_at: Some("10.0.0.7".to_owned()), ..about("far", "l2") };
    let mut scene = Scene::healthy(vec![about("geth", "execution"), far.clone()]);
    for _ in 0..10 {
        scene.fail("geth", 1);
        scene.fail("far", 1);
    }
    scene.pass(500);
    assert_eq!((scene.acts.len(), scene.calls.len()), (0, 2), "{:?}", scene.calls);
    assert!(
        scene.fleet.troubles().iter().any(|trouble| trouble.message.contains("the network or this machine"))
    );
    // One of them only: it is the node.
    let mut scene = Scene::healthy(vec![about("geth", "execution"), far]);
    scene.fail("geth", 5);
    scene.pass(10);
    assert_eq!((scene.acts.len(), scene.calls.len()), (1, 0));
    // On one host, each in its turn.
    let mut scene = Scene::healthy(vec![about("geth", "execution"), about("nitro", "l2")]);
    scene.fail("geth", 5);
    scene.fail("nitro", 5);
    scene.pass(10);
    assert_eq!((scene.acts.len(), scene.calls.len()), (1, 0));
}

#[test]
fn what_a_person_stopped_from_outside_stays_stopped() {
    for code in [0, 137, 143] {
        let mut scene = Scene::healthy(one());
        scene.inspect("geth", exited(code, "first"));
        scene.pass(5_000);
        assert_eq!((scene.state("geth"), scene.acts.len()), (NodeState::Stopped, 0), "{code}");
        assert_eq!(scene.rules(), ["node_stopped geth"]);
        assert_eq!(scene.remembered.last().unwrap().1.wanted, NodeWanted::Stopped);
        // Started by hand, it is looked after again.
        scene.inspect("geth", running("second"));
        assert_eq!(scene.remembered.last().unwrap().1.wanted, NodeWanted::Up);
        assert!(scene.why("geth").starts_with("Somebody else has started it."));
    }
}

#[test]
fn what_the_runtime_tells_of_a_stop_counts_more_than_the_code() {
    let mut scene = Scene::healthy(one());
    let tell = |scene: &mut Scene, what: &str| {
        scene.step(Input::Told(RuntimeEvent { node: id("geth"), what: what.to_owned(), at: None }));
    };
    tell(&mut scene, "kill");
    scene.inspect("geth", exited(1, "first"));
    assert_eq!(scene.state("geth"), NodeState::Stopped);
    // A look may be quicker than an event, and an engine that is stopped is still there for a moment.
    let mut scene = Scene::healthy(one());
    scene.inspect("geth", exited(137, "first"));
    assert_eq!(scene.state("geth"), NodeState::Stopped);
    tell(&mut scene, "die");
    assert_eq!(scene.state("geth"), NodeState::Crashed, "no engine has sent this signal");
    let mut scene = Scene::healthy(one());
    tell(&mut scene, "kill");
    scene.inspect("geth", exited(143, "first"));
    assert_eq!(scene.remembered.last().unwrap().1.wanted, NodeWanted::Stopped);
    scene.pass(10);
    scene.away("geth");
    assert_eq!(scene.remembered.last().unwrap().1.wanted, NodeWanted::Up);
    scene.inspect("geth", exited(143, "first"));
    scene.pass(7);
    assert_eq!(scene.acts.len(), 1);
    let mut scene = Scene::healthy(one());
    scene.inspect("geth", exited(143, "first"));
    scene.pass(16);
    scene.away("geth");
    scene.inspect("geth", exited(143, "first"));
    scene.pass(700);
    assert_eq!(scene.acts.len(), 0, "the engine went away later");
    // A signal that it outlives is no stop.
    let mut scene = Scene::healthy(one());
    tell(&mut scene, "kill");
    scene.pass(400);
    scene.inspect("geth", exited(1, "first"));
    assert_eq!(scene.state("geth"), NodeState::Crashed);
    tell(&mut scene, "die");
    assert_eq!(scene.state("geth"), NodeState::Crashed);
}

#[test]
fn a_kill_soon_after_a_start_of_ours_is_told_from_the_stop_before_it() {
    let mut scene = Scene::healthy(one());
    scene.order("geth", OrderKind::Restart).unwrap();
    scene.done();
    let (since, run) = (Some(1_000_000), scene.run());
    scene.inspect("geth", inspection(ProcessStatus::Running { since }, &run));
    for (what, at) in [("kill", 998_000), ("die", 999_000), ("die", 1_000_500)] {
        let event = RuntimeEvent { node: id("geth"), what: what.to_owned(), at: Some(at) };
        scene.step(Input::Told(event));
    }
    scene.inspect("geth", exited(137, &run));
    assert_eq!(scene.state("geth"), NodeState::Crashed, "{}", scene.why("geth"));
}

/// Killed between the two halves of a restart: what is stopped then is not a person's.
#[test]
fn an_absent_node_that_nobody_asked_for_is_left_alone_and_a_paused_one_too() {
    let mut scene = Scene::new(one());
    scene.inspect("geth", inspection(ProcessStatus::Absent, ""));
    scene.pass(5_000);
    assert_eq!((scene.state("geth"), scene.acts.len()), (NodeState::Absent, 0));
    assert_eq!(scene.rules(), Vec::<String>::new());
    let mut scene = Scene::new(one());
    scene.inspect("geth", exited(1, "a"));
    scene.pass(5_000);
    assert_eq!((scene.state("geth"), scene.acts.len()), (NodeState::Stopped, 0), "it was never seen to run");
    let mut scene = Scene::healthy(one());
    scene.inspect("geth", inspection(ProcessStatus::Paused, "first"));
    scene.fail("geth", 50);
    scene.pass(5_000);
    assert_eq!((scene.state("geth"), scene.acts.len()), (NodeState::Stopped, 0));
    assert_eq!(scene.rules(), ["node_stopped geth"]);
    assert!(scene.why("geth").contains("docker pause"));
    scene.inspect("geth", running("first"));
    assert_eq!(scene.state("geth"), NodeState::Healthy);
    let mut scene = Scene::healthy(one());
    scene.inspect("geth", inspection(ProcessStatus::Absent, ""));
    assert_eq!((scene.state("geth"), scene.rules()), (NodeState::Absent, vec!["node_down geth".to_owned()]));
}

#[test]
fn while_the_engine_is_away_nothing_is_judged_or_done_and_its_return_brings_no_storm() {
    let mut scene = Scene::healthy(vec![about("a", "1"), about("b", "2"), about("c", "3")]);
    for name in ["a", "b", "c"] {
        scene.fail(name, 3);
        scene.away(name);
        scene.fail(name, 50);
    }
    scene.pass(5_000);
    assert_eq!(scene.acts.len(), 0);
    for name in ["a", "b", "c"] {
        assert_eq!(scene.state(name), NodeState::Unknown);
    }
    assert_eq!(scene.rules().len(), 3, "{:?}", scene.rules());
    // The engine stopped them all in good order; nobody else did.
    for name in ["a", "b", "c"] {
        scene.inspect(name, exited(0, "first"));
    }
    scene.pass(60);
    assert_eq!(scene.acts.len(), 1);
    scene.done();
    scene.pass(1);
    assert_eq!(scene.acts.len(), 2);
    // One that is slow is not away: who stops a node then is a person.
    let mut scene = Scene::healthy(one());
    let slow = RuntimeError::TimedOut("No answer within 30 s.".to_owned());
    scene.step(Input::Inspected(id("geth"), Err(slow)));
    assert_eq!(scene.state("geth"), NodeState::Healthy, "it answers its probes");
    scene.inspect("geth", exited(0, "first"));
    scene.pass(700);
    assert_eq!((scene.state("geth"), scene.acts.len()), (NodeState::Stopped, 0));
    // Whoever answers while its engine is away is there.
    let mut scene = Scene::healthy(one());
    scene.away("geth");
    scene.answer("geth", Ready::Yes);
    assert_eq!(scene.state("geth"), NodeState::Healthy);
}

#[test]
fn clocks_that_leap_bring_no_restart_nearer() {
    let mut scene = Scene::new(one());
    scene.inspect("geth", running("a"));
    scene.now += 86_400_000;
    scene.fail("geth", 5);
    assert_eq!(scene.state("geth"), NodeState::Starting);
    scene.now -= 2 * 86_400_000;
    scene.fail("geth", 5);
    assert_eq!((scene.state("geth"), scene.acts.len()), (NodeState::Starting, 0));
    // A window of restarts is not emptied by a leap either.
    let mut scene = Scene::healthy(one());
    let mut run = "first".to_owned();
    for _ in 0..5 {
        scene.inspect("geth", exited(1, &run));
        scene.pass(110);
        scene.done();
        run = scene.run();
        scene.now += 86_400_000;
    }
    scene.inspect("geth", exited(1, &run));
    assert_eq!(scene.state("geth"), NodeState::CrashLoop);
}

#[test]
fn pressure_that_lasts_is_told_with_the_largest_users_and_kills_nothing() {
    let mut scene = Scene::healthy(one());
    let usage = Usage { memory: Some(9 << 30), ..Usage::default() };
    scene.inspect("geth", Inspection { usage: Some(usage), ..running("first") });
    for percent in [Some(50.0), None, Some(50.0)] {
        scene.step(Input::HostPressure(Stalls { memory: percent, io: None }));
        scene.pass(59);
        assert_eq!(scene.rules(), Vec::<String>::new());
    }
    scene.pass(1);
    assert_eq!(scene.rules(), ["node_memory_pressure all nodes"]);
    assert!(scene.fleet.troubles()[0].message.contains("geth uses 9216 MiB"));
    assert_eq!(scene.acts.len(), 0);
}

#[test]
fn a_node_that_somebody_stops_is_left_to_end_however_long_it_takes() {
    let mut scene = Scene::healthy(one());
    scene.step(Input::Told(RuntimeEvent { node: id("geth"), what: "kill".to_owned(), at: None }));
    for _ in 0..30 {
        scene.fail("geth", 1);
        scene.pass(9);
    }
    assert_eq!(scene.acts.len(), 0, "{:?}", scene.acts);
    scene.inspect("geth", exited(137, "first"));
    assert_eq!(scene.state("geth"), NodeState::Stopped);
    scene.pass(3_600);
    assert_eq!(scene.acts.len(), 0);
}

#[test]
fn a_lost_probe_restarts_nobody_who_has_answered_that_it_cannot_serve() {
    let mut scene = Scene::healthy(one());
    for _ in 0..20 {
        scene.answer("geth", Ready::No("Its execution client is offline.".to_owned()));
        scene.pass(10);
    }
    assert_eq!((scene.state("geth"), scene.acts.len()), (NodeState::Hung, 0));
    for _ in 0..4 {
        scene.fail("geth", 1);
        scene.pass(10);
        assert_eq!(scene.acts.len(), 0);
    }
    scene.answer("geth", Ready::No("Its execution client is offline.".to_owned()));
    scene.pass(60);
    assert_eq!(scene.acts.len(), 0);
    for _ in 0..6 {
        scene.fail("geth", 1);
        scene.pass(10);
    }
    assert_eq!(scene.acts.len(), 1, "now it hangs");
}

#[test]
fn a_start_waits_for_pressure_to_pass_and_not_for_ever() {
    for (stalls, is_held) in [
        (Stalls { memory: Some(50.0), io: None }, true),
        (Stalls { memory: None, io: Some(90.0) }, true),
        (Stalls { memory: Some(9.0), io: Some(79.0) }, false),
    ] {
        let mut scene = Scene::healthy(one());
        scene.step(Input::HostPressure(stalls));
        scene.pass(60);
        scene.inspect("geth", exited(1, "first"));
        scene.pass(300);
        assert_eq!(scene.acts.is_empty(), is_held, "{stalls:?}");
        scene.pass(400);
        assert_eq!(scene.acts.len(), 1, "{stalls:?}");
    }
}

#[test]
fn a_node_that_is_only_watched_is_never_restarted() {
    let restart = RestartPolicy { on_failure: false, ..RestartPolicy::default() };
    let mut scene = Scene::healthy(vec![About { restart, ..about("geth", "execution") }]);
    scene.inspect("geth", exited(1, "first"));
    scene.pass(5_000);
    assert_eq!((scene.state("geth"), scene.acts.len()), (NodeState::Crashed, 0));
    assert!(scene.fleet.troubles()[0].message.contains("restart = "));
}

#[test]
fn an_engine_that_restarts_a_node_again_and_again_is_a_crash_loop_too() {
    let mut scene = Scene::healthy(one());
    for run in 0..5 {
        scene.inspect("geth", exited(1, &format!("{run}")));
        scene.pass(1);
        scene.inspect("geth", running(&format!("{}", run + 1)));
        scene.pass(1);
    }
    scene.inspect("geth", exited(1, "5"));
    assert_eq!((scene.state("geth"), scene.acts.len()), (NodeState::CrashLoop, 0));
}

#[test]
fn what_cannot_be_started_is_tried_as_often_as_what_crashes() {
    let mut scene = Scene::healthy(one());
    scene.inspect("geth", exited(1, "first"));
    for attempt in 0..5 {
        scene.pass(110);
        assert_eq!(scene.acts.len(), attempt + 1);
        let error = RuntimeError::Refused("no such image".to_owned());
        scene.step(Input::Acted { node: id("geth"), action: NodeAction::Start, result: Err(error) });
        scene.inspect("geth", exited(1, "first"));
    }
    assert_eq!(scene.state("geth"), NodeState::CrashLoop);
    scene.pass(5_000);
    assert_eq!(scene.acts.len(), 5);
}
