//! Alerts: who is told of what, over real sockets, by the real binary, also over a `kill -9`.

use relaymux::{
    consensus::Encoding,
    sim::{AlertServiceKind, PayloadFault, ReceivedAlert, ServiceHabit, SimAlertService},
    types::Secret,
};
use serde_json::{Value, json};

use crate::stage::{Stage, StageBuilder, binary, eventually, honest, stage};

fn told_by(channel: &str) -> String {
    let lines = ["P1", "P2", "P3"].map(|severity| {
        format!("[[alerts.escalation]]\nseverity = \"{severity}\"\nrespond_within = \"1h\"\ncontacts = [\"ops\"]\n")
    });
    format!("[alerts]\ngroup_wait = \"1s\"\n[[alerts.channels]]\nid = \"ops\"\n{channel}\n{}", lines.concat())
}

fn slack(service: &SimAlertService) -> StageBuilder {
    stage()
        .relay(honest().payload(PayloadFault::Withholds))
        .file("slack.url", &service.url())
        .section(&told_by("kind = \"slack\"\nurl_file = \"slack.url\""))
}

/// A slot whose block the only relay keeps.
async fn lose_a_block(stage: &Stage) -> u64 {
    let slot = stage.slot();
    assert_ne!(stage.reveal(2, Encoding::Ssz).await.0, 202);
    slot.as_u64()
}

async fn messages(service: &SimAlertService, count: usize) -> Vec<ReceivedAlert> {
    eventually("so many messages", async || {
        let received = service.received();
        (received.len() >= count).then_some(received)
    })
    .await
}

async fn open_alerts(stage: &Stage) -> Vec<Value> {
    let alerts = stage.ops_json("/api/v1/alerts?state=open").await;
    alerts["open"].as_array().unwrap_or_else(|| panic!("{alerts}")).clone()
}

async fn change(stage: &Stage, path: &str, body: &Value) -> (u16, Value) {
    let token = std::fs::read_to_string(stage.data_dir().join("admin.token")).unwrap();
    let request = stage.http.post(format!("{}{path}", stage.ops)).bearer_auth(token.trim()).json(body);
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap_or(Value::Null))
}

/// [N1] The night of the operator who has relays and a Slack webhook: one page about a withheld payload, understood half asleep, and nothing
/// else, also after a `kill -9`.
#[tokio::test(flavor = "multi_thread")]
async fn a_withheld_payload_is_one_page_and_the_night_is_quiet_otherwise() {
    let service = SimAlertService::start(AlertServiceKind::Slack).await.unwrap();
    let mut stage = slack(&service).start().await;
    let slot = lose_a_block(&stage).await;
    let page = messages(&service, 1).await.remove(0);
    let text = page.body.to_string();
    for part in [
        "P1",
        "No relay published a signed block",
        &format!("slot {slot}"),
        "Do now",
        "/alerts/acknowledge?token=",
    ] {
        assert!(text.contains(part), "`{part}` is missing: {text}");
    }
    let alerts = open_alerts(&stage).await;
    let alert = alerts.iter().find(|alert| alert["rule"] == "block_not_published").unwrap();
    assert_eq!((&alert["severity"], &alert["phase"]), (&json!("P1"), &json!("firing")));
    // Written down as sent, or a restart could not know.
    eventually("the message to be known as sent", async || {
        let told = stage.ops_json("/api/v1/alerts/notifications").await.to_string();
        told.contains("\"sent\"").then_some(())
    })
    .await;
    stage.kill();
    stage.start_again().await;
    // What would be told again would be by the first looks.
    let mut looks = std::collections::BTreeSet::new();
    eventually("three looks of the new process", async || {
        looks.insert(stage.ops_json("/api/v1/alerts").await["at"].as_i64().unwrap());
        (looks.len() > 3).then_some(())
    })
    .await;
    let alerts = open_alerts(&stage).await;
    assert!(alerts.iter().any(|alert| alert["rule"] == "block_not_published"), "{alerts:?}");
    assert_eq!(service.received().len(), 1, "{:?}", service.received());
    assert_eq!(service.refused(), Vec::<String>::new());
}

/// [N2] A `kill -9` while a message is on its way loses nothing: it is sent again with the same key.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_on_its_way_at_a_kill_is_sent_again_with_the_same_key() {
    let service = SimAlertService::start(AlertServiceKind::Webhook(Secret("0123456789abcdef".to_owned())))
        .await
        .unwrap();
    let url = service.url();
    let mut stage = stage()
        .relay(honest().payload(PayloadFault::Withholds))
        .section(&told_by(&format!("kind = \"webhook\"\nurl = \"{url}\"\nsecret = \"0123456789abcdef\"")))
        .start()
        .await;
    service.habit(ServiceHabit::Hangs);
    lose_a_block(&stage).await;
    let first = messages(&service, 1).await.remove(0);
    stage.kill();
    service.habit(ServiceHabit::Takes);
    stage.start_again().await;
    let again = messages(&service, 2).await.remove(1);
    let key = |message: &ReceivedAlert| message.header("idempotency-key").unwrap().to_owned();
    assert_eq!(key(&again), key(&first));
    assert_eq!(again.body["alerts"][0]["fingerprint"], first.body["alerts"][0]["fingerprint"]);
}

/// [N3] Somebody takes care: by the API with the token, by the link in the message without; a link alone, opened, changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn alerts_are_acknowledged_by_the_api_and_by_the_link() {
    let service = SimAlertService::start(AlertServiceKind::Slack).await.unwrap();
    let stage = slack(&service).start().await;
    lose_a_block(&stage).await;
    let text = messages(&service, 1).await.remove(0).body.to_string();
    let token: String = text
        .split("/alerts/acknowledge?token=")
        .nth(1)
        .unwrap()
        .chars()
        .take_while(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '%'))
        .collect();
    let page =
        stage.http.get(format!("{}/alerts/acknowledge?token={token}", stage.ops)).send().await.unwrap();
    assert_eq!(page.status().as_u16(), 200);
    let is_acknowledged = async || {
        open_alerts(&stage)
            .await
            .iter()
            .any(|alert| !alert["acknowledged_at"].is_null() || !alert["acknowledged"].is_null())
    };
    assert!(!is_acknowledged().await, "opening a link acknowledges nothing");
    let (status, _) = {
        let request = stage.http.post(format!("{}/api/v1/alerts/acknowledge", stage.ops));
        let response = request.json(&json!({ "token": token })).send().await.unwrap();
        (response.status().as_u16(), ())
    };
    assert_eq!(status, 200);
    messages(&service, 2).await;
    let (status, answer) = change(&stage, "/api/v1/alerts/nothing/ack", &json!({ "by": "somebody" })).await;
    assert_eq!(status, 404, "{answer}");
}

/// [N4] Alertmanager's alerts enter the same matrix, and leave it.
#[tokio::test(flavor = "multi_thread")]
async fn alerts_of_others_are_taken_in_and_are_over_when_they_say_so() {
    let service = SimAlertService::start(AlertServiceKind::Slack).await.unwrap();
    let stage = slack(&service).start().await;
    let body = |status: &str, ends: &str| {
        json!({
            "version": "4", "groupKey": "{}", "truncatedAlerts": 0, "status": status, "receiver": "relaymux",
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am",
            "alerts": [{
                "status": status,
                "labels": { "alertname": "DiskFull", "severity": "critical", "instance": "db1" },
                "annotations": { "summary": "The disk of db1 is full" },
                "startsAt": "2026-11-28T00:00:00Z", "endsAt": ends, "generatorURL": "", "fingerprint": "0123456789abcdef",
            }],
        })
    };
    let unauthorized = stage
        .http
        .post(format!("{}/api/v1/alerts/hook", stage.ops))
        .json(&body("firing", "0001-01-01T00:00:00Z"));
    assert_eq!(unauthorized.send().await.unwrap().status().as_u16(), 401);
    let (status, answer) =
        change(&stage, "/api/v1/alerts/hook", &body("firing", "0001-01-01T00:00:00Z")).await;
    assert_eq!(status, 200, "{answer}");
    let text = messages(&service, 1).await.remove(0).body.to_string();
    assert!(text.contains("P1") && text.contains("The disk of db1 is full"), "{text}");
    let (status, answer) =
        change(&stage, "/api/v1/alerts/hook", &body("resolved", "2026-11-28T01:00:00Z")).await;
    assert_eq!(status, 200, "{answer}");
    eventually("the alert to be over", async || open_alerts(&stage).await.is_empty().then_some(())).await;
}

/// [N5] `relaymux alert test` proves a channel, and says why it fails without showing its address.
#[tokio::test(flavor = "multi_thread")]
async fn a_test_message_proves_a_channel() {
    let service = SimAlertService::start(AlertServiceKind::Slack).await.unwrap();
    let stage = slack(&service).start().await;
    let run = async || {
        let mut command = binary();
        command.current_dir(stage.folder.path()).args(["alert", "test", "--severity", "P1"]);
        let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
        )
    };
    let (code, shown) = run().await;
    assert_eq!(code, Some(0), "{shown}");
    assert!(service.received()[0].body.to_string().contains("This is a test"), "{:?}", service.received());
    service.habit(ServiceHabit::Gone);
    let (code, shown) = run().await;
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("not taken") && !shown.contains(&service.url()), "{shown}");
}

/// [N11] A maintenance window holds back what it matches, and no P1 that it does not name; what lasts when it ends is told then. A window that is
/// gone from the configuration ends at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_maintenance_window_holds_back_what_it_matches_until_it_ends() {
    let service = SimAlertService::start(AlertServiceKind::Slack).await.unwrap();
    let window = "[[alerts.maintenance]]\nname = \"new disk\"\nmatchers = ['component=\"external\"']\nsla = true\n\
                  from = 2020-01-01T00:00:00Z\nuntil = 2020-03-01T00:00:00Z\n";
    let now = jiff::Timestamp::now();
    let window = window
        .replace(
            "2020-01-01T00:00:00Z",
            &(now - jiff::SignedDuration::from_hours(1)).strftime("%FT%TZ").to_string(),
        )
        .replace(
            "2020-03-01T00:00:00Z",
            &(now + jiff::SignedDuration::from_hours(1)).strftime("%FT%TZ").to_string(),
        );
    let stage = slack(&service).section(&window).start().await;
    let alert = |name: &str, severity: &str| {
        json!({
            "version": "4", "groupKey": "{}", "truncatedAlerts": 0, "status": "firing", "receiver": "relaymux",
            "groupLabels": {}, "commonLabels": {}, "commonAnnotations": {}, "externalURL": "http://am",
            "alerts": [{
                "status": "firing",
                "labels": { "alertname": name, "severity": severity, "instance": "db1" },
                "annotations": { "summary": format!("{name} of db1") },
                "startsAt": "2026-11-28T00:00:00Z", "endsAt": "0001-01-01T00:00:00Z", "generatorURL": "",
                "fingerprint": name,
            }],
        })
    };
    for (name, severity) in [("DiskSlow", "error"), ("DiskDead", "critical")] {
        let (status, answer) = change(&stage, "/api/v1/alerts/hook", &alert(name, severity)).await;
        assert_eq!(status, 200, "{answer}");
    }
    let text = messages(&service, 1).await.remove(0).body.to_string();
    assert!(text.contains("DiskDead of db1"), "{text}");
    let hidden = eventually("the other to be held back", async || {
        let open = open_alerts(&stage).await;
        open.into_iter().find(|alert| alert["hidden"]["by"] == "maintenance")
    })
    .await;
    assert_eq!((&hidden["severity"], &hidden["phase"]), (&json!("P2"), &json!("firing")));
    assert_eq!(hidden["hidden"]["why"], "maintenance: new disk");
    let silences = stage.ops_json("/api/v1/alerts/silences").await;
    assert_eq!(
        (&silences[0]["kind"], &silences[0]["status"]["state"]),
        (&json!("maintenance"), &json!("active"))
    );
    let sla = eventually("the window to be announced", async || {
        let sla = stage.ops_json("/api/v1/sla?window=1d").await;
        sla["maintenance"].as_array().is_some_and(|rows| !rows.is_empty()).then_some(sla)
    })
    .await;
    assert_eq!(sla["maintenance"][0]["reason"], "maintenance window: new disk");
    assert_eq!(service.received().len(), 1, "{:?}", service.received());
    // Gone from the configuration: over.
    stage.write_config(&stage.config().replace(&window, ""));
    let text = messages(&service, 2).await.remove(1).body.to_string();
    assert!(text.contains("DiskSlow of db1"), "{text}");
}

/// Runs `relaymux drill alert` beside a stage.
fn drill(stage: &Stage, more: &[&str]) -> std::process::Child {
    let mut command = binary();
    command.current_dir(stage.folder.path()).args(["drill", "alert", "--url", &stage.ops]).args(more);
    command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().unwrap()
}

async fn ended(child: std::process::Child) -> (Option<i32>, String) {
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    let shown = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code(), shown)
}

async fn recovery(stage: &Stage) -> Value {
    let readiness = stage.ops_json("/api/v1/readiness").await;
    let phases = readiness["phases"].as_array().unwrap();
    let mut criteria = phases.iter().flat_map(|phase| phase["criteria"].as_array().unwrap());
    criteria
        .find(|criterion| criterion["name"] == "disaster_recovery_tested")
        .unwrap_or_else(|| panic!("{readiness}"))
        .clone()
}

/// [N12] A drill goes through the whole matrix, waits for a person, and is evidence; nothing of it stays open.
#[tokio::test(flavor = "multi_thread")]
async fn a_drill_reaches_a_person_and_is_evidence() {
    let service = SimAlertService::start(AlertServiceKind::Slack).await.unwrap();
    let stage = slack(&service).start().await;
    assert!(
        recovery(&stage).await["evidence"].as_str().unwrap().contains("`relaymux drill alert` was never run")
    );
    let running = drill(&stage, &[]);
    let page = messages(&service, 1).await.remove(0).body.to_string();
    for part in ["P1", "DRILL, nothing is wrong", "/alerts/acknowledge?token="] {
        assert!(page.contains(part), "`{part}` is missing: {page}");
    }
    let alert = eventually("the drill among the alerts", async || {
        open_alerts(&stage).await.into_iter().find(|alert| alert["rule"] == "alert_drill")
    })
    .await;
    // One at a time.
    let (code, shown) = ended(drill(&stage, &[])).await;
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("under way already"), "{shown}");
    let path = format!("/api/v1/alerts/{}/ack", alert["id"].as_str().unwrap());
    assert_eq!(change(&stage, &path, &json!({ "by": "anna" })).await.0, 200);
    let (code, shown) = ended(running).await;
    assert_eq!(code, Some(0), "{shown}");
    for part in [
        "the alert to ops by ops: arrived after",
        "acknowledged by anna",
        "that it is over to ops by ops: arrived",
        "The drill held: anna acknowledged a drill of P1 after",
        "written down as evidence",
    ] {
        assert!(shown.contains(part), "`{part}` is missing: {shown}");
    }
    for message in service.received() {
        assert!(message.body.to_string().contains("DRILL"), "{message:?}");
    }
    assert_eq!(
        service.received().len(),
        3,
        "the alert, who takes care, and the end: {:?}",
        service.received()
    );
    assert!(open_alerts(&stage).await.is_empty());
    let criterion = recovery(&stage).await;
    assert!(
        criterion["evidence"].as_str().unwrap().contains("anna acknowledged a drill of P1"),
        "{criterion}"
    );
    assert!(!criterion["age"].is_null() && !criterion["evidence_at"].is_null(), "{criterion}");
}

/// [N12] Whatever interrupts a drill, nothing of it stays open: whoever asked is told to stop, or the service is killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_drill_that_is_interrupted_leaves_nothing_open() {
    let service = SimAlertService::start(AlertServiceKind::Slack).await.unwrap();
    let mut stage = slack(&service).start().await;
    let over = |message: &ReceivedAlert| message.body.to_string().contains("P1 over: DRILL");
    let running = drill(&stage, &[]);
    messages(&service, 1).await;
    let pid = running.id().to_string();
    assert!(std::process::Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let (code, shown) = ended(running).await;
    assert_eq!(code, Some(1), "{shown}");
    assert!(shown.contains("the drill was ended: nobody is asked any more"), "{shown}");
    assert!(over(&messages(&service, 2).await[1]), "{:?}", service.received());
    assert!(open_alerts(&stage).await.is_empty());
    // The service is killed in the middle of one.
    let mut running = drill(&stage, &[]);
    messages(&service, 3).await;
    stage.kill();
    running.kill().unwrap();
    running.wait().unwrap();
    stage.start_again().await;
    // The page itself may come twice: whether it arrived was perhaps not written down.
    eventually("the end of the second drill", async || {
        (service.received().iter().filter(|message| over(message)).count() == 2).then_some(())
    })
    .await;
    assert!(open_alerts(&stage).await.is_empty());
    assert!(
        recovery(&stage).await["evidence"].as_str().unwrap().contains("was never run"),
        "it proves nothing"
    );
}

/// [N12] Nobody acknowledges, or a channel does not take it: the drill did not hold, and that is written down, too.
#[tokio::test(flavor = "multi_thread")]
async fn a_drill_that_nobody_answers_does_not_hold() {
    let service = SimAlertService::start(AlertServiceKind::Slack).await.unwrap();
    let stage = slack(&service).start().await;
    let (code, shown) = ended(drill(&stage, &["--wait", "10s", "--json"])).await;
    assert_eq!(code, Some(1), "{shown}");
    let drill: Value = serde_json::from_str(&shown).unwrap_or_else(|error| panic!("{error}: {shown}"));
    assert_eq!((&drill["state"], &drill["recorded"]), (&json!("failed"), &json!(true)), "{drill}");
    assert!(drill["summary"].as_str().unwrap().starts_with("Nobody acknowledged a drill of P1 within 10 s"));
    assert!(recovery(&stage).await["evidence"].as_str().unwrap().contains("Nobody acknowledged"));
    assert!(open_alerts(&stage).await.is_empty());
}

/// [N13] A day and a week are each told once, to whom the configuration says, also over a `kill -9` with the message on its way.
#[tokio::test(flavor = "multi_thread")]
async fn a_digest_is_sent_once_for_its_period_over_a_kill() {
    let service = SimAlertService::start(AlertServiceKind::Webhook(Secret("0123456789abcdef".to_owned())))
        .await
        .unwrap();
    let url = service.url();
    let channel = told_by(&format!("kind = \"webhook\"\nurl = \"{url}\"\nsecret = \"0123456789abcdef\""));
    let today =
        jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).strftime("%a").to_string().to_lowercase();
    let digests = format!(
        "[alerts]\ndigest_at = \"23:59\"\nweekly_digest_on = \"{today}\"\ndigest_contacts = [\"ops\"]\n"
    );
    let mut stage =
        stage().relay(honest()).section(&channel.replacen("[alerts]\n", &digests, 1)).start().await;
    eventually("the first look", async || {
        (stage.ops_json("/api/v1/alerts").await["at"].as_i64()? > 0).then_some(())
    })
    .await;
    assert!(service.received().is_empty(), "a service that was just installed says nothing");
    service.habit(ServiceHabit::Hangs);
    // Their time has come, as it is another one.
    stage.write_config(&stage.config().replace("digest_at = \"23:59\"", "digest_at = \"00:00\""));
    messages(&service, 1).await;
    stage.kill();
    service.habit(ServiceHabit::Takes);
    stage.start_again().await;
    let sent = eventually("both to be known as sent", async || {
        let told = stage.ops_json("/api/v1/alerts/notifications").await;
        let sent =
            told.as_array()?.iter().filter(|row| row["kind"] == "digest" && row["state"] == "sent").count();
        (sent == 2).then_some(told)
    })
    .await;
    assert_eq!(sent.as_array().unwrap().len(), 2, "{sent}");
    let keys: std::collections::BTreeSet<String> =
        service.received().iter().map(|it| it.header("idempotency-key").unwrap().to_owned()).collect();
    assert_eq!(keys.len(), 2, "{keys:?}");
    for (name, title) in [("daily", "Your day: uptime"), ("weekly", "Your week: uptime")] {
        assert!(keys.iter().any(|key| key.contains(&format!("digest-{name}-2"))), "{keys:?}");
        let received = service.received();
        let digest =
            received.iter().find(|it| it.body["title"].as_str().unwrap().starts_with(title)).unwrap();
        let body = digest.body["body"].as_str().unwrap();
        assert!(body.contains("Availability") && body.contains("Relays"), "{body}");
        assert!(body.lines().all(|line| line.chars().count() <= 72), "{body}");
    }
}
