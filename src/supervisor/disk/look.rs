//! One look at all filesystems of the configuration, each bounded in time by itself.

use std::time::Duration;

use futures_util::future::join_all;

use super::{
    ballast,
    bounded::Bounded,
    filesystem::{self, FilesystemSeen},
    settings::DiskSettings,
};

/// Longest wait for one.
const WITHIN: Duration = Duration::from_secs(5);

/// A filesystem, and whether its ballast is there.
pub(super) type Seen = (FilesystemSeen, bool);

/// What was seen of each filesystem, in the order of the configuration; or why it was not.
pub(super) async fn look(settings: &DiskSettings, bounded: &Bounded) -> Vec<Result<Seen, String>> {
    let looks = settings.filesystems.iter().map(|filesystem| async {
        let name = format!("look {}", filesystem.path.display());
        let (of, host_root) = (filesystem.clone(), settings.host_root.clone());
        let look = move || {
            let seen = filesystem::look(&of.path, &host_root)?;
            Ok::<_, std::io::Error>((seen, of.ballast.as_ref().is_some_and(ballast::is_there)))
        };
        match bounded.run(&name, WITHIN, look).await {
            Ok(Ok(seen)) => Ok(seen),
            Ok(Err(error)) => Err(format!("it cannot be looked at: {error}")),
            Err(hangs) => Err(hangs.to_string()),
        }
    });
    join_all(looks).await
}

/// The same once, for commands.
pub async fn look_once(settings: &DiskSettings) -> Vec<Result<FilesystemSeen, String>> {
    let looks = look(settings, &Bounded::default()).await;
    looks.into_iter().map(|look| look.map(|(seen, _)| seen)).collect()
}
