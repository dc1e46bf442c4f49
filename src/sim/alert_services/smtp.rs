//! A mail server: as much of SMTP (RFC 5321) and of `AUTH PLAIN` as a client without TLS needs.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use parking_lot::Mutex;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use super::parts::accept;

/// What `AUTH PLAIN` must say.
const LOGIN: &[u8] = b"\0relaymux\0sim-secret";
const MAX_MAIL: u64 = 4 << 20;

/// What a mail server does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SmtpHabit {
    /// Takes mail.
    #[default]
    Takes,
    /// Answers so to `MAIL FROM`.
    Refuses(u16),
    /// Takes the mail and closes without an answer.
    ClosesAfterData,
    /// Never says a word.
    Hangs,
}

/// A mail that was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMail {
    /// Who it is from, of the envelope.
    pub from: String,
    /// Whom it is for, of the envelope.
    pub to: Vec<String>,
    /// Headers and body, as they came.
    pub data: String,
    /// Whether the sender logged in.
    pub is_authenticated: bool,
}

impl ReceivedMail {
    /// A header's value, where it is in one line.
    pub fn header(&self, name: &str) -> Option<&str> {
        let head = self.data.split("\r\n\r\n").next()?;
        head.split("\r\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }
}

struct Shared {
    habit: Mutex<SmtpHabit>,
    received: Mutex<Vec<ReceivedMail>>,
    count: watch::Sender<usize>,
}

/// A running one. Stops when dropped.
pub struct SimMailServer {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

impl std::fmt::Debug for SimMailServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimMailServer({})", self.address)
    }
}

impl Drop for SimMailServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl SimMailServer {
    /// Starts one on a free port of loopback. Whoever logs in is `relaymux` with the password `sim-secret`.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start() -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            habit: Mutex::default(),
            received: Mutex::default(),
            count: watch::Sender::new(0),
        });
        let stop = CancellationToken::new();
        tokio::spawn(accept(listener, stop.clone(), {
            let shared = Arc::clone(&shared);
            move |stream| serve(stream, Arc::clone(&shared))
        }));
        Ok(Self { address, shared, stop })
    }

    /// Its port on loopback.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// What it does from now on.
    pub fn habit(&self, habit: SmtpHabit) {
        *self.shared.habit.lock() = habit;
    }

    /// Every mail it took.
    pub fn received(&self) -> Vec<ReceivedMail> {
        self.shared.received.lock().clone()
    }

    /// Waits until so many mails have come. Cancel-safe.
    pub async fn wait_for(&self, count: usize) {
        // Cannot fail while this value holds the sender.
        let _ = self.shared.count.subscribe().wait_for(|seen| *seen >= count).await;
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    let habit = *shared.habit.lock();
    if habit == SmtpHabit::Hangs {
        std::future::pending::<()>().await;
    }
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read.take(MAX_MAIL)).lines();
    let (mut from, mut to, mut is_authenticated) = (None::<String>, Vec::new(), false);
    write.write_all(b"220 sim ESMTP\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let (verb, rest) = line.split_once([' ', ':']).unwrap_or((line.as_str(), ""));
        let address = || {
            rest.rsplit_once('<')
                .and_then(|(_, rest)| rest.split_once('>'))
                .map(|(address, _)| address.to_owned())
        };
        let answer = match verb.to_ascii_uppercase().as_str() {
            "EHLO" if rest.is_empty() => "501 no name".to_owned(),
            "EHLO" => "250-sim\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 AUTH PLAIN".to_owned(),
            "AUTH" => {
                let said = rest.strip_prefix("PLAIN ").and_then(|said| STANDARD.decode(said).ok());
                is_authenticated = said.as_deref() == Some(LOGIN);
                if is_authenticated { "235 ok" } else { "535 5.7.8 authentication failed" }.to_owned()
            }
            "MAIL" => match habit {
                SmtpHabit::Refuses(code) => format!("{code} not today"),
                SmtpHabit::Takes | SmtpHabit::ClosesAfterData | SmtpHabit::Hangs => {
                    from = address();
                    "250 ok".to_owned()
                }
            },
            "RCPT" if from.is_none() => "503 no sender".to_owned(),
            "RCPT" => {
                to.extend(address());
                "250 ok".to_owned()
            }
            "DATA" if to.is_empty() => "503 no recipient".to_owned(),
            "DATA" => {
                write.write_all(b"354 go on\r\n").await?;
                let mut data = String::new();
                while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                    data.push_str(line.strip_prefix('.').unwrap_or(&line));
                    data.push_str("\r\n");
                }
                let (from, to) = (from.take().unwrap_or_default(), std::mem::take(&mut to));
                shared.received.lock().push(ReceivedMail { from, to, data, is_authenticated });
                shared.count.send_modify(|count| *count += 1);
                if habit == SmtpHabit::ClosesAfterData {
                    return Ok(());
                }
                "250 taken".to_owned()
            }
            "QUIT" => {
                write.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            "RSET" | "NOOP" => "250 ok".to_owned(),
            _ => "502 unknown".to_owned(),
        };
        write.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}
