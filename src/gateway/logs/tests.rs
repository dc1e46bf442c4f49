use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use alloy_primitives::B256;
use proptest::prelude::*;

use super::*;
use crate::gateway::{BlockNeed, Bound, Head, NodeError, Snapshot, block_need};

fn json(text: &str) -> RawJson {
    RawJson::parse(text.to_owned().into()).unwrap()
}

fn error(message: &str) -> RpcAnswer {
    let raw = json(&serde_json::json!({ "code": -32005, "message": message }).to_string());
    RpcAnswer::Error(NodeError { code: -32005, message: message.into(), raw })
}

fn query(from: u64, to: u64) -> LogsQuery {
    let params = format!(
        r#"[{{"fromBlock":"{from:#x}","address":"0xAb","toBlock":"{to:#x}","topics":[null,["0x1"]]}}]"#
    );
    LogsQuery::read(&RpcCall::new("eth_getLogs", params), &Snapshot::default()).unwrap()
}

/// A node with one log in each block, which is the block's number.
struct Node {
    most_blocks: u64,
    most_logs: u64,
    calls: Cell<usize>,
    widest: Cell<u64>,
    at_once: Cell<usize>,
    most_at_once: Cell<usize>,
    fails_at: Option<u64>,
}

impl Node {
    fn new(most_blocks: u64, most_logs: u64) -> Self {
        Self {
            most_blocks,
            most_logs,
            calls: Cell::new(0),
            widest: Cell::new(0),
            at_once: Cell::new(0),
            most_at_once: Cell::new(0),
            fails_at: None,
        }
    }

    async fn answer(&self, call: RpcCall) -> Result<RpcAnswer, &'static str> {
        let BlockNeed::Range { from: Bound::Number(from), to: Bound::Number(to) } =
            block_need::of(&call.method, &call.params)
        else {
            panic!("{call:?}")
        };
        assert!(String::from_utf8_lossy(&call.params).contains(r#""address":"0xAb""#), "{call:?}");
        self.calls.set(self.calls.get() + 1);
        self.at_once.set(self.at_once.get() + 1);
        self.most_at_once.set(self.most_at_once.get().max(self.at_once.get()));
        // Later parts answer sooner.
        tokio::time::sleep(Duration::from_millis(1000 - from % 1000)).await;
        self.at_once.set(self.at_once.get() - 1);
        if self.fails_at.is_some_and(|block| (from..=to).contains(&block)) {
            return Err("broke");
        }
        let blocks = to - from + 1;
        if blocks > self.most_blocks {
            return Ok(error(&format!("block range is too wide (maximum {})", self.most_blocks)));
        }
        if blocks > self.most_logs {
            return Ok(error(&format!("query returned more than {} results", self.most_logs)));
        }
        self.widest.set(self.widest.get().max(blocks));
        let logs: Vec<String> = (from..=to).map(|block| block.to_string()).collect();
        Ok(RpcAnswer::Result(json(&format!("[ {} ]", logs.join(" , ")))))
    }

    async fn fetch(
        &self,
        from: u64,
        to: u64,
        limit: &LogsLimit,
        bounds: LogsBounds,
    ) -> Result<RpcAnswer, LogsFailure<&'static str>> {
        fetch(&query(from, to), limit, bounds, |call| self.answer(call)).await
    }
}

#[track_caller]
fn logs(answer: Result<RpcAnswer, LogsFailure<&'static str>>) -> Vec<u64> {
    match answer {
        Ok(RpcAnswer::Result(logs)) => logs.read().unwrap(),
        other => panic!("{other:?}"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_known_limit_is_kept_and_the_parts_are_put_in_order() {
    let (node, limit) = (Node::new(100, u64::MAX), LogsLimit::new(Some(100)));
    let all = logs(node.fetch(5, 1004, &limit, LogsBounds::default()).await);
    assert_eq!(all, (5..=1004).collect::<Vec<_>>());
    assert_eq!((node.calls.get(), node.widest.get(), node.most_at_once.get()), (10, 100, 4));
}

#[tokio::test(start_paused = true)]
async fn an_unknown_limit_is_learned_once() {
    let (node, limit) = (Node::new(50, u64::MAX), LogsLimit::new(None));
    assert_eq!(logs(node.fetch(0, 199, &limit, LogsBounds::default()).await).len(), 200);
    assert_eq!((node.calls.get(), limit.blocks()), (5, Some(50)));
    assert_eq!(logs(node.fetch(0, 99, &limit, LogsBounds::default()).await).len(), 100);
    assert_eq!(node.calls.get(), 7);
}

#[tokio::test(start_paused = true)]
async fn too_many_logs_are_halved_and_say_nothing_of_other_queries() {
    let (node, limit) = (Node::new(u64::MAX, 30), LogsLimit::new(None));
    assert_eq!(logs(node.fetch(0, 99, &limit, LogsBounds::default()).await), (0..100).collect::<Vec<_>>());
    assert_eq!(limit.blocks(), None);
}

#[tokio::test(start_paused = true)]
async fn a_query_within_the_limit_goes_out_as_it_came() {
    let answer = json("[ 1 ]");
    let sent = RefCell::new(Vec::new());
    let (query, limit) = (query(1, 9), LogsLimit::new(Some(9)));
    let fetched = fetch(&query, &limit, LogsBounds::default(), |call| {
        sent.borrow_mut().push(call);
        let answer = answer.clone();
        async move { Ok::<_, ()>(RpcAnswer::Result(answer)) }
    });
    assert_eq!(fetched.await, Ok(RpcAnswer::Result(answer.clone())));
    assert_eq!(*sent.borrow(), [query.call(query.whole())]);
    assert!(sent.borrow()[0].params.starts_with(br#"[{"fromBlock":"0x1","address""#));
}

#[tokio::test(start_paused = true)]
async fn bounds_end_it() {
    let bounds = LogsBounds { parts: 8, at_once: 2, bytes: 1000 };
    let limit = LogsLimit::new(Some(10));
    let node = Node::new(10, u64::MAX);
    let failure = node.fetch(0, 80, &limit, bounds).await.unwrap_err();
    assert_eq!(failure, LogsFailure::TooManyParts { blocks: 81, each: 10, needed: 9, most: 8 });
    assert_eq!(node.calls.get(), 0);
    // Learned on the way.
    let node = Node::new(10, u64::MAX);
    let unknown = LogsLimit::new(None);
    let failure = node.fetch(0, 80, &unknown, bounds).await.unwrap_err();
    assert_eq!(failure, LogsFailure::TooManyParts { blocks: 81, each: 10, needed: 9, most: 8 });
    assert_eq!(unknown.blocks(), None, "what did not help was not learned");
    // More logs than parts can hold: the node's words.
    let node = Node::new(u64::MAX, 1);
    let answer = node.fetch(0, 80, &LogsLimit::new(None), bounds).await;
    assert!(
        matches!(&answer, Ok(RpcAnswer::Error(error)) if error.message.contains("more than 1 results")),
        "{answer:?}"
    );
    let node = Node::new(1000, u64::MAX);
    let answer = node.fetch(0, 999, &LogsLimit::new(Some(500)), bounds).await;
    assert_eq!(answer, Err(LogsFailure::TooLarge { limit: 1000 }));
}

#[tokio::test(start_paused = true)]
async fn one_part_that_fails_fails_the_whole() {
    let node = Node { fails_at: Some(55), ..Node::new(10, u64::MAX) };
    let answer = node.fetch(0, 99, &LogsLimit::new(Some(10)), LogsBounds::default()).await;
    assert_eq!(answer, Err(LogsFailure::Call("broke")));
    let (query, limit) = (query(0, 99), LogsLimit::new(Some(10)));
    let refusing =
        fetch(&query, &limit, LogsBounds::default(), |_| async { Ok::<_, ()>(error("missing trie node")) });
    assert_eq!(refusing.await, Ok(error("missing trie node")));
    let odd = fetch(&query, &limit, LogsBounds::default(), |_| async {
        Ok::<_, ()>(RpcAnswer::Result(json("{}")))
    });
    assert_eq!(odd.await, Err(LogsFailure::NoList));
}

#[test]
fn lists_are_joined_as_they_are() {
    let merged = |lists: &[&str]| {
        let lists: Vec<RawJson> = lists.iter().map(|list| json(list)).collect();
        merge(&lists).map(|list| String::from_utf8(list.as_bytes().to_vec()).unwrap())
    };
    for (lists, want) in [
        (&[][..], Some("[]")),
        (&["[]", "[ ]", "null"], Some("[]")),
        (&[r#"[{"a": "]"} ]"#, "[]", " [1,2]"], Some(r#"[{"a": "]"},1,2]"#)),
        (&["[]", "{}"], None),
        (&["7"], None),
    ] {
        assert_eq!(merged(lists).as_deref(), want, "{lists:?}");
    }
}

#[test]
fn what_can_be_taken_apart() {
    let head = Head { number: 100, hash: B256::ZERO, parent_hash: B256::ZERO, timestamp: 0 };
    let now = Snapshot { tip: Some(head), finalized: Some(60), ..Snapshot::default() };
    let many: String = (0..20).map(|n| format!(",\"x{n}\":1")).collect();
    for (filter, want) in [
        (r#"{"fromBlock":"0x1","toBlock":"0x2"}"#, Some((1, 2))),
        (r#"{"fromBlock":"earliest","toBlock":"latest"}"#, Some((0, 100))),
        (r#"{"fromBlock":"0x1","toBlock":"finalized"}"#, Some((1, 60))),
        (r#"{"fromBlock":"0x1"}"#, Some((1, 100))),
        ("{}", Some((100, 100))),
        (r#"{"fromBlock":"0x1","toBlock":"pending"}"#, None),
        (r#"{"fromBlock":"0x1","toBlock":"safe"}"#, None),
        (r#"{"fromBlock":"0x65"}"#, None),
        (r#"{"blockHash":"0x00000000000000000000000000000000000000000000000000000000000000aa"}"#, None),
        (r#"{"fromBlock":1}"#, None),
        (&format!(r#"{{"fromBlock":"0x1"{many}}}"#), None),
    ] {
        let call = RpcCall::new("eth_getLogs", format!("[{filter}]"));
        let read = LogsQuery::read(&call, &now).map(|query| (query.whole().from, query.whole().to));
        assert_eq!(read, want, "{filter}");
    }
    assert!(LogsQuery::read(&RpcCall::new("eth_newFilter", r#"[{"fromBlock":"0x1"}]"#), &now).is_none());
}

proptest! {
    #[test]
    fn parts_follow_each_other_and_none_is_too_wide(
        from in prop_oneof![0..1000_u64, (u64::MAX - 2000)..=u64::MAX],
        blocks in 0..1000_u64,
        each in prop_oneof![0..300_u64, Just(u64::MAX)],
        most in 0..70_usize,
    ) {
        let whole = Part { from, to: from.saturating_add(blocks) };
        match plan(whole, each, most) {
            Some(parts) => {
                prop_assert!(parts.len() <= most);
                prop_assert_eq!((parts[0].from, parts[parts.len() - 1].to), (whole.from, whole.to));
                prop_assert!(parts.windows(2).all(|pair| pair[0].to + 1 == pair[1].from));
                prop_assert!(parts.iter().all(|part| part.from <= part.to && part.blocks() <= each.max(1)));
            }
            None => prop_assert!(whole.blocks().div_ceil(each.max(1)) > most as u64),
        }
    }

    #[test]
    fn whatever_a_node_refuses_all_logs_come_once_and_in_order(
        from in 0..500_u64,
        blocks in 1..300_u64,
        most_blocks in 20..400_u64,
        most_logs in 20..400_u64,
        configured in prop::option::of(20..400_u64),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let node = Node::new(most_blocks, most_logs);
        let limit = LogsLimit::new(configured);
        let fetched = node.fetch(from, from + blocks - 1, &limit, LogsBounds::default());
        prop_assert_eq!(logs(runtime.block_on(fetched)), (from..from + blocks).collect::<Vec<_>>());
        prop_assert!(node.calls.get() <= 2 * 64 + 20);
    }
}
