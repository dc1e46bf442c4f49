//! One cleaning at a time, whoever does it: the service, or a person by the command line.

use std::{
    fs::{DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::Path,
};

const FILE: &str = "lock";
/// Most bytes read of what the holder wrote of itself.
const MAX_BYTES: u64 = 100;

/// Holds the lock as long as it lives. The system gives it back however its holder ends.
#[derive(Debug)]
pub(super) struct CleanLock {
    _file: File,
}

/// Why it is not to be had.
#[derive(Debug, thiserror::Error)]
pub(super) enum LockRefused {
    /// Another process has it; what it wrote of itself.
    #[error("another cleaning is under way ({0})")]
    Held(String),
    /// The folder cannot be made, or the file not be opened.
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// Takes the lock in a folder, which is made where it is missing.
pub(super) fn take(state_dir: &Path) -> Result<CleanLock, LockRefused> {
    DirBuilder::new().recursive(true).mode(0o700).create(state_dir)?;
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(state_dir.join(FILE))?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut holder = String::new();
            let _ = (&file).take(MAX_BYTES).read_to_string(&mut holder);
            return Err(LockRefused::Held(holder.trim().to_owned()));
        }
        Err(TryLockError::Error(error)) => return Err(error.into()),
    }
    // For people: a full disk may not take it.
    let _ = file.set_len(0).and_then(|()| file.rewind());
    let _ = write!(file, "pid {}", std::process::id());
    Ok(CleanLock { _file: file })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_holder_at_a_time_and_it_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("disk");
        let first = take(&state).unwrap();
        let refused = take(&state).unwrap_err().to_string();
        assert_eq!(refused, format!("another cleaning is under way (pid {})", std::process::id()));
        drop(first);
        take(&state).unwrap();
    }
}
