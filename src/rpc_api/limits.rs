//! How much one client may ask: calls a second, by the name of its token or by its address.
//!
//! The memory that clients take is bounded: addresses cost nothing to have. Those that have been quiet are forgotten, and where there are too
//! many that are not, new ones share a bounded number of allowances.

use std::{
    collections::hash_map::RandomState,
    hash::BuildHasher,
    num::NonZeroU32,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
    time::Duration,
};

use governor::{
    Quota, RateLimiter,
    clock::{Clock, DefaultClock},
    middleware::NoOpMiddleware,
    state::keyed::HashMapStateStore,
};

use crate::gateway::{ClientId, ClientLimits};

/// Longest wait for a body, and for the whole of a websocket's message from its first byte.
pub(super) const BODY_TIMEOUT: Duration = Duration::from_secs(10);
/// Most clients that are told apart.
const MAX_CLIENTS: usize = 16_384;
/// Of calls that find as many, one in so many looks for those that have been quiet: it looks at them all.
const SWEEP_EVERY: u32 = 1024;
/// Allowances that the rest shares.
const SHARED: u64 = 1024;

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Allowance {
    Own(ClientId),
    Shared(u64),
}

type ByClient<C> =
    RateLimiter<Allowance, HashMapStateStore<Allowance>, C, NoOpMiddleware<<C as Clock>::Instant>>;

/// Counts what clients ask.
pub(super) struct Limits<C: Clock = DefaultClock> {
    limiter: Option<ByClient<C>>,
    clock: C,
    hasher: RandomState,
    max_clients: usize,
    crowded: AtomicU32,
}

impl<C: Clock> std::fmt::Debug for Limits<C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limits").field("is_on", &self.limiter.is_some()).finish_non_exhaustive()
    }
}

impl Limits {
    pub(super) fn new(limits: &ClientLimits) -> Self {
        Self::with_clock(limits, DefaultClock::default(), MAX_CLIENTS)
    }
}

impl<C: Clock + Clone> Limits<C> {
    fn with_clock(limits: &ClientLimits, clock: C, max_clients: usize) -> Self {
        let limiter = NonZeroU32::new(limits.max_requests_per_second).map(|rate| {
            let quota = Quota::per_second(rate).allow_burst(rate.saturating_add(limits.burst));
            RateLimiter::hashmap_with_clock(quota, clock.clone())
        });
        Self { limiter, clock, hasher: RandomState::new(), max_clients, crowded: AtomicU32::new(0) }
    }

    /// Charges one call of a client.
    ///
    /// # Errors
    /// How long until it may ask again, when it asks too much.
    pub(super) fn charge(&self, client: &ClientId) -> Result<(), Duration> {
        let Some(limiter) = &self.limiter else { return Ok(()) };
        limiter
            .check_key(&self.allowance(limiter, client))
            .map_err(|until| until.wait_time_from(self.clock.now()))
    }

    fn allowance(&self, limiter: &ByClient<C>, client: &ClientId) -> Allowance {
        // Tokens are as many as the configuration has.
        let is_crowded = matches!(client, ClientId::Address(_)) && limiter.len() >= self.max_clients && {
            if self.crowded.fetch_add(1, Relaxed).is_multiple_of(SWEEP_EVERY) {
                limiter.retain_recent();
            }
            limiter.len() >= self.max_clients
        };
        if is_crowded {
            Allowance::Shared(self.hasher.hash_one(client) % SHARED)
        } else {
            Allowance::Own(client.clone())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{net::Ipv4Addr, sync::Arc};

    use governor::clock::FakeRelativeClock;

    use super::*;

    fn address(number: u32) -> ClientId {
        ClientId::Address(Ipv4Addr::from_bits(number).into())
    }

    fn limits(rate: u32, burst: u32) -> (Limits<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let limits = ClientLimits { max_requests_per_second: rate, burst, ..ClientLimits::default() };
        (Limits::with_clock(&limits, clock.clone(), 10), clock)
    }

    #[test]
    fn each_client_has_its_own_allowance() {
        let (limits, clock) = limits(2, 1);
        let token = ClientId::Token(Arc::from("wallet"));
        for client in [&address(1), &address(2), &token] {
            for _ in 0..3 {
                assert_eq!(limits.charge(client), Ok(()));
            }
            let wait = limits.charge(client).unwrap_err();
            assert!(wait > Duration::ZERO && wait <= Duration::from_millis(500), "{wait:?}");
        }
        clock.advance(Duration::from_millis(500));
        assert_eq!(limits.charge(&token), Ok(()));
        assert!(limits.charge(&token).is_err());
    }

    #[test]
    fn without_a_rate_nobody_is_limited() {
        let (limits, _) = limits(0, 0);
        assert!((0..1000).all(|_| limits.charge(&address(1)).is_ok()));
    }

    #[test]
    fn any_number_of_addresses_takes_bounded_memory() {
        let (limits, clock) = limits(1, 0);
        for number in 0..20_000 {
            let _ = limits.charge(&address(number));
        }
        let held = || limits.limiter.as_ref().unwrap().len();
        assert!(held() <= 10 + 1024, "{}", held());
        // Whoever comes once they are quiet is told apart again.
        clock.advance(Duration::from_secs(10));
        for _ in 0..=SWEEP_EVERY {
            let _ = limits.charge(&address(7));
        }
        assert!(held() <= 2, "{}", held());
    }
}
