use std::time::Duration;

use proptest::prelude::*;

use super::{
    super::{alert::made, flap},
    *,
};
use crate::events::{AlertRule, Component, Persistence, Severity};

const START: UnixMillis = 1_790_000_000_000;
const HOUR: i64 = 3_600_000;

fn condition(fail_secs: u64, clear_secs: u64) -> AlertRule {
    AlertRule {
        fail_for: Duration::from_secs(fail_secs),
        clear_for: Duration::from_secs(clear_secs),
        ..made::rule("r", Severity::P2, Component::Host)
    }
}

fn occurrence(clear_secs: u64) -> AlertRule {
    AlertRule { persistence: Persistence::Occurrence, ..condition(0, clear_secs) }
}

fn engine() -> Engine {
    Engine::restore(Moment { at: START, watched_ms: 0 }, 1, Vec::new(), 1000)
}

/// What happens in one second after the other: `x` it is there, `.` it is away, `u` nothing is known, `U` nothing of this rule, `o` nothing of
/// another (and it is away), `A` acknowledged and there, `>` the clock
/// leaps three hours ahead and it is there, `<` back, `)` ahead and it is away, `n` another occurrence. The letters of what follows:
/// `p`ending, `F`ired, `R`esolved, `w`ithdrawn, `~` flapping, `c`alm, `-` nothing.
#[track_caller]
fn check(name: &str, rule: &AlertRule, seconds: &str, expected: &str) {
    let mut engine = engine();
    let (mut now, mut since) = (START, START);
    let mut seen = String::new();
    for second in seconds.chars() {
        now += 1000;
        match second {
            '>' | ')' => now += 3 * HOUR,
            '<' => now -= 3 * HOUR,
            'n' => since += 1,
            _ => {}
        }
        let trouble = Trouble { since, ..made::trouble(rule.clone(), "s") };
        if second == 'A' {
            assert!(engine.acknowledge(&trouble.fingerprint(), "anna"), "{name}");
        }
        let absence = match second {
            'u' => Absence::Unknown,
            'U' => Absence::UnknownOf([rule.name.clone().into_owned()].into()),
            'o' => Absence::UnknownOf(["other".to_owned()].into()),
            _ => Absence::Over,
        };
        let troubles = if ".uUo)".contains(second) { vec![] } else { vec![trouble] };
        let changes = engine.look(now, &troubles, &absence);
        assert!(changes.len() <= 2, "{name}: {changes:?}");
        let letters: String = changes
            .iter()
            .map(|change| match change.kind {
                ChangeKind::Pending => 'p',
                ChangeKind::Fired => 'F',
                ChangeKind::Flapping => '~',
                ChangeKind::Calm => 'c',
                ChangeKind::Graver => 'G',
                ChangeKind::Resolved => 'R',
                ChangeKind::Withdrawn => 'w',
                ChangeKind::Dropped => 'D',
            })
            .collect();
        seen.push_str(if letters.is_empty() { "-" } else { &letters });
    }
    assert_eq!(seen, expected, "{name}");
}

#[test]
fn conditions_last_before_they_fire_and_are_away_before_they_are_over() {
    for (name, fail, clear, seconds, expected) in [
        ("at once", 0, 0, "xx..", "F-R-"),
        ("fails for three seconds", 3, 0, "xxxx.", "p--FR"),
        ("not long enough", 3, 0, "xx.xxxx", "p-wp--F"),
        ("clears for three seconds", 0, 3, "x.....", "F---R-"),
        ("not away long enough", 0, 3, "x..x....", "F------R"),
        ("nobody could be asked", 0, 0, "xuuux.", "F----R"),
        ("its rule could not be asked", 0, 0, "xUUo", "F--R"),
        ("pending and nobody could be asked", 2, 0, "xuux", "p--F"),
        ("clearing and nobody could be asked", 0, 3, "x.uu.", "F---R"),
    ] {
        check(name, &condition(fail, clear), seconds, expected);
    }
}

#[test]
fn clocks_that_leap_neither_fire_nor_resolve() {
    for (name, fail, clear, seconds, expected) in [
        ("ahead while pending", 3, 0, "x>xx", "p---"),
        ("ahead while pending, then its time", 3, 0, "x>xxx", "p---F"),
        ("back while pending", 3, 0, "x<xxx", "p---F"),
        ("ahead while clearing", 0, 3, "x.)..", "F----"),
        ("ahead while clearing, then its time", 0, 3, "x.)...", "F----R"),
        ("ahead while firing", 0, 3, "x>x>x", "F----"),
        ("back while clearing", 0, 2, "x.<x..", "F-----"),
    ] {
        check(name, &condition(fail, clear), seconds, expected);
    }
    check("an occurrence does not expire by a leap", &occurrence(60), "x>>>", "F---");
}

#[test]
fn occurrences_are_over_once_somebody_knows() {
    for (name, clear, seconds, expected) in [
        ("acknowledged, and still shown", 600, "xxAxxx", "F-R---"),
        ("taken back", 600, "xx.", "F-R"),
        ("expired, and still shown", 3, "xxxxxx", "F--R--"),
        ("gone, and here again", 600, "xA.x", "FR-F"),
        ("another one", 600, "xAxnx", "FR-F-"),
        ("another one while the first lasts", 600, "xnx", "FF-"),
        ("nobody could be asked", 600, "xu.", "F-R"),
    ] {
        check(name, &occurrence(clear), seconds, expected);
    }
}

#[test]
fn what_happened_long_ago_is_history() {
    let long_ago = Trouble { since: START - 61_000, ..made::trouble(occurrence(60), "s") };
    let of_late = Trouble { since: START - 50_000, ..long_ago.clone() };
    let lasts = Trouble { since: START - 61_000, ..made::trouble(condition(0, 60), "s") };
    for (trouble, begins) in [(long_ago, false), (of_late, true), (lasts, true)] {
        assert_eq!(!engine().step(START, &[trouble]).is_empty(), begins);
    }
}

#[test]
fn what_comes_and_goes_is_held() {
    let rule = condition(0, 0);
    // The fourth change holds it: from then on nothing, until it is calm.
    check("held", &rule, "x.x.x.x.", "FRF~----");
    check("held at a beginning", &rule, "x.x.", "FRF~");
    let calm = usize::try_from(flap::WINDOW.as_secs()).unwrap();
    let over = format!("x.x.{}", ".".repeat(calm));
    check("over once it was away for ten minutes", &rule, &over, &format!("FRF~{}R", "-".repeat(calm - 1)));
    let lasts = format!("x.x.x{}", "x".repeat(calm));
    check("still so after ten minutes", &rule, &lasts, &format!("FRF~-{}c", "-".repeat(calm - 1)));
    let again = format!("x.x.x{}.", "x".repeat(calm));
    check("calm, then over", &rule, &again, &format!("FRF~-{}cR", "-".repeat(calm - 1)));
    check("occurrences do not flap", &occurrence(600), "n.n.n.n.n.", "FRFRFRFRFR");
}

#[test]
fn a_trouble_that_gets_worse_is_news() {
    let mut engine = engine();
    let trouble = |severity| Trouble { severity: Some(severity), ..made::trouble(condition(0, 0), "s") };
    let fingerprint = trouble(Severity::P3).fingerprint();
    engine.step(START + 1000, &[trouble(Severity::P3)]);
    assert!(engine.acknowledge(&fingerprint, "anna"));
    let changes = engine.step(START + 2000, &[trouble(Severity::P1)]);
    assert_eq!(changes.iter().map(|change| change.kind).collect::<Vec<_>>(), [ChangeKind::Graver]);
    let alert = engine.alert(&fingerprint).unwrap();
    assert_eq!((alert.severity, &alert.acknowledged), (Severity::P1, &None));
    // It stays as grave as it was until it is over.
    assert_eq!(engine.step(START + 3000, &[trouble(Severity::P4)]), []);
    assert_eq!(engine.alert(&fingerprint).unwrap().severity, Severity::P1);
}

#[test]
fn the_gravest_are_kept_and_somebody_is_told() {
    let mut engine = Engine::restore(Moment { at: START, watched_ms: 0 }, 1, Vec::new(), 3);
    let of = |severity, subject: &str| made::trouble(made::rule("r", severity, Component::Relays), subject);
    engine.step(START, &[of(Severity::P3, "known"), of(Severity::P3, "other"), of(Severity::P4, "least")]);
    let troubles = [
        of(Severity::P3, "known"),
        of(Severity::P3, "another"),
        of(Severity::P1, "grave"),
        of(Severity::P4, "least"),
        of(Severity::P3, "other"),
    ];
    let changes = engine.step(START + 1000, &troubles);
    let mut kept: Vec<(&str, &str)> =
        engine.alerts().map(|alert| (&*alert.rule.name, alert.subject.as_str())).collect();
    kept.sort_unstable();
    assert_eq!(kept, [("alerts_dropped", ""), ("r", "grave"), ("r", "known"), ("r", "other")]);
    let dropped = changes.iter().filter(|change| change.kind == ChangeKind::Dropped).count();
    assert_eq!(dropped, 1, "the one that was known and had to go: {changes:?}");
    let own = engine.alerts().find(|alert| alert.rule.name == "alerts_dropped").unwrap();
    assert!(own.message.starts_with("2 troubles"), "{}", own.message);
}

#[test]
fn what_is_over_is_forgotten() {
    let mut engine = engine();
    let rule = condition(0, 0);
    for second in 0..3000 {
        let trouble = made::trouble(rule.clone(), &second.to_string());
        engine.step(START + second * 1000, &[trouble]);
        assert!(engine.alerts().count() <= 1001);
        engine.take_unsaved();
    }
    for second in 3000..3700 {
        engine.step(START + second * 1000, &[]);
    }
    assert_eq!(engine.alerts().count(), 0);
    // All but those of a look ago were forgotten with a last row.
    assert!(engine.take_unsaved().done.iter().all(|alert| alert.phase.is_resolved()));
}

#[derive(Clone, Copy, Debug)]
struct Second {
    step_ms: i64,
    present: [bool; 3],
    unknown: bool,
    acknowledges: Option<usize>,
}

fn seconds() -> impl Strategy<Value = Vec<Second>> {
    let step_ms =
        prop_oneof![8 => 500_i64..3000, 1 => Just(-3 * HOUR), 1 => Just(5 * HOUR), 1 => Just(40_000)];
    let second = (
        step_ms,
        prop::array::uniform3(any::<bool>()),
        prop::bool::weighted(0.1),
        prop::option::weighted(0.1, 0_usize..3),
    )
        .prop_map(|(step_ms, present, unknown, acknowledges)| Second {
            step_ms,
            present,
            unknown,
            acknowledges,
        });
    prop::collection::vec(second, 1..120)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever comes: what is written down is what there is, no alert fires before its time, none that is there is over, and each begins
    /// and ends in turn.
    #[test]
    fn laws_of_the_engine(seconds in seconds()) {
        let rules = [condition(4, 0), condition(0, 6), occurrence(30)];
        let mut engine = engine();
        let mut stored: BTreeMap<u64, Alert> = BTreeMap::new();
        let mut fired: BTreeMap<String, bool> = BTreeMap::new();
        let mut now = START;
        for second in seconds {
            now += second.step_ms;
            let troubles: Vec<Trouble> = rules
                .iter()
                .zip(second.present)
                .enumerate()
                .filter(|(_, (_, present))| *present)
                .map(|(subject, (rule, _))| Trouble { since: START, ..made::trouble(rule.clone(), &subject.to_string()) })
                .collect();
            if let Some(which) = second.acknowledges {
                let fingerprint = made::trouble(rules[which].clone(), &which.to_string()).fingerprint();
                engine.acknowledge(&fingerprint, "anna");
            }
            let absence = if second.unknown { Absence::Unknown } else { Absence::Over };
            for change in engine.look(now, &troubles, &absence) {
                let is_firing = fired.entry(change.fingerprint.clone()).or_default();
                match change.kind {
                    ChangeKind::Fired => prop_assert!(!std::mem::replace(is_firing, true)),
                    ChangeKind::Resolved => prop_assert!(std::mem::replace(is_firing, false)),
                    _ => {}
                }
            }
            let unsaved = engine.take_unsaved();
            for alert in unsaved.live {
                stored.insert(alert.id, alert);
            }
            for id in unsaved.done.iter().map(|alert| alert.id).chain(unsaved.withdrawn) {
                stored.remove(&id);
            }
            let mut kept: Vec<&Alert> = engine.alerts().collect();
            kept.sort_by_key(|alert| alert.id);
            prop_assert_eq!(kept, stored.values().collect::<Vec<_>>());
            for trouble in &troubles {
                let Some(alert) = engine.alert(&trouble.fingerprint()) else {
                    // By a clock that leapt ahead, it happened too long ago.
                    prop_assert!(is_long_ago(trouble, engine.now()));
                    continue;
                };
                if let Some(since) = alert.phase.fired() {
                    prop_assert!(since.watched_ms - alert.began.watched_ms >= i64::try_from(alert.rule.fail_for.as_millis()).unwrap());
                }
                prop_assert!(alert.is_occurrence() || !alert.phase.is_resolved());
            }
        }
    }
}
