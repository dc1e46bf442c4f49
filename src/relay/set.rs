//! The relays of the moment, as a snapshot that readers take without waiting; and what the last probe of each said.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use parking_lot::RwLock;
use reqwest::header::HeaderValue;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{CallContext, Relay};
use crate::{
    consensus::{SlotClock, WallClock},
    events::{Event, RelayState, Spine},
    types::RelayId,
};

/// Longest wait for a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long before a slot starts the probe is sent. Relays close idle connections after as little as 3 s, so a connection opened
/// now is still open when the header is asked for.
const PROBE_LEAD_MS: i64 = 1500;
/// Shortest time between probes, whatever the slot length.
const PROBE_GAP: Duration = Duration::from_millis(1000);

/// All relays in the order of the configuration, those of the moment among them, and their condition.
#[derive(Debug)]
pub struct SharedRelays {
    all: ArcSwap<Vec<Arc<Relay>>>,
    active: ArcSwap<Vec<Arc<Relay>>>,
    conditions: RwLock<HashMap<RelayId, RelayState>>,
}

impl SharedRelays {
    /// The configured relays; the enabled ones are active.
    pub fn new(all: Vec<Arc<Relay>>) -> Self {
        let relays =
            Self { all: ArcSwap::default(), active: ArcSwap::default(), conditions: RwLock::default() };
        relays.replace(all);
        relays
    }

    /// Puts other relays in their place. Calls under way go on with those they were begun with.
    pub fn replace(&self, all: Vec<Arc<Relay>>) {
        let active = all.iter().filter(|relay| relay.settings().enabled).cloned().collect();
        self.conditions.write().retain(|id, _| all.iter().any(|relay| relay.id() == id));
        self.all.store(Arc::new(all));
        self.active.store(Arc::new(active));
    }

    /// Every configured relay.
    pub fn all(&self) -> Arc<Vec<Arc<Relay>>> {
        self.all.load_full()
    }

    /// Those that are asked. Never waits.
    pub fn active(&self) -> Arc<Vec<Arc<Relay>>> {
        self.active.load_full()
    }

    /// What the last probe of a relay said; `None` before the first.
    pub fn condition(&self, relay: &RelayId) -> Option<RelayState> {
        self.conditions.read().get(relay).cloned()
    }

    /// Whether a relay may be usable: not one of the active ones is known to be down, or at least one is known to be up.
    pub fn has_usable(&self) -> bool {
        let conditions = self.conditions.read();
        self.active.load().iter().any(|relay| conditions.get(relay.id()).is_none_or(|state| state.usable))
    }
}

/// Probes every active relay once now and once before each slot, until told to stop. Opens connections on the way.
pub async fn run_probes(relays: Arc<SharedRelays>, slots: SlotClock, spine: Spine, stop: CancellationToken) {
    let wall = WallClock;
    let user_agent = HeaderValue::from_static(concat!("relaymux/", env!("CARGO_PKG_VERSION")));
    loop {
        let active = relays.active();
        let probes = active.iter().map(|relay| {
            let context =
                CallContext { user_agent: user_agent.clone(), deadline: Instant::now() + PROBE_TIMEOUT };
            async move { (relay.id().clone(), relay.status(&context).await) }
        });
        let results = futures_util::future::join_all(probes).await;
        for (relay, result) in results {
            let state = RelayState {
                usable: result.is_ok(),
                why: result
                    .map_or_else(|failure| failure.to_string(), |()| "answers its status call".to_owned()),
                relay,
                at: wall.now(),
            };
            note(&relays, &spine, state);
        }
        let wait = until_next_probe(slots, wall.now()).max(PROBE_GAP);
        tokio::select! {
            () = sleep(wait) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Keeps a condition; tells the world only when it changed.
fn note(relays: &SharedRelays, spine: &Spine, state: RelayState) {
    let before = relays.conditions.write().insert(state.relay.clone(), state.clone());
    if before.is_some_and(|before| before.usable == state.usable) {
        return;
    }
    if state.usable {
        info!(relay = %state.relay, "relay is usable");
    } else {
        warn!(relay = %state.relay, why = %state.why, "relay is not usable");
    }
    spine.publish(Event::Relay(state));
}

fn until_next_probe(slots: SlotClock, now: i64) -> Duration {
    let next = slots.slot_at(now).as_u64().saturating_add(1);
    let slot_ms = i64::try_from(slots.slot_ms()).unwrap_or(i64::MAX);
    let at = slots.start_of(next.into()).saturating_sub(PROBE_LEAD_MS);
    // Within the lead of the next slot: aim for the one after. Before genesis the wait is capped at a slot.
    let wait = at.saturating_sub(now);
    let wait = if wait <= 0 { wait.saturating_add(slot_ms) } else { wait.min(slot_ms) };
    Duration::from_millis(u64::try_from(wait).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_come_once_before_each_slot() {
        let slots = SlotClock::new(1_000, 12_000);
        for (now, wait) in
            [(1_000_000, 10_500), (1_010_499, 1), (1_010_500, 12_000), (1_011_999, 10_501), (0, 12_000)]
        {
            assert_eq!(until_next_probe(slots, now), Duration::from_millis(wait), "at {now}");
        }
    }
}
