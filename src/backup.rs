//! Backups: made while the service writes, proven by being restored, kept as long as they are needed, and brought back.
//!
//! A backup is one file (`relaymux-<network>-<time>.tar.gz`, mode 0600), which is there whole or not at all: copies of ledger and journal, the
//! configuration, a manifest with a hash of each, and what is secret in an envelope that only the operator opens (`seal`), or left out and said to be.
//! What is known of a backup stands beside it (`verdict`), so that it outlives the ledger.
//!
//! Promises: nothing that is killed at any moment loses anything. A backup that was not finished is no backup; a restore that was begun is finished by
//! whoever takes the folder next, and until its first change nothing was changed (`restore`). What is in an archive decides no path, no size and no
//! number here: names are a short list, sizes are the manifest's, and its hash is compared before anything is used. Nothing is removed that is not a
//! backup of ours, nor the last one that was proven (`retention`).
//!
//! The work is slow on purpose (`pace`): one thread of the lowest priority that rests most of the time, so that headers do not notice.

mod archive;
mod catalog;
mod create;
mod disk;
mod error;
mod judge;
mod keeper;
mod manifest;
mod metrics;
mod name;
mod pace;
mod restore;
mod retention;
pub mod rules;
mod seal;
mod settings;
mod unpack;
mod verdict;
mod verify;
mod watch;
mod work;

pub use catalog::{Backup, list_backups};
pub use create::{CreateParts, Created, create};
pub use error::BackupError;
pub use keeper::{BackupFailed, BackupKeeper, BackupReport, KeeperParts, KeeperView, UnderWay, apart};
pub use manifest::{LeftOut, Manifest, Member};
pub use metrics::describe_metrics;
pub use pace::{Pace, Phase, Progress};
pub use restore::{RestoreParts, Restored, Resumed, restore, resume_restore};
pub use seal::{Keys, Sealing, SecretFile};
pub use settings::{BackupSettings, ConfigFile, ConfigFiles, SettingsFile};
pub use unpack::read_manifest;
pub use verdict::{Verdict, VerdictKind};
pub use verify::{Verified, verify};
pub use watch::watch_backups;

#[cfg(test)]
mod tests;
