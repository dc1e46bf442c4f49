//! When nobody's head is new: the chain stands still, or this machine's clock is wrong. An age alone cannot tell these from a node that is stuck, a
//! comparison can: those who are where the others are serve all the same, as a chain that stands is read as it stands, and a clock that is wrong
//! must not cut everybody off.

use super::{
    judge::{age, words},
    rules::HealthRules,
    tip::{Tip, find_tip},
};
use crate::{gateway::Head, types::UnixMillis};

/// Nobody's head is new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Standstill {
    /// Places of those that serve all the same.
    pub(super) places: Vec<usize>,
    /// What is so, in sentences.
    pub(super) message: String,
}

/// Finds who may serve although its head is old. `old` are the places and heads of those whom nothing else speaks against, in the order in which they
/// are asked; `all` is how many upstreams there are.
pub(super) fn find_standstill(
    old: &[(usize, Head)],
    all: usize,
    previous: Option<Tip>,
    now: UnixMillis,
    rules: &HealthRules,
) -> Option<Standstill> {
    let heads: Vec<Head> = old.iter().map(|(_, head)| *head).collect();
    let tip = find_tip(&heads, previous, now, rules)?.head.number;
    let is_near = |head: &Head| tip.saturating_sub(head.number) < rules.policy.down_blocks.max(1);
    let places = old.iter().filter(|(_, head)| is_near(head)).map(|(place, _)| *place).collect();
    let newest = heads.iter().filter(|head| is_near(head)).map(|head| head.timestamp).max()?;
    let age = words(age(newest, now));
    let whose = if heads.len() == all { "Every upstream's head" } else { "Every head that can be served" };
    let stuck = if heads.len() == 1 {
        " Or it is that one upstream that is stuck: there is no other to compare."
    } else {
        ""
    };
    let message = format!(
        "{whose} is {age} old or older: the chain stands still, or this machine's clock is wrong.{stuck}"
    );
    Some(Standstill { places, message })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::gateway::{HealthPolicy, health::tests::chain_head};

    #[test]
    fn those_near_the_highest_that_can_be_believed_serve() {
        let rules = HealthRules {
            policy: HealthPolicy::default(),
            chain_id: 1,
            block_time: std::time::Duration::from_secs(12),
        };
        let head = |number: u64| chain_head(number, 0, 0, number * 12);
        for (name, numbers, want) in [
            ("nobody", vec![], None),
            ("one", vec![100], Some(vec![0])),
            ("both", vec![100, 101], Some(vec![0, 1])),
            ("almost too far behind", vec![100, 71], Some(vec![0, 1])),
            ("too far behind", vec![100, 70], Some(vec![0])),
            ("one absurd of three takes no other out", vec![100, 100, 1_000_000], Some(vec![0, 1, 2])),
        ] {
            let old: Vec<(usize, Head)> = numbers.into_iter().map(head).enumerate().collect();
            let found = find_standstill(&old, 3, None, 100_000_000_000, &rules);
            assert_eq!(found.map(|found| found.places), want, "{name}");
        }
    }
}
