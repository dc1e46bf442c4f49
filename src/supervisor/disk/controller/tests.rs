use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, atomic::AtomicBool},
    time::{Duration, UNIX_EPOCH},
};

use super::*;
use crate::{
    consensus::WallClock,
    events::{DiskRung, Event, Spine, Subscription},
    ledger::{Ledger, SignalBook},
    supervisor::disk::{
        BallastSettings, ClassKind, ClassSettings, DiskSettings, FileClass, FilesystemSettings, Glob,
        Protection, Source, Thresholds,
    },
    tasks::Tasks,
};

const NOW: i64 = 1_700_000_000_000;

/// A folder for a filesystem, a class of logs in it, and a watch.
struct World {
    folder: tempfile::TempDir,
    settings: DiskSettings,
    ledger: Ledger,
    group: TaskGroup,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        fs::create_dir(base.join("logs")).unwrap();
        let class = ClassSettings {
            id: "logs".to_owned(),
            kind: ClassKind::Files,
            source: Source::Files(FileClass {
                root: base.join("logs"),
                globs: vec![Glob::parse("*.log.*").unwrap()],
                min_age: Duration::from_secs(60),
                keep_newest: 0,
            }),
            max_bytes: u64::MAX,
            max_count: 1000,
        };
        // Whatever disk the test runs on, more than nothing is in use.
        let thresholds = Thresholds {
            target_percent: 0,
            warn_percent: 100,
            high_percent: 100,
            emergency_percent: 100,
            ..Thresholds::default()
        };
        let settings = DiskSettings {
            filesystems: vec![FilesystemSettings { path: base.clone(), thresholds, ballast: None }],
            classes: vec![class],
            every: Duration::from_millis(50),
            sizes: vec![base.join("logs")],
            stop_order: Vec::new(),
            protection: Protection::default(),
            state_dir: base.join("state"),
            host_root: "/".into(),
        };
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        Self { folder, settings, ledger, group: Tasks::new(|_| {}).0.group() }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    fn old_file(&self, name: &str) {
        fs::write(self.at(name), vec![1; 8192]).unwrap();
        let old = UNIX_EPOCH + Duration::from_secs(1);
        File::options().write(true).open(self.at(name)).unwrap().set_modified(old).unwrap();
    }

    fn start(&self) -> (DiskHandle, Subscription) {
        let (clock, spine) = (WallClock::manual(NOW).0, Spine::new());
        let events = spine.subscribe();
        let parts = DiskParts {
            clean: CleanParts {
                settings: Arc::new(self.settings.clone()),
                clock: clock.clone(),
                images: None,
                stop: Arc::new(AtomicBool::new(false)),
            },
            ledger: self.ledger.clone(),
            signals: SignalBook::new(self.ledger.clone(), spine.clone(), clock),
            spine,
            nodes: None,
        };
        (start(parts, &self.group), events)
    }
}

async fn until(handle: &DiskHandle, is_so: impl Fn(&DiskBoard) -> bool) -> DiskBoard {
    tokio::time::timeout(Duration::from_secs(60), async {
        let mut board = handle.board.clone();
        board.wait_for(is_so).await.unwrap().clone()
    })
    .await
    .expect("it never came")
}

#[tokio::test]
async fn a_cleaning_is_done_shown_told_and_written_down() {
    let world = World::new().await;
    world.old_file("logs/a.log.1");
    fs::write(world.at("logs/young.log.1"), "x").unwrap();
    let (handle, mut events) = world.start();
    let board = until(&handle, |board| board.looked_at.is_some() && !board.sizes.is_empty()).await;
    assert!(board.filesystems[0].seen.is_some(), "{board:?}");
    assert!(board.sizes[0].is_whole && board.sizes[0].bytes > 0, "{board:?}");
    let planned = handle.plan().await;
    assert_eq!((planned.files.len(), planned.report.files()), (1, 1));
    assert!(world.at("logs/a.log.1").exists(), "a plan changes nothing");
    let report = handle.clean("By hand.").await.unwrap();
    assert_eq!(report.files(), 1, "{report:?}");
    assert!(!world.at("logs/a.log.1").exists());
    let board = until(&handle, |board| board.last_cleaning.is_some()).await;
    assert_eq!(board.last_cleaning, Some(report.clone()));
    let cleaned = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            if let Event::DiskCleaned(cleaned) = &*events.next().await.unwrap() {
                return cleaned.clone();
            }
        }
    });
    assert_eq!(cleaned.await.unwrap().run, report.run);
    until_rows(&world.ledger).await;
    // The last sample of an hour is there as well.
    let usage = world.ledger.disk_usage(&world.at("").display().to_string(), 0, 10).await;
    assert!(usage.is_ok());
    world.group.stop();
    world.group.ended().await;
}

async fn until_rows(ledger: &Ledger) {
    tokio::time::timeout(Duration::from_secs(60), async {
        while ledger.disk_cleanings(5).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("it was never written down");
}

#[tokio::test]
async fn a_cleaning_of_another_process_is_taken_in() {
    let world = World::new().await;
    world.old_file("logs/a.log.1");
    let (handle, _events) = world.start();
    until(&handle, |board| board.looked_at.is_some()).await;
    let parts = handle.parts.clone();
    let report = crate::supervisor::disk::clean(&parts, "By the command line.").await.unwrap();
    let board = until(&handle, |board| board.last_cleaning.is_some()).await;
    assert_eq!(board.last_cleaning, Some(report));
    world.group.stop();
    world.group.ended().await;
}

#[tokio::test]
async fn a_filesystem_that_is_not_there_is_told() {
    let mut world = World::new().await;
    world.settings.filesystems[0].path = world.at("gone");
    let (handle, mut events) = world.start();
    let board = until(&handle, |board| board.looked_at.is_some()).await;
    assert!(board.filesystems[0].error.as_ref().unwrap().contains("No such file"), "{board:?}");
    let told = tokio::time::timeout(Duration::from_secs(60), async {
        loop {
            if let Event::AlertSignal(signal) = &*events.next().await.unwrap() {
                return signal.rule.name.to_string();
            }
        }
    });
    assert_eq!(told.await.unwrap(), "disk_unreachable");
    world.group.stop();
    world.group.ended().await;
}

/// A disk with hardly any room, by a mark that any disk is above.
#[tokio::test]
async fn an_emergency_is_told_and_cleaned_and_remembered() {
    let mut world = World::new().await;
    world.old_file("logs/a.log.1");
    world.settings.filesystems[0].thresholds.emergency_percent = 0;
    let (handle, mut events) = world.start();
    let mut rungs = Vec::new();
    tokio::time::timeout(Duration::from_secs(60), async {
        while rungs.len() < 2 {
            if let Event::DiskActed(acted) = &*events.next().await.unwrap() {
                assert!(acted.error.is_none(), "{acted:?}");
                rungs.push(acted.rung);
            }
        }
    })
    .await
    .unwrap();
    assert_eq!(rungs, [DiskRung::Alert, DiskRung::Clean]);
    assert!(!world.at("logs/a.log.1").exists());
    let is_open = |board: &DiskBoard| board.filesystems.iter().any(|it| it.ladder.since.is_some());
    let board = until(&handle, |board| board.last_cleaning.is_some() && is_open(board)).await;
    assert!(board.last_cleaning.unwrap().reason.contains("is in use"));
    world.group.stop();
    world.group.ended().await;
    let text = fs::read_to_string(world.at("state/ladder.json")).unwrap();
    assert!(text.contains("\"since\":1700000000000"), "{text}");
}

#[tokio::test]
async fn the_ballast_is_made_while_there_is_room() {
    let mut world = World::new().await;
    let path = world.at(".relaymux-ballast");
    let ballast = BallastSettings { path: path.clone(), bytes: 1 << 20 };
    world.settings.filesystems[0].ballast = Some(ballast);
    let (handle, _events) = world.start();
    until(&handle, |board| board.looked_at.is_some() && Path::new(&path).exists()).await;
    world.group.stop();
    world.group.ended().await;
}
