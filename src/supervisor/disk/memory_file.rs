//! What the ladder remembers over restarts: in a small file of one block that is written over in place, as a full disk has no room for another.

use std::{
    collections::BTreeMap,
    fs::{DirBuilder, OpenOptions},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use super::ladder::Memory;

const FILE: &str = "ladder.json";
/// Its size, whatever is in it: room for the names of some hundred nodes.
const BYTES: usize = 16 << 10;

/// Memories by filesystem.
pub(super) type Memories = BTreeMap<PathBuf, Memory>;

/// Reads them. Where there are none, or they cannot be read, nothing is remembered.
///
/// # Errors
/// When there is something that cannot be read.
pub(super) fn load(state_dir: &Path) -> io::Result<Memories> {
    let text = match std::fs::read_to_string(state_dir.join(FILE)) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Memories::new()),
        Err(error) => return Err(error),
    };
    Ok(serde_json::from_str(text.trim_end())?)
}

/// Writes them down, on the disk when this returns.
///
/// # Errors
/// When they cannot be.
pub(super) fn save(state_dir: &Path, memories: &Memories) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(state_dir)?;
    let mut text = serde_json::to_vec(memories)?;
    if text.len() > BYTES {
        return Err(io::Error::other("more nodes were stopped than can be remembered"));
    }
    text.resize(BYTES, b' ');
    let mut options = OpenOptions::new();
    let file = options.write(true).create(true).truncate(false).mode(0o600).open(state_dir.join(FILE))?;
    file.write_all_at(&text, 0)?;
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NodeId;

    #[test]
    fn memories_outlive_a_process_and_take_the_same_room() {
        let folder = tempfile::tempdir().unwrap();
        assert!(load(folder.path()).unwrap().is_empty());
        let stopped = vec![NodeId::parse("solana").unwrap(), NodeId::parse("arbitrum").unwrap()];
        let memory = Memory { since: Some(5), stopped, is_ballast_released: true, ..Memory::default() };
        let memories = Memories::from([("/data".into(), memory)]);
        save(folder.path(), &memories).unwrap();
        assert_eq!(load(folder.path()).unwrap(), memories);
        save(folder.path(), &Memories::new()).unwrap();
        assert_eq!(load(folder.path()).unwrap(), Memories::new());
        assert_eq!(std::fs::metadata(folder.path().join(FILE)).unwrap().len(), 16 << 10);
        std::fs::write(folder.path().join(FILE), "{torn").unwrap();
        assert!(load(folder.path()).is_err());
    }
}
