//! What others delete of their own when they are asked to: systemd its journal, Docker images and what it keeps of builds. Never volumes.

use std::{fmt, process::Stdio, time::Duration};

use futures_util::future::BoxFuture;
use tokio::{io::AsyncReadExt, process::Command, time::timeout};

/// Longest wait for `journalctl`.
const JOURNAL_WITHIN: Duration = Duration::from_secs(180);
/// Most bytes that are read of what it complains of.
const MAX_COMPLAINT: u64 = 4096;

/// The engine that images and builds are on.
pub trait ImageStore: Send + Sync {
    /// Removes images that no tag and no container names, made longer ago than `min_age`. How many bytes that freed.
    fn prune_images(&self, min_age: Duration) -> BoxFuture<'_, Result<u64, String>>;

    /// Removes what is kept of builds and was not used for `min_age`. How many bytes that freed.
    fn prune_builds(&self, min_age: Duration) -> BoxFuture<'_, Result<u64, String>>;
}

impl fmt::Debug for dyn ImageStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ImageStore")
    }
}

/// Has systemd cut its journal down to so many bytes.
///
/// # Errors
/// In words, when it cannot.
pub(super) async fn vacuum_journal(program: &str, keep_bytes: u64) -> Result<(), String> {
    let mut command = Command::new(program);
    command.arg(format!("--vacuum-size={keep_bytes}")).arg("--quiet");
    command.env_clear().env("LANG", "C");
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| format!("{program} cannot be started: {error}"))?;
    let ended = timeout(JOURNAL_WITHIN, async {
        let mut complaint = Vec::new();
        if let Some(errors) = child.stderr.take() {
            let mut bounded = errors.take(MAX_COMPLAINT);
            // Why it failed is said by its end as well.
            let _ = bounded.read_to_end(&mut complaint).await;
            let mut rest = bounded.into_inner();
            let _ = tokio::io::copy(&mut rest, &mut tokio::io::sink()).await;
        }
        (child.wait().await, complaint)
    });
    let (status, complaint) =
        ended.await.map_err(|_| format!("{program} has not ended within {} s", JOURNAL_WITHIN.as_secs()))?;
    let status = status.map_err(|error| format!("{program}: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let complaint = String::from_utf8_lossy(&complaint).split_whitespace().collect::<Vec<_>>().join(" ");
    let complaint: String = complaint.chars().take(300).collect();
    Err(format!("{program} failed ({status}): {complaint}"))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn script(folder: &std::path::Path, text: &str) -> String {
        let path = folder.join("journalctl");
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path.display().to_string()
    }

    #[tokio::test]
    async fn the_journal_is_cut_by_systemds_own_tool_and_its_complaint_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let said = folder.path().join("said");
        let program = script(folder.path(), &format!("echo \"$@\" > {}", said.display()));
        vacuum_journal(&program, 1 << 30).await.unwrap();
        assert_eq!(std::fs::read_to_string(said).unwrap(), "--vacuum-size=1073741824 --quiet\n");
        let program = script(folder.path(), "echo 'no\n  rights' >&2; exit 3");
        let error = vacuum_journal(&program, 5).await.unwrap_err();
        assert!(error.contains("exit status: 3") && error.ends_with("no rights"), "{error}");
        let error = vacuum_journal("/nowhere/journalctl", 5).await.unwrap_err();
        assert!(error.contains("cannot be started"), "{error}");
    }
}
