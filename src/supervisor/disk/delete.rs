//! Deletes files that a plan chose: each is written down first, and looked at again right before.

use std::path::Path;

use rustix::{
    fs::{AtFlags, FileType, statat, unlinkat},
    io::Errno,
};
use tokio::time::Instant;

use super::{
    journal::{Intent, Journal, Record},
    open_files::OpenFiles,
    plan::{Candidate, Identity},
    protected::protected_name,
    report::Kept,
    walk::Root,
};

/// How old the knowledge of who has what open may be.
const OPEN_FOR: std::time::Duration = std::time::Duration::from_secs(3);

/// Who has what open, read again when it is old.
#[derive(Debug)]
pub(super) struct OpenNow<'a> {
    host_root: &'a Path,
    devices: [u64; 1],
    files: OpenFiles,
    at: Instant,
}

impl<'a> OpenNow<'a> {
    pub(super) fn read(host_root: &'a Path, device: u64) -> Self {
        let devices = [device];
        Self { host_root, devices, files: OpenFiles::read(host_root, &devices), at: Instant::now() }
    }

    /// As they are now, or were a moment ago.
    pub(super) fn files(&mut self) -> &OpenFiles {
        if self.at.elapsed() >= OPEN_FOR {
            self.refresh();
        }
        &self.files
    }

    /// As they were read last.
    pub(super) const fn known(&self) -> &OpenFiles {
        &self.files
    }

    /// Reads them again.
    pub(super) fn refresh(&mut self) {
        self.files = OpenFiles::read(self.host_root, &self.devices);
        self.at = Instant::now();
    }
}

/// What came of a batch.
#[derive(Debug, Default)]
pub(super) struct Batch {
    pub(super) files: u64,
    pub(super) bytes: u64,
    pub(super) kept: Vec<Kept>,
}

/// Which class of which run is deleted.
pub(super) struct Of<'a> {
    pub(super) run: u64,
    pub(super) class: &'a str,
    /// The root as it really is.
    pub(super) path: &'a Path,
    pub(super) root: &'a Root,
}

/// Writes down what is about to be deleted, deletes it, and writes down what came of it. `next`: the number of the first file.
///
/// # Errors
/// When it cannot be written down first: then nothing was deleted. When what came of it cannot, the next run finds out.
pub(super) fn delete_batch(
    of: &Of<'_>,
    candidates: &[Candidate],
    next: u64,
    journal: &mut Journal,
    open: &mut OpenNow<'_>,
) -> std::io::Result<Batch> {
    let numbered = || (next..).zip(candidates);
    let intents: Vec<Record> = numbered()
        .map(|(n, candidate)| Record::Delete(Intent::new(of.run, n, of.class, of.path, candidate)))
        .collect();
    journal.write(&intents, true)?;
    let mut batch = Batch::default();
    let (mut deleted, mut kept) = (Vec::new(), Vec::new());
    for (n, candidate) in numbered() {
        match delete_one(of.root, candidate, open.files()) {
            Ok(()) => {
                batch.files += 1;
                batch.bytes = batch.bytes.saturating_add(candidate.bytes);
                deleted.push(n);
            }
            Err(why) => {
                batch.kept.push(why);
                kept.push((n, why));
            }
        }
    }
    journal.write(&[Record::Done { run: of.run, deleted, kept }], false)?;
    Ok(batch)
}

/// Deletes a file, if it is the one that was chosen.
pub(super) fn delete_one(root: &Root, candidate: &Candidate, open: &OpenFiles) -> Result<(), Kept> {
    let Candidate { folder, name, identity, .. } = candidate;
    // Every time anew, from the root: a folder that was moved out of it meanwhile is not followed.
    let folder = root.folder(folder).map_err(|error| match error {
        Errno::NOENT => Kept::Gone,
        _ => Kept::Changed,
    })?;
    let stat = statat(&folder, name.as_slice(), AtFlags::SYMLINK_NOFOLLOW).map_err(|error| match error {
        Errno::NOENT => Kept::Gone,
        _ => Kept::Refused,
    })?;
    let is_file = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    if !is_file || Identity::of(&stat) != *identity || stat.st_dev != root.device() {
        return Err(Kept::Changed);
    }
    if stat.st_nlink != 1 {
        return Err(Kept::HardLinked);
    }
    if open.has(identity.device, identity.inode) {
        return Err(Kept::Open);
    }
    if protected_name(name).is_some() {
        return Err(Kept::Refused);
    }
    unlinkat(&folder, name.as_slice(), AtFlags::empty()).map_err(|error| match error {
        Errno::NOENT => Kept::Gone,
        _ => Kept::Refused,
    })
}

/// What became of files that a run was about to delete when it was killed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) deleted: Vec<u64>,
    pub(super) still_there: Vec<u64>,
    pub(super) replaced: Vec<u64>,
}

/// Looks at each of them. Nothing is changed.
pub(super) fn find(intents: &[Intent], host_root: &Path) -> Found {
    let mut found = Found::default();
    let mut last: Option<(&Path, Option<Root>)> = None;
    for intent in intents {
        if last.as_ref().is_none_or(|(path, _)| *path != intent.root) {
            last = Some((&intent.root, Root::open(&intent.root, host_root).ok()));
        }
        let root = last.as_ref().and_then(|(_, root)| root.as_ref());
        let place = match root.map(|root| identity_now(root, &intent.relative())) {
            Some(Some(now)) if now == intent.identity() => &mut found.still_there,
            Some(Some(_)) => &mut found.replaced,
            Some(None) | None => &mut found.deleted,
        };
        place.push(intent.n);
    }
    found
}

fn identity_now(root: &Root, relative: &[u8]) -> Option<Identity> {
    let at = relative.iter().rposition(|byte| *byte == b'/');
    let (folder, name) = match at {
        Some(at) => (relative.get(..at)?, relative.get(at + 1..)?),
        None => (&[] as &[u8], relative),
    };
    let folder = root.folder(folder).ok()?;
    statat(&folder, name, AtFlags::SYMLINK_NOFOLLOW).ok().map(|stat| Identity::of(&stat))
}

#[cfg(test)]
mod tests {
    use std::{
        fs::{self, File},
        path::PathBuf,
        time::{Duration, UNIX_EPOCH},
    };

    use super::{
        super::{
            class::FileClass,
            glob::Glob,
            plan::{Around, plan_files},
        },
        *,
    };

    struct Tree {
        folder: tempfile::TempDir,
    }

    impl Tree {
        fn new(names: &[&str]) -> Self {
            let tree = Self { folder: tempfile::tempdir().unwrap() };
            fs::create_dir(tree.at("logs")).unwrap();
            for (age, name) in names.iter().enumerate() {
                fs::write(tree.at(name), name).unwrap();
                let time = UNIX_EPOCH + Duration::from_secs(u64::try_from(age).unwrap() + 1);
                File::options().write(true).open(tree.at(name)).unwrap().set_modified(time).unwrap();
            }
            tree
        }

        fn at(&self, name: &str) -> PathBuf {
            self.folder.path().canonicalize().unwrap().join(name)
        }

        fn root(&self) -> Root {
            Root::open(&self.at("logs"), Path::new("/")).unwrap()
        }

        fn candidates(&self) -> Vec<Candidate> {
            let class = FileClass {
                root: self.at("logs"),
                globs: vec![Glob::parse("*.log.*").unwrap()],
                min_age: Duration::ZERO,
                keep_newest: 0,
            };
            let open = OpenFiles::default();
            let around = Around { open: &open, protected: &[], now: 1_700_000_000_000, most: 100 };
            plan_files(&class, &self.root(), &around).unwrap().candidates
        }
    }

    /// What happens to a file between the plan and its deletion, and why it stays then.
    #[test]
    fn what_changed_since_the_plan_stays() {
        type Change = fn(&Tree);
        let changes: [(&str, Change, &[Kept]); 8] = [
            ("gone", |tree| fs::remove_file(tree.at("logs/a.log.1")).unwrap(), &[Kept::Gone]),
            (
                "swapped for another file",
                |tree| {
                    fs::write(tree.at("other"), "other").unwrap();
                    fs::rename(tree.at("other"), tree.at("logs/a.log.1")).unwrap();
                },
                &[Kept::Changed],
            ),
            (
                "swapped for a link to a protected file",
                |tree| {
                    fs::write(tree.at("keystore.json"), "key").unwrap();
                    fs::remove_file(tree.at("logs/a.log.1")).unwrap();
                    std::os::unix::fs::symlink(tree.at("keystore.json"), tree.at("logs/a.log.1")).unwrap();
                },
                &[Kept::Changed],
            ),
            (
                "swapped for a hard link to a protected file",
                |tree| {
                    fs::write(tree.at("keystore.json"), "key").unwrap();
                    fs::remove_file(tree.at("logs/a.log.1")).unwrap();
                    fs::hard_link(tree.at("keystore.json"), tree.at("logs/a.log.1")).unwrap();
                },
                &[Kept::Changed],
            ),
            (
                "given a second name",
                |tree| fs::hard_link(tree.at("logs/a.log.1"), tree.at("second")).unwrap(),
                // Times of files have the kernel's tick.
                &[Kept::Changed, Kept::HardLinked],
            ),
            ("written to", |tree| fs::write(tree.at("logs/a.log.1"), "more").unwrap(), &[Kept::Changed]),
            (
                "a folder now",
                |tree| {
                    fs::remove_file(tree.at("logs/a.log.1")).unwrap();
                    fs::create_dir(tree.at("logs/a.log.1")).unwrap();
                },
                &[Kept::Changed],
            ),
            (
                "written to, and its time set back",
                |tree| {
                    let path = tree.at("logs/a.log.1");
                    let identity = || Identity::of(&rustix::fs::stat(&path).unwrap());
                    let (before, at) = (identity(), fs::metadata(&path).unwrap().modified().unwrap());
                    // Until the kernel's tick is another one.
                    while identity() == before {
                        fs::write(&path, "LOGS/A.LOG.1").unwrap();
                        File::options().write(true).open(&path).unwrap().set_modified(at).unwrap();
                    }
                },
                &[Kept::Changed],
            ),
        ];
        for (name, change, want) in changes {
            let tree = Tree::new(&["logs/a.log.1"]);
            let candidates = tree.candidates();
            change(&tree);
            let kept = delete_one(&tree.root(), &candidates[0], &OpenFiles::default()).unwrap_err();
            assert!(want.contains(&kept), "{name}: {kept}");
            assert!(
                !tree.at("keystore.json").exists() || fs::read(tree.at("keystore.json")).unwrap() == b"key"
            );
        }
    }

    #[test]
    fn a_folder_that_was_swapped_for_a_link_is_not_entered() {
        let tree = Tree::new(&[]);
        fs::create_dir_all(tree.at("logs/a")).unwrap();
        fs::create_dir_all(tree.at("outside")).unwrap();
        fs::write(tree.at("logs/a/x.log.1"), "x").unwrap();
        let file = File::options().write(true).open(tree.at("logs/a/x.log.1")).unwrap();
        file.set_modified(UNIX_EPOCH).unwrap();
        let candidates = tree.candidates();
        fs::rename(tree.at("logs/a"), tree.at("outside/a")).unwrap();
        std::os::unix::fs::symlink(tree.at("outside/a"), tree.at("logs/a")).unwrap();
        assert_eq!(delete_one(&tree.root(), &candidates[0], &OpenFiles::default()), Err(Kept::Changed));
        assert!(tree.at("outside/a/x.log.1").exists());
    }

    #[test]
    fn a_batch_is_in_the_journal_before_and_after_and_a_kill_in_between_is_found_out() {
        let tree = Tree::new(&["logs/a.log.1", "logs/b.log.1", "logs/c.log.1"]);
        let (mut journal, _) = Journal::open(&tree.at("state")).unwrap();
        let (root, path) = (tree.root(), tree.at("logs"));
        let of = Of { run: 9, class: "logs", path: &path, root: &root };
        let candidates = tree.candidates();
        let held = File::open(tree.at("logs/b.log.1")).unwrap();
        let mut open = OpenNow::read(Path::new("/"), root.device());
        let batch = delete_batch(&of, &candidates[..2], 0, &mut journal, &mut open).unwrap();
        assert_eq!((batch.files, batch.kept), (1, vec![Kept::Open]));
        drop(held);
        assert!(!tree.at("logs/a.log.1").exists() && tree.at("logs/b.log.1").exists());
        assert!(Journal::open(&tree.at("state")).unwrap().1.unfinished.is_empty());

        // Killed with three files written down, of which one was deleted, and one was replaced since.
        fs::write(tree.at("logs/a.log.1"), "new").unwrap();
        let intents: Vec<Record> = (2..)
            .zip(&candidates)
            .map(|(n, candidate)| Record::Delete(Intent::new(9, n, "logs", &path, candidate)))
            .collect();
        journal.write(&intents, true).unwrap();
        fs::remove_file(tree.at("logs/c.log.1")).unwrap();
        let (_, left) = Journal::open(&tree.at("state")).unwrap();
        let found = find(&left.unfinished, Path::new("/"));
        let want = Found { deleted: vec![4], still_there: vec![3], replaced: vec![2] };
        assert_eq!(found, want);
    }
}
