//! What each validator registered: for bid checks now, for proof of payment later.

use std::collections::HashMap;

use parking_lot::RwLock;

use super::registration_check::is_timely;
use crate::{
    consensus::{Registration, containers::SignedValidatorRegistration},
    events::RegistrationFacts,
    ledger::{HeardClock, RememberedValidator},
    types::{BlsPublicKey, UnixMillis},
};

/// Most validators that are remembered: more than any operator has behind one process, some 100 MiB. What comes beyond goes to the relays all
/// the same, but whoever reaches the builder port can fill neither memory nor ledger with keys.
const MAX_VALIDATORS: usize = 500_000;

/// A validator.
#[derive(Clone, Copy, Debug)]
struct Known {
    registration: Registration,
    /// When it became ours, Unix milliseconds; 0 for one that an earlier process knew.
    since: UnixMillis,
    /// When its registration was last heard, and when the ledger was last told so, by the clock of what is heard.
    heard_at: i64,
    saved_at: i64,
}

#[derive(Debug)]
struct Memory {
    known: HashMap<BlsPublicKey, Known>,
    clock: HeardClock,
}

/// The validators' wishes by key. Locked for reading for nanoseconds on the hot path.
#[derive(Debug)]
pub struct Validators {
    memory: RwLock<Memory>,
}

/// What a part of a round of registrations says.
#[derive(Debug, Default)]
pub(super) struct Sifted {
    /// Says something new: its signature must be looked at.
    pub(super) unknown: Vec<SignedValidatorRegistration>,
    /// Says the same as ever, and the ledger is to be told that it still does.
    pub(super) repeated: Vec<BlsPublicKey>,
}

impl Validators {
    /// Nobody yet, on a chain with slots of this length.
    pub fn new(slot_ms: u64) -> Self {
        let (known, clock) = (HashMap::new(), HeardClock::new(slot_ms, 0));
        Self { memory: RwLock::new(Memory { known, clock }) }
    }

    /// Takes in what the ledger remembers, but for what an earlier version believed of a time to come.
    pub fn restore(&self, remembered: &[RememberedValidator], slot_ms: u64, now: UnixMillis) {
        let mut memory = self.memory.write();
        let heard = remembered.iter().map(|validator| validator.heard_at).max().unwrap_or_default();
        memory.clock = HeardClock::new(slot_ms, heard);
        let timely = remembered.iter().filter(|validator| is_timely(validator.facts.timestamp, now));
        for RememberedValidator { facts, heard_at } in timely.take(MAX_VALIDATORS) {
            let RegistrationFacts { pubkey, fee_recipient, gas_limit, timestamp } = *facts;
            let registration = Registration { pubkey, fee_recipient, gas_limit, timestamp };
            let known = Known { registration, since: 0, heard_at: *heard_at, saved_at: *heard_at };
            memory.known.insert(pubkey, known);
        }
    }

    /// A round of registrations begins; the time by the clock of what is heard.
    pub(super) fn hear(&self, now: UnixMillis) -> i64 {
        let mut memory = self.memory.write();
        memory.clock.hear(now);
        memory.clock.now()
    }

    /// Sorts out registrations whose signature must be looked at, as they say something new. Those that say the same again only make what is
    /// known younger; those that are older, or of a time to come, say nothing, but that their client is there.
    pub(super) fn sift(&self, registrations: &[SignedValidatorRegistration], now: UnixMillis) -> Sifted {
        let mut sifted = Sifted::default();
        let mut memory = self.memory.write();
        let Memory { known, clock } = &mut *memory;
        for signed in registrations.iter().filter(|signed| is_timely(signed.message.timestamp, now)) {
            let new = Registration::from(signed);
            let Some(known) = known.get_mut(&new.pubkey) else {
                sifted.unknown.push(signed.clone());
                continue;
            };
            if !clock.is_ours(known.heard_at) {
                known.since = now;
            }
            known.heard_at = clock.now();
            let old = known.registration;
            if old.timestamp > new.timestamp || old == new {
            } else if old.fee_recipient == new.fee_recipient && old.gas_limit == new.gas_limit {
                known.registration = new;
            } else {
                sifted.unknown.push(signed.clone());
                continue;
            }
            if clock.is_worth_saving(known.saved_at) {
                known.saved_at = clock.now();
                sifted.repeated.push(new.pubkey);
            }
        }
        sifted
    }

    /// Takes in registrations that were verified; returns those that are new or changed. An older one never replaces a newer. Who was not known
    /// is ours since `now`.
    pub fn update(&self, registrations: &[Registration], now: UnixMillis) -> Vec<RegistrationFacts> {
        let mut memory = self.memory.write();
        let Memory { known, clock } = &mut *memory;
        let mut changed = Vec::new();
        for new in registrations {
            let old = known.get(&new.pubkey);
            if old.is_none() && known.len() >= MAX_VALIDATORS {
                continue;
            }
            if old.is_some_and(|old| old.registration == *new || old.registration.timestamp > new.timestamp) {
                continue;
            }
            let same_wish = old.is_some_and(|Known { registration, .. }| {
                registration.fee_recipient == new.fee_recipient && registration.gas_limit == new.gas_limit
            });
            let heard_at = clock.now();
            let since = old.map_or(now, |old| old.since);
            known.insert(new.pubkey, Known { registration: *new, since, heard_at, saved_at: heard_at });
            // Clients sign anew every epoch; only another wish is news for the ledger.
            if !same_wish {
                let Registration { pubkey, fee_recipient, gas_limit, timestamp } = *new;
                changed.push(RegistrationFacts { pubkey, fee_recipient, gas_limit, timestamp });
            }
        }
        changed
    }

    /// What a validator registered, be it ours still or not.
    pub fn get(&self, pubkey: &BlsPublicKey) -> Option<Registration> {
        self.memory.read().known.get(pubkey).map(|known| known.registration)
    }

    /// Since when a validator is ours, Unix milliseconds; 0 for one that an earlier process knew. `None` for one that never registered, and for
    /// one that others have registered without for a day: it has moved.
    pub fn ours_since(&self, pubkey: &BlsPublicKey) -> Option<UnixMillis> {
        let memory = self.memory.read();
        let known = memory.known.get(pubkey)?;
        memory.clock.is_ours(known.heard_at).then_some(known.since)
    }

    /// How many validators are remembered, moved ones included.
    pub fn len(&self) -> usize {
        self.memory.read().known.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use alloy_primitives::{Address, FixedBytes};

    use super::*;

    fn registration(gas_limit: u64, timestamp: u64) -> Registration {
        let pubkey = BlsPublicKey(FixedBytes::ZERO);
        Registration { pubkey, fee_recipient: Address::ZERO, gas_limit, timestamp }
    }

    #[test]
    fn only_another_wish_is_news_and_only_if_it_is_newer() {
        let validators = Validators::new(12_000);
        assert_eq!(validators.update(&[registration(30, 5)], 0).len(), 1);
        assert!(validators.update(&[registration(30, 5)], 0).is_empty());
        assert!(validators.update(&[registration(30, 6)], 0).is_empty());
        assert!(validators.update(&[registration(36, 4)], 0).is_empty());
        assert_eq!(validators.update(&[registration(36, 7)], 0).len(), 1);
        assert_eq!(validators.get(&BlsPublicKey::default()).map(|r| r.gas_limit), Some(36));
    }

    #[test]
    fn only_what_says_something_new_is_looked_at() {
        let signed = |gas_limit: u64, timestamp: u64| SignedValidatorRegistration {
            message: crate::consensus::containers::ValidatorRegistration {
                fee_recipient: Address::ZERO,
                gas_limit,
                timestamp,
                pubkey: FixedBytes::ZERO,
            },
            signature: FixedBytes::ZERO,
        };
        let validators = Validators::new(12_000);
        validators.update(&[registration(30, 5)], 0);
        let looked_at =
            |signed: SignedValidatorRegistration| validators.sift(&[signed], 100_000).unknown.len();
        assert_eq!(looked_at(signed(30, 6)), 0);
        assert_eq!(looked_at(signed(36, 4)), 0);
        assert_eq!(looked_at(signed(36, 7)), 1);
        assert_eq!(looked_at(signed(36, 1_000)), 0);
        assert_eq!(looked_at(signed(30, 1_000)), 0);
        // What said the same again is younger now, and an older wish does not come back.
        assert_eq!(
            validators.get(&BlsPublicKey::default()).map(|r| (r.gas_limit, r.timestamp)),
            Some((30, 6))
        );
        // What an earlier version believed of a time to come is not taken up again.
        let facts = RegistrationFacts {
            pubkey: BlsPublicKey::default(),
            fee_recipient: Address::repeat_byte(1),
            gas_limit: 1,
            timestamp: u64::MAX,
        };
        validators.restore(&[RememberedValidator { facts, heard_at: 0 }], 12_000, 100_000);
        assert_eq!(validators.get(&BlsPublicKey::default()).map(|r| r.gas_limit), Some(30));
    }

    /// One client registers two validators once an epoch; one of them moves away, and comes back days later.
    #[test]
    fn who_is_not_registered_any_more_has_moved() {
        const EPOCH: i64 = 32 * 12_000;
        let keys = [1, 2].map(|byte| BlsPublicKey(FixedBytes::repeat_byte(byte)));
        let signed = |key: BlsPublicKey| SignedValidatorRegistration {
            message: crate::consensus::containers::ValidatorRegistration {
                fee_recipient: Address::ZERO,
                gas_limit: 30,
                timestamp: 5,
                pubkey: key.0,
            },
            signature: FixedBytes::ZERO,
        };
        let validators = Validators::new(12_000);
        let all = keys.map(|pubkey| Registration { pubkey, ..registration(30, 5) });
        validators.update(&all, 0);
        let mut saved = Vec::new();
        let mut round = |epochs: std::ops::RangeInclusive<i64>, keys: &[BlsPublicKey]| {
            for epoch in epochs {
                let heard_at = validators.hear(epoch * EPOCH);
                let list: Vec<_> = keys.iter().map(|key| signed(*key)).collect();
                saved.push((heard_at, validators.sift(&list, epoch * EPOCH).repeated));
            }
        };
        round(1..=100, &keys);
        round(101..=325, &keys[..1]);
        assert!(keys.iter().all(|key| validators.ours_since(key).is_some()), "a day has not passed");
        // The client is down for a week: nobody has moved meanwhile, whatever passes.
        round(1900..=1900, &keys[..1]);
        assert_eq!(keys.map(|key| validators.ours_since(&key).is_some()), [true, false]);
        assert!(validators.get(&keys[1]).is_some(), "what it registered is not forgotten");
        // A restart changes nothing of it.
        let heard = |key: &BlsPublicKey| {
            let at = saved.iter().filter(|(_, keys)| keys.contains(key)).map(|(at, _)| *at);
            at.max().unwrap_or_default()
        };
        let remembered = keys.map(|pubkey| {
            let facts =
                RegistrationFacts { pubkey, fee_recipient: Address::ZERO, gas_limit: 30, timestamp: 5 };
            RememberedValidator { facts, heard_at: heard(&pubkey) }
        });
        let next = Validators::new(12_000);
        next.restore(&remembered, 12_000, 2000 * EPOCH);
        assert_eq!(next.ours_since(&keys[0]), Some(0));
        next.hear(2000 * EPOCH);
        next.sift(&[signed(keys[0])], 2000 * EPOCH);
        for epoch in 2001..=2060 {
            next.hear(epoch * EPOCH);
            next.sift(&[signed(keys[0])], epoch * EPOCH);
        }
        assert_eq!(keys.map(|key| next.ours_since(&key)), [Some(0), None]);
        // It comes back: ours since then, so that the slots between are nobody's.
        next.sift(&[signed(keys[1])], 2060 * EPOCH);
        assert_eq!(next.ours_since(&keys[1]), Some(2060 * EPOCH));
    }

    #[test]
    fn the_memory_is_bounded_and_who_is_in_it_is_not_forgotten() {
        let validators = Validators::new(12_000);
        let key = |number: usize| {
            let mut bytes = [0; 48];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            BlsPublicKey(FixedBytes(bytes))
        };
        let of =
            |number, gas_limit| Registration { pubkey: key(number), ..registration(gas_limit, gas_limit) };
        let all: Vec<_> = (0..MAX_VALIDATORS + 10).map(|number| of(number, 30)).collect();
        assert_eq!(validators.update(&all, 0).len(), MAX_VALIDATORS);
        assert_eq!(validators.len(), MAX_VALIDATORS);
        assert_eq!(validators.update(&[of(7, 36), of(MAX_VALIDATORS + 1, 36)], 0).len(), 1);
        assert_eq!(validators.get(&key(7)).map(|r| r.gas_limit), Some(36));
    }
}
