//! Which relays rest while the machine is under pressure.
//!
//! In: one sample of CPU and pressure per interval, or somebody's wish. Out: the next state and what to do. Pure: no clock, no file.
//! Sustained pressure sheds relays down to the best few, one of their places kept for exploring the others; each further interval
//! under pressure moves that place on; sustained calm brings everybody back. Between the two thresholds nothing changes, so that a
//! load near one of them does not flap.

use std::collections::BTreeSet;

use crate::types::RelayId;

/// When to shed and when to restore.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RotationPolicy {
    /// Whether pressure is looked at. Default true.
    pub enabled: bool,
    /// CPU above this, in percent of what there is, is pressure. Default 85.
    pub cpu_high_percent: f64,
    /// CPU below this is calm. Default 70.
    pub cpu_low_percent: f64,
    /// Share of the last ten seconds in which some task waited for a CPU; above this is pressure. Default 60.
    pub psi_high_percent: f64,
    /// Below this is calm. Default 30.
    pub psi_low_percent: f64,
    /// Intervals in a row before anything happens. Default 3.
    pub samples: u32,
    /// Seconds between samples. Default 10.
    pub interval_secs: u64,
    /// Relays that are asked under pressure, the exploring place included. Default 2.
    pub min_active: usize,
}

impl Default for RotationPolicy {
    fn default() -> Self {
        Self {
            enabled: true,
            cpu_high_percent: 85.0,
            cpu_low_percent: 70.0,
            psi_high_percent: 60.0,
            psi_low_percent: 30.0,
            samples: 3,
            interval_secs: 10,
            min_active: 2,
        }
    }
}

/// One look at the machine. What cannot be read is none, and counts for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sample {
    /// CPU of the host in percent of all cores.
    pub host_cpu: Option<f64>,
    /// CPU of our own cgroup in percent of what it may use.
    pub own_cpu: Option<f64>,
    /// PSI `some avg10` of the host's CPU, in percent.
    pub host_psi: Option<f64>,
    /// PSI `some avg10` of our own cgroup's CPU, in percent.
    pub own_psi: Option<f64>,
}

/// Rotation's memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Rotation {
    /// Everybody who is fit is asked.
    #[default]
    Calm,
    /// Calm so far, under pressure for this many intervals.
    Heating(u32),
    /// Only a few are asked.
    Shedding {
        /// Whose turn the exploring place is.
        turn: usize,
        /// Calm intervals in a row.
        calm: u32,
    },
}

/// What to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Move {
    /// Ask only the best few from now on.
    Shed(String),
    /// Let the next relay explore.
    Rotate(String),
    /// Ask everybody again.
    Restore(String),
}

impl Sample {
    /// Why this is pressure, if it is.
    fn pressure(&self, policy: &RotationPolicy) -> Option<String> {
        let Self { host_cpu, own_cpu, host_psi, own_psi } = *self;
        let above = |what: &str, value: Option<f64>, limit: f64| {
            value.filter(|v| *v > limit).map(|v| format!("{what} at {v:.0} %, above {limit:.0} %"))
        };
        above("CPU", host_cpu, policy.cpu_high_percent)
            .or_else(|| above("CPU of the cgroup", own_cpu, policy.cpu_high_percent))
            .or_else(|| above("CPU pressure", host_psi, policy.psi_high_percent))
            .or_else(|| above("CPU pressure of the cgroup", own_psi, policy.psi_high_percent))
    }

    fn is_calm(&self, policy: &RotationPolicy) -> bool {
        let Self { host_cpu, own_cpu, host_psi, own_psi } = *self;
        let below = |value: Option<f64>, limit: f64| value.is_none_or(|v| v < limit);
        below(host_cpu, policy.cpu_low_percent)
            && below(own_cpu, policy.cpu_low_percent)
            && below(host_psi, policy.psi_low_percent)
            && below(own_psi, policy.psi_low_percent)
    }
}

impl Rotation {
    /// Takes in a sample.
    #[must_use]
    pub fn step(self, sample: &Sample, policy: &RotationPolicy) -> (Self, Option<Move>) {
        let pressure = sample.pressure(policy);
        match (self, pressure) {
            // ## Calm, Heating => Heating | Shedding
            (Self::Calm, Some(why)) => Self::heat(0, why, policy),
            (Self::Heating(intervals), Some(why)) => Self::heat(intervals, why, policy),
            // ## Heating => Calm
            (Self::Calm | Self::Heating(_), None) => (Self::Calm, None),
            // ## Shedding => Shedding, the exploring place moves on
            (Self::Shedding { turn, .. }, Some(why)) => {
                (Self::Shedding { turn: turn.wrapping_add(1), calm: 0 }, Some(Move::Rotate(why)))
            }
            // ## Shedding => Calm
            (Self::Shedding { turn, calm }, None) if sample.is_calm(policy) => {
                let calm = calm + 1;
                if calm >= policy.samples {
                    let why = format!("calm for {calm} intervals");
                    (Self::Calm, Some(Move::Restore(why)))
                } else {
                    (Self::Shedding { turn, calm }, None)
                }
            }
            // Between the thresholds: neither pressure nor calm.
            (Self::Shedding { turn, .. }, None) => (Self::Shedding { turn, calm: 0 }, None),
        }
    }

    fn heat(intervals: u32, why: String, policy: &RotationPolicy) -> (Self, Option<Move>) {
        let intervals = intervals + 1;
        if intervals >= policy.samples {
            (
                Self::Shedding { turn: 0, calm: 0 },
                Some(Move::Shed(format!("{why}, for {intervals} intervals"))),
            )
        } else {
            (Self::Heating(intervals), None)
        }
    }

    /// Somebody wants the relays rotated now. Calm comes back by itself as after pressure.
    #[must_use]
    pub fn rotate_now(self) -> Self {
        match self {
            Self::Calm | Self::Heating(_) => Self::Shedding { turn: 0, calm: 0 },
            Self::Shedding { turn, .. } => Self::Shedding { turn: turn.wrapping_add(1), calm: 0 },
        }
    }

    /// Whether optional work should wait.
    pub fn is_shedding(self) -> bool {
        matches!(self, Self::Shedding { .. })
    }

    /// Who rests, given all fit relays, best first. Of `min_active` places the last explores the others in turn; with a single
    /// place it is that one which moves.
    pub fn resting(self, best_first: &[RelayId], min_active: usize) -> BTreeSet<RelayId> {
        let Self::Shedding { turn, .. } = self else { return BTreeSet::new() };
        let keep = min_active.max(1) - 1;
        let rest = best_first.get(keep..).unwrap_or_default();
        let explorer = turn.checked_rem(rest.len());
        rest.iter()
            .enumerate()
            .filter(|(index, _)| Some(*index) != explorer)
            .map(|(_, id)| id.clone())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cpu(percent: f64) -> Sample {
        Sample { host_cpu: Some(percent), ..Sample::default() }
    }

    fn ids(names: &[&str]) -> Vec<RelayId> {
        names.iter().map(|name| RelayId::parse(name).unwrap()).collect()
    }

    /// Plays samples; returns a letter per interval: shed, rotate, restore, or nothing.
    fn play(samples: &[Sample]) -> String {
        let policy = RotationPolicy::default();
        let mut rotation = Rotation::default();
        let mut letters = String::new();
        for sample in samples {
            let (next, done) = rotation.step(sample, &policy);
            rotation = next;
            letters.push(match done {
                Some(Move::Shed(_)) => 'S',
                Some(Move::Rotate(_)) => 'r',
                Some(Move::Restore(_)) => 'R',
                None => '.',
            });
        }
        letters
    }

    #[test]
    fn recorded_days() {
        let day = |percents: &[f64]| play(&percents.iter().map(|p| cpu(*p)).collect::<Vec<_>>());
        for (name, percents, want) in [
            ("a quiet one", &[20.0, 84.9, 85.0, 60.0][..], "...."),
            ("a peak of two intervals", &[90.0, 99.0, 40.0, 90.0, 90.0, 10.0], "......"),
            ("a long pull", &[90.0, 90.0, 90.0, 95.0, 95.0, 50.0, 50.0, 50.0], "..Srr..R"),
            (
                "hovering between the thresholds",
                &[90.0, 90.0, 90.0, 80.0, 60.0, 60.0, 80.0, 60.0, 60.0, 60.0],
                "..S......R",
            ),
            ("again right after", &[90.0, 90.0, 90.0, 60.0, 60.0, 60.0, 90.0, 90.0, 90.0], "..S..R..S"),
        ] {
            assert_eq!(day(percents), want, "{name}");
        }
    }

    #[test]
    fn any_of_four_gauges_is_pressure_and_missing_ones_are_none() {
        let with = |set: fn(&mut Sample)| {
            let mut sample = Sample::default();
            set(&mut sample);
            play(&[sample; 3])
        };
        assert_eq!(with(|_| {}), "...");
        assert_eq!(with(|s| s.own_cpu = Some(86.0)), "..S");
        assert_eq!(with(|s| s.host_psi = Some(61.0)), "..S");
        assert_eq!(with(|s| s.own_psi = Some(61.0)), "..S");
    }

    #[test]
    fn the_exploring_place_goes_round() {
        let best_first = ids(&["a", "b", "c", "d"]);
        let active = |rotation: Rotation, min_active| {
            let resting = rotation.resting(&best_first, min_active);
            best_first.iter().filter(|id| !resting.contains(id)).map(RelayId::as_str).collect::<String>()
        };
        let mut rotation = Rotation::default();
        assert_eq!(active(rotation, 2), "abcd");
        let mut seen = Vec::new();
        for _ in 0..4 {
            rotation = rotation.rotate_now();
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
        fn at_least_min_active_are_left_and_nobody_is_shed_in_calm(
            percents in proptest::collection::vec(0.0f64..100.0, 0..60), relays in 0usize..8, min_active in 0usize..6,
        ) {
            let policy = RotationPolicy::default();
            let best_first: Vec<RelayId> = (0..relays).map(|n| RelayId::parse(&n.to_string()).unwrap()).collect();
            let mut rotation = Rotation::default();
            for percent in percents {
                rotation = rotation.step(&cpu(percent), &policy).0;
                let left = relays - rotation.resting(&best_first, min_active).len();
                prop_assert_eq!(left, if rotation.is_shedding() { relays.min(min_active.max(1)) } else { relays });
            }
        }
    }
}
