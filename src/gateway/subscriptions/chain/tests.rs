use proptest::prelude::*;

use super::*;
use crate::gateway::subscriptions::testing::{NOW_S, block, hash};

const ORDER: [usize; 3] = [0, 1, 2];

fn chain_at(number: u64) -> Chain {
    let mut chain = Chain::new(15);
    assert_eq!(show(&mut chain, 0, number, 'a'), [format!("jump {number}a")]);
    chain
}

/// Blocks of branch `a` are one chain; those of another are its own from number 100 on.
fn show(chain: &mut Chain, place: usize, number: u64, branch: char) -> Vec<String> {
    chain.take_in(place, block(number, branch), NOW_S, &ORDER).iter().map(name).collect()
}

/// An upstream says, asked, that this is its newest block.
fn answer(chain: &mut Chain, place: usize, number: u64, branch: char) -> Vec<String> {
    let question = chain.question().expect("a question is open");
    chain.take_answer(place, block(number, branch), question, NOW_S, &ORDER).iter().map(name).collect()
}

fn name(step: &Step) -> String {
    let names = |blocks: &[Arc<Block>]| blocks.iter().map(|block| of(block)).collect::<Vec<_>>().join(" ");
    match step {
        Step::Known => "known".to_owned(),
        Step::Future => "future".to_owned(),
        Step::New(block) => format!("new {}", of(block)),
        Step::Jump(block) => format!("jump {}", of(block)),
        Step::Reorg { removed, added } => format!("reorg -{} +{}", names(removed), names(added)),
        Step::Gap(gap) => format!("gap {}..{}", gap.from, gap.to),
        Step::Ask => "ask".to_owned(),
    }
}

fn of(block: &Block) -> String {
    let branch = ('a'..='z').find(|branch| hash(block.number(), *branch) == block.hash());
    format!("{}{}", block.number(), branch.unwrap())
}

#[test]
fn whoever_is_first_is_told_and_nobody_twice() {
    let mut chain = chain_at(90);
    assert_eq!(show(&mut chain, 1, 91, 'a'), ["new 91a"]);
    assert_eq!(show(&mut chain, 0, 91, 'a'), ["known"]);
    assert_eq!(show(&mut chain, 2, 85, 'a'), [""; 0], "older than anything told: one of three");
    assert_eq!(show(&mut chain, 2, 92, 'a'), ["new 92a"]);
    assert_eq!(chain.tip().map(|block| block.number()), Some(92));
}

#[test]
fn a_gap_is_told_in_order_once_it_is_filled() {
    let mut chain = chain_at(90);
    assert_eq!(show(&mut chain, 1, 94, 'a'), ["gap 91..93"]);
    assert_eq!(show(&mut chain, 2, 91, 'a'), ["new 91a", "gap 92..93"], "another shows one of them");
    let steps = chain.fill(vec![block(93, 'a'), block(91, 'a'), block(92, 'a')], &ORDER);
    assert_eq!(steps.iter().map(name).collect::<Vec<_>>(), ["new 92a", "new 93a", "new 94a"]);
}

#[test]
fn an_upstream_on_a_fork_of_its_own_makes_nobody_flap() {
    let mut chain = chain_at(99);
    for place in ORDER {
        show(&mut chain, place, 99, 'a');
    }
    assert_eq!(show(&mut chain, 2, 100, 'b'), ["new 100b"], "it was the first");
    assert_eq!(show(&mut chain, 1, 100, 'a'), ["ask"], "1:1, and it is preferred");
    assert_eq!(answer(&mut chain, 1, 100, 'a'), ["reorg -100b +100a"]);
    assert_eq!(show(&mut chain, 0, 100, 'a'), ["known"]);
    for number in 101..140 {
        assert_eq!(show(&mut chain, 2, number, 'b'), [""; 0]);
        assert_eq!(show(&mut chain, 0, number, 'a'), [format!("new {number}a")]);
        assert_eq!(show(&mut chain, 1, number, 'a'), ["known"]);
    }
}

#[test]
fn a_preferred_upstream_alone_against_two_is_not_followed() {
    let mut chain = chain_at(99);
    show(&mut chain, 1, 100, 'b');
    show(&mut chain, 2, 100, 'b');
    for number in 100..130 {
        assert_eq!(show(&mut chain, 0, number, 'a'), [""; 0]);
        assert_eq!(show(&mut chain, 1, number + 1, 'b'), [format!("new {}b", number + 1)]);
        assert_eq!(show(&mut chain, 2, number + 1, 'b'), ["known"]);
    }
}

#[test]
fn those_who_stand_still_do_not_outvote_a_chain_that_grows() {
    let mut chain = chain_at(99);
    for place in ORDER {
        show(&mut chain, place, 100, 'a');
    }
    assert_eq!(show(&mut chain, 1, 100, 'b'), [""; 0]);
    assert_eq!(show(&mut chain, 1, 101, 'b'), [""; 0]);
    assert_eq!(show(&mut chain, 1, 102, 'b'), [""; 0]);
    assert_eq!(show(&mut chain, 1, 103, 'b'), ["reorg -100a +100b 101b 102b 103b"]);
}

#[test]
fn a_reorganisation_to_a_lower_block_is_followed_once_most_have_it() {
    let mut chain = chain_at(98);
    for number in 99..=105 {
        show(&mut chain, 0, number, 'a');
        show(&mut chain, 1, number, 'a');
    }
    show(&mut chain, 2, 105, 'a');
    assert_eq!(show(&mut chain, 1, 104, 'b'), ["gap 103..103"], "its parents are not known");
    let steps = chain.fill((100..104).map(|number| block(number, 'b')).collect(), &ORDER);
    assert!(steps.is_empty(), "{steps:?}");
    let removed = "-105a 104a 103a 102a 101a 100a";
    assert_eq!(show(&mut chain, 0, 104, 'b'), [format!("reorg {removed} +100b 101b 102b 103b 104b")]);
}

#[test]
fn a_preferred_upstream_that_is_late_with_a_reorganisation_makes_nobody_flap() {
    let mut chain = chain_at(99);
    assert_eq!(show(&mut chain, 1, 100, 'a'), ["new 100a"]);
    assert_eq!(show(&mut chain, 1, 100, 'b'), ["reorg -100a +100b"]);
    assert_eq!(show(&mut chain, 0, 100, 'a'), [""; 0], "it was told, and left");
    assert_eq!(show(&mut chain, 0, 100, 'b'), ["known"]);
    assert_eq!(show(&mut chain, 1, 101, 'b'), ["new 101b"]);
    // It stays on the other one, and that is longer: it is preferred.
    assert_eq!(show(&mut chain, 0, 101, 'a'), [""; 0]);
    assert_eq!(show(&mut chain, 0, 102, 'a'), ["reorg -101b 100b +100a 101a 102a"]);
    assert_eq!(show(&mut chain, 1, 102, 'b'), [""; 0]);
}

#[test]
fn votes_of_who_is_gone_do_not_count() {
    let mut chain = chain_at(99);
    show(&mut chain, 0, 100, 'a');
    show(&mut chain, 2, 100, 'a');
    assert_eq!(show(&mut chain, 1, 100, 'b'), [""; 0]);
    assert!(chain.gone(2, &ORDER).is_empty());
    let steps = chain.gone(0, &ORDER);
    assert_eq!(steps.iter().map(name).collect::<Vec<_>>(), ["ask"]);
    assert_eq!(answer(&mut chain, 1, 100, 'b'), ["reorg -100a +100b"]);
}

#[test]
fn an_upstream_that_is_late_does_not_bring_back_what_was_left() {
    let on_branch_b = || {
        let mut chain = chain_at(99);
        show(&mut chain, 1, 99, 'a');
        for number in 100..=102 {
            show(&mut chain, 0, number, 'a');
        }
        // The first of the other branch moves it: who is behind with telling has no vote.
        assert_eq!(show(&mut chain, 0, 100, 'b'), ["reorg -102a 101a 100a +100b"]);
        chain
    };
    // It is alone with its old view, which is even the longer one.
    let mut chain = on_branch_b();
    assert_eq!(chain.gone(0, &ORDER), []);
    assert_eq!(show(&mut chain, 1, 100, 'a'), ["ask"]);
    assert_eq!(show(&mut chain, 1, 101, 'a'), [""; 0], "it is asked once");
    assert_eq!(show(&mut chain, 1, 102, 'a'), [""; 0]);
    assert_eq!(answer(&mut chain, 1, 101, 'b'), ["new 101b"], "that was long ago");
    assert_eq!(chain.question(), None);
    // Beside another, which is not preferred.
    let mut chain = on_branch_b();
    show(&mut chain, 2, 100, 'b');
    assert_eq!(chain.gone(0, &ORDER), []);
    for number in 100..=102 {
        let asks: &[&str] = if number == 101 { &["ask"] } else { &[] };
        assert_eq!(show(&mut chain, 1, number, 'a'), asks, "{number}: it has to be longer");
    }
    assert_eq!(show(&mut chain, 2, 101, 'b'), ["new 101b"]);
    assert_eq!(show(&mut chain, 2, 102, 'b'), ["new 102b"]);
    assert_eq!(chain.question(), None, "it is not the longer one any more");
    // It was right: the branch is taken up again.
    let mut chain = on_branch_b();
    assert_eq!(chain.gone(0, &ORDER), []);
    show(&mut chain, 1, 102, 'a');
    assert_eq!(answer(&mut chain, 1, 102, 'a'), ["reorg -100b +100a 101a 102a"]);
}

#[test]
fn a_word_counts_once_it_is_known_to_be_later_than_what_was_told() {
    // What the upstream in doubt has shown before, how it answers, and what follows.
    for (name, before, reply, want) in [
        ("it was on the branch", Some(100), "", vec!["reorg -101a 100a +100b"]),
        ("it was not", None, "", vec!["ask"]),
        ("it was on it before it parts", Some(98), "", vec!["ask"]),
        ("it says the same", None, "same", vec!["ask", "reorg -101a 100a +100b"]),
        ("it says that it has moved", None, "moved", vec!["ask", "known"]),
        ("it refuses to say", None, "refusal", vec!["ask", "reorg -101a 100a +100b"]),
        ("it says nothing", None, "nothing", vec!["ask", "reorg -101a 100a +100b"]),
        ("it answers an older question", None, "older", vec!["ask"]),
    ] {
        let mut chain = chain_at(97);
        for number in 98..=101 {
            show(&mut chain, 0, number, 'a');
        }
        before.map(|number| show(&mut chain, 1, number, 'a'));
        let _ = chain.gone(0, &ORDER);
        let mut steps = show(&mut chain, 1, 100, 'b');
        let question = chain.question();
        let more = match (reply, question) {
            ("same", Some(_)) => answer(&mut chain, 1, 100, 'b'),
            ("moved", Some(_)) => answer(&mut chain, 1, 101, 'a'),
            ("refusal", Some(question)) => {
                chain.take_refusal(1, question, &ORDER).iter().map(self::name).collect()
            }
            ("nothing", Some(_)) => chain.give_up_asking(&ORDER).iter().map(self::name).collect(),
            ("older", Some(question)) => {
                let steps = chain.take_answer(1, block(100, 'b'), question - 1, NOW_S, &ORDER);
                steps.iter().map(self::name).collect()
            }
            _ => Vec::new(),
        };
        steps.extend(more);
        assert_eq!(steps, want, "{name}");
    }
}

#[test]
fn who_does_not_answer_brings_back_nothing_that_was_left() {
    let mut chain = chain_at(99);
    show(&mut chain, 0, 100, 'a');
    show(&mut chain, 0, 101, 'a');
    show(&mut chain, 0, 100, 'b');
    let _ = chain.gone(0, &ORDER);
    assert_eq!(show(&mut chain, 1, 101, 'a'), ["ask"]);
    assert_eq!(chain.give_up_asking(&ORDER), [Step::Ask], "it is asked again");
    // What was never told is news.
    assert_eq!(show(&mut chain, 1, 102, 'a'), ["reorg -100b +100a 101a 102a"]);
}

#[test]
fn an_absurd_claim_is_passed_over_until_most_show_it() {
    let mut chain = chain_at(90);
    show(&mut chain, 1, 90, 'a');
    assert_eq!(show(&mut chain, 2, 1_000_000, 'a'), [""; 0]);
    assert_eq!(show(&mut chain, 1, 91, 'a'), ["new 91a"]);
    let future = Block {
        head: crate::gateway::Head { timestamp: NOW_S + 16, ..block(92, 'a').head },
        ..block(92, 'a')
    };
    assert_eq!(chain.take_in(2, future, NOW_S, &ORDER), [Step::Future]);
    assert_eq!(show(&mut chain, 1, 1_000_001, 'a'), ["jump 1000001a"], "two of three");
    assert_eq!(show(&mut chain, 0, 1_000_002, 'a'), ["new 1000002a"]);
}

#[test]
fn after_a_long_outage_the_chain_goes_on_where_it_is() {
    let mut chain = chain_at(90);
    for place in ORDER {
        assert_eq!(chain.gone(place, &ORDER), []);
    }
    assert_eq!(show(&mut chain, 1, 100_000, 'a'), ["jump 100000a"]);
    // A chain that was begun anew, as development chains are.
    assert_eq!(show(&mut chain, 1, 5, 'a'), ["jump 5a"]);
}

#[test]
fn who_is_late_when_the_first_block_is_told_begins_nothing_anew() {
    let mut chain = chain_at(90);
    assert_eq!(show(&mut chain, 1, 89, 'a'), [""; 0]);
    assert_eq!(show(&mut chain, 2, 80, 'a'), [""; 0]);
    assert_eq!(show(&mut chain, 1, 90, 'a'), ["known"]);
    assert!(chain.gone(0, &ORDER).is_empty());
    assert_eq!(show(&mut chain, 1, 91, 'a'), ["new 91a"]);
    assert!(chain.gone(1, &ORDER).is_empty());
    assert_eq!(show(&mut chain, 2, 81, 'a'), [""; 0], "it is late, whoever else is there");
    assert_eq!(show(&mut chain, 0, 92, 'a'), ["new 92a"]);
}

#[test]
fn a_development_chain_that_was_reset_is_followed() {
    let mut chain = chain_at(90);
    show(&mut chain, 0, 91, 'a');
    assert_eq!(chain.gone(0, &ORDER), []);
    assert_eq!(show(&mut chain, 0, 5, 'a'), ["jump 5a"]);
    assert_eq!(show(&mut chain, 0, 6, 'a'), ["new 6a"]);
}

#[test]
fn a_block_that_nobody_can_give_is_worked_around() {
    let mut chain = chain_at(90);
    let steps = chain.take_in(0, block(93, 'a'), NOW_S, &ORDER);
    let [Step::Gap(gap)] = steps[..] else { panic!("{steps:?}") };
    let steps = chain.give_up(&gap, &ORDER);
    assert_eq!(steps.iter().map(name).collect::<Vec<_>>(), ["jump 93a"]);
}

#[test]
fn memory_is_bounded() {
    let mut chain = chain_at(99);
    for number in 100..3000 {
        show(&mut chain, 0, number, 'a');
        show(&mut chain, 1, number, 'b');
    }
    assert_eq!(chain.told.len(), RING);
    assert!(chain.pool.len() <= MAX_POOL && chain.pooled.len() <= MAX_POOL, "{}", chain.pool.len());
}

/// What a client of the chain has, after steps: each `New` must be the next.
fn follow(told: &mut Vec<Arc<Block>>, steps: Vec<Step>) -> Vec<Gap> {
    let mut gaps = Vec::new();
    for step in steps {
        match step {
            Step::New(block) => told.push(block),
            Step::Jump(block) => {
                assert!(told.is_empty(), "nothing may be left out");
                told.push(block);
            }
            Step::Reorg { removed, added } => {
                for block in removed {
                    assert_eq!(told.pop(), Some(block), "what is removed was told last");
                }
                told.extend(added);
            }
            Step::Gap(gap) => gaps.push(gap),
            Step::Known | Step::Future | Step::Ask => {}
        }
        let is_linked = |pair: &[Arc<Block>]| matches!(pair, [a, b] if a.hash() == b.head.parent_hash && a.number() + 1 == b.number());
        assert!(told.windows(2).all(is_linked));
    }
    gaps
}

proptest! {
    /// Three upstreams show the same chain in any interleaving; one dies, one leaves some out.
    #[test]
    fn each_head_is_told_once_and_in_order(
        turns in proptest::collection::vec((0..3_usize, any::<bool>()), 30..80),
        dies_at in 0..40_usize,
        fills_late in 1..4_usize,
    ) {
        let (mut chain, mut told) = (Chain::new(15), Vec::new());
        let mut shown = [100_u64; 3];
        let mut wanted: Vec<Gap> = Vec::new();
        for (turn, (place, leaves_out)) in turns.into_iter().enumerate() {
            if place == 0 && turn >= dies_at {
                wanted.extend(follow(&mut told, chain.gone(0, &ORDER)));
                continue;
            }
            shown[place] += if leaves_out && place == 2 { 3 } else { 1 };
            wanted.extend(follow(&mut told, chain.take_in(place, block(shown[place], 'a'), NOW_S, &ORDER)));
            if turn % fills_late == 0 {
                for gap in std::mem::take(&mut wanted) {
                    let blocks = (gap.from..=gap.to).map(|number| block(number, 'a')).collect();
                    wanted.extend(follow(&mut told, chain.fill(blocks, &ORDER)));
                }
            }
        }
        for gap in wanted {
            let blocks = (gap.from..=gap.to).map(|number| block(number, 'a')).collect();
            follow(&mut told, chain.fill(blocks, &ORDER));
        }
        let highest = shown.into_iter().max().unwrap();
        let first = told.first().map(|block| block.number()).unwrap_or(highest);
        let numbers: Vec<u64> = told.iter().map(|block| block.number()).collect();
        prop_assert_eq!(numbers, (first..=highest).collect::<Vec<_>>());
    }

    /// Polled blocks give way to those of websockets, with claims that come and go: what is told hangs together, and nobody whose word is
    /// withdrawn decides anything.
    #[test]
    fn what_is_told_hangs_together_while_claims_come_and_go(
        turns in proptest::collection::vec((0..3_usize, 95..115_u64, 0..3_usize, 0..6_u8), 1..200),
    ) {
        const POLLED: usize = 3;
        let order = [0, 1, 2, POLLED];
        let (mut chain, mut told) = (Chain::new(15), Vec::new());
        follow(&mut told, chain.take_in(POLLED, block(95, 'a'), NOW_S, &order));
        for (place, number, branch, what) in turns {
            let block_shown = block(number, ['a', 'b', 'c'][branch]);
            let mut gaps = match what {
                0 => follow(&mut told, chain.gone(place, &order)),
                1 | 2 => follow(&mut told, chain.take_in(POLLED, block_shown, NOW_S, &order)),
                _ => {
                    chain.withdraw(POLLED);
                    let gaps = follow(&mut told, chain.take_in(place, block_shown, NOW_S, &order));
                    prop_assert!(!chain.claimants().any(|place| place == POLLED));
                    gaps
                }
            };
            while let Some(gap) = gaps.pop() {
                let branch = ['a', 'b', 'c'].into_iter().find(|branch| hash(gap.to, *branch) == gap.hash).unwrap();
                gaps = follow(&mut told, chain.fill(vec![block(gap.to, branch)], &order));
            }
            prop_assert_eq!(told.last(), chain.tip());
        }
    }

    /// Upstreams on branches of their own, in any order, with any of them gone at any time: what is told hangs together.
    #[test]
    fn what_is_told_hangs_together_whatever_upstreams_show(
        turns in proptest::collection::vec((0..3_usize, 95..115_u64, 0..3_usize, 0..12_u8), 1..200),
    ) {
        let (mut chain, mut told) = (Chain::new(15), Vec::new());
        follow(&mut told, chain.take_in(0, block(95, 'a'), NOW_S, &ORDER));
        for (place, number, branch, what) in turns {
            let branch = ['a', 'b', 'c'][branch];
            let mut gaps = match (what, chain.question()) {
                (0, _) => follow(&mut told, chain.gone(place, &ORDER)),
                (1, _) => follow(&mut told, chain.give_up_asking(&ORDER)),
                (2, Some(question)) => follow(&mut told, chain.take_refusal(place, question, &ORDER)),
                (3..6, Some(question)) => {
                    follow(&mut told, chain.take_answer(place, block(number, branch), question, NOW_S, &ORDER))
                }
                _ => follow(&mut told, chain.take_in(place, block(number, branch), NOW_S, &ORDER)),
            };
            // Whoever is asked gives a block by its hash; `gap.from` may be of another branch.
            while let Some(gap) = gaps.pop() {
                let branch = ['a', 'b', 'c'].into_iter().find(|branch| hash(gap.to, *branch) == gap.hash).unwrap();
                gaps = follow(&mut told, chain.fill(vec![block(gap.to, branch)], &ORDER));
            }
            prop_assert_eq!(told.last(), chain.tip());
        }
    }
}
