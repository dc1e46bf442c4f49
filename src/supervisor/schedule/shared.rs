//! What the schedule is started with, and what its task works with.

use std::{fmt, sync::Arc};

use futures_util::future::BoxFuture;
use tokio::sync::{oneshot, watch};

use super::{
    plan::{Run, RunRefused},
    runner::{NextProposal, TaskRunners},
    settings::ScheduleSettings,
    view::TaskView,
};
use crate::{
    consensus::WallClock,
    events::{Spine, TaskKind},
    ledger::{Ledger, SignalBook},
    supervisor::fleet::Trouble,
    types::{SecretUrl, UnixMillis},
};

/// Tells somebody outside that a task ran, and whether all was well.
pub type TaskPing =
    Arc<dyn Fn(SecretUrl, bool, UnixMillis) -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// What the schedule is started with.
#[derive(Clone)]
pub struct ScheduleParts {
    /// `[maintenance]`
    pub settings: ScheduleSettings,
    /// Who does what.
    pub runners: TaskRunners,
    /// Tasks that other parts have done, and when they do, as a sentence.
    pub elsewhere: Vec<(TaskKind, String)>,
    /// When our next proposal begins.
    pub next_proposal: NextProposal,
    /// Who is told outside.
    pub ping: TaskPing,
    /// What tells this machine from others, for jitter.
    pub machine: String,
    /// Where runs are written down.
    pub ledger: Ledger,
    /// Where what lasts is raised.
    pub signals: SignalBook,
    /// Where runs are told.
    pub spine: Spine,
    /// The wall clock.
    pub clock: WallClock,
}

impl fmt::Debug for ScheduleParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ScheduleParts").field("runners", &self.runners).finish_non_exhaustive()
    }
}

/// A run that somebody asks for.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) task: TaskKind,
    pub(super) by: String,
    pub(super) answer: oneshot::Sender<Result<Run, RunRefused>>,
}

/// What the task works with: it outlives one that begins anew.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) parts: ScheduleParts,
    pub(super) views: watch::Sender<Vec<TaskView>>,
    pub(super) troubles: watch::Sender<Option<Vec<Trouble>>>,
}
