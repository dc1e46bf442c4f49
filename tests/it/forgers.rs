//! Relays that send forged bids without end, beside an honest one.

use std::time::Duration;

use relaymux::sim::{Behaviour, Frame, HeaderFault, StreamHabit};

use crate::stage::{honest, milli, stage};

/// A stream that sends a forged bid every 3 ms, each higher than the one before, until long after the deadline.
fn forging_stream(builder: u8) -> Behaviour {
    let forged = (0..200).flat_map(|n| {
        [Frame::Bad(HeaderFault::WrongSignature, milli(100 + n)), Frame::Pause(Duration::from_millis(3))]
    });
    honest().builder(builder).stream(StreamHabit::Frames(forged.collect()))
}

/// [H17] From the first valid bid on some verified bid is in hand, whatever streams and timing games do until the end.
#[tokio::test(flavor = "multi_thread")]
async fn forgeries_every_three_milliseconds_do_not_cost_the_honest_bid() {
    let values = (0..200).map(|n| milli(500 + n)).collect();
    let stage = stage()
        .auction("timeout_get_header_ms = 700")
        .relay(forging_stream(1))
        .relay_key(0, "get_header = \"stream\"")
        .relay(forging_stream(2))
        .relay_key(1, "get_header = \"stream\"")
        .relay(honest().builder(3).header(HeaderFault::WrongSignature).values_in_turn(values))
        .relay_key(2, "enable_timing_games = true\nfrequency_get_header_ms = 10")
        .relay(honest().value(milli(50)).delay(Duration::from_millis(200)))
        .start()
        .await;
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap_or_else(|| panic!("no bid\n{}", stage.log()));
    assert_eq!((stage.relay_of(&bid), bid.facts().value), (3, milli(50)));
    let auction = stage.auction(slot).await;
    let bids = auction["bids"].as_array().unwrap();
    let outcomes: Vec<_> = bids.iter().map(|bid| bid["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["wrong_signature", "wrong_signature", "wrong_signature", "bid"], "{auction}");
    // None of what they sent counts as a bid.
    for forger in &bids[..3] {
        let polls = forger["polls"].as_array().unwrap();
        assert!(polls.len() > 3 && polls.iter().all(|poll| poll["outcome"] == "wrong_signature"), "{forger}");
    }
}

/// A relay that signed one bid and forged another: what it signed may win, and it is on record for the forgery.
#[tokio::test(flavor = "multi_thread")]
async fn a_forgery_is_on_record_though_another_bid_of_the_relay_wins() {
    let frames = vec![Frame::Bid(milli(90)), Frame::Bad(HeaderFault::WrongSignature, milli(95))];
    let stage = stage()
        .auction("timeout_get_header_ms = 700")
        .relay(honest().stream(StreamHabit::Frames(frames)))
        .relay_key(0, "get_header = \"stream\"")
        .start()
        .await;
    let slot = stage.slot();
    assert_eq!(stage.header_at(slot).await.unwrap().facts().value, milli(90));
    let auction = stage.auction(slot).await;
    let bid = &auction["bids"][0];
    assert_eq!(
        (&bid["outcome"], &bid["value_eth"]),
        (&"wrong_signature".into(), &"0.09".into()),
        "{auction}"
    );
}

/// A stream that is served and says nothing costs its relay's bid nothing: it is asked by HTTP within the budget.
#[tokio::test(flavor = "multi_thread")]
async fn a_silent_stream_falls_back_to_http() {
    for frames in [vec![Frame::Stay], vec![Frame::Text, Frame::Garbage, Frame::UnknownKind, Frame::Stay]] {
        let stage = stage()
            .auction("timeout_get_header_ms = 700")
            .relay(honest().value(milli(10)).stream(StreamHabit::Frames(frames.clone())))
            .relay_key(0, "get_header = \"stream\"")
            .start()
            .await;
        let bid = stage.header().await.unwrap_or_else(|| panic!("{frames:?}\n{}", stage.log()));
        assert_eq!(bid.facts().value, milli(10), "{frames:?}");
        assert_eq!(stage.relays[0].received("header").len(), 1, "{frames:?}");
    }
}

/// A stream that speaks late is still heard after the fallback.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_that_speaks_late_is_still_heard() {
    let frames = vec![Frame::Pause(Duration::from_millis(900)), Frame::Bid(milli(90)), Frame::Stay];
    let stage = stage()
        .auction("timeout_get_header_ms = 1500")
        .relay(honest().value(milli(10)).stream(StreamHabit::Frames(frames)))
        .relay_key(0, "get_header = \"stream\"")
        .start()
        .await;
    assert_eq!(stage.header().await.unwrap().facts().value, milli(90));
}

/// The soft deadline does not end a game that the operator wants played: the later, higher bid comes.
#[tokio::test(flavor = "multi_thread")]
async fn the_soft_deadline_does_not_cut_timing_games_short() {
    let games = "enable_timing_games = true\nfrequency_get_header_ms = 100";
    let stage = stage()
        .auction("timeout_get_header_ms = 700\nsoft_deadline_ms = 50\nsoft_deadline_risk = 1.0")
        .relay(honest().value_curve(vec![(0, milli(20)), (350, milli(90))]))
        .relay_key(0, games)
        .relay(honest().builder(1).value(milli(50)))
        .start()
        .await;
    assert_eq!(stage.header().await.unwrap().facts().value, milli(90));
}
