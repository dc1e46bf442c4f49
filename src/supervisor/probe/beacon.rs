//! Beacon nodes of any client. Source: beacon-APIs `node` and `config`.
//!
//! Ready: it does not sync, has its blocks checked by its execution client (not optimistic) and that one answers, is two slots behind at most by
//! its own account, and its head is no older than the clock allows: the slot that it should be at follows from the chain's genesis.

use std::time::Duration;

use serde_json::Value;

use super::{
    failure::ProbeFailure,
    line::{Line, Trouble, number, version},
    pace::{Ages, counted, unsigned, words},
};
use crate::{
    supervisor::{NodeKind, ProbeSettings, Ready, Sight},
    types::UnixMillis,
};

/// Slots behind by its own account from which it lags: more than two.
const NEAR: u64 = 2;
/// Slots that a head may be ahead of ours: clocks differ.
const AHEAD: u64 = 1;
/// What most chains have.
const SLOTS_PER_EPOCH: u64 = 32;

const SYNCING: &str = "/eth/v1/node/syncing";

/// What `node/syncing` says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) head: u64,
    pub(super) distance: u64,
    pub(super) is_syncing: bool,
    pub(super) is_optimistic: bool,
    pub(super) is_execution_offline: bool,
}

/// What it says of how far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Said {
    /// `node/syncing`.
    Progress(Progress),
    /// The status of `node/health`, where it does not serve the other.
    Health(u16),
}

/// What it answered. None: it does not serve that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) said: Said,
    /// Unix seconds of its chain's first slot.
    pub(super) genesis: Option<u64>,
    /// Milliseconds of a slot.
    pub(super) slot_ms: Option<u64>,
    pub(super) slots_per_epoch: Option<u64>,
    pub(super) chain_id: Option<u64>,
    pub(super) peers: Option<u64>,
    pub(super) finalized_epoch: Option<u64>,
    pub(super) version: Option<String>,
}

/// Asks all of it.
pub(super) async fn ask(line: &Line<'_>) -> Result<Seen, Trouble> {
    let said = match line.document(SYNCING).await {
        Ok(Some(answer)) => Said::Progress(
            progress(&answer)
                .ok_or_else(|| ProbeFailure::Garbage(format!("{SYNCING} answers what it should not")))?,
        ),
        Ok(None) => Said::Health(line.get("/eth/v1/node/health").await?.status),
        // It is there, and says that it is not ready for anything.
        Err(Trouble::Failed(ProbeFailure::Status { status: 503 })) => Said::Health(503),
        Err(trouble) => return Err(trouble),
    };
    let spec = nice(line, "/eth/v1/config/spec").await;
    let genesis = nice(line, "/eth/v1/beacon/genesis").await;
    let peers = nice(line, "/eth/v1/node/peer_count").await;
    let finality = nice(line, "/eth/v1/beacon/states/head/finality_checkpoints").await;
    let named = nice(line, "/eth/v1/node/version").await;
    let of = |answer: &Option<Value>, pointer: &str| answer.as_ref()?.pointer(pointer).and_then(number);
    let slot_ms = of(&spec, "/data/SLOT_DURATION_MS")
        .or_else(|| of(&spec, "/data/SECONDS_PER_SLOT")?.checked_mul(1000))
        .filter(|ms| *ms > 0);
    Ok(Seen {
        said,
        genesis: of(&genesis, "/data/genesis_time"),
        slot_ms,
        slots_per_epoch: of(&spec, "/data/SLOTS_PER_EPOCH").filter(|slots| *slots > 0),
        chain_id: of(&spec, "/data/DEPOSIT_CHAIN_ID"),
        peers: of(&peers, "/data/connected"),
        finalized_epoch: of(&finality, "/data/finalized/epoch"),
        version: named.as_ref().and_then(|answer| answer.pointer("/data/version")?.as_str()).map(version),
    })
}

/// What takes nobody out when it is not told.
async fn nice(line: &Line<'_>, path: &str) -> Option<Value> {
    line.document(path).await.ok().flatten()
}

fn progress(answer: &Value) -> Option<Progress> {
    let data = answer.get("data")?;
    let says = |key: &str| data.get(key).and_then(Value::as_bool).unwrap_or(false);
    Some(Progress {
        head: data.get("head_slot").and_then(number)?,
        distance: data.get("sync_distance").and_then(number).unwrap_or(0),
        is_syncing: says("is_syncing"),
        is_optimistic: says("is_optimistic"),
        is_execution_offline: says("el_offline"),
    })
}

/// The chain's clock, where the node tells it.
#[derive(Clone, Copy)]
struct Clock {
    genesis_ms: u64,
    slot_ms: u64,
}

impl Clock {
    fn of(seen: &Seen, settings: &ProbeSettings) -> Option<Self> {
        let usual = || settings.block_time.and_then(|slot| u64::try_from(slot.as_millis()).ok());
        let slot_ms = seen.slot_ms.or_else(usual).filter(|ms| *ms > 0)?;
        Some(Self { genesis_ms: seen.genesis?.saturating_mul(1000), slot_ms })
    }

    /// The slot of the moment; none before the first.
    fn slot_at(self, now: UnixMillis) -> Option<u64> {
        unsigned(now).checked_sub(self.genesis_ms)?.checked_div(self.slot_ms)
    }

    /// How long ago a slot began.
    fn age(self, slot: u64, now: UnixMillis) -> Duration {
        let begun = self.genesis_ms.saturating_add(slot.saturating_mul(self.slot_ms));
        Duration::from_millis(unsigned(now).saturating_sub(begun))
    }
}

/// How it is.
pub(super) fn judge(seen: &Seen, settings: &ProbeSettings, now: UnixMillis) -> Sight {
    let clock = Clock::of(seen, settings);
    let progress = match seen.said {
        Said::Progress(progress) => Some(progress),
        Said::Health(_) => None,
    };
    let expected = clock.and_then(|clock| clock.slot_at(now));
    let behind =
        progress.map(|progress| progress.distance.max(expected.unwrap_or(0).saturating_sub(progress.head)));
    let epoch = seen.slots_per_epoch.unwrap_or(SLOTS_PER_EPOCH);
    // The chain's first epoch is final from the beginning.
    let finalized =
        seen.finalized_epoch.filter(|epoch| *epoch > 0).map(|number| number.saturating_mul(epoch));
    let age = |slot: Option<u64>| Some(clock?.age(slot?, now));
    Sight {
        head: progress.map(|progress| progress.head),
        head_age: age(progress.map(|progress| progress.head)),
        behind,
        peers: seen.peers,
        version: seen.version.clone(),
        finalized_age: age(finalized),
        ..Sight::only(ready(seen, clock, settings, now))
    }
}

fn ready(seen: &Seen, clock: Option<Clock>, settings: &ProbeSettings, now: UnixMillis) -> Ready {
    if let (Some(wanted), Some(got)) = (settings.chain_id, seen.chain_id)
        && wanted != got
    {
        return Ready::No(format!(
            "It is a node of chain {got}, and is to be of chain {wanted}: correct its url, its start or chain_id."
        ));
    }
    let Progress { head, distance, is_syncing, is_optimistic, is_execution_offline } = match seen.said {
        Said::Progress(progress) => progress,
        Said::Health(200..=205) => return Ready::Yes,
        Said::Health(206) => {
            return Ready::Syncing("It says that it is syncing (HTTP 206 to node/health).".to_owned());
        }
        Said::Health(status) => {
            return Ready::No(format!(
                "It says that it is not ready for anything (HTTP {status}). Look at its log."
            ));
        }
    };
    if is_syncing {
        let left = counted(distance, "slot");
        return Ready::Syncing(format!("It says that it is syncing, {left} to go; its head is slot {head}."));
    }
    if is_execution_offline {
        return Ready::No(
            "It says that its execution client does not answer: look whether that one runs, and at the JWT secret of both."
                .to_owned(),
        );
    }
    if is_optimistic {
        return Ready::Syncing(format!(
            "It follows the chain to slot {head} without its execution client having checked it (optimistic): that one is still syncing."
        ));
    }
    let alone = if seen.peers == Some(0) { ", and it has no peers" } else { "" };
    if distance > NEAR {
        let behind = counted(distance, "slot");
        return Ready::Lagging(format!(
            "It says that it is {behind} behind; its head is slot {head}{alone}."
        ));
    }
    let Some(clock) = clock else { return Ready::Yes };
    // Before the first slot there is nothing to be behind of.
    let Some(expected) = clock.slot_at(now) else { return Ready::Yes };
    if head > expected.saturating_add(AHEAD) {
        return Ready::Lagging(format!(
            "Its head, slot {head}, is ahead of the slot of the moment, {expected}: its clock is wrong, or this machine's is."
        ));
    }
    let slot = Duration::from_millis(clock.slot_ms);
    let paced = ProbeSettings { block_time: settings.block_time.or(Some(slot)), ..settings.clone() };
    let old = clock.age(head, now);
    if old > Ages::of(NodeKind::Beacon, &paced).lag {
        let behind = counted(expected.saturating_sub(head), "slot");
        return Ready::Lagging(format!(
            "Its head, slot {head}, is {} old, {behind} behind the clock{alone}.",
            words(old)
        ));
    }
    Ready::Yes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::supervisor::probe::testing::{NOW, settings};

    /// The slot of the moment in the tests is 100, a second old.
    fn well() -> Seen {
        Seen {
            said: Said::Progress(Progress { head: 100, ..Progress::default() }),
            genesis: Some(1_700_000_000 - 1201),
            slot_ms: Some(12_000),
            slots_per_epoch: Some(32),
            chain_id: Some(1),
            peers: Some(60),
            finalized_epoch: Some(1),
            version: None,
        }
    }

    fn with(change: impl FnOnce(&mut Progress)) -> Seen {
        let mut progress = Progress { head: 100, ..Progress::default() };
        change(&mut progress);
        Seen { said: Said::Progress(progress), ..well() }
    }

    #[test]
    fn ready_is_by_its_word_and_by_the_clock() {
        let mainnet = ProbeSettings { chain_id: Some(1), ..settings("http://x/") };
        for (seen, want, word) in [
            (well(), "yes", ""),
            (with(|it| it.is_syncing = true), "syncing", "0 slots to go"),
            (with(|it| (it.is_syncing, it.distance) = (true, 1)), "syncing", "1 slot to go"),
            (with(|it| it.is_optimistic = true), "syncing", "optimistic"),
            (with(|it| it.is_execution_offline = true), "no", "execution client"),
            (with(|it| (it.is_execution_offline, it.is_optimistic) = (true, true)), "no", "JWT"),
            (with(|it| it.distance = 2), "yes", ""),
            (with(|it| it.distance = 3), "lagging", "3 slots behind"),
            // It says that all is well, and its head is old.
            (with(|it| it.head = 96), "yes", ""),
            (with(|it| it.head = 95), "lagging", "61 s old, 5 slots behind the clock"),
            (with(|it| it.head = 0), "lagging", "20 min old"),
            (with(|it| it.head = 101), "yes", ""),
            (with(|it| it.head = 102), "lagging", "clock is wrong"),
            (with(|it| it.head = u64::MAX), "lagging", "clock is wrong"),
            (Seen { peers: Some(0), ..with(|it| it.head = 90) }, "lagging", "no peers"),
            (Seen { peers: Some(0), ..well() }, "yes", ""),
            (Seen { chain_id: Some(17_000), ..well() }, "no", "chain 17000"),
            (Seen { chain_id: None, ..well() }, "yes", ""),
            (Seen { genesis: Some(1_800_000_000), ..with(|it| it.head = 0) }, "yes", ""),
            // What it does not serve cannot be held against it.
            (Seen { genesis: None, ..with(|it| it.head = 5) }, "yes", ""),
            (Seen { slot_ms: None, ..with(|it| it.head = 5) }, "yes", ""),
            (Seen { said: Said::Health(200), ..well() }, "yes", ""),
            (Seen { said: Said::Health(206), ..well() }, "syncing", "206"),
            (Seen { said: Said::Health(503), ..well() }, "no", "503"),
        ] {
            let (state, words) = match judge(&seen, &mainnet, NOW).ready {
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
    fn ages_are_by_the_chains_own_clock() {
        let sight = judge(&well(), &settings("http://x/"), NOW);
        assert_eq!(sight.head_age, Some(Duration::from_secs(1)));
        assert_eq!(sight.finalized_age, Some(Duration::from_secs(1201 - 32 * 12)));
        assert_eq!((sight.head, sight.behind, sight.peers), (Some(100), Some(0), Some(60)));
        let behind = judge(&with(|it| it.head = 90), &settings("http://x/"), NOW);
        assert_eq!(behind.behind, Some(10), "by the clock, whatever it says");
        // A fast chain of its own: five slots of two seconds are no 60 s.
        let fast =
            Seen { slot_ms: Some(2000), genesis: Some(1_700_000_000 - 200), ..with(|it| it.head = 84) };
        assert!(matches!(judge(&fast, &settings("http://x/"), NOW).ready, Ready::Lagging(_)));
        let fast =
            Seen { slot_ms: Some(2000), genesis: Some(1_700_000_000 - 200), ..with(|it| it.head = 86) };
        assert_eq!(judge(&fast, &settings("http://x/"), NOW).ready, Ready::Yes);
    }

    proptest! {
        #[test]
        fn nothing_that_a_node_says_is_too_much(
            head in any::<u64>(), distance in any::<u64>(), genesis in any::<Option<u64>>(), slot_ms in any::<Option<u64>>(),
            per_epoch in any::<Option<u64>>(), epoch in any::<Option<u64>>(), now in any::<i64>(),
        ) {
            let seen = Seen {
                said: Said::Progress(Progress { head, distance, ..Progress::default() }),
                genesis,
                slot_ms,
                slots_per_epoch: per_epoch,
                finalized_epoch: epoch,
                ..well()
            };
            judge(&seen, &settings("http://x/"), now);
        }
    }
}
