//! What a loaded gateway costs the consensus client, which asks the same process for headers.

use std::time::Duration;

use relaymux::sim::Behaviour;
use tokio::time::{Instant, sleep};

use crate::{
    CONNECTIONS, RATE,
    arena::{World, milli},
    client::Connection,
    contestant::{Program, Running},
    load,
    machine::Quiet,
    table::{Table, ms, quantile},
    upstream::Upstream,
};

/// Headers of a column, one at a time.
const HEADERS: u64 = 200;
/// Between two of them.
const PAUSE: Duration = Duration::from_millis(30);

/// Headers alone, beside the roadmap's load, and beside five times of it.
pub(crate) async fn beside_load() {
    let table = Table::new(vec!["beside 1,000 reads a second".to_owned(), "alone".to_owned()]);
    table.head("Headers of 8 relays that answer after 20 ms, from the request to the whole answer");
    let quiet = Quiet::watch();
    let relay = |n: u8| {
        Behaviour::default().builder(n).value(milli(40 + u64::from(n))).delay(Duration::from_millis(20))
    };
    let world = World::of((0..8).map(relay).collect()).await;
    let nodes = [Upstream::start().await, Upstream::start().await];
    let running =
        Running::start(&Program::Relaymux, [nodes[0].address, nodes[1].address], Some(&world)).await;
    let alone = ask(&world, &running).await;
    let lasts =
        (PAUSE + Duration::from_millis(30)) * u32::try_from(HEADERS).unwrap() + Duration::from_secs(4);
    let reads = tokio::spawn(load::run(running.address, RATE, CONNECTIONS, lasts));
    sleep(Duration::from_secs(2)).await;
    let beside = ask(&world, &running).await;
    let reads = reads.await.unwrap();
    for (what, per_mille) in [("p50", 500), ("p99", 990), ("slowest", 1000)] {
        let figures = vec![Some(ms(quantile(&beside, per_mille))), Some(ms(quantile(&alone, per_mille)))];
        table.row(what, "ms", &figures, "the relays: 20 ms");
    }
    table.row("reads that failed", "", &vec![Some(reads.failed as f64), None], "");
    table.row("reads, p95", "ms", &vec![Some(ms(quantile(&reads.took, 950))), None], "");
    table.note(&quiet.report());
}

async fn ask(world: &World, running: &Running) -> Vec<Duration> {
    let mut connection = Connection::open(running.builder.unwrap()).await.unwrap();
    let mut took = Vec::new();
    for ask in world.asks(HEADERS) {
        let began = Instant::now();
        let answer = connection.get(&world.path(ask)).await.unwrap();
        assert_eq!(answer.status, 200);
        took.push(began.elapsed());
        sleep(PAUSE).await;
    }
    took.sort_unstable();
    took
}
