//! Both directions with a real Prometheus and a real Alertmanager: what Prometheus finds enters our matrix by the hook and leaves it, what
//! relaymux finds stands in Alertmanager, and `amtool` and our API say the same. `scripts/test` unpacks both and names their folder.

use std::{
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use relaymux::{consensus::Encoding, sim::PayloadFault};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use crate::stage::{Stage, eventually, honest, stage};

/// The folder with `prometheus`, `promtool`, `prometheus-alertmanager` and `amtool`.
fn programs() -> PathBuf {
    std::env::var_os("RELAYMUX_MONITORING").unwrap().into()
}

/// A program that says in its log which port it got. Ends when dropped.
struct Program {
    child: Child,
    address: String,
    log: PathBuf,
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("{}:\n{}", self.log.display(), std::fs::read_to_string(&self.log).unwrap_or_default());
        }
    }
}

impl Program {
    async fn start(name: &str, folder: &Path, arguments: &[String]) -> Self {
        let log = folder.join(format!("{name}.log"));
        let child = Command::new(programs().join(name))
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(std::fs::File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut program = Self { child, address: String::new(), log };
        program.address = eventually("the program to listen", async || {
            let log = std::fs::read_to_string(&program.log).ok()?;
            let lines = log.lines().filter(|line| line.contains("\"Listening on\""));
            lines.filter_map(|line| line.split("address=").nth(1)).map(str::to_owned).next()
        })
        .await;
        program
    }

    fn hang_up(&self) {
        assert!(
            Command::new("kill").args(["-HUP", &self.child.id().to_string()]).status().unwrap().success()
        );
    }
}

/// Something that Prometheus scrapes: one metric, which a test switches on and off.
async fn switch() -> (String, Arc<AtomicBool>) {
    let (listener, is_on) =
        (TcpListener::bind("127.0.0.1:0").await.unwrap(), Arc::new(AtomicBool::new(false)));
    let (address, shown) = (listener.local_addr().unwrap().to_string(), Arc::clone(&is_on));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut request = [0; 4096];
            let _ = stream.read(&mut request).await;
            let body = format!("test_switch {}\n", u8::from(shown.load(Ordering::Relaxed)));
            let head = "HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4\r\nconnection: close";
            let answer = format!("{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (address, is_on)
}

struct Monitoring {
    stage: Stage,
    alertmanager: Program,
    prometheus: Program,
    switch: Arc<AtomicBool>,
    _folder: tempfile::TempDir,
}

impl Monitoring {
    /// Everything, each part told of the others.
    async fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        // Without the hook: its port is known once relaymux runs, which needs the Alertmanager's.
        std::fs::write(path("am.yml"), "route: { receiver: relaymux }\nreceivers: [{ name: relaymux }]\n")
            .unwrap();
        let arguments = [
            format!("--config.file={}", path("am.yml").display()),
            format!("--storage.path={}", path("am").display()),
            "--web.listen-address=127.0.0.1:0".to_owned(),
            "--cluster.listen-address=".to_owned(),
        ];
        let alertmanager = Program::start("prometheus-alertmanager", folder.path(), &arguments).await;
        let stage = stage()
            .relay(honest().payload(PayloadFault::Withholds))
            .section(&format!(
                "[alerts]\nsource = \"box-1\"\n[[alerts.channels]]\nid = \"am\"\nkind = \"alertmanager\"\nurl = \"http://{}\"\n",
                alertmanager.address
            ))
            .start()
            .await;
        let hook = format!(
            "route: {{ receiver: relaymux, group_by: [alertname], group_wait: 1s, group_interval: 1s, repeat_interval: 1h }}\n\
             receivers:\n- name: relaymux\n  webhook_configs:\n  - url: {}/api/v1/alerts/hook\n    http_config:\n      \
             authorization: {{ credentials_file: {} }}\n",
            stage.ops,
            stage.data_dir().join("admin.token").display()
        );
        std::fs::write(path("am.yml"), hook).unwrap();
        alertmanager.hang_up();
        let (target, switch) = switch().await;
        let rule = "groups:\n- name: test\n  rules:\n  - alert: SwitchIsOn\n    expr: test_switch > 0\n    \
                    labels: { severity: critical }\n    annotations: { summary: The switch is on }\n";
        std::fs::write(path("test.rules.yml"), rule).unwrap();
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/prometheus");
        std::fs::copy(shipped.join("relaymux.rules.yml"), path("relaymux.rules.yml")).unwrap();
        let config = std::fs::read_to_string(shipped.join("prometheus.yml")).unwrap();
        // What is shipped, but for where things are and how often they are looked at.
        let config = config
            .replace("15s", "1s")
            .replace("127.0.0.1:18551", stage.ops.strip_prefix("http://").unwrap())
            .replace("127.0.0.1:9093", &alertmanager.address)
            .replace("rule_files:\n", "rule_files:\n  - test.rules.yml\n")
            .replace(
                "rule_files:\n",
                &format!(
                    "  - job_name: switch\n    static_configs: [{{ targets: [\"{target}\"] }}]\nrule_files:\n"
                ),
            );
        std::fs::write(path("prometheus.yml"), config).unwrap();
        for check in [["check", "config", "prometheus.yml"], ["check", "rules", "relaymux.rules.yml"]] {
            let output =
                Command::new(programs().join("promtool")).args(check).current_dir(folder.path()).output();
            let output = output.unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        let arguments = [
            format!("--config.file={}", path("prometheus.yml").display()),
            format!("--storage.tsdb.path={}", path("tsdb").display()),
            "--web.listen-address=127.0.0.1:0".to_owned(),
        ];
        let prometheus = Program::start("prometheus", folder.path(), &arguments).await;
        Self { stage, alertmanager, prometheus, switch, _folder: folder }
    }

    /// What `amtool` says, as JSON.
    async fn amtool(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(programs().join("amtool"));
        command.arg(format!("--alertmanager.url=http://{}", self.alertmanager.address)).args(arguments);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Names and severities that `amtool` lists.
    async fn there(&self, arguments: &[&str]) -> Vec<(String, String, String)> {
        let text = self.amtool(&[&["alert", "query", "-o", "json"], arguments].concat()).await;
        let alerts: Vec<Value> = serde_json::from_str(&text).unwrap();
        let label = |alert: &Value, name: &str| alert["labels"][name].as_str().unwrap_or_default().to_owned();
        let of =
            |alert: &Value| (label(alert, "alertname"), label(alert, "priority"), label(alert, "subject"));
        let mut found: Vec<_> = alerts.iter().map(of).collect();
        found.sort();
        found
    }

    /// Rules, severities and subjects that our API lists as firing.
    async fn here(&self) -> Vec<(String, String, String)> {
        let alerts = self.stage.ops_json("/api/v1/alerts?state=open").await;
        let firing = alerts["open"].as_array().unwrap().iter().filter(|alert| alert["phase"] == "firing");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut found: Vec<_> = firing
            .map(|alert| (text(&alert["rule"]), text(&alert["severity"]), text(&alert["subject"])))
            .collect();
        found.sort();
        found
    }

    /// The alert of the hook that is of Prometheus's rule.
    async fn of_the_switch(&self) -> Option<Value> {
        let alerts = self.stage.ops_json("/api/v1/alerts?state=open").await;
        let open = alerts["open"].as_array().unwrap();
        open.iter().find(|alert| alert.to_string().contains("SwitchIsOn")).cloned()
    }

    async fn query(&self, expression: &str) -> Option<f64> {
        let url = format!("http://{}/api/v1/query", self.prometheus.address);
        let answer = self.stage.http.get(url).query(&[("query", expression)]).send().await.ok()?;
        let answer: Value = answer.json().await.ok()?;
        answer["data"]["result"][0]["value"][1].as_str()?.parse().ok()
    }
}

/// [N9] Prometheus's alert enters the matrix as grave as its label says, and is over when it is over there; a silence there hushes and changes nothing
/// of what is shown here. What relaymux finds stands in Alertmanager with its severity, and does not come back by the hook.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Prometheus and Alertmanager: RELAYMUX_MONITORING=/usr/bin"]
async fn a_real_prometheus_and_a_real_alertmanager_agree_with_us() {
    let all = Monitoring::start().await;
    eventually("Prometheus to scrape relaymux", async || {
        (all.query("up{job=\"relaymux\"}").await == Some(1.0)
            && all.query("relaymux_build_info").await == Some(1.0))
        .then_some(())
    })
    .await;
    assert_eq!(all.of_the_switch().await, None);

    all.switch.store(true, Ordering::Relaxed);
    let alert = eventually("Prometheus's alert to be here", async || all.of_the_switch().await).await;
    assert_eq!((&alert["severity"], &alert["component"]), (&json!("P1"), &json!("external")), "{alert}");
    assert!(alert.to_string().contains("The switch is on"), "{alert}");

    // The other direction: a block that is kept is P1 there as well.
    assert_ne!(all.stage.reveal(2, Encoding::Ssz).await.0, 202);
    eventually("our alert to be there", async || {
        let there = all.there(&["alertname=block_not_published"]).await;
        there.iter().any(|(_, priority, _)| priority == "P1").then_some(())
    })
    .await;
    // All that fires here is there, with the same severity and subject; what is there and passed here once does not come back again.
    eventually("both to say the same", async || {
        let (here, there) = (all.here().await, all.there(&[]).await);
        let is_same = here.len() >= 2 && here.iter().all(|alert| there.contains(alert));
        let own = there.iter().filter(|(_, priority, _)| !priority.is_empty()).count();
        (is_same && own == here.len()).then_some(())
    })
    .await;

    // Silences there: it is hushed, and still shown here, as it still lasts.
    for name in ["SwitchIsOn", "block_not_published"] {
        let matcher = format!("alertname={name}");
        all.amtool(&["silence", "add", &matcher, "--author=test", "--comment=known", "--duration=1h"]).await;
        eventually("the silence to hush", async || all.there(&[&matcher]).await.is_empty().then_some(()))
            .await;
        assert!(!all.there(&["--silenced", &matcher]).await.is_empty());
    }
    // Two looks later nothing has changed here.
    let mut looks = std::collections::BTreeSet::new();
    eventually("looks after the silence", async || {
        looks.insert(all.stage.ops_json("/api/v1/alerts").await["at"].as_i64().unwrap());
        (looks.len() > 2).then_some(())
    })
    .await;
    let here = all.here().await;
    assert!(here.iter().any(|(rule, _, _)| rule == "block_not_published"), "{here:?}");
    assert!(all.of_the_switch().await.is_some());
    let silences = all.amtool(&["silence", "query", "-q"]).await;
    all.amtool(
        &[&["silence", "expire"], silences.split_whitespace().collect::<Vec<_>>().as_slice()].concat(),
    )
    .await;

    all.switch.store(false, Ordering::Relaxed);
    eventually("Prometheus's alert to be over", async || {
        let is_firing = all.of_the_switch().await.is_some_and(|alert| alert["phase"] == "firing");
        (!is_firing).then_some(())
    })
    .await;
    let here = all.here().await;
    assert!(here.iter().any(|(rule, _, _)| rule == "block_not_published"), "{here:?}");
}
