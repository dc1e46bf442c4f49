//! The one task that writes the ledger, fed by the spine.
//!
//! What the file refuses is kept and tried again with growing pauses (`backlog.rs`): a full disk or a lock costs time and, within a bound, no
//! event. An event that the file refuses for what it is holds nobody up: it is told from a refusing disk by trying it alone, left out, and
//! counted.

use std::{sync::Arc, time::Duration};

use metrics::{counter, gauge};
use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    Ledger,
    alert_signals::signal_told,
    auctions::{auction_ended, is_about_now, open_settlement},
    backlog::{AfterFailure, Backlog, Fault},
    block_records::block_record_saved,
    database::is_of_the_statement,
    journal::{bind_answer, join_ids, upsert_answer},
    query::WriteTransaction,
    registrations::{registration_answer, validators_heard},
};
use crate::{
    consensus::WallClock,
    events::{
        BlockReceived, Event, ProbeResult, RelayModeChanged, ReputationSaved, Spine, SubmissionAnswer,
        SubmissionClosed, Subscription,
    },
    tasks::TaskGroup,
    types::RelayId,
};

/// Tries after the process was told to stop. What is not written then is lost to the ledger; signed blocks are in the journal.
const TRIES_AT_STOP: u32 = 4;

type Result<T> = std::result::Result<T, sqlx::Error>;

/// Why a batch was refused.
#[derive(Debug)]
struct Refusal {
    fault: Fault,
    error: sqlx::Error,
}

/// Writes for as long as the group runs, and what is on the spine from this moment on, whenever the task first runs.
pub fn start_writer(ledger: &Ledger, spine: &Spine, clock: &WallClock, group: &TaskGroup) {
    let (ledger, spine, clock) = (ledger.clone(), spine.clone(), clock.clone());
    let mut first = Some(spine.subscribe());
    group.restarting("ledger_writer", move |stop| {
        let events = first.take().unwrap_or_else(|| spine.subscribe());
        run_writer(ledger.clone(), clock.clone(), events, stop)
    });
}

/// Writes events until told to stop, then writes what is waiting and ends.
pub async fn run_writer(ledger: Ledger, clock: WallClock, mut events: Subscription, stop: CancellationToken) {
    let mut backlog: Backlog<Arc<Event>> = Backlog::new();
    let mut due = Instant::now();
    loop {
        let event = tokio::select! {
            event = events.next() => match event {
                Some(event) => Some(event),
                None => break,
            },
            () = sleep_until(due), if !backlog.is_empty() => None,
            () = stop.cancelled() => break,
        };
        if let Some(event) = event {
            keep(&mut backlog, event);
            while !backlog.has_batch()
                && let Some(event) = events.try_next()
            {
                keep(&mut backlog, event);
            }
        }
        while !backlog.is_empty() && Instant::now() >= due {
            if let Some(pause) = write_some(&ledger, &clock, &mut backlog).await {
                due = Instant::now() + pause;
            }
        }
    }
    while let Some(event) = events.try_next() {
        keep(&mut backlog, event);
    }
    let mut tries = 0;
    while !backlog.is_empty() && tries < TRIES_AT_STOP {
        if let Some(pause) = write_some(&ledger, &clock, &mut backlog).await {
            tries += 1;
            sleep(pause).await;
        }
    }
    if !backlog.is_empty() {
        error!(
            events = backlog.len(),
            "the process ends, and the ledger could not be written: these events are not in it"
        );
    }
}

fn keep(backlog: &mut Backlog<Arc<Event>>, event: Arc<Event>) {
    let dropped = backlog.dropped();
    let weight = weight(&event);
    backlog.push(event, weight);
    let dropped = backlog.dropped() - dropped;
    if dropped > 0 {
        counter!("relaymux_ledger_events_dropped_total").increment(dropped);
    }
}

/// How much memory an event holds, in units of some 200 bytes.
fn weight(event: &Event) -> usize {
    match event {
        Event::Auction(record) => {
            let polls = record.answers.iter().map(|answer| answer.polls.len()).sum::<usize>();
            let bid = record.winner.as_ref().map_or(0, |winner| winner.signed_bid.len() / 200);
            1 + record.answers.len() * 2 + polls + bid
        }
        Event::Registrations(round) => 1 + round.changed.len() + round.repeated.len() / 4,
        Event::BlockRecordSaved(saved) => 1 + saved.record.len() / 200,
        Event::ReputationSaved(saved) => 1 + saved.reputation.len() / 200,
        _ => 1,
    }
}

/// Tries the next batch; how long to wait, if the file refuses.
async fn write_some(
    ledger: &Ledger,
    clock: &WallClock,
    backlog: &mut Backlog<Arc<Event>>,
) -> Option<Duration> {
    let batch: Vec<Arc<Event>> = backlog.batch().cloned().collect();
    let was_failing = ledger.write_state().failing_since.is_some();
    let pause = match write_batch(ledger, &batch).await {
        Ok(()) => {
            backlog.written();
            if was_failing {
                info!(waiting = backlog.len(), "the ledger is written again");
            }
            ledger.note_write(clock.now(), None);
            None
        }
        Err(Refusal { fault, error }) => match backlog.refused(fault) {
            AfterFailure::Wait(pause) => {
                // Once a failure, not once a try.
                if !was_failing {
                    warn!(
                        %error, waiting = backlog.len(),
                        "the ledger cannot be written: its events are kept and tried again; see to the disk of data_dir"
                    );
                }
                counter!("relaymux_ledger_writes_failed_total").increment(1);
                ledger.note_write(clock.now(), Some(error.to_string()));
                Some(pause)
            }
            AfterFailure::Again => None,
            AfterFailure::Skipped(event) => {
                let kind = kind(&event);
                error!(%error, event = kind, "the ledger refuses an event for what it is: it is left out");
                counter!("relaymux_ledger_events_skipped_total", "event" => kind).increment(1);
                None
            }
        },
    };
    gauge!("relaymux_ledger_events_waiting").set(f64::from(u32::try_from(backlog.len()).unwrap_or(u32::MAX)));
    ledger.note_backlog(backlog.len(), backlog.dropped(), backlog.skipped());
    pause
}

/// Every kind of event, by name.
pub(super) const KINDS: [&str; 17] = [
    "auction",
    "block_received",
    "block_record_saved",
    "block_signature_checked",
    "conflicting_block",
    "missed_request",
    "notice",
    "registration_answer",
    "registrations",
    "relay",
    "relay_judged",
    "relay_mode_changed",
    "reputation_saved",
    "settlement",
    "submission_answer",
    "submission_closed",
    "upstream_changed",
];

const fn kind(event: &Event) -> &'static str {
    match event {
        Event::Auction(_) => "auction",
        Event::BlockReceived(_) => "block_received",
        Event::ConflictingBlock(_) => "conflicting_block",
        Event::SubmissionAnswer(_) => "submission_answer",
        Event::SubmissionClosed(_) => "submission_closed",
        Event::Registrations(_) => "registrations",
        Event::RegistrationAnswer(_) => "registration_answer",
        Event::Relay(_) => "relay",
        Event::RelayModeChanged(_) => "relay_mode_changed",
        Event::ReputationSaved(_) => "reputation_saved",
        Event::BlockSignatureChecked(_) => "block_signature_checked",
        Event::RelayJudged(_) => "relay_judged",
        Event::BlockRecordSaved(_) => "block_record_saved",
        Event::Settlement(_) | Event::SlotSettled(_) => "settlement",
        Event::AlertSignal(_) => "notice",
        Event::MissedRequest(_) => "missed_request",
        Event::UpstreamChanged(_) => "upstream_changed",
        Event::NodeChanged(_) => "node_changed",
        Event::NodeActed(_) => "node_acted",
        Event::TaskRun(_) => "task_run",
        Event::DiskActed(_) => "disk_acted",
        Event::DiskCleaned(_) => "disk_cleaned",
        Event::BackupFinished(_) => "backup_finished",
    }
}

async fn write_batch(ledger: &Ledger, batch: &[Arc<Event>]) -> std::result::Result<(), Refusal> {
    let of_the_disk = |error| Refusal { fault: Fault::Disk, error };
    let mut write = ledger.write().await.map_err(of_the_disk)?;
    for (place, event) in batch.iter().enumerate() {
        if let Err(error) = write_event(&mut write, event).await {
            let fault = if is_of_the_statement(&error) { Fault::Event(place) } else { Fault::Disk };
            return Err(Refusal { fault, error });
        }
    }
    write.commit().await.map_err(of_the_disk)
}

async fn write_event(write: &mut WriteTransaction, event: &Event) -> Result<()> {
    match event {
        Event::Auction(record) => auction_ended(write, record).await,
        Event::BlockReceived(block) => block_received(write, block).await,
        Event::SubmissionAnswer(answer) => submission_answer(write, answer).await,
        Event::SubmissionClosed(closed) => submission_closed(write, closed).await,
        Event::Registrations(round) => validators_heard(write, round).await,
        Event::RegistrationAnswer(answer) => registration_answer(write, answer).await,
        Event::Relay(state) => relay_state(write, state).await,
        Event::RelayModeChanged(placed) => relay_placed(write, placed).await,
        Event::ReputationSaved(saved) => standing_saved(write, saved).await,
        Event::BlockRecordSaved(saved) => block_record_saved(write, saved).await,
        // What a relay is accused of is part of its reputation, what is known of a signature part of its block's record.
        Event::RelayJudged(_) | Event::BlockSignatureChecked(_) => Ok(()),
        // The room that watches payments writes them down itself.
        Event::Settlement(_) | Event::SlotSettled(_) => Ok(()),
        Event::AlertSignal(signal) => signal_told(write, signal).await,
        // So does the room that watches duties.
        Event::MissedRequest(_) => Ok(()),
        // What lasts of it is a signal.
        Event::UpstreamChanged(_) => Ok(()),
        // The supervisor writes all of it down itself, before it acts.
        Event::NodeChanged(_) | Event::NodeActed(_) | Event::TaskRun(_) => Ok(()),
        // Whoever cleans disks writes both down itself, and whoever makes backups.
        Event::DiskActed(_) | Event::DiskCleaned(_) | Event::BackupFinished(_) => Ok(()),
        // Both blocks have a row of their own.
        Event::ConflictingBlock(_) => Ok(()),
    }
}

async fn block_received(write: &mut WriteTransaction, block: &BlockReceived) -> Result<()> {
    sqlx::query(
        "INSERT INTO submissions (slot, block_hash, parent_hash, proposer_index, fork, version, received_at, \
         ms_into_slot, offered_by, undecoded, instance) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) \
         ON CONFLICT DO NOTHING",
    )
    .bind(block.slot.as_u64().cast_signed())
    .bind(block.block_hash.to_string())
    .bind(block.parent_hash.to_string())
    .bind(block.proposer_index.cast_signed())
    .bind(block.fork.name())
    .bind(i64::from(block.version))
    .bind(block.at)
    .bind(block.ms_into_slot)
    .bind(join_ids(&block.offered_by))
    .bind(&block.undecoded)
    .bind(write.instance)
    .execute(&mut *write.tx)
    .await?;
    // The block itself is written down whatever its slot; what decides where reports begin and end is not.
    if is_about_now(block.ms_into_slot) { open_settlement(write, block.slot, None).await } else { Ok(()) }
}

async fn submission_answer(write: &mut WriteTransaction, answer: &SubmissionAnswer) -> Result<()> {
    let upsert = bind_answer(sqlx::query(upsert_answer!("submission_answers")), answer);
    upsert.bind(write.instance).execute(&mut *write.tx).await?;
    Ok(())
}

async fn submission_closed(write: &mut WriteTransaction, closed: &SubmissionClosed) -> Result<()> {
    sqlx::query(
        "UPDATE submissions SET fate = $3, decided_by = $4, decided_in_us = $5, decided_at = $6 \
         WHERE slot = $1 AND block_hash = $2 AND fate NOT IN ('delivered', 'accepted')",
    )
    .bind(closed.slot.as_u64().cast_signed())
    .bind(closed.block_hash.to_string())
    .bind(closed.fate.label())
    .bind(closed.by.as_ref().map(RelayId::as_str))
    .bind(closed.latency_us.cast_signed())
    .bind(closed.at)
    .execute(&mut *write.tx)
    .await?;
    Ok(())
}

async fn relay_state(write: &mut WriteTransaction, state: &ProbeResult) -> Result<()> {
    sqlx::query("INSERT INTO counterparty_states (counterparty, since, usable, why, instance) VALUES ($1, $2, $3, $4, $5)")
        .bind(state.relay.as_str())
        .bind(state.at)
        .bind(state.usable)
        .bind(&state.message)
        .bind(write.instance)
        .execute(&mut *write.tx)
        .await?;
    Ok(())
}

async fn relay_placed(write: &mut WriteTransaction, placed: &RelayModeChanged) -> Result<()> {
    sqlx::query(
        "INSERT INTO counterparty_places (counterparty, since, place, before, reason, why, score, instance) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(placed.relay.as_str())
    .bind(placed.at)
    .bind(placed.state.label())
    .bind(placed.before.map(|before| before.label()))
    .bind(placed.reason.label())
    .bind(&placed.message)
    .bind(placed.score)
    .bind(write.instance)
    .execute(&mut *write.tx)
    .await?;
    Ok(())
}

async fn standing_saved(write: &mut WriteTransaction, saved: &ReputationSaved) -> Result<()> {
    sqlx::query(
        "INSERT INTO counterparty_standings (counterparty, standing, saved_at, instance) VALUES ($1, $2, $3, $4) \
         ON CONFLICT (counterparty) DO UPDATE SET standing = excluded.standing, saved_at = excluded.saved_at, \
         instance = excluded.instance",
    )
    .bind(saved.relay.as_str())
    .bind(&saved.reputation)
    .bind(saved.at)
    .bind(write.instance)
    .execute(&mut *write.tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::Spine;

    fn state(relay: &str) -> Event {
        Event::Relay(ProbeResult {
            relay: RelayId::parse(relay).unwrap(),
            usable: true,
            message: String::new(),
            at: 1,
        })
    }

    #[tokio::test]
    async fn an_event_that_is_refused_for_what_it_is_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        let refuse = "CREATE TRIGGER refuse BEFORE INSERT ON counterparty_states WHEN NEW.counterparty = 'poison' \
                      BEGIN SELECT RAISE(ABORT, 'no'); END";
        sqlx::query(refuse).execute(ledger.pool()).await.unwrap();
        let (spine, stop) = (Spine::new(), CancellationToken::new());
        let events = spine.subscribe();
        for n in 0..700 {
            spine.publish(state(if n == 300 || n == 650 { "poison" } else { "honest" }));
        }
        stop.cancel();
        run_writer(ledger.clone(), WallClock::manual(9_000).0, events, stop).await;
        let rows = sqlx::query("SELECT * FROM counterparty_states").fetch_all(ledger.pool()).await.unwrap();
        assert_eq!(rows.len(), 698);
        let state = ledger.write_state();
        assert_eq!((state.skipped, state.dropped, state.waiting), (2, 0, 0));
        assert_eq!((state.last_write, state.failing_since), (Some(9_000), None));
    }
}
