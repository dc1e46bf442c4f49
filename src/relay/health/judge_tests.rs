//! The rule by table.

use alloy_primitives::B256;

use super::*;
use crate::{
    events::{CallFault, RevealOutcome},
    relay::health::case::{PaymentSight, Received},
    types::Slot,
};

#[path = "judge_worlds.rs"]
mod worlds;

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
