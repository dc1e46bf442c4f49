//! What the parts of the watch share.

use tokio::sync::{oneshot, watch};

use crate::{
    events::Spine,
    ledger::{Ledger, SignalBook},
    supervisor::{
        SupervisorHandle,
        disk::{
            board::DiskBoard,
            clean::{CleanFailed, CleanParts},
            report::CleanReport,
        },
        fleet::Trouble,
    },
};

/// What watching disks needs.
#[derive(Clone, Debug)]
pub struct DiskParts {
    /// What cleanings need, the settings among it.
    pub clean: CleanParts,
    /// Where history is kept.
    pub ledger: Ledger,
    /// Where what lasts is raised.
    pub signals: SignalBook,
    /// Where it is told.
    pub spine: Spine,
    /// Stops and starts workloads; none: there are none to be stopped.
    pub nodes: Option<SupervisorHandle>,
}

/// A cleaning that somebody asks for.
pub(super) struct Asked {
    pub(super) reason: String,
    pub(super) answer: oneshot::Sender<Result<CleanReport, CleanFailed>>,
}

/// What the parts of the watch share.
pub(super) struct Shared {
    pub(super) parts: DiskParts,
    pub(super) board: watch::Sender<DiskBoard>,
    pub(super) troubles: watch::Sender<Option<Vec<Trouble>>>,
}
