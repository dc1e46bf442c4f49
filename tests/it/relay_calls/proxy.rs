//! Calls by way of a proxy.

use std::sync::Arc;

use relaymux::relay::{CallFailure, Relay, TlsRoots};

use super::{context, relay, rest, settings};
use crate::far_side::{FarSide, Reply, Speaks};

/// `me` and `p@ss`, as a URL and as a header have them.
const CREDENTIALS: &str = "me:p%40ss@";
const BASIC: &str = "Basic bWU6cEBzcw==";

/// A relay with TLS that is reached through the proxy.
fn through(far: &FarSide, proxy: &FarSide, credentials: &str) -> Relay {
    let roots = TlsRoots::File(far.roots_file());
    let proxy = format!("http://{credentials}127.0.0.1:{}", proxy.port);
    relay(settings("https", &format!("localhost:{}", far.port)), &roots, Some(&proxy))
}

/// [S8] Of what a relay with TLS is told, the proxy sees nothing but its name.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_with_tls_is_reached_through_a_tunnel() {
    for (protocols, credentials) in [(&["http/1.1"][..], ""), (&["h2", "http/1.1"], CREDENTIALS)] {
        let far = FarSide::start(Speaks::Tls(protocols), |_, _| Reply::ok()).await;
        let target = far.port;
        let proxy = FarSide::start(Speaks::Plain, move |_, _| Reply::Tunnel(target)).await;
        let relay = through(&far, &proxy, credentials);
        relay.status(&context()).await.unwrap();
        rest().await;
        relay.status(&context()).await.unwrap();
        let connects = proxy.seen();
        assert_eq!(connects.len(), 1, "the tunnel is kept");
        assert_eq!(connects[0].line, format!("CONNECT localhost:{target}"));
        let authorization =
            connects[0].headers.iter().find(|(name, _)| name.to_lowercase() == "proxy-authorization");
        let want = (!credentials.is_empty()).then_some(BASIC);
        assert_eq!(authorization.map(|(_, value)| value.as_str()), want);
        for seen in far.seen() {
            assert_eq!(seen.protocol.as_deref(), Some(protocols[0]));
            assert!(!seen.headers.contains_key("proxy-authorization"), "{seen:?}");
            assert!(seen.line.ends_with("/eth/v1/builder/status"), "{}", seen.line);
        }
    }
}

/// [S8] The whole URL goes to the proxy, and what opens it.
#[tokio::test(flavor = "multi_thread")]
async fn a_relay_without_tls_is_asked_of_the_proxy() {
    for credentials in ["", CREDENTIALS] {
        let proxy = FarSide::start(Speaks::Plain, |_, _| Reply::ok()).await;
        let url = format!("http://{credentials}127.0.0.1:{}", proxy.port);
        let settings = settings("http", "relay.invalid:8080/base?id=me");
        let relay = relay(settings, &TlsRoots::Bundled, Some(&url));
        relay.status(&context()).await.unwrap();
        rest().await;
        relay.status(&context()).await.unwrap();
        for seen in proxy.seen() {
            assert_eq!(seen.line, "GET http://relay.invalid:8080/base/eth/v1/builder/status?id=me");
            assert_eq!(seen.headers["host"], "relay.invalid:8080");
            let want = (!credentials.is_empty()).then_some(BASIC);
            assert_eq!(seen.headers.get("proxy-authorization").map(String::as_str), want);
        }
        assert_eq!((proxy.seen().len(), proxy.connections()), (2, 1));
    }
}

/// [S8] Nothing goes past a proxy that refuses or is away, and its words hold no secret.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_goes_past_a_proxy_that_refuses() {
    let far = Arc::new(FarSide::start(Speaks::Tls(&["h2"]), |_, _| Reply::ok()).await);
    for (status, words) in [
        (407, "no connection: tunnel error: proxy authorization required"),
        (503, "no connection: tunnel error: unsuccessful"),
    ] {
        let proxy = FarSide::start(Speaks::Plain, move |_, _| Reply::with(status, &[], "")).await;
        let failure = through(&far, &proxy, CREDENTIALS).status(&context()).await.unwrap_err();
        assert!(matches!(failure, CallFailure::Connect(_)), "{failure:?}");
        assert_eq!(failure.to_string(), words);
    }
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let proxy = format!("http://{CREDENTIALS}{closed}");
    for settings in [settings("https", "localhost:1"), settings("http", "localhost:1")] {
        let failure = relay(settings, &TlsRoots::Bundled, Some(&proxy)).status(&context()).await.unwrap_err();
        assert!(failure.to_string().starts_with("no connection: Connection refused"), "{failure}");
    }
    assert!(far.seen().is_empty());
}
