//! What bundles, settlement and reports cost. `scripts/bench bundles settle ledger` starts it.
//!
//! `bundles`: the real process on loopback, with simulated builders and relays in this one, so that the load generator, the builders, the
//! relays and the service share the machine's cores. `settle`: anvil's blocks, where it is installed (`scripts/devnet/run` does that).
//! `ledger`: a year of every slot. All are bounded in count and time.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a benchmark fails by panicking and speaks to its user"
)]

use std::{
    path::{Path, PathBuf},
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
use k256::ecdsa::SigningKey;
use relaymux::{
    bundles::{BundleKey, Dialect, Signed},
    consensus::{ChainSpec, Encoding, SlotClock, WallClock, parse_spec_file},
    ethereum::ExecutionNode,
    events::{AuctionRecord, Event, OfferRecord, Outcome, Spine, Winner},
    ledger::{Ledger, Settled, run_writer},
    profit::{By, ProfitSettings, ReportQuery, Reporter, Watcher, WatcherParts, rebuild_days},
    relay::{SharedRelays, TlsRoots, build_http_client},
    serve::Listener,
    sim::{Behaviour, SimBuilder, SimProposer, SimRelay, SimRelayParts},
    types::{RelayId, Slot, Wei},
};
use serde_json::{Value, json};
use tokio::time::{Instant, interval, sleep};
use tokio_util::sync::CancellationToken;

const KEY: &str = "2222222222222222222222222222222222222222222222222222222222222222";
/// Bundles per latency measurement.
const BUNDLES: usize = 400;
/// Length of a load.
const LOAD: Duration = Duration::from_secs(10);
/// Slots of a year.
const YEAR: i64 = 365 * 7200;
/// Slots of a day.
const DAY: i64 = 7200;

#[tokio::main]
async fn main() {
    let parts: Vec<String> = std::env::args().skip(1).filter(|part| !part.starts_with("--")).collect();
    let wants = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    if wants("bundles") {
        bundles().await;
    }
    if wants("settle") {
        settle().await;
    }
    if wants("ledger") {
        ledger().await;
    }
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
    let accounts: Vec<SigningKey> = (1..=3_u8).map(|n| SigningKey::from_slice(&[n; 32]).unwrap()).collect();
    let raw = |key: &SigningKey, nonce: u64| {
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
        let (signature, recovery) = key.sign_prehash_recoverable(tx.signature_hash().as_slice()).unwrap();
        let bytes = signature.to_bytes();
        let (r, s) = bytes.split_at(32);
        let signature = Signature::new(U256::from_be_slice(r), U256::from_be_slice(s), recovery.is_y_odd());
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
            "timestamp": format!("{:#x}", WallClock.now() / 1000), "gasUsed": "0x0", "transactions": [],
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
    let listener = Listener::bind("bench", ([127, 0, 0, 1], 0).into()).await.unwrap();
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
    let genesis = WallClock.now() / 1000 - 1200;
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
        let (headers, taken, mut took) = load(&spec, &http, &service, rate).await;
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

/// Headers at 200 a second, and bundles at a rate, both open-loop; sorted header times, bundles taken, their times.
async fn load(
    spec: &ChainSpec,
    http: &reqwest::Client,
    service: &Service,
    rate: usize,
) -> (Vec<Duration>, u64, Vec<Duration>) {
    let bundles = Arc::new(ready(rate * usize::try_from(LOAD.as_secs()).unwrap(), 0));
    let proposer =
        Arc::new(SimProposer::new(spec.clone(), service.builder.clone(), http.clone(), 4, Encoding::Ssz));
    let slot = Slot::new(spec.clock().slot_at(WallClock.now()).as_u64() + 1);
    let _ = proposer.get_header(slot, B256::repeat_byte(0x11), Duration::from_secs(2)).await;
    let taken = Arc::new(AtomicU64::new(0));
    let (headers_done, mut headers) = tokio::sync::mpsc::unbounded_channel();
    let (bundles_done, mut took) = tokio::sync::mpsc::unbounded_channel();
    let until = Instant::now() + LOAD;
    let header_load = tokio::spawn({
        let proposer = Arc::clone(&proposer);
        async move {
            let mut tick = interval(Duration::from_millis(5));
            while Instant::now() < until {
                let due = tick.tick().await;
                let (proposer, done) = (Arc::clone(&proposer), headers_done.clone());
                tokio::spawn(async move {
                    let bid =
                        proposer.get_header(slot, B256::repeat_byte(0x11), Duration::from_secs(2)).await;
                    if matches!(bid, Ok(Some(_))) {
                        let _ = done.send(due.elapsed());
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
                        let _ = done.send(due.elapsed());
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

fn anvil() -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| PathBuf::from("target"), PathBuf::from);
    let modules = target.join("devnet/anvil/node_modules/@foundry-rs");
    let mut found = std::fs::read_dir(modules).ok()?.flatten().map(|entry| entry.path().join("bin/anvil"));
    found.find(|path| path.exists())
}

async fn rpc(http: &reqwest::Client, url: &str, method: &str, params: Value) -> Option<Value> {
    let body = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params});
    let answer = http.post(url).json(&body).send().await.ok()?;
    let mut answer: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
    Some(answer["result"].take())
}

async fn settle() {
    /// Slots behind; a sixth of a day, of blocks of 8 transfers.
    const SLOTS: u64 = 1200;
    const US: &str = "0xeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee";
    let Some(program) = anvil() else {
        println!("settlement is left out: anvil is not installed (scripts/devnet/run installs it)");
        return;
    };
    let genesis = 1_700_000_000_u64;
    let port = 29_000 + std::process::id() % 900;
    let url = format!("http://127.0.0.1:{port}");
    let mut child = Command::new(program)
        .args([
            "--port",
            &port.to_string(),
            "--timestamp",
            &genesis.to_string(),
            "--no-mining",
            "--order",
            "fifo",
            "--quiet",
        ])
        .stdin(Stdio::null())
        .spawn()
        .unwrap();
    let http = build_http_client(&TlsRoots::Bundled, None).unwrap();
    while rpc(&http, &url, "eth_chainId", json!([])).await.is_none() {
        sleep(Duration::from_millis(20)).await;
    }
    let builder = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266";
    rpc(&http, &url, "anvil_setCoinbase", json!([builder])).await;
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).await.unwrap();
    let spine = Spine::new();
    let stop = CancellationToken::new();
    let writer = tokio::spawn(run_writer(ledger.clone(), spine.subscribe(), stop.clone()));
    let clock = SlotClock::new(genesis, 12_000);
    let mut parent: B256 = B256::ZERO;
    for slot in 1..=SLOTS {
        for n in 0..8 {
            let to = if n == 7 { US.to_owned() } else { format!("0x{n:040x}") };
            let pay = json!([{"from": builder, "to": to, "value": "0x5", "gas": "0x5208", "maxFeePerGas": "0x2540be400", "maxPriorityFeePerGas": "0x1"}]);
            rpc(&http, &url, "eth_sendTransaction", pay).await;
        }
        rpc(&http, &url, "evm_setNextBlockTimestamp", json!([genesis + slot * 12])).await;
        rpc(&http, &url, "evm_mine", json!([])).await;
        let block = rpc(&http, &url, "eth_getBlockByNumber", json!(["latest", false])).await.unwrap();
        let hash: B256 = block["hash"].as_str().unwrap().parse().unwrap();
        spine.publish(Event::Auction(auction(slot, parent, hash, 5, &clock)));
        parent = hash;
        tokio::task::yield_now().await;
    }
    stop.cancel();
    writer.await.unwrap();
    let watcher = Watcher::new(WatcherParts {
        ledger: ledger.clone(),
        spine,
        execution: ExecutionNode::new(http.clone(), url.parse().unwrap()),
        beacon: None,
        relays: Arc::new(SharedRelays::new(Vec::new())),
        http,
        slots: clock,
        settings: ProfitSettings::default(),
    });
    let started = Instant::now();
    let settled = watcher.round().await.unwrap();
    let took = started.elapsed();
    let rows = ledger.settlements(Slot::new(0), Slot::new(SLOTS + 1)).await.unwrap();
    let exact = rows.iter().filter(|row| row.payment.as_deref() == Some("exact")).count();
    let per_second = settled as f64 / took.as_secs_f64();
    println!(
        "settlement: {settled} slots of 8 transactions by call traces in {:.1} s: {per_second:.0} slots/s, a day of 7,200 in {:.0} s ({exact} exact)",
        took.as_secs_f64(),
        DAY as f64 / per_second,
    );
    let _ = child.kill();
    let _ = child.wait();
}

fn auction(slot: u64, parent: B256, hash: B256, value: u64, clock: &SlotClock) -> AuctionRecord {
    let relay = |n: usize| RelayId::parse(&format!("relay-{n}")).unwrap();
    let offer = |n: usize| OfferRecord {
        relay: relay(n),
        outcome: if n < 6 { Outcome::Bid } else { Outcome::NoBid },
        detail: if n < 6 { String::new() } else { "no bid (204)".to_owned() },
        http_status: Some(200),
        latency_us: 41_234,
        value: (n < 6).then(|| Wei::new(U256::from(value))),
        block_hash: (n < 6).then_some(hash),
        verified: n == 0,
        score: None,
        polls: Vec::new(),
    };
    let at = clock.start_of(Slot::new(slot));
    AuctionRecord {
        slot: Slot::new(slot),
        parent_hash: parent,
        proposer: Default::default(),
        fork: "fulu",
        requested_at: at,
        ms_into_slot: 100,
        budget_ms: 950,
        answered_in_us: 300_000,
        user_agent: "Lighthouse/v8.0.0".to_owned(),
        policy: None,
        fee_recipient: Some(Address::repeat_byte(0xee)),
        winner: Some(Box::new(Winner {
            block_hash: hash,
            value: Wei::new(U256::from(value)),
            relays: vec![relay(0)],
            builder: "a builder".to_owned(),
            signed_bid: vec![7; 1400].into(),
        })),
        why_no_bid: String::new(),
        offers: (0..8).map(offer).collect(),
    }
}

/// All bytes of a ledger's files.
fn size(folder: &Path) -> u64 {
    std::fs::read_dir(folder)
        .unwrap()
        .flatten()
        .map(|entry| entry.metadata().map_or(0, |data| data.len()))
        .sum()
}

async fn ledger() {
    growth().await;
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path()).await.unwrap();
    // A year that ends now.
    let end = WallClock.now() / 1000;
    let genesis = u64::try_from(end - YEAR * 12).unwrap();
    let clock = SlotClock::new(genesis, 12_000);
    let started = Instant::now();
    for day in 0..=365_i64 {
        let rows: Vec<(Settled, i64)> = (day * DAY..((day + 1) * DAY).min(YEAR))
            .map(|slot| {
                let slot = u64::try_from(slot).unwrap().max(1);
                (row(slot), clock.start_of(Slot::new(slot)).div_euclid(86_400_000))
            })
            .collect();
        ledger.save_settlements(&rows).await.unwrap();
    }
    let written = started.elapsed();
    let started = Instant::now();
    let days = rebuild_days(&ledger, clock).await.unwrap();
    println!(
        "a year's ledger: {YEAR} settled slots of 1,000 validators, 8 relays, 30 builders: written in {:.0} s, {days} days summed in {:.0} s, {} MiB",
        written.as_secs_f64(),
        started.elapsed().as_secs_f64(),
        size(folder.path()) >> 20
    );
    let reporter = Reporter {
        ledger,
        slots: clock,
        settings: ProfitSettings::default(),
        has_execution: true,
        has_beacon: true,
    };
    for by in [By::Day, By::Month, By::Relay, By::Builder, By::Validator] {
        let from = jiff::Timestamp::from_second(end - YEAR * 12 - 86_400)
            .unwrap()
            .to_zoned(jiff::tz::TimeZone::UTC)
            .date();
        let query = ReportQuery { from: Some(from), by: Some(by), ..ReportQuery::default() };
        let mut best = Duration::MAX;
        let mut lines = 0;
        for _ in 0..3 {
            let started = Instant::now();
            lines = reporter.report(query, WallClock.now()).await.unwrap().groups.len();
            best = best.min(started.elapsed());
        }
        println!("  report by {by:?}: {lines} lines, {}", ms(best));
    }
}

fn row(slot: u64) -> Settled {
    let hash = |seed: u64| B256::from(U256::from(slot * 31 + seed)).to_string();
    let wei = (50_000_000_000_000_000 + slot * 7).to_string();
    Settled {
        slot,
        status: "final".to_owned(),
        outcome: Some("ours".to_owned()),
        payment: Some("exact".to_owned()),
        proposer: Some(format!("0x{:096x}", slot % 1000)),
        proposer_index: Some(i64::try_from(slot % 1000).unwrap()),
        fee_recipient: Some(Address::repeat_byte(0xee).to_string()),
        relay: Some(format!("relay-{}", slot % 8)),
        builder: Some(format!("builder-{}", slot % 30)),
        promised_block: Some(hash(1)),
        promised_wei: Some(wei.clone()),
        missed_value_wei: Some("0".to_owned()),
        timing_wei: None,
        block_hash: Some(hash(1)),
        block_number: Some(i64::try_from(slot).unwrap()),
        coinbase: Some(Address::repeat_byte(0xbb).to_string()),
        received_wei: Some(wei),
        method: Some("trace".to_owned()),
        confidence: Some("high".to_owned()),
        transactions: Some(hash(2)),
        other_inflows_wei: Some("0".to_owned()),
        withdrawals_gwei: Some(0),
        consensus_reward_gwei: Some(40_000_000),
        data_api: Some("agrees".to_owned()),
        words: "paid by the block's fee recipient".to_owned(),
        told: true,
        looked_at: 1,
    }
}

/// What a day adds to the ledger: every slot observed, and one proposal.
async fn growth() {
    let clock = SlotClock::new(1_700_000_000, 12_000);
    for (name, slots) in [("7,200 slots observed", 7200_u64), ("one proposal", 1)] {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path()).await.unwrap();
        let empty = size(folder.path());
        let spine = Spine::new();
        let stop = CancellationToken::new();
        let writer = tokio::spawn(run_writer(ledger.clone(), spine.subscribe(), stop.clone()));
        for slot in 1..=slots {
            let hash = B256::from(U256::from(slot));
            spine.publish(Event::Auction(auction(slot, hash, hash, 50_000_000_000_000_000 + slot, &clock)));
            if slot % 256 == 0 {
                sleep(Duration::from_millis(30)).await;
            }
        }
        stop.cancel();
        writer.await.unwrap();
        let rows: Vec<(Settled, i64)> = (1..=slots).map(|slot| (row(slot), 1)).collect();
        ledger.save_settlements(&rows).await.unwrap();
        ledger.shut().await;
        let grown = size(folder.path()).saturating_sub(empty);
        println!("ledger growth in a day, {name} (8 relays): {} KiB", grown >> 10);
    }
}
