//! Disks under watch: how full each is now. A look each, bounded in time; nothing is walked.

use serde_json::json;

use super::super::{findings::Findings, terminal::wrapped};
use crate::{
    supervisor::disk::{DiskSettings, look_once},
    types::ByteSize,
};

/// A line for each filesystem and class. That one is full, or away, is no mistake of the file: it may be meant for another machine.
pub(super) async fn report_disks(settings: &DiskSettings, findings: &mut Findings) {
    let looks = look_once(settings).await;
    let mut lines = Vec::new();
    let mut filesystems = Vec::new();
    for (filesystem, look) in settings.filesystems.iter().zip(&looks) {
        let path = filesystem.path.display();
        let line = match look {
            Ok(seen) => {
                let used = seen.space.used_permille();
                format!(
                    "disk {path}: {}.{} % in use, {} left ({}, {})",
                    used / 10,
                    used % 10,
                    ByteSize(seen.space.available_bytes),
                    seen.source,
                    seen.filesystem
                )
            }
            Err(error) => format!("disk {path}: {error}"),
        };
        lines.push(wrapped(&line, 2));
        filesystems.push(json!({
            "path": filesystem.path,
            "seen": look.as_ref().ok(),
            "error": look.as_ref().err(),
        }));
    }
    let classes: Vec<_> =
        settings.classes.iter().map(|class| json!({ "id": class.id, "kind": class.kind })).collect();
    if !settings.classes.is_empty() {
        let ids: Vec<&str> = settings.classes.iter().map(|class| class.id.as_str()).collect();
        lines.push(wrapped(&format!("classes, in the order of cleaning: {}", ids.join(", ")), 2));
    }
    findings.detail("disk", lines.join("\n"), json!({ "filesystems": filesystems, "classes": classes }));
}
