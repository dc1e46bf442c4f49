//! How often a header asks the allocator, counted by valgrind in the real process: the difference of two runs, so that the start is nobody's.

use std::process::{Command, Stdio};

use crate::{
    Bench,
    arena::{Contestant, Running, World},
    headers::anybody_wins,
};

const FEW: u64 = 20;
const MANY: u64 = 100;

impl Bench {
    pub(crate) async fn allocations(&self) {
        let found =
            Command::new("valgrind").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        if !found.is_ok_and(|status| status.success()) {
            println!(
                "LEFT OUT: allocations, because valgrind is not installed here (apt-get install valgrind)."
            );
            return;
        }
        self.table.head("asked of the allocator per header of 8 relays, by valgrind");
        let (mut blocks, mut bytes) = (Vec::new(), Vec::new());
        for contestant in &self.contestants {
            if !contestant.is_relaymux() {
                blocks.push(None);
                bytes.push(None);
                continue;
            }
            let (few, many) = (count(contestant, FEW).await, count(contestant, MANY).await);
            let each = |few: f64, many: f64| Some((many - few) / (MANY - FEW) as f64);
            blocks.push(each(few.0, many.0));
            bytes.push(each(few.1 / 1024.0, many.1 / 1024.0));
        }
        self.table.row("allocations", "", &blocks, "");
        self.table.row("bytes of them", "KiB", &bytes, "");
    }
}

/// Blocks and bytes of a whole life with so many headers.
async fn count(contestant: &Contestant, headers: u64) -> (f64, f64) {
    let world = World::of(anybody_wins(8)).await;
    let mut process = Running::start_counted(contestant, &world).await;
    let mut connection = process.connect().await;
    for ask in world.asks(headers) {
        connection.get(&world.path(ask)).await;
    }
    let words = process.end_and_read().await;
    // `Total:     1,234,567 bytes in 8,901 blocks`
    let line = words.lines().find_map(|line| line.split_once("Total:")).unwrap().1.replace(',', "");
    let numbers: Vec<f64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    (numbers[1], numbers[0])
}
