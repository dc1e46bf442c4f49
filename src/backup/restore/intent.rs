//! What a restore has still to do, written down before it begins: a file of `data_dir` that is there from the moment the backup counts until the last file
//! is in its place.

use std::{
    io::Read,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::super::{BackupError, disk::Disk, manifest::is_plain};

/// Where unpacked files wait.
pub(super) const STAGED: &str = ".restore-";
const FILE: &str = "restore.json";
/// Largest that is read.
const MAX_BYTES: u64 = 64 << 10;
/// Most names that one file may have had before.
const MAX_KEPT: usize = 1_000;
/// What SQLite keeps beside a database and is part of it: before the database itself, which must never be met by another one's log.
const COMPANIONS: [&str; 3] = ["-wal", "-shm", ""];

/// One rename.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Move {
    /// What was there gets another name.
    Aside { from: PathBuf, to: PathBuf },
    /// What was restored gets its place.
    Place { from: PathBuf, to: PathBuf },
}

/// A file of the restore.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Staged {
    /// Its name among what was unpacked.
    from: String,
    /// Its name in `data_dir`.
    to: String,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Intent {
    /// The backup's file name, for people.
    pub(super) archive: String,
    /// The folder of what was unpacked.
    pub(super) folder: String,
    /// When, as in names.
    stamp: String,
    files: Vec<Staged>,
}

impl Intent {
    pub(super) fn new(stamp: &str, archive: &Path) -> Self {
        let archive = archive.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Self { archive, folder: format!("{STAGED}{stamp}"), stamp: stamp.to_owned(), files: Vec::new() }
    }

    pub(super) fn add(&mut self, from: &str, to: &str) {
        self.files.push(Staged { from: from.to_owned(), to: to.to_owned() });
    }

    /// The one that is under way in a folder.
    pub(super) fn read(data_dir: &Path) -> Result<Option<Self>, BackupError> {
        let path = data_dir.join(FILE);
        let file = match std::fs::File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(BackupError::at(&path)(error)),
        };
        let mut text = Vec::new();
        file.take(MAX_BYTES).read_to_end(&mut text).map_err(BackupError::at(&path))?;
        let read: Option<Self> = serde_json::from_slice(&text).ok().filter(Self::is_sound);
        read.map(Some).ok_or_else(|| {
            BackupError::Refused(format!(
                "{} is not what a restore wrote: files of a restore may be in folders {STAGED}… beside it. Look at both, then remove {FILE}",
                path.display()
            ))
        })
    }

    /// Whether it leads nowhere but into the folder.
    fn is_sound(&self) -> bool {
        let is_name = |name: &str| is_plain(name) && !name.contains('/');
        let folder = self.folder.strip_prefix(STAGED);
        folder == Some(&self.stamp)
            && is_name(&self.stamp)
            && self.files.iter().all(|file| is_name(&file.from) && is_name(&file.to))
    }

    /// From here on it counts.
    pub(super) fn write(&self, data_dir: &Path, disk: &Disk) -> Result<(), BackupError> {
        let text = serde_json::to_vec_pretty(self).unwrap_or_default();
        disk.write_whole(&data_dir.join(FILE), &text)
    }

    pub(super) fn remove(&self, data_dir: &Path, disk: &Disk) -> Result<(), BackupError> {
        disk.remove(&data_dir.join(FILE))
    }

    /// What is still to be renamed, in order and by file: as long as a file waits among what was unpacked, whatever has its place is another one.
    pub(super) fn moves(&self, data_dir: &Path, exists: impl Fn(&Path) -> bool) -> Vec<Vec<Move>> {
        let mut all = Vec::new();
        for file in &self.files {
            let (from, to) = (data_dir.join(&self.folder).join(&file.from), data_dir.join(&file.to));
            if !exists(&from) {
                continue;
            }
            let mut moves = Vec::new();
            // One name for a database and its log, that neither had before.
            let kept = (0..MAX_KEPT).find_map(|number| {
                let more = if number == 0 { String::new() } else { format!(".{number}") };
                let name = format!("{}.before-restore-{}{more}", file.to, self.stamp);
                let taken = |end: &&str| {
                    exists(&data_dir.join(format!("{}{end}", file.to)))
                        && exists(&data_dir.join(format!("{name}{end}")))
                };
                (!COMPANIONS.iter().any(taken)).then_some(name)
            });
            for end in COMPANIONS {
                let there = data_dir.join(format!("{}{end}", file.to));
                if exists(&there)
                    && let Some(kept) = &kept
                {
                    moves.push(Move::Aside { from: there, to: data_dir.join(format!("{kept}{end}")) });
                }
            }
            moves.push(Move::Place { from, to });
            all.push(moves);
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn intent() -> Intent {
        let mut intent = Intent::new("20261128T020000Z", Path::new("/mnt/b.tar.gz"));
        intent.add("ledger.db", "ledger.db");
        intent.add("data-admin.token", "admin.token");
        intent
    }

    /// A folder, as the set of its paths.
    fn apply(files: &mut BTreeSet<PathBuf>, one: &Move) {
        let (Move::Aside { from, to } | Move::Place { from, to }) = one;
        assert!(files.remove(from), "{} is not there", from.display());
        assert!(files.insert(to.clone()), "{} is written over", to.display());
    }

    proptest! {
        /// Killed after any number of renames, and again, and with a service of another version that made files meanwhile: in the end everything is in
        /// its place, and nothing was written over.
        #[test]
        fn it_comes_to_its_end_however_often_it_is_killed(
            kills in proptest::collection::vec(0_usize..8, 0..4), made in any::<[bool; 4]>(),
        ) {
            let (folder, intent) = (Path::new("/d"), intent());
            let staged = folder.join(&intent.folder);
            let mut files = BTreeSet::from([
                folder.join("ledger.db"), folder.join("ledger.db-wal"), folder.join("admin.token"),
                staged.join("ledger.db"), staged.join("data-admin.token"),
            ]);
            for (kill, made) in kills.iter().zip(made) {
                let moves = intent.moves(folder, |path| files.contains(path));
                for one in moves.iter().flatten().take(*kill) {
                    apply(&mut files, one);
                }
                if made && files.contains(&staged.join("ledger.db")) {
                    files.insert(folder.join("ledger.db"));
                    files.insert(folder.join("ledger.db-wal"));
                }
            }
            for one in intent.moves(folder, |path| files.contains(path)).iter().flatten() {
                apply(&mut files, one);
            }
            prop_assert!(!files.contains(&staged.join("ledger.db")) && !files.contains(&folder.join("ledger.db-wal")));
            prop_assert!(files.contains(&folder.join("ledger.db")) && files.contains(&folder.join("admin.token")));
            let kept = "/d/ledger.db.before-restore-20261128T020000Z";
            prop_assert!(files.iter().any(|path| path.to_string_lossy().starts_with(kept)));
            prop_assert!(intent.moves(folder, |path| files.contains(path)).is_empty());
        }
    }

    #[test]
    fn what_leads_elsewhere_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Intent::read(folder.path()).unwrap(), None);
        let disk = Disk::default();
        intent().write(folder.path(), &disk).unwrap();
        assert_eq!(Intent::read(folder.path()).unwrap(), Some(intent()));
        let mut elsewhere = intent();
        elsewhere.add("ledger.db", "../ledger.db");
        elsewhere.write(folder.path(), &disk).unwrap();
        Intent::read(folder.path()).unwrap_err();
        let other = Intent { folder: "..".to_owned(), ..intent() };
        other.write(folder.path(), &disk).unwrap();
        let said = Intent::read(folder.path()).unwrap_err().to_string();
        assert!(said.contains("restore.json"), "{said}");
    }
}
