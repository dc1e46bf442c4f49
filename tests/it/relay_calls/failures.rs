//! What is said of calls that fail, and whether they are made again.

use std::time::Duration;

use relaymux::{
    relay::{CallFailure, TlsRoots},
    sim::{RawFault, RawRelay},
};
use tokio::time::Instant;

use super::{context, plain, relay, settings};
use crate::far_side::{FarSide, Reply, Speaks};

const SECRET: &str = "s3cret";

/// Every way to fail below HTTP, and the words of it.
#[tokio::test(flavor = "multi_thread")]
async fn each_failure_has_its_kind_and_its_words() {
    let mut failures = Vec::new();
    let at = |host: &str| settings("http", &format!("{host}/?id={SECRET}"));
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    failures.push((at(&closed.to_string()), "no connection: Connection refused", None));
    for (fault, words) in [
        (RawFault::Closes, "transport: connection closed before message completed"),
        (RawFault::HalfCloses, "transport: connection closed before message completed"),
        (RawFault::Resets, "transport: Connection reset by peer"),
        (RawFault::HeaderFlood, "transport: message head is too large"),
        (RawFault::NotHttp, "transport: invalid HTTP version parsed"),
        (RawFault::ShortBody, "transport: end of file before message length reached"),
        (RawFault::BadChunk, "transport: Invalid chunk size line: missing size digit"),
    ] {
        let far = RawRelay::start(fault).await.unwrap();
        let host = far.url().rsplit_once('@').unwrap().1.to_owned();
        failures.push((at(&host), words, Some(far)));
    }
    let far = RawRelay::start(RawFault::NotHttp).await.unwrap();
    let host = far.url().rsplit_once('@').unwrap().1.to_owned();
    let words = "no connection: received corrupt message of type InvalidContentType";
    failures.push((settings("https", &format!("{host}/?id={SECRET}")), words, Some(far)));
    for (settings, words, _far) in failures {
        let url = settings.url.clone();
        let failure = relay(settings, &TlsRoots::Bundled, None).status(&context()).await.unwrap_err();
        assert!(failure.to_string().starts_with(words), "{url}: {failure}");
        assert!(!format!("{failure:?}").contains(SECRET), "{failure:?}");
        assert!(failure.should_retry(), "{url}");
        let is_connect = words.starts_with("no connection");
        assert_eq!(matches!(failure, CallFailure::Connect(_)), is_connect, "{url}");
    }
}

/// What resolvers say differs, and how soon they say it.
#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_unknown_is_no_connection() {
    let settings = settings("https", &format!("relay.invalid/?id={SECRET}"));
    match relay(settings, &TlsRoots::Bundled, None).status(&context()).await.unwrap_err() {
        CallFailure::Connect(words) => {
            assert!(words.starts_with("failed to lookup address information"), "{words}");
            assert!(!words.contains(SECRET), "{words}");
        }
        failure => assert!(matches!(failure, CallFailure::TimedOut), "{failure:?}"),
    }
}

/// A far side that says nothing: by the deadline, or by the time that connecting may take.
#[tokio::test(flavor = "multi_thread")]
async fn silence_is_a_call_without_an_answer_in_time() {
    let far = FarSide::start(Speaks::Plain, |_, _| Reply::Silence).await;
    let mut context = context();
    context.deadline = Instant::now() + Duration::from_millis(200);
    let failure = plain(&far).status(&context).await.unwrap_err();
    assert!(matches!(failure, CallFailure::TimedOut) && !failure.should_retry(), "{failure:?}");
    // Three seconds for a handshake that never comes, whatever time there is.
    let far = RawRelay::start(RawFault::Silent).await.unwrap();
    let host = far.url().rsplit_once('@').unwrap().1.to_owned();
    let started = Instant::now();
    let relay = relay(settings("https", &host), &TlsRoots::Bundled, None);
    let failure = relay.status(&super::context()).await.unwrap_err();
    assert!(matches!(failure, CallFailure::TimedOut), "{failure:?}");
    let took = started.elapsed();
    assert!((Duration::from_millis(2900)..Duration::from_secs(10)).contains(&took), "{took:?}");
}

/// Sixty-four headers are read, one more is too many.
#[tokio::test(flavor = "multi_thread")]
async fn headers_are_bounded_in_number() {
    for (count, fits) in [(64, true), (65, false)] {
        let head = format!("HTTP/1.1 204 No Content\r\n{}\r\n", "x-a: 1\r\n".repeat(count));
        let far = FarSide::start(Speaks::Plain, move |_, _| Reply::Raw(head.clone().into())).await;
        let failure = plain(&far).status(&context()).await.unwrap_err();
        let words = if fits { "HTTP 204: expected 200" } else { "transport: message head is too large" };
        assert_eq!(failure.to_string(), words, "{count}");
    }
}

/// A redirect is not followed, and says where nothing led.
#[tokio::test(flavor = "multi_thread")]
async fn a_redirect_is_not_followed() {
    let far = FarSide::start(Speaks::Plain, |_, _| Reply::with(302, &[("location", "/other")], "")).await;
    let failure = plain(&far).status(&context()).await.unwrap_err();
    assert_eq!(failure.to_string(), "HTTP 302: redirects are not followed");
    assert_eq!(far.seen().len(), 1);
}
