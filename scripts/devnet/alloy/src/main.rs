//! A wallet and a subscriber as Rust programs make them, with alloy's providers unchanged but for the URLs. It does what `wallet.mjs` does, in the same
//! words on stdin and stdout.
//! usage: alloy-wallet HTTP_URL WEBSOCKET_URL [CHAIN_ID]

use std::{
    error::Error,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use alloy::{
    eips::Encodable2718,
    network::{EthereumWallet, NetworkTransactionBuilder, TransactionBuilder},
    primitives::{Address, B256, Bytes, TxKind, hex, keccak256},
    providers::{Provider, ProviderBuilder, WsConnect},
    rpc::types::{Filter, TransactionRequest},
    signers::local::PrivateKeySigner,
};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

type Failed = Box<dyn Error + Send + Sync>;

/// Public test key: anvil's third account.
const KEY: &str = "0x5de4111afa1a4b94908f83103eb1f1706367c2e68ca870fc3fb9a804cdab365a";
/// Code that logs the topic 42, and code that returns it.
const CODE: &str = "0x67602a60006000a10060005260086018f3";

#[derive(Default)]
struct Seen {
    heads: Vec<u64>,
    logs: Vec<Value>,
    reads: [u64; 2],
    failures: Vec<Value>,
    backwards: Vec<Value>,
    longest_ms: u128,
    is_ended: bool,
}

impl Seen {
    fn to_json(&self) -> Value {
        json!({
            "heads": self.heads, "logs": self.logs, "failures": self.failures, "backwards": self.backwards,
            "reads": { "http": self.reads[0], "websocket": self.reads[1] }, "longest_ms": u64::try_from(self.longest_ms).unwrap_or(u64::MAX),
        })
    }
}

type Shared = Arc<Mutex<Seen>>;

async fn read(place: usize, over: impl Provider + 'static, us: Address, seen: Shared) {
    let way = ["http", "websocket"][place];
    let mut last = 0;
    while !seen.lock().unwrap().is_ended {
        let began = Instant::now();
        let came = async {
            let number = over.get_block_number().await?;
            over.get_balance(us).await?;
            Ok::<_, Failed>(number)
        };
        let came = came.await;
        {
            let mut seen = seen.lock().unwrap();
            match came {
                Ok(number) => {
                    if number < last {
                        seen.backwards.push(json!({ "way": way, "last": last, "number": number }));
                    }
                    last = last.max(number);
                    seen.reads[place] += 2;
                }
                Err(error) => seen.failures.push(json!({ "way": way, "error": error.to_string() })),
            }
            seen.longest_ms = seen.longest_ms.max(began.elapsed().as_millis());
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

struct Wallet<P> {
    http: P,
    websocket: P,
    signer: EthereumWallet,
    chain_id: u64,
    nonce: u64,
    contract: Option<Address>,
    seen: Shared,
}

impl<P: Provider + Clone + 'static> Wallet<P> {
    async fn send(&mut self, to: TxKind, input: Bytes) -> Result<Value, Failed> {
        let mut request = TransactionRequest::default()
            .with_chain_id(self.chain_id)
            .with_nonce(self.nonce)
            .with_gas_limit(100_000)
            .with_max_fee_per_gas(100_000_000_000)
            .with_max_priority_fee_per_gas(1_000_000_000)
            .with_input(input);
        request.to = Some(to);
        self.nonce += 1;
        let raw = request.build(&self.signer).await?.encoded_2718();
        let pending = self.http.send_raw_transaction(&raw).await?;
        let hash = *pending.tx_hash();
        assert_eq!(hash, keccak256(&raw), "the hash that came is the transaction's");
        Ok(json!({ "hash": hash, "raw": hex::encode_prefixed(&raw) }))
    }

    async fn told(&mut self, line: &str) -> Result<Value, Failed> {
        let (word, rest) = line.split_once(' ').unwrap_or((line, ""));
        match word {
            "deploy" => self.send(TxKind::Create, CODE.parse()?).await,
            "call" => self.send(TxKind::Call(self.contract.ok_or("nothing is watched")?), Bytes::new()).await,
            "watch" => {
                let contract: Address = rest.parse()?;
                self.contract = Some(contract);
                let logs = self.websocket.subscribe_logs(&Filter::new().address(contract)).await?;
                let (mut logs, seen) = (logs.into_stream(), Arc::clone(&self.seen));
                tokio::spawn(async move {
                    while let Some(log) = logs.next().await {
                        let log = json!({ "block": log.block_number, "transaction": log.transaction_hash, "removed": log.removed });
                        seen.lock().unwrap().logs.push(log);
                    }
                });
                Ok(json!({ "watching": contract }))
            }
            "receipt" => {
                let receipt = self.http.get_transaction_receipt(rest.parse::<B256>()?).await?;
                let receipt = receipt.ok_or("there is no receipt")?;
                Ok(json!({
                    "block": receipt.block_number, "contract": receipt.contract_address,
                    "status": if receipt.status() { 1 } else { 0 },
                }))
            }
            "logs" => {
                let contract = self.contract.ok_or("nothing is watched")?;
                let logs = self.http.get_logs(&Filter::new().address(contract).from_block(0)).await?;
                Ok(json!(logs.iter().map(|log| log.transaction_hash).collect::<Vec<_>>()))
            }
            "seen" => Ok(self.seen.lock().unwrap().to_json()),
            other => Err(format!("no such word: {other}").into()),
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failed> {
    let mut words = std::env::args().skip(1);
    let (http, websocket) = (words.next().ok_or("HTTP_URL")?, words.next().ok_or("WEBSOCKET_URL")?);
    let chain_id = words.next().map_or(Ok(31337), |id| id.parse())?;
    let signer: PrivateKeySigner = KEY.parse()?;
    let us = signer.address();
    let http = ProviderBuilder::new().disable_recommended_fillers().connect_http(http.parse()?).erased();
    let websocket =
        ProviderBuilder::new().disable_recommended_fillers().connect_ws(WsConnect::new(websocket)).await?.erased();
    let seen = Shared::default();
    let mut heads = websocket.subscribe_blocks().await?.into_stream();
    tokio::spawn({
        let seen = Arc::clone(&seen);
        async move {
            while let Some(head) = heads.next().await {
                seen.lock().unwrap().heads.push(head.number);
            }
        }
    });
    let reading = [
        tokio::spawn(read(0, http.clone(), us, Arc::clone(&seen))),
        tokio::spawn(read(1, websocket.clone(), us, Arc::clone(&seen))),
    ];
    let nonce = http.get_transaction_count(us).await?;
    let signer = EthereumWallet::from(signer);
    let mut wallet = Wallet { http, websocket, signer, chain_id, nonce, contract: None, seen };
    println!("{}", json!({ "ready": true }));
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        if line == "end" {
            break;
        }
        let answer = wallet.told(&line).await.unwrap_or_else(|error| json!({ "error": error.to_string() }));
        println!("{answer}");
    }
    wallet.seen.lock().unwrap().is_ended = true;
    for task in reading {
        task.await?;
    }
    println!("{}", wallet.seen.lock().unwrap().to_json());
    Ok(())
}
