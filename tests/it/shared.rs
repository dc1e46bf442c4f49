//! Requests for the same slot, parent and proposer share one auction.

use std::time::Duration;

use relaymux::{
    consensus::{Encoding, SignedBuilderBid},
    sim::HeaderFault,
    types::{Fork, Slot},
};
use serde_json::Value;

use crate::stage::{PARENT, Stage, eventually, honest, milli, stage};

impl Stage {
    /// Asks as a client with so many milliseconds; the bid, or none.
    async fn ask(&self, slot: Slot, timeout_ms: u64) -> Option<SignedBuilderBid> {
        let request = self.http.get(self.header_url(slot)).header("x-timeout-ms", timeout_ms);
        let response = request.header("accept", Encoding::Ssz.mime()).send().await.unwrap();
        let status = response.status().as_u16();
        let body = response.bytes().await.unwrap();
        (status == 200).then(|| SignedBuilderBid::decode(Fork::Fulu, Encoding::Ssz, &body).unwrap())
    }

    /// All auctions of a slot, once there are so many.
    async fn auctions(&self, slot: Slot, count: usize) -> Vec<Value> {
        eventually("the auctions in the ledger", async || {
            let view = self.ops_json(&format!("/api/v1/slots/{slot}")).await;
            view["auctions"].as_array().filter(|auctions| auctions.len() == count).cloned()
        })
        .await
    }
}

fn how(auctions: &[Value]) -> Vec<&str> {
    let mut how: Vec<&str> = auctions.iter().map(|auction| auction["race"].as_str().unwrap()).collect();
    how.sort_unstable();
    how
}

/// A relay whose every answer is worth more: two auctions would have two winners.
fn rising() -> relaymux::sim::Behaviour {
    honest().values_in_turn((1..20).map(|n| milli(10 * n)).collect())
}

/// [H16]
#[tokio::test(flavor = "multi_thread")]
async fn two_requests_at_once_are_one_auction() {
    let stage = stage().relay(rising().delay(Duration::from_millis(300))).start().await;
    let slot = stage.slot();
    let (one, other) = tokio::join!(stage.ask(slot, 1900), stage.ask(slot, 1900));
    assert_eq!(one.unwrap().facts(), other.unwrap().facts());
    assert_eq!(stage.relays[0].received("header").len(), 1);
    let auctions = stage.auctions(slot, 2).await;
    assert_eq!(how(&auctions), ["joined", "own"]);
    // Both are recorded with the block, and the relay's bid once.
    let with_bids = auctions.iter().filter(|auction| !auction["bids"].as_array().unwrap().is_empty());
    assert_eq!(with_bids.count(), 1, "{auctions:?}");
    assert_eq!(auctions[0]["winner_block_hash"], auctions[1]["winner_block_hash"]);
    let metrics =
        stage.http.get(format!("{}/metrics", stage.ops)).send().await.unwrap().text().await.unwrap();
    assert!(metrics.contains("relaymux_shared_header_requests_total{how=\"joined\"} 1"), "{metrics}");
    assert!(metrics.contains("relaymux_relay_wins_total{relay=\"r0\"} 1"), "{metrics}");
}

/// [H16] The second gets the first's answer; another parent or another proposer's slot is another auction.
#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_gets_the_same_bid() {
    let stage = stage().relay(rising()).start().await;
    let slot = stage.slot();
    let first = stage.ask(slot, 1900).await.unwrap();
    let again = stage.ask(slot, 1900).await.unwrap();
    assert_eq!(first.facts(), again.facts());
    assert_eq!(how(&stage.auctions(slot, 2).await), ["own", "repeated"]);
    let other_parent = stage.header_url(slot).replace(&PARENT.to_string(), &format!("0x{}", "22".repeat(32)));
    assert_eq!(stage.http.get(other_parent).send().await.unwrap().status(), 200);
    assert!(stage.ask(Slot::new(slot.as_u64() + 1), 1900).await.is_some());
    assert_eq!(stage.relays[0].received("header").len(), 3);
}

/// However often one block is asked for, everybody gets it, and the ledger is not filled with it.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_flood_for_one_block_the_first_are_written_down() {
    let stage = stage().relay(rising()).start().await;
    let slot = stage.slot();
    let first = stage.ask(slot, 1900).await.unwrap();
    for _ in 0..40 {
        assert_eq!(stage.ask(slot, 1900).await.unwrap().facts(), first.facts());
    }
    eventually("all of them to be counted", async || {
        let metrics =
            stage.http.get(format!("{}/metrics", stage.ops)).send().await.unwrap().text().await.unwrap();
        metrics.contains("relaymux_shared_header_requests_total{how=\"repeated\"} 40").then_some(())
    })
    .await;
    let how_many = stage.auctions(slot, 17).await.len();
    assert_eq!((how_many, stage.relays[0].received("header").len()), (17, 1));
}

/// After a 204 the relays are asked again: they may have a bid now.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_after_no_bid_is_a_new_chance() {
    let stage = stage().relay(honest().header(HeaderFault::NoBid)).start().await;
    let slot = stage.slot();
    assert!(stage.ask(slot, 1900).await.is_none());
    stage.relays[0].behave(|relay| relay.header(HeaderFault::None));
    assert!(stage.ask(slot, 1900).await.is_some());
    assert_eq!(how(&stage.auctions(slot, 2).await), ["own", "own"]);
}

/// The client that began it hangs up: the other still gets the bid, and that is what is recorded.
#[tokio::test(flavor = "multi_thread")]
async fn the_first_client_hanging_up_takes_nothing_along() {
    let stage = stage().relay(rising().delay(Duration::from_millis(400))).start().await;
    let slot = stage.slot();
    let first = tokio::spawn(stage.http.get(stage.header_url(slot)).send());
    eventually("the relay to be asked", async || stage.relays[0].received("header").first().cloned()).await;
    let second = stage.ask(slot, 1900);
    let hang_up = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        first.abort();
    };
    let (bid, ()) = tokio::join!(second, hang_up);
    let bid = bid.unwrap();
    assert_eq!(stage.relays[0].received("header").len(), 1);
    // And who asks when all is over gets that one, too.
    assert_eq!(stage.ask(slot, 1900).await.unwrap().facts(), bid.facts());
}

/// Who joins with less time is answered in time, with the bid in hand, and the first gets that very bid.
#[tokio::test(flavor = "multi_thread")]
async fn the_client_with_less_time_decides_when_there_is_a_bid() {
    let stage = stage()
        .auction("timeout_get_header_ms = 1900")
        .relay(honest().value(milli(20)))
        .relay(honest().value(milli(90)).builder(1).delay(Duration::from_millis(1500)))
        .start()
        .await;
    let slot = stage.slot();
    let (first, second) = tokio::join!(stage.ask(slot, 1900), async {
        eventually("the first to be served", async || stage.relays[0].received("header").first().cloned())
            .await;
        stage.ask(slot, 500).await
    });
    assert_eq!(second.unwrap().facts().value, milli(20));
    assert_eq!(first.unwrap().facts().value, milli(20));
    let auctions = stage.auctions(slot, 2).await;
    assert!(auctions.iter().all(|auction| auction["answered_in_us"].as_u64().unwrap() < 1_400_000));
}

/// While there is no bid, nobody's time is cut: the one with less time gets 204, the other the bid.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_bid_in_hand_nobody_is_hurried() {
    let stage = stage()
        .auction("timeout_get_header_ms = 1900")
        .relay(honest().delay(Duration::from_millis(900)))
        .start()
        .await;
    let slot = stage.slot();
    let (first, second) = tokio::join!(stage.ask(slot, 1900), async {
        eventually("the first to be served", async || stage.relays[0].received("header").first().cloned())
            .await;
        stage.ask(slot, 200).await
    });
    assert!(second.is_none() && first.is_some());
    assert_eq!(stage.relays[0].received("header").len(), 1);
    assert_eq!(how(&stage.auctions(slot, 2).await), ["joined", "own"]);
}
