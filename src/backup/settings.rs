//! What the operator decides about backups.

use std::{path::PathBuf, time::Duration};

use super::{Sealing, SecretFile};

/// `[backup]`
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BackupSettings {
    /// Where backups are kept.
    pub directory: PathBuf,
    /// How many that were proven are kept, 1 or more.
    pub keep: usize,
    /// Older ones are removed before; none: however old.
    pub max_age: Option<Duration>,
    /// How old the newest may be before somebody is told.
    pub stale_after: Duration,
    /// How old the newest proven one may be before somebody is told.
    pub unverified_after: Duration,
    /// Whether each is proven as soon as it is made.
    pub verify_new: bool,
    /// Share of the time in which one thread works, 1 to 100.
    pub busy_percent: u32,
    /// How what is secret is encrypted; none: it is left out.
    pub sealing: Option<Sealing>,
}

/// How often backups are meant to be made where nobody says.
pub(super) const DAY: Duration = Duration::from_secs(86_400);

impl BackupSettings {
    /// The defaults, into a folder.
    pub fn into_directory(directory: PathBuf) -> Self {
        Self {
            directory,
            keep: 7,
            max_age: None,
            stale_after: 2 * DAY,
            unverified_after: 8 * DAY,
            verify_new: true,
            busy_percent: 25,
            sealing: None,
        }
    }
}

/// A file of the configuration that is no secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigFile {
    /// Where it is.
    pub path: PathBuf,
}

/// `relays.toml` itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsFile {
    /// Where it is.
    pub path: PathBuf,
    /// Its text without anything that may be secret, and the keys that are left out of it; none where it cannot be read.
    pub without_secrets: Option<(String, Vec<String>)>,
}

/// All of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConfigFiles {
    /// The file itself; none where there is none.
    pub settings: Option<SettingsFile>,
    /// What it includes and is no secret.
    pub plain: Vec<ConfigFile>,
    /// What is secret: keys and tokens that have files of their own.
    pub secret: Vec<SecretFile>,
}
