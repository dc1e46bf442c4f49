//! Searchers' bundles: taken in, checked, sent to builders each in its own way, and followed until the chain has them or has not.
//!
//! In: signed JSON-RPC on a listener of its own. Out: the same bundles at builders, a record of each one's life in the ledger, profit when
//! a block is final. Off unless `[bundles]` is there. It shares no thread with the path to the consensus client: it runs on a runtime of its
//! own, its queues are bounded, and what does not fit is dropped and counted. It never reads a payload of the proposer's, and never tells one
//! searcher's bundles to another.
//!
//! Pure: `bundle` (reading and checks), `wire` (what is asked for), `hash`, `identity`, `dialect` (a table of builders' ways), `pool` (open
//! bundles and what a block decides), `reason`, `inclusion`, `profit`. Around them: `server`, `intake` and `validate` (searchers),
//! `pool::task` (owns the open bundles), `dispatch` and `fanout` (queues to builders), `tracker` (the chain), `booking` (final blocks),
//! `recorder` (the way to the ledger). What is held at once is bounded by `budget`; what a block decided is in the ledger and nowhere else.

mod booking;
mod budget;
mod bundle;
mod dialect;
mod dispatch;
mod fanout;
mod hash;
mod identity;
mod inclusion;
mod intake;
mod metrics;
mod pool;
mod precheck;
mod profit;
mod reason;
mod recorder;
mod server;
mod settings;
mod simulate;
mod stored;
mod tracker;
mod validate;
mod wire;

use std::{sync::Arc, time::Duration};

use reqwest::Client;
use tokio::{sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;
use tracing::{error, info};

pub use bundle::{Bundle, BundleTx, Kind, MevShareBody, Refund, check, read_transaction};
pub use dialect::{Auth, Cancel, DIALECTS, Dialect, Refunds, Unsupported, read_answer};
pub use hash::{UuidParts, bundle_hash, bundle_uuid, mev_bundle_hash, upstream_uuid};
pub use identity::{BundleKey, IdentityError, Signed, verify, verify_body};
pub use inclusion::{Disorder, Presence, Sighting, presence};
pub use metrics::describe_metrics;
pub use profit::{BundleProfit, bundle_profit};
pub use settings::{Bearer, BuilderEndpoint, BundleSettings, FanOut};
pub use wire::{BundleCommand, read};

use crate::{
    ethereum::ExecutionNode,
    ledger::{Ledger, LedgerError},
    serve::Listener,
};

/// What the room is started with.
#[derive(Debug)]
pub struct BundleParts {
    /// `[bundles]`
    pub settings: BundleSettings,
    /// Where searchers connect, bound already.
    pub listener: Listener,
    /// Where the chain is.
    pub node: ExecutionNode,
    /// For builders: connections of its own.
    pub http: Client,
    /// Length of a slot in seconds.
    pub slot_secs: u64,
    /// Where bundles are written down.
    pub ledger: Ledger,
    /// Ends it all.
    pub stop: CancellationToken,
}

/// Runs until told to stop; ends when everything is written down.
///
/// # Errors
/// When the ledger cannot be read.
pub async fn run_bundles(parts: BundleParts) -> Result<(), LedgerError> {
    let BundleParts { settings, listener, node, http, slot_secs, ledger, stop } = parts;
    let (recorder, records) = recorder::recorder();
    let mut writer: JoinHandle<()> = tokio::spawn(recorder::write_records(ledger.clone(), records));
    let (publish, head) = watch::channel(intake::HeadView::default());
    let budget = budget::ByteBudget::new(settings.max_open_bytes);
    let open = pool::BundlePool::new(
        Arc::clone(&budget),
        settings.max_open_per_searcher,
        ledger.last_bundle().await?,
    );
    let (pool, pool_task) = pool::pool_task(open, recorder.clone());
    let mut owner = tokio::spawn(pool_task.run());
    let intake = Arc::new(intake::BundleIntake::new(intake::IntakeParts {
        settings,
        node,
        http,
        slot_secs,
        head,
        recorder,
        pool,
        budget,
        stop: stop.clone(),
    }));
    let mut tracker = tracker::Tracker::new(Arc::clone(&intake), ledger, publish);
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
        () = listener.serve(server::router(Arc::clone(&intake)), stop.clone(), Duration::from_secs(2)) => {}
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
        let _ = tokio::time::timeout(Duration::from_secs(5), writer).await;
    }
    Ok(())
}
