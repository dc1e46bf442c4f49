//! Requests as relays read them.

use std::collections::BTreeMap;

use alloy_primitives::B256;
use http::{HeaderMap, HeaderValue, header};
use relaymux::{
    consensus::Encoding,
    relay::{HeaderCall, RegistrationBody, RelaySettings, TlsRoots},
    types::{BlsPublicKey, Fork, Slot},
};

use super::{KEY, context, hand_in, relay, settings};
use crate::far_side::{FarSide, Reply, Seen, Speaks};

/// Headers that differ with every call are checked to be there, and taken out.
fn lasting(seen: &Seen) -> BTreeMap<&str, &str> {
    let mut headers: BTreeMap<_, _> =
        seen.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    for name in ["date-milliseconds", "x-timeout-ms"] {
        if let Some(number) = headers.remove(name) {
            assert!(number.parse::<u64>().is_ok_and(|number| number > 0), "{name}: {number}");
        }
    }
    headers
}

const ACCEPTS: &str = "application/octet-stream;q=1.0,application/json;q=0.9";

/// Every kind of call: its line, its headers, its body.
#[tokio::test(flavor = "multi_thread")]
async fn each_call_says_what_it_must_and_nothing_else() {
    let far = FarSide::start(Speaks::Plain, |_, _| Reply::ok()).await;
    let host = format!("127.0.0.1:{}", far.port);
    let relay = relay(settings("http", &host), &TlsRoots::Bundled, None);
    relay.status(&context()).await.unwrap();
    let call = HeaderCall {
        slot: Slot::new(9),
        parent_hash: B256::repeat_byte(0xab),
        proposer: KEY.parse::<BlsPublicKey>().unwrap(),
        fork: Fork::Fulu,
    };
    relay.poll_header(&call, &context()).await;
    let registrations = RegistrationBody::new(Encoding::Json, "[1]".into(), 1, Some(Fork::Fulu));
    let registered = relay.register(&registrations, &context()).await;
    assert_eq!(registered.kind().label(), "accepted");
    hand_in(&relay, b"block", &context()).await.unwrap_err();
    let seen = far.seen();
    let lines: Vec<_> = seen.iter().map(|seen| seen.line.as_str()).collect();
    let header = format!("GET /eth/v1/builder/header/9/0x{}/{KEY}", "ab".repeat(32));
    assert_eq!(
        lines,
        [
            "GET /eth/v1/builder/status",
            &header,
            "POST /eth/v1/builder/validators",
            "POST /eth/v1/builder/blinded_blocks"
        ]
    );
    let bodies: Vec<_> = seen.iter().map(|seen| seen.body.as_slice()).collect();
    assert_eq!(bodies, [&b""[..], b"", b"[1]", b"block"]);
    let always = [("accept-encoding", "gzip"), ("host", &host), ("user-agent", "relaymux/test")];
    let own: [&[(&str, &str)]; 4] = [
        &[("accept", "*/*")],
        &[("accept", ACCEPTS)],
        &[
            ("accept", "*/*"),
            ("content-length", "3"),
            ("content-type", "application/json"),
            ("eth-consensus-version", "fulu"),
        ],
        &[
            ("accept", ACCEPTS),
            ("content-length", "5"),
            ("content-type", "application/octet-stream"),
            ("eth-consensus-version", "fulu"),
        ],
    ];
    for (seen, own) in seen.iter().zip(own) {
        let want: BTreeMap<_, _> = always.into_iter().chain(own.iter().copied()).collect();
        assert_eq!(lasting(seen), want, "{}", seen.line);
    }
    for (seen, told) in seen.iter().zip([false, true, false, false]) {
        assert_eq!(seen.headers.contains_key("x-timeout-ms"), told, "{}", seen.line);
    }
}

/// What the configuration says of headers wins over what the call says itself.
#[tokio::test(flavor = "multi_thread")]
async fn the_operators_headers_win() {
    let far = FarSide::start(Speaks::Plain, |_, _| Reply::ok()).await;
    let mut headers = HeaderMap::new();
    for (name, value) in [
        (header::HOST, "relay.example.org"),
        (header::AUTHORIZATION, "Bearer s3cret"),
        (header::ACCEPT, "application/json"),
        (header::ACCEPT_ENCODING, "identity"),
        (header::USER_AGENT, "mine"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.append("x-many", HeaderValue::from_static("one"));
    let settings = settings("http", &format!("127.0.0.1:{}", far.port));
    let relay = relay(RelaySettings { headers, ..settings }, &TlsRoots::Bundled, None);
    relay.status(&context()).await.unwrap();
    hand_in(&relay, b"x", &context()).await.unwrap_err();
    let want = [
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("authorization", "Bearer s3cret"),
        ("host", "relay.example.org"),
        ("user-agent", "mine"),
        ("x-many", "one"),
    ];
    let seen = far.seen();
    assert_eq!(lasting(&seen[0]), want.into());
    let posted = [
        ("content-length", "1"),
        ("content-type", "application/octet-stream"),
        ("eth-consensus-version", "fulu"),
    ];
    assert_eq!(lasting(&seen[1]), want.into_iter().chain(posted).collect());
}

/// Paths and queries of the configuration stay on every call; hosts are written as URLs write them.
#[tokio::test(flavor = "multi_thread")]
async fn urls_are_kept_as_they_were_given() {
    let far = FarSide::start(Speaks::Plain, |_, _| Reply::ok()).await;
    let params = vec![("a".to_owned(), "b c&d".to_owned())];
    for (index, (rest, get_params, want)) in [
        ("", Vec::new(), "/eth/v1/builder/status"),
        ("/base/path/", Vec::new(), "/base/path/eth/v1/builder/status"),
        ("/a%20b?id=me|{x}#part", Vec::new(), "/a%20b/eth/v1/builder/status?id=me|{x}"),
        ("?id=me", params.clone(), "/eth/v1/builder/status?id=me&a=b+c%26d"),
        ("", params, "/eth/v1/builder/status?a=b+c%26d"),
    ]
    .into_iter()
    .enumerate()
    {
        let settings = settings("http", &format!("localhost:{}{rest}", far.port));
        relay(RelaySettings { get_params, ..settings }, &TlsRoots::Bundled, None)
            .status(&context())
            .await
            .unwrap();
        let seen = &far.seen()[index];
        assert_eq!(seen.line, format!("GET {want}"), "{rest}");
        assert_eq!(seen.headers["host"], format!("localhost:{}", far.port));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ipv6_host_is_asked_with_and_without_tls() {
    let far = FarSide::start_at("::1", Speaks::Plain, |_, _| Reply::ok()).await;
    let host = format!("[::1]:{}", far.port);
    relay(settings("http", &host), &TlsRoots::Bundled, None).status(&context()).await.unwrap();
    assert_eq!(far.seen()[0].headers["host"], host);
    let far = FarSide::start_at("::1", Speaks::Tls(&["http/1.1"]), |_, _| Reply::ok()).await;
    let roots = TlsRoots::File(far.roots_file());
    let host = format!("[::1]:{}", far.port);
    relay(settings("https", &host), &roots, None).status(&context()).await.unwrap();
    assert_eq!(far.seen()[0].headers["host"], host);
}
