//! The process that takes an unconfirmed ruleset back. It outlives the one that loaded it, its terminal and its connection.

use std::{process::ExitCode, time::Duration};

use tokio::{
    signal::unix::{SignalKind, signal},
    time::{Instant, sleep},
};

use super::trouble::{Trouble, nft};
use crate::{
    cli::{arguments::FirewallGuardArguments, exit::FAILED},
    supervisor::firewall::{Nft, Outcome, REMOVE, Trial},
};

/// How often it is looked whether somebody confirmed.
const EVERY: Duration = Duration::from_millis(100);
/// How often the revert is tried: nft may meet somebody else's transaction.
const TRIES: u32 = 5;
/// Between two tries.
const PAUSE: Duration = Duration::from_secs(1);

pub(super) async fn guard(arguments: &FirewallGuardArguments) -> Result<ExitCode, Trouble> {
    // A session of its own: no terminal can end it. It fails only for who leads one already.
    let _ = rustix::process::setsid();
    let io = |error: std::io::Error| Trouble::Words(error.to_string());
    // Whoever ends us (a session's end that kills all of its processes, a shutdown) does not keep the rules by that.
    let mut term = signal(SignalKind::terminate()).map_err(io)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(io)?;
    let mut hang_up = signal(SignalKind::hangup()).map_err(io)?;
    let nft = nft()?;
    let trial = Trial::open(&arguments.state_dir)?;
    let _watch = trial.watch()?;
    let deadline = Instant::now() + arguments.confirm_within;
    trial.arm()?;
    while Instant::now() < deadline {
        if trial.outcome() != Outcome::Waits {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::select! {
            () = sleep(EVERY) => {}
            _ = term.recv() => break,
            _ = interrupt.recv() => break,
            // The terminal is gone: that is what we are here for.
            _ = hang_up.recv() => {}
        }
    }
    let Some(script) = trial.revert()? else { return Ok(ExitCode::SUCCESS) };
    let is_done = revert(&nft, &script).await;
    trial.reverted(is_done)?;
    Ok(if is_done { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

/// Puts back what was before. Where that cannot be loaded any more, taking ours away is nearer to it than leaving the new one.
async fn revert(nft: &Nft, script: &str) -> bool {
    for _ in 0..TRIES {
        if nft.load(script).await.is_ok() {
            return true;
        }
        sleep(PAUSE).await;
    }
    nft.load(REMOVE).await.is_ok()
}
