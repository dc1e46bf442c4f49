//! Answers that come packed.

use std::io::Write;

use relaymux::relay::{CallFailure, Relay};

use super::{context, hand_in, plain};
use crate::far_side::{FarSide, Reply, Speaks};

fn packed(body: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

async fn answering(status: u16, body: Vec<u8>) -> (FarSide, Relay) {
    let headers = [("content-encoding", "gzip"), ("content-type", "application/octet-stream")];
    let script = move |_: usize, _: &_| Reply::with(status, &headers, body.clone());
    let far = FarSide::start(Speaks::Plain, script).await;
    let relay = plain(&far);
    (far, relay)
}

/// [H19] Unpacked, whole, in one member or in several.
#[tokio::test(flavor = "multi_thread")]
async fn a_packed_answer_is_unpacked() {
    let body: Vec<u8> = (0..300_000_u32).flat_map(|n| n.to_le_bytes()).collect();
    let (first, second) = body.split_at(70_001);
    for packed in [packed(&body), [packed(first), packed(second)].concat()] {
        let (_far, relay) = answering(200, packed).await;
        let payload = hand_in(&relay, b"block", &context()).await.unwrap();
        assert!(payload.body == body, "{} bytes of {}", payload.body.len(), body.len());
    }
}

/// [H19] The limit is on what is unpacked: for an answer that should be empty 64 KiB.
#[tokio::test(flavor = "multi_thread")]
async fn a_packed_answer_is_bounded_by_what_it_unpacks_to() {
    const LIMIT: usize = 64 << 10;
    for (size, fits) in [(LIMIT, true), (LIMIT + 1, false), (64 << 20, false)] {
        let packed = packed(&vec![b' '; size]);
        let (_far, relay) = answering(200, packed).await;
        match relay.status(&context()).await {
            Ok(()) => assert!(fits, "{size}"),
            Err(CallFailure::TooLarge { limit }) => assert_eq!((limit, fits), (LIMIT, false), "{size}"),
            Err(other) => panic!("{size}: {other}"),
        }
    }
}

/// What does not unpack is a broken answer; no answer at all is none, whatever its label.
#[tokio::test(flavor = "multi_thread")]
async fn a_packed_answer_that_is_damaged_is_a_broken_one() {
    let whole = packed(&[b'x'; 5000]);
    let mut flipped = whole.clone();
    *flipped.last_mut().unwrap() ^= 1;
    for (name, body) in [
        ("cut off", whole[..whole.len() - 9].to_vec()),
        ("another length", flipped),
        ("not packed", b"{}".to_vec()),
        ("nonsense behind it", [whole, b"nonsense".to_vec()].concat()),
    ] {
        let (_far, relay) = answering(200, body).await;
        let failure = relay.status(&context()).await.unwrap_err();
        assert!(matches!(failure, CallFailure::Transport(_)), "{name}: {failure:?}");
        assert!(failure.should_retry(), "{name}");
    }
    let (_far, relay) = answering(200, Vec::new()).await;
    relay.status(&context()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_words_of_a_packed_refusal_are_read() {
    for (body, want) in [
        (
            r#"{"code":400,"message":"unknown validator"}"#.to_owned(),
            "HTTP 400: unknown validator".to_owned(),
        ),
        ("y".repeat(5_000_000), format!("HTTP 400: {}", "y".repeat(200))),
    ] {
        let (_far, relay) = answering(400, packed(body.as_bytes())).await;
        assert_eq!(relay.status(&context()).await.unwrap_err().to_string(), want);
    }
}
