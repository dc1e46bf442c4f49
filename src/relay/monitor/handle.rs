//! The way to the monitor for everybody else: commands, and their answers.

use tokio::sync::{mpsc, oneshot};

use super::HealthMonitorSettings;
use crate::types::RelayId;

/// Wishes that wait. Arbitrary: people and probes send a handful.
const COMMANDS: usize = 256;

/// What the operator can do to one relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OperatorCommand {
    /// Always ask it.
    Pin,
    /// Never ask it.
    Disable,
    /// Neither pinned nor disabled by hand any more.
    Release,
    /// Forgive all it did.
    Pardon,
}

/// What the monitor is asked for.
pub(super) enum Command {
    Rotate { reason: String, reply: oneshot::Sender<Vec<RelayId>> },
    Hand { relay: RelayId, command: OperatorCommand, reply: oneshot::Sender<bool> },
    Probed { relay: RelayId, failure: Option<String> },
    Seed { relay: RelayId, good: u32, bad: u32 },
    Configured(HealthMonitorSettings),
}

/// Speaks to the monitor; clones speak to the same.
#[derive(Clone, Debug)]
pub struct HealthMonitorHandle(mpsc::Sender<Command>);

/// A handle, and where its commands come out.
pub(super) fn command_channel() -> (HealthMonitorHandle, mpsc::Receiver<Command>) {
    let (sender, commands) = mpsc::channel(COMMANDS);
    (HealthMonitorHandle(sender), commands)
}

impl HealthMonitorHandle {
    /// Rotates now; answers who is asked from now on. `None` once the monitor has ended.
    pub async fn rotate(&self, reason: &str) -> Option<Vec<RelayId>> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Command::Rotate { reason: reason.to_owned(), reply }).await.ok()?;
        answer.await.ok()
    }

    /// Does the operator's will; false when there is no such relay, `None` once the monitor has ended.
    pub async fn operator_command(&self, relay: RelayId, command: OperatorCommand) -> Option<bool> {
        let (reply, answer) = oneshot::channel();
        self.0.send(Command::Hand { relay, command, reply }).await.ok()?;
        answer.await.ok()
    }

    /// A probe ended, well or with these words.
    pub(in crate::relay) async fn probed(&self, relay: RelayId, failure: Option<String>) {
        let _ = self.0.send(Command::Probed { relay, failure }).await;
    }

    /// So many of a relay's public deliveries are on chain, and so many are not.
    pub async fn seed(&self, relay: RelayId, good: u32, bad: u32) {
        let _ = self.0.send(Command::Seed { relay, good, bad }).await;
    }

    /// Goes by other settings, and looks at the configured relays again.
    pub async fn configure(&self, settings: HealthMonitorSettings) {
        let _ = self.0.send(Command::Configured(settings)).await;
    }
}
