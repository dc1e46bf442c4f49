//! Times as they are written down.

use std::time::Duration;

/// Milliseconds since 1970-01-01 UTC. Negative before.
pub type UnixMillis = i64;

/// A duration in whole microseconds.
pub fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
