use serde_json::{Value, json};

use super::*;

const NOW: i64 = made::AT;

fn shown(snapshot: &Snapshot) -> Value {
    serde_json::to_value(AlertsView::of(snapshot, None, 100, NOW)).unwrap()
}

fn summary(snapshot: &Snapshot, now: i64) -> (Verdict, String) {
    let summary = Summary::of(snapshot, now);
    (summary.status, summary.in_words)
}

#[test]
fn an_alert_has_all_that_a_person_needs() {
    let mut snapshot = made::snapshot(1);
    snapshot.alerts[0].alert.told = Some(made::told("i"));
    snapshot.alerts[0].alert.acknowledged = Some(made::acknowledged("anna"));
    let shown = shown(&snapshot);
    assert_eq!(
        shown["open"][0],
        json!({
            "id": "f0", "episode": 0, "rule": "too_hot", "subject": "attic 0", "severity": "P2", "component": "host",
            "phase": "firing", "is_flapping": false, "since": NOW, "firing_at": NOW, "message": "It has 60 °C.",
            "title": "It is too hot", "cost": "Ice cream.", "done": "A window was opened.", "runbook": "Open another one.", "page": "/",
            "acknowledged": {"by": "anna", "at": NOW}, "told_at": NOW, "incident": "i", "hidden": null, "labels": {},
        })
    );
    assert_eq!(
        (&shown["at"], &shown["not_saved"], &shown["left_out"]),
        (&NOW.into(), &Value::Null, &0.into())
    );
    assert_eq!(shown.get("past"), None);
}

#[test]
fn the_summary_is_one_line() {
    assert_eq!(summary(&Snapshot::default(), NOW).0, Verdict::Unknown);
    assert_eq!(summary(&made::snapshot(0), NOW), (Verdict::Well, "Nothing is wrong".to_owned()));
    assert_eq!(
        summary(&made::snapshot(1), NOW),
        (Verdict::Wrong, "1 alert: It is too hot (attic 0)".to_owned())
    );
    assert_eq!(
        summary(&made::snapshot(3), NOW),
        (Verdict::Wrong, "3 alerts, the gravest: It is too hot (attic 0)".to_owned())
    );
    let stale = summary(&made::snapshot(0), NOW + 300_000);
    assert_eq!(
        stale,
        (Verdict::Unknown, "Not known: nobody has looked for 5 min; the log says why".to_owned())
    );
    assert_eq!(summary(&made::snapshot(0), NOW + STALE_MS).0, Verdict::Well);
}

#[test]
fn it_is_in_hand_once_all_are_taken() {
    let mut snapshot = made::snapshot(2);
    snapshot.alerts[0].alert.acknowledged = Some(made::acknowledged("anna"));
    assert_eq!(summary(&snapshot, NOW).0, Verdict::Wrong);
    snapshot.alerts[1].alert.acknowledged = Some(made::acknowledged("anna"));
    assert_eq!(summary(&snapshot, NOW).0, Verdict::InHand);
}

#[test]
fn what_is_hidden_says_why_and_does_not_count_as_wrong() {
    let mut snapshot = made::snapshot(2);
    snapshot.silences.push(made::silence("s", "moving disks"));
    snapshot.alerts[0].hidden = Some(Hidden::Silenced("s".to_owned()));
    snapshot.alerts[1].hidden = Some(Hidden::Inhibited("f0".to_owned()));
    let shown = shown(&snapshot);
    assert_eq!(
        shown["open"][0]["hidden"],
        json!({"by": "silence", "id": "s", "why": "Silenced by anna: moving disks"})
    );
    assert_eq!(
        shown["open"][1]["hidden"],
        json!({"by": "cause", "id": "f0", "why": "It follows from: It is too hot (attic 0)"})
    );
    assert_eq!((&shown["summary"]["status"], &shown["summary"]["hidden"]), (&"well".into(), &2.into()));
    snapshot.silences.clear();
    assert_eq!(self::shown(&snapshot)["open"][0]["hidden"]["why"], "Silenced.");
}

#[test]
fn lists_are_bounded_and_what_is_over_is_not_open() {
    let mut snapshot = made::snapshot(5);
    let alert = &mut snapshot.alerts[0].alert;
    let at = alert.began;
    alert.phase = Phase::Resolved { since: at, at };
    let view = AlertsView::of(&snapshot, Some(vec![]), 3, NOW);
    assert_eq!((view.open.len(), view.left_out, view.summary.open), (3, 1, 4));
    assert_eq!(view.past, Some(vec![]));
}
