//! A simulated relay's public record: what it says that it delivered, and what it has registered. Source: flashbots relay-specs.

use std::{collections::HashMap, sync::Arc};

use axum::{
    Json,
    extract::{Query, State},
    response::{IntoResponse, Response},
};
use serde_json::json;

use super::{
    DataApiFault,
    shared::{Shared, error},
};

type Asked = Query<HashMap<String, String>>;

/// `proposer_payload_delivered`, by slot or all.
pub(super) async fn delivered(State(relay): State<Arc<Shared>>, Query(asked): Asked) -> Response {
    let fault = relay.now_behaving().data_api;
    if fault == DataApiFault::Down {
        return error(503, "not today");
    }
    let slot: Option<u64> = asked.get("slot").and_then(|slot| slot.parse().ok());
    let traces: Vec<_> = relay
        .handed_in
        .lock()
        .iter()
        .filter(|one| slot.is_none_or(|slot| slot == one.slot))
        .filter(|one| one.is_revealed || fault == DataApiFault::ClaimsAll)
        .map(|one| {
            let value =
                if fault == DataApiFault::OtherValue { "1".to_owned() } else { one.value.to_string() };
            json!({
                "slot": one.slot.to_string(), "block_hash": one.block_hash, "value": value,
                "block_number": "1", "num_tx": "1",
            })
        })
        .collect();
    Json(traces).into_response()
}

/// `validator_registration`
pub(super) async fn registration(State(relay): State<Arc<Shared>>, Query(asked): Asked) -> Response {
    let behaviour = relay.now_behaving();
    let Some(pubkey) = asked.get("pubkey").and_then(|key| key.parse().ok()) else {
        return error(400, "invalid pubkey");
    };
    let known = relay.registered.lock().get(&pubkey).cloned();
    let Some(message) = known else {
        return error(400, &format!("no registration found for validator {pubkey}"));
    };
    let fee_recipient = match behaviour.data_api {
        DataApiFault::OtherRecipient => alloy_primitives::Address::repeat_byte(0x0b),
        _ => message.fee_recipient,
    };
    Json(json!({
        "message": {
            "fee_recipient": fee_recipient, "gas_limit": message.gas_limit.to_string(),
            "timestamp": message.timestamp.to_string(), "pubkey": pubkey,
        },
        "signature": "0x",
    }))
    .into_response()
}
