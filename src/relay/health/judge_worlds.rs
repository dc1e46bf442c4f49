//! The rule in worlds in which somebody steals and everything else goes wrong: no honest relay is convicted, every theft is.

use proptest::prelude::*;

use super::*;

/// What a relay of a world does with its block once it is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Honest,
    Refuses,
    Hangs,
    Resets,
    Fails,
    Swallows,
    Mismatches,
}

impl Way {
    fn reveals(self) -> bool {
        self == Self::Honest
    }
}

/// One relay of a world.
#[derive(Clone, Debug)]
struct Player {
    way: Way,
    offers: bool,
    /// It signed for more than the block pays.
    overstates: bool,
    verified: bool,
    /// What it answers does not reach us.
    loses_reply: bool,
    /// What it says the second time, as its first answer was lost: honest words that are no 202.
    second_answer: Option<&'static str>,
}

/// One slot, and all that goes wrong in it beside what the relays do.
#[derive(Clone, Debug)]
struct World {
    players: Vec<Player>,
    uplink_is_dead: bool,
    ms_into_slot: i64,
    is_garbage: bool,
    checks_signatures: bool,
    is_reorganised: bool,
    other_block: bool,
    /// The payment is first seen wrong, at low confidence; or never seen well at all.
    sees_well_at: Confidence,
    wrong_sight: bool,
}

impl World {
    /// Whether a relay gets a block that it can publish.
    fn can_publish(&self) -> bool {
        !self.uplink_is_dead && !self.is_garbage && self.ms_into_slot <= 4000
    }

    fn lands(&self) -> bool {
        let publishes = |p: &Player| p.offers && p.way.reveals();
        self.can_publish() && !self.other_block && self.players.iter().any(publishes)
    }

    fn record(&self) -> BlockRecord {
        let mut record = BlockRecord::new(Slot::new(7), B256::repeat_byte(1), 0);
        record.value = eth("0.05");
        record.received = Some(Received { at: 0, ms_into_slot: self.ms_into_slot });
        record.signature = match (self.checks_signatures, self.is_garbage) {
            (false, _) => BlockSignature::Unknown,
            (true, true) => BlockSignature::Invalid,
            (true, false) => BlockSignature::Valid,
        };
        for (index, player) in self.players.iter().enumerate() {
            let name = index.to_string();
            if player.offers {
                let value = if player.overstates { "0.06" } else { "0.05" };
                record.promised(&id(&name), Some(eth(value)), player.verified);
            }
            let (outcome, status, message) = self.answer_of(player);
            answer(&mut record, &name, outcome, status, message);
        }
        record
    }

    fn answer_of(&self, player: &Player) -> (RevealOutcome, Option<u16>, &'static str) {
        let refusal = |message| (RevealOutcome::Failed(CallFault::HttpStatus), Some(400), message);
        if self.uplink_is_dead || player.loses_reply {
            return (RevealOutcome::Failed(CallFault::TimedOut), None, "");
        }
        match player.way {
            _ if !player.offers => refusal("unknown block"),
            Way::Honest if self.is_garbage => refusal("invalid signature"),
            Way::Honest if self.ms_into_slot > 4000 => refusal("too late"),
            Way::Honest if player.second_answer.is_some() => {
                refusal(player.second_answer.unwrap_or_default())
            }
            Way::Honest | Way::Swallows => (RevealOutcome::Accepted, Some(202), ""),
            Way::Refuses => refusal("no execution payload"),
            Way::Hangs => (RevealOutcome::Failed(CallFault::TimedOut), None, ""),
            Way::Resets => (RevealOutcome::Failed(CallFault::Transport), None, ""),
            Way::Fails => (RevealOutcome::Failed(CallFault::HttpStatus), Some(500), ""),
            Way::Mismatches => (RevealOutcome::PayloadMismatched, Some(200), ""),
        }
    }

    /// The record as it is at first, when the head has shown the slot, and when that is final.
    fn stages(&self) -> [BlockRecord; 3] {
        let first = self.record();
        let seen = |is_final: bool| {
            let mut record = first.clone();
            let outcome = match (self.lands(), self.is_reorganised) {
                (true, true) if is_final => SlotOutcome::Orphaned,
                (true, _) => SlotOutcome::Ours,
                (false, _) => SlotOutcome::NotDelivered,
            };
            record.chain =
                Some(ChainSight { has_other_block: self.other_block, ..chain(outcome, is_final).unwrap() });
            if outcome == SlotOutcome::Ours {
                let confidence =
                    if is_final { self.sees_well_at } else { self.sees_well_at.min(Confidence::Low) };
                // What is seen badly may be anything; what is seen well is right.
                let is_wrong = self.wrong_sight && !confidence.convicts();
                let received = if is_wrong { Wei::ZERO } else { eth("0.05") };
                let evidence = Evidence { method: Method::Balance, confidence };
                record.payment = Some(PaymentSight { received, evidence });
            }
            record
        };
        [first.clone(), seen(false), seen(true)]
    }
}

fn way() -> impl Strategy<Value = Way> {
    proptest::sample::select(vec![
        Way::Honest,
        Way::Honest,
        Way::Honest,
        Way::Refuses,
        Way::Hangs,
        Way::Resets,
        Way::Fails,
        Way::Swallows,
        Way::Mismatches,
    ])
}

fn rarely() -> impl Strategy<Value = bool> {
    proptest::bool::weighted(0.15)
}

fn second_answer() -> impl Strategy<Value = Option<&'static str>> {
    proptest::sample::select(vec![
        None,
        None,
        None,
        Some("payload for this slot was already delivered"),
        Some("failed to publish block"),
    ])
}

prop_compose! {
    fn player()(
        way in way(), offers in proptest::bool::weighted(0.6), overstates in rarely(), verified in any::<bool>(),
        loses_reply in rarely(), second_answer in second_answer(),
    ) -> Player {
        Player { way, offers, overstates, verified, loses_reply, second_answer }
    }
}

prop_compose! {
    fn world()(
        players in proptest::collection::vec(player(), 1..6), uplink_is_dead in rarely(), late in rarely(),
        is_garbage in rarely(), checks_signatures in proptest::bool::weighted(0.7), is_reorganised in rarely(),
        other_block in rarely(), wrong_sight in any::<bool>(),
        sees_well_at in proptest::sample::select(vec![Confidence::Low, Confidence::Medium, Confidence::High]),
    ) -> World {
        World {
            players, uplink_is_dead, ms_into_slot: if late { 4500 } else { 500 }, is_garbage, checks_signatures,
            is_reorganised, other_block, sees_well_at, wrong_sight,
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 3000, ..ProptestConfig::default() })]

    /// Whatever goes wrong on our side, at the client, on the way, on chain, or at another relay.
    #[test]
    fn no_honest_relay_is_convicted(world in world()) {
        for record in world.stages() {
            for verdict in judge(&record, LATER) {
                let player = &world.players[verdict.relay.as_str().parse::<usize>().unwrap()];
                let is_honest = player.way == Way::Honest && !player.overstates;
                prop_assert!(
                    !is_honest || verdict.ruling() != Some(Ruling::Guilty),
                    "{verdict:?}\n{record:#?}"
                );
            }
        }
    }

    /// What anybody can know to be theft ends as an offence once the chain is final.
    #[test]
    fn every_theft_is_convicted_in_the_end(world in world()) {
        let [_, _, last] = world.stages();
        let guilty = |index: usize| {
            judge(&last, LATER)
                .into_iter()
                .any(|v| v.relay.as_str() == index.to_string() && v.ruling() == Some(Ruling::Guilty))
        };
        let was_in_time = world.can_publish() && !world.other_block && world.checks_signatures;
        for (index, player) in world.players.iter().enumerate() {
            let name = id(&index.to_string());
            if !player.offers {
                prop_assert!(!guilty(index));
                continue;
            }
            let keeps_it = !player.way.reveals() && was_in_time && !world.lands();
            if keeps_it && last.line_worked(&name) {
                prop_assert!(guilty(index), "{player:?}\n{last:#?}");
            }
            // The block landed by another's hand, of whom we know; this one said no.
            let reveals_openly = |other: &Player| {
                other.offers && other.way.reveals() && !other.loses_reply && other.second_answer.is_none()
            };
            let says_no = player.way == Way::Refuses && !player.loses_reply;
            let is_beside_revealer = world.players.iter().any(reveals_openly);
            if says_no && is_beside_revealer && world.lands() && !world.is_reorganised {
                prop_assert!(guilty(index), "{player:?}\n{last:#?}");
            }
            let pays_less = player.overstates && player.verified && world.lands() && !world.is_reorganised;
            if pays_less && world.sees_well_at.convicts() {
                prop_assert!(guilty(index), "{player:?}\n{last:#?}");
            }
            let mismatches = player.way == Way::Mismatches && was_in_time && !player.loses_reply;
            if mismatches && !world.lands() {
                prop_assert!(guilty(index), "{player:?}\n{last:#?}");
            }
        }
    }

    /// Credit is for blocks that a relay offered, answered for, and that are on chain.
    #[test]
    fn nobody_earns_by_a_block_that_it_kept(world in world()) {
        let [_, _, last] = world.stages();
        for verdict in judge(&last, LATER).into_iter().filter(|v| v.conduct == Conduct::Revealed) {
            prop_assert!(last.promises.contains_key(&verdict.relay));
            prop_assert_eq!(last.chain.unwrap().outcome, SlotOutcome::Ours);
        }
    }
}
