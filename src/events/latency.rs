//! How long answers took, as counts: they can be added up over minutes, nodes and restarts, as quantiles cannot.
//!
//! There are 40 buckets, each up to √2 times as long as the one before. A quantile that is read from them lies in the same bucket as the true
//! one, so it is off by 41 % at most, either way. One bound is 100 ms exactly: whether a quantile is below 100 ms is known without error.

use std::{fmt, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::types::micros;

/// How many there are.
pub(super) const BUCKETS: usize = 40;

/// Upper bounds, in microseconds: 100 ms times powers of √2. The last bucket has none.
const BOUNDS_US: [u64; BUCKETS - 1] = [
    98, 138, 195, 276, 391, 552, 781, 1105, 1562, 2210, 3125, 4419, 6250, 8839, 12500, 17678, 25000, 35355,
    50000, 70711, 100_000, 141_421, 200_000, 282_843, 400_000, 565_685, 800_000, 1_131_371, 1_600_000,
    2_262_742, 3_200_000, 4_525_483, 6_400_000, 9_050_967, 12_800_000, 18_101_934, 25_600_000, 36_203_867,
    51_200_000,
];

/// Six bits of a number, five of them of its value: as source maps write numbers.
const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
/// Set where more digits of the same number follow.
const MORE: u64 = 0b10_0000;
/// The digit's part of the value.
const VALUE: u64 = 0b01_1111;

/// Counts of how long answers took.
#[derive(Clone, PartialEq, Eq)]
pub struct LatencyCounts(pub(super) [u64; BUCKETS]);

/// The bucket of a duration.
pub(super) fn bucket_of(elapsed: Duration) -> usize {
    let elapsed = micros(elapsed);
    BOUNDS_US.partition_point(|bound| *bound < elapsed)
}

impl LatencyCounts {
    /// Counts one answer.
    pub fn add(&mut self, elapsed: Duration) {
        if let Some(count) = self.0.get_mut(bucket_of(elapsed)) {
            *count = count.saturating_add(1);
        }
    }

    /// Adds others' counts.
    pub fn merge(&mut self, other: &Self) {
        for (count, more) in self.0.iter_mut().zip(other.0) {
            *count = count.saturating_add(more);
        }
    }

    /// How many answers were counted.
    pub fn total(&self) -> u64 {
        self.0.iter().fold(0, |sum: u64, count| sum.saturating_add(*count))
    }

    /// A quantile in microseconds, `per_mille` of the answers being as quick or quicker; none without an answer. Beyond the last bound,
    /// 51.2 s, it is that bound.
    pub fn quantile_us(&self, per_mille: u64) -> Option<u64> {
        let total = self.total();
        let rank = u128::from(total).saturating_mul(u128::from(per_mille.min(1000))).div_ceil(1000).max(1);
        let mut before = 0_u128;
        for (index, count) in self.0.iter().copied().enumerate().filter(|(_, count)| *count > 0) {
            let count = u128::from(count);
            if before + count >= rank {
                let lower = index.checked_sub(1).and_then(|below| BOUNDS_US.get(below)).copied().unwrap_or(0);
                let Some(upper) = BOUNDS_US.get(index).copied() else { return Some(lower) };
                // As if the answers of a bucket were spread evenly in it, each in the middle of its share: never at the bound itself.
                let share = (2 * (rank - before)).saturating_sub(1);
                let width = u128::from(upper.saturating_sub(lower));
                let into = width.saturating_mul(share).checked_div(2 * count).unwrap_or(0);
                return Some(lower.saturating_add(u64::try_from(into).unwrap_or(0)));
            }
            before += count;
        }
        None
    }

    /// The counts as a text of at most 200 characters while no bucket has 33 million.
    pub fn encode(&self) -> String {
        let used = self.0.iter().rposition(|count| *count > 0).map_or(0, |last| last + 1);
        let mut text = String::new();
        for mut count in self.0.iter().copied().take(used) {
            loop {
                let more = if count > VALUE { MORE } else { 0 };
                let digit = usize::try_from((count & VALUE) | more).unwrap_or(0);
                text.push(DIGITS.get(digit).copied().map_or('A', char::from));
                count >>= 5;
                if more == 0 {
                    break;
                }
            }
        }
        text
    }

    /// Reads [`Self::encode`]'s text; `None` for another.
    pub fn decode(text: &str) -> Option<Self> {
        let mut counts = Self::default();
        let mut slots = counts.0.iter_mut();
        let (mut value, mut shift) = (0_u64, 0_u32);
        for byte in text.bytes() {
            let digit = DIGITS.iter().position(|digit| *digit == byte)?;
            let digit = u64::try_from(digit).ok()?;
            let part = (digit & VALUE).checked_shl(shift).filter(|part| part >> shift == digit & VALUE)?;
            value |= part;
            if digit & MORE == 0 {
                *slots.next()? = value;
                (value, shift) = (0, 0);
            } else {
                shift += 5;
            }
        }
        (shift == 0).then_some(counts)
    }
}

impl Default for LatencyCounts {
    fn default() -> Self {
        Self([0; BUCKETS])
    }
}

impl fmt::Debug for LatencyCounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LatencyCounts({})", self.encode())
    }
}

impl Serialize for LatencyCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.encode())
    }
}

impl<'de> Deserialize<'de> for LatencyCounts {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::decode(&text).ok_or_else(|| de::Error::custom("not counts of latencies"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(millis: &[u64]) -> LatencyCounts {
        let mut counts = LatencyCounts::default();
        millis.iter().for_each(|ms| counts.add(Duration::from_millis(*ms)));
        counts
    }

    #[test]
    fn a_hundred_milliseconds_are_told_without_error() {
        let mut quick = vec![1; 94];
        quick.extend([100; 6]);
        assert!(of(&quick).quantile_us(950).unwrap() < 100_000);
        let mut late = vec![1; 94];
        late.extend([101; 6]);
        assert!(of(&late).quantile_us(950).unwrap() >= 100_000);
        assert_eq!(LatencyCounts::default().quantile_us(950), None);
        assert_eq!(of(&[90_000]).quantile_us(500), Some(51_200_000));
    }

    #[test]
    fn a_minute_takes_two_hundred_characters_at_most() {
        let full = LatencyCounts([(1 << 25) - 1; BUCKETS]);
        assert_eq!(full.encode().len(), 200);
        assert_eq!(LatencyCounts::decode(&full.encode()), Some(full));
        assert_eq!(LatencyCounts::default().encode(), "");
        for bad in ["g", "ä", "A A", &"A".repeat(41), &"/".repeat(20)] {
            assert_eq!(LatencyCounts::decode(bad), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(counts in proptest::collection::vec(any::<u64>(), BUCKETS)) {
            let counts = LatencyCounts(counts.try_into().unwrap());
            prop_assert_eq!(LatencyCounts::decode(&counts.encode()), Some(counts));
        }

        #[test]
        fn a_quantile_is_within_a_bucket_of_the_true_one(
            mut all in proptest::collection::vec(100_u64..50_000_000, 1..200), per_mille in 1_u64..=1000,
        ) {
            let mut counts = LatencyCounts::default();
            all.iter().for_each(|us| counts.add(Duration::from_micros(*us)));
            all.sort_unstable();
            let count = u64::try_from(all.len()).unwrap();
            let rank = usize::try_from((count * per_mille).div_ceil(1000).max(1)).unwrap();
            let (truth, read) = (all[rank - 1], counts.quantile_us(per_mille).unwrap());
            prop_assert!(read * 100 <= truth * 143 && read * 143 >= truth * 100, "{} for {}", read, truth);
        }
    }
}
