//! Which registrations are believed. They go to relays as they came; what we take for true of a validator (who is to be paid, the gas limit) is
//! only what its key signed, and not for a time to come: one unsigned registration from next year would otherwise make every honest payment
//! look unpaid for ever.

use std::time::Duration;

use tree_hash::TreeHash;

use crate::{
    consensus::{
        Domain, Registration,
        bls::{ClaimedSignature, which_are_signed},
        containers::SignedValidatorRegistration,
        signing_root,
    },
    types::BlsPublicKey,
};

/// How far ahead of our clock a registration may be signed. Relays take 10 s (builder-specs); the rest is for a clock of ours that is slow.
pub(super) const MAX_AHEAD: Duration = Duration::from_secs(10 + 60);

/// Whether a registration's time is one that it can have been signed at.
pub(super) fn is_timely(timestamp: u64, now_ms: i64) -> bool {
    let now = u64::try_from(now_ms / 1000).unwrap_or(0);
    timestamp <= now.saturating_add(MAX_AHEAD.as_secs())
}

/// Signatures checked together. Arbitrary: what they share, one last step, is a hundredth of the whole by then.
const TOGETHER: usize = 64;

/// Those that their validators signed, and how many others there were. About half a millisecond of CPU each: for a blocking thread.
pub(super) fn signed_by_their_validators(
    registrations: &[SignedValidatorRegistration],
    domain: Domain,
) -> (Vec<Registration>, usize) {
    let claim = |signed: &SignedValidatorRegistration| ClaimedSignature {
        key: BlsPublicKey(signed.message.pubkey),
        root: signing_root(signed.message.tree_hash_root(), domain),
        signature: signed.signature,
    };
    let mut good = Vec::with_capacity(registrations.len());
    for together in registrations.chunks(TOGETHER) {
        let claims: Vec<ClaimedSignature> = together.iter().map(claim).collect();
        let signed = together.iter().zip(which_are_signed(&claims)).filter(|(_, is_signed)| *is_signed);
        good.extend(signed.map(|(signed, _)| Registration::from(signed)));
    }
    let others = registrations.len() - good.len();
    (good, others)
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloy_primitives::Address;

    use crate::consensus::{Network, bls::SigningKey, containers::ValidatorRegistration};

    fn registered(seed: u8, domain: Domain) -> SignedValidatorRegistration {
        let key = SigningKey::from_seed(&[seed; 32]).unwrap();
        let message = ValidatorRegistration {
            fee_recipient: Address::repeat_byte(0xee),
            gas_limit: 60_000_000,
            timestamp: 1_700_000_000,
            pubkey: key.public_key().0,
        };
        let signature = key.sign(signing_root(message.tree_hash_root(), domain));
        SignedValidatorRegistration { message, signature }
    }

    #[test]
    fn only_what_the_validator_signed_is_believed() {
        let domain = Network::Hoodi.spec().builder_domain();
        let mut list = [1, 2, 3].map(|seed| registered(seed, domain));
        list[1].message.fee_recipient = Address::repeat_byte(0x66);
        let (good, others) = signed_by_their_validators(&list, domain);
        assert_eq!((good.len(), others), (2, 1));
        assert!(good.iter().all(|registration| registration.pubkey.0 != list[1].message.pubkey));
    }

    #[test]
    fn nothing_is_signed_in_the_time_to_come() {
        assert!(is_timely(1_000, 1_000_000));
        assert!(is_timely(1_070, 1_000_000));
        assert!(!is_timely(1_071, 1_000_000));
        assert!(!is_timely(u64::MAX, 1_000_000));
    }
}
