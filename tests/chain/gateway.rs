//! The gateway before two nodes of one chain that are killed and frozen, while a wallet reads, sends and listens through it.

use alloy_primitives::{hex, keccak256};
use relaymux::consensus::WallClock;
use serde_json::{Value, json};

use crate::{
    node::{Node, US},
    stage::{Stage, eventually, honest, stage},
    wallet::{Library, Wallet, assert_whole},
};

/// Two nodes that are told the same, and so have the same blocks.
struct Pair {
    primary: Node,
    replica: Node,
    /// Times of the blocks that the primary has not been told to mine.
    missed: Vec<u64>,
    timestamp: u64,
}

impl Pair {
    async fn start() -> Self {
        // Their first block is new enough to serve, and old enough for all blocks of a test to be before now.
        let genesis = WallClock::system().now() / 1000 - 40;
        let chain = ["--chain-id", "31337"];
        let (primary, replica) = (Node::anvil(genesis, &chain).await, Node::anvil(genesis, &chain).await);
        Self { primary, replica, missed: Vec::new(), timestamp: u64::try_from(genesis).unwrap() }
    }

    fn next_time(&mut self) -> u64 {
        self.timestamp =
            (self.timestamp + 1).max(u64::try_from(WallClock::system().now() / 1000).unwrap() - 20);
        self.timestamp
    }

    /// Mines a block on both.
    async fn mine(&mut self) -> Value {
        let time = self.next_time();
        let (first, second) = (self.primary.mine(time, US).await, self.replica.mine(time, US).await);
        assert_eq!(first["hash"], second["hash"], "the two nodes are of one chain");
        second
    }

    /// Mines a block on the replica alone.
    async fn mine_on_replica(&mut self) -> Value {
        let time = self.next_time();
        self.missed.push(time);
        self.replica.mine(time, US).await
    }

    /// Waits until both have a transaction that was sent to one address.
    async fn both_have(&self, hash: &str) {
        for node in [&self.primary, &self.replica] {
            has(node, hash).await;
        }
    }
}

async fn has(node: &Node, hash: &str) {
    eventually("the node to have the transaction", async || {
        let found = node.rpc("eth_getTransactionByHash", json!([hash])).await;
        (!found.is_null()).then_some(())
    })
    .await;
}

/// Has a node forget what waits, but for one transaction: what was sent to it while it stood still comes all at once, and each goes into the block
/// that the other node has it in.
async fn has_only(node: &Node, raw: &Value) {
    let hash = keccak256(hex::decode(raw.as_str().unwrap()).unwrap()).to_string();
    let mut calm = 0;
    eventually("the node to have one transaction alone", async || {
        let content = node.rpc("txpool_content", json!([])).await;
        let waiting: Vec<String> = ["pending", "queued"]
            .iter()
            .flat_map(|part| content[part].as_object().into_iter().flatten())
            .flat_map(|(_, of)| of.as_object().into_iter().flatten())
            .map(|(_, transaction)| transaction["hash"].as_str().unwrap().to_owned())
            .collect();
        if waiting == [hash.clone()] {
            calm += 1;
            return (calm > 10).then_some(());
        }
        calm = 0;
        node.rpc("anvil_dropAllTransactions", json!([])).await;
        let _ = node.try_rpc("eth_sendRawTransaction", json!([raw])).await;
        None
    })
    .await;
}

async fn serve(pair: &Pair, more: &str) -> (Stage, String) {
    let section = format!(
        "[rpc]\nlisten = \"127.0.0.1:0\"\nchain_id = 31337\n{more}\n[[rpc.upstreams]]\nid = \"primary\"\nurl = \"{}\"\nws_url = \"{}\"\n\
         tier = \"primary\"\nprobe_ms = 200\n[[rpc.upstreams]]\nid = \"replica\"\nurl = \"{}\"\nws_url = \"{}\"\n\
         tier = \"replica\"\nprobe_ms = 200\n",
        pair.primary.url,
        pair.primary.ws_url(),
        pair.replica.url,
        pair.replica.ws_url()
    );
    let stage = stage().relay(honest()).section(&section).start().await;
    let ports = std::fs::read(stage.folder.path().join("ports.json")).unwrap();
    let ports: Value = serde_json::from_slice(&ports).unwrap();
    let address = ports["rpc"].as_str().expect("the gateway's address in the ports file").to_owned();
    eventually("both upstreams to serve", async || {
        let view = stage.ops_json("/api/v1/rpc").await;
        let states: Vec<&str> =
            view["upstreams"].as_array()?.iter().filter_map(|upstream| upstream["state"].as_str()).collect();
        (states == ["healthy", "healthy"]).then_some(())
    })
    .await;
    (stage, address)
}

fn number(block: &Value) -> u64 {
    u64::from_str_radix(block["number"].as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// [G11] A wallet, a subscription of heads and one of logs, through a node that freezes, one that comes back, and one that is killed: none of them
/// notices. Every head and every log comes once, in order; no read fails; what was told of the head never goes backwards.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_die_all_day_and_no_client_notices() {
    nodes_die_before(Library::Ethers).await;
}

/// [G11] The same before the library that Rust programs have.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_die_all_day_and_no_client_of_alloy_s_notices() {
    nodes_die_before(Library::Alloy).await;
}

async fn nodes_die_before(library: Library) {
    let mut pair = Pair::start().await;
    pair.mine().await;
    let (_stage, address) = serve(&pair, "").await;
    let mut wallet = Wallet::start(library, &address, 31337).await;
    // A contract that logs, mined by both.
    let deployed = wallet.tell("deploy").await;
    pair.both_have(deployed["hash"].as_str().unwrap()).await;
    let first = pair.mine().await;
    wallet.hears_of(number(&first)).await;
    let receipt = wallet.tell(&format!("receipt {}", deployed["hash"].as_str().unwrap())).await;
    let contract = receipt["contract"].as_str().unwrap_or_else(|| panic!("{receipt}")).to_owned();
    wallet.tell(&format!("watch {contract}")).await;
    let mut calls = Vec::new();
    let mut last = first.clone();
    // All is well.
    for _ in 0..3 {
        let call = wallet.tell("call").await;
        pair.both_have(call["hash"].as_str().unwrap()).await;
        calls.push(call);
        last = pair.mine().await;
    }
    wallet.hears_of(number(&last)).await;
    // The primary freezes.
    pair.primary.freeze();
    for _ in 0..3 {
        let call = wallet.tell("call").await;
        has(&pair.replica, call["hash"].as_str().unwrap()).await;
        calls.push(call);
        last = pair.mine_on_replica().await;
        wallet.hears_of(number(&last)).await;
    }
    // It comes back, and catches up, one block after the other.
    pair.primary.thaw();
    let raw: Vec<Value> = calls[3..].iter().map(|call| call["raw"].clone()).collect();
    for (time, raw) in std::mem::take(&mut pair.missed).into_iter().zip(raw) {
        has_only(&pair.primary, &raw).await;
        pair.primary.mine(time, US).await;
    }
    let (behind, ahead) = (
        pair.primary.rpc("eth_getBlockByNumber", json!(["latest", false])).await,
        pair.replica.rpc("eth_getBlockByNumber", json!(["latest", false])).await,
    );
    assert_eq!(behind["hash"], ahead["hash"], "the primary caught up");
    for _ in 0..2 {
        let call = wallet.tell("call").await;
        pair.both_have(call["hash"].as_str().unwrap()).await;
        calls.push(call);
        last = pair.mine().await;
    }
    wallet.hears_of(number(&last)).await;
    // The replica, which serves until the primary has proved itself, is killed; or it is not asked, and nobody notices either.
    pair.replica.freeze();
    for _ in 0..2 {
        let time = pair.next_time();
        let call = wallet.tell("call").await;
        has(&pair.primary, call["hash"].as_str().unwrap()).await;
        calls.push(call);
        last = pair.primary.mine(time, US).await;
        wallet.hears_of(number(&last)).await;
    }
    pair.replica.die();
    let time = pair.next_time();
    last = pair.primary.mine(time, US).await;
    wallet.hears_of(number(&last)).await;

    // Every log was told, once.
    let seen = wallet.saw(calls.len()).await;
    assert!(
        seen["reads"]["http"].as_u64() > Some(20) && seen["reads"]["websocket"].as_u64() > Some(20),
        "{seen}"
    );
    assert!(seen["heads"][0].as_u64() <= Some(number(&first)), "{seen}");
    assert_whole(&seen, number(&last), &calls);
}
