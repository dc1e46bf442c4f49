//! Nodes under supervision: child processes of the real binary, watched through its commands and its ops API.

use std::{
    path::Path,
    process::{Command, Output, Stdio},
};

use relaymux::sim::{SimUpstream, UpstreamFault};
use serde_json::{Value, json};

use crate::stage::{Stage, assert_error, binary, eventually, honest, stage};

/// What a node runs: it writes down its process, and ends at once while there is a file `broken`.
const PROGRAM: &str = r#"echo $$ > "$0.pid"; if test -e broken; then echo "$0: no database"; exit 3; fi; echo "$0 is up"; exec sleep 600"#;

/// A stage whose nodes end with it, also where a test fails: children of a service that is killed live on.
struct Ground {
    stage: Stage,
}

impl Drop for Ground {
    fn drop(&mut self) {
        self.stage.kill();
        for file in std::fs::read_dir(self.stage.folder.path()).unwrap().flatten() {
            let path = file.path();
            if path.extension().is_some_and(|extension| extension == "pid")
                && let Some(pid) = pid_in(&path)
                && is_a_node(pid)
            {
                kill("KILL", pid);
            }
        }
    }
}

fn pid_in(file: &Path) -> Option<u32> {
    std::fs::read_to_string(file).ok()?.strip_suffix('\n')?.parse().ok()
}

/// Whether a process is one of these tests.
fn is_a_node(pid: u32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep\x00600\x00"))
}

fn kill(signal: &str, pid: u32) {
    let mut kill = Command::new("kill");
    let _ = kill.args([&format!("-{signal}"), &pid.to_string()]).stderr(Stdio::null()).status().unwrap();
}

/// A child process that does as [`PROGRAM`] says, is started again soon, and finds room on any machine.
fn node(id: &str, keys: &str) -> String {
    format!(
        "[[nodes]]\nid = \"{id}\"\nruntime = \"process\"\ncommand = [\"/bin/sh\", \"-c\", '''{PROGRAM}''', \"{id}\"]\n\
         working_directory = \".\"\nrestart_delay = \"1s\"\nlimits = {{ memory = \"64MiB\", cpus = 0.1 }}\n{keys}\n"
    )
}

fn generic(id: &str, keys: &str) -> String {
    node(id, &format!("kind = \"generic\"\n{keys}"))
}

impl Ground {
    async fn with(nodes: &str) -> Self {
        Self { stage: stage().relay(honest()).section(nodes).start().await }
    }

    /// A command about nodes, as a person would type it; its exit code, and all that it said with the lines of a terminal joined.
    fn nodes(&self, arguments: &[&str]) -> (i32, String) {
        let Output { status, stdout, stderr } = binary()
            .current_dir(self.stage.folder.path())
            .arg("nodes")
            .args(arguments)
            .args(["--config", "relays.toml", "--url", &self.stage.ops])
            .output()
            .unwrap();
        let said = String::from_utf8([stdout, stderr].concat()).unwrap();
        (status.code().unwrap(), said.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    fn well(&self, arguments: &[&str]) -> String {
        let (code, said) = self.nodes(arguments);
        assert_eq!(code, 0, "{arguments:?}: {said}\n{}", self.stage.log());
        said
    }

    /// The process of a node, as it wrote it down.
    fn pid(&self, id: &str) -> Option<u32> {
        pid_in(&self.stage.folder.path().join(format!("{id}.pid")))
    }

    async fn running(&self, id: &str) -> u32 {
        eventually(&format!("a process of {id}"), async || self.pid(id).filter(|pid| is_a_node(*pid))).await
    }

    async fn view(&self, id: &str) -> Value {
        self.stage.ops_json(&format!("/api/v1/nodes/{id}")).await
    }

    async fn until(&self, id: &str, state: &str) -> Value {
        eventually(&format!("{id} to be {state}"), async || {
            Some(self.view(id).await).filter(|view| view["state"] == state)
        })
        .await
    }

    /// What was done to it and how it was, the oldest first.
    async fn history(&self, id: &str) -> Vec<(i64, String, String, String)> {
        let view = self.view(id).await;
        let text = |fact: &Value, key: &str| fact[key].as_str().unwrap().to_owned();
        let facts = view["history"].as_array().unwrap().iter().rev();
        facts
            .map(|fact| {
                (fact["at"].as_i64().unwrap(), text(fact, "name"), text(fact, "by"), text(fact, "why"))
            })
            .collect()
    }

    async fn alert(&self, rule: &str) -> Option<Value> {
        let alerts = self.stage.ops_json("/api/v1/alerts?state=open").await;
        alerts["open"].as_array()?.iter().find(|alert| alert["rule"] == rule).cloned()
    }

    /// Ends the service in good order.
    async fn end(&mut self) {
        self.stage.signal("TERM");
        assert_eq!(self.stage.exit_status().await.code(), Some(0), "{}", self.stage.log());
    }
}

/// [U1] Nothing runs until it is ordered up; then a node that is killed is started again, each time after a longer wait, with its reason.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_killed_is_started_again_after_longer_and_longer_waits() {
    let nodes = Ground::with(&generic("geth", "")).await;
    let view = nodes.until("geth", "absent").await;
    assert_eq!((&view["wanted"], nodes.pid("geth")), (&json!("watched"), None), "nobody has asked for it");
    let said = nodes.well(&["up"]);
    assert!(said.contains("geth: geth was started.") && said.contains("geth: healthy:"), "{said}");
    let mut pid = nodes.running("geth").await;
    for wait in [1000, 2000] {
        kill("KILL", pid);
        let other = async || nodes.pid("geth").filter(|new| *new != pid && is_a_node(*new));
        pid = eventually("another process", other).await;
        nodes.until("geth", "healthy").await;
        let last = async || {
            let history = nodes.history("geth").await;
            let last =
                |name: &str, by: &str| history.iter().rfind(|fact| fact.1 == name && fact.2 == by).cloned();
            let (crashed, start) = (last("crashed", "")?, last("start", "supervisor")?);
            (start.0 > crashed.0).then_some((crashed, start))
        };
        let (crashed, start) = eventually("the start in the history", last).await;
        assert!(start.0 - crashed.0 >= wait, "{crashed:?} {start:?}");
        assert!(start.3.starts_with("It ended with code 137, by signal 9 by itself."), "{start:?}");
    }
    assert_eq!(nodes.view("geth").await["restarts"], 2);
    let said = nodes.well(&["status"]);
    assert!(said.contains("1 node: 1 healthy") && said.contains("2 of 5 restarts in 10 min"), "{said}");
    assert!(said.contains("start by supervisor: It ended with code 137"), "{said}");
}

/// [U2] What a person stopped stays stopped, also over a restart of the service; what is to run is started again by it.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_stopped_by_hand_stays_so_over_a_restart() {
    let mut nodes = Ground::with(&[generic("kept", ""), generic("other", "")].concat()).await;
    nodes.well(&["up"]);
    let (kept, other) = (nodes.running("kept").await, nodes.running("other").await);
    let said = nodes.well(&["stop", "kept", "--why", "a new disk"]);
    assert!(said.contains("kept is stopped, and stays so."), "{said}");
    assert!(!is_a_node(kept) && is_a_node(other));
    nodes.end().await;
    assert!(!is_a_node(other), "children end with the service");
    let mut last = other;
    for is_killed in [false, true] {
        nodes.stage.start_again().await;
        nodes.until("other", "healthy").await;
        let now = nodes.running("other").await;
        // A service that was killed leaves its children behind, and the next takes them over.
        assert_eq!(now == last, is_killed, "{}", nodes.stage.log());
        last = now;
        let view = nodes.until("kept", "stopped").await;
        assert_eq!((&view["wanted"], nodes.pid("kept")), (&json!("stopped"), Some(kept)));
        assert_eq!(nodes.view("other").await["wanted"], "up");
    }
    let (code, said) = nodes.nodes(&["status"]);
    assert!(said.contains("kept stopped") && said.contains("`relaymux nodes up kept`"), "{said}");
    assert_eq!(code, 0, "nobody wants more than that: {said}");
    let history = nodes.history("kept").await;
    assert!(
        history
            .iter()
            .any(|fact| fact.1 == "stop" && fact.2 == "operator" && fact.3.ends_with("a new disk.")),
        "{history:?}"
    );
    nodes.well(&["up", "kept"]);
    nodes.running("kept").await;
}

/// [U3] A node that ends again and again is left down, a person is called, and nothing is done until he says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_crash_loop_calls_a_person_and_waits_for_his_word() {
    let keys = "restart_max_delay = \"1s\"\nstart_limit_burst = 2";
    let nodes = Ground::with(&[generic("looping", keys), generic("other", "")].concat()).await;
    let broken = nodes.stage.folder.path().join("broken");
    nodes.well(&["up", "other"]);
    std::fs::write(&broken, "").unwrap();
    nodes.nodes(&["up", "looping", "--no-wait"]);
    let view = nodes.until("looping", "crash_loop").await;
    assert_eq!((&view["restarts"], &view["hold"]), (&json!(2), &json!("crash_loop")));
    let alert = eventually("the alert", async || nodes.alert("node_crash_loop").await).await;
    assert_eq!((&alert["severity"], &alert["subject"]), (&json!("P1"), &json!("looping")), "{alert}");
    let (code, said) = nodes.nodes(&["status"]);
    assert_eq!(code, 1, "{said}");
    // The worst first.
    assert!(said.starts_with("2 nodes: 1 crash loop, 1 healthy looping crash loop for"), "{said}");
    for words in [
        "It was started 2 times within 10 minutes and did not stay up. The last time: It ended with code 3 by itself.",
        "read `relaymux nodes logs looping`, mend it, then `relaymux nodes resume looping`.",
    ] {
        assert!(said.contains(words), "{said}");
    }
    assert_eq!(nodes.well(&["logs", "looping", "-n", "1"]), "looping: no database");
    let (code, json) = nodes.nodes(&["status", "looping", "--json"]);
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((code, &json[0]["id"], &json[0]["state"]), (1, &json!("looping"), &json!("crash_loop")));
    assert_eq!(nodes.nodes(&["status", "other"]).0, 0, "that one is well");

    std::fs::remove_file(&broken).unwrap();
    let said = nodes.well(&["resume", "looping"]);
    assert!(said.contains("looping is looked after again."), "{said}");
    nodes.running("looping").await;
    nodes.until("looping", "healthy").await;
    eventually("the alert to be over", async || nodes.alert("node_crash_loop").await.is_none().then_some(()))
        .await;
    assert_eq!(nodes.nodes(&["status"]).0, 0);
}

/// [U4] A node whose process runs and does not answer is restarted; it is asked what its kind answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_hangs_is_restarted() {
    let chain = SimUpstream::start(31337, 1000).await.unwrap();
    let keys = format!(
        "kind = \"geth\"\nrpc_url = \"{}\"\nchain_id = 31337\nprobe_secs = 1\nprobe_timeout_secs = 1\nhung_after = 2",
        chain.url()
    );
    let nodes = Ground::with(&node("geth", &keys)).await;
    nodes.well(&["up"]);
    let view = nodes.until("geth", "healthy").await;
    assert_eq!((&view["head"], &view["layer"]), (&json!(1000), &json!("execution")), "{view}");
    let pid = nodes.running("geth").await;
    chain.set(UpstreamFault::Hangs);
    eventually("another process", async || nodes.pid("geth").filter(|new| *new != pid)).await;
    assert!(!is_a_node(pid));
    chain.set(UpstreamFault::None);
    nodes.until("geth", "healthy").await;
    let restarted = async || {
        nodes.history("geth").await.into_iter().find(|fact| fact.1 == "restart" && fact.2 == "supervisor")
    };
    let why = eventually("the restart in the history", restarted).await.3;
    assert!(why.starts_with("Its process runs, and "), "{why}");
}

/// [U5] The service ends its nodes with itself, and what they started.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_of_a_node_is_left_when_the_service_ends() {
    let parent = "[[nodes]]\nid = \"parent\"\nkind = \"generic\"\nruntime = \"process\"\nworking_directory = \".\"\nlimits = { memory = \"64MiB\", cpus = 0.1 }\n\
                  command = [\"/bin/sh\", \"-c\", 'sleep 600 & echo $! > parent.pid; wait']\n";
    let mut nodes = Ground::with(&[generic("single", ""), parent.to_owned()].concat()).await;
    nodes.well(&["up"]);
    let all = [nodes.running("single").await, nodes.running("parent").await];
    nodes.end().await;
    eventually("nothing to be left", async || (!all.into_iter().any(is_a_node)).then_some(())).await;
    let (code, said) = nodes.nodes(&["status"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("Nobody looks after these nodes: the service at "), "{said}");
    assert!(
        said.contains("is it running (`relaymux run`)?")
            && said.contains("single: It is a process of the service's own"),
        "{said}"
    );
    let (code, said) = nodes.nodes(&["up"]);
    assert!(code == 1 && said.contains("does not answer"), "{said}");
}

/// [U6] A plan says what would be done, and does nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_plan_changes_nothing() {
    let nodes = Ground::with(&[generic("up", ""), generic("down", "")].concat()).await;
    nodes.until("down", "absent").await;
    nodes.well(&["up", "up"]);
    let pid = nodes.running("up").await;
    let before = (nodes.history("up").await, nodes.history("down").await);
    let said = nodes.well(&["plan"]);
    assert!(said.contains("Nothing was changed.") && said.contains("down"), "{said}");
    let said = nodes.well(&["plan", "--down"]);
    assert!(said.contains("Nothing was changed.") && said.contains("up"), "{said}");
    assert_eq!((nodes.history("up").await, nodes.history("down").await), before);
    assert_eq!((nodes.pid("up"), nodes.pid("down")), (Some(pid), None));
    assert!(is_a_node(pid));
}

/// [U7] What cannot be done is refused in words, and changes nothing: limits that cannot be held, names that are not there, no token.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_done_is_refused_in_words() {
    let nodes = Ground::with(&[generic("geth", ""), generic("reth", "")].concat()).await;
    nodes.well(&["up", "geth"]);
    let pid = nodes.running("geth").await;
    nodes.until("reth", "absent").await;
    // No machine has that core; without a cgroup of its own no limit could be held at all.
    let (code, said) = nodes.nodes(&["resize", "geth", "--cpuset", "4000"]);
    assert!(code == 1 && said.contains("limits of geth") && said.contains("cannot be changed"), "{said}");
    assert_eq!(nodes.view("geth").await["limits"]["cpuset"], Value::Null);
    let (code, said) = nodes.nodes(&["resize", "reth", "--pids", "9"]);
    assert!(code == 1 && said.contains("reth is not there"), "{said}");
    for arguments in [["status", "gteh"], ["up", "gteh"], ["logs", "gteh"], ["plan", "gteh"]] {
        let (code, said) = nodes.nodes(&arguments);
        assert_eq!((code, said.as_str()), (2, "no node is called `gteh` in relays.toml: it has geth, reth"));
    }
    for arguments in [["stop"], ["restart"], ["logs"]] {
        let (code, said) = nodes.nodes(&arguments);
        assert!(code == 2 && said.starts_with("name "), "{said}");
    }

    let url = format!("{}/api/v1/nodes/geth", nodes.stage.ops);
    let token = std::fs::read_to_string(nodes.stage.data_dir().join("admin.token")).unwrap();
    let http = &nodes.stage.http;
    let stop = || http.post(format!("{url}/stop")).header("content-type", "application/json").body("{}");
    assert_error(stop().send().await.unwrap(), 401).await;
    assert_error(stop().bearer_auth("0000").send().await.unwrap(), 401).await;
    assert_error(http.get(format!("{url}/logs")).send().await.unwrap(), 401).await;
    let of_nobody = http.post(format!("{}/api/v1/nodes/nobody/stop", nodes.stage.ops));
    let of_nobody = of_nobody.header("content-type", "application/json").body("{}").bearer_auth(token.trim());
    assert_error(of_nobody.send().await.unwrap(), 404).await;
    assert_eq!((nodes.pid("geth"), is_a_node(pid)), (Some(pid), true), "nothing was done");
    assert_eq!(nodes.view("geth").await["state"], "healthy");
}

/// A chain of simulated nodes, and the section of a gateway before `geth` and a replica that nobody supervises.
async fn behind_a_gateway() -> ([SimUpstream; 2], String) {
    let start = async || SimUpstream::start(31337, 1000).await.unwrap();
    let chains = [start().await, start().await];
    let probed = format!(
        "kind = \"geth\"\nrpc_url = \"{}\"\nchain_id = 31337\nprobe_secs = 1\nprobe_timeout_secs = 1\nrestart = \"no\"",
        chains[0].url()
    );
    let gateway = format!(
        "[rpc]\nlisten = \"127.0.0.1:0\"\nchain_id = 31337\nhealth = {{ failback_secs = 1 }}\n\
         [[rpc.upstreams]]\nid = \"own\"\nnode = \"geth\"\nprobe_ms = 100\n\
         [[rpc.upstreams]]\nid = \"replica\"\nurl = \"{}\"\ntier = \"replica\"\nprobe_ms = 100\n",
        chains[1].url()
    );
    (chains, [node("geth", &probed), gateway].concat())
}

impl Ground {
    /// Who answers a read; it must not fail.
    async fn reads_by(&self) -> String {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "eth_getBalance",
            "params": ["0x00000000000000000000000000000000000000aa", "latest"] });
        let request = self.stage.http.post(&self.stage.rpc).header("content-type", "application/json");
        let answer = request.body(body.to_string()).send().await.unwrap();
        let by = answer.headers()["x-relaymux-upstream"].to_str().unwrap().to_owned();
        let answer: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert_eq!(answer["result"], body["params"], "{by}: {answer}");
        by
    }

    async fn until_reads_by(&self, upstream: &str) {
        eventually(&format!("reads from {upstream}"), async || {
            (self.reads_by().await == upstream).then_some(())
        })
        .await;
    }

    /// How the gateway finds the upstream that is the node, and why.
    async fn own(&self) -> (String, String) {
        let view = self.stage.ops_json("/api/v1/rpc").await;
        let upstreams = view["upstreams"].as_array().unwrap();
        let own = upstreams.iter().find(|upstream| upstream["id"] == "own").unwrap();
        (own["state"].as_str().unwrap().to_owned(), own["why"].as_str().unwrap().to_owned())
    }
}

/// [U10] An upstream of the gateway that is a node under supervision is out once that has died, with the reason, whatever its port still answers;
/// reads move before a planned stop begins; no read fails.
#[tokio::test(flavor = "multi_thread")]
async fn an_upstream_shares_the_word_of_its_node_s_supervisor() {
    let (chains, sections) = behind_a_gateway().await;
    let nodes = Ground::with(&sections).await;
    nodes.well(&["up"]);
    nodes.until("geth", "healthy").await;
    nodes.until_reads_by("own").await;

    // Its process dies. What answers for it in this test answers on: only its supervisor knows.
    kill("KILL", nodes.running("geth").await);
    nodes.until("geth", "crashed").await;
    nodes.until_reads_by("replica").await;
    let dead = "Its supervisor says that its process has ended by itself.".to_owned();
    assert_eq!(nodes.own().await, ("down".to_owned(), dead));
    nodes.well(&["up"]);
    nodes.until_reads_by("own").await;

    let (pid, asked) = (nodes.running("geth").await, chains[0].calls("eth_getBalance"));
    assert!(asked > 0);
    let mut stop = binary();
    stop.current_dir(nodes.stage.folder.path())
        .args(["nodes", "stop", "geth", "--config", "relays.toml", "--url", &nodes.stage.ops])
        .stdout(Stdio::null());
    let mut stop = stop.spawn().unwrap();
    nodes.until_reads_by("replica").await;
    assert!(is_a_node(pid), "reads move before it is stopped");
    let asked = chains[0].calls("eth_getBalance");
    eventually("the stop", async || stop.try_wait().unwrap()).await;
    assert!(!is_a_node(pid));
    assert_eq!((nodes.reads_by().await.as_str(), chains[0].calls("eth_getBalance")), ("replica", asked));
    let gone = "Its supervisor says that it is stopped, or about to be.".to_owned();
    assert_eq!(nodes.own().await, ("down".to_owned(), gone));
}

/// [U9] `nodes status` ends with 0 only where each node is as it is wanted to be and able to serve; metrics say the same.
#[tokio::test(flavor = "multi_thread")]
async fn the_exit_code_and_the_metrics_say_whether_all_are_fine() {
    let chain = SimUpstream::start(31337, 1000).await.unwrap();
    let keys = format!(
        "kind = \"geth\"\nrpc_url = \"{}\"\nchain_id = 31337\nprobe_secs = 1\nprobe_timeout_secs = 1",
        chain.url()
    );
    let nodes = Ground::with(&node("geth", &keys)).await;
    let metric = async |name: &str, label: &str| {
        nodes.stage.metric(&format!("relaymux_node_{name}{{node=\"geth\"{label}}}")).await
    };
    nodes.until("geth", "absent").await;
    assert_eq!(nodes.nodes(&["status"]).0, 0, "nobody wants it up");
    assert_eq!(metric("ready", "").await, Some(0.0));
    assert_eq!(metric("restarts_total", ",reason=\"crashed\"").await, Some(0.0));
    assert_eq!(metric("oom_kills_total", "").await, Some(0.0));
    chain.set(UpstreamFault::Hangs);
    nodes.well(&["up", "--no-wait"]);
    nodes.until("geth", "starting").await;
    let (code, said) = nodes.nodes(&["status"]);
    assert!(code == 1 && said.contains("geth starting"), "{code} {said}");
    assert_eq!(nodes.nodes(&["status", "--json"]).0, 1);
    assert_eq!(
        (metric("state", ",state=\"starting\"").await, metric("ready", "").await),
        (Some(1.0), Some(0.0))
    );

    chain.set(UpstreamFault::None);
    nodes.until("geth", "healthy").await;
    assert_eq!(nodes.nodes(&["status"]).0, 0);
    let state = async |state: &str| metric("state", &format!(",state=\"{state}\"")).await;
    assert_eq!((state("healthy").await, state("starting").await), (Some(1.0), Some(0.0)));
    assert_eq!(
        (metric("ready", "").await, metric("memory_limit_bytes", "").await),
        (Some(1.0), Some(67_108_864.0))
    );
    assert!(metric("head_age_seconds", "").await.is_some_and(|age| age >= 0.0));

    let pid = nodes.running("geth").await;
    kill("KILL", pid);
    let other = async || nodes.pid("geth").filter(|new| *new != pid && is_a_node(*new));
    eventually("another process", other).await;
    assert_eq!(metric("restarts_total", ",reason=\"crashed\"").await, Some(1.0));
    nodes.until("geth", "healthy").await;
    nodes.well(&["restart", "geth"]);
    assert_eq!(metric("restarts_total", ",reason=\"ordered\"").await, Some(1.0));
    nodes.until("geth", "healthy").await;
    nodes.well(&["stop", "geth"]);
    assert_eq!(nodes.nodes(&["status"]).0, 0, "it is stopped, as somebody wants it");
    assert_eq!((state("stopped").await, metric("ready", "").await), (Some(1.0), Some(0.0)));
}
