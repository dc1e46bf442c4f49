//! Lodestar 1.5.1 and EthereumJS: a real consensus client proposing real blocks of a real execution client through the binary.
//!
//! Four relays sell the execution client's payloads: one withholds every payload it sells, one never answers `getHeader`, one signs
//! with the wrong key, one is honest. The two that sell sell the same blocks, so no slot may be lost to the thief.

use std::{
    fs::File,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::Address;
use relaymux::{
    consensus::{WallClock, parse_spec_file},
    relay::{TlsRoots, build_http_client},
    sim::{Behaviour, EngineBuilder, HeaderFault, PayloadFault, SimRelay, SimRelayParts},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::stage::{binary, milli};

/// Blocks that must come through the builder path.
const WANTED: usize = 4;
/// Lodestar keeps its builder off for the first 5 to 9 slots of a new chain.
const TIMEOUT: Duration = Duration::from_secs(120);
const VALIDATORS: usize = 8;
/// One for each block of the test; the execution client's pool takes 100 of an account.
const TRANSACTIONS: usize = 90;
const SLOT_SECS: u64 = 2;

pub(crate) fn folder() -> PathBuf {
    match std::env::var_os("RELAYMUX_DEVNET") {
        Some(folder) => PathBuf::from(folder),
        None => {
            panic!("RELAYMUX_DEVNET names the folder of the clients: run scripts/devnet/run, which sets it")
        }
    }
}

/// A child that does not outlive the test.
struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Process {
    fn start(command: &mut Command, log: &Path) -> Self {
        let out = File::create(log).unwrap();
        let child = command.stdin(Stdio::null()).stdout(out.try_clone().unwrap()).stderr(out).spawn();
        Self(child.unwrap_or_else(|e| panic!("{command:?}: {e}")))
    }
}

/// Ports for programs that cannot pick their own. Held together while picking, so that they differ.
fn free_ports<const N: usize>() -> [u16; N] {
    let held = [(); N].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    held.map(|listener| listener.local_addr().unwrap().port())
}

async fn until<T, F: AsyncFnMut() -> Option<T>>(what: &str, logs: &Path, mut condition: F) -> T {
    let deadline = Instant::now() + TIMEOUT;
    loop {
        if let Some(value) = condition().await {
            return value;
        }
        if Instant::now() > deadline {
            for log in ["relaymux.log", "lodestar.log", "ethereumjs.log"] {
                let text = std::fs::read_to_string(logs.join(log)).unwrap_or_default();
                let tail: Vec<&str> = text.lines().rev().take(40).collect();
                eprintln!("--- end of {log}\n{}", tail.into_iter().rev().collect::<Vec<_>>().join("\n"));
            }
            panic!("waited in vain for {what}");
        }
        sleep(Duration::from_millis(100)).await;
    }
}

async fn get(http: &reqwest::Client, url: &str) -> Option<Value> {
    let answer = http.get(url).timeout(Duration::from_secs(5)).send().await.ok()?.bytes().await.ok()?;
    serde_json::from_slice(&answer).ok()
}

fn ethereumjs(work: &Path, rpc: u16, engine: u16, p2p: u16) -> Process {
    let (installed, data) = (folder(), work.join("ethereumjs"));
    let mut command = Command::new("node");
    command
        .current_dir(work)
        .arg("-r")
        .arg(installed.join("polyfill.cjs"))
        .arg(installed.join("ethereumjs/node_modules/.bin/ethereumjs"))
        .arg("--gethGenesis")
        .arg(installed.join("ethereumjs.genesis.json"))
        .arg("--dataDir")
        .arg(data)
        .args(["--rpc", "--rpcAddr", "127.0.0.1", "--rpcPort", &rpc.to_string()])
        .args(["--rpcEngine", "--rpcEngineAddr", "127.0.0.1", "--rpcEnginePort", &engine.to_string()])
        .args(["--rpcEngineAuth", "false", "--extIP", "127.0.0.1", "--port", &p2p.to_string()])
        .args([
            "--discV4",
            "false",
            "--discDns",
            "false",
            "--maxPeers",
            "0",
            "--minPeers",
            "0",
            "--sync",
            "none",
            "--isSingleNode",
        ]);
    Process::start(&mut command, &work.join("ethereumjs.log"))
}

/// Hands the execution client a transaction for each of the next blocks: an empty block pays nobody, and bids for it are dropped.
/// It takes them only until a consensus client drives it.
async fn supply_transactions(http: &reqwest::Client, rpc: u16, work: &Path) {
    let folder = folder().join("ethereumjs");
    let run = tokio::task::spawn_blocking(move || {
        Command::new("node")
            .current_dir(folder)
            .args(["transactions.mjs", &TRANSACTIONS.to_string()])
            .output()
            .unwrap()
    });
    let output = run.await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    for transaction in String::from_utf8(output.stdout).unwrap().lines() {
        let call =
            json!({"jsonrpc": "2.0", "id": 1, "method": "eth_sendRawTransaction", "params": [transaction]});
        // It starts to answer before it starts to take transactions.
        until("the execution client to take a transaction", work, async || {
            let request =
                http.post(format!("http://127.0.0.1:{rpc}")).header("content-type", "application/json");
            let answer = request.body(call.to_string()).send().await.ok()?.bytes().await.ok()?;
            let answer: Value = serde_json::from_slice(&answer).ok()?;
            answer["result"].is_string().then_some(())
        })
        .await;
    }
}

struct LodestarParts<'a> {
    work: &'a Path,
    engine: &'a str,
    builder: &'a str,
    genesis_hash: &'a str,
    genesis_time: i64,
    rest: u16,
    p2p: u16,
}

fn lodestar(parts: &LodestarParts<'_>) -> Process {
    let LodestarParts { work, engine, builder, genesis_hash, genesis_time, rest, p2p } = parts;
    let installed = folder();
    std::fs::write(work.join("jwt.hex"), "11".repeat(32)).unwrap();
    let mut command = Command::new("node");
    command
        .current_dir(work)
        .env("LODESTAR_PRESET", "minimal")
        .env("NODE_BACKEND", "js")
        .arg("-r")
        .arg(installed.join("polyfill.cjs"))
        .arg(installed.join("lodestar/node_modules/.bin/lodestar"))
        .args([
            "dev",
            "--dataDir",
            "lodestar",
            "--genesisValidators",
            &VALIDATORS.to_string(),
            "--startValidators",
            "0..7",
        ])
        .args(["--genesisEth1Hash", genesis_hash, "--genesisTime", &genesis_time.to_string()])
        .args(["--params.ALTAIR_FORK_EPOCH", "0", "--params.BELLATRIX_FORK_EPOCH", "0"])
        .args(["--params.CAPELLA_FORK_EPOCH", "0", "--params.TERMINAL_TOTAL_DIFFICULTY", "0"])
        .args(["--params.SECONDS_PER_SLOT", &SLOT_SECS.to_string()])
        .args(["--execution.urls", engine, "--jwt-secret", "jwt.hex", "--eth1", "false"])
        .args([
            "--rest",
            "--rest.address",
            "127.0.0.1",
            "--rest.port",
            &rest.to_string(),
            "--rest.namespace",
            "*",
        ])
        .args(["--beaconNodes", &format!("http://127.0.0.1:{rest}")])
        .args([
            "--listenAddress",
            "127.0.0.1",
            "--port",
            &p2p.to_string(),
            "--discv5",
            "false",
            "--mdns",
            "false",
        ])
        .args(["--suggestedFeeRecipient", "0xcccccccccccccccccccccccccccccccccccccccc"])
        .args([
            "--builder",
            "--builder.urls",
            builder,
            "--builder.selection",
            "builderalways",
            "--logLevel",
            "info",
        ]);
    Process::start(&mut command, &work.join("lodestar.log"))
}

fn spec_yaml(genesis_time: i64) -> String {
    format!(
        "PRESET_BASE: 'minimal'\nCONFIG_NAME: 'devnet'\nGENESIS_TIME: {genesis_time}\n\
         GENESIS_FORK_VERSION: 0x00000001\nSECONDS_PER_SLOT: {SLOT_SECS}\nBELLATRIX_FORK_EPOCH: 0\n\
         BELLATRIX_FORK_VERSION: 0x02000001\nCAPELLA_FORK_EPOCH: 0\nCAPELLA_FORK_VERSION: 0x03000001\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_real_consensus_client_proposes_through_the_builder_path() {
    let scratch = tempfile::tempdir().unwrap();
    let work = scratch.path();
    let http = build_http_client(&TlsRoots::Bundled, None).unwrap();
    let [rpc, engine_port, p2p_el, rest, p2p_cl] = free_ports();

    let _execution = ethereumjs(work, rpc, engine_port, p2p_el);
    let genesis_hash = until("the execution client's genesis block", work, async || {
        let call =
            json!({"jsonrpc": "2.0", "id": 1, "method": "eth_getBlockByNumber", "params": ["0x0", false]});
        let answer = http.post(format!("http://127.0.0.1:{rpc}")).body(call.to_string());
        let answer =
            answer.header("content-type", "application/json").send().await.ok()?.bytes().await.ok()?;
        let answer: Value = serde_json::from_slice(&answer).ok()?;
        answer["result"]["hash"].as_str().map(str::to_owned)
    })
    .await;

    supply_transactions(&http, rpc, work).await;
    let genesis_time = WallClock::system().now() / 1000 + 10;
    let spec_text = spec_yaml(genesis_time);
    let spec = parse_spec_file(&spec_text).unwrap();
    let honest = || Behaviour::default().value(milli(50));
    let mut relays = Vec::new();
    for (seed, behaviour) in (0u8..).zip([
        honest().payload(PayloadFault::Withholds),
        honest().header(HeaderFault::Hangs).payload(PayloadFault::Withholds),
        honest().value(milli(900)).header(HeaderFault::WrongSignature).payload(PayloadFault::Withholds),
        honest(),
    ]) {
        relays.push(Arc::new(
            SimRelay::start(SimRelayParts { spec: spec.clone(), seed, behaviour }).await.unwrap(),
        ));
    }
    let sellers = relays.clone();
    let engine = EngineBuilder::start(
        format!("http://127.0.0.1:{engine_port}"),
        http.clone(),
        Address::repeat_byte(0xbb),
        Box::new(move |payload| sellers.iter().for_each(|relay| relay.supply(payload.clone()))),
    )
    .await
    .unwrap();

    std::fs::write(work.join("spec.yaml"), &spec_text).unwrap();
    let mut config =
        "network = \"spec.yaml\"\ndata_dir = \"data\"\n[builder_api]\nlisten = \"127.0.0.1:0\"\n[ops]\n\
        listen = \"127.0.0.1:0\"\n[auction]\ntimeout_get_header_ms = 400\nlate_in_slot_time_ms = 1500\n"
            .to_owned();
    for (id, relay) in ["thief", "sleeper", "forger", "honest"].iter().zip(&relays) {
        config.push_str(&format!("[[relays]]\nid = \"{id}\"\nurl = \"{}\"\n", relay.url()));
    }
    std::fs::write(work.join("relays.toml"), config).unwrap();
    let mut command = binary();
    command.current_dir(work).args(["run", "--ports-file", "ports.json"]);
    let _relaymux = Process::start(&mut command, &work.join("relaymux.log"));
    let ports: Value = until("relaymux to come up", work, async || {
        serde_json::from_slice(&std::fs::read(work.join("ports.json")).ok()?).ok()
    })
    .await;
    let (builder, ops) = (
        format!("http://{}", ports["builder"].as_str().unwrap()),
        format!("http://{}", ports["ops"].as_str().unwrap()),
    );

    let _consensus = lodestar(&LodestarParts {
        work,
        engine: &engine.url(),
        builder: &builder,
        genesis_hash: &genesis_hash,
        genesis_time,
        rest,
        p2p: p2p_cl,
    });

    // Registrations reach every relay.
    until("all validators to be registered", work, async || {
        relays.iter().all(|relay| relay.registered().len() == VALIDATORS).then_some(())
    })
    .await;

    // Blocks that the builder sold are imported by the consensus client and are in the ledger as delivered.
    let beacon = format!("http://127.0.0.1:{rest}");
    let delivered = until("blocks through the builder path", work, async || {
        let slots = get(&http, &format!("{ops}/api/v1/slots?limit=200")).await?;
        let mut imported = Vec::new();
        for slot in slots.as_array()? {
            let Some(submission) = slot["submissions"].get(0).filter(|s| s["fate"] == "delivered") else {
                continue;
            };
            let url = format!("{beacon}/eth/v2/beacon/blocks/{}", slot["slot"]);
            let Some(block) = get(&http, &url).await else { continue };
            let payload = &block["data"]["message"]["body"]["execution_payload"];
            if payload["block_hash"] == submission["block_hash"] {
                assert_eq!(
                    payload["fee_recipient"].as_str()?.to_lowercase(),
                    format!("0x{}", "bb".repeat(20))
                );
                imported.push(slot.clone());
            }
        }
        (imported.len() >= WANTED).then_some(imported)
    })
    .await;

    let faulty = [("thief", "bid"), ("sleeper", "timed_out"), ("forger", "wrong_signature")];
    let mut asked = [0usize; 3];
    for slot in &delivered {
        let (auction, submission) = (&slot["auctions"][0], &slot["submissions"][0]);
        assert_eq!(submission["decided_by"], "honest", "{submission}");
        assert_eq!(submission["version"], 1);
        let outcome = |name: &str| {
            let bids = auction["bids"].as_array().unwrap();
            bids.iter().find(|bid| bid["relay"] == name).map(|bid| bid["outcome"].clone())
        };
        assert_eq!(outcome("honest").unwrap(), "bid", "{auction}");
        // Asked until they have shown what they are.
        for ((name, expected), count) in faulty.iter().zip(&mut asked) {
            if let Some(outcome) = outcome(name).filter(|outcome| outcome != "not_asked") {
                assert_eq!(outcome, *expected, "{name}: {auction}");
                *count += 1;
            }
        }
    }
    assert!(asked.iter().all(|count| *count > 0), "{asked:?}");
    // The thief is out, with its reason, since its first offence.
    let relays = get(&http, &format!("{ops}/api/v1/relays")).await.unwrap();
    let thief = relays.as_array().unwrap().iter().find(|relay| relay["id"] == "thief").unwrap();
    assert_eq!((&thief["state"], &thief["offences"]), (&"quarantined".into(), &1.into()), "{thief}");
    assert!(thief["why"].as_str().unwrap().contains("did not reveal it"), "{thief}");
    // The chain went on: from the first to the last of them no slot is empty.
    let numbers: Vec<u64> = delivered.iter().map(|slot| slot["slot"].as_u64().unwrap()).collect();
    let (last, first) = (numbers.iter().max().unwrap(), numbers.iter().min().unwrap());
    for slot in *first..=*last {
        let block = get(&http, &format!("{beacon}/eth/v2/beacon/blocks/{slot}")).await.unwrap();
        assert_eq!(block["data"]["message"]["slot"], slot.to_string(), "slot {slot} was lost: {block}");
    }
    assert!(engine.problems().is_empty(), "{:?}", engine.problems());
    println!(
        "slots {first} to {last}: {} blocks through the builder path, all imported, none lost; the thief is out: {}",
        delivered.len(),
        thief["why"]
    );
}
