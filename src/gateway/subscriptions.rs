//! Subscriptions: one stream of heads, logs and pending transactions, made of what all upstreams show.
//!
//! In: new heads and pending transactions from each upstream's websocket, subscribed once however many clients there are; where no websocket
//! is open, the newest block as calls show it. Out: `eth_subscription` notices for any number of clients, whose subscription ids are ours and
//! live as long as their connection, whatever becomes of upstreams.
//!
//! `chain` decides what is told and what is missing, `logs` makes logs of told blocks, `hub` is the one task that owns them. What is missing
//! is fetched through the gateway ([`Backfill`]), so by whichever upstream can answer.
//!
//! It promises: every block of the chain that is told is told once, in order and linked to the one before, and every log of it once; what a
//! reorganisation undoes is taken back as nodes do. What upstreams show while none of them can be believed, heads far
//! beyond the tip that the board knows, and gaps of more than [`chain::RING`] blocks are left out. A client that does not read is cut with a reason: nothing waits for it without bound.
//! Pending transactions are best effort: each once, and none that no upstream with a websocket shows.

pub mod block;
pub mod chain;
pub mod dial;
pub mod filter;
mod hub;
mod line;
pub mod logs;
mod parts;
mod seen;
#[cfg(test)]
pub(crate) mod testing;
pub mod topic;
mod upstream_socket;

pub use block::Block;
pub use dial::{ByteStream, Dial, Dialers};
pub use hub::{Cut, Notice, Notices, describe_metrics};
pub use line::{Line, Subscriptions, start_subscriptions};
pub use parts::{Backfill, Fetched, NotFetched, SubscriptionParts};
pub use topic::{Bodies, SubscriptionId, Topic};
pub use upstream_socket::Feed;
