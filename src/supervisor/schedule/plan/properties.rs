//! What holds for every schedule, whatever the clock, the tasks and the process do.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{
    Effect, Plan, Remembered, Run,
    table::{ms, row, settings},
};
use crate::{
    events::{TaskCause, TaskKind, TaskOutcome},
    ledger::TaskRunRow,
    types::UnixMillis,
};

/// What happens next.
#[derive(Clone, Debug)]
enum Step {
    /// The clock goes on, or jumps, by so many milliseconds.
    Clock(i64),
    /// Whatever runs ends.
    End,
    /// Somebody asks.
    Ask,
    /// The process is killed and started again.
    Kill,
    /// The next proposal is so many milliseconds ahead; or none is known.
    Proposal(Option<i64>),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1_i64..7_200_000).prop_map(Step::Clock),
        1 => (-200_000_000_i64..400_000_000).prop_map(Step::Clock),
        4 => Just(Step::End),
        1 => Just(Step::Ask),
        1 => Just(Step::Kill),
        1 => prop::option::of(-60_000_i64..3_600_000).prop_map(Step::Proposal),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    /// No planned time is served twice, unless a kill cut the first run short, and never more than twice. Nothing begins before its time, at a time
    /// that is none, beside itself, or near a proposal.
    #[test]
    fn a_planned_time_is_served_once(
        steps in prop::collection::vec(step(), 1..80),
        cron in prop::sample::select(vec!["30 2 * * *", "*/5 * * * *", "0 3 * * 0", "15 */2 * * *"]),
        zone in prop::sample::select(vec!["UTC", "Europe/Zurich", "Australia/Sydney"]),
    ) {
        let task = TaskKind::HealthCheck;
        let settings = settings(task, cron, zone);
        let schedule = settings.tasks[&task].schedule.clone();
        let mut now: UnixMillis = ms("2026-10-24T12:00:00Z");
        let since = now;
        let mut rows: Vec<TaskRunRow> = Vec::new();
        let mut plan = Plan::new(&settings, vec![Remembered { task, since, runs: Vec::new() }], "m", now);
        let mut served: BTreeMap<UnixMillis, (u32, u32)> = BTreeMap::new();
        let (mut proposal, mut running): (Option<UnixMillis>, Option<Run>) = (None, None);
        for step in steps {
            match step {
                Step::Clock(by) => now += by,
                Step::Ask => {
                    let _ = plan.ask(task, now);
                }
                Step::Proposal(ahead) => proposal = ahead.map(|ahead| now + ahead),
                Step::End => {
                    if running.take().is_some() {
                        plan.ended(task);
                        rows[0].outcome = TaskOutcome::Done.into();
                    }
                }
                Step::Kill => {
                    if let Some(run) = running.take() {
                        rows[0].outcome = TaskOutcome::Interrupted.into();
                        if run.cause != TaskCause::ByHand {
                            served.entry(run.planned_at).or_default().1 += 1;
                        }
                    }
                    plan = Plan::new(&settings, vec![Remembered { task, since, runs: rows.clone() }], "m", now);
                }
            }
            // As those who know duties do: what is over is not the next.
            proposal = proposal.filter(|at| *at > now - 12_000);
            for effect in plan.step(now, proposal) {
                match effect {
                    Effect::Begin(run) => {
                        prop_assert!(running.is_none(), "it runs already");
                        prop_assert!(proposal.is_none_or(|at| at.abs_diff(now) > 120_000), "a proposal is near");
                        if run.cause != TaskCause::ByHand {
                            prop_assert!(run.planned_at <= now, "before its time");
                            prop_assert_eq!(schedule.last_until(run.planned_at), Some(run.planned_at), "no such time");
                            let (times, cut_short) = served.entry(run.planned_at).or_default();
                            *times += 1;
                            prop_assert!(*times == 1 || (*times == 2 && *cut_short >= 1), "{} is served again", run.planned_at);
                        }
                        rows.insert(0, row(run.cause, run.planned_at, TaskOutcome::Running));
                        running = Some(run);
                    }
                    Effect::LeaveOut { run, outcome, .. } => {
                        // Behind the row of what runs, which the test keeps first.
                        let place = usize::from(running.is_some()).min(rows.len());
                        rows.insert(place, row(run.cause, run.planned_at, outcome));
                    }
                    Effect::Waits { .. } => {}
                }
            }
        }
    }
}
