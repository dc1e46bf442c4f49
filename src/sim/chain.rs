//! An execution chain that is written by hand, and what a node of it answers to JSON-RPC. Pure: no socket, no time.
//!
//! Nothing is executed: a transaction moves the ether it carries unless told to fail, and costs 21,000 gas. What each block pays is up to whoever
//! appends it, so that a relay's promise can be kept or broken. Sources: execution-apis `eth`, geth's `debug` namespace, EIP-4444.

use std::collections::{BTreeMap, BTreeSet};

use alloy_primitives::{Address, B256, U64, U256, keccak256};
use serde_json::{Value, json};

use crate::bundles::BundleTx;

/// What is burnt per gas, in wei.
const BASE_FEE: u128 = 1_000_000_000;
/// What a plain transfer costs.
pub(super) const GAS: u64 = 21_000;
/// What everybody has at first: a million ETH.
const WEALTH: u128 = 1_000_000_000_000_000_000_000_000;

/// A transaction: a plain transfer, or what a bundle had in it.
#[derive(Clone, Debug)]
pub(super) struct SimTx {
    /// Identity; zero until it is in a block.
    hash: B256,
    from: Address,
    to: Option<Address>,
    value: U256,
    nonce: u64,
    /// Paid to the block's fee recipient per gas, in wei.
    tip: U256,
    fails: bool,
}

impl SimTx {
    pub(super) fn transfer(from: Address, to: Address, value: U256, tip: U256) -> Self {
        Self { hash: B256::ZERO, from, to: Some(to), value, nonce: 0, tip, fails: false }
    }

    pub(super) fn of_bundle(tx: &BundleTx, fails: bool) -> Self {
        let tip = tx.tip.min(tx.max_fee.saturating_sub(BASE_FEE));
        let BundleTx { hash, sender, to, value, nonce, .. } = tx;
        Self {
            hash: *hash,
            from: *sender,
            to: *to,
            value: *value,
            nonce: *nonce,
            tip: U256::from(tip),
            fails,
        }
    }

    fn price(&self) -> U256 {
        self.tip.saturating_add(U256::from(BASE_FEE))
    }

    fn moves(&self) -> U256 {
        if self.fails { U256::ZERO } else { self.value }
    }
}

/// A block.
#[derive(Clone, Debug)]
struct SimBlock {
    number: u64,
    hash: B256,
    parent: B256,
    timestamp: u64,
    coinbase: Address,
    transactions: Vec<SimTx>,
}

/// What is final.
#[derive(Clone, Copy, Debug)]
pub(super) enum Finality {
    /// Everything up to a height.
    UpTo(u64),
    /// Everything so many blocks below the head.
    Behind(u64),
}

/// What a node says of a block that it has pruned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrunedAnswer {
    /// Error 4444, as geth.
    Error,
    /// `null`, as for a block that it never heard of.
    Null,
}

/// The chain, and what its node has and serves of it.
#[derive(Debug)]
pub(super) struct Chain {
    id: u64,
    slot_secs: u64,
    /// By height; the first is genesis.
    blocks: Vec<SimBlock>,
    /// Blocks that were in the chain once, by hash: a node still knows them.
    orphans: BTreeMap<B256, SimBlock>,
    finality: Finality,
    /// Blocks mined, for hashes that are never the same.
    mined: u64,
    /// Blocks below this height are gone, and what is said of them.
    pruned: (u64, PrunedAnswer),
    refused: BTreeSet<String>,
    version: String,
    calls: BTreeMap<String, u64>,
}

impl Chain {
    /// A chain with nothing but its genesis block, of which nothing else is final.
    pub(super) fn new(id: u64, genesis: B256, timestamp: u64, slot_secs: u64) -> Self {
        let (number, coinbase) = (0, Address::ZERO);
        let first = SimBlock {
            number,
            hash: genesis,
            parent: B256::ZERO,
            timestamp,
            coinbase,
            transactions: Vec::new(),
        };
        Self {
            id,
            slot_secs,
            blocks: vec![first],
            orphans: BTreeMap::new(),
            finality: Finality::UpTo(0),
            mined: 0,
            pruned: (0, PrunedAnswer::Null),
            refused: BTreeSet::new(),
            version: "SimExecution/v1.0.0/sim".to_owned(),
            calls: BTreeMap::new(),
        }
    }

    fn head(&self) -> &SimBlock {
        // The genesis block is never taken out.
        self.blocks.last().unwrap_or_else(|| unreachable!("a chain has its genesis block"))
    }

    pub(super) fn height(&self) -> u64 {
        self.head().number
    }

    /// Appends a block.
    pub(super) fn append(
        &mut self,
        hash: B256,
        timestamp: u64,
        coinbase: Address,
        mut transactions: Vec<SimTx>,
    ) {
        for (index, tx) in transactions.iter_mut().enumerate().filter(|(_, tx)| tx.hash.is_zero()) {
            tx.hash = keccak256([hash.as_slice(), &index.to_be_bytes()].concat());
        }
        let (number, parent) = (self.height() + 1, self.head().hash);
        self.blocks.push(SimBlock { number, hash, parent, timestamp, coinbase, transactions });
    }

    /// Appends a block in the next slot; its hash.
    pub(super) fn mine(&mut self, coinbase: Address, transactions: Vec<SimTx>) -> B256 {
        self.mined += 1;
        let seed = [U256::from(self.height() + 1), U256::from(self.mined)].map(|n| n.to_be_bytes::<32>());
        let (hash, timestamp) = (keccak256(seed.concat()), self.head().timestamp + self.slot_secs);
        self.append(hash, timestamp, coinbase, transactions);
        hash
    }

    /// What it says of itself from now on.
    pub(super) fn call_itself(&mut self, version: &str) {
        version.clone_into(&mut self.version);
    }

    /// Takes the newest block out of the chain, but not the first.
    pub(super) fn roll_back(&mut self) {
        if self.blocks.len() > 1
            && let Some(block) = self.blocks.pop()
        {
            self.orphans.insert(block.hash, block);
        }
    }

    pub(super) fn finalize(&mut self, finality: Finality) {
        self.finality = finality;
    }

    pub(super) fn prune(&mut self, below: u64, answer: PrunedAnswer) {
        self.pruned = (below, answer);
    }

    pub(super) fn refuse(&mut self, methods: &[&str]) {
        self.refused = methods.iter().map(|method| (*method).to_owned()).collect();
    }

    pub(super) fn calls(&self, method: &str) -> u64 {
        self.calls.get(method).copied().unwrap_or_default()
    }

    /// A block by a tag, a height or a hash; an error where the node has pruned it and says so.
    fn find(&self, which: &Value) -> Result<Option<&SimBlock>, Value> {
        let at = |height: u64| self.blocks.get(usize::try_from(height).ok()?);
        let text = which.as_str().unwrap_or_default();
        let found = match text {
            "latest" | "pending" => Some(self.head()),
            "finalized" | "safe" => match self.finality {
                Finality::UpTo(height) => at(height),
                Finality::Behind(depth) => at(self.height().saturating_sub(depth)),
            },
            "earliest" => at(0),
            hash if hash.len() == 66 => hash.parse().ok().and_then(|hash: B256| {
                self.blocks.iter().find(|block| block.hash == hash).or_else(|| self.orphans.get(&hash))
            }),
            number => number.parse::<U64>().ok().and_then(|number| at(number.to())),
        };
        let (below, answer) = self.pruned;
        match (found.filter(|block| block.number < below && block.number > 0), answer) {
            (None, _) => Ok(found),
            (Some(_), PrunedAnswer::Null) => Ok(None),
            (Some(_), PrunedAnswer::Error) => {
                Err(json!({ "code": 4444, "message": "pruned history unavailable" }))
            }
        }
    }

    /// What an address has after a block: what came less what went.
    fn balance(&self, address: Address, height: u64) -> U256 {
        let mut balance = U256::from(WEALTH);
        for block in self.blocks.iter().filter(|block| block.number <= height) {
            for tx in &block.transactions {
                if tx.to == Some(address) {
                    balance += tx.moves();
                }
                if block.coinbase == address {
                    balance += tx.tip * U256::from(GAS);
                }
                if tx.from == address {
                    balance = balance.saturating_sub(tx.moves() + tx.price() * U256::from(GAS));
                }
            }
        }
        balance
    }

    /// The next nonce of an account after a block.
    fn nonce(&self, account: Option<Address>, height: u64) -> u64 {
        let blocks = self.blocks.iter().filter(|block| block.number <= height);
        let sent = blocks.flat_map(|block| &block.transactions).filter(|tx| Some(tx.from) == account);
        sent.map(|tx| tx.nonce + 1).max().unwrap_or_default()
    }

    /// The result of a call, or its error.
    pub(super) fn answer(&mut self, method: &str, params: &Value) -> Result<Value, Value> {
        *self.calls.entry(method.to_owned()).or_default() += 1;
        let param = |index: usize| params.get(index).unwrap_or(&Value::Null);
        let of_block = |show: fn(&SimBlock) -> Value| Ok(self.find(param(0))?.map_or(Value::Null, show));
        let account = || param(0).as_str().and_then(|text| text.parse().ok());
        let height = || self.find(param(1)).map(|block| block.map_or(0, |block| block.number));
        let unknown = || {
            let message = format!("the method {method} does not exist/is not available");
            Err(json!({ "code": -32601, "message": message }))
        };
        if self.refused.contains(method) {
            return unknown();
        }
        match method {
            "eth_chainId" => Ok(json!(U64::from(self.id))),
            "web3_clientVersion" => Ok(json!(self.version)),
            "eth_blockNumber" => Ok(json!(U64::from(self.height()))),
            "eth_getBlockByNumber" | "eth_getBlockByHash" if *param(1) == json!(true) => {
                of_block(|block| block.json(true))
            }
            "eth_getBlockByNumber" | "eth_getBlockByHash" => of_block(|block| block.json(false)),
            "eth_getBlockReceipts" => of_block(SimBlock::receipts),
            "debug_traceBlockByHash" => of_block(SimBlock::traces),
            "eth_getBalance" => Ok(json!(self.balance(account().unwrap_or_default(), height()?))),
            "eth_getTransactionCount" => Ok(json!(U64::from(self.nonce(account(), height()?)))),
            _ => unknown(),
        }
    }
}

impl SimBlock {
    fn json(&self, is_whole: bool) -> Value {
        let transaction = |tx: &SimTx| match is_whole {
            true => json!({
                "hash": tx.hash, "from": tx.from, "to": tx.to, "value": tx.value, "nonce": U64::from(tx.nonce),
            }),
            false => json!(tx.hash),
        };
        let gas_used = GAS * u64::try_from(self.transactions.len()).unwrap_or_default();
        json!({
            "number": U64::from(self.number),
            "hash": self.hash,
            "parentHash": self.parent,
            "timestamp": U64::from(self.timestamp),
            "miner": self.coinbase,
            "extraData": "0x73696d",
            "baseFeePerGas": U256::from(BASE_FEE),
            "gasUsed": U64::from(gas_used),
            "gasLimit": U64::from(60_000_000_u64),
            "transactions": self.transactions.iter().map(transaction).collect::<Vec<_>>(),
            "withdrawals": [],
        })
    }

    fn receipts(&self) -> Value {
        let receipt = |tx: &SimTx| {
            json!({
                "transactionHash": tx.hash, "status": U64::from(u64::from(!tx.fails)), "gasUsed": U64::from(GAS),
                "effectiveGasPrice": tx.price(), "logs": [],
            })
        };
        self.transactions.iter().map(receipt).collect()
    }

    fn traces(&self) -> Value {
        let trace = |tx: &SimTx| {
            let mut call = json!({ "type": "CALL", "from": tx.from, "to": tx.to, "value": tx.value });
            if tx.fails
                && let Some(call) = call.as_object_mut()
            {
                call.insert("error".to_owned(), "execution reverted".into());
            }
            json!({ "result": call })
        };
        self.transactions.iter().map(trace).collect()
    }
}
