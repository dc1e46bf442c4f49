//! Wall time as it is written down.

/// Milliseconds since 1970-01-01 UTC. Negative before.
pub type UnixMillis = i64;
