//! The rule by table, and by worlds in which somebody steals and everything else goes wrong.

use alloy_primitives::B256;
use proptest::prelude::*;

use super::*;
use crate::{
    events::{CallFault, RevealOutcome},
    relay::health::case::{PaymentSight, Received},
    types::Slot,
};

const LATER: i64 = 1_000_000;

fn id(name: &str) -> RelayId {
    RelayId::parse(name).unwrap()
}

fn eth(text: &str) -> Wei {
    Wei::parse_eth(text).unwrap()
}

/// What `a` and `b` answered; both had offered the block, `c` had not.
fn record(answers: &[(&str, RevealOutcome, Option<u16>, &str)]) -> BlockRecord {
    let mut record = BlockRecord::new(Slot::new(7), B256::repeat_byte(1), 0);
    record.value = eth("0.09");
    record.received = Some(Received { at: 0, ms_into_slot: 500 });
    record.signature = BlockSignature::Valid;
    for name in ["a", "b"] {
        record.promised(&id(name), Some(eth("0.09")), true);
    }
    for (name, outcome, http_status, message) in answers {
        answer(&mut record, name, *outcome, *http_status, message);
    }
    record
}

fn answer(
    record: &mut BlockRecord,
    name: &str,
    outcome: RevealOutcome,
    http_status: Option<u16>,
    message: &str,
) {
    let answer = RevealAnswer {
        kind: AnswerKind::of(outcome, http_status, message),
        http_status,
        message: message.to_owned(),
        sent_ms_into_slot: record.received.unwrap().ms_into_slot,
        waited_ms: 4000,
        at: 100,
    };
    record.answered(&id(name), answer);
}

fn chain(outcome: SlotOutcome, is_final: bool) -> Option<ChainSight> {
    Some(ChainSight { outcome, has_other_block: false, is_final, absence: Confidence::High })
}

/// Final, and nobody looked while the block could have been seen.
fn looked_late() -> Option<ChainSight> {
    Some(ChainSight { absence: Confidence::Low, ..chain(SlotOutcome::NotDelivered, true)? })
}

/// Letters for what is found of `a`: what it did, the stage, and whether that makes it guilty.
fn of_a(record: &BlockRecord) -> String {
    let found: Vec<String> = judge(record, LATER)
        .into_iter()
        .filter(|verdict| verdict.relay == id("a"))
        .map(|verdict| {
            let stage = if verdict.stage == Stage::Final { "final" } else { "provisional" };
            let ruling = verdict.ruling().map_or_else(String::new, |ruling| format!(" {ruling:?}"));
            format!("{:?} {stage}{ruling}", verdict.conduct)
        })
        .collect();
    found.join(", ")
}

const REFUSES: (&str, RevealOutcome, Option<u16>, &str) = (
    "a",
    RevealOutcome::Failed(CallFault::HttpStatus),
    Some(400),
    "HTTP 400: no execution payload for this request",
);
const HANGS: (&str, RevealOutcome, Option<u16>, &str) =
    ("a", RevealOutcome::Failed(CallFault::TimedOut), None, "no answer in time");
const RESETS: (&str, RevealOutcome, Option<u16>, &str) =
    ("a", RevealOutcome::Failed(CallFault::Transport), None, "connection reset");
const TAKES: (&str, RevealOutcome, Option<u16>, &str) =
    ("a", RevealOutcome::Accepted, Some(202), "took the block");
const REVEALS: (&str, RevealOutcome, Option<u16>, &str) =
    ("b", RevealOutcome::Accepted, Some(202), "took the block");
const KNOWS_NOTHING: (&str, RevealOutcome, Option<u16>, &str) =
    ("c", RevealOutcome::Failed(CallFault::HttpStatus), Some(400), "unknown block");

#[test]
fn the_table_of_answers_and_chains() {
    use SlotOutcome::{Local, NotDelivered, Orphaned, Ours};
    let guilty = "Withheld provisional Guilty";
    let resting = "Withheld provisional Suspected";
    for (name, answers, sight, want) in [
        ("a refusal", vec![REFUSES], None, guilty),
        ("a refusal, final", vec![REFUSES], chain(NotDelivered, true), "Withheld final Guilty"),
        ("a refusal, and the block is there", vec![REFUSES], chain(Ours, false), ""),
        ("a refusal, reorganised away", vec![REFUSES], chain(Orphaned, true), ""),
        ("a refusal, another block", vec![REFUSES], chain(Local, true), ""),
        ("silence", vec![HANGS, KNOWS_NOTHING], None, resting),
        ("a reset is as silence", vec![RESETS, KNOWS_NOTHING], None, resting),
        ("silence, missing at the head", vec![HANGS, KNOWS_NOTHING], chain(NotDelivered, false), resting),
        ("silence, final", vec![HANGS, KNOWS_NOTHING], chain(NotDelivered, true), "Withheld final Guilty"),
        ("a reset, final", vec![RESETS, KNOWS_NOTHING], chain(NotDelivered, true), "Withheld final Guilty"),
        ("a reset, and the block is there", vec![RESETS, KNOWS_NOTHING], chain(Ours, true), ""),
        (
            "our line is dead",
            vec![
                HANGS,
                ("b", RevealOutcome::Failed(CallFault::Connect), None, ""),
                ("c", RevealOutcome::Failed(CallFault::TimedOut), None, ""),
            ],
            None,
            "",
        ),
        (
            "our line is dead, final",
            vec![
                HANGS,
                ("b", RevealOutcome::Failed(CallFault::Connect), None, ""),
                ("c", RevealOutcome::Failed(CallFault::TimedOut), None, ""),
            ],
            chain(NotDelivered, true),
            "",
        ),
        (
            "a server error is its own line's proof",
            vec![("a", RevealOutcome::Failed(CallFault::HttpStatus), Some(500), "")],
            chain(NotDelivered, true),
            "Withheld final Guilty",
        ),
        (
            "a server error alone",
            vec![("a", RevealOutcome::Failed(CallFault::HttpStatus), Some(500), "")],
            None,
            resting,
        ),
        (
            "silence while another reveals",
            vec![HANGS, ("b", RevealOutcome::Accepted, Some(202), "")],
            None,
            "",
        ),
        (
            "a refusal while another reveals",
            vec![REFUSES, ("b", RevealOutcome::Accepted, Some(202), "")],
            None,
            guilty,
        ),
        (
            "a refusal while another reveals, and the block is there",
            vec![REFUSES, REVEALS],
            chain(Ours, false),
            guilty,
        ),
        (
            "a refusal while another reveals, final",
            vec![REFUSES, REVEALS],
            chain(Ours, true),
            "Withheld final Guilty",
        ),
        (
            "a refusal while another reveals, reorganised away",
            vec![REFUSES, REVEALS],
            chain(Orphaned, true),
            "",
        ),
        (
            "a refusal, and only one that never offered it says it revealed it",
            vec![REFUSES, ("c", RevealOutcome::Accepted, Some(202), "")],
            chain(Ours, true),
            "",
        ),
        (
            "a refusal, and the other's answer was lost",
            vec![REFUSES, ("b", RevealOutcome::Failed(CallFault::TimedOut), None, "")],
            chain(Ours, true),
            "",
        ),
        (
            "silence while another reveals, and the block is there",
            vec![HANGS, REVEALS],
            chain(Ours, true),
            "",
        ),
        (
            "a reset while another reveals, and the block is there",
            vec![RESETS, REVEALS],
            chain(Ours, true),
            "",
        ),
        (
            "a server error while another reveals, and the block is there",
            vec![("a", RevealOutcome::Failed(CallFault::HttpStatus), Some(500), ""), REVEALS],
            chain(Ours, true),
            "",
        ),
        (
            "delivered already, and the block is there",
            vec![
                ("a", RevealOutcome::Failed(CallFault::HttpStatus), Some(400), "already delivered"),
                REVEALS,
            ],
            chain(Ours, true),
            "",
        ),
        (
            "could not publish what another was faster with",
            vec![
                ("a", RevealOutcome::Failed(CallFault::HttpStatus), Some(400), "failed to publish block"),
                REVEALS,
            ],
            chain(Ours, true),
            "",
        ),
        (
            "late by its clock while another reveals",
            vec![("a", RevealOutcome::Failed(CallFault::HttpStatus), Some(400), "too late"), REVEALS],
            None,
            "",
        ),
        (
            "late by its clock, and the block is there",
            vec![("a", RevealOutcome::Failed(CallFault::HttpStatus), Some(400), "too late"), REVEALS],
            chain(Ours, true),
            "",
        ),
        (
            "doubts a good signature while another reveals",
            vec![
                ("a", RevealOutcome::Failed(CallFault::HttpStatus), Some(400), "invalid signature"),
                REVEALS,
            ],
            chain(Ours, true),
            "Withheld final Guilty",
        ),
        ("it took it", vec![TAKES], None, "Revealed provisional"),
        ("it took it and it is there", vec![TAKES], chain(Ours, true), "Revealed final"),
        (
            "it took it, missing at the head",
            vec![TAKES],
            chain(NotDelivered, false),
            "NotOnChain provisional Suspected",
        ),
        ("it took it and kept it", vec![TAKES], chain(NotDelivered, true), "NotOnChain final Guilty"),
        ("it took it, and nobody looked in time", vec![TAKES], looked_late(), "NotOnChain final Suspected"),
        (
            "silence, and nobody looked in time",
            vec![HANGS, KNOWS_NOTHING],
            looked_late(),
            "Withheld final Suspected",
        ),
        (
            "delivered already, and nobody looked in time",
            vec![("a", RevealOutcome::Failed(CallFault::HttpStatus), Some(400), "already delivered")],
            looked_late(),
            "",
        ),
        ("it took it, reorganised away", vec![TAKES], chain(Orphaned, true), ""),
        (
            "another payload",
            vec![("a", RevealOutcome::PayloadMismatched, Some(200), "")],
            None,
            "Mismatched final Guilty",
        ),
        (
            "another payload, and the block is there",
            vec![("a", RevealOutcome::PayloadMismatched, Some(200), "")],
            chain(Ours, true),
            "Mismatched final Guilty",
        ),
        (
            "delivered already, by another",
            vec![
                ("a", RevealOutcome::Failed(CallFault::HttpStatus), Some(400), "already delivered"),
                ("b", RevealOutcome::Accepted, Some(202), ""),
            ],
            None,
            "",
        ),
        (
            "delivered already, by nobody",
            vec![("a", RevealOutcome::Failed(CallFault::HttpStatus), Some(400), "already delivered")],
            chain(NotDelivered, true),
            "Withheld final Guilty",
        ),
        (
            "our own limit",
            vec![("a", RevealOutcome::Failed(CallFault::RateLimited), None, "")],
            chain(NotDelivered, true),
            "",
        ),
        ("no answer yet", vec![], None, ""),
    ] {
        let mut record = record(&answers);
        record.chain = sight;
        assert_eq!(of_a(&record), want, "{name}");
    }
}

#[test]
fn what_is_our_fault_or_the_clients_is_nobody_elses() {
    let with = |change: fn(&mut BlockRecord)| {
        let mut record = record(&[]);
        change(&mut record);
        answer(&mut record, "a", RevealOutcome::Failed(CallFault::HttpStatus), Some(400), "no");
        of_a(&record)
    };
    assert_eq!(with(|_| {}), "Withheld provisional Guilty");
    assert_eq!(with(|r| r.received = Some(Received { at: 0, ms_into_slot: 3001 })), "");
    assert_eq!(with(|r| r.signature = BlockSignature::Invalid), "");
    assert_eq!(with(|r| r.is_undecoded = true), "");
    // Nothing is said before the signature was looked at, unless that takes too long.
    let mut pending = record(&[REFUSES]);
    pending.signature = BlockSignature::Pending;
    assert!(judge(&pending, SIGNATURE_WAIT_MS - 1).is_empty());
    assert!(!judge(&pending, SIGNATURE_WAIT_MS).is_empty());
    // A relay whose clock says that we were late is believed, unless our own would have to be wrong by seconds.
    for (sent, want) in [(1600, ""), (1400, "Withheld provisional Guilty")] {
        let mut record = record(&[]);
        record.received = Some(Received { at: 0, ms_into_slot: sent });
        answer(&mut record, "a", RevealOutcome::Failed(CallFault::HttpStatus), Some(400), "called too late");
        assert_eq!(of_a(&record), want);
    }
    // Silence for less than a second.
    let mut short = record(&[KNOWS_NOTHING]);
    let silence = RevealAnswer {
        kind: AnswerKind::Unreached,
        http_status: None,
        message: String::new(),
        sent_ms_into_slot: 500,
        waited_ms: 900,
        at: 0,
    };
    short.answered(&id("a"), silence);
    short.chain = chain(SlotOutcome::NotDelivered, true);
    assert_eq!(of_a(&short), "");
}

/// A refusal beside a relay that reveals is nobody's offence where the fault is ours, the client's, or unknown.
#[test]
fn a_refusal_of_what_landed_stands_only_where_nothing_else_was_wrong() {
    let with = |message: &str, change: fn(&mut BlockRecord)| {
        let mut record = record(&[REVEALS]);
        change(&mut record);
        answer(&mut record, "a", RevealOutcome::Failed(CallFault::HttpStatus), Some(400), message);
        record.chain = chain(SlotOutcome::Ours, true);
        of_a(&record)
    };
    let guilty = "Withheld final Guilty";
    assert_eq!(with("no", |_| {}), guilty);
    assert_eq!(with("no", |r| r.received = Some(Received { at: 0, ms_into_slot: 3001 })), "");
    assert_eq!(with("no", |r| r.signature = BlockSignature::Invalid), "");
    assert_eq!(with("no", |r| r.is_undecoded = true), "");
    // The chain took it: its signature was good, whether or not it could be checked here.
    assert_eq!(with("no", |r| r.signature = BlockSignature::Unknown), guilty);
    assert_eq!(with("invalid signature", |r| r.signature = BlockSignature::Unknown), "");
}

/// Its signature cannot be checked: everybody refuses it, or the only one does.
#[test]
fn a_block_that_all_refuse_is_more_likely_wrong_than_all_of_them() {
    let mut both = record(&[REFUSES, ("b", RevealOutcome::Failed(CallFault::HttpStatus), Some(400), "no")]);
    both.signature = BlockSignature::Unknown;
    assert_eq!(of_a(&both), "Withheld provisional Suspected");
    both.chain = chain(SlotOutcome::NotDelivered, true);
    assert_eq!(of_a(&both), "Withheld final Suspected");
    let mut alone = both;
    alone.promises.remove(&id("b"));
    assert_eq!(of_a(&alone), "Withheld final Guilty");
    answer(&mut alone, "c", RevealOutcome::Failed(CallFault::HttpStatus), Some(400), "no");
    alone.answers.remove(&id("a"));
    answer(&mut alone, "a", RevealOutcome::Failed(CallFault::HttpStatus), Some(400), "invalid signature");
    assert_eq!(of_a(&alone), "Withheld final Suspected");
    alone.signature = BlockSignature::Valid;
    assert_eq!(of_a(&alone), "Withheld final Guilty");
}

#[test]
fn everybody_answers_for_what_it_signed_itself() {
    let paid = |promised: &str, verified: bool, received: &str, confidence: Confidence, is_final: bool| {
        let mut record = record(&[TAKES]);
        record.promises.insert(id("a"), Promise { value: Some(eth(promised)), verified });
        record.chain = chain(SlotOutcome::Ours, is_final);
        let evidence = Evidence { method: Method::Trace, confidence };
        record.payment = Some(PaymentSight { received: eth(received), evidence });
        of_a(&record)
    };
    let (high, low) = (Confidence::High, Confidence::Low);
    assert_eq!(paid("0.09", true, "0.08", high, false), "Revealed provisional, PaidLess provisional Guilty");
    assert_eq!(paid("0.09", true, "0.08", high, true), "Revealed final, PaidLess final Guilty");
    assert_eq!(paid("0.09", true, "0.08", low, true), "Revealed final");
    assert_eq!(paid("0.09", false, "0.08", high, true), "Revealed final");
    assert_eq!(paid("0.08", true, "0.08", high, true), "Revealed final, PaidAsPromised final");
    assert_eq!(paid("0.08", true, "0.08", high, false), "Revealed provisional");
}

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
