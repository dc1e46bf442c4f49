//! Solana: agave and its test validator. Source: their JSON-RPC.
//!
//! Its own health check compares it with the cluster (128 slots, 51 s). What an error says in words changes with each version: its number and
//! data alone are read. As a node that is cut off from the cluster may find itself well, the age of its newest finalized block counts as well.
//! A vote account that is named must not be delinquent.

use serde_json::{Value, json};

use super::{
    failure::ProbeFailure,
    line::{Line, Trouble, number, version},
    pace::{Ages, age, counted, too_far_ahead, words},
};
use crate::{
    jsonrpc::Reply,
    supervisor::{NodeKind, ProbeSettings, Ready, Sight},
    types::UnixMillis,
};

/// The number of an error that says that the node is not healthy.
const UNHEALTHY: i64 = -32005;

/// What `getHealth` says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    /// `"ok"`.
    Ok,
    /// -32005.
    Behind {
        /// Slots behind the cluster; none: it does not know.
        slots: Option<u64>,
    },
    /// Another error, or it does not serve this.
    NotSaid,
}

/// What the cluster thinks of a vote account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Vote {
    /// It votes.
    Current,
    /// It does not.
    Delinquent,
    /// It is in no list.
    Absent,
}

/// What it answered. None: it has no such method, or does not say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) health: Health,
    /// Its newest slot.
    pub(super) slot: Option<u64>,
    /// Unix seconds of its newest finalized block.
    pub(super) finalized_at: Option<u64>,
    /// Of the vote account that the settings name.
    pub(super) vote: Option<Vote>,
    pub(super) version: Option<String>,
}

/// Asks all of it.
pub(super) async fn ask(line: &Line<'_>, settings: &ProbeSettings) -> Result<Seen, Trouble> {
    let health = match line.call("getHealth", json!([])).await? {
        Reply::Result(result) if result.get() == "\"ok\"" => Health::Ok,
        Reply::Result(_) => {
            return Err(ProbeFailure::Garbage("getHealth answers what it should not".to_owned()).into());
        }
        Reply::Error(error) if error.code == UNHEALTHY => {
            Health::Behind { slots: error.data.get("numSlotsBehind").and_then(number) }
        }
        Reply::Error(_) => Health::NotSaid,
    };
    let slot = |commitment: &'static str| line.nice::<u64>("getSlot", json!([{ "commitment": commitment }]));
    let newest = slot("processed").await;
    let finalized_at = match slot("finalized").await {
        Some(finalized) => line.nice::<Option<i64>>("getBlockTime", json!([finalized])).await.flatten(),
        None => None,
    };
    let vote = match &settings.vote_account {
        Some(account) => {
            let accounts = line.nice("getVoteAccounts", json!([{ "votePubkey": account }])).await;
            accounts.as_ref().map(|accounts| vote_of(accounts, account))
        }
        None => None,
    };
    let named: Option<Value> = line.nice("getVersion", json!([])).await;
    Ok(Seen {
        health,
        slot: newest,
        finalized_at: finalized_at.and_then(|secs| u64::try_from(secs).ok()),
        vote,
        version: named.as_ref().and_then(|named| named.get("solana-core")?.as_str()).map(version),
    })
}

fn vote_of(accounts: &Value, account: &str) -> Vote {
    let is_in = |list: &str| {
        let list = accounts.get(list).and_then(Value::as_array);
        let is_it = |entry: &Value| entry.get("votePubkey").and_then(Value::as_str) == Some(account);
        list.is_some_and(|list| list.iter().any(is_it))
    };
    match (is_in("delinquent"), is_in("current")) {
        (true, _) => Vote::Delinquent,
        (false, true) => Vote::Current,
        (false, false) => Vote::Absent,
    }
}

/// How it is.
pub(super) fn judge(kind: NodeKind, seen: &Seen, settings: &ProbeSettings, now: UnixMillis) -> Sight {
    let behind = match seen.health {
        Health::Ok => Some(0),
        Health::Behind { slots } => slots,
        Health::NotSaid => None,
    };
    let finalized_age = seen.finalized_at.map(|secs| age(secs, now));
    Sight {
        head: seen.slot,
        // The nearest to it that has a time: some 13 s more than it is.
        head_age: finalized_age,
        behind,
        version: seen.version.clone(),
        finalized_age,
        ..Sight::only(ready(kind, seen, settings, now))
    }
}

fn ready(kind: NodeKind, seen: &Seen, settings: &ProbeSettings, now: UnixMillis) -> Ready {
    let head = seen.slot.map(|slot| format!("; its newest slot is {slot}")).unwrap_or_default();
    match seen.health {
        Health::Behind { slots: Some(slots) } => {
            let behind = counted(slots, "slot");
            return Ready::Syncing(format!("It says that it is {behind} behind the cluster{head}."));
        }
        Health::Behind { slots: None } => {
            return Ready::Syncing(format!(
                "It does not know how far the cluster is: it has just been started, or is cut off{head}."
            ));
        }
        Health::NotSaid if seen.slot.is_none() => {
            return Ready::No(
                "It answers neither getHealth nor getSlot: what answers there is no Solana node, or has no ledger yet."
                    .to_owned(),
            );
        }
        Health::Ok | Health::NotSaid => {}
    }
    if let Some(secs) = seen.finalized_at {
        if let Some(ahead) = too_far_ahead(secs, now) {
            return Ready::Lagging(format!(
                "Its newest finalized block has a time {} in the future: it is wrong, or this machine's clock is{head}.",
                words(ahead)
            ));
        }
        let old = age(secs, now);
        if old > Ages::of(kind, settings).lag {
            return Ready::Lagging(format!("Its newest finalized block is {} old{head}.", words(old)));
        }
    }
    match seen.vote {
        Some(Vote::Delinquent) => {
            Ready::Lagging("Its vote account is delinquent: it does not vote.".to_owned())
        }
        Some(Vote::Absent) => Ready::Lagging(
            "Its vote account is in no list of the cluster's: it has no stake, or vote_account is wrong."
                .to_owned(),
        ),
        Some(Vote::Current) | None => Ready::Yes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::supervisor::probe::testing::{NOW, settings};

    fn well() -> Seen {
        Seen {
            health: Health::Ok,
            slot: Some(300_000_000),
            finalized_at: Some(1_700_000_000 - 14),
            vote: None,
            version: Some("2.1.0".to_owned()),
        }
    }

    #[test]
    fn health_age_and_votes_count() {
        let behind = |slots| Seen { health: Health::Behind { slots }, ..well() };
        for (seen, want, word) in [
            (well(), "yes", ""),
            (behind(Some(200)), "syncing", "200 slots behind the cluster; its newest slot is 300000000"),
            (behind(Some(u64::MAX)), "syncing", "behind the cluster"),
            (behind(None), "syncing", "does not know"),
            (Seen { health: Health::NotSaid, ..well() }, "yes", ""),
            (Seen { health: Health::NotSaid, slot: None, ..well() }, "no", "no Solana node"),
            // It finds itself well, and has not seen anything for a while.
            (Seen { finalized_at: Some(1_700_000_000 - 60), ..well() }, "yes", ""),
            (Seen { finalized_at: Some(1_700_000_000 - 61), ..well() }, "lagging", "61 s old"),
            (Seen { finalized_at: Some(u64::MAX), ..well() }, "lagging", "future"),
            (Seen { finalized_at: None, ..well() }, "yes", ""),
            (Seen { vote: Some(Vote::Current), ..well() }, "yes", ""),
            (Seen { vote: Some(Vote::Delinquent), ..well() }, "lagging", "delinquent"),
            (Seen { vote: Some(Vote::Absent), ..well() }, "lagging", "vote_account"),
        ] {
            let (state, words) = match judge(NodeKind::Agave, &seen, &settings("http://x/"), NOW).ready {
                Ready::Yes => ("yes", String::new()),
                Ready::Syncing(words) => ("syncing", words),
                Ready::Lagging(words) => ("lagging", words),
                Ready::No(words) => ("no", words),
            };
            assert_eq!(state, want, "{seen:?}: {words}");
            assert!(words.contains(word), "{words}");
        }
    }

    #[test]
    fn a_vote_account_is_found_where_it_is() {
        let accounts =
            json!({ "current": [{ "votePubkey": "a" }], "delinquent": [{ "votePubkey": "b" }, 7] });
        assert_eq!(vote_of(&accounts, "a"), Vote::Current);
        assert_eq!(vote_of(&accounts, "b"), Vote::Delinquent);
        assert_eq!(vote_of(&accounts, "c"), Vote::Absent);
        assert_eq!(vote_of(&Value::Null, "c"), Vote::Absent);
    }
}
