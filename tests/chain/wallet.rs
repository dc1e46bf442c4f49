//! A wallet in a process of its own, made with a library as it is in the field.

use std::{path::PathBuf, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command},
    time::timeout,
};

/// No word of the wallet's takes this long on a working machine.
const WORD: Duration = Duration::from_secs(30);

/// What it is made with.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Library {
    /// JavaScript's.
    Ethers,
    /// Rust's.
    Alloy,
}

/// A wallet that reads all the time, over HTTP and over a websocket, and does what it is told.
pub(crate) struct Wallet {
    _child: Child,
    stdin: ChildStdin,
    stdout: Lines<BufReader<ChildStdout>>,
}

impl Wallet {
    pub(crate) async fn start(library: Library, address: &str, chain_id: u64) -> Self {
        let folder = PathBuf::from(std::env::var_os("RELAYMUX_DEVNET").unwrap());
        let mut command = match library {
            Library::Ethers => {
                let mut node = Command::new("node");
                node.current_dir(folder.join("searcher")).arg("wallet.mjs");
                node
            }
            Library::Alloy => Command::new(folder.join("alloy/bin/alloy-wallet")),
        };
        let mut child = command
            .args([&format!("http://{address}"), &format!("ws://{address}"), &chain_id.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let mut wallet = Self { _child: child, stdin, stdout: BufReader::new(stdout).lines() };
        assert_eq!(wallet.word().await, json!({"ready": true}));
        wallet
    }

    async fn word(&mut self) -> Value {
        let line =
            timeout(WORD, self.stdout.next_line()).await.expect("the wallet to say something").unwrap();
        serde_json::from_str(&line.expect("the wallet to live")).unwrap()
    }

    /// Says a word, whatever comes of it.
    pub(crate) async fn try_tell(&mut self, word: &str) -> Result<Value, Value> {
        self.stdin.write_all(format!("{word}\n").as_bytes()).await.unwrap();
        let answer = self.word().await;
        if answer.get("error").is_some() { Err(answer) } else { Ok(answer) }
    }

    /// Says a word that must succeed.
    pub(crate) async fn tell(&mut self, word: &str) -> Value {
        self.try_tell(word).await.unwrap_or_else(|answer| panic!("{word}: {answer}"))
    }

    /// Waits until it was told of a block.
    pub(crate) async fn hears_of(&mut self, number: u64) {
        for _ in 0..3_000 {
            let seen = self.tell("seen").await;
            if seen["heads"].as_array().unwrap().iter().any(|head| head.as_u64() == Some(number)) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("the wallet never heard of block {number}");
    }

    /// What it saw once it was told of so many logs. Nothing that it asked for has failed, and no head went backwards.
    pub(crate) async fn saw(&mut self, logs: usize) -> Value {
        let seen = crate::stage::eventually("every log", async || {
            let seen = self.tell("seen").await;
            (seen["logs"].as_array()?.len() >= logs).then_some(seen)
        })
        .await;
        assert_eq!(seen["failures"], json!([]));
        assert_eq!(seen["backwards"], json!([]));
        seen
    }
}

/// Each head once, in order, from the first that was heard to the last; each log once, in the order of the calls that made them.
pub(crate) fn assert_whole(seen: &Value, last: u64, calls: &[Value]) {
    let heads: Vec<u64> =
        seen["heads"].as_array().unwrap().iter().map(|head| head.as_u64().unwrap()).collect();
    let upto: Vec<u64> = heads.iter().copied().take_while(|head| *head <= last).collect();
    assert_eq!(upto, (heads[0]..=last).collect::<Vec<_>>(), "each head once, in order");
    let logged: Vec<&Value> =
        seen["logs"].as_array().unwrap().iter().map(|log| &log["transaction"]).collect();
    let called: Vec<&Value> = calls.iter().map(|call| &call["hash"]).collect();
    assert_eq!(logged, called, "each log once, in order");
    assert!(seen["logs"].as_array().unwrap().iter().all(|log| log["removed"] == json!(false)));
}
