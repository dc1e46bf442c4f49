//! Which files processes have open, by `/proc/*/fd`: they are not deleted. Those that were deleted and are still open take room that no cleaning
//! gives back: they are named.

use std::{
    collections::HashSet,
    os::fd::AsFd,
    path::{Path, PathBuf},
    time::Duration,
};

use rustix::{
    fs::{AtFlags, Dir, FileType, Mode, OFlags, StatxFlags, makedev, openat, readlinkat, statx},
    io::Errno,
};
use serde::Serialize;
use tokio::time::Instant;

/// Most open files that are looked at.
const MAX_OPEN: usize = 400_000;
/// Longest look.
const WITHIN: Duration = Duration::from_secs(10);
/// Deleted files that are named, the largest first.
const NAMED: usize = 20;
/// Smaller ones are not worth a line, in bytes.
const WORTH: u64 = 1 << 20;
/// Longest path that is shown, in characters.
const MAX_PATH: usize = 300;

/// A file that has no name any more, and room all the same: a process has it open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DeletedOpen {
    /// The process.
    pub pid: u32,
    /// Its name.
    pub process: String,
    /// What the file was called, as the process saw it.
    pub path: PathBuf,
    /// The room it takes, in bytes.
    pub bytes: u64,
    /// Device and inode.
    #[serde(skip)]
    pub file: (u64, u64),
}

/// Who has what open.
#[derive(Clone, Debug, Default)]
pub(super) struct OpenFiles {
    /// Device and inode of each open file, of the devices that were asked for.
    files: HashSet<(u64, u64)>,
    /// The largest deleted ones.
    pub(super) deleted: Vec<DeletedOpen>,
    /// Processes that could not be looked at.
    pub(super) unseen: usize,
    /// Whether there were more open files, or it took longer, than is looked at.
    pub(super) is_cut: bool,
}

impl OpenFiles {
    /// Looks at every process. `devices`: whose files are remembered.
    pub(super) fn read(host_root: &Path, devices: &[u64]) -> Self {
        let mut found = Self::default();
        let proc = host_root.join("proc");
        let Ok(processes) = std::fs::read_dir(&proc) else {
            found.is_cut = true;
            return found;
        };
        let mut reader = Reader { devices, began: Instant::now(), looked_at: 0, found: &mut found };
        for process in processes.flatten() {
            let name = process.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else { continue };
            match reader.process(&process.path(), pid) {
                Ok(()) => {}
                // It ended meanwhile.
                Err(Errno::NOENT | Errno::SRCH) => {}
                Err(_) => reader.found.unseen += 1,
            }
            if reader.is_over() {
                reader.found.is_cut = true;
                break;
            }
        }
        found.deleted.sort_by_key(|deleted| std::cmp::Reverse(deleted.bytes));
        found.deleted.truncate(NAMED);
        found
    }

    /// Whether somebody has a file open.
    pub(super) fn has(&self, device: u64, inode: u64) -> bool {
        self.files.contains(&(device, inode))
    }

    /// Whether every process was seen: otherwise nobody knows what else is open.
    pub(super) const fn is_whole(&self) -> bool {
        self.unseen == 0 && !self.is_cut
    }
}

struct Reader<'a> {
    devices: &'a [u64],
    began: Instant,
    looked_at: usize,
    found: &'a mut OpenFiles,
}

impl Reader<'_> {
    fn is_over(&self) -> bool {
        self.looked_at >= MAX_OPEN || self.began.elapsed() >= WITHIN
    }

    fn process(&mut self, folder: &Path, pid: u32) -> Result<(), Errno> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let fds = openat(rustix::fs::CWD, folder.join("fd"), flags, Mode::empty())?;
        let mut entries = Dir::read_from(&fds)?;
        while let Some(entry) = entries.read() {
            let entry = entry?;
            let name = entry.file_name();
            if name.to_bytes().first() == Some(&b'.') {
                continue;
            }
            self.looked_at += 1;
            if self.is_over() {
                return Ok(());
            }
            // It may be closed meanwhile.
            let Ok(target) = readlinkat(&fds, name, Vec::new()) else { continue };
            let target = target.to_bytes();
            let is_file = target.first() == Some(&b'/')
                && ![b"/dev/".as_slice(), b"/proc/", b"/sys/"].iter().any(|other| target.starts_with(other));
            if is_file {
                self.file(fds.as_fd(), name, target, pid, folder);
            }
        }
        Ok(())
    }

    fn file(
        &mut self,
        fds: std::os::fd::BorrowedFd<'_>,
        name: &std::ffi::CStr,
        target: &[u8],
        pid: u32,
        folder: &Path,
    ) {
        // What is known already, without asking a disk far away that may be gone.
        let Ok(stat) = statx(fds, name, AtFlags::STATX_DONT_SYNC, StatxFlags::BASIC_STATS) else { return };
        if FileType::from_raw_mode(u32::from(stat.stx_mode)) != FileType::RegularFile {
            return;
        }
        let device = makedev(stat.stx_dev_major, stat.stx_dev_minor);
        if self.devices.contains(&device) {
            self.found.files.insert((device, stat.stx_ino));
        }
        let bytes = stat.stx_blocks.saturating_mul(512);
        let file = (device, stat.stx_ino);
        let is_known = || self.found.deleted.iter().any(|known| known.file == file);
        if stat.stx_nlink > 0 || bytes < WORTH || target.starts_with(b"/memfd:") || is_known() {
            return;
        }
        let path = target.strip_suffix(b" (deleted)").unwrap_or(target);
        let path: String = String::from_utf8_lossy(path).chars().take(MAX_PATH).collect();
        let process = std::fs::read_to_string(folder.join("comm")).unwrap_or_default().trim().to_owned();
        self.found.deleted.push(DeletedOpen { pid, process, path: path.into(), bytes, file });
        if self.found.deleted.len() > NAMED * 8 {
            self.found.deleted.sort_by_key(|deleted| std::cmp::Reverse(deleted.bytes));
            self.found.deleted.truncate(NAMED);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, os::unix::fs::MetadataExt};

    use super::*;

    #[test]
    fn what_is_open_is_known_and_what_was_deleted_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let held = std::fs::File::create(folder.path().join("held")).unwrap();
        std::fs::write(folder.path().join("closed"), "x").unwrap();
        let closed = std::fs::metadata(folder.path().join("closed")).unwrap();
        let mut gone = std::fs::File::create(folder.path().join("gone")).unwrap();
        gone.write_all(&vec![1; 3 << 20]).unwrap();
        gone.sync_all().unwrap();
        std::fs::remove_file(folder.path().join("gone")).unwrap();
        let held = held.metadata().map(|data| (held, data)).unwrap().1;
        // This process alone: others may have larger ones.
        let proc = folder.path().join("proc");
        std::fs::create_dir(&proc).unwrap();
        let pid = std::process::id().to_string();
        std::os::unix::fs::symlink(format!("/proc/{pid}"), proc.join(pid)).unwrap();
        let open = OpenFiles::read(folder.path(), &[held.dev()]);
        assert!(!open.has(closed.dev(), closed.ino()));
        let deleted = open.deleted.iter().find(|deleted| deleted.path.ends_with("gone")).unwrap();
        assert_eq!(deleted.pid, std::process::id());
        assert!(deleted.bytes >= 3 << 20 && !deleted.process.is_empty(), "{deleted:?}");
    }

    #[test]
    fn a_file_is_open_as_long_as_it_is_held() {
        let folder = tempfile::tempdir().unwrap();
        let held = std::fs::File::create(folder.path().join("held")).unwrap();
        let data = held.metadata().unwrap();
        let is_open = || OpenFiles::read(Path::new("/"), &[data.dev()]).has(data.dev(), data.ino());
        assert!(is_open());
        // Of another device nothing is remembered.
        assert!(!OpenFiles::read(Path::new("/"), &[]).has(data.dev(), data.ino()));
        drop(held);
        assert!(!is_open());
    }

    #[test]
    fn without_processes_nothing_is_known() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!OpenFiles::read(folder.path(), &[]).is_whole());
    }
}
