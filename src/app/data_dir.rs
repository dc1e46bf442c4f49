//! The folder of the ledger, the journal and the admin token: for its owner alone, and for one process at a time.
//!
//! Signed blocks, searchers' private transactions and the admin token lie there, so nobody else on the machine may read it: the folder is
//! made 0700 and its files 0600, and what an earlier version left open is tightened at start. Two processes in one folder would submit
//! each other's blocks again and mix two ledgers: the second is refused by an advisory lock, which the system gives back however the first
//! one ends.

use std::{
    fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    path::Path,
};

use tracing::{info, warn};

use super::alerting::KEY_FILE;

const LOCK_FILE: &str = "relaymux.lock";
/// Files of ours begin so; what else lies in the folder is left alone. Copies and files moved aside begin with the name of the original.
const OUR_FILES: [&str; 5] = ["ledger.db", "journal.db", "admin.token", KEY_FILE, LOCK_FILE];
/// Read, write and enter, for group and others.
const OPEN_TO_OTHERS: u32 = 0o077;
/// The sticky bit: a folder that is shared on purpose, as `/tmp`.
const SHARED: u32 = 0o1000;
/// Most bytes read of the lock file.
const MAX_HOLDER_BYTES: u64 = 200;

/// Holds the folder as long as it lives.
#[derive(Debug)]
pub(super) struct DataDirLock {
    _file: File,
}

/// Why the folder's lock is not to be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum LockError {
    /// Another process has it; what it wrote of itself.
    #[error("in use by another relaymux ({0})")]
    InUse(String),
    /// The lock file cannot be opened, or the filesystem has no locks.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Makes the folder, if it is missing, readable by its owner alone.
///
/// # Errors
/// When it cannot be made.
pub(super) fn make_data_dir(data_dir: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(data_dir)
}

/// Takes the folder for this process and this network.
///
/// # Errors
/// When another process has it, or it cannot be known whether one has.
pub(super) fn lock_data_dir(data_dir: &Path, network: &str) -> Result<DataDirLock, LockError> {
    let path = data_dir.join(LOCK_FILE);
    let mut file =
        OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let mut before = String::new();
    // Whatever is in the file is for people to read: it decides nothing.
    let _ = (&file).take(MAX_HOLDER_BYTES).read_to_string(&mut before);
    let before = before.trim();
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let holder = if before.is_empty() { "its pid is not known" } else { before };
            return Err(LockError::InUse(holder.to_owned()));
        }
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    if let Some((_, network_before)) = before.split_once("network ")
        && network_before != network
    {
        warn!(
            data_dir = %data_dir.display(), before = network_before, now = network,
            "this data_dir was last used for another network, and its ledger is left alone: give each network a data_dir of its own"
        );
    }
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "pid {}, network {network}", std::process::id())?;
    Ok(DataDirLock { _file: file })
}

/// Takes the folder and our files in it from everybody but their owner, and says so in the log. What cannot be changed is said, too.
pub(super) fn tighten_data_dir(data_dir: &Path) {
    match fs::metadata(data_dir) {
        Ok(folder) if folder.mode() & SHARED != 0 => {
            warn!(data_dir = %data_dir.display(), "data_dir is a shared folder: give the ledger one of its own");
        }
        Ok(_) => tighten(data_dir, 0o700),
        Err(_) => return,
    }
    let Ok(entries) = fs::read_dir(data_dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let is_ours =
            name.to_str().is_some_and(|name| OUR_FILES.iter().any(|prefix| name.starts_with(prefix)));
        // A link's target is not ours to change.
        if is_ours && entry.file_type().is_ok_and(|kind| kind.is_file()) {
            tighten(&entry.path(), 0o600);
        }
    }
}

fn tighten(path: &Path, mode: u32) {
    let Ok(before) = fs::metadata(path).map(|data| data.mode() & 0o777) else { return };
    if before & OPEN_TO_OTHERS == 0 {
        return;
    }
    let (before, after) = (format!("{before:04o}"), format!("{mode:04o}"));
    match fs::set_permissions(path, Permissions::from_mode(mode)) {
        Ok(()) => {
            info!(path = %path.display(), before, after, "was readable by others, is its owner's alone now")
        }
        Err(error) => {
            warn!(path = %path.display(), before, %error, "others on this machine may read this: its mode cannot be changed");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().mode() & 0o777
    }

    #[test]
    fn one_holder_at_a_time_and_the_second_is_told_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = lock_data_dir(folder.path(), "hoodi").unwrap();
        let LockError::InUse(holder) = lock_data_dir(folder.path(), "hoodi").unwrap_err() else {
            panic!("the lock is held")
        };
        assert_eq!(holder, format!("pid {}, network hoodi", std::process::id()));
        drop(first);
        lock_data_dir(folder.path(), "hoodi").unwrap();
    }

    #[test]
    fn a_lock_file_that_a_dead_process_left_holds_nobody_up() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(LOCK_FILE), [0xff, 0xfe, 0]).unwrap();
        lock_data_dir(folder.path(), "mainnet").unwrap();
    }

    #[test]
    fn what_is_ours_is_tightened_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let data = folder.path().join("a/b");
        make_data_dir(&data).unwrap();
        assert_eq!(mode(&data), 0o700);
        fs::set_permissions(&data, Permissions::from_mode(0o755)).unwrap();
        let ours = ["ledger.db", "ledger.db-wal", "ledger.db.before-7", "journal.db-shm", "admin.token"];
        for name in ours.into_iter().chain(["prices.csv"]) {
            fs::write(data.join(name), "x").unwrap();
            fs::set_permissions(data.join(name), Permissions::from_mode(0o644)).unwrap();
        }
        std::os::unix::fs::symlink(data.join("prices.csv"), data.join("ledger.db.link")).unwrap();
        tighten_data_dir(&data);
        assert_eq!(mode(&data), 0o700);
        for name in ours {
            assert_eq!(mode(&data.join(name)), 0o600, "{name}");
        }
        assert_eq!(mode(&data.join("prices.csv")), 0o644);
    }

    #[test]
    fn a_shared_folder_stays_shared() {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), Permissions::from_mode(0o1777)).unwrap();
        tighten_data_dir(folder.path());
        assert_eq!(mode(folder.path()), 0o777);
    }
}
