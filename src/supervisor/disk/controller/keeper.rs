//! What is known of disks from one look to the next.

use std::{
    collections::{BTreeMap, HashSet},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    sync::{mpsc, oneshot},
    task::JoinSet,
    time::Instant,
};
use tracing::{error, info, warn};

use super::{
    acts::{Came, Means, act},
    begin::{REMEMBERED_MS, STATE_WITHIN, memories, samples_of},
    notes::{Note, write_note},
    shared::{Asked, Shared},
    slow::{deleted_open, sizes_of},
};
use crate::{
    events::{DiskActed, DiskCleaned, DiskRung, Event},
    ledger::{DiskActRow, DiskCleaningRow, DiskUsageRow},
    supervisor::disk::{
        board::{DiskBoard, FilesystemView, LadderView, SizeView},
        bounded::Bounded,
        clean::{CleanFailed, clean},
        filesystem::FilesystemSeen,
        forecast::{Forecast, UsageSample, forecast},
        io_rates::IoSampler,
        journal::ended_since,
        judge::troubles,
        ladder::{Act, Sight, Workload, fits, step, stoppable},
        look::look,
        memory_file::{Memories, save},
        metrics,
        open_files::DeletedOpen,
        report::{ClassState, CleanReport},
        settings::FilesystemSettings,
        space::Level,
    },
    types::UnixMillis,
};

/// Between two samples that forecasts are made from.
const SAMPLE_MS: i64 = 3_600_000;
/// Between two looks at the sizes of named folders, and at deleted files that are open.
const SIZES_EVERY: Duration = Duration::from_secs(3600);
const DELETED_EVERY: Duration = Duration::from_secs(600);
/// Rows that wait for a ledger that takes none.
const MOST_UNWRITTEN: usize = 500;

/// What was done or found beside.
pub(super) enum Told {
    Acted {
        filesystem: PathBuf,
        act: Act,
        came: Came,
        at: UnixMillis,
    },
    Cleaned {
        result: Result<CleanReport, CleanFailed>,
        answer: oneshot::Sender<Result<CleanReport, CleanFailed>>,
    },
    Sizes(Vec<SizeView>),
    Deleted(Vec<DeletedOpen>),
    NotWritten(Note),
}

pub(super) struct Keeper {
    shared: Arc<Shared>,
    bounded: Bounded,
    io: IoSampler,
    samples: BTreeMap<PathBuf, Vec<UsageSample>>,
    memories: Memories,
    /// Filesystems of which what an earlier process remembered was compared with what runs.
    compared: HashSet<PathBuf>,
    /// Filesystems for which something is under way.
    busy: HashSet<PathBuf>,
    board: DiskBoard,
    /// How far the journal of deletions was read, and the newest run that is known.
    journal_at: u64,
    last_run: u64,
    started_at: UnixMillis,
    /// Filesystems on which something was deleted since their last sample.
    cleaned: HashSet<PathBuf>,
    /// What the ledger has not taken yet.
    unwritten: Vec<Note>,
    sizes_at: Option<Instant>,
    deleted_at: Option<Instant>,
    tell: mpsc::Sender<Told>,
    pub(super) tasks: JoinSet<()>,
}

impl Keeper {
    pub(super) async fn new(shared: Arc<Shared>, tell: mpsc::Sender<Told>) -> Self {
        let parts = &shared.parts;
        let (settings, now) = (&parts.clean.settings, parts.clean.clock.now());
        let bounded = Bounded::default();
        let memories = memories(&bounded, &settings.state_dir).await;
        let mut samples = BTreeMap::new();
        for filesystem in &settings.filesystems {
            let of_one = samples_of(&parts.ledger, &filesystem.path, now).await;
            samples.insert(filesystem.path.clone(), of_one);
        }
        Self {
            bounded,
            io: IoSampler::default(),
            samples,
            memories,
            compared: HashSet::new(),
            busy: HashSet::new(),
            board: DiskBoard::default(),
            journal_at: 0,
            last_run: 0,
            started_at: now,
            cleaned: HashSet::new(),
            unwritten: Vec::new(),
            sizes_at: None,
            deleted_at: None,
            tell,
            tasks: JoinSet::new(),
            shared,
        }
    }

    /// Looks at everything, and does what follows.
    pub(super) async fn look(&mut self) {
        let settings = Arc::clone(&self.shared.parts.clean.settings);
        let looks = look(&settings, &self.bounded).await;
        let now = self.shared.parts.clean.clock.now();
        let rates = self.io.sample(&settings.host_root, Instant::now());
        for note in std::mem::take(&mut self.unwritten) {
            self.write_down(note);
        }
        self.take_in_runs().await;
        let mut views = Vec::new();
        for (filesystem, look) in settings.filesystems.iter().zip(looks) {
            let before = self.board.filesystems.iter().find(|view| view.path == filesystem.path);
            let (seen, has_ballast, error) = match look {
                Ok((seen, has_ballast)) => (Some(seen), has_ballast, None),
                Err(error) => (before.and_then(|view| view.seen.clone()), false, Some(error)),
            };
            let is_seen = error.is_none();
            if let Some(seen) = seen.as_ref().filter(|_| is_seen) {
                self.sample(filesystem, seen, now);
            }
            let mut view = self.view(filesystem, seen, error, now);
            view.io = view.seen.as_ref().and_then(|seen| rates.get(&seen.device).copied());
            if is_seen {
                self.climb(filesystem, &view, has_ballast, now).await;
            }
            view.ladder = self.ladder_of(&filesystem.path);
            views.push(view);
        }
        self.board.filesystems = views;
        self.board.looked_at = Some(now);
        self.begin_slow_looks();
        self.show();
    }

    fn view(
        &self,
        filesystem: &FilesystemSettings,
        seen: Option<FilesystemSeen>,
        error: Option<String>,
        now: UnixMillis,
    ) -> FilesystemView {
        let space = seen.as_ref().map(|seen| seen.space);
        let samples = self.samples.get(&filesystem.path).map(Vec::as_slice).unwrap_or_default();
        FilesystemView {
            path: filesystem.path.clone(),
            error,
            used_permille: space.map_or(0, |space| space.used_permille()),
            inodes_used_permille: space.map_or(0, |space| space.inodes_used_permille()),
            level: space.map_or(Level::Ok, |space| space.level(&filesystem.thresholds)),
            lacks_inodes: space.is_some_and(|space| space.lacks_inodes(&filesystem.thresholds)),
            forecast: space.map_or(Forecast::TooEarly { hours: 0 }, |space| {
                forecast(samples, space.available_bytes, now)
            }),
            io: None,
            target_percent: filesystem.thresholds.target_percent,
            ladder: LadderView::default(),
            seen,
        }
    }

    fn ladder_of(&self, path: &Path) -> LadderView {
        let Some(memory) = self.memories.get(path) else { return LadderView::default() };
        LadderView {
            since: memory.since,
            stopped: memory.stopped.clone(),
            ballast_released: memory.is_ballast_released,
        }
    }

    /// Takes a sample, if the last is an hour old.
    fn sample(&mut self, filesystem: &FilesystemSettings, seen: &FilesystemSeen, now: UnixMillis) {
        let samples = self.samples.entry(filesystem.path.clone()).or_default();
        // A clock that was set back must not keep samples away for as long as it was ahead.
        if samples.last().is_some_and(|last| (0..SAMPLE_MS).contains(&now.saturating_sub(last.at))) {
            return;
        }
        let space = seen.space;
        let cleaned = self.cleaned.remove(&filesystem.path);
        samples.retain(|sample| sample.at < now && sample.at >= now.saturating_sub(REMEMBERED_MS));
        samples.push(UsageSample { at: now, used: space.used_bytes, capacity: space.total_bytes, cleaned });
        let row = DiskUsageRow {
            filesystem: filesystem.path.display().to_string(),
            at: now,
            used_bytes: space.used_bytes,
            available_bytes: space.available_bytes,
            total_bytes: space.total_bytes,
            inodes: space.inodes,
            inodes_free: space.inodes_free,
            cleaned: i64::from(cleaned),
        };
        self.write_down(Note::Usage(row));
    }

    /// Has the ladder decide, and begins what it says. What it remembers is on the disk before.
    async fn climb(
        &mut self,
        filesystem: &FilesystemSettings,
        view: &FilesystemView,
        has_ballast: bool,
        now: UnixMillis,
    ) {
        let Some(seen) = &view.seen else { return };
        let path = &filesystem.path;
        let order = &self.shared.parts.clean.settings.stop_order;
        let nodes: Vec<Workload> = match &self.shared.parts.nodes {
            Some(nodes) => nodes.view().iter().map(Workload::of).collect(),
            None => Vec::new(),
        };
        let can_stop = stoppable(order, &nodes);
        let sight = Sight {
            space: seen.space,
            hours: view.forecast.hours(),
            stoppable: &can_stop,
            has_ballast,
            ballast_bytes: filesystem.ballast.as_ref().map(|ballast| ballast.bytes),
            is_busy: self.busy.contains(path),
        };
        let memory = self.memories.entry(path.clone()).or_default();
        let before = memory.clone();
        // An earlier process may have ended between the word and the stop: what runs is not stopped.
        let is_known = memory.stopped.iter().all(|id| nodes.iter().any(|node| node.id == *id));
        if is_known && self.compared.insert(path.clone()) {
            memory.stopped.retain(|id| !nodes.iter().any(|node| node.id == *id && node.runs));
        }
        let mut acts = step(memory, &sight, &filesystem.thresholds, now);
        let wants_ballast = filesystem.ballast.is_some() && !has_ballast && !memory.is_ballast_released;
        let is_calm = acts.is_empty() && !sight.is_busy && memory.since.is_none();
        if is_calm && wants_ballast && fits(&sight, &filesystem.thresholds) {
            let why = "A file is kept on it for the worst.".to_owned();
            acts.push(Act { rung: DiskRung::RemakeBallast, node: None, why });
        }
        if *memory != before {
            self.save().await;
        }
        for act in acts {
            self.begin(filesystem, act, now);
        }
    }

    fn begin(&mut self, filesystem: &FilesystemSettings, what: Act, at: UnixMillis) {
        let path = filesystem.path.clone();
        let shown = path.display();
        warn!(filesystem = %shown, rung = what.rung.label(), node = what.node.as_ref().map(tracing::field::display), "{}", what.why);
        if matches!(what.rung, DiskRung::Alert | DiskRung::Over) {
            self.record(&path, &what, None, at);
            return;
        }
        self.busy.insert(path.clone());
        let means = Means {
            clean: self.shared.parts.clean.clone(),
            nodes: self.shared.parts.nodes.clone(),
            ballast: filesystem.ballast.clone(),
            filesystem: path.clone(),
            bounded: self.bounded.clone(),
        };
        let tell = self.tell.clone();
        self.tasks.spawn(async move {
            let came = act(&means, &what).await;
            // Whoever is gone needs no answer.
            let _ = tell.send(Told::Acted { filesystem: path, act: what, came, at }).await;
        });
    }

    /// Tells of something that was done, and writes it down.
    fn record(&mut self, filesystem: &Path, act: &Act, error: Option<String>, at: UnixMillis) {
        metrics::acted(act.rung);
        let row = DiskActRow {
            filesystem: filesystem.display().to_string(),
            at,
            rung: act.rung.into(),
            node: act.node.as_ref().map(ToString::to_string).unwrap_or_default(),
            why: act.why.clone(),
            error: error.clone().unwrap_or_default(),
        };
        let event = DiskActed {
            filesystem: filesystem.to_owned(),
            rung: act.rung,
            node: act.node.clone(),
            message: act.why.clone(),
            error,
            at,
        };
        self.shared.parts.spine.publish(Event::DiskActed(event));
        self.write_down(Note::Act(row));
    }

    /// Cleans for somebody.
    pub(super) fn asked(&mut self, Asked { reason, answer }: Asked) {
        let (parts, tell) = (self.shared.parts.clean.clone(), self.tell.clone());
        self.tasks.spawn(async move {
            let result = clean(&parts, &reason).await;
            let _ = tell.send(Told::Cleaned { result, answer }).await;
        });
    }

    /// Hears what was done or found. Whether everything is to be looked at again now.
    pub(super) async fn told(&mut self, told: Told) -> bool {
        match told {
            Told::NotWritten(note) => {
                if self.unwritten.len() < MOST_UNWRITTEN {
                    self.unwritten.push(note);
                }
                return false;
            }
            Told::Sizes(sizes) => self.board.sizes = sizes,
            Told::Deleted(deleted) => self.board.deleted_open = deleted,
            Told::Cleaned { result, answer } => {
                self.heard(&result);
                // He may have gone.
                let _ = answer.send(result);
                return true;
            }
            Told::Acted { filesystem, act, came, at } => {
                self.busy.remove(&filesystem);
                if let Some(result) = &came.cleaned {
                    self.heard(result);
                }
                if let Some(error) = &came.error {
                    let shown = filesystem.display();
                    error!(filesystem = %shown, rung = act.rung.label(), error, "not done: {}", act.why);
                    self.memories.entry(filesystem.clone()).or_default().failed(&act);
                    self.save().await;
                }
                self.record(&filesystem, &act, came.error, at);
                return true;
            }
        }
        self.show();
        false
    }

    fn heard(&mut self, result: &Result<CleanReport, CleanFailed>) {
        match result {
            Ok(report) => self.take_in(report.clone()),
            Err(CleanFailed::UnderWay(_)) => {}
            Err(error) => {
                error!(%error, "disks were not cleaned");
                metrics::not_cleaned();
                self.board.cleaning_failed = Some(error.to_string());
            }
        }
    }

    /// Takes in cleanings that have ended since the last look, whoever did them.
    async fn take_in_runs(&mut self) {
        let (state_dir, from) = (self.shared.parts.clean.settings.state_dir.clone(), self.journal_at);
        match self.bounded.run("journal", STATE_WITHIN, move || ended_since(&state_dir, from)).await {
            Ok(Ok((reports, at))) => {
                self.journal_at = at;
                for report in reports {
                    self.take_in(report);
                }
            }
            Ok(Err(error)) => warn!(%error, "the journal of deletions cannot be read"),
            Err(_) => {}
        }
    }

    fn take_in(&mut self, report: CleanReport) {
        if report.run <= self.last_run {
            return;
        }
        self.last_run = report.run;
        self.board.cleaning_failed = None;
        if report.ended_at >= self.started_at {
            for filesystem in report.filesystems.iter().filter(|it| it.freed_bytes > 0) {
                self.cleaned.insert(filesystem.path.clone());
            }
            info!(run = report.run, files = report.files(), bytes = report.bytes(), "disks were cleaned");
            metrics::cleaned(&report);
            let bad = |state| matches!(state, ClassState::Failed | ClassState::Refused);
            let failed = report.classes.iter().filter(|class| bad(class.state));
            self.shared.parts.spine.publish(Event::DiskCleaned(DiskCleaned {
                run: report.run,
                reason: report.reason.clone(),
                files: report.files(),
                bytes: report.bytes(),
                failed: failed.map(|class| class.class.clone()).collect(),
                at: report.ended_at,
            }));
        }
        let row = DiskCleaningRow {
            run: report.run,
            began_at: report.began_at,
            ended_at: report.ended_at,
            reason: report.reason.clone(),
            files: report.files(),
            bytes: report.bytes(),
            report: serde_json::to_string(&report).unwrap_or_default(),
        };
        self.board.last_cleaning = Some(report);
        self.write_down(Note::Cleaning(row));
    }

    /// Begins looks that take long, if they are due.
    fn begin_slow_looks(&mut self) {
        let is_due = |at: Option<Instant>, every: Duration| at.is_none_or(|at| at.elapsed() >= every);
        let settings = Arc::clone(&self.shared.parts.clean.settings);
        if is_due(self.deleted_at, DELETED_EVERY) {
            self.deleted_at = Some(Instant::now());
            let (bounded, tell, root) = (self.bounded.clone(), self.tell.clone(), settings.host_root.clone());
            self.tasks.spawn(async move {
                if let Some(deleted) = deleted_open(&bounded, root).await {
                    let _ = tell.send(Told::Deleted(deleted)).await;
                }
            });
        }
        if is_due(self.sizes_at, SIZES_EVERY) && !settings.sizes.is_empty() {
            self.sizes_at = Some(Instant::now());
            let (bounded, tell) = (self.bounded.clone(), self.tell.clone());
            let clock = self.shared.parts.clean.clock.clone();
            self.tasks.spawn(async move {
                let sizes = sizes_of(&bounded, &settings, &clock).await;
                let _ = tell.send(Told::Sizes(sizes)).await;
            });
        }
    }

    fn show(&self) {
        metrics::show(&self.board);
        let wrong = troubles(&self.board, &self.shared.parts.clean.settings);
        self.shared.board.send_replace(self.board.clone());
        self.shared.troubles.send_if_modified(|said| {
            let wrong = Some(wrong);
            let is_news = *said != wrong;
            *said = wrong;
            is_news
        });
    }

    async fn save(&self) {
        let state_dir = self.shared.parts.clean.settings.state_dir.clone();
        let memories = self.memories.clone();
        let saved = self.bounded.run("state", STATE_WITHIN, move || save(&state_dir, &memories)).await;
        let failure = match saved {
            Ok(Ok(())) => return,
            Ok(Err(error)) => error.to_string(),
            Err(hangs) => hangs.to_string(),
        };
        error!(
            error = failure,
            "what is done about a full disk cannot be remembered: after a restart nothing of it is undone by itself"
        );
    }

    /// Writes down beside: a ledger that hangs holds nothing up. What could not be written, as the disk is full, is tried again with the next look.
    fn write_down(&mut self, note: Note) {
        let (ledger, tell) = (self.shared.parts.ledger.clone(), self.tell.clone());
        self.tasks.spawn(async move {
            if let Some(note) = write_note(&ledger, note).await {
                let _ = tell.send(Told::NotWritten(note)).await;
            }
        });
    }
}
