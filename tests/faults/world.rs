//! Faults of many relays, of time, and of everybody at once.

use std::time::Duration;

use relaymux::{
    consensus::{Encoding, WallClock},
    sim::{HeaderFault, PayloadFault},
    types::Slot,
};

use crate::{
    budget,
    stage::{Stage, eventually, honest, milli, stage},
};

async fn three() -> Stage {
    let relay = |n: u8| honest().builder(n).value(milli(40 + u64::from(n)));
    stage()
        .auction(&budget())
        .slot_secs(2)
        .trust("breaker_open_secs = 1\nbreaker_open_max_secs = 1")
        .relay(relay(0))
        .relay(relay(1))
        .relay(relay(2))
        .start()
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn all_relays_down_is_no_bid_and_they_come_back() {
    let stage = three().await;
    for relay in &stage.relays {
        relay.behave(|honest| honest.header(HeaderFault::Status(503)));
    }
    for _ in 0..5 {
        assert!(stage.header().await.is_none());
    }
    for relay in &stage.relays {
        relay.behave(|honest| honest.header(HeaderFault::None));
    }
    // At once, before any breaker has closed: with nobody else, those away are asked.
    assert!(stage.header().await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
async fn all_relays_lying_is_no_bid() {
    let stage = three().await;
    let vices = [HeaderFault::WrongSignature, HeaderFault::WrongParentHash, HeaderFault::Garbage];
    for (relay, fault) in stage.relays.iter().zip(vices) {
        relay.behave(|honest| honest.header(fault));
    }
    let slot = stage.slot();
    assert!(stage.header_at(slot).await.is_none());
    let mut outcomes = stage.outcomes(slot).await;
    outcomes.sort();
    assert_eq!(outcomes, ["undecodable", "wrong_parent", "wrong_signature"]);
}

/// Flapping up and down: served all the time, and the relay is in again when it is well.
#[tokio::test(flavor = "multi_thread")]
async fn a_flapping_relay_costs_nobody_anything() {
    let stage = three().await;
    for round in 0..6 {
        let fault = if round % 2 == 0 { HeaderFault::Drops } else { HeaderFault::None };
        stage.relays[2].behave(|honest| honest.header(fault));
        for _ in 0..4 {
            let bid = stage.header().await.unwrap();
            assert!(stage.relay_of(&bid) == 1 || fault == HeaderFault::None);
        }
    }
    stage.relays[2].behave(|honest| honest.header(HeaderFault::None));
    eventually("the relay to win again", async || {
        let bid = stage.header().await.unwrap();
        (stage.relay_of(&bid) == 2).then_some(())
    })
    .await;
}

/// Bids that go up and down from slot to slot: each race is decided by its own bids.
#[tokio::test(flavor = "multi_thread")]
async fn flapping_bids_are_taken_as_they_are() {
    let stage = three().await;
    for (value, winner) in [(90, 0), (1, 2), (70, 0), (2, 2)] {
        stage.relays[0].behave(|honest| honest.value(milli(value)));
        let bid = stage.header().await.unwrap();
        assert_eq!(stage.relay_of(&bid), winner, "at {value}");
    }
}

/// A value lowered between two requests of a timing game: the higher one was signed, and can be revealed.
#[tokio::test(flavor = "multi_thread")]
async fn a_lowered_value_does_not_take_back_a_signed_bid() {
    let stage = stage()
        .auction(&budget())
        .relay(honest().values_in_turn(vec![milli(80), milli(20)]))
        .relay_key(0, "enable_timing_games = true\nfrequency_get_header_ms = 100")
        .relay(honest().builder(1).value(milli(50)))
        .start()
        .await;
    assert_eq!(stage.header().await.unwrap().facts().value, milli(80));
    assert_eq!(stage.reveal(2, Encoding::Ssz).await.0, 202);
}

/// The client's clock is wrong, in either direction and by a lot: the budget stays the budget.
#[tokio::test(flavor = "multi_thread")]
async fn clock_skew_of_the_client_changes_nothing() {
    let stage = three().await;
    for skew_ms in [-86_400_000i64, -900, 0, 900, 86_400_000] {
        let request = stage
            .http
            .get(stage.header_url(stage.slot()))
            .header("date-milliseconds", WallClock::system().now() + skew_ms)
            .header("x-timeout-ms", 2000);
        assert_eq!(request.send().await.unwrap().status(), 200, "{skew_ms}");
    }
}

/// A relay whose clock is wrong bids for another time: not taken; who asks for a slot far away is answered all the same.
#[tokio::test(flavor = "multi_thread")]
async fn clock_skew_of_a_relay_costs_only_its_bid() {
    let stage = three().await;
    stage.relays[2].behave(|honest| honest.header(HeaderFault::WrongTimestamp));
    let bid = stage.header().await.unwrap();
    assert_eq!(stage.relay_of(&bid), 1);
    let later = Slot::new(stage.slot().as_u64() + 1000);
    assert!(stage.header_at(later).await.is_some());
}

/// A storm of refusals from one relay: it is called once a race, and left alone for a while.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_refuses_everybody_is_left_alone() {
    for (status, calls_at_most) in [(429, 3), (503, 6)] {
        let stage = three().await;
        stage.relays[0].behave(|honest| honest.header(HeaderFault::Status(status)));
        for _ in 0..3 {
            assert!(stage.header().await.is_some());
        }
        eventually("the breaker to open", async || {
            let relays = stage.ops_json("/api/v1/relays").await;
            (relays[0]["state"] == "quarantined").then_some(())
        })
        .await;
        for _ in 0..3 {
            assert!(stage.header().await.is_some());
        }
        let calls = stage.relays[0].received("header").len();
        assert!(calls <= calls_at_most, "{status}: {calls} calls");
    }
}

/// Everything goes wrong at once, at different relays, in every phase: the slot is served.
#[tokio::test(flavor = "multi_thread")]
async fn everything_at_once() {
    let stage = stage()
        .auction(&budget())
        .relay(honest().builder(1).value(milli(95)).header(HeaderFault::WrongSignature))
        .relay(honest().value(milli(60)))
        .relay(honest().value(milli(60)).payload(PayloadFault::Withholds))
        .relay(honest().builder(2).value(milli(99)).header(HeaderFault::Hangs))
        .relay(honest().builder(3).value(milli(99)).header(HeaderFault::GzipBomb))
        .relay(honest().value(milli(60)).payload(PayloadFault::Hangs))
        .relay(honest().builder(4).value(milli(99)).header(HeaderFault::Endless))
        .start()
        .await;
    let slot = stage.slot();
    let proposer = stage.proposer(Encoding::Ssz);
    let parent = crate::stage::PARENT;
    let outcome = proposer.propose(slot, parent, Duration::from_secs(20)).await;
    assert!(matches!(outcome, Ok(relaymux::sim::Proposal::Revealed { .. })), "{outcome:?}\n{}", stage.log());
    assert!(stage.peak_mib() < crate::MAX_MIB);
}
