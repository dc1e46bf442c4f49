//! How one upstream is, and why, in a sentence: the gravest thing first.

use std::time::Duration;

use super::{
    record::{Lag, Record},
    rules::{HealthRules, millis},
};
use crate::{
    gateway::{Head, UpstreamState},
    types::UnixMillis,
};

/// A finalized block normally is 13 to 15 minutes old on mainnet; this old, finality has failed.
const FINALIZED_OLD: Duration = Duration::from_secs(30 * 60);

/// Judges it. `fork` is what a comparison with the others says against it.
pub(super) fn judge(
    record: &Record,
    fork: Option<String>,
    now: UnixMillis,
    rules: &HealthRules,
) -> (UpstreamState, String) {
    use UpstreamState::{Down, Forked, Healthy, Lagging, Syncing, Unknown, WrongChain};
    if let Some(id) = record.chain_id.filter(|id| *id != rules.chain_id) {
        let wanted = rules.chain_id;
        let reason = format!(
            "It is a node of chain {id}, and this gateway is for chain {wanted}: correct its url, or [rpc] chain_id."
        );
        return (WrongChain, reason);
    }
    if !record.probes.is_closed() {
        let reason = match &record.failure {
            Some(message) => format!("Its probes fail: {message}."),
            None => "It answers probes again, not often enough in a row yet.".to_owned(),
        };
        return (Down, reason);
    }
    let (Some(head), true) = (record.head, record.is_known) else {
        let reason = match &record.failure {
            Some(message) => format!("It has not shown a head yet: {message}."),
            None => "It has not shown a head yet.".to_owned(),
        };
        return (Unknown, reason);
    };
    let calls_fail = (!record.traffic.is_closed())
        .then(|| format!("Calls to it fail: {}.", record.trouble.as_deref().unwrap_or("no answer")));
    match calls_fail {
        Some(reason) if !record.is_lifted => return (Down, reason),
        Some(_) | None => {}
    }
    if record.is_syncing {
        return (Syncing, format!("It says that it is syncing; its head is block {}.", head.number));
    }
    if record.peers == Some(0) && rules.policy.min_peers > 0 {
        return (Down, "It has no peers.".to_owned());
    }
    let age = age(head.timestamp, now);
    if record.is_unasked && age > rules.lag_age() {
        let state = if age > rules.down_age() && !answers(record, now, rules) { Down } else { Lagging };
        let (number, age) = (head.number, words(age));
        let reason = format!(
            "Its last known head, block {number}, is {age} old: our budget of requests to it is used up, so it is not probed."
        );
        return (state, reason);
    }
    if age > rules.down_age() {
        return (Down, format!("Its head, block {}, is {} old.", head.number, words(age)));
    }
    if let Some(reason) = fork {
        return (Forked, reason);
    }
    let behind = |lag: &Lag| {
        format!("It is {} behind the tip: its head is block {}.", blocks(lag.blocks), head.number)
    };
    match &record.lag {
        // Without witnesses the tip is one other upstream's word, which takes nobody out: age is what counts.
        Some(lag) if lag.is_witnessed && lag.blocks >= rules.policy.down_blocks.max(1) => {
            return (Down, behind(lag));
        }
        Some(_) | None => {}
    }
    if let Some(calls_fail) = calls_fail {
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
        Some(lag) if lag.blocks >= rules.policy.lag_blocks.max(1) => (Lagging, behind(lag)),
        Some(_) | None => (Healthy, warnings(record, &head, now, rules)),
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
        found.push(format!("It has {peers} peers; at least {wanted} are wanted."));
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
fn age(timestamp: u64, now: UnixMillis) -> Duration {
    Duration::from_millis(at(now).saturating_sub(timestamp.saturating_mul(1000)))
}

fn blocks(count: u64) -> String {
    if count == 1 { "1 block".to_owned() } else { format!("{count} blocks") }
}

/// A duration as people say it.
fn words(duration: Duration) -> String {
    match millis(duration) / 1000 {
        secs @ 0..=119 => format!("{secs} s"),
        secs @ 120..=7199 => format!("{} min", secs / 60),
        secs @ 7200..=172_799 => format!("{} h", secs / 3600),
        secs => format!("{} days", secs / 86_400),
    }
}
