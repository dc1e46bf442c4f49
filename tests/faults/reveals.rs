//! Faults of the answer to `blinded_blocks`: the block is another relay's too, or nobody's.

use std::time::Duration;

use relaymux::{
    consensus::Encoding,
    sim::{Behaviour, PayloadFault},
};

use crate::stage::{eventually, honest, milli, stage};

/// What the relay that won does, by which version; with another relay that has the same block, and alone.
fn rows() -> Vec<(&'static str, Behaviour, u8, u16, u16, &'static str)> {
    let with = |fault| honest().value(milli(90)).blobs(1).payload(fault);
    vec![
        ("honest (the control), v1", with(PayloadFault::None), 1, 200, 200, "payload_delivered"),
        ("honest (the control), v2", with(PayloadFault::None), 2, 202, 202, "accepted"),
        ("withholds, v1", with(PayloadFault::Withholds), 1, 200, 502, "http_status"),
        ("withholds, v2", with(PayloadFault::Withholds), 2, 202, 502, "http_status"),
        (
            "slow payload, in time",
            with(PayloadFault::None).payload_delay(Duration::from_millis(300)),
            1,
            200,
            200,
            "payload_delivered",
        ),
        ("never answers", with(PayloadFault::Hangs), 1, 200, 502, "timed_out"),
        (
            "5xx twice, then the payload",
            with(PayloadFault::StatusFirst(503, 2)),
            1,
            200,
            200,
            "payload_delivered",
        ),
        ("5xx for ever", with(PayloadFault::Status(500)), 2, 202, 502, "http_status"),
        ("429", with(PayloadFault::Status(429)), 2, 202, 502, "http_status"),
        ("another block", with(PayloadFault::OtherBlock), 1, 200, 502, "payload_mismatched"),
        (
            "other contents under the right hash",
            with(PayloadFault::OtherContents),
            1,
            200,
            502,
            "payload_mismatched",
        ),
        ("a missing blob", with(PayloadFault::MissingBlob), 1, 200, 502, "payload_mismatched"),
        ("a missing proof", with(PayloadFault::MissingProof), 1, 200, 502, "payload_mismatched"),
        ("another commitment", with(PayloadFault::OtherCommitment), 1, 200, 502, "payload_mismatched"),
        ("garbage", with(PayloadFault::Garbage), 1, 200, 502, "undecodable"),
        ("a payload above the cap", with(PayloadFault::TooLarge), 1, 200, 502, "too_large"),
        ("wrong version label", with(PayloadFault::WrongVersion), 1, 200, 502, "wrong_fork"),
        ("redirect", with(PayloadFault::Redirect), 1, 200, 502, "redirect"),
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
            assert!(stage.peak_mib() < crate::MAX_MIB, "{name}: {} MiB", stage.peak_mib());
            println!("{name:<40} twin: {has_twin:<6} {status} {outcome}");
        }
    }
}

/// [B7] Only once the trusted setup is loaded, which the first bid with blobs sees to.
#[tokio::test(flavor = "multi_thread")]
async fn a_blob_that_does_not_fit_its_commitment() {
    for (has_twin, expected) in [(true, 200), (false, 502)] {
        let twin = honest().value(milli(90)).blobs(1);
        let other = honest().builder(9).value(milli(10));
        let stage = stage()
            .relay(honest().value(milli(90)).blobs(1).payload(PayloadFault::OtherBlob))
            .relay(if has_twin { twin } else { other })
            .start()
            .await;
        stage.header_at(stage.fresh_slot()).await;
        eventually("the trusted setup", async || {
            stage.log().contains("KZG trusted setup is loaded").then_some(())
        })
        .await;
        let (status, _) = stage.reveal(1, Encoding::Ssz).await;
        assert_eq!(status, expected, "twin: {has_twin}\n{}", stage.log());
    }
}
