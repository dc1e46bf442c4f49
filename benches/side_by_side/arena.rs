//! Who is measured, and against what: the contestants' processes in front of one and the same set of simulated relays.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use alloy_primitives::{B256, U256};
use relaymux::{
    consensus::{ChainSpec, Encoding, WallClock, parse_spec_file},
    relay::{TlsRoots, build_http_client},
    sim::{Behaviour, SimProposer, SimRelay, SimRelayParts},
    types::{Slot, Wei},
};
use tokio::time::{Instant, sleep};

use crate::client::Connection;

/// Clock ticks a second in /proc: fixed on Linux.
const TICKS_PER_SECOND: u64 = 100;
/// The default time for a header, which no row changes.
pub(crate) const BUDGET: Duration = Duration::from_millis(950);

/// A program that is measured.
#[derive(Clone, Debug)]
pub(crate) struct Contestant {
    pub(crate) name: String,
    pub(crate) program: Program,
}

#[derive(Clone, Debug)]
pub(crate) enum Program {
    Relaymux(PathBuf),
    MevBoost(PathBuf),
}

impl Contestant {
    /// This build, then other builds of it (`RELAYMUX_BENCH_BINARY`, separated by colons), then a rival (`MEV_BOOST`).
    pub(crate) fn all() -> Vec<Self> {
        let named =
            |path: &Path| path.file_name().map_or_else(String::new, |n| n.to_string_lossy().into_owned());
        let ours = PathBuf::from(env!("CARGO_BIN_EXE_relaymux"));
        let mut all = vec![Self { name: "this build".to_owned(), program: Program::Relaymux(ours) }];
        for path in std::env::var_os("RELAYMUX_BENCH_BINARY").iter().flat_map(std::env::split_paths) {
            all.push(Self { name: named(&path), program: Program::Relaymux(path) });
        }
        if let Some(path) = std::env::var_os("MEV_BOOST").map(PathBuf::from) {
            all.push(Self { name: "mev-boost".to_owned(), program: Program::MevBoost(path) });
        }
        all
    }

    pub(crate) fn is_relaymux(&self) -> bool {
        matches!(self.program, Program::Relaymux(_))
    }
}

/// A chain that every contestant knows: Deneb, with mainnet's genesis version, as some versions of mev-boost ignore another one.
fn spec_text() -> String {
    let genesis = WallClock::system().now() / 1000 - 1200;
    let forks: String = ["ALTAIR", "BELLATRIX", "CAPELLA", "DENEB"]
        .iter()
        .enumerate()
        .map(|(n, fork)| format!("{fork}_FORK_EPOCH: 0\n{fork}_FORK_VERSION: 0x0{}000000\n", n + 1))
        .collect();
    format!(
        "CONFIG_NAME: bench\nGENESIS_TIME: {genesis}\nGENESIS_FORK_VERSION: 0x00000000\nSECONDS_PER_SLOT: 12\n{forks}"
    )
}

/// A header to be asked for, that nobody asked for before.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ask {
    pub(crate) slot: Slot,
    pub(crate) parent: B256,
}

/// The relays, and the chain they are on.
pub(crate) struct World {
    pub(crate) relays: Vec<SimRelay>,
    pub(crate) spec: ChainSpec,
    pub(crate) spec_text: String,
    pub(crate) proposer: SimProposer,
}

/// Every ask of this process is another one.
static ASKED: AtomicU64 = AtomicU64::new(1);

impl World {
    pub(crate) async fn of(behaviours: Vec<Behaviour>) -> Self {
        let spec_text = spec_text();
        let spec = parse_spec_file(&spec_text).unwrap();
        let mut relays = Vec::new();
        for (seed, behaviour) in (0u8..).zip(behaviours) {
            let parts = SimRelayParts { spec: spec.clone(), seed, behaviour };
            relays.push(SimRelay::start_forgetful(parts).await.unwrap());
        }
        let http = build_http_client(&TlsRoots::Bundled, None).unwrap();
        let proposer = SimProposer::new(spec.clone(), String::new(), http, 8, Encoding::Ssz);
        Self { relays, spec, spec_text, proposer }
    }

    /// Headers to ask for, each of a slot and a parent of its own: two requests for one block share an auction, and the second would
    /// measure only that. The relays have built and signed their bids already, so that this takes no time while somebody is measured.
    pub(crate) fn asks(&self, count: u64) -> Vec<Ask> {
        let next = self.spec.clock().slot_at(WallClock::system().now()).as_u64() + 2;
        let asks: Vec<Ask> = (0..count)
            .map(|n| Ask {
                slot: Slot::new(next + n),
                parent: B256::from(U256::from(ASKED.fetch_add(1, Ordering::Relaxed)) << 8),
            })
            .collect();
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        std::thread::scope(|scope| {
            for part in asks.chunks(asks.len().div_ceil(cores).max(1)) {
                scope.spawn(move || {
                    for ask in part {
                        for relay in &self.relays {
                            relay.prepare(ask.slot, ask.parent, self.proposer.proposer(ask.slot));
                        }
                    }
                });
            }
        });
        asks
    }

    pub(crate) fn path(&self, ask: Ask) -> String {
        let Ask { slot, parent } = ask;
        format!("/eth/v1/builder/header/{slot}/{parent}/{}", self.proposer.proposer(slot))
    }

    /// When the last relay that did had answered.
    pub(crate) fn last_answer(&self, ask: Ask) -> Option<Instant> {
        self.relays.iter().filter_map(|relay| relay.answered_at(ask.parent)).max()
    }
}

/// A contestant's process.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) ops: Option<SocketAddr>,
    child: Child,
    folder: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Running {
    pub(crate) async fn start(contestant: &Contestant, world: &World) -> Self {
        Self::start_with(contestant, world, None, false).await
    }

    /// Over a ledger, which is copied.
    pub(crate) async fn start_over(contestant: &Contestant, world: &World, ledger: Option<&Path>) -> Self {
        Self::start_with(contestant, world, ledger, false).await
    }

    /// Under valgrind, which counts what it asks of the allocator.
    pub(crate) async fn start_counted(contestant: &Contestant, world: &World) -> Self {
        Self::start_with(contestant, world, None, true).await
    }

    async fn start_with(
        contestant: &Contestant,
        world: &World,
        ledger: Option<&Path>,
        is_counted: bool,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut ops = None;
        let address;
        let mut command = match &contestant.program {
            Program::Relaymux(path) => {
                if let Some(ledger) = ledger {
                    fs::create_dir(folder.path().join("data")).unwrap();
                    fs::copy(ledger, folder.path().join("data/ledger.db")).unwrap();
                }
                fs::write(folder.path().join("spec.yaml"), &world.spec_text).unwrap();
                fs::write(folder.path().join("relays.toml"), configuration(world)).unwrap();
                let mut command = if is_counted {
                    let mut command = Command::new("valgrind");
                    command.args(["--tool=dhat", "--dhat-out-file=/dev/null", "--log-file=valgrind.log"]);
                    command.arg(path);
                    command
                } else {
                    Command::new(path)
                };
                command.args(["run", "--log", "error", "--ports-file", "ports.json"]);
                address = None;
                command
            }
            Program::MevBoost(path) => {
                let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
                address = Some(port);
                let urls: Vec<String> = world.relays.iter().map(SimRelay::url).collect();
                let mut command = Command::new(path);
                command.args(["-addr", &port.to_string(), "-relays", &urls.join(","), "-loglevel", "error"]);
                command.args(["-genesis-fork-version", "0x00000000"]);
                command.args(["-genesis-timestamp", &world.spec.genesis_time.to_string()]);
                command
            }
        };
        // It reads its settings from such variables, and ours are none.
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("RELAYMUX_"))
        {
            command.env_remove(name);
        }
        command.current_dir(folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let child = command.spawn().unwrap();
        let address = match address {
            Some(address) => address,
            None => {
                let ports = ports(&folder.path().join("ports.json"), &contestant.name).await;
                ops = ports.1;
                ports.0
            }
        };
        let running = Self { address, ops, child, folder };
        let give_up = Instant::now() + Duration::from_secs(60);
        loop {
            let answer = match Connection::open(address).await {
                Some(mut connection) => connection.get("/eth/v1/builder/status").await,
                None => None,
            };
            if answer.is_some() {
                return running;
            }
            assert!(Instant::now() < give_up, "{} did not come up", contestant.name);
            sleep(Duration::from_millis(10)).await;
        }
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::open(self.address).await.unwrap()
    }

    /// Has it stop, at once, and returns what valgrind said.
    pub(crate) async fn end_and_read(&mut self) -> String {
        // The second signal says not to wait for a block.
        while self.child.try_wait().unwrap().is_none() {
            let _ = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status();
            sleep(Duration::from_millis(500)).await;
        }
        fs::read_to_string(self.folder.path().join("valgrind.log")).unwrap()
    }

    /// Where relaymux keeps its files.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    fn proc(&self, file: &str) -> String {
        fs::read_to_string(format!("/proc/{}/{file}", self.child.id())).unwrap_or_default()
    }

    /// CPU time of the process so far, user and system.
    pub(crate) fn cpu(&self) -> Duration {
        let stat = self.proc("stat");
        let after_name = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 =
            after_name.split_whitespace().skip(11).take(2).filter_map(|t| t.parse::<u64>().ok()).sum();
        Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND)
    }

    /// CPU time, once it has done all it was given: nothing for half a second.
    pub(crate) async fn cpu_at_rest(&self) -> Duration {
        let give_up = Instant::now() + Duration::from_secs(400);
        let mut before = self.cpu();
        loop {
            sleep(Duration::from_millis(500)).await;
            let now = self.cpu();
            if now.saturating_sub(before) <= Duration::from_millis(20) || Instant::now() > give_up {
                return now;
            }
            before = now;
        }
    }

    /// Forgets how much memory it ever held: the peak counts from now on.
    pub(crate) fn forget_peak(&self) {
        fs::write(format!("/proc/{}/clear_refs", self.child.id()), "5").unwrap();
    }

    /// A figure of `/proc/PID/status`: memory in KiB, or a count.
    pub(crate) fn status(&self, key: &str) -> u64 {
        figure(&self.proc("status"), key)
    }

    /// Context switches of all its threads so far.
    pub(crate) fn switches(&self) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.child.id())).into_iter().flatten().flatten();
        tasks
            .map(|task| {
                let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
                figure(&status, "voluntary_ctxt_switches") + figure(&status, "nonvoluntary_ctxt_switches")
            })
            .sum()
    }

    /// The sum of a counter's series, where there is a metrics page.
    pub(crate) async fn counter(&self, name: &str) -> Option<f64> {
        let answer = Connection::open(self.ops?).await?.get("/metrics").await?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        let of = |line: &str| {
            let rest = line.strip_prefix(name)?;
            (rest.starts_with('{') || rest.starts_with(' '))
                .then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
        };
        Some(text.lines().filter_map(of).sum())
    }
}

fn figure(status: &str, key: &str) -> u64 {
    let line = status.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(':'));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn configuration(world: &World) -> String {
    // A relay that hangs is waited for each time: the point is the budget, not the breaker.
    let mut config =
        "network = \"spec.yaml\"\ndata_dir = \"data\"\n[builder_api]\nlisten = \"127.0.0.1:0\"\n[ops]\n\
                      listen = \"127.0.0.1:0\"\n[trust]\nbreaker_failures = 1000000\n"
            .to_owned();
    for (n, relay) in world.relays.iter().enumerate() {
        config.push_str(&format!(
            "[[relays]]\nid = \"r{n}\"\nurl = \"{}\"\nmax_calls_per_second = 0\n",
            relay.url()
        ));
    }
    config
}

async fn ports(path: &Path, name: &str) -> (SocketAddr, Option<SocketAddr>) {
    let give_up = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(ports) =
            fs::read(path).ok().and_then(|text| serde_json::from_slice::<serde_json::Value>(&text).ok())
        {
            let port = |name: &str| ports.get(name)?.as_str()?.parse().ok();
            return (port("builder").unwrap(), port("ops"));
        }
        assert!(Instant::now() < give_up, "{name} did not come up");
        sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) fn milli(eth: u64) -> Wei {
    Wei::new(U256::from(eth) * U256::from(1_000_000_000_000_000_u64))
}
