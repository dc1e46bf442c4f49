//! What timing is worth, what a soft deadline costs, and what a warm connection saves. `scripts/bench timing soft warm` starts it.
//!
//! Value: the real binary with simulated relays whose bids rise, or rise and are cancelled for lower ones; asked once, in timing games
//! that keep the newest bid (as mev-boost and Commit-Boost do), and in games that keep the highest. Connections: a status call over a
//! new TLS connection and over the one it left behind, on loopback, where a round trip costs next to nothing: on the internet a cold
//! one costs two to three round trips more.

#![allow(
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it fails by panicking and speaks to its user"
)]
#![expect(clippy::unwrap_used, reason = "a benchmark fails by panicking and speaks to its user")]

use std::{
    process::{Command, Stdio},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::{B256, U256};
use http::HeaderValue;
use relaymux::{
    consensus::{Encoding, PresetName, WallClock, bls::SigningKey, bls::ValidatedKey, parse_spec_file},
    relay::{CallContext, Relay, RelayClients, RelaySettings, TlsRoots, build_http_client},
    sim::{Behaviour, SimProposer, SimRelay, SimRelayParts},
    types::{RelayId, Slot, Wei},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    time::{Instant, sleep},
};

/// Slots per row.
const SLOTS: u64 = 40;
/// Slots at once: each waits for its whole budget.
const AT_ONCE: u64 = 8;
/// Connections per measurement.
const CONNECTIONS: usize = 100;

fn milli(eth: u64) -> Wei {
    Wei::new(U256::from(eth) * U256::from(1_000_000_000_000_000_u64))
}

/// What came of some slots: mean value of the bids returned, in ETH, and mean time to the answer, in milliseconds.
struct Outcome {
    eth: f64,
    ms: f64,
}

/// The real binary with these relays; the first `warm_up` slots do not count.
async fn play(behaviours: Vec<Behaviour>, auction_lines: &str, relay_lines: &str, warm_up: u64) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let genesis = WallClock::system().now() / 1000 - 1200;
    let forks = ["BELLATRIX", "CAPELLA", "DENEB", "ELECTRA", "FULU"].iter().enumerate();
    let forks: String = forks
        .map(|(n, fork)| format!("{fork}_FORK_EPOCH: 0\n{fork}_FORK_VERSION: 0x0{}000001\n", n + 2))
        .collect();
    let text = format!(
        "CONFIG_NAME: bench\nGENESIS_TIME: {genesis}\nGENESIS_FORK_VERSION: 0x00000001\nSECONDS_PER_SLOT: 12\n{forks}"
    );
    std::fs::write(folder.path().join("spec.yaml"), &text).unwrap();
    let spec = parse_spec_file(&text).unwrap();
    let mut config = format!(
        "network = \"spec.yaml\"\ndata_dir = \"data\"\n[builder_api]\nlisten = \"127.0.0.1:0\"\n[ops]\nlisten = \"127.0.0.1:0\"\n\
         [auction]\n{auction_lines}\n"
    );
    let mut relays = Vec::new();
    for (seed, behaviour) in (1u8..).zip(behaviours) {
        let parts = SimRelayParts { spec: spec.clone(), seed, behaviour };
        let relay = SimRelay::start_forgetful(parts).await.unwrap();
        config.push_str(&format!("[[relays]]\nid = \"r{seed}\"\nurl = \"{}\"\n{relay_lines}\n", relay.url()));
        relays.push(relay);
    }
    std::fs::write(folder.path().join("relays.toml"), config).unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_relaymux"))
        .current_dir(folder.path())
        .args(["run", "--log", "error", "--ports-file", "ports.json"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let ports = folder.path().join("ports.json");
    while !ports.exists() {
        sleep(Duration::from_millis(10)).await;
    }
    let ports: serde_json::Value = serde_json::from_slice(&std::fs::read(&ports).unwrap()).unwrap();
    let base = format!("http://{}", ports.get("builder").and_then(serde_json::Value::as_str).unwrap());
    let http = build_http_client(&TlsRoots::Bundled, None).unwrap();
    let proposer = Arc::new(SimProposer::new(spec.clone(), base, http, 8, Encoding::Ssz));
    let first = spec.clock().slot_at(WallClock::system().now()).as_u64() + 1;
    let (mut eth, mut ms) = (0.0, 0.0);
    for batch in 0..(warm_up + SLOTS) / AT_ONCE {
        let asks = (0..AT_ONCE).map(|n| {
            let proposer = Arc::clone(&proposer);
            let slot = Slot::new(first + batch * AT_ONCE + n);
            async move {
                let started = Instant::now();
                let bid = proposer.get_header(slot, B256::repeat_byte(1), Duration::from_secs(5)).await;
                (bid.unwrap().unwrap().facts().value, started.elapsed())
            }
        });
        for (value, took) in futures_util::future::join_all(asks).await {
            if batch * AT_ONCE >= warm_up {
                eth += value.to_eth().parse::<f64>().unwrap();
                ms += took.as_secs_f64() * 1000.0;
            }
        }
    }
    let _ = child.kill();
    let _ = child.wait();
    let slots = f64::from(u32::try_from(SLOTS).unwrap());
    Outcome { eth: eth / slots, ms: ms / slots }
}

/// Mean value of the bid returned, in ETH, of one relay with this curve and these lines.
async fn value_kept(curve: &[(u64, u64)], relay_lines: &str) -> f64 {
    let behaviour = Behaviour::default()
        .delay(Duration::from_millis(20))
        .value_curve(curve.iter().map(|(from, value)| (*from, milli(*value))).collect());
    play(vec![behaviour], "timeout_get_header_ms = 500", relay_lines, 0).await.eth
}

/// Four relays that answer within 60 ms, and one that takes 600 ms and is now and then the best.
async fn soft_deadline() {
    let relays = || {
        let quick = (0..4u8).map(|n| {
            Behaviour::default()
                .builder(n)
                .delay(Duration::from_millis(15 * u64::from(n + 1)))
                .value(milli(40))
                .value_spread(milli(20))
        });
        let slow = Behaviour::default()
            .builder(9)
            .delay(Duration::from_millis(600))
            .value(milli(35))
            .value_spread(milli(25));
        quick.chain([slow]).collect::<Vec<_>>()
    };
    println!(
        "{:<44} {:>9} {:>9}   {SLOTS} slots after 160, 4 quick relays and a slow one",
        "", "mean ms", "mean ETH"
    );
    for (name, lines) in [
        ("no soft deadline", ""),
        ("soft deadline 150 ms, risk 0.05", "soft_deadline_ms = 150"),
        ("soft deadline 150 ms, risk 0.2", "soft_deadline_ms = 150\nsoft_deadline_risk = 0.2"),
    ] {
        let Outcome { eth, ms } = play(relays(), lines, "", 160).await;
        println!("{name:<44} {ms:>9.1} {eth:>9.4}");
    }
}

async fn timing() {
    let games = "enable_timing_games = true\nfrequency_get_header_ms = 100";
    println!(
        "{:<44} {:>9} {:>9} {:>9}   mean ETH returned, {SLOTS} slots, budget 500 ms",
        "", "once", "newest", "highest"
    );
    for (name, curve) in [
        ("rising bids", &[(0, 20), (100, 26), (200, 31), (300, 35), (400, 38)][..]),
        ("rising, then cancelled for lower ones", &[(0, 20), (100, 35), (200, 45), (300, 24), (400, 22)]),
        ("flapping", &[(0, 20), (100, 40), (200, 20), (300, 40), (400, 20)]),
    ] {
        let once = value_kept(curve, "").await;
        let newest = value_kept(curve, &format!("{games}\nkeep = \"latest\"")).await;
        let highest = value_kept(curve, games).await;
        println!(
            "{name:<44} {once:>9.4} {newest:>9.4} {highest:>9.4}   highest / newest {:.2}, / once {:.2}",
            highest / newest,
            highest / once
        );
    }
}

/// A server that answers 200 to anything, over TLS, keeping connections.
async fn tls_server(config: rustls::ServerConfig) -> u16 {
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        loop {
            let (tcp, _) = listener.accept().await.unwrap();
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let _ = tcp.set_nodelay(true);
                let Ok(mut tls) = acceptor.accept(tcp).await else { return };
                let mut head = [0; 4096];
                while tls.read(&mut head).await.unwrap_or(0) > 0 {
                    if tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

fn median(mut sample: Vec<Duration>) -> Duration {
    sample.sort_unstable();
    sample.get(sample.len() / 2).copied().unwrap_or_default()
}

async fn warm() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let roots = folder.path().join("roots.pem");
    std::fs::write(&roots, made.cert.pem()).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key);
    let port = tls_server(config.unwrap()).await;
    let pubkey = ValidatedKey::new(SigningKey::from_seed(&[7; 32]).unwrap().public_key()).unwrap();
    let url = format!("https://localhost:{port}").parse().unwrap();
    let settings = RelaySettings::new(RelayId::parse("tls").unwrap(), url, pubkey);
    let context = || CallContext {
        user_agent: HeaderValue::from_static("bench"),
        deadline: Instant::now() + Duration::from_secs(5),
    };
    let (mut cold, mut again) = (Vec::new(), Vec::new());
    for _ in 0..CONNECTIONS {
        let clients = RelayClients::build(&TlsRoots::File(roots.clone()), None).unwrap();
        let relay = Relay::new(settings.clone(), PresetName::Mainnet, clients, WallClock::system());
        for sample in [&mut cold, &mut again] {
            let started = Instant::now();
            relay.status(&context()).await.unwrap();
            sample.push(started.elapsed());
        }
    }
    let (cold, again) = (median(cold).as_secs_f64() * 1000.0, median(again).as_secs_f64() * 1000.0);
    println!(
        "status call over TLS on loopback, p50 of {CONNECTIONS}: cold {cold:.2} ms, warm {again:.2} ms, cold / warm {:.1}",
        cold / again
    );
}

#[tokio::main]
async fn main() {
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let runs = |part: &str| wanted.is_empty() || wanted.iter().any(|name| name == part);
    if runs("warm") {
        warm().await;
    }
    if runs("timing") {
        timing().await;
    }
    if runs("soft") {
        soft_deadline().await;
    }
}
