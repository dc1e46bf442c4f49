//! Who rests, from what the machine's pressure does to us, or somebody's command. Pure: no clock, no file.
//!
//! A header costs 5 ms of CPU, and a lost bid costs money. So relays are shed only while harm shows: our own timers come late, or tasks wait for a
//! CPU (PSI). A busy CPU alone sheds nobody; it is told with the reason. Under pressure only those rest whose bids together were the best in at most
//! one race in a hundred, and for a limited time: then everybody is back, and nobody is shed again for as long. Between the thresholds
//! nothing changes, so that a load near one of them does not flap. By hand all but the best few rest, one of their places kept for exploring
//! the others.

use std::{collections::BTreeSet, time::Duration};

use crate::types::RelayId;

/// Most that shedding may cost: the share of races in which a relay that rests has the best bid, all of them together. That bounds the share of
/// the expected value of a slot: in such a race at most the whole block is lost, in any other nothing.
const MAX_COST: f64 = 0.01;

/// When to shed and when to restore.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RotationPolicy {
    /// Whether pressure is looked at. Default true.
    pub enabled: bool,
    /// Lateness of our own timers above this, in milliseconds, is pressure. Default 25: a tenth of what relays take to answer.
    pub lag_high_ms: f64,
    /// Lateness below this is calm. Default 10.
    pub lag_low_ms: f64,
    /// CPU above this, in percent of what there is, is told with the reason. It sheds nobody. Default 85.
    pub cpu_high_percent: f64,
    /// At most `cpu_high_percent`. Decides nothing any more; known so that configurations that have it go on working. Default 70.
    pub cpu_low_percent: f64,
    /// Share of the last ten seconds in which some task waited for a CPU; above this is pressure. Default 60.
    pub psi_high_percent: f64,
    /// Below this is calm. Default 30.
    pub psi_low_percent: f64,
    /// Intervals in a row before anything happens. Default 3.
    pub samples: u32,
    /// Seconds between samples. Default 10.
    pub interval_secs: u64,
    /// Relays that are asked in any case; after a rotation by hand, relays that are asked, the exploring place included. Default 2.
    pub min_active: usize,
    /// Longest time that relays rest, and shortest until they may rest again for pressure, in seconds. Default 600.
    pub max_shed_secs: u64,
}

impl Default for RotationPolicy {
    fn default() -> Self {
        Self {
            enabled: true,
            lag_high_ms: 25.0,
            lag_low_ms: 10.0,
            cpu_high_percent: 85.0,
            cpu_low_percent: 70.0,
            psi_high_percent: 60.0,
            psi_low_percent: 30.0,
            samples: 3,
            interval_secs: 10,
            min_active: 2,
            max_shed_secs: 600,
        }
    }
}

/// One look at the machine. What cannot be read is none, and counts for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// How late timers of our own runtime came since the last look, in milliseconds: one in ten came later.
    pub lag_ms: Option<f64>,
    /// CPU of the host in percent of all cores.
    pub host_cpu: Option<f64>,
    /// CPU of our own cgroup in percent of what it may use.
    pub own_cpu: Option<f64>,
    /// PSI `some avg10` of the host's CPU, in percent.
    pub host_psi: Option<f64>,
    /// PSI `some avg10` of our own cgroup's CPU, in percent.
    pub own_psi: Option<f64>,
}

/// Rotation's memory. Times are since any fixed moment, by a clock that never jumps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rotation {
    /// Everybody who is fit is asked.
    #[default]
    Calm,
    /// Calm so far, under pressure for this many intervals.
    Heating(u32),
    /// Those rest whose bids are hardly ever the best.
    Shedding {
        /// Since when.
        since: Duration,
        /// Calm intervals in a row.
        calm: u32,
    },
    /// Somebody wanted relays rotated: only a few are asked.
    ByHand {
        /// Since when.
        since: Duration,
        /// Whose turn the exploring place is.
        turn: usize,
        /// Calm intervals in a row.
        calm: u32,
    },
    /// The time limit was reached: everybody who is fit is asked, whatever the pressure, until then.
    Spent {
        /// When pressure may shed again.
        until: Duration,
    },
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Let those rest that hardly matter.
    Shed(String),
    /// Ask everybody again.
    Restore(String),
}

/// A fit relay as rotation sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct FitRelay {
    /// The relay's id.
    pub id: RelayId,
    /// Share of races in which its bid was the best, by its own record; a stranger's is not small.
    pub win_rate: f64,
}

impl Sample {
    /// PSI of our own cgroup, where there is one: what other services wait for is no harm to us.
    fn psi(&self) -> Option<(&'static str, f64)> {
        self.own_psi
            .map(|percent| ("tasks of the cgroup", percent))
            .or(self.host_psi.map(|percent| ("tasks of the host", percent)))
    }

    /// Why this is pressure, if it is.
    fn pressure(&self, policy: &RotationPolicy) -> Option<String> {
        let lag = self.lag_ms.filter(|lag| *lag > policy.lag_high_ms);
        let psi = self.psi().filter(|(_, percent)| *percent > policy.psi_high_percent);
        let harm = match (lag, psi) {
            (Some(lag), _) => format!("our timers come {lag:.1} ms late, above {:.1} ms", policy.lag_high_ms),
            (None, Some((whose, percent))) => {
                let limit = policy.psi_high_percent;
                format!("{whose} wait for a CPU {percent:.0} % of the time, above {limit:.0} %")
            }
            (None, None) => return None,
        };
        let busy = |whose: &str, percent: Option<f64>| {
            percent.filter(|percent| *percent > policy.cpu_high_percent).map_or_else(String::new, |percent| {
                format!("; CPU of the {whose} at {percent:.0} %, above {:.0} %", policy.cpu_high_percent)
            })
        };
        Some(format!("{harm}{}{}", busy("host", self.host_cpu), busy("cgroup", self.own_cpu)))
    }

    fn is_calm(&self, policy: &RotationPolicy) -> bool {
        self.lag_ms.is_none_or(|lag| lag < policy.lag_low_ms)
            && self.psi().is_none_or(|(_, percent)| percent < policy.psi_low_percent)
    }
}

impl Rotation {
    /// Takes in a sample.
    #[must_use]
    pub fn step(self, sample: &Sample, policy: &RotationPolicy, now: Duration) -> (Self, Option<Move>) {
        let pressure = sample.pressure(policy);
        let limit = Duration::from_secs(policy.max_shed_secs);
        match (self, pressure) {
            // ## Calm, Heating => Heating | Shedding
            (Self::Calm, Some(reason)) => Self::heat(0, &reason, policy, now),
            (Self::Heating(intervals), Some(reason)) => Self::heat(intervals, &reason, policy, now),
            // ## Heating => Calm
            (Self::Calm | Self::Heating(_), None) => (Self::Calm, None),
            // ## Spent => Spent | Calm
            (Self::Spent { until }, _) => (if now < until { self } else { Self::Calm }, None),
            // ## Shedding, ByHand => Spent
            (Self::Shedding { since, .. } | Self::ByHand { since, .. }, _)
                if now.saturating_sub(since) >= limit =>
            {
                let reason = format!("everybody is asked again after {} s, and for as long", limit.as_secs());
                (Self::Spent { until: now.saturating_add(limit) }, Some(Move::Restore(reason)))
            }
            // ## Shedding, ByHand => Calm
            (Self::Shedding { calm, .. } | Self::ByHand { calm, .. }, None) if sample.is_calm(policy) => {
                let calm = calm + 1;
                if calm >= policy.samples {
                    (Self::Calm, Some(Move::Restore(format!("calm for {calm} intervals"))))
                } else {
                    (self.calm_for(calm), None)
                }
            }
            // Under pressure, or between the thresholds: not calm.
            (Self::Shedding { .. } | Self::ByHand { .. }, _) => (self.calm_for(0), None),
        }
    }

    fn calm_for(self, calm: u32) -> Self {
        match self {
            Self::Shedding { since, .. } => Self::Shedding { since, calm },
            Self::ByHand { since, turn, .. } => Self::ByHand { since, turn, calm },
            Self::Calm | Self::Heating(_) | Self::Spent { .. } => self,
        }
    }

    fn heat(intervals: u32, reason: &str, policy: &RotationPolicy, now: Duration) -> (Self, Option<Move>) {
        let intervals = intervals + 1;
        if intervals >= policy.samples {
            let reason = format!("{reason}, for {intervals} intervals");
            (Self::Shedding { since: now, calm: 0 }, Some(Move::Shed(reason)))
        } else {
            (Self::Heating(intervals), None)
        }
    }

    /// Somebody wants the relays rotated now. Calm comes back by itself as after pressure.
    #[must_use]
    pub fn rotate_now(self, now: Duration) -> Self {
        let turn = match self {
            Self::Calm | Self::Heating(_) | Self::Shedding { .. } | Self::Spent { .. } => 0,
            Self::ByHand { turn, .. } => turn.wrapping_add(1),
        };
        Self::ByHand { since: now, turn, calm: 0 }
    }

    /// Who rests, given all fit relays, best first, of which `keep` are asked in any case.
    ///
    /// Under pressure: those with the lowest win rates, while these come to no more than [`MAX_COST`] in all. By hand: of the `keep` places the
    /// last explores the others in turn; with a single place it is that one which moves.
    pub fn resting(self, best_first: &[FitRelay], keep: usize) -> BTreeSet<RelayId> {
        match self {
            Self::Calm | Self::Heating(_) | Self::Spent { .. } => BTreeSet::new(),
            Self::Shedding { .. } => cheapest(best_first, keep),
            Self::ByHand { turn, .. } => {
                let rest = best_first.get(keep.max(1) - 1..).unwrap_or_default();
                let explorer = turn.checked_rem(rest.len());
                rest.iter()
                    .enumerate()
                    .filter(|(index, _)| Some(*index) != explorer)
                    .map(|(_, relay)| relay.id.clone())
                    .collect()
            }
        }
    }
}

fn cheapest(relays: &[FitRelay], keep: usize) -> BTreeSet<RelayId> {
    let mut by_cost: Vec<&FitRelay> = relays.iter().collect();
    by_cost.sort_by(|a, b| a.win_rate.total_cmp(&b.win_rate).then(a.id.cmp(&b.id)));
    let mut cost = 0.0;
    by_cost
        .into_iter()
        .take(relays.len().saturating_sub(keep.max(1)))
        .take_while(|relay| {
            cost += relay.win_rate;
            cost <= MAX_COST
        })
        .map(|relay| relay.id.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const INTERVAL: Duration = Duration::from_secs(10);

    fn lag(ms: f64) -> Sample {
        Sample { lag_ms: Some(ms), ..Sample::default() }
    }

    fn fit(relays: &[(&str, f64)]) -> Vec<FitRelay> {
        let fit =
            |(id, win_rate): &(&str, f64)| FitRelay { id: RelayId::parse(id).unwrap(), win_rate: *win_rate };
        relays.iter().map(fit).collect()
    }

    /// Plays samples; returns a letter per interval: shed, restore, or nothing.
    fn play(samples: &[Sample], policy: &RotationPolicy) -> String {
        let (mut rotation, mut now) = (Rotation::default(), Duration::ZERO);
        let mut letters = String::new();
        for sample in samples {
            let (next, done) = rotation.step(sample, policy, now);
            (rotation, now) = (next, now + INTERVAL);
            letters.push(match done {
                Some(Move::Shed(_)) => 'S',
                Some(Move::Restore(_)) => 'R',
                None => '.',
            });
        }
        letters
    }

    #[test]
    fn recorded_days() {
        let policy = RotationPolicy { max_shed_secs: 60, ..RotationPolicy::default() };
        for (name, lags, want) in [
            ("a quiet one", &[1.0, 24.9, 25.0, 12.0][..], "...."),
            ("a peak of two intervals", &[90.0, 99.0, 1.0, 90.0, 90.0, 1.0], "......"),
            ("a long pull", &[90.0, 90.0, 90.0, 95.0, 95.0, 1.0, 1.0, 1.0], "..S....R"),
            ("hovering between", &[90.0, 90.0, 90.0, 20.0, 1.0, 1.0, 20.0, 1.0], "..S....."),
            ("again right after", &[90.0, 90.0, 90.0, 1.0, 1.0, 1.0, 90.0, 90.0, 90.0], "..S..R..S"),
            ("without end: a minute, and not again for a minute", &[90.0; 20], "..S.....R........S.."),
        ] {
            let samples: Vec<Sample> = lags.iter().map(|ms| lag(*ms)).collect();
            assert_eq!(play(&samples, &policy), want, "{name}");
        }
    }

    #[test]
    fn only_harm_is_pressure() {
        let policy = RotationPolicy::default();
        let with = |set: fn(&mut Sample)| {
            let mut sample = Sample::default();
            set(&mut sample);
            play(&[sample; 3], &policy)
        };
        assert_eq!(with(|_| {}), "...");
        assert_eq!(with(|s| (s.host_cpu, s.own_cpu) = (Some(100.0), Some(100.0))), "...");
        assert_eq!(with(|s| s.lag_ms = Some(26.0)), "..S");
        assert_eq!(with(|s| s.host_psi = Some(61.0)), "..S");
        assert_eq!(with(|s| s.own_psi = Some(61.0)), "..S");
        // What other services wait for.
        assert_eq!(with(|s| (s.host_psi, s.own_psi) = (Some(99.0), Some(1.0))), "...");
        // A busy CPU is told with the reason, and does not keep anybody out.
        let busy = Sample { host_cpu: Some(97.0), ..lag(30.0) };
        let reason = busy.pressure(&policy).unwrap();
        assert_eq!(
            reason,
            "our timers come 30.0 ms late, above 25.0 ms; CPU of the host at 97 %, above 85 %"
        );
        assert!(Sample { host_cpu: Some(97.0), ..lag(1.0) }.is_calm(&policy));
    }

    #[test]
    fn who_rests_under_pressure() {
        let shedding = Rotation::Shedding { since: Duration::ZERO, calm: 0 };
        for (name, relays, keep, want) in [
            ("all of them win", vec![("a", 0.5), ("b", 0.3), ("c", 0.2)], 1, ""),
            ("one never does", vec![("a", 0.9), ("b", 0.1), ("c", 0.004)], 1, "c"),
            ("two together cost too much", vec![("a", 0.9), ("c", 0.007), ("b", 0.006)], 1, "b"),
            ("two together do not", vec![("a", 0.9), ("b", 0.005), ("c", 0.005)], 1, "bc"),
            ("some are always kept", vec![("a", 0.001), ("b", 0.002), ("c", 0.003)], 2, "a"),
            ("strangers may win", vec![("a", 0.1), ("b", 0.1)], 1, ""),
        ] {
            let resting = shedding.resting(&fit(&relays), keep);
            assert_eq!(resting.iter().map(RelayId::as_str).collect::<String>(), want, "{name}");
        }
    }

    #[test]
    fn by_hand_the_exploring_place_goes_round() {
        let best_first = fit(&[("a", 0.4), ("b", 0.3), ("c", 0.2), ("d", 0.1)]);
        let active = |rotation: Rotation, keep| {
            let resting = rotation.resting(&best_first, keep);
            let active = best_first.iter().filter(|relay| !resting.contains(&relay.id));
            active.map(|relay| relay.id.as_str()).collect::<String>()
        };
        let mut rotation = Rotation::default();
        assert_eq!(active(rotation, 2), "abcd");
        let mut seen = Vec::new();
        for _ in 0..4 {
            rotation = rotation.rotate_now(Duration::ZERO);
            seen.push(active(rotation, 2));
        }
        assert_eq!(seen, ["ab", "ac", "ad", "ab"]);
        assert_eq!(active(rotation, 1), "d");
        assert_eq!(active(rotation, 0), "d");
        assert_eq!(active(rotation, 4), "abcd");
        assert_eq!(active(rotation, 9), "abcd");
    }

    proptest! {
        #[test]
        fn pressure_never_costs_more_than_a_hundredth_nor_lasts_longer_than_the_limit(
            lags in proptest::collection::vec(0.0f64..100.0, 0..200), keep in 0usize..6,
            rates in proptest::collection::vec(0.0f64..0.02, 0..8),
        ) {
            let policy = RotationPolicy { max_shed_secs: 100, ..RotationPolicy::default() };
            let relays: Vec<FitRelay> = rates
                .iter()
                .enumerate()
                .map(|(n, win_rate)| FitRelay { id: RelayId::parse(&n.to_string()).unwrap(), win_rate: *win_rate })
                .collect();
            let (mut rotation, mut now, mut shed_for) = (Rotation::default(), Duration::ZERO, 0);
            for ms in lags {
                rotation = rotation.step(&lag(ms), &policy, now).0;
                now += INTERVAL;
                let resting = rotation.resting(&relays, keep);
                let cost: f64 = relays.iter().filter(|r| resting.contains(&r.id)).map(|r| r.win_rate).sum();
                prop_assert!(cost <= MAX_COST + 1e-12);
                prop_assert!(relays.len() - resting.len() >= relays.len().min(keep.max(1)));
                let is_shedding = matches!(rotation, Rotation::Shedding { .. });
                prop_assert!(is_shedding || resting.is_empty());
                shed_for = if is_shedding { shed_for + 1 } else { 0 };
                prop_assert!(shed_for <= 10);
            }
        }
    }
}
