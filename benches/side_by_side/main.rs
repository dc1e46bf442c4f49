//! This build, other builds of it, and a rival, behind the same simulated relays in one run. `scripts/bench` starts it.
//!
//! Every figure is of a real process on loopback sockets. The relays run in this process, so that the moment at which a relay
//! answered and the moment at which the client had its header are read from one clock: *added latency* is the second minus
//! the latest first. Every request asks for a block that nobody asked for before, but for one row that says otherwise: two requests
//! for one block share an auction. Beside each figure stands the floor: what nobody's code can beat on this machine. After each table
//! stands how quiet the machine was. Nothing here fails because of a time.
//!
//! Arguments: the parts to run. `RELAYMUX_BENCH_BINARY` names other builds, separated by colons; `MEV_BOOST` names mev-boost's binary;
//! `RELAYMUX_BENCH_HEADERS`, `RELAYMUX_BENCH_OVERLOAD` and `RELAYMUX_BENCH_VALIDATORS` are how many of each.

#![allow(
    clippy::cast_precision_loss,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "it fails by panicking and speaks to its user"
)]
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a benchmark fails by panicking and speaks to its user"
)]

mod allocations;
mod arena;
mod client;
mod headers;
mod machine;
mod overload;
mod plot;
mod registrations;
mod scale;
mod table;

use arena::{Contestant, Running, World};
use machine::{Floors, Quiet};
use table::{Table, ms};

/// What is measured, and with what.
pub(crate) struct Bench {
    contestants: Vec<Contestant>,
    table: Table,
    floors: Floors,
    /// Headers of a row, one at a time.
    headers: u64,
    /// Headers of an overload.
    overload_headers: u64,
    /// The most registrations in one body.
    validators: usize,
}

impl Bench {
    fn new() -> Self {
        let contestants = Contestant::all();
        Self {
            table: Table::new(contestants.iter().map(|contestant| contestant.name.clone()).collect()),
            contestants,
            floors: Floors::measure(),
            headers: setting("RELAYMUX_BENCH_HEADERS", 300),
            overload_headers: setting("RELAYMUX_BENCH_OVERLOAD", 1000),
            validators: usize::try_from(setting("RELAYMUX_BENCH_VALIDATORS", 100_000)).unwrap(),
        }
    }

    async fn start(&self, world: &World) -> Vec<Running> {
        let mut running = Vec::new();
        for contestant in &self.contestants {
            running.push(Running::start(contestant, world).await);
        }
        running
    }

    fn head(&self, title: &str) -> Quiet {
        self.table.head(title);
        Quiet::watch()
    }

    fn quiet(&self, quiet: &Quiet) {
        self.table.note(&quiet.report());
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

#[tokio::main]
async fn main() {
    let bench = Bench::new();
    println!("{}", machine::description());
    println!(
        "floors: one signature check {:.3} ms, copying {:.1} GiB/s",
        ms(bench.floors.check),
        bench.floors.copy_per_second / f64::from(1 << 30)
    );
    println!("at the start: {}", Quiet::watch().report());
    if std::env::var_os("MEV_BOOST").is_none() {
        println!("without a rival: MEV_BOOST=/path/to/mev-boost measures one beside it");
    }
    // `cargo bench` adds its own flags; what is no flag names the parts to run.
    let wanted: Vec<String> =
        std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let runs = |part: &str| wanted.is_empty() || wanted.iter().any(|name| name == part);
    if runs("idle") {
        bench.idle().await;
    }
    if runs("latency") {
        bench.latency().await;
    }
    if runs("same") {
        bench.same_block().await;
    }
    if runs("hanging") {
        bench.hanging().await;
    }
    if runs("connections") {
        bench.connections().await;
    }
    if runs("burnt") {
        bench.burnt().await;
    }
    if runs("blocked") {
        bench.blocked().await;
    }
    if runs("registrations") {
        bench.registrations().await;
    }
    // Under valgrind everything takes fifty times as long: only by name.
    if wanted.iter().any(|name| name == "allocations") {
        bench.allocations().await;
    }
    // Minutes of its own, and a picture: only by name.
    if wanted.iter().any(|name| name == "scale") {
        bench.scale().await;
    }
}
