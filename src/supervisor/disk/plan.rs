//! Finds what of a class may be deleted, the oldest first. Nothing is changed.
//!
//! However many files there are, no more are remembered than one pass deletes and than stay as the newest.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashMap},
    ops::ControlFlow,
    path::PathBuf,
    time::Duration,
};

use rustix::fs::{FileType, Stat};

use super::{
    class::FileClass,
    open_files::OpenFiles,
    protected::{Protected, protected_folder, protected_name},
    report::Kept,
    walk::{LeftOut, Root, walk},
};
use crate::types::UnixMillis;

/// Where not all processes can be seen, a file must not have been written for so long: whoever writes to one changes its time.
const UNSEEN_AGE: Duration = Duration::from_secs(24 * 3600);

/// What a file is known by: whatever is done to it, something of this changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Identity {
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: i64,
    /// When it was written last: seconds and nanoseconds.
    pub(super) modified: (i64, u64),
    /// When it was changed in any way.
    pub(super) changed: (i64, u64),
}

impl Identity {
    pub(super) fn of(stat: &Stat) -> Self {
        Self {
            device: stat.st_dev,
            inode: stat.st_ino,
            size: stat.st_size,
            modified: (stat.st_mtime, nanos(stat.st_mtime_nsec)),
            changed: (stat.st_ctime, nanos(stat.st_ctime_nsec)),
        }
    }
}

/// Their type differs from machine to machine.
fn nanos(nanos: impl TryInto<u64>) -> u64 {
    nanos.try_into().unwrap_or(0)
}

/// Blocks are counted in 512 bytes, whatever the filesystem's own are.
pub(super) fn room_of(stat: &Stat) -> u64 {
    let blocks: i128 = stat.st_blocks.into();
    u64::try_from(blocks).unwrap_or(0).saturating_mul(512)
}

/// A file that may be deleted. The order is that of deletion: the oldest first, then by name, so that a plan is the same twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Candidate {
    /// When it was written last, in Unix milliseconds.
    pub(super) modified_ms: UnixMillis,
    /// Its folder below the root.
    pub(super) folder: Vec<u8>,
    /// Its name there.
    pub(super) name: Vec<u8>,
    pub(super) identity: Identity,
    /// Room that it takes, in bytes.
    pub(super) bytes: u64,
}

/// What of a class may be deleted in one pass.
#[derive(Debug, Default)]
pub(super) struct FilePlan {
    /// The oldest first.
    pub(super) candidates: Vec<Candidate>,
    /// What fits and stays, by the reason.
    pub(super) kept: HashMap<Kept, u64>,
    /// Files beyond this pass that may be deleted as well, and their room.
    pub(super) beyond: (u64, u64),
    /// What the walk did not see.
    pub(super) left_out: LeftOut,
}

/// Something protected lies in the root: nothing of the class is touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HoldsProtected {
    pub(super) path: PathBuf,
    pub(super) what: Protected,
}

/// What a plan is made with.
pub(super) struct Around<'a> {
    pub(super) open: &'a OpenFiles,
    /// Paths that the configuration protects, as they really are.
    pub(super) protected: &'a [(PathBuf, Protected)],
    pub(super) now: UnixMillis,
    /// Most files of one pass.
    pub(super) most: usize,
}

/// Walks the whole root and chooses.
pub(super) fn plan_files(
    class: &FileClass,
    root: &Root,
    around: &Around<'_>,
) -> Result<FilePlan, HoldsProtected> {
    let mut plan = FilePlan::default();
    let mut refused = None;
    // The newest, of which the oldest is at the top; what does not fit in falls out of it into the oldest, of which the newest is at the top.
    let mut newest: BinaryHeap<Reverse<Candidate>> = BinaryHeap::new();
    let mut oldest: BinaryHeap<Candidate> = BinaryHeap::new();
    let left_out = walk(root, &mut |found| {
        let is_folder = found.kind() == FileType::Directory;
        let by_name = if is_folder { protected_folder(found.name) } else { protected_name(found.name) };
        let by_path = || {
            let path = root.shown(found.folder, found.name);
            around.protected.iter().find(|(protected, _)| *protected == path).map(|(_, what)| *what)
        };
        let by_path = if around.protected.is_empty() { None } else { by_path() };
        if let Some(what) = by_name.or(by_path) {
            refused = Some(HoldsProtected { path: root.shown(found.folder, found.name), what });
            return ControlFlow::Break(());
        }
        if is_folder || !class.takes(found.name) {
            return ControlFlow::Continue(());
        }
        if found.kind() != FileType::RegularFile {
            keep(&mut plan, Kept::NotAFile);
            return ControlFlow::Continue(());
        }
        if found.stat.st_nlink != 1 {
            keep(&mut plan, Kept::HardLinked);
            return ControlFlow::Continue(());
        }
        let candidate = Candidate {
            modified_ms: modified_ms(&found.stat),
            folder: found.folder.to_vec(),
            name: found.name.to_vec(),
            identity: Identity::of(&found.stat),
            bytes: room_of(&found.stat),
        };
        newest.push(Reverse(candidate));
        let fallen = if newest.len() > class.keep_newest { newest.pop() } else { None };
        let Some(Reverse(candidate)) = fallen else { return ControlFlow::Continue(()) };
        if let Some(why) = stays(&candidate, class, around) {
            keep(&mut plan, why);
            return ControlFlow::Continue(());
        }
        oldest.push(candidate);
        let beyond = if oldest.len() > around.most { oldest.pop() } else { None };
        if let Some(beyond) = beyond {
            plan.beyond = (plan.beyond.0 + 1, plan.beyond.1.saturating_add(beyond.bytes));
        }
        ControlFlow::Continue(())
    });
    if let Some(refused) = refused {
        return Err(refused);
    }
    for _ in newest {
        keep(&mut plan, Kept::Newest);
    }
    plan.candidates = oldest.into_sorted_vec();
    plan.left_out = left_out;
    Ok(plan)
}

fn keep(plan: &mut FilePlan, why: Kept) {
    let count = plan.kept.entry(why).or_default();
    *count = count.saturating_add(1);
}

fn modified_ms(stat: &Stat) -> UnixMillis {
    let nanos = i64::try_from(nanos(stat.st_mtime_nsec)).unwrap_or(0);
    stat.st_mtime.saturating_mul(1000).saturating_add(nanos / 1_000_000)
}

/// Why a file that fits is not deleted. All of it is looked at again when it is.
fn stays(candidate: &Candidate, class: &FileClass, around: &Around<'_>) -> Option<Kept> {
    let age = around.now.saturating_sub(candidate.modified_ms);
    let is_younger = |than: Duration| age < i64::try_from(than.as_millis()).unwrap_or(i64::MAX);
    if is_younger(class.min_age) {
        return Some(Kept::Young);
    }
    if around.open.has(candidate.identity.device, candidate.identity.inode) {
        return Some(Kept::Open);
    }
    (!around.open.is_whole() && is_younger(UNSEEN_AGE)).then_some(Kept::Unseen)
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        path::Path,
        time::{Duration, UNIX_EPOCH},
    };

    use super::*;
    use crate::supervisor::disk::{Glob, class::FileClass};

    const NOW: UnixMillis = 1_700_000_000_000;
    const HOUR: u64 = 3600;

    struct Tree {
        folder: tempfile::TempDir,
    }

    impl Tree {
        fn new() -> Self {
            Self { folder: tempfile::tempdir().unwrap() }
        }

        fn root(&self) -> PathBuf {
            self.folder.path().canonicalize().unwrap()
        }

        fn file(&self, name: &str, hours_old: u64) -> File {
            let path = self.root().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, name).unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            let now = UNIX_EPOCH + Duration::from_millis(NOW.unsigned_abs());
            file.set_modified(now - Duration::from_secs(hours_old * HOUR)).unwrap();
            file
        }

        fn plan(
            &self,
            keep_newest: usize,
            most: usize,
            open: &OpenFiles,
        ) -> Result<FilePlan, HoldsProtected> {
            let class = FileClass {
                root: self.root(),
                globs: vec![Glob::parse("*.log.*").unwrap()],
                min_age: Duration::from_secs(2 * HOUR),
                keep_newest,
            };
            let root = Root::open(&self.root(), Path::new("/")).unwrap();
            plan_files(&class, &root, &Around { open, protected: &[], now: NOW, most })
        }
    }

    fn names(plan: &FilePlan) -> Vec<String> {
        plan.candidates.iter().map(|it| String::from_utf8_lossy(&it.name).into_owned()).collect()
    }

    #[test]
    fn the_oldest_go_first_and_the_young_and_the_newest_stay() {
        let tree = Tree::new();
        for (name, hours) in
            [("a/x.log.1", 1), ("a/x.log.2", 30), ("x.log.3", 50), ("b/c/x.log.4", 40), ("x.log", 99)]
        {
            tree.file(name, hours);
        }
        std::os::unix::fs::symlink("/etc/passwd", tree.root().join("y.log.1")).unwrap();
        tree.file("z.log.1", 60);
        fs::hard_link(tree.root().join("z.log.1"), tree.root().join("second-name")).unwrap();
        let nothing_open = OpenFiles::default();
        let plan = tree.plan(0, 10, &nothing_open).unwrap();
        assert_eq!(names(&plan), ["x.log.3", "x.log.4", "x.log.2"]);
        assert_eq!(plan.kept, HashMap::from([(Kept::Young, 1), (Kept::NotAFile, 1), (Kept::HardLinked, 1)]));
        let plan = tree.plan(2, 10, &nothing_open).unwrap();
        assert_eq!(names(&plan), ["x.log.3", "x.log.4"]);
        assert_eq!(plan.kept, HashMap::from([(Kept::Newest, 2), (Kept::NotAFile, 1), (Kept::HardLinked, 1)]));
        let plan = tree.plan(0, 1, &nothing_open).unwrap();
        assert_eq!((names(&plan), plan.beyond.0), (vec!["x.log.3".to_owned()], 2));
    }

    #[test]
    fn what_is_open_stays_and_where_that_cannot_be_seen_so_does_what_is_young() {
        let tree = Tree::new();
        let held = tree.file("x.log.1", 50);
        tree.file("x.log.2", 50);
        tree.file("x.log.3", 3);
        let device = Root::open(&tree.root(), Path::new("/")).unwrap().device();
        let mut open = OpenFiles::read(Path::new("/"), &[device]);
        open.unseen = 0;
        let plan = tree.plan(0, 10, &open).unwrap();
        assert_eq!(names(&plan), ["x.log.2", "x.log.3"]);
        assert_eq!(plan.kept, HashMap::from([(Kept::Open, 1)]));
        drop(held);
        open.unseen = 1;
        let plan = tree.plan(0, 10, &open).unwrap();
        assert_eq!(names(&plan), ["x.log.2"]);
        assert_eq!(plan.kept.get(&Kept::Unseen), Some(&1));
    }

    #[test]
    fn anything_protected_in_the_root_refuses_the_class() {
        let tree = Tree::new();
        tree.file("x.log.1", 50);
        tree.file("deep/down/slashing_protection.sqlite", 50);
        let refused = tree.plan(0, 10, &OpenFiles::default()).unwrap_err();
        assert_eq!(refused.what, Protected::SlashingProtection);
        assert!(refused.path.ends_with("deep/down/slashing_protection.sqlite"), "{refused:?}");
    }
}
