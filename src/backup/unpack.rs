//! Reading an archive that nobody vouches for.
//!
//! Nothing in it decides where anything goes: a file is taken only where the manifest names it next, as a plain file of the length that it says, and is
//! put where the caller says. Extensions of tar, links, devices and folders are refused unread. All of it is read to its end, so that a file that was
//! cut off or has one byte changed is known.

use std::{
    fs::{File, OpenOptions},
    io::{self, BufReader, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::Path,
};

use flate2::bufread::GzDecoder;
use sha2::{Digest, Sha256};

use super::{
    BackupError, Manifest, Member, Pace,
    archive::hex,
    disk::{Disk, check_room},
    manifest::{MANIFEST, MAX_MANIFEST},
    pace::Phase,
};

/// What is read at one go.
const CHUNK: usize = 128 << 10;
/// Most bytes behind the last file: a tar's end.
const MAX_END: u64 = 64 << 10;

/// The tar within an archive, which counts and hashes what is read of the file.
type Unzipped = GzDecoder<BufReader<Hashed<File>>>;

/// A source whose bytes are hashed.
struct Hashed<R> {
    source: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(into)?;
        self.hash.update(into.get(..read).unwrap_or_default());
        self.bytes = self.bytes.saturating_add(u64::try_from(read).unwrap_or(0));
        Ok(read)
    }
}

/// What a whole archive is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Whole {
    pub(super) manifest: Manifest,
    /// Length of the archive's file.
    pub(super) bytes: u64,
    /// SHA-256 of the archive's file.
    pub(super) sha256: String,
}

/// Reads the manifest alone: cheap, and proves nothing of the rest.
///
/// # Errors
/// When it is no backup, or a newer version's.
pub fn read_manifest(path: &Path) -> Result<Manifest, BackupError> {
    let mut tar = tar::Archive::new(open(path)?);
    let mut entries = tar.entries().map_err(|error| unreadable(&error))?.raw(true);
    first(&mut entries)
}

/// Reads all of an archive into a folder: each file under its own last name, as a new file for its owner alone, on the disk when this returns. Where the
/// folder has no room for it, nothing is written.
pub(super) fn unpack(path: &Path, into: &Path, pace: &Pace, disk: &Disk) -> Result<Whole, BackupError> {
    let mut tar = tar::Archive::new(open(path)?);
    let mut worker = pace.begin();
    let manifest = {
        let mut entries = tar.entries().map_err(|error| unreadable(&error))?.raw(true);
        let manifest = first(&mut entries)?;
        let total = manifest.bytes();
        check_room(into, total)?;
        let (mut done, mut chunk) = (0_u64, vec![0; CHUNK]);
        for member in &manifest.members {
            let entry = entries.next().ok_or_else(|| missing(member))?.map_err(|error| unreadable(&error))?;
            let mut entry = plain_file(entry, &member.name)?;
            let length = entry.header().size().map_err(|error| unreadable(&error))?;
            if length != member.bytes {
                return Err(BackupError::Damaged(format!(
                    "{} has {length} bytes, and its manifest says {}",
                    member.name, member.bytes
                )));
            }
            let to = into.join(place(member));
            let mut file = disk.make_file(&to)?;
            let mut hash = Sha256::new();
            loop {
                worker.go_on()?;
                let read = entry.read(&mut chunk).map_err(|error| unreadable(&error))?;
                let Some(part) = chunk.get(..read).filter(|part| !part.is_empty()) else { break };
                hash.update(part);
                file.write_all(part).map_err(BackupError::at(&to))?;
                done = done.saturating_add(u64::try_from(read).unwrap_or(0));
                pace.tell(Phase::Unpack, done, Some(total));
            }
            let found = hex(hash);
            if found != member.sha256 {
                return Err(BackupError::Damaged(format!(
                    "{} is not what was put in: its hash is {found}, and its manifest says {}",
                    member.name, member.sha256
                )));
            }
            drop(file);
            disk.sync(&to)?;
        }
        if let Some(entry) = entries.next() {
            let entry = entry.map_err(|error| unreadable(&error))?;
            let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            return Err(BackupError::Damaged(format!(
                "it has a file {name:?} that its manifest does not name"
            )));
        }
        manifest
    };
    let (bytes, sha256) = end(tar.into_inner())?;
    Ok(Whole { manifest, bytes, sha256 })
}

/// The name under which a member is unpacked: one level deep.
pub(super) fn place(member: &Member) -> String {
    member.name.replace('/', "-")
}

fn open(path: &Path) -> Result<Unzipped, BackupError> {
    // Neither a link is followed nor a pipe waited for.
    let flags = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = OpenOptions::new().read(true).custom_flags(flags).open(path).map_err(BackupError::at(path))?;
    let data = file.metadata().map_err(BackupError::at(path))?;
    if !data.is_file() {
        return Err(BackupError::Damaged(format!("{} is no file", path.display())));
    }
    let hashed = Hashed { source: file, hash: Sha256::new(), bytes: 0 };
    Ok(GzDecoder::new(BufReader::with_capacity(CHUNK, hashed)))
}

type Entries<'a> = tar::Entries<'a, Unzipped>;

fn first(entries: &mut Entries<'_>) -> Result<Manifest, BackupError> {
    let none = || BackupError::damaged("it is empty");
    let entry = entries.next().ok_or_else(none)?.map_err(|error| unreadable(&error))?;
    let entry = plain_file(entry, MANIFEST)?;
    let length = entry.header().size().map_err(|error| unreadable(&error))?;
    if length > MAX_MANIFEST {
        return Err(BackupError::Damaged(format!("its manifest has {length} bytes")));
    }
    let mut text = Vec::new();
    entry.take(MAX_MANIFEST).read_to_end(&mut text).map_err(|error| unreadable(&error))?;
    Manifest::read(&text)
}

/// The entry, if it is a plain file of that name.
fn plain_file<'a, R: Read>(entry: tar::Entry<'a, R>, name: &str) -> Result<tar::Entry<'a, R>, BackupError> {
    let found = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    if entry.header().entry_type() != tar::EntryType::Regular {
        return Err(BackupError::Damaged(format!("{found:?} in it is no plain file")));
    }
    if found != name {
        return Err(BackupError::Damaged(format!("{name} is missing, there is {found:?} in its place")));
    }
    Ok(entry)
}

/// Reads what is behind the tar: the checksum of gzip is in it. The length and hash of the file.
fn end(mut unzipped: Unzipped) -> Result<(u64, String), BackupError> {
    let behind = io::copy(&mut unzipped.by_ref().take(MAX_END), &mut io::sink());
    if behind.map_err(|error| unreadable(&error))? >= MAX_END {
        return Err(BackupError::damaged("something is behind its end"));
    }
    let mut raw = unzipped.into_inner();
    let behind = io::copy(&mut raw.by_ref().take(1), &mut io::sink());
    if behind.map_err(|error| unreadable(&error))? > 0 {
        return Err(BackupError::damaged("something is behind its end"));
    }
    let hashed = raw.into_inner();
    Ok((hashed.bytes, hex(hashed.hash)))
}

fn missing(member: &Member) -> BackupError {
    BackupError::Damaged(format!("{} is missing: it was cut off", member.name))
}

fn unreadable(error: &io::Error) -> BackupError {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => BackupError::damaged("it was cut off"),
        _ => BackupError::Damaged(format!("it cannot be unpacked: {error}")),
    }
}
