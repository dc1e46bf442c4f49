//! How one upstream is, and why, in a sentence: the gravest thing first.

use std::time::Duration;

use super::{
    record::{Lag, Record, Word},
    rules::{HealthRules, millis},
};
use crate::{
    events::NodeState,
    gateway::{Head, UpstreamState},
    types::UnixMillis,
};

/// A finalized block normally is 13 to 15 minutes old on mainnet; this old, finality has failed.
const FINALIZED_OLD: Duration = Duration::from_secs(30 * 60);

/// What is said of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is so, whatever the others are.
    Is(UpstreamState, String),
    /// Nothing speaks against it but that its head, which is this one, is old: it is down, unless all the others' are as old.
    Old(Head, String),
}

impl Verdict {
    /// Whether it may be asked by this alone.
    pub(super) fn serves(&self) -> bool {
        matches!(self, Self::Is(state, _) if state.serves())
    }
}

/// Judges it. `fork` is what a comparison with the others says against it.
pub(super) fn judge(record: &Record, fork: Option<String>, now: UnixMillis, rules: &HealthRules) -> Verdict {
    let head = match faultless(record, fork, rules) {
        Ok(head) => head,
        Err((state, reason)) => return Verdict::Is(state, reason),
    };
    let (number, age) = (head.number, age(head.timestamp, now));
    let old = words(age);
    if record.is_unasked && age > rules.lag_age() {
        let is_out = age > rules.down_age() && !answers(record, now, rules);
        let state = if is_out { UpstreamState::Down } else { UpstreamState::Lagging };
        let reason = format!(
            "Its last known head, block {number}, is {old} old: our budget of requests to it is used up, so it is not probed."
        );
        return Verdict::Is(state, reason);
    }
    // A node without peers that has the newest block has it from somewhere: that of a chain of one node has none, for one.
    if age > rules.lag_age() && record.peers == Some(0) && rules.policy.min_peers > 0 {
        return Verdict::Old(head, format!("It has no peers, and its head, block {number}, is {old} old."));
    }
    if age > rules.down_age() {
        return Verdict::Old(head, format!("Its head, block {number}, is {old} old."));
    }
    let (state, reason) = serving(record, &head, age, now, rules);
    Verdict::Is(state, reason)
}

/// Its head, where nothing but the head's age can be against its serving; else what is.
fn faultless(
    record: &Record,
    fork: Option<String>,
    rules: &HealthRules,
) -> Result<Head, (UpstreamState, String)> {
    use UpstreamState::{Down, Forked, Syncing, Unknown, WrongChain};
    if let Some(state) = record.node.filter(|state| state.is_out()) {
        return Err((Down, out(state).to_owned()));
    }
    if let Some(id) = record.chain_id.filter(|id| *id != rules.chain_id) {
        let wanted = rules.chain_id;
        let reason = format!(
            "It is a node of chain {id}, and this gateway is for chain {wanted}: correct its url, or [rpc] chain_id."
        );
        return Err((WrongChain, reason));
    }
    if !record.probes.is_closed() {
        let reason = match &record.failure {
            Some(message) => format!("Its probes fail: {message}."),
            None => "It answers probes again, not often enough in a row yet.".to_owned(),
        };
        return Err((Down, reason));
    }
    let (Some(head), true) = (record.head, record.is_known) else {
        let reason = match &record.failure {
            Some(message) => format!("It has not shown a head yet: {message}."),
            None => "It has not shown a head yet.".to_owned(),
        };
        return Err((Unknown, reason));
    };
    if let Some(reason) = calls_fail(record).filter(|_| !record.is_lifted) {
        return Err((Down, reason));
    }
    if record.is_syncing {
        return Err((Syncing, format!("It says that it is syncing; its head is block {}.", head.number)));
    }
    if let Some(reason) = fork {
        return Err((Forked, reason));
    }
    match &record.lag {
        // Without witnesses the tip is one other upstream's word, which takes nobody out: age is what counts.
        Some(lag) if lag.word == Word::Witnessed && lag.blocks >= rules.policy.down_blocks.max(1) => {
            Err((Down, behind(lag, &head)))
        }
        Some(_) | None => Ok(head),
    }
}

/// Why one is not asked that its supervisor has taken out.
fn out(state: NodeState) -> &'static str {
    match state {
        NodeState::Hung => "Its supervisor says that it hangs: its process runs, and does not answer.",
        NodeState::Crashed => "Its supervisor says that its process has ended by itself.",
        NodeState::OutOfMemory => "Its supervisor says that the kernel killed it for its memory.",
        NodeState::CrashLoop => "Its supervisor says that it ended again and again, and waits for a person.",
        NodeState::Pruning => "Its supervisor says that its database is being pruned.",
        NodeState::Maintenance => "Its supervisor says that it is under maintenance.",
        NodeState::Stopped => "Its supervisor says that it is stopped, or about to be.",
        NodeState::Unknown
        | NodeState::Absent
        | NodeState::Starting
        | NodeState::Syncing
        | NodeState::Healthy
        | NodeState::Lagging => "Its supervisor says that it is not to be asked.",
    }
}

fn calls_fail(record: &Record) -> Option<String> {
    (!record.traffic.is_closed())
        .then(|| format!("Calls to it fail: {}.", record.trouble.as_deref().unwrap_or("no answer")))
}

fn is_behind(lag: &Lag, rules: &HealthRules) -> bool {
    lag.blocks >= rules.policy.lag_blocks.max(1)
}

fn behind(lag: &Lag, head: &Head) -> String {
    format!("It is {} behind the tip: its head is block {}.", blocks(lag.blocks), head.number)
}

/// How one is that may serve.
fn serving(
    record: &Record,
    head: &Head,
    age: Duration,
    now: UnixMillis,
    rules: &HealthRules,
) -> (UpstreamState, String) {
    use UpstreamState::{Healthy, Lagging};
    if let Some(calls_fail) = calls_fail(record) {
        let reason = format!("{calls_fail} Its probes are answered, so it is asked when nobody else can be.");
        return (Lagging, reason);
    }
    if rules.is_from_the_future(head.timestamp, now) {
        let ahead = Duration::from_millis(head.timestamp.saturating_mul(1000).saturating_sub(at(now)));
        let (number, ahead) = (head.number, words(ahead));
        let reason = format!(
            "Its head, block {number}, has a time {ahead} in the future: it is wrong, or this machine's clock is."
        );
        return (Lagging, reason);
    }
    if age > rules.lag_age() {
        return (Lagging, format!("Its head, block {}, is {} old.", head.number, words(age)));
    }
    match &record.lag {
        // While its own head is new, one provider's word is a warning: it may be made up, and would take the lead.
        Some(lag) if is_behind(lag, rules) && lag.word != Word::Backup => (Lagging, behind(lag, head)),
        Some(_) | None => (Healthy, warnings(record, head, now, rules)),
    }
}

/// Whether calls have been answered by it lately, as long ago as a head may be old.
fn answers(record: &Record, now: UnixMillis, rules: &HealthRules) -> bool {
    let elapsed = |then: UnixMillis| u64::try_from(now.saturating_sub(then)).unwrap_or(0);
    record.answered.is_some_and(|then| elapsed(then) <= millis(rules.down_age()))
}

/// What is not well with one that serves.
fn warnings(record: &Record, head: &Head, now: UnixMillis, rules: &HealthRules) -> String {
    let mut found = Vec::new();
    if let Some(peers) = record.peers.filter(|peers| *peers < rules.policy.min_peers) {
        let wanted = rules.policy.min_peers;
        let peers = if peers == 0 { "no".to_owned() } else { peers.to_string() };
        found.push(format!("It has {peers} peers; at least {wanted} are wanted."));
    }
    if let Some(lag) = record.lag.filter(|lag| is_behind(lag, rules)) {
        found.push(format!("One provider, and no node of yours, is {} ahead of it.", blocks(lag.blocks)));
    }
    if let Some(finalized) = record.finalized {
        let number = finalized.number;
        match record.finalized_most {
            Some(most) if number < most => {
                found.push(format!("Its finalized block went back from {most} to {number}."));
            }
            Some(_) | None => {}
        }
        let age = age(finalized.timestamp, now);
        // A chain's first blocks are as old as the chain.
        if age > FINALIZED_OLD && number > 0 {
            found.push(format!("Its finalized block, {number}, is {} old.", words(age)));
        }
        if number > head.number {
            found.push(format!("Its finalized block, {number}, is above its head, {}.", head.number));
        }
    }
    found.join(" ")
}

fn at(now: UnixMillis) -> u64 {
    u64::try_from(now).unwrap_or(0)
}

/// How old a block is; nothing when it is from the future.
pub(super) fn age(timestamp: u64, now: UnixMillis) -> Duration {
    Duration::from_millis(at(now).saturating_sub(timestamp.saturating_mul(1000)))
}

fn blocks(count: u64) -> String {
    if count == 1 { "1 block".to_owned() } else { format!("{count} blocks") }
}

/// A duration as people say it.
pub(super) fn words(duration: Duration) -> String {
    match millis(duration) / 1000 {
        secs @ 0..=119 => format!("{secs} s"),
        secs @ 120..=7199 => format!("{} min", secs / 60),
        secs @ 7200..=172_799 => format!("{} h", secs / 3600),
        secs => format!("{} days", secs / 86_400),
    }
}
