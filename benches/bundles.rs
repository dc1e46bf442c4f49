//! What bundles cost, and what they cost the path to the consensus client. `scripts/bench bundles` starts it.
//!
//! The real process on loopback, with simulated builders and relays in this one, so that the load generator, the builders, the relays and
//! the service share the machine's cores. Loads are bounded in count and time.

#![allow(
    clippy::cast_precision_loss,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it fails by panicking and speaks to its user"
)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark fails by panicking and speaks to its user"
)]

use std::{
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy_consensus::{SignableTransaction, TxEip1559, TxEnvelope};
use alloy_eips::eip2718::Encodable2718;
use alloy_primitives::{Address, B256, Bytes, Signature, TxKind, U256, hex};
use axum::{Json, Router, routing::post};
use relaymux::{
    bundles::{BundleKey, Dialect, Signed},
    consensus::{ChainSpec, Encoding, WallClock, parse_spec_file},
    relay::{TlsRoots, build_http_client},
    serve::Listener,
    sim::{Behaviour, SimBuilder, SimProposer, SimRelay, SimRelayParts},
    types::Slot,
};
use secp256k1::{Message, SECP256K1, SecretKey};
use serde_json::{Value, json};
use tokio::time::{Instant, interval, sleep};
use tokio_util::sync::CancellationToken;

const KEY: &str = "2222222222222222222222222222222222222222222222222222222222222222";
/// Bundles per latency measurement.
const BUNDLES: usize = 400;
/// Headers a second beside them.
const HEADER_RATE: u64 = 200;
/// Length of a load.
const LOAD: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() {
    bundles().await;
}

fn percentile(sorted: &[Duration], percent: usize) -> Duration {
    sorted
        .get((sorted.len() * percent / 100).min(sorted.len().saturating_sub(1)))
        .copied()
        .unwrap_or_default()
}

fn ms(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}

/// A request with its signature, made before the clock runs.
struct Ready {
    body: String,
    signature: String,
}

/// Bundles of three transactions of three accounts each, all different.
fn ready(count: usize, first: usize) -> Vec<Ready> {
    let searcher = BundleKey::parse(KEY).unwrap();
    let accounts: Vec<SecretKey> = (1..=3_u8).map(|n| SecretKey::from_byte_array([n; 32]).unwrap()).collect();
    let raw = |key: &SecretKey, nonce: u64| {
        let tx = TxEip1559 {
            chain_id: 1,
            nonce,
            gas_limit: 200_000,
            max_fee_per_gas: 1_000_000_000_000,
            max_priority_fee_per_gas: 1,
            to: TxKind::Call(Address::repeat_byte(9)),
            value: U256::from(5),
            access_list: Default::default(),
            input: Bytes::from(vec![7; 100]),
        };
        let message = Message::from_digest(tx.signature_hash().0);
        let signature = Signature::from(SECP256K1.sign_ecdsa_recoverable(message, key));
        hex::encode_prefixed(TxEnvelope::from(tx.into_signed(signature)).encoded_2718())
    };
    let bundle = |n: usize| {
        let txs: Vec<String> = accounts.iter().map(|key| raw(key, n as u64)).collect();
        let params = json!([{ "txs": txs, "blockNumber": "0x65" }]);
        let body =
            json!({"jsonrpc": "2.0", "id": 1, "method": "eth_sendBundle", "params": params}).to_string();
        let signature = searcher.header(Signed::HashText, body.as_bytes());
        Ready { body, signature }
    };
    (first..first + count).map(bundle).collect()
}

/// An execution node that stands at block 100.
async fn node() -> (String, CancellationToken) {
    let answer = |body: Json<Value>| async move {
        let block = json!({
            "number": "0x64", "hash": B256::repeat_byte(1), "parentHash": B256::ZERO, "miner": Address::ZERO,
            "timestamp": format!("{:#x}", WallClock::system().now() / 1000), "gasUsed": "0x0", "transactions": [],
        });
        let result = match body["method"].as_str().unwrap_or_default() {
            "eth_chainId" => json!("0x1"),
            "eth_getTransactionCount" => json!("0x0"),
            "eth_getBlockByNumber" if body["params"][0] == "finalized" => Value::Null,
            _ => block,
        };
        Json(json!({"jsonrpc": "2.0", "id": 1, "result": result}))
    };
    serve(Router::new().route("/", post(answer))).await
}

async fn serve(router: Router) -> (String, CancellationToken) {
    let listener = Listener::bind("bench", ([127, 0, 0, 1], 0).into()).unwrap();
    let (url, stop) = (format!("http://{}", listener.address()), CancellationToken::new());
    tokio::spawn(listener.serve(router, stop.clone(), Duration::ZERO));
    (url, stop)
}

struct Service {
    child: Child,
    builder: String,
    bundles: String,
    _folder: tempfile::TempDir,
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spec() -> ChainSpec {
    let genesis = WallClock::system().now() / 1000 - 1200;
    let mut yaml = format!(
        "PRESET_BASE: 'mainnet'\nGENESIS_TIME: {genesis}\nGENESIS_FORK_VERSION: 0x00000001\nSECONDS_PER_SLOT: 12\n"
    );
    for (index, name) in ["ALTAIR", "BELLATRIX", "CAPELLA", "DENEB", "ELECTRA", "FULU"].iter().enumerate() {
        yaml.push_str(&format!("{name}_FORK_EPOCH: 0\n{name}_FORK_VERSION: 0x0{}000001\n", index + 2));
    }
    std::fs::write(std::env::temp_dir().join(format!("relaymux-bench-{}.yaml", std::process::id())), &yaml)
        .unwrap();
    parse_spec_file(&yaml).unwrap()
}

async fn service(relays: &[SimRelay], builders: &[SimBuilder], node: &str) -> Service {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let yaml = std::env::temp_dir().join(format!("relaymux-bench-{}.yaml", std::process::id()));
    std::fs::copy(yaml, path("spec.yaml")).unwrap();
    std::fs::write(path("key"), KEY).unwrap();
    std::fs::set_permissions(path("key"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let mut config = format!(
        "network = \"spec.yaml\"\ndata_dir = \"{}\"\n[builder_api]\nlisten = \"127.0.0.1:0\"\n[ops]\nlisten = \"127.0.0.1:0\"\n\
         [execution]\nurl = \"{node}\"\n[profit]\nregistrations_every_secs = 0\n[bundles]\nlisten = \"127.0.0.1:0\"\n\
         signing_key_file = \"key\"\nsimulate = false\nrate_per_searcher = 0\n",
        path("data").display()
    );
    for (n, builder) in builders.iter().enumerate() {
        config.push_str(&format!(
            "[[bundles.builders]]\nid = \"b{n}\"\nurl = \"{}\"\ndialect = \"{}\"\nmax_requests_per_second = 0\n",
            builder.url(),
            DIALECTS_USED[n % DIALECTS_USED.len()]
        ));
    }
    for (n, relay) in relays.iter().enumerate() {
        config.push_str(&format!("[[relays]]\nid = \"r{n}\"\nurl = \"{}\"\n", relay.url()));
    }
    std::fs::write(path("relays.toml"), config).unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_relaymux"))
        .current_dir(folder.path())
        .args(["run", "--ports-file", "ports.json", "--log", "warn"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let ports: Value = loop {
        if let Some(ports) =
            std::fs::read(path("ports.json")).ok().and_then(|text| serde_json::from_slice(&text).ok())
        {
            break ports;
        }
        sleep(Duration::from_millis(10)).await;
    };
    let url = |name: &str| format!("http://{}", ports[name].as_str().unwrap());
    Service { child, builder: url("builder"), bundles: url("bundles"), _folder: folder }
}

/// What the builders speak, in turn: three ways of saying the same, so three signatures a bundle.
const DIALECTS_USED: [&str; 3] = ["flashbots", "titan", "buildernet"];

async fn sim_builders(count: usize, keeps: bool) -> Vec<SimBuilder> {
    let mut builders = Vec::new();
    for n in 0..count {
        let dialect = Dialect::named(DIALECTS_USED[n % DIALECTS_USED.len()]).unwrap();
        builders.push(SimBuilder::start(dialect, keeps).await.unwrap());
    }
    builders
}

async fn send(http: &reqwest::Client, url: &str, bundle: &Ready) -> bool {
    let request = http
        .post(url)
        .header("content-type", "application/json")
        .header("x-flashbots-signature", &bundle.signature);
    let Ok(answer) = request.body(bundle.body.clone()).send().await else { return false };
    answer.text().await.is_ok_and(|text| text.contains("bundleHash"))
}

async fn wait_for_head(http: &reqwest::Client, url: &str) {
    loop {
        if let Ok(answer) = http.get(format!("{url}/healthz")).send().await
            && answer.text().await.is_ok_and(|text| text.contains("\"ok\":true"))
        {
            return;
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn bundles() {
    let spec = spec();
    let (node, _stop) = node().await;
    let http = build_http_client(&TlsRoots::Bundled, None).unwrap();
    println!(
        "bundles of 3 transactions: from the searcher's request to the last builder's having read its own"
    );
    println!("{:>9} {:>11} {:>11} {:>16} {:>16}", "builders", "p50", "p99", "answered p50", "answered p99");
    for count in [1, 5, 10] {
        let builders = sim_builders(count, true).await;
        let relay = SimRelay::start_forgetful(SimRelayParts {
            spec: spec.clone(),
            seed: 0,
            behaviour: Behaviour::default(),
        })
        .await
        .unwrap();
        let service = service(&[relay], &builders, &node).await;
        wait_for_head(&http, &service.bundles).await;
        let (mut to_socket, mut answered) = (Vec::new(), Vec::new());
        for (n, bundle) in ready(BUNDLES + 20, 0).iter().enumerate() {
            let started = Instant::now();
            assert!(send(&http, &service.bundles, bundle).await);
            answered.push(started.elapsed());
            while builders.iter().any(|builder| builder.count() <= n as u64) {
                tokio::task::yield_now().await;
            }
            let last = builders.iter().map(|builder| builder.received().last().unwrap().at).max().unwrap();
            to_socket.push(last - started);
        }
        // The first open the connections.
        let sorted = |list: Vec<Duration>| {
            let mut list: Vec<Duration> = list.into_iter().skip(20).collect();
            list.sort_unstable();
            list
        };
        let (to_socket, answered) = (sorted(to_socket), sorted(answered));
        println!(
            "{count:>9} {:>11} {:>11} {:>16} {:>16}",
            ms(percentile(&to_socket, 50)),
            ms(percentile(&to_socket, 99)),
            ms(percentile(&answered, 50)),
            ms(percentile(&answered, 99)),
        );
    }
    println!(
        "\n8 relays' headers (200 a second), alone and beside bundles of 3 transactions to 5 builders, 10 s each"
    );
    println!(
        "{:>15} {:>13} {:>11} {:>11} {:>11} {:>14}",
        "bundles wanted", "taken /s", "sends /s", "header p50", "header p99", "bundle p99"
    );
    let mut alone = None;
    for rate in [0_usize, 250, 500, 750, 1000, 1250] {
        let builders = sim_builders(5, false).await;
        let mut relays = Vec::new();
        for seed in 0..8 {
            let parts = SimRelayParts { spec: spec.clone(), seed, behaviour: Behaviour::default() };
            relays.push(SimRelay::start_forgetful(parts).await.unwrap());
        }
        let service = service(&relays, &builders, &node).await;
        wait_for_head(&http, &service.bundles).await;
        let (headers, taken, mut took) = load(&spec, &http, (&service, &relays), rate).await;
        let sends: u64 = builders.iter().map(SimBuilder::count).sum();
        took.sort_unstable();
        let (p50, p99) = (percentile(&headers, 50), percentile(&headers, 99));
        let against = *alone.get_or_insert(p99);
        println!(
            "{rate:>15} {:>13.0} {:>11.0} {:>11} {:>11} {:>14}   header p99 {:.2} x alone",
            taken as f64 / LOAD.as_secs_f64(),
            sends as f64 / LOAD.as_secs_f64(),
            ms(p50),
            ms(p99),
            if rate == 0 { String::new() } else { ms(percentile(&took, 99)) },
            p99.as_secs_f64() / against.as_secs_f64(),
        );
    }
}

/// The URLs of headers that nobody asked for before: two requests for one block share an auction. The relays have signed their bids for
/// them already, so that this costs no time in the load.
fn header_urls(spec: &ChainSpec, relays: &[SimRelay], service: &Service, count: u64) -> Vec<String> {
    let http = build_http_client(&TlsRoots::Bundled, None).unwrap();
    let proposer = SimProposer::new(spec.clone(), service.builder.clone(), http, 4, Encoding::Ssz);
    let next = spec.clock().slot_at(WallClock::system().now()).as_u64() + 2;
    let asks: Vec<(Slot, B256)> =
        (0..count).map(|n| (Slot::new(next + n), B256::from(U256::from(n + 1) << 8))).collect();
    std::thread::scope(|scope| {
        for part in asks.chunks(asks.len().div_ceil(2)) {
            let proposer = &proposer;
            scope.spawn(move || {
                for ((slot, parent), relay) in
                    part.iter().flat_map(|ask| relays.iter().map(move |relay| (ask, relay)))
                {
                    relay.prepare(*slot, *parent, proposer.proposer(*slot));
                }
            });
        }
    });
    let url = |(slot, parent): (Slot, B256)| {
        format!("{}/eth/v1/builder/header/{slot}/{parent}/{}", service.builder, proposer.proposer(slot))
    };
    asks.into_iter().map(url).collect()
}

/// Headers at 200 a second, each another one, and bundles at a rate, both open-loop; sorted header times, bundles taken, their times.
async fn load(
    spec: &ChainSpec,
    http: &reqwest::Client,
    (service, relays): (&Service, &[SimRelay]),
    rate: usize,
) -> (Vec<Duration>, u64, Vec<Duration>) {
    let mut urls = header_urls(spec, relays, service, HEADER_RATE * LOAD.as_secs() + 1).into_iter();
    let bundles = Arc::new(ready(rate * usize::try_from(LOAD.as_secs()).unwrap(), 0));
    let header = |http: reqwest::Client, url: String| async move {
        let request =
            http.get(url).header("accept", "application/octet-stream").timeout(Duration::from_secs(2));
        let Ok(answer) = request.send().await else { return false };
        answer.status().as_u16() == 200 && answer.bytes().await.is_ok()
    };
    header(http.clone(), urls.next().unwrap()).await;
    let taken = Arc::new(AtomicU64::new(0));
    // Room for all of them: the load never waits for its own measurement.
    let (headers_done, mut headers) = tokio::sync::mpsc::channel(urls.len());
    let (bundles_done, mut took) = tokio::sync::mpsc::channel(bundles.len().max(1));
    let until = Instant::now() + LOAD;
    let header_load = tokio::spawn({
        let http = http.clone();
        async move {
            let mut tick = interval(Duration::from_millis(1000 / HEADER_RATE));
            for url in urls {
                let due = tick.tick().await;
                let (http, done) = (http.clone(), headers_done.clone());
                tokio::spawn(async move {
                    if header(http, url).await {
                        let _ = done.try_send(due.elapsed());
                    }
                });
            }
        }
    });
    let bundle_load = tokio::spawn({
        let (http, url, taken) = (http.clone(), service.bundles.clone(), Arc::clone(&taken));
        async move {
            if rate == 0 {
                return;
            }
            let mut tick = interval(Duration::from_secs(1) / u32::try_from(rate).unwrap());
            for n in 0..bundles.len() {
                let due = tick.tick().await;
                if Instant::now() >= until {
                    return;
                }
                let (http, url, taken, bundles, done) = (
                    http.clone(),
                    url.clone(),
                    Arc::clone(&taken),
                    Arc::clone(&bundles),
                    bundles_done.clone(),
                );
                tokio::spawn(async move {
                    if send(&http, &url, &bundles[n]).await {
                        taken.fetch_add(1, Ordering::Relaxed);
                        let _ = done.try_send(due.elapsed());
                    }
                });
            }
        }
    });
    let _ = (header_load.await, bundle_load.await);
    sleep(Duration::from_secs(1)).await;
    let (mut header_times, mut bundle_times) = (Vec::new(), Vec::new());
    while let Ok(time) = headers.try_recv() {
        header_times.push(time);
    }
    while let Ok(time) = took.try_recv() {
        bundle_times.push(time);
    }
    header_times.sort_unstable();
    (header_times, taken.load(Ordering::Relaxed), bundle_times)
}
