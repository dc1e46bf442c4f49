//! A ruleset on trial: kept if somebody confirms it, else taken back. In a folder that the one who applies, the one who confirms and the one who would take
//! it back share.
//!
//! `pending` holds the ruleset that puts back what was before. Whoever renames it first decides: to `confirmed`, and the new rules stay; to
//! `reverting`, and they go. A rename is done by one of two, never by both, so that no confirmation comes between a revert's decision and its deed.
//! `watch` is locked by the one who would take it back, for as long as it lives: a trial without it is one that nobody watches.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// Why a trial did not go on.
#[derive(Debug, thiserror::Error)]
pub enum TrialError {
    /// Another one is under way.
    #[error(
        "a ruleset waits to be confirmed already: `relaymux firewall confirm` keeps it, and in a minute it is taken back by itself"
    )]
    UnderWay,
    /// The folder is not ours alone.
    #[error("{0} belongs to somebody else, or others can write to it: remove it")]
    Foreign(PathBuf),
    /// A file of it cannot be read or written.
    #[error("{path}: {source}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// How a trial is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It waits to be confirmed.
    Waits,
    /// It was confirmed.
    Kept,
    /// It is being taken back.
    Reverting,
    /// It was taken back.
    Reverted,
    /// It could not be taken back.
    Stuck,
    /// There is none.
    None,
}

/// The folder of trials.
#[derive(Clone, Debug)]
pub struct Trial {
    folder: PathBuf,
}

impl Trial {
    /// The trials of a folder, which is made for root alone where it is not there.
    ///
    /// # Errors
    /// When it cannot be made, or is not ours alone.
    pub fn open(folder: &Path) -> Result<Self, TrialError> {
        let io = |source| TrialError::Io { path: folder.to_owned(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(io)?;
        let seen = fs::symlink_metadata(folder).map_err(io)?;
        if !seen.is_dir() || seen.uid() != rustix::process::geteuid().as_raw() || seen.mode() & 0o022 != 0 {
            return Err(TrialError::Foreign(folder.to_owned()));
        }
        Ok(Self { folder: folder.to_owned() })
    }

    /// Begins one. `restore` is what puts back what is there now.
    ///
    /// # Errors
    /// When another is under way, or it cannot be written.
    pub fn begin(&self, restore: &str) -> Result<(), TrialError> {
        let path = self.path("pending");
        // Whole or not at all: what a power cut leaves of it must not be loaded.
        let made = self.path("pending.new");
        let io = |source| TrialError::Io { path: path.clone(), source };
        let written = || -> io::Result<()> {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&made)?;
            file.write_all(restore.as_bytes())?;
            file.sync_all()
        };
        written().map_err(io)?;
        for old in ["confirmed", "reverted", "stuck", "armed"] {
            self.forget(old)?;
        }
        // A link, unlike a rename, refuses to take another's place.
        let linked = fs::hard_link(&made, &path);
        self.forget("pending.new")?;
        linked.map_err(|error| {
            if error.kind() == io::ErrorKind::AlreadyExists { TrialError::UnderWay } else { io(error) }
        })
    }

    /// Ends one that was never loaded.
    ///
    /// # Errors
    /// When its file cannot be removed.
    pub fn abandon(&self) -> Result<(), TrialError> {
        self.forget("pending")
    }

    /// Takes the watch: held until the file is dropped.
    ///
    /// # Errors
    /// When somebody else has it.
    pub fn watch(&self) -> Result<File, TrialError> {
        let path = self.path("watch");
        let io = |source| TrialError::Io { path: path.clone(), source };
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(io)?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(TrialError::UnderWay),
            Err(TryLockError::Error(error)) => Err(io(error)),
        }
    }

    /// Says that the watch has begun.
    ///
    /// # Errors
    /// When it cannot be said.
    pub fn arm(&self) -> Result<(), TrialError> {
        self.note("armed")
    }

    /// Whether the watch has begun.
    pub fn is_armed(&self) -> bool {
        self.path("armed").exists()
    }

    /// Keeps the new ruleset; whether there was one to keep.
    ///
    /// # Errors
    /// When it cannot be said.
    pub fn confirm(&self) -> Result<bool, TrialError> {
        self.decide("confirmed")
    }

    /// Decides to take it back, and gives the ruleset that does; none where it was kept in the meantime.
    ///
    /// # Errors
    /// When it cannot be decided or read.
    pub fn revert(&self) -> Result<Option<String>, TrialError> {
        if !self.decide("reverting")? {
            return Ok(None);
        }
        let path = self.path("reverting");
        fs::read_to_string(&path).map(Some).map_err(|source| TrialError::Io { path, source })
    }

    /// The revert is done, or could not be.
    ///
    /// # Errors
    /// When it cannot be said.
    pub fn reverted(&self, is_done: bool) -> Result<(), TrialError> {
        self.note(if is_done { "reverted" } else { "stuck" })?;
        self.forget("reverting")
    }

    /// How it is.
    pub fn outcome(&self) -> Outcome {
        let states = [
            ("pending", Outcome::Waits),
            ("reverting", Outcome::Reverting),
            ("reverted", Outcome::Reverted),
            ("stuck", Outcome::Stuck),
            ("confirmed", Outcome::Kept),
        ];
        let there = states.into_iter().find(|(name, _)| self.path(name).exists());
        there.map_or(Outcome::None, |(_, outcome)| outcome)
    }

    fn decide(&self, name: &str) -> Result<bool, TrialError> {
        match fs::rename(self.path("pending"), self.path(name)) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(TrialError::Io { path: self.path("pending"), source }),
        }
    }

    fn note(&self, name: &str) -> Result<(), TrialError> {
        let path = self.path(name);
        let made = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        made.map(drop).map_err(|source| TrialError::Io { path, source })
    }

    fn forget(&self, name: &str) -> Result<(), TrialError> {
        match fs::remove_file(self.path(name)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(TrialError::Io { path: self.path(name), source: error })
            }
            Ok(()) | Err(_) => Ok(()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn one_of_two_decides() {
        let folder = tempfile::tempdir().unwrap();
        let trial = Trial::open(&folder.path().join("state")).unwrap();
        assert_eq!(
            (trial.outcome(), trial.confirm().unwrap(), trial.revert().unwrap()),
            (Outcome::None, false, None)
        );
        trial.begin("old").unwrap();
        assert_eq!(trial.outcome(), Outcome::Waits);
        assert!(matches!(trial.begin("newer"), Err(TrialError::UnderWay)));
        assert!(trial.confirm().unwrap());
        assert_eq!((trial.outcome(), trial.revert().unwrap()), (Outcome::Kept, None));
        trial.begin("before").unwrap();
        assert_eq!(trial.revert().unwrap().as_deref(), Some("before"));
        assert_eq!((trial.outcome(), trial.confirm().unwrap()), (Outcome::Reverting, false));
        trial.reverted(true).unwrap();
        assert_eq!(trial.outcome(), Outcome::Reverted);
        trial.begin("x").unwrap();
        trial.abandon().unwrap();
        assert_eq!(trial.outcome(), Outcome::None);
    }

    #[test]
    fn a_watch_is_held_by_one() {
        let folder = tempfile::tempdir().unwrap();
        let trial = Trial::open(folder.path()).unwrap();
        let held = trial.watch().unwrap();
        assert!(matches!(trial.watch(), Err(TrialError::UnderWay)));
        drop(held);
        drop(trial.watch().unwrap());
        assert!(!trial.is_armed());
        trial.arm().unwrap();
        assert!(trial.is_armed());
        trial.begin("x").unwrap();
        assert!(!trial.is_armed(), "an earlier watch says nothing of this one");
    }

    #[test]
    fn a_folder_that_others_can_write_to_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
        assert!(matches!(Trial::open(folder.path()), Err(TrialError::Foreign(_))));
    }
}
