//! What was learned about a relay's habits. Forgotten after an hour, a missing v2 after ten minutes, so that an upgraded relay is
//! noticed.

use std::{
    sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering},
    time::Duration,
};

use tokio::time::Instant;

use crate::consensus::Encoding;

/// How long a refusal is remembered.
const MEMORY: Duration = Duration::from_secs(3600);
/// How long a missing v2 is remembered. Short, as v2 is where relays go: looking again costs a block one round trip.
const V2_MEMORY: Duration = Duration::from_secs(600);

/// A relay's habits. All operations are atomic and never block.
#[derive(Debug)]
pub struct RelayMemory {
    born: Instant,
    registrations_json_only: Latch,
    blocks_json_only: Latch,
    lacks_v2: Latch,
    last_bid: AtomicU8,
    max_registrations: AtomicUsize,
    wants_batches: Latch,
    refuses_repeats: Latch,
}

/// "True until": milliseconds after `born`, 0 for never set.
#[derive(Debug, Default)]
struct Latch(AtomicU64);

impl Latch {
    fn set(&self, born: Instant) {
        self.set_for(born, MEMORY);
    }

    fn set_for(&self, born: Instant, time: Duration) {
        let until = born.elapsed().saturating_add(time).as_millis();
        self.0.store(u64::try_from(until).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    fn clear(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    fn is_set(&self, born: Instant) -> bool {
        u128::from(self.0.load(Ordering::Relaxed)) > born.elapsed().as_millis()
    }
}

impl Default for RelayMemory {
    fn default() -> Self {
        Self {
            born: Instant::now(),
            registrations_json_only: Latch::default(),
            blocks_json_only: Latch::default(),
            lacks_v2: Latch::default(),
            last_bid: AtomicU8::new(0),
            max_registrations: AtomicUsize::new(0),
            wants_batches: Latch::default(),
            refuses_repeats: Latch::default(),
        }
    }
}

impl RelayMemory {
    /// The relay refused SSZ registrations.
    pub fn registrations_need_json(&self) {
        self.registrations_json_only.set(self.born);
    }

    /// How to send registrations that came as `from`.
    pub fn registration_encoding(&self, from: Encoding) -> Encoding {
        if self.registrations_json_only.is_set(self.born) { Encoding::Json } else { from }
    }

    /// The relay sent a bid in this encoding, so it understands it.
    pub fn spoke(&self, encoding: Encoding) {
        let code = match encoding {
            Encoding::Json => 1,
            Encoding::Ssz => 2,
        };
        self.last_bid.store(code, Ordering::Relaxed);
    }

    /// The relay refused an SSZ block.
    pub fn blocks_need_json(&self) {
        self.blocks_json_only.set(self.born);
    }

    /// How to send a block that came as `from`: what the relay last spoke, else as it came.
    pub fn block_encoding(&self, from: Encoding) -> Encoding {
        if self.blocks_json_only.is_set(self.born) {
            return Encoding::Json;
        }
        match self.last_bid.load(Ordering::Relaxed) {
            1 => Encoding::Json,
            2 => Encoding::Ssz,
            _ => from,
        }
    }

    /// The relay answered 404 on `blinded_blocks` v2, and v1 is there.
    pub fn has_no_v2(&self) {
        self.lacks_v2.set_for(self.born, V2_MEMORY);
    }

    /// The relay answered 404 on v1: what was known of its v2 no longer holds.
    pub fn may_have_v2(&self) {
        self.lacks_v2.clear();
    }

    /// Whether v1 is all it has.
    pub fn lacks_v2(&self) -> bool {
        self.lacks_v2.is_set(self.born)
    }

    /// The relay does not want to be asked twice in a slot.
    pub fn refused_repeat(&self) {
        self.refuses_repeats.set(self.born);
    }

    /// Whether it said so lately.
    pub fn refuses_repeats(&self) -> bool {
        self.refuses_repeats.is_set(self.born)
    }

    /// The relay found a body of this many registrations too large.
    pub fn registrations_too_many(&self, count: usize) {
        self.max_registrations.store((count / 2).max(1), Ordering::Relaxed);
        self.wants_batches.set(self.born);
    }

    /// Most registrations to send in one body, the configured limit (0: none) considered.
    pub fn max_registrations(&self, configured: usize) -> Option<usize> {
        let is_fresh = self.wants_batches.is_set(self.born);
        let learned = if is_fresh { self.max_registrations.load(Ordering::Relaxed) } else { 0 };
        [configured, learned].into_iter().filter(|limit| *limit > 0).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn refusals_are_forgotten_after_an_hour() {
        let memory = RelayMemory::default();
        assert_eq!(memory.registration_encoding(Encoding::Ssz), Encoding::Ssz);
        memory.registrations_need_json();
        memory.has_no_v2();
        assert_eq!(memory.registration_encoding(Encoding::Ssz), Encoding::Json);
        assert!(memory.lacks_v2());
        tokio::time::advance(V2_MEMORY + Duration::from_secs(1)).await;
        assert!(!memory.lacks_v2());
        tokio::time::advance(MEMORY - V2_MEMORY).await;
        assert_eq!(memory.registration_encoding(Encoding::Ssz), Encoding::Ssz);
    }

    #[tokio::test]
    async fn a_relay_that_drops_v1_is_asked_by_v2_again() {
        let memory = RelayMemory::default();
        memory.has_no_v2();
        memory.may_have_v2();
        assert!(!memory.lacks_v2());
    }

    #[tokio::test]
    async fn blocks_go_in_the_encoding_the_relay_spoke() {
        let memory = RelayMemory::default();
        assert_eq!(memory.block_encoding(Encoding::Json), Encoding::Json);
        memory.spoke(Encoding::Ssz);
        assert_eq!(memory.block_encoding(Encoding::Json), Encoding::Ssz);
        memory.blocks_need_json();
        assert_eq!(memory.block_encoding(Encoding::Ssz), Encoding::Json);
    }

    #[tokio::test(start_paused = true)]
    async fn the_smaller_batch_limit_holds_for_an_hour() {
        let memory = RelayMemory::default();
        assert_eq!(memory.max_registrations(0), None);
        assert_eq!(memory.max_registrations(500), Some(500));
        memory.registrations_too_many(300);
        assert_eq!(memory.max_registrations(500), Some(150));
        memory.registrations_too_many(1);
        assert_eq!(memory.max_registrations(0), Some(1));
        tokio::time::advance(MEMORY + Duration::from_secs(1)).await;
        assert_eq!(memory.max_registrations(500), Some(500));
    }
}
