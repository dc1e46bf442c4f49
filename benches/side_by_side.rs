//! relaymux, and mev-boost where it is installed, on the same simulated relays in one run. `scripts/bench` starts it.
//!
//! Every figure is of a real process on loopback sockets. The relays run in this process, so that the moment at which a relay
//! answered and the moment at which the client had its header are read from one clock: *added latency* is the second minus
//! the latest (or the winner's) first. Loads are bounded in count and time. `RELAYMUX_BENCH_RIVAL` names mev-boost's binary.

#![allow(
    clippy::cast_precision_loss,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it fails by panicking and speaks to its user"
)]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking and speaks to its user")]

use std::{
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use alloy_primitives::{B256, U256};
use relaymux::{
    consensus::{ChainSpec, Encoding, WallClock, parse_spec_file},
    relay::{TlsRoots, build_http_client},
    sim::{Behaviour, HeaderFault, SimProposer, SimRelay, SimRelayParts},
    types::{Slot, Wei},
};
use reqwest::Client;
use tokio::time::{Instant, interval, sleep, timeout};

/// Header requests per latency measurement.
const HEADERS: u64 = 300;
/// Slots with a hanging relay.
const HANGING: u64 = 1000;
/// How many of them at the same time: a beacon node asks one by one, but a thousand in a row would take a quarter of an hour.
const AT_ONCE: u64 = 20;
/// Length of a load.
const LOAD: Duration = Duration::from_secs(10);
const CONNECTIONS: usize = 500;
/// Requests a second of the open-loop load.
const RATE: u64 = 1000;
/// Clock ticks a second in /proc: fixed on Linux.
const TICKS_PER_SECOND: u64 = 100;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Contestant {
    Relaymux,
    MevBoost,
}

impl Contestant {
    fn name(self) -> &'static str {
        match self {
            Self::Relaymux => "relaymux",
            Self::MevBoost => "mev-boost",
        }
    }
}

/// A contestant's process and its relays.
struct Arena {
    relays: Vec<SimRelay>,
    proposer: SimProposer,
    http: Client,
    base: String,
    spec: ChainSpec,
    child: Child,
    _folder: tempfile::TempDir,
}

impl Drop for Arena {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spec_text() -> String {
    let genesis = WallClock.now() / 1000 - 1200;
    let forks: String = ["BELLATRIX", "CAPELLA", "DENEB", "ELECTRA", "FULU"]
        .iter()
        .enumerate()
        .map(|(n, fork)| format!("{fork}_FORK_EPOCH: 0\n{fork}_FORK_VERSION: 0x0{}000001\n", n + 2))
        .collect();
    format!(
        "CONFIG_NAME: bench\nGENESIS_TIME: {genesis}\nGENESIS_FORK_VERSION: 0x00000001\nSECONDS_PER_SLOT: 12\n{forks}"
    )
}

fn milli(eth: u64) -> Wei {
    Wei::new(U256::from(eth) * U256::from(1_000_000_000_000_000_u64))
}

impl Arena {
    async fn open(contestant: Contestant, behaviours: Vec<Behaviour>) -> Option<Self> {
        let folder = tempfile::tempdir().unwrap();
        let text = spec_text();
        let spec = parse_spec_file(&text).unwrap();
        let mut relays = Vec::new();
        for (seed, behaviour) in (0u8..).zip(behaviours) {
            let parts = SimRelayParts { spec: spec.clone(), seed, behaviour };
            relays.push(SimRelay::start_forgetful(parts).await.unwrap());
        }
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let base = format!("http://127.0.0.1:{port}");
        let mut command = match contestant {
            Contestant::Relaymux => {
                std::fs::write(folder.path().join("spec.yaml"), &text).unwrap();
                // A relay that hangs is waited for each time: the point is the budget, not the breaker.
                let mut config = format!(
                    "network = \"spec.yaml\"\ndata_dir = \"data\"\n[builder_api]\nlisten = \"127.0.0.1:{port}\"\n[ops]\n\
                     listen = \"127.0.0.1:0\"\n[trust]\nbreaker_failures = 1000000\n"
                );
                for (n, relay) in relays.iter().enumerate() {
                    config.push_str(&format!(
                        "[[relays]]\nid = \"r{n}\"\nurl = \"{}\"\nmax_calls_per_second = 0\n",
                        relay.url()
                    ));
                }
                std::fs::write(folder.path().join("relays.toml"), config).unwrap();
                let mut command = Command::new(env!("CARGO_BIN_EXE_relaymux"));
                command.args(["run", "--log", "error"]);
                command
            }
            Contestant::MevBoost => {
                let mut command = Command::new(std::env::var_os("RELAYMUX_BENCH_RIVAL")?);
                let urls: Vec<String> = relays.iter().map(SimRelay::url).collect();
                command.args([
                    "-addr",
                    &format!("127.0.0.1:{port}"),
                    "-relays",
                    &urls.join(","),
                    "-loglevel",
                    "error",
                ]);
                command.args([
                    "-genesis-fork-version",
                    "0x00000001",
                    "-genesis-timestamp",
                    &spec.genesis_time.to_string(),
                ]);
                command
            }
        };
        let child = command
            .current_dir(folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let child = child.spawn().unwrap();
        let http = build_http_client(&TlsRoots::Bundled, None).unwrap();
        let proposer = SimProposer::new(spec.clone(), base.clone(), http.clone(), 8, Encoding::Ssz);
        let arena = Self { relays, proposer, http, base, spec, child, _folder: folder };
        for _ in 0..500 {
            if arena.http.get(format!("{}/eth/v1/builder/status", arena.base)).send().await.is_ok() {
                return Some(arena);
            }
            sleep(Duration::from_millis(20)).await;
        }
        panic!("{} did not come up", contestant.name());
    }

    fn slot(&self) -> Slot {
        Slot::new(self.spec.clock().slot_at(WallClock.now()).as_u64() + 1)
    }

    fn header_url(&self, slot: Slot, parent: B256) -> String {
        format!("{}/eth/v1/builder/header/{slot}/{parent}/{}", self.base, self.proposer.proposer(slot))
    }

    /// One header request; the status and the moment its body was whole.
    async fn header(&self, parent: B256) -> Option<(u16, Instant)> {
        self.header_in(self.slot(), parent).await
    }

    async fn header_in(&self, slot: Slot, parent: B256) -> Option<(u16, Instant)> {
        let request =
            self.http.get(self.header_url(slot, parent)).header("accept", "application/octet-stream");
        let response = request.timeout(Duration::from_secs(5)).send().await.ok()?;
        let status = response.status().as_u16();
        response.bytes().await.ok()?;
        Some((status, Instant::now()))
    }

    fn proc(&self, file: &str) -> String {
        std::fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
    }

    /// CPU time of the process so far, user and system.
    fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 =
            after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
    }

    /// A memory figure of `/proc/PID/status`, in KiB.
    fn memory_kib(&self, key: &str) -> u64 {
        let status = self.proc("status");
        let line = status.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.split_whitespace().nth(1).and_then(|n| n.parse().ok()).unwrap_or(0)
    }
}

fn parent(n: u64) -> B256 {
    B256::from(U256::from(n + 1) << 8)
}

fn quantile(sorted: &[Duration], percent: usize) -> Duration {
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).copied().unwrap_or_default()
}

/// A line of the report: both figures and their ratio, where there are two.
fn report(what: &str, unit: &str, results: &[(Contestant, f64)]) {
    let mut line = format!("{what:<66}");
    for (contestant, value) in results {
        line.push_str(&format!(" {:>10} {value:>9.3} {unit}", contestant.name()));
    }
    if let [(_, ours), (_, theirs)] = results {
        line.push_str(&format!("   ratio {:.3}", ours / theirs));
    }
    println!("{line}");
}

fn ms(duration: Duration) -> f64 {
    duration.as_secs_f64() * 1000.0
}

fn relays(count: u8, jitter: u64) -> Vec<Behaviour> {
    let one = |n: u8| {
        let value = milli(40 + u64::from(n * 7 % 5));
        Behaviour::default()
            .builder(n)
            .value(value)
            .delay(Duration::from_millis(5))
            .jitter(Duration::from_millis(jitter))
    };
    (0..count).map(one).collect()
}

/// Added latency over the last relay's answer, and CPU per header.
async fn latency(arena: &Arena) -> (Vec<Duration>, f64) {
    for n in 0..20 {
        arena.header(parent(1_000_000 + n)).await;
    }
    let cpu = arena.cpu();
    let mut added = Vec::new();
    for n in 0..HEADERS {
        let (status, done) = arena.header(parent(n)).await.unwrap();
        assert_eq!(status, 200);
        let last = arena.relays.iter().filter_map(|relay| relay.answered_at(parent(n))).max().unwrap();
        added.push(done.saturating_duration_since(last));
    }
    added.sort_unstable();
    (added, ms(arena.cpu().saturating_sub(cpu)) / HEADERS as f64)
}

async fn latency_table(contestants: &[Contestant]) {
    for count in [1_u8, 3, 8] {
        let (mut p50, mut p99, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
        for contestant in contestants {
            let arena = Arena::open(*contestant, relays(count, 50)).await.unwrap();
            let (added, per_header) = latency(&arena).await;
            p50.push((*contestant, ms(quantile(&added, 50))));
            p99.push((*contestant, ms(quantile(&added, 99))));
            cpu.push((*contestant, per_header));
        }
        report(&format!("{count} relays, 5-55 ms: added latency over the last answer, p50"), "ms", &p50);
        report(&format!("{count} relays, 5-55 ms: added latency over the last answer, p99"), "ms", &p99);
        report(&format!("{count} relays, 5-55 ms: CPU per header"), "ms", &cpu);
    }
}

/// The winner answers early, everybody else later and for less. Beside it, as a yardstick, the round trip of a call that needs no
/// relay and no computing, after the same idleness.
async fn early_winner(contestants: &[Contestant]) {
    let (mut p50, mut p99, mut bare) = (Vec::new(), Vec::new(), Vec::new());
    for contestant in contestants {
        let mut behaviours = relays(8, 10);
        for (n, behaviour) in behaviours.iter_mut().enumerate() {
            let delay = Duration::from_millis(if n == 0 { 5 } else { 40 });
            *behaviour = behaviour.clone().delay(delay).value(milli(if n == 0 { 90 } else { 40 }));
        }
        let arena = Arena::open(*contestant, behaviours).await.unwrap();
        let (added, _) = latency(&arena).await;
        p50.push((*contestant, ms(quantile(&added, 50))));
        p99.push((*contestant, ms(quantile(&added, 99))));
        let mut trips = Vec::new();
        for _ in 0..HEADERS {
            sleep(Duration::from_millis(30)).await;
            let started = Instant::now();
            arena.http.get(format!("{}/eth/v1/builder/status", arena.base)).send().await.unwrap();
            trips.push(started.elapsed());
        }
        trips.sort_unstable();
        bare.push((*contestant, ms(quantile(&trips, 50))));
    }
    report("yardstick: round trip of a status call, p50", "ms", &bare);
    report("8 relays, the winner is first: added latency over the last, p50", "ms", &p50);
    report("8 relays, the winner is first: added latency over the last, p99", "ms", &p99);
}

async fn hanging_relay(contestants: &[Contestant]) {
    for contestant in contestants {
        let mut behaviours = relays(7, 50);
        behaviours.push(Behaviour::default().header(HeaderFault::Hangs));
        let arena = Arc::new(Arena::open(*contestant, behaviours).await.unwrap());
        let (mut slowest, mut late, mut none) = (Duration::ZERO, 0, 0);
        // One slot ahead of time and the same parents again: the relays sign in the first batch, which does not count, and do not
        // take this process's time afterwards.
        let slot = Slot::new(arena.slot().as_u64() + 1000);
        for batch in 0..=HANGING / AT_ONCE {
            let asks = (0..AT_ONCE).map(|n| {
                let arena = Arc::clone(&arena);
                tokio::spawn(async move {
                    let started = Instant::now();
                    let answer = arena.header_in(slot, parent(n)).await;
                    (answer.map(|(status, _)| status), started.elapsed())
                })
            });
            for ask in futures_util::future::join_all(asks).await {
                let (status, took) = ask.unwrap();
                if batch == 0 {
                    continue;
                }
                slowest = slowest.max(took);
                late += u64::from(took > Duration::from_millis(950));
                none += u64::from(status != Some(200));
            }
        }
        println!(
            "{:<66} {:>10} slowest {:.1} ms, later than 950 ms: {late}, without a bid: {none}",
            format!("{HANGING} headers, {AT_ONCE} at once, one of 8 relays hangs"),
            contestant.name(),
            ms(slowest)
        );
    }
}

async fn registrations(contestants: &[Contestant]) {
    let (mut took, mut memory) = (Vec::new(), Vec::new());
    let mut size = 0.0;
    for contestant in contestants {
        let arena = Arena::open(*contestant, relays(3, 0)).await.unwrap();
        let one = serde_json::to_string(&arena.proposer.registrations(60_000_000, 1_700_000_000)[0]).unwrap();
        let body = format!("[{}]", vec![one; 10_000].join(","));
        size = body.len() as f64 / 1024.0;
        let before = arena.memory_kib("VmRSS");
        let started = Instant::now();
        let request = arena.http.post(format!("{}/eth/v1/builder/validators", arena.base));
        let request = request.header("content-type", "application/json").body(body);
        assert_eq!(request.send().await.unwrap().status(), 200);
        took.push((*contestant, ms(started.elapsed())));
        sleep(Duration::from_millis(500)).await;
        memory.push((*contestant, arena.memory_kib("VmHWM").saturating_sub(before) as f64 / size));
    }
    report(&format!("10,000 registrations ({size:.0} KiB of JSON), 3 relays: answer"), "ms", &took);
    report("10,000 registrations: peak memory above idle, in bodies", "x", &memory);
}

/// As many as it can on 500 connections, then 1,000 a second at their own pace.
async fn load(contestants: &[Contestant]) {
    let (mut rate, mut idle) = (Vec::new(), Vec::new());
    for contestant in contestants {
        let plain = (0..3).map(|n| Behaviour::default().builder(n)).collect();
        let arena = Arc::new(Arena::open(*contestant, plain).await.unwrap());
        idle.push((*contestant, arena.memory_kib("VmRSS") as f64 / 1024.0));
        arena.header(parent(1)).await;
        let served = Arc::new(AtomicU64::new(0));
        let ends = Instant::now() + LOAD;
        let workers = (0..CONNECTIONS).map(|_| {
            let (arena, served) = (Arc::clone(&arena), Arc::clone(&served));
            tokio::spawn(async move {
                while Instant::now() < ends {
                    if let Some((200, _)) = arena.header(parent(1)).await {
                        served.fetch_add(1, Ordering::Relaxed);
                    }
                }
            })
        });
        futures_util::future::join_all(workers).await;
        rate.push((*contestant, served.load(Ordering::Relaxed) as f64 / LOAD.as_secs_f64()));
        let (mut latencies, errors) = open_loop(&arena).await;
        latencies.sort_unstable();
        println!(
            "{:<66} {:>10} p50 {:.1} ms, p95 {:.1} ms, p99 {:.1} ms, errors {errors} of {}",
            format!("{RATE} headers a second for {} s, open loop, 3 relays", LOAD.as_secs()),
            contestant.name(),
            ms(quantile(&latencies, 50)),
            ms(quantile(&latencies, 95)),
            ms(quantile(&latencies, 99)),
            latencies.len() as u64 + errors,
        );
    }
    report("500 connections, closed loop, 3 relays: headers a second", "/s", &rate);
    report("memory when idle", "MiB", &idle);
}

/// Each request starts at its own time, whatever the others do; latency counts from that time.
async fn open_loop(arena: &Arc<Arena>) -> (Vec<Duration>, u64) {
    let mut tick = interval(Duration::from_millis(10));
    let mut asks = Vec::new();
    for _ in 0..LOAD.as_millis() / 10 {
        let due = tick.tick().await;
        for _ in 0..RATE / 100 {
            let arena = Arc::clone(arena);
            asks.push(tokio::spawn(async move {
                let answer = timeout(Duration::from_secs(5), arena.header(parent(1))).await.ok().flatten();
                answer
                    .filter(|(status, _)| *status == 200)
                    .map(|(_, done)| done.saturating_duration_since(due))
            }));
        }
    }
    let mut latencies = Vec::new();
    let mut errors = 0;
    for ask in asks {
        match ask.await.unwrap() {
            Some(latency) => latencies.push(latency),
            None => errors += 1,
        }
    }
    (latencies, errors)
}

#[tokio::main]
async fn main() {
    let mut contestants = vec![Contestant::Relaymux];
    if std::env::var_os("RELAYMUX_BENCH_RIVAL").is_some() {
        contestants.push(Contestant::MevBoost);
    } else {
        println!("mev-boost is not installed here: its column and the ratios are left out");
    }
    // `cargo bench` adds its own flags; what is no flag names the parts to run.
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let runs = |part: &str| wanted.is_empty() || wanted.iter().any(|name| name == part);
    if runs("latency") {
        latency_table(&contestants).await;
    }
    if runs("early") {
        early_winner(&contestants).await;
    }
    if runs("hanging") {
        hanging_relay(&contestants).await;
    }
    if runs("registrations") {
        registrations(&contestants).await;
    }
    if runs("load") {
        load(&contestants).await;
    }
}
