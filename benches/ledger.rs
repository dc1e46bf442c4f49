//! What settlement and reports cost. `scripts/bench settle ledger` starts it.
//!
//! `settle`: anvil's blocks, where it is installed (`scripts/devnet/run` does that). `ledger`: a year of every slot, and what is read of it.
//! `year FOLDER` keeps such a ledger in a folder, to start the service on. Bounded in count.

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
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::{Address, B256, U256};
use relaymux::{
    consensus::{SlotClock, WallClock},
    ethereum::ExecutionNode,
    events::{
        AuctionRecord, BidOutcome, Confidence, DataApiVerdict, Event, Method, PaymentVerdict, RaceShare,
        RelayAnswer, SlotOutcome, SlotStatus, Spine, Winner,
    },
    ledger::{Ledger, Settled, run_writer},
    profit::{By, ProfitSettings, ReportQuery, Reporter, Watcher, WatcherParts, project_sums},
    relay::{SharedRelays, TlsRoots, build_http_client},
    types::{Fork, RelayId, Slot, Wei},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// Slots of a year.
const YEAR: i64 = 365 * 7200;
/// Slots of a day.
const DAY: i64 = 7200;
/// The chain of these ledgers.
const CHAIN: &str = "mainnet";

#[tokio::main]
async fn main() {
    let parts: Vec<String> = std::env::args().skip(1).filter(|part| !part.starts_with("--")).collect();
    let wants = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    if wants("settle") {
        settle().await;
    }
    if wants("ledger") {
        ledger().await;
    }
    // Only by name: a ledger to try the service on.
    if let Some(folder) = parts.iter().skip_while(|part| *part != "year").nth(1) {
        std::fs::create_dir_all(folder).unwrap();
        year(Path::new(folder)).await;
    }
}

fn ms(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
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
    let ledger = Ledger::open(folder.path(), CHAIN, WallClock::system().now()).await.unwrap();
    let spine = Spine::new();
    let stop = CancellationToken::new();
    let writer =
        tokio::spawn(run_writer(ledger.clone(), WallClock::system(), spine.subscribe(), stop.clone()));
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
        clock: WallClock::system(),
        settings: ProfitSettings::default(),
    });
    let started = Instant::now();
    let settled = watcher.round().await.unwrap();
    let took = started.elapsed();
    let rows = ledger.settlements(Slot::new(0), Slot::new(SLOTS + 1)).await.unwrap();
    let exact = rows.iter().filter(|row| row.known_payment() == Some(PaymentVerdict::Exact)).count();
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
    let answer = |n: usize| RelayAnswer {
        relay: relay(n),
        outcome: if n < 6 { BidOutcome::Bid } else { BidOutcome::NoBid },
        message: if n < 6 { String::new() } else { "no bid (204)".to_owned() },
        http_status: Some(200),
        latency_us: 41_234,
        value: (n < 6).then(|| Wei::new(U256::from(value))),
        block_hash: (n < 6).then_some(hash),
        verified: n == 0,
        is_corroborated: false,
        score: None,
        polls: Vec::new(),
    };
    let at = clock.start_of(Slot::new(slot));
    AuctionRecord {
        slot: Slot::new(slot),
        parent_hash: parent,
        proposer: Default::default(),
        fork: Fork::Fulu,
        requested_at: at,
        ms_into_slot: 100,
        budget_ms: 950,
        answered_in_us: 300_000,
        user_agent: "Lighthouse/v8.0.0".to_owned(),
        policy: None,
        race: RaceShare::Own,
        fee_recipient: Some(Address::repeat_byte(0xee)),
        winner: Some(Box::new(Winner {
            block_hash: hash,
            value: Wei::new(U256::from(value)),
            relays: vec![relay(0)],
            builder: "a builder".to_owned(),
            signed_bid: vec![7; 1400].into(),
        })),
        no_bid_reason: String::new(),
        answers: (0..8).map(answer).collect(),
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
    let clock = year(folder.path()).await;
    let ledger = Ledger::open(folder.path(), CHAIN, WallClock::system().now()).await.unwrap();
    reports(&ledger, clock).await;
    pages(&ledger).await;
}

/// A year of every slot that ends now, in a folder: settled slots of 1,000 validators, 8 relays and 30 builders, with the auction of every
/// tenth. Its chain's time.
async fn year(folder: &Path) -> SlotClock {
    let ledger = Ledger::open(folder, CHAIN, WallClock::system().now()).await.unwrap();
    let end = WallClock::system().now() / 1000;
    let clock = SlotClock::new(u64::try_from(end - YEAR * 12).unwrap(), 12_000);
    let started = Instant::now();
    let asked = auctions(&ledger, clock).await;
    let asked_in = started.elapsed();
    let started = Instant::now();
    for day in 0..=365_i64 {
        let slots = (day * DAY).max(1)..((day + 1) * DAY).min(YEAR);
        let rows: Vec<Settled> = slots.map(|slot| row(u64::try_from(slot).unwrap())).collect();
        ledger.save_settlements(&rows).await.unwrap();
    }
    let written = started.elapsed();
    let started = Instant::now();
    let days = project_sums(&ledger, clock, WallClock::system().now()).await.unwrap();
    let summed = started.elapsed();
    ledger.shut().await;
    println!(
        "a year's ledger: {YEAR} settled slots of 1,000 validators, 8 relays, 30 builders: written in {:.0} s, {days} days summed in {:.0} s; \
         {asked} auctions of 8 relays in {:.0} s; {} MiB",
        written.as_secs_f64(),
        summed.as_secs_f64(),
        asked_in.as_secs_f64(),
        size(folder) >> 20
    );
    clock
}

/// Writes the auction of every tenth slot, as the service does; how many.
async fn auctions(ledger: &Ledger, clock: SlotClock) -> u64 {
    let (spine, stop) = (Spine::new(), CancellationToken::new());
    let writer =
        tokio::spawn(run_writer(ledger.clone(), WallClock::system(), spine.subscribe(), stop.clone()));
    let mut count = 0;
    for slot in (1..u64::try_from(YEAR).unwrap()).step_by(10) {
        let hash = B256::from(U256::from(slot));
        spine.publish(Event::Auction(auction(slot, hash, hash, 50_000_000_000_000_000 + slot, &clock)));
        count += 1;
        // The writer is to keep up: a watcher that falls behind loses events.
        while count % 1024 == 0
            && ledger.slots(1).await.unwrap().first().is_none_or(|newest| newest.view.slot < slot)
        {
            sleep(Duration::from_millis(5)).await;
        }
    }
    stop.cancel();
    writer.await.unwrap();
    assert_eq!(spine.lost(), 0, "the writer fell behind");
    count
}

async fn reports(ledger: &Ledger, clock: SlotClock) {
    let reporter = Reporter {
        ledger: ledger.clone(),
        slots: clock,
        settings: ProfitSettings::default(),
        has_execution: true,
        has_beacon: true,
    };
    let first = clock.start_of(Slot::new(0)) - 86_400_000;
    let from = jiff::Timestamp::from_millisecond(first).unwrap().to_zoned(jiff::tz::TimeZone::UTC).date();
    for by in [By::Day, By::Month, By::Relay, By::Builder, By::Validator] {
        let query = ReportQuery { from: Some(from), by: Some(by), ..ReportQuery::default() };
        let lines = reporter.report(query, WallClock::system().now()).await.unwrap().groups.len();
        let best =
            best_of(async || drop(reporter.report(query, WallClock::system().now()).await.unwrap())).await;
        println!("  report by {by:?}: {lines} lines, {}", ms(best));
    }
}

/// What people and their scripts ask for all day.
async fn pages(ledger: &Ledger) {
    let now = WallClock::system().now();
    let week = best_of(async || drop(ledger.relay_stats(now - 7 * 86_400_000, now).await.unwrap())).await;
    println!("  statistics of a week, as in /api/v1/relays: {}", ms(week));
    for limit in [50, 500] {
        let best = best_of(async || drop(ledger.slots(limit).await.unwrap())).await;
        println!("  the newest {limit} slots, as in /api/v1/slots: {}", ms(best));
    }
}

/// The shortest of seven.
async fn best_of(mut what: impl AsyncFnMut()) -> Duration {
    let mut best = Duration::MAX;
    for _ in 0..7 {
        let started = Instant::now();
        what().await;
        best = best.min(started.elapsed());
    }
    best
}

fn row(slot: u64) -> Settled {
    let hash = |seed: u64| B256::from(U256::from(slot * 31 + seed)).to_string();
    let wei = (50_000_000_000_000_000 + slot * 7).to_string();
    Settled {
        slot,
        status: SlotStatus::Final.into(),
        outcome: Some(SlotOutcome::Ours.into()),
        payment: Some(PaymentVerdict::Exact.into()),
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
        method: Some(Method::Trace.into()),
        confidence: Some(Confidence::High.into()),
        transactions: Some(hash(2)),
        other_inflows_wei: Some("0".to_owned()),
        withdrawals_gwei: Some(0),
        consensus_reward_gwei: Some(40_000_000),
        data_api: Some(DataApiVerdict::Agrees.into()),
        message: "paid by the block's fee recipient".to_owned(),
        looked_at: 1,
        ..Settled::default()
    }
}

/// What a day adds to the ledger: every slot observed, and one proposal.
async fn growth() {
    let clock = SlotClock::new(1_700_000_000, 12_000);
    for (name, slots) in [("7,200 slots observed", 7200_u64), ("one proposal", 1)] {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), CHAIN, WallClock::system().now()).await.unwrap();
        let empty = size(folder.path());
        let spine = Spine::new();
        let stop = CancellationToken::new();
        let writer =
            tokio::spawn(run_writer(ledger.clone(), WallClock::system(), spine.subscribe(), stop.clone()));
        for slot in 1..=slots {
            let hash = B256::from(U256::from(slot));
            spine.publish(Event::Auction(auction(slot, hash, hash, 50_000_000_000_000_000 + slot, &clock)));
            if slot % 256 == 0 {
                sleep(Duration::from_millis(30)).await;
            }
        }
        stop.cancel();
        writer.await.unwrap();
        let rows: Vec<Settled> = (1..=slots).map(row).collect();
        ledger.save_settlements(&rows).await.unwrap();
        ledger.shut().await;
        let grown = size(folder.path()).saturating_sub(empty);
        println!("ledger growth in a day, {name} (8 relays): {} KiB", grown >> 10);
    }
}
