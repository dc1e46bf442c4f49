//! A node behind the gateway, scripted: it shows a chain by HTTP and by a websocket, answers what probes ask, gives every other call its own
//! parameters back, and has the faults of nodes and of what is before them.

mod blocks;
mod script;
mod socket;

use std::{
    collections::HashMap,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use axum::{
    Router,
    extract::State,
    http::StatusCode,
    response::{IntoResponse, Response},
    routing::post,
};
use bytes::Bytes;
use parking_lot::Mutex;
use serde_json::Value;
use tokio::{net::TcpListener, task::JoinHandle, time::sleep};
use tokio_util::sync::CancellationToken;

use crate::serve::Listener;

pub use blocks::SimBlocks;
use script::Script;
pub use script::UpstreamFault;

/// How long an upstream takes for a large answer.
const LARGE_AFTER: Duration = Duration::from_millis(500);

/// A running upstream. Refuses connections once dropped.
#[derive(Debug)]
pub struct SimUpstream {
    address: SocketAddr,
    ws_address: SocketAddr,
    script: Arc<Mutex<Script>>,
    stop: CancellationToken,
    /// Its listeners, until they have ended.
    serving: Vec<JoinHandle<()>>,
}

impl Drop for SimUpstream {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl SimUpstream {
    /// Starts an upstream of a chain, at a height, whose head is a moment old. Each has blocks of its own from there on.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(chain_id: u64, height: u64) -> io::Result<Self> {
        Self::start_on(chain_id, &SimBlocks::new(height)).await
    }

    /// Starts an upstream that shows blocks, which others may show, too.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start_on(chain_id: u64, blocks: &SimBlocks) -> io::Result<Self> {
        let script = Script {
            chain_id,
            blocks: blocks.clone(),
            fault: UpstreamFault::None,
            is_silent: false,
            large: 0,
            calls: HashMap::new(),
        };
        let free = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut upstream = Self {
            address: free,
            ws_address: free,
            script: Arc::new(Mutex::new(script)),
            stop: CancellationToken::new(),
            serving: Vec::new(),
        };
        upstream.revive().await?;
        Ok(upstream)
    }

    /// Its connections break, and it takes none any more.
    pub fn kill(&self) {
        self.stop.cancel();
    }

    /// It is there again, at the addresses that it had.
    ///
    /// # Errors
    /// When its ports cannot be had.
    pub async fn revive(&mut self) -> io::Result<()> {
        self.stop.cancel();
        // Its ports are free once they have ended.
        for listener in self.serving.drain(..) {
            let _ = listener.await;
        }
        let stop = CancellationToken::new();
        let listener = Listener::bind("simulated upstream", self.address).map_err(io::Error::other)?;
        let sockets = TcpListener::bind(self.ws_address).await?;
        self.address = listener.address();
        self.ws_address = sockets.local_addr().unwrap_or(self.ws_address);
        let router = Router::new().route("/", post(serve)).with_state(Arc::clone(&self.script));
        self.serving = vec![
            tokio::spawn(listener.serve(router, stop.clone(), Duration::ZERO)),
            tokio::spawn(socket::serve(sockets, Arc::clone(&self.script), stop.clone())),
        ];
        self.stop = stop;
        Ok(())
    }

    /// Its address, as `[[rpc.upstreams]] url` has it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Its websocket, as `[[rpc.upstreams]] ws_url` has it.
    pub fn ws_url(&self) -> String {
        format!("ws://{}", self.ws_address)
    }

    /// One more block, a moment old.
    pub fn mine(&self) {
        self.script.lock().blocks.mine();
    }

    /// Whether it tells no heads from now on, though its websocket is open.
    pub fn silence(&self, is_silent: bool) {
        self.script.lock().is_silent = is_silent;
    }

    /// How many bytes it answers to `eth_call` from now on, after half a second; 0: the call's own parameters, at once.
    pub fn answer_large(&self, bytes: usize) {
        self.script.lock().large = bytes;
    }

    /// What it answers to a call or a batch, for whoever stands before it.
    pub fn answer(&self, request: &Value) -> Value {
        self.script.lock().answer_all(request)
    }

    /// What is wrong with it from now on.
    pub fn set(&self, fault: UpstreamFault) {
        self.script.lock().fault = fault;
    }

    /// How often a method was asked for.
    pub fn calls(&self, method: &str) -> u64 {
        self.script.lock().calls.get(method).copied().unwrap_or(0)
    }
}

async fn serve(State(script): State<Arc<Mutex<Script>>>, body: Bytes) -> Response {
    let Ok(request) = serde_json::from_slice::<Value>(&body) else {
        return StatusCode::BAD_REQUEST.into_response();
    };
    let (answer, fault, is_large) = {
        let mut script = script.lock();
        let is_large = script.large > 0 && request.get("method").and_then(Value::as_str) == Some("eth_call");
        (script.answer_all(&request), script.fault, is_large)
    };
    if is_large {
        sleep(LARGE_AFTER).await;
    }
    let json = [("content-type", "application/json")];
    let text = answer.to_string();
    match fault {
        UpstreamFault::Hangs => std::future::pending().await,
        UpstreamFault::Status(status) => {
            let status = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
            (status, "<html>a page</html>").into_response()
        }
        UpstreamFault::CutOff => {
            let kept = text.len() / 2;
            (json, text.chars().take(kept).collect::<String>()).into_response()
        }
        UpstreamFault::None
        | UpstreamFault::WrongId
        | UpstreamFault::HeaderNotFound
        | UpstreamFault::HashesOnly => (json, text).into_response(),
    }
}
