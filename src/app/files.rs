//! Files that are written whole: whoever reads one, also after a crash, finds the old contents or the new and never half of them.

use std::{
    fs::{File, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

/// Writes a file with a mode, less the umask, in the place of what was there.
///
/// # Errors
/// When it cannot be written; what was there is untouched then.
pub(crate) fn write_whole(path: &Path, contents: &[u8], mode: u32) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(".relaymux-")
        .permissions(Permissions::from_mode(mode))
        .tempfile_in(folder)?;
    file.write_all(contents)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    // The name is in the folder, which the disk keeps for itself.
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_nothing_is_left_beside_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        std::fs::write(&path, "longer than what comes").unwrap();
        write_whole(&path, b"new", 0o600).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
        // A folder cannot be replaced by a file: what was there stays, and no half file beside it.
        std::fs::create_dir_all(folder.path().join("b/c")).unwrap();
        write_whole(&folder.path().join("b"), b"new", 0o600).unwrap_err();
        assert!(folder.path().join("b/c").exists());
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
