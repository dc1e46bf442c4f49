//! `relaymux backup`: makes one, proves one, brings one back.

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use parking_lot::Mutex;
use serde_json::json;
use tokio_util::sync::CancellationToken;

use super::{
    arguments::{BackupCommand, BackupCreateArguments, BackupRestoreArguments, BackupVerifyArguments},
    exit::FAILED,
    loading::load,
    progress::Progress,
    terminal,
};
use crate::{
    app::{Signal, Signals, backup_files, restore_into},
    backup::{
        BackupError, CreateParts, Created, Keys, LeftOut, Pace, Phase, RestoreParts, Restored, Verified,
        apart, create, verify,
    },
    consensus::WallClock,
    types::ByteSize,
};

/// Share of the time of one thread where a service may run beside it.
const BESIDE_A_SERVICE: u32 = 25;
const ALL_OF_IT: u32 = 100;

/// Carries out one of the commands.
pub(super) async fn backup(command: BackupCommand) -> ExitCode {
    let stop = CancellationToken::new();
    // Ctrl-C ends it in good order: nothing half done is left behind.
    if let Ok(mut signals) = Signals::take() {
        let stop = stop.clone();
        tokio::spawn(async move {
            while signals.next().await != Signal::Stop {}
            stop.cancel();
        });
    }
    match command {
        BackupCommand::Create(arguments) => creating(&arguments, stop).await,
        BackupCommand::Verify(arguments) => verifying(&arguments, stop).await,
        BackupCommand::Restore(arguments) => restoring(&arguments, stop).await,
    }
}

/// A bar that follows the phases.
fn pace(percent: u32, stop: CancellationToken) -> Pace {
    let bar: Mutex<Option<(Phase, Progress)>> = Mutex::new(None);
    Pace::new(percent, stop).telling(Arc::new(move |phase, done, of| {
        let count = |bytes: u64| usize::try_from(bytes >> 20).unwrap_or(usize::MAX);
        let mut bar = bar.lock();
        let is_other = bar.as_ref().is_none_or(|(shown, _)| *shown != phase);
        if is_other {
            let unit = if of.is_some() { " (MiB)" } else { "" };
            *bar = Some((phase, Progress::of(of.map(count), format!("{}{unit}", phase.words()))));
        }
        if let Some((_, bar)) = &*bar {
            bar.at(count(done), of.map(count));
        }
    }))
}

async fn creating(arguments: &BackupCreateArguments, stop: CancellationToken) -> ExitCode {
    let config = match load(&arguments.config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let percent = if arguments.fast {
        ALL_OF_IT
    } else {
        config.backup.as_ref().map_or(BESIDE_A_SERVICE, |backup| backup.busy_percent)
    };
    let parts = CreateParts {
        data_dir: config.data_dir.clone(),
        network: config.spec.name.clone(),
        files: backup_files(&config),
        sealing: config.backup.as_ref().and_then(|backup| backup.sealing.clone()),
        directory: arguments.directory.clone(),
        now: WallClock::system().now(),
        pace: pace(percent, stop),
    };
    match apart(move || create(parts)).await {
        Ok(Created { path, bytes, manifest }) => {
            if arguments.json {
                terminal::write(terminal::json(&json!({
                    "ok": true, "file": path, "bytes": bytes, "manifest": manifest,
                })));
                return ExitCode::SUCCESS;
            }
            terminal::say(format!("{} ({})", path.display(), ByteSize(bytes)));
            left_out(&manifest.left_out);
            terminal::say(format!("Not proven yet: relaymux backup verify {}", path.display()));
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error, arguments.json),
    }
}

async fn verifying(arguments: &BackupVerifyArguments, stop: CancellationToken) -> ExitCode {
    let (file, scratch) = (arguments.file.clone(), arguments.scratch.clone());
    let percent = if arguments.fast { ALL_OF_IT } else { BESIDE_A_SERVICE };
    let (now, pace) = (WallClock::system().now(), pace(percent, stop));
    let verified = apart(move || async move { verify(&file, scratch.as_deref(), now, &pace).await });
    match verified.await {
        Ok(verified) if arguments.json => {
            terminal::write(terminal::json(&json!({ "ok": true, "backup": verified })));
            ExitCode::SUCCESS
        }
        Ok(Verified { path, bytes, manifest, not_noted, .. }) => {
            terminal::say(format!("{} ({}) can be restored.", path.display(), ByteSize(bytes)));
            for member in &manifest.members {
                let rows: u64 = member.rows.values().sum();
                let rows = if rows > 0 { format!(", {rows} rows") } else { String::new() };
                terminal::say(format!("  {}: {}{rows}", member.name, ByteSize(member.bytes)));
            }
            left_out(&manifest.left_out);
            if let Some(why) = not_noted {
                terminal::complain(format_args!(
                    "the verdict is not noted beside it, so that it does not count for what is kept: {why}"
                ));
            }
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error, arguments.json),
    }
}

async fn restoring(arguments: &BackupRestoreArguments, stop: CancellationToken) -> ExitCode {
    let (data_dir, network) = match place(arguments) {
        Ok(place) => place,
        Err(code) => return code,
    };
    let keys = match (&arguments.identity, &arguments.passphrase_file) {
        (Some(file), _) => Some(Keys::IdentityFile(file.clone())),
        (None, Some(file)) => Some(Keys::PassphraseFile(file.clone())),
        (None, None) => None,
    };
    let parts = RestoreParts {
        archive: arguments.file.clone(),
        data_dir,
        network,
        keys,
        data_files: Vec::new(),
        now: WallClock::system().now(),
        pace: pace(ALL_OF_IT, stop),
    };
    match restore_into(parts).await {
        Ok(restored) if arguments.json => {
            terminal::write(terminal::json(&json!({ "ok": true, "restored": restored })));
            ExitCode::SUCCESS
        }
        Ok(Restored { manifest, placed, kept, config, missing }) => {
            let made = jiff::Timestamp::from_millisecond(manifest.created_at).unwrap_or_default();
            terminal::say(format!(
                "Restored from {made}, relaymux {}, {}:",
                manifest.version, manifest.network
            ));
            paths(&placed);
            if !kept.is_empty() {
                terminal::say("What was there before is kept; remove it when you are sure:");
                paths(&kept);
            }
            if let Some(config) = config {
                terminal::say(terminal::wrapped(
                    &format!(
                        "Configuration lies in {}, and nothing of it was put in the place of yours; sources.json there says where each file was.",
                        config.display()
                    ),
                    2,
                ));
            }
            left_out(&missing);
            terminal::say(
                "Start the service: it brings the files up to date where they are an older version's.",
            );
            ExitCode::SUCCESS
        }
        Err(error) => failed(&error, arguments.json),
    }
}

/// Where to, and of which network it has to be: a folder that is named takes any.
fn place(arguments: &BackupRestoreArguments) -> Result<(PathBuf, Option<String>), ExitCode> {
    if let Some(folder) = &arguments.data_dir {
        return Ok((folder.clone(), None));
    }
    if !Path::new(&arguments.config).exists() {
        terminal::complain(format_args!(
            "{} is not there: name the folder to restore into with --data-dir",
            arguments.config.display()
        ));
        return Err(ExitCode::from(FAILED));
    }
    let config = load(&arguments.config)?;
    Ok((config.data_dir.clone(), Some(config.spec.name)))
}

fn paths(paths: &[PathBuf]) {
    for path in paths {
        terminal::say(format!("  {}", path.display()));
    }
}

fn left_out(left_out: &[LeftOut]) {
    if !left_out.is_empty() {
        terminal::say("Not in it:");
    }
    for LeftOut { what, why } in left_out {
        terminal::say(terminal::wrapped(&format!("- {what}: {why}"), 4));
    }
}

fn failed(error: &BackupError, as_json: bool) -> ExitCode {
    if as_json {
        terminal::write(terminal::json(&json!({ "ok": false, "error": error.to_string() })));
    } else {
        terminal::complain(format_args!("{error}"));
    }
    ExitCode::from(FAILED)
}
