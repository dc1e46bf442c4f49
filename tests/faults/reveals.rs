//! Faults of the answer to `blinded_blocks`: the block is another relay's too, or nobody's.

use std::time::Duration;

use relaymux::{
    consensus::Encoding,
    sim::{Behaviour, PayloadVice},
};

use crate::stage::{honest, milli, stage};

/// What the relay that won does, by which version; with another relay that has the same block, and alone.
fn rows() -> Vec<(&'static str, Behaviour, u8, u16, u16, &'static str)> {
    let with = |vice| honest().value(milli(90)).blobs(1).payload(vice);
    vec![
        ("honest (the control), v1", with(PayloadVice::None), 1, 200, 200, "payload_delivered"),
        ("honest (the control), v2", with(PayloadVice::None), 2, 202, 202, "accepted"),
        ("withholds, v1", with(PayloadVice::Withholds), 1, 200, 502, "http_status"),
        ("withholds, v2", with(PayloadVice::Withholds), 2, 202, 502, "http_status"),
        (
            "slow payload, in time",
            with(PayloadVice::None).payload_delay(Duration::from_millis(300)),
            1,
            200,
            200,
            "payload_delivered",
        ),
        ("never answers", with(PayloadVice::Hangs), 1, 200, 502, "timed_out"),
        (
            "5xx twice, then the payload",
            with(PayloadVice::StatusFirst(503, 2)),
            1,
            200,
            200,
            "payload_delivered",
        ),
        ("5xx for ever", with(PayloadVice::Status(500)), 2, 202, 502, "http_status"),
        ("429", with(PayloadVice::Status(429)), 2, 202, 502, "http_status"),
        ("another block", with(PayloadVice::OtherBlock), 1, 200, 502, "payload_mismatched"),
        (
            "other contents under the right hash",
            with(PayloadVice::OtherContents),
            1,
            200,
            502,
            "payload_mismatched",
        ),
        ("a missing blob", with(PayloadVice::MissingBlob), 1, 200, 502, "payload_mismatched"),
        ("a missing proof", with(PayloadVice::MissingProof), 1, 200, 502, "payload_mismatched"),
        ("another commitment", with(PayloadVice::OtherCommitment), 1, 200, 502, "payload_mismatched"),
        ("garbage", with(PayloadVice::Garbage), 1, 200, 502, "undecodable"),
        ("a payload above the cap", with(PayloadVice::TooLarge), 1, 200, 502, "too_large"),
        ("wrong version label", with(PayloadVice::WrongVersion), 1, 200, 502, "wrong_fork"),
        ("redirect", with(PayloadVice::Redirect), 1, 200, 502, "redirect"),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn answers() {
    for (name, behaviour, version, with_another, alone, recorded) in rows() {
        for has_twin in [true, false] {
            let twin = honest().value(milli(90)).blobs(1);
            let other = honest().builder(9).value(milli(10));
            let stage = stage()
                .auction("timeout_get_payload_ms = 1200")
                .relay(behaviour.clone())
                .relay(if has_twin { twin } else { other })
                .start()
                .await;
            let slot = stage.slot();
            let (status, _) = stage.reveal(version, Encoding::Ssz).await;
            assert_eq!(
                status,
                if has_twin { with_another } else { alone },
                "{name}, twin: {has_twin}\n{}",
                stage.log()
            );
            let of = |submission: &serde_json::Value| {
                let answers = submission["answers"].as_array().unwrap();
                answers
                    .iter()
                    .find(|answer| answer["relay"] == "r0")
                    .map(|a| a["outcome"].as_str().unwrap().to_owned())
            };
            let submission = stage.submission(slot, |submission| of(submission).is_some()).await;
            // Once the other has revealed, a relay that fails is not asked again, so a late success may not come.
            let outcome = of(&submission).unwrap();
            assert!(
                outcome == recorded || (has_twin && name.starts_with("5xx")),
                "{name}: {outcome}\n{submission}"
            );
            assert!(stage.peak_mib() < crate::MOST_MIB, "{name}: {} MiB", stage.peak_mib());
            println!("{name:<40} twin: {has_twin:<6} {status} {outcome}");
        }
    }
}
