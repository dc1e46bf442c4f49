//! More headers are asked for at once than the machine can race for.

use std::{collections::BTreeSet, num::NonZero};

use futures_util::future::join_all;
use relaymux::{consensus::Encoding, sim::HeaderFault};

use crate::stage::{PARENT, Stage, eventually, honest, stage};

/// More than are held at once at first, on any machine: every race of this test lasts until its budget is over.
const TOO_MANY: usize = 160;

impl Stage {
    /// Header requests that were refused, by all reasons.
    async fn refused(&self) -> u64 {
        let metrics =
            self.http.get(format!("{}/metrics", self.ops)).send().await.unwrap().text().await.unwrap();
        let refused = metrics.lines().filter_map(|line| {
            line.strip_prefix("relaymux_refused_header_requests_total")?
                .rsplit(' ')
                .next()?
                .parse::<u64>()
                .ok()
        });
        refused.sum()
    }
}

/// What cannot be held is answered at once and says so, what is held is served, and a signed block waits for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_served_in_time_is_refused_and_a_signed_block_goes() {
    let stage = stage().relay(honest()).relay(honest().builder(1).header(HeaderFault::Hangs)).start().await;
    let slot = stage.slot();
    let bid = stage.header_at(slot).await.unwrap();
    let block = stage.signed_block(slot, &bid, Encoding::Ssz);
    assert_eq!(stage.refused().await, 0);

    let urls: BTreeSet<String> = (0..TOO_MANY)
        .map(|n| stage.header_url(slot).replace(&PARENT.to_string(), &format!("0x{:064x}", n + 1)))
        .collect();
    let asked = urls.len();
    let ask = |url: String| {
        let request = stage.http.get(url);
        async move { request.send().await.unwrap().status().as_u16() }
    };
    let flood = join_all(urls.into_iter().map(ask));
    let reveal = async {
        eventually("a request to be refused", async || (stage.refused().await > 0).then_some(())).await;
        stage.submit_request(2, Encoding::Ssz, block).send().await.unwrap().status().as_u16()
    };
    let (answers, revealed) = tokio::join!(flood, reveal);
    assert_eq!(revealed, 202);
    assert!(answers.iter().all(|status| matches!(status, 200 | 204)), "{answers:?}");
    let without = answers.iter().filter(|status| **status == 204).count();
    let refused = usize::try_from(stage.refused().await).unwrap();
    assert!((1..=without).contains(&refused), "{refused} of {asked} refused, {without} without a bid");
    assert!(without < asked, "nobody was served");
    // Nobody was asked for what was refused.
    assert_eq!(stage.relays[0].received("header").len(), 1 + asked - refused);

    eventually("a refusal in the ledger", async || {
        let view = stage.ops_json(&format!("/api/v1/slots/{slot}")).await;
        let auctions = view["auctions"].as_array()?;
        auctions
            .iter()
            .any(|auction| {
                auction["why_no_bid"].as_str().is_some_and(|reason| reason.starts_with("too busy"))
            })
            .then_some(())
    })
    .await;
    // And when it is over, it is over.
    assert!(stage.header().await.is_some());
}

/// Signatures are checked on threads of their own, which are named.
#[tokio::test(flavor = "multi_thread")]
async fn checks_have_threads_of_their_own() {
    let stage = stage().relay(honest()).start().await;
    assert!(stage.header().await.is_some());
    let cores = std::thread::available_parallelism().map_or(1, NonZero::get);
    let names = stage.thread_names();
    let checking = names.iter().filter(|name| name.starts_with("verify-")).count();
    assert_eq!(checking, if cores > 2 { cores - 1 } else { cores }, "{names:?}");
}
