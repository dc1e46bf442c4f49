//! Many slots with faults chosen at random from a seed: no wrong answer, no late one, no lost submission, memory flat.
//!
//! CI runs a short one with a fixed seed; `scripts/soak` runs thousands. Slots lie ahead of the clock, so that they can be played as
//! fast as the faults let them. What the right answer is follows from what each relay was told to do in that slot.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it fails by panicking and speaks to its user"
)]
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "it/stage.rs"]
#[expect(dead_code, reason = "shared with the other black-box tests, which use more of it")]
mod stage;

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};
use relaymux::{
    consensus::Encoding,
    sim::{Behaviour, HeaderFault, PayloadFault},
    types::Slot,
};
use serde_json::Value;
use stage::{PARENT, Stage, honest, milli, stage};
use tokio::time::Instant;

const BUDGET: Duration = Duration::from_millis(250);
/// For a busy machine: a late answer is one that no scheduling explains.
const SLACK: Duration = Duration::from_millis(750);
/// Relays in pairs: two of a pair offer the same block, so that what one withholds the other reveals.
const PAIRS: u8 = 3;

/// A slot's plan for one relay.
#[derive(Clone, Debug)]
struct Plan {
    header: HeaderFault,
    payload: PayloadFault,
    delay: Duration,
    value: u64,
}

/// Faults of a header and what the ledger calls them.
const HEADER_VICES: [(HeaderFault, &[&str]); 19] = [
    (HeaderFault::NoBid, &["no_bid"]),
    (HeaderFault::Status(503), &["http_status"]),
    (HeaderFault::Status(429), &["http_status"]),
    (HeaderFault::PlainTextStatus(400), &["http_status"]),
    (HeaderFault::Hangs, &["timed_out"]),
    (HeaderFault::HangsInBody, &["timed_out"]),
    (HeaderFault::Drops, &["transport"]),
    (HeaderFault::Garbage, &["undecodable"]),
    (HeaderFault::EmptyBody, &["undecodable"]),
    (HeaderFault::Trailing, &["undecodable"]),
    (HeaderFault::DuplicateKeys, &["undecodable"]),
    (HeaderFault::LooseOffsets, &["undecodable"]),
    (HeaderFault::Redirect, &["redirect"]),
    (HeaderFault::WrongParentHash, &["wrong_parent"]),
    // Only the leader's signature is looked at: a forged bid that does not lead stays "bid".
    (HeaderFault::WrongSignature, &["wrong_signature", "bid"]),
    (HeaderFault::WrongPubkey, &["wrong_pubkey"]),
    (HeaderFault::WrongTimestamp, &["wrong_timestamp"]),
    (HeaderFault::WrongVersion, &["wrong_fork"]),
    (HeaderFault::WrongContentType, &["content_type"]),
];

const PAYLOAD_VICES: [PayloadFault; 7] = [
    PayloadFault::Withholds,
    PayloadFault::Status(500),
    PayloadFault::Status(429),
    PayloadFault::Hangs,
    PayloadFault::Garbage,
    PayloadFault::OtherContents,
    PayloadFault::Redirect,
];

fn plan(random: &mut StdRng) -> Vec<Plan> {
    let mut plans = Vec::new();
    for _ in 0..PAIRS {
        let value = random.random_range(20..90);
        let faulty_payload = random.random_range(0..2u8);
        for twin in 0..2 {
            let header = if random.random_bool(0.3) {
                HEADER_VICES[random.random_range(0..HEADER_VICES.len())].0
            } else {
                HeaderFault::None
            };
            let payload = if twin == faulty_payload && random.random_bool(0.2) {
                PAYLOAD_VICES[random.random_range(0..PAYLOAD_VICES.len())]
            } else {
                PayloadFault::None
            };
            let delay = Duration::from_millis(random.random_range(0..40));
            plans.push(Plan { header, payload, delay, value });
        }
    }
    plans
}

/// What is counted; all but the first two must be zero in the end.
#[derive(Default)]
struct Tally {
    revealed: u64,
    local: u64,
    refused: u64,
    wrong: Vec<String>,
    late: Vec<String>,
    lost: Vec<String>,
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::test(flavor = "multi_thread")]
async fn soak() {
    let (slots, seed) = (setting("RELAYMUX_SOAK_SLOTS", 150), setting("RELAYMUX_SOAK_SEED", 1));
    let mut random = StdRng::seed_from_u64(seed);
    let mut builder = stage()
        .auction(&format!("timeout_get_header_ms = {}\ntimeout_get_payload_ms = 800", BUDGET.as_millis()))
        // Seconds instead of hours, or every relay would soon be out for good.
        .trust(
            "quarantine_secs = 1\nquarantine_max_secs = 2\nbreaker_open_secs = 1\nbreaker_open_max_secs = 2",
        );
    for n in 0..PAIRS * 2 {
        builder = builder.relay(honest().builder(n / 2));
    }
    // One of them is asked again and again: no poll may cost the others anything.
    builder = builder.relay_key(5, "enable_timing_games = true\nfrequency_get_header_ms = 80");
    let stage = builder.slot_secs(2).start().await;
    let first = stage.slot().as_u64() + 10;
    let mut tally = Tally::default();
    let mut warm_kib = 0;
    let began = Instant::now();
    for n in 0..slots {
        let plans = plan(&mut random);
        for (relay, plan) in stage.relays.iter().zip(&plans) {
            let Plan { header, payload, delay, value } = plan.clone();
            relay.behave(|old: Behaviour| {
                old.header(header).payload(payload).delay(delay).value(milli(value))
            });
        }
        play(&stage, Slot::new(first + n * 7), &plans, &mut tally).await;
        for relay in &stage.relays {
            relay.forget();
        }
        if n == slots / 4 {
            warm_kib = stage.resident_kib();
        }
    }
    let grown_kib = stage.resident_kib().saturating_sub(warm_kib);
    println!(
        "{slots} slots, seed {seed}, {:?}: {} revealed, {} built locally, {} refused by every relay that had the block\n\
         wrong answers {}, late answers {}, lost submissions {}, memory {} KiB, grown by {grown_kib} KiB since a quarter",
        began.elapsed(),
        tally.revealed,
        tally.local,
        tally.refused,
        tally.wrong.len(),
        tally.late.len(),
        tally.lost.len(),
        stage.resident_kib(),
    );
    assert!(tally.wrong.is_empty(), "wrong answers:\n{}", tally.wrong.join("\n"));
    assert!(tally.late.is_empty(), "late answers:\n{}", tally.late.join("\n"));
    assert!(tally.lost.is_empty(), "lost submissions:\n{}", tally.lost.join("\n"));
    assert!(grown_kib < 8 * 1024, "memory grew by {grown_kib} KiB");
    assert!(tally.revealed > slots / 2, "most slots are paid for by a relay: {} of {slots}", tally.revealed);
}

async fn play(stage: &Stage, slot: Slot, plans: &[Plan], tally: &mut Tally) {
    let proposer = stage.proposer(Encoding::Ssz);
    let asked = Instant::now();
    let answer = proposer.get_header(slot, PARENT, Duration::from_secs(20)).await;
    let took = asked.elapsed();
    if took > BUDGET + SLACK {
        tally.late.push(format!("slot {slot}: {took:?}"));
    }
    let bid = match answer {
        Ok(bid) => bid,
        Err(error) => return tally.wrong.push(format!("slot {slot}: {error}")),
    };
    let auction = stage.auction(slot).await;
    let bids = auction["bids"].as_array().unwrap();
    if let Some(wrong) = judge(bids, plans, bid.as_ref().map(|bid| bid.facts().value)) {
        tally.wrong.push(format!("slot {slot}: {wrong}\n{auction}\n{plans:?}"));
    }
    let Some(bid) = bid else {
        tally.local += 1;
        return;
    };
    let outcome = proposer.submit(slot, &bid).await;
    if outcome.is_ok() {
        tally.revealed += 1;
        return;
    }
    // Whoever has the block: the winner and its twin, if that built it in this slot.
    let winner = stage.relay_of(&bid) / 2;
    let mut pair = plans.iter().enumerate().filter(|(index, _)| index / 2 == winner);
    let could = pair.any(|(index, plan)| {
        let was_asked =
            bids.iter().any(|bid| bid["relay"] == format!("r{index}") && bid["outcome"] != "not_asked");
        was_asked && plan.header == HeaderFault::None && plan.payload == PayloadFault::None
    });
    if could {
        tally.lost.push(format!("slot {slot}: {outcome:?}\n{plans:?}"));
    } else {
        tally.refused += 1;
    }
}

/// A busy machine may time anybody out, and says so where it cut the time short itself.
const CUT_OFF: [&str; 2] = ["timed_out", "late"];

/// What is wrong with a race's record and its answer, if anything.
fn judge(bids: &[Value], plans: &[Plan], answer: Option<relaymux::types::Wei>) -> Option<String> {
    let mut best = None;
    for (index, plan) in plans.iter().enumerate() {
        let Some(bid) = bids.iter().find(|bid| bid["relay"] == format!("r{index}")) else { continue };
        let outcome = bid["outcome"].as_str().unwrap_or_default();
        if outcome == "not_asked" {
            continue;
        }
        if plan.header == HeaderFault::None {
            if outcome == "bid" {
                best = best.max(Some(milli(plan.value)));
            } else if !CUT_OFF.contains(&outcome) {
                return Some(format!("r{index} is honest and recorded as {outcome}"));
            }
            continue;
        }
        let expected =
            HEADER_VICES.iter().find(|(fault, _)| *fault == plan.header).map_or(&[][..], |(_, words)| *words);
        if !expected.contains(&outcome) && !CUT_OFF.contains(&outcome) {
            return Some(format!("r{index} is recorded as {outcome}, expected {expected:?}"));
        }
    }
    (answer != best).then(|| format!("answered {answer:?}, the best honest bid is {best:?}"))
}
