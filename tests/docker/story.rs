//! The whole of it: `relaymux run` looks after a primary, a replica and a second-layer node on a real engine, each is killed, frozen, starved and
//! broken in turn, and whoever reads through the gateway sees nothing of it.

use std::{
    fs::File,
    os::unix::fs::chown,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use serde_json::{Value, json};
use tokio::{sync::watch, task::JoinSet, time::Instant};

use super::{
    engine::{Engine, IMAGE, engine},
    networks::{call, call_with},
};

const KEY: &str =
    "0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae";
const PRIMARY: &str = "127.0.0.1:18645";
const ROLLUP: &str = "127.0.0.1:18647";
/// No condition takes this long on a machine that works.
const LONG: Duration = Duration::from_secs(90);

/// What all three have: small and quick.
const COMMON: &str = "probe_secs = 1\nprobe_timeout_secs = 1\nhung_after = 3\nrestart_delay = \"1s\"\nrestart_max_delay = \"1s\"\n\
    start_limit_burst = 3\nstop_grace = \"2s\"\nlimits = { memory = \"64MiB\", cpus = 0.3, pids = 64 }\n";

fn execution(id: &str, port: u16, p2p: u16) -> String {
    format!(
        "[[nodes]]\nid = \"{id}\"\nkind = \"geth\"\nimage = \"{IMAGE}\"\ncommand = [\"serve\", \"8545\"]\nchain_id = 1337\n\
         rpc_url = \"http://127.0.0.1:{port}\"\np2p_port = {p2p}\ndata = \"{id}-data\"\n{COMMON}"
    )
}

fn configuration(engine: &Engine) -> String {
    let listen = "listen = \"127.0.0.1:0\"";
    [
        format!("data_dir = \"data\"\n[builder_api]\n{listen}\nrelay_check = false\n"),
        format!("[ops]\n{listen}\nmax_requests_per_second = 0\n"),
        format!("[resources]\ndocker_host = \"{}\"\n", engine.host()),
        format!("[rpc]\n{listen}\nchain_id = 1337\nattempt_ms = 500\nmax_requests_per_second = 0\nhealth = {{ failback_secs = 2 }}\n"),
        "[[rpc.upstreams]]\nid = \"primary\"\nnode = \"primary\"\ntier = \"primary\"\nprobe_ms = 200\n".to_owned(),
        "[[rpc.upstreams]]\nid = \"replica\"\nnode = \"replica\"\ntier = \"replica\"\nprobe_ms = 200\n".to_owned(),
        execution("primary", 18_645, 30_311),
        execution("replica", 18_646, 30_312),
        format!(
            "[[nodes]]\nid = \"rollup\"\nkind = \"generic\"\ngroup = \"l2\"\nimage = \"{IMAGE}\"\ncommand = [\"serve\", \"18647\"]\n\
             rpc_url = \"http://{ROLLUP}\"\n{COMMON}"
        ),
        format!("[[relays]]\nid = \"nobody\"\nurl = \"http://{KEY}@127.0.0.1:1\"\n"),
    ]
    .concat()
}

fn binary() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_relaymux"));
    // What has this prefix is configuration.
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("RELAYMUX_")) {
        command.env_remove(name);
    }
    command.env_remove("DOCKER_HOST");
    command
}

struct Story {
    engine: &'static Engine,
    folder: tempfile::TempDir,
    child: Child,
    http: reqwest::Client,
    ops: String,
    rpc: String,
}

impl Drop for Story {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("log:\n{}", self.log());
        }
        let _ = self.engine.docker(&["rm", "-f", "primary", "replica", "rollup", "foreign"]);
    }
}

async fn eventually<T>(what: &str, mut condition: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + LONG;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

impl Story {
    async fn begin(engine: &'static Engine) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for id in ["primary", "replica"] {
            let data = folder.path().join(format!("{id}-data"));
            std::fs::create_dir(&data).unwrap();
            chown(&data, Some(1000), Some(1000)).unwrap();
            std::fs::write(data.join("chaindata"), "years of it").unwrap();
        }
        std::fs::write(folder.path().join("relays.toml"), configuration(engine)).unwrap();
        let child = binary()
            .current_dir(folder.path())
            .args(["run", "--config", "relays.toml", "--ports-file", "ports.json"])
            .env("RELAYMUX_ALERTS__HOST_ROOT", "nothing")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::create(folder.path().join("log")).unwrap())
            .spawn()
            .unwrap();
        // As the binary does it for itself.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let http = reqwest::Client::builder().timeout(Duration::from_secs(60)).no_proxy().build().unwrap();
        let mut story = Self { engine, folder, child, http, ops: String::new(), rpc: String::new() };
        let ports: Value = eventually("the service to come up", async || {
            let ended = story.child.try_wait().unwrap();
            assert!(ended.is_none(), "it ended: {}", story.log());
            serde_json::from_slice(&std::fs::read(story.folder.path().join("ports.json")).ok()?).ok()
        })
        .await;
        let url = |name: &str| format!("http://{}", ports[name].as_str().unwrap());
        (story.ops, story.rpc) = (url("ops"), url("rpc"));
        story
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// A command about nodes; its exit code and what it said, with the lines of a terminal joined.
    fn nodes(&self, arguments: &[&str]) -> (i32, String) {
        let output = binary()
            .current_dir(self.folder.path())
            .arg("nodes")
            .args(arguments)
            .args(["--config", "relays.toml", "--url", &self.ops])
            .output()
            .unwrap();
        let said = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        (output.status.code().unwrap(), said.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    fn well(&self, arguments: &[&str]) -> String {
        let (code, said) = self.nodes(arguments);
        assert_eq!(code, 0, "{arguments:?}: {said}");
        said
    }

    async fn ops_json(&self, path: &str) -> Value {
        let answer = self.http.get(format!("{}{path}", self.ops)).send().await.unwrap();
        serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap()
    }

    async fn until(&self, id: &str, state: &str) -> Value {
        eventually(&format!("{id} to be {state}"), async || {
            Some(self.ops_json(&format!("/api/v1/nodes/{id}")).await).filter(|view| view["state"] == state)
        })
        .await
    }

    /// Waits until something was done to a node; why.
    async fn done(&self, id: &str, action: &str, by: &str, times: usize) -> String {
        let facts = async || {
            let view = self.ops_json(&format!("/api/v1/nodes/{id}")).await;
            let mut facts = view["history"].as_array()?.iter();
            let is_it = |fact: &&Value| {
                fact["kind"] == "action" && fact["name"] == action && fact["by"] == by && fact["error"] == ""
            };
            let found: Vec<&Value> = facts.by_ref().filter(is_it).collect();
            (found.len() >= times).then(|| found[0]["why"].as_str().unwrap().to_owned())
        };
        eventually(&format!("{action} of {id} by {by}"), facts).await
    }

    async fn alert(&self, rule: &str, subject: &str) -> Value {
        eventually(&format!("the alert {rule} of {subject}"), async || {
            let alerts = self.ops_json("/api/v1/alerts?state=open").await;
            let is_it = |alert: &&Value| alert["rule"] == rule && alert["subject"] == subject;
            alerts["open"].as_array()?.iter().find(is_it).cloned()
        })
        .await
    }

    /// Who answers the gateway's calls now.
    async fn leader(&self) -> Option<String> {
        let answer = self.http.get(format!("{}/healthz", self.rpc)).send().await.ok()?;
        let answer: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
        Some(answer["serving"][0].as_str()?.to_owned())
    }

    /// Waits until both nodes of the gateway serve it.
    async fn both_serve(&self) {
        for id in ["primary", "replica"] {
            self.until(id, "healthy").await;
        }
        eventually("both to serve the gateway", async || {
            let answer = self.http.get(format!("{}/healthz", self.rpc)).send().await.ok()?;
            let answer: Value = serde_json::from_slice(&answer.bytes().await.ok()?).ok()?;
            (answer["serving"].as_array()?.len() == 2).then_some(())
        })
        .await;
        // Whoever was back last leads again after a while, so that the next blow is to the one that all read from.
        eventually("the primary to lead", async || (self.leader().await? == "primary").then_some(())).await;
    }

    /// A signal to the node itself from elsewhere than the engine. The container's first process is the engine's `docker-init`.
    fn signal(&self, container: &str, name: &str) {
        let init = self.engine.says(&["inspect", "--format", "{{.State.Pid}}", container]);
        let children = std::fs::read_to_string(format!("/proc/{init}/task/{init}/children")).unwrap();
        let pid = children.trim();
        let sent = Command::new("kill").args([&format!("-{name}"), pid]).status().unwrap();
        assert!(sent.success(), "{container} {pid}");
    }

    fn containers(&self) -> Vec<String> {
        let names = self.engine.says(&["ps", "-a", "--format", "{{.Names}}"]);
        let mut names: Vec<String> = names.lines().map(str::to_owned).collect();
        names.retain(|name| ["primary", "replica", "rollup", "foreign"].contains(&name.as_str()));
        names.sort();
        names
    }
}

/// Somebody who reads through the gateway all the time.
struct Readers {
    tasks: JoinSet<Vec<String>>,
    count: Arc<AtomicU64>,
    stop: watch::Sender<bool>,
}

impl Readers {
    fn begin(story: &Story) -> Self {
        let (stop, stopped) = watch::channel(false);
        let (count, mut tasks) = (Arc::new(AtomicU64::new(0)), JoinSet::new());
        for _ in 0..4 {
            let (http, url) = (story.http.clone(), story.rpc.clone());
            let (count, stopped) = (Arc::clone(&count), stopped.clone());
            tasks.spawn(async move {
                let mut failed = Vec::new();
                while !*stopped.borrow() {
                    // Each another one: what was answered before would be answered from memory.
                    let id = count.fetch_add(1, Relaxed);
                    let params = json!([format!("0x{id:040x}"), "latest"]);
                    let body =
                        json!({"jsonrpc": "2.0", "id": id, "method": "eth_getBalance", "params": params});
                    let request =
                        http.post(&url).header("content-type", "application/json").body(body.to_string());
                    match answer(request).await {
                        Ok(answer) if answer["id"] == id && answer["result"] == "0x7" => {}
                        Ok(answer) => failed.push(answer.to_string()),
                        Err(error) => failed.push(error.to_string()),
                    }
                    // As much as a busy wallet: two cores have other things to do.
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
                failed
            });
        }
        Self { tasks, count, stop }
    }

    /// Waits for so many more reads to be begun.
    async fn more(&self, reads: u64) {
        let goal = self.count.load(Relaxed) + reads;
        eventually("reads", async || (self.count.load(Relaxed) >= goal).then_some(())).await;
    }

    /// How many reads there were; what those got that failed.
    async fn end(self) -> (u64, Vec<String>) {
        self.stop.send_replace(true);
        (self.count.load(Relaxed), self.tasks.join_all().await.concat())
    }
}

async fn answer(request: reqwest::RequestBuilder) -> reqwest::Result<Value> {
    let bytes = request.send().await?.bytes().await?;
    Ok(serde_json::from_slice(&bytes).unwrap_or_else(|_| json!(String::from_utf8_lossy(&bytes))))
}

/// [U8] Kill, freeze and starve each of three nodes: no read through the gateway fails, each is back or a person is called, and the status tells it.
#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_killed_frozen_and_starved_and_no_reader_notices() {
    let engine = engine().await;
    engine.says(&["run", "-d", "--name", "foreign", "--network", "none", IMAGE, "serve", "8545"]);
    let mut story = Story::begin(engine).await;
    assert_eq!(story.containers(), ["foreign"], "nothing is made that nobody has ordered");
    let (code, said) = story.nodes(&["plan"]);
    assert!(code == 0 && said.contains("Nothing was changed."), "{said}");

    story.well(&["up"]);
    assert_eq!(story.containers(), ["foreign", "primary", "replica", "rollup"]);
    story.both_serve().await;
    let readers = Readers::begin(&story);
    readers.more(50).await;

    // Killed by somebody else than the engine: it is back by itself.
    story.signal("primary", "KILL");
    let why = story.done("primary", "start", "supervisor", 1).await;
    assert!(
        why.starts_with("It ended with code 137, by signal 9, and nobody has told its engine to stop it."),
        "{why}"
    );
    story.both_serve().await;

    // Killed by a person: it stays down until a person says so, and one is told.
    engine.says(&["kill", "primary"]);
    story.until("primary", "stopped").await;
    story.alert("node_stopped", "primary").await;
    let (code, said) = story.nodes(&["status", "primary"]);
    assert!(said.contains("stopped") && said.contains("from outside") && code == 0, "{said}");
    story.well(&["up", "primary"]);
    story.both_serve().await;

    // Paused by a person: left alone.
    engine.says(&["pause", "replica"]);
    story.until("replica", "stopped").await;
    story.alert("node_stopped", "replica").await;
    readers.more(50).await;
    engine.says(&["unpause", "replica"]);
    story.both_serve().await;

    // Frozen from elsewhere: it hangs, and is restarted. First the one that nobody reads from, then the one that all do.
    for id in ["replica", "primary"] {
        story.signal(id, "STOP");
        let why = story.done(id, "restart", "supervisor", 1).await;
        assert!(why.starts_with("Its process runs, and "), "{why}");
        story.both_serve().await;
    }

    // Starved: back once, and the second time a person is called, and gives it more.
    call_with(ROLLUP, "standin_eat", "200");
    let why = story.done("rollup", "start", "supervisor", 1).await;
    assert!(why.starts_with("The kernel killed it for its memory"), "{why}");
    story.alert("node_out_of_memory", "rollup").await;
    story.until("rollup", "healthy").await;
    eventually("it to listen", async || call(ROLLUP, "eth_chainId")).await;
    call_with(ROLLUP, "standin_eat", "200");
    story.until("rollup", "crash_loop").await;
    story.alert("node_crash_loop", "rollup").await;
    let (code, said) = story.nodes(&["status"]);
    assert!(
        code == 1 && said.starts_with("3 nodes: 1 crash loop, 2 healthy rollup crash loop for"),
        "{said}"
    );
    assert!(said.contains("It was the second time within an hour"), "{said}");
    story.well(&["resize", "rollup", "--memory", "300MiB"]);
    story.well(&["resume", "rollup"]);
    eventually("it to listen", async || call(ROLLUP, "eth_chainId")).await;
    call_with(ROLLUP, "standin_eat", "200");
    eventually("it to have eaten", async || {
        let view = story.ops_json("/api/v1/nodes/rollup").await;
        (view["usage"]["memory_bytes"].as_u64()? > 200 << 20).then_some(())
    })
    .await;
    story.until("rollup", "healthy").await;

    // Broken: again and again, until a person is called.
    eventually("a crash loop", async || {
        let view = story.ops_json("/api/v1/nodes/primary").await;
        if view["state"] == "healthy" {
            call(PRIMARY, "standin_crash");
        }
        (view["state"] == "crash_loop").then_some(())
    })
    .await;
    let alert = story.alert("node_crash_loop", "primary").await;
    assert_eq!(alert["severity"], "P1");
    assert!(story.well(&["logs", "primary"]).contains("listening on 8545"));
    readers.more(50).await;
    story.well(&["resume", "primary", "--why", "it was us"]);
    story.both_serve().await;

    // Planned: its readers are moved to the other before.
    story.well(&["restart", "primary", "--why", "a new version"]);
    story.both_serve().await;
    readers.more(50).await;
    let switchovers = story.ops_json("/api/v1/rpc").await["switchovers"].clone();
    let moved = switchovers.as_array().unwrap().iter().find(|it| it["from"] == "primary").unwrap();
    assert_eq!(moved["reason"], "Its supervisor says that it is stopped, or about to be.", "{switchovers}");

    let (reads, failed) = readers.end().await;
    assert!(failed.is_empty(), "{} of {reads} reads failed, such as {}", failed.len(), failed[0]);
    assert!(reads > 500, "{reads}");
    let said = story.well(&["status"]);
    assert!(said.starts_with("3 nodes: 3 healthy"), "{said}");
    assert!(said.contains("restart by operator") && said.contains("a new version."), "{said}");

    let said = story.well(&["down", "--remove"]);
    assert!(said.contains("It was removed; its data stays."), "{said}");
    assert_eq!(story.containers(), ["foreign"]);
    assert_eq!(engine.says(&["inspect", "--format", "{{.State.Running}}", "foreign"]), "true");
    for id in ["primary", "replica"] {
        let data = story.folder.path().join(format!("{id}-data/chaindata"));
        assert_eq!(std::fs::read_to_string(data).unwrap(), "years of it");
    }
    let pid = rustix::process::Pid::from_child(&story.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    let child = &mut story.child;
    let ended = eventually("the service to end", async || child.try_wait().unwrap()).await;
    assert!(ended.success(), "{ended}");
}
