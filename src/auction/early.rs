//! The soft deadline: whether to answer before everybody has. Pure.
//!
//! Off by default. Waiting costs time that a late block pays for; not waiting costs the missing relays' better bids. So from the
//! soft deadline on the race ends when enough relays have answered and those that are missing are, by their record, unlikely to
//! come in time with a better bid than the leader's.

use std::time::Duration;

/// When a race may be decided early.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SoftDeadline {
    /// From when on, after the request.
    pub after: Duration,
    /// Relays that must have answered.
    pub min_answers: usize,
    /// The probability of missing a better bid that is taken, 0 to 1.
    pub risk: f64,
}

/// A relay that has not answered, by its record.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Missing {
    /// Share of races it wins.
    pub win_rate: f64,
    /// Share of its answers that took at most as long as was waited; `None` without a record.
    pub within_now: Option<f64>,
    /// Share of its answers that take at most as long as there is time.
    pub within_all: Option<f64>,
}

/// What is left of a relay's chance when it should have answered long ago: it may be slow today.
const SLOW_TODAY: f64 = 0.05;

impl Missing {
    /// The probability that it still comes, in time and with the best bid.
    pub fn may_win(&self) -> f64 {
        let comes = match (self.within_now, self.within_all) {
            (Some(now), Some(all)) if now < 1.0 => ((all - now) / (1.0 - now)).max(SLOW_TODAY),
            (Some(_), _) => SLOW_TODAY,
            (None, _) => 1.0,
        };
        self.win_rate * comes
    }
}

/// Whether to answer now, given how long was waited, how many answered, whether a bid leads, and who is missing.
pub fn may_answer_early(
    soft: &SoftDeadline,
    waited: Duration,
    answered: usize,
    has_leader: bool,
    missing: &[Missing],
) -> bool {
    let risk: f64 = missing.iter().map(Missing::may_win).sum();
    waited >= soft.after && has_leader && answered >= soft.min_answers && risk <= soft.risk
}

#[cfg(test)]
mod tests {
    use super::*;

    const SOFT: SoftDeadline = SoftDeadline { after: Duration::from_millis(300), min_answers: 2, risk: 0.05 };

    #[test]
    fn only_unlikely_winners_are_not_waited_for() {
        let missing = |win_rate, now, all| Missing { win_rate, within_now: Some(now), within_all: Some(all) };
        let unknown = Missing { win_rate: 0.1, within_now: None, within_all: None };
        let ms = Duration::from_millis;
        for (name, waited, answered, has_leader, missing, want) in [
            ("before the soft deadline", ms(299), 5, true, vec![], false),
            ("too few answers", ms(400), 1, true, vec![], false),
            ("no bid yet", ms(400), 5, false, vec![], false),
            ("nobody is missing", ms(400), 5, true, vec![], true),
            ("a rare winner that is usually quicker", ms(400), 5, true, vec![missing(0.2, 0.98, 0.98)], true),
            ("a frequent winner that may come", ms(400), 5, true, vec![missing(0.5, 0.4, 0.9)], false),
            ("a rare winner that may come", ms(400), 5, true, vec![missing(0.03, 0.4, 1.0)], true),
            ("two rare winners that may come", ms(400), 5, true, vec![missing(0.03, 0.4, 1.0); 2], false),
            ("one nobody knows", ms(400), 5, true, vec![unknown], false),
            ("one that always was quicker", ms(400), 5, true, vec![missing(0.9, 1.0, 1.0)], true),
        ] {
            assert_eq!(may_answer_early(&SOFT, waited, answered, has_leader, &missing), want, "{name}");
        }
    }
}
