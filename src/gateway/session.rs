//! One client's connection: what it was told of the chain so far, so that it is never told less.

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::Hops;

/// Who asks, as limits count it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum ClientId {
    /// The service itself, which reads the chain through its own gateway.
    Own,
    /// By the name of its bearer token.
    Token(Arc<str>),
    /// By its address.
    Address(IpAddr),
}

/// A connection of a client's. Clones are of the same connection.
#[derive(Clone, Debug)]
pub struct Session {
    state: Arc<State>,
    hops: Hops,
}

#[derive(Debug)]
struct State {
    client: ClientId,
    latest: AtomicU64,
    finalized: AtomicU64,
}

impl Session {
    /// A connection of somebody who was told nothing yet.
    pub fn new(client: ClientId) -> Self {
        let state = Arc::new(State { client, latest: AtomicU64::new(0), finalized: AtomicU64::new(0) });
        Self { state, hops: Hops::default() }
    }

    /// The same, for calls that have come through these gateways.
    #[must_use]
    pub fn through(self, hops: Hops) -> Self {
        Self { hops, ..self }
    }

    /// The gateways that its calls have come through.
    pub const fn hops(&self) -> &Hops {
        &self.hops
    }

    /// Who asks.
    pub fn client(&self) -> &ClientId {
        &self.state.client
    }

    /// The highest block that it was told of, 0 for none.
    pub fn latest(&self) -> u64 {
        self.state.latest.load(Relaxed)
    }

    /// The highest finalized block that it was told of, 0 for none.
    pub fn finalized(&self) -> u64 {
        self.state.finalized.load(Relaxed)
    }

    /// It was told of a block at the tip.
    pub fn note_latest(&self, number: u64) {
        self.state.latest.fetch_max(number, Relaxed);
    }

    /// It was told of a finalized block.
    pub fn note_finalized(&self, number: u64) {
        self.state.finalized.fetch_max(number, Relaxed);
    }
}
