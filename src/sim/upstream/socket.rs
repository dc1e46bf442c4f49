//! The websocket of a simulated upstream, at a port of its own, as geth has it.

use std::sync::Arc;

use futures_util::{SinkExt, StreamExt};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::broadcast::{Receiver, error::RecvError},
    task::JoinSet,
};
use tokio_tungstenite::{WebSocketStream, accept_async, tungstenite::Message};
use tokio_util::sync::CancellationToken;

use super::{
    blocks::Told,
    script::{Script, UpstreamFault},
};

/// What connections name their subscriptions.
const HEADS: &str = "0xhead";
const PENDING: &str = "0xpend";

/// Takes connections until the stop, which breaks all of them.
pub(super) async fn serve(listener: TcpListener, script: Arc<Mutex<Script>>, stop: CancellationToken) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => {
                let Ok((stream, _)) = accepted else { return };
                let _ = stream.set_nodelay(true);
                connections.spawn(connection(stream, Arc::clone(&script)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, script: Arc<Mutex<Script>>) -> Option<()> {
    let mut socket = accept_async(stream).await.ok()?;
    let mut told: Receiver<Told> = script.lock().blocks.listen();
    let (mut heads, mut pending) = (false, None);
    loop {
        tokio::select! {
            event = told.recv() => match event {
                Ok(Told::Head(header)) if heads && !script.lock().is_silent => {
                    say(&mut socket, HEADS, header).await?;
                }
                Ok(Told::Pending(hash)) => match pending {
                    Some(true) => say(&mut socket, PENDING, json!({ "hash": hash, "nonce": "0x1" })).await?,
                    Some(false) => say(&mut socket, PENDING, json!(hash)).await?,
                    None => {}
                },
                Ok(Told::Head(_)) => {}
                Err(RecvError::Lagged(_) | RecvError::Closed) => return None,
            },
            message = socket.next() => {
                let Ok(Message::Text(text)) = message? else { continue };
                let call: Value = serde_json::from_str(&text).ok()?;
                let answer = {
                    let mut script = script.lock();
                    let refuses = script.fault == UpstreamFault::HashesOnly;
                    let name = call.pointer("/params/0").and_then(Value::as_str).unwrap_or_default();
                    let whole = call.pointer("/params/1") == Some(&json!(true));
                    let id = call.get("id").cloned().unwrap_or_default();
                    let result = match (call.get("method").and_then(Value::as_str).unwrap_or_default(), name) {
                        ("eth_subscribe", "newHeads") => {
                            heads = true;
                            Some(json!(HEADS))
                        }
                        ("eth_subscribe", "newPendingTransactions") if whole && refuses => {
                            let error = json!({ "code": -32602, "message": "too many arguments, want at most 1" });
                            Some(json!({ "error": error }))
                        }
                        ("eth_subscribe", "newPendingTransactions") => {
                            pending = Some(whole);
                            Some(json!(PENDING))
                        }
                        ("eth_unsubscribe", PENDING) => {
                            pending = None;
                            Some(json!(true))
                        }
                        _ => None,
                    };
                    match result {
                        Some(Value::Object(error)) => {
                            json!({ "jsonrpc": "2.0", "id": id, "error": error.get("error") })
                        }
                        Some(result) => {
                            script.count(call.get("method").and_then(Value::as_str).unwrap_or_default());
                            json!({ "jsonrpc": "2.0", "id": id, "result": result })
                        }
                        None => script.answer(&call),
                    }
                };
                socket.send(Message::text(answer.to_string())).await.ok()?;
            }
        }
    }
}

async fn say(socket: &mut WebSocketStream<TcpStream>, subscription: &str, result: Value) -> Option<()> {
    let params = json!({ "subscription": subscription, "result": result });
    let text = json!({ "jsonrpc": "2.0", "method": "eth_subscription", "params": params }).to_string();
    socket.send(Message::text(text)).await.ok()
}
