//! Faults of the answer to `getHeader`.

use std::time::Duration;

use relaymux::sim::{Behaviour, HeaderFault, RawFault, RawRelay, SimAttributes};

use crate::{
    budget, judge,
    stage::{PARENT, eventually, honest, milli, stage},
};

/// A relay that bids 0.09 ETH with a fault, beside an honest one that bids 0.05: what is recorded, and whether the fault's bid wins.
fn rows() -> Vec<(&'static str, Behaviour, &'static str, bool)> {
    let with = |fault| honest().value(milli(90)).builder(1).header(fault);
    let good = || honest().value(milli(90)).builder(1);
    vec![
        ("honest (the control)", good(), "bid", true),
        ("slow first byte, in time", good().delay(Duration::from_millis(200)), "bid", true),
        ("slow first byte, too late", good().delay(Duration::from_secs(5)), "timed_out", false),
        ("slow body", with(HeaderFault::Drips), "timed_out", false),
        ("half a body, then nothing", with(HeaderFault::HangsInBody), "timed_out", false),
        ("never answers", with(HeaderFault::Hangs), "timed_out", false),
        ("endless body", with(HeaderFault::Endless), "too_large", false),
        ("compression bomb", with(HeaderFault::GzipBomb), "too_large", false),
        ("compressed, honest", with(HeaderFault::Gzip), "bid", true),
        ("drops the connection in the body", with(HeaderFault::Drops), "transport", false),
        ("redirect to a good bid", with(HeaderFault::Redirect), "redirect", false),
        ("204", with(HeaderFault::NoBid), "no_bid", false),
        ("400 in plain text", with(HeaderFault::PlainTextStatus(400)), "http_status", false),
        ("403", with(HeaderFault::Status(403)), "http_status", false),
        ("404", with(HeaderFault::Status(404)), "http_status", false),
        ("429", with(HeaderFault::Status(429)), "http_status", false),
        ("500", with(HeaderFault::Status(500)), "http_status", false),
        ("503", with(HeaderFault::Status(503)), "http_status", false),
        ("200 with garbage", with(HeaderFault::Garbage), "undecodable", false),
        ("200 with nothing", with(HeaderFault::EmptyBody), "undecodable", false),
        ("a valid bid with junk behind", with(HeaderFault::Trailing), "undecodable", false),
        (
            "a valid bid with junk behind, JSON",
            with(HeaderFault::Trailing).json_only(true),
            "undecodable",
            false,
        ),
        ("duplicate JSON keys", with(HeaderFault::DuplicateKeys), "undecodable", false),
        ("non-canonical SSZ offsets", with(HeaderFault::LooseOffsets), "undecodable", false),
        ("wrong version label", with(HeaderFault::WrongVersion), "wrong_fork", false),
        ("wrong version label, JSON", with(HeaderFault::WrongVersion).json_only(true), "wrong_fork", false),
        ("no version label", with(HeaderFault::NoVersionHeader), "bid", true),
        ("wrong content type", with(HeaderFault::WrongContentType), "content_type", false),
        ("content type with a parameter", with(HeaderFault::MimeParameter), "bid", true),
        ("wrong parent hash", with(HeaderFault::WrongParentHash), "wrong_parent", false),
        ("a block that is its own parent", with(HeaderFault::OwnParent), "wrong_parent", false),
        ("more blobs than the chain allows", with(HeaderFault::TooManyBlobs), "too_many_blobs", false),
        ("wrong public key", with(HeaderFault::WrongPubkey), "wrong_pubkey", false),
        ("wrong signature", with(HeaderFault::WrongSignature), "wrong_signature", false),
        ("wrong timestamp", with(HeaderFault::WrongTimestamp), "wrong_timestamp", false),
        ("value of zero", with(HeaderFault::ZeroValue), "zero_value", false),
        ("block hash of zeros", with(HeaderFault::ZeroBlockHash), "zero_block_hash", false),
        ("a block without transactions", with(HeaderFault::EmptyTransactions), "empty_transactions", false),
        ("below the minimum bid", honest().value(milli(1)).builder(1), "below_min_bid", false),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn answers() {
    for (name, behaviour, recorded, wins) in rows() {
        let stage = stage()
            .auction(&budget())
            .auction("min_bid_eth = \"0.01\"")
            .relay(behaviour)
            .relay(honest().value(milli(50)))
            .start()
            .await;
        let slot = stage.slot();
        let bid = stage.header_at(slot).await.unwrap_or_else(|| panic!("{name}: no bid\n{}", stage.log()));
        assert_eq!(stage.relay_of(&bid), usize::from(!wins), "{name}");
        let auction = stage.auction(slot).await;
        assert_eq!(judge(name, &stage, &auction, "r0"), recorded, "{name}\n{auction}");
    }
}

/// Beside a beacon node that says what the slot's payload must have.
#[tokio::test(flavor = "multi_thread")]
async fn answers_against_the_beacon_node() {
    let with = |fault| honest().value(milli(90)).builder(1).header(fault);
    for (name, behaviour, recorded) in [
        ("other randomness than the beacon node's", with(HeaderFault::WrongPrevRandao), "wrong_prev_randao"),
        (
            "other withdrawals than the beacon node's",
            with(HeaderFault::WrongWithdrawals),
            "wrong_withdrawals",
        ),
    ] {
        let stage = stage()
            .auction(&budget())
            .with_beacon(|_| {})
            .relay(behaviour)
            .relay(honest().value(milli(50)))
            .start()
            .await;
        let slot = stage.slot();
        // Told anew until somebody is there to hear it.
        eventually("the node's word", async || {
            stage.beacon().tell_attributes(&SimAttributes::of(slot, PARENT));
            let taken = stage.metric("relaymux_payload_attributes_total{use=\"taken\"}").await?;
            (taken > 0.0).then_some(())
        })
        .await;
        let bid = stage.header_at(slot).await.unwrap_or_else(|| panic!("{name}: no bid\n{}", stage.log()));
        assert_eq!(stage.relay_of(&bid), 1, "{name}");
        let auction = stage.auction(slot).await;
        assert_eq!(judge(name, &stage, &auction, "r0"), recorded, "{name}\n{auction}");
    }
}

/// Below HTTP, and before it.
#[tokio::test(flavor = "multi_thread")]
async fn connections() {
    let key =
        "0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae";
    let mut rows: Vec<(&str, String, &[&str], Option<RawRelay>)> = Vec::new();
    for (name, fault, recorded) in [
        ("closes without an answer", RawFault::Closes, &["transport"][..]),
        ("half-closed", RawFault::HalfCloses, &["transport"]),
        ("resets the connection", RawFault::Resets, &["transport"]),
        ("accepts and is silent", RawFault::Silent, &["timed_out"]),
        ("flood of interim answers", RawFault::InformationalFlood, &["timed_out", "transport"]),
        ("flood of headers", RawFault::HeaderFlood, &["transport"]),
        ("not HTTP at all", RawFault::NotHttp, &["transport"]),
        ("a body shorter than announced", RawFault::ShortBody, &["transport"]),
        ("a nonsense chunk", RawFault::BadChunk, &["transport"]),
    ] {
        let relay = RawRelay::start(fault).await.unwrap();
        rows.push((name, relay.url(), recorded, Some(relay)));
    }
    let silent = RawRelay::start(RawFault::NotHttp).await.unwrap();
    rows.push(("TLS failure", silent.url().replace("http://", "https://"), &["connect"], Some(silent)));
    rows.push(("DNS failure", format!("http://{key}@relay.invalid"), &["connect", "timed_out"], None));
    // A port that was free a moment ago and is closed.
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    rows.push(("connection refused", format!("http://{key}@{closed}"), &["connect"], None));
    for (name, url, recorded, _relay) in rows {
        let stage = stage()
            .auction(&budget())
            .relay_at(&url)
            .relay(honest().builder(1).value(milli(40)))
            .relay(honest().value(milli(50)))
            .start()
            .await;
        let slot = stage.slot();
        let bid = stage.header_at(slot).await.unwrap_or_else(|| panic!("{name}: no bid\n{}", stage.log()));
        assert_eq!(stage.relay_of(&bid), 1, "{name}");
        let auction = stage.auction(slot).await;
        let outcome = judge(name, &stage, &auction, "x0");
        assert!(recorded.contains(&outcome.as_str()), "{name}: {outcome}\n{auction}");
    }
}
