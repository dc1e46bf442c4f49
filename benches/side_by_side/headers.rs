//! One header at a time: what we add to the relays' own time, and what it costs.

use std::time::Duration;

use relaymux::sim::Behaviour;
use tokio::time::{Instant, sleep};

use crate::{
    Bench,
    arena::{Running, World, milli},
    table::{ms, quantile},
};

/// Between two headers: what is written down after an answer falls in nobody's measurement.
const PAUSE: Duration = Duration::from_millis(20);

/// Headers of a contestant before it is another one's turn.
const TURN: usize = 10;
/// What counts signature checks.
const CHECKS: &str = "relaymux_signature_checks_total";

/// What headers cost a contestant.
pub(crate) struct Cost {
    pub(crate) added: Vec<Duration>,
    pub(crate) cpu_ms: f64,
    switches: f64,
    checks: Option<f64>,
}

/// Relays that answer after 20 to 120 ms, and anybody may win.
pub(crate) fn anybody_wins(count: u8) -> Vec<Behaviour> {
    let one = |n: u8| {
        Behaviour::default()
            .builder(n)
            .value(milli(40))
            .value_spread(milli(50))
            .delay(Duration::from_millis(20))
            .jitter(Duration::from_millis(100))
    };
    (0..count).map(one).collect()
}

/// The first relay wins and answers after `winner`, the others between `from` and `to`.
fn winner_at(winner: u64, from: u64, to: u64) -> Vec<Behaviour> {
    let mut all = anybody_wins(8);
    for (n, behaviour) in all.iter_mut().enumerate() {
        let of = behaviour.clone();
        *behaviour = if n == 0 {
            of.value(milli(200)).delay(Duration::from_millis(winner)).jitter(Duration::from_millis(1))
        } else {
            of.delay(Duration::from_millis(from)).jitter(Duration::from_millis(to - from))
        };
    }
    all
}

/// What was seen of a contestant so far.
#[derive(Default)]
struct Seen {
    cpu: Duration,
    switches: u64,
    added: Vec<Duration>,
}

/// The contestants in turn, some headers each, so that whatever the machine does it does to all of them. Only what a process does in its
/// own turn counts as its CPU.
pub(crate) async fn ask_in_turn(world: &World, running: &[Running], headers: u64) -> Vec<Cost> {
    let mut connections = Vec::new();
    for process in running {
        connections.push(process.connect().await);
    }
    let (warm, counted) = (world.asks(20), world.asks(headers));
    for ask in warm {
        for connection in &mut connections {
            connection.get(&world.path(ask)).await;
        }
    }
    sleep(Duration::from_millis(500)).await;
    let mut checks = Vec::new();
    for process in running {
        checks.push(process.counter(CHECKS).await);
    }
    let mut seen: Vec<Seen> = running.iter().map(|_| Seen::default()).collect();
    for turn in counted.chunks(TURN) {
        for ((process, connection), seen) in running.iter().zip(&mut connections).zip(&mut seen) {
            let before = (process.cpu(), process.switches());
            for ask in turn {
                // A rival may have nothing for a slot: it is left out of its times.
                if let Some(answer) =
                    connection.get(&world.path(*ask)).await.filter(|answer| answer.status == 200)
                {
                    seen.added.push(answer.at.saturating_duration_since(world.last_answer(*ask).unwrap()));
                }
                sleep(PAUSE).await;
            }
            sleep(PAUSE).await;
            seen.cpu += process.cpu().saturating_sub(before.0);
            seen.switches += process.switches().saturating_sub(before.1);
        }
    }
    let mut result = Vec::new();
    for ((process, seen), checks) in running.iter().zip(seen).zip(checks) {
        let Seen { cpu, switches, mut added } = seen;
        let each = |total: f64| total / headers as f64;
        let now = process.counter(CHECKS).await;
        added.sort_unstable();
        result.push(Cost {
            cpu_ms: each(ms(cpu)),
            switches: each(switches as f64),
            checks: now.zip(checks).map(|(now, before)| each(now - before)),
            added,
        });
    }
    result
}

/// A `status` call needs no relay and no computing: both hops, after the same idleness.
async fn status_calls(running: &[Running], calls: u64) -> Vec<Duration> {
    let mut medians = Vec::new();
    for process in running {
        let mut connection = process.connect().await;
        let mut trips = Vec::new();
        for _ in 0..calls {
            sleep(Duration::from_millis(30)).await;
            let started = Instant::now();
            let answer = connection.get("/eth/v1/builder/status").await.unwrap();
            trips.push(answer.at.saturating_duration_since(started));
        }
        trips.sort_unstable();
        medians.push(quantile(&trips, 500));
    }
    medians
}

impl Bench {
    pub(crate) async fn latency(&self) {
        for (title, behaviours) in [
            ("any of 8 relays wins, answers after 20 to 120 ms", anybody_wins(8)),
            ("the winner answers last, after 121 ms", winner_at(120, 20, 110)),
            ("the winner answers first, after 20 ms", winner_at(20, 60, 120)),
        ] {
            let quiet = self.head(title);
            let world = World::of(behaviours).await;
            let running = self.start(&world).await;
            let costs = ask_in_turn(&world, &running, self.headers).await;
            let trips = status_calls(&running, self.headers.min(100)).await;
            let check = ms(self.floors.check);
            let floor = format!("a `status` call: {:.3} ms; one check: {check:.3} ms", ms(trips[0]));
            let of =
                |per_mille| costs.iter().map(|cost| Some(ms(quantile(&cost.added, per_mille)))).collect();
            self.table.row("added after the last relay's answer, p50", "ms", &of(500), &floor);
            self.table.row("added after the last relay's answer, p99", "ms", &of(990), &floor);
            let trips = trips.iter().map(|trip| Some(ms(*trip))).collect();
            self.table.row("a `status` call after the same idleness, p50", "ms", &trips, "");
            let cpu = costs.iter().map(|cost| Some(cost.cpu_ms)).collect();
            self.table.row("CPU per header", "ms", &cpu, &format!("one check: {check:.3} ms"));
            let checks = costs.iter().map(|cost| cost.checks).collect();
            self.table.row("signature checks per header", "", &checks, "1");
            let switches = costs.iter().map(|cost| Some(cost.switches)).collect();
            self.table.row("context switches per header", "", &switches, "18: one a socket's turn");
            let missing =
                costs.iter().map(|cost| Some(self.headers as f64 - cost.added.len() as f64)).collect();
            self.table.row(&format!("without a bid, of {}", self.headers), "", &missing, "0");
            self.quiet(&quiet);
        }
    }
}
