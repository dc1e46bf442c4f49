//! The task that watches disks: looks, samples, forecasts, tells what is wrong, cleans when it is asked to, and does what the ladder decides.
//!
//! Whatever may hang runs beside it: a look at a filesystem, a walk, a cleaning, a node's stop.

mod acts;
mod begin;
mod keeper;
mod notes;
mod shared;
mod slow;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

use tokio::{
    sync::{Mutex, mpsc, oneshot, watch},
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use super::{
    board::DiskBoard,
    clean::{CleanFailed, CleanParts},
    report::CleanReport,
    rules::RULES,
};
use crate::{supervisor::signals::run_signals, tasks::TaskGroup};
use keeper::Keeper;
use shared::{Asked, Shared};

pub use shared::DiskParts;

/// Cleanings that are asked for and wait. Arbitrary: the schedule and people are few.
const WAITING: usize = 16;
/// What was done or found beside and was not heard yet.
const UNHEARD: usize = 64;

/// Asks for cleanings, and shows how disks are. Clones are of the same watch.
#[derive(Clone)]
pub struct DiskHandle {
    parts: CleanParts,
    asked: mpsc::Sender<Asked>,
    board: watch::Receiver<DiskBoard>,
}

impl fmt::Debug for DiskHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskHandle").finish_non_exhaustive()
    }
}

impl DiskHandle {
    /// Cleans, and answers once that is over: it may take an hour. It is carried out also if nobody waits. `reason`: a sentence for people.
    ///
    /// # Errors
    /// When another cleaning is under way, or what would be deleted cannot be written down.
    pub async fn clean(&self, reason: impl Into<String>) -> Result<CleanReport, CleanFailed> {
        let away =
            || CleanFailed::Away("whoever watches disks is stopping, or begins anew: ask again".to_owned());
        let (answer, answered) = oneshot::channel();
        self.asked.send(Asked { reason: reason.into(), answer }).await.map_err(|_| away())?;
        answered.await.map_err(|_| away())?
    }

    /// What a cleaning would do. Nothing is changed.
    pub async fn plan(&self) -> super::report::Planned {
        super::clean::plan(&self.parts).await
    }

    /// How disks are.
    pub fn board(&self) -> DiskBoard {
        self.board.borrow().clone()
    }
}

/// Starts watching disks.
pub fn start(parts: DiskParts, group: &TaskGroup) -> DiskHandle {
    let (ask, asked) = mpsc::channel(WAITING);
    let (board, seen) = watch::channel(DiskBoard::default());
    let (troubles, wrong) = watch::channel(None);
    let handle = DiskHandle { parts: parts.clean.clone(), asked: ask, board: seen };
    let book = parts.signals.clone();
    let shared = Arc::new(Shared { parts, board, troubles });
    let asked = Arc::new(Mutex::new(asked));
    group.restarting("disk", move |stop| run(Arc::clone(&shared), Arc::clone(&asked), stop));
    group.restarting("disk_signals", move |stop| run_signals(book.clone(), RULES, wrong.clone(), stop));
    handle
}

async fn run(shared: Arc<Shared>, asked: Arc<Mutex<mpsc::Receiver<Asked>>>, stop: CancellationToken) {
    let mut asked = asked.lock().await;
    let flag = Arc::clone(&shared.parts.clean.stop);
    flag.store(false, Ordering::Relaxed);
    let (tell, mut told) = mpsc::channel(UNHEARD);
    let mut tick = interval(shared.parts.clean.settings.every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut keeper = Keeper::new(shared, tell).await;
    loop {
        tokio::select! {
            _ = tick.tick() => keeper.look().await,
            Some(asked) = asked.recv() => keeper.asked(asked),
            Some(news) = told.recv() => {
                if keeper.told(news).await {
                    keeper.look().await;
                }
            }
            Some(ended) = keeper.tasks.join_next() => {
                if let Err(error) = ended && let Ok(panic) = error.try_into_panic() {
                    std::panic::resume_unwind(panic);
                }
            }
            () = stop.cancelled() => {
                // A cleaning under way ends with its batch; its journal says how far it was.
                flag.store(true, Ordering::Relaxed);
                return;
            }
        }
    }
}
