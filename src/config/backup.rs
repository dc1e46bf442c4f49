//! `[backup]`: where backups are kept, how many, and who can open what is secret in them.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::{checker::Checker, durations::duration, raw_backup::RawBackup};
use crate::backup::{BackupSettings, Sealing};

const DAY: Duration = Duration::from_secs(86_400);
/// Most that are kept.
const MAX_KEEP: usize = 10_000;
/// Most public keys.
const MAX_RECIPIENTS: usize = 20;

/// Checks the section. `folder`: paths in it are relative to that.
pub(super) fn backup(
    raw: &RawBackup,
    folder: &Path,
    data_dir: &Path,
    checker: &mut Checker,
) -> Option<BackupSettings> {
    let Some(directory) = raw.directory.as_deref().filter(|text| !text.is_empty()) else {
        checker.wrong(
            "backup.directory",
            "is missing: nobody knows where backups are to be kept",
            "write directory = \"/mnt/backups\", on another disk than data_dir's",
        );
        return None;
    };
    let directory = folder.join(directory);
    if directory.starts_with(data_dir) {
        checker.warn(format!(
            "[backup] directory {} is in data_dir: whatever takes the one takes the other; name a folder on another disk",
            directory.display()
        ));
    }
    let default = BackupSettings::into_directory(directory);
    let days = |days: u32| DAY.saturating_mul(days);
    let (least, most) = (Duration::from_secs(3600), days(3660));
    let max_age = raw
        .max_age
        .as_ref()
        .map(|age| duration("backup.max_age", Some(age), days(365), days(1)..=most, checker));
    let stale_after =
        duration("backup.stale_after", raw.stale_after.as_ref(), default.stale_after, least..=most, checker);
    let unverified_after = duration(
        "backup.unverified_after",
        raw.unverified_after.as_ref(),
        default.unverified_after,
        least..=most,
        checker,
    );
    if raw.keep.is_some_and(|keep| !(1..=MAX_KEEP).contains(&keep)) {
        checker.wrong(
            "backup.keep",
            "keeps nothing, or more than any folder has",
            format!("write 1 to {MAX_KEEP}; without the key it is {}", default.keep),
        );
    }
    if raw.busy_percent.is_some_and(|percent| !(1..=100).contains(&percent)) {
        checker.wrong(
            "backup.busy_percent",
            "is no share of the time",
            "write 1 to 100; without the key it is 25",
        );
    }
    Some(BackupSettings {
        keep: raw.keep.unwrap_or(default.keep),
        max_age,
        stale_after,
        unverified_after,
        verify_new: raw.verify_new.unwrap_or(default.verify_new),
        busy_percent: raw.busy_percent.unwrap_or(default.busy_percent),
        sealing: sealing(raw, folder, checker),
        ..default
    })
}

fn sealing(raw: &RawBackup, folder: &Path, checker: &mut Checker) -> Option<Sealing> {
    if !raw.recipients.is_empty() && raw.passphrase_file.is_some() {
        checker.contradicts(
            "backup.passphrase_file",
            "backup.recipients",
            "recipients are given as well, and an age file has one of the two",
            "keep recipients: the machine then has nothing that opens its backups",
        );
        return None;
    }
    if raw.recipients.len() > MAX_RECIPIENTS {
        checker.wrong(
            "backup.recipients",
            format!("has {} keys", raw.recipients.len()),
            format!("{MAX_RECIPIENTS} at most"),
        );
    }
    for (index, recipient) in raw.recipients.iter().enumerate() {
        if !Sealing::is_recipient(recipient) {
            // It may be the private key, by mistake: nothing of it is said.
            checker.wrong(
                &format!("backup.recipients[{index}]"),
                "is no public key of age",
                "write what `age-keygen` prints as the public key: age1 and 58 letters",
            );
        }
    }
    if !raw.recipients.is_empty() {
        return Some(Sealing::Recipients(raw.recipients.clone()));
    }
    let path: PathBuf = folder.join(raw.passphrase_file.as_deref()?);
    if let Err(error) = std::fs::File::open(&path) {
        checker.wrong(
            "backup.passphrase_file",
            format!("{}: {error}", path.display()),
            "a file of mode 0600 with the passphrase in its first line; keep a copy of it elsewhere",
        );
    } else {
        checker.note_secret(&path);
    }
    Some(Sealing::PassphraseFile(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::raw_text::Span;

    fn checked(raw: &RawBackup) -> (Option<BackupSettings>, Vec<String>, usize) {
        let mut checker = Checker::default();
        let found = backup(raw, Path::new("/etc/relaymux"), Path::new("/var/lib/relaymux"), &mut checker);
        (found, checker.mistakes.into_iter().map(|mistake| mistake.key).collect(), checker.warnings.len())
    }

    fn raw() -> RawBackup {
        RawBackup { directory: Some("/mnt/b".to_owned()), ..RawBackup::default() }
    }

    #[test]
    fn a_folder_is_all_that_is_needed() {
        let (found, mistakes, warnings) = checked(&raw());
        assert_eq!(
            (found, mistakes.len(), warnings),
            (Some(BackupSettings::into_directory("/mnt/b".into())), 0, 0)
        );
        let inside = RawBackup { directory: Some("/var/lib/relaymux/b".to_owned()), ..RawBackup::default() };
        assert_eq!(checked(&inside).2, 1);
        let relative = RawBackup { directory: Some("b".to_owned()), ..RawBackup::default() };
        assert_eq!(checked(&relative).0.unwrap().directory, Path::new("/etc/relaymux/b"));
    }

    #[test]
    fn mistakes_are_said_by_their_place_and_no_key_is() {
        let span = |text: &str| Some(Span(text.to_owned()));
        for (raw, want) in [
            (RawBackup::default(), "backup.directory"),
            (RawBackup { keep: Some(0), ..raw() }, "backup.keep"),
            (RawBackup { busy_percent: Some(0), ..raw() }, "backup.busy_percent"),
            (RawBackup { busy_percent: Some(101), ..raw() }, "backup.busy_percent"),
            (RawBackup { max_age: span("5m"), ..raw() }, "backup.max_age"),
            (RawBackup { stale_after: span("soon"), ..raw() }, "backup.stale_after"),
            (RawBackup { recipients: vec!["AGE-SECRET-KEY-1X".into()], ..raw() }, "backup.recipients[0]"),
            (
                RawBackup { recipients: vec!["x".into()], passphrase_file: Some("p".into()), ..raw() },
                "backup.passphrase_file",
            ),
            (RawBackup { passphrase_file: Some("none".into()), ..raw() }, "backup.passphrase_file"),
        ] {
            assert_eq!(checked(&raw).1, [want], "{raw:?}");
        }
    }
}
