//! The hub between scripted upstreams, whose websockets are real ones over a pipe.

mod branches;

use std::collections::HashSet;

use serde_json::{Value, json};
use tokio::time::{sleep, timeout};

use super::*;
use crate::{
    consensus::WallClock,
    gateway::{
        Board, ClientLimits, Head, Standing, UpstreamId,
        subscriptions::{
            Bodies, Feed, Line, Notice, SubscriptionId, Subscriptions,
            filter::LogFilter,
            start_subscriptions,
            testing::{GivesBodies, NOW_S, ScriptedUpstreams, World, hash, header, logger},
        },
    },
    tasks::{TaskGroup, Tasks},
};

struct Stage {
    world: World,
    upstreams: ScriptedUpstreams,
    board: Board,
    observed: mpsc::Receiver<(usize, Feedback)>,
    hub: Subscriptions,
    group: TaskGroup,
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.group.stop();
    }
}

impl Stage {
    /// The board shows a tip, and that the first upstream serves.
    fn tip(&self, number: u64) {
        let (hash, parent_hash) = (hash(number, 'a'), hash(number - 1, 'a'));
        let tip = Head { number, hash, parent_hash, timestamp: NOW_S };
        self.board.publish(Snapshot { tip: Some(tip), order: vec![0], ..(*self.board.snapshot()).clone() });
    }
}

/// So many upstreams with websockets, the last of them a backup if there are three.
fn stage(count: usize, limits: ClientLimits) -> Stage {
    let (world, upstreams) = (World::default(), ScriptedUpstreams::default());
    let tier = |place| if place == 2 { Tier::Backup } else { Tier::Primary };
    let id = |place: usize| UpstreamId::parse(&format!("u{place}")).unwrap();
    let standings = (0..count.max(1)).map(|place| Standing {
        id: id(place),
        tier: tier(place),
        state: UpstreamState::Unknown,
        reason: String::new(),
        since: 0,
        head: None,
        finalized: None,
        lag: None,
        earliest: None,
        version: None,
    });
    let (board, observed) = Board::new(standings.collect());
    let feeds = (0..count).map(|place| Feed {
        place,
        id: id(place),
        tier: tier(place),
        url: format!("ws://u{place}/key").parse().unwrap(),
        headers: http::HeaderMap::new(),
    });
    let (tasks, _) = Tasks::new(|news| panic!("{news:?}"));
    let group = tasks.group();
    let (clock, _) = WallClock::manual(i64::try_from(NOW_S).unwrap() * 1000);
    let parts = SubscriptionParts {
        feeds: feeds.collect(),
        block_time: Duration::from_secs(12),
        max_future: Duration::from_secs(15),
        limits,
        board: board.clone(),
        backfill: Arc::new(world.clone()),
        dial: Arc::new(upstreams.clone()),
        clock,
    };
    let hub = start_subscriptions(parts, &group);
    Stage { world, upstreams, board, observed, hub, group }
}

async fn next(line: &mut Line) -> Notice {
    timeout(Duration::from_secs(300), line.notices.recv()).await.expect("a notice").expect("the hub lives")
}

async fn heads(line: &mut Line, count: usize) -> Vec<String> {
    let mut heads = Vec::new();
    for _ in 0..count {
        let head: Value = next(line).await.result.read().unwrap();
        heads.push(World::name_of(&head["hash"]));
    }
    heads
}

async fn logs(line: &mut Line, count: usize) -> Vec<String> {
    let mut logs = Vec::new();
    for _ in 0..count {
        let log: Value = next(line).await.result.read().unwrap();
        let sign = if log["removed"] == json!(true) { "-" } else { "" };
        logs.push(format!("{sign}{}", World::name_of(&log["blockHash"])));
    }
    logs
}

fn numbers(range: std::ops::RangeInclusive<u64>) -> Vec<String> {
    range.map(|number| format!("{number}a")).collect()
}

#[tokio::test(start_paused = true)]
async fn killing_an_upstream_loses_no_head_and_no_log_and_doubles_none() {
    let stage = stage(2, ClientLimits::default());
    let (mut by_head, mut by_log) = (stage.hub.join().await.unwrap(), stage.hub.join().await.unwrap());
    by_head.subscribe(Topic::NewHeads).await.unwrap();
    by_log.subscribe(Topic::Logs(Arc::default())).await.unwrap();
    stage.upstreams.subscribed("u0").await;
    stage.upstreams.subscribed("u1").await;
    stage.world.grow_to(60, 'a');
    for number in 50..=52 {
        stage.upstreams.show("u0", header(number, 'a'));
        stage.upstreams.show("u1", header(number, 'a'));
    }
    assert_eq!(heads(&mut by_head, 3).await, numbers(50..=52));
    stage.upstreams.kill("u0");
    // The other one was silent meanwhile, and is some blocks further.
    stage.upstreams.show("u1", header(56, 'a'));
    assert_eq!(heads(&mut by_head, 4).await, numbers(53..=56));
    stage.upstreams.revive("u0");
    stage.upstreams.subscribed("u0").await;
    for number in 54..=58 {
        stage.upstreams.show("u0", header(number, 'a'));
    }
    assert_eq!(heads(&mut by_head, 2).await, numbers(57..=58));
    assert_eq!(logs(&mut by_log, 9).await, numbers(50..=58));
    sleep(Duration::from_secs(5)).await;
    assert!(by_head.notices.try_recv().is_none() && by_log.notices.try_recv().is_none(), "nothing twice");
    assert_eq!(stage.upstreams.subscriptions("u1"), 1, "one subscription, however many clients");
}

/// Websockets go on while calls fail, as behind a proxy that limits calls: what nobody could be asked for is not what nobody has.
#[tokio::test(start_paused = true)]
async fn a_gap_waits_until_somebody_can_be_asked() {
    let stage = stage(1, ClientLimits::default());
    let (mut by_head, mut by_log) = (stage.hub.join().await.unwrap(), stage.hub.join().await.unwrap());
    by_head.subscribe(Topic::NewHeads).await.unwrap();
    by_log.subscribe(Topic::Logs(Arc::default())).await.unwrap();
    stage.upstreams.subscribed("u0").await;
    stage.world.grow_to(60, 'a');
    stage.upstreams.show("u0", header(50, 'a'));
    assert_eq!(heads(&mut by_head, 1).await, ["50a"]);
    stage.world.fail_next("eth_getBlockByHash", vec![Err("no upstream answers".to_owned()); 12]);
    stage.upstreams.show("u0", header(52, 'a'));
    assert_eq!(heads(&mut by_head, 2).await, numbers(51..=52));
    assert_eq!(logs(&mut by_log, 3).await, numbers(50..=52));
    // Of what somebody says that there is none, the chain goes on without it.
    stage.world.fail_next("eth_getBlockByHash", vec![Ok(json!(null)); 20]);
    let begun = Instant::now();
    stage.upstreams.show("u0", header(54, 'a'));
    assert_eq!(heads(&mut by_head, 1).await, ["54a"]);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
}

#[tokio::test(start_paused = true)]
async fn logs_are_fetched_only_where_the_bloom_says_so_and_until_all_are_there() {
    let stage = stage(1, ClientLimits::default());
    let mut line = stage.hub.join().await.unwrap();
    let filter = |branch| {
        let text = json!({"address": logger(branch)}).to_string();
        Topic::Logs(Arc::new(LogFilter::read(&text).unwrap()))
    };
    let id = line.subscribe(filter('b')).await.unwrap();
    let mut heads_line = stage.hub.join().await.unwrap();
    heads_line.subscribe(Topic::NewHeads).await.unwrap();
    stage.upstreams.subscribed("u0").await;
    stage.world.grow_to(101, 'a');
    stage.upstreams.show("u0", header(99, 'a'));
    stage.upstreams.show("u0", header(100, 'a'));
    heads(&mut heads_line, 2).await;
    assert_eq!(stage.world.calls("eth_getLogs"), 0, "no bloom has the address");
    line.subscribe(filter('a')).await.unwrap();
    // Upstreams that do not have the block yet: one says so, one has no logs.
    stage.world.fail_next("eth_getLogs", vec![Err("unknown block".to_owned()), Ok(json!([]))]);
    stage.upstreams.show("u0", header(101, 'a'));
    assert_eq!(logs(&mut line, 1).await, ["101a"]);
    assert_eq!(stage.world.calls("eth_getLogs"), 3);
    assert!(line.unsubscribe(id).await.unwrap());
    assert!(!line.unsubscribe(id).await.unwrap());
    assert!(!heads_line.unsubscribe(SubscriptionId::random()).await.unwrap());
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_says_there_are_no_logs_is_not_asked_again_but_another() {
    let stage = stage(1, ClientLimits::default());
    let mut line = stage.hub.join().await.unwrap();
    line.subscribe(Topic::Logs(Arc::default())).await.unwrap();
    stage.upstreams.subscribed("u0").await;
    stage.world.grow_to(51, 'a');
    // It shows the head a moment before it has its logs, however often it is asked.
    stage.world.upstreams(3, &["w0", "w1"]);
    stage.upstreams.show("u0", header(50, 'a'));
    assert_eq!(logs(&mut line, 1).await, ["50a"]);
    assert_eq!(stage.world.calls("eth_getLogs"), 3);
}

#[tokio::test(start_paused = true)]
async fn without_a_websocket_the_newest_block_is_looked_at() {
    let stage = stage(0, ClientLimits::default());
    stage.world.grow_to(40, 'a');
    let mut line = stage.hub.join().await.unwrap();
    sleep(Duration::from_secs(60)).await;
    assert_eq!(stage.world.calls("eth_getBlockByNumber"), 0, "nobody wants to know");
    line.subscribe(Topic::NewHeads).await.unwrap();
    while stage.world.calls("eth_getBlockByNumber") == 0 {
        sleep(Duration::from_millis(10)).await;
    }
    sleep(Duration::from_secs(1)).await;
    stage.world.grow_to(41, 'a');
    assert_eq!(heads(&mut line, 1).await, ["41a"], "the block that was there is no news");
    stage.world.grow_to(44, 'a');
    assert_eq!(heads(&mut line, 3).await, numbers(42..=44));
    let refused = line.subscribe(Topic::Pending(Bodies::Hashes)).await.unwrap_err();
    assert!(refused.message.contains("ws_url"), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn a_backup_is_listened_to_only_while_nobody_else_can_be() {
    let stage = stage(3, ClientLimits::default());
    let line = stage.hub.join().await.unwrap();
    line.subscribe(Topic::NewHeads).await.unwrap();
    stage.upstreams.subscribed("u0").await;
    stage.upstreams.subscribed("u1").await;
    sleep(Duration::from_secs(5)).await;
    stage.upstreams.kill("u0");
    stage.upstreams.kill("u1");
    stage.upstreams.subscribed("u2").await;
    stage.upstreams.revive("u1");
    stage.upstreams.subscribed("u1").await;
    let given_up = async {
        while stage.upstreams.is_subscribed("u2") {
            sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(Duration::from_secs(300), given_up).await.expect("it is paid for, and not needed any more");
}

#[tokio::test(start_paused = true)]
async fn a_silent_upstream_is_noticed_by_the_board_and_opened_again() {
    let stage = stage(1, ClientLimits::default());
    let mut line = stage.hub.join().await.unwrap();
    line.subscribe(Topic::NewHeads).await.unwrap();
    stage.upstreams.subscribed("u0").await;
    stage.world.grow_to(20, 'a');
    stage.upstreams.show("u0", header(20, 'a'));
    assert_eq!(heads(&mut line, 1).await, ["20a"]);
    stage.world.grow_to(22, 'a');
    stage.tip(22);
    let begun = Instant::now();
    assert_eq!(heads(&mut line, 2).await, ["21a", "22a"]);
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    while stage.upstreams.subscriptions("u0") < 2 {
        sleep(Duration::from_secs(1)).await;
    }
    assert!(begun.elapsed() >= SILENCE - Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn heads_of_who_does_not_serve_do_not_count_and_all_go_to_the_board() {
    let mut stage = stage(2, ClientLimits::default());
    let mut line = stage.hub.join().await.unwrap();
    line.subscribe(Topic::NewHeads).await.unwrap();
    stage.upstreams.subscribed("u0").await;
    stage.upstreams.subscribed("u1").await;
    stage.board.publish(Snapshot { order: vec![1], ..(*stage.board.snapshot()).clone() });
    stage.world.grow_to(30, 'a');
    stage.upstreams.show("u0", header(7, 'a'));
    let (place, observed) = stage.observed.recv().await.unwrap();
    assert!(matches!((place, observed), (0, Feedback::Head(head)) if head.number == 7));
    stage.upstreams.show("u1", header(30, 'a'));
    assert_eq!(heads(&mut line, 1).await, ["30a"]);
}

#[tokio::test(start_paused = true)]
async fn one_upstream_leads_nobody_far_beyond_the_tip() {
    let stage = stage(1, ClientLimits::default());
    let mut line = stage.hub.join().await.unwrap();
    line.subscribe(Topic::NewHeads).await.unwrap();
    stage.upstreams.subscribed("u0").await;
    stage.world.grow_to(61, 'a');
    stage.tip(30);
    for number in 30..=60 {
        stage.upstreams.show("u0", header(number, 'a'));
    }
    assert_eq!(heads(&mut line, 17).await, numbers(30..=46));
    sleep(Duration::from_secs(5)).await;
    assert!(line.notices.try_recv().is_none());
    // It was right, as the board knows by now: nothing is left out.
    stage.tip(50);
    stage.upstreams.show("u0", header(61, 'a'));
    assert_eq!(heads(&mut line, 15).await, numbers(47..=61));
}

#[tokio::test(start_paused = true)]
async fn a_frozen_websocket_whose_upstream_answers_pings_costs_no_head() {
    let stage = stage(1, ClientLimits::default());
    let (mut by_head, mut by_log) = (stage.hub.join().await.unwrap(), stage.hub.join().await.unwrap());
    by_head.subscribe(Topic::NewHeads).await.unwrap();
    by_log.subscribe(Topic::Logs(Arc::default())).await.unwrap();
    stage.upstreams.subscribed("u0").await;
    let begun = Instant::now();
    // From the first block on. What is there when it is looked at first is no news.
    stage.world.grow_to(20, 'a');
    stage.tip(20);
    sleep(Duration::from_secs(4)).await;
    for number in [21, 22, 25, 26] {
        stage.world.grow_to(number, 'a');
        stage.tip(number);
        sleep(Duration::from_secs(12)).await;
    }
    assert_eq!(
        stage.upstreams.subscriptions("u0"),
        1,
        "pings are answered, and it is silent for {:?}",
        begun.elapsed()
    );
    let told = |line: &mut Line| std::iter::from_fn(|| line.notices.try_recv()).count();
    assert_eq!((told(&mut by_head), told(&mut by_log)), (6, 6));
    // It wakes up where it fell asleep, and is at the tip a moment later.
    for number in [20, 21, 26, 27] {
        stage.upstreams.show("u0", header(number, 'a'));
    }
    assert_eq!(heads(&mut by_head, 1).await, ["27a"]);
}

#[tokio::test(start_paused = true)]
async fn pending_transactions_come_once_and_only_while_somebody_wants_them() {
    let stage = stage(2, ClientLimits::default());
    stage.upstreams.subscribed("u0").await;
    stage.upstreams.subscribed("u1").await;
    let mut line = stage.hub.join().await.unwrap();
    let id = line.subscribe(Topic::Pending(Bodies::Hashes)).await.unwrap();
    stage.upstreams.wants_pending("u0", true).await;
    stage.upstreams.wants_pending("u1", true).await;
    for upstream in ["u0", "u1"] {
        for number in [1, 2] {
            stage.upstreams.show_pending(upstream, json!(hash(number, 'a')));
        }
    }
    let told =
        [next(&mut line).await, next(&mut line).await].map(|notice| notice.result.read::<Value>().unwrap());
    let want = HashSet::from([json!(hash(1, 'a')), json!(hash(2, 'a'))]);
    assert_eq!(told.into_iter().collect::<HashSet<_>>(), want);
    line.unsubscribe(id).await.unwrap();
    stage.upstreams.wants_pending("u0", false).await;
    assert!(line.notices.try_recv().is_none());
}

/// It refuses the flag, or does not know it and tells hashes all the same.
#[tokio::test(start_paused = true)]
async fn whole_transactions_are_fetched_where_an_upstream_gives_their_hashes_alone() {
    for bodies in [GivesBodies::Refuses, GivesBodies::Gives] {
        let stage = stage(1, ClientLimits::default());
        stage.world.grow_to(50, 'a');
        stage.upstreams.gives_bodies("u0", bodies);
        stage.upstreams.subscribed("u0").await;
        let (mut whole, mut hashes) = (stage.hub.join().await.unwrap(), stage.hub.join().await.unwrap());
        whole.subscribe(Topic::Pending(Bodies::Full)).await.unwrap();
        hashes.subscribe(Topic::Pending(Bodies::Hashes)).await.unwrap();
        stage.upstreams.wants_pending("u0", true).await;
        // Whoever is asked first does not know the second yet, and nobody ever knows the third.
        let nobody = || Ok(json!(null));
        let known = |number| Ok(json!({"hash": hash(number, 'a')}));
        let answers = vec![known(1), nobody(), known(2), nobody(), nobody()];
        stage.world.fail_next("eth_getTransactionByHash", answers);
        for number in [1, 1, 2, 3, 4] {
            stage.upstreams.show_pending("u0", json!(hash(number, 'a')));
            sleep(Duration::from_secs(2)).await;
        }
        for number in [1, 2, 4] {
            let body: Value = next(&mut whole).await.result.read().unwrap();
            assert_eq!(body["hash"], json!(hash(number, 'a')), "{bodies:?}");
        }
        for number in 1..=4 {
            assert_eq!(next(&mut hashes).await.result.read::<Value>().unwrap(), json!(hash(number, 'a')));
        }
        assert!(whole.notices.try_recv().is_none() && hashes.notices.try_recv().is_none());
        assert_eq!(stage.world.calls("eth_getTransactionByHash"), 6);
        // Once an upstream tells the whole of them, nothing is fetched.
        stage.upstreams.show_pending("u0", json!({"hash": hash(5, 'a')}));
        stage.upstreams.show_pending("u0", json!(hash(6, 'a')));
        assert_eq!(next(&mut whole).await.result.read::<Value>().unwrap(), json!({"hash": hash(5, 'a')}));
        sleep(Duration::from_secs(5)).await;
        assert_eq!(stage.world.calls("eth_getTransactionByHash"), 6);
    }
}

#[tokio::test(start_paused = true)]
async fn one_block_of_many_logs_cuts_nobody() {
    let stage = stage(1, ClientLimits { max_waiting: 2, ..ClientLimits::default() });
    stage.world.logs_in_each_block(500);
    let (mut prompt, slow) = (stage.hub.join().await.unwrap(), stage.hub.join().await.unwrap());
    prompt.subscribe(Topic::Logs(Arc::default())).await.unwrap();
    slow.subscribe(Topic::Logs(Arc::default())).await.unwrap();
    stage.upstreams.subscribed("u0").await;
    stage.world.grow_to(20, 'a');
    for number in 10..=13 {
        stage.upstreams.show("u0", header(number, 'a'));
        assert_eq!(logs(&mut prompt, 500).await, vec![format!("{number}a"); 500]);
    }
    assert_eq!(prompt.cut.given(), None);
    assert!(slow.cut.given().is_some(), "three blocks wait for it, and two may");
}

#[tokio::test(start_paused = true)]
async fn who_does_not_read_is_cut_and_the_others_go_on() {
    let stage = stage(1, ClientLimits { max_waiting: 4, max_subscriptions: 2, ..ClientLimits::default() });
    let (slow, mut fast) = (stage.hub.join().await.unwrap(), stage.hub.join().await.unwrap());
    slow.subscribe(Topic::NewHeads).await.unwrap();
    fast.subscribe(Topic::NewHeads).await.unwrap();
    stage.upstreams.subscribed("u0").await;
    for number in 10..=20 {
        stage.upstreams.show("u0", header(number, 'a'));
        assert_eq!(heads(&mut fast, 1).await, [format!("{number}a")]);
    }
    let reason = timeout(Duration::from_secs(300), slow.cut.reason()).await.expect("it is cut");
    assert!(reason.contains("does not read"), "{reason}");
    assert!(slow.subscribe(Topic::NewHeads).await.is_err());
    fast.subscribe(Topic::NewHeads).await.unwrap();
    let refused = fast.subscribe(Topic::NewHeads).await.unwrap_err();
    assert!(refused.message.contains("2 subscriptions"), "{refused}");
}
