//! An execution node: JSON-RPC over a chain that is written by hand (`chain.rs`), with a node's own faults: methods that it does not serve,
//! blocks that it has pruned.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::{Address, B256, U256, keccak256};
use axum::{Json, Router, extract::State, routing::post};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::chain::{Chain, Finality, GAS, PrunedAnswer, SimTx};
use crate::{
    bundles::{BundleTx, read_transaction},
    serve::{ListenError, Listener},
    types::Wei,
};

/// The address that sends the blocks' transactions.
const USER: Address = Address::repeat_byte(0x05);
/// The address that it trades with.
const MARKET: Address = Address::repeat_byte(0x06);

/// A running node. Stops when dropped.
#[derive(Debug)]
pub struct SimExecution {
    address: SocketAddr,
    chain: Arc<Mutex<Chain>>,
    stop: CancellationToken,
}

impl Drop for SimExecution {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl SimExecution {
    /// Starts a node of a chain (EIP-155) with nothing but a genesis block at a time, Unix seconds. It serves every method that we call.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(id: u64, genesis: B256, timestamp: u64, slot_secs: u64) -> Result<Self, ListenError> {
        let chain = Arc::new(Mutex::new(Chain::new(id, genesis, timestamp, slot_secs)));
        let router = Router::new().route("/", post(serve)).with_state(Arc::clone(&chain));
        let listener =
            Listener::bind("simulated execution node", SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let (address, stop) = (listener.address(), CancellationToken::new());
        tokio::spawn(listener.serve(router, stop.clone(), Duration::ZERO));
        Ok(Self { address, chain, stop })
    }

    /// Its address, as `[execution] url` has it.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Height of the head.
    pub fn head(&self) -> u64 {
        self.chain.lock().height()
    }

    /// Appends a builder's block that pays `recipient` with its last transaction.
    pub fn append(&self, hash: B256, timestamp: u64, builder: Address, recipient: Address, paid: Wei) {
        let trade = SimTx::transfer(USER, builder, U256::from(1), U256::from(1));
        let payment = SimTx::transfer(builder, recipient, paid.as_u256(), U256::ZERO);
        self.chain.lock().append(hash, timestamp, builder, vec![trade, payment]);
    }

    /// Appends a block that the proposer's own client built: its fees go to `recipient`. Returns its hash.
    pub fn append_local(&self, timestamp: u64, recipient: Address, fees: Wei) -> B256 {
        let hash = keccak256([b"local".as_slice(), &timestamp.to_be_bytes()].concat());
        let trade = SimTx::transfer(USER, MARKET, U256::from(1), fees.as_u256() / U256::from(GAS));
        self.chain.lock().append(hash, timestamp, recipient, vec![trade]);
        hash
    }

    /// Mines a block of raw transactions in their order in the next slot, its fees to `miner`; its hash. What cannot be read is left out.
    pub fn mine(&self, raw: &[&[u8]], miner: Address) -> B256 {
        self.mine_with_failures(raw, miner, &[])
    }

    /// The same, with transactions that fail.
    pub fn mine_with_failures(&self, raw: &[&[u8]], miner: Address, failed: &[B256]) -> B256 {
        let read = raw.iter().filter_map(|raw| read_transaction(raw).ok());
        let transactions = read.map(|tx: BundleTx| SimTx::of_bundle(&tx, failed.contains(&tx.hash)));
        self.chain.lock().mine(miner, transactions.collect())
    }

    /// Takes the newest blocks out of the chain.
    pub fn roll_back(&self, blocks: usize) {
        let mut chain = self.chain.lock();
        (0..blocks).for_each(|_| chain.roll_back());
    }

    /// Everything up to a height is final.
    pub fn finalize(&self, number: u64) {
        self.chain.lock().finalize(Finality::UpTo(number));
    }

    /// Everything is final that has so many blocks above it.
    pub fn finalize_behind(&self, depth: u64) {
        self.chain.lock().finalize(Finality::Behind(depth));
    }

    /// Says this of itself from now on (`web3_clientVersion`).
    pub fn call_itself(&self, version: &str) {
        self.chain.lock().call_itself(version);
    }

    /// Serves every method but these from now on.
    pub fn refuse(&self, methods: &[&str]) {
        self.chain.lock().refuse(methods);
    }

    /// Has no block below a height any more, but for genesis; with height 0 it has them all again.
    pub fn prune(&self, below: u64, answer: PrunedAnswer) {
        self.chain.lock().prune(below, answer);
    }

    /// How often a method was called.
    pub fn calls(&self, method: &str) -> u64 {
        self.chain.lock().calls(method)
    }
}

async fn serve(State(chain): State<Arc<Mutex<Chain>>>, Json(call): Json<Value>) -> Json<Value> {
    let method = call.get("method").and_then(Value::as_str).unwrap_or_default();
    let params = call.get("params").unwrap_or(&Value::Null);
    let id = call.get("id").cloned().unwrap_or_default();
    Json(match chain.lock().answer(method, params) {
        Ok(result) => json!({ "jsonrpc": "2.0", "id": id, "result": result }),
        Err(error) => json!({ "jsonrpc": "2.0", "id": id, "error": error }),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ethereum::{BlockId, ExecutionNode, NodeError},
        relay::{TlsRoots, build_http_client},
    };

    #[tokio::test]
    async fn our_own_client_reads_it() {
        let genesis = B256::repeat_byte(0x11);
        let chain = SimExecution::start(5, genesis, 100, 2).await.unwrap();
        chain.finalize_behind(1);
        let (builder, us, hash) =
            (Address::repeat_byte(0xb1), Address::repeat_byte(0xee), B256::repeat_byte(2));
        chain.append(hash, 102, builder, us, Wei::new(U256::from(500)));
        let local = chain.append_local(104, us, Wei::new(U256::from(GAS * 10)));
        let http = build_http_client(&TlsRoots::Bundled, None).unwrap();
        let node = ExecutionNode::new(http, chain.url().parse().unwrap()).of_chain(Some(5));
        assert_eq!(node.chain_id().await.unwrap(), 5);
        let head = node.block(BlockId::Latest, true).await.unwrap().unwrap();
        assert_eq!((head.hash, head.parent_hash, head.number.to::<u64>()), (local, hash, 2));
        let last = node.block(BlockId::Finalized, true).await.unwrap().unwrap();
        assert_eq!(last.hash, hash);
        assert_eq!(node.receipts(&last).await.unwrap().len(), 2);
        let transfers = node.transfers(&last).await.unwrap().unwrap();
        assert_eq!((transfers[1].from, transfers[1].to, transfers[1].value), (builder, us, U256::from(500)));
        let gained = node.balance(us, 2).await.unwrap() - node.balance(us, 0).await.unwrap();
        assert_eq!(gained, U256::from(500 + GAS * 10));
        assert_eq!(node.block(BlockId::Number(9), false).await.unwrap(), None);
        // As a node without the namespace, and one that has pruned.
        chain.refuse(&["debug_traceBlockByHash"]);
        assert_eq!(node.transfers(&last).await.unwrap(), None);
        chain.prune(2, PrunedAnswer::Null);
        assert_eq!(node.block(BlockId::Hash(hash), false).await.unwrap(), None);
        chain.prune(2, PrunedAnswer::Error);
        let pruned = node.block(BlockId::Number(1), false).await.unwrap_err();
        assert!(matches!(pruned, NodeError::Rpc { code: 4444, .. }), "{pruned}");
        assert!(node.block(BlockId::Number(2), false).await.unwrap().is_some());
    }
}
