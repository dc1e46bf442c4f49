use super::*;
use crate::gateway::{Head, Standing, Tier, UpstreamState};

const MIB: usize = 1 << 20;

fn hash(n: u64) -> B256 {
    B256::from(alloy_primitives::U256::from(n))
}

/// A chain whose blocks have their numbers as hashes, up to a tip, final up to a height.
fn chain(tip: u64, finalized: u64) -> Snapshot {
    let head = Head { number: tip, hash: hash(tip), parent_hash: hash(tip - 1), timestamp: 0 };
    let standing = Standing {
        id: me(),
        tier: Tier::Primary,
        state: UpstreamState::Healthy,
        reason: String::new(),
        since: 0,
        head: Some(head),
        finalized: Some(finalized),
        lag: None,
        earliest: None,
        version: None,
    };
    Snapshot { upstreams: vec![standing], tip: Some(head), finalized: Some(finalized), ..Snapshot::default() }
}

/// Who answers.
fn me() -> UpstreamId {
    UpstreamId::parse("me").unwrap()
}

fn call(method: &str, params: &str) -> RpcCall {
    RpcCall::new(method, params.as_bytes().to_vec())
}

fn json(text: &str) -> RawJson {
    RawJson::parse(text.as_bytes().to_vec().into()).unwrap()
}

fn cache() -> Cache {
    Cache::new(CacheSettings { max_bytes: MIB })
}

fn block(number: u64, hash: B256) -> RawJson {
    json(&format!(
        r#"{{"hash":"{hash}","number":"{number:#x}","transactions":[{{"hash":"0x1","blockNumber":"0x0"}}]}}"#
    ))
}

fn receipt(number: u64) -> RawJson {
    json(&format!(
        r#"{{"transactionHash":"0x1","blockNumber":"{number:#x}","blockHash":"{}","status":"0x1"}}"#,
        hash(number)
    ))
}

const BY_HASH: &str = r#"["0x00000000000000000000000000000000000000000000000000000000000000aa",false]"#;
const STATE_BY_HASH: &str =
    r#"["0xaa",{"blockHash":"0x00000000000000000000000000000000000000000000000000000000000000aa"}]"#;

/// Whether an answer that came at a tip of 100, with 50 final, is still known then, one block later, and when 100 is final.
#[track_caller]
fn check(method: &str, params: &str, answer: &RawJson, want: (bool, bool, bool)) {
    let cache = cache();
    let call = call(method, params);
    cache.put(&call, answer, &me(), &chain(100, 50));
    let known = |snapshot: &Snapshot| {
        let found = cache.get(&call, snapshot);
        assert!(found.is_none() || found.as_ref() == Some(answer));
        found.is_some()
    };
    let got = (known(&chain(100, 50)), known(&chain(101, 50)), known(&chain(200, 150)));
    assert_eq!(got, want, "{method} {params}");
}

const FOR_EVER: (bool, bool, bool) = (true, true, true);
const WHILE_TIP: (bool, bool, bool) = (true, false, false);
const NEVER: (bool, bool, bool) = (false, false, false);

#[test]
fn how_long_each_answer_is_kept() {
    let any = json(r#""0x1""#);
    let no_logs = json("[]");
    check("eth_chainId", "[]", &any, FOR_EVER);
    check("net_version", "[]", &any, FOR_EVER);
    // By height.
    check("eth_getBlockByNumber", r#"["0x32",false]"#, &block(50, hash(50)), FOR_EVER);
    check("eth_getBlockByNumber", r#"["0x33",false]"#, &block(51, hash(51)), WHILE_TIP);
    check("eth_getBlockByNumber", r#"["0x64",false]"#, &block(100, hash(100)), WHILE_TIP);
    check("eth_getBlockByNumber", r#"["0x65",false]"#, &block(101, hash(101)), NEVER);
    check("eth_getBlockReceipts", r#"["0x32"]"#, &json("[]"), FOR_EVER);
    check("eth_getBalance", r#"["0xaa","0x32"]"#, &any, FOR_EVER);
    check("eth_getBalance", r#"["0xaa","0x64"]"#, &any, WHILE_TIP);
    check("eth_call", r#"[{"to":"0xaa"},"0x1"]"#, &any, FOR_EVER);
    // By hash.
    check("eth_getBlockByHash", BY_HASH, &block(100, hash(0xaa)), FOR_EVER);
    check("eth_getBlockByHash", BY_HASH, &block(100, hash(0xab)), NEVER);
    check("eth_getCode", STATE_BY_HASH, &any, FOR_EVER);
    check("eth_getCode", &STATE_BY_HASH.replace("}]", r#","requireCanonical":true}]"#), &any, NEVER);
    // By a transaction's hash.
    check("eth_getTransactionReceipt", r#"["0x1"]"#, &receipt(50), FOR_EVER);
    check("eth_getTransactionReceipt", r#"["0x1"]"#, &receipt(51), WHILE_TIP);
    check("eth_getTransactionReceipt", r#"["0x1"]"#, &receipt(101), NEVER);
    check("eth_getTransactionByHash", r#"["0x1"]"#, &json(r#"{"blockNumber":null,"blockHash":null}"#), NEVER);
    // Logs.
    check("eth_getLogs", r#"[{"fromBlock":"0x1","toBlock":"0x32"}]"#, &no_logs, FOR_EVER);
    check("eth_getLogs", r#"[{"fromBlock":"0x1","toBlock":"0x33"}]"#, &no_logs, WHILE_TIP);
    check("eth_getLogs", r#"[{"fromBlock":"0x1","toBlock":"0x64"}]"#, &no_logs, NEVER);
    let of_tip = json(&format!(r#"[{{"blockHash":"{}"}}]"#, hash(100)));
    check("eth_getLogs", r#"[{"fromBlock":"0x1","toBlock":"0x64"}]"#, &of_tip, WHILE_TIP);
    check("eth_getLogs", r#"[{"fromBlock":"0x1"}]"#, &of_tip, NEVER);
    check("eth_getLogs", r#"[{"fromBlock":"0x9","toBlock":"0x1"}]"#, &no_logs, NEVER);
    // What can change, or is nothing.
    check("eth_getBlockByNumber", r#"["latest",false]"#, &block(100, hash(100)), NEVER);
    check("eth_getBlockByNumber", r#"["finalized",false]"#, &block(50, hash(50)), NEVER);
    check("eth_getBlockByNumber", r#"["0x32",false]"#, &json("null"), NEVER);
    check("eth_getBlockByNumber", r#"["0x32",false]"#, &block(49, hash(49)), NEVER);
    check("eth_blockNumber", "[]", &any, NEVER);
    check("eth_estimateGas", r#"[{},"0x1"]"#, &any, NEVER);
    check("eth_sendRawTransaction", r#"["0x1"]"#, &any, NEVER);
}

#[test]
fn lists_by_hash_are_kept_only_where_they_name_the_block() {
    let of = |hashes: &[u64]| {
        let one = |n: &u64| format!(r#"{{"blockNumber":"0x64","blockHash":"{}","data":"0x"}}"#, hash(*n));
        json(&format!("[{}]", hashes.iter().map(one).collect::<Vec<_>>().join(",")))
    };
    let (object, plain) = (r#"[{"blockHash":"HASH"}]"#, r#"["HASH"]"#);
    for (method, params) in
        [("eth_getLogs", object), ("eth_getBlockReceipts", object), ("eth_getBlockReceipts", plain)]
    {
        let params = params.replace("HASH", &hash(0xaa).to_string());
        for (answer, want) in [
            // Who does not have the block yet may say so.
            (json("[]"), NEVER),
            (of(&[0xaa, 0xaa]), FOR_EVER),
            (of(&[0xab]), NEVER),
            (of(&[0xaa, 0xab]), NEVER),
            (json(r#"[{"data":"0x"}]"#), NEVER),
        ] {
            check(method, &params, &answer, want);
        }
    }
    let by_index = format!(r#"["{}","0x0"]"#, hash(0xaa));
    check("eth_getTransactionByBlockHashAndIndex", &by_index, &receipt(0xaa), FOR_EVER);
    check("eth_getTransactionByBlockHashAndIndex", &by_index, &receipt(0xab), NEVER);
}

#[test]
fn a_block_that_the_tip_contradicts_is_not_kept() {
    for (number, params) in [(100, r#"["0x64",false]"#), (99, r#"["0x63",false]"#)] {
        check("eth_getBlockByNumber", params, &block(number, hash(7)), NEVER);
        check("eth_getBlockByNumber", params, &block(number, hash(number)), WHILE_TIP);
    }
}

#[test]
fn a_reorganisation_ends_what_was_not_final() {
    let cache = cache();
    let by_number = call("eth_getBlockByNumber", r#"["0x60",false]"#);
    let by_transaction = call("eth_getTransactionReceipt", r#"["0x1"]"#);
    cache.put(&by_number, &block(96, hash(96)), &me(), &chain(100, 50));
    cache.put(&by_transaction, &receipt(96), &me(), &chain(100, 50));
    let mut other = chain(100, 50);
    other.tip.as_mut().unwrap().hash = hash(7);
    assert_eq!(cache.get(&by_number, &other), None);
    assert_eq!(cache.get(&by_transaction, &other), None);
    // And is not there again if the chain goes back: it was dropped.
    assert_eq!(cache.get(&by_number, &chain(100, 50)), None);
    assert!(cache.is_empty());
}

#[test]
fn a_chain_that_was_begun_anew_ends_what_was_final() {
    let call = call("eth_getBlockByNumber", r#"["0x32",false]"#);
    let kept = || {
        let cache = cache();
        cache.put(&call, &block(50, hash(50)), &me(), &chain(100, 50));
        cache
    };
    assert!(kept().get(&call, &chain(100, 49)).is_none(), "less is final than was");
    assert!(kept().get(&call, &chain(49, 40)).is_none(), "the chain is shorter");
    let mut other = chain(51, 51);
    assert!(kept().get(&call, &other).is_some());
    other.tip.as_mut().unwrap().parent_hash = hash(7);
    assert!(kept().get(&call, &other).is_none(), "another block is there");
    assert!(kept().get(&call, &Snapshot::default()).is_some(), "with every upstream down, what was final is");
    let absurd = chain(100, 1000);
    let cache = cache();
    cache.put(&call, &block(50, hash(50)), &me(), &absurd);
    assert!(cache.get(&call, &chain(101, 49)).is_none(), "a finalized height above the tip says nothing");
}

#[test]
fn what_the_answerer_does_not_hold_final_itself_is_not_final() {
    let (balance, block_45) = (call("eth_getBalance", r#"["0xaa","0x2d"]"#), block(45, hash(45)));
    let by_number = call("eth_getBlockByNumber", r#"["0x2d",false]"#);
    let other_tip = chain(101, 50);
    for (head, finalized, kept_now, kept_for_ever) in [
        (100, Some(45), [true, true], [true, true]),
        (100, Some(44), [true, true], [false, false]),
        (100, None, [true, true], [false, false]),
        // It has no such block: only what names the block itself is of it.
        (44, Some(44), [false, true], [false, false]),
    ] {
        let mut before = chain(100, 50);
        before.upstreams[0].head.as_mut().unwrap().number = head;
        before.upstreams[0].finalized = finalized;
        let cache = cache();
        cache.put(&balance, &json(r#""0x1""#), &me(), &before);
        cache.put(&by_number, &block_45, &me(), &before);
        let known = |now: &Snapshot| [&balance, &by_number].map(|call| cache.get(call, now).is_some());
        assert_eq!(known(&before), kept_now, "{head} {finalized:?}");
        assert_eq!(known(&other_tip), kept_for_ever, "{head} {finalized:?}");
    }
    let cache = cache();
    cache.put(&balance, &json(r#""0x1""#), &UpstreamId::parse("nobody").unwrap(), &chain(100, 50));
    assert!(cache.is_empty(), "whoever is on no board");
}

#[test]
fn when_less_is_final_than_was_everything_above_is_dropped() {
    let cache = cache();
    for number in [48_u64, 49, 50] {
        let call = call("eth_getBlockByNumber", &format!(r#"["{number:#x}",false]"#));
        cache.put(&call, &block(number, hash(number)), &me(), &chain(100, 50));
    }
    let anything = call("eth_chainId", "[]");
    assert_eq!(cache.get(&anything, &Snapshot::default()), None);
    assert_eq!(cache.len(), 3);
    // Nobody asks for these while it is so.
    assert_eq!(cache.get(&anything, &chain(101, 48)), None);
    assert_eq!(cache.len(), 1);
    // An answer to a call that was made before that.
    let call_50 = call("eth_getBlockByNumber", r#"["0x32",false]"#);
    cache.put(&call_50, &block(50, hash(50)), &me(), &chain(100, 50));
    assert_eq!(cache.get(&anything, &chain(102, 50)), None);
    assert_eq!(cache.len(), 1);
}

#[test]
fn one_call_is_found_however_it_is_written() {
    let cache = cache();
    let answer = json(r#""0x6001""#);
    cache.put(&call("eth_getCode", r#"["0xAbCd","0x1"]"#), &answer, &me(), &chain(100, 50));
    assert_eq!(cache.get(&call("eth_getCode", r#" [ "0xabcd" , "0x1" ]"#), &chain(100, 50)), Some(answer));
    assert_eq!(cache.get(&call("eth_getCode", r#"["0xabcd","0x2"]"#), &chain(100, 50)), None);
    assert_eq!(cache.get(&call("eth_getBalance", r#"["0xabcd","0x1"]"#), &chain(100, 50)), None);
}

#[test]
fn neither_one_answer_nor_all_take_more_than_they_may() {
    let cache = cache();
    let of = |n: u64| call("eth_getCode", &format!(r#"["{n:#x}","0x1"]"#));
    let sized = |bytes: usize| json(&format!("\"{}\"", "a".repeat(bytes)));
    cache.put(&of(1), &sized(MIB / 16), &me(), &chain(100, 50));
    assert_eq!(cache.get(&of(1), &chain(100, 50)), None);
    let large = sized(MIB / 16 - 300);
    cache.put(&of(1), &large, &me(), &chain(100, 50));
    assert_eq!(cache.get(&of(1), &chain(100, 50)), Some(large));
    for n in 0..2000 {
        cache.put(&of(n), &sized(2000), &me(), &chain(100, 50));
        assert!(cache.bytes() <= MIB as u64 + 8 * (MIB as u64 / 16), "{}", cache.bytes());
    }
    assert!(cache.len() > 300, "{}", cache.len());
    let nothing = Cache::new(CacheSettings { max_bytes: 0 });
    nothing.put(&call("eth_chainId", "[]"), &json("1"), &me(), &chain(100, 50));
    assert_eq!(nothing.get(&call("eth_chainId", "[]"), &chain(100, 50)), None);
}

#[test]
fn a_small_answer_does_not_hold_the_body_it_came_in() {
    let body = bytes::Bytes::from(format!(r#"{{"id":0,"result":"0x1","more":"{}"}}"#, "x".repeat(100_000)));
    let Ok(crate::gateway::RpcAnswer::Result(result)) = crate::gateway::read_answer(&body, 0) else {
        panic!()
    };
    let cache = cache();
    let chain_id = call("eth_chainId", "[]");
    cache.put(&chain_id, &result, &me(), &chain(100, 50));
    let found = cache.get(&chain_id, &chain(100, 50)).unwrap();
    assert_eq!(found, result);
    assert!(!body.as_ptr_range().contains(&found.as_bytes().as_ptr()));
}
