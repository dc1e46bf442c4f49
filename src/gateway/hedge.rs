//! How long an upstream usually takes, from its last answers: when a slow one is worth a second question, and what people are shown.

use std::time::Duration;

use parking_lot::Mutex;

/// Answers that are looked at: enough for a ninth tenth, few enough that a change shows at once. An arbitrary number.
const KEPT: usize = 128;
/// Fewest answers that say anything of a tenth.
const ENOUGH: usize = 20;

/// The last answers' times of one upstream and class.
#[derive(Debug, Default)]
pub(super) struct Latencies(Mutex<Ring>);

#[derive(Debug, Default)]
struct Ring {
    micros: Vec<u64>,
    next: usize,
}

/// How long an upstream takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Quantiles {
    /// Half of its answers came by then.
    pub p50: Duration,
    /// Nine of ten did.
    pub p90: Duration,
    /// Nineteen of twenty did.
    pub p95: Duration,
}

impl Latencies {
    /// It answered after so long.
    pub(super) fn note(&self, elapsed: Duration) {
        let mut ring = self.0.lock();
        let micros = crate::types::micros(elapsed);
        let place = ring.next;
        match ring.micros.get_mut(place) {
            Some(oldest) => *oldest = micros,
            None => ring.micros.push(micros),
        }
        ring.next = (place + 1) % KEPT;
    }

    /// How long it takes; none while too few answers are known.
    pub(super) fn quantiles(&self) -> Option<Quantiles> {
        let mut sorted = self.0.lock().micros.clone();
        if sorted.len() < ENOUGH {
            return None;
        }
        sorted.sort_unstable();
        let at = |tenths: usize, of: usize| {
            let place = (sorted.len() * tenths).div_ceil(of).saturating_sub(1);
            Duration::from_micros(sorted.get(place).copied().unwrap_or_default())
        };
        Some(Quantiles { p50: at(1, 2), p90: at(9, 10), p95: at(19, 20) })
    }
}

/// Shortest wait before a second upstream is asked: below, the second question costs more than it saves. An arbitrary number.
const SHORTEST: Duration = Duration::from_millis(5);

/// How long to wait for an upstream before another is asked beside it; none where nothing is known of it.
pub(super) fn delay(known: Option<Quantiles>) -> Option<Duration> {
    known.map(|known| known.p90.max(SHORTEST))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nothing_is_said_from_few_answers() {
        let latencies = Latencies::default();
        for _ in 0..ENOUGH - 1 {
            latencies.note(Duration::from_millis(10));
        }
        assert_eq!(latencies.quantiles(), None);
        assert_eq!(delay(None), None);
        latencies.note(Duration::from_millis(10));
        assert_eq!(delay(latencies.quantiles()), Some(Duration::from_millis(10)));
    }

    #[test]
    fn one_slow_answer_of_ten_is_beyond_the_ninth_tenth_and_old_answers_are_forgotten() {
        let latencies = Latencies::default();
        for at in 0..100_u64 {
            latencies.note(Duration::from_millis(if at % 11 == 0 { 900 } else { 20 }));
        }
        assert_eq!(latencies.quantiles().unwrap().p90, Duration::from_millis(20));
        for _ in 0..KEPT {
            latencies.note(Duration::from_millis(1));
        }
        assert_eq!(latencies.quantiles().unwrap().p95, Duration::from_millis(1));
        assert_eq!(delay(latencies.quantiles()), Some(SHORTEST));
    }

    proptest! {
        #[test]
        fn quantiles_are_in_order_and_times_that_came(times in prop::collection::vec(0_u64..10_000, 20..300)) {
            let latencies = Latencies::default();
            for time in &times {
                latencies.note(Duration::from_millis(*time));
            }
            let known = latencies.quantiles().unwrap();
            prop_assert!(known.p50 <= known.p90 && known.p90 <= known.p95);
            prop_assert!(times.iter().any(|time| Duration::from_millis(*time) == known.p90));
        }
    }
}
