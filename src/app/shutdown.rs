//! Signals.

use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tracing::{info, warn};

/// Returns at SIGTERM or SIGINT. SIGHUP and SIGUSR1 are taken, so that they do not end the process.
///
/// # Errors
/// When the system refuses a handler.
pub async fn wait_for_stop_signal() -> io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let mut rotate = signal(SignalKind::user_defined1())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => info!(signal = "SIGTERM", "stopping"),
            _ = interrupt.recv() => info!(signal = "SIGINT", "stopping"),
            _ = hangup.recv() => {
                warn!("SIGHUP: this version reads its configuration at start only; restart to apply a change");
                continue;
            }
            _ = rotate.recv() => {
                warn!("SIGUSR1: this version does not rotate relays");
                continue;
            }
        }
        return Ok(());
    }
}
