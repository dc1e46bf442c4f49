//! The last lines of a unit's output, by `journalctl`: the journal's files have a format of their own, and it reads them.

use std::{process::Stdio, time::Duration};

use tokio::{
    io::AsyncReadExt,
    process::Command,
    time::{Instant, timeout_at},
};

use crate::supervisor::{RuntimeError, runtime::tail::Tail};

/// Most lines that are asked for.
const MOST_LINES: usize = 10_000;
/// Most bytes that are read for them.
const MOST_BYTES: usize = 32 << 20;
/// Longest time for them. What has come by then is shown.
const LONGEST: Duration = Duration::from_secs(15);

pub(super) async fn last(unit: &str, lines: usize) -> Result<Vec<String>, RuntimeError> {
    let lines = lines.min(MOST_LINES);
    let unable = |error: std::io::Error| {
        RuntimeError::Refused(format!(
            "The output of {unit} cannot be read: journalctl cannot be run ({error}). It must be installed, and this user a member of the \
             group systemd-journal."
        ))
    };
    // `--unit=`: a name is never taken for an option.
    let mut child = Command::new("journalctl")
        .args([
            &format!("--unit={unit}"),
            &format!("--lines={lines}"),
            "--output=cat",
            "--no-pager",
            "--quiet",
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .map_err(unable)?;
    let Some(mut output) = child.stdout.take() else { return Ok(Vec::new()) };
    let mut tail = Tail::new(lines);
    let (until, mut piece, mut read) = (Instant::now() + LONGEST, vec![0; 64 << 10], 0_usize);
    while read < MOST_BYTES {
        match timeout_at(until, output.read(&mut piece)).await {
            Ok(Ok(count @ 1..)) => {
                read = read.saturating_add(count);
                tail.push(piece.get(..count).unwrap_or_default());
            }
            Ok(Err(error)) => return Err(unable(error)),
            Ok(Ok(0)) | Err(_) => break,
        }
    }
    Ok(tail.last(lines))
}
