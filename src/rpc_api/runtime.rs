//! The threads that everything of the gateway runs on.

use std::{io, num::NonZeroUsize, thread};

use tokio::runtime::{Builder, Handle, Runtime};
use tracing::warn;

/// How much the gateway stands back behind the consensus client's path: half of `nice`'s default step. Bundles stand back further.
const NICENESS: i32 = 5;

/// A runtime of its own. Its tasks end with their groups; what is left when it is dropped is cut off.
#[derive(Debug)]
pub struct OwnRuntime(Option<Runtime>);

impl OwnRuntime {
    /// As many threads as there are cores: what the machine has to spare is the gateway's.
    ///
    /// # Errors
    /// When the system has no threads for it.
    pub fn start() -> io::Result<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let runtime = Builder::new_multi_thread()
            .worker_threads(cores)
            .thread_name("rpc")
            .on_thread_start(stand_back)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Spawns onto it: tasks that are started within a guard of `enter` run there.
    pub fn handle(&self) -> Option<&Handle> {
        self.0.as_ref().map(Runtime::handle)
    }
}

/// On Linux a thread has a priority of its own.
fn stand_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        warn!(%error, "the gateway runs at the same priority as everything else");
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        // Dropped as other values are, it would wait for its threads, which no task may.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
