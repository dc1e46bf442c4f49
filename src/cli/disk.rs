//! `relaymux disk plan|clean`: what would be deleted to make room, and doing it. Both work beside the running service and without it: a lock keeps two
//! cleanings from each other.

use std::process::ExitCode;

use super::{
    arguments::{DiskCleanArguments, DiskCommand, DiskPlanArguments},
    exit::{FAILED, MISUSED},
    loading::load,
    progress::Progress,
    terminal::{self, complain, say, wrapped},
};
use crate::{
    app::clean_parts,
    consensus::WallClock,
    supervisor::disk::{CleanParts, CleanReport, clean, plan},
    types::ByteSize,
};

/// Files of a class that are shown where nobody asks for all.
const SHOWN: usize = 5;

pub(super) async fn disk(command: DiskCommand) -> ExitCode {
    match command {
        DiskCommand::Plan(arguments) => show_plan(&arguments).await,
        DiskCommand::Clean(arguments) => do_clean(&arguments).await,
    }
}

fn parts(config: &std::path::Path) -> Result<CleanParts, ExitCode> {
    let config = load(config)?;
    clean_parts(&config, WallClock::system()).ok_or_else(|| {
        complain("there is no [disk] in the configuration: nothing is watched, and nothing may be deleted");
        ExitCode::from(MISUSED)
    })
}

async fn show_plan(arguments: &DiskPlanArguments) -> ExitCode {
    let parts = match parts(&arguments.config) {
        Ok(parts) => parts,
        Err(code) => return code,
    };
    let progress = Progress::of(None, "looking at disks".to_owned());
    let planned = plan(&parts).await;
    drop(progress);
    let code = if planned.report.is_well() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) };
    if arguments.json {
        terminal::write(terminal::json(&planned));
        return code;
    }
    say(filesystems(&planned.report, false));
    say(classes(&planned.report));
    words(&planned.report);
    for class in &planned.report.classes {
        let of_class = || planned.files.iter().filter(|file| file.class == class.class);
        let shown = if arguments.files { usize::MAX } else { SHOWN };
        for file in of_class().take(shown) {
            // Names may have line breaks and quotes in them.
            say(format_args!("  {}: {:?}, {}", class.class, file.path, ByteSize(file.bytes)));
        }
        let more = class.files.saturating_sub(u64::try_from(of_class().take(shown).count()).unwrap_or(0));
        if more > 0 && of_class().next().is_some() {
            say(format_args!("  {}: and {more} more", class.class));
        }
    }
    say("Nothing was changed.");
    code
}

async fn do_clean(arguments: &DiskCleanArguments) -> ExitCode {
    let parts = match parts(&arguments.config) {
        Ok(parts) => parts,
        Err(code) => return code,
    };
    let by = std::env::var("SUDO_USER").or_else(|_| std::env::var("USER"));
    let by = by.unwrap_or_else(|_| "the command line".to_owned());
    let reason = match arguments.why.as_deref().map(|why| why.trim().trim_end_matches('.')) {
        Some(why) if !why.is_empty() => format!("Ordered by {by}: {why}."),
        _ => format!("Ordered by {by}."),
    };
    let progress = Progress::of(None, "cleaning disks".to_owned());
    let cleaned = clean(&parts, &reason).await;
    drop(progress);
    let report = match cleaned {
        Ok(report) => report,
        Err(error) => {
            complain(wrapped(&error.to_string(), 0));
            return ExitCode::from(FAILED);
        }
    };
    let code = if report.is_well() { ExitCode::SUCCESS } else { ExitCode::from(FAILED) };
    if arguments.json {
        terminal::write(terminal::json(&report));
        return code;
    }
    say(filesystems(&report, true));
    say(classes(&report));
    words(&report);
    for recovered in &report.recovered {
        say(wrapped(recovered, 0));
    }
    for above in report.above_target() {
        let line = format!(
            "{}: {} is in use, and {} % are wanted: its classes allow no more to be deleted.",
            above.path.display(),
            percent(above.after_permille),
            above.target_percent
        );
        say(wrapped(&line, 0));
    }
    say(format_args!("{} files were deleted, which took {}.", report.files(), ByteSize(report.bytes())));
    code
}

fn filesystems(report: &CleanReport, is_done: bool) -> String {
    let mut table = terminal::table(["filesystem", "in use", "after", "target"]);
    for filesystem in &report.filesystems {
        table.add_row([
            filesystem.path.display().to_string(),
            percent(filesystem.before_permille),
            if is_done { percent(filesystem.after_permille) } else { "-".to_owned() },
            format!("{} %", filesystem.target_percent),
        ]);
    }
    table.to_string()
}

fn classes(report: &CleanReport) -> String {
    let mut table = terminal::table(["class", "state", "files", "room", "stays"]);
    for class in &report.classes {
        let stays: Vec<String> = class
            .kept
            .iter()
            .map(|(why, count)| format!("{count} {}", why.label().replace('_', " ")))
            .collect();
        table.add_row([
            class.class.clone(),
            class.state.label().replace('_', " "),
            class.files.to_string(),
            ByteSize(class.bytes).to_string(),
            stays.join(", "),
        ]);
    }
    table.to_string()
}

fn words(report: &CleanReport) {
    for class in report.classes.iter().filter(|class| !class.message.is_empty()) {
        say(wrapped(&format!("{}: {}", class.class, class.message), 2));
    }
}

fn percent(permille: u32) -> String {
    format!("{}.{} %", permille / 10, permille % 10)
}
