//! Syncs as they go: steady, slow, by stages, set back, and of clients that say odd things.

use proptest::prelude::*;

use super::*;
use crate::supervisor::Ready;

const STALL: Duration = Duration::from_secs(15 * 60);

fn at(ms: i64, head: u64, target: u64) -> Sample {
    Sample { at: ms, head, left: Some(Left::Blocks(target.saturating_sub(head))), work: None }
}

/// Looks each 20 s at a node that makes `pace` blocks a second more than its target.
fn synced(looks: i64, pace: u64, target: u64) -> Progress {
    let mut progress = Progress::default();
    for look in 0..looks {
        progress.note(at(look * 20_000, u64::try_from(look).unwrap() * 20 * pace, target));
    }
    progress
}

/// What is said after each look of a story: looks are 20 s apart.
fn told(progress: &mut Progress, story: impl IntoIterator<Item = Sample>) -> Vec<OutlookKind> {
    let mut kinds: Vec<OutlookKind> = Vec::new();
    for sample in story {
        progress.note(sample);
        let kind = progress.outlook(sample.at, STALL).kind();
        if kinds.last() != Some(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

/// Looks each 20 s, from one to another.
fn looks(from: i64, to: i64, sample: impl Fn(u64) -> Sample) -> impl Iterator<Item = Sample> {
    (from..to).map(move |look| Sample { at: look * 20_000, ..sample(u64::try_from(look).unwrap()) })
}

#[test]
fn a_steady_sync_has_a_number() {
    // 16 looks: 300 s, 3000 blocks of 12,000.
    let progress = synced(16, 10, 12_000);
    let secs = Duration::from_secs;
    let want = Outlook::Nearing { eta: secs(900), soonest: secs(900), latest: Some(secs(900)) };
    assert_eq!(progress.outlook(300_000, STALL), want);
    let later = Outlook::Nearing { eta: secs(800), soonest: secs(800), latest: Some(secs(800)) };
    assert_eq!(progress.outlook(400_000, STALL), later, "time goes on without a look");
    assert_eq!(progress.outlook(601_000, STALL), Outlook::TooEarly, "but not for long");
}

#[test]
fn there_is_no_number_before_there_is_enough() {
    assert_eq!(Progress::default().outlook(0, STALL), Outlook::TooEarly);
    assert_eq!(synced(1, 10, 99).outlook(0, STALL), Outlook::TooEarly);
    assert_eq!(synced(15, 10, 99_999).outlook(280_000, STALL), Outlook::TooEarly, "280 s");
    assert!(matches!(synced(16, 10, 99_999).outlook(300_000, STALL), Outlook::Nearing { .. }));
    // Looks each second are as good as one each 15.
    let mut often = Progress::default();
    (0..60).for_each(|secs| often.note(at(secs * 1000, 1, 2)));
    assert!(often.samples.len() <= 6, "{}", often.samples.len());
}

#[test]
fn what_a_probe_saw_is_read_with_care() {
    let syncing = || Sight::only(Ready::Syncing("It syncs.".to_owned()));
    let age = Some(Duration::from_secs(90));
    for (sight, head, left) in [
        (syncing(), 0, None),
        (Sight { head: Some(5), behind: Some(7), head_age: age, ..syncing() }, 5, Some(Left::Blocks(7))),
        // reth gives its own head as its target, and geth none before it knows one.
        (Sight { head: Some(5), behind: Some(0), head_age: age, ..syncing() }, 5, Some(Left::Age(90))),
        (Sight { head: Some(5), behind: None, head_age: age, ..syncing() }, 5, Some(Left::Age(90))),
        (Sight { head: Some(5), behind: Some(0), ..syncing() }, 5, None),
        // op-node's head moves by gossip while it reads nothing.
        (Sight { head: Some(5), reached: Some(3), behind: Some(7), ..syncing() }, 3, Some(Left::Blocks(7))),
    ] {
        let sample = Sample::of(&sight, 1);
        assert_eq!((sample.head, sample.left), (head, left), "{sight:?}");
    }
}

#[test]
fn one_that_stands_is_said_to_stand() {
    let mut progress = synced(16, 10, 99_999);
    for look in 16..100 {
        let now = look * 20_000;
        // The chain goes on, the node does not.
        progress.note(at(now, 3000, 99_999 + u64::try_from(look).unwrap()));
        let is_stalled = now - 300_000 >= millis(STALL);
        let outlook = progress.outlook(now, STALL);
        if is_stalled {
            assert_eq!(outlook, Outlook::Stalled { standing: duration(now - 300_000) });
        } else {
            assert_ne!(outlook.kind(), OutlookKind::Stalled, "{now}");
        }
    }
    // One block is progress.
    progress.note(at(2_000_000, 3001, 100_100));
    assert_ne!(progress.outlook(2_000_000, STALL).kind(), OutlookKind::Stalled);
}

#[test]
fn of_one_that_does_not_answer_no_stall_is_told() {
    let progress = synced(16, 10, 99_999);
    assert_eq!(progress.outlook(300_000 + 10 * millis(STALL), STALL), Outlook::TooEarly);
}

#[test]
fn less_left_is_progress_although_the_head_stays() {
    // geth shows block 0 as its head until a snap sync is over.
    let story = looks(0, 100, |look| at(0, 0, 10_000 - look));
    assert_eq!(told(&mut Progress::default(), story), [OutlookKind::TooEarly, OutlookKind::Nearing]);
}

#[test]
fn a_snap_sync_has_a_number_only_where_it_says_what_is_left() {
    use OutlookKind::{Nearing, Stalled, TooEarly, Working};
    let state = |left: u64, work: u64| Sample { work: Some(work), ..at(0, 0, left) };
    let mut progress = Progress::default();
    // It looks for peers, then fetches blocks and states at once, then states alone, then heals.
    let story = looks(0, 10, |_| Sample { left: None, ..state(0, 0) })
        .chain(looks(10, 100, |look| state(20_000_000 - look * 100_000, look * 5000)))
        .chain(looks(100, 300, |look| state(64, look * 5000)))
        .chain(looks(300, 500, |look| state(64 + look % 40, 1_500_000 + look * 7)));
    assert_eq!(told(&mut progress, story), [TooEarly, Working]);
    // Nothing more comes: it is stalled after its time, and not before.
    let story = looks(500, 545, |look| state(64 + look % 40, 1_503_493));
    let said = told(&mut progress, story);
    assert_eq!(said.last(), Some(&Stalled), "{said:?}");
    assert!(progress.outlook(544 * 20_000, STALL * 2).kind() != Stalled);
    // It is over: its head is there at once, and the last blocks have a number.
    let story =
        looks(545, 600, |look| Sample { head: 20_000_000 + look, ..state(5000 - look * 2, 1_503_493) });
    let said = told(&mut progress, story);
    assert_eq!(said.last(), Some(&Nearing), "{said:?}");
    assert_eq!(said.iter().filter(|kind| **kind == Stalled).count(), 1, "not after the head came: {said:?}");
}

#[test]
fn stages_of_reth_are_work_and_its_head_has_a_number_by_its_age() {
    use OutlookKind::{Nearing, TooEarly, Working};
    let aged =
        |head: u64, age: u64, work: u64| Sample { at: 0, head, left: Some(Left::Age(age)), work: Some(work) };
    let mut progress = Progress::default();
    let story = looks(0, 200, |look| aged(0, 300_000_000 + look * 20, look * 90_000));
    assert_eq!(told(&mut progress, story), [TooEarly, Working]);
    let story = looks(200, 260, |look| {
        aged(20_000_000 + look * 30, 90_000 - (look - 200) * 340, 18_000_000 + look * 30)
    });
    let said = told(&mut progress, story);
    assert_eq!(said, [Working, TooEarly, Nearing]);
    let Outlook::Nearing { eta, .. } = progress.outlook(259 * 20_000, STALL) else { panic!() };
    // 69,940 s old, and 17 s younger each second.
    assert!((4000..4300).contains(&eta.as_secs()), "{eta:?}");
}

#[test]
fn one_whose_target_runs_away_has_no_number() {
    for (name, faster) in [("as fast", 2), ("faster", 3)] {
        let mut progress = Progress::default();
        let story = looks(0, 30, |look| at(0, look * 20, 1000 + look * 20 * faster));
        told(&mut progress, story);
        assert_eq!(progress.outlook(580_000, STALL), Outlook::FallingBehind, "{name}");
    }
    // Nearer, by a block in ten minutes: that number would be none.
    let mut progress = Progress::default();
    told(&mut progress, looks(0, 60, |look| at(0, look * 20, 20_000_000 + look * 20 - look / 30)));
    assert_eq!(progress.outlook(59 * 20_000, STALL), Outlook::FallingBehind);
}

#[test]
fn a_burst_does_not_turn_it() {
    let mut progress = synced(40, 10, 100_000);
    // One answer that is wild, as of another node behind the same name.
    progress.note(at(800_000, 99_999, 100_000));
    progress.note(at(820_000, 8200, 100_000));
    let Outlook::Nearing { eta, .. } = progress.outlook(820_000, STALL) else { panic!() };
    assert!((9000..9400).contains(&eta.as_secs()), "{eta:?}");
    // And one from far behind.
    progress.note(at(840_000, 10, 100_000));
    progress.note(at(860_000, 8600, 100_000));
    assert!(matches!(progress.outlook(860_000, STALL), Outlook::Nearing { .. }));
    let story = looks(44, 90, |look| at(0, look * 200, 100_000));
    assert_eq!(told(&mut progress, story), [OutlookKind::Nearing], "nor is all after it a stall");
}

#[test]
fn a_head_that_is_set_back_is_counted_anew_and_only_once() {
    use OutlookKind::{Nearing, Stalled, TooEarly};
    let mut progress = synced(60, 10, 100_000);
    // It unwinds 8,000 blocks, and goes on.
    let story = looks(60, 130, |look| at(0, 4000 + (look - 60) * 50, 100_000));
    let said = told(&mut progress, story);
    assert_eq!(said, [Nearing, TooEarly, Nearing], "it goes on from there");
    // Again, before it was where it has been: that is no way to get there.
    let story = looks(130, 200, |look| at(0, 4000 + (look - 130) * 50, 100_000));
    assert_eq!(told(&mut progress, story).last(), Some(&Stalled));
    // Until it is further than ever.
    let story = looks(200, 400, |look| at(0, 4000 + (look - 130) * 60, 100_000));
    assert_eq!(told(&mut progress, story).last(), Some(&Nearing));
}

#[test]
fn a_target_that_is_found_out_late_is_no_stall() {
    let mut progress = Progress::default();
    let story =
        looks(0, 20, |look| at(0, 0, 200 - look)).chain(looks(20, 120, |look| at(0, 0, 20_000_000 - look)));
    let said = told(&mut progress, story);
    assert!(!said.contains(&OutlookKind::Stalled), "{said:?}");
}

#[test]
fn a_clock_that_was_set_back_begins_anew() {
    let mut progress = synced(40, 10, 100_000);
    progress.note(at(5, 9000, 100_000));
    assert_eq!(progress.samples.len(), 1);
    assert_eq!(progress.outlook(5, STALL), Outlook::TooEarly);
}

fn any_left() -> impl Strategy<Value = Option<Left>> {
    prop_oneof![
        Just(None),
        any::<u64>().prop_map(|count| Some(Left::Blocks(count))),
        any::<u64>().prop_map(|count| Some(Left::Age(count))),
    ]
}

proptest! {
    #[test]
    fn no_look_is_too_much(
        looks in prop::collection::vec((any::<i64>(), any::<u64>(), any_left(), any::<Option<u64>>()), 0..40),
        now in any::<i64>(),
    ) {
        let mut progress = Progress::default();
        for (at, head, left, work) in looks {
            progress.note(Sample { at, head, left, work });
        }
        progress.outlook(now, STALL);
    }

    #[test]
    fn the_number_lies_in_its_own_range_and_near_the_truth(
        pace in 1_u64..1000, left in 1_u64..100_000_000, noise in prop::collection::vec(0_u64..20, 40),
    ) {
        let mut progress = Progress::default();
        let mut now = 0;
        for (look, noise) in (0_u64..).zip(&noise) {
            now = i64::try_from(look).unwrap() * 20_000;
            let head = (look * 20 + noise) * pace;
            progress.note(at(now, head, left.saturating_add(40 * 20 * pace)));
        }
        match progress.outlook(now, STALL) {
            Outlook::Nearing { eta, soonest, latest } => {
                prop_assert!(soonest <= eta && latest.is_none_or(|latest| latest >= eta));
                let truth = float(progress.samples.back().unwrap().left.unwrap().count()) / float(pace);
                let ratio = (eta.as_secs_f64() + 1.0) / (truth + 1.0);
                prop_assert!((0.8..1.25).contains(&ratio), "{eta:?} {truth}");
            }
            Outlook::FallingBehind => prop_assert!(left / pace > LONGEST.as_secs() / 2),
            other => prop_assert!(false, "{other:?}"),
        }
    }

    /// Whatever happened before: one that stands is told in time, one that goes on is not, and what is told has a bound.
    #[test]
    fn a_stall_is_told_in_time_and_never_of_what_goes_on(
        before in prop::collection::vec((0_u64..100_000, 0_u64..100_000), 0..60), pace in 1_u64..50,
    ) {
        let mut progress = Progress::default();
        let mut now = 0;
        for (head, left) in before {
            now += 20_000;
            progress.note(Sample { at: now, head, left: Some(Left::Blocks(left)), work: None });
        }
        let ended = now;
        for _ in 0..60 {
            now += 20_000;
            progress.note(at(now, 50_000, 200_000));
        }
        prop_assert_eq!(progress.outlook(now, STALL).kind(), OutlookKind::Stalled, "since {}", ended);
        // Further than ever: it goes on, at any pace.
        for look in 0..60 {
            now += 20_000;
            progress.note(at(now, 100_001 + look * pace, 400_000));
            prop_assert!(look < 2 || progress.outlook(now, STALL).kind() != OutlookKind::Stalled, "{}", look);
            if let Outlook::Nearing { eta, .. } = progress.outlook(now, STALL) {
                prop_assert!(eta <= LONGEST);
            }
        }
    }

    #[test]
    fn memory_is_bounded(gaps in prop::collection::vec(1_i64..60_000, 0..500)) {
        let (mut progress, mut now) = (Progress::default(), 0);
        for gap in gaps {
            now += gap;
            progress.note(at(now, 1, 2));
        }
        prop_assert!(progress.samples.len() <= 2 * 30 * 60 / 15 + 2);
    }
}
