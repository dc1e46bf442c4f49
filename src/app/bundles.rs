//! Bundles on a runtime of their own: one thread that the path to the consensus client never waits for.

use std::{io, thread, time::Duration};

use tokio::sync::oneshot;
use tracing::{error, warn};

use crate::bundles::{BundleParts, run_bundles};

/// Time to write down the end.
pub(super) const BUNDLES_DRAIN: Duration = Duration::from_secs(8);

/// How much bundles stand back behind the rest: `nice`'s default step.
const NICENESS: i32 = 10;

/// Starts the room on a thread of its own. What is returned is done when the thread has ended, in whatever way.
///
/// # Errors
/// When the system has no thread for it.
pub(super) fn start_bundles(parts: BundleParts) -> io::Result<impl Future<Output = ()> + Send + 'static> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (end, ended) = oneshot::channel::<()>();
    thread::Builder::new().name("bundles".to_owned()).spawn(move || {
        // On Linux a thread has a priority of its own: where cores are scarce, a header goes first.
        #[cfg(target_os = "linux")]
        if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
            warn!(%error, "bundles run at the same priority as everything else");
        }
        if let Err(error) = runtime.block_on(run_bundles(parts)) {
            error!(%error, "bundles are not taken any more");
        }
        let _ = end.send(());
    })?;
    Ok(async {
        let _ = ended.await;
    })
}
