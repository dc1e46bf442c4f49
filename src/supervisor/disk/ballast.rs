//! The ballast: a file that is made to be deleted when nothing else is left, so that databases can write what they need to close.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::{MetadataExt, OpenOptionsExt},
};

use rustix::fs::{FallocateFlags, OFlags, fallocate};

use super::settings::BallastSettings;

/// Whether it is there: a regular file with one name, of its size or nearly.
pub(super) fn is_there(ballast: &BallastSettings) -> bool {
    std::fs::symlink_metadata(&ballast.path)
        .is_ok_and(|data| data.is_file() && data.blocks().saturating_mul(512) >= ballast.bytes / 2)
}

/// Makes it, with all its room. Whatever else is in its place stays.
///
/// # Errors
/// When there is something in its place, or no room.
pub(super) fn make(ballast: &BallastSettings) -> io::Result<()> {
    if is_there(ballast) {
        return Ok(());
    }
    let file = match open(ballast, true) {
        // One that was cut off while it was made.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => open(ballast, false)?,
        opened => opened?,
    };
    let data = file.metadata()?;
    if !data.is_file() || data.nlink() != 1 {
        return Err(io::Error::other("something else has its name"));
    }
    let made = fallocate(&file, FallocateFlags::empty(), 0, ballast.bytes);
    if let Err(error) = made {
        drop(file);
        // Half of one helps nobody.
        let _ = std::fs::remove_file(&ballast.path);
        return Err(error.into());
    }
    file.sync_all()
}

fn open(ballast: &BallastSettings, is_new: bool) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(is_new).mode(0o600);
    options.custom_flags(OFlags::NOFOLLOW.bits().cast_signed()).open(&ballast.path)
}

/// Deletes it. One that is not there is no error.
///
/// # Errors
/// When it is something else, or cannot be deleted.
pub(super) fn release(ballast: &BallastSettings) -> io::Result<()> {
    let data = match std::fs::symlink_metadata(&ballast.path) {
        Ok(data) => data,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !data.is_file() || data.nlink() != 1 || data.size() != ballast.bytes {
        return Err(io::Error::other("it is no file of the ballast's size, and was left alone"));
    }
    std::fs::remove_file(&ballast.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_takes_its_room_and_gives_it_back_and_nothing_else_is_taken_for_it() {
        let folder = tempfile::tempdir().unwrap();
        let ballast = BallastSettings { path: folder.path().join(".relaymux-ballast"), bytes: 1 << 20 };
        release(&ballast).unwrap();
        make(&ballast).unwrap();
        make(&ballast).unwrap();
        let data = std::fs::metadata(&ballast.path).unwrap();
        assert!(data.blocks() * 512 >= 1 << 20 && data.len() == 1 << 20 && data.mode() & 0o77 == 0);
        // Of another size now.
        let larger = BallastSettings { bytes: 4 << 20, ..ballast.clone() };
        assert!(release(&larger).is_err() && !is_there(&larger));
        make(&larger).unwrap();
        release(&larger).unwrap();
        assert!(!is_there(&larger) && !ballast.path.exists());
        std::fs::write(folder.path().join("precious"), "x").unwrap();
        std::os::unix::fs::symlink(folder.path().join("precious"), &ballast.path).unwrap();
        assert!(make(&ballast).is_err() && release(&ballast).is_err());
        assert_eq!(std::fs::read(folder.path().join("precious")).unwrap(), b"x");
    }
}
