//! The threads that everything of the gateway runs on.
//!
//! One for each core that serves connections, each a runtime of its own, and one for what goes on beside them (probes, subscriptions): a call
//! is read, passed on and answered on one thread, over connections to upstreams that are that thread's own, so that no thread waits to be
//! woken by another one. A probe does not wait behind calls.

use std::{io, num::NonZeroUsize, thread, time::Duration};

use tokio::{
    runtime::{Builder, Handle, Runtime},
    time::interval,
};
use tracing::warn;

use crate::http_client::use_pool;

/// How much the gateway stands back behind the consensus client's path: half of `nice`'s default step. Bundles stand back further.
const NICENESS: i32 = 5;

/// A timer that is due before all others of its runtime has tokio wake the runtime up, were it awake already: a system call, and a look at what
/// it says. One that is due each second is due before any of a call's, which are for seconds.
const TICK: Duration = Duration::from_secs(1);

/// Runtimes of its own. Their tasks end with their groups; what is left when it is dropped is cut off.
#[derive(Debug)]
pub struct OwnRuntime {
    /// The first is for what goes on beside calls.
    runtimes: Vec<Runtime>,
}

impl OwnRuntime {
    /// As many threads for calls as there are cores: what the machine has to spare is the gateway's.
    ///
    /// # Errors
    /// When the system has no threads for it.
    pub fn start() -> io::Result<Self> {
        let runtimes = (0..=Self::callers()).map(|number| {
            let name = if number == 0 { "rpc-watch".to_owned() } else { format!("rpc-{number}") };
            Builder::new_multi_thread()
                .worker_threads(1)
                .thread_name(name)
                .on_thread_start(move || {
                    stand_back();
                    use_pool(number);
                })
                .enable_all()
                .build()
        });
        let runtimes = runtimes.collect::<io::Result<Vec<_>>>()?;
        for runtime in runtimes.iter().skip(1) {
            runtime.spawn(tick());
        }
        Ok(Self { runtimes })
    }

    /// How many threads serve connections. Upstreams' connections are in so many pools, and one for what goes on beside.
    pub fn callers() -> usize {
        thread::available_parallelism().map_or(1, NonZeroUsize::get)
    }

    /// For all but connections: tasks that are started within a guard of `enter` run there.
    pub fn handle(&self) -> Option<&Handle> {
        self.runtimes.first().map(Runtime::handle)
    }

    /// Where connections are served.
    pub fn for_connections(&self) -> Vec<Handle> {
        self.runtimes.iter().skip(1).map(|runtime| runtime.handle().clone()).collect()
    }
}

async fn tick() {
    let mut ticks = interval(TICK);
    loop {
        ticks.tick().await;
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
        // Dropped as other values are, they would wait for their threads, which no task may.
        self.runtimes.drain(..).for_each(Runtime::shutdown_background);
    }
}
