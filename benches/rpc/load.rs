//! Reads at a rate, whatever becomes of the answers: each is due at its time, and what it waited for its connection counts as waiting.

use std::{
    net::SocketAddr,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, sleep_until};

use crate::client::{Answer, Connection};

/// No two reads are the same: neither a cache nor a call under way can answer another one's.
static READS: AtomicU64 = AtomicU64::new(1);

/// What came of a load.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// From when each read was due to its answer, sorted.
    pub(crate) took: Vec<Duration>,
    /// Reads without a result.
    pub(crate) failed: u64,
    /// What was seen first of those, for the reader.
    pub(crate) example: Option<String>,
}

/// A read of the state at the tip, as wallets make it.
pub(crate) fn read(id: u64) -> Bytes {
    let who = READS.fetch_add(1, Ordering::Relaxed);
    Bytes::from(format!(
        r#"{{"jsonrpc":"2.0","id":{id},"method":"eth_getBalance","params":["{who:#042x}","latest"]}}"#
    ))
}

/// Whether an answer has a result.
pub(crate) fn is_good(answer: &Answer) -> bool {
    answer.status == 200 && answer.body.windows(8).any(|window| window == b"\"result\"")
}

/// `rate` reads a second over `connections`, for a time. Each connection asks for one after the other.
pub(crate) async fn run(address: SocketAddr, rate: u64, connections: u64, lasts: Duration) -> Outcome {
    let start = Instant::now() + Duration::from_millis(300);
    let reads = rate * lasts.as_millis() as u64 / 1000;
    let workers: Vec<_> = (0..connections)
        .map(|worker| {
            tokio::spawn(async move {
                let mut outcome = Outcome::default();
                let mut connection = Connection::open(address).await;
                let mut due = worker;
                while due < reads {
                    let at = start + Duration::from_micros(due * 1_000_000 / rate);
                    sleep_until(at).await;
                    if connection.is_none() {
                        connection = Connection::open(address).await;
                    }
                    let answer = match &mut connection {
                        Some(connection) => connection.post("/", "application/json", read(due)).await,
                        None => None,
                    };
                    outcome.took.push(at.elapsed());
                    if !answer.as_ref().is_some_and(is_good) {
                        outcome.failed += 1;
                        outcome.example.get_or_insert_with(|| match &answer {
                            Some(answer) => {
                                let body: String =
                                    String::from_utf8_lossy(&answer.body).chars().take(200).collect();
                                format!("HTTP {} {body}", answer.status)
                            }
                            None => "the connection broke".to_owned(),
                        });
                    }
                    if answer.is_none() {
                        connection = None;
                    }
                    due += connections;
                }
                outcome
            })
        })
        .collect();
    let mut all = Outcome::default();
    for worker in workers {
        let outcome = worker.await.unwrap();
        all.took.extend(outcome.took);
        all.failed += outcome.failed;
        all.example = all.example.or(outcome.example);
    }
    all.took.sort_unstable();
    all
}
