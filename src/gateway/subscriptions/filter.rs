//! Which logs a subscriber wants, as `eth_subscribe` has it: addresses, and for each topic's place what may stand there.

use alloy_primitives::{Address, B256, Bloom, BloomInput, keccak256};
use serde::Deserialize;

use crate::jsonrpc::BoundedList;

/// Most addresses, and most alternatives for one topic. geth's limit.
const MAX_ALTERNATIVES: usize = 1000;
/// A log has at most four topics.
const MAX_TOPICS: usize = 4;

/// A filter of logs. An empty list of alternatives matches anything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogFilter {
    addresses: Vec<(Address, B256)>,
    topics: Vec<Vec<(B256, B256)>>,
}

#[derive(Deserialize)]
struct Wire {
    #[serde(default)]
    address: Option<Alternatives<Address>>,
    #[serde(default)]
    topics: Option<BoundedList<Option<TopicWire>, MAX_TOPICS>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Alternatives<T> {
    One(T),
    Any(Vec<T>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum TopicWire {
    One(B256),
    Any(Vec<Option<B256>>),
}

impl LogFilter {
    /// Reads a filter object. Its block numbers have no meaning for a subscription, and are not read.
    ///
    /// # Errors
    /// In words for the caller, when it is no filter, or longer than any needs to be.
    pub fn read(text: &str) -> Result<Self, String> {
        let wire: Wire = serde_json::from_str(text).map_err(|_| {
            "the filter is no object of `address` (one or a list) and `topics` (at most 4)".to_owned()
        })?;
        let addresses = match wire.address {
            None => Vec::new(),
            Some(Alternatives::One(address)) => vec![address],
            Some(Alternatives::Any(addresses)) => addresses,
        };
        let topics = wire.topics.map(BoundedList::into_vec).unwrap_or_default();
        let topics: Vec<Vec<B256>> = topics.into_iter().map(alternatives).collect();
        if addresses.len() > MAX_ALTERNATIVES || topics.iter().any(|any| any.len() > MAX_ALTERNATIVES) {
            return Err(format!("more than {MAX_ALTERNATIVES} alternatives in one place of the filter"));
        }
        Ok(Self {
            addresses: addresses.into_iter().map(|address| (address, keccak256(address))).collect(),
            topics: topics
                .into_iter()
                .map(|any| any.into_iter().map(|topic| (topic, keccak256(topic))).collect())
                .collect(),
        })
    }

    /// Whether a log is wanted.
    pub fn matches(&self, address: Address, topics: &[B256]) -> bool {
        let has =
            |any: &[(B256, B256)], topic: &B256| any.is_empty() || any.iter().any(|(one, _)| one == topic);
        (self.addresses.is_empty() || self.addresses.iter().any(|(one, _)| *one == address))
            && self.topics.len() <= topics.len()
            && self.topics.iter().zip(topics).all(|(any, topic)| has(any, topic))
    }

    /// Whether a block of a bloom may have a log that is wanted.
    pub fn may_match(&self, bloom: &Bloom) -> bool {
        let may = |hash: &B256| bloom.contains_input(BloomInput::Hash(*hash));
        (self.addresses.is_empty() || self.addresses.iter().any(|(_, hash)| may(hash)))
            && self.topics.iter().all(|any| any.is_empty() || any.iter().any(|(_, hash)| may(hash)))
            // A filter of everything: only a block without any log has none that it wants.
            && *bloom != Bloom::ZERO
    }
}

/// A `null`, alone or among others, is anything.
fn alternatives(topic: Option<TopicWire>) -> Vec<B256> {
    match topic {
        None => Vec::new(),
        Some(TopicWire::One(topic)) => vec![topic],
        Some(TopicWire::Any(any)) => any.into_iter().collect::<Option<Vec<_>>>().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    const A: Address = Address::repeat_byte(0xa);
    const B: Address = Address::repeat_byte(0xb);
    const T: B256 = B256::repeat_byte(1);
    const U: B256 = B256::repeat_byte(2);

    fn filter(text: &Value) -> LogFilter {
        LogFilter::read(&text.to_string()).unwrap()
    }

    #[test]
    fn filters_match_as_nodes_do() {
        type Logs = &'static [(Address, &'static [B256], bool)];
        let table: [(Value, Logs); 7] = [
            (json!({}), &[(A, &[], true), (B, &[T, U], true)]),
            (json!({"address": A, "fromBlock": "0x1"}), &[(A, &[], true), (B, &[], false)]),
            (json!({"address": [A, B]}), &[(A, &[], true), (B, &[T], true)]),
            (json!({"topics": [T]}), &[(A, &[T, U], true), (A, &[U, T], false), (A, &[], false)]),
            (json!({"topics": [null, U]}), &[(A, &[T, U], true), (A, &[T], false)]),
            (json!({"topics": [[T, U], []]}), &[(A, &[U, T], true), (A, &[U], false)]),
            (json!({"topics": [[T, null]], "address": null}), &[(A, &[U], true), (A, &[], false)]),
        ];
        for (text, logs) in table {
            for (address, topics, want) in logs {
                assert_eq!(filter(&text).matches(*address, topics), *want, "{text} {address} {topics:?}");
            }
        }
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let many = vec![A; MAX_ALTERNATIVES + 1];
        for text in [
            json!(1),
            json!({"address": "0x1"}),
            json!({"address": many}),
            json!({"topics": [T, T, T, T, T]}),
            json!({"topics": ["0x1"]}),
            json!({"topics": [[[T]]]}),
        ] {
            assert!(LogFilter::read(&text.to_string()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_block_with_a_wanted_log_is_never_passed_by(
            address in any::<[u8; 20]>(),
            topics in proptest::collection::vec(any::<[u8; 32]>(), 0..4),
            place in 0..4_usize,
            by_address in any::<bool>(),
        ) {
            let (address, topics) = (Address::from(address), topics.into_iter().map(B256::from).collect::<Vec<_>>());
            let mut bloom = Bloom::ZERO;
            bloom.accrue_raw_log(address, &topics);
            let mut text = json!({"topics": topics.iter().take(place).collect::<Vec<_>>()});
            if by_address {
                text["address"] = json!(address);
            }
            let filter = filter(&text);
            prop_assert!(filter.matches(address, &topics));
            prop_assert!(filter.may_match(&bloom));
            prop_assert!(!filter.may_match(&Bloom::ZERO));
        }
    }
}
