//! Decides where relays stand: who is asked, who rests while the machine is under pressure, and who has to know.

use std::collections::HashMap;

use tokio::time::Instant;
use tracing::info;

use super::HealthMonitor;
use crate::{
    events::{AlertSignal, Event, ModeReason, RelayMode, RelayModeChanged, count_signal},
    host::HostSample,
    relay::{
        health::{Contender, Eligibility, Placement, Reputation, SUSPICION_MS, place_all},
        metrics::record_mode,
        rotation::{FitRelay, Move, Sample},
        rules::{MACHINE_PRESSURE, RELAY_QUARANTINED, RELAY_UNREACHABLE},
        set::{RelayStatus, StatusBoard},
    },
    types::{RelayId, UnixMillis},
};

impl HealthMonitor {
    pub(super) fn sample_pressure(&mut self) {
        let policy = self.settings.rotation;
        let lag_ms = self.lag.take();
        let sample = if policy.enabled {
            let HostSample { host, own, .. } = self.sampler.sample(Instant::now());
            Sample {
                lag_ms,
                host_cpu: host.cpu,
                own_cpu: own.cpu,
                host_psi: host.cpu_psi,
                own_psi: own.cpu_psi,
            }
        } else {
            Sample::default()
        };
        let (rotation, done) = self.rotation.step(&sample, &policy, self.started.elapsed());
        self.rotation = rotation;
        match done {
            None => {}
            Some(Move::Shed(reason)) => {
                self.relays.set_shedding(true);
                self.rotated(&reason);
                self.publish_pressure(&reason, false);
            }
            Some(Move::Restore(reason)) => {
                let was_shedding = self.relays.is_shedding();
                self.relays.set_shedding(false);
                self.rotated(&reason);
                if was_shedding {
                    self.publish_pressure(&reason, true);
                }
            }
        }
    }

    /// Tells the operator that this machine is too slow for what runs on it, or no longer.
    fn publish_pressure(&self, reason: &str, resolved: bool) {
        let resting: Vec<&str> = self.resting.iter().map(RelayId::as_str).collect();
        let resting = if resting.is_empty() {
            "no relay can be spared, optional work rests".to_owned()
        } else {
            format!("these relays rest, whose bids are hardly ever the best: {}", resting.join(", "))
        };
        let now = self.clock.now();
        let signal = if resolved {
            AlertSignal::over(&MACHINE_PRESSURE, "relays", reason.to_owned(), now)
        } else {
            count_signal(&MACHINE_PRESSURE);
            AlertSignal::raised(&MACHINE_PRESSURE, "relays", format!("{reason}; {resting}"), now)
        };
        self.spine.publish(Event::AlertSignal(signal));
    }

    pub(super) fn rotated(&mut self, reason: &str) {
        reason.clone_into(&mut self.resting_reason);
        self.rest();
        self.place();
        let active: Vec<String> = self.relays.active().iter().map(|relay| relay.id().to_string()).collect();
        info!(reason, active = active.join(","), "relays rotated");
    }

    /// Decides who rests. Only here, so that a drifting rank does not swap relays between races.
    pub(super) fn rest(&mut self) {
        self.resting.clear();
        let (ids, placements) = self.placements();
        let mut fit: Vec<(FitRelay, f64)> = ids
            .into_iter()
            .zip(&placements)
            .filter(|(_, placement)| placement.eligibility == Eligibility::Fit)
            .map(|(id, placement)| {
                let win_rate = self.reputations.get(&id).map_or(1.0, |known| known.record.win_rate());
                (FitRelay { id, win_rate }, placement.rank)
            })
            .collect();
        fit.sort_by(|(a, rank_a), (b, rank_b)| rank_b.total_cmp(rank_a).then(a.id.cmp(&b.id)));
        let best_first: Vec<FitRelay> = fit.into_iter().map(|(relay, _)| relay).collect();
        let pinned =
            placements.iter().filter(|placement| placement.eligibility == Eligibility::Pinned).count();
        let places = self.settings.rotation.min_active.saturating_sub(pinned);
        self.resting = self.rotation.resting(&best_first, places);
    }

    fn placements(&self) -> (Vec<RelayId>, Vec<Placement>) {
        let all = self.relays.all();
        let unknown = Reputation::default();
        let contenders: Vec<Contender<'_>> = all
            .iter()
            .map(|relay| Contender {
                enabled: relay.settings().enabled,
                pinned: relay.settings().pinned,
                reputation: self.reputations.get(relay.id()).unwrap_or(&unknown),
                shed: self.resting.contains(relay.id()).then_some(self.resting_reason.as_str()),
            })
            .collect();
        let min_active = self.settings.rotation.min_active;
        let placements = place_all(&contenders, min_active, self.clock.now(), &self.settings.trust);
        (all.iter().map(|relay| relay.id().clone()).collect(), placements)
    }

    pub(super) fn place_if_stale(&mut self) {
        if std::mem::take(&mut self.is_stale) {
            self.place();
        }
    }

    /// Places everybody anew and tells of every change.
    pub(super) fn place(&mut self) {
        let now = self.clock.now();
        let (ids, placements) = self.placements();
        let mut statuses = HashMap::with_capacity(ids.len());
        let mut moved = Vec::new();
        for (id, placement) in ids.into_iter().zip(placements) {
            moved.extend(self.change_of(&id, &placement, now));
            let status = self.status(&id, placement, now);
            statuses.insert(id, status);
        }
        let Self { settings, .. } = self;
        let (min_active, half_life_ms) = (settings.rotation.min_active, settings.trust.half_life_ms);
        self.relays.set_board(StatusBoard { statuses, min_active, half_life_ms });
        for placed in moved {
            if placed.before.is_some() {
                info!(relay = %placed.relay, state = placed.state.label(), reason = %placed.message, "relay placed");
            }
            self.save_one(&placed.relay.clone(), now);
            self.signal(&placed);
            self.spine.publish(Event::RelayModeChanged(placed));
        }
    }

    /// Tells the operator of a relay that is away or quarantined, and when it no longer is.
    fn signal(&self, moved: &RelayModeChanged) {
        let subject = moved.relay.as_str();
        let of_reason =
            [(&RELAY_QUARANTINED, ModeReason::Dishonest), (&RELAY_UNREACHABLE, ModeReason::Unreachable)];
        for (rule, reason) in of_reason {
            let signal = if moved.state == RelayMode::Quarantined && moved.reason == reason {
                count_signal(rule);
                AlertSignal::raised(rule, subject, format!("{subject}: {}", moved.message), moved.at)
            } else {
                AlertSignal::over(rule, subject, format!("{subject}: {}", moved.message), moved.at)
            };
            self.spine.publish(Event::AlertSignal(signal));
        }
    }

    /// Ends what is said of a relay that is not configured any more: nobody would.
    pub(super) fn end_signals(&self, relay: &RelayId, now: UnixMillis) {
        for rule in [&RELAY_QUARANTINED, &RELAY_UNREACHABLE] {
            let message = "Nobody watches this any more: the relay is not configured any more.".to_owned();
            let over = AlertSignal::over(rule, relay.as_str(), message, now);
            self.spine.publish(Event::AlertSignal(over));
        }
    }

    /// What is to be told of a relay's placement, where it is another than the one told before.
    fn change_of(
        &mut self,
        id: &RelayId,
        placement: &Placement,
        now: UnixMillis,
    ) -> Option<RelayModeChanged> {
        let said = (placement.mode, placement.reason, placement.score);
        let told = self.told_modes.insert(id.clone(), said);
        if told != Some(said) {
            record_mode(id, placement.mode, placement.reason, placement.score);
        }
        let before = told.map(|(mode, _, _)| mode);
        let is_new_mode =
            before != Some(placement.mode) && (before.is_some() || placement.mode != RelayMode::Active);
        // One that was away and is found dishonest keeps its mode, and is another thing.
        let is_new_reason = placement.mode == RelayMode::Quarantined
            && told.is_some_and(|(_, reason, _)| reason != placement.reason);
        (is_new_mode || is_new_reason).then(|| RelayModeChanged {
            relay: id.clone(),
            state: placement.mode,
            before,
            reason: placement.reason,
            message: placement.message.clone(),
            score: placement.score,
            at: now,
        })
    }

    /// How a relay stands by its placement and its reputation.
    fn status(&mut self, id: &RelayId, placement: Placement, now: UnixMillis) -> RelayStatus {
        let reputation = self.reputations.entry(id.clone()).or_default();
        let Placement { mode, eligibility, score, rank, reason, message } = placement;
        RelayStatus {
            mode,
            eligibility,
            score,
            rank,
            reason,
            message,
            trust: reputation.trust,
            record: reputation.record.clone(),
            breaker: reputation.breaker,
            offences: reputation.level(now, &self.settings.trust),
            quarantined_until: reputation
                .quarantined(now)
                .map(|quarantine| quarantine.until)
                .or(reputation.suspicion(now).map(|suspicion| suspicion.at.saturating_add(SUSPICION_MS))),
            accusations: reputation.accusations.clone(),
            operator_setting: reputation.operator_setting,
        }
    }
}
