//! Timing games: asking later and again, within the one budget.

use std::time::Duration;

use relaymux::{
    consensus::WallClock,
    sim::HeaderFault,
    types::{Slot, Wei},
};

use crate::stage::{Stage, StageBuilder, honest, milli, stage};

const GAMES: &str = "enable_timing_games = true\nfrequency_get_header_ms = 50";

fn playing(builder: StageBuilder, relay: usize) -> StageBuilder {
    builder.relay_key(relay, GAMES).auction("timeout_get_header_ms = 400")
}

impl Stage {
    async fn value(&self) -> Option<Wei> {
        self.header().await.map(|bid| bid.facts().value)
    }
}

/// [T2] The highest bid that verifies is kept, whatever came later.
#[tokio::test(flavor = "multi_thread")]
async fn the_highest_bid_is_kept_when_later_ones_are_lower() {
    let stage = playing(stage().relay(honest().values_in_turn(vec![milli(20), milli(90), milli(30)])), 0)
        .start()
        .await;
    let slot = stage.slot();
    assert_eq!(stage.header_at(slot).await.unwrap().facts().value, milli(90));
    let auction = stage.auction(slot).await;
    let polls = auction["bids"][0]["polls"].as_array().unwrap();
    assert!(polls.len() >= 3, "{auction}");
    assert_eq!((&polls[0]["value_eth"], &polls[1]["value_eth"]), (&"0.02".into(), &"0.09".into()));
    // And the block that was returned can be revealed.
    let (status, _) = stage.reveal(2, relaymux::consensus::Encoding::Ssz).await;
    assert_eq!(status, 202);
}

#[tokio::test(flavor = "multi_thread")]
async fn latest_cancels_what_was_bid_before() {
    let values = vec![milli(20), milli(90), milli(30)];
    let stage = playing(stage().relay(honest().values_in_turn(values)), 0)
        .relay_key(0, "keep = \"latest\"")
        .start()
        .await;
    assert_eq!(stage.value().await, Some(milli(30)));
}

/// [T3] A late, failed or empty poll never discards a bid in hand; not even where the latest bid counts.
#[tokio::test(flavor = "multi_thread")]
async fn no_later_failure_discards_a_bid() {
    for fault in [
        HeaderFault::NoBid,
        HeaderFault::Status(500),
        HeaderFault::Hangs,
        HeaderFault::Drops,
        HeaderFault::Garbage,
        HeaderFault::WrongParentHash,
        HeaderFault::ZeroValue,
    ] {
        for keep in ["highest", "latest"] {
            let stage = playing(stage().relay(honest().value(milli(70)).repeat_vice(fault)), 0)
                .relay_key(0, &format!("keep = \"{keep}\""))
                .start()
                .await;
            assert_eq!(stage.value().await, Some(milli(70)), "{fault:?}, {keep}");
        }
    }
}

/// A higher bid whose signature does not hold leaves the earlier, good one.
#[tokio::test(flavor = "multi_thread")]
async fn a_forged_repeat_leaves_the_good_bid() {
    for keep in ["highest", "latest"] {
        let relay =
            honest().values_in_turn(vec![milli(70), milli(90)]).repeat_vice(HeaderFault::WrongSignature);
        let stage =
            playing(stage().relay(relay), 0).relay_key(0, &format!("keep = \"{keep}\"")).start().await;
        assert_eq!(stage.value().await, Some(milli(70)), "{keep}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_relay_that_refuses_repeats_is_remembered() {
    let stage = playing(stage().relay(honest().refuses_repeats(true)), 0).start().await;
    assert!(stage.value().await.is_some());
    let asked = stage.relays[0].received("header").len();
    assert_eq!(asked, 2, "the first repeat was refused");
    let next = Slot::new(stage.slot().as_u64() + 1);
    assert!(stage.header_at(next).await.is_some());
    assert_eq!(stage.relays[0].received("header").len(), asked + 1, "asked once from then on");
}

/// [T1] Requests go out when the keys say, and each is told what is left of the one budget.
#[tokio::test(flavor = "multi_thread")]
async fn the_schedule_is_what_the_keys_say() {
    let stage = stage()
        .slot_secs(4)
        .auction("timeout_get_header_ms = 950")
        .relay(honest())
        .relay_key(
            0,
            "enable_timing_games = true\ntarget_first_request_ms = 200\nfrequency_get_header_ms = 300",
        )
        .start()
        .await;
    let clock = stage.spec.clock();
    let slot = stage.slot();
    let into = |at: i64| clock.ms_into(slot, at);
    let before = u64::try_from(-into(WallClock::system().now())).unwrap();
    tokio::time::sleep(Duration::from_millis(before)).await;
    assert!(stage.header_at(slot).await.is_some());
    let asked: Vec<(i64, i64)> = stage.relays[0]
        .received("header")
        .iter()
        .map(|request| (into(request.at), request.headers["x-timeout-ms"].to_str().unwrap().parse().unwrap()))
        .collect();
    // At least this late, whatever the machine does; and the ends of all budgets are one.
    assert!(asked.len() >= 2 && asked[0].0 >= 200 && asked[1].0 >= 500, "{asked:?}");
    assert!(asked[0].1 <= 760 && asked[1].1 <= 460, "{asked:?}");
}

/// One relay that plays does not hold up the budget of another that hangs, nor lose its own bids to it.
#[tokio::test(flavor = "multi_thread")]
async fn games_beside_a_hanging_relay() {
    let relays = stage()
        .relay(honest().values_in_turn(vec![milli(10), milli(60)]))
        .relay(honest().header(HeaderFault::Hangs));
    let stage = playing(relays, 0).start().await;
    assert_eq!(stage.value().await, Some(milli(60)));
}

/// The soft deadline does not wait for a relay that never wins.
#[tokio::test(flavor = "multi_thread")]
async fn the_soft_deadline_answers_without_the_unlikely() {
    let stage = stage()
        .auction("timeout_get_header_ms = 1900\nsoft_deadline_ms = 50\nsoft_deadline_risk = 0.2")
        .relay(honest().value(milli(50)))
        .relay(honest().value(milli(40)).builder(1))
        .relay(honest().header(HeaderFault::Hangs))
        .start()
        .await;
    let slot = stage.slot();
    assert_eq!(stage.header_at(slot).await.unwrap().facts().value, milli(50));
    let auction = stage.auction(slot).await;
    assert!(auction["answered_in_us"].as_u64().unwrap() < 1_500_000, "{auction}");
    assert_eq!(auction["bids"][2]["outcome"], "late");
    // Without one it is waited for.
    let other = crate::stage::stage()
        .auction("timeout_get_header_ms = 300")
        .relay(honest())
        .relay(honest())
        .relay(honest().header(HeaderFault::Hangs))
        .start()
        .await;
    let slot = other.slot();
    other.header_at(slot).await.unwrap();
    assert_eq!(other.auction(slot).await["bids"][2]["outcome"], "timed_out");
}
