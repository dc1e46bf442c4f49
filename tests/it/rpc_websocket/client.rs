//! A gateway whose upstreams have websockets, and a client that keeps what it is told.

use std::{collections::HashMap, time::Duration};

use futures_util::{SinkExt, StreamExt};
use relaymux::sim::{SimBlocks, SimUpstream};
use serde_json::{Value, json};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    WebSocketStream, client_async,
    tungstenite::{Error, Message, client::IntoClientRequest, protocol::CloseFrame},
};

use crate::stage::{Stage, eventually, honest, stage};

/// Nothing here takes this long on a working machine.
pub(super) const LONG: Duration = Duration::from_secs(30);

/// Two upstreams that show the same blocks.
pub(super) async fn upstreams(blocks: &SimBlocks) -> [SimUpstream; 2] {
    [SimUpstream::start_on(31337, blocks).await.unwrap(), SimUpstream::start_on(31337, blocks).await.unwrap()]
}

pub(super) fn section(upstreams: &[SimUpstream], keys: &str) -> String {
    let mut text = format!("[rpc]\nlisten = \"127.0.0.1:0\"\nchain_id = 31337\n{keys}\n");
    for (index, (upstream, tier)) in upstreams.iter().zip(["primary", "replica"]).enumerate() {
        text.push_str(&format!(
            "[[rpc.upstreams]]\nid = \"node-{index}\"\nurl = \"{}\"\nws_url = \"{}\"\ntier = \"{tier}\"\nprobe_ms = 100\n",
            upstream.url(),
            upstream.ws_url()
        ));
    }
    text
}

/// A gateway all of whose upstreams serve and are listened to.
pub(super) async fn gateway(upstreams: &[SimUpstream], keys: &str) -> Stage {
    let stage = stage().relay(honest()).section(&section(upstreams, keys)).start().await;
    all_serve(&stage, upstreams.len()).await;
    stage
}

pub(super) async fn all_serve(stage: &Stage, count: usize) {
    eventually("all upstreams to serve and to be listened to", async || {
        let health = stage.http.get(format!("{}/healthz", stage.rpc));
        let health = match stage.files_token() {
            Some(token) => health.bearer_auth(token),
            None => health,
        };
        let answer: Value = serde_json::from_slice(&health.send().await.ok()?.bytes().await.ok()?).ok()?;
        let serving = answer["serving"].as_array()?.len();
        let heard = stage.metric("relaymux_rpc_upstream_websockets").await?;
        (serving == count && heard >= f64::from(u32::try_from(count).unwrap())).then_some(())
    })
    .await;
}

impl Stage {
    /// The one token of [`TOKENS`], where the stage has that file.
    fn files_token(&self) -> Option<&'static str> {
        self.folder.path().join("tokens").exists().then_some(TOKEN)
    }
}

pub(super) const TOKEN: &str = "0123456789abcdef0123456789abcdef";
pub(super) const TOKENS: &str = "wallet 0123456789abcdef0123456789abcdef\n";

pub(super) type Socket = WebSocketStream<TcpStream>;

pub(super) async fn handshake(stage: &Stage, headers: &[(&'static str, &str)]) -> Result<Socket, Error> {
    let address = stage.rpc.strip_prefix("http://").unwrap();
    let mut request = format!("ws://{address}/").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(address).await.unwrap();
    client_async(request, stream).await.map(|(socket, _)| socket)
}

pub(super) async fn refused(stage: &Stage, headers: &[(&'static str, &str)]) -> u16 {
    match handshake(stage, headers).await {
        Ok(_) => 101,
        Err(Error::Http(answer)) => answer.status().as_u16(),
        Err(other) => panic!("{headers:?}: {other:?}"),
    }
}

/// A client, and what it is told of its subscriptions meanwhile.
pub(super) struct Client {
    pub(super) socket: Socket,
    pub(super) told: HashMap<String, Vec<Value>>,
}

impl Client {
    pub(super) async fn connect(stage: &Stage) -> Self {
        Self { socket: handshake(stage, &[]).await.unwrap(), told: HashMap::new() }
    }

    pub(super) async fn send(&mut self, text: impl Into<String>) {
        self.socket.send(Message::text(text.into())).await.unwrap();
    }

    pub(super) async fn message(&mut self) -> Message {
        timeout(LONG, self.socket.next()).await.unwrap().unwrap().unwrap()
    }

    /// The next text that is no notice.
    pub(super) async fn answer(&mut self) -> Value {
        loop {
            if let Message::Text(text) = self.message().await {
                let value: Value = serde_json::from_str(&text).unwrap();
                if value["method"] != "eth_subscription" {
                    return value;
                }
                self.note(&value);
            }
        }
    }

    pub(super) fn note(&mut self, notice: &Value) {
        let id = notice["params"]["subscription"].as_str().unwrap().to_owned();
        self.told.entry(id).or_default().push(notice["params"]["result"].clone());
    }

    pub(super) async fn call(&mut self, method: &str, params: Value) -> Value {
        self.send(json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params}).to_string()).await;
        self.answer().await
    }

    pub(super) async fn subscribe(&mut self, params: Value) -> String {
        let answer = self.call("eth_subscribe", params).await;
        answer["result"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned()
    }

    /// Listens until a subscription was told so much.
    pub(super) async fn hear(&mut self, id: &str, count: usize) -> &[Value] {
        while self.told.get(id).map_or(0, Vec::len) < count {
            if let Message::Text(text) = self.message().await {
                let notice = serde_json::from_str(&text).unwrap();
                self.note(&notice);
            }
        }
        &self.told[id]
    }

    /// Why it was cut.
    pub(super) async fn closed(&mut self) -> (u16, String) {
        loop {
            match timeout(LONG, self.socket.next()).await.unwrap() {
                Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => {
                    return (code.into(), reason.to_string());
                }
                Some(Ok(_)) => {}
                other => panic!("{other:?}"),
            }
        }
    }
}
