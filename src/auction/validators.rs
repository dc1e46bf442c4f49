//! What each validator registered: for bid checks now, for proof of payment later.

use std::collections::HashMap;

use parking_lot::RwLock;

use super::registration_check::is_timely;
use crate::{
    consensus::{Registration, UnixMillis, WallClock, containers::SignedValidatorRegistration},
    events::RegistrationFacts,
    types::BlsPublicKey,
};

/// Most validators that are remembered: more than any operator has behind one process, some 100 MiB. What comes beyond goes to the relays all
/// the same, but whoever reaches the builder port can fill neither memory nor ledger with keys.
const MAX_VALIDATORS: usize = 500_000;

/// The validators' wishes by key. Locked for reading for nanoseconds on the hot path.
#[derive(Debug, Default)]
pub struct Validators {
    known: RwLock<HashMap<BlsPublicKey, Registration>>,
    /// Those that registered first in this process, and when.
    newcomers: RwLock<HashMap<BlsPublicKey, UnixMillis>>,
}

impl Validators {
    /// Takes in what the ledger remembers, but for what an earlier version believed of a time to come.
    pub fn restore(&self, facts: &[RegistrationFacts], now: UnixMillis) {
        let mut known = self.known.write();
        for fact in facts.iter().filter(|fact| is_timely(fact.timestamp, now)).take(MAX_VALIDATORS) {
            let RegistrationFacts { pubkey, fee_recipient, gas_limit, timestamp } = *fact;
            known.insert(pubkey, Registration { pubkey, fee_recipient, gas_limit, timestamp });
        }
    }

    /// Sorts out registrations whose signature must be looked at, as they say something new. Those that say the same again only make what is
    /// known younger; those that are older, or of a time to come, say nothing.
    pub(super) fn sift(
        &self,
        registrations: &[SignedValidatorRegistration],
        now: UnixMillis,
    ) -> Vec<SignedValidatorRegistration> {
        let mut known = self.known.write();
        let mut unknown = Vec::new();
        for signed in registrations.iter().filter(|signed| is_timely(signed.message.timestamp, now)) {
            let new = Registration::from(signed);
            match known.get_mut(&new.pubkey) {
                Some(old) if old.timestamp > new.timestamp || *old == new => {}
                Some(old) if old.fee_recipient == new.fee_recipient && old.gas_limit == new.gas_limit => {
                    *old = new;
                }
                Some(_) | None => unknown.push(signed.clone()),
            }
        }
        unknown
    }

    /// Takes in registrations that were verified; returns those that are new or changed. An older one never replaces a newer.
    pub fn update(&self, registrations: &[Registration]) -> Vec<RegistrationFacts> {
        let mut known = self.known.write();
        let mut changed = Vec::new();
        for new in registrations {
            let old = known.get(&new.pubkey);
            if old.is_none() && known.len() >= MAX_VALIDATORS {
                continue;
            }
            if old.is_some_and(|old| old == new || old.timestamp > new.timestamp) {
                continue;
            }
            let same_wish = old
                .is_some_and(|old| old.fee_recipient == new.fee_recipient && old.gas_limit == new.gas_limit);
            if old.is_none() {
                self.newcomers.write().insert(new.pubkey, WallClock.now());
            }
            known.insert(new.pubkey, *new);
            // Clients sign anew every epoch; only another wish is news for the ledger.
            if !same_wish {
                let Registration { pubkey, fee_recipient, gas_limit, timestamp } = *new;
                changed.push(RegistrationFacts { pubkey, fee_recipient, gas_limit, timestamp });
            }
        }
        changed
    }

    /// What a validator registered.
    pub fn get(&self, pubkey: &BlsPublicKey) -> Option<Registration> {
        self.known.read().get(pubkey).copied()
    }

    /// Since when a validator is known, Unix milliseconds; 0 for one that an earlier process knew.
    pub fn known_since(&self, pubkey: &BlsPublicKey) -> Option<UnixMillis> {
        let is_known = self.known.read().contains_key(pubkey);
        is_known.then(|| self.newcomers.read().get(pubkey).copied().unwrap_or_default())
    }

    /// How many are known.
    pub fn len(&self) -> usize {
        self.known.read().len()
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
        let validators = Validators::default();
        assert_eq!(validators.update(&[registration(30, 5)]).len(), 1);
        assert!(validators.update(&[registration(30, 5)]).is_empty());
        assert!(validators.update(&[registration(30, 6)]).is_empty());
        assert!(validators.update(&[registration(36, 4)]).is_empty());
        assert_eq!(validators.update(&[registration(36, 7)]).len(), 1);
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
        let validators = Validators::default();
        validators.update(&[registration(30, 5)]);
        let looked_at = |signed: SignedValidatorRegistration| validators.sift(&[signed], 100_000).len();
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
        validators.restore(&[facts], 100_000);
        assert_eq!(validators.get(&BlsPublicKey::default()).map(|r| r.gas_limit), Some(30));
    }

    #[test]
    fn the_memory_is_bounded_and_who_is_in_it_is_not_forgotten() {
        let validators = Validators::default();
        let key = |number: usize| {
            let mut bytes = [0; 48];
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            BlsPublicKey(FixedBytes(bytes))
        };
        let of =
            |number, gas_limit| Registration { pubkey: key(number), ..registration(gas_limit, gas_limit) };
        let all: Vec<_> = (0..MAX_VALIDATORS + 10).map(|number| of(number, 30)).collect();
        assert_eq!(validators.update(&all).len(), MAX_VALIDATORS);
        assert_eq!(validators.len(), MAX_VALIDATORS);
        assert_eq!(validators.update(&[of(7, 36), of(MAX_VALIDATORS + 1, 36)]).len(), 1);
        assert_eq!(validators.get(&key(7)).map(|r| r.gas_limit), Some(36));
    }
}
