//! Asks what nobody else may ask often enough: the operator's nodes, what gas costs, and our own builder API. Each failure is counted, none is
//! told: telling is for whoever reads the minutes.

use std::{net::SocketAddr, time::Duration};

use reqwest::Client;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use super::{
    SlaNodes,
    minutes::minute_of,
    node_probe::{probe_beacon, probe_execution},
};
use crate::{
    consensus::{SlotClock, WallClock},
    ethereum::Block,
    events::{AnswerGrade, AnswerMeter},
    ledger::{GasRow, Ledger},
};

/// How often each is asked: five times a minute, once a slot on mainnet.
const EVERY: Duration = Duration::from_secs(12);
/// Longest wait for our own answer.
const OWN_TIMEOUT: Duration = Duration::from_secs(3);
/// Longest wait for what gas costs.
const GAS_TIMEOUT: Duration = Duration::from_secs(5);

/// Who is asked, and where it is counted.
#[derive(Clone, Debug)]
pub(super) struct ProbeParts {
    pub(super) nodes: SlaNodes,
    pub(super) execution_meter: AnswerMeter,
    pub(super) beacon_meter: AnswerMeter,
    pub(super) http: Client,
    pub(super) builder: Option<SocketAddr>,
    pub(super) builder_meter: AnswerMeter,
    pub(super) stopping: CancellationToken,
    pub(super) slots: SlotClock,
    pub(super) clock: WallClock,
    pub(super) ledger: Ledger,
}

/// Asks until told to stop.
pub(super) async fn run_probes(parts: ProbeParts, stop: CancellationToken) {
    let mut tick = interval(EVERY);
    // What was missed is not asked for all at once.
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut priced = None;
    loop {
        let round = async {
            tick.tick().await;
            let execution = async {
                let node = parts.nodes.execution.as_ref()?;
                probe_execution(node, parts.slots, &parts.clock, &parts.execution_meter).await
            };
            let beacon = async {
                if let Some(node) = &parts.nodes.beacon {
                    probe_beacon(node, parts.slots, &parts.clock, &parts.beacon_meter).await;
                }
            };
            let (head, (), ()) = tokio::join!(execution, beacon, probe_own(&parts));
            if let Some(head) = head {
                price(&parts, &head, &mut priced).await;
            }
        };
        tokio::select! {
            () = round => {}
            () = stop.cancelled() => return,
        }
    }
}

/// Writes down what gas costs, once a minute.
async fn price(parts: &ProbeParts, head: &Block, priced: &mut Option<i64>) {
    let Some(node) = &parts.nodes.execution else { return };
    let minute = minute_of(parts.clock.now());
    if *priced == Some(minute) {
        return;
    }
    // Whatever comes of it, the next try is in the next minute.
    *priced = Some(minute);
    match timeout(GAS_TIMEOUT, node.gas_price(head)).await {
        Ok(Ok(price)) => {
            let row = GasRow {
                minute,
                block_number: price.block_number,
                gas_price_wei: price.gas_price,
                base_fee_wei: price.base_fee,
                blob_base_fee_wei: price.blob_base_fee,
            };
            if let Err(error) = parts.ledger.save_gas(&row).await {
                warn!(%error, "what gas costs was not written down");
            }
        }
        Ok(Err(error)) => debug!(%error, "the node does not say what gas costs"),
        Err(_) => debug!("the node does not say in time what gas costs"),
    }
}

/// Asks our own builder API for its root, which no client asks for: whether it would answer one.
async fn probe_own(parts: &ProbeParts) {
    let Some(address) = parts.builder.map(reachable) else { return };
    // A stop is no failure.
    if parts.stopping.is_cancelled() {
        return;
    }
    let asked = tokio::time::Instant::now();
    // Once more, as a single stall of the machine is no outage.
    let is_well = root_answers(parts, address).await || root_answers(parts, address).await;
    let grade = match is_well {
        true => AnswerGrade::Good,
        false if parts.stopping.is_cancelled() => return,
        false => AnswerGrade::Bad,
    };
    parts.builder_meter.note(grade, asked.elapsed());
}

/// Whether the root answers as it always does: whatever else answers there is not ours.
async fn root_answers(parts: &ProbeParts, address: SocketAddr) -> bool {
    let answer = parts.http.get(format!("http://{address}/")).timeout(OWN_TIMEOUT).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

/// Every address of this machine is reached by its own.
fn reachable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => {
            SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), v4.port())
        }
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => {
            SocketAddr::new(std::net::Ipv6Addr::LOCALHOST.into(), v6.port())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_reached_by_the_machines_own() {
        for (bound, asked) in [
            ("0.0.0.0:18550", "127.0.0.1:18550"),
            ("[::]:18550", "[::1]:18550"),
            ("10.0.0.5:1", "10.0.0.5:1"),
        ] {
            assert_eq!(reachable(bound.parse().unwrap()), asked.parse().unwrap());
        }
    }

    /// Answers connections with these statuses, one after the other. How each look at it was graded.
    async fn looks(statuses: &'static [u16]) -> (u64, u64) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let _ = rustls::crypto::ring::default_provider().install_default();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let builder = listener.local_addr().unwrap();
        tokio::spawn(async move {
            for status in statuses {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 1024]).await;
                let answer = format!("HTTP/1.1 {status} X\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        });
        let parts = ProbeParts {
            nodes: SlaNodes::default(),
            execution_meter: AnswerMeter::default(),
            beacon_meter: AnswerMeter::default(),
            http: Client::builder().no_proxy().build().unwrap(),
            builder: Some(builder),
            builder_meter: AnswerMeter::default(),
            stopping: CancellationToken::new(),
            slots: SlotClock::new(0, 12_000),
            clock: WallClock::manual(0).0,
            ledger: Ledger::open_in_memory("mainnet").await.unwrap(),
        };
        probe_own(&parts).await;
        parts.stopping.cancel();
        probe_own(&parts).await;
        let seen = parts.builder_meter.take();
        (seen.good, seen.bad)
    }

    /// A stall of the machine is no outage, a second one is, and a stop is none.
    #[tokio::test]
    async fn our_own_port_is_asked_twice_before_it_counts_as_away() {
        assert_eq!(looks(&[200]).await, (1, 0));
        assert_eq!(looks(&[500, 200]).await, (1, 0));
        assert_eq!(looks(&[500, 503, 200]).await, (0, 1));
    }
}
