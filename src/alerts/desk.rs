//! What others ask of alerts: what there is, and that somebody takes care.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use tokio::sync::{Notify, mpsc, oneshot};

use super::{
    alert::Alert,
    drill::DrillView,
    notify::Hidden,
    silence::{Silence, SilenceError},
};
use crate::{events::Severity, types::UnixMillis};

/// Commands that wait.
const COMMANDS: usize = 64;

/// An alert, and whether people are told of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertView {
    /// The alert.
    pub alert: Alert,
    /// Why nobody is told, where nobody is.
    pub hidden: Option<Hidden>,
}

/// All there is at the last look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// When that was, in Unix milliseconds; 0 before the first.
    pub at: UnixMillis,
    /// Every alert that is kept, gravest first.
    pub alerts: Vec<AlertView>,
    /// Silences that hold or are to come, and maintenance windows, which are silences by the calendar.
    pub silences: Vec<Silence>,
    /// Why the last look could not be written down, where it could not.
    pub not_saved: Option<String>,
}

/// What somebody takes care of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AckTarget {
    /// One alert, by its fingerprint.
    Alert(String),
    /// All that the messages of an incident told, by its name.
    Incident(String),
}

/// Why something asked for was not done.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum DeskError {
    /// There is nothing of that name that lasts.
    #[error("there is no such alert that lasts")]
    Unknown,
    /// The silence cannot be kept.
    #[error(transparent)]
    Silence(#[from] SilenceError),
    /// There are too many.
    #[error("there are as many silences as are kept: end some first")]
    TooManySilences,
    /// One drill at a time.
    #[error("a drill is under way already: end it, or wait for its end")]
    DrillUnderWay,
    /// There is no drill of that name: never, or not since the last start.
    #[error(
        "there is no such drill: a restart of the service ends a drill, and the next one takes its place"
    )]
    NoDrill,
    /// A drill would reach nobody.
    #[error("{0} reaches nobody: name contacts for it in [[alerts.escalation]]")]
    ReachesNobody(Severity),
    /// It could not be written down.
    #[error("it could not be written down, and is not kept over a restart: {0}")]
    NotSaved(String),
    /// Nobody is there who could do it.
    #[error("alerts are being started or stopped: try again")]
    Away,
}

pub(super) type Answer<T> = oneshot::Sender<Result<T, DeskError>>;

#[derive(Debug)]
pub(super) enum Command {
    Acknowledge { target: AckTarget, by: String, answer: Answer<usize> },
    Silence { silence: Silence, answer: Answer<()> },
    EndSilence { id: String, answer: Answer<()> },
    StartDrill { severity: Severity, wait: Duration, answer: Answer<DrillView> },
    FollowDrill { id: String, answer: Answer<DrillView> },
    EndDrill { id: String, answer: Answer<DrillView> },
}

/// Asks alerts for something. Clones ask the same.
#[derive(Clone, Debug)]
pub struct Desk {
    commands: mpsc::Sender<Command>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    wake: Arc<Notify>,
}

/// The other side of a desk.
#[derive(Debug)]
pub(super) struct Counter {
    pub(super) commands: mpsc::Receiver<Command>,
    pub(super) snapshot: Arc<ArcSwap<Snapshot>>,
    pub(super) wake: Arc<Notify>,
}

impl Desk {
    pub(super) fn new() -> (Self, Counter) {
        let (commands, asked) = mpsc::channel(COMMANDS);
        let (snapshot, wake) = (Arc::<ArcSwap<Snapshot>>::default(), Arc::<Notify>::default());
        let desk = Self { commands, snapshot: Arc::clone(&snapshot), wake: Arc::clone(&wake) };
        (desk, Counter { commands: asked, snapshot, wake })
    }

    /// All there is.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.snapshot.load_full()
    }

    /// Something may have changed: looks within a second.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Somebody takes care. How many alerts that is; it is written down once this answers.
    ///
    /// # Errors
    /// When there is nothing of that name, or it could not be written down.
    pub async fn acknowledge(&self, target: AckTarget, by: &str) -> Result<usize, DeskError> {
        let by = by.to_owned();
        self.ask(|answer| Command::Acknowledge { target, by, answer }).await
    }

    /// Makes a silence, or replaces the one of its id.
    ///
    /// # Errors
    /// When it cannot be kept, or could not be written down.
    pub async fn silence(&self, silence: Silence) -> Result<(), DeskError> {
        self.ask(|answer| Command::Silence { silence, answer }).await
    }

    /// Ends a silence.
    ///
    /// # Errors
    /// When there is none of that id that holds or is to come, or it could not be written down.
    pub async fn end_silence(&self, id: &str) -> Result<(), DeskError> {
        let id = id.to_owned();
        self.ask(|answer| Command::EndSilence { id, answer }).await
    }

    /// Begins a drill: an alert about nothing, for at most so long. It ends by itself where [`Self::drill`] does not ask for it every few
    /// seconds.
    ///
    /// # Errors
    /// When there is one already, or nobody would be told.
    pub async fn start_drill(&self, severity: Severity, wait: Duration) -> Result<DrillView, DeskError> {
        self.ask(|answer| Command::StartDrill { severity, wait, answer }).await
    }

    /// How far a drill is. Whoever asks keeps it going.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn drill(&self, id: &str) -> Result<DrillView, DeskError> {
        let id = id.to_owned();
        self.ask(|answer| Command::FollowDrill { id, answer }).await
    }

    /// Ends a drill, where it is not over.
    ///
    /// # Errors
    /// When there is none of that name.
    pub async fn end_drill(&self, id: &str) -> Result<DrillView, DeskError> {
        let id = id.to_owned();
        self.ask(|answer| Command::EndDrill { id, answer }).await
    }

    async fn ask<T>(&self, command: impl FnOnce(Answer<T>) -> Command) -> Result<T, DeskError> {
        let (answer, answered) = oneshot::channel();
        self.commands.send(command(answer)).await.map_err(|_| DeskError::Away)?;
        answered.await.map_err(|_| DeskError::Away)?
    }
}
