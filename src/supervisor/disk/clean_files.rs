//! Deletes what of one class of files may be deleted, or says what that would be: pass by pass, until there is room enough.

use std::{
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use parking_lot::Mutex;
use tokio::time::Instant;

use super::{
    class::{ClassSettings, FileClass},
    delete::{Batch, Of, OpenNow, delete_batch},
    journal::Journal,
    lock::CleanLock,
    plan::{Around, Candidate, FilePlan, plan_files},
    protected::Protected,
    report::{ClassReport, ClassState, Kept, PlannedFile},
    roots::Protection,
    settings::DiskSettings,
    space::Space,
    walk::Root,
};
use crate::consensus::WallClock;

/// Files that are remembered at once.
const PASS: usize = 20_000;
/// Files that are written down at once, before they are deleted.
const BATCH: usize = 256;
/// Files of a class that a plan names.
const NAMED: usize = 200;

/// How far a filesystem is from what it is to be cleaned to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Need {
    bytes: u64,
    inodes: u64,
}

impl Need {
    pub(super) fn of(space: &Space, target_percent: u8) -> Self {
        let kept = u128::from(space.inodes) * u128::from(target_percent) / 100;
        let used = u128::from(space.inodes.saturating_sub(space.inodes_free));
        let inodes = u64::try_from(used.saturating_sub(kept)).unwrap_or(u64::MAX);
        Self { bytes: space.bytes_above(target_percent), inodes }
    }

    pub(super) const fn is_met(self) -> bool {
        self.bytes == 0 && self.inodes == 0
    }

    fn after(self, bytes: u64, inodes: u64) -> Self {
        Self { bytes: self.bytes.saturating_sub(bytes), inodes: self.inodes.saturating_sub(inodes) }
    }
}

/// A run. Whoever works for it holds its lock, also where nobody waits for him any more.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) run: u64,
    pub(super) journal: Mutex<Journal>,
    pub(super) _lock: CleanLock,
}

/// A class of files, as its thread has it.
pub(super) struct FilesJob {
    pub(super) class: ClassSettings,
    pub(super) files: FileClass,
    pub(super) settings: Arc<DiskSettings>,
    pub(super) clock: WallClock,
    /// The run, and the number of its next file; none: it is a plan.
    pub(super) writes: Option<(Arc<Session>, u64)>,
    pub(super) deadline: Instant,
    /// Set when the run is to end early.
    pub(super) stop: Arc<AtomicBool>,
}

/// A root that may be cleaned.
struct Ready {
    root: Root,
    path: PathBuf,
    protected: Vec<(PathBuf, Protected)>,
    need: Option<Need>,
}

impl FilesJob {
    fn target_percent(&self) -> Option<u8> {
        self.settings.filesystem_of(&self.files.root).map(|filesystem| filesystem.thresholds.target_percent)
    }

    /// Opens the root, unless there is a reason not to clean it.
    fn ready(&self) -> Result<Ready, ClassReport> {
        let ended = |state, words: String| Err(ClassReport::new(&self.class.id, state, words));
        let shown = self.files.root.display();
        let path = match std::fs::canonicalize(&self.files.root) {
            Ok(path) => path,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                return ended(ClassState::Absent, format!("{shown} is not there."));
            }
            Err(error) => return ended(ClassState::Failed, format!("{shown} cannot be reached: {error}.")),
        };
        let protected: Vec<_> = self
            .settings
            .protection
            .paths
            .iter()
            .map(|(path, what)| (std::fs::canonicalize(path).unwrap_or_else(|_| path.clone()), *what))
            .collect();
        let as_it_is = Protection { paths: protected.clone(), home: self.settings.protection.home.clone() };
        if let Some(fault) =
            self.settings.protection.fault(&self.files.root).or_else(|| as_it_is.fault(&path))
        {
            return ended(ClassState::Refused, format!("{shown} {fault}."));
        }
        let root = match Root::open(&path, &self.settings.host_root) {
            Ok(root) => root,
            Err(error) => return ended(ClassState::Failed, format!("{shown} cannot be opened: {error}.")),
        };
        let space = match root.space() {
            Ok(space) => space,
            Err(error) => return ended(ClassState::Failed, format!("{shown} has no filesystem: {error}.")),
        };
        if space.read_only && self.writes.is_some() {
            let words =
                format!("{shown} is on a filesystem that is read-only: nothing can be deleted there.");
            return ended(ClassState::Failed, words);
        }
        let need = self.target_percent().map(|target| Need::of(&space, target));
        if need.is_some_and(Need::is_met) {
            return ended(ClassState::NotNeeded, String::new());
        }
        Ok(Ready { root, path, protected, need })
    }

    fn choose(&self, ready: &Ready, open: &OpenNow<'_>, most: usize) -> Result<FilePlan, ClassReport> {
        let around = Around { open: open.known(), protected: &ready.protected, now: self.clock.now(), most };
        plan_files(&self.files, &ready.root, &around).map_err(|held| {
            let words = format!(
                "{} holds {} ({}): nothing of this class was touched. Give it a root in which there is nothing like it.",
                ready.path.display(),
                held.path.display(),
                held.what
            );
            ClassReport::new(&self.class.id, ClassState::Refused, words)
        })
    }

    /// What would be deleted.
    pub(super) fn plan(&self) -> (ClassReport, Vec<PlannedFile>) {
        let ready = match self.ready() {
            Ok(ready) => ready,
            Err(report) => return (report, Vec::new()),
        };
        let open = OpenNow::read(&self.settings.host_root, ready.root.device());
        let plan = match self.choose(&ready, &open, PASS.min(self.class.max_count)) {
            Ok(plan) => plan,
            Err(report) => return (report, Vec::new()),
        };
        let mut report = ClassReport::new(&self.class.id, ClassState::Done, seen_words(&plan, &open));
        let mut taken =
            self.taken(&plan.candidates, ready.need.unwrap_or(UNLIMITED), self.class.max_bytes, usize::MAX);
        // Those beyond this pass come after it, as far as the caps go.
        let rest = u64::try_from(self.class.max_count).unwrap_or(u64::MAX).saturating_sub(taken.count());
        if taken.files.len() == plan.candidates.len()
            && !ready.need.is_some_and(|need| need.after(taken.bytes, taken.count()).is_met())
        {
            let more = plan.beyond.0.min(rest);
            taken.more_files = more;
            taken.more_bytes = plan.beyond.1.checked_div(plan.beyond.0).unwrap_or(0).saturating_mul(more);
        }
        report.files = taken.count().saturating_add(taken.more_files);
        report.bytes = taken.bytes.saturating_add(taken.more_bytes).min(self.class.max_bytes);
        for (why, count) in &plan.kept {
            report.keep(*why, *count);
        }
        let fitting = u64::try_from(plan.candidates.len()).unwrap_or(u64::MAX).saturating_add(plan.beyond.0);
        report.keep(Kept::Beyond, fitting.saturating_sub(report.files));
        let named = taken.files.iter().take(NAMED).map(|candidate| PlannedFile {
            class: self.class.id.clone(),
            path: ready.root.shown(&candidate.folder, &candidate.name),
            bytes: candidate.bytes,
            modified_at: candidate.modified_ms,
        });
        (report, named.collect())
    }

    /// The oldest, as many as are needed and allowed.
    fn taken<'a>(&self, candidates: &'a [Candidate], need: Need, max_bytes: u64, most: usize) -> Taken<'a> {
        let (mut bytes, mut count) = (0_u64, 0_usize);
        for candidate in candidates.iter().take(most) {
            let is_enough = need.after(bytes, u64::try_from(count).unwrap_or(u64::MAX)).is_met();
            let with = bytes.saturating_add(candidate.bytes);
            if is_enough || with > max_bytes {
                break;
            }
            (bytes, count) = (with, count + 1);
        }
        let files = candidates.get(..count).unwrap_or_default();
        Taken { files, bytes, more_files: 0, more_bytes: 0 }
    }

    /// Deletes. Also gives the number of the next file of the run.
    pub(super) fn clean(&self) -> (ClassReport, u64) {
        let Some((session, mut next)) = self.writes.clone() else {
            return (ClassReport::new(&self.class.id, ClassState::Failed, "It is a plan."), 0);
        };
        let ready = match self.ready() {
            Ok(ready) => ready,
            Err(report) => return (report, next),
        };
        let mut report = ClassReport::new(&self.class.id, ClassState::Done, "");
        let of = Of { run: session.run, class: &self.class.id, path: &ready.path, root: &ready.root };
        let mut open = OpenNow::read(&self.settings.host_root, ready.root.device());
        loop {
            let left =
                self.class.max_count.saturating_sub(usize::try_from(report.files).unwrap_or(usize::MAX));
            let plan = match self.choose(&ready, &open, left.min(PASS)) {
                Ok(plan) => plan,
                // Something protected came meanwhile: no more is touched.
                Err(refused) => {
                    return (ClassReport { files: report.files, bytes: report.bytes, ..refused }, next);
                }
            };
            report.message = seen_words(&plan, &open);
            report.kept = plan.kept.iter().map(|(why, count)| (*why, *count)).collect();
            let pass = match self.delete_pass(
                &of,
                &ready,
                &plan.candidates,
                &mut next,
                (&session.journal, &mut open),
                &report,
            ) {
                Ok(pass) => pass,
                Err(error) => {
                    report.state = ClassState::Failed;
                    report.message = format!(
                        "Nothing more is deleted, as the journal of deletions cannot be written: {error}."
                    );
                    return (report, next);
                }
            };
            report.files = report.files.saturating_add(pass.batch.files);
            report.bytes = report.bytes.saturating_add(pass.batch.bytes);
            for why in &pass.batch.kept {
                report.keep(*why, 1);
            }
            if !pass.goes_on || pass.batch.files == 0 || plan.beyond.0 == 0 {
                let fitting = u64::try_from(plan.candidates.len()).unwrap_or(u64::MAX);
                let looked_at =
                    pass.batch.files.saturating_add(u64::try_from(pass.batch.kept.len()).unwrap_or(0));
                report.keep(Kept::Beyond, fitting.saturating_sub(looked_at).saturating_add(plan.beyond.0));
                return (report, next);
            }
        }
    }

    /// Deletes what a pass chose, batch by batch, until there is room enough.
    fn delete_pass(
        &self,
        of: &Of<'_>,
        ready: &Ready,
        candidates: &[Candidate],
        next: &mut u64,
        (journal, open): (&Mutex<Journal>, &mut OpenNow<'_>),
        before: &ClassReport,
    ) -> std::io::Result<Pass> {
        let mut pass = Pass { batch: Batch::default(), goes_on: true };
        let mut rest = candidates;
        // Between the plan and now somebody may have opened one.
        open.refresh();
        while !rest.is_empty() {
            let deleted = before.bytes.saturating_add(pass.batch.bytes);
            let files = before.files.saturating_add(pass.batch.files);
            let need = self.need_now(ready, deleted, files);
            let most = self.class.max_bytes.saturating_sub(deleted);
            let taken = self.taken(rest, need, most, BATCH).files;
            if taken.is_empty() || self.stop.load(Ordering::Relaxed) || Instant::now() >= self.deadline {
                pass.goes_on = false;
                return Ok(pass);
            }
            let mut journal = journal.lock();
            let batch = delete_batch(of, taken, *next, &mut journal, open)?;
            drop(journal);
            *next = next.saturating_add(u64::try_from(taken.len()).unwrap_or(0));
            pass.batch.files = pass.batch.files.saturating_add(batch.files);
            pass.batch.bytes = pass.batch.bytes.saturating_add(batch.bytes);
            pass.batch.kept.extend(batch.kept);
            rest = rest.get(taken.len()..).unwrap_or_default();
        }
        Ok(pass)
    }

    /// What is still needed: by the filesystem's own word, or by what was deleted, as some give room back only later.
    fn need_now(&self, ready: &Ready, bytes: u64, files: u64) -> Need {
        let Some(need) = ready.need else { return UNLIMITED };
        let by_count = need.after(bytes, files);
        match (self.target_percent(), ready.root.space()) {
            (Some(target), Ok(space)) => {
                let measured = Need::of(&space, target);
                Need {
                    bytes: measured.bytes.min(by_count.bytes),
                    inodes: measured.inodes.min(by_count.inodes),
                }
            }
            _ => by_count,
        }
    }
}

/// Where no filesystem says how much is enough.
const UNLIMITED: Need = Need { bytes: u64::MAX, inodes: u64::MAX };

struct Taken<'a> {
    files: &'a [Candidate],
    bytes: u64,
    more_files: u64,
    more_bytes: u64,
}

impl Taken<'_> {
    fn count(&self) -> u64 {
        u64::try_from(self.files.len()).unwrap_or(u64::MAX)
    }
}

struct Pass {
    batch: Batch,
    goes_on: bool,
}

/// What was not seen, in sentences for people.
fn seen_words(plan: &FilePlan, open: &OpenNow<'_>) -> String {
    let mut words = Vec::new();
    if plan.left_out.mounts > 0 {
        words.push(format!(
            "{} folders on which something else is mounted were left out.",
            plan.left_out.mounts
        ));
    }
    if plan.left_out.unreadable > 0 {
        words.push(format!("{} files or folders could not be looked at.", plan.left_out.unreadable));
    }
    if plan.left_out.is_cut {
        words.push("Some folders were left out: there are too many, or they are too deep.".to_owned());
    }
    if !open.known().is_whole() {
        words.push(format!(
            "Who has files open cannot be seen of {} processes (run as root to see all): nothing younger than a day is deleted.",
            open.known().unseen
        ));
    }
    words.join(" ")
}
