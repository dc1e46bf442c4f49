//! Walks a folder by file descriptors: every step is opened below the root itself, so that no symbolic link, no mount and no renamed folder leads
//! out of it, whatever others do meanwhile.
//!
//! The kernel's `openat2` sees to that. Where there is none (before Linux 5.6, or forbidden), each step is opened without following links, and
//! devices and mount points are compared.

use std::{
    collections::HashSet,
    ffi::OsStr,
    io,
    ops::ControlFlow,
    os::{
        fd::{AsFd, OwnedFd},
        unix::ffi::OsStrExt,
    },
    path::{Path, PathBuf},
};

use rustix::{
    fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat, openat2, statat},
    io::Errno,
};

use super::mounts;

/// Folders that wait to be walked: beyond that, a tree is not walked to its end.
const MAX_WAITING: usize = 100_000;
/// Deepest folder below a root.
const MAX_DEPTH: usize = 64;
const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// How folders below a root are opened.
#[derive(Debug)]
enum Opening {
    /// By one call that stays below the root.
    Resolved,
    /// Step by step; where something is mounted below the root.
    Stepwise(HashSet<PathBuf>),
}

/// A root that is held open.
#[derive(Debug)]
pub(super) struct Root {
    fd: OwnedFd,
    path: PathBuf,
    device: u64,
    opening: Opening,
}

impl Root {
    /// Opens a root. Its path must be the real one: a symbolic link in it is an error.
    pub(super) fn open(path: &Path, host_root: &Path) -> io::Result<Self> {
        let resolve = ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        match openat2(CWD, path, FOLDER, Mode::empty(), resolve) {
            Ok(fd) => Self::of(fd, path, Opening::Resolved),
            Err(Errno::NOSYS | Errno::PERM | Errno::INVAL) => Self::open_stepwise(path, host_root),
            Err(error) => Err(error.into()),
        }
    }

    /// The same without `openat2`.
    pub(super) fn open_stepwise(path: &Path, host_root: &Path) -> io::Result<Self> {
        if std::fs::canonicalize(path)? != path {
            return Err(io::Error::other("its path leads over a symbolic link"));
        }
        let mounted = mounts::read(host_root)?.into_iter().map(|mount| mount.path);
        let below = mounted.filter(|mount| mount != path && mount.starts_with(path)).collect();
        Self::of(openat(CWD, path, FOLDER, Mode::empty())?, path, Opening::Stepwise(below))
    }

    fn of(fd: OwnedFd, path: &Path, opening: Opening) -> io::Result<Self> {
        let device = fstat(&fd)?.st_dev;
        Ok(Self { fd, path: path.to_owned(), device, opening })
    }

    /// Its device.
    pub(super) const fn device(&self) -> u64 {
        self.device
    }

    /// Its room.
    pub(super) fn space(&self) -> io::Result<super::space::Space> {
        Ok(super::space::Space::of(&rustix::fs::fstatvfs(&self.fd)?))
    }

    /// A folder below it, by its relative path; an empty one is the root itself.
    ///
    /// # Errors
    /// When it is not there, or there is a link or a mount on the way (`XDEV`, `LOOP`, `NOTDIR`).
    pub(super) fn folder(&self, relative: &[u8]) -> Result<OwnedFd, Errno> {
        let path = if relative.is_empty() { b".".as_slice() } else { relative };
        match &self.opening {
            Opening::Resolved => {
                let resolve = ResolveFlags::BENEATH
                    | ResolveFlags::NO_SYMLINKS
                    | ResolveFlags::NO_MAGICLINKS
                    | ResolveFlags::NO_XDEV;
                openat2(&self.fd, path, FOLDER, Mode::empty(), resolve)
            }
            Opening::Stepwise(mounted) => self.step_by_step(path, mounted),
        }
    }

    fn step_by_step(&self, path: &[u8], mounted: &HashSet<PathBuf>) -> Result<OwnedFd, Errno> {
        let mut at = openat(&self.fd, ".", FOLDER, Mode::empty())?;
        let mut whole = self.path.clone();
        for step in path.split(|byte| *byte == b'/').filter(|step| !step.is_empty() && *step != b".") {
            if step == b".." {
                return Err(Errno::XDEV);
            }
            whole.push(OsStr::from_bytes(step));
            at = openat(&at, step, FOLDER, Mode::empty())?;
            if mounted.contains(&whole) || fstat(&at)?.st_dev != self.device {
                return Err(Errno::XDEV);
            }
        }
        Ok(at)
    }

    /// The path of something below it, for people.
    pub(super) fn shown(&self, folder: &[u8], name: &[u8]) -> PathBuf {
        self.path.join(OsStr::from_bytes(&joined(folder, name)))
    }
}

/// A relative path.
pub(super) fn joined(folder: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = folder.to_vec();
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(name);
    path
}

/// Something that the walk came by.
pub(super) struct Found<'a> {
    /// Its folder below the root.
    pub(super) folder: &'a [u8],
    /// Its name there.
    pub(super) name: &'a [u8],
    /// What it is, by the folder's own descriptor; links are not followed.
    pub(super) stat: Stat,
}

impl Found<'_> {
    pub(super) fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.stat.st_mode)
    }
}

/// What a walk left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct LeftOut {
    /// Folders on which something else is mounted.
    pub(super) mounts: u64,
    /// Folders and files that could not be looked at.
    pub(super) unreadable: u64,
    /// Whether there were too many folders, or they were too deep.
    pub(super) is_cut: bool,
}

/// Walks all that lies below a root, folders before what is in them. Memory does not grow with files.
pub(super) fn walk(root: &Root, visit: &mut dyn FnMut(&Found<'_>) -> ControlFlow<()>) -> LeftOut {
    let mut left_out = LeftOut::default();
    let mut waiting: Vec<(Vec<u8>, usize)> = vec![(Vec::new(), 0)];
    while let Some((folder, depth)) = waiting.pop() {
        let fd = match root.folder(&folder) {
            Ok(fd) => fd,
            Err(Errno::XDEV) => {
                left_out.mounts += 1;
                continue;
            }
            // Taken away meanwhile, or it is a link now: there is nothing to walk.
            Err(Errno::NOENT | Errno::LOOP | Errno::NOTDIR) if !folder.is_empty() => continue,
            Err(_) => {
                left_out.unreadable += 1;
                continue;
            }
        };
        let Ok(mut entries) = Dir::read_from(&fd) else {
            left_out.unreadable += 1;
            continue;
        };
        while let Some(entry) = entries.read() {
            let Ok(entry) = entry else {
                left_out.unreadable += 1;
                break;
            };
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            let stat = match statat(fd.as_fd(), name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(_) => {
                    left_out.unreadable += 1;
                    continue;
                }
            };
            let found = Found { folder: &folder, name: name.to_bytes(), stat };
            if visit(&found).is_break() {
                return left_out;
            }
            if found.kind() != FileType::Directory {
                continue;
            }
            if depth >= MAX_DEPTH || waiting.len() >= MAX_WAITING {
                left_out.is_cut = true;
                continue;
            }
            waiting.push((joined(&folder, name.to_bytes()), depth + 1));
        }
    }
    left_out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(root: &Root) -> Vec<String> {
        let mut names = Vec::new();
        let left_out = walk(root, &mut |found| {
            names.push(String::from_utf8_lossy(&joined(found.folder, found.name)).into_owned());
            ControlFlow::Continue(())
        });
        assert_eq!(left_out, LeftOut::default());
        names.sort();
        names
    }

    #[test]
    fn a_walk_stays_below_its_root_however_folders_are_opened() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let (inside, outside) = (base.join("root"), base.join("outside"));
        std::fs::create_dir_all(inside.join("a/b")).unwrap();
        std::fs::create_dir_all(outside.join("deep")).unwrap();
        std::fs::write(outside.join("kept"), "x").unwrap();
        std::fs::write(inside.join("a/b/c.log.1"), "x").unwrap();
        std::fs::write(inside.join("a/with\n\"quotes'"), "x").unwrap();
        std::os::unix::fs::symlink(&outside, inside.join("link")).unwrap();
        std::os::unix::fs::symlink(&outside, base.join("root-link")).unwrap();
        let want = ["a", "a/b", "a/b/c.log.1", "a/with\n\"quotes'", "link"];
        for root in [
            Root::open(&inside, Path::new("/")).unwrap(),
            Root::open_stepwise(&inside, Path::new("/")).unwrap(),
        ] {
            assert_eq!(names(&root), want);
            for (path, is_there) in [
                (b"a/b".as_slice(), true),
                (b"", true),
                (b"link", false),
                (b"link/deep", false),
                (b"..", false),
                (b"a/../../outside", false),
                (b"/etc", false),
            ] {
                let opened = root.folder(path);
                assert_eq!(opened.is_ok(), is_there, "{}: {opened:?}", String::from_utf8_lossy(path));
            }
        }
        assert!(Root::open(&base.join("root-link"), Path::new("/")).is_err());
        assert!(Root::open_stepwise(&base.join("root-link"), Path::new("/")).is_err());
    }

    #[test]
    fn a_folder_that_became_a_link_is_not_entered() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path().canonicalize().unwrap();
        let inside = base.join("root");
        std::fs::create_dir_all(inside.join("a")).unwrap();
        let root = Root::open(&inside, Path::new("/")).unwrap();
        assert!(root.folder(b"a").is_ok());
        std::fs::remove_dir(inside.join("a")).unwrap();
        std::os::unix::fs::symlink("/etc", inside.join("a")).unwrap();
        assert!(matches!(root.folder(b"a"), Err(Errno::LOOP | Errno::NOTDIR)));
        // The root itself, moved away and replaced, is still the one that was opened.
        std::fs::rename(&inside, base.join("moved")).unwrap();
        std::os::unix::fs::symlink("/etc", &inside).unwrap();
        assert_eq!(names(&root), ["a"]);
    }
}
