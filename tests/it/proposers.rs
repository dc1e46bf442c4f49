//! Who proposes decides: sets of validators with relays, limits and terms of their own.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use alloy_primitives::{Bytes, U256, hex, keccak256};
use axum::{
    Json, Router,
    extract::{Path as Segments, Query},
    http::StatusCode,
    response::IntoResponse,
    routing::{get, post},
};
use relaymux::{
    consensus::Encoding,
    types::{BlsPublicKey, Slot},
};
use serde_json::{Value, json};

use crate::stage::{Stage, binary, eventually, honest, milli, stage};

/// The proposer of the stage's n-th validator: the first slot from now on that is its and was not asked for.
fn slot_of(stage: &Stage, key: BlsPublicKey) -> Slot {
    let first = stage.fresh_slot().as_u64();
    let proposer = stage.proposer(Encoding::Ssz);
    (first..first + 8).map(Slot::new).find(|slot| proposer.proposer(*slot) == key).unwrap()
}

/// Keys of the stage's four validators, whatever the chain.
fn keys() -> Vec<BlsPublicKey> {
    let spec = relaymux::consensus::Network::Mainnet.spec();
    let http = relaymux::relay::build_http_client(&relaymux::relay::TlsRoots::Bundled, None).unwrap();
    let proposer = relaymux::sim::SimProposer::new(spec, String::new(), http, 4, Encoding::Ssz);
    (0..4).map(|slot| proposer.proposer(Slot::new(slot))).collect()
}

async fn value_for(stage: &Stage, key: BlsPublicKey) -> Option<relaymux::types::Wei> {
    stage.header_at(slot_of(stage, key)).await.map(|bid| bid.facts().value)
}

/// Two relays, the second with the higher bid; the given sets.
async fn with_sets(sets: &str) -> Stage {
    with_files(sets, &[]).await
}

async fn with_files(sets: &str, files: &[(&str, &str)]) -> Stage {
    let mut builder = stage()
        .section(sets)
        .relay(honest().value(milli(40)).builder(1))
        .relay(honest().value(milli(80)).builder(2));
    for (name, text) in files {
        builder = builder.file(name, text);
    }
    builder.start().await
}

/// [P1] Its own relays for headers; any case; registrations and blocks go to all.
#[tokio::test(flavor = "multi_thread")]
async fn a_set_has_relays_and_limits_of_its_own() {
    let keys = keys();
    let upper = keys[0].to_string().to_uppercase().replace("0X", "0x");
    let sets = format!(
        "[[proposers]]\nid = \"treasury\"\npubkeys = [\"{upper}\"]\nrelays = [\"r0\"]\n\
         [[proposers]]\nid = \"picky\"\npubkeys = [\"{}\"]\nmin_bid_eth = \"0.5\"\n\
         [[proposers]]\nid = \"weighed\"\npubkeys = [\"{}\"]\n[proposers.terms.r1]\nweight_factor = 10\n",
        keys[1], keys[2]
    );
    let stage = with_sets(&sets).await;
    stage.proposer(Encoding::Json).register(60_000_000, 1).await.unwrap();
    assert_eq!(value_for(&stage, keys[0]).await, Some(milli(40)));
    assert_eq!(value_for(&stage, keys[1]).await, None);
    assert_eq!(value_for(&stage, keys[2]).await, Some(milli(40)));
    assert_eq!(value_for(&stage, keys[3]).await, Some(milli(80)));
    let slot = slot_of(&stage, keys[0]);
    stage.header_at(slot).await.unwrap();
    let auction = stage.auction(slot).await;
    assert_eq!((&auction["policy"], auction["bids"].as_array().unwrap().len()), (&"treasury".into(), 1));
    eventually("registrations at both relays", async || {
        stage.relays.iter().all(|relay| relay.registered().len() == 4).then_some(())
    })
    .await;
    // The treasury's block goes to the relay that is not in its set, too.
    let slot = slot_of(&stage, keys[0]);
    let bid = stage.header_at(slot).await.unwrap();
    let body = stage.signed_block(slot, &bid, Encoding::Ssz);
    assert_eq!(stage.submit_request(2, Encoding::Ssz, body).send().await.unwrap().status(), 202);
    eventually("the block at both relays", async || {
        stage.relays.iter().all(|relay| relay.received("blinded_blocks_v2").len() == 1).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn named_keys_beat_labels_and_the_first_label_wins() {
    let keys = keys();
    let labels = json!({ keys[0].to_string(): "Wallet 1/a", keys[1].to_string(): "Wallet 1/b", keys[2].to_string(): "Wallet 12/c" });
    let sets = format!(
        "[[proposers]]\nid = \"named\"\npubkeys = [\"{}\"]\n\
         [[proposers]]\nid = \"one\"\nlabels = [\"Wallet 1/.*\"]\nrelays = [\"r0\"]\n\
         [[proposers]]\nid = \"all\"\nlabels = [\"Wallet.*\"]\nmin_bid_eth = \"1\"\n",
        keys[0]
    );
    let mut builder =
        stage().relay(honest().value(milli(40)).builder(1)).relay(honest().value(milli(80)).builder(2));
    builder = builder.file("labels.json", &labels.to_string());
    let stage = builder.top("proposer_labels_file = \"labels.json\"").section(&sets).start().await;
    assert_eq!(value_for(&stage, keys[0]).await, Some(milli(80)));
    assert_eq!(value_for(&stage, keys[1]).await, Some(milli(40)));
    assert_eq!(value_for(&stage, keys[2]).await, None);
    assert_eq!(value_for(&stage, keys[3]).await, Some(milli(80)));
}

/// [P3] Included files are followed as the file itself; a wrong one changes nothing and is named.
#[tokio::test(flavor = "multi_thread")]
async fn included_files_are_followed() {
    let keys = keys();
    let sets = "[[proposers]]\nid = \"filed\"\npubkeys_file = \"keys.txt\"\nrelays = [\"r0\"]\n";
    let stage = with_files(sets, &[("keys.txt", &format!("# mine\n{}\n", keys[0]))]).await;
    assert_eq!(value_for(&stage, keys[0]).await, Some(milli(40)));
    assert_eq!(value_for(&stage, keys[1]).await, Some(milli(80)));
    let path = stage.folder.path().join("keys.txt");
    // As Kubernetes does it: a symlink swapped for another.
    let other = stage.folder.path().join("keys.new");
    std::fs::write(&other, keys[1].to_string()).unwrap();
    let link = stage.folder.path().join("link");
    std::os::unix::fs::symlink(&other, &link).unwrap();
    std::fs::rename(&link, &path).unwrap();
    eventually("the file's new key", async || {
        (value_for(&stage, keys[1]).await == Some(milli(40))).then_some(())
    })
    .await;
    assert_eq!(value_for(&stage, keys[0]).await, Some(milli(80)));
    std::fs::write(&other, "0x12").unwrap();
    eventually("the mistake in the log", async || stage.log().contains("keys.txt: line 1").then_some(()))
        .await;
    assert_eq!(value_for(&stage, keys[1]).await, Some(milli(40)));
}

/// A wrong file that a new configuration includes is looked at until it is right, without a signal.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_include_that_is_wrong_is_taken_once_it_is_right() {
    let keys = keys();
    let stage = with_files("", &[]).await;
    let path = stage.folder.path().join("new.txt");
    std::fs::write(&path, "0x12").unwrap();
    let set = "[[proposers]]\nid = \"late\"\npubkeys_file = \"new.txt\"\nrelays = [\"r0\"]\n";
    stage.write_config(&format!("{}{set}", stage.config()));
    eventually("the mistake in the log", async || stage.log().contains("new.txt: line 1").then_some(()))
        .await;
    std::fs::write(&path, keys[1].to_string()).unwrap();
    eventually("the new set", async || (value_for(&stage, keys[1]).await == Some(milli(40))).then_some(()))
        .await;
}

async fn serve(router: Router) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    format!("http://{address}")
}

/// [P4] A list behind an address: loaded, refreshed, kept when its server fails, kept over a restart.
#[tokio::test(flavor = "multi_thread")]
async fn a_list_behind_an_address_is_kept_when_its_server_fails() {
    let keys = keys();
    let well = Arc::new(AtomicBool::new(true));
    let (answers, list) = (Arc::clone(&well), json!([keys[0].to_string()]));
    let url =
        serve(Router::new().route(
            "/keys",
            get(move || {
                let (well, list) = (answers.load(Ordering::Relaxed), list.clone());
                async move {
                    if well { Json(list).into_response() } else { StatusCode::BAD_GATEWAY.into_response() }
                }
            }),
        ))
        .await;
    let sets = format!(
        "[[proposers]]\nid = \"listed\"\npubkeys_url = \"{url}/keys\"\nrefresh_secs = 10\nrelays = [\"r0\"]\n"
    );
    let mut stage = with_sets(&sets).await;
    eventually("the list to be loaded", async || {
        (value_for(&stage, keys[0]).await == Some(milli(40))).then_some(())
    })
    .await;
    assert_eq!(value_for(&stage, keys[1]).await, Some(milli(80)));
    well.store(false, Ordering::Relaxed);
    stage.start_again().await;
    eventually("the failure in the log", async || {
        stage.log().contains("keys not loaded, the ones known stay").then_some(())
    })
    .await;
    assert_eq!(value_for(&stage, keys[0]).await, Some(milli(40)));
}

/// ABI of one dynamic `bytes`: offset, length, padded contents.
fn abi_bytes(bytes: &[u8]) -> Vec<u8> {
    let mut out = U256::from(32).to_be_bytes_vec();
    out.extend(U256::from(bytes.len()).to_be_bytes_vec());
    out.extend(bytes);
    out.resize(out.len().next_multiple_of(32), 0);
    out
}

/// [P5] Registries: Lido and Stader over JSON-RPC, SSV by its own node, else by the public API.
#[tokio::test(flavor = "multi_thread")]
async fn registries_are_read() {
    let keys = keys();
    let lido_key = keys[0];
    let stader_key = keys[1];
    let rpc = post(move |Json(request): Json<Value>| async move {
        let data: Bytes = request["params"][0]["data"].as_str().unwrap().parse().unwrap();
        let is = |signature: &str| data[..4] == keccak256(signature)[..4];
        let word = |n: usize| U256::from(n).to_be_bytes_vec();
        let result: Vec<u8> = if is("getNodeOperatorSummary(uint256)") {
            // Eight words, the seventh is what is deposited.
            (0..8).flat_map(|n| word(usize::from(n == 6))).collect()
        } else if is("getSigningKeys(uint256,uint256,uint256)") {
            abi_bytes(lido_key.0.as_slice())
        } else if is("getValidatorsByOperator(address,uint256,uint256)") {
            // One validator: its fixed words with offsets of the three byte strings, then these.
            let padded = [stader_key.0.as_slice(), &[0; 16]].concat();
            let fixed = [32, 1, 32, 1, 256, 352, 384, 0, 7, 0, 0, 48].into_iter().flat_map(word).collect();
            [fixed, padded, word(0), word(0)].concat()
        } else {
            let error = json!({"code": -32601, "message": "no such call"});
            return Json(json!({"jsonrpc": "2.0", "id": 1, "error": error}));
        };
        Json(json!({"jsonrpc": "2.0", "id": 1, "result": hex::encode_prefixed(result)}))
    });
    let ssv_key = keys[2];
    let api = get(
        move |Segments(operator): Segments<u64>,
              Query(query): Query<std::collections::BTreeMap<String, String>>| async move {
            let page = query["page"].parse::<u64>().unwrap();
            let key = ssv_key.to_string().replace("0x", "");
            let list = if page == 2 && operator == 5 {
                json!([{ "public_key": key }])
            } else {
                json!([{ "public_key": "ab".repeat(48) }])
            };
            Json(json!({ "validators": list, "pagination": { "pages": 2 } }))
        },
    );
    let url =
        serve(Router::new().route("/rpc", rpc).route("/api/validators/in_operator/{operator}", api)).await;
    let address = "0x0000000000000000000000000000000000000001";
    let sets = format!(
        "[[proposers]]\nid = \"lido\"\nrelays = [\"r0\"]\nloader = {{ kind = \"lido\", rpc_url = \"{url}/rpc\", registry = \"{address}\", operator_id = 3 }}\n\
         [[proposers]]\nid = \"stader\"\nrelays = [\"r0\"]\nloader = {{ kind = \"stader\", rpc_url = \"{url}/rpc\", registry = \"{address}\", operator = \"{address}\" }}\n\
         [[proposers]]\nid = \"ssv\"\nrelays = [\"r0\"]\nloader = {{ kind = \"ssv\", node_url = \"{url}/away\", api_url = \"{url}/api\", operator_id = 5 }}\n"
    );
    let stage = with_sets(&sets).await;
    for key in &keys[..3] {
        eventually("a registry's key", async || {
            (value_for(&stage, *key).await == Some(milli(40))).then_some(())
        })
        .await;
    }
    assert_eq!(value_for(&stage, keys[3]).await, Some(milli(80)));
    assert!(stage.log().contains("asking the public API"));
}

/// [P2] Mistakes have a line and a hint; the command says what applies to a key and why.
#[tokio::test]
async fn mistakes_are_told_and_check_says_what_applies() {
    let keys = keys();
    let folder = tempfile::tempdir().unwrap();
    let relay = "[[relays]]\nid = \"flashbots\"\nurl = \"https://0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae@boost-relay.flashbots.net\"\n";
    let check = |sets: &str, more: &[&str]| {
        std::fs::write(folder.path().join("relays.toml"), format!("{relay}{sets}")).unwrap();
        let output =
            binary().current_dir(folder.path()).args(["check", "--offline"]).args(more).output().unwrap();
        let words = [output.stdout, output.stderr].concat();
        (output.status.code().unwrap(), String::from_utf8(words).unwrap())
    };
    let key = keys[0].to_string();
    for (name, sets, said) in [
        ("no keys", "[[proposers]]\nid = \"a\"\n".to_owned(), "has no proposers"),
        ("no relays", format!("[[proposers]]\npubkeys = [\"{key}\"]\nrelays = []\n"), "no relay"),
        (
            "unknown relay",
            format!("[[proposers]]\npubkeys = [\"{key}\"]\nrelays = [\"x\"]\n"),
            "there is no relay `x`",
        ),
        (
            "twice in one",
            format!("[[proposers]]\npubkeys = [\"{key}\", \"{}\"]\n", key.to_uppercase().replace("0X", "0x")),
            "named twice",
        ),
        (
            "twice in two",
            format!(
                "[[proposers]]\nid = \"a\"\npubkeys = [\"{key}\"]\n[[proposers]]\npubkeys = [\"{key}\"]\n"
            ),
            "also in `a`",
        ),
        ("a bad key", "[[proposers]]\npubkeys = [\"0x12\"]\n".to_owned(), "96 hex digits"),
        ("labels without a file", "[[proposers]]\nlabels = [\"a\"]\n".to_owned(), "proposer_labels_file"),
        ("unknown loader", "[[proposers]]\nloader = { kind = \"rocket\" }\n".to_owned(), "no known loader"),
        ("half a loader", "[[proposers]]\nloader = { kind = \"lido\" }\n".to_owned(), "rpc_url is missing"),
        (
            "a set's bad time",
            format!("[[proposers]]\npubkeys = [\"{key}\"]\ntimeout_get_header_ms = 5000\n"),
            "not below late_in_slot",
        ),
        (
            "a typo",
            format!("[[proposers]]\npubkeys = [\"{key}\"]\nmin_bid_et = \"1\"\n"),
            "did you mean `min_bid_eth`?",
        ),
        (
            "a typo in terms",
            format!("[[proposers]]\npubkeys = [\"{key}\"]\n[proposers.terms.flashbots]\nweight_facto = 1\n"),
            "did you mean `weight_factor`?",
        ),
        ("a file that is away", "[[proposers]]\npubkeys_file = \"nothing.txt\"\n".to_owned(), "nothing.txt"),
    ] {
        let (code, words) = check(&sets, &[]);
        assert_eq!(code, 2, "{name}\n{words}");
        assert!(words.contains(said), "{name}\n{words}");
        assert!(words.contains("relays.toml:"), "{name}\n{words}");
    }
    let sets = format!("[[proposers]]\nid = \"treasury\"\npubkeys = [\"{key}\"]\nmin_bid_eth = \"0.02\"\n");
    let (code, words) = check(&sets, &["--proposer", &key]);
    assert_eq!(code, 0, "{words}");
    for part in
        ["treasury", "named in pubkeys", "min_bid_eth", "0.02", "flashbots", "timeout_get_header_ms", "950"]
    {
        assert!(words.contains(part), "{part}\n{words}");
    }
    let (code, words) = check(&sets, &["--proposer", &keys[1].to_string()]);
    assert!(code == 0 && words.contains("in no set"), "{words}");
    assert_eq!(check(&sets, &["--proposer", "0x12"]).0, 2);
}
