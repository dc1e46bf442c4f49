//! What gas costs, by the execution node. Sources: execution-apis `eth_gasPrice`, `eth_blobBaseFee`; the base fee is the head's own.

use alloy_primitives::U256;
use serde_json::{Value, json};

use super::{Block, ExecutionNode, NodeError};

/// What gas costs, in wei. Amounts beyond 64 bits, 18 ether for a gas, are kept as that.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GasPrice {
    /// Height of the head that this is of.
    pub block_number: u64,
    /// What the node proposes to pay for a gas, tip included.
    pub gas_price: u64,
    /// What that block burnt for a gas.
    pub base_fee: u64,
    /// What a blob gas costs; none where the node does not say.
    pub blob_base_fee: Option<u64>,
}

impl ExecutionNode {
    /// What gas costs, with the head that somebody has asked for already.
    ///
    /// # Errors
    /// When the node does not answer as it should. One that knows no blobs is no error.
    pub async fn gas_price(&self, head: &Block) -> Result<GasPrice, NodeError> {
        let gas_price = amount(&self.call("eth_gasPrice", json!([])).await?);
        let gas_price = gas_price.ok_or_else(|| self.unreadable("eth_gasPrice is no amount"))?;
        let blob_base_fee = match self.call("eth_blobBaseFee", json!([])).await {
            Ok(answer) => amount(&answer),
            // It says nothing of blobs; what it said of gas holds.
            Err(error) if error.is_answer() => None,
            Err(error) => return Err(error),
        };
        Ok(GasPrice {
            block_number: head.number.to(),
            gas_price,
            base_fee: capped(head.base_fee_per_gas),
            blob_base_fee,
        })
    }
}

fn amount(answer: &Value) -> Option<u64> {
    let text = answer.as_str()?;
    let digits = text.strip_prefix("0x").filter(|digits| !digits.is_empty())?;
    U256::from_str_radix(digits, 16).ok().map(capped)
}

fn capped(amount: U256) -> u64 {
    u64::try_from(amount).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use axum::{Json, Router, routing::post};

    use super::*;
    use crate::ethereum::BlockId;

    /// A node that answers each method by `answer`.
    async fn node(answer: fn(&str) -> Value) -> ExecutionNode {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
        let handler = move |Json(call): Json<Value>| async move {
            let mut reply = answer(call["method"].as_str().unwrap());
            reply["jsonrpc"] = json!("2.0");
            reply["id"] = call["id"].clone();
            Json(reply)
        };
        tokio::spawn(axum::serve(listener, Router::new().route("/", post(handler))).into_future());
        let _ = rustls::crypto::ring::default_provider().install_default();
        ExecutionNode::new(reqwest::Client::new(), url)
    }

    fn head() -> Value {
        let hash = format!("0x{}", "11".repeat(32));
        json!({ "result": {
            "number": "0x10", "hash": hash, "parentHash": hash, "timestamp": "0x64", "miner": format!("0x{}", "22".repeat(20)),
            "baseFeePerGas": "0x3b9aca00", "gasUsed": "0x0", "transactions": [],
        } })
    }

    #[tokio::test]
    async fn a_node_says_what_gas_costs() {
        let node = node(|method| match method {
            "eth_gasPrice" => json!({ "result": "0x77359400" }),
            "eth_blobBaseFee" => json!({ "result": "0x1" }),
            _ => head(),
        });
        let node = node.await;
        let block = node.block(BlockId::Latest, false).await.unwrap().unwrap();
        let price = node.gas_price(&block).await.unwrap();
        assert_eq!(
            price,
            GasPrice {
                block_number: 16,
                gas_price: 2_000_000_000,
                base_fee: 1_000_000_000,
                blob_base_fee: Some(1)
            }
        );
    }

    #[tokio::test]
    async fn a_node_without_blobs_says_the_rest() {
        let node = node(|method| match method {
            "eth_gasPrice" => json!({ "result": format!("0x{}", "f".repeat(64)) }),
            "eth_blobBaseFee" => json!({ "error": { "code": -32601, "message": "no such method" } }),
            _ => head(),
        });
        let node = node.await;
        let block = node.block(BlockId::Latest, false).await.unwrap().unwrap();
        let price = node.gas_price(&block).await.unwrap();
        assert_eq!((price.gas_price, price.blob_base_fee), (u64::MAX, None));
    }

    #[test]
    fn amounts_are_read_and_nothing_else() {
        for (answer, want) in [
            (json!("0x0"), Some(0)),
            (json!("0xff"), Some(255)),
            (json!("0x"), None),
            (json!("ff"), None),
            (json!("0xzz"), None),
            (json!(5), None),
            (Value::Null, None),
            (json!(format!("0x{}", "f".repeat(65))), None),
        ] {
            assert_eq!(amount(&answer), want, "{answer}");
        }
    }
}
