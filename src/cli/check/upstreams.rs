//! The gateway's upstreams: is each there, is it of the configured chain, and how old is its head.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{StreamExt, stream::FuturesUnordered};
use reqwest::Client;
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::super::findings::{Finding, Findings, State};
use crate::{
    consensus::WallClock,
    gateway::{RpcAnswer, RpcCall, RpcSettings, UpstreamSettings, read_answer},
};

/// Longest wait for an upstream, for both of its answers.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of an answer: a block's header has a few hundred, and the hashes of its transactions some ten thousand.
const MAX_BYTES: usize = 1 << 20;

#[derive(Deserialize)]
struct Head {
    number: String,
    timestamp: String,
}

/// Asks every upstream, all at once, and tells of each as it answers.
pub(super) async fn check_upstreams(
    http: &Client,
    settings: &RpcSettings,
    clock: &WallClock,
    findings: &mut Findings,
) {
    let name = |upstream: &UpstreamSettings| format!("rpc {}", upstream.id);
    let width = settings.upstreams.iter().map(|upstream| name(upstream).len()).max().unwrap_or(0);
    let mut asked: FuturesUnordered<_> = settings
        .upstreams
        .iter()
        .map(|upstream| async move {
            let began = Instant::now();
            let answer = timeout(TIMEOUT, examine(http, upstream, settings, clock)).await;
            let answer = answer.unwrap_or_else(|_| Err(format!("no answer within {} s", TIMEOUT.as_secs())));
            (upstream, answer, began.elapsed())
        })
        .collect();
    while let Some((upstream, answer, took)) = asked.next().await {
        findings.add(Finding {
            kind: "node",
            id: name(upstream),
            url: None,
            state: if answer.is_ok() { State::Ok } else { State::Failed },
            answer: answer.unwrap_or_else(|error| error),
            ms: Some(u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
            width,
        });
    }
}

async fn examine(
    http: &Client,
    upstream: &UpstreamSettings,
    settings: &RpcSettings,
    clock: &WallClock,
) -> Result<String, String> {
    let chain: String = ask(http, upstream, RpcCall::bare("eth_chainId")).await?;
    match quantity(&chain) {
        Some(chain) if chain == settings.chain_id => {}
        Some(chain) => {
            return Err(format!("a node of chain {chain}, the gateway is for chain {}", settings.chain_id));
        }
        None => return Err("what it says to eth_chainId is no number".to_owned()),
    }
    let params = &br#"["latest",false]"#[..];
    let head: Option<Head> = ask(http, upstream, RpcCall::new("eth_getBlockByNumber", params)).await?;
    let head = head.ok_or_else(|| "no block yet".to_owned())?;
    let (number, timestamp) = quantity(&head.number)
        .zip(quantity(&head.timestamp))
        .ok_or_else(|| "its head has no number and time that can be read".to_owned())?;
    let now = u64::try_from(clock.now() / 1000).unwrap_or_default();
    let tier = upstream.tier.label();
    let policy = &settings.health;
    match (timestamp.saturating_sub(now), now.saturating_sub(timestamp)) {
        (ahead, _) if ahead > policy.max_future.as_secs() => {
            Err(format!("block {number} is {ahead} s in the future: its clock or this machine's is wrong"))
        }
        (_, age) if age > policy.down_age.as_secs() => {
            Err(format!("{tier}, block {number} is {age} s old: it does not follow the chain"))
        }
        (_, age) if age > policy.lag_age.as_secs() => {
            Ok(format!("{tier}, block {number}, {age} s old: it lags, and serves only what no other can"))
        }
        (_, age) => Ok(format!("{tier}, block {number}, {age} s old")),
    }
}

/// Asks for one thing. Errors have nothing of the address, which may be a key.
async fn ask<T: serde::de::DeserializeOwned>(
    http: &Client,
    upstream: &UpstreamSettings,
    call: RpcCall,
) -> Result<T, String> {
    let words = |error: reqwest::Error| error.without_url().to_string();
    let request = http
        .post(upstream.url.clone())
        .headers(upstream.headers.clone())
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(call.to_body(1));
    let mut response = request.send().await.map_err(words)?;
    let status = response.status();
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(words)? {
        if body.len() + chunk.len() > MAX_BYTES {
            return Err(format!("{}: an answer of more than {MAX_BYTES} bytes", call.method));
        }
        body.extend_from_slice(&chunk);
    }
    let body: Bytes = body.freeze();
    match read_answer(&body, 1) {
        Ok(RpcAnswer::Result(result)) => {
            result.read().map_err(|_| format!("what it says to {} cannot be read", call.method))
        }
        Ok(RpcAnswer::Error(error)) => Err(format!("{}: {} ({})", call.method, error.message, error.code)),
        Err(_) if !status.is_success() => Err(format!("HTTP {}", status.as_u16())),
        Err(error) => Err(error.to_string()),
    }
}

fn quantity(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}
