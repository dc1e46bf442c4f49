//! A child's output: the last lines in memory, and a file that is rotated.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use parking_lot::Mutex;
use tokio::{
    fs::{self, File, OpenOptions},
    io::{AsyncRead, AsyncReadExt, AsyncSeekExt, AsyncWriteExt},
};

use crate::{supervisor::runtime::tail::Tail, types::NodeId};

/// Lines that are kept in memory.
const KEPT_LINES: usize = 2000;
/// From here on a file is put aside. Two are kept beside the one that is written.
const FILE_BYTES: u64 = 32 << 20;
/// What is read of a file for its last lines.
const READ_BACK: u64 = 1 << 20;

/// Where a child's output goes. Both of its streams write here.
#[derive(Clone, Debug)]
pub(super) struct Output {
    tail: Arc<Mutex<Tail>>,
    file: Arc<tokio::sync::Mutex<LogFile>>,
}

impl Output {
    pub(super) fn new(folder: &Path, id: &NodeId) -> Self {
        Self {
            tail: Arc::new(Mutex::new(Tail::new(KEPT_LINES))),
            file: Arc::new(tokio::sync::Mutex::new(LogFile { path: path(folder, id), open: None })),
        }
    }

    /// Takes over a stream until it ends. A disk that fails loses lines, and never holds the child up.
    pub(super) async fn take(self, mut stream: impl AsyncRead + Unpin) {
        let mut piece = vec![0; 16 << 10];
        while let Ok(count @ 1..) = stream.read(&mut piece).await {
            let piece = piece.get(..count).unwrap_or_default();
            self.tail.lock().push(piece);
            self.file.lock().await.append(piece).await;
        }
    }

    pub(super) fn last(&self, lines: usize) -> Vec<String> {
        self.tail.lock().last(lines)
    }
}

fn path(folder: &Path, id: &NodeId) -> PathBuf {
    folder.join(format!("{id}.log"))
}

/// A file and its size.
#[derive(Debug)]
struct LogFile {
    path: PathBuf,
    open: Option<(File, u64)>,
}

impl LogFile {
    async fn append(&mut self, piece: &[u8]) {
        if let Err(error) = self.try_append(piece).await {
            // Once for each file: opened anew with the next piece.
            if self.open.take().is_some() {
                tracing::warn!(path = %self.path.display(), %error, "output of a node could not be written");
            }
        }
    }

    async fn try_append(&mut self, piece: &[u8]) -> std::io::Result<()> {
        if self.open.as_ref().is_some_and(|(_, size)| *size >= FILE_BYTES) {
            self.open = None;
            let aside = |number: u8| self.path.with_extension(format!("log.{number}"));
            let _ = fs::rename(aside(1), aside(2)).await;
            fs::rename(&self.path, aside(1)).await?;
        }
        let (file, size) = match &mut self.open {
            Some(open) => open,
            None => {
                if let Some(folder) = self.path.parent() {
                    fs::create_dir_all(folder).await?;
                }
                let file = OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path).await?;
                let size = file.metadata().await?.len();
                self.open.insert((file, size))
            }
        };
        file.write_all(piece).await?;
        // To the kernel, not to the disk: what a crash of ours would lose otherwise is what is wanted most.
        file.flush().await?;
        *size = size.saturating_add(piece.len() as u64);
        Ok(())
    }
}

/// The last lines of a node's file: of an earlier run of ours.
pub(super) async fn of_file(folder: &Path, id: &NodeId, lines: usize) -> Vec<String> {
    let mut tail = Tail::new(lines.min(KEPT_LINES));
    let read = async {
        let mut file = File::open(path(folder, id)).await?;
        let from = file.metadata().await?.len().saturating_sub(READ_BACK);
        file.seek(std::io::SeekFrom::Start(from)).await?;
        let mut text = Vec::new();
        file.take(READ_BACK).read_to_end(&mut text).await?;
        std::io::Result::Ok(text)
    };
    if let Ok(text) = read.await {
        tail.push(&text);
    }
    tail.last(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_file_is_put_aside_when_it_is_large() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = LogFile { path: folder.path().join("geth.log"), open: None };
        for byte in [b'a', b'b', b'c', b'd'] {
            file.append(&[byte, b'\n']).await;
            file.open.as_mut().unwrap().1 = FILE_BYTES;
        }
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(
            (read("geth.log"), read("geth.log.1"), read("geth.log.2")),
            ("d\n".into(), "c\n".into(), "b\n".into())
        );
        let last = of_file(folder.path(), &NodeId::parse("geth").unwrap(), 5).await;
        assert_eq!(last, ["d"]);
    }
}
