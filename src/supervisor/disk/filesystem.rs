//! One look at a filesystem: its room, whether it can be written, where it is mounted and on what device.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{mounts, space::Space};

/// A filesystem as one look found it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FilesystemSeen {
    /// Its room.
    #[serde(flatten)]
    pub space: Space,
    /// Where it is mounted; empty where that cannot be told.
    pub mount_point: PathBuf,
    /// What is mounted there, such as `/dev/sda1`.
    pub source: String,
    /// `ext4`, `xfs`, `zfs`.
    pub filesystem: String,
    /// Numbers of its device, such as `8:1`.
    pub device: String,
}

/// Looks. May hang for as long as the filesystem does: not for a thread that others wait for.
///
/// # Errors
/// When the folder is not there, or cannot be reached.
pub(super) fn look(path: &Path, host_root: &Path) -> io::Result<FilesystemSeen> {
    let path = std::fs::canonicalize(path)?;
    let space = Space::of(&rustix::fs::statvfs(&path)?);
    // Whoever cannot read the list still knows the room.
    let mounts = mounts::read(host_root).unwrap_or_default();
    let mount = mounts::of(&mounts, &path);
    let text = |of: fn(&mounts::MountPoint) -> &String| mount.map(of).cloned().unwrap_or_default();
    Ok(FilesystemSeen {
        space,
        mount_point: mount.map(|mount| mount.path.clone()).unwrap_or_default(),
        source: text(|mount| &mount.source),
        filesystem: text(|mount| &mount.kind),
        device: text(|mount| &mount.device),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_shows_its_filesystem() {
        let folder = tempfile::tempdir().unwrap();
        let seen = look(folder.path(), Path::new("/")).unwrap();
        assert!(seen.space.total_bytes > 0 && !seen.space.read_only, "{seen:?}");
        assert!(folder.path().canonicalize().unwrap().starts_with(&seen.mount_point), "{seen:?}");
        assert!(!seen.filesystem.is_empty() && seen.device.contains(':'), "{seen:?}");
        assert!(look(&folder.path().join("none"), Path::new("/")).is_err());
    }
}
