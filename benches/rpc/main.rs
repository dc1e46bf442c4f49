//! The gateway beside HAProxy before the same two nodes, in one run. `scripts/bench rpc` starts it.
//!
//! Every figure is of real processes on loopback. The nodes answer at once from memory, so that what is measured is whoever stands before
//! them. HAProxy is set up as well as its users do: it asks for a block each second and tries the other server. What it cannot do (know a node
//! that answers and has stopped following the chain, keep a subscription over a switch) is not measured here. Nothing here fails because of
//! a time.
//!
//! Arguments: the parts to run: `latency`, `load`, `kill`, `freeze`, `websockets`, `subscriptions`, `headers`.
//! `RELAYMUX_BENCH_RPC_SECONDS` is how long `load` and `subscriptions` last (60), and `HAPROXY` names its binary.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
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

#[allow(dead_code, reason = "shared with the other benchmark, which uses more of it")]
#[path = "../side_by_side/arena.rs"]
mod arena;
#[allow(dead_code, reason = "shared with the other benchmark, which uses more of it")]
#[path = "../side_by_side/client.rs"]
mod client;
mod contestant;
mod headers;
mod load;
#[allow(dead_code, reason = "shared with the other benchmark, which uses more of it")]
#[path = "../side_by_side/machine.rs"]
mod machine;
mod process;
mod subscriptions;
#[path = "../side_by_side/table.rs"]
mod table;
mod upstream;
mod websockets;

use std::time::Duration;

use contestant::{Program, Running};
use load::Outcome;
use machine::Quiet;
use table::{Table, ms, quantile};
use tokio::time::{Instant, sleep};
use upstream::Upstream;

/// The roadmap's load.
const RATE: u64 = 1000;
const CONNECTIONS: u64 = 500;
/// Reads of the row that asks one by one, a contestant.
const ONE_BY_ONE: u64 = 3000;
/// Reads of a contestant before it is another one's turn.
const TURN: u64 = 50;

fn seconds(name: &str, default: u64) -> Duration {
    Duration::from_secs(std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default))
}

struct Bench {
    programs: Vec<Program>,
    table: Table,
}

impl Bench {
    fn head(&self, title: &str) -> Quiet {
        self.table.head(title);
        Quiet::watch()
    }

    /// Each contestant before nodes of its own, one after the other.
    async fn each<T>(&self, mut measure: impl AsyncFnMut(Running, [Upstream; 2]) -> T) -> Vec<T> {
        let mut measured = Vec::new();
        for program in &self.programs {
            let nodes = [Upstream::start().await, Upstream::start().await];
            let running = Running::start(program, [nodes[0].address, nodes[1].address], None).await;
            measured.push(measure(running, nodes).await);
        }
        measured
    }

    /// One read at a time, in turn.
    async fn latency(&self) {
        let quiet = self.head("One read at a time, added to the node's own time");
        let nodes = [Upstream::start().await, Upstream::start().await];
        let addresses = [nodes[0].address, nodes[1].address];
        let mut running = Vec::new();
        for program in self.programs.iter().chain([&Program::Direct]) {
            running.push(Running::start(program, addresses, None).await);
        }
        let mut connections = Vec::new();
        for process in &running {
            connections.push(client::Connection::open(process.address).await.unwrap());
        }
        let mut took = vec![Vec::new(); running.len()];
        for _ in 0..ONE_BY_ONE / TURN {
            for (connection, took) in connections.iter_mut().zip(&mut took) {
                for id in 0..TURN {
                    let began = Instant::now();
                    let answer = connection.post("/", "application/json", load::read(id)).await;
                    assert!(answer.is_some_and(|answer| load::is_good(&answer)));
                    // The first of a turn finds caches that belong to others.
                    if id > 0 {
                        took.push(began.elapsed());
                    }
                }
            }
        }
        took.iter_mut().for_each(|took| took.sort_unstable());
        let direct = took.pop().unwrap();
        for per_mille in [500, 990] {
            let floor = quantile(&direct, per_mille);
            let added =
                took.iter().map(|took| Some(ms(quantile(took, per_mille).saturating_sub(floor)))).collect();
            let what = if per_mille == 500 { "added, p50" } else { "added, p99" };
            self.table.row(what, "ms", &added, &format!("the node itself {:.3} ms", ms(floor)));
        }
        self.table.note(&quiet.report());
    }

    /// The roadmap's load.
    async fn load(&self) {
        let lasts = seconds("RELAYMUX_BENCH_RPC_SECONDS", 60);
        let quiet =
            self.head(&format!("{RATE} reads a second on {CONNECTIONS} connections, {} s", lasts.as_secs()));
        let measured = self
            .each(async |running, _nodes| {
                let before = running.cpu();
                let outcome = load::run(running.address, RATE, CONNECTIONS, lasts).await;
                let cpu = running.cpu().saturating_sub(before);
                (outcome, cpu, running.memory("VmHWM"))
            })
            .await;
        let outcomes: Vec<&Outcome> = measured.iter().map(|(outcome, _, _)| outcome).collect();
        self.waits(&outcomes, &[("p50", 500), ("p95", 950), ("p99", 990), ("slowest", 1000)]);
        self.failures(&outcomes);
        let cpu = measured
            .iter()
            .map(|(outcome, cpu, _)| Some(ms(*cpu) * 1000.0 / outcome.took.len() as f64))
            .collect();
        self.table.row("CPU of 1,000 reads", "ms", &cpu, "");
        let memory = measured.iter().map(|(_, _, kib)| Some(*kib as f64 / 1024.0)).collect();
        self.table.row("peak memory", "MiB", &memory, "");
        self.table.note(&quiet.report());
    }

    /// The same while the primary is killed and comes back.
    async fn kill(&self) {
        let quiet =
            self.head(&format!("{RATE} reads a second; the primary is killed, and comes back after 5 s"));
        let outcomes = self
            .each(async |running, mut nodes| {
                let load =
                    tokio::spawn(load::run(running.address, RATE, CONNECTIONS, Duration::from_secs(16)));
                sleep(Duration::from_secs(5)).await;
                nodes[0].kill();
                sleep(Duration::from_secs(5)).await;
                nodes[0].restart().await;
                load.await.unwrap()
            })
            .await;
        self.through(&outcomes);
        self.table.note(&quiet.report());
    }

    /// The same while the primary stands still.
    async fn freeze(&self) {
        let quiet = self.head(&format!("{RATE} reads a second; the primary freezes, and goes on after 5 s"));
        let outcomes = self
            .each(async |running, nodes| {
                let load =
                    tokio::spawn(load::run(running.address, RATE, CONNECTIONS, Duration::from_secs(16)));
                sleep(Duration::from_secs(5)).await;
                nodes[0].freeze();
                sleep(Duration::from_secs(5)).await;
                nodes[0].thaw();
                load.await.unwrap()
            })
            .await;
        self.through(&outcomes);
        self.table.note(&quiet.report());
    }

    fn through(&self, outcomes: &[Outcome]) {
        let outcomes: Vec<&Outcome> = outcomes.iter().collect();
        self.failures(&outcomes);
        self.waits(&outcomes, &[("longest wait", 1000), ("p99", 990), ("p50", 500)]);
    }

    fn waits(&self, outcomes: &[&Outcome], rows: &[(&str, usize)]) {
        for (what, per_mille) in rows {
            let figures =
                outcomes.iter().map(|outcome| Some(ms(quantile(&outcome.took, *per_mille)))).collect();
            self.table.row(what, "ms", &figures, "");
        }
    }

    fn failures(&self, outcomes: &[&Outcome]) {
        let failed = outcomes.iter().map(|outcome| Some(outcome.failed as f64)).collect();
        let of = outcomes.first().map_or(0, |outcome| outcome.took.len());
        self.table.row(&format!("reads that failed, of {of}"), "", &failed, "");
        for (program, outcome) in self.programs.iter().zip(outcomes) {
            if let Some(example) = &outcome.example {
                println!("| … {}'s first: {example} |", program.name());
            }
        }
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    if let [flag, address] = arguments.as_slice()
        && flag == upstream::FLAG
    {
        return runtime.block_on(upstream::serve(address.parse().unwrap()));
    }
    runtime.block_on(bench(&arguments));
}

async fn bench(arguments: &[String]) {
    let programs = Program::all();
    let table = Table::new(programs.iter().map(|program| program.name().to_owned()).collect());
    let bench = Bench { programs, table };
    println!("{}", machine::description());
    // `cargo bench` adds its own flags; what is no flag names the parts to run.
    let wanted: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with('-')).collect();
    let runs = |part: &str| wanted.is_empty() || wanted.iter().any(|name| *name == part);
    if runs("latency") {
        bench.latency().await;
    }
    if runs("load") {
        bench.load().await;
    }
    if runs("kill") {
        bench.kill().await;
    }
    if runs("freeze") {
        bench.freeze().await;
    }
    if runs("websockets") {
        websockets::idle(&bench.table).await;
    }
    if runs("subscriptions") {
        subscriptions::while_upstreams_die(&bench.table).await;
    }
    if runs("headers") {
        headers::beside_load().await;
    }
}
