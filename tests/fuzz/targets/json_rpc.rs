//! Calls of searchers: the framing, and what a bundle's parameters mean.

use relaymux::{
    bundles,
    jsonrpc::{FramingLimits, Incoming, Request, Response, RpcError, read_body},
};
use serde_json::{Value, json, value::RawValue};

use super::fate::Fate;

/// As the bundle listener has them.
pub(crate) const LIMITS: FramingLimits = FramingLimits { batch: 100, depth: 32 };
/// Longest message of an error in bytes: a parser's words and a limit's, never a body.
const MAX_MESSAGE: usize = 2000;

/// A signed transfer: EIP-155's own example.
const TRANSACTION: &str = "0xf86c098504a817c800825208943535353535353535353535353535353535353535880de0b6b3a76400008025a028ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276a067cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83";
const HASH: &str = "0x1111111111111111111111111111111111111111111111111111111111111111";
const UUID: &str = "6f2c3c8e-7d0b-4c57-9a54-0c3b7a7d6a10";

pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let call = |method: &str, params: Value| json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let bundle = json!({ "txs": [TRANSACTION], "blockNumber": "0x10", "minTimestamp": 0, "maxTimestamp": 1_900_000_000,
        "revertingTxHashes": [HASH], "replacementUuid": UUID, "refundPercent": 50, "builders": ["titan", "beaverbuild"] });
    let nested = json!({ "version": "v0.1", "inclusion": { "block": "0x10", "maxBlock": "0x12" },
        "body": [{ "tx": TRANSACTION, "canRevert": false }, { "bundle": { "version": "v0.1", "inclusion": { "block": "0x10" },
        "body": [{ "tx": TRANSACTION, "canRevert": true }] } }],
        "validity": { "refund": [], "refundConfig": [] }, "privacy": { "builders": ["titan"] } });
    let flat = json!({ "version": "v0.1", "inclusion": { "block": "0x10" }, "body": [{ "tx": TRANSACTION, "canRevert": true }] });
    let calls = vec![
        call("eth_sendBundle", json!([bundle])),
        call("mev_sendBundle", json!([nested])),
        call("eth_cancelBundle", json!([{ "replacementUuid": UUID }])),
        call(
            "eth_sendPrivateTransaction",
            json!([{ "tx": TRANSACTION, "maxBlockNumber": "0x20", "preferences": { "fast": true } }]),
        ),
        call("eth_sendPrivateRawTransaction", json!([TRANSACTION])),
        call("eth_cancelPrivateTransaction", json!([{ "txHash": HASH }])),
        call(
            "eth_callBundle",
            json!([{ "txs": [TRANSACTION], "blockNumber": "0x10", "stateBlockNumber": "latest" }]),
        ),
        call("mev_simBundle", json!([flat, { "parentBlock": "latest" }])),
    ];
    let mut seeds: Vec<Vec<u8>> = calls.iter().map(|call| call.to_string().into_bytes()).collect();
    seeds.push(Value::Array(calls).to_string().into_bytes());
    seeds
}

fn assert_short(error: &RpcError) {
    assert!(error.message.len() <= MAX_MESSAGE, "{} bytes of message", error.message.len());
}

/// The call as it would be written anew.
fn written(call: &Request<'_>) -> Vec<u8> {
    let id = call.id.map_or("null", RawValue::get);
    let method = serde_json::to_string(&call.method).unwrap();
    let params = call.params.map_or("null", RawValue::get);
    format!(r#"{{"id":{id},"method":{method},"params":{params}}}"#).into_bytes()
}

/// Whether a call, and what it asks for, is read; asserts that it reads the same when it is written anew.
fn read_call(call: &Request<'_>, next: u64) -> Fate {
    let response = Response { id: call.id, outcome: Ok(Value::Null) };
    let answer: Value = serde_json::to_value(&response).unwrap();
    assert_eq!(answer["jsonrpc"], "2.0");
    let command = bundles::read(call, next);
    let text = written(call);
    let Incoming::One(Ok(again)) = read_body(&text, LIMITS).unwrap() else { panic!("not one call any more") };
    assert_eq!(again.method, call.method);
    assert_eq!(bundles::read(&again, next).ok(), command.as_ref().ok().cloned());
    match command {
        Ok(_) => Fate::Decoded,
        Err(error) => {
            assert_short(&error);
            Fate::Refused
        }
    }
}

/// `next` is the height that bundles mean when they name none; the body is framed by `limits`, too.
pub(crate) fn check(body: &[u8], next: u64, limits: FramingLimits) -> Fate {
    if let Ok(Incoming::Batch(calls)) = read_body(body, limits) {
        assert!(!calls.is_empty() && calls.len() <= limits.batch);
    }
    match read_body(body, LIMITS) {
        Err(error) => {
            assert_short(&error);
            Fate::Refused
        }
        Ok(Incoming::One(Err(error))) => {
            assert_short(&error);
            Fate::Refused
        }
        Ok(Incoming::One(Ok(call))) => read_call(&call, next),
        Ok(Incoming::Batch(calls)) => {
            assert!(!calls.is_empty() && calls.len() <= LIMITS.batch);
            let fates: Vec<Fate> = calls.iter().flatten().map(|call| read_call(call, next)).collect();
            fates.contains(&Fate::Decoded).into()
        }
    }
}
