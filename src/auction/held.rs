//! Whether bids are held back, because a node of the operator's says that it is not there yet.
//!
//! Whoever watches the nodes puts it into the auction, and a header request reads it without asking anybody. It ends by itself: a watcher that has died,
//! or a node that says nothing any more, takes nobody's bids away.

use crate::types::UnixMillis;

/// Why bids are held back, and until when that holds unless it is said again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// What the node says, in words for people.
    pub reason: String,
    /// Unix milliseconds.
    pub until: UnixMillis,
}

impl Held {
    /// Whether it holds at a time.
    pub const fn holds(&self, now: UnixMillis) -> bool {
        now < self.until
    }
}
