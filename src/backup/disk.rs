//! Everything that changes a folder, step by step: each either has happened or has not when the process is killed.
//!
//! A test lets the disk end after any number of steps, as a kill does: nothing more is done then, not even tidying up.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::BackupError;

/// Room that is left on a disk in any case, in bytes.
const SPARE: u64 = 64 << 20;

/// The disk, or a test's that ends.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk {
    #[cfg(test)]
    steps_left: Option<std::sync::Arc<std::sync::atomic::AtomicUsize>>,
}

impl Disk {
    /// A disk that does so many steps and no more.
    #[cfg(test)]
    pub(super) fn that_ends_after(steps: usize) -> Self {
        Self { steps_left: Some(std::sync::Arc::new(steps.into())) }
    }

    #[cfg(test)]
    fn step(&self) -> io::Result<()> {
        use std::sync::atomic::Ordering::SeqCst;
        let Some(left) = &self.steps_left else { return Ok(()) };
        let went = left.fetch_update(SeqCst, SeqCst, |left| left.checked_sub(1));
        went.map(|_| ()).map_err(|_| io::Error::other("killed"))
    }

    #[cfg(not(test))]
    const fn step(&self) -> io::Result<()> {
        Ok(())
    }

    /// Makes a folder and those above it, for its owner alone.
    pub(super) fn make_folder(&self, path: &Path) -> Result<(), BackupError> {
        self.step()
            .and_then(|()| DirBuilder::new().recursive(true).mode(0o700).create(path))
            .map_err(BackupError::at(path))
    }

    /// A new file for its owner alone.
    pub(super) fn make_file(&self, path: &Path) -> Result<File, BackupError> {
        let made = || OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path);
        self.step().and_then(|()| made()).map_err(BackupError::at(path))
    }

    /// Presses a file onto the disk.
    pub(super) fn sync(&self, path: &Path) -> Result<(), BackupError> {
        self.step().and_then(|()| File::open(path)?.sync_all()).map_err(BackupError::at(path))
    }

    /// Gives a file another name, in the place of whatever has it.
    pub(super) fn rename(&self, from: &Path, to: &Path) -> Result<(), BackupError> {
        self.step().and_then(|()| fs::rename(from, to)).map_err(BackupError::at(to))
    }

    /// Gives a file a name that nothing has yet.
    pub(super) fn rename_new(&self, from: &Path, to: &Path) -> Result<(), BackupError> {
        // A link fails where there is something, which no rename on every filesystem does. Where there are no links, whoever holds the folder sees to it.
        let linked = || match fs::hard_link(from, to) {
            Ok(()) => fs::remove_file(from),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
            Err(_) if to.symlink_metadata().is_ok() => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => fs::rename(from, to),
        };
        self.step().and_then(|()| linked()).map_err(BackupError::at(to))
    }

    /// Removes a file, if it is there.
    pub(super) fn remove(&self, path: &Path) -> Result<(), BackupError> {
        let removed = || match fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        };
        self.step().and_then(|()| removed()).map_err(BackupError::at(path))
    }

    /// Removes a folder of ours with all that is in it, if it is there. Links in it are removed, and not followed.
    pub(super) fn remove_folder(&self, path: &Path) -> Result<(), BackupError> {
        let removed = || match fs::remove_dir_all(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            Ok(()) | Err(_) => Ok(()),
        };
        self.step().and_then(|()| removed()).map_err(BackupError::at(path))
    }

    /// Writes a small file whole in the place of what was there.
    pub(super) fn write_whole(&self, path: &Path, contents: &[u8]) -> Result<(), BackupError> {
        let aside = with_end(path, ".writing");
        self.remove(&aside)?;
        let mut file = self.make_file(&aside)?;
        self.step()
            .and_then(|()| io::Write::write_all(&mut file, contents))
            .map_err(BackupError::at(&aside))?;
        self.sync(&aside)?;
        self.rename(&aside, path)?;
        self.sync(folder_of(path))
    }
}

/// A path with something behind its last name.
pub(super) fn with_end(path: &Path, end: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(end);
    PathBuf::from(name)
}

/// The folder that a file is in.
pub(super) fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Whether a folder's disk has room for so many bytes, with some to spare.
pub(super) fn check_room(folder: &Path, bytes: u64) -> Result<(), BackupError> {
    let disk = rustix::fs::statvfs(folder).map_err(io::Error::from).map_err(BackupError::at(folder))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let needed = bytes.saturating_add(SPARE);
    if free < needed {
        return Err(BackupError::NoRoom { path: folder.to_owned(), needed, free });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_ends_for_good() {
        let folder = tempfile::tempdir().unwrap();
        let disk = Disk::that_ends_after(1);
        disk.make_folder(&folder.path().join("a")).unwrap();
        disk.make_folder(&folder.path().join("b")).unwrap_err();
        disk.make_folder(&folder.path().join("c")).unwrap_err();
        assert!(folder.path().join("a").exists() && !folder.path().join("b").exists());
    }

    #[test]
    fn nothing_is_written_over_by_a_new_name() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        fs::write(&a, "new").unwrap();
        fs::write(&b, "there").unwrap();
        Disk::default().rename_new(&a, &b).unwrap_err();
        assert_eq!(fs::read(&b).unwrap(), b"there");
        Disk::default().rename_new(&a, &folder.path().join("c")).unwrap();
        assert!(!a.exists() && folder.path().join("c").exists());
    }

    #[test]
    fn a_full_disk_is_seen_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        check_room(folder.path(), 1).unwrap();
        let said = check_room(folder.path(), u64::MAX / 2).unwrap_err().to_string();
        assert!(said.contains("are needed"), "{said}");
    }
}
