//! The filters that clients have: bounded for each and in all, and forgotten when nobody asks for them.

use std::{collections::HashMap, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::told::Told;
use crate::gateway::{ClientId, RawJson, RpcCall};

/// As in go-ethereum.
pub(super) const UNUSED: Duration = Duration::from_secs(300);
/// Most filters of one client. An arbitrary number; a wallet has one or two.
pub(super) const MAX_OF_CLIENT: usize = 100;
/// Most filters in all. An arbitrary number: each is a few hundred bytes here, and costs its node something with each block.
pub(super) const MAX: usize = 5_000;
/// Most bytes of a filter's own words, which are kept to make it anew.
pub(super) const MAX_PARAMS: usize = 64 << 10;

/// What a filter is of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum FilterKind {
    /// Logs, by the parameters of `eth_newFilter`, which are those of `eth_getLogs`.
    Logs(Bytes),
    /// New blocks.
    Blocks,
    /// Transactions that wait.
    PendingTransactions,
}

impl FilterKind {
    /// What a call makes; `None` for one that makes no filter.
    pub(super) fn made_by(call: &RpcCall) -> Option<Self> {
        match &*call.method {
            // A copy: a slice would keep the whole body that it came in.
            "eth_newFilter" => Some(Self::Logs(Bytes::copy_from_slice(&call.params))),
            "eth_newBlockFilter" => Some(Self::Blocks),
            "eth_newPendingTransactionFilter" => Some(Self::PendingTransactions),
            _ => None,
        }
    }

    /// The call that makes it.
    pub(super) fn call(&self) -> RpcCall {
        match self {
            Self::Logs(params) => RpcCall::new("eth_newFilter", params.clone()),
            Self::Blocks => RpcCall::bare("eth_newBlockFilter"),
            Self::PendingTransactions => RpcCall::bare("eth_newPendingTransactionFilter"),
        }
    }

    const fn bytes(&self) -> usize {
        match self {
            Self::Logs(params) => params.len(),
            Self::Blocks | Self::PendingTransactions => 0,
        }
    }
}

/// A filter at an upstream.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) place: usize,
    /// Its id there, as JSON text.
    pub(super) id: RawJson,
    /// The upstream's head when it was made, or a little before.
    pub(super) head: u64,
}

/// A client's filter.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) client: ClientId,
    pub(super) kind: FilterKind,
    /// Where it is.
    pub(super) place: usize,
    /// Its id there, as JSON text.
    pub(super) id: RawJson,
    /// Everything up to this block was told.
    pub(super) last: u64,
    /// What was told of later blocks.
    pub(super) told: Told,
}

impl Filter {
    pub(super) fn new(client: ClientId, kind: FilterKind, made: Made) -> Self {
        let Made { place, id, head } = made;
        Self { client, kind, place, id, last: head, told: Told::default() }
    }
}

#[derive(Debug)]
struct Entry {
    client: ClientId,
    used: Instant,
    filter: Arc<tokio::sync::Mutex<Filter>>,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Kept(Mutex<HashMap<u128, Entry>>);

impl Kept {
    /// Whether a client may have one more.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn has_room(&self, client: &ClientId, now: Instant) -> Result<(), String> {
        let mut kept = self.0.lock();
        kept.retain(|_, entry| now.duration_since(entry.used) < UNUSED);
        if kept.len() >= MAX {
            return Err(format!("there are {MAX} filters already, of all clients; try again later"));
        }
        if kept.values().filter(|entry| entry.client == *client).count() >= MAX_OF_CLIENT {
            return Err(format!(
                "you have {MAX_OF_CLIENT} filters already: uninstall some (eth_uninstallFilter)"
            ));
        }
        Ok(())
    }

    /// Keeps one; the id that the client has it by.
    pub(super) fn insert(&self, filter: Filter, now: Instant) -> u128 {
        let id: u128 = rand::random();
        let entry = Entry {
            client: filter.client.clone(),
            used: now,
            filter: Arc::new(tokio::sync::Mutex::new(filter)),
        };
        self.0.lock().insert(id, entry);
        id
    }

    /// The one of an id, which was used now.
    pub(super) fn find(&self, id: u128, now: Instant) -> Option<Arc<tokio::sync::Mutex<Filter>>> {
        let mut kept = self.0.lock();
        let entry = kept.get_mut(&id)?;
        if now.duration_since(entry.used) >= UNUSED {
            kept.remove(&id);
            return None;
        }
        entry.used = now;
        Some(Arc::clone(&entry.filter))
    }

    pub(super) fn remove(&self, id: u128) {
        self.0.lock().remove(&id);
    }
}

/// Whether a filter's own words are few enough to be kept.
pub(super) const fn is_small(kind: &FilterKind) -> bool {
    kind.bytes() <= MAX_PARAMS
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(client: &ClientId) -> Filter {
        let id = RawJson::from_value(&serde_json::json!("0x1"));
        Filter::new(client.clone(), FilterKind::Blocks, Made { place: 0, id, head: 0 })
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_has_a_bounded_number_and_what_is_unused_is_forgotten() {
        let (kept, a, b) = (Kept::default(), ClientId::Token("a".into()), ClientId::Token("b".into()));
        let first = kept.insert(filter(&a), Instant::now());
        for _ in 1..MAX_OF_CLIENT {
            assert_eq!(kept.has_room(&a, Instant::now()), Ok(()));
            kept.insert(filter(&a), Instant::now());
        }
        assert!(kept.has_room(&a, Instant::now()).is_err() && kept.has_room(&b, Instant::now()).is_ok());
        let later = Instant::now() + UNUSED - Duration::from_secs(1);
        assert!(kept.find(first, later).is_some());
        assert!(kept.has_room(&a, later + Duration::from_secs(2)).is_ok());
        assert!(kept.find(first, later + Duration::from_secs(2)).is_some());
        assert!(kept.find(first, later + UNUSED * 2).is_none());
        assert!(kept.find(first, later).is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn all_clients_together_have_a_bounded_number() {
        let kept = Kept::default();
        for at in 0..MAX {
            kept.insert(filter(&ClientId::Token(format!("{}", at / 10).into())), Instant::now());
        }
        assert!(kept.has_room(&ClientId::Token("new".into()), Instant::now()).is_err());
    }
}
