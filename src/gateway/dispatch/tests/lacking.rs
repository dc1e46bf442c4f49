//! What upstreams lack: the end of a range of logs, the past, or the patience to be asked.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{by, call, error, result, run};
use crate::gateway::{
    Method, TransportFailure,
    dispatch::{Race, trouble::Troubles},
    stage::{Act, BACKUP, PRIMARY, REPLICA, Stage, deadline},
};

fn logs(to: u64) -> Value {
    json!([{ "fromBlock": "0x1", "toBlock": format!("{to:#x}") }])
}

#[tokio::test(start_paused = true)]
async fn logs_of_whoever_lacks_the_ranges_end_are_not_told_while_another_has_it() {
    // The primary has block 100 and is slow; the replica lacks it and says nothing of that.
    let stage = Stage::new();
    stage.heads([100, 98, 100]);
    stage.actor(PRIMARY).plays(|_, _| Act::Hang);
    stage.actor(BACKUP).plays(|_, _| Act::refused());
    stage.serve(&[PRIMARY, REPLICA, BACKUP]);
    stage.actor(REPLICA).plays(|_, _| Act::Say(json!([])));
    stage.actor(REPLICA).plays(|call, _| match &*call.method {
        "eth_blockNumber" => Act::Say(json!("0x62")),
        _ => Act::Say(json!([])),
    });
    let served = run(&stage, "eth_getLogs", logs(100)).await;
    // Nobody who has it answers: that is said, and who has it.
    let (code, message) = error(&served);
    assert_eq!((code, by(&served)), (-32000, "gateway"));
    for words in ["replica answers and has block 98", "primary has it", "backup has it", "up to block 100"] {
        assert!(message.contains(words), "{message}");
    }
    // Up to the newest block, what there is is the answer, as for all that names it.
    stage.session.note_latest(100);
    let latest = json!([{ "fromBlock": "0x1", "toBlock": "latest" }]);
    assert_eq!(by(&run(&stage, "eth_getLogs", latest).await), "replica");
    stage.actor(REPLICA).plays(|_, _| Act::Say(json!([])));
    // It is asked last, and where it answers first, whoever has the block is asked after it.
    stage.actor(BACKUP).plays(|_, _| Act::after(100, Act::Say(json!(["log"]))));
    let (lanes, call) = (stage.lanes(), call("eth_getLogs", logs(100)));
    let order: Vec<usize> =
        lanes.candidates(&call, &stage.session).iter().map(|candidate| candidate.place).collect();
    assert_eq!(order, [PRIMARY, BACKUP, REPLICA]);
    let mut reversed = lanes.candidates(&call, &stage.session);
    reversed.reverse();
    let race = Race::new(&lanes, &call, Method::of("eth_getLogs"), &stage.session, deadline());
    let won = race.run(&reversed, &mut Troubles::default()).await.unwrap();
    assert_eq!(won.place, BACKUP);
    // A range that ends beyond all heads is what it is.
    let stage = Stage::new();
    stage.actor(PRIMARY).plays(|_, _| Act::Say(json!([])));
    assert_eq!(by(&run(&stage, "eth_getLogs", logs(5_000)).await), "primary");
    assert_eq!(stage.heard(), [1, 0, 0]);
}

#[tokio::test(start_paused = true)]
async fn logs_are_waited_for_while_another_gets_their_last_block() {
    let stage = Stage::new();
    stage.heads([100, 98, 98]);
    stage.actor(PRIMARY).plays(|_, _| Act::refused());
    stage.actor(BACKUP).plays(|_, _| Act::refused());
    // What it said before it had the block does not count.
    let has_it = Arc::new(AtomicUsize::new(0));
    let asked = Arc::clone(&has_it);
    stage.actor(REPLICA).plays(move |call, _| match &*call.method {
        "eth_blockNumber" if asked.fetch_add(1, Relaxed) >= 2 => Act::Say(json!("0x64")),
        "eth_blockNumber" => Act::Say(json!("0x62")),
        _ if asked.load(Relaxed) > 2 => Act::Say(json!(["log"])),
        _ => Act::Say(json!([])),
    });
    let started = Instant::now();
    let served = run(&stage, "eth_getLogs", logs(100)).await;
    assert_eq!((by(&served), result(&served)), ("replica", json!(["log"])));
    assert_eq!((has_it.load(Relaxed), started.elapsed()), (3, Duration::from_millis(300)));
}

#[tokio::test(start_paused = true)]
async fn who_has_pruned_a_block_is_not_asked_for_it_or_older_ones_again() {
    let stage = Stage::new();
    stage.heads([10_000; 3]);
    stage.actor(PRIMARY).plays(|call, _| match &*call.method {
        "eth_getBalance" => Act::Refuse(-32000, "missing trie node 5c0e (path ) state 0x is not available"),
        _ => Act::Say(json!(PRIMARY)),
    });
    stage.actor(REPLICA).plays(|_, _| Act::Refuse(-32000, "historical state 5c0e is not available"));
    let lanes = stage.lanes();
    let ask = async |method: &str, params: Value| {
        let call = call(method, params);
        by(&lanes.run(&call, Method::of(method), &stage.session, deadline()).await).to_owned()
    };
    assert_eq!(ask("eth_getBalance", json!(["0xa", "0x1388"])).await, "backup");
    assert_eq!(stage.heard(), [1, 1, 1]);
    for older in ["0x1388", "0x1387", "0x0", "earliest"] {
        assert_eq!(ask("eth_getBalance", json!(["0xa", older])).await, "backup", "{older}");
    }
    assert_eq!(stage.heard(), [1, 1, 5], "an archive is asked at once");
    // Blocks are another matter than state; so are newer ones.
    assert_eq!(ask("eth_getBlockByNumber", json!(["0x1387", false])).await, "primary");
    ask("eth_getBalance", json!(["0xa", "0x1389"])).await;
    assert_eq!(stage.heard(), [3, 2, 6]);
    tokio::time::advance(Duration::from_secs(601)).await;
    ask("eth_getBalance", json!(["0xa", "0x1388"])).await;
    assert_eq!(stage.heard(), [4, 3, 7], "it is believed for a while");
}

#[tokio::test(start_paused = true)]
async fn a_limit_without_a_word_for_how_long_is_waited_for_a_moment() {
    let status = Act::Fail(TransportFailure::Status { status: 429, retry_after: None });
    for act in [Act::Refuse(-32005, "too many requests"), status] {
        let stage = Stage::new();
        stage.serve(&[BACKUP]);
        stage.actor(BACKUP).plays(move |_, nth| if nth < 2 { act.clone() } else { Act::Say(json!(BACKUP)) });
        let started = Instant::now();
        let served = run(&stage, "eth_call", json!([{}])).await;
        assert_eq!((by(&served), started.elapsed()), ("backup", Duration::from_millis(250 + 500)));
    }
    // A day's limit is not waited for until the day is over.
    let stage = Stage::new();
    stage.serve(&[BACKUP]);
    stage.actor(BACKUP).plays(|_, _| Act::Refuse(-32005, "daily request count exceeded"));
    let started = Instant::now();
    assert_eq!(error(&run(&stage, "eth_call", json!([{}])).await).0, -32005);
    assert_eq!((started.elapsed(), stage.heard()[BACKUP]), (Duration::from_millis(1_750), 4));
}
