//! Arbitrum's nitro. Source: its `sync_monitor.go`.
//!
//! Its `eth_syncing` turns into an object as soon as it is a second behind, so that it flaps; blocks come each quarter of a second. So the
//! age of its head says how it is: 30 s is a lag. It has no peers, and nobody is asked for them.

use super::{
    execution::{self, Seen},
    line::{Line, Trouble},
};
use crate::{
    supervisor::{NodeKind, ProbeSettings, Sight},
    types::UnixMillis,
};

/// Asks all of it.
pub(super) async fn ask(line: &Line<'_>) -> Result<Seen, Trouble> {
    execution::ask_common(line).await
}

/// How it is.
pub(super) fn judge(seen: &Seen, settings: &ProbeSettings, now: UnixMillis) -> Sight {
    execution::judge(NodeKind::Nitro, seen, settings, now)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ethereum::Syncing;
    use crate::supervisor::{
        Ready,
        probe::{
            execution::Block,
            testing::{NOW, settings},
        },
    };

    #[test]
    fn it_flaps_by_its_own_account_and_is_judged_by_its_head() {
        let seen = |secs_old: u64, remaining| Seen {
            chain_id: Some(42_161),
            head: Some(Block { number: 9, timestamp: 1_700_000_000 - secs_old }),
            syncing: Some(remaining),
            ..Seen::default()
        };
        let behind = |messages| Syncing::Yes { remaining: Some(messages) };
        for (seen, want) in [
            (seen(2, behind(5)), "yes"),
            (seen(30, behind(90)), "yes"),
            (seen(2, behind(121)), "syncing"),
            (seen(31, Syncing::No), "lagging"),
            (seen(31, behind(200)), "syncing"),
        ] {
            let said = match judge(&seen, &settings("http://x/"), NOW).ready {
                Ready::Yes => "yes",
                Ready::Syncing(_) => "syncing",
                Ready::Lagging(_) => "lagging",
                Ready::No(_) => "no",
            };
            assert_eq!(said, want, "{seen:?}");
        }
    }
}
