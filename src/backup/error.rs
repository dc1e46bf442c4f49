//! What can go wrong, in words for whoever has to do something about it.

use std::{
    io,
    path::{Path, PathBuf},
};

use crate::{ledger::LedgerError, types::ByteSize};

/// Why something about backups could not be done.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// A file or folder could not be read, made or changed.
    #[error("{}: {error}", path.display())]
    Io {
        /// What this is about.
        path: PathBuf,
        /// The system's words.
        error: io::Error,
    },
    /// The database did not do it.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// There is not room enough.
    #[error("{} has {} free, and {} are needed: make room there, or choose another place", path.display(), ByteSize(*free), ByteSize(*needed))]
    NoRoom {
        /// The folder.
        path: PathBuf,
        /// What may be needed, in bytes.
        needed: u64,
        /// What there is, in bytes.
        free: u64,
    },
    /// There is nothing to back up.
    #[error("{} has no ledger.db: there is nothing to back up", .0.display())]
    NothingThere(PathBuf),
    /// A file is no backup, or not one any more.
    #[error("this backup is of no use: {0}")]
    Damaged(String),
    /// A newer program's.
    #[error(
        "this backup was made by relaymux {version}, of which this version does not know {what}: use that version or a newer one"
    )]
    Newer {
        /// Whose it is.
        version: String,
        /// What is not known.
        what: String,
    },
    /// It was made for another chain.
    #[error(
        "this backup is of the network {of}, and the configured network is {configured}: give --data-dir to restore it all the same"
    )]
    OtherNetwork {
        /// The network that it was made for.
        of: String,
        /// The one that it was to be restored for.
        configured: String,
    },
    /// Secrets could not be put into their envelope or taken out of it.
    #[error("{0}")]
    Seal(String),
    /// Nobody may change the folder now.
    #[error("{0}")]
    Refused(String),
    /// It was told to stop.
    #[error("stopped before it was finished; nothing was changed")]
    Stopped,
    /// It took too long.
    #[error("not finished within {0} hours; nothing was changed")]
    TooLong(u64),
}

impl BackupError {
    /// For `map_err`, with the path that it is about.
    pub(super) fn at(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        move |error| Self::Io { path: path.to_owned(), error }
    }

    pub(super) fn damaged(reason: impl Into<String>) -> Self {
        Self::Damaged(reason.into())
    }

    /// Whether it says that the backup itself is bad: another try would say the same.
    pub const fn is_of_the_backup(&self) -> bool {
        matches!(self, Self::Damaged(_))
    }
}
