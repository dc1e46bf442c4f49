//! An execution node's JSON-RPC over a chain that a test writes by hand: blocks of chosen transactions, reorganisations, finality.
//!
//! It executes nothing: every transaction succeeds unless told otherwise, costs 21,000 gas, and moves the ether it carries. It has no
//! tracing namespace, like a node with the defaults. Source: execution-apis `eth`.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use alloy_primitives::{Address, B256, U64, U256, keccak256};
use axum::{Json, Router, extract::State, routing::post};
use parking_lot::Mutex;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use crate::{
    bundles::{BundleTx, read_transaction},
    serve::{ListenError, Listener},
};

/// What is burnt per gas, in wei.
const BASE_FEE: u128 = 1_000_000_000;
/// What a plain transfer costs.
const GAS: u64 = 21_000;

#[derive(Clone, Debug)]
struct SimBlock {
    number: u64,
    hash: B256,
    parent: B256,
    timestamp: u64,
    miner: Address,
    transactions: Vec<BundleTx>,
    failed: BTreeSet<B256>,
}

struct Chain {
    id: u64,
    slot_secs: u64,
    blocks: Vec<SimBlock>,
    /// Blocks that were in the chain once, by hash: a node still knows them.
    orphans: BTreeMap<B256, SimBlock>,
    finalized: u64,
    /// Blocks mined, for hashes that are never the same.
    mined: u64,
    calls: BTreeMap<String, u64>,
}

/// A running node. Stops when dropped.
pub struct SimExecution {
    address: SocketAddr,
    chain: Arc<Mutex<Chain>>,
    stop: CancellationToken,
}

impl std::fmt::Debug for SimExecution {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimExecution({})", self.address)
    }
}

impl Drop for SimExecution {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl SimExecution {
    /// Starts a node of a chain (EIP-155) with an empty block 1 at a time, Unix seconds.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(id: u64, timestamp: u64, slot_secs: u64) -> Result<Self, ListenError> {
        let genesis = SimBlock {
            number: 0,
            hash: B256::repeat_byte(0xee),
            parent: B256::ZERO,
            timestamp: timestamp.saturating_sub(slot_secs),
            miner: Address::ZERO,
            transactions: Vec::new(),
            failed: BTreeSet::new(),
        };
        let chain = Chain {
            id,
            slot_secs,
            blocks: vec![genesis],
            orphans: BTreeMap::new(),
            finalized: 0,
            mined: 0,
            calls: BTreeMap::new(),
        };
        let chain = Arc::new(Mutex::new(chain));
        let router = Router::new().route("/", post(answer)).with_state(Arc::clone(&chain));
        let listener =
            Listener::bind("simulated execution node", SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let (address, stop) = (listener.address(), CancellationToken::new());
        tokio::spawn(listener.serve(router, stop.clone(), Duration::ZERO));
        let node = Self { address, chain, stop };
        node.mine(&[], Address::ZERO);
        Ok(node)
    }

    /// Its JSON-RPC.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Height of the head.
    pub fn head(&self) -> u64 {
        self.chain.lock().head().number
    }

    /// Mines a block of raw transactions in their order, its fees to `miner`; its hash. What cannot be read is left out.
    pub fn mine(&self, raw: &[&[u8]], miner: Address) -> B256 {
        self.mine_with_failures(raw, miner, &[])
    }

    /// The same, with transactions that fail.
    pub fn mine_with_failures(&self, raw: &[&[u8]], miner: Address, failed: &[B256]) -> B256 {
        let transactions: Vec<BundleTx> = raw.iter().filter_map(|raw| read_transaction(raw).ok()).collect();
        let mut chain = self.chain.lock();
        chain.mined += 1;
        let (number, parent) = (chain.head().number + 1, chain.head().hash);
        let seed = [U256::from(number), U256::from(chain.mined)].map(|n| n.to_be_bytes::<32>()).concat();
        let block = SimBlock {
            number,
            hash: keccak256(seed),
            parent,
            timestamp: chain.head().timestamp + chain.slot_secs,
            miner,
            transactions,
            failed: failed.iter().copied().collect(),
        };
        let hash = block.hash;
        chain.blocks.push(block);
        hash
    }

    /// Takes the newest blocks out of the chain.
    pub fn roll_back(&self, blocks: usize) {
        let mut chain = self.chain.lock();
        for _ in 0..blocks {
            if chain.blocks.len() > 1
                && let Some(block) = chain.blocks.pop()
            {
                chain.orphans.insert(block.hash, block);
            }
        }
    }

    /// Everything up to a height is final.
    pub fn finalize(&self, number: u64) {
        self.chain.lock().finalized = number;
    }

    /// How often a method was called.
    pub fn calls(&self, method: &str) -> u64 {
        self.chain.lock().calls.get(method).copied().unwrap_or_default()
    }
}

impl Chain {
    fn head(&self) -> &SimBlock {
        // The genesis block is never taken out.
        self.blocks.last().unwrap_or_else(|| unreachable!("a chain has its genesis block"))
    }

    fn at(&self, id: &Value) -> Option<&SimBlock> {
        let text = id.as_str()?;
        match text {
            "latest" | "pending" => Some(self.head()),
            "finalized" | "safe" => self.blocks.get(usize::try_from(self.finalized).ok()?),
            hash if hash.len() == 66 => {
                let hash: B256 = hash.parse().ok()?;
                self.blocks.iter().find(|block| block.hash == hash).or_else(|| self.orphans.get(&hash))
            }
            number => {
                let number = number.parse::<U64>().ok()?.to::<u64>();
                self.blocks.get(usize::try_from(number).ok()?)
            }
        }
    }

    fn result(&mut self, method: &str, params: &Value) -> Result<Value, Value> {
        *self.calls.entry(method.to_owned()).or_default() += 1;
        let param = |index: usize| params.get(index).cloned().unwrap_or_default();
        match method {
            "eth_chainId" => Ok(json!(U64::from(self.id))),
            "eth_getBlockByNumber" | "eth_getBlockByHash" => {
                let is_whole = param(1) == json!(true);
                Ok(self.at(&param(0)).map_or(Value::Null, |block| block_json(block, is_whole)))
            }
            "eth_getBlockReceipts" => Ok(self.at(&param(0)).map_or(Value::Null, receipts_json)),
            "eth_getTransactionCount" => {
                let account: Option<Address> = param(0).as_str().and_then(|text| text.parse().ok());
                let until = self.at(&param(1)).map_or(0, |block| block.number);
                let blocks = self.blocks.iter().filter(|block| block.number <= until);
                let sent =
                    blocks.flat_map(|block| &block.transactions).filter(|tx| Some(tx.sender) == account);
                Ok(json!(U64::from(sent.map(|tx| tx.nonce + 1).max().unwrap_or_default())))
            }
            other => Err(
                json!({"code": -32601, "message": format!("the method {other} does not exist/is not available")}),
            ),
        }
    }
}

fn block_json(block: &SimBlock, is_whole: bool) -> Value {
    let transactions: Vec<Value> = block
        .transactions
        .iter()
        .map(|tx| match is_whole {
            true => json!({
                "hash": tx.hash, "from": tx.sender, "to": tx.to, "value": tx.value, "nonce": U64::from(tx.nonce),
            }),
            false => json!(tx.hash),
        })
        .collect();
    json!({
        "number": U64::from(block.number), "hash": block.hash, "parentHash": block.parent, "miner": block.miner,
        "timestamp": U64::from(block.timestamp), "extraData": "0x73696d", "baseFeePerGas": U256::from(BASE_FEE),
        "gasUsed": U64::from(GAS * block.transactions.len() as u64), "transactions": transactions, "withdrawals": [],
    })
}

fn receipts_json(block: &SimBlock) -> Value {
    let receipt = |tx: &BundleTx| {
        let price = tx.max_fee.min(BASE_FEE.saturating_add(tx.tip));
        json!({
            "transactionHash": tx.hash, "status": U64::from(u64::from(!block.failed.contains(&tx.hash))),
            "gasUsed": U64::from(GAS), "effectiveGasPrice": U256::from(price), "logs": [],
        })
    };
    block.transactions.iter().map(receipt).collect()
}

async fn answer(State(chain): State<Arc<Mutex<Chain>>>, Json(request): Json<Value>) -> Json<Value> {
    let method = request.get("method").and_then(Value::as_str).unwrap_or_default();
    let params = request.get("params").cloned().unwrap_or_default();
    let id = request.get("id").cloned().unwrap_or_default();
    Json(match chain.lock().result(method, &params) {
        Ok(result) => json!({"jsonrpc": "2.0", "id": id, "result": result}),
        Err(error) => json!({"jsonrpc": "2.0", "id": id, "error": error}),
    })
}
