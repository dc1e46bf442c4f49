//! Looks that take long: at the sizes of named folders, and at deleted files that are open.

use std::{path::PathBuf, time::Duration};

use crate::{
    consensus::WallClock,
    supervisor::disk::{
        board::SizeView,
        bounded::Bounded,
        open_files::{DeletedOpen, OpenFiles},
        settings::DiskSettings,
        sizes::size_of,
    },
};

/// Longest walk of one folder, and longest look at processes.
const SIZE_WITHIN: Duration = Duration::from_secs(180);
const DELETED_WITHIN: Duration = Duration::from_secs(30);

/// The largest deleted files that are open; none where that cannot be told in time.
pub(super) async fn deleted_open(bounded: &Bounded, host_root: PathBuf) -> Option<Vec<DeletedOpen>> {
    bounded.run("open", DELETED_WITHIN, move || OpenFiles::read(&host_root, &[]).deleted).await.ok()
}

/// How large each named folder is, one after the other.
pub(super) async fn sizes_of(bounded: &Bounded, settings: &DiskSettings, clock: &WallClock) -> Vec<SizeView> {
    let mut sizes = Vec::new();
    for path in &settings.sizes {
        let name = format!("size {}", path.display());
        let (of, root) = (path.clone(), settings.host_root.clone());
        let size = match bounded.run(&name, SIZE_WITHIN, move || size_of(&of, &root)).await {
            Ok(size) => size.map_err(|error| error.to_string()),
            Err(hangs) => Err(hangs.to_string()),
        };
        let error = size.as_ref().err().cloned();
        let size = size.unwrap_or_default();
        sizes.push(SizeView {
            path: path.clone(),
            bytes: size.bytes,
            entries: size.entries,
            is_whole: size.is_whole,
            error,
            at: clock.now(),
        });
    }
    sizes
}
