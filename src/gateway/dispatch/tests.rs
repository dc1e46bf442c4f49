//! Calls against upstreams that play scripts, on a clock that stands still.

mod frozen;
mod lacking;

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use proptest::prelude::*;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::gateway::{
    Feedback, Method, RpcAnswer, RpcCall, Served, ServedBy, TransportFailure,
    stage::{Act, BACKUP, PRIMARY, REPLICA, Stage, block, deadline},
};

fn call(method: &str, params: Value) -> RpcCall {
    RpcCall::new(method, params.to_string())
}

async fn run(stage: &Stage, method: &str, params: Value) -> Served {
    let call = call(method, params);
    stage.lanes().run(&call, Method::of(method), &stage.session, deadline()).await
}

fn result(served: &Served) -> Value {
    match &served.answer {
        RpcAnswer::Result(result) => result.read().unwrap(),
        RpcAnswer::Error(error) => panic!("{error:?}"),
    }
}

fn error(served: &Served) -> (i64, String) {
    match &served.answer {
        RpcAnswer::Error(error) => (error.code, error.message.to_string()),
        RpcAnswer::Result(result) => panic!("{result:?}"),
    }
}

fn by(served: &Served) -> &str {
    match &served.by {
        ServedBy::Upstream(id) => id.as_str(),
        ServedBy::Cache => "cache",
        ServedBy::Gateway => "gateway",
    }
}

#[tokio::test(start_paused = true)]
async fn the_primary_alone_is_asked_while_all_is_well() {
    let stage = Stage::new();
    let served = run(&stage, "eth_call", json!([{}, "latest"])).await;
    assert_eq!((result(&served), by(&served)), (json!(PRIMARY), "primary"));
    assert_eq!(stage.heard(), [1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_refused_connection_is_no_wait_at_all_and_is_told() {
    let mut stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, _| Act::refused());
    let started = Instant::now();
    let served = run(&stage, "eth_call", json!([{}, "latest"])).await;
    assert_eq!((result(&served), by(&served)), (json!(REPLICA), "replica"));
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert!(matches!(
        &stage.feedback()[..],
        [(PRIMARY, Feedback::Refused(_)), (REPLICA, Feedback::Answered { .. })]
    ));
}

#[tokio::test(start_paused = true)]
async fn what_is_the_nodes_fault_goes_on_and_what_is_the_clients_does_not() {
    for (act, asked) in [
        (Act::Refuse(-32000, "header not found"), 2),
        (Act::Refuse(-32000, "missing trie node 12 (path )"), 2),
        (Act::Refuse(-32005, "limit exceeded"), 2),
        (Act::Refuse(-32603, "Internal error"), 2),
        (Act::Refuse(-32601, "the method eth_call does not exist/is not available"), 2),
        (Act::Fail(TransportFailure::Status { status: 503, retry_after: None }), 2),
        (Act::Fail(TransportFailure::Status { status: 429, retry_after: None }), 2),
        (Act::Fail(TransportFailure::Broken("cut".to_owned())), 2),
        (Act::Refuse(3, "execution reverted: header not found"), 1),
        (Act::Refuse(-32602, "invalid argument 0"), 1),
        (Act::Say(json!("0x")), 1),
    ] {
        let stage = Stage::new();
        let plays = act.clone();
        stage.actor(PRIMARY).plays(move |_, _| plays.clone());
        let served = run(&stage, "eth_call", json!([{}, "latest"])).await;
        assert_eq!(stage.heard().iter().sum::<usize>(), asked, "{act:?} {served:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_frozen_upstream_costs_one_attempt_and_is_not_given_up() {
    let mut stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, _| Act::after(800, Act::Say(json!("late"))));
    stage.actor(REPLICA).plays(|_, _| Act::after(400, Act::Say(json!("second"))));
    let started = Instant::now();
    let served = run(&stage, "eth_getBalance", json!(["0xa", "latest"])).await;
    // The first still runs when the second is asked, and its answer comes first.
    assert_eq!((result(&served), started.elapsed()), (json!("late"), Duration::from_millis(800)));
    assert_eq!(stage.heard(), [1, 1, 0]);
    assert!(stage.feedback().iter().any(|told| matches!(told, (PRIMARY, Feedback::Failed(_)))));

    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, _| Act::Hang);
    let started = Instant::now();
    let served = run(&stage, "eth_getBalance", json!(["0xa", "latest"])).await;
    assert_eq!((by(&served), started.elapsed()), ("replica", Duration::from_millis(500)));
    assert_eq!(stage.heard(), [1, 1, 0]);
}

#[tokio::test(start_paused = true)]
async fn one_slow_call_says_nothing_of_an_upstream_that_answers_others() {
    let mut stage = Stage::new();
    stage.actor(PRIMARY).plays(|call, _| match &*call.method {
        "eth_call" => Act::Hang,
        _ => Act::after(100, Act::Say(json!("0x1"))),
    });
    let lanes = stage.lanes();
    let (slow, quick) = (call("eth_call", json!([{}])), call("eth_gasPrice", json!([])));
    let (slow, _) = tokio::join!(
        lanes.run(&slow, Method::of("eth_call"), &stage.session, deadline()),
        lanes.run(&quick, Method::of("eth_gasPrice"), &stage.session, deadline()),
    );
    assert_eq!(by(&slow), "replica");
    assert!(!stage.feedback().iter().any(|told| matches!(told, (_, Feedback::Failed(_)))));
}

#[tokio::test(start_paused = true)]
async fn a_client_that_sends_nonsense_takes_no_upstream_out() {
    for (act, is_told) in [
        (Act::Fail(TransportFailure::Status { status: 413, retry_after: None }), false),
        (Act::Fail(TransportFailure::Status { status: 400, retry_after: None }), false),
        (Act::Fail(TransportFailure::Status { status: 429, retry_after: None }), false),
        (Act::Fail(TransportFailure::TooLarge { limit: 1 }), false),
        (Act::Refuse(-32603, "Internal error"), false),
        (Act::Fail(TransportFailure::Status { status: 502, retry_after: None }), true),
        (Act::Fail(TransportFailure::Broken("cut".to_owned())), true),
    ] {
        let mut stage = Stage::new();
        let plays = act.clone();
        stage.actor(PRIMARY).plays(move |_, _| plays.clone());
        assert_eq!(by(&run(&stage, "eth_call", json!([{}])).await), "replica");
        let told = stage
            .feedback()
            .iter()
            .any(|told| matches!(told, (PRIMARY, Feedback::Failed(_) | Feedback::Refused(_))));
        assert_eq!(told, is_told, "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_may_not_be_repeated_is_sent_once() {
    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, _| Act::Fail(TransportFailure::Broken("cut".to_owned())));
    let served = run(&stage, "eth_sendTransaction", json!([{}])).await;
    assert_eq!((error(&served).0, stage.heard()), (-32603, [1, 0, 0]));

    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, _| Act::after(3_000, Act::Say(json!("0xhash"))));
    let served = run(&stage, "eth_sendTransaction", json!([{}])).await;
    assert_eq!((result(&served), stage.heard()), (json!("0xhash"), [1, 0, 0]));

    // Nobody got it: it may go elsewhere.
    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, _| Act::refused());
    let served = run(&stage, "eth_sendTransaction", json!([{}])).await;
    assert_eq!((by(&served), stage.heard()), ("replica", [1, 1, 0]));
}

#[tokio::test(start_paused = true)]
async fn words_alone_send_nothing_twice() {
    let status = |status| Act::Fail(TransportFailure::Status { status, retry_after: None });
    for (act, asked) in [
        (Act::Refuse(-32000, "too many requests"), 1),
        (Act::Refuse(-32005, "limit exceeded"), 1),
        (Act::Refuse(-32000, "method not supported"), 1),
        (Act::Refuse(-32000, "node is syncing"), 1),
        (Act::Refuse(-32000, "unauthorized"), 1),
        (status(429), 1),
        (status(503), 1),
        (Act::Refuse(-32601, "the method does not exist/is not available"), 2),
        (Act::Refuse(401, "unauthorized"), 2),
        (Act::Refuse(403, "unauthorized"), 2),
        (status(401), 2),
        (status(403), 2),
        (Act::refused(), 2),
    ] {
        let stage = Stage::new();
        let plays = act.clone();
        stage.actor(PRIMARY).plays(move |_, _| plays.clone());
        run(&stage, "eth_sendTransaction", json!([{}])).await;
        assert_eq!(stage.heard().iter().sum::<usize>(), asked, "{act:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn when_nobody_can_be_reached_everybody_is_tried_again() {
    let stage = Stage::new();
    for place in [PRIMARY, REPLICA, BACKUP] {
        stage
            .actor(place)
            .plays(move |_, nth| if nth == 0 { Act::refused() } else { Act::Say(json!(place)) });
    }
    let served = run(&stage, "eth_call", json!([{}])).await;
    assert_eq!((result(&served), stage.heard()), (json!(PRIMARY), [2, 1, 1]));
}

#[tokio::test(start_paused = true)]
async fn who_asks_us_to_come_a_little_later_is_waited_for_when_nobody_else_is_left() {
    let limited = |secs| {
        Act::Fail(TransportFailure::Status { status: 429, retry_after: Some(Duration::from_secs(secs)) })
    };
    for (act, others, waited) in [
        (limited(2), Act::refused(), Some(2_000)),
        (Act::Fail(TransportFailure::OverBudget), Act::refused(), Some(100)),
        (limited(2), limited(3), Some(2_000)),
        // Later than the client waits; or somebody has spoken of the call.
        (limited(60), limited(60), None),
        (limited(2), Act::Refuse(-32000, "header not found"), None),
    ] {
        let stage = Stage::new();
        let plays = act.clone();
        stage.actor(PRIMARY).plays(move |_, nth| if nth == 0 { plays.clone() } else { Act::Say(json!(0)) });
        for place in [REPLICA, BACKUP] {
            let plays = others.clone();
            stage.actor(place).plays(move |_, _| plays.clone());
        }
        let started = Instant::now();
        let served = run(&stage, "eth_call", json!([{}])).await;
        match waited {
            Some(ms) => assert_eq!(
                (by(&served), started.elapsed(), stage.heard()[PRIMARY]),
                ("primary", Duration::from_millis(ms), 2),
                "{act:?} {others:?}"
            ),
            None => {
                assert_eq!((started.elapsed(), stage.heard()[PRIMARY]), (Duration::ZERO, 1), "{others:?}")
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_ends_by_its_deadline_and_says_why() {
    let stage = Stage::new();
    for place in [PRIMARY, REPLICA, BACKUP] {
        stage.actor(place).plays(|_, _| Act::Hang);
    }
    let started = Instant::now();
    let served = run(&stage, "eth_call", json!([{}])).await;
    let (code, message) = error(&served);
    assert_eq!((code, started.elapsed(), by(&served)), (-32603, Duration::from_secs(10), "gateway"));
    assert!(message.contains("primary: timeout") && message.contains("backup: timeout"), "{message}");
}

#[tokio::test(start_paused = true)]
async fn nobody_serves_is_waited_for_a_moment_only() {
    let stage = Stage::new();
    stage.serve(&[]);
    let started = Instant::now();
    let served = run(&stage, "eth_call", json!([{}])).await;
    assert_eq!(error(&served).0, -32603);
    assert!(started.elapsed() < Duration::from_secs(3));

    let (lanes, call) = (stage.lanes(), call("eth_call", json!([{}])));
    let up = async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        stage.serve(&[REPLICA]);
    };
    let started = Instant::now();
    let (served, ()) = tokio::join!(lanes.run(&call, Method::of("eth_call"), &stage.session, deadline()), up);
    assert_eq!((by(&served), started.elapsed()), ("replica", Duration::from_millis(30)));
}

#[tokio::test(start_paused = true)]
async fn methods_and_budgets_are_looked_at_before_anything_else() {
    let mut stage = Stage::new();
    stage.settings.upstreams[PRIMARY].ignore_methods = vec!["eth_getLogs".to_owned()];
    stage.actor(REPLICA).broke.store(true, Relaxed);
    let served = run(&stage, "eth_getLogs", json!([{}])).await;
    assert_eq!((by(&served), stage.heard()), ("backup", [0, 0, 1]));
    stage.actor(BACKUP).broke.store(true, Relaxed);
    let started = Instant::now();
    let served = run(&stage, "eth_getLogs", json!([{}])).await;
    assert_eq!((by(&served), started.elapsed()), ("gateway", Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn an_older_head_is_not_told_while_another_can_do_better() {
    let stage = Stage::new();
    stage.heads([100, 101, 101]);
    stage.session.note_latest(101);
    stage.actor(PRIMARY).plays(|_, _| Act::Say(json!("0x64")));
    stage.actor(REPLICA).plays(|_, _| Act::Say(json!("0x65")));
    let served = run(&stage, "eth_blockNumber", json!([])).await;
    assert_eq!((result(&served), stage.heard()), (json!("0x65"), [0, 1, 0]));

    // The board says that it is there; it shows an older one all the same.
    let stage = Stage::new();
    stage.heads([101, 101, 101]);
    stage.session.note_latest(101);
    stage.actor(PRIMARY).plays(|_, _| Act::Say(block(100)));
    stage.actor(REPLICA).plays(|_, _| Act::Say(block(101)));
    let served = run(&stage, "eth_getBlockByNumber", json!(["latest", false])).await;
    assert_eq!((by(&served), result(&served)), ("replica", block(101)));

    // Nobody can do better: the number is what the client knows already.
    let stage = Stage::new();
    stage.session.note_latest(105);
    for place in [PRIMARY, REPLICA, BACKUP] {
        stage.actor(place).plays(|_, _| Act::Say(json!("0x64")));
    }
    let served = run(&stage, "eth_blockNumber", json!([])).await;
    assert_eq!(result(&served), json!("0x69"));
    assert_eq!(stage.session.latest(), 105);
}

#[tokio::test(start_paused = true)]
async fn an_absurd_head_is_neither_told_nor_remembered() {
    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, _| Act::Say(json!("0xffffffffffff")));
    stage.actor(REPLICA).plays(|_, _| Act::Say(json!("0x64")));
    let served = run(&stage, "eth_blockNumber", json!([])).await;
    assert_eq!((by(&served), result(&served), stage.session.latest()), ("replica", json!("0x64"), 100));
}

#[tokio::test(start_paused = true)]
async fn a_head_that_is_somewhat_too_high_leads_nobody_for_long() {
    let stage = Stage::new();
    let lanes = stage.lanes();
    let number = call("eth_blockNumber", json!([]));
    let ask = || lanes.run(&number, Method::of("eth_blockNumber"), &stage.session, deadline());
    // 256 blocks beyond the tip are not believed, 16 are.
    stage.actor(PRIMARY).plays(|_, _| Act::Say(json!("0x64")));
    stage.actor(REPLICA).plays(|_, _| Act::Say(json!("0x164")));
    stage.serve(&[REPLICA, PRIMARY]);
    assert_eq!((result(&ask().await), stage.session.latest()), (json!("0x64"), 100));
    stage.actor(REPLICA).plays(|_, _| Act::Say(json!("0x74")));
    assert_eq!((result(&ask().await), stage.session.latest()), (json!("0x74"), 116));
    // A probe shows what it has: it is asked first no longer for that.
    stage.heads([101, 101, 101]);
    stage.actor(PRIMARY).plays(|_, _| Act::Say(json!(PRIMARY)));
    let balance = call("eth_getBalance", json!(["0xa", "latest"]));
    let served = lanes.run(&balance, Method::of("eth_getBalance"), &stage.session, deadline()).await;
    assert_eq!(by(&served), "primary");
    // What a client was told and cannot be binds nobody.
    stage.session.note_latest(100_000);
    stage.actor(PRIMARY).plays(|_, _| Act::Say(json!("0x65")));
    stage.actor(REPLICA).plays(|_, _| Act::Say(json!("0x65")));
    stage.actor(BACKUP).plays(|_, _| Act::Say(json!("0x65")));
    assert_eq!(result(&ask().await), json!("0x75"));
}

#[tokio::test(start_paused = true)]
async fn finalized_never_goes_backwards() {
    let stage = Stage::new();
    stage.heads([100, 110, 110]);
    stage.session.note_finalized(74);
    stage.actor(PRIMARY).plays(|_, _| Act::Say(block(64)));
    stage.actor(REPLICA).plays(|_, _| Act::Say(block(74)));
    let served = run(&stage, "eth_getBlockByNumber", json!(["finalized", false])).await;
    assert_eq!(result(&served), block(74));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_believed_once_another_that_is_further_has_nothing_either() {
    let receipt = ("eth_getTransactionReceipt", json!(["0xab"]));
    // The replica is further and has it.
    let stage = Stage::new();
    stage.heads([100, 101, 101]);
    stage.actor(PRIMARY).plays(|_, _| Act::Say(Value::Null));
    let served = run(&stage, receipt.0, receipt.1.clone()).await;
    assert_eq!((by(&served), stage.heard()), ("replica", [1, 1, 0]));
    // It has nothing either: that is the answer, and the backup is not asked.
    let stage = Stage::new();
    stage.heads([100, 101, 101]);
    stage.actor(PRIMARY).plays(|_, _| Act::Say(Value::Null));
    stage.actor(REPLICA).plays(|_, _| Act::Say(Value::Null));
    let served = run(&stage, receipt.0, receipt.1.clone()).await;
    assert_eq!((result(&served), stage.heard()), (Value::Null, [1, 1, 0]));
    // It cannot be asked: nothing is the answer.
    stage.actor(REPLICA).plays(|_, _| Act::refused());
    let served = run(&stage, receipt.0, receipt.1.clone()).await;
    assert_eq!((result(&served), stage.heard()), (Value::Null, [2, 2, 0]));
    // Nobody is further.
    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, _| Act::Say(Value::Null));
    assert_eq!(result(&run(&stage, receipt.0, receipt.1).await), Value::Null);
    assert_eq!(stage.heard(), [1, 0, 0]);
    // A block that nobody has yet.
    let stage = Stage::new();
    stage.heads([100, 101, 101]);
    stage.actor(PRIMARY).plays(|_, _| Act::Say(Value::Null));
    run(&stage, "eth_getBlockByNumber", json!(["0xffff", false])).await;
    assert_eq!(stage.heard(), [1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn a_second_opinion_is_waited_for_no_longer_than_one_attempt() {
    let mut stage = Stage::new();
    stage.heads([100, 101, 101]);
    stage.actor(PRIMARY).plays(|_, _| Act::after(100, Act::Say(Value::Null)));
    stage.actor(REPLICA).plays(|_, _| Act::Hang);
    stage.serve(&[PRIMARY, REPLICA]);
    let started = Instant::now();
    let served = run(&stage, "eth_getTransactionReceipt", json!(["0xab"])).await;
    assert_eq!((result(&served), started.elapsed()), (Value::Null, Duration::from_millis(600)));
    assert!(stage.feedback().iter().any(|told| matches!(told, (REPLICA, Feedback::Failed(_)))));
    // The one that has it was asked first and is slow: it is not given up at once either.
    let stage = Stage::new();
    stage.heads([101, 100, 100]);
    stage.actor(PRIMARY).plays(|_, _| Act::after(700, Act::Say(json!({}))));
    stage.actor(REPLICA).plays(|_, _| Act::after(100, Act::Say(Value::Null)));
    let served = run(&stage, "eth_getTransactionReceipt", json!(["0xab"])).await;
    assert_eq!(by(&served), "primary");
}

#[tokio::test(start_paused = true)]
async fn what_all_say_of_the_call_is_told_in_the_firsts_words() {
    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, _| Act::Refuse(-32000, "header not found"));
    stage.actor(REPLICA).plays(|_, _| Act::refused());
    stage.actor(BACKUP).plays(|_, _| Act::Refuse(429, "Your app has exceeded its compute units"));
    let served = run(&stage, "eth_call", json!([{}, "0xffff"])).await;
    assert_eq!((error(&served), by(&served)), ((-32000, "header not found".to_owned()), "primary"));
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_rest_is_asked_last_for_so_long() {
    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, nth| match nth {
        0 => Act::Fail(TransportFailure::Status { status: 429, retry_after: Some(Duration::from_secs(5)) }),
        _ => Act::Say(json!(PRIMARY)),
    });
    let (lanes, call) = (stage.lanes(), call("eth_call", json!([{}])));
    let ask = || lanes.run(&call, Method::of("eth_call"), &stage.session, deadline());
    assert_eq!(by(&ask().await), "replica");
    assert_eq!((by(&ask().await), stage.heard()), ("replica", [1, 2, 0]));
    tokio::time::advance(Duration::from_secs(5)).await;
    assert_eq!(by(&ask().await), "primary");
}

#[tokio::test(start_paused = true)]
async fn a_slow_read_is_hedged_after_nine_tenths_and_never_to_a_backup() {
    let mut stage = Stage::new();
    stage.settings.hedge = true;
    stage.actor(PRIMARY).plays(|_, nth| match nth {
        0..30 => Act::after(10, Act::Say(json!("usual"))),
        _ => Act::after(300, Act::Say(json!("slow"))),
    });
    let (lanes, call) = (stage.lanes(), call("eth_call", json!([{}])));
    let ask = || lanes.run(&call, Method::of("eth_call"), &stage.session, deadline());
    for _ in 0..30 {
        ask().await;
    }
    assert_eq!(stage.heard(), [30, 0, 0]);
    let started = Instant::now();
    assert_eq!((by(&ask().await), started.elapsed()), ("replica", Duration::from_millis(10)));
    stage.serve(&[PRIMARY, BACKUP]);
    assert_eq!((by(&ask().await), stage.heard()[BACKUP]), ("primary", 0));
}

#[tokio::test(start_paused = true)]
async fn a_failover_is_written_down_with_what_it_cost() {
    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, _| Act::Hang);
    let (lanes, call) = (stage.lanes(), call("eth_call", json!([{}])));
    for _ in 0..3 {
        lanes.run(&call, Method::of("eth_call"), &stage.session, deadline()).await;
        // A probe is answered, so that it is asked again.
        lanes.board().probed(PRIMARY, Duration::from_millis(1), Instant::now());
    }
    let [failover] = &lanes.failovers().list()[..] else { panic!() };
    assert_eq!((failover.from.as_str(), failover.to.as_str()), ("primary", "replica"));
    assert_eq!((failover.reason.label(), failover.calls, failover.longest_wait_ms), ("timeout", 3, 500));
}

fn acts() -> impl Strategy<Value = Act> {
    prop_oneof![
        Just(Act::refused()),
        Just(Act::Hang),
        Just(Act::Fail(TransportFailure::Broken("cut".to_owned()))),
        Just(Act::Refuse(-32603, "Internal error")),
        Just(Act::Refuse(-32000, "header not found")),
        (0_u64..2_000).prop_map(|ms| Act::after(ms, Act::Say(json!("0x1")))),
        (0_u64..2_000).prop_map(|ms| Act::after(ms, Act::Refuse(3, "execution reverted"))),
    ]
}

/// Plays a call against three upstreams, each of which does one thing.
fn play(acts: &[Act; 3], method: &str) -> (Served, Duration, [usize; 3]) {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let stage = Stage::new();
        for (place, act) in acts.iter().cloned().enumerate() {
            stage.actor(place).plays(move |_, _| act.clone());
        }
        let started = Instant::now();
        let served = run(&stage, method, json!([{}])).await;
        (served, started.elapsed(), stage.heard())
    })
}

proptest! {
    #[test]
    fn what_anybody_can_answer_is_answered(acts in prop::array::uniform3(acts())) {
        let (served, elapsed, heard) = play(&acts, "eth_call");
        if acts.iter().any(|act| matches!(act, Act::After(..))) {
            let answered = match &served.answer {
                RpcAnswer::Result(_) => true,
                RpcAnswer::Error(error) => error.code == 3,
            };
            prop_assert!(answered, "{:?} {:?}", acts, served);
            // Two that are slow before it, and its own time.
            prop_assert!(elapsed <= Duration::from_millis(500 + 500 + 2_000), "{:?} {:?}", acts, elapsed);
            prop_assert!(heard.iter().all(|count| *count <= 1), "{:?} {:?}", acts, heard);
        }
        prop_assert!(elapsed <= Duration::from_secs(10));
    }

    #[test]
    fn what_may_have_an_effect_reaches_one_upstream_at_most(acts in prop::array::uniform3(acts())) {
        let (_, _, heard) = play(&acts, "eth_sendTransaction");
        let reached = acts.iter().zip(heard).filter(|(act, _)| {
            !matches!(act, Act::Fail(TransportFailure::Connect(_)))
        });
        prop_assert!(reached.map(|(_, count)| count).sum::<usize>() <= 1, "{:?} {:?}", acts, heard);
    }
}
