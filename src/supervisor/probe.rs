//! Asks a node how it is, each kind in its own words.
//!
//! Each kind has a file: a thin shell that asks, and a pure judge of the answers, the time and the settings. Ready means able to serve, by the age
//! of its head and its distance from the others': a node that was cut off, or has just been started, says `eth_syncing = false` as one that
//! is well does. What a node has no method for is skipped; what is needed and does not come is a failure. A node of another chain, or one that
//! answers that it is not for us, is answered by `Ready::No`: to start it again would change nothing.
//!
//! Every answer is bounded in bytes, and all of a probe has one deadline. Each question opens a connection of its own: a kept one would not show that
//! the node takes no more of them. No failure repeats a URL.

mod beacon;
mod execution;
mod generic;
mod line;
mod nitro;
mod op_node;
mod pace;
mod solana;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::time::Instant;

use self::line::{Line, Trouble};
pub use self::pace::Ages;
use super::{NodeKind, ProbeSettings, Ready, Sight};
use crate::{
    http_client::{HttpClient, HttpClients},
    types::UnixMillis,
};

/// A probe that brought nothing to judge by: the node does not answer, or what answers is no such node.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProbeFailure {
    /// No answer in time: its process hangs, or works on something for too long.
    #[error("it does not answer within {after:?}")]
    TimedOut {
        /// The probe's `timeout`.
        after: Duration,
    },
    /// Nobody listens there, or there is no way.
    #[error("there is no connection to it: {0}")]
    NoConnection(String),
    /// The connection broke, or what came was not HTTP.
    #[error("the connection to it broke: {0}")]
    Broken(String),
    /// It says that it cannot answer now.
    #[error("it answers HTTP {status}")]
    Status {
        /// The HTTP status, 500 or higher, or 429.
        status: u16,
    },
    /// What came makes no sense.
    #[error("{0}")]
    Garbage(String),
}

/// Asks nodes how they are. Clones are the same.
#[derive(Clone, Debug)]
pub struct Prober {
    http: HttpClient,
}

impl Prober {
    /// By clients without a proxy: nodes are the operator's own.
    pub fn new(clients: &HttpClients) -> Self {
        Self { http: clients.fresh.clone() }
    }

    /// Asks a node how it is. `now` is compared with the times of its blocks. Ends within the settings' `timeout`.
    ///
    /// # Errors
    /// When it does not answer, or not with sense.
    pub async fn probe(
        &self,
        kind: NodeKind,
        settings: &ProbeSettings,
        now: UnixMillis,
    ) -> Result<Sight, ProbeFailure> {
        let begun = Instant::now();
        let line = Line::new(&self.http, &settings.url, settings.timeout);
        let sight = match kind {
            NodeKind::Geth | NodeKind::Reth | NodeKind::OpReth => {
                execution::ask(&line).await.map(|seen| execution::judge(kind, &seen, settings, now))
            }
            NodeKind::Nitro => nitro::ask(&line).await.map(|seen| nitro::judge(&seen, settings, now)),
            NodeKind::Beacon => beacon::ask(&line).await.map(|seen| beacon::judge(&seen, settings, now)),
            NodeKind::OpNode => {
                op_node::ask(&line, settings).await.map(|seen| op_node::judge(&seen, settings, now))
            }
            NodeKind::Agave | NodeKind::SolanaTestValidator => {
                solana::ask(&line, settings).await.map(|seen| solana::judge(kind, &seen, settings, now))
            }
            NodeKind::Generic => generic::ask(&line, settings).await,
        };
        let took = begun.elapsed();
        match sight {
            Ok(sight) => Ok(Sight { took, ..sight }),
            Err(Trouble::Cannot(words)) => Ok(Sight { took, ..blank(Ready::No(words)) }),
            Err(Trouble::Failed(failure)) => Err(failure),
        }
    }
}

/// A sight that shows nothing else.
fn blank(ready: Ready) -> Sight {
    Sight {
        ready,
        head: None,
        head_age: None,
        behind: None,
        peers: None,
        version: None,
        finalized_age: None,
        took: Duration::ZERO,
    }
}
