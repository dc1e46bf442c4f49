//! How many signatures are checked for a header.

use std::time::Duration;

use crate::stage::{Stage, honest, milli, stage};

/// Relays, each a little slower than the one before.
const RELAYS: u64 = 8;
/// Headers by which the relays get a record, and headers that are counted.
const BEFORE: usize = 20;
const COUNTED: usize = 40;

impl Stage {
    async fn checks(&self) -> u64 {
        let metrics =
            self.http.get(format!("{}/metrics", self.ops)).send().await.unwrap().text().await.unwrap();
        let checks = metrics.lines().filter_map(|line| {
            line.strip_prefix("relaymux_signature_checks_total")?.rsplit(' ').next()?.parse::<u64>().ok()
        });
        checks.sum()
    }
}

/// Whoever wins, and whenever its bid came: most headers cost one check. A check of each leader that leads for a moment costs two.
#[tokio::test(flavor = "multi_thread")]
async fn most_headers_cost_one_check() {
    let mut builder = stage();
    for relay in 0..RELAYS {
        // Values that have nothing to do with who is faster.
        let name = u8::try_from(relay).unwrap();
        let bids = honest().builder(name).value(milli(10)).value_spread(milli(90));
        builder = builder.relay(bids.delay(Duration::from_millis(20 + 14 * relay)));
    }
    let stage = builder.start().await;
    for _ in 0..BEFORE {
        assert!(stage.header().await.is_some());
    }
    let before = stage.checks().await;
    for _ in 0..COUNTED {
        assert!(stage.header().await.is_some());
    }
    let checks = stage.checks().await - before;
    println!("{checks} checks for {COUNTED} headers");
    let (least, most) = (COUNTED as u64, COUNTED as u64 * 3 / 2);
    assert!((least..most).contains(&checks), "{checks} checks for {COUNTED} headers");
}
