//! Faults of the answer to `getHeader`.

use std::time::Duration;

use relaymux::sim::{Behaviour, HeaderVice, RawRelay, RawVice};

use crate::{
    budget, judge,
    stage::{honest, milli, stage},
};

/// A relay that bids 0.09 ETH with a vice, beside an honest one that bids 0.05: what is recorded, and whether the vice's bid wins.
fn rows() -> Vec<(&'static str, Behaviour, &'static str, bool)> {
    let with = |vice| honest().value(milli(90)).builder(1).header(vice);
    let good = || honest().value(milli(90)).builder(1);
    vec![
        ("honest (the control)", good(), "bid", true),
        ("slow first byte, in time", good().delay(Duration::from_millis(200)), "bid", true),
        ("slow first byte, too late", good().delay(Duration::from_secs(5)), "timed_out", false),
        ("slow body", with(HeaderVice::Drips), "timed_out", false),
        ("half a body, then nothing", with(HeaderVice::HangsInBody), "timed_out", false),
        ("never answers", with(HeaderVice::Hangs), "timed_out", false),
        ("endless body", with(HeaderVice::Endless), "too_large", false),
        ("compression bomb", with(HeaderVice::GzipBomb), "too_large", false),
        ("compressed, honest", with(HeaderVice::Gzip), "bid", true),
        ("drops the connection in the body", with(HeaderVice::Drops), "transport", false),
        ("redirect to a good bid", with(HeaderVice::Redirect), "redirect", false),
        ("204", with(HeaderVice::NoBid), "no_bid", false),
        ("400 in plain text", with(HeaderVice::PlainTextStatus(400)), "http_status", false),
        ("403", with(HeaderVice::Status(403)), "http_status", false),
        ("404", with(HeaderVice::Status(404)), "http_status", false),
        ("429", with(HeaderVice::Status(429)), "http_status", false),
        ("500", with(HeaderVice::Status(500)), "http_status", false),
        ("503", with(HeaderVice::Status(503)), "http_status", false),
        ("200 with garbage", with(HeaderVice::Garbage), "undecodable", false),
        ("200 with nothing", with(HeaderVice::EmptyBody), "undecodable", false),
        ("a valid bid with junk behind", with(HeaderVice::Trailing), "undecodable", false),
        (
            "a valid bid with junk behind, JSON",
            with(HeaderVice::Trailing).json_only(true),
            "undecodable",
            false,
        ),
        ("duplicate JSON keys", with(HeaderVice::DuplicateKeys), "undecodable", false),
        ("non-canonical SSZ offsets", with(HeaderVice::LooseOffsets), "undecodable", false),
        ("wrong version label", with(HeaderVice::WrongVersion), "wrong_fork", false),
        ("wrong version label, JSON", with(HeaderVice::WrongVersion).json_only(true), "wrong_fork", false),
        ("no version label", with(HeaderVice::NoVersionHeader), "bid", true),
        ("wrong content type", with(HeaderVice::WrongContentType), "content_type", false),
        ("content type with a parameter", with(HeaderVice::MimeParameter), "bid", true),
        ("wrong parent hash", with(HeaderVice::WrongParentHash), "wrong_parent", false),
        ("wrong public key", with(HeaderVice::WrongPubkey), "wrong_pubkey", false),
        ("wrong signature", with(HeaderVice::WrongSignature), "wrong_signature", false),
        ("wrong timestamp", with(HeaderVice::WrongTimestamp), "wrong_timestamp", false),
        ("value of zero", with(HeaderVice::ZeroValue), "zero_value", false),
        ("block hash of zeros", with(HeaderVice::ZeroBlockHash), "zero_block_hash", false),
        ("a block without transactions", with(HeaderVice::EmptyTransactions), "empty_transactions", false),
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

/// Below HTTP, and before it.
#[tokio::test(flavor = "multi_thread")]
async fn connections() {
    let key =
        "0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae";
    let mut rows: Vec<(&str, String, &[&str], Option<RawRelay>)> = Vec::new();
    for (name, vice, recorded) in [
        ("closes without an answer", RawVice::Closes, &["transport"][..]),
        ("half-closed", RawVice::HalfCloses, &["transport"]),
        ("resets the connection", RawVice::Resets, &["transport"]),
        ("accepts and is silent", RawVice::Silent, &["timed_out"]),
        ("flood of interim answers", RawVice::InformationalFlood, &["timed_out", "transport"]),
        ("flood of headers", RawVice::HeaderFlood, &["transport"]),
        ("not HTTP at all", RawVice::NotHttp, &["transport"]),
        ("a body shorter than announced", RawVice::ShortBody, &["transport"]),
        ("a nonsense chunk", RawVice::BadChunk, &["transport"]),
    ] {
        let relay = RawRelay::start(vice).await.unwrap();
        rows.push((name, relay.url(), recorded, Some(relay)));
    }
    let silent = RawRelay::start(RawVice::NotHttp).await.unwrap();
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
