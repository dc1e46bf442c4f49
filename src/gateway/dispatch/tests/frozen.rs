//! A node of the operator's that stands still: who waits for it, how long, and who does not.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream::FuturesUnordered};
use serde_json::json;
use tokio::time::Instant;

use super::{by, call, result, run};
use crate::gateway::{
    Feedback, Method,
    lanes::Lanes,
    stage::{Act, BACKUP, PRIMARY, REPLICA, Stage, deadline},
};

/// A primary that has answered so many calls, each after so long, and then freezes; one upstream may take 2.5 s.
async fn frozen(calls: usize, ms: u64) -> (Stage, Arc<Lanes>) {
    let mut stage = Stage::new();
    stage.settings.attempt = Duration::from_millis(2_500);
    stage.actor(PRIMARY).plays(move |_, _| Act::after(ms, Act::Say(json!("usual"))));
    let (lanes, call) = (stage.lanes(), call("eth_call", json!([{}])));
    stage.serve(&[PRIMARY]);
    for _ in 0..calls {
        lanes.run(&call, Method::of("eth_call"), &stage.session, deadline()).await;
    }
    stage.serve(&[PRIMARY, REPLICA, BACKUP]);
    tokio::time::advance(Duration::from_secs(60)).await;
    stage.actor(PRIMARY).plays(|_, _| Act::Hang);
    stage.feedback();
    (stage, lanes)
}

#[tokio::test(start_paused = true)]
async fn a_frozen_node_is_left_for_another_own_one_after_ten_times_what_is_usual() {
    for (method, calls, ms, waited) in [
        // 400 ms at least; 2.5 s at most; unknown, 0.8 s for a read, a second for logs where reads are quick, and all the time for what may take long.
        ("eth_call", 30, 5, 400),
        ("eth_call", 30, 70, 700),
        ("eth_call", 30, 900, 2_500),
        ("eth_call", 3, 5, 800),
        ("eth_getLogs", 30, 5, 1_000),
        ("eth_getLogs", 30, 150, 1_500),
        ("eth_getLogs", 3, 150, 1_000),
        ("trace_block", 30, 5, 2_500),
    ] {
        let (stage, lanes) = frozen(calls, ms).await;
        let (call, started) = (call(method, json!([{}])), Instant::now());
        let served = lanes.run(&call, Method::of(method), &stage.session, deadline()).await;
        let want = ("replica", Duration::from_millis(waited));
        assert_eq!((by(&served), started.elapsed()), want, "{method} {calls} {ms}");
        let next = lanes.run(&call, Method::of(method), &stage.session, deadline()).await;
        assert_eq!((by(&next), started.elapsed()), want, "{method}: the next one does not wait");
    }
}

#[tokio::test(start_paused = true)]
async fn after_one_wait_nobody_else_waits_for_a_frozen_node() {
    let (mut stage, lanes) = frozen(30, 5).await;
    let (call, started) = (call("eth_call", json!([{}])), Instant::now());
    let ask = || lanes.run(&call, Method::of("eth_call"), &stage.session, deadline());
    ask().await;
    for _ in 0..50 {
        assert_eq!(by(&ask().await), "replica");
    }
    assert_eq!((started.elapsed(), stage.heard()[PRIMARY]), (Duration::from_millis(400), 31));
    // A probe that is answered shows that it lives.
    lanes.board().probed(PRIMARY, Duration::from_millis(1), Instant::now());
    stage.actor(PRIMARY).plays(|_, _| Act::Say(json!("again")));
    assert_eq!(by(&ask().await), "primary");
    let told = stage.feedback();
    let silent = |told: &&(usize, Feedback)| matches!(told, (PRIMARY, Feedback::Silent));
    assert_eq!(told.iter().filter(silent).count(), 1, "it is probed at once, and once");
    assert!(!told.iter().any(|told| matches!(told, (_, Feedback::Failed(_)))), "{told:?}");
    let [failover] = &lanes.failovers().list()[..] else { panic!() };
    assert_eq!((failover.reason.label(), failover.longest_wait_ms), ("timeout", 400));
}

#[tokio::test(start_paused = true)]
async fn a_slow_answer_of_a_node_that_answers_others_makes_nobody_avoid_it() {
    let (mut stage, lanes) = frozen(30, 5).await;
    stage.actor(PRIMARY).plays(|call, _| match &*call.method {
        "eth_call" => Act::after(600, Act::Say(json!("late"))),
        _ => Act::after(200, Act::Say(json!("0x1"))),
    });
    stage.actor(REPLICA).plays(|_, _| Act::after(300, Act::Say(json!("second"))));
    let (slow, quick) = (call("eth_call", json!([{}])), call("eth_gasPrice", json!([])));
    let started = Instant::now();
    let (slow, _) = tokio::join!(
        lanes.run(&slow, Method::of("eth_call"), &stage.session, deadline()),
        lanes.run(&quick, Method::of("eth_gasPrice"), &stage.session, deadline()),
    );
    // Asked beside each other, the first good answer wins.
    assert_eq!((result(&slow), started.elapsed()), (json!("late"), Duration::from_millis(600)));
    assert_eq!(stage.heard()[REPLICA], 1);
    assert!(!stage.feedback().iter().any(|told| matches!(told, (_, Feedback::Silent))));
    assert!(!lanes.is_silent(PRIMARY));
}

#[tokio::test(start_paused = true)]
async fn a_paid_upstream_is_asked_for_no_nodes_silence() {
    let (stage, lanes) = frozen(30, 5).await;
    stage.serve(&[PRIMARY, BACKUP]);
    let (call, started) = (call("eth_call", json!([{}])), Instant::now());
    let ask = || lanes.run(&call, Method::of("eth_call"), &stage.session, deadline());
    assert_eq!((by(&ask().await), started.elapsed()), ("backup", Duration::from_millis(2_500)));
    // Nor is one left early that is paid.
    stage.serve(&[BACKUP, REPLICA]);
    stage.actor(BACKUP).plays(|_, _| Act::Hang);
    let started = Instant::now();
    assert_eq!((by(&ask().await), started.elapsed()), ("replica", Duration::from_millis(2_500)));
    // And what may happen once alone is asked once.
    stage.serve(&[PRIMARY, REPLICA]);
    stage.actor(PRIMARY).plays(|_, _| Act::after(3_000, Act::Say(json!("0xhash"))));
    let heard = stage.heard()[REPLICA];
    assert_eq!(result(&run(&stage, "eth_sendTransaction", json!([{}])).await), json!("0xhash"));
    assert_eq!(stage.heard()[REPLICA], heard);
}

#[tokio::test(start_paused = true)]
async fn second_questions_stay_within_their_budget() {
    let (stage, lanes) = frozen(30, 5).await;
    // As many as there may be, all at once.
    let call = call("eth_call", json!([{}]));
    let all = (0..400).map(|_| lanes.run(&call, Method::of("eth_call"), &stage.session, deadline()));
    let started = Instant::now();
    let mut waits: Vec<u128> = Vec::new();
    let mut all: FuturesUnordered<_> = all.collect();
    while all.next().await.is_some() {
        waits.push(started.elapsed().as_millis());
    }
    let early = waits.iter().filter(|wait| **wait == 400).count();
    assert_eq!((early, waits.len()), (100 + 400 / 5, 400), "ten a second for ten seconds, and a fifth");
    assert!(waits.iter().all(|wait| [400, 2_500].contains(wait)), "{waits:?}");
}
