//! Real execution nodes as children, and a door in front of one that can be shut or can refuse methods.

use std::{
    collections::BTreeSet,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU16, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Bytes, extract::State, http::StatusCode, response::IntoResponse, routing::post};
use relaymux::{
    relay::{TlsRoots, build_http_client},
    serve::Listener,
};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::stage::eventually;

/// Development accounts of anvil, all rich.
pub(crate) const BUILDER: &str = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
pub(crate) const USER: &str = "0x70997970c51812dc3a010c7d01b50e0d17dc79c8";
pub(crate) const OTHER: &str = "0x3c44cdddb6a900fa2b585dd299e03d12fa4293bc";
/// Whom the simulated proposer registers.
pub(crate) const US: &str = "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";

fn program(name: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("RELAYMUX_DEVNET").expect("RELAYMUX_DEVNET: run scripts/devnet/run");
    let folder = PathBuf::from(folder);
    let path = match name {
        "anvil" => {
            let modules = folder.join("anvil/node_modules/@foundry-rs");
            let found =
                std::fs::read_dir(modules).ok()?.flatten().map(|entry| entry.path().join("bin/anvil"));
            found.into_iter().find(|path| path.exists())?
        }
        other => folder.join("geth").join(other),
    };
    path.exists().then_some(path)
}

pub(crate) struct Node {
    child: Child,
    pub(crate) url: String,
    http: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A port for a program that cannot pick its own: below those that the system hands out, so that nobody else in this run gets it.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let start = 20_000 + u16::try_from(std::process::id() % 100).unwrap() * 100;
    loop {
        let port = start + NEXT.fetch_add(1, Ordering::Relaxed) % 100;
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

impl Node {
    /// Stops it where it stands: its connections stay open, and nobody answers on them.
    pub(crate) fn freeze(&self) {
        self.signal("-STOP");
    }

    /// Lets it go on.
    pub(crate) fn thaw(&self) {
        self.signal("-CONT");
    }

    /// Kills it, without a word to anybody.
    pub(crate) fn die(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// The address of its websocket.
    pub(crate) fn ws_url(&self) -> String {
        self.url.replacen("http", "ws", 1)
    }

    async fn start(mut command: Command, port: u16, folder: tempfile::TempDir) -> Self {
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child =
            command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        let http = build_http_client(&TlsRoots::Bundled, None).unwrap();
        let node = Self { child, url: format!("http://127.0.0.1:{port}"), http, _folder: folder };
        eventually("the node to answer", async || {
            let body = json!({"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []});
            node.http.post(&node.url).json(&body).send().await.ok()
        })
        .await;
        node
    }

    /// Anvil whose first block was at a time; mines when it is told to, transactions in the order they come.
    pub(crate) async fn anvil(genesis: i64, more: &[&str]) -> Self {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let mut command = Command::new(program("anvil").expect("anvil: run scripts/devnet/run"));
        command.current_dir(folder.path()).args([
            "--port",
            &port.to_string(),
            "--timestamp",
            &genesis.to_string(),
        ]);
        command.args(["--no-mining", "--order", "fifo", "--auto-impersonate", "--quiet"]).args(more);
        Self::start(command, port, folder).await
    }

    /// A development chain of geth with a block a second; `None` where geth could not be installed.
    pub(crate) async fn geth() -> Option<Self> {
        Self::geth_with(&["--dev.period", "1"]).await
    }

    /// The same, with a block when there is a transaction.
    pub(crate) async fn resting_geth() -> Option<Self> {
        Self::geth_with(&[]).await
    }

    async fn geth_with(more: &[&str]) -> Option<Self> {
        let (port, folder) = (free_port(), tempfile::tempdir().unwrap());
        let mut command = Command::new(program("geth")?);
        command.args(more);
        command.args([
            "--dev",
            "--http",
            "--http.api",
            "eth,debug,dev,net",
            "--http.port",
            &port.to_string(),
        ]);
        command.args(["--ipcdisable", "--authrpc.port", &free_port().to_string(), "--port", "0"]);
        command.arg("--datadir").arg(folder.path());
        Some(Self::start(command, port, folder).await)
    }

    /// A node of geth's that has no consensus client: it has the blocks that it is given, and no peers. Its folder outlives it, so that it can be started
    /// again, at the same ports: of HTTP, of its websocket and of the engine API.
    pub(crate) async fn geth_follower(folder: &Path, ports: [u16; 3]) -> Self {
        let [http, ws, engine] = ports.map(|port| port.to_string());
        let mut command = Command::new(program("geth").expect("geth: run scripts/devnet/run"));
        command.arg("--datadir").arg(folder).args(["--networkid", "1337", "--nodiscover", "--maxpeers", "0"]);
        command.args(["--http", "--http.api", "eth,debug,net,web3,admin", "--http.port", &http]);
        command.args(["--ws", "--ws.api", "eth,net,web3", "--ws.origins", "*", "--ws.port", &ws]);
        command.args(["--ipcdisable", "--authrpc.port", &engine, "--port", "0", "--syncmode", "full"]);
        command.arg("--authrpc.jwtsecret").arg(folder.join("jwt"));
        Self::start(command, ports[0], tempfile::tempdir().unwrap()).await
    }

    /// Writes a chain's first block into the folder of a node that was never started.
    pub(crate) fn geth_init(folder: &Path, genesis: &Path) {
        let mut command = Command::new(program("geth").expect("geth: run scripts/devnet/run"));
        command.arg("--datadir").arg(folder).arg("init").arg(genesis);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    pub(crate) async fn try_rpc(&self, method: &str, params: Value) -> Result<Value, Value> {
        let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
        let answer = self.http.post(&self.url).json(&body).send().await.unwrap();
        let mut answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        if answer.get("error").is_some() {
            return Err(answer["error"].take());
        }
        Ok(answer["result"].take())
    }

    pub(crate) async fn rpc(&self, method: &str, params: Value) -> Value {
        self.try_rpc(method, params.clone())
            .await
            .unwrap_or_else(|error| panic!("{method} {params}: {error}"))
    }

    /// Queues a plain transfer, or a call that carries ether, with a tip of 1 gwei; its hash.
    pub(crate) async fn pay(&self, from: &str, to: &str, wei: u128) -> String {
        let hash = self
            .rpc(
                "eth_sendTransaction",
                json!([{
                    "from": from, "to": to, "value": format!("{wei:#x}"), "gas": "0x186a0",
                    "maxFeePerGas": "0x2540be400", "maxPriorityFeePerGas": "0x3b9aca00",
                }]),
            )
            .await;
        hash.as_str().unwrap().to_owned()
    }

    /// Mines what is queued into a block at a time, its fees to `coinbase`; the block.
    pub(crate) async fn mine(&self, timestamp: u64, coinbase: &str) -> Value {
        self.rpc("anvil_setCoinbase", json!([coinbase])).await;
        self.rpc("evm_setNextBlockTimestamp", json!([timestamp])).await;
        self.rpc("evm_mine", json!([])).await;
        self.rpc("eth_getBlockByNumber", json!(["latest", true])).await
    }

    pub(crate) async fn balance(&self, address: &str, block: &str) -> u128 {
        let balance = self.rpc("eth_getBalance", json!([address, block])).await;
        u128::from_str_radix(balance.as_str().unwrap().trim_start_matches("0x"), 16).unwrap()
    }

    /// The raw transactions of a block.
    pub(crate) async fn raw_transactions(&self, block: &Value) -> Vec<String> {
        let mut raw = Vec::new();
        for transaction in block["transactions"].as_array().unwrap() {
            let bytes = self.rpc("eth_getRawTransactionByHash", json!([transaction["hash"]])).await;
            raw.push(bytes.as_str().unwrap().to_owned());
        }
        raw
    }
}

/// A contract that passes on what it gets. `PUSH1 0` four times, `CALLVALUE`, `PUSH20 to`, `GAS`, `CALL`, `STOP`.
pub(crate) fn forwarder(to: &str) -> String {
    format!("0x60006000600060003473{}5af100", to.trim_start_matches("0x"))
}

#[derive(Clone, Default)]
struct Refusals {
    methods: Arc<Mutex<BTreeSet<&'static str>>>,
    is_shut: Arc<Mutex<bool>>,
    calls: Arc<Mutex<Vec<String>>>,
}

/// A door in front of a node.
pub(crate) struct Door {
    pub(crate) url: String,
    refusals: Refusals,
    stop: CancellationToken,
}

impl Drop for Door {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Door {
    pub(crate) async fn before(node: &Node) -> Self {
        let (upstream, http, refusals) = (node.url.clone(), node.http.clone(), Refusals::default());
        let pass = move |State(refusals): State<Refusals>, body: Bytes| async move {
            if *refusals.is_shut.lock().unwrap() {
                return StatusCode::BAD_GATEWAY.into_response();
            }
            let asked: Value = serde_json::from_slice(&body).unwrap();
            let method = asked["method"].as_str().unwrap_or_default().to_owned();
            refusals.calls.lock().unwrap().push(method.clone());
            if refusals.methods.lock().unwrap().contains(method.as_str()) {
                // As geth says it of a namespace that is off, and of state that it has pruned.
                let error = if method == "eth_getBalance" {
                    json!({"code": -32000, "message": "missing trie node 1f… (path ) state 0x9a… is not available"})
                } else {
                    json!({"code": -32601, "message": format!("the method {method} does not exist/is not available")})
                };
                return axum::Json(json!({"jsonrpc": "2.0", "id": asked["id"], "error": error}))
                    .into_response();
            }
            let answer =
                http.post(&upstream).header("content-type", "application/json").body(body).send().await;
            answer.unwrap().bytes().await.unwrap().into_response()
        };
        let router = Router::new().route("/", post(pass)).with_state(refusals.clone());
        let listener = Listener::bind("door", SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let (url, stop) = (format!("http://{}", listener.address()), CancellationToken::new());
        tokio::spawn(listener.serve(router, stop.clone(), Duration::ZERO));
        Self { url, refusals, stop }
    }

    pub(crate) fn refuse(&self, methods: &[&'static str]) {
        *self.refusals.methods.lock().unwrap() = methods.iter().copied().collect();
    }

    pub(crate) fn shut(&self, is_shut: bool) {
        *self.refusals.is_shut.lock().unwrap() = is_shut;
    }
}
