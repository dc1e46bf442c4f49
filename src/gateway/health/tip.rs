//! The chain's tip, as those who can be believed show it.
//!
//! With three or more heads it is the second highest: two have it, and no single upstream can move it. With two, the highest, unless no chain
//! could have made so many blocks in the time between them: then one of the two is wrong, and the one that goes on from the last tip is believed,
//! else the one that is asked first. Heads from the future count for nothing, unless all are: then this machine's clock is what is wrong.

use super::rules::HealthRules;
use crate::{gateway::Head, types::UnixMillis};

/// The tip.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Tip {
    pub(super) head: Head,
    /// Whether two upstreams have it.
    pub(super) is_witnessed: bool,
    /// How many heads it was found among. One alone proves nothing about what comes after it.
    pub(super) voices: usize,
}

/// The tip of heads, those of the upstreams that are asked first standing first.
pub(super) fn find_tip(
    heads: &[Head],
    previous: Option<Tip>,
    now: UnixMillis,
    rules: &HealthRules,
) -> Option<Tip> {
    let mut believed: Vec<Head> =
        heads.iter().filter(|head| !rules.is_from_the_future(head.timestamp, now)).copied().collect();
    if believed.is_empty() {
        believed = heads.to_vec();
    }
    let voices = believed.len();
    match believed[..] {
        [] => None,
        [head] => Some(Tip { head, is_witnessed: false, voices }),
        [first, second] => {
            let (low, high) = if first.number <= second.number { (first, second) } else { (second, first) };
            let is_possible = high.number - low.number <= rules.most_blocks(low.timestamp, high.timestamp);
            let head = match previous.filter(|tip| tip.voices > 1).map(|tip| tip.head.number) {
                _ if is_possible => high,
                Some(tip) if low.number.abs_diff(tip) <= high.number.abs_diff(tip) => low,
                Some(_) => high,
                None => first,
            };
            Some(Tip { head, is_witnessed: false, voices })
        }
        _ => {
            believed.sort_by_key(|head| std::cmp::Reverse(head.number));
            believed.get(1).map(|head| Tip { head: *head, is_witnessed: true, voices })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use alloy_primitives::B256;

    use super::*;
    use crate::gateway::HealthPolicy;

    fn head(number: u64, timestamp: u64) -> Head {
        Head { number, hash: B256::ZERO, parent_hash: B256::ZERO, timestamp }
    }

    #[test]
    fn no_single_upstream_moves_the_tip_where_it_cannot_be() {
        let rules =
            HealthRules { policy: HealthPolicy::default(), chain_id: 1, block_time: Duration::from_secs(12) };
        let absurd = head(1_000_000, 10_000);
        let future = head(105, 10_016);
        for (name, heads, previous, want) in [
            ("nobody", vec![], None, None),
            ("one", vec![head(100, 9_990)], None, Some(100)),
            ("the higher of two", vec![head(100, 9_990), head(101, 10_000)], None, Some(101)),
            (
                "the higher of two that was far behind",
                vec![head(0, 0), head(101, 10_000)],
                Some(0),
                Some(101),
            ),
            ("two, one absurd: the first", vec![head(100, 9_990), absurd], None, Some(100)),
            ("two, one absurd: what goes on", vec![absurd, head(101, 9_990)], Some(100), Some(101)),
            ("two, one from the future", vec![future, head(101, 9_990)], Some(100), Some(101)),
            ("all from the future: our clock", vec![future, head(104, 10_017)], None, Some(105)),
            ("three, one absurd", vec![absurd, head(100, 9_990), head(99, 9_980)], None, Some(100)),
            ("three, one behind", vec![head(3, 5), head(100, 9_990), head(101, 9_999)], None, Some(100)),
            ("three, one from the future", vec![future, head(99, 9_980), head(100, 9_990)], None, Some(100)),
        ] {
            let previous =
                previous.map(|number| Tip { head: head(number, 9_980), is_witnessed: false, voices: 2 });
            let tip = find_tip(&heads, previous, 10_000_000, &rules);
            assert_eq!(tip.map(|tip| tip.head.number), want, "{name}");
            let witnesses = heads.iter().filter(|head| head.timestamp <= 10_015).count();
            assert_eq!(tip.is_some_and(|tip| tip.is_witnessed), witnesses >= 3, "{name}");
        }
        // Whoever was asked alone first, and lied, is no proof that it did not.
        let alone = find_tip(&[absurd], None, 10_000_000, &rules);
        let tip = find_tip(&[head(100, 9_990), absurd], alone, 10_000_000, &rules);
        assert_eq!(tip.map(|tip| tip.head.number), Some(100));
    }
}
