//! For how long a node may be left alone.

use std::time::Duration;

/// Longest time for which a node may be left unjudged: a week.
pub const LONGEST_HOLD: Duration = Duration::from_secs(7 * 24 * 3600);
