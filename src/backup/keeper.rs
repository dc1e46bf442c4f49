//! Makes and proves backups for the service: one at a time, each on a thread of its own, and everybody is told what came of it.

use std::{fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use serde::Serialize;
use tokio::{
    sync::{Mutex as AsyncMutex, oneshot},
    time::Instant,
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    Backup, BackupError, BackupSettings, CreateParts, Pace, VerdictKind, Verified, create,
    disk::Disk,
    list_backups,
    metrics::count_run,
    pace::stand_back,
    retention::remove_surplus,
    rules::{BACKUP_DAMAGED, BACKUP_FAILED},
    settings::ConfigFiles,
    verify,
};
use crate::{
    consensus::WallClock,
    events::{AlertRule, BackupAction, BackupFinished, BackupResult, Event, Spine},
    ledger::{BackupRun, Ledger, SignalBook},
    types::{ByteSize, UnixMillis},
};

/// Runs that are shown.
const SHOWN: u32 = 50;
/// How long the folder may take to answer: a mount that is away may never.
const LOOK_WITHIN: Duration = Duration::from_secs(20);
/// What the signals are about.
const SUBJECT: &str = "backup";

/// What the keeper works with.
pub struct KeeperParts {
    /// `[backup]`
    pub settings: BackupSettings,
    /// Where the ledger and the journal are.
    pub data_dir: std::path::PathBuf,
    /// The network that they are of.
    pub network: String,
    /// The configuration as it is now: asked each time.
    pub files: Arc<dyn Fn() -> ConfigFiles + Send + Sync>,
    /// Where runs are written down.
    pub ledger: Ledger,
    /// Who is told.
    pub spine: Spine,
    /// Where what is wrong is raised.
    pub signals: SignalBook,
    /// The wall clock.
    pub clock: WallClock,
    /// Ends whatever is under way.
    pub stop: CancellationToken,
}

impl fmt::Debug for KeeperParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeeperParts").field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// What came of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BackupReport {
    /// The backup's file name.
    pub file: String,
    /// Its length.
    pub bytes: u64,
    /// Whether it was restored on trial.
    pub verified: bool,
    /// Backups that were removed as they are not needed any more.
    pub removed: Vec<String>,
    /// What came of it, as a sentence.
    pub message: String,
}

/// Why a run came to nothing, as a sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct BackupFailed(pub String);

/// How backups are, for people.
#[derive(Clone, Debug, Serialize)]
pub struct KeeperView {
    /// Where they are kept.
    pub directory: String,
    /// How many that were proven are kept.
    pub keep: usize,
    /// What is under way: `create` or `verify`, and since when (Unix milliseconds).
    pub under_way: Option<UnderWay>,
    /// Those that there are, the newest first.
    pub backups: Vec<Backup>,
    /// When the folder was last looked at, Unix milliseconds; none: not yet.
    pub looked_at: Option<UnixMillis>,
    /// Why the folder cannot be read; none: it can.
    pub error: Option<String>,
    /// What was done, the newest first.
    pub runs: Vec<BackupRun>,
}

/// What is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct UnderWay {
    /// What is done.
    pub action: BackupAction,
    /// Since when, Unix milliseconds.
    pub since: UnixMillis,
}

/// What is known of the folder.
#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) backups: Vec<Backup>,
    pub(super) looked_at: Option<UnixMillis>,
    pub(super) error: Option<String>,
    under_way: Option<UnderWay>,
}

/// Makes and proves backups. Clones are the same keeper.
#[derive(Clone, Debug)]
pub struct BackupKeeper(pub(super) Arc<Inner>);

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) parts: KeeperParts,
    pub(super) board: Mutex<Board>,
    /// One at a time.
    turn: AsyncMutex<()>,
}

impl BackupKeeper {
    /// A keeper that has done nothing yet.
    pub fn new(parts: KeeperParts) -> Self {
        Self(Arc::new(Inner { parts, board: Mutex::default(), turn: AsyncMutex::new(()) }))
    }

    /// Makes a backup, proves it where that is asked for, and removes what is not needed any more.
    ///
    /// # Errors
    /// When it could not be made, or is of no use: that was told by then.
    pub async fn create_backup(&self) -> Result<BackupReport, BackupFailed> {
        self.run(BackupAction::Create, || self.create()).await
    }

    /// Restores the newest backup on trial.
    ///
    /// # Errors
    /// When there is none, it is of no use, or this could not be found out: that was told by then.
    pub async fn verify_backup(&self) -> Result<BackupReport, BackupFailed> {
        self.run(BackupAction::Verify, || self.verify_newest()).await
    }

    /// How backups are.
    pub async fn view(&self) -> KeeperView {
        let Inner { parts, board, .. } = &*self.0;
        let runs = parts.ledger.backup_runs(SHOWN).await.unwrap_or_default();
        let board = board.lock();
        KeeperView {
            directory: parts.settings.directory.display().to_string(),
            keep: parts.settings.keep,
            under_way: board.under_way,
            backups: board.backups.clone(),
            looked_at: board.looked_at,
            error: board.error.clone(),
            runs,
        }
    }

    /// Looks into the folder again. Never on a thread of the runtime: a mount may hang.
    pub(super) async fn look(&self) {
        let (directory, network) = (self.0.parts.settings.directory.clone(), self.0.parts.network.clone());
        let looked = apart(move || async move { list_backups(&directory, &network) });
        // A mount that hangs keeps its thread, and nobody else.
        let looked = tokio::time::timeout(LOOK_WITHIN, looked).await;
        let found = looked.unwrap_or_else(|_| {
            Err(BackupError::Refused(format!(
                "{} does not answer: is its mount away?",
                self.0.parts.settings.directory.display()
            )))
        });
        let now = self.0.parts.clock.now();
        let mut board = self.0.board.lock();
        board.looked_at = Some(now);
        match found {
            Ok(backups) => {
                board.backups = backups;
                board.error = None;
            }
            Err(failure) => board.error = Some(failure.to_string()),
        }
    }

    async fn run<F>(
        &self,
        action: BackupAction,
        work: impl FnOnce() -> F,
    ) -> Result<BackupReport, BackupFailed>
    where
        F: Future<Output = Result<BackupReport, BackupError>>,
    {
        let Inner { parts, board, turn } = &*self.0;
        let Ok(_turn) = turn.try_lock() else {
            return Err(BackupFailed(
                "a backup is being made or proven already: wait until it is over".to_owned(),
            ));
        };
        let (since, begun) = (parts.clock.now(), Instant::now());
        board.lock().under_way = Some(UnderWay { action, since });
        let done = work().await;
        board.lock().under_way = None;
        let took_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.look().await;
        self.tell(action, since, took_ms, &done).await;
        done.map_err(|failure| BackupFailed(failure.to_string()))
    }

    async fn create(&self) -> Result<BackupReport, BackupError> {
        let parts = &self.0.parts;
        let settings = parts.settings.clone();
        let pace = Pace::new(settings.busy_percent, parts.stop.clone());
        let asked = CreateParts {
            data_dir: parts.data_dir.clone(),
            network: parts.network.clone(),
            files: (parts.files)(),
            sealing: settings.sealing.clone(),
            directory: settings.directory.clone(),
            now: parts.clock.now(),
            pace: pace.clone(),
        };
        let created = apart(move || create(asked)).await?;
        let file = name_of(&created.path);
        if settings.verify_new {
            self.verify_one(&created.path, pace).await?;
        }
        let removed = self.remove_surplus().await;
        let proven = if settings.verify_new { "made and restored on trial" } else { "made" };
        let left_out = created.manifest.left_out.len();
        let message = match left_out {
            0 => format!("{file} ({}) was {proven}", ByteSize(created.bytes)),
            _ => format!(
                "{file} ({}) was {proven}; {left_out} files or keys are not in it, its manifest says which",
                ByteSize(created.bytes)
            ),
        };
        Ok(BackupReport { file, bytes: created.bytes, verified: settings.verify_new, removed, message })
    }

    async fn verify_newest(&self) -> Result<BackupReport, BackupError> {
        let (directory, network) = (self.0.parts.settings.directory.clone(), self.0.parts.network.clone());
        let backups = apart(move || async move { list_backups(&directory, &network) }).await?;
        let Some(newest) = backups.into_iter().next() else {
            let directory = self.0.parts.settings.directory.display();
            return Err(BackupError::Refused(format!("there is no backup in {directory}")));
        };
        let pace = Pace::new(self.0.parts.settings.busy_percent, self.0.parts.stop.clone());
        let Verified { bytes, manifest, not_noted, .. } = self.verify_one(&newest.path, pace).await?;
        let file = newest.file;
        let removed = self.remove_surplus().await;
        let not_noted = not_noted.map(|why| format!(", but that is not noted beside it: {why}"));
        let words = super::verify::in_words(&manifest);
        let message = format!("{file}: {words}{}", not_noted.unwrap_or_default());
        Ok(BackupReport { file, bytes, verified: true, removed, message })
    }

    async fn verify_one(&self, path: &std::path::Path, pace: Pace) -> Result<Verified, BackupError> {
        let (path, now) = (path.to_owned(), self.0.parts.clock.now());
        apart(move || async move { verify(&path, None, now, &pace).await }).await
    }

    async fn remove_surplus(&self) -> Vec<String> {
        let parts = &self.0.parts;
        let (directory, network) = (parts.settings.directory.clone(), parts.network.clone());
        let (kept, now) = ((parts.settings.keep, parts.settings.max_age), parts.clock.now());
        let removed = apart(move || async move {
            Ok(remove_surplus(&list_backups(&directory, &network)?, kept, now, &Disk::default()))
        });
        removed.await.unwrap_or_else(|failure| {
            warn!(error = %failure, "old backups are not removed");
            Vec::new()
        })
    }

    /// Everybody: the log, the ledger, metrics, the spine, and who is woken.
    async fn tell(
        &self,
        action: BackupAction,
        started_at: UnixMillis,
        took_ms: u64,
        done: &Result<BackupReport, BackupError>,
    ) {
        let parts = &self.0.parts;
        let (result, file, bytes, message) = match done {
            Ok(report) => (BackupResult::Ok, report.file.clone(), report.bytes, report.message.clone()),
            Err(failure) => (BackupResult::Failed, String::new(), 0, failure.to_string()),
        };
        count_run(action, result, took_ms);
        match done {
            Ok(_) => info!(action = action.label(), took_ms, "{message}"),
            Err(BackupError::Stopped) => info!(action = action.label(), "{message}"),
            Err(_) => error!(action = action.label(), took_ms, "{message}"),
        }
        let run = BackupRun {
            started_at,
            took_ms: took_ms.cast_signed(),
            action: action.into(),
            result: result.into(),
            file: file.clone(),
            bytes: bytes.cast_signed(),
            message: message.clone(),
        };
        if let Err(failure) = parts.ledger.save_backup_run(&run).await {
            warn!(error = %failure, "what was done about backups is not written down");
        }
        let at = parts.clock.now();
        parts.spine.publish(Event::BackupFinished(BackupFinished {
            at,
            action,
            result,
            file,
            bytes,
            took_ms,
            message: message.clone(),
        }));
        match (action, done) {
            (_, Err(BackupError::Stopped)) => {}
            (BackupAction::Create, Ok(_)) => self.resolve(&BACKUP_FAILED).await,
            (BackupAction::Create, Err(_)) => self.raise(&BACKUP_FAILED, &message).await,
            // Whether the newest is damaged, the watch says; here is said that it could not be found out.
            (BackupAction::Verify, _) => {}
        }
        let newest_failed = {
            let board = self.0.board.lock();
            board.backups.first().is_some_and(|backup| backup.known() == Some(VerdictKind::Failed))
        };
        if newest_failed {
            self.raise(&BACKUP_DAMAGED, &message).await;
        }
    }

    pub(super) async fn raise(&self, rule: &'static AlertRule, message: &str) {
        if let Err(failure) = self.0.parts.signals.raise(rule, SUBJECT, message).await {
            warn!(rule = &*rule.name, error = %failure, "signal not raised");
        }
    }

    pub(super) async fn resolve(&self, rule: &'static AlertRule) {
        if let Err(failure) = self.0.parts.signals.resolve(rule, SUBJECT, "").await {
            warn!(rule = &*rule.name, error = %failure, "signal not resolved");
        }
    }
}

fn name_of(path: &std::path::Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Does something that blocks for long on a thread of its own, of the lowest priority, and of a runtime of its own: what it starts inherits both.
///
/// # Errors
/// What it says, or that the system has no thread.
pub async fn apart<T, F>(work: impl FnOnce() -> F + Send + 'static) -> Result<T, BackupError>
where
    T: Send + 'static,
    F: Future<Output = Result<T, BackupError>>,
{
    let (tell, told) = oneshot::channel();
    let no_thread =
        |error: std::io::Error| BackupError::Refused(format!("the system has no thread for it: {error}"));
    std::thread::Builder::new()
        .name("backup".to_owned())
        .spawn(move || {
            stand_back();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let done = match runtime {
                Ok(runtime) => runtime.block_on(work()),
                Err(error) => Err(no_thread(error)),
            };
            // Whoever asked may be gone.
            let _ = tell.send(done);
        })
        .map_err(no_thread)?;
    told.await
        .unwrap_or_else(|_| Err(BackupError::Refused("it failed: see the log, and report it".to_owned())))
}
