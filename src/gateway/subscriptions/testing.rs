//! Made-up chains, and upstreams that show them, for the tests of this folder.

use std::{
    collections::{HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::{Address, B256, Bloom, keccak256};
use futures_util::{SinkExt, StreamExt, future::BoxFuture};
use http::Uri;
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio::{
    io::{DuplexStream, duplex},
    sync::mpsc,
    task::AbortHandle,
    time::{sleep, timeout},
};
use tokio_tungstenite::{accept_async, tungstenite::Message};

use super::{Backfill, Block, ByteStream, Dial, Fetched, NotFetched};
use crate::{
    gateway::{RawJson, RpcCall, UpstreamId},
    http_client::HttpFailure,
};

/// Of which blocks are not from the future.
pub(crate) const NOW_S: u64 = 1_700_000_000;
/// Where branches part: before it, every branch is `a`.
pub(crate) const FORK: u64 = 100;

pub(crate) fn hash(number: u64, branch: char) -> B256 {
    let branch = if number < FORK { 'a' } else { branch };
    keccak256(format!("{number}{branch}"))
}

/// Who logs in the blocks of a branch.
pub(crate) fn logger(branch: char) -> Address {
    Address::repeat_byte(u8::try_from(u32::from(branch)).unwrap())
}

/// A block's one log: every block has one.
pub(crate) fn log(number: u64, branch: char) -> Value {
    json!({
        "address": logger(branch), "topics": [B256::repeat_byte(1)], "data": "0x",
        "blockNumber": format!("{number:#x}"), "blockHash": hash(number, branch), "logIndex": "0x0", "removed": false,
    })
}

pub(crate) fn header(number: u64, branch: char) -> Value {
    let mut bloom = Bloom::ZERO;
    bloom.accrue_raw_log(logger(branch), &[B256::repeat_byte(1)]);
    json!({
        "number": format!("{number:#x}"), "hash": hash(number, branch),
        "parentHash": hash(number.saturating_sub(1), branch), "timestamp": format!("{NOW_S:#x}"), "logsBloom": bloom,
    })
}

pub(crate) fn block(number: u64, branch: char) -> Block {
    Block::read(&RawJson::from_value(&header(number, branch))).unwrap()
}

/// The chain as calls show it.
#[derive(Clone, Debug, Default)]
pub(crate) struct World(Arc<Mutex<WorldState>>);

#[derive(Debug, Default)]
struct WorldState {
    tip: Option<(u64, char)>,
    calls: HashMap<String, usize>,
    fails: HashMap<String, VecDeque<Result<Value, String>>>,
    /// Upstreams beside `w0`, and those that say that there are no logs.
    others: usize,
    /// Logs in each block beside the one: the same again.
    more_logs: usize,
    without_logs: Vec<String>,
}

impl World {
    pub(crate) fn grow_to(&self, number: u64, branch: char) {
        self.0.lock().tip = Some((number, branch));
    }

    pub(crate) fn calls(&self, method: &str) -> usize {
        self.0.lock().calls.get(method).copied().unwrap_or_default()
    }

    /// What the next calls of a method bring instead.
    pub(crate) fn fail_next(&self, method: &str, answers: Vec<Result<Value, String>>) {
        self.0.lock().fails.insert(method.to_owned(), answers.into());
    }

    pub(crate) fn logs_in_each_block(&self, count: usize) {
        self.0.lock().more_logs = count - 1;
    }

    /// Calls that avoid upstreams have so many to choose from; these say that there are no logs.
    pub(crate) fn upstreams(&self, count: usize, without_logs: &[&str]) {
        let mut state = self.0.lock();
        state.others = count - 1;
        state.without_logs = without_logs.iter().map(|name| (*name).to_owned()).collect();
    }

    pub(crate) fn name_of(shown: &Value) -> String {
        let (number, branch) = find(shown).unwrap();
        format!("{number}{branch}")
    }

    fn answer(&self, method: &str, params: &Value) -> Result<Value, String> {
        let mut state = self.0.lock();
        *state.calls.entry(method.to_owned()).or_default() += 1;
        if let Some(answer) = state.fails.get_mut(method).and_then(VecDeque::pop_front) {
            return answer;
        }
        let (tip, branch) = state.tip.ok_or("no block")?;
        let block = |number: u64, branch| {
            let mut block = header(number, branch);
            block["transactions"] = json!([]);
            block
        };
        Ok(match method {
            "eth_getBlockByNumber" if params[0] == json!("latest") => block(tip, branch),
            "eth_getBlockByNumber" => {
                let number = u64::from_str_radix(&params[0].as_str().unwrap()[2..], 16).unwrap();
                if number <= tip { block(number, branch) } else { Value::Null }
            }
            "eth_getBlockByHash" => {
                find(&params[0]).map_or(Value::Null, |(number, branch)| block(number, branch))
            }
            "eth_getTransactionByHash" => json!({"hash": params[0], "nonce": "0x1"}),
            "eth_getLogs" => {
                let (number, branch) = find(&params[0]["blockHash"]).unwrap();
                json!(vec![log(number, branch); 1 + state.more_logs])
            }
            other => panic!("{other}"),
        })
    }
}

fn find(shown: &Value) -> Option<(u64, char)> {
    let of = |branch| (0..200).map(move |number| (number, branch));
    of('a').chain(of('b')).find(|(number, branch)| json!(hash(*number, *branch)) == *shown)
}

impl Backfill for World {
    fn call(&self, call: RpcCall) -> BoxFuture<'_, Result<RawJson, String>> {
        let params = serde_json::from_slice(&call.params).unwrap();
        let answer = self.answer(&call.method, &params).map(|value| RawJson::from_value(&value));
        Box::pin(async { answer })
    }

    fn call_avoiding(
        &self,
        call: RpcCall,
        avoid: Vec<UpstreamId>,
    ) -> BoxFuture<'_, Result<Fetched, NotFetched>> {
        Box::pin(async move {
            let (count, without_logs) = {
                let state = self.0.lock();
                (state.others + 1, state.without_logs.clone())
            };
            let mut all = (0..count).map(|place| UpstreamId::parse(&format!("w{place}")).unwrap());
            let by = all.find(|id| !avoid.contains(id)).ok_or(NotFetched::NobodyElse)?;
            let result = self.call(call).await.map_err(NotFetched::Failed)?;
            let is_without = without_logs.iter().any(|name| name == by.as_str());
            Ok(Fetched { result: if is_without { RawJson::from_value(&json!([])) } else { result }, by })
        })
    }
}

/// Upstreams with a websocket, by their host's name.
#[derive(Clone, Debug, Default)]
pub(crate) struct ScriptedUpstreams(Arc<Mutex<HashMap<String, Script>>>);

#[derive(Debug, Default)]
struct Script {
    is_dead: bool,
    subscriptions: usize,
    /// The head that it showed last.
    newest: Option<Value>,
    /// It does not say what its newest block is.
    is_mute: bool,
    pending: bool,
    /// How it answers who wants whole transactions.
    bodies: GivesBodies,
    /// To the connection that is subscribed.
    line: Option<mpsc::Sender<Message>>,
    end: Option<AbortHandle>,
}

/// How an upstream answers who wants whole pending transactions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum GivesBodies {
    /// It gives them.
    #[default]
    Gives,
    /// It refuses the flag.
    Refuses,
}

impl ScriptedUpstreams {
    pub(crate) fn gives_bodies(&self, name: &str, bodies: GivesBodies) {
        self.with(name, |script| script.bodies = bodies);
    }

    fn with<T>(&self, name: &str, act: impl FnOnce(&mut Script) -> T) -> T {
        act(self.0.lock().entry(name.to_owned()).or_default())
    }

    async fn until(&self, name: &str, holds: impl Fn(&Script) -> bool) {
        let held = async {
            while !self.with(name, |script| holds(script)) {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(Duration::from_secs(300), held).await.expect("it never holds");
    }

    pub(crate) async fn subscribed(&self, name: &str) {
        self.until(name, |script| script.line.as_ref().is_some_and(|line| !line.is_closed())).await;
        // The hub takes what the socket tells.
        sleep(Duration::from_millis(20)).await;
    }

    pub(crate) fn is_subscribed(&self, name: &str) -> bool {
        self.with(name, |script| script.line.as_ref().is_some_and(|line| !line.is_closed()))
    }

    pub(crate) async fn wants_pending(&self, name: &str, wants: bool) {
        self.until(name, |script| script.pending == wants).await;
    }

    /// How often it was subscribed to heads.
    pub(crate) fn subscriptions(&self, name: &str) -> usize {
        self.with(name, |script| script.subscriptions)
    }

    pub(crate) fn show(&self, name: &str, head: Value) {
        self.with(name, |script| script.newest = Some(head.clone()));
        self.say(name, "0xheads", head);
    }

    /// It says on its websocket from now on, or not, what its newest block is.
    pub(crate) fn mutes(&self, name: &str, is_mute: bool) {
        self.with(name, |script| script.is_mute = is_mute);
    }

    pub(crate) fn show_pending(&self, name: &str, transaction: Value) {
        self.say(name, "0xpending", transaction);
    }

    fn say(&self, name: &str, subscription: &str, result: Value) {
        let text =
            json!({"method": "eth_subscription", "params": {"subscription": subscription, "result": result}});
        let line = self.with(name, |script| script.line.clone()).expect("it is subscribed");
        line.try_send(Message::text(text.to_string())).unwrap();
    }

    /// Its connection breaks, and it takes none.
    pub(crate) fn kill(&self, name: &str) {
        self.with(name, |script| {
            script.is_dead = true;
            script.line = None;
            script.end.take().unwrap().abort();
        });
    }

    pub(crate) fn revive(&self, name: &str) {
        self.with(name, |script| script.is_dead = false);
    }

    async fn serve(self, name: String, stream: DuplexStream) {
        let Ok(mut socket) = accept_async(stream).await else { return };
        let (line, mut lines) = mpsc::channel(1000);
        loop {
            tokio::select! {
                Some(message) = lines.recv() => socket.send(message).await.unwrap(),
                message = socket.next() => {
                    let Some(Ok(message)) = message else { return };
                    let Message::Text(text) = message else { continue };
                    let call: Value = serde_json::from_str(&text).unwrap();
                    let what = (call["method"].as_str().unwrap(), call["params"][0].as_str().unwrap());
                    let result = match what {
                        ("eth_subscribe", "newHeads") => json!("0xheads"),
                        ("eth_subscribe", "newPendingTransactions") => json!("0xpending"),
                        ("eth_unsubscribe", "0xpending") => json!(true),
                        ("eth_getBlockByNumber", "latest") => {
                            let (newest, is_mute) =
                                self.with(&name, |script| (script.newest.clone(), script.is_mute));
                            if is_mute {
                                continue;
                            }
                            let answer = json!({"jsonrpc": "2.0", "id": call["id"], "result": newest});
                            socket.send(Message::text(answer.to_string())).await.unwrap();
                            continue;
                        }
                        other => panic!("{other:?}"),
                    };
                    let bodies = self.with(&name, |script| script.bodies);
                    if call["params"][1] == json!(true) && bodies == GivesBodies::Refuses {
                        let error = json!({"code": -32602, "message": "too many arguments"});
                        let answer = json!({"jsonrpc": "2.0", "id": call["id"], "error": error});
                        socket.send(Message::text(answer.to_string())).await.unwrap();
                        continue;
                    }
                    let answer = json!({"jsonrpc": "2.0", "id": call["id"], "result": result});
                    socket.send(Message::text(answer.to_string())).await.unwrap();
                    self.with(&name, |script| match what {
                        ("eth_subscribe", "newHeads") => {
                            script.subscriptions += 1;
                            script.line = Some(line.clone());
                        }
                        (method, _) => script.pending = method == "eth_subscribe",
                    });
                }
            }
        }
    }
}

impl Dial for ScriptedUpstreams {
    fn dial(&self, to: Uri) -> BoxFuture<'static, Result<Box<dyn ByteStream>, HttpFailure>> {
        let name = to.host().unwrap().to_owned();
        assert_eq!(to.path(), "/key");
        let refused = self.with(&name, |script| script.is_dead);
        let (ours, theirs) = duplex(1 << 16);
        if !refused {
            let task = tokio::spawn(self.clone().serve(name.clone(), theirs));
            self.with(&name, |script| script.end = Some(task.abort_handle()));
        }
        Box::pin(async move {
            if refused {
                Err(HttpFailure::Connect("refused".to_owned()))
            } else {
                Ok(Box::new(ours) as Box<dyn ByteStream>)
            }
        })
    }
}
