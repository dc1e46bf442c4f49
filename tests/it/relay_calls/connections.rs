//! Which connections calls go over.

use alloy_primitives::B256;
use futures_util::future::join_all;
use relaymux::{
    relay::{CallFailure, HeaderCall, HeaderMode, Relay, RelaySettings, StreamEnd, TlsRoots},
    types::{BlsPublicKey, Fork, Slot},
};

use super::{KEY, context, plain, relay, rest, secure, settings};
use crate::far_side::{FarSide, Reply, Seen, Speaks};

fn header_call() -> HeaderCall {
    let proposer = KEY.parse::<BlsPublicKey>().unwrap();
    HeaderCall { slot: Slot::new(9), parent_hash: B256::ZERO, proposer, fork: Fork::Fulu }
}

async fn ask_header(relay: &Relay) -> String {
    relay.get_header(&header_call(), &context()).await.kind().label().to_owned()
}

/// 200 to a status call and 204 to a header call.
fn usual(seen: &Seen) -> Reply {
    if seen.line.ends_with("/status") { Reply::ok() } else { Reply::with(204, &[], "") }
}

/// [S9] What the status call opened, the header call goes over.
#[tokio::test(flavor = "multi_thread")]
async fn a_header_goes_over_the_connection_that_the_status_call_opened() {
    for speaks in [Speaks::Plain, Speaks::Tls(&["http/1.1"]), Speaks::Tls(&["h2", "http/1.1"])] {
        let is_plain = matches!(speaks, Speaks::Plain);
        let far = FarSide::start(speaks, |_, seen| usual(seen)).await;
        let relay = if is_plain { plain(&far) } else { secure(&far) };
        for _ in 0..3 {
            relay.status(&context()).await.unwrap();
            rest().await;
            assert_eq!(ask_header(&relay).await, "no_bid");
            rest().await;
        }
        assert_eq!((far.connections(), far.seen().len()), (1, 6));
    }
}

/// [S9] By HTTP/2 many calls are under way on one connection.
#[tokio::test(flavor = "multi_thread")]
async fn calls_at_once_share_a_connection_where_the_relay_has_http2() {
    let far = FarSide::start(Speaks::Tls(&["h2", "http/1.1"]), |_, seen| usual(seen)).await;
    let relay = secure(&far);
    relay.status(&context()).await.unwrap();
    let answers = join_all((0..20).map(|_| ask_header(&relay))).await;
    assert!(answers.iter().all(|answer| answer == "no_bid"), "{answers:?}");
    assert_eq!(far.connections(), 1);
    assert!(far.seen().iter().all(|seen| seen.protocol.as_deref() == Some("h2")));
}

/// A connection that the relay closed between two calls costs nothing: the call goes over a new one.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_the_relay_closed_meanwhile_costs_nothing() {
    // Says that it stays, and closes.
    let raw = || Reply::Raw(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec());
    let far = FarSide::start(Speaks::Plain, move |_, _| raw()).await;
    let relay = plain(&far);
    for _ in 0..10 {
        assert_eq!(ask_header(&relay).await, "no_bid");
        rest().await;
    }
    assert_eq!((far.connections(), far.seen().len()), (10, 10));
}

/// A kept connection that breaks under a request is a broken connection: the request may have been read.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_that_breaks_under_a_request_is_said_to_have_broken() {
    let script = |before: usize, _: &_| if before == 0 { Reply::ok() } else { Reply::Raw(Vec::new()) };
    let far = FarSide::start(Speaks::Plain, script).await;
    let relay = plain(&far);
    relay.status(&context()).await.unwrap();
    rest().await;
    let failure = relay.status(&context()).await.unwrap_err();
    assert!(matches!(failure, CallFailure::Transport(_)), "{failure:?}");
    assert_eq!(failure.to_string(), "transport: connection closed before message completed");
    assert_eq!((far.connections(), far.seen().len()), (1, 2));
}

/// A relay whose certificate is not trusted, or is another host's, is not spoken to.
#[tokio::test(flavor = "multi_thread")]
async fn certificates_are_checked() {
    let far = FarSide::start(Speaks::Tls(&["h2"]), |_, _| Reply::ok()).await;
    let other = FarSide::start(Speaks::Tls(&["h2"]), |_, _| Reply::ok()).await;
    let host = format!("localhost:{}", far.port);
    for (roots, reason) in
        [(TlsRoots::Bundled, "UnknownIssuer"), (TlsRoots::File(other.roots_file()), "BadSignature")]
    {
        let failure = relay(settings("https", &host), &roots, None).status(&context()).await.unwrap_err();
        assert_eq!(failure.to_string(), format!("no connection: invalid peer certificate: {reason}"));
    }
    assert!(far.seen().is_empty());
    let far = FarSide::start_at("127.0.0.2", Speaks::Tls(&["h2"]), |_, _| Reply::ok()).await;
    let (roots, host) = (TlsRoots::File(far.roots_file()), format!("127.0.0.2:{}", far.port));
    let words =
        relay(settings("https", &host), &roots, None).status(&context()).await.unwrap_err().to_string();
    let want = "no connection: invalid peer certificate: certificate not valid for name \"127.0.0.2\"";
    assert!(words.starts_with(want), "{words}");
    assert!(far.seen().is_empty());
}

/// A stream is asked for in HTTP/1.1, over the connection that was warmed for it, though the relay has HTTP/2.
#[tokio::test(flavor = "multi_thread")]
async fn a_stream_begins_with_http1_on_a_warm_connection() {
    let far = FarSide::start(Speaks::Tls(&["h2", "http/1.1"]), |_, seen| match &seen.line {
        line if line.contains("header_stream") => Reply::with(404, &[], ""),
        _ => usual(seen),
    })
    .await;
    let settings = settings("https", &format!("localhost:{}", far.port));
    let settings = RelaySettings { get_header: HeaderMode::Stream, ..settings };
    let relay = relay(settings, &TlsRoots::File(far.roots_file()), None);
    relay.warm_up(&context()).await.unwrap();
    rest().await;
    let (frames, _heard) = tokio::sync::mpsc::channel(8);
    assert_eq!(relay.stream_headers(&header_call(), &context(), frames).await, StreamEnd::NotServed);
    assert_eq!(ask_header(&relay).await, "no_bid");
    assert_eq!(far.connections(), 2);
    let mut spoken: Vec<_> = far
        .seen()
        .iter()
        .map(|seen| (seen.line.contains("stream"), seen.protocol.clone().unwrap()))
        .collect();
    spoken.sort_unstable();
    let want = [(false, "h2"), (false, "h2"), (false, "http/1.1"), (true, "http/1.1")];
    assert_eq!(spoken, want.map(|(is_stream, protocol)| (is_stream, protocol.to_owned())));
}
