//! How large named folders are, by a walk that is bounded in time and number.

use std::{ops::ControlFlow, path::Path, time::Duration};

use serde::Serialize;
use tokio::time::Instant;

use super::{
    plan::room_of,
    walk::{Root, walk},
};

/// Most files and folders that are looked at.
const MAX_ENTRIES: u64 = 5_000_000;
/// Longest walk.
const WITHIN: Duration = Duration::from_secs(120);

/// How large a folder is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(super) struct Size {
    /// Room that it takes, in bytes. A file with several names counts with its part.
    pub(super) bytes: u64,
    /// Files and folders in it.
    pub(super) entries: u64,
    /// Whether all of it was seen.
    pub(super) is_whole: bool,
}

/// Walks a folder. What is mounted below it does not count.
pub(super) fn size_of(path: &Path, host_root: &Path) -> std::io::Result<Size> {
    let root = Root::open(&std::fs::canonicalize(path)?, host_root)?;
    let began = Instant::now();
    let mut size = Size { is_whole: true, ..Size::default() };
    let left_out = walk(&root, &mut |found| {
        size.entries += 1;
        #[allow(clippy::useless_conversion, reason = "it has 32 bits on other architectures")]
        let names: u64 = found.stat.st_nlink.max(1).into();
        let is_folder = found.kind() == rustix::fs::FileType::Directory;
        let bytes = room_of(&found.stat);
        let part = if is_folder { bytes } else { bytes.checked_div(names).unwrap_or(bytes) };
        size.bytes = size.bytes.saturating_add(part);
        let is_over =
            size.entries >= MAX_ENTRIES || (size.entries.is_multiple_of(1024) && began.elapsed() >= WITHIN);
        if is_over {
            size.is_whole = false;
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    });
    size.is_whole &= left_out.unreadable == 0 && !left_out.is_cut;
    Ok(size)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_as_large_as_what_is_in_it_and_links_count_once() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("a")).unwrap();
        std::fs::write(folder.path().join("a/one"), vec![1; 1 << 20]).unwrap();
        std::fs::hard_link(folder.path().join("a/one"), folder.path().join("two")).unwrap();
        std::os::unix::fs::symlink("/usr", folder.path().join("link")).unwrap();
        let size = size_of(folder.path(), Path::new("/")).unwrap();
        assert_eq!((size.entries, size.is_whole), (4, true));
        assert!((1 << 20..(1 << 20) + 65_536).contains(&size.bytes), "{size:?}");
        assert!(size_of(&folder.path().join("none"), Path::new("/")).is_err());
    }
}
