//! The gateway before two nodes of geth's that follow a chain, are frozen, killed and started again, while a client of alloy's reads, sends and listens.
//!
//! A third one, which no client ever sees, is the network: a development chain with a block a second. Its blocks are given to the two others as files, and
//! which of them is final by the engine API, as a consensus client would.

use std::{path::Path, sync::Arc, time::Duration};

use alloy_primitives::hex;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use relaymux::{
    consensus::WallClock,
    relay::{TlsRoots, build_http_client},
};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    node::{Node, OTHER, free_port},
    stage::{Stage, eventually, honest, stage},
    wallet::{Library, Wallet, assert_whole},
};

const CHAIN_ID: u64 = 1337;
/// geth's own account of development chains.
const RICH: &str = "0x71562b71999873db5b286df957af199ec94617f7";
/// Blocks between the newest and what is final.
const FINAL: u64 = 4;
/// Most blocks that are given at once.
const AT_ONCE: u64 = 64;

fn quantity(value: &Value) -> u64 {
    u64::from_str_radix(value.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
}

/// Asks a node that may be gone or frozen.
#[derive(Clone)]
struct Asker {
    url: String,
    http: reqwest::Client,
    key: Option<[u8; 32]>,
}

impl Asker {
    fn of(url: &str) -> Self {
        let http = build_http_client(&TlsRoots::Bundled, None).unwrap();
        Self { url: url.to_owned(), http, key: None }
    }

    async fn ask(&self, method: &str, params: Value) -> Option<Value> {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let mut request = self.http.post(&self.url).timeout(Duration::from_secs(2)).json(&body);
        if let Some(key) = &self.key {
            request = request.header("authorization", format!("Bearer {}", token(key)));
        }
        let bytes = request.send().await.ok()?.bytes().await.ok()?;
        let mut answer: Value = serde_json::from_slice(&bytes).ok()?;
        answer.get_mut("result").map(Value::take)
    }

    /// Asks the gateway, which must answer: again as it says while it turns logs away, as the machine is short of CPU.
    async fn must(&self, method: &str, params: Value) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        for _ in 0..60 {
            let answer = self.http.post(&self.url).json(&body).send().await.unwrap();
            let is_turned_away = answer.status() == 503 && answer.headers().contains_key("retry-after");
            let mut answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
            if !is_turned_away {
                assert!(answer.get("error").is_none(), "{method} {params}: {answer}");
                return answer["result"].take();
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        panic!("{method} {params}: the gateway has been too busy for a minute");
    }

    async fn head(&self) -> Option<u64> {
        Some(quantity(&self.ask("eth_blockNumber", json!([])).await?))
    }
}

/// A token of the engine API: a JWT with the time, signed by HMAC-SHA256.
fn token(key: &[u8; 32]) -> String {
    let claims = json!({ "iat": WallClock::system().now() / 1000 }).to_string();
    let head = URL_SAFE_NO_PAD.encode(r#"{"alg":"HS256","typ":"JWT"}"#);
    let text = format!("{head}.{}", URL_SAFE_NO_PAD.encode(claims));
    let mut signature = Hmac::<Sha256>::new_from_slice(key).unwrap();
    signature.update(text.as_bytes());
    let signature = signature.finalize().into_bytes();
    format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
}

/// A node that follows, in a folder that outlives it.
struct Follower {
    node: Node,
    folder: Arc<tempfile::TempDir>,
    ports: [u16; 3],
    _fed: AbortOnDropHandle<()>,
}

impl Follower {
    async fn start(network: &Node) -> Self {
        let (folder, ports) =
            (Arc::new(tempfile::tempdir().unwrap()), [free_port(), free_port(), free_port()]);
        let genesis = concat!(env!("CARGO_MANIFEST_DIR"), "/scripts/devnet/geth.genesis.json");
        Node::geth_init(folder.path(), Path::new(genesis));
        let key = rand_key();
        std::fs::write(folder.path().join("jwt"), hex::encode(key)).unwrap();
        let node = Node::geth_follower(folder.path(), ports).await;
        let first = json!(["0x0", false]);
        assert_eq!(
            node.rpc("eth_getBlockByNumber", first.clone()).await["hash"],
            network.rpc("eth_getBlockByNumber", first).await["hash"],
            "geth's development chain has another first block than scripts/devnet/geth.genesis.json"
        );
        let engine = Asker { key: Some(key), ..Asker::of(&format!("http://127.0.0.1:{}", ports[2])) };
        let fed = feed(Asker::of(&network.url), Asker::of(&node.url), engine, Arc::clone(&folder));
        Self { node, folder, ports, _fed: AbortOnDropHandle::new(tokio::spawn(fed)) }
    }

    async fn start_again(&mut self) {
        self.node = Node::geth_follower(self.folder.path(), self.ports).await;
    }

    fn ws_url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.ports[1])
    }
}

fn rand_key() -> [u8; 32] {
    let now = WallClock::system().now().to_be_bytes();
    Sha256::new().chain_update(now).chain_update(free_port().to_be_bytes()).finalize().into()
}

/// Gives a node the network's blocks for as long as it takes them, and says which is final.
async fn feed(network: Asker, node: Asker, engine: Asker, folder: Arc<tempfile::TempDir>) {
    let file = folder.path().join("blocks");
    loop {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let _ = give(&network, &node, &engine, &file).await;
    }
}

async fn give(network: &Asker, node: &Asker, engine: &Asker, file: &Path) -> Option<()> {
    let (newest, has) = (network.head().await?, node.head().await?);
    let last = newest.min(has + AT_ONCE);
    if has >= last {
        return None;
    }
    let mut blocks = Vec::new();
    for number in has + 1..=last {
        let raw = network.ask("debug_getRawBlock", json!([format!("{number:#x}")])).await?;
        blocks.extend(hex::decode(raw.as_str()?).ok()?);
    }
    std::fs::write(file, blocks).ok()?;
    node.ask("admin_importChain", json!([file])).await?;
    let hash = async |number: u64| {
        let block = network.ask("eth_getBlockByNumber", json!([format!("{number:#x}"), false])).await?;
        Some(block["hash"].clone())
    };
    let (head, last_final) = (hash(last).await?, hash(last.saturating_sub(FINAL)).await?);
    let choice =
        json!({ "headBlockHash": head, "safeBlockHash": last_final, "finalizedBlockHash": last_final });
    engine.ask("engine_forkchoiceUpdatedV3", json!([choice, null])).await?;
    Some(())
}

async fn serve(primary: &Follower, replica: &Follower) -> (Stage, String) {
    let mut section =
        format!("[rpc]\nlisten = \"127.0.0.1:0\"\nchain_id = {CHAIN_ID}\nblock_time_ms = 1000\n");
    for (id, follower) in [("primary", primary), ("replica", replica)] {
        let (url, ws_url) = (&follower.node.url, follower.ws_url());
        section.push_str(&format!(
            "[[rpc.upstreams]]\nid = \"{id}\"\nurl = \"{url}\"\nws_url = \"{ws_url}\"\ntier = \"{id}\"\nprobe_ms = 200\n"
        ));
    }
    let stage = stage().relay(honest()).section(&section).start().await;
    let address = stage.rpc.trim_start_matches("http://").trim_end_matches('/').to_owned();
    is(&stage, ["healthy", "healthy"]).await;
    (stage, address)
}

/// Waits until both are so.
async fn is(stage: &Stage, want: [&str; 2]) {
    eventually("the upstreams to be so", async || {
        let view = stage.ops_json("/api/v1/rpc").await;
        let states: Vec<&str> =
            view["upstreams"].as_array()?.iter().filter_map(|upstream| upstream["state"].as_str()).collect();
        (states == want).then_some(())
    })
    .await;
}

/// The network, and what a client of the gateway's does with it.
struct World {
    network: Node,
    wallet: Wallet,
    gateway: Asker,
    contract: String,
    calls: Vec<Value>,
    finalized: u64,
}

impl World {
    /// The wallet calls the contract some times, and each is in a block that it hears of. What is final never goes back, and no log that it reads is gone.
    async fn goes_on(&mut self, calls: usize) -> u64 {
        let mut last = 0;
        for _ in 0..calls {
            let call = self.wallet.tell("call").await;
            last = self.mined(&call).await;
            self.wallet.hears_of(last).await;
            self.calls.push(call);
            let logs =
                json!([{ "fromBlock": "0x0", "toBlock": format!("{last:#x}"), "address": self.contract }]);
            let logs = self.gateway.must("eth_getLogs", logs).await;
            assert_eq!(logs.as_array().unwrap().len(), self.calls.len(), "{logs}");
            let finalized = self.gateway.must("eth_getBlockByNumber", json!(["finalized", false])).await;
            let number = quantity(&finalized["number"]);
            assert!(number >= self.finalized, "{number} {}", self.finalized);
            self.finalized = number;
        }
        last
    }

    /// Has the network take what the wallet sent, and answers the block that it is in.
    async fn mined(&self, sent: &Value) -> u64 {
        self.network.rpc("eth_sendRawTransaction", json!([sent["raw"]])).await;
        eventually("the network to mine it", async || {
            let receipt = self.network.rpc("eth_getTransactionReceipt", json!([sent["hash"]])).await;
            receipt.get("blockNumber").map(quantity)
        })
        .await
    }
}

/// [G22] geth, without peers, as upstreams: one freezes, one is killed and comes back with an old head, then the other is killed. A client of alloy's, over
/// HTTP and a websocket, sends, reads, and hears of every head and log once.
#[tokio::test(flavor = "multi_thread")]
async fn geth_nodes_are_frozen_killed_and_started_again() {
    let Some(network) = Node::geth().await else {
        println!("LEFT OUT: there is no geth");
        return;
    };
    let (mut primary, mut replica) = (Follower::start(&network).await, Follower::start(&network).await);
    network.pay(RICH, OTHER, 1_000_000_000_000_000_000).await;
    for node in [&primary.node, &replica.node] {
        eventually("the nodes to have what the wallet spends", async || {
            (node.balance(OTHER, "latest").await > 0).then_some(())
        })
        .await;
    }
    let (stage, address) = serve(&primary, &replica).await;
    // Without a peer, and with the newest block: that is a warning.
    let view = stage.ops_json("/api/v1/rpc").await;
    for upstream in view["upstreams"].as_array().unwrap() {
        assert!(upstream["why"].as_str().unwrap().contains("no peers"), "{view}");
    }
    let mut wallet = Wallet::start(Library::Alloy, &address, CHAIN_ID).await;
    let deployed = wallet.tell("deploy").await;
    let gateway = Asker::of(&stage.rpc);
    let mut world =
        World { network, wallet, gateway, contract: String::new(), calls: Vec::new(), finalized: 0 };
    let block = world.mined(&deployed).await;
    world.wallet.hears_of(block).await;
    let receipt = world.wallet.tell(&format!("receipt {}", deployed["hash"].as_str().unwrap())).await;
    world.contract = receipt["contract"].as_str().unwrap_or_else(|| panic!("{receipt}")).to_owned();
    world.wallet.tell(&format!("watch {}", world.contract)).await;
    world.goes_on(2).await;

    primary.node.freeze();
    world.goes_on(3).await;
    is(&stage, ["down", "healthy"]).await;
    world.goes_on(1).await;
    primary.node.thaw();
    is(&stage, ["healthy", "healthy"]).await;

    // Killed, it loses the newest blocks, and has an old head when it is back.
    replica.node.die();
    world.goes_on(2).await;
    replica.start_again().await;
    world.goes_on(1).await;
    is(&stage, ["healthy", "healthy"]).await;

    primary.node.die();
    let last = world.goes_on(2).await;
    let seen = world.wallet.saw(world.calls.len()).await;
    assert_whole(&seen, last, &world.calls);
}
