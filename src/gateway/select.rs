//! Which upstreams are asked for a call, and in which order: a pure function of what is known of them.
//!
//! Upstreams that may not be asked (their lists of methods, our budget, backups where none may be asked) are left out before anything else, so that
//! nothing sticks to one that cannot answer (eRPC 1125: sends stuck for 45 s). Of the rest, those that are known to lack what the call needs come
//! last, and are not left out: what is known of a head is some seconds old.

use super::{BlockNeed, Bound, Snapshot, Tier, pattern};

/// What an upstream may be asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct MethodLists {
    /// Names and prefixes; empty: all.
    pub only: Vec<String>,
    /// Names and prefixes that it is never asked for.
    pub never: Vec<String>,
}

impl MethodLists {
    /// Whether it may be asked.
    pub(super) fn take(&self, method: &str) -> bool {
        (self.only.is_empty() || pattern::matches(&self.only, method))
            && !pattern::matches(&self.never, method)
    }
}

/// What is known of an upstream beside the board.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    /// The highest block that it showed in an answer; 0: none.
    pub latest: u64,
    /// The highest finalized block that it showed in an answer; 0: none.
    pub finalized: u64,
    /// It asked us to come later.
    pub resting: bool,
    /// It answers nothing just now although it is asked.
    pub stalled: bool,
    /// The last block of whose past it is known to lack what the call needs.
    pub pruned: Option<u64>,
    /// It may be asked: it takes the method, and our budget has a request left.
    pub may: bool,
}

/// What a call needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Need {
    /// The block that it is about.
    pub block: BlockNeed,
    /// The highest block that the client was told of.
    pub told_latest: u64,
    /// The highest finalized block that the client was told of.
    pub told_finalized: u64,
    /// The highest block that there can be: nobody is known to have more.
    pub ceiling: u64,
    /// The highest block that there is, as far as anybody showed. What is beyond nobody has.
    pub known: u64,
}

/// An upstream that can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    /// Its place on the board.
    pub place: usize,
    /// Its tier.
    pub tier: Tier,
    /// Blocks that it is known to have, up to here.
    pub latest: u64,
    /// The highest block that it is known to hold final.
    pub finalized: u64,
}

/// Those that can be asked, the best first. `seen` is by places on the board.
pub(super) fn candidates(snapshot: &Snapshot, seen: &[Seen], need: Need) -> Vec<Candidate> {
    let mut ranked: Vec<(Rank, Candidate)> = snapshot
        .order
        .iter()
        .filter_map(|&place| {
            let (standing, seen) = (snapshot.upstreams.get(place)?, seen.get(place)?);
            if !seen.may || !standing.state.serves() {
                return None;
            }
            let latest = standing.head.map_or(0, |head| head.number).max(seen.latest);
            let latest = latest.min(need.ceiling);
            let finalized = standing.finalized.unwrap_or(0).max(seen.finalized).min(need.ceiling);
            let candidate = Candidate { place, tier: standing.tier, latest, finalized };
            let pruned = seen.pruned.max(standing.earliest.and_then(|earliest| earliest.checked_sub(1)));
            let lacks = lacks(candidate, pruned, need);
            let rank = Rank { lacks, resting: seen.resting, stalled: seen.stalled };
            Some((rank, candidate))
        })
        .collect();
    // Stable: within a rank, the board's order.
    ranked.sort_by_key(|(rank, _)| (rank.lacks, rank.resting));
    // A silence of a moment is no reason to ask a paid upstream: who is silent comes after the operator's other nodes that stand beside it.
    let is_own = |candidate: &Candidate| candidate.tier != Tier::Backup;
    for own in ranked.chunk_by_mut(|(one, first), (other, second)| {
        (one.lacks, one.resting) == (other.lacks, other.resting) && is_own(first) && is_own(second)
    }) {
        own.sort_by_key(|(rank, _)| rank.stalled);
    }
    ranked.into_iter().map(|(_, candidate)| candidate).collect()
}

#[derive(Clone, Copy)]
struct Rank {
    lacks: bool,
    resting: bool,
    stalled: bool,
}

/// Whether an upstream is known to lack what a call needs, or to show less than its client was told.
fn lacks(candidate: Candidate, pruned: Option<u64>, need: Need) -> bool {
    let behind = candidate.latest < need.told_latest;
    let behind_final = candidate.finalized < need.told_finalized;
    let pruned = |number: u64| pruned.is_some_and(|pruned| number <= pruned);
    let lacks_number = |number: u64| candidate.latest < number || pruned(number);
    let lacks_bound = |bound: Bound| match bound {
        Bound::Latest | Bound::Pending | Bound::Safe => behind,
        Bound::Finalized => behind_final,
        Bound::Earliest => pruned(0),
        Bound::Number(number) => lacks_number(number),
    };
    match need.block {
        BlockNeed::None | BlockNeed::Latest | BlockNeed::Pending | BlockNeed::Safe | BlockNeed::Hash => {
            behind
        }
        BlockNeed::Finalized => behind_final,
        BlockNeed::Earliest => pruned(0),
        BlockNeed::Number(number) => lacks_number(number),
        BlockNeed::Range { from, to } => {
            // A node gives what there is of a range, and does not say that it lacks the end. Where nobody has the end, who is behind the client gives
            // less.
            let to_lacks = match to {
                Bound::Number(number) => candidate.latest < number && (number <= need.known || behind),
                other => lacks_bound(other),
            };
            lacks_bound(from) || to_lacks
        }
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::B256;
    use proptest::prelude::*;

    use super::*;
    use crate::gateway::{Head, Standing, UpstreamId, UpstreamState};

    fn standing(place: usize, tier: Tier, state: UpstreamState, number: u64) -> Standing {
        let head = Head {
            number,
            hash: B256::repeat_byte(1),
            parent_hash: B256::repeat_byte(2),
            timestamp: number * 12,
        };
        Standing {
            id: UpstreamId::parse(&format!("u{place}")).unwrap(),
            tier,
            state,
            reason: String::new(),
            since: 0,
            head: Some(head),
            finalized: Some(number.saturating_sub(64)),
            lag: None,
            earliest: None,
            version: None,
        }
    }

    /// A primary, a replica and a backup at these heights.
    fn snapshot(heads: [u64; 3]) -> Snapshot {
        let tiers = [Tier::Primary, Tier::Replica, Tier::Backup];
        let upstreams = tiers
            .into_iter()
            .enumerate()
            .map(|(place, tier)| standing(place, tier, UpstreamState::Healthy, heads[place]))
            .collect();
        Snapshot { upstreams, order: vec![0, 1, 2], tip: None, finalized: None }
    }

    const MAY: Seen =
        Seen { latest: 0, finalized: 0, resting: false, stalled: false, pruned: None, may: true };

    fn need(block: BlockNeed) -> Need {
        Need { block, told_latest: 0, told_finalized: 0, ceiling: u64::MAX, known: 0 }
    }

    fn places(snapshot: &Snapshot, seen: &[Seen], need: Need) -> Vec<usize> {
        candidates(snapshot, seen, need).into_iter().map(|candidate| candidate.place).collect()
    }

    #[test]
    fn the_boards_order_is_kept_where_nothing_speaks_against_it() {
        let board = snapshot([100, 100, 100]);
        for block in
            [BlockNeed::None, BlockNeed::Latest, BlockNeed::Number(90), BlockNeed::Hash, BlockNeed::Earliest]
        {
            assert_eq!(places(&board, &[MAY; 3], need(block)), [0, 1, 2], "{block:?}");
        }
    }

    #[test]
    fn who_lacks_the_block_comes_last_and_is_not_left_out() {
        let board = snapshot([100, 102, 105]);
        let range = |from, to| BlockNeed::Range { from: Bound::Number(from), to };
        for (block, want) in [
            (BlockNeed::Number(100), [0, 1, 2]),
            (BlockNeed::Number(101), [1, 2, 0]),
            (BlockNeed::Number(105), [2, 0, 1]),
            (BlockNeed::Number(999), [0, 1, 2]),
            (range(101, Bound::Latest), [1, 2, 0]),
            (range(1, Bound::Number(999)), [0, 1, 2]),
        ] {
            assert_eq!(places(&board, &[MAY; 3], need(block)), want, "{block:?}");
        }
    }

    #[test]
    fn who_lacks_the_end_of_a_range_that_there_is_comes_last() {
        let board = snapshot([100, 102, 105]);
        let upto = |to| Need {
            known: 105,
            ..need(BlockNeed::Range { from: Bound::Number(1), to: Bound::Number(to) })
        };
        for (to, want) in [(100, [0, 1, 2]), (101, [1, 2, 0]), (105, [2, 0, 1]), (106, [0, 1, 2])] {
            assert_eq!(places(&board, &[MAY; 3], upto(to)), want, "{to}");
        }
    }

    #[test]
    fn who_is_behind_what_the_client_was_told_comes_last() {
        let board = snapshot([100, 102, 105]);
        let told = |latest, block| Need { told_latest: latest, ..need(block) };
        assert_eq!(places(&board, &[MAY; 3], told(101, BlockNeed::Latest)), [1, 2, 0]);
        assert_eq!(places(&board, &[MAY; 3], told(106, BlockNeed::Latest)), [0, 1, 2]);
        // A block that it has is a block that it has.
        assert_eq!(places(&board, &[MAY; 3], told(101, BlockNeed::Number(50))), [0, 1, 2]);
        let told = Need { told_finalized: 40, ..need(BlockNeed::Finalized) };
        assert_eq!(places(&board, &[MAY; 3], told), [2, 0, 1]);
        // What an answer showed counts although no probe has seen it yet.
        let seen = [Seen { latest: 103, ..MAY }, MAY, MAY];
        let told = Need { told_latest: 103, ..need(BlockNeed::Latest) };
        assert_eq!(places(&board, &seen, told), [0, 2, 1]);
        // But not what no chain can have: all are behind alike.
        let liar = [MAY, Seen { latest: 999, ..MAY }, MAY];
        let told = Need { told_latest: 110, ceiling: 105, ..need(BlockNeed::Latest) };
        assert_eq!(places(&board, &liar, told), [0, 1, 2]);
    }

    #[test]
    fn who_may_not_be_asked_is_left_out_whatever_else_is_known() {
        let mut board = snapshot([100, 100, 100]);
        let not = Seen { may: false, ..MAY };
        assert_eq!(places(&board, &[not, MAY, MAY], need(BlockNeed::Latest)), [1, 2]);
        board.upstreams[1].state = UpstreamState::WrongChain;
        assert_eq!(places(&board, &[not, MAY, MAY], need(BlockNeed::Latest)), [2]);
        assert_eq!(places(&board, &[not; 3], need(BlockNeed::Latest)), [0_usize; 0]);
        let lists = MethodLists { only: vec!["eth_*".to_owned()], never: vec!["eth_getLogs".to_owned()] };
        assert!(lists.take("eth_call") && !lists.take("eth_getLogs") && !lists.take("trace_block"));
        assert!(MethodLists::default().take("anything"));
    }

    #[test]
    fn who_asked_for_rest_and_who_pruned_the_block_come_last() {
        let mut board = snapshot([100, 100, 100]);
        let resting = Seen { resting: true, ..MAY };
        assert_eq!(places(&board, &[resting, MAY, MAY], need(BlockNeed::Latest)), [1, 2, 0]);
        let pruned = Seen { pruned: Some(49), ..MAY };
        let seen = [pruned, MAY, MAY];
        assert_eq!(places(&board, &seen, need(BlockNeed::Number(49))), [1, 2, 0]);
        assert_eq!(places(&board, &seen, need(BlockNeed::Earliest)), [1, 2, 0]);
        assert_eq!(places(&board, &seen, need(BlockNeed::Number(50))), [0, 1, 2]);
        board.upstreams[0].earliest = Some(60);
        assert_eq!(places(&board, &seen, need(BlockNeed::Number(59))), [1, 2, 0]);
    }

    #[test]
    fn who_is_silent_comes_after_the_other_own_nodes_and_before_a_paid_one() {
        let board = snapshot([100, 100, 100]);
        let silent = Seen { stalled: true, ..MAY };
        let latest = need(BlockNeed::Latest);
        assert_eq!(places(&board, &[silent, MAY, MAY], latest), [1, 0, 2]);
        assert_eq!(places(&board, &[silent, silent, MAY], latest), [0, 1, 2]);
        assert_eq!(places(&board, &[MAY, MAY, silent], latest), [0, 1, 2]);
        // Who lacks the block is no better than who is silent.
        let board = snapshot([100, 99, 100]);
        assert_eq!(places(&board, &[silent, MAY, MAY], need(BlockNeed::Number(100))), [0, 2, 1]);
    }

    proptest! {
        #[test]
        fn nobody_is_asked_twice_and_nobody_who_may_is_forgotten(
            heads in prop::array::uniform3(0_u64..20), may in prop::array::uniform3(any::<bool>()),
            resting in prop::array::uniform3(any::<bool>()), told in 0_u64..25, number in 0_u64..25,
        ) {
            let board = snapshot(heads);
            let seen: Vec<Seen> =
                (0..3).map(|place| Seen { may: may[place], resting: resting[place], ..MAY }).collect();
            let mut got = places(
                &board,
                &seen,
                Need { told_latest: told, ..need(BlockNeed::Number(number)) },
            );
            got.sort_unstable();
            let want: Vec<usize> = (0..3).filter(|place| may[*place]).collect();
            prop_assert_eq!(got, want);
        }

        #[test]
        fn whoever_has_the_block_comes_before_whoever_lacks_it(
            heads in prop::array::uniform3(0_u64..20), number in 0_u64..25,
        ) {
            let found = candidates(&snapshot(heads), &[MAY; 3], need(BlockNeed::Number(number)));
            let has: Vec<bool> = found.iter().map(|candidate| candidate.latest >= number).collect();
            prop_assert!(has.windows(2).all(|pair| pair[0] >= pair[1]), "{:?}", found);
        }
    }
}
