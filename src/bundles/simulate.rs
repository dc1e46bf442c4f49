//! A bundle tried on the operator's own node: `eth_callBundle` and `mev_simBundle` answered with `eth_simulateV1`.
//!
//! What it says holds at the top of the next block, and nowhere else. Source: execution-apis `eth_simulateV1`; shapes of the answers:
//! flashbots-docs. The node checks no signatures here: they were when the transactions were read.

use alloy_primitives::{Address, B256, U64, U256, hex};
use serde_json::{Value, json};

use super::{
    bundle::{Bundle, BundleTx},
    profit::TRANSFER,
};
use crate::ethereum::{ExecutionNode, NodeError};

/// Transfers of ether are logged by `traceTransfers` as if from this contract.
const ETHER: Address = Address::repeat_byte(0xee);
/// Who builds the block, where nobody is named: an address that nobody pays by chance.
const NOBODY: Address = Address::repeat_byte(0xc0);

/// What is to be tried.
#[derive(Clone, Debug, PartialEq)]
pub struct SimulationRequest {
    /// The transactions, in their order.
    pub bundle: Bundle,
    /// The state it is tried on: a height or a tag.
    pub state: Value,
    /// The block's time.
    pub timestamp: Option<u64>,
    /// Its base fee, in wei.
    pub base_fee: Option<u64>,
    /// The simulated block's fee recipient; an address of nobody where none is given.
    pub coinbase: Option<Address>,
    /// The simulated block's gas limit; the node's choice where none is given.
    pub gas_limit: Option<u64>,
    /// Whether `mev_simBundle` asks.
    pub is_mev: bool,
}

fn call(tx: &BundleTx) -> Value {
    let mut call = json!({
        "from": tx.sender, "gas": U64::from(tx.gas), "value": tx.value, "input": hex::encode_prefixed(&tx.input),
        "nonce": U64::from(tx.nonce), "maxFeePerGas": U256::from(tx.max_fee), "maxPriorityFeePerGas": U256::from(tx.tip),
    });
    if let (Some(to), Some(fields)) = (tx.to, call.as_object_mut()) {
        fields.insert("to".to_owned(), json!(to));
    }
    call
}

fn number(value: &Value, key: &str) -> U256 {
    value.get(key).and_then(Value::as_str).and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// Tries a bundle.
///
/// # Errors
/// When the node cannot, or refuses a transaction outright.
pub(super) async fn simulate(node: &ExecutionNode, request: &SimulationRequest) -> Result<Value, NodeError> {
    let coinbase = request.coinbase.unwrap_or(NOBODY);
    let mut block = json!({ "feeRecipient": coinbase });
    if let Some(fields) = block.as_object_mut() {
        let numbers = [
            ("time", request.timestamp),
            ("baseFeePerGas", request.base_fee),
            ("gasLimit", request.gas_limit),
        ];
        for (name, value) in numbers {
            if let Some(value) = value {
                fields.insert(name.to_owned(), json!(U64::from(value)));
            }
        }
    }
    let calls: Vec<Value> = request.bundle.transactions.iter().map(call).collect();
    let payload = json!({
        "blockStateCalls": [{ "blockOverrides": block, "calls": calls }],
        "traceTransfers": true, "validation": true,
    });
    let state = match &request.state {
        Value::Number(number) => json!(U64::from(number.as_u64().unwrap_or_default())),
        other => other.clone(),
    };
    let answer = node.call("eth_simulateV1", json!([payload, state])).await?;
    let block = answer.get(0).cloned().unwrap_or_default();
    Ok(answer_of(request, coinbase, &block))
}

/// The answer in the shape that searchers know.
fn answer_of(request: &SimulationRequest, coinbase: Address, block: &Value) -> Value {
    let base_fee = number(block, "baseFeePerGas");
    let calls = block.get("calls").and_then(Value::as_array).cloned().unwrap_or_default();
    let (mut gas_total, mut fees_total, mut direct_total) = (U256::ZERO, U256::ZERO, U256::ZERO);
    let mut results = Vec::with_capacity(calls.len());
    let mut failure = None;
    for (tx, call) in request.bundle.transactions.iter().zip(&calls) {
        let gas = number(call, "gasUsed");
        let price = U256::from(tx.max_fee).min(base_fee.saturating_add(U256::from(tx.tip)));
        let fees = gas.saturating_mul(price.saturating_sub(base_fee));
        let direct = paid_to(coinbase, call);
        gas_total += gas;
        fees_total = fees_total.saturating_add(fees);
        direct_total = direct_total.saturating_add(direct);
        let mut result = json!({
            "txHash": tx.hash, "fromAddress": tx.sender, "toAddress": tx.to, "gasUsed": gas.to::<u64>(),
            "gasPrice": price.to_string(), "gasFees": fees.to_string(), "ethSentToCoinbase": direct.to_string(),
            "coinbaseDiff": fees.saturating_add(direct).to_string(),
        });
        let succeeded = number(call, "status") == U256::from(1);
        if let Some(fields) = result.as_object_mut() {
            if succeeded {
                fields.insert("value".to_owned(), call.get("returnData").cloned().unwrap_or_default());
            } else {
                let message =
                    call.pointer("/error/message").and_then(Value::as_str).unwrap_or("execution reverted");
                fields.insert("error".to_owned(), json!(message));
                fields.insert("revert".to_owned(), call.get("returnData").cloned().unwrap_or_default());
                if !request.bundle.reverting.contains(&tx.hash) {
                    failure.get_or_insert_with(|| format!("{}: {message}", tx.hash));
                }
            }
        }
        results.push(result);
    }
    let paid = fees_total.saturating_add(direct_total);
    let per_gas = paid.checked_div(gas_total).unwrap_or_default();
    let state_block = number(block, "number").saturating_sub(U256::from(1)).to::<u64>();
    if request.is_mev {
        let mut answer = json!({
            "success": failure.is_none(), "stateBlock": U64::from(state_block), "mevGasPrice": per_gas, "profit": paid,
            "refundableValue": paid, "gasUsed": U64::from(gas_total.to::<u64>()),
        });
        if let (Some(failure), Some(fields)) = (failure, answer.as_object_mut()) {
            fields.insert("error".to_owned(), json!(failure));
        }
        return answer;
    }
    json!({
        "bundleHash": request.bundle.hash(), "bundleGasPrice": per_gas.to_string(), "coinbaseDiff": paid.to_string(),
        "ethSentToCoinbase": direct_total.to_string(), "gasFees": fees_total.to_string(), "results": results,
        "stateBlockNumber": state_block, "totalGasUsed": gas_total.to::<u64>(),
    })
}

/// Ether that went to an address in a call, by the logs that stand for it.
fn paid_to(address: Address, call: &Value) -> U256 {
    let logs = call.get("logs").and_then(Value::as_array).cloned().unwrap_or_default();
    let paid = logs.iter().filter_map(|log| {
        let of = |pointer: &str| log.pointer(pointer).and_then(Value::as_str);
        let from: Address = of("/address")?.parse().ok()?;
        let topic: B256 = of("/topics/0")?.parse().ok()?;
        let to = Address::from_word(of("/topics/2")?.parse().ok()?);
        let is_it = from == ETHER && topic == TRANSFER && to == address;
        is_it.then(|| of("/data").and_then(|data| data.parse::<U256>().ok())).flatten()
    });
    paid.fold(U256::ZERO, U256::saturating_add)
}
