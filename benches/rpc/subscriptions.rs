//! Subscriptions while upstreams die: what clients were told, against what was mined.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use relaymux::sim::{SimBlocks, SimUpstream};
use serde_json::Value;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use crate::{
    contestant::{Program, Running},
    seconds,
    table::{Table, ms},
    upstream::CHAIN_ID,
};

/// Clients that listen to heads and logs.
const CLIENTS: usize = 200;
const HEIGHT: u64 = 1000;
/// Between two blocks: faster than any chain that has many nodes.
const BLOCK: Duration = Duration::from_millis(250);
/// Logs in each block.
const LOGS: u64 = 3;
/// How long an upstream is away, and then there.
const AWAY: Duration = Duration::from_millis(1500);

/// When each block was mined, by its hash.
type Mined = Arc<Mutex<HashMap<String, Instant>>>;

/// What one client was told.
#[derive(Default)]
struct Told {
    /// How often each head came.
    heads: HashMap<String, u32>,
    /// How often each log came, less how often it was taken back: by its block and its place there.
    logs: HashMap<(String, String), i32>,
    longest_wait: Duration,
    is_cut: bool,
}

/// Kills upstreams in turn, and now and then both; reorganises the chain between; and counts.
pub(crate) async fn while_upstreams_die(table: &Table) {
    let lasts = seconds("RELAYMUX_BENCH_RPC_SECONDS", 60);
    table.head(&format!(
        "{CLIENTS} clients with newHeads and logs, {} s of upstreams that are killed",
        lasts.as_secs()
    ));
    let blocks = SimBlocks::new(HEIGHT);
    let mut nodes = [upstream(&blocks).await, upstream(&blocks).await];
    let of = |url: String| -> SocketAddr { url.split_once("://").unwrap().1.parse().unwrap() };
    let http = [of(nodes[0].url()), of(nodes[1].url())];
    let sockets = [of(nodes[0].ws_url()), of(nodes[1].ws_url())];
    let running = Running::start_listening(&Program::Relaymux, http, sockets).await;
    let mined = Mined::default();
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = Vec::new();
    for _ in 0..CLIENTS {
        let socket = subscribed(running.address).await;
        clients.push(tokio::spawn(listen(socket, Arc::clone(&mined), Arc::clone(&stop))));
    }
    let (began, mut kills, mut reorganisations) = (Instant::now(), 0_u32, 0_u32);
    let (mut due, mut turn) = (began, 0_u32);
    let per_turn = (2 * AWAY.as_millis() / BLOCK.as_millis()) as u32;
    let mut dead = [false; 2];
    let before = running.cpu();
    while began.elapsed() < lasts {
        let step = turn % per_turn;
        let who = (turn / per_turn) as usize;
        if step == 0 {
            // Every fifth time nobody is left.
            for (place, node) in nodes.iter().enumerate() {
                if who % 2 == place || who % 5 == 4 {
                    node.kill();
                    dead[place] = true;
                    kills += 1;
                }
            }
        } else if step == per_turn / 2 {
            revive(&mut nodes, &mut dead).await;
        }
        let height = blocks.height();
        if turn % 17 == 16 {
            blocks.reorganise(u64::from(turn % 3) + 1);
            reorganisations += 1;
        } else {
            blocks.mine_with(LOGS);
        }
        note(&blocks, height, &mined);
        turn += 1;
        due += BLOCK;
        tokio::time::sleep_until(due).await;
    }
    revive(&mut nodes, &mut dead).await;
    let cpu = running.cpu().saturating_sub(before);
    // A last block, and time for all that is owed.
    sleep(Duration::from_secs(5)).await;
    let height = blocks.height();
    blocks.mine_with(LOGS);
    note(&blocks, height, &mined);
    sleep(Duration::from_secs(5)).await;
    stop.store(true, Ordering::Relaxed);
    let mut lost = (0_usize, 0_usize);
    let (mut doubled, mut cut, mut told, mut longest) = (0_usize, 0_usize, 0_usize, Duration::ZERO);
    let canonical: Vec<String> =
        (HEIGHT + 1..=blocks.height()).map(|number| blocks.hash(number).unwrap().to_string()).collect();
    for client in clients {
        let Told { heads, mut logs, longest_wait, is_cut } = client.await.unwrap();
        told += heads.len();
        cut += usize::from(is_cut);
        longest = longest.max(longest_wait);
        doubled += heads.values().filter(|times| **times > 1).count();
        for hash in &canonical {
            lost.0 += usize::from(!heads.contains_key(hash));
            for index in 0..blocks.logs_of(hash) {
                match logs.remove(&(hash.clone(), format!("{index:#x}"))) {
                    Some(1) => {}
                    Some(times) if times > 1 => doubled += 1,
                    Some(_) | None => lost.1 += 1,
                }
            }
        }
        // What is left is of blocks that are none any more: all of it must have been taken back.
        doubled += logs.values().filter(|times| **times != 0).count();
    }
    let count = |number: usize| vec![Some(number as f64)];
    let words =
        format!("{kills} kills, {reorganisations} reorganisations, {} blocks", mined.lock().unwrap().len());
    table.row("heads told to all clients together", "", &count(told), &words);
    table.row("heads lost", "", &count(lost.0), "");
    table.row("logs lost", "", &count(lost.1), "");
    table.row("heads or logs doubled, or not taken back", "", &count(doubled), "");
    table.row("clients cut", "", &count(cut), "");
    table.row("longest wait for a head", "ms", &vec![Some(ms(longest))], "also while nobody is there");
    let share = cpu.as_secs_f64() / lasts.as_secs_f64() * 100.0;
    table.row("CPU of the gateway", "% of a core", &vec![Some(share)], "");
}

async fn upstream(blocks: &SimBlocks) -> SimUpstream {
    SimUpstream::start_on(CHAIN_ID, blocks).await.unwrap()
}

/// Those that are dead are there again.
async fn revive(nodes: &mut [SimUpstream; 2], dead: &mut [bool; 2]) {
    for (node, is_dead) in nodes.iter_mut().zip(dead) {
        if std::mem::take(is_dead) {
            node.revive().await.unwrap();
        }
    }
}

/// Notes when the newest blocks were mined: after a reorganisation those that took the place of others, too.
fn note(blocks: &SimBlocks, height: u64, mined: &Mined) {
    let mut mined = mined.lock().unwrap();
    for number in height.saturating_sub(4)..=blocks.height() {
        if number > HEIGHT {
            mined.entry(blocks.hash(number).unwrap().to_string()).or_insert_with(Instant::now);
        }
    }
}

async fn subscribed(address: SocketAddr) -> WebSocketStream<TcpStream> {
    let tcp = TcpStream::connect(address).await.unwrap();
    let (mut socket, _) = client_async(format!("ws://{address}/"), tcp).await.unwrap();
    for topic in ["newHeads", "logs"] {
        let call = format!(r#"{{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["{topic}"]}}"#);
        socket.send(Message::text(call)).await.unwrap();
        let answer = socket.next().await.unwrap().unwrap();
        assert!(answer.to_text().unwrap().contains("result"), "{answer}");
    }
    socket
}

async fn listen(mut socket: WebSocketStream<TcpStream>, mined: Mined, stop: Arc<AtomicBool>) -> Told {
    let mut told = Told::default();
    while !stop.load(Ordering::Relaxed) {
        let Ok(message) = timeout(Duration::from_millis(500), socket.next()).await else { continue };
        let Some(Ok(message)) = message else {
            told.is_cut = true;
            return told;
        };
        let Message::Text(text) = message else {
            told.is_cut |= message.is_close();
            continue;
        };
        let notice: Value = serde_json::from_str(&text).unwrap();
        let result = &notice["params"]["result"];
        let of = |name: &str| result[name].as_str().unwrap_or_default().to_owned();
        if result.get("parentHash").is_some() {
            let wait = mined.lock().unwrap().get(&of("hash")).map(Instant::elapsed);
            told.longest_wait = told.longest_wait.max(wait.unwrap_or_default());
            *told.heads.entry(of("hash")).or_default() += 1;
        } else {
            let by = if result["removed"] == true { -1 } else { 1 };
            *told.logs.entry((of("blockHash"), of("logIndex"))).or_default() += by;
        }
    }
    told
}
