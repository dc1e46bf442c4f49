//! What happened since a block, read from the chain.

use std::sync::Arc;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use crate::{
    gateway::{Method, RpcAnswer, RpcCall, Served, Session, lanes::Lanes, own_answer::read_quantity},
    jsonrpc::ErrorCode,
};

/// Most blocks that are read for a block filter that moved. A client that looks every few seconds missed fewer; who did not look for longer gets
/// the newest of them.
const MAX_BLOCKS: u64 = 128;

/// The logs after a block, and the head up to which they are.
pub(super) async fn logs_since(
    lanes: &Arc<Lanes>,
    params: &Bytes,
    last: u64,
    session: &Session,
    deadline: Instant,
) -> Result<(Value, u64), Served> {
    let head = head(lanes, session, deadline).await?;
    let Some(params) = range_of(params, last, head) else { return Ok((json!([]), head)) };
    let call = RpcCall::new("eth_getLogs", params.to_string());
    let logs = result(lanes, &call, session, deadline).await?;
    Ok((logs, head))
}

/// The filter of `eth_newFilter` for what came after a block; `None` where nothing can have.
fn range_of(params: &Bytes, last: u64, head: u64) -> Option<Value> {
    let filter: Vec<Map<String, Value>> = serde_json::from_slice(params).ok()?;
    let mut filter = filter.into_iter().next().unwrap_or_default();
    let named = |filter: &Map<String, Value>, key: &str| filter.get(key)?.as_str().and_then(read_quantity);
    let from = named(&filter, "fromBlock").unwrap_or(0).max(last.saturating_add(1));
    let to = named(&filter, "toBlock").unwrap_or(head).min(head);
    if from > to {
        return None;
    }
    filter.insert("fromBlock".to_owned(), json!(format!("{from:#x}")));
    filter.insert("toBlock".to_owned(), json!(format!("{to:#x}")));
    Some(json!([filter]))
}

/// The hashes of the blocks after a block, and the head up to which they are.
pub(super) async fn blocks_since(
    lanes: &Arc<Lanes>,
    last: u64,
    session: &Session,
    deadline: Instant,
) -> Result<(Value, u64), Served> {
    #[derive(Deserialize)]
    struct Block {
        hash: String,
    }
    let head = head(lanes, session, deadline).await?;
    let from = last.saturating_add(1).max(head.saturating_sub(MAX_BLOCKS - 1));
    let mut hashes = Vec::new();
    for number in from..=head {
        let call = RpcCall::new("eth_getBlockByNumber", json!([format!("{number:#x}"), false]).to_string());
        let block = result(lanes, &call, session, deadline).await?;
        if let Ok(Block { hash }) = serde_json::from_value(block) {
            hashes.push(hash);
        }
    }
    Ok((json!(hashes), head))
}

async fn head(lanes: &Arc<Lanes>, session: &Session, deadline: Instant) -> Result<u64, Served> {
    let number = result(lanes, &RpcCall::bare("eth_blockNumber"), session, deadline).await?;
    number.as_str().and_then(read_quantity).ok_or_else(|| {
        Served::error(ErrorCode::Internal, "an upstream's block number cannot be read; the filter stays")
    })
}

async fn result(
    lanes: &Arc<Lanes>,
    call: &RpcCall,
    session: &Session,
    deadline: Instant,
) -> Result<Value, Served> {
    let served = lanes.run(call, Method::of(&call.method), session, deadline).await;
    match &served.answer {
        RpcAnswer::Result(result) => result.read().map_err(|_| served.clone()),
        RpcAnswer::Error(_) => Err(served),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_is_what_came_after_within_what_the_filter_names() {
        for (filter, last, head, want) in [
            (json!([{"address": "0xa"}]), 5, 9, Some(("0x6", "0x9"))),
            (json!([{}]), 9, 9, None),
            (json!([{}]), 12, 9, None),
            (json!([]), 5, 9, Some(("0x6", "0x9"))),
            (json!([{"fromBlock": "0x8", "toBlock": "latest"}]), 5, 9, Some(("0x8", "0x9"))),
            (json!([{"fromBlock": "latest", "toBlock": "0x7"}]), 5, 9, Some(("0x6", "0x7"))),
            (json!([{"toBlock": "0x2"}]), 5, 9, None),
            (json!("no filter"), 5, 9, None),
        ] {
            let got = range_of(&Bytes::from(filter.to_string()), last, head);
            let range = got
                .as_ref()
                .map(|list| (list[0]["fromBlock"].as_str().unwrap(), list[0]["toBlock"].as_str().unwrap()));
            assert_eq!(range, want, "{filter}");
        }
        let kept =
            range_of(&Bytes::from(json!([{"address": "0xa", "topics": [null]}]).to_string()), 1, 2).unwrap();
        assert_eq!((kept[0]["address"].as_str(), kept[0]["topics"].is_array()), (Some("0xa"), true));
    }
}
