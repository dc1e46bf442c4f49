//! `header_stream`: the best valid frame, and HTTP where there is none.

use std::time::Duration;

use relaymux::sim::{Frame, HeaderFault, StreamHabit};

use crate::stage::{Stage, honest, milli, stage};

async fn streaming(habit: StreamHabit) -> Stage {
    stage()
        .auction("timeout_get_header_ms = 700")
        .relay(honest().value(milli(10)).stream(habit))
        .relay_key(0, "get_header = \"stream\"\nheaders = { X-Api-Key = \"secret\" }")
        .start()
        .await
}

/// [T4] Not the last frame blindly: the best that is valid. Unknown frames are skipped.
#[tokio::test(flavor = "multi_thread")]
async fn the_best_valid_frame_wins() {
    for (name, frames, want) in [
        ("rising", vec![Frame::Bid(milli(20)), Frame::Bid(milli(30))], 30),
        ("falling", vec![Frame::Bid(milli(40)), Frame::Bid(milli(30))], 40),
        ("unknown frames between", vec![Frame::Text, Frame::Bid(milli(20)), Frame::UnknownKind], 20),
        ("garbage at the end", vec![Frame::Bid(milli(20)), Frame::Garbage], 20),
        (
            "a forged frame at the end",
            vec![Frame::Bid(milli(20)), Frame::Bad(HeaderFault::WrongSignature, milli(90))],
            20,
        ),
        (
            "a wrong parent at the end",
            vec![Frame::Bid(milli(20)), Frame::Bad(HeaderFault::WrongParentHash, milli(90))],
            20,
        ),
        ("breaks after a bid", vec![Frame::Bid(milli(20)), Frame::Break], 20),
        ("stays open: answered at the deadline", vec![Frame::Bid(milli(20)), Frame::Stay], 20),
    ] {
        let stage = streaming(StreamHabit::Frames(frames)).await;
        let bid = stage.header().await.unwrap_or_else(|| panic!("{name}\n{}", stage.log()));
        assert_eq!(bid.facts().value, milli(want), "{name}");
        assert!(stage.relays[0].received("header").is_empty(), "{name}: no HTTP beside a stream");
    }
}
/// [T5]
#[tokio::test(flavor = "multi_thread")]
async fn the_handshake_says_what_relays_want() {
    let stage = streaming(StreamHabit::Frames(vec![Frame::Bid(milli(20))])).await;
    assert!(stage.header().await.is_some());
    let shake = &stage.relays[0].received("header_stream")[0].headers;
    assert!(shake["user-agent"].to_str().unwrap().starts_with("relaymux/"));
    assert_eq!(shake["x-api-key"], "secret");
    assert!(shake["x-timeout-ms"].to_str().unwrap().parse::<u64>().unwrap() <= 700);
    assert!(shake.contains_key("date-milliseconds"));
}

/// [T6] No bid is no bid; anything but a stream is asked by HTTP with the rest of the budget.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_stream_the_bid_comes_by_http() {
    for habit in [
        // One that ends politely has not said either that there is no bid.
        StreamHabit::Frames(Vec::new()),
        StreamHabit::Absent,
        StreamHabit::Refused(401),
        StreamHabit::Refused(200),
        StreamHabit::Hangs,
        StreamHabit::Frames(vec![Frame::Break]),
    ] {
        let stage = streaming(habit.clone()).await;
        let bid = stage.header().await.unwrap_or_else(|| panic!("{habit:?}\n{}", stage.log()));
        assert_eq!(bid.facts().value, milli(10), "{habit:?}");
        assert_eq!(stage.relays[0].received("header").len(), 1, "{habit:?}");
    }
    let down = streaming(StreamHabit::Absent).await;
    down.relays[0].go_down();
    assert!(down.header().await.is_none());
}

/// [T7] The fallback plays timing games, too; a stream and plain relays race each other.
#[tokio::test(flavor = "multi_thread")]
async fn streams_games_and_plain_relays_race_each_other() {
    let frames = vec![Frame::Bid(milli(50)), Frame::Pause(Duration::from_millis(100)), Frame::Bid(milli(60))];
    let stage = stage()
        .auction("timeout_get_header_ms = 700")
        .relay(honest().stream(StreamHabit::Frames(frames)))
        .relay_key(0, "get_header = \"stream\"")
        .relay(honest().builder(1).values_in_turn(vec![milli(10), milli(70)]))
        .relay_key(1, "get_header = \"stream\"\nenable_timing_games = true\nfrequency_get_header_ms = 100")
        .relay(honest().builder(2).value(milli(65)))
        .start()
        .await;
    let bid = stage.header().await.unwrap();
    assert_eq!((stage.relay_of(&bid), bid.facts().value), (1, milli(70)));
    assert!(stage.relays[1].received("header").len() >= 2);
}
