//! Probes of a real geth: while it makes blocks, while it makes none, and while its process is frozen.

use std::time::Duration;

use relaymux::{
    consensus::WallClock,
    ethereum::{Syncing, read_syncing},
    http_client::{HttpClients, TlsRoots},
    supervisor::{NodeKind, ProbeFailure, ProbeSettings, Prober, Ready, STALL_AFTER, Sight},
};

use crate::{node::Node, stage::eventually};

/// The chain of `geth --dev`.
const DEV: u64 = 1337;

fn settings(node: &Node) -> ProbeSettings {
    ProbeSettings {
        url: node.url.parse().unwrap(),
        every: Duration::from_secs(3),
        timeout: Duration::from_secs(2),
        block_time: None,
        chain_id: Some(DEV),
        lag_age: Some(Duration::from_secs(5)),
        path: None,
        vote_account: None,
        stall_after: STALL_AFTER,
        execution: None,
    }
}

async fn probe(settings: &ProbeSettings) -> Result<Sight, ProbeFailure> {
    let prober = Prober::new(&HttpClients::build(&TlsRoots::Bundled, None).unwrap());
    prober.probe(NodeKind::Geth, settings, WallClock::system().now()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_makes_blocks_is_well_and_one_that_is_frozen_does_not_answer() {
    let Some(geth) = Node::geth().await else { return println!("left out: no geth") };
    let settings = settings(&geth);
    let is_well = async || probe(&settings).await.ok().filter(|sight| sight.ready == Ready::Yes);
    let sight = eventually("a new block", is_well).await;
    assert!(sight.head.is_some() && sight.head_age.unwrap() <= Duration::from_secs(5), "{sight:?}");
    assert_eq!((sight.behind, sight.peers), (Some(0), Some(0)), "it has no peers, and needs none");
    let of_mainnet = ProbeSettings { chain_id: Some(1), ..settings.clone() };
    let Ready::No(words) = probe(&of_mainnet).await.unwrap().ready else { panic!("{sight:?}") };
    assert!(words.contains("chain 1337") && words.contains("chain 1:"), "{words}");
    geth.freeze();
    let frozen = probe(&settings).await;
    assert_eq!(frozen, Err(ProbeFailure::TimedOut { after: settings.timeout }));
    geth.thaw();
    eventually("it to be well again", is_well).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_makes_no_blocks_lags_whatever_it_says_of_syncing() {
    let Some(geth) = Node::resting_geth().await else { return println!("left out: no geth") };
    let limited = settings(&geth);
    // It says either nothing, or that it indexes its one block: neither is a sync.
    let said = geth.rpc("eth_syncing", serde_json::json!([])).await;
    assert_eq!(read_syncing(&said), Some(Syncing::No), "{said}");
    let words = eventually("its head to be old", async || match probe(&limited).await.unwrap().ready {
        Ready::Lagging(words) => Some(words),
        Ready::Yes | Ready::Syncing(_) | Ready::No(_) => None,
    })
    .await;
    assert!(words.starts_with("Its head, block "), "{words}");
    // Without a limit of the operator's a chain of developers may rest.
    let unlimited = ProbeSettings { lag_age: None, ..limited };
    assert_eq!(probe(&unlimited).await.unwrap().ready, Ready::Yes);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_is_gone_refuses() {
    let Some(mut geth) = Node::resting_geth().await else { return println!("left out: no geth") };
    let settings = settings(&geth);
    assert!(probe(&settings).await.is_ok());
    geth.die();
    assert!(matches!(probe(&settings).await, Err(ProbeFailure::NoConnection(_))));
}
