//! What the relays together say of this machine's clock.

use std::{collections::BTreeMap, sync::Arc};

use super::Relay;
use crate::consensus::OffsetRange;

/// Bounds of our clock's difference from the relays', one for each host that said the time: two entries of one host have one clock.
pub fn clock_offsets(relays: &[Arc<Relay>]) -> Vec<OffsetRange> {
    let mut by_host: BTreeMap<(String, u16), OffsetRange> = BTreeMap::new();
    for relay in relays {
        let url = &relay.settings().url;
        let host = (url.host_str().unwrap_or_default().to_owned(), url.port_or_known_default().unwrap_or(0));
        if let Some(range) = relay.clock_offset() {
            by_host.entry(host).or_insert(range);
        }
    }
    by_host.into_values().collect()
}
