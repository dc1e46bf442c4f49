//! The task `disk_clean`: a cleaning of disks, by whoever watches them. What goes wrong with it has alerts of its own there.

use std::fmt::Write as _;

use crate::{
    supervisor::{
        disk::{CleanReport, DiskHandle},
        schedule::{TaskFailed, TaskReport},
    },
    types::ByteSize,
};

/// Cleans disks, and says what that came to.
pub(super) async fn clean_disks(disk: DiskHandle) -> Result<TaskReport, TaskFailed> {
    match disk.clean("It is the time for it under [maintenance].").await {
        Ok(report) => Ok(told(&report)),
        Err(failure) => Err(TaskFailed(format!("{failure}."))),
    }
}

fn told(report: &CleanReport) -> TaskReport {
    let mut message = match report.files() {
        0 => "Nothing was deleted.".to_owned(),
        files => format!("{files} files of {} were deleted.", ByteSize(report.bytes())),
    };
    for it in &report.filesystems {
        let percent = |permille: u32| f64::from(permille) / 10.0;
        let (before, after) = (percent(it.before_permille), percent(it.after_permille));
        let _ = write!(
            message,
            " {}: {before:.1} % in use before, {after:.1} % after, {} % wanted.",
            it.path.display(),
            it.target_percent
        );
    }
    let wrong = report.classes.iter().filter(|class| class.state.is_wrong());
    for class in wrong {
        let _ = write!(message, " {}: {}", class.class, class.message);
    }
    if report.is_well() && report.above_target().next().is_none() {
        TaskReport::done(message)
    } else {
        TaskReport::found(message)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::disk::{ClassReport, ClassState, FilesystemCleaned};

    #[test]
    fn a_cleaning_is_told_in_a_sentence_for_each_filesystem() {
        let class = |state, files, message: &str| ClassReport {
            class: "old-logs".to_owned(),
            state,
            files,
            bytes: files << 20,
            kept: [].into(),
            message: message.to_owned(),
        };
        let report = |state, files, after_permille, message| CleanReport {
            run: 1,
            reason: String::new(),
            began_at: 0,
            ended_at: 1,
            classes: vec![class(state, files, message)],
            filesystems: vec![FilesystemCleaned {
                path: "/data".into(),
                before_permille: 751,
                after_permille,
                freed_bytes: 0,
                target_percent: 60,
            }],
            recovered: Vec::new(),
        };
        for (report, want) in [
            (
                report(ClassState::Done, 12, 600, ""),
                TaskReport::done(
                    "12 files of 12 MiB were deleted. /data: 75.1 % in use before, 60.0 % after, 60 % wanted.",
                ),
            ),
            (
                report(ClassState::Done, 0, 751, ""),
                TaskReport::found(
                    "Nothing was deleted. /data: 75.1 % in use before, 75.1 % after, 60 % wanted.",
                ),
            ),
            (
                report(ClassState::Refused, 0, 500, "It holds a keystore."),
                TaskReport::found(
                    "Nothing was deleted. /data: 75.1 % in use before, 50.0 % after, 60 % wanted. old-logs: It holds a keystore.",
                ),
            ),
        ] {
            assert_eq!(told(&report), want);
        }
    }
}
