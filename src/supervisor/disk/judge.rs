//! What is wrong with disks now, by what is known of them. Pure.

use super::{
    board::{DiskBoard, FilesystemView},
    forecast::Forecast,
    report::ClassState,
    rules::{
        DISK_ABOVE_TARGET, DISK_CLEANING_FAILED, DISK_EMERGENCY, DISK_FILLING, DISK_FULL_SOON, DISK_HIGH,
        DISK_INODES, DISK_READ_ONLY, DISK_UNREACHABLE,
    },
    settings::{DiskSettings, Thresholds},
    space::{Level, percent},
};
use crate::{events::AlertRule, supervisor::fleet::Trouble, types::ByteSize};

/// The subject of what is about no single filesystem.
const ALL: &str = "disks";
/// Longest reason of a class in a message, in characters.
const MAX_REASON: usize = 300;

/// Everything that is wrong.
pub(super) fn troubles(board: &DiskBoard, settings: &DiskSettings) -> Vec<Trouble> {
    let mut found = Vec::new();
    for view in &board.filesystems {
        let thresholds = settings.filesystems.iter().find(|it| it.path == view.path);
        if let Some(filesystem) = thresholds {
            of_filesystem(view, &filesystem.thresholds, &mut found);
        }
    }
    found.extend(of_cleaning(board));
    found
}

fn of_filesystem(view: &FilesystemView, thresholds: &Thresholds, found: &mut Vec<Trouble>) {
    let mut say = |rule: &'static AlertRule, message: String| {
        let subject = view.path.display().to_string();
        found.push(Trouble { rule, message: format!("{subject}: {message}"), subject });
    };
    if let Some(error) = &view.error {
        say(&DISK_UNREACHABLE, format!("{error}."));
    }
    let Some(seen) = &view.seen else { return };
    let space = &seen.space;
    let used = || {
        format!(
            "{} is in use, {} of {} are left",
            percent(view.used_permille),
            ByteSize(space.available_bytes),
            ByteSize(space.total_bytes)
        )
    };
    let full = |forecast: &Forecast| match forecast {
        Forecast::Filling(filling) => format!("; full in {} as it grows now.", filling.words()),
        _ => ".".to_owned(),
    };
    match view.level {
        Level::Ok => {}
        Level::Warn => say(&DISK_FILLING, used() + &full(&view.forecast)),
        Level::High => say(&DISK_HIGH, used() + &full(&view.forecast)),
        Level::Emergency => say(&DISK_EMERGENCY, used() + &full(&view.forecast)),
    }
    if view.lacks_inodes {
        let words = format!("{} of {} inodes are left.", space.inodes_free, space.inodes);
        say(&DISK_INODES, words);
    }
    if let Forecast::Filling(filling) = &view.forecast
        && filling.hours < u64::from(thresholds.min_days) * 24
    {
        let grows = ByteSize(filling.bytes_per_day);
        say(&DISK_FULL_SOON, format!("full in {}: it grows by {grows} a day.", filling.words()));
    }
    if space.read_only {
        say(&DISK_READ_ONLY, format!("{} ({}) is mounted read-only.", seen.source, seen.filesystem));
    }
}

fn of_cleaning(board: &DiskBoard) -> Vec<Trouble> {
    let mut found = Vec::new();
    let mut say = |rule: &'static AlertRule, subject: String, message: String| {
        found.push(Trouble { rule, subject, message });
    };
    if let Some(failed) = &board.cleaning_failed {
        say(&DISK_CLEANING_FAILED, ALL.to_owned(), format!("{failed}."));
    }
    let Some(report) = &board.last_cleaning else { return found };
    let bad = report.classes.iter().filter(|it| matches!(it.state, ClassState::Refused | ClassState::Failed));
    let words: Vec<String> = bad
        .map(|class| {
            let message: String = class.message.chars().take(MAX_REASON).collect();
            format!("{}: {message}", class.class)
        })
        .collect();
    if !words.is_empty() && board.cleaning_failed.is_none() {
        say(&DISK_CLEANING_FAILED, ALL.to_owned(), words.join(" "));
    }
    for filesystem in report.above_target() {
        let subject = filesystem.path.display().to_string();
        let message = format!(
            "{subject}: {} is in use after the last cleaning, and {} % are wanted.",
            percent(filesystem.after_permille),
            filesystem.target_percent
        );
        // While it is worse than that, this is said by another rule.
        let is_said = board.filesystems.iter().any(|it| it.path == filesystem.path && it.level > Level::Ok);
        if !is_said {
            say(&DISK_ABOVE_TARGET, subject, message);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{
        super::{
            board::LadderView,
            filesystem::FilesystemSeen,
            forecast::Filling,
            report::{ClassReport, CleanReport, FilesystemCleaned},
            roots::Protection,
            settings::FilesystemSettings,
            space::Space,
        },
        *,
    };

    fn settings() -> DiskSettings {
        let thresholds = Thresholds::default();
        DiskSettings {
            filesystems: vec![FilesystemSettings { path: "/data".into(), thresholds, ballast: None }],
            classes: Vec::new(),
            every: Duration::from_secs(60),
            sizes: Vec::new(),
            stop_order: Vec::new(),
            protection: Protection::default(),
            state_dir: "/x".into(),
            host_root: "/".into(),
        }
    }

    fn view(used: u64) -> FilesystemView {
        let space = Space {
            total_bytes: 1000 << 30,
            used_bytes: used << 30,
            available_bytes: (1000 - used) << 30,
            ..Space::default()
        };
        let seen = FilesystemSeen {
            space,
            mount_point: "/data".into(),
            source: "/dev/sdb1".to_owned(),
            filesystem: "ext4".to_owned(),
            device: "8:17".to_owned(),
        };
        FilesystemView {
            path: "/data".into(),
            error: None,
            used_permille: space.used_permille(),
            inodes_used_permille: 0,
            level: space.level(&Thresholds::default()),
            lacks_inodes: false,
            forecast: Forecast::Steady,
            io: None,
            target_percent: 60,
            ladder: LadderView::default(),
            seen: Some(seen),
        }
    }

    fn said(board: &DiskBoard) -> Vec<String> {
        troubles(board, &settings())
            .into_iter()
            .map(|it| format!("{}: {}", it.rule.name, it.message))
            .collect()
    }

    fn of(view: FilesystemView) -> DiskBoard {
        DiskBoard { filesystems: vec![view], ..DiskBoard::default() }
    }

    #[test]
    fn each_level_is_said_by_its_own_rule() {
        assert!(said(&of(view(100))).is_empty());
        for (used, want) in [
            (760, "disk_filling: /data: 76 % is in use, 240 GiB of 1000 GiB are left."),
            (820, "disk_high: /data: 82 % is in use, 180 GiB of 1000 GiB are left."),
            (950, "disk_emergency: /data: 95 % is in use, 50 GiB of 1000 GiB are left."),
        ] {
            assert_eq!(said(&of(view(used))), [want]);
        }
    }

    #[test]
    fn forecasts_inodes_read_only_and_silence_are_said() {
        let mut bad = view(100);
        bad.lacks_inodes = true;
        bad.error = Some("it has not answered within 5 s".to_owned());
        bad.forecast = Forecast::Filling(Filling {
            bytes_per_day: 450 << 30,
            hours: 48,
            soonest_hours: 40,
            latest_hours: None,
        });
        if let Some(seen) = &mut bad.seen {
            seen.space.read_only = true;
            (seen.space.inodes, seen.space.inodes_free) = (1000, 7);
        }
        let want = [
            "disk_unreachable: /data: it has not answered within 5 s.",
            "disk_inodes: /data: 7 of 1000 inodes are left.",
            "disk_full_soon: /data: full in 2 days (1.6 to never): it grows by 450 GiB a day.",
            "disk_read_only: /data: /dev/sdb1 (ext4) is mounted read-only.",
        ];
        assert_eq!(said(&of(bad)), want);
    }

    #[test]
    fn a_cleaning_that_failed_or_was_not_enough_is_said() {
        let mut board = of(view(700));
        board.last_cleaning = Some(CleanReport {
            run: 1,
            reason: "By hand.".to_owned(),
            began_at: 0,
            ended_at: 0,
            classes: vec![ClassReport::new("logs", ClassState::Refused, "/data/logs holds a key.")],
            filesystems: vec![FilesystemCleaned {
                path: "/data".into(),
                before_permille: 710,
                after_permille: 700,
                freed_bytes: 5,
                target_percent: 60,
            }],
            recovered: Vec::new(),
        });
        let want = [
            "disk_cleaning_failed: logs: /data/logs holds a key.",
            "disk_above_target: /data: 70 % is in use after the last cleaning, and 60 % are wanted.",
        ];
        assert_eq!(said(&board), want);
        board.cleaning_failed = Some("another cleaning is under way (pid 5)".to_owned());
        assert_eq!(said(&board)[0], "disk_cleaning_failed: another cleaning is under way (pid 5).");
    }
}
