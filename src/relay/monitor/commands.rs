//! What commands do.

use tracing::info;

use super::{
    HealthMonitor,
    handle::{Command, OperatorCommand},
};
use crate::{breaker::Pulse, relay::health::OperatorSetting, types::RelayId};

impl HealthMonitor {
    pub(super) fn on_command(&mut self, command: Command) {
        let now = self.clock.now();
        match command {
            Command::Rotate { reason, reply } => {
                self.rotation = self.rotation.rotate_now(self.started.elapsed());
                self.rotated(&reason);
                let active = self.relays.active();
                // The asker may have gone.
                let _ = reply.send(active.iter().map(|relay| relay.id().clone()).collect());
            }
            Command::Hand { relay, command, reply } => {
                let is_known = self.relays.all().iter().any(|known| *known.id() == relay);
                if is_known {
                    let reputation = self.reputations.entry(relay.clone()).or_default();
                    match command {
                        OperatorCommand::Pin => reputation.operator_setting = Some(OperatorSetting::Pinned),
                        OperatorCommand::Disable => {
                            reputation.operator_setting = Some(OperatorSetting::Disabled)
                        }
                        OperatorCommand::Release => reputation.operator_setting = None,
                        OperatorCommand::Pardon => reputation.pardon(now),
                    }
                    info!(%relay, ?command, "relay set by hand");
                    self.save_one(&relay, now);
                    self.place();
                }
                let _ = reply.send(is_known);
            }
            Command::Probed { relay, failure } => {
                let pulse = if failure.is_some() { Pulse::Failed } else { Pulse::Alive };
                let reputation = self.reputations.entry(relay).or_default();
                let was_closed = reputation.breaker.is_closed();
                // A good status call does not make up for bad answers in races; a bad one counts like them.
                if pulse == Pulse::Failed || !was_closed {
                    reputation.pulse(pulse, &failure.unwrap_or_default(), now, &self.settings.trust);
                    self.place();
                }
            }
            Command::Seed { relay, good, bad } => {
                let reputation = self.reputations.entry(relay.clone()).or_default();
                if reputation.seed(good, bad, now, &self.settings.trust) {
                    self.save_one(&relay, now);
                    self.place();
                }
            }
            Command::Configured(settings) => {
                self.settings = settings;
                self.configured();
            }
        }
    }

    /// The configuration is new: forgives what it says is forgiven, and places everybody.
    pub(super) fn configured(&mut self) {
        let (all, now) = (self.relays.all(), self.clock.now());
        for relay in all.iter() {
            let Some(before) = relay.settings().pardon_before else { continue };
            let reputation = self.reputations.entry(relay.id().clone()).or_default();
            if reputation.pardoned_at < before {
                reputation.pardon(before);
                self.unsaved.insert(relay.id().clone());
            }
        }
        let gone: Vec<RelayId> =
            self.told_modes.keys().filter(|id| all.iter().all(|relay| relay.id() != *id)).cloned().collect();
        for relay in gone {
            self.told_modes.remove(&relay);
            self.end_signals(&relay, now);
        }
        self.rest();
        self.place();
    }
}
