//! Searchers' bundles through the real binary to a builder of each dialect, and their fate on a chain of anvil's.

use alloy_consensus::{BlobTransactionSidecar, SignableTransaction, TxEip4844, TxEip4844WithSidecar};
use alloy_primitives::{B256, Bytes, U256, hex, keccak256};
use relaymux::{
    bundles::{BundleKey, DIALECTS, Dialect},
    consensus::WallClock,
    sim::{BuilderHabit, SimBuilder},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::{
    node::{BUILDER, Door, Node, OTHER, USER},
    searcher::{Account, GWEI, OURS, SEARCHER, account, fate, send, send_as, sign, state},
    stage::{Stage, StageBuilder, assert_error, binary, eventually, honest, stage},
};

/// A stage whose builders are simulated ones of these dialects.
async fn bundle_stage(node: &Node, dialects: &[&str], more: &str) -> (Stage, Vec<SimBuilder>) {
    let mut builders = Vec::new();
    let mut section = format!(
        "[execution]\nurl = \"{}\"\n[bundles]\nlisten = \"127.0.0.1:0\"\nsigning_key_file = \"our.key\"\npoll_ms = 20\n{more}\n",
        node.url
    );
    for name in dialects {
        let builder = SimBuilder::start(Dialect::named(name).unwrap(), true).await.unwrap();
        section.push_str(&format!(
            "[[bundles.builders]]\nid = \"{name}\"\nurl = \"{}\"\nmax_requests_per_second = 0\n",
            builder.url()
        ));
        if *name == "bloxroute" {
            section.push_str("authorization_file = \"blxr.txt\"\n");
        }
        builders.push(builder);
    }
    let stage: StageBuilder = stage().relay(honest()).section(&section);
    let stage = stage.file("our.key", OURS).file("blxr.txt", "sim-secret\n").start().await;
    eventually("the head to be known", async || {
        let answer = stage.http.get(format!("{}/healthz", stage.bundles)).send().await.ok()?;
        let answer: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
        (answer["head"].as_u64()? > 0).then_some(())
    })
    .await;
    (stage, builders)
}

/// A chain with one block on it.
async fn chain(hardfork: &str) -> (Node, Time) {
    let genesis = WallClock::system().now() / 1000 - 3600;
    let node = Node::anvil(genesis, &["--hardfork", hardfork, "--slots-in-an-epoch", "2"]).await;
    let mut time = Time(u64::try_from(genesis).unwrap());
    node.mine(time.next(), OTHER).await;
    (node, time)
}

struct Time(u64);

impl Time {
    fn next(&mut self) -> u64 {
        self.0 += 12;
        self.0
    }
}

async fn submit(node: &Node, raw: &[&str]) {
    for raw in raw {
        node.rpc("eth_sendRawTransaction", json!([raw])).await;
    }
}

/// [M4]
#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_goes_to_every_dialect_and_its_profit_is_booked_to_the_wei() {
    let (node, mut time) = chain("osaka").await;
    let names: Vec<&str> = DIALECTS.iter().map(|dialect| dialect.name).collect();
    let (mut user, mut other) = (account(0), account(1));
    let watch = format!("watch = [\"{}\"]", other.address());
    let (stage, builders) = bundle_stage(&node, &names, &watch).await;
    builders[3].habit(BuilderHabit::Hangs);
    builders[4].habit(BuilderHabit::BareHash);
    builders[5].habit(BuilderHabit::Null);
    builders[6].habit(BuilderHabit::StatusFirst(503, 1));
    builders[7].habit(BuilderHabit::Refuses);
    let (first, first_hash) = user.pay(BUILDER, 5, GWEI);
    let (second, second_hash) = other.pay(USER, 7, 3 * GWEI);
    let answer = send(
        &stage,
        "eth_sendBundle",
        json!([{"txs": [first, second], "blockNumber": "0x2", "minTimestamp": 1, "replacementUuid": "mine"}]),
    )
    .await;
    let hash = answer["result"]["bundleHash"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    let hashes: Vec<u8> =
        [&first_hash, &second_hash].iter().flat_map(|hash| hex::decode(hash).unwrap()).collect();
    assert_eq!(hash, keccak256(hashes).to_string());
    let sent = fate(&stage, &hash, "sent to all", |bundle| {
        bundle["sends"].as_array().unwrap().len() == names.len() - 1
    })
    .await;
    let outcome = |name: &str| {
        let sends = sent["sends"].as_array().unwrap();
        sends
            .iter()
            .find(|send| send["builder"] == name)
            .map(|send| send["outcome"].as_str().unwrap().to_owned())
    };
    for (name, builder) in names.iter().zip(&builders) {
        assert_eq!(builder.refused(), Vec::<String>::new(), "{name}");
        let expected = match *name {
            "buildernet" => None,
            "beaverbuild" => Some("refused"),
            _ => Some("accepted"),
        };
        assert_eq!(outcome(name).as_deref(), expected, "{name}: {sent}");
    }
    // Signed with our key, under a name that is not the searcher's own.
    let flashbots = &builders[2].received()[0];
    assert_eq!(flashbots.signer, Some(BundleKey::parse(OURS).unwrap().address()));
    assert_ne!(flashbots.fields["replacementUuid"], "mine");
    assert_eq!((&sent["state"], &sent["uuid"]), (&json!("pending"), &json!("mine")));

    // The block has both, behind another's transaction.
    let before = node.balance(&other.address().to_string(), "latest").await;
    node.pay(BUILDER, OTHER, 1).await;
    submit(&node, &[&first, &second]).await;
    let snapshot = node.rpc("evm_snapshot", json!([])).await;
    let block = node.mine(time.next(), OTHER).await;
    let found = state(&stage, &hash, "included").await;
    assert_eq!((&found["block_hash"], &found["is_final"]), (&block["hash"], &json!(false)));
    // The chain goes back: the block is another one without it, and its only block is gone.
    node.rpc("evm_revert", json!([snapshot])).await;
    node.rpc("anvil_dropAllTransactions", json!([])).await;
    node.mine(time.0, BUILDER).await;
    let missed = state(&stage, &hash, "missed").await;
    assert!(missed["reason"].as_str().unwrap().starts_with("outbid or left out"), "{missed}");
    // And forth.
    node.rpc("anvil_rollback", json!([1])).await;
    submit(&node, &[&first, &second]).await;
    node.mine(time.0 + 1, USER).await;
    state(&stage, &hash, "included").await;
    for _ in 0..8 {
        time.0 += 1;
        node.mine(time.next(), BUILDER).await;
    }
    let booked = fate(&stage, &hash, "final", |bundle| bundle["is_final"] == true).await;
    let change = i128::try_from(node.balance(&other.address().to_string(), "latest").await).unwrap()
        - i128::try_from(before).unwrap();
    assert_eq!(booked["profit_wei"], change.to_string(), "{booked}");
    // Tips of both transactions, and the 7 wei that the second sends to the block's fee recipient.
    assert_eq!(booked["paid_to_builder_wei"], (21_000 * 4 * GWEI + 7).to_string());
    let totals: Value = stage
        .http
        .get(format!("{}/eth/v1/builder/bundles", stage.builder))
        .send()
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(
        (&totals["included"], &totals["submitted"], &totals["success_rate"], &totals["profit_wei"]),
        (&json!(1), &json!(1), &json!(1.0), &json!(change.to_string()))
    );
    assert_eq!(stage.ops_json("/api/v1/bundles").await["target"], "met");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bundle_for_several_blocks_is_sent_for_each_until_it_is_in_one() {
    let (node, mut time) = chain("osaka").await;
    let (mut stage, builders) = bundle_stage(&node, &["flashbots", "titan"], "").await;
    let mut user = account(0);
    let (raw, _) = user.pay(OTHER, 5, GWEI);
    let params = json!([{"version": "v0.1", "inclusion": {"block": "0x2", "maxBlock": "0x5"}, "body": [{"tx": raw, "canRevert": false}]}]);
    let answer = send(&stage, "mev_sendBundle", params).await;
    let hash = answer["result"]["bundleHash"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    let blocks = |builder: &SimBuilder| -> Vec<String> {
        builder.received().iter().map(|got| got.fields["blockNumber"].as_str().unwrap().to_owned()).collect()
    };
    // The answer came with the first builder's word: the other may still be on its way.
    eventually("the first block's request", async || (blocks(&builders[1]) == ["0x2"]).then_some(())).await;
    node.mine(time.next(), OTHER).await;
    eventually("the second block's request", async || (blocks(&builders[1]) == ["0x2", "0x3"]).then_some(()))
        .await;
    // A kill -9 in between: it is taken up again, and sent for the next block.
    stage.start_again().await;
    eventually("the request after the restart", async || {
        blocks(&builders[1]).contains(&"0x3".to_owned()).then_some(())
    })
    .await;
    node.mine(time.next(), OTHER).await;
    eventually("the third block's request", async || {
        blocks(&builders[1]).contains(&"0x4".to_owned()).then_some(())
    })
    .await;
    submit(&node, &[&raw]).await;
    node.mine(time.next(), OTHER).await;
    let found = state(&stage, &hash, "included").await;
    assert_eq!(found["block_number"], 4);
    assert!(
        !blocks(&builders[1]).contains(&"0x5".to_owned()),
        "the block that has it is looked at before the next is asked for"
    );
    let count = builders[1].received().len();
    node.mine(time.next(), OTHER).await;
    fate(&stage, &hash, "still included", |bundle| bundle["state"] == "included").await;
    assert_eq!(builders[1].received().len(), count, "it is not sent for a block after the one that has it");
}

#[tokio::test(flavor = "multi_thread")]
async fn bundles_that_are_not_included_say_why() {
    let (node, mut time) = chain("osaka").await;
    let (stage, builders) = bundle_stage(&node, &["buildernet", "titan"], "").await;
    let (mut user, mut other) = (account(0), account(1));
    let mut hashes = Vec::new();
    // Partly included; conflicting nonce; replaced; cancelled; reverts.
    let (a1, a1_hash) = user.pay(OTHER, 5, GWEI);
    let (a2, _) = other.pay(OTHER, 5, GWEI);
    let conflicting = Account { nonce: 0, ..account(1) }.pay(USER, 9, GWEI);
    let (broke, _) = account(2).pay(USER, u128::from(u64::MAX) * 1_000_000, GWEI);
    for params in [
        json!([{"txs": [a1, a2], "blockNumber": "0x2"}]),
        json!([{"txs": [conflicting.0], "blockNumber": "0x2"}]),
        json!([{"txs": [broke], "blockNumber": "0x2"}]),
        json!([{"txs": [a2], "blockNumber": "0x2", "replacementUuid": "x"}]),
        json!([{"txs": [a1], "blockNumber": "0x2", "replacementUuid": "x"}]),
    ] {
        let answer = send(&stage, "eth_sendBundle", params).await;
        hashes.push(answer["result"]["bundleHash"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned());
    }
    let replaced = state(&stage, &hashes[3], "replaced").await;
    assert!(replaced["reason"].as_str().unwrap().contains("replaced by number"));
    // The same name at the builder, one further in the order.
    let nonces = eventually("both requests of that name", async || {
        let of_it =
            builders[0].received().into_iter().filter(|got| got.fields.get("replacementNonce").is_some());
        let mut nonces: Vec<_> = of_it
            .map(|got| (got.fields["replacementUuid"].clone(), got.fields["replacementNonce"].clone()))
            .collect();
        nonces.sort_by_key(|(_, nonce)| nonce.as_u64());
        (nonces.len() == 2).then_some(nonces)
    })
    .await;
    assert_eq!((&nonces[0].0, &nonces[0].1, &nonces[1].1), (&nonces[1].0, &json!(0), &json!(1)));
    let cancelled = send(&stage, "eth_cancelBundle", json!([{"replacementUuid": "x"}])).await;
    assert_eq!(cancelled["result"], true);
    state(&stage, &hashes[4], "cancel_requested").await;
    eventually("both builders to be asked to take it back", async || {
        let empty = builders[0].received().iter().any(|got| got.fields["txs"] == json!([]));
        let method = builders[1].received().iter().any(|got| got.method == "eth_cancelBundle");
        (empty && method).then_some(())
    })
    .await;
    fate(&stage, &hashes[2], "tried", |bundle| bundle["simulation"]["success"] == false).await;
    // The block: another transaction of the second account's first nonce; the first account's alone.
    let (rival, rival_hash) = account(1).pay(OTHER, 77, GWEI);
    submit(&node, &[&a1, &rival]).await;
    node.mine(time.next(), OTHER).await;
    let partly = state(&stage, &hashes[0], "partly_included").await;
    assert!(partly["reason"].as_str().unwrap().contains(&a1_hash), "{partly}");
    let missed = state(&stage, &hashes[1], "missed").await;
    assert!(missed["reason"].as_str().unwrap().contains(&rival_hash), "{missed}");
    let reverted = state(&stage, &hashes[2], "missed").await;
    assert!(reverted["reason"].as_str().unwrap().starts_with("reverted in simulation"), "{reverted}");
    // It was taken back, and landed all the same: that is what happened.
    state(&stage, &hashes[4], "included").await;
    // Nobody takes it.
    builders.iter().for_each(|builder| builder.habit(BuilderHabit::Refuses));
    let (later, _) = user.pay(OTHER, 6, GWEI);
    let answer = send(&stage, "eth_sendBundle", json!([{"txs": [later], "blockNumber": "0x3"}])).await;
    let words = answer["error"]["message"].as_str().unwrap();
    assert!(words.contains("titan: not today") && words.contains("buildernet: not today"), "{answer}");
    let totals = stage.ops_json("/api/v1/bundles").await;
    eventually("the failed one to be counted", async || {
        (stage.ops_json("/api/v1/bundles").await["failed"] == 1).then_some(())
    })
    .await;
    assert_eq!((&totals["by_state"]["replaced"], &totals["included"]), (&json!(1), &json!(1)), "{totals}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_blob_transaction_is_known_by_its_hash_without_the_blobs() {
    let (node, mut time) = chain("cancun").await;
    let (stage, builders) = bundle_stage(&node, &["titan"], "").await;
    let user = account(0);
    // Commitment and proof of the blob of zeros are the point at infinity.
    let mut infinity = [0_u8; 48];
    infinity[0] = 0xc0;
    let mut versioned: [u8; 32] = Sha256::digest(infinity).into();
    versioned[0] = 1;
    let tx = TxEip4844 {
        chain_id: 31337,
        nonce: 0,
        gas_limit: 21_000,
        max_fee_per_gas: 100 * GWEI,
        max_priority_fee_per_gas: GWEI,
        to: OTHER.parse().unwrap(),
        value: U256::from(3),
        access_list: Default::default(),
        blob_versioned_hashes: vec![B256::from(versioned)],
        max_fee_per_blob_gas: 100 * GWEI,
        input: Bytes::new(),
    };
    let sidecar = BlobTransactionSidecar {
        blobs: vec![Default::default()],
        commitments: vec![infinity.into()],
        proofs: vec![infinity.into()],
    };
    let signature = sign(&user.key, tx.signature_hash());
    let alone = tx.clone().into_signed(signature);
    let with_blobs = TxEip4844WithSidecar { tx, sidecar }.into_signed(signature);
    let mut raw = Vec::new();
    with_blobs.eip2718_encode(&mut raw);
    assert!(raw.len() > 131_072);
    let raw = hex::encode_prefixed(raw);
    let answer = send(&stage, "eth_sendBundle", json!([{"txs": [raw], "blockNumber": "0x2"}])).await;
    let hash = answer["result"]["bundleHash"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    assert_eq!(hash, keccak256(alone.hash()).to_string());
    assert_eq!(builders[0].received()[0].fields["txs"][0], raw, "builders get the blobs, too");
    submit(&node, &[&raw]).await;
    node.mine(time.next(), OTHER).await;
    state(&stage, &hash, "included").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trial_says_what_the_chain_then_does() {
    let (node, mut time) = chain("osaka").await;
    let (stage, builders) = bundle_stage(&node, &["titan"], "").await;
    let mut user = account(0);
    let coinbase = "0x00000000000000000000000000000000000c0ffe";
    let (tip, _) = user.pay(OTHER, 5, 2 * GWEI);
    let (direct, _) = user.pay(coinbase, 1234, GWEI);
    let params = json!([{"txs": [tip, direct], "blockNumber": "0x2", "stateBlockNumber": "latest", "coinbase": coinbase}]);
    let trial = send(&stage, "eth_callBundle", params).await["result"].take();
    assert_eq!(trial["totalGasUsed"], 42_000, "{trial}");
    assert_eq!(
        (&trial["ethSentToCoinbase"], &trial["gasFees"]),
        (&json!("1234"), &json!((63_000 * GWEI).to_string()))
    );
    assert_eq!(builders[0].received().len(), 0, "a trial stays here");
    submit(&node, &[&tip, &direct]).await;
    node.mine(time.next(), coinbase).await;
    assert_eq!(trial["coinbaseDiff"], node.balance(coinbase, "latest").await.to_string());
    let (broke, hash) = account(2).pay(USER, u128::from(u64::MAX) * 1_000_000, GWEI);
    let mev =
        send(&stage, "mev_simBundle", json!([{"inclusion": {"block": "0x3"}, "body": [{"tx": broke}]}, {}]))
            .await;
    assert!(mev["error"]["message"].as_str().is_some() || mev["result"]["success"] == false, "{hash}: {mev}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_does_not_sign_or_asks_for_nonsense_gets_a_clear_error() {
    let (node, _) = chain("osaka").await;
    let searcher = BundleKey::parse(SEARCHER).unwrap().address();
    let more = format!("rate_per_searcher = 40\n[[bundles.searchers]]\naddress = \"{searcher}\"");
    let (stage, builders) = bundle_stage(&node, &["titan"], &more).await;
    let unsigned = stage.http.post(&stage.bundles).body("{}").send().await.unwrap();
    assert_eq!(unsigned.status().as_u16(), 400);
    let words = unsigned.text().await.unwrap();
    assert!(words.contains("X-Flashbots-Signature is missing"), "{words}");
    let stranger = send_as(OURS, &stage, "eth_sendBundle", json!([{}])).await;
    assert_eq!(stranger.status().as_u16(), 403);
    let mut user = account(0);
    let (raw, tx_hash) = user.pay(OTHER, 5, GWEI);
    let (unordered, _) = Account { nonce: 5, ..account(0) }.pay(OTHER, 5, GWEI);
    for (method, params, words) in [
        ("eth_sendBundle", json!([{"txs": [raw, raw], "blockNumber": "0x2"}]), "is in the bundle twice"),
        ("eth_sendBundle", json!([{"txs": [raw, unordered], "blockNumber": "0x2"}]), "nonce 5 behind 0"),
        (
            "eth_sendBundle",
            json!([{"txs": [raw], "blockNumber": "0x1"}]),
            "block 1 is past, the next block is 2",
        ),
        ("eth_sendBundle", json!([{"txs": [raw], "maxTimestamp": 5}]), "maxTimestamp is past"),
        ("eth_sendBundle", json!([{"txs": [raw], "builders": ["nobody"]}]), "nobody is not one of titan"),
        ("eth_sendBundle", json!([{"txs": []}]), "a bundle without transactions"),
        ("eth_cancelBundle", json!([{"replacementUuid": "none"}]), "no bundle named none"),
        ("eth_blockNumber", json!([]), "there is no eth_blockNumber here"),
    ] {
        let answer = send(&stage, method, params).await;
        let message = answer["error"]["message"].as_str().unwrap_or_else(|| panic!("{method}: {answer}"));
        assert!(message.contains(words), "{method}: {message}");
    }
    assert_eq!(builders[0].received().len(), 0);
    // A private transaction is its hash, and can be taken back once.
    let private = send(&stage, "eth_sendPrivateRawTransaction", json!([raw])).await;
    assert_eq!(private["result"], tx_hash);
    let cancel = json!([{"txHash": tx_hash}]);
    assert_eq!(send(&stage, "eth_cancelPrivateTransaction", cancel).await["result"], true);
    let unknown = json!([{"txHash": B256::repeat_byte(3)}]);
    assert_eq!(send(&stage, "eth_cancelPrivateTransaction", unknown).await["result"], false);
    let mut last = 200;
    for _ in 0..60 {
        last = send_as(SEARCHER, &stage, "eth_cancelBundle", json!([{"replacementUuid": "none"}]))
            .await
            .status()
            .as_u16();
        if last == 429 {
            break;
        }
    }
    assert_eq!(last, 429);
    // Is everything there?
    let output = binary().current_dir(stage.folder.path()).arg("check").output().unwrap();
    let words = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{words}{}", String::from_utf8_lossy(&output.stderr));
    assert!(words.contains("call traces: payments are proved") && words.contains("builder titan"), "{words}");
    let missing =
        stage.http.get(format!("{}/api/v1/bundles/{}", stage.ops, B256::ZERO)).send().await.unwrap();
    assert_error(missing, 404).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_fields_own_library_sends_unchanged_but_for_the_url() {
    let (node, mut time) = chain("osaka").await;
    let (stage, builders) = bundle_stage(&node, &["flashbots", "titan"], "").await;
    let folder = std::path::PathBuf::from(std::env::var_os("RELAYMUX_DEVNET").unwrap()).join("searcher");
    let searcher = tokio::process::Command::new("node")
        .current_dir(folder)
        .args(["searcher.mjs", &node.url, &stage.bundles])
        .kill_on_drop(true)
        .output();
    let searcher = tokio::spawn(searcher);
    let sent =
        eventually("the builder to get the bundle", async || builders[1].received().first().cloned()).await;
    let raw: Vec<&str> =
        sent.fields["txs"].as_array().unwrap().iter().map(|raw| raw.as_str().unwrap()).collect();
    submit(&node, &raw).await;
    node.mine(time.next(), OTHER).await;
    let output = searcher.await.unwrap().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let said: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&said["trial"]["gas"], &said["resolution"]),
        (&json!(42_000), &json!("BundleIncluded")),
        "{said}"
    );
    assert_eq!(said["trial"]["hash"], said["hash"]);
    state(&stage, said["hash"].as_str().unwrap(), "included").await;
    state(&stage, said["second"].as_str().unwrap(), "cancel_requested").await;
}

/// [M5]
#[tokio::test(flavor = "multi_thread")]
async fn while_the_node_is_away_searchers_are_told_and_headers_are_served() {
    let (node, _) = chain("osaka").await;
    let door = Door::before(&node).await;
    door.shut(true);
    let builder = SimBuilder::start(Dialect::named("titan").unwrap(), true).await.unwrap();
    let section = format!(
        "[execution]\nurl = \"{}\"\n[bundles]\nlisten = \"127.0.0.1:0\"\nsigning_key_file = \"our.key\"\npoll_ms = 20\n\
         [[bundles.builders]]\nid = \"titan\"\nurl = \"{}\"",
        door.url,
        builder.url()
    );
    let stage = stage().relay(honest()).section(&section).file("our.key", OURS).start().await;
    let (raw, _) = account(0).pay(OTHER, 5, GWEI);
    let params = json!([{"txs": [raw]}]);
    let refused = send(&stage, "eth_sendBundle", params.clone()).await;
    let words = refused["error"]["message"].as_str().unwrap();
    assert!(words.contains("the execution node does not answer"), "{refused}");
    assert!(stage.header().await.is_some());
    door.shut(false);
    eventually("bundles to be taken", async || {
        let answer = send(&stage, "eth_sendBundle", params.clone()).await;
        answer["result"]["bundleHash"].as_str().map(str::to_owned)
    })
    .await;
    assert_eq!(builder.received().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_landed_before_a_long_absence_is_found_after_it() {
    let (node, mut time) = chain("osaka").await;
    let (mut stage, _builders) = bundle_stage(&node, &["titan"], "").await;
    let (raw, _) = account(0).pay(OTHER, 5, GWEI);
    let answer = send(&stage, "eth_sendBundle", json!([{"txs": [raw], "blockNumber": "0x2"}])).await;
    let hash = answer["result"]["bundleHash"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    fate(&stage, &hash, "sent", |bundle| bundle["sends"].get(0).is_some()).await;
    stage.kill();
    submit(&node, &[&raw]).await;
    for _ in 0..300 {
        node.mine(time.next(), BUILDER).await;
    }
    stage.start_again().await;
    let found = fate(&stage, &hash, "final", |bundle| bundle["is_final"] == true).await;
    assert_eq!((&found["state"], &found["block_number"]), (&json!("included"), &json!(2)), "{found}");
    // What it sent, and its gas: base fee and a tip of 1 gwei.
    let spent = found["gas_cost_wei"].as_str().unwrap().parse::<i128>().unwrap() + 5;
    assert_eq!(found["profit_wei"], (-spent).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_lands_though_it_was_taken_back_is_booked_to_the_wei() {
    let (node, mut time) = chain("osaka").await;
    let (stage, _builders) = bundle_stage(&node, &["titan"], "").await;
    let (mut user, mut other) = (account(0), account(2));
    let before = [
        node.balance(&user.address().to_string(), "latest").await,
        node.balance(&other.address().to_string(), "latest").await,
    ];
    let (wanted_no_more, _) = user.pay(BUILDER, 5, GWEI);
    let params = json!([{"txs": [wanted_no_more], "blockNumber": "0x2", "replacementUuid": "x"}]);
    let answer = send(&stage, "eth_sendBundle", params).await;
    let taken_back = answer["result"]["bundleHash"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    send(&stage, "eth_cancelBundle", json!([{"replacementUuid": "x"}])).await;
    let ((first, _), (second, _)) = (other.pay(BUILDER, 7, GWEI), other.pay(BUILDER, 9, GWEI));
    let answer =
        send(&stage, "eth_sendBundle", json!([{"txs": [first, second], "blockNumber": "0x2"}])).await;
    let partly = answer["result"]["bundleHash"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    submit(&node, &[&wanted_no_more, &first]).await;
    node.mine(time.next(), OTHER).await;
    let landed = state(&stage, &taken_back, "included").await;
    assert_eq!(landed["reason"], "taken back, and landed all the same");
    state(&stage, &partly, "partly_included").await;
    for _ in 0..8 {
        node.mine(time.next(), OTHER).await;
    }
    for ((hash, account), before) in [(&taken_back, &user), (&partly, &other)].into_iter().zip(before) {
        let booked = fate(&stage, hash, "final", |bundle| bundle["is_final"] == true).await;
        let now = node.balance(&account.address().to_string(), "latest").await;
        let change = i128::try_from(now).unwrap() - i128::try_from(before).unwrap();
        assert_eq!(booked["profit_wei"], change.to_string(), "{booked}");
    }
}
