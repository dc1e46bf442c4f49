//! Nobody gets in where they do not belong: pages of other sites, other machines, too many bodies.

use std::time::Duration;

use relaymux::consensus::Encoding;
use reqwest::header::{AUTHORIZATION, HOST, ORIGIN};
use tokio::task::JoinSet;

use crate::stage::{Stage, assert_error, eventually, honest, stage};

async fn status(stage: &Stage, base: &str, path: &str, headers: &[(&str, &str)]) -> u16 {
    let request = stage.http.get(format!("{base}{path}"));
    let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    request.send().await.unwrap().status().as_u16()
}

/// [S6] What a page on the internet makes the operator's browser do: by a name of its own that it points here (DNS rebinding), or across sites.
#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_another_site_reads_nothing_and_changes_nothing() {
    let stage = stage().relay(honest()).start().await;
    let token = std::fs::read_to_string(stage.data_dir().join("admin.token")).unwrap();
    for (base, path) in
        [(&stage.ops, "/api/v1/slots"), (&stage.ops, "/metrics"), (&stage.builder, "/eth/v1/builder/status")]
    {
        let asked = stage.http.get(format!("{base}{path}")).header(HOST, "rebound.evil.example:18551");
        let message = assert_error(asked.send().await.unwrap(), 403).await;
        assert!(message.contains("allowed_hosts"), "{message}");
        for headers in [[("origin", "https://evil.example")], [("sec-fetch-site", "cross-site")]] {
            assert_eq!(status(&stage, base, path, &headers).await, 403, "{headers:?} {path}");
        }
        // By its address, by names of this machine and of a private network; and from its own page.
        for host in ["127.0.0.1:18551", "[::1]:1", "localhost", "relaymux:18550", "host.docker.internal"] {
            assert_eq!(status(&stage, base, path, &[("host", host)]).await, 200, "{host} {path}");
        }
        assert_eq!(status(&stage, base, path, &[("origin", base)]).await, 200);
    }
    // Even with the token: a browser that knows it is not the page's to use.
    let rotate = stage.http.post(format!("{}/api/v1/relays/rotate", stage.ops));
    let rotate =
        rotate.header(AUTHORIZATION, format!("Bearer {token}")).header(ORIGIN, "https://evil.example");
    assert_error(rotate.send().await.unwrap(), 403).await;
    // A block and registrations cannot be pushed by a page either.
    let register = stage.http.post(format!("{}/eth/v1/builder/validators", stage.builder));
    let register = register.header(ORIGIN, "https://evil.example").header("content-type", "application/json");
    assert_error(register.body("[]").send().await.unwrap(), 403).await;
    assert!(stage.relays[0].received("validators").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_of_the_operators_is_taken_once_it_is_allowed() {
    let stage = stage()
        .builder_api("relay_check = false\nallowed_hosts = [\"Builder.Example.com\"]")
        .relay(honest())
        .start()
        .await;
    let path = "/eth/v1/builder/status";
    assert_eq!(status(&stage, &stage.builder, path, &[("host", "builder.example.com:18550")]).await, 200);
    assert_eq!(status(&stage, &stage.builder, path, &[("host", "other.example.com")]).await, 403);
}

/// A service in Docker or Kubernetes is called by whatever name it has there: no slot is lost for it.
#[tokio::test(flavor = "multi_thread")]
async fn on_an_address_that_others_reach_programs_call_the_builder_api_by_any_name() {
    let stage = public_stage("").await;
    let path = "/eth/v1/builder/status";
    let prysm = ("user-agent", "Prysm/v7.0.0");
    for host in ["relaymux:18550", "builder.staking.example.com", "10.0.0.7:18550"] {
        assert_eq!(status(&stage, &stage.builder, path, &[("host", host), prysm]).await, 200, "{host}");
    }
    let browser = ("user-agent", "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0");
    assert_eq!(status(&stage, &stage.builder, path, &[("host", "evil.example"), browser]).await, 403);
    assert!(stage.header().await.is_some());
}

/// A stage whose ports are reached by other machines.
async fn public_stage(ops: &str) -> Stage {
    let mut stage = stage().relay(honest()).file("read.token", "0123456789abcdef\n").start().await;
    let config = stage.config().replace("listen = \"127.0.0.1:0\"", "listen = \"0.0.0.0:0\"");
    stage.write_config(
        &config.replace("max_requests_per_second = 0", &format!("max_requests_per_second = 0\n{ops}")),
    );
    stage.start_again().await;
    for base in [&mut stage.builder, &mut stage.ops] {
        *base = base.replace("0.0.0.0", "127.0.0.1");
    }
    stage
}

/// [S7]
#[tokio::test(flavor = "multi_thread")]
async fn other_machines_read_with_a_token_only() {
    let stage = public_stage("read_token_file = \"read.token\"").await;
    let admin = std::fs::read_to_string(stage.data_dir().join("admin.token")).unwrap();
    let admin = format!("Bearer {admin}");
    let read = "Bearer 0123456789abcdef";
    for path in ["/", "/metrics", "/api/v1/slots", "/api/v1/events", "/profit"] {
        let refused = stage.http.get(format!("{}{path}", stage.ops)).send().await.unwrap();
        let ways: Vec<_> = refused.headers().get_all("www-authenticate").iter().cloned().collect();
        assert_eq!(ways.len(), 2, "{path}");
        let message = assert_error(refused, 401).await;
        assert!(message.contains("admin.token") && message.contains("metrics_without_token"), "{message}");
    }
    for path in ["/", "/metrics", "/api/v1/slots", "/profit"] {
        for token in [&admin, read] {
            assert_eq!(status(&stage, &stage.ops, path, &[("authorization", token)]).await, 200, "{path}");
        }
        // A browser asks for a password; `x:0123456789abcdef`.
        let basic = ("authorization", "Basic eDowMTIzNDU2Nzg5YWJjZGVm");
        assert_eq!(status(&stage, &stage.ops, path, &[basic]).await, 200, "{path}");
    }
    for path in ["/healthz", "/readyz"] {
        assert_eq!(status(&stage, &stage.ops, path, &[]).await, 200, "{path}");
    }
    let rotate = async |token: &str| {
        let rotate = stage.http.post(format!("{}/api/v1/relays/rotate", stage.ops));
        rotate.header(AUTHORIZATION, token).send().await.unwrap().status().as_u16()
    };
    assert_eq!((rotate(read).await, rotate(&admin).await), (401, 200));
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_are_open_to_other_machines_where_the_operator_says_so() {
    let stage = public_stage("metrics_without_token = true").await;
    assert_eq!(status(&stage, &stage.ops, "/metrics", &[]).await, 200);
    assert_eq!(status(&stage, &stage.ops, "/api/v1/slots", &[]).await, 401);
}

/// An orchestrator's probe is answered whatever scripts do.
#[tokio::test(flavor = "multi_thread")]
async fn probes_are_outside_the_rate_limit() {
    let mut stage = stage().relay(honest()).start().await;
    stage.write_config(&stage.config().replace("max_requests_per_second = 0", "max_requests_per_second = 1"));
    stage.start_again().await;
    let mut limited = 0;
    for _ in 0..5 {
        limited += usize::from(status(&stage, &stage.ops, "/api/v1/slots", &[]).await == 429);
    }
    assert!(limited > 0);
    for _ in 0..20 {
        assert_eq!(status(&stage, &stage.ops, "/healthz", &[]).await, 200);
        assert_eq!(status(&stage, &stage.ops, "/readyz", &[]).await, 200);
    }
}

/// Strangers use up their own limit alone: whoever sends a token is answered all the same.
#[tokio::test(flavor = "multi_thread")]
async fn strangers_do_not_keep_out_whoever_has_a_token() {
    let mut stage = public_stage("").await;
    stage.write_config(&stage.config().replace("max_requests_per_second = 0", "max_requests_per_second = 5"));
    stage.start_again().await;
    stage.ops = stage.ops.replace("0.0.0.0", "127.0.0.1");
    let admin = std::fs::read_to_string(stage.data_dir().join("admin.token")).unwrap();
    let admin = format!("Bearer {admin}");
    let mut seen = std::collections::BTreeSet::new();
    for _ in 0..30 {
        seen.insert(status(&stage, &stage.ops, "/metrics", &[]).await);
    }
    assert_eq!(seen, [401, 429].into(), "refused, and then not even that");
    assert_eq!(status(&stage, &stage.ops, "/metrics", &[("authorization", &admin)]).await, 200);
}

/// A log is not filled by what is refused.
#[tokio::test(flavor = "multi_thread")]
async fn lines_about_refused_requests_are_bounded_and_the_requests_are_counted() {
    let stage = stage().relay(honest()).start().await;
    for _ in 0..40 {
        let headers = [("host", "evil.example")];
        assert_eq!(status(&stage, &stage.builder, "/eth/v1/builder/status", &headers).await, 403);
    }
    let lines = stage.log().matches("request refused").count();
    assert!((1..=10).contains(&lines), "{lines} lines");
    let metrics =
        stage.http.get(format!("{}/metrics", stage.ops)).send().await.unwrap().text().await.unwrap();
    let counted = "relaymux_builder_api_requests_total{endpoint=\"status\",status=\"403\"} 40";
    assert!(metrics.contains(counted), "{metrics}");
    assert!(
        metrics.contains("relaymux_last_client_request_timestamp_seconds{endpoint=\"status\"} 0"),
        "a refused caller is no client: {metrics}"
    );
}

/// Bodies that are held are a bounded part of the memory; a block has its room whatever registrations do.
#[tokio::test(flavor = "multi_thread")]
async fn all_bodies_together_are_bounded() {
    const LARGEST: usize = 1 << 20;
    const HAVE_ROOM: usize = 4;
    // A body is held until every relay has answered for it, and this one takes its time.
    let stage = stage()
        .builder_api(&format!("relay_check = false\nmax_registrations_bytes = {LARGEST}"))
        .auction("timeout_register_validator_ms = 600000")
        .relay(honest().register_delay(Duration::from_secs(600)))
        .start()
        .await;
    // As large as may be, for the spaces in it.
    let list = stage.proposer(Encoding::Json).registrations(60_000_000, 1_700_000_000);
    let list = serde_json::to_string(&list).unwrap();
    let body = format!("{list}{}", " ".repeat(LARGEST - list.len()));
    let register = || {
        let request = stage.http.post(format!("{}/eth/v1/builder/validators", stage.builder));
        request.header("content-type", "application/json").body(body.clone())
    };
    // One after the other: the relay has the whole of one, so it is held here, before the next begins.
    let mut held = JoinSet::new();
    for count in 1..=HAVE_ROOM {
        held.spawn(register().send());
        eventually("the relay to have the body", async || {
            (stage.relays[0].received("validators").len() == count).then_some(())
        })
        .await;
    }
    for _ in 0..2 {
        let message = assert_error(register().send().await.unwrap(), 503).await;
        assert!(message.contains("too many bytes"), "{message}");
    }
    // While they are held, a block goes through.
    assert_eq!(stage.reveal(2, Encoding::Ssz).await.0, 202);
    assert_eq!(stage.relays[0].received("validators").len(), HAVE_ROOM);
    assert!(held.try_join_next().is_none(), "a body that was held has been answered");
}

/// Blocks that nobody will ever propose go to the relays, as any block, but they fill neither journal nor ledger.
#[tokio::test(flavor = "multi_thread")]
async fn blocks_of_another_time_are_passed_on_and_not_kept() {
    use relaymux::types::Slot;
    let stage = stage().relay(honest()).start().await;
    let bid = stage.header().await.unwrap();
    let now = stage.slot().as_u64() - 1;
    for (slot, is_kept) in [(now - 40, false), (now + 1000, false), (now - 1, true)] {
        let slot = Slot::new(slot);
        // Of an auction that was not held here.
        let body = stage.signed_block(slot, &bid, Encoding::Ssz);
        stage.submit_request(2, Encoding::Ssz, body.clone()).send().await.unwrap();
        let received = stage.relays[0].received("blinded_blocks_v2");
        assert_eq!(received.last().unwrap().body, body, "{slot}");
        if is_kept {
            stage.submission(slot, |_| true).await;
        }
    }
    // The one that is kept came last, so the others would be there by now.
    for slot in [now - 40, now + 1000] {
        let view = stage.ops_json(&format!("/api/v1/slots/{slot}")).await;
        assert_eq!(view["code"], 404, "{view}");
    }
    let options = sqlx::sqlite::SqliteConnectOptions::new().filename(stage.data_dir().join("journal.db"));
    let mut journal = <sqlx::SqliteConnection as sqlx::Connection>::connect_with(&options).await.unwrap();
    let slots: Vec<i64> =
        sqlx::query_scalar("SELECT slot FROM blocks").fetch_all(&mut journal).await.unwrap();
    assert_eq!(slots, [i64::try_from(now - 1).unwrap()]);
    let metrics =
        stage.http.get(format!("{}/metrics", stage.ops)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("relaymux_unrecorded_blocks_total{reason=\"other_time\"} 2"), "{metrics}");
}
