//! Whether bids are held back, because a node of the operator's says that it is not there yet.
//!
//! Whoever watches the nodes puts it here, and a header request reads it without asking anybody. It ends by itself: a watcher that has died, or a node
//! that says nothing any more, takes nobody's bids away.

use std::sync::Arc;

use super::state::Auction;
use crate::types::UnixMillis;

/// Why bids are held back, and until when that holds unless it is said again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What the node says, in words for people.
    pub reason: String,
    /// Unix milliseconds.
    pub until: UnixMillis,
}

impl Auction {
    /// Holds bids back from now on, or not any more.
    pub fn hold_bids(&self, held: Option<Held>) {
        self.held.store(held.map(Arc::new));
    }

    /// Why bids are held back at a time; none: they are not.
    pub fn held(&self, now: UnixMillis) -> Option<Arc<Held>> {
        self.held.load_full().filter(|held| now < held.until)
    }
}
