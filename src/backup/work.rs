//! Folders for work that is not done yet, beside what it will become: whoever is killed leaves one, and whoever comes next removes it.
//!
//! A lock says whether somebody is at work in one: it ends with the process, however that ends.

use std::{
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
};

use super::{BackupError, disk::Disk};

const PREFIX: &str = ".relaymux-work-";
const LOCK: &str = "lock";
/// Most leftovers that are looked at.
const MAX_LEFT: usize = 1_000;

/// A folder of one's own; removed with all that is in it when it is dropped.
#[derive(Debug)]
pub(super) struct WorkFolder {
    path: PathBuf,
    disk: Disk,
    _lock: File,
}

impl WorkFolder {
    /// Makes one in a folder, after what others left there is removed.
    pub(super) fn make(parent: &Path, disk: &Disk) -> Result<Self, BackupError> {
        remove_left(parent, disk);
        let path = parent.join(format!("{PREFIX}{:016x}", rand::random::<u64>()));
        disk.make_folder(&path)?;
        let lock = disk.make_file(&path.join(LOCK))?;
        // Where there are no locks, nobody can tell that it is in use, and nobody removes it.
        let _ = lock.try_lock();
        Ok(Self { path, disk: disk.clone(), _lock: lock })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for WorkFolder {
    fn drop(&mut self) {
        if let Err(error) = self.disk.remove_folder(&self.path) {
            tracing::warn!(%error, "a folder of a backup's work stays; the next backup removes it");
        }
    }
}

/// Removes the folders of those who did not come to their end.
fn remove_left(parent: &Path, disk: &Disk) {
    let Ok(entries) = std::fs::read_dir(parent) else { return };
    for entry in entries.flatten().take(MAX_LEFT) {
        let is_work = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        // A link's target is nobody's work.
        if !is_work || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let lock = OpenOptions::new().read(true).write(true).open(entry.path().join(LOCK));
        let is_in_use = match &lock {
            Ok(lock) => lock.try_lock().is_err(),
            // It was killed before it had one, or has it only now: made within this moment, it is not ours to remove.
            Err(_) => entry.metadata().is_ok_and(|data| is_fresh(&data)),
        };
        if !is_in_use && let Err(error) = disk.remove_folder(&entry.path()) {
            tracing::warn!(%error, "a folder that an earlier backup left cannot be removed");
        }
    }
}

/// Whether something was made in the last minute, by the disk's own clock as far as there is one.
fn is_fresh(data: &std::fs::Metadata) -> bool {
    data.modified().ok().and_then(|made| made.elapsed().ok()).is_none_or(|age| age.as_secs() < 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_use_stays_and_what_was_left_goes() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::default();
        let names = || std::fs::read_dir(folder.path()).unwrap().count();
        let mine = WorkFolder::make(folder.path(), &disk).unwrap();
        std::fs::write(mine.path().join("a"), "x").unwrap();
        // Somebody who was killed.
        let killed = WorkFolder::make(folder.path(), &disk).unwrap();
        let left = killed.path().to_owned();
        let WorkFolder { _lock: lock, .. } = &killed;
        lock.unlock().unwrap();
        std::mem::forget(killed);
        std::fs::write(folder.path().join(".relaymux-work-file"), "not a folder").unwrap();
        assert_eq!(names(), 3);
        let third = WorkFolder::make(folder.path(), &disk).unwrap();
        assert!(mine.path().join("a").exists() && !left.exists());
        drop((mine, third));
        assert_eq!(names(), 1);
    }
}
