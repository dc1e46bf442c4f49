//! Says when a fork comes, or has come, that this version does not serve.

use metrics::gauge;
use tracing::info;

use super::{rules::FORK_NOT_SERVED, watch_signals::WatchSignals};
use crate::{
    consensus::{ChainSpec, ForkUrgency, NamedFork, UnservedFork},
    events::{Conditions, Effect, Severity},
    types::UnixMillis,
};

/// Name of the condition.
const FORK: &str = "fork";
/// Seconds until the first such fork.
const UNTIL_FORK: &str = "relaymux_unserved_fork_seconds";

/// The chain, and what was said last.
#[derive(Debug)]
pub(super) struct ForkWatch {
    pub(super) spec: ChainSpec,
    pub(super) conditions: Conditions,
    pub(super) said: Option<(UnservedFork, ForkUrgency)>,
}

impl ForkWatch {
    /// Looks at the schedule, with the beacon node's where it is known.
    pub(super) async fn look(
        &mut self,
        reported: Option<&[NamedFork]>,
        now: UnixMillis,
        signals: &mut WatchSignals,
    ) {
        let Some(fork) = self.spec.unserved_fork(reported, now) else {
            // A gauge cannot be taken back: what is no number fulfils no alert's condition.
            gauge!(UNTIL_FORK).set(f64::NAN);
            self.conditions.set(FORK, Effect::None, "no fork is scheduled that this version does not serve");
            signals.resolve(&FORK_NOT_SERVED, "network", "it is not scheduled any more").await;
            self.said = None;
            return;
        };
        let (urgency, message) = (fork.urgency(now), fork.message(&self.spec.name, now));
        gauge!(UNTIL_FORK).set(seconds_until(fork.at, now));
        let ends_service = fork.ends_service(now);
        let effect = match urgency {
            ForkUrgency::InForce if ends_service => Effect::NotReady,
            ForkUrgency::InForce => Effect::Degraded,
            ForkUrgency::Near | ForkUrgency::Far => Effect::None,
        };
        self.conditions.set(FORK, effect, message.clone());
        let current = Some((fork, urgency));
        if self.said == current {
            return;
        }
        match urgency {
            ForkUrgency::Far => info!("{message}"),
            ForkUrgency::Near | ForkUrgency::InForce => {
                // Another date, or the date has come: that is said anew.
                signals.resolve(&FORK_NOT_SERVED, "network", "there is newer word of it").await;
                let severity = if ends_service { Severity::P2 } else { Severity::P3 };
                signals.raise_as(&FORK_NOT_SERVED, severity, "network", &message).await;
            }
        }
        self.said = current;
    }
}

#[expect(clippy::cast_precision_loss, reason = "a gauge of dates needs no more than 2^52 ms")]
fn seconds_until(at: UnixMillis, now: UnixMillis) -> f64 {
    at.saturating_sub(now) as f64 / 1000.0
}
