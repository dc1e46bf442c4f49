//! Clients that only listen: what each of them costs.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use crate::{
    contestant::{Program, Running},
    table::Table,
    upstream::Upstream,
};

/// Clients at once.
const CLIENTS: usize = 10_000;
/// Connections that are opened at once.
const AT_ONCE: usize = 64;

/// Opens clients that subscribe to heads, and says what memory they take.
pub(crate) async fn idle(table: &Table) {
    table.head(&format!("{CLIENTS} websocket clients that listen to heads"));
    let nodes = [Upstream::start().await, Upstream::start().await];
    let running = Running::start(&Program::Relaymux, [nodes[0].address, nodes[1].address], None).await;
    let before = running.memory("VmRSS");
    let mut clients: Vec<WebSocketStream<TcpStream>> = Vec::new();
    let mut refused = 0_usize;
    while clients.len() + refused < CLIENTS {
        let opening: Vec<_> = (0..AT_ONCE.min(CLIENTS - clients.len() - refused))
            .map(|_| {
                let address = running.address;
                tokio::spawn(async move {
                    let tcp = TcpStream::connect(address).await.ok()?;
                    let (mut socket, _) = client_async(format!("ws://{address}/"), tcp).await.ok()?;
                    let subscribe =
                        r#"{"jsonrpc":"2.0","id":1,"method":"eth_subscribe","params":["newHeads"]}"#;
                    socket.send(Message::text(subscribe)).await.ok()?;
                    let answer = socket.next().await?.ok()?;
                    answer.to_text().ok()?.contains("result").then_some(socket)
                })
            })
            .collect();
        for opened in opening {
            match opened.await.unwrap() {
                Some(socket) => clients.push(socket),
                None => refused += 1,
            }
        }
    }
    // Each is told of some heads meanwhile.
    let cpu = running.cpu();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (after, spent) = (running.memory("VmRSS"), running.cpu().saturating_sub(cpu));
    table.row("clients", "", &vec![Some(clients.len() as f64)], &format!("{refused} refused"));
    table.row(
        "memory of one",
        "KiB",
        &vec![Some((after.saturating_sub(before)) as f64 / clients.len() as f64)],
        "",
    );
    table.row("memory of all", "MiB", &vec![Some(after.saturating_sub(before) as f64 / 1024.0)], "");
    table.row(
        "CPU of one head to one client",
        "µs",
        &vec![Some(spent.as_secs_f64() * 1e6 / 5.0 / clients.len() as f64)],
        "",
    );
    let mut heard = 0_usize;
    for client in &mut clients {
        if let Ok(Some(Ok(_))) = tokio::time::timeout(Duration::from_secs(2), client.next()).await {
            heard += 1;
        }
    }
    table.row("clients that heard a head", "", &vec![Some(heard as f64)], "");
}
