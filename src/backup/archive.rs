//! Writing an archive: a tar in gzip, which any machine can open without relaymux.

use std::{
    fs::File,
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use sha2::{Digest, Sha256};

use super::{
    BackupError, Manifest, Pace,
    disk::Disk,
    manifest::MANIFEST,
    pace::{Phase, Worker},
};

/// What is read at one go: some milliseconds of packing.
const CHUNK: usize = 128 << 10;

/// Where the contents of a member come from.
#[derive(Debug)]
pub(super) enum Contents {
    /// A file.
    File(PathBuf),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// Length and SHA-256 of a file.
pub(super) fn hash_file(path: &Path, worker: &mut Worker) -> Result<(u64, String), BackupError> {
    let mut file = File::open(path).map_err(BackupError::at(path))?;
    let (mut hash, mut bytes, mut chunk) = (Sha256::new(), 0_u64, vec![0; CHUNK]);
    loop {
        worker.go_on()?;
        let read = file.read(&mut chunk).map_err(BackupError::at(path))?;
        let Some(part) = chunk.get(..read).filter(|part| !part.is_empty()) else { break };
        hash.update(part);
        bytes = bytes.saturating_add(u64::try_from(read).unwrap_or(0));
    }
    Ok((bytes, hex(hash)))
}

/// Length and SHA-256 of bytes.
pub(super) fn hash_bytes(bytes: &[u8]) -> (u64, String) {
    (u64::try_from(bytes.len()).unwrap_or(u64::MAX), hex(Sha256::new().chain_update(bytes)))
}

pub(super) fn hex(hash: Sha256) -> String {
    alloy_primitives::hex::encode(hash.finalize())
}

/// Writes an archive of what a manifest says, in its order; on the disk when this returns. Its length.
pub(super) fn write_archive(
    to: &Path,
    manifest: &Manifest,
    contents: Vec<Contents>,
    pace: &Pace,
    disk: &Disk,
) -> Result<u64, BackupError> {
    let failed = BackupError::at;
    let file = disk.make_file(to)?;
    let zip = GzEncoder::new(BufWriter::new(file), Compression::fast());
    let mut tar = tar::Builder::new(zip);
    let mut worker = pace.begin();
    let text = serde_json::to_vec_pretty(manifest).map_err(|error| failed(to)(error.into()))?;
    tar.append(&header(MANIFEST, text.len() as u64, manifest).map_err(failed(to))?, text.as_slice())
        .map_err(failed(to))?;
    let (total, mut done) = (manifest.bytes(), 0_u64);
    for (member, contents) in manifest.members.iter().zip(contents) {
        let header = header(&member.name, member.bytes, manifest).map_err(failed(to))?;
        let source: Box<dyn Read> = match contents {
            Contents::File(path) => Box::new(File::open(&path).map_err(failed(&path))?),
            Contents::Bytes(bytes) => Box::new(io::Cursor::new(bytes)),
        };
        // Whatever the file has become since it was hashed, the tar stays one.
        let source = source.take(member.bytes);
        let mut rested = Rested { source, worker: &mut worker, done, total, pace, ended: None };
        let appended = tar.append(&header, &mut rested);
        if let Some(ended) = rested.ended.take() {
            return Err(ended);
        }
        appended.map_err(failed(to))?;
        done = done.saturating_add(member.bytes);
    }
    let mut zip = tar.into_inner().map_err(failed(to))?;
    zip.flush().map_err(failed(to))?;
    let file =
        zip.finish().map_err(failed(to))?.into_inner().map_err(|error| failed(to)(error.into_error()))?;
    let bytes = file.metadata().map_err(failed(to))?.len();
    drop(file);
    disk.sync(to)?;
    Ok(bytes)
}

fn header(name: &str, bytes: u64, manifest: &Manifest) -> io::Result<tar::Header> {
    let mut header = tar::Header::new_ustar();
    header.set_path(name)?;
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_mtime(manifest.created_at.div_euclid(1000).unsigned_abs());
    header.set_entry_type(tar::EntryType::Regular);
    header.set_cksum();
    Ok(header)
}

/// A source that rests between two parts of it.
struct Rested<'a, R> {
    source: R,
    worker: &'a mut Worker,
    done: u64,
    total: u64,
    pace: &'a Pace,
    /// Why it ended early.
    ended: Option<BackupError>,
}

impl<R: Read> Read for Rested<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let Err(ended) = self.worker.go_on() {
            self.ended = Some(ended);
            return Err(io::Error::other("ended"));
        }
        let read = self.source.read(into)?;
        self.done = self.done.saturating_add(u64::try_from(read).unwrap_or(0));
        self.pace.tell(Phase::Pack, self.done, Some(self.total));
        Ok(read)
    }
}
