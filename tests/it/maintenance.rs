//! Tasks that are done by the clock, through the real binary: by hand, over restarts, and near a proposal.

use std::process::Output;

use relaymux::{
    consensus::{Encoding, Network, WallClock},
    events::{TaskCause, TaskKind, TaskOutcome},
    ledger::{Ledger, TaskRunRow},
    sim::SimBeacon,
    types::{DAY_MS, Slot},
};
use serde_json::{Value, json};

use crate::stage::{Stage, assert_error, binary, eventually, honest, stage};

/// Nothing runs by itself while a test looks, unless the test wants it.
const QUIET: &str = "[maintenance]\nstart_delay = \"1d\"\n";

/// A command about tasks, as a person would type it; its exit code, and all that it said with the lines of a terminal joined.
fn maintenance(stage: &Stage, arguments: &[&str]) -> (i32, String) {
    let Output { status, stdout, stderr } = binary()
        .current_dir(stage.folder.path())
        .arg("maintenance")
        .args(arguments)
        .args(["--config", "relays.toml", "--url", &stage.ops])
        .output()
        .unwrap();
    let said = String::from_utf8([stdout, stderr].concat()).unwrap();
    (status.code().unwrap(), said.split_whitespace().collect::<Vec<_>>().join(" "))
}

async fn task(stage: &Stage, task: &str) -> Value {
    stage.ops_json(&format!("/api/v1/maintenance/{task}")).await
}

/// [W1] A task that is run by hand says what came of it, by its exit code, too; its history is in the ledger.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_is_run_by_hand_says_what_came_of_it() {
    let stage = stage()
        .relay(honest())
        .relay_at("http://0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae@127.0.0.1:1")
        .with_beacon(|_| {})
        .section(QUIET)
        .start()
        .await;
    let (code, said) = maintenance(&stage, &["run", "client_versions", "--json"]);
    assert_eq!(code, 0, "{said}");
    let run: Value = serde_json::from_str(&said).unwrap();
    assert_eq!((&run["task"], &run["outcome"]), (&json!("client_versions"), &json!("done")));
    assert!(run["message"].as_str().unwrap().starts_with("The beacon node "), "{run}");
    // A relay that is not there is something wrong, in words and by the exit code.
    let (code, said) = maintenance(&stage, &["run", "health-check"]);
    assert_eq!(code, 1, "{said}");
    assert!(said.contains("The relay x0 is not well") && said.contains("1 of 2 relays answer."), "{said}");
    assert!(said.contains("The ledger is whole."), "{said}");
    let view = task(&stage, "health_check").await;
    let last = &view["history"][0];
    assert_eq!((&last["outcome"], &last["cause"]), (&json!("failed"), &json!("by_hand")));
    let (code, said) = maintenance(&stage, &["list"]);
    assert_eq!(code, 1, "the last run of one was not well: {said}");
    assert!(said.contains("0 3 * * * UTC") && said.contains("The relay x0 is not well"), "{said}");
    assert!(said.contains("weekly_digest: [alerts] sends it on each Monday at 09:00 UTC."), "{said}");
    assert!(!said.contains("backup"), "what this configuration has nothing to do for is not there: {said}");
    let failed =
        stage.metric("relaymux_maintenance_runs_total{task=\"health_check\",outcome=\"failed\"}").await;
    assert_eq!(failed, Some(1.0));
    let success = "relaymux_maintenance_last_success_timestamp_seconds{task=\"client_versions\"}";
    assert!(stage.metric(success).await.is_some_and(|at| at > 1.0e9));
}

/// [W2] Running a task needs the admin token, a name that there is, and the schedule.
#[tokio::test(flavor = "multi_thread")]
async fn running_a_task_is_asked_for_in_order() {
    let stage = stage().relay(honest()).section(QUIET).start().await;
    let post = async |task: &str, token: Option<&str>| {
        let request = stage.http.post(format!("{}/api/v1/maintenance/{task}/run", stage.ops));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().await.unwrap()
    };
    assert_error(post("health_check", None).await, 401).await;
    let token = std::fs::read_to_string(stage.data_dir().join("admin.token")).unwrap();
    let token = token.trim();
    assert_error(post("lunch", Some(token)).await, 404).await;
    let message = assert_error(post("backup", Some(token)).await, 404).await;
    assert!(message.contains("backup is no task of this service"), "{message}");
    let message = assert_error(post("weekly_digest", Some(token)).await, 409).await;
    assert!(message.contains("[alerts] sends it"), "{message}");
    let answer = post("health_check", Some(token)).await;
    assert_eq!(answer.status(), 202);
    let planned_at = answer.json::<Value>().await.unwrap()["planned_at"].clone();
    eventually("the run in the history", async || {
        let view = task(&stage, "health_check").await;
        let last = &view["history"][0];
        (last["planned_at"] == planned_at && last["ended_at"].is_i64()).then_some(())
    })
    .await;
    assert_eq!(maintenance(&stage, &["run", "lunch"]).0, 2);
    let (code, said) = maintenance(&stage, &["run", "backup"]);
    assert_eq!((code, said.contains("backup is no task")), (1, true), "{said}");
    let unknown = stage.http.get(format!("{}/api/v1/maintenance/lunch", stage.ops)).send().await.unwrap();
    assert_error(unknown, 404).await;
}

/// [W3] Runs that were missed while the service was down are made up for by one, and a second start makes up for none.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_while_it_was_down_is_done_once() {
    let mut stage = stage().relay(honest()).section("[maintenance]\nstart_delay = \"0s\"\n").start().await;
    eventually("the schedule", async || {
        let tasks = stage.ops_json("/api/v1/maintenance").await;
        tasks["tasks"].as_array().is_some_and(|tasks| !tasks.is_empty()).then_some(())
    })
    .await;
    stage.signal("TERM");
    assert_eq!(stage.exit_status().await.code(), Some(0), "{}", stage.log());
    let now = WallClock::system().now();
    let kind = TaskKind::HealthCheck;
    let last = now.div_euclid(DAY_MS) * DAY_MS - 4 * DAY_MS + 3 * 3_600_000;
    let ledger = Ledger::open(&stage.data_dir(), &stage.spec.name, now).await.unwrap();
    ledger.forget_task(kind).await.unwrap();
    ledger.watch_task(kind, "0 3 * * * UTC", last - DAY_MS).await.unwrap();
    let done = TaskRunRow {
        number: 0,
        cause: TaskCause::Schedule.into(),
        planned_at: last,
        started_at: Some(last),
        ended_at: Some(last + 1000),
        outcome: TaskOutcome::Done.into(),
        message: "All is well.".to_owned(),
    };
    ledger.add_task_run(kind, &done).await.unwrap();
    ledger.shut().await;
    stage.start_again().await;
    let history = eventually("the run that makes up for them", async || {
        let view = task(&stage, "health_check").await;
        let history = view["history"].as_array().unwrap().clone();
        (history.len() == 2 && history[0]["ended_at"].is_i64()).then_some(history)
    })
    .await;
    assert_eq!(history[0]["cause"], "catch_up", "{history:?}");
    let message = history[0]["message"].as_str().unwrap();
    assert!(message.starts_with("It makes up for "), "{message}");
    assert!((history[0]["planned_at"].as_i64().unwrap() - last) % DAY_MS == 0, "a time that was planned");
    stage.start_again().await;
    eventually("the schedule to be kept", async || {
        let view = task(&stage, "health_check").await;
        (view["state"] == "idle" && view["last"].is_object()).then_some(())
    })
    .await;
    // By hand, so that it is known that the schedule has looked.
    let _ = maintenance(&stage, &["run", "health_check"]);
    let view = task(&stage, "health_check").await;
    let causes: Vec<_> = view["history"].as_array().unwrap().iter().map(|run| run["cause"].clone()).collect();
    assert_eq!(causes, ["by_hand", "catch_up", "schedule"]);
}

/// [W4] A task waits while a proposal of our own is near, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_waits_while_a_proposal_is_near() {
    let beacon = SimBeacon::start(Network::Hoodi.spec()).await.unwrap();
    let stage = stage()
        .relay(honest())
        .slot_secs(2)
        .section(&format!(
            "[maintenance]\nstart_delay = \"1d\"\nkeep_clear_of_proposals = \"1h\"\n[beacon]\nurl = \"{}\"\n",
            beacon.url()
        ))
        .start()
        .await;
    beacon.behave(|behaviour| behaviour.spec = stage.spec.clone());
    let signed = u64::try_from(WallClock::system().now() / 1000).unwrap();
    let proposer = stage.proposer(Encoding::Ssz);
    proposer.register(60_000_000, signed).await.unwrap();
    let slot = Slot::new(stage.slot().as_u64() + 9);
    beacon.behave(|node| node.duties = [(slot, proposer.proposer(slot))].into());
    eventually("the duty to be known", async || stage.log().contains(&format!("[{slot}]")).then_some(()))
        .await;
    let (code, said) = maintenance(&stage, &["run", "health_check", "--no-wait"]);
    assert_eq!(code, 0, "{said}");
    let view = eventually("the task to wait", async || {
        Some(task(&stage, "health_check").await).filter(|view| view["state"] == "waiting")
    })
    .await;
    let why = view["why"].as_str().unwrap();
    assert!(
        why.starts_with("It waits until ") && why.ends_with("as a proposal of our own is near."),
        "{view}"
    );
    let (code, said) = maintenance(&stage, &["run", "health_check"]);
    assert!(code == 1 && said.contains("waits to run already. It waits until"), "{said}");
}

/// [W5] A mistake in `[maintenance]` is named with its line and what is expected, and `relaymux check` says when each task runs next.
#[tokio::test(flavor = "multi_thread")]
async fn mistakes_and_times_are_said_by_check() {
    let stage = stage().relay(honest()).section(QUIET).start().await;
    let check = || {
        let output = binary().current_dir(stage.folder.path()).args(["check", "--offline"]).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
    };
    let (code, said) = check();
    assert_eq!(code, 0, "{said}");
    assert!(said.contains("task health_check: 0 3 * * * UTC, next on 20"), "{said}");
    let sound = stage.config();
    for (keys, want) in [
        ("health_check = \"0 25 * * *\"", "the hour `25` is not understood: expected 0 to 23"),
        ("time_zone = \"Europe/Zuerich\"", "there is no time zone `Europe/Zuerich`"),
        ("helth_check = \"0 3 * * *\"", "did you mean `health_check`?"),
        ("health_check = { jiter = \"5m\" }", "did you mean `jitter`?"),
    ] {
        stage.write_config(&sound.replace(QUIET, &format!("{QUIET}{keys}\n")));
        let (code, said) = check();
        let line = sound.lines().take_while(|line| *line != "[maintenance]").count() + 3;
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(want) && said.contains(&format!("relays.toml:{line}:")), "line {line}: {said}");
    }
}
