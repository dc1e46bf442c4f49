//! What is held against relays after a signed block, whatever went wrong, once the chain has spoken for good: an execution node that is ours to
//! write says whether the block landed and what it paid.

use alloy_primitives::{Address, B256};
use relaymux::{
    consensus::{Encoding, SignedBuilderBid, parse_spec_file},
    sim::{Behaviour, HeaderFault, PayloadFault, SimBeacon, SimExecution, SimRelay},
    types::{Slot, Wei},
};
use serde_json::Value;

use crate::stage::{EVER, PARENT, Stage, eventually, honest, milli, stage};

const BUILDER: Address = Address::repeat_byte(0xb1);
/// The network's `genesis_validators_root`, where it is known.
const ROOT: B256 = B256::repeat_byte(0x42);
/// What the chain has of the slot.
#[derive(Clone, Copy, Debug)]
enum Chain {
    /// The block, which paid the proposer this.
    Pays(Wei),
    /// Nothing: the next slot's block is on the same parent.
    Lacks,
}

struct Row {
    name: &'static str,
    relays: Vec<Behaviour>,
    chain: Chain,
    /// Offences of each relay in the end.
    want: &'static [u64],
}

/// A relay that offers the block of 0.09 ETH.
fn offers(fault: PayloadFault) -> Behaviour {
    honest().value(milli(90)).payload(fault)
}

/// A relay that offers nothing and refuses what it never saw: it shows that our line works.
fn bystander() -> Behaviour {
    honest().builder(9).header(HeaderFault::NoBid)
}

fn rows() -> Vec<Row> {
    use PayloadFault::{Hangs, None as Reveals, Resets, Status, Withholds};
    let row = |name, relays: Vec<Behaviour>, chain, want| Row { name, relays, chain, want };
    let paid = || Chain::Pays(milli(90));
    vec![
        row("honest (the control)", vec![offers(Reveals)], paid(), &[0]),
        row(
            "dead uplink at reveal",
            vec![offers(Hangs), offers(Hangs), offers(Hangs)],
            Chain::Lacks,
            &[0, 0, 0],
        ),
        row("reset beside one that reveals", vec![offers(Resets), offers(Reveals)], paid(), &[0, 0]),
        row("silence beside one that reveals", vec![offers(Hangs), offers(Reveals)], paid(), &[0, 0]),
        row("5xx beside one that reveals", vec![offers(Status(503)), offers(Reveals)], paid(), &[0, 0]),
        row("reply lost, the block is there", vec![offers(Hangs), bystander()], paid(), &[0, 0]),
        row("refused beside one that reveals", vec![offers(Withholds), offers(Reveals)], paid(), &[1, 0]),
        row("refused, the block is missing", vec![offers(Withholds), bystander()], Chain::Lacks, &[1, 0]),
        row("swallowed", vec![offers(Status(202)), bystander()], Chain::Lacks, &[1, 0]),
        row("paid less", vec![offers(Reveals), bystander()], Chain::Pays(milli(40)), &[1, 0]),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_against_whom_in_the_end() {
    for Row { name, relays, chain, want } in rows() {
        let (mut stage, node) = watched(relays).await;
        let slot = stage.slot();
        hand_in(&stage, slot, &node, chain).await;
        let offences = in_the_end(&mut stage, &node, slot).await;
        assert_eq!(offences, want, "{name}\n{}", stage.log());
        println!("{name:<36} {chain:?} {offences:?}");
    }
}

/// [J6] What is suspected while the block is missing is taken back once it is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_reply_is_taken_back_once_the_block_is_there() {
    let (stage, node) = watched(vec![offers(PayloadFault::Status(500)), bystander()]).await;
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap();
    let body = stage.signed_block(slot, &bid, Encoding::Ssz);
    let status = stage.submit_request(2, Encoding::Ssz, body).send().await.unwrap().status();
    assert_eq!(status, 502);
    let accused = |count: usize| {
        let stage = &stage;
        async move || {
            let relays = stage.ops_json("/api/v1/relays").await;
            (relays[0]["accusations"].as_array()?.len() == count).then_some(())
        }
    };
    eventually("the relay to rest, suspected", accused(1)).await;
    let facts = bid.facts();
    node.append(
        facts.block_hash,
        stage.spec.clock().payload_timestamp(slot),
        BUILDER,
        recipient(),
        milli(90),
    );
    eventually("the accusation to be taken back", accused(0)).await;
    assert_eq!(stage.ops_json("/api/v1/relays").await[0]["offences"], 0);
}

/// A block that its proposer did not sign, where the network's root lets us check: all who offered it refuse it, and none is blamed.
#[tokio::test(flavor = "multi_thread")]
async fn a_garbage_signature_blames_nobody() {
    for (is_garbage, want) in [(true, [0, 0]), (false, [1, 1])] {
        let offerers = vec![offers(PayloadFault::Withholds), offers(PayloadFault::Withholds)];
        let (mut stage, node) = watched(offerers).await;
        tell_root(&mut stage).await;
        let slot = first_validators(&stage);
        let bid = stage.header_at(slot).await.unwrap();
        let mut body = stage.signed_block(slot, &bid, Encoding::Ssz);
        if is_garbage {
            // The signature: 96 bytes behind the offset of the message.
            body[50] ^= 1;
        }
        let status = stage.submit_request(2, Encoding::Ssz, body).send().await.unwrap().status();
        assert_eq!(status, 502);
        append_next(&stage, &node, slot);
        let offences = in_the_end(&mut stage, &node, slot).await;
        assert_eq!(offences, want, "garbage: {is_garbage}\n{}", stage.log());
    }
}

/// The same where only the beacon node tells the network's root: by it a block that was signed for another network is nobody's fault, and one that
/// was signed for this one convicts those that withheld it.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_signed_for_another_genesis_blames_nobody() {
    for (signed_for, want) in [(B256::repeat_byte(0x43), [0, 0]), (ROOT, [1, 1])] {
        let offerers = vec![offers(PayloadFault::Withholds), offers(PayloadFault::Withholds)];
        let (mut stage, node) = watched(offerers).await;
        stage.spec.genesis_validators_root = Some(ROOT);
        let beacon = SimBeacon::start(stage.spec.clone()).await.unwrap();
        stage.write_config(&format!("{}[beacon]\nurl = \"{}\"\n", stage.config(), beacon.url()));
        stage.start_again().await;
        let slot = first_validators(&stage);
        let bid = stage.header_at(slot).await.unwrap();
        stage.spec.genesis_validators_root = Some(signed_for);
        let body = stage.signed_block(slot, &bid, Encoding::Ssz);
        let status = stage.submit_request(2, Encoding::Ssz, body).send().await.unwrap().status();
        assert_eq!(status, 502);
        append_next(&stage, &node, slot);
        let offences = in_the_end(&mut stage, &node, slot).await;
        assert_eq!(offences, want, "signed for {signed_for}\n{}", stage.log());
        assert_eq!(stage.log().contains("signature on its block does not hold"), signed_for != ROOT);
    }
}

/// Relays that are gone between header and block: their connections are refused.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_refused_at_reveal() {
    let offerer = || offers(PayloadFault::None);
    let paid = || Chain::Pays(milli(90));
    for (name, relays, gone, chain, is_root_known, want) in [
        ("beside one that reveals", vec![offerer(), offerer()], 1, paid(), true, vec![0, 0]),
        ("the block is there", vec![offerer(), bystander()], 1, paid(), true, vec![0, 0]),
        ("the block is missing", vec![offerer(), bystander()], 1, Chain::Lacks, true, vec![1, 0]),
        ("missing, and perhaps not signed", vec![offerer(), bystander()], 1, Chain::Lacks, false, vec![0, 0]),
        ("nobody is reached", vec![offerer(), offerer(), bystander()], 3, Chain::Lacks, true, vec![0, 0, 0]),
    ] {
        // Who waits for less than a second proves nothing.
        let (mut stage, node) = watched_for(relays, 3000).await;
        if is_root_known {
            tell_root(&mut stage).await;
        }
        let slot = first_validators(&stage);
        let bid = stage.header_at(slot).await.unwrap_or_else(|| panic!("{name}: no bid\n{}", stage.log()));
        stage.relays.iter().take(gone).for_each(SimRelay::go_down);
        let body = stage.signed_block(slot, &bid, Encoding::Ssz);
        stage.submit_request(2, Encoding::Ssz, body).send().await.unwrap();
        write_chain(&stage, slot, &bid, &node, chain);
        let offences = in_the_end(&mut stage, &node, slot).await;
        assert_eq!(offences, want, "{name}\n{}", stage.log());
        println!("refused connection: {name:<36} {chain:?} {offences:?}");
    }
}

/// A node without traces and balances sees too little arrive, and a contract may have paid the rest: that convicts nobody, until the node tells
/// more.
#[tokio::test(flavor = "multi_thread")]
async fn a_payment_that_is_unclear_convicts_once_it_is_clear() {
    for tells_more in [false, true] {
        let (mut stage, node) = watched(vec![offers(PayloadFault::None), bystander()]).await;
        node.refuse(&["debug_traceBlockByHash", "eth_getBalance"]);
        let slot = stage.slot();
        hand_in(&stage, slot, &node, Chain::Pays(milli(40))).await;
        assert_eq!(payment_seen(&stage, slot, "low").await, "under");
        assert!(is_open(&stage, "payment_unclear").await && !is_open(&stage, "payment_missing").await);
        let relays = stage.ops_json("/api/v1/relays").await;
        assert_eq!((&relays[0]["offences"], &relays[0]["state"]), (&0.into(), &"active".into()), "{relays}");
        if tells_more {
            // Another node under the same address: a new process does not wait before it asks for what the first one lacked.
            node.refuse(&[]);
            stage.start_again().await;
            assert_eq!(payment_seen(&stage, slot, "high").await, "under");
            eventually("the conviction", async || {
                (stage.ops_json("/api/v1/relays").await[0]["offences"] == 1).then_some(())
            })
            .await;
            assert!(is_open(&stage, "payment_missing").await && !is_open(&stage, "payment_unclear").await);
        }
        let offences = in_the_end(&mut stage, &node, slot).await;
        assert_eq!(offences, [u64::from(tells_more), 0], "tells more: {tells_more}\n{}", stage.log());
    }
}

/// How a slot's payment compares, once it is seen with so much confidence.
async fn payment_seen(stage: &Stage, slot: Slot, confidence: &str) -> Value {
    eventually("the payment to be seen", async || {
        let view = stage.ops_json(&format!("/api/v1/slots/{slot}")).await;
        (view["payment"]["confidence"] == confidence).then(|| view["payment"]["payment"].clone())
    })
    .await
}

async fn is_open(stage: &Stage, rule: &str) -> bool {
    let report = stage.ops_json("/api/v1/profit").await;
    let mut notices = report["notices"].as_array().unwrap().iter();
    notices.any(|notice| notice["rule"] == rule && notice["resolved_at"].is_null())
}

/// Names the network's root in its spec file.
async fn tell_root(stage: &mut Stage) {
    let path = stage.folder.path().join("spec.yaml");
    let spec = format!("{}GENESIS_VALIDATORS_ROOT: {ROOT}\n", std::fs::read_to_string(&path).unwrap());
    std::fs::write(&path, &spec).unwrap();
    stage.spec = parse_spec_file(&spec).unwrap();
    stage.start_again().await;
}

/// The first of four validators signs here, and it proposes in every fourth slot.
fn first_validators(stage: &Stage) -> Slot {
    Slot::new(stage.slot().as_u64().div_ceil(4) * 4)
}

fn recipient() -> Address {
    Address::repeat_byte(0xee)
}

async fn watched(relays: Vec<Behaviour>) -> (Stage, SimExecution) {
    watched_for(relays, 1500).await
}

/// The same, with so many milliseconds for a reveal.
async fn watched_for(relays: Vec<Behaviour>, reveal_ms: u64) -> (Stage, SimExecution) {
    let genesis = relaymux::consensus::WallClock::system().now() / 1000 - 3600;
    let node = SimExecution::start(1, PARENT, u64::try_from(genesis).unwrap(), 2).await.unwrap();
    let mut builder = stage()
        .slot_secs(2)
        .auction(&format!("timeout_get_payload_ms = {reveal_ms}"))
        .section(&format!("[execution]\nurl = \"{}\"", node.url()));
    for behaviour in relays {
        builder = builder.relay(behaviour);
    }
    let stage = builder.start().await;
    // An hour old: whom the payment has to reach is known for every slot here.
    let signed = u64::try_from(genesis).unwrap();
    stage.proposer(Encoding::Ssz).register(60_000_000, signed).await.unwrap();
    (stage, node)
}

/// Proposes in a slot, and writes the chain.
async fn hand_in(stage: &Stage, slot: Slot, node: &SimExecution, chain: Chain) {
    let bid = stage.header_at(slot).await.unwrap_or_else(|| panic!("no bid\n{}", stage.log()));
    let body = stage.signed_block(slot, &bid, Encoding::Ssz);
    // Whether it went well is other rows' business.
    stage.submit_request(2, Encoding::Ssz, body).send().await.unwrap();
    write_chain(stage, slot, &bid, node, chain);
}

fn write_chain(stage: &Stage, slot: Slot, bid: &SignedBuilderBid, node: &SimExecution, chain: Chain) {
    match chain {
        Chain::Pays(paid) => {
            let timestamp = stage.spec.clock().payload_timestamp(slot);
            node.append(bid.facts().block_hash, timestamp, BUILDER, recipient(), paid);
        }
        Chain::Lacks => append_next(stage, node, slot),
    }
}

fn append_next(stage: &Stage, node: &SimExecution, slot: Slot) {
    let next = stage.spec.clock().payload_timestamp(Slot::new(slot.as_u64() + 1));
    node.append_local(next, recipient(), milli(1));
}

/// Offences of each relay once the chain is final and all of it is judged: a stop saves what is known, and a start takes it up.
async fn in_the_end(stage: &mut Stage, node: &SimExecution, slot: Slot) -> Vec<u64> {
    node.finalize_behind(0);
    eventually("the slot to be settled for good", async || {
        let url = format!("{}/api/v1/profit?format=csv&{EVER}", stage.ops);
        let table = stage.http.get(url).send().await.unwrap().text().await.unwrap();
        let of_slot = |line: &&str| line.split(',').nth(1) == Some(&slot.to_string());
        table.lines().find(of_slot)?.split(',').any(|cell| cell == "final").then_some(())
    })
    .await;
    stage.signal("TERM");
    stage.exit_status().await;
    stage.start_again().await;
    let relays = stage.ops_json("/api/v1/relays").await;
    relays.as_array().unwrap().iter().map(|relay| relay["offences"].as_u64().unwrap()).collect()
}
