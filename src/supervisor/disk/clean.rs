//! A whole cleaning: one class after the other until its filesystem has room enough, or the plan of one.
//!
//! Files are deleted on a thread of its own, as a disk may hang. What a killed run left is looked for first.

use std::{
    path::Path,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

use parking_lot::Mutex;
use tokio::time::Instant;
use tracing::{info, warn};

use super::{
    bounded::{Bounded, Hangs},
    class::{ClassSettings, FileClass, Source},
    clean_files::{FilesJob, Need, Session},
    delete::{Found, find},
    external::{ImageStore, vacuum_journal},
    filesystem,
    journal::{Intent, Journal, Left, Record},
    lock::{CleanLock, LockRefused, take},
    report::{ClassReport, ClassState, CleanReport, FilesystemCleaned, Planned},
    settings::DiskSettings,
    space::Space,
};
use crate::{consensus::WallClock, types::ByteSize};

/// Longest run.
const RUN_WITHIN: Duration = Duration::from_secs(3600);
/// Longest look at a filesystem.
const LOOK_WITHIN: Duration = Duration::from_secs(10);
/// Files of a killed run that are named.
const NAMED_LEFT: usize = 5;
const JOURNALD: &str = "/var/log/journal";
const DOCKER: &str = "/var/lib/docker";

/// What a cleaning needs.
#[derive(Clone, Debug)]
pub struct CleanParts {
    /// `[disk]`
    pub settings: Arc<DiskSettings>,
    /// The wall clock.
    pub clock: WallClock,
    /// Where images are; none: there is no Docker.
    pub images: Option<Arc<dyn ImageStore>>,
    /// Set when a run is to end early.
    pub stop: Arc<AtomicBool>,
}

/// Why nothing was cleaned.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CleanFailed {
    /// Another cleaning is under way.
    #[error("{0}")]
    UnderWay(String),
    /// The journal cannot be written, or the lock not be taken: nothing may be deleted then.
    #[error("nothing was deleted, as the journal of deletions cannot be written: {0}")]
    Journal(String),
    /// The service is stopping, or begins this part of it anew.
    #[error("{0}")]
    Away(String),
    /// The disk that the journal is on hangs.
    #[error("nothing was deleted: {0}")]
    Hangs(String),
}

/// Cleans.
///
/// # Errors
/// When another cleaning is under way, or what would be deleted cannot be written down.
pub async fn clean(parts: &CleanParts, reason: &str) -> Result<CleanReport, CleanFailed> {
    let bounded = Bounded::default();
    let began_at = parts.clock.now();
    let state_dir = parts.settings.state_dir.clone();
    let host_root = parts.settings.host_root.clone();
    let opened = bounded.run("journal", RUN_WITHIN, move || begin(&state_dir, &host_root)).await;
    let Begun { lock, journal, left, recovered } =
        opened.map_err(|hangs| CleanFailed::Hangs(hangs.to_string()))??;
    let run = began_at.max(0).unsigned_abs().max(left.last_run.saturating_add(1));
    info!(run, reason, "cleaning of disks begins");
    let session = Arc::new(Session { run, journal: Mutex::new(journal), _lock: lock });
    let begin = Record::Begin { run, at: began_at, reason: reason.to_owned() };
    note(&bounded, &session, begin).await?;
    let before = spaces(&bounded, &parts.settings).await;
    let deadline = Instant::now() + RUN_WITHIN;
    let mut classes = Vec::new();
    let mut next = 0;
    for class in &parts.settings.classes {
        let report = match &class.source {
            Source::Files(files) => {
                let job = job(parts, class, files, Some((Arc::clone(&session), next)), deadline);
                let left = deadline.saturating_duration_since(Instant::now());
                match bounded.run(&class.id, left, move || job.clean()).await {
                    Ok((report, after)) => {
                        next = after;
                        report
                    }
                    Err(hangs) => hung(&class.id, hangs),
                }
            }
            Source::Journald { .. } | Source::DanglingImages { .. } | Source::BuildCache { .. } => {
                external(parts, class, &bounded).await
            }
        };
        match report.state {
            ClassState::Refused | ClassState::Failed => {
                warn!(class = class.id, "not cleaned: {}", report.message)
            }
            ClassState::Done | ClassState::NotNeeded | ClassState::Absent => {
                info!(
                    class = class.id,
                    state = report.state.label(),
                    files = report.files,
                    bytes = report.bytes,
                    "cleaned"
                );
            }
        }
        classes.push(report);
    }
    let after = spaces(&bounded, &parts.settings).await;
    let report = CleanReport {
        run,
        reason: reason.to_owned(),
        began_at,
        ended_at: parts.clock.now(),
        classes,
        filesystems: cleaned(&parts.settings, &before, &after),
        recovered,
    };
    if let Err(error) = note(&bounded, &session, Record::End { report: report.clone() }).await {
        warn!(%error, run, "the end of the cleaning is not in its journal");
    }
    Ok(report)
}

/// What a cleaning would do. Nothing is changed, and nobody is asked but the disks.
pub async fn plan(parts: &CleanParts) -> Planned {
    let bounded = Bounded::default();
    let began_at = parts.clock.now();
    let before = spaces(&bounded, &parts.settings).await;
    let deadline = Instant::now() + RUN_WITHIN;
    let (mut classes, mut files) = (Vec::new(), Vec::new());
    for class in &parts.settings.classes {
        match &class.source {
            Source::Files(of) => {
                let job = job(parts, class, of, None, deadline);
                match bounded.run(&class.id, RUN_WITHIN, move || job.plan()).await {
                    Ok((report, named)) => {
                        classes.push(report);
                        files.extend(named);
                    }
                    Err(hangs) => classes.push(hung(&class.id, hangs)),
                }
            }
            Source::Journald { .. } | Source::DanglingImages { .. } | Source::BuildCache { .. } => {
                let needed = is_needed(parts, class, &bounded).await;
                let state = if needed { ClassState::Done } else { ClassState::NotNeeded };
                let words = match &class.source {
                    Source::Journald { keep_bytes } => {
                        format!("systemd cuts its journal to {}.", ByteSize(*keep_bytes))
                    }
                    Source::DanglingImages { min_age } => {
                        format!("Docker removes dangling images older than {} h.", min_age.as_secs() / 3600)
                    }
                    Source::BuildCache { min_age } => {
                        format!("Docker removes builds' cache unused for {} h.", min_age.as_secs() / 3600)
                    }
                    Source::Files(_) => String::new(),
                };
                classes.push(ClassReport::new(&class.id, state, words));
            }
        }
    }
    let report = CleanReport {
        run: 0,
        reason: "A plan: nothing was changed.".to_owned(),
        began_at,
        ended_at: parts.clock.now(),
        classes,
        filesystems: cleaned(&parts.settings, &before, &before),
        recovered: Vec::new(),
    };
    Planned { report, files }
}

fn job(
    parts: &CleanParts,
    class: &ClassSettings,
    files: &FileClass,
    writes: Option<(Arc<Session>, u64)>,
    deadline: Instant,
) -> FilesJob {
    FilesJob {
        class: class.clone(),
        files: files.clone(),
        settings: Arc::clone(&parts.settings),
        clock: parts.clock.clone(),
        writes,
        deadline,
        stop: Arc::clone(&parts.stop),
    }
}

struct Begun {
    lock: CleanLock,
    journal: Journal,
    left: Left,
    recovered: Vec<String>,
}

/// Takes the lock, opens the journal, and finds out what a killed run has done.
fn begin(state_dir: &Path, host_root: &Path) -> Result<Begun, CleanFailed> {
    let of_the_journal = |error: std::io::Error| CleanFailed::Journal(error.to_string());
    let lock = take(state_dir).map_err(|refused| match refused {
        LockRefused::Held(_) => CleanFailed::UnderWay(refused.to_string()),
        LockRefused::Io(error) => of_the_journal(error),
    })?;
    let (mut journal, left) = Journal::open(state_dir).map_err(of_the_journal)?;
    let mut recovered = Vec::new();
    for of_run in left.unfinished.chunk_by(|a, b| a.run == b.run) {
        let Some(run) = of_run.first().map(|intent| intent.run) else { continue };
        let found = find(of_run, host_root);
        let words = words_of(of_run, &found);
        warn!(run, "{words}");
        recovered.push(words);
        let Found { deleted, still_there, replaced } = found;
        let record = Record::Recovered { run, deleted, still_there, replaced };
        journal.write(&[record], true).map_err(of_the_journal)?;
    }
    Ok(Begun { lock, journal, left, recovered })
}

fn words_of(intents: &[Intent], found: &Found) -> String {
    let names: Vec<String> = intents
        .iter()
        .filter(|intent| found.deleted.contains(&intent.n))
        .take(NAMED_LEFT)
        .map(|intent| format!("{:?}", String::from_utf8_lossy(&intent.relative())))
        .collect();
    let run = intents.first().map_or(0, |intent| intent.run);
    let root = intents.first().map(|intent| intent.root.display().to_string()).unwrap_or_default();
    let named =
        if names.is_empty() { String::new() } else { format!(" ({}, below {root})", names.join(", ")) };
    format!(
        "An earlier cleaning (run {run}) was killed while it deleted: of the {} files that it had written down last, {} are gone{named}, {} are \
         still there, and {} were replaced by others.",
        intents.len(),
        found.deleted.len(),
        found.still_there.len(),
        found.replaced.len()
    )
}

/// Writes a line that others count on.
async fn note(bounded: &Bounded, session: &Arc<Session>, record: Record) -> Result<(), CleanFailed> {
    let session = Arc::clone(session);
    let written = bounded.run("journal", LOOK_WITHIN, move || {
        let mut journal = session.journal.lock();
        let written = journal.write(&[record], true);
        journal.keep_room();
        written
    });
    let written = written.await.map_err(|hangs| CleanFailed::Hangs(hangs.to_string()))?;
    written.map_err(|error| CleanFailed::Journal(error.to_string()))
}

async fn spaces(bounded: &Bounded, settings: &DiskSettings) -> Vec<Option<Space>> {
    let mut spaces = Vec::new();
    for filesystem in &settings.filesystems {
        spaces.push(space_of(bounded, &filesystem.path, &settings.host_root).await);
    }
    spaces
}

async fn space_of(bounded: &Bounded, path: &Path, host_root: &Path) -> Option<Space> {
    let name = path.display().to_string();
    let (path, host_root) = (path.to_owned(), host_root.to_owned());
    let look = bounded.run(&name, LOOK_WITHIN, move || filesystem::look(&path, &host_root).ok());
    look.await.ok().flatten().map(|seen| seen.space)
}

fn cleaned(
    settings: &DiskSettings,
    before: &[Option<Space>],
    after: &[Option<Space>],
) -> Vec<FilesystemCleaned> {
    let known = settings.filesystems.iter().zip(before).zip(after);
    let known = known.filter_map(|((filesystem, before), after)| Some((filesystem, (*before)?, (*after)?)));
    let cleaned = known.map(|(filesystem, before, after)| FilesystemCleaned {
        path: filesystem.path.clone(),
        before_permille: before.used_permille(),
        after_permille: after.used_permille(),
        freed_bytes: before.used_bytes.saturating_sub(after.used_bytes),
        target_percent: filesystem.thresholds.target_percent,
    });
    cleaned.collect()
}

fn hung(class: &str, hangs: Hangs) -> ClassReport {
    let message =
        format!("Its disk does not answer: {hangs}. What was written down before may have been deleted.");
    ClassReport::new(class, ClassState::Failed, message)
}

/// Whether what others delete is needed: where it lies on no filesystem of the configuration, always.
async fn is_needed(parts: &CleanParts, class: &ClassSettings, bounded: &Bounded) -> bool {
    let path = if matches!(class.source, Source::Journald { .. }) { JOURNALD } else { DOCKER };
    let Some(filesystem) = parts.settings.filesystem_of(Path::new(path)) else { return true };
    let space = space_of(bounded, &filesystem.path, &parts.settings.host_root).await;
    space.is_none_or(|space| !Need::of(&space, filesystem.thresholds.target_percent).is_met())
}

async fn external(parts: &CleanParts, class: &ClassSettings, bounded: &Bounded) -> ClassReport {
    if !is_needed(parts, class, bounded).await {
        return ClassReport::new(&class.id, ClassState::NotNeeded, "");
    }
    const NO_DOCKER: &str = "there is no Docker engine";
    let images = || parts.images.as_ref().ok_or_else(|| NO_DOCKER.to_owned());
    let freed = match &class.source {
        Source::Journald { keep_bytes } => {
            let before = space_of(bounded, Path::new(JOURNALD), &parts.settings.host_root).await;
            match vacuum_journal("journalctl", *keep_bytes).await {
                Ok(()) => {
                    let after = space_of(bounded, Path::new(JOURNALD), &parts.settings.host_root).await;
                    let used = |space: Option<Space>| space.map_or(0, |space| space.used_bytes);
                    Ok(used(before).saturating_sub(used(after)))
                }
                Err(error) => Err(error),
            }
        }
        Source::DanglingImages { min_age } => match images() {
            Ok(images) => images.prune_images(*min_age).await,
            Err(error) => Err(error),
        },
        Source::BuildCache { min_age } => match images() {
            Ok(images) => images.prune_builds(*min_age).await,
            Err(error) => Err(error),
        },
        Source::Files(_) => Ok(0),
    };
    match freed {
        Ok(bytes) => ClassReport { bytes, ..ClassReport::new(&class.id, ClassState::Done, "") },
        Err(error) => ClassReport::new(&class.id, ClassState::Failed, format!("{error}.")),
    }
}
