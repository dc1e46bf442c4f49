//! The journal of deletions: what is about to be deleted is on disk before it is, and what came of it follows.
//!
//! A file of JSON lines that is only ever appended to. A process that is killed leaves at most one batch of which the end is not written down; the next
//! run looks whether those files are there, and says so. On a full disk it can be written all the same: room for it is kept beyond its end.

use std::{
    collections::BTreeMap,
    fs::{DirBuilder, File, OpenOptions},
    io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use rustix::fs::{FallocateFlags, fallocate};
use serde::{Deserialize, Serialize};

use super::{
    plan::{Candidate, Identity},
    report::{CleanReport, Kept},
    walk::joined,
};
use crate::types::UnixMillis;

/// The journal's name in its folder.
pub(super) const FILE: &str = "cleanings.jsonl";
/// What it is called once it is too long.
const OLD_FILE: &str = "cleanings.jsonl.1";
/// A journal that is longer is put aside before the next run, in bytes.
const MAX_BYTES: u64 = 32 << 20;
/// Room that is kept beyond its end, in bytes: some thousand deletions.
const KEPT_ROOM: u64 = 1 << 20;
/// Longest line that is read, in bytes.
const MAX_LINE: u64 = 1 << 20;

/// A line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(super) enum Record {
    /// A run begins.
    Begin { run: u64, at: UnixMillis, reason: String },
    /// A file is about to be deleted.
    Delete(Intent),
    /// What came of files that were.
    Done { run: u64, deleted: Vec<u64>, kept: Vec<(u64, Kept)> },
    /// What came of files that a killed run had begun to delete, as the next one found it.
    Recovered { run: u64, deleted: Vec<u64>, still_there: Vec<u64>, replaced: Vec<u64> },
    /// A run has ended.
    End { report: CleanReport },
}

/// A file that is about to be deleted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Intent {
    pub(super) run: u64,
    /// Its number in the run.
    pub(super) n: u64,
    pub(super) class: String,
    pub(super) root: PathBuf,
    /// Its path below the root; of a name that is no UTF-8, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    path_hex: Option<String>,
    pub(super) device: u64,
    pub(super) inode: u64,
    pub(super) size: i64,
    pub(super) modified: (i64, u64),
    pub(super) changed: (i64, u64),
    pub(super) bytes: u64,
}

impl Intent {
    pub(super) fn new(run: u64, n: u64, class: &str, root: &Path, candidate: &Candidate) -> Self {
        let (path, path_hex) = match String::from_utf8(joined(&candidate.folder, &candidate.name)) {
            Ok(path) => (Some(path), None),
            Err(bytes) => (None, Some(alloy_primitives::hex::encode(bytes.as_bytes()))),
        };
        let Identity { device, inode, size, modified, changed } = candidate.identity;
        Self {
            run,
            n,
            class: class.to_owned(),
            root: root.to_owned(),
            path,
            path_hex,
            device,
            inode,
            size,
            modified,
            changed,
            bytes: candidate.bytes,
        }
    }

    /// Its path below the root.
    pub(super) fn relative(&self) -> Vec<u8> {
        let hex = || alloy_primitives::hex::decode(self.path_hex.as_deref()?).ok();
        self.path.clone().map(String::into_bytes).or_else(hex).unwrap_or_default()
    }

    pub(super) const fn identity(&self) -> Identity {
        let Self { device, inode, size, modified, changed, .. } = self;
        Identity { device: *device, inode: *inode, size: *size, modified: *modified, changed: *changed }
    }
}

/// The journal, open to be written by whoever holds the lock.
#[derive(Debug)]
pub(super) struct Journal {
    file: File,
}

/// What an earlier run left.
#[derive(Debug, Default)]
pub(super) struct Left {
    /// The newest run.
    pub(super) last_run: u64,
    /// What was to be deleted and of which the end is not written down.
    pub(super) unfinished: Vec<Intent>,
}

impl Journal {
    /// Opens it, and says what an earlier run left.
    ///
    /// # Errors
    /// When it cannot be opened or read.
    pub(super) fn open(state_dir: &Path) -> io::Result<(Self, Left)> {
        DirBuilder::new().recursive(true).mode(0o700).create(state_dir)?;
        let path = state_dir.join(FILE);
        let open = || OpenOptions::new().read(true).append(true).create(true).mode(0o600).open(&path);
        let mut file = open()?;
        let (_, left) = read(&file, 0)?;
        let length = file.seek(SeekFrom::End(0))?;
        if length > MAX_BYTES && left.unfinished.is_empty() {
            std::fs::rename(&path, state_dir.join(OLD_FILE))?;
            file = open()?;
        }
        end_torn_line(&mut file)?;
        let mut journal = Self { file };
        journal.keep_room();
        Ok((journal, left))
    }

    /// Keeps room beyond its end, where the filesystem can: a full disk must not keep us from saying what is deleted.
    pub(super) fn keep_room(&mut self) {
        if let Ok(length) = self.file.seek(SeekFrom::End(0)) {
            // Without it, a full disk is cleaned only once something else has made room.
            let _ = fallocate(&self.file, FallocateFlags::KEEP_SIZE, length, KEPT_ROOM);
        }
    }

    /// Writes lines down; with `durable` they are on the disk when this returns.
    ///
    /// # Errors
    /// When they cannot be written: then nothing of what they say may be done.
    pub(super) fn write(&mut self, records: &[Record], durable: bool) -> io::Result<()> {
        let mut text = Vec::new();
        for record in records {
            serde_json::to_writer(&mut text, record)?;
            text.push(b'\n');
        }
        self.file.write_all(&text)?;
        if durable { self.file.sync_data() } else { Ok(()) }
    }
}

/// A line that a killed process, or a full disk, left without its end is ended: it is read by nobody.
fn end_torn_line(file: &mut File) -> io::Result<()> {
    if file.seek(SeekFrom::End(0))? == 0 {
        return Ok(());
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    Ok(())
}

/// Reads from a position on: ended runs, and what is left.
fn read(file: &File, from: u64) -> io::Result<(Vec<CleanReport>, Left)> {
    let mut reader = BufReader::new(file);
    reader.seek(SeekFrom::Start(from))?;
    let (mut reports, mut left) = (Vec::new(), Left::default());
    let mut open: BTreeMap<(u64, u64), Intent> = BTreeMap::new();
    let mut line = Vec::new();
    loop {
        line.clear();
        if (&mut reader).take(MAX_LINE).read_until(b'\n', &mut line)? == 0 {
            break;
        }
        // What cannot be read was torn, or is of another version.
        let Ok(record) = serde_json::from_slice::<Record>(&line) else { continue };
        match record {
            Record::Begin { run, .. } => left.last_run = left.last_run.max(run),
            Record::Delete(intent) => {
                open.insert((intent.run, intent.n), intent);
            }
            Record::Done { run, deleted, kept } => {
                for n in deleted.into_iter().chain(kept.into_iter().map(|(n, _)| n)) {
                    open.remove(&(run, n));
                }
            }
            Record::Recovered { run, deleted, still_there, replaced } => {
                for n in deleted.into_iter().chain(still_there).chain(replaced) {
                    open.remove(&(run, n));
                }
            }
            Record::End { report } => reports.push(report),
        }
    }
    left.unfinished = open.into_values().collect();
    Ok((reports, left))
}

/// Runs that have ended since a position, and the position from which to read on. A journal that was begun anew is read from its beginning.
///
/// # Errors
/// When it cannot be read. One that is not there has nothing in it.
pub(super) fn ended_since(state_dir: &Path, from: u64) -> io::Result<(Vec<CleanReport>, u64)> {
    let file = match File::open(state_dir.join(FILE)) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok((Vec::new(), 0)),
        Err(error) => return Err(error),
    };
    let length = file.metadata()?.len();
    if length == from {
        return Ok((Vec::new(), from));
    }
    let from = if length < from { 0 } else { from };
    let (reports, _) = read(&file, from)?;
    Ok((reports, length))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(name: &[u8]) -> Candidate {
        let identity = Identity { device: 1, inode: 2, size: 3, modified: (4, 5), changed: (6, 7) };
        Candidate { modified_ms: 0, folder: b"a".to_vec(), name: name.to_vec(), identity, bytes: 4096 }
    }

    fn report(run: u64) -> CleanReport {
        CleanReport {
            run,
            reason: "By hand.".to_owned(),
            began_at: 1,
            ended_at: 2,
            classes: Vec::new(),
            filesystems: Vec::new(),
            recovered: Vec::new(),
        }
    }

    #[test]
    fn what_was_begun_and_not_ended_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let names: [&[u8]; 3] = [b"x\n\"y'.log.1", b"\xff\xfe.log.1", b"z.log.1"];
        {
            let (mut journal, left) = Journal::open(folder.path()).unwrap();
            assert_eq!((left.last_run, left.unfinished.len()), (0, 0));
            let begin = Record::Begin { run: 7, at: 1, reason: "By hand.".to_owned() };
            let intents = names.iter().enumerate().map(|(n, name)| {
                let n = u64::try_from(n).unwrap();
                Record::Delete(Intent::new(7, n, "logs", Path::new("/data/logs"), &candidate(name)))
            });
            let records: Vec<Record> = std::iter::once(begin).chain(intents).collect();
            journal.write(&records, true).unwrap();
            let done = Record::Done { run: 7, deleted: vec![0], kept: vec![] };
            journal.write(&[done], false).unwrap();
        }
        // Killed while it wrote a line.
        let path = folder.path().join(FILE);
        OpenOptions::new().append(true).open(&path).unwrap().write_all(b"{\"what\":\"done\",\"ru").unwrap();
        let (mut journal, left) = Journal::open(folder.path()).unwrap();
        assert_eq!(left.last_run, 7);
        let paths: Vec<Vec<u8>> = left.unfinished.iter().map(Intent::relative).collect();
        assert_eq!(paths, [b"a/\xff\xfe.log.1".to_vec(), b"a/z.log.1".to_vec()]);
        assert_eq!(left.unfinished[0].identity(), candidate(b"").identity);
        let recovered =
            Record::Recovered { run: 7, deleted: vec![1], still_there: vec![2], replaced: vec![] };
        journal.write(&[recovered], true).unwrap();
        assert!(Journal::open(folder.path()).unwrap().1.unfinished.is_empty());
    }

    #[test]
    fn ended_runs_are_read_once_and_a_journal_begun_anew_from_its_beginning() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(ended_since(folder.path(), 0).unwrap(), (vec![], 0));
        let (mut journal, _) = Journal::open(folder.path()).unwrap();
        journal.write(&[Record::End { report: report(1) }], true).unwrap();
        let (reports, at) = ended_since(folder.path(), 0).unwrap();
        assert_eq!(reports, [report(1)]);
        journal.write(&[Record::End { report: report(2) }], true).unwrap();
        let (reports, at) = ended_since(folder.path(), at).unwrap();
        assert_eq!(reports, [report(2)]);
        assert_eq!(ended_since(folder.path(), at).unwrap().0, []);
        assert_eq!(ended_since(folder.path(), at + 9999).unwrap().0.len(), 2);
    }

    #[test]
    fn a_long_journal_is_put_aside_unless_something_is_left_in_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        let (mut journal, _) = Journal::open(folder.path()).unwrap();
        let intent = Intent::new(1, 0, "logs", Path::new("/data/logs"), &candidate(b"x"));
        journal.write(&[Record::Delete(intent)], true).unwrap();
        let mut file = OpenOptions::new().append(true).open(&path).unwrap();
        for _ in 0..=MAX_BYTES / MAX_LINE {
            let line = vec![b' '; usize::try_from(MAX_LINE).unwrap() - 1];
            file.write_all(&line).unwrap();
            file.write_all(b"\n").unwrap();
        }
        assert_eq!(Journal::open(folder.path()).unwrap().1.unfinished.len(), 1);
        assert!(!folder.path().join(OLD_FILE).exists());
        let (mut journal, _) = Journal::open(folder.path()).unwrap();
        journal.write(&[Record::Done { run: 1, deleted: vec![0], kept: vec![] }], true).unwrap();
        Journal::open(folder.path()).unwrap();
        assert!(folder.path().join(OLD_FILE).exists());
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
    }
}
