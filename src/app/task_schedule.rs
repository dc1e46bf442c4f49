//! Tasks that are done by the clock: which there are with a configuration, and who does each.

use std::sync::Arc;

use futures_util::FutureExt;
use tokio::sync::watch;
use tracing::warn;

use super::{
    connect::Connected,
    tasks_backup::{make_backup, prove_backup},
    tasks_clients::{ClientTask, check_clients},
    tasks_disk::clean_disks,
    tasks_health::{HealthTask, check_health},
    tasks_profit::check_profit,
};
use crate::{
    alerts::{AlertSettings, deadman::tell_of_task},
    backup::BackupKeeper,
    config::Config,
    consensus::SlotClock,
    events::TaskKind,
    relay::ExpectedProposals,
    supervisor::{
        SupervisorHandle,
        disk::DiskHandle,
        schedule::{NextProposal, ScheduleParts, TaskPing, TaskRunners},
    },
};

/// The tasks that a configuration has something to do for.
pub(crate) fn scheduled_tasks(config: &Config) -> Vec<TaskKind> {
    let has_clients = config.beacon.is_some() || config.execution.is_some() || config.nodes.is_some();
    let is_there = |task: &TaskKind| match task {
        TaskKind::HealthCheck => true,
        TaskKind::ProfitCheck => config.execution.is_some(),
        TaskKind::ClientVersions => has_clients,
        TaskKind::DiskClean => config.disk.as_ref().is_some_and(|disk| !disk.classes.is_empty()),
        TaskKind::Backup | TaskKind::BackupVerify => config.backup.is_some(),
        TaskKind::WeeklyDigest | TaskKind::LoadValidation => false,
    };
    TaskKind::ALL.into_iter().filter(is_there).collect()
}

/// When the weekly digest is sent, in a sentence: `[alerts]` does that.
pub(crate) fn weekly_digest(settings: &AlertSettings) -> String {
    match settings.weekly_digest_on {
        Some(day) => {
            let zone = settings.digest_zone.iana_name().unwrap_or("UTC");
            let at = settings.digest_at.strftime("%H:%M");
            format!("[alerts] sends it on each {day:?} at {at} {zone}.")
        }
        None => "[alerts] sends none: weekly_digest_on says so.".to_owned(),
    }
}

/// Who does what tasks are for, where it is configured.
#[derive(Debug)]
pub(super) struct Doers {
    pub(super) nodes: Option<SupervisorHandle>,
    pub(super) disk: Option<DiskHandle>,
    pub(super) backups: Option<BackupKeeper>,
}

/// What the schedule is started with. `expected`: proposals of our own that are to come.
pub(super) fn schedule_parts(
    connected: &Connected,
    doers: &Doers,
    expected: watch::Receiver<ExpectedProposals>,
) -> ScheduleParts {
    let config = &connected.config;
    let tasks = scheduled_tasks(config);
    for (task, settings) in &config.maintenance.tasks {
        if settings.is_named && settings.enabled && !tasks.contains(task) {
            warn!(
                task = task.label(),
                "[maintenance] names a task for which this configuration, or this version, has nothing to do: it does not run"
            );
        }
    }
    let mut runners = TaskRunners::default();
    for task in tasks {
        add_runner(task, connected, doers, &mut runners);
    }
    let http = connected.clients.http.clone();
    let ping: TaskPing = Arc::new(move |url, is_well, now| {
        let http = http.clone();
        async move { tell_of_task(url, &http, is_well, now).await }.boxed()
    });
    ScheduleParts {
        settings: config.maintenance.clone(),
        runners,
        elsewhere: vec![(TaskKind::WeeklyDigest, weekly_digest(&config.alerts.settings))],
        next_proposal: next_proposal(expected, config.spec.clock()),
        ping,
        machine: config.alerts.settings.source.clone(),
        ledger: connected.stores.ledger.clone(),
        signals: connected.signals(),
        spine: connected.spine.clone(),
        clock: connected.clock.clone(),
    }
}

fn add_runner(task: TaskKind, connected: &Connected, doers: &Doers, runners: &mut TaskRunners) {
    match task {
        TaskKind::HealthCheck => {
            let health = HealthTask {
                relays: Arc::clone(&connected.relays),
                beacon: connected.beacon.clone(),
                execution: connected.execution.clone(),
                nodes: doers.nodes.clone(),
                conditions: connected.conditions.clone(),
                ledger: connected.stores.ledger.clone(),
                data_dir: connected.config.data_dir.clone(),
                clock: connected.clock.clone(),
            };
            runners.add(task, move |context| check_health(health.clone(), context));
        }
        TaskKind::ProfitCheck => {
            let (reporter, clock) = (connected.reporter(), connected.clock.clone());
            runners.add(task, move |_| check_profit(reporter.clone(), clock.now()));
        }
        TaskKind::ClientVersions => {
            let clients = ClientTask {
                spec: connected.config.spec.clone(),
                beacon: connected.beacon.clone(),
                execution: connected.execution.clone(),
                floors: connected.config.alerts.client_floors.clone(),
                nodes: doers.nodes.clone(),
                clock: connected.clock.clone(),
            };
            runners.add(task, move |_| check_clients(clients.clone()));
        }
        TaskKind::DiskClean => {
            if let Some(disk) = doers.disk.clone() {
                runners.add(task, move |_| clean_disks(disk.clone()));
            }
        }
        TaskKind::Backup => {
            if let Some(keeper) = doers.backups.clone() {
                runners.add(task, move |context| make_backup(keeper.clone(), context));
            }
        }
        TaskKind::BackupVerify => {
            if let Some(keeper) = doers.backups.clone() {
                runners.add(task, move |context| prove_backup(keeper.clone(), context));
            }
        }
        // Nobody does them here.
        TaskKind::WeeklyDigest | TaskKind::LoadValidation => {}
    }
}

/// When our next proposal begins, by the slots that the beacon node says are ours. Where it does not say, none is known, and nobody waits.
fn next_proposal(expected: watch::Receiver<ExpectedProposals>, slots: SlotClock) -> NextProposal {
    Arc::new(move |now| {
        let expected = expected.borrow();
        let next = expected.as_ref()?.range(slots.slot_at(now)..).next()?;
        Some(slots.start_of(*next))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::Slot;

    #[test]
    fn the_next_proposal_is_one_whose_slot_is_not_over() {
        let slots = SlotClock::new(1_000_000, 12_000);
        let (say, expected) = watch::channel(None);
        let next = next_proposal(expected, slots);
        let start = |slot| slots.start_of(Slot::new(slot));
        assert_eq!(next(start(5)), None, "nothing is known");
        say.send_replace(Some([Slot::new(5), Slot::new(9)].into()));
        for (at, want) in [
            (start(4), Some(start(5))),
            (start(5) + 11_999, Some(start(5))),
            (start(6), Some(start(9))),
            (start(10), None),
        ] {
            assert_eq!(next(at), want, "{at}");
        }
    }

    #[test]
    fn the_digests_time_is_said() {
        let settings = AlertSettings::default();
        assert_eq!(weekly_digest(&settings), "[alerts] sends it on each Monday at 09:00 UTC.");
        assert!(weekly_digest(&AlertSettings { weekly_digest_on: None, ..settings }).contains("sends none"));
    }
}
