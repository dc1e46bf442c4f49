use serde_json::{Value, json};

use super::*;
use crate::alerts::hook;

const DAY: Duration = Duration::from_secs(86_400);
const HOUR_MS: i64 = 3_600_000;
const NOW: i64 = 1_795_845_600_000;

fn alert(name: &str, severity: &str, status: &str) -> Value {
    json!({
        "status": status,
        "labels": {"alertname": name, "severity": severity, "instance": "box-1:9100", "job": "node"},
        "annotations": {"summary": "No room on\n/data", "description": "3 % are left.", "runbook_url": "https://runbooks.example/disk"},
        "startsAt": "2026-11-28T05:00:00Z",
        "endsAt": if status == "firing" { "0001-01-01T00:00:00Z" } else { "2026-11-28T06:00:00Z" },
    })
}

fn body(alerts: &[Value]) -> HookBody {
    hook::parse(json!({"version": "4", "alerts": alerts}).to_string().as_bytes()).unwrap()
}

fn names() -> Vec<String> {
    vec![ForeignSettings::default().source]
}

fn take(held: &mut Held, alerts: &[Value]) -> Taken {
    held.take(&body(alerts), &names(), NOW).0
}

fn moment(hours: i64) -> Moment {
    Moment { at: NOW + hours * HOUR_MS, watched_ms: hours * HOUR_MS }
}

#[test]
fn an_alert_is_a_trouble_in_the_words_of_its_sender() {
    let mut held = Held::default();
    assert_eq!(
        take(&mut held, &[alert("DiskFull", "critical", "firing")]),
        Taken { firing: 1, ..Taken::default() }
    );
    let trouble = held.alerts.values().next().unwrap().trouble.clone();
    assert_eq!(
        (&*trouble.rule.name, trouble.severity(), trouble.subject.as_str()),
        ("DiskFull", Severity::P1, "box-1:9100")
    );
    assert_eq!((&*trouble.rule.title, trouble.message.as_str()), ("No room on /data", "3 % are left."));
    assert_eq!(trouble.rule.runbook, "Follow the runbook: https://runbooks.example/disk");
    assert_eq!((trouble.rule.component, trouble.since), (Component::External, NOW - HOUR_MS));
    let labels: Vec<_> = trouble.labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(labels, [("job", "node"), ("severity", "critical")]);
}

#[test]
fn it_lasts_until_its_sender_says_that_it_is_over() {
    let mut held = Held::default();
    let (disk, node) = (alert("DiskFull", "critical", "firing"), alert("NodeDown", "page", "firing"));
    take(&mut held, &[disk.clone(), node, disk]);
    assert_eq!(held.alerts.len(), 2, "the same alert twice is one");
    let taken =
        take(&mut held, &[alert("DiskFull", "critical", "resolved"), alert("Unknown", "page", "resolved")]);
    assert_eq!(taken, Taken { resolved: 2, ..Taken::default() });
    assert_eq!(held.alerts.values().map(|held| held.kept.name.as_str()).collect::<Vec<_>>(), ["NodeDown"]);
    // A late end of an earlier episode ends nothing.
    let mut earlier = alert("NodeDown", "page", "resolved");
    earlier["endsAt"] = "2026-11-28T04:00:00Z".into();
    take(&mut held, &[earlier]);
    assert_eq!(held.alerts.len(), 1);
}

#[test]
fn a_warning_and_its_critical_twin_are_two() {
    let mut held = Held::default();
    take(&mut held, &[alert("DiskFull", "warning", "firing"), alert("DiskFull", "critical", "firing")]);
    let names: std::collections::BTreeSet<_> =
        held.alerts.values().map(|held| held.trouble.fingerprint()).collect();
    assert_eq!(names.len(), 2);
}

#[test]
fn what_is_not_sent_again_for_a_day_is_over_and_only_watched_time_counts() {
    let mut held = Held::default();
    take(&mut held, &[alert("DiskFull", "critical", "firing")]);
    assert!(held.expire(moment(0), DAY).is_empty());
    assert!(held.expire(moment(23), DAY).is_empty());
    // The clock leaps a week, and nobody watched.
    assert!(held.expire(Moment { at: NOW + 200 * HOUR_MS, ..moment(23) }, DAY).is_empty());
    take(&mut held, &[alert("DiskFull", "critical", "firing")]);
    assert!(held.expire(moment(46), DAY).is_empty(), "it was sent again");
    assert_eq!(held.expire(moment(47), DAY).len(), 1);
    assert!(held.alerts.is_empty());
}

#[test]
fn after_a_start_there_is_time_to_send_it_again() {
    let mut held = Held::default();
    let (_, unwritten) = held.take(&body(&[alert("A", "page", "firing")]), &names(), NOW);
    let rows: Vec<_> = unwritten.firing.into_values().collect();
    for (away, over_after) in [(1, 23), (30, 6)] {
        let mut held = Held::restore(rows.clone(), NOW + away * HOUR_MS, DAY);
        assert!(held.expire(moment(100), DAY).is_empty());
        assert!(held.expire(moment(100 + over_after - 1), DAY).is_empty(), "{away}");
        assert_eq!(held.expire(moment(100 + over_after), DAY).len(), 1, "{away}");
    }
}

#[test]
fn what_relaymux_told_does_not_come_back() {
    let told = |instance: &str, component: &str| {
        json!({
            "status": "firing",
            "labels": {"alertname": "node_down", "severity": "critical", "priority": "P1", "component": component, "subject": "geth",
                       "instance": instance},
            "annotations": {"summary": "A node is down", "done": "It was restarted."},
        })
    };
    for (instance, component, own) in
        [("relaymux", "execution", 1), ("other-box", "execution", 0), ("other-box", "external", 1)]
    {
        let taken = take(&mut Held::default(), &[told(instance, component)]);
        assert_eq!((taken.own, taken.firing), (own, 1 - own), "{instance} {component}");
    }
}

#[test]
fn the_gravest_have_a_place() {
    let mut held = Held::default();
    let many: Vec<Value> = (0..MAX_HELD).map(|n| alert(&format!("A{n}"), "warning", "firing")).collect();
    for part in many.chunks(1000) {
        take(&mut held, part);
    }
    let taken = take(&mut held, &[alert("B", "warning", "firing"), alert("C", "critical", "firing")]);
    assert_eq!((taken.left_out, taken.firing, held.alerts.len()), (1, 1, MAX_HELD));
    assert!(held.alerts.values().any(|held| held.kept.name == "C"));
}

#[tokio::test]
async fn what_lasts_is_there_after_a_restart_and_what_is_over_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let (clock, hand) = WallClock::manual(NOW);
    let source =
        |ledger: &Ledger| ForeignSource::new(ledger.clone(), clock.clone(), ForeignSettings::default());
    let names = async |source: &ForeignSource, at| {
        let found = source.collect(at).await.unwrap();
        found.troubles.iter().map(|trouble| trouble.rule.name.clone().into_owned()).collect::<Vec<_>>()
    };
    let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
    let first = source(&ledger);
    first.take(&body(&[alert("A", "page", "firing"), alert("B", "page", "firing")])).await.unwrap();
    first.take(&body(&[alert("B", "page", "resolved")])).await.unwrap();
    assert_eq!(names(&first, moment(0)).await, ["A"]);
    ledger.shut().await;
    assert!(first.take(&body(&[alert("C", "page", "firing")])).await.is_err(), "it is to be sent again");
    assert_eq!(names(&first, moment(0)).await.len(), 2, "and counts all the same");
    let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
    hand.advance(HOUR_MS);
    let second = source(&ledger);
    assert_eq!(names(&second, moment(1)).await, ["A"]);
    assert_eq!(names(&second, moment(24)).await, Vec::<String>::new());
    assert_eq!(names(&source(&ledger), moment(24)).await, Vec::<String>::new(), "nor in the ledger");
}

/// The name may change while the service runs; what was told by the one before is still on its way.
#[tokio::test]
async fn what_was_told_by_a_former_name_does_not_come_back_either() {
    let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
    let source = ForeignSource::new(ledger, WallClock::manual(NOW).0, ForeignSettings::default());
    let told = |instance: &str| {
        body(&[json!({
            "status": "firing",
            "labels": {"alertname": "node_down", "severity": "critical", "priority": "P1", "component": "execution", "instance": instance},
            "annotations": {"done": "It was restarted."},
        })])
    };
    assert_eq!(source.take(&told("box-1")).await.unwrap().firing, 1, "another machine's");
    source.rename("box-1");
    for instance in ["relaymux", "box-1"] {
        assert_eq!(source.take(&told(instance)).await.unwrap().own, 1, "{instance}");
    }
    for number in 0..2 * MAX_NAMES {
        source.rename(&format!("box-{number}"));
        source.rename(&format!("box-{number}"));
    }
    assert_eq!(source.names.load().len(), MAX_NAMES);
    assert_eq!(source.take(&told("box-15")).await.unwrap().own, 1);
}
