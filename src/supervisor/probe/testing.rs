//! What the tests of probes share.

use std::time::Duration;

use crate::{
    supervisor::{ProbeSettings, STALL_AFTER},
    types::UnixMillis,
};

/// The time of the tests of judges, in Unix milliseconds.
pub(super) const NOW: UnixMillis = 1_700_000_000_000;

/// Settings that say nothing but where.
pub(super) fn settings(url: &str) -> ProbeSettings {
    ProbeSettings {
        url: url.parse().unwrap(),
        every: Duration::from_secs(3),
        timeout: Duration::from_secs(10),
        block_time: None,
        chain_id: None,
        lag_age: None,
        path: None,
        vote_account: None,
        stall_after: STALL_AFTER,
        execution: None,
    }
}
