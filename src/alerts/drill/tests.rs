use super::{
    super::{
        alert::{Acknowledgement, Told, made},
        flap::Flap,
    },
    *,
};

const WAIT: Duration = Duration::from_secs(900);

fn at(secs: i64) -> Moment {
    Moment { at: 1_000_000 + secs * 1000, watched_ms: secs * 1000 }
}

fn drill() -> Drill {
    Drill::new(Severity::P1, WAIT, "box-1", at(0))
}

fn alert(of: &Drill, acknowledged_after: Option<i64>) -> Alert {
    let trouble = of.trouble().unwrap_or_else(|| made::trouble(alert_drill(), ""));
    let mut alert = Alert::new(1, trouble.fingerprint(), &trouble, Flap::default(), at(0));
    alert.told = Some(Told { incident: "i".to_owned(), at: at(0), of_flapping: false, of_end: false });
    alert.acknowledged = acknowledged_after.map(|secs| Acknowledgement {
        at: at(secs),
        by: "anna".to_owned(),
        is_told: false,
    });
    alert
}

fn step(channel: &str, kind: &str, made_after: i64, state: OutboxState, took_ms: Option<i64>) -> DrillStep {
    DrillStep {
        message: format!("i-{made_after}-{kind}"),
        kind: kind.to_owned(),
        channel: channel.to_owned(),
        who: vec!["anna".to_owned()],
        made_at: at(made_after).at,
        state: Some(state.into()),
        took_ms,
        attempts: 1,
        error: (state == OutboxState::Dead).then(|| "it answered 404".to_owned()),
    }
}

#[test]
fn it_holds_once_a_person_acknowledged_and_everything_arrived() {
    use OutboxState::{Dead, Queued, Sending, Sent};
    let (sent, reminder) =
        (step("ops", "firing", 0, Sent, Some(420)), step("pager", "reminder", 300, Sent, Some(601)));
    type Case<'a> = (&'a str, Vec<DrillStep>, i64, DrillState, &'a str);
    let cases: Vec<Case<'_>> = vec![
        (
            "all arrived",
            vec![sent.clone()],
            0,
            DrillState::Held,
            "anna acknowledged a drill of P1 after 42 s; its message arrived within 0.5 s",
        ),
        (
            "two",
            vec![sent.clone(), step("b", "firing", 0, Sent, Some(9))],
            0,
            DrillState::Held,
            "2 of 2 messages arrived, each within 0.5 s",
        ),
        (
            "what comes later does not count",
            vec![sent.clone(), step("c", "resolved", 42, Queued, None), reminder],
            0,
            DrillState::Held,
            "messages arrived",
        ),
        (
            "on its way",
            vec![sent.clone(), step("b", "firing", 0, Sending, None)],
            29,
            DrillState::Acknowledged,
            "",
        ),
        (
            "on its way for too long",
            vec![sent.clone(), step("b", "firing", 0, Sending, None)],
            30,
            DrillState::Failed,
            "b did not take it: it was still on its way",
        ),
        (
            "one never arrives",
            vec![sent.clone(), step("b", "firing", 0, Dead, None)],
            0,
            DrillState::Failed,
            "not every message arrived: b did not take it: it answered 404",
        ),
        ("none is known yet", vec![], 0, DrillState::Acknowledged, ""),
        ("none was sent", vec![], 30, DrillState::Failed, "before any message was sent"),
    ];
    for (name, steps, later, state, words) in cases {
        let mut drill = drill();
        let acknowledged = alert(&drill, Some(42));
        assert_eq!(drill.follow(at(1), Some(&alert(&drill.clone(), None)), Vec::new()), None);
        let first = drill.follow(at(42), Some(&acknowledged), steps.clone());
        let found = first.or_else(|| drill.follow(at(42 + later), None, steps));
        assert_eq!(drill.view.state, state, "{name}: {:?}", drill.view.summary);
        assert_eq!(drill.trouble(), None, "{name}");
        match state {
            DrillState::Acknowledged => assert_eq!(found, None, "{name}"),
            _ => {
                let row = found.unwrap();
                assert_eq!(row.ok, state == DrillState::Held, "{name}");
                assert!(row.summary.contains(words), "{name}: {}", row.summary);
                assert!(row.details.contains("\"by\":\"anna\""), "{}", row.details);
                assert_eq!(drill.follow(at(500), None, Vec::new()), None, "{name}: told once");
            }
        }
    }
}

#[test]
fn nobody_answers() {
    let mut drill = drill();
    let steps = || vec![step("ops", "firing", 0, OutboxState::Sent, Some(80))];
    for secs in (0..900).step_by(5) {
        drill.hear_of(at(secs));
        assert_eq!(drill.follow(at(secs), Some(&alert(&drill.clone(), None)), steps()), None, "{secs}");
        assert!(drill.trouble().is_some());
    }
    let row = drill.follow(at(900), Some(&alert(&drill.clone(), None)), steps()).unwrap();
    assert!(!row.ok);
    assert_eq!(
        row.summary,
        "Nobody acknowledged a drill of P1 within 15 min; its message arrived within 0.1 s"
    );
    assert_eq!(drill.trouble(), None, "nobody is asked any more");
}

#[test]
fn whoever_is_not_heard_of_any_more_leaves_nothing_open() {
    let mut drill = drill();
    drill.hear_of(at(10));
    assert_eq!(drill.follow(at(39), None, Vec::new()), None);
    assert!(drill.trouble().is_some());
    assert_eq!(drill.follow(at(40), None, Vec::new()), None, "it proves nothing");
    assert_eq!((drill.view.state, drill.trouble()), (DrillState::Interrupted, None));
    // A late acknowledgement changes nothing.
    assert_eq!(drill.follow(at(41), Some(&alert(&drill.clone(), Some(41))), Vec::new()), None);
    assert_eq!(drill.view.state, DrillState::Interrupted);
}

#[test]
fn every_text_says_that_it_is_a_drill() {
    let trouble = drill().trouble().unwrap();
    let rule = &trouble.rule;
    for text in [&*rule.title, &rule.cost, &rule.done, &rule.runbook, &trouble.message] {
        assert!(text.contains("DRILL"), "{text}");
    }
}
