//! What the beacon node says of a payload decides which bids are returned, and its blob schedule how many blobs one may have.

use alloy_primitives::B256;
use relaymux::{
    consensus::Network,
    sim::{BeaconBehaviour, Behaviour, EventHabit, HeaderFault, SimAttributes, SimBeacon, sim_withdrawals},
    types::Slot,
};
use serde_json::{Value, json};

use crate::stage::{PARENT, Stage, StageBuilder, eventually, honest, milli, stage};

const TAKEN: &str = "relaymux_payload_attributes_total{use=\"taken\"}";
const NOT_READABLE: &str = "relaymux_payload_attributes_total{use=\"not_readable\"}";
const WRONG_TIME: &str = "relaymux_payload_attributes_total{use=\"wrong_time\"}";
const FOLLOWED: &str = "relaymux_payload_attributes_followed";

impl Stage {
    async fn until_metric(&self, series: &str, condition: impl Fn(f64) -> bool) {
        eventually(series, async || self.metric(series).await.filter(|value| condition(*value))).await;
    }

    /// Has the node tell what a payload must have, and waits until that has arrived.
    async fn node_says(&self, attributes: &SimAttributes) {
        self.until_metric(FOLLOWED, |value| value == 1.0).await;
        let before = self.metric(TAKEN).await.unwrap();
        self.beacon().tell_attributes(attributes);
        self.until_metric(TAKEN, |value| value > before).await;
    }

    /// Has the node say what is true of a slot.
    async fn node_says_the_truth(&self, slot: Slot) {
        self.node_says(&SimAttributes::of(slot, PARENT)).await;
    }

    /// A slot whose start is at least a slot away, once the node is followed: what a test does before it asks takes its time.
    async fn next_slot(&self) -> Slot {
        self.until_metric(FOLLOWED, |value| value == 1.0).await;
        self.far_slot(1)
    }

    fn far_slot(&self, slots: u64) -> Slot {
        Slot::new(self.fresh_slot().as_u64() + slots)
    }

    /// Index of the relay whose bid is returned.
    async fn winner_in(&self, slot: Slot) -> Option<usize> {
        self.header_at(slot).await.map(|bid| self.relay_of(&bid))
    }

    /// Waits until the service has looked at its node.
    async fn until_node_is_known(&self) {
        // Set in every look, after the node's specification was taken in.
        self.ready("payload_attributes", |_| true).await;
    }

    async fn ready(&self, name: &str, condition: impl Fn(&Value) -> bool) -> Value {
        eventually(name, async || {
            let health = self.ops_json("/readyz").await;
            let checks = health["checks"].as_array()?;
            checks.iter().find(|check| check["name"] == name && condition(check)).cloned()
        })
        .await
    }

    async fn bids_score(&self, relay: usize, condition: impl Fn(f64) -> bool) -> f64 {
        let score = |view: &Value| view["trust"]["bids"].as_f64();
        let view = self.relay_view(relay, |view| score(view).is_some_and(&condition)).await;
        score(&view).unwrap()
    }
}

/// Bids 0.09 ETH, and is wrong in something.
fn wrong(fault: HeaderFault) -> Behaviour {
    honest().value(milli(90)).builder(1).header(fault)
}

fn right() -> Behaviour {
    honest().value(milli(50)).builder(2)
}

fn with_node() -> StageBuilder {
    stage().with_beacon(|_| {})
}

/// One whose nodes are looked at often: once in a slot.
fn with_watched_node() -> StageBuilder {
    with_node().slot_secs(4)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_bid_that_the_node_would_refuse_is_not_returned_and_blamed_beside_one_that_agrees() {
    for (fault, outcome, words) in [
        (HeaderFault::WrongPrevRandao, "wrong_prev_randao", "the beacon node says 0x5353"),
        (
            HeaderFault::WrongWithdrawals,
            "wrong_withdrawals",
            "that of the beacon node's withdrawals is 0x792930",
        ),
    ] {
        let stage = with_node().relay(wrong(fault)).relay(right()).start().await;
        let before = stage.bids_score(0, |_| true).await;
        let slot = stage.next_slot().await;
        stage.node_says_the_truth(slot).await;
        assert_eq!(stage.winner_in(slot).await, Some(1));
        assert_eq!(stage.outcomes(slot).await, [outcome, "bid"]);
        let detail = stage.auction(slot).await["bids"][0]["detail"].as_str().unwrap().to_owned();
        assert!(detail.contains(words) && detail.contains("another relay's bid agrees"), "{detail}");
        stage.bids_score(0, |score| score < before).await;
        let series = format!("relaymux_offers_total{{relay=\"r0\",outcome=\"{outcome}\"}}");
        assert_eq!(stage.metric(&series).await, Some(1.0));
        // Without the node's word on another slot, one against one decides nothing.
        let slot = stage.fresh_slot();
        assert_eq!(stage.winner_in(slot).await, Some(0));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_agrees_with_the_node_nothing_is_returned_and_nobody_blamed() {
    let stage = with_watched_node().relay(wrong(HeaderFault::WrongPrevRandao)).start().await;
    let before = stage.bids_score(0, |_| true).await;
    let slot = stage.next_slot().await;
    stage.node_says_the_truth(slot).await;
    assert_eq!(stage.winner_in(slot).await, None);
    assert_eq!(stage.outcomes(slot).await, ["wrong_prev_randao"]);
    let why = stage.auction(slot).await["why_no_bid"].as_str().unwrap().to_owned();
    assert!(why.contains("the beacon node says 0x5353") && why.contains("nobody is blamed"), "{why}");
    // Told once: by condition, event and notice.
    let check = stage.ready("payload_attributes", |check| check["ok"] == false).await;
    assert!(
        check["detail"]
            .as_str()
            .unwrap()
            .contains(&format!("in slot {slot} no bid was as the beacon node says")),
        "{check}"
    );
    stage
        .until_metric("relaymux_notices_total{rule=\"node_contradicts_relays\"}", |count| count == 1.0)
        .await;
    // Over as soon as a bid is as the node has it. With a blemish, a good bid would not bring the score above what it was.
    stage.relays[0].behave(|honest| honest.header(HeaderFault::None));
    let slot = stage.next_slot().await;
    stage.node_says_the_truth(slot).await;
    assert_eq!(stage.winner_in(slot).await, Some(0));
    stage.bids_score(0, |score| score > before).await;
    stage.ready("payload_attributes", |check| check["ok"] == true).await;
    assert_eq!(stage.metric("relaymux_notices_total{rule=\"node_contradicts_relays\"}").await, Some(1.0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_overrules_the_relays_majority() {
    let stage = with_node()
        .relay(wrong(HeaderFault::WrongPrevRandao))
        .relay(honest().value(milli(80)).builder(2).header(HeaderFault::WrongPrevRandao))
        .relay(honest().value(milli(50)).builder(3))
        .start()
        .await;
    let slot = stage.next_slot().await;
    stage.node_says_the_truth(slot).await;
    assert_eq!(stage.winner_in(slot).await, Some(2));
    assert_eq!(stage.outcomes(slot).await, ["wrong_prev_randao", "wrong_prev_randao", "bid"]);
    // Left alone, the majority decides.
    assert_eq!(stage.winner_in(stage.fresh_slot()).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_comparison_can_be_turned_off() {
    let spec = Network::Mainnet.spec();
    let beacon = SimBeacon::start(spec).await.unwrap();
    let section = format!("[beacon]\nurl = \"{}\"\npayload_attributes = false", beacon.url());
    let stage = stage().slot_secs(2).relay(right()).section(&section).start().await;
    beacon.behave(|node| node.spec = stage.spec.clone());
    stage.ready("beacon_node", |check| check["ok"] == true).await;
    assert_eq!((stage.metric(FOLLOWED).await, beacon.asked("/eth/v1/events")), (Some(0.0), 0));
}

/// Not an empty list, and both presets, which hash a list differently.
#[tokio::test(flavor = "multi_thread")]
async fn withdrawals_are_hashed_as_the_network_does() {
    for builder in [with_node(), with_node().minimal()] {
        let stage = builder.relay(wrong(HeaderFault::WrongWithdrawals)).relay(right()).start().await;
        let slot = stage.next_slot().await;
        stage.node_says(&SimAttributes::of(slot, PARENT).withdrawals(sim_withdrawals(1))).await;
        assert_eq!(stage.winner_in(slot).await, Some(0));
        assert_eq!(stage.outcomes(slot).await, ["bid", "wrong_withdrawals"]);
    }
}

/// Word of another parent or slot is none; of several words on the same, the newest counts.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_newest_word_on_the_same_slot_and_parent_counts() {
    let stage = with_node().relay(right()).start().await;
    let slot = stage.next_slot().await;
    let next = Slot::new(slot.as_u64() + 1);
    stage.node_says(&SimAttributes::of(slot, B256::repeat_byte(0x77)).other_randao()).await;
    stage.node_says(&SimAttributes::of(next, PARENT).other_randao()).await;
    assert_eq!(stage.winner_in(slot).await, Some(0));
    stage.node_says_the_truth(next).await;
    assert_eq!(stage.winner_in(next).await, Some(0));
}

/// The auction is under way, and lasts as long as it may because one relay never answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_word_that_comes_during_the_auction_counts() {
    let stage = with_node()
        .relay(wrong(HeaderFault::WrongPrevRandao))
        .relay(right())
        .relay(honest().header(HeaderFault::Hangs))
        .start()
        .await;
    let slot = stage.next_slot().await;
    let word = async {
        eventually("the auction's start", async || {
            (!stage.relays[2].received("header").is_empty()).then_some(())
        })
        .await;
        stage.beacon().tell_attributes(&SimAttributes::of(slot, PARENT));
    };
    let (winner, ()) = tokio::join!(stage.winner_in(slot), word);
    assert_eq!(winner, Some(1));
    assert_eq!(stage.outcomes(slot).await, ["wrong_prev_randao", "bid", "timed_out"]);
}

/// The word comes after the auction: whoever asks again does not get what the client would refuse.
#[tokio::test(flavor = "multi_thread")]
async fn a_bid_that_the_node_contradicts_later_is_not_given_again() {
    let stage = with_node().relay(wrong(HeaderFault::WrongPrevRandao)).start().await;
    let slot = stage.next_slot().await;
    assert_eq!(stage.winner_in(slot).await, Some(0));
    assert_eq!(stage.winner_in(slot).await, Some(0));
    stage.node_says_the_truth(slot).await;
    assert_eq!(stage.winner_in(slot).await, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_without_the_topic_or_with_a_broken_stream_changes_nothing() {
    for habit in [EventHabit::LacksAttributes, EventHabit::Garbage, EventHabit::Endless] {
        let stage = with_node().relay(wrong(HeaderFault::WrongPrevRandao)).relay(right()).start().await;
        stage.until_metric(FOLLOWED, |value| value == 1.0).await;
        stage.beacon().behave(|node| node.events = habit);
        stage.beacon().break_streams();
        match habit {
            EventHabit::LacksAttributes => {
                eventually("the refusal", async || {
                    stage.log().contains("does not serve payload_attributes events").then_some(())
                })
                .await;
            }
            EventHabit::Garbage => stage.until_metric(NOT_READABLE, |count| count > 0.0).await,
            _ => {
                eventually("the end of it", async || {
                    stage.log().contains("an event of more than").then_some(())
                })
                .await;
            }
        }
        let slot = stage.far_slot(1);
        assert_eq!(stage.winner_in(slot).await, Some(0), "{habit:?}");
        assert_eq!(stage.outcomes(slot).await, ["bid", "bid"], "{habit:?}");
        assert_eq!(stage.metric(TAKEN).await, Some(0.0));
        let degraded = stage.ops_json("/readyz").await["degraded"].clone();
        assert_eq!(degraded, Value::Array(Vec::new()), "{habit:?}");
        assert!(stage.peak_mib() < 160, "{habit:?}: {} MiB", stage.peak_mib());
        // It is asked again, and used when it is well.
        if habit == EventHabit::Garbage {
            stage.beacon().behave(|node| node.events = EventHabit::Served);
            let slot = stage.next_slot().await;
            stage.node_says_the_truth(slot).await;
            assert_eq!(stage.winner_in(slot).await, Some(1));
        }
    }
}

/// Same times, another chain: only its genesis shows it, and it is found out while the stream is open.
#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_turns_out_to_be_of_another_network_is_not_heard() {
    let stage = with_watched_node().relay(right()).start().await;
    let slot = stage.far_slot(20);
    let false_word = SimAttributes::of(slot, PARENT).other_randao();
    stage.node_says(&false_word).await;
    stage.beacon().behave(|node| node.spec.genesis_fork_version = [9; 4]);
    stage.ready("beacon_node", |check| check["ok"] == false).await;
    stage.beacon().tell_attributes(&false_word);
    stage.until_metric(FOLLOWED, |value| value == 0.0).await;
    // What it said before is forgotten.
    assert_eq!(stage.winner_in(slot).await, Some(0));
    assert_eq!(stage.metric(TAKEN).await, Some(1.0));
    // It is believed again when it is of this network.
    stage.beacon().behave(|node| node.spec = stage.spec.clone());
    let slot = stage.next_slot().await;
    stage.node_says(&SimAttributes::of(slot, PARENT).other_randao()).await;
    assert_eq!(stage.winner_in(slot).await, None);
}

/// A word whose time is not its slot's is of another chain, whatever the genesis says.
#[tokio::test(flavor = "multi_thread")]
async fn a_word_with_another_time_is_not_taken() {
    let stage = with_node().relay(right()).start().await;
    let slot = stage.next_slot().await;
    let data = json!({ "version": "fulu", "data": { "proposal_slot": slot.to_string(), "parent_block_hash": PARENT,
        "payload_attributes": { "timestamp": "5", "prev_randao": B256::repeat_byte(1), "withdrawals": [] } } });
    stage.beacon().tell("payload_attributes", &data.to_string());
    stage.until_metric(WRONG_TIME, |count| count == 1.0).await;
    assert_eq!(stage.winner_in(slot).await, Some(0));
    assert!(stage.log().contains("the event says 5"), "{}", stage.log());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_stream_is_begun_again() {
    let stage = with_node().relay(wrong(HeaderFault::WrongWithdrawals)).relay(right()).start().await;
    stage.until_metric(FOLLOWED, |value| value == 1.0).await;
    stage.beacon().break_streams();
    stage.until_metric(FOLLOWED, |value| value == 0.0).await;
    let slot = stage.next_slot().await;
    stage.node_says_the_truth(slot).await;
    assert_eq!(stage.winner_in(slot).await, Some(1));
}

/// The stage's chain allows 9 blobs.
#[tokio::test(flavor = "multi_thread")]
async fn the_nodes_blob_schedule_raises_the_limit_and_never_lowers_it() {
    for (blobs, schedule, hides_genesis, outcome) in [
        (12, &[(0, 21)][..], false, "bid"),
        (12, &[], false, "too_many_blobs"),
        (12, &[(0, 11)], false, "too_many_blobs"),
        // Not yet in force.
        (12, &[(1 << 40, 21)], false, "too_many_blobs"),
        (9, &[(0, 3)], false, "bid"),
        // Who does not show which network it is of raises nothing.
        (12, &[(0, 21)], true, "too_many_blobs"),
    ] {
        let behave = move |node: &mut BeaconBehaviour| {
            node.blob_schedule = schedule.to_vec();
            node.hides_genesis = hides_genesis;
        };
        let stage = stage().with_beacon(behave).relay(honest().blobs(blobs)).start().await;
        stage.until_node_is_known().await;
        let slot = stage.far_slot(1);
        let _ = stage.header_at(slot).await;
        assert_eq!(stage.outcomes(slot).await, [outcome], "{blobs} {schedule:?}");
    }
}
