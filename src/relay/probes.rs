//! Status probes: off the hot path, shortly before a slot, so that they find out who is there and leave a warm connection behind.

use std::{sync::Arc, time::Duration};

use http::HeaderValue;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{CallContext, HealthMonitorHandle, Relay, SharedRelays};
use crate::{
    consensus::{SlotClock, WallClock},
    events::{Event, ProbeResult, Spine},
    tasks::TaskGroup,
    types::Slot,
};

/// Longest wait for a probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
/// How long before a slot starts the probe is sent. Relays close idle connections after as little as 3 s, so a connection opened
/// now is still open when the header is asked for.
const PROBE_LEAD_MS: i64 = 1500;
/// Shortest time between probes, whatever the slot length.
const PROBE_GAP: Duration = Duration::from_millis(1000);
/// Slots between probes of a relay when no proposal of ours is near, where duties are known: once an eighth of an epoch.
const IDLE_SLOTS: u64 = 4;

/// Slots in which validators of ours are to propose, by the beacon node; `None` where nobody tells.
pub type ExpectedProposals = Option<std::collections::BTreeSet<Slot>>;

/// What probing needs.
#[derive(Clone, Debug)]
pub struct ProbeParts {
    /// The relays that are asked for their status.
    pub relays: Arc<SharedRelays>,
    /// The slots before whose start they are asked.
    pub slots: SlotClock,
    /// The wall clock.
    pub clock: WallClock,
    /// `relay_check`: everybody. Without, only relays whose circuit breaker asks for it.
    pub everybody: bool,
    /// Slots of our proposals.
    pub expected: watch::Receiver<ExpectedProposals>,
    /// Hears every result, and decides who is usable.
    pub monitor: HealthMonitorHandle,
    /// Carries changes between usable and unusable to every watcher.
    pub spine: Spine,
}

/// Probes for as long as the group runs.
pub fn start_probes(parts: ProbeParts, group: &TaskGroup) {
    group.restarting("probes", move |stop| run_probes(parts.clone(), stop));
}

/// Probes once now and once before each slot, until told to stop.
async fn run_probes(parts: ProbeParts, stop: CancellationToken) {
    let user_agent = HeaderValue::from_static(concat!("relaymux/", env!("CARGO_PKG_VERSION")));
    let mut is_first = true;
    loop {
        let now = parts.clock.now();
        let coming = Slot::new(parts.slots.slot_at(now.saturating_add(PROBE_LEAD_MS)).as_u64());
        let is_due = is_first || should_warm(parts.expected.borrow().as_ref(), coming);
        is_first = false;
        let probed: Vec<Arc<Relay>> = parts
            .relays
            .enabled_of(&parts.relays.all())
            .into_iter()
            .filter(|relay| {
                let status = parts.relays.status(relay.id());
                match status {
                    // Half-open: whatever the slot, or it never comes back.
                    Some(status) if !status.breaker.is_closed() => status.breaker.wants_probe(now),
                    Some(_) | None => parts.everybody && is_due,
                }
            })
            .collect();
        let probes = probed.iter().map(|relay| {
            let context =
                CallContext { user_agent: user_agent.clone(), deadline: Instant::now() + PROBE_TIMEOUT };
            async move { (relay.id().clone(), relay.warm_up(&context).await) }
        });
        let results = futures_util::future::join_all(probes).await;
        // Nobody at all: that is our line, and no fault of theirs.
        let is_our_line = results.len() > 1 && results.iter().all(|(_, result)| result.is_err());
        for (relay, result) in results {
            let message = result.as_ref().err().map(ToString::to_string);
            if !is_our_line {
                parts.monitor.probed(relay.clone(), message.clone()).await;
            }
            let message = message.unwrap_or_else(|| "answers its status call".to_owned());
            note(&parts, ProbeResult { relay, usable: result.is_ok(), message, at: parts.clock.now() });
        }
        let wait = until_next_probe(parts.slots, parts.clock.now()).max(PROBE_GAP);
        tokio::select! {
            () = sleep(wait) => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Whether connections should be warm for a slot: it is one of ours, or nobody knows which are ours, or it is time to look anyway.
fn should_warm(expected: Option<&std::collections::BTreeSet<Slot>>, coming: Slot) -> bool {
    expected.is_none_or(|slots| slots.contains(&coming) || coming.as_u64().is_multiple_of(IDLE_SLOTS))
}

/// Keeps a condition; tells the world only when it changed.
fn note(parts: &ProbeParts, state: ProbeResult) {
    if !parts.relays.note_condition(state.clone()) {
        return;
    }
    if state.usable {
        info!(relay = %state.relay, "relay is usable");
    } else {
        warn!(relay = %state.relay, error = %state.message, "relay is not usable");
    }
    parts.spine.publish(Event::Relay(state));
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

    #[test]
    fn connections_are_warm_before_our_slots_and_looked_at_now_and_then() {
        let ours = [Slot::new(17)].into();
        for (expected, slot, want) in
            [(None, 18, true), (Some(&ours), 17, true), (Some(&ours), 18, false), (Some(&ours), 20, true)]
        {
            assert_eq!(should_warm(expected, Slot::new(slot)), want, "{slot}");
        }
    }
}
