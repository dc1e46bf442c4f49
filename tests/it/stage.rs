//! A stage: simulated relays, the real binary between them and the test, a folder of its own.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    time::Duration,
};

use alloy_primitives::B256;
use relaymux::{
    consensus::{ChainSpec, Encoding, SignedBuilderBid, WallClock, parse_spec_file},
    relay::{TlsRoots, build_http_client},
    sim::{BeaconBehaviour, Behaviour, SimBeacon, SimProposer, SimRelay, SimRelayParts, sign_block},
    types::{Fork, Slot},
};
use serde_json::Value;
use tokio::time::{Instant, sleep};

pub(crate) const PARENT: B256 = B256::repeat_byte(0x11);
/// A report's range that has every slot in it: by default a report ends today, and slots that lie ahead may be tomorrow's.
pub(crate) const EVER: &str = "from=0001-01-01&to=9999-12-31";
/// The same for the command line.
pub(crate) const EVER_ARGUMENTS: [&str; 4] = ["--from", "0001-01-01", "--to", "9999-12-31"];
/// The folder below a stage's own that stands for the machine's root, as alerts look at it.
pub(crate) const HOST_ROOT: &str = "host";
/// No condition in these tests takes this long on a working machine.
const TIMEOUT: Duration = Duration::from_secs(30);

pub(crate) struct Stage {
    pub(crate) relays: Vec<SimRelay>,
    pub(crate) spec: ChainSpec,
    pub(crate) http: reqwest::Client,
    pub(crate) builder: String,
    pub(crate) ops: String,
    /// Where bundles are taken; empty where they are not.
    pub(crate) bundles: String,
    /// Where the gateway listens; empty where there is none.
    pub(crate) rpc: String,
    pub(crate) folder: tempfile::TempDir,
    /// The beacon node of [`StageBuilder::with_beacon`].
    beacon: Option<SimBeacon>,
    /// The newest slot that [`Stage::fresh_slot`] gave out.
    asked: std::sync::atomic::AtomicU64,
    child: Child,
}

type BeaconHabit = Box<dyn FnOnce(&mut BeaconBehaviour)>;

pub(crate) struct StageBuilder {
    fork: Fork,
    relays: Vec<Behaviour>,
    auction: String,
    builder_api: String,
    relay_keys: String,
    top: String,
    sections: String,
    one_relay_keys: Vec<(usize, String)>,
    files: Vec<(String, String)>,
    other_relays: Vec<String>,
    slot_secs: u64,
    preset: &'static str,
    beacon: Option<BeaconHabit>,
}

pub(crate) fn stage() -> StageBuilder {
    StageBuilder {
        fork: Fork::Fulu,
        relays: Vec::new(),
        auction: String::new(),
        builder_api: "relay_check = false\n".to_owned(),
        relay_keys: String::new(),
        top: String::new(),
        sections: String::new(),
        one_relay_keys: Vec::new(),
        files: Vec::new(),
        other_relays: Vec::new(),
        slot_secs: 12,
        preset: "mainnet",
        beacon: None,
    }
}

pub(crate) fn honest() -> Behaviour {
    Behaviour::default()
}

/// Milli-ETH as wei.
pub(crate) fn milli(eth: u64) -> relaymux::types::Wei {
    relaymux::types::Wei::parse_eth(&format!("{}.{:03}", eth / 1000, eth % 1000)).unwrap()
}

impl StageBuilder {
    pub(crate) fn fork(mut self, fork: Fork) -> Self {
        self.fork = fork;
        self
    }

    pub(crate) fn minimal(mut self) -> Self {
        self.preset = "minimal";
        self
    }

    pub(crate) fn relay(mut self, behaviour: Behaviour) -> Self {
        self.relays.push(behaviour);
        self
    }

    /// Adds lines to `[auction]`.
    pub(crate) fn auction(mut self, lines: &str) -> Self {
        self.auction.push_str(lines);
        self.auction.push('\n');
        self
    }

    /// Replaces the lines of `[builder_api]`.
    pub(crate) fn builder_api(mut self, lines: &str) -> Self {
        self.builder_api = format!("{lines}\n");
        self
    }

    pub(crate) fn slot_secs(mut self, seconds: u64) -> Self {
        self.slot_secs = seconds;
        self
    }

    /// Adds lines above the first section.
    pub(crate) fn top(mut self, lines: &str) -> Self {
        self.top.push_str(&format!("{lines}\n"));
        self
    }

    /// Adds a section, its head included.
    pub(crate) fn section(mut self, text: &str) -> Self {
        self.sections.push_str(text);
        self.sections.push('\n');
        self
    }

    /// Puts a beacon node of the stage's chain beside it, which behaves so from the start.
    pub(crate) fn with_beacon(mut self, behave: impl FnOnce(&mut BeaconBehaviour) + 'static) -> Self {
        self.beacon = Some(Box::new(behave));
        self
    }

    /// Sets the lines of `[trust]`.
    pub(crate) fn trust(self, lines: &str) -> Self {
        self.section(&format!("[trust]\n{lines}"))
    }

    /// Adds lines to one of `[[relays]]`.
    pub(crate) fn relay_key(mut self, relay: usize, lines: &str) -> Self {
        self.one_relay_keys.push((relay, format!("{lines}\n")));
        self
    }

    /// Adds a relay at a URL, before the simulated ones: `x0`, `x1`, …
    pub(crate) fn relay_at(mut self, url: &str) -> Self {
        self.other_relays.push(url.to_owned());
        self
    }

    /// Puts a file beside the configuration.
    pub(crate) fn file(mut self, name: &str, text: &str) -> Self {
        self.files.push((name.to_owned(), text.to_owned()));
        self
    }

    /// Adds lines to every `[[relays]]`.
    pub(crate) fn relay_keys(mut self, lines: &str) -> Self {
        self.relay_keys.push_str(lines);
        self.relay_keys.push('\n');
        self
    }

    pub(crate) async fn start(self) -> Stage {
        let folder = tempfile::tempdir().unwrap();
        let spec_text = spec_yaml(self.fork, self.slot_secs, self.preset);
        std::fs::write(folder.path().join("spec.yaml"), &spec_text).unwrap();
        let spec = parse_spec_file(&spec_text).unwrap();
        let mut relays = Vec::new();
        for (seed, behaviour) in (0u8..).zip(self.relays) {
            relays
                .push(SimRelay::start(SimRelayParts { spec: spec.clone(), seed, behaviour }).await.unwrap());
        }
        let mut sections = self.sections;
        let mut beacon = None;
        if let Some(behave) = self.beacon {
            let node = SimBeacon::start(spec.clone()).await.unwrap();
            node.behave(behave);
            sections.push_str(&format!("[beacon]\nurl = \"{}\"\n", node.url()));
            beacon = Some(node);
        }
        // Nothing here is about speed: the machine may be slow, unless a test is about the budget itself.
        let budget = if self.auction.contains("timeout_get_header_ms") {
            ""
        } else {
            "timeout_get_header_ms = 1900\n"
        };
        let mut config = format!(
            "{}network = \"spec.yaml\"\ndata_dir = \"{}\"\n[builder_api]\nlisten = \"127.0.0.1:0\"\n{}[ops]\n\
             listen = \"127.0.0.1:0\"\nmax_requests_per_second = 0\n[auction]\n{}\n{}",
            self.top,
            folder.path().join("data").display(),
            self.builder_api,
            format_args!("{budget}{}", self.auction),
            sections,
        );
        for (index, url) in self.other_relays.iter().enumerate() {
            config.push_str(&format!("[[relays]]\nid = \"x{index}\"\nurl = \"{url}\"\n"));
        }
        for (index, relay) in relays.iter().enumerate() {
            let own =
                self.one_relay_keys.iter().filter(|(of, _)| *of == index).map(|(_, lines)| lines.as_str());
            config.push_str(&format!(
                "[[relays]]\nid = \"r{index}\"\nurl = \"{}\"\n{}{}\n",
                relay.url(),
                self.relay_keys,
                own.collect::<String>()
            ));
        }
        for (name, text) in &self.files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        std::fs::write(folder.path().join("relays.toml"), config).unwrap();
        let http = build_http_client(&TlsRoots::Bundled, None).unwrap();
        let child = spawn(folder.path());
        let mut stage = Stage {
            relays,
            spec,
            http,
            builder: String::new(),
            ops: String::new(),
            bundles: String::new(),
            rpc: String::new(),
            folder,
            beacon,
            asked: std::sync::atomic::AtomicU64::new(0),
            child,
        };
        stage.wait_until_up().await;
        stage
    }
}

/// All forks up to `fork` at genesis, which was some hundred slots ago.
pub(crate) fn spec_yaml(fork: Fork, slot_secs: u64, preset: &str) -> String {
    let genesis = WallClock::system().now() / 1000 - 100 * i64::try_from(slot_secs).unwrap();
    let mut yaml = format!(
        "PRESET_BASE: '{preset}'\nCONFIG_NAME: 'stage'\nGENESIS_TIME: {genesis}\nGENESIS_FORK_VERSION: 0x00000001\n\
         SECONDS_PER_SLOT: {slot_secs}\nMAX_BLOBS_PER_BLOCK: 6\nMAX_BLOBS_PER_BLOCK_ELECTRA: 9\n"
    );
    for (index, known) in Fork::ALL.into_iter().enumerate() {
        let name = known.name().to_uppercase();
        let epoch = if known <= fork { 0 } else { u64::MAX };
        yaml.push_str(&format!("{name}_FORK_EPOCH: {epoch}\n{name}_FORK_VERSION: 0x0{}000001\n", index + 2));
    }
    yaml
}

pub(crate) fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relaymux"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RELAYMUX_")) {
        command.env_remove(name);
    }
    command
}

fn spawn(folder: &Path) -> Child {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(folder.join("log")).unwrap();
    let _ = std::fs::remove_file(folder.join("ports.json"));
    binary()
        .current_dir(folder)
        .args(["run", "--config", "relays.toml", "--ports-file", "ports.json", "--log", "debug"])
        // The machine that runs the tests is busy, which is no matter of theirs: one that says nothing, unless a test puts files there.
        .env("RELAYMUX_ALERTS__HOST_ROOT", HOST_ROOT)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Polls until there is an answer; panics with `what` when there is none for long.
pub(crate) async fn eventually<T, F: AsyncFnMut() -> Option<T>>(what: &str, mut condition: F) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        sleep(Duration::from_millis(5)).await;
    }
}

impl Stage {
    async fn wait_until_up(&mut self) {
        let ports = self.folder.path().join("ports.json");
        let ports: Value = eventually("the service to come up", async || {
            if let Some(status) = self.child.try_wait().unwrap() {
                panic!("the service ended with {status}:\n{}", self.log());
            }
            serde_json::from_slice(&std::fs::read(&ports).ok()?).ok()
        })
        .await;
        self.builder = format!("http://{}", ports["builder"].as_str().unwrap());
        self.ops = format!("http://{}", ports["ops"].as_str().unwrap());
        self.bundles =
            ports["bundles"].as_str().map_or_else(String::new, |address| format!("http://{address}"));
        self.rpc = ports["rpc"].as_str().map_or_else(String::new, |address| format!("http://{address}"));
    }

    pub(crate) fn beacon(&self) -> &SimBeacon {
        self.beacon.as_ref().unwrap()
    }

    pub(crate) fn config(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("relays.toml")).unwrap()
    }

    pub(crate) fn write_config(&self, text: &str) {
        std::fs::write(self.folder.path().join("relays.toml"), text).unwrap();
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// A slot that is about to start: never late, whatever the machine does.
    pub(crate) fn slot(&self) -> Slot {
        Slot::new(self.spec.clock().slot_at(WallClock::system().now()).as_u64() + 1)
    }

    /// A slot that is about to start and was not given out before: requests for one slot and parent share one auction.
    pub(crate) fn fresh_slot(&self) -> Slot {
        let coming = self.slot().as_u64();
        let next = |asked: u64| Some(coming.max(asked + 1));
        let order = std::sync::atomic::Ordering::Relaxed;
        let asked = self.asked.fetch_update(order, order, next).unwrap();
        Slot::new(coming.max(asked + 1))
    }

    pub(crate) fn proposer(&self, encoding: Encoding) -> SimProposer {
        SimProposer::new(self.spec.clone(), self.builder.clone(), self.http.clone(), 4, encoding)
    }

    pub(crate) fn header_url(&self, slot: Slot) -> String {
        let key = self.proposer(Encoding::Json).proposer(slot);
        format!("{}/eth/v1/builder/header/{slot}/{PARENT}/{key}", self.builder)
    }

    /// Asks for a header of a slot of its own in SSZ and checks all a client checks.
    pub(crate) async fn header(&self) -> Option<SignedBuilderBid> {
        self.header_at(self.fresh_slot()).await
    }

    pub(crate) async fn header_at(&self, slot: Slot) -> Option<SignedBuilderBid> {
        self.asked.fetch_max(slot.as_u64(), std::sync::atomic::Ordering::Relaxed);
        let bid = self.proposer(Encoding::Ssz).get_header(slot, PARENT, Duration::from_secs(20)).await;
        bid.unwrap_or_else(|e| panic!("{e}\n{}", self.log()))
    }

    /// Which relay's bid a header is.
    pub(crate) fn relay_of(&self, bid: &SignedBuilderBid) -> usize {
        self.relays.iter().position(|relay| relay.public_key() == bid.facts().pubkey).unwrap()
    }

    /// The signed block for a bid.
    pub(crate) fn signed_block(&self, slot: Slot, bid: &SignedBuilderBid, encoding: Encoding) -> Vec<u8> {
        sign_block(&self.spec, slot, bid).unwrap().encode(encoding)
    }

    pub(crate) fn submit_request(
        &self,
        version: u8,
        encoding: Encoding,
        body: Vec<u8>,
    ) -> reqwest::RequestBuilder {
        let fork = self.spec.fork_at(self.slot());
        self.http
            .post(format!("{}/eth/v{version}/builder/blinded_blocks", self.builder))
            .header("content-type", encoding.mime())
            .header("accept", encoding.mime())
            .header("eth-consensus-version", fork.name())
            .body(body)
    }

    /// Gets a header and submits its block; returns the answer's status and body.
    pub(crate) async fn reveal(&self, version: u8, encoding: Encoding) -> (u16, Vec<u8>) {
        let slot = self.fresh_slot();
        let bid = self.header_at(slot).await.unwrap_or_else(|| panic!("no bid\n{}", self.log()));
        let body = self.signed_block(slot, &bid, encoding);
        let response = self.submit_request(version, encoding, body).send().await.unwrap();
        (response.status().as_u16(), response.bytes().await.unwrap().to_vec())
    }

    /// The value of a metric's series, labels included; `None` while there is none.
    pub(crate) async fn metric(&self, series: &str) -> Option<f64> {
        let text = self.http.get(format!("{}/metrics", self.ops)).send().await.unwrap().text().await.unwrap();
        let value = |line: &str| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok();
        text.lines().find_map(value)
    }

    pub(crate) async fn ops_json(&self, path: &str) -> Value {
        let response = self.http.get(format!("{}{path}", self.ops)).send().await.unwrap();
        serde_json::from_slice(&response.bytes().await.unwrap()).unwrap()
    }

    /// The first auction of a slot, once the ledger has it.
    pub(crate) async fn auction(&self, slot: Slot) -> Value {
        eventually("the auction in the ledger", async || {
            let view = self.ops_json(&format!("/api/v1/slots/{slot}")).await;
            view["auctions"].get(0).cloned()
        })
        .await
    }

    /// The outcome of each relay in the first auction of a slot.
    pub(crate) async fn outcomes(&self, slot: Slot) -> Vec<String> {
        let auction = self.auction(slot).await;
        auction["bids"]
            .as_array()
            .unwrap()
            .iter()
            .map(|bid| bid["outcome"].as_str().unwrap().to_owned())
            .collect()
    }

    /// The first submission of a slot once a condition holds of it.
    pub(crate) async fn submission(&self, slot: Slot, condition: impl Fn(&Value) -> bool) -> Value {
        eventually("the submission in the ledger", async || {
            let view = self.ops_json(&format!("/api/v1/slots/{slot}")).await;
            view["submissions"].get(0).filter(|submission| condition(submission)).cloned()
        })
        .await
    }

    /// Most memory the service ever used, in MiB.
    pub(crate) fn peak_mib(&self) -> u64 {
        self.memory_kib("VmHWM:") / 1024
    }

    /// Memory the service uses, in KiB.
    pub(crate) fn resident_kib(&self) -> u64 {
        self.memory_kib("VmRSS:")
    }

    /// The names of the service's threads.
    pub(crate) fn thread_names(&self) -> Vec<String> {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", self.child.id())).unwrap();
        // One may have ended since it was listed.
        tasks
            .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok())
            .map(|name| name.trim().to_owned())
            .collect()
    }

    fn memory_kib(&self, what: &str) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix(what)).unwrap();
        line.split_whitespace().next().unwrap().parse().unwrap()
    }

    pub(crate) fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    pub(crate) async fn exit_status(&mut self) -> ExitStatus {
        let child = &mut self.child;
        eventually("the service to end", async || child.try_wait().unwrap()).await
    }

    pub(crate) fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Starts it again by another command, which runs in the stage's folder and must write the ports to `ports.json`.
    pub(crate) async fn start_by(&mut self, command: &mut Command) {
        self.kill();
        let _ = std::fs::remove_file(self.folder.path().join("ports.json"));
        self.child = command
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        self.wait_until_up().await;
    }

    pub(crate) async fn start_again(&mut self) {
        self.kill();
        self.child = spawn(self.folder.path());
        self.wait_until_up().await;
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!(
                "configuration:\n{}",
                std::fs::read_to_string(self.folder.path().join("relays.toml")).unwrap_or_default()
            );
            eprintln!("log:\n{}", self.log());
        }
    }
}

/// Asserts the API's error shape.
pub(crate) async fn assert_error(response: reqwest::Response, status: u16) -> String {
    assert_eq!(response.status().as_u16(), status);
    assert_eq!(response.headers()["content-type"], "application/json");
    let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    assert_eq!(body["code"], status);
    body["message"].as_str().unwrap().to_owned()
}
