//! Asks a node how it is, each kind in its own words.
//!
//! Each kind has a file: a thin shell that asks, and a pure judge of the answers, the time and the settings. Ready means able to serve, by the age
//! of its head and its distance from the others': a node that was cut off, or has just been started, says `eth_syncing = false` as one that
//! is well does. What a node has no method for is skipped; what is needed and does not come is a failure. A node of another chain, or one that
//! answers that it is not for us, is answered by `Ready::No`: to start it again would change nothing.
//!
//! | kind | ready |
//! |---|---|
//! | geth, reth | head at most 60 s old (300 s: of no use), of `chain_id`; no peers count against it only then |
//! | op-reth, nitro | the same with 30 s and 120 s; nitro is not asked for peers |
//! | beacon | no `is_syncing`, `is_optimistic`, `el_offline`; `sync_distance` 2 at most; head at most 60 s old by the chain's clock |
//! | op-node | 10 blocks of the first layer unread at most, its head under 5 min, `unsafe_l2` under 30 s old, under 600 blocks above `safe_l2` and on an L1 block less than 150 old; its execution client at most 10 blocks before or after it |
//! | agave, solana-test-validator | `getHealth` ok (-32005: syncing), newest finalized block at most 60 s old, `vote_account` not delinquent |
//! | generic | 2xx from `path`; without one an open port |
//!
//! `block_time` moves the ages (60 s and 300 s are for 12 s, never under 30 s and 120 s), `lag_age` sets the first. A chain of developers (31337, 1337)
//! makes blocks when it is asked to: its head is never old, unless one of the two is set.
//!
//! Every answer is bounded in bytes, and all of a probe has one deadline. Each question opens a connection of its own: a kept one would not show that
//! the node takes no more of them. No failure repeats a URL.

mod beacon;
mod execution;
mod failure;
mod generic;
mod line;
mod nitro;
mod op_heads;
mod op_node;
mod op_pair;
mod pace;
mod solana;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use tokio::time::Instant;

use self::line::{Line, Trouble};
pub use self::{failure::ProbeFailure, pace::Ages};
use super::{NodeKind, ProbeSettings, Ready, Sight};
use crate::{
    http_client::{HttpClient, HttpClients},
    types::UnixMillis,
};

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
                let execution =
                    settings.execution.as_ref().map(|url| Line::new(&self.http, url, settings.timeout));
                let seen = op_node::ask(&line, execution.as_ref(), settings).await;
                seen.map(|seen| op_node::judge(&seen, settings, now))
            }
            NodeKind::Agave | NodeKind::SolanaTestValidator => {
                solana::ask(&line, settings).await.map(|seen| solana::judge(kind, &seen, settings, now))
            }
            NodeKind::Generic => generic::ask(&line, settings).await,
        };
        let took = begun.elapsed();
        match sight {
            Ok(sight) => Ok(Sight { took, ..sight }),
            Err(Trouble::Cannot(words)) => Ok(Sight { took, ..Sight::only(Ready::No(words)) }),
            Err(Trouble::Failed(failure)) => Err(failure),
        }
    }
}
