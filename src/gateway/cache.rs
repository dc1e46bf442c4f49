//! Answers that are known already, because they cannot change: what finality has closed, for as long as there is room; what is below the tip, until
//! the tip is another one.
//!
//! An answer is kept for ever only if it hangs on a block's hash by itself, or if its block is finalized. Where answers by hash name their block, it
//! must be that one: an empty list of logs or receipts names none, and is never kept. Whatever hangs on a height or on a
//! transaction's hash can be taken back by a reorganisation before that, so it is kept with the tip's hash and is gone with it; where the answer names its
//! block, that must agree with the tip. An answer of finalized height that the chain contradicts later (a test chain that was begun anew) is dropped.
//!
//! Neither `null` nor errors are kept: what a node does not have, it may have a second later. A tag (`latest`) is never the key of anything.
//! An answer is handed in with the snapshot that was there before the call was made, and with the upstream that gave it. That one must hold final by
//! itself what is kept as final: with few upstreams the board's height may be another's word, or a lie. When less is final than was, everything
//! above is dropped, as it may have been kept by what was wrong.

mod key;
mod proof;
mod subject;

use std::{
    fmt,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use alloy_primitives::B256;
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter, sync::DefaultLifecycle};

use self::{
    key::Key,
    proof::Place,
    subject::{About, Subject},
};
use super::{CacheSettings, RawJson, RpcCall, Snapshot, UpstreamId};

/// How much of the whole one entry may take: one in so many.
const SHARE: usize = 16;
/// Parts with a lock each. Not by the number of cores, as the library has it: each has its part of the room, and an entry must fit in.
const SHARDS: usize = 8;
/// What an entry costs beside its texts, roughly: two allocations and the table's own.
const OVERHEAD_BYTES: usize = 160;
/// What an answer has on the average, for the size of the tables. Arbitrary.
const USUAL_BYTES: usize = 2048;

/// An answer, and what it depends on.
#[derive(Clone)]
struct Entry {
    answer: RawJson,
    lasts: Lasts,
}

/// How long an answer is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lasts {
    /// As long as there is room.
    ForEver,
    /// As long as the chain is the one in which this height was final, with this block where it is known.
    Final(Place),
    /// Until the tip is another one.
    WhileTip(B256),
}

type Kept = quick_cache::sync::Cache<Key, Entry, Weight>;

/// What is kept.
pub struct Cache {
    kept: Option<Kept>,
    most_bytes_each: usize,
    /// The finalized height, as it was known last.
    finalized: AtomicU64,
}

impl fmt::Debug for Cache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cache").field("entries", &self.len()).field("bytes", &self.bytes()).finish()
    }
}

#[derive(Clone)]
struct Weight;

impl Weighter<Key, Entry> for Weight {
    fn weight(&self, key: &Key, entry: &Entry) -> u64 {
        weight(key, &entry.answer) as u64
    }
}

fn weight(key: &Key, answer: &RawJson) -> usize {
    OVERHEAD_BYTES + key.len() + answer.as_bytes().len()
}

impl Cache {
    /// An empty one of a bounded size.
    pub fn new(settings: CacheSettings) -> Self {
        let options = OptionsBuilder::new()
            .shards(SHARDS)
            .estimated_items_capacity((settings.max_bytes / USUAL_BYTES).max(SHARDS * 32))
            .weight_capacity(settings.max_bytes as u64)
            .build();
        let kept = options.ok().filter(|_| settings.max_bytes > 0).map(|options| {
            Kept::with_options(options, Weight, DefaultHashBuilder::default(), DefaultLifecycle::default())
        });
        Self { kept, most_bytes_each: settings.max_bytes / SHARE, finalized: AtomicU64::new(u64::MAX) }
    }

    /// The answer, where it is known and still true.
    pub fn get(&self, call: &RpcCall, now: &Snapshot) -> Option<RawJson> {
        let kept = self.kept.as_ref()?;
        self.look_at_finality(kept, now);
        let Subject { about, .. } = Subject::of(call)?;
        if !about.can_be_known(now) {
            return None;
        }
        let key = Key::of(call);
        let entry = kept.get(&key)?;
        if entry.lasts.is_true(now) {
            return Some(entry.answer);
        }
        kept.remove_if(&key, |found| found.lasts == entry.lasts);
        None
    }

    /// Keeps an upstream's answer, if it is one that can be kept. `before` is what was known before the call was made.
    pub fn put(&self, call: &RpcCall, answer: &RawJson, by: &UpstreamId, before: &Snapshot) {
        let Some(kept) = &self.kept else { return };
        let Some(subject) = Subject::of(call) else { return };
        if answer.as_bytes().len() > self.most_bytes_each || answer.as_bytes().as_ref() == b"null" {
            return;
        }
        let key = Key::of(call);
        if weight(&key, answer) > self.most_bytes_each {
            return;
        }
        if let Some(lasts) = subject.lasts(answer, by, before)
            // What was known before is no more than what is known by now.
            && !matches!(lasts, Lasts::Final(place) if place.number > self.finalized.load(Relaxed))
        {
            kept.insert(key, Entry { answer: answer.detached(), lasts });
        }
    }

    /// Drops what was final, where less is final now.
    fn look_at_finality(&self, kept: &Kept, now: &Snapshot) {
        // With nothing known now, what was final still is.
        let Some(finalized) = finalized(now) else { return };
        if self.finalized.load(Relaxed) == finalized || self.finalized.swap(finalized, Relaxed) <= finalized {
            return;
        }
        kept.retain(|_, entry| !matches!(entry.lasts, Lasts::Final(place) if place.number > finalized));
    }

    /// How many answers are kept.
    pub fn len(&self) -> usize {
        self.kept.as_ref().map_or(0, Kept::len)
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many bytes they take.
    pub fn bytes(&self) -> u64 {
        self.kept.as_ref().map_or(0, Kept::weight)
    }
}

impl Lasts {
    fn is_true(self, now: &Snapshot) -> bool {
        match self {
            Self::ForEver => true,
            Self::WhileTip(hash) => now.tip.is_some_and(|tip| tip.hash == hash),
            // With nothing known now, what was final still is.
            Self::Final(place) => {
                finalized(now).is_none_or(|finalized| place.number <= finalized)
                    && !place.is_contradicted(now)
            }
        }
    }
}

impl Subject {
    /// How long an answer may be kept; `None`: not at all.
    fn lasts(self, answer: &RawJson, by: &UpstreamId, before: &Snapshot) -> Option<Lasts> {
        let place = self.proof.read(answer)?;
        let (number, hash) = match self.about {
            About::Chain => return Some(Lasts::ForEver),
            // An answer without proof (state, counts) is an error or `null` where the block is not there.
            About::Hash(named) => return (named == place.hash).then_some(Lasts::ForEver),
            About::Number(number) if place.number.is_none_or(|proved| proved == number) => {
                (number, place.hash)
            }
            About::Number(_) => return None,
            // Of a transaction that is in no block yet, everything can change.
            About::Transaction => (place.number?, place.hash),
            About::Upto(last) => (last, None),
        };
        let place = Place { number, hash };
        let tip = before.tip.filter(|tip| number <= tip.number)?;
        if place.is_contradicted(before) {
            return None;
        }
        let own = before.upstreams.iter().find(|standing| standing.id == *by)?;
        if hash.is_none() && own.head.is_none_or(|head| head.number < number) {
            return None;
        }
        if finalized(before).min(own.finalized).is_some_and(|finalized| number <= finalized) {
            return Some(Lasts::Final(place));
        }
        // An upstream that has not got the tip yet answers with fewer logs, and says nothing of it.
        let is_proved =
            !matches!(self.about, About::Upto(last) if last == tip.number) || proof::names(answer, tip.hash);
        is_proved.then_some(Lasts::WhileTip(tip.hash))
    }
}

/// The finalized height, where it can be one.
fn finalized(snapshot: &Snapshot) -> Option<u64> {
    let tip = snapshot.tip?;
    snapshot.finalized.filter(|finalized| *finalized <= tip.number)
}

impl About {
    /// Whether there can be an answer to it, so that looking is worth the while.
    fn can_be_known(self, now: &Snapshot) -> bool {
        match self {
            Self::Chain | Self::Hash(_) | Self::Transaction => true,
            Self::Number(number) | Self::Upto(number) => now.tip.is_none_or(|tip| number <= tip.number),
        }
    }
}

#[cfg(test)]
mod tests;
