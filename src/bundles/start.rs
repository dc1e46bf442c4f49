//! Starts the room: on a runtime of its own, on one thread that the path to the consensus client never waits for.

use std::{io, sync::Arc, thread, time::Duration};

use axum::Router;
use reqwest::Client;
use tokio::{
    sync::{oneshot, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    BundleSettings,
    budget::ByteBudget,
    intake::{BundleIntake, HeadView, IntakeParts},
    pool::{BundlePool, pool_task},
    recorder::{recorder, write_records},
    tracker::Tracker,
};
use crate::{
    consensus::WallClock,
    ethereum::ExecutionNode,
    ledger::{Ledger, LedgerError},
    serve::Door,
    tasks::TaskGroup,
};

/// How much bundles stand back behind the rest: `nice`'s default step.
const NICENESS: i32 = 10;
/// Newest bundles whose names are remembered at a start. Arbitrary: as many as may be open.
const NAMES: u32 = 30_000;
/// Longest wait at a stop for requests in flight.
const DRAIN: Duration = Duration::from_secs(2);
/// And for records to be written.
const WRITE_DRAIN: Duration = Duration::from_secs(5);

/// What the room is started with.
#[derive(Debug)]
pub struct BundleParts {
    /// `[bundles]`
    pub settings: BundleSettings,
    /// How searchers' requests come.
    pub door: Door,
    /// The routes that searchers are served by.
    pub router: fn(Arc<BundleIntake>) -> Router,
    /// The execution node that simulates bundles, and whose blocks are searched for them.
    pub node: ExecutionNode,
    /// For builders: connections of its own.
    pub http: Client,
    /// Length of a slot in seconds.
    pub slot_secs: u64,
    /// The wall clock.
    pub clock: WallClock,
    /// Where bundles are written down.
    pub ledger: Ledger,
}

/// Starts the room's thread. The service goes on where the room ends, and the group waits for it at a stop.
///
/// # Errors
/// When the system has no thread for it.
pub fn start(parts: BundleParts, group: &TaskGroup) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (end, ended) = oneshot::channel::<()>();
    let stop = group.stop_token();
    thread::Builder::new().name("bundles".to_owned()).spawn(move || {
        // On Linux a thread has a priority of its own: where cores are scarce, a header goes first.
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
            warn!(%error, "bundles run at the same priority as everything else");
        }
        if let Err(error) = runtime.block_on(run(parts, stop)) {
            error!(%error, "bundles are not taken any more");
        }
        let _ = end.send(());
    })?;
    group.optional("bundles", |_| async {
        let _ = ended.await;
    });
    Ok(())
}

/// Runs until told to stop; ends when everything is written down.
async fn run(parts: BundleParts, stop: CancellationToken) -> Result<(), LedgerError> {
    let BundleParts { settings, door, router, node, http, slot_secs, clock, ledger } = parts;
    let (recorder, records) = recorder();
    let mut writer: JoinHandle<()> = tokio::spawn(write_records(ledger.clone(), records));
    let (publish, head) = watch::channel(HeadView::default());
    let budget = ByteBudget::new(settings.max_open_bytes);
    let last_id = ledger.last_bundle().await?;
    let mut open = BundlePool::new(Arc::clone(&budget), settings.max_open_per_searcher, last_id);
    for (searcher, name, sequence) in ledger.last_of_names(NAMES).await? {
        if let (Ok(searcher), Ok(sequence)) = (searcher.parse(), u64::try_from(sequence)) {
            open.note_name(searcher, &name, sequence);
        }
    }
    let (pool, pool_task) = pool_task(open, recorder.clone(), clock.clone());
    let mut owner = tokio::spawn(pool_task.run());
    let intake = Arc::new(BundleIntake::new(IntakeParts {
        settings,
        node,
        http,
        slot_secs,
        clock,
        head,
        recorder,
        pool,
        budget,
        stop: stop.clone(),
    }));
    let mut tracker = Tracker::new(Arc::clone(&intake), ledger, publish);
    let resumed = tracker.resume().await?;
    info!(builders = intake.settings.builders.len(), resumed, "bundles are taken");
    let mut follower = tokio::spawn(tracker.run(stop.clone()));
    let failed = async {
        tokio::select! {
            _ = &mut follower => {}
            _ = &mut writer => {}
            _ = &mut owner => {}
        }
        // They end at a stop, too, which is none.
        if stop.is_cancelled() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        () = door.serve(router(Arc::clone(&intake)), stop.clone(), DRAIN) => {}
        () = failed => {
            error!("bundles: the task that follows the chain, the one that owns the open bundles or the one that writes has failed");
            return Ok(());
        }
    }
    if !follower.is_finished() {
        let _ = follower.await;
    }
    // The pool's task ends with the last handle of it, and the writer with the last recorder: both go with the intake.
    drop(intake);
    if !writer.is_finished() {
        let _ = tokio::time::timeout(WRITE_DRAIN, writer).await;
    }
    Ok(())
}
