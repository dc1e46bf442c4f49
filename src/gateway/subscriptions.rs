//! Subscriptions: one stream of heads, logs and pending transactions, made of what all upstreams show.
pub mod block;
pub mod chain;
pub mod filter;
#[cfg(test)]
pub(crate) mod testing;

pub use block::Block;
