//! The services that take alerts, as strict as they are: each checks its real schema and limits, refuses in its real words, and can be told to
//! ask for patience, to break, to hang or to close. Plain sockets, so that also what is no HTTP any more can be played.

mod checks;
mod http;
mod parts;
mod smtp;

use std::{
    collections::VecDeque,
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
};

use parking_lot::Mutex;
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
};
use tokio_util::sync::CancellationToken;

use checks::check;
use http::{answer, read_request};
pub use parts::AlertServiceKind;
use parts::{Reply, accept};
pub use smtp::{ReceivedMail, SimMailServer, SmtpHabit};

/// What a service does with a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ServiceHabit {
    /// Looks at it, and takes or refuses it.
    #[default]
    Takes,
    /// Asks for patience, for so many seconds.
    RateLimits(u64),
    /// Answers 500.
    Fails,
    /// Says that there is no such channel any more.
    Gone,
    /// Takes it and never answers.
    Hangs,
    /// Takes it and closes without an answer.
    Closes,
}

/// A request that was taken.
#[derive(Clone, Debug, PartialEq)]
pub struct ReceivedAlert {
    /// The path, with its query.
    pub path: String,
    /// Headers, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body; null where there is none.
    pub body: Value,
}

impl ReceivedAlert {
    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

struct Shared {
    kind: AlertServiceKind,
    habit: Mutex<ServiceHabit>,
    next: Mutex<VecDeque<ServiceHabit>>,
    received: Mutex<Vec<ReceivedAlert>>,
    refused: Mutex<Vec<String>>,
    /// Requests that came, whatever became of them.
    count: watch::Sender<usize>,
}

/// A running service. Stops when dropped.
pub struct SimAlertService {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
}

impl std::fmt::Debug for SimAlertService {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SimAlertService({:?} at {})", self.shared.kind, self.address)
    }
}

impl Drop for SimAlertService {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl SimAlertService {
    /// Starts one on a free port of loopback.
    ///
    /// # Errors
    /// When no port can be had.
    pub async fn start(kind: AlertServiceKind) -> io::Result<Self> {
        let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            kind,
            habit: Mutex::default(),
            next: Mutex::default(),
            received: Mutex::default(),
            refused: Mutex::default(),
            count: watch::Sender::new(0),
        });
        let stop = CancellationToken::new();
        tokio::spawn(accept(listener, stop.clone(), {
            let shared = Arc::clone(&shared);
            move |stream| serve(stream, Arc::clone(&shared))
        }));
        Ok(Self { address, shared, stop })
    }

    /// Its address without a path, as `http://127.0.0.1:1234`.
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The address that a channel of its kind is configured with.
    pub fn url(&self) -> String {
        let path = match self.shared.kind {
            AlertServiceKind::Slack => checks::SLACK_PATH,
            AlertServiceKind::Discord => checks::DISCORD_PATH,
            AlertServiceKind::Webhook(_) => checks::WEBHOOK_PATH,
            AlertServiceKind::Check => checks::CHECK_PATH,
            AlertServiceKind::PagerDuty
            | AlertServiceKind::Telegram
            | AlertServiceKind::Ntfy
            | AlertServiceKind::Alertmanager => "",
        };
        format!("{}{path}", self.base())
    }

    /// What it does from now on.
    pub fn habit(&self, habit: ServiceHabit) {
        *self.shared.habit.lock() = habit;
    }

    /// What it does with the next request alone; may be called for several.
    pub fn next(&self, habit: ServiceHabit) {
        self.shared.next.lock().push_back(habit);
    }

    /// Everything it took, also where it then gave no answer.
    pub fn received(&self) -> Vec<ReceivedAlert> {
        self.shared.received.lock().clone()
    }

    /// Why it refused what it refused, in its own words.
    pub fn refused(&self) -> Vec<String> {
        self.shared.refused.lock().clone()
    }

    /// Waits until so many requests have come since it started, whatever became of them. Cancel-safe.
    pub async fn wait_for(&self, count: usize) {
        // Cannot fail while this value holds the sender.
        let _ = self.shared.count.subscribe().wait_for(|seen| *seen >= count).await;
    }
}

async fn serve(mut stream: TcpStream, shared: Arc<Shared>) -> io::Result<()> {
    while let Some(request) = read_request(&mut stream).await? {
        let habit = shared.next.lock().pop_front().unwrap_or_else(|| *shared.habit.lock());
        let reply = match habit {
            ServiceHabit::RateLimits(seconds) => Reply::patience(&shared.kind, seconds),
            ServiceHabit::Fails => Reply::text(500, "internal error"),
            ServiceHabit::Gone => Reply::gone(&shared.kind),
            ServiceHabit::Takes | ServiceHabit::Hangs | ServiceHabit::Closes => {
                let reply = check(&shared.kind, &request);
                if (200..300).contains(&reply.status) {
                    let body = serde_json::from_slice(&request.body).unwrap_or_default();
                    let (path, headers) = (request.path.clone(), request.headers.clone());
                    shared.received.lock().push(ReceivedAlert { path, headers, body });
                } else {
                    shared.refused.lock().push(format!("{}: {}", reply.status, reply.body));
                }
                reply
            }
        };
        shared.count.send_modify(|count| *count += 1);
        match habit {
            ServiceHabit::Hangs => std::future::pending::<()>().await,
            ServiceHabit::Closes => return Ok(()),
            ServiceHabit::Takes | ServiceHabit::RateLimits(_) | ServiceHabit::Fails | ServiceHabit::Gone => {
                answer(&mut stream, &reply).await?;
            }
        }
    }
    Ok(())
}
