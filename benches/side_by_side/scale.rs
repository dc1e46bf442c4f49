//! How the figures of this build grow: with relays, validators, beacon nodes, and the ledger beneath. Drawn into `docs/scale.svg`.

use std::{path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use relaymux::consensus::json_from_ssz;
use tokio::time::{Instant, sleep};

use crate::{
    Bench,
    arena::{Running, World},
    headers::{anybody_wins, ask_in_turn},
    machine::Quiet,
    plot::{Line, Panel, draw},
    registrations::{send, signed},
    table::{ms, quantile},
};

const BYTES: usize = 180;
/// Headers for each number of beacon nodes.
const ROUNDS: u64 = 100;

impl Bench {
    pub(crate) async fn scale(&self) {
        println!("\nhow it grows, this build alone");
        let mut panels =
            vec![self.by_relays().await, self.by_validators().await, self.by_beacon_nodes().await];
        if let Some(panel) = self.by_ledger().await {
            panels.push(panel);
        }
        let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("docs/scale.svg");
        std::fs::write(&path, draw(&panels)).unwrap();
        println!("\ndrawn into docs/scale.svg");
    }

    async fn by_relays(&self) -> Panel {
        let (mut p50, mut p99, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
        for count in [1_u8, 2, 4, 8, 16, 32] {
            let quiet = Quiet::watch();
            let world = World::of(anybody_wins(count)).await;
            let running = [Running::start(&self.contestants[0], &world).await];
            let cost = ask_in_turn(&world, &running, self.headers).await.remove(0);
            let x = f64::from(count);
            p50.push((x, ms(quantile(&cost.added, 500))));
            p99.push((x, ms(quantile(&cost.added, 990))));
            cpu.push((x, cost.cpu_ms));
            println!(
                "{count} relays: added p50 {:.2} ms, p99 {:.2} ms, CPU per header {:.2} ms ({})",
                p50[p50.len() - 1].1,
                p99[p99.len() - 1].1,
                cost.cpu_ms,
                quiet.report(),
            );
        }
        Panel {
            title: "relays",
            unit: "ms",
            lines: vec![
                Line { name: "added latency, p50", points: p50 },
                Line { name: "added latency, p99", points: p99 },
                Line { name: "CPU per header", points: cpu },
            ],
        }
    }

    async fn by_validators(&self) -> Panel {
        let world = World::of(anybody_wins(3)).await;
        let all = signed(&world.spec, 10_000);
        let (mut answers, mut new, mut again) = (Vec::new(), Vec::new(), Vec::new());
        for count in [1_usize, 10, 100, 1000, 10_000] {
            let body = Bytes::from(json_from_ssz(&all.slice(..count * BYTES)).unwrap());
            let process = Running::start(&self.contestants[0], &world).await;
            let first = send(&process, "application/json", body.clone()).await.unwrap();
            let second = send(&process, "application/json", body).await.unwrap();
            let x = count as f64;
            answers.push((x, ms(second.answer)));
            new.push((x, ms(first.cpu)));
            again.push((x, ms(second.cpu)));
            println!(
                "{count} validators in one JSON body: answered in {:.1} ms when new, {:.1} ms when known; CPU {:.0} and {:.0} ms",
                ms(first.answer),
                ms(second.answer),
                ms(first.cpu),
                ms(second.cpu)
            );
        }
        Panel {
            title: "validators in one body",
            unit: "ms",
            lines: vec![
                Line { name: "answer, known", points: answers },
                Line { name: "CPU, new", points: new },
                Line { name: "CPU, known", points: again },
            ],
        }
    }

    /// So many beacon nodes ask for one block at once, and share its auction.
    async fn by_beacon_nodes(&self) -> Panel {
        let world = Arc::new(World::of(anybody_wins(8)).await);
        let process = Running::start(&self.contestants[0], &world).await;
        let (mut p50, mut p99) = (Vec::new(), Vec::new());
        for count in [1_usize, 10, 100] {
            let mut connections = Vec::new();
            for _ in 0..count {
                connections.push(process.connect().await);
            }
            let mut added = Vec::new();
            for ask in world.asks(ROUNDS) {
                let path = world.path(ask);
                let answers = connections.iter_mut().map(|connection| connection.get(&path));
                for answer in futures_util::future::join_all(answers).await.into_iter().flatten() {
                    added.push(answer.at.saturating_duration_since(world.last_answer(ask).unwrap()));
                }
                sleep(Duration::from_millis(20)).await;
            }
            added.sort_unstable();
            let (half, most) = (ms(quantile(&added, 500)), ms(quantile(&added, 990)));
            p50.push((count as f64, half));
            p99.push((count as f64, most));
            println!("{count} beacon nodes at once: added p50 {half:.2} ms, p99 {most:.2} ms");
        }
        Panel {
            title: "beacon nodes asking at once",
            unit: "ms",
            lines: vec![
                Line { name: "added latency, p50", points: p50 },
                Line { name: "added latency, p99", points: p99 },
            ],
        }
    }

    /// Over an empty ledger and over the one that `RELAYMUX_BENCH_LEDGER` names.
    async fn by_ledger(&self) -> Option<Panel> {
        let Some(path) = std::env::var_os("RELAYMUX_BENCH_LEDGER").map(PathBuf::from) else {
            println!("the ledger beneath is left out: RELAYMUX_BENCH_LEDGER names none");
            return None;
        };
        let world = World::of(anybody_wins(8)).await;
        let (mut p50, mut p99, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
        for ledger in [None, Some(path.as_path())] {
            let mib = ledger.map_or(1, |path| std::fs::metadata(path).unwrap().len() >> 20).max(1) as f64;
            let started = Instant::now();
            let running = [Running::start_over(&self.contestants[0], &world, ledger).await];
            let start = started.elapsed();
            sleep(Duration::from_millis(500)).await;
            let memory = running[0].status("VmRSS") as f64 / 1024.0;
            let cost = ask_in_turn(&world, &running, self.headers).await.remove(0);
            p50.push((mib, ms(quantile(&cost.added, 500))));
            p99.push((mib, ms(quantile(&cost.added, 990))));
            cpu.push((mib, cost.cpu_ms));
            println!(
                "a ledger of {mib:.0} MiB: copied and up in {:.0} ms, {memory:.1} MiB at rest, added p50 {:.2} ms, p99 {:.2} ms, CPU per header {:.2} ms",
                ms(start),
                p50[p50.len() - 1].1,
                p99[p99.len() - 1].1,
                cost.cpu_ms
            );
        }
        Some(Panel {
            title: "MiB of ledger beneath",
            unit: "ms",
            lines: vec![
                Line { name: "added latency, p50", points: p50 },
                Line { name: "added latency, p99", points: p99 },
                Line { name: "CPU per header", points: cpu },
            ],
        })
    }
}
