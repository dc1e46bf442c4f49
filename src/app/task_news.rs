//! What the failure of a task means to people: a line in the log, a signal, and a part of the service that is degraded.

use tracing::{error, warn};

use super::rules::TASK_FAILED;
use crate::{
    consensus::WallClock,
    events::{AlertSignal, Event, Severity, Spine, count_signal},
    ops_api::Degraded,
    tasks::{Consequence, TaskFailure, TaskNews},
    types::UnixMillis,
};

/// Tells of tasks from now on.
pub(super) fn tell_of_tasks(
    spine: Spine,
    degraded: Degraded,
    clock: WallClock,
) -> impl Fn(TaskNews) + Send + Sync + 'static {
    move |news| match news {
        TaskNews::Failed(failure) => failed(&spine, &degraded, failure, clock.now()),
        TaskNews::BeganAnew { task } => {
            let message = format!("{task} has begun anew");
            spine.publish(Event::AlertSignal(AlertSignal::over(&TASK_FAILED, task, message, clock.now())));
            degraded.clear(task);
        }
    }
}

fn failed(spine: &Spine, degraded: &Degraded, failure: TaskFailure, at: UnixMillis) {
    let TaskFailure { task, consequence, message } = failure;
    let severity = match consequence {
        Consequence::EndsProcess => Severity::P1,
        Consequence::StaysAway => Severity::P2,
        Consequence::BeginsAnew | Consequence::LeftUndone => Severity::P3,
    };
    if severity == Severity::P3 {
        warn!(task, "{message}")
    } else {
        error!(task, "{message}")
    }
    count_signal(&TASK_FAILED);
    spine.publish(Event::AlertSignal(
        AlertSignal::raised(&TASK_FAILED, task, message.clone(), at).as_grave_as(severity),
    ));
    // What was to be done once is missed by nobody who asks for readiness.
    if consequence != Consequence::LeftUndone {
        degraded.set(task, message);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_told_by_what_follows_from_it() {
        let (spine, degraded) = (Spine::new(), Degraded::default());
        let mut events = spine.subscribe();
        let tell = tell_of_tasks(spine, degraded.clone(), WallClock::manual(5).0);
        for (consequence, severity, is_degraded) in [
            (Consequence::EndsProcess, Severity::P1, true),
            (Consequence::StaysAway, Severity::P2, true),
            (Consequence::BeginsAnew, Severity::P3, true),
            (Consequence::LeftUndone, Severity::P3, false),
        ] {
            let message = "the task writer panicked: so it did".to_owned();
            tell(TaskNews::Failed(TaskFailure { task: "writer", consequence, message: message.clone() }));
            let event = events.try_next().unwrap();
            let Event::AlertSignal(signal) = &*event else { panic!("{event:?}") };
            let told = (&*signal.rule.name, signal.subject.as_str(), signal.severity);
            assert_eq!(told, ("task_failed", "writer", Some(severity)));
            assert_eq!((&signal.message, signal.at), (&message, 5));
            assert_eq!(degraded.list().get("writer"), is_degraded.then_some(&message));
            tell(TaskNews::BeganAnew { task: "writer" });
            let event = events.try_next().unwrap();
            assert!(matches!(&*event, Event::AlertSignal(signal) if signal.resolved), "{event:?}");
            assert!(degraded.list().is_empty());
        }
    }
}
