//! Whether one more race can be held, and how much of each budget is kept back. Pure: what is measured are arguments.
//!
//! A race that is begun and cannot be ended in time costs its own slot and, by the work it takes, other races' slots. So where more
//! races are asked for than the machine can hold, the newest waits for its turn as long as its own time allows: a race takes a part of the
//! budget. One whose turn cannot come in time is told at once that there is no bid, and its client builds a block of its own.
//! How many can be held is not assumed but found out: the limit grows while the runtime does what it should when it
//! should and no signature waits long for its check, once in the time that a race takes, as only then it is seen what came of it; and it
//! shrinks when either is late. A few races are always held, however busy the machine is: a proposer is not turned away
//! for what something else does on the machine.

use std::time::Duration;

use tokio::time::Instant;

use super::{deadline::Reserve, pace::turn_after};

/// Races that are held whatever was measured, for each core and at most: one proposer has one race, unless there are several parents.
const ALWAYS_PER_CORE: usize = 4;
const ALWAYS: usize = 16;
/// Races that are held at once at first, for each core and at most. A race of 8 relays takes some milliseconds of a core.
const FIRST_PER_CORE: usize = 24;
const FIRST: usize = 64;
/// And at most. Arbitrary: each holds a connection to every relay, of some 40 KiB.
const MOST_PER_CORE: usize = 96;
/// Races that wait for their turn, for each core and at most. Arbitrary: more than a machine ends in the time that there is.
const WAITING_PER_CORE: usize = 512;
/// Part of its time that a race waits for its turn at most: relays need some, too. Arbitrary: three quarters.
const LONGEST_WAIT: (u32, u32) = (3, 4);
/// Turns may come this many times sooner than races lately ended: the limit may have just begun to grow. Whose turn would be too late
/// even then is not kept waiting.
const HOPE: u32 = 4;
/// A runtime that is late by less than this has room for more races.
const CALM: Duration = Duration::from_millis(10);
/// One that is late by more has too many.
pub(super) const LATE: Duration = Duration::from_millis(40);
/// Where checks wait less than this for their turn, there is room for more races, and where they wait longer than that, there are too many.
/// Arbitrary: a race in which a signature waits for the time of some dozens of checks still has nearly all its time for relays.
const CHECKS_CALM: Duration = Duration::from_millis(20);
const CHECKS_LATE: Duration = Duration::from_millis(80);
/// Part by which the limit grows. Arbitrary: an eighth.
const GROWTH: usize = 8;
/// After the limit was cut, what was admitted before needs time to end: no further cut within it, or the time of a race.
const BETWEEN_CUTS: Duration = Duration::from_millis(200);

/// Time for an answer to be woken for, encoded and written, and for the client to read it, on an idle machine. Arbitrary: ten times what is
/// measured.
const SEND: Duration = Duration::from_millis(4);
/// What each auction under way adds to it: where one relay hangs, or the machine is full, all of them end at once. Arbitrary: more than what ending
/// one takes of a core. With 0.4 ms, 39 of 10,000 answers on 500 connections were late, by 135 ms at most.
const SEND_BESIDE: Duration = Duration::from_millis(1);
/// Turns at the runtime between a moment that is waited for and the answer on its way.
const HOPS: u32 = 2;

/// Why a header is not raced for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// As many races as the machine can hold.
    #[error("too busy: as many auctions are under way as can be answered in time")]
    TooMany,
    /// The signatures that wait take longer than there is time.
    #[error("too busy: so many signatures wait to be checked that no bid could be proven in time")]
    ChecksWait,
    /// The runtime is later than the budget allows for.
    #[error("too busy: this process is woken so late that an answer would not be in time")]
    NoTime,
    /// A signed block is on its way.
    #[error("too busy: a signed block is on its way, and goes first")]
    BlockFirst,
}

impl Refusal {
    /// Every one.
    pub(super) const ALL: [Self; 4] = [Self::TooMany, Self::ChecksWait, Self::NoTime, Self::BlockFirst];

    /// The label in metrics.
    pub(super) const fn label(self) -> &'static str {
        match self {
            Self::TooMany => "too_many",
            Self::ChecksWait => "checks_wait",
            Self::NoTime => "no_time",
            Self::BlockFirst => "block_first",
        }
    }
}

/// When a race is held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// At once.
    Now,
    /// Once others have ended.
    Later {
        /// How long it waits at most: then what is left is what a race takes.
        patience: Duration,
    },
}

/// What is under way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Load {
    /// Races, without this one.
    pub(super) races: usize,
    /// Races that wait for their turn.
    pub(super) waiting: usize,
    /// How long a race lately took, usually and mostly.
    pub(super) race: (Duration, Duration),
    /// Signed blocks whose fate is not decided.
    pub(super) blocks: usize,
    /// How late the runtime lately was.
    pub(super) lag: Duration,
    /// How long one signature check lately took.
    pub(super) check: Duration,
    /// How long a check waits for its turn.
    pub(super) check_wait: Duration,
}

impl Load {
    /// What must be kept of a budget: two checks in turn, as the best bid may not hold, and the way out beside all others.
    pub(super) fn reserve(&self) -> Reserve {
        let hops = self.lag.saturating_mul(HOPS);
        let others = u32::try_from(self.races).unwrap_or(u32::MAX);
        Reserve {
            verify: self.check_wait.saturating_add(self.check.saturating_mul(2)).saturating_add(hops),
            send: SEND.saturating_add(SEND_BESIDE.saturating_mul(others)).saturating_add(hops),
        }
    }
}

/// What was seen of the machine since it was last looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// How late the runtime was.
    pub(super) lag: Duration,
    /// How long a check had to wait at worst.
    pub(super) check_wait: Duration,
    /// Races under way.
    pub(super) races: usize,
    /// How long a race usually takes.
    pub(super) race: Duration,
}

/// How many races are held at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RaceLimit {
    cores: usize,
    limit: usize,
    cut_at: Option<Instant>,
    /// When it was last another one.
    changed_at: Option<Instant>,
}

impl RaceLimit {
    /// Before anything was measured.
    pub(super) fn new(cores: usize) -> Self {
        let cores = cores.max(1);
        Self { cores, limit: (FIRST_PER_CORE * cores).min(FIRST), cut_at: None, changed_at: None }
    }

    /// So many are held whatever was measured.
    fn always(&self) -> usize {
        (ALWAYS_PER_CORE * self.cores).min(ALWAYS)
    }

    /// The limit of the moment.
    pub(super) const fn get(&self) -> usize {
        self.limit
    }

    /// Takes in what was seen just now.
    pub(super) fn measured(&mut self, seen: Seen, now: Instant) {
        let Seen { lag, check_wait, races, race } = seen;
        let least = self.always();
        let is_past =
            |at: Option<Instant>, time| at.is_none_or(|at| now.saturating_duration_since(at) >= time);
        if lag > LATE || check_wait > CHECKS_LATE {
            // What is not used is no cause: where few races are under way, the machine is busy with something else.
            if is_past(self.cut_at, BETWEEN_CUTS.max(race)) && races > least {
                self.limit = (self.limit.min(races) * 3 / 4).max(least);
                self.cut_at = Some(now);
                self.changed_at = Some(now);
            }
        } else if lag < CALM
            && check_wait < CHECKS_CALM
            && races * 2 >= self.limit
            && is_past(self.changed_at, race)
        {
            self.limit = (self.limit + (self.limit / GROWTH).max(1)).min(MOST_PER_CORE * self.cores);
            self.changed_at = Some(now);
        }
    }

    /// When one more race is held, which has `budget` in all.
    ///
    /// # Errors
    /// The reason why it is not.
    pub(super) fn admit(&self, load: &Load, budget: Duration) -> Result<Turn, Refusal> {
        let Load { races, waiting, race: (usual, most), blocks, lag, check, check_wait } = *load;
        if races < self.always() {
            return Ok(Turn::Now);
        }
        if blocks > 0 && lag > CALM {
            return Err(Refusal::BlockFirst);
        }
        if check_wait.saturating_add(check) > budget / 2 {
            return Err(Refusal::ChecksWait);
        }
        if lag.saturating_mul(2 * HOPS) > budget {
            return Err(Refusal::NoTime);
        }
        if races < self.limit && waiting == 0 {
            return Ok(Turn::Now);
        }
        let Reserve { verify, send } = load.reserve();
        let (part, whole) = LONGEST_WAIT;
        let patience = budget.saturating_sub(most + verify + send).min(budget * part / whole);
        let turn = turn_after(usual, self.limit, waiting + 1);
        if waiting >= WAITING_PER_CORE * self.cores || turn > patience * HOPE {
            return Err(Refusal::TooMany);
        }
        Ok(Turn::Later { patience })
    }
}

/// How late the runtime lately was: the worst that was measured, which counts half as much with every half-life that passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct PeakLag {
    peak: Duration,
    at: Option<Instant>,
}

/// Time in which a measured lag counts for half.
const HALF_LIFE: Duration = Duration::from_millis(500);

impl PeakLag {
    /// What counts now.
    pub(super) fn at(&self, now: Instant) -> Duration {
        let Some(at) = self.at else { return Duration::ZERO };
        let halves = now.saturating_duration_since(at).as_secs_f64() / HALF_LIFE.as_secs_f64();
        self.peak.mul_f64(0.5_f64.powf(halves.min(64.0)))
    }

    /// Takes in a measurement.
    pub(super) fn measured(&mut self, lag: Duration, now: Instant) {
        if lag >= self.at(now) {
            *self = Self { peak: lag, at: Some(now) };
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    const CALM_LOAD: Load = Load {
        races: 0,
        waiting: 0,
        race: (ms(150), ms(200)),
        blocks: 0,
        lag: Duration::ZERO,
        check: ms(1),
        check_wait: ms(0),
    };

    #[test]
    fn who_cannot_be_served_in_time_is_told_so_and_a_few_are_always_served() {
        let limit = RaceLimit::new(2);
        let load = |races| Load { races, ..CALM_LOAD };
        let full = |waiting| Load { waiting, ..load(48) };
        let later = |patience| Ok(Turn::Later { patience: ms(patience) });
        for (name, load, budget, want) in [
            ("nothing under way", load(0), 950, Ok(Turn::Now)),
            ("below the limit", load(47), 950, Ok(Turn::Now)),
            ("below the limit, and others wait", Load { waiting: 1, ..load(47) }, 950, later(697)),
            ("at the limit", full(0), 950, later(696)),
            ("in a hurry", full(0), 260, later(6)),
            ("in too much of a hurry to wait", full(0), 250, Err(Refusal::TooMany)),
            ("all the time of the world", full(0), 4000, later(3000)),
            ("others wait, and its turn may come", full(800), 950, later(696)),
            ("so many wait that it cannot", full(900), 950, Err(Refusal::TooMany)),
            (
                "races take all their time",
                Load { race: (ms(940), ms(945)), ..full(0) },
                950,
                Err(Refusal::TooMany),
            ),
            ("as many wait as may", Load { race: (ms(1), ms(1)), ..full(1024) }, 950, Err(Refusal::TooMany)),
            ("a block on its way, runtime in time", Load { blocks: 1, ..load(20) }, 950, Ok(Turn::Now)),
            (
                "a block on its way, runtime late",
                Load { blocks: 1, lag: ms(11), ..load(20) },
                950,
                Err(Refusal::BlockFirst),
            ),
            (
                "signatures wait for half of the time",
                Load { check_wait: ms(480), ..load(20) },
                950,
                Err(Refusal::ChecksWait),
            ),
            ("the runtime is late", Load { lag: ms(300), ..load(20) }, 950, Err(Refusal::NoTime)),
            ("the same, with more time", Load { lag: ms(300), ..load(20) }, 1900, Ok(Turn::Now)),
            (
                "everything is late, and few races are under way",
                Load { blocks: 3, lag: ms(900), check_wait: ms(900), waiting: 3, ..load(7) },
                950,
                Ok(Turn::Now),
            ),
        ] {
            assert_eq!(limit.admit(&load, ms(budget)), want, "{name}");
        }
    }

    #[test]
    fn the_limit_grows_while_it_is_used_and_nothing_is_late_and_shrinks_when_something_is() {
        let start = Instant::now();
        let mut limit = RaceLimit::new(2);
        for (name, at, lag, check_wait, races, want) in [
            ("not used: nothing is known of more", 0, 0, 0, 3, 48),
            ("used, and all is well", 0, 0, 0, 48, 54),
            ("what came of it is not seen yet", 140, 0, 0, 54, 54),
            ("a race later it is", 150, 0, 0, 54, 60),
            ("the runtime is neither calm nor late", 300, 20, 0, 60, 60),
            ("checks neither wait nor do not", 300, 0, 40, 60, 60),
            ("checks wait", 300, 0, 81, 60, 45),
            ("what was admitted before is still ending", 450, 100, 0, 60, 45),
            ("the runtime is late", 500, 100, 0, 40, 30),
            ("eight races are not what makes this machine late", 900, 100, 0, 8, 30),
            ("all is well again", 900, 0, 0, 30, 33),
        ] {
            let seen = Seen { lag: ms(lag), check_wait: ms(check_wait), races, race: ms(150) };
            limit.measured(seen, start + ms(at));
            assert_eq!(limit.get(), want, "{name}");
        }
    }

    #[test]
    fn the_reserve_is_what_the_load_needs() {
        assert_eq!(CALM_LOAD.reserve(), Reserve { verify: ms(2), send: ms(4) });
        let busy = Load { lag: ms(20), check: ms(2), check_wait: ms(5), ..CALM_LOAD };
        assert_eq!(busy.reserve(), Reserve { verify: ms(49), send: ms(44) });
        let crowded = Load { races: 20, ..CALM_LOAD };
        assert_eq!(crowded.reserve(), Reserve { verify: ms(2), send: ms(24) });
    }

    #[test]
    fn a_peak_is_remembered_and_fades() {
        let now = Instant::now();
        let mut lag = PeakLag::default();
        assert_eq!(lag.at(now), Duration::ZERO);
        lag.measured(ms(80), now);
        lag.measured(ms(10), now + ms(1));
        assert_eq!(lag.at(now + HALF_LIFE), ms(40));
        lag.measured(ms(50), now + HALF_LIFE);
        assert_eq!(lag.at(now + HALF_LIFE * 2), ms(25));
        assert!(lag.at(now + ms(60_000)) < ms(1));
    }

    proptest! {
        /// Whoever waits has, when its patience ends, what a race and its end take; and where one is refused, nobody behind it waits.
        #[test]
        fn who_waits_has_time_left(
            races in 0usize..200, waiting in 0usize..2000, usual in 0u64..2000, more in 0u64..500, lag in 0u64..200,
            budget in 0u64..4000, behind in 0usize..100,
        ) {
            let limit = RaceLimit::new(2);
            let load = Load { races, waiting, race: (ms(usual), ms(usual + more)), lag: ms(lag), ..CALM_LOAD };
            let reserve = load.reserve();
            let admitted = limit.admit(&load, ms(budget));
            if let Ok(Turn::Later { patience }) = admitted {
                prop_assert!(patience + ms(usual + more) + reserve.verify + reserve.send <= ms(budget));
                prop_assert!(patience <= ms(budget) * 3 / 4);
            }
            let next = limit.admit(&Load { waiting: waiting + behind, ..load }, ms(budget));
            prop_assert!(admitted.is_ok() || next.is_err());
        }

        /// Whatever is measured, the limit stays within its bounds.
        #[test]
        fn the_limit_has_bounds(
            steps in proptest::collection::vec((0u64..200, 0u64..200, 0usize..3000, 0u64..500, 0u64..1000), 0..200),
        ) {
            let (mut now, mut limit) = (Instant::now(), RaceLimit::new(4));
            for (lag, check_wait, races, passes, race) in steps {
                now += ms(passes);
                limit.measured(Seen { lag: ms(lag), check_wait: ms(check_wait), races, race: ms(race) }, now);
                prop_assert!((limit.always()..=4 * MOST_PER_CORE).contains(&limit.get()));
            }
        }
    }
}
