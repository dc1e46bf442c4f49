//! What a backup needs of the two files: copies taken while the service writes, and a look into a copy.
//!
//! The ledger is copied before the journal: at a start the journal is read back into the ledger, so a journal that is the newer of the two loses
//! nothing.

use std::path::{Path, PathBuf};

use super::{
    LedgerError,
    database::{
        Step,
        snapshot::{self, Inspection},
    },
    journal, query,
};

/// One of the two files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Store {
    /// `ledger.db`
    Ledger,
    /// `journal.db`
    Journal,
}

impl Store {
    /// Both, in the order in which they are copied.
    pub const ALL: [Self; 2] = [Self::Ledger, Self::Journal];

    /// The file's name in `data_dir`.
    pub const fn file(self) -> &'static str {
        match self {
            Self::Ledger => "ledger.db",
            Self::Journal => "journal.db",
        }
    }

    /// The newest schema that this version knows.
    pub fn schema(self) -> i64 {
        let steps: &[Step] = match self {
            Self::Ledger => query::STEPS,
            Self::Journal => &journal::STEPS,
        };
        steps.iter().map(|step| step.version).max().unwrap_or(0)
    }

    /// The file in a folder, and what SQLite keeps beside it, which is part of it.
    pub fn with_companions(self, folder: &Path) -> [PathBuf; 3] {
        let file = self.file();
        // The log of the last writes first: a database must never be met by another one's.
        [format!("{file}-wal"), format!("{file}-shm"), file.to_owned()].map(|name| folder.join(name))
    }

    /// Bytes on the disk, with what was not yet written into the file itself.
    pub fn bytes(self, folder: &Path) -> u64 {
        let sizes =
            self.with_companions(folder).map(|path| std::fs::metadata(path).map_or(0, |data| data.len()));
        sizes.iter().sum()
    }
}

/// Copies one of the files of a folder into a file that is not there yet, also while a service writes it: it is not held. `go_on` is asked often, on a
/// thread of the database's own, and may pause; once it says no, the copy fails.
///
/// # Errors
/// When the file cannot be read or the copy cannot be written.
pub async fn copy_store(
    store: Store,
    data_dir: &Path,
    to: &Path,
    go_on: impl FnMut() -> bool + Send + 'static,
) -> Result<(), LedgerError> {
    snapshot::copy(&data_dir.join(store.file()), to, go_on).await
}

/// Looks into a copy: its schema, its rows, and where `thoroughly` whether all of it is sound.
///
/// # Errors
/// When it is no database, or cannot be read.
pub async fn inspect_store(
    path: &Path,
    thoroughly: bool,
    go_on: impl FnMut() -> bool + Send + 'static,
) -> Result<Inspection, LedgerError> {
    snapshot::inspect(path, thoroughly, go_on).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ledger::{Journal, Ledger};

    #[tokio::test]
    async fn both_files_are_copied_beside_their_writers() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        let journal = Journal::open(folder.path(), 0).await.unwrap();
        for store in Store::ALL {
            let to = folder.path().join(format!("{}.copy", store.file()));
            copy_store(store, folder.path(), &to, || true).await.unwrap();
            let found = inspect_store(&to, true, || true).await.unwrap();
            assert_eq!((found.damage, found.schema), (None, store.schema()));
            assert!(store.schema() > 0 && store.bytes(folder.path()) > 0);
        }
        ledger.shut().await;
        journal.shut().await;
    }
}
