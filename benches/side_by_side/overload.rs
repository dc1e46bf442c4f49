//! Many headers at once, each another one, while something is against us: nobody may be answered later than the budget.

use std::{
    collections::VecDeque,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use relaymux::sim::{Behaviour, HeaderFault};
use sqlx::{Connection as _, SqliteConnection};
use tokio::{
    sync::Mutex,
    time::{Instant, interval_at, sleep},
};

use crate::{
    Bench,
    arena::{BUDGET, Running, World},
    headers::anybody_wins,
    table::{ms, quantile},
};

/// Connections of the load that asks for the same block.
const CONNECTIONS: u64 = 500;
/// Its requests a second, and how long it lasts.
const RATE: u64 = 1000;
const LOAD: Duration = Duration::from_secs(10);

/// What is against us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Against {
    /// Nothing but the number of requests.
    Nothing,
    /// As many busy loops as there are cores.
    BurntCpu,
    /// Nobody can write the ledger or the journal.
    BlockedDisk,
}

/// What came of a load.
struct Outcome {
    took: Vec<Duration>,
    with_bid: u64,
    /// No answer at all.
    failed: u64,
    lasted: Duration,
    threads: u64,
    peak_kib: u64,
}

/// Processes that burn a core each until dropped.
struct Burners(Vec<Child>);

impl Burners {
    fn light() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let burn =
            |_| Command::new("sh").args(["-c", "while :; do :; done"]).stdin(Stdio::null()).spawn().unwrap();
        Self((0..cores).map(burn).collect())
    }
}

impl Drop for Burners {
    fn drop(&mut self) {
        for child in &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Holds the write lock of every database in a folder until it is dropped: what a disk that does not answer looks like from inside.
async fn block_databases(process: &Running) -> Vec<SqliteConnection> {
    let mut held = Vec::new();
    for file in std::fs::read_dir(process.data_dir()).into_iter().flatten().flatten() {
        if file.path().extension().is_some_and(|end| end == "db") {
            let url = format!("sqlite://{}", file.path().display());
            let mut connection = SqliteConnection::connect(&url).await.unwrap();
            sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
            held.push(connection);
        }
    }
    held
}

/// `at_once` connections that ask for one header after the other, until all were asked for.
async fn ask_all(world: &Arc<World>, process: &Running, headers: u64, at_once: u64) -> Outcome {
    let asks = Arc::new(Mutex::new(VecDeque::from(world.asks(headers))));
    let started = Instant::now();
    let workers: Vec<_> = (0..at_once)
        .map(|_| {
            let (world, asks, address) = (Arc::clone(world), Arc::clone(&asks), process.address);
            tokio::spawn(async move {
                let mut answers = Vec::new();
                let mut connection = crate::client::Connection::open(address).await.unwrap();
                loop {
                    let Some(ask) = asks.lock().await.pop_front() else { return answers };
                    let started = Instant::now();
                    let answer = connection.get(&world.path(ask)).await;
                    answers.push((answer.map(|answer| answer.status), started.elapsed()));
                }
            })
        })
        .collect();
    let watched = tokio::spawn(async move { futures_util::future::join_all(workers).await });
    let mut threads = 0;
    while !watched.is_finished() {
        threads = threads.max(process.status("Threads"));
        sleep(Duration::from_millis(20)).await;
    }
    let answers: Vec<_> = watched.await.unwrap().into_iter().flat_map(|worker| worker.unwrap()).collect();
    let mut took: Vec<Duration> = answers.iter().map(|(_, took)| *took).collect();
    took.sort_unstable();
    Outcome {
        took,
        with_bid: answers.iter().filter(|(status, _)| *status == Some(200)).count() as u64,
        failed: answers.iter().filter(|(status, _)| status.is_none()).count() as u64,
        lasted: started.elapsed(),
        threads,
        peak_kib: process.status("VmHWM"),
    }
}

impl Bench {
    pub(crate) async fn hanging(&self) {
        let mut relays = anybody_wins(7);
        relays.push(Behaviour::default().builder(7).header(HeaderFault::Hangs));
        self.overload("one of 8 relays hangs, 20 headers at once", relays, 20, Against::Nothing).await;
    }

    pub(crate) async fn connections(&self) {
        self.overload("500 connections, each header another one", anybody_wins(8), 500, Against::Nothing)
            .await;
    }

    pub(crate) async fn burnt(&self) {
        let title = "20 headers at once, other processes burn every core";
        self.overload(title, anybody_wins(8), 20, Against::BurntCpu).await;
    }

    pub(crate) async fn blocked(&self) {
        let title = "20 headers at once, nobody can write the ledger";
        self.overload(title, anybody_wins(8), 20, Against::BlockedDisk).await;
    }

    async fn overload(&self, title: &str, relays: Vec<Behaviour>, at_once: u64, against: Against) {
        let headers = self.overload_headers;
        let quiet = self.head(&format!("{title} ({headers} headers)"));
        let world = Arc::new(World::of(relays).await);
        let mut outcomes = Vec::new();
        for contestant in &self.contestants {
            let process = Running::start(contestant, &world).await;
            let idle = process.status("VmRSS");
            // The first headers open the connections to the relays.
            ask_all(&world, &process, at_once.min(50), at_once.min(50)).await;
            let burners = (against == Against::BurntCpu).then(Burners::light);
            let locks =
                if against == Against::BlockedDisk { block_databases(&process).await } else { Vec::new() };
            outcomes.push((ask_all(&world, &process, headers, at_once).await, idle));
            drop((burners, locks));
        }
        let figures = |of: &dyn Fn(&Outcome, u64) -> f64| -> Vec<Option<f64>> {
            outcomes.iter().map(|(outcome, idle)| Some(of(outcome, *idle))).collect()
        };
        let row = |what: &str, unit: &str, floor: &str, of: &dyn Fn(&Outcome, u64) -> f64| {
            self.table.row(what, unit, &figures(of), floor);
        };
        let late = |outcome: &Outcome, _| outcome.took.iter().filter(|took| **took > BUDGET).count() as f64;
        row("answered later than 950 ms", "", "0", &late);
        row("slowest", "ms", "950", &|outcome, _| ms(quantile(&outcome.took, 1000)));
        row("p50", "ms", "", &|outcome, _| ms(quantile(&outcome.took, 500)));
        row("p99", "ms", "", &|outcome, _| ms(quantile(&outcome.took, 990)));
        row("with a bid", "", &headers.to_string(), &|outcome, _| outcome.with_bid as f64);
        row("without any answer", "", "0", &|outcome, _| outcome.failed as f64);
        row("bids a second", "", "", &|outcome, _| outcome.with_bid as f64 / outcome.lasted.as_secs_f64());
        row("most threads", "", "", &|outcome, _| outcome.threads as f64);
        row("peak memory", "MiB", "", &|outcome, _| outcome.peak_kib as f64 / 1024.0);
        row("peak memory above idle", "MiB", "", &|outcome, idle| {
            outcome.peak_kib.saturating_sub(idle) as f64 / 1024.0
        });
        self.quiet(&quiet);
    }

    /// Deliberately for one block: many beacon nodes of one operator share its auction.
    pub(crate) async fn same_block(&self) {
        let quiet = self.head(&format!(
            "{RATE} requests a second for the same block for {} s, {CONNECTIONS} connections, open loop (shares one auction, deliberately)",
            LOAD.as_secs()
        ));
        let world = Arc::new(World::of(anybody_wins(8)).await);
        let (mut times, mut cpu, mut failed) = (Vec::new(), Vec::new(), Vec::new());
        for contestant in &self.contestants {
            let process = Running::start(contestant, &world).await;
            let ask = world.asks(1)[0];
            process.connect().await.get(&world.path(ask)).await;
            let before = process.cpu();
            let first = Instant::now() + Duration::from_millis(200);
            let each = Duration::from_micros(1_000_000 * CONNECTIONS / RATE);
            let turns = LOAD.as_micros() / each.as_micros();
            let workers = (0..CONNECTIONS).map(|n| {
                let (path, address) = (world.path(ask), process.address);
                let starts = first + each * u32::try_from(n).unwrap() / u32::try_from(CONNECTIONS).unwrap();
                tokio::spawn(async move {
                    let mut connection = crate::client::Connection::open(address).await.unwrap();
                    let mut tick = interval_at(starts, each);
                    let mut took = Vec::new();
                    for _ in 0..turns {
                        // Time counts from when the request was due, whatever became of the one before.
                        let due = tick.tick().await;
                        let answer = connection.get(&path).await.filter(|answer| answer.status == 200);
                        took.push(answer.map(|answer| answer.at.saturating_duration_since(due)));
                    }
                    took
                })
            });
            let took = futures_util::future::join_all(workers).await;
            let took: Vec<_> = took.into_iter().flat_map(|worker| worker.unwrap()).collect();
            failed.push(Some(took.iter().filter(|took| took.is_none()).count() as f64));
            let requests = took.len() as f64;
            let mut took: Vec<Duration> = took.into_iter().flatten().collect();
            took.sort_unstable();
            cpu.push(Some(ms(process.cpu().saturating_sub(before)) / requests));
            times.push(took);
        }
        let of = |per_mille| times.iter().map(|took| Some(ms(quantile(took, per_mille)))).collect();
        for (name, per_mille) in [("p50", 500), ("p95", 950), ("p99", 990)] {
            self.table.row(name, "ms", &of(per_mille), "a `status` call");
        }
        self.table.row("without a bid", "", &failed, "0");
        self.table.row("CPU per request", "ms", &cpu, "");
        self.quiet(&quiet);
    }
}
