//! A relay that misbehaves below HTTP: scripts of bytes on a real socket.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::consensus::bls::SigningKey;

/// What is wrong with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawFault {
    /// Reads the request and closes.
    Closes,
    /// Closes its sending side at once and stays: a half-closed connection.
    HalfCloses,
    /// Resets the connection once the request is there.
    Resets,
    /// Reads, and never answers.
    Silent,
    /// Interim answers without end.
    InformationalFlood,
    /// Headers without end.
    HeaderFlood,
    /// Words that are not HTTP.
    NotHttp,
    /// Says that a body of 100 bytes follows, sends 10 and closes.
    ShortBody,
    /// A chunked body whose chunk length is nonsense.
    BadChunk,
}

/// A running one. Stops when dropped.
#[derive(Debug)]
pub struct RawRelay {
    address: SocketAddr,
    key: SigningKey,
    stop: CancellationToken,
}

impl Drop for RawRelay {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl RawRelay {
    /// Starts one on a free port of loopback.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(fault: RawFault) -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let address = listener.local_addr()?;
        let (stop, connections) = (CancellationToken::new(), TaskTracker::new());
        let stopped = stop.clone();
        tokio::spawn(async move {
            loop {
                let stream = tokio::select! {
                    accepted = listener.accept() => accepted,
                    () = stopped.cancelled() => return,
                };
                let Ok((stream, _)) = stream else { continue };
                let stopped = stopped.clone();
                connections.spawn(async move {
                    tokio::select! {
                        () = misbehave(stream, fault) => {}
                        () = stopped.cancelled() => {}
                    }
                });
            }
        });
        let key = SigningKey::from_seed(&[0x77; 32]).ok_or_else(|| io::Error::other("no key"))?;
        Ok(Self { address, key, stop })
    }

    /// Its URL with its key, as `relays.toml` has it.
    pub fn url(&self) -> String {
        format!("http://{}@{}", self.key.public_key(), self.address)
    }
}

/// Most bytes and pauses of a flood: nothing here runs for ever.
const FLOOD_ROUNDS: usize = 200_000;

async fn misbehave(mut stream: TcpStream, fault: RawFault) {
    let mut head = [0u8; 4096];
    if fault == RawFault::HalfCloses {
        let _ = stream.shutdown().await;
    }
    // Whatever the far side does, this one has seen a request or has lost the connection.
    if stream.read(&mut head).await.unwrap_or(0) == 0 {
        return;
    }
    let answer: &[u8] = match fault {
        RawFault::Closes => return,
        RawFault::Resets => {
            // Closing with unread bytes and no lingering resets the connection.
            let _ = stream.set_zero_linger();
            return;
        }
        RawFault::HalfCloses | RawFault::Silent => {
            while stream.read(&mut head).await.unwrap_or(0) > 0 {}
            return;
        }
        RawFault::InformationalFlood => {
            return flood(stream, b"", b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n").await;
        }
        RawFault::HeaderFlood => {
            return flood(stream, b"HTTP/1.1 200 OK\r\n", b"x-flood: 0123456789abcdef0123456789abcdef\r\n")
                .await;
        }
        RawFault::NotHttp => b"220 mail.example.org ESMTP\r\n",
        RawFault::ShortBody => {
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n0123456789"
        }
        RawFault::BadChunk => {
            b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n"
        }
    };
    let _ = stream.write_all(answer).await;
    sleep(Duration::from_millis(50)).await;
}

async fn flood(mut stream: TcpStream, start: &[u8], again: &[u8]) {
    if stream.write_all(start).await.is_err() {
        return;
    }
    for _ in 0..FLOOD_ROUNDS {
        if stream.write_all(again).await.is_err() {
            return;
        }
    }
}
