//! A query for logs that can be taken apart: its filter, with other blocks in it.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::part::Part;
use crate::gateway::{
    BlockNeed, Bound, RpcCall, Snapshot,
    block_need::{self, nth},
};

/// The method.
const METHOD: &str = "eth_getLogs";
/// Most members of a filter that are read. Nodes know five.
const MAX_MEMBERS: usize = 16;

/// A query whose blocks are known.
#[derive(Clone, Debug)]
pub struct LogsQuery {
    call: RpcCall,
    /// The filter's members without its blocks, a comma behind each.
    others: Vec<u8>,
    whole: Part,
}

impl LogsQuery {
    /// Reads a call. `None` where it cannot be taken apart: it names its block by hash, or in words that say nothing of how many blocks there are
    /// between; or it is left to the node to say what is wrong with it.
    pub fn read(call: &RpcCall, now: &Snapshot) -> Option<Self> {
        if &*call.method != METHOD {
            return None;
        }
        let BlockNeed::Range { from, to } = block_need::of(METHOD, &call.params) else { return None };
        let number = |bound| match bound {
            Bound::Number(number) => Some(number),
            Bound::Earliest => Some(0),
            Bound::Latest => now.tip.map(|tip| tip.number),
            Bound::Finalized => now.finalized,
            Bound::Safe | Bound::Pending => None,
        };
        let whole = Part { from: number(from)?, to: number(to)? };
        if whole.from > whole.to {
            return None;
        }
        let Members(members) = nth::<Members<'_>>(&call.params, 0)??;
        let mut others = Vec::with_capacity(call.params.len());
        for (name, value) in members {
            if name != "fromBlock" && name != "toBlock" {
                others.extend_from_slice(serde_json::Value::from(&*name).to_string().as_bytes());
                others.push(b':');
                others.extend_from_slice(value.get().as_bytes());
                others.push(b',');
            }
        }
        Some(Self { call: call.clone(), others, whole })
    }

    /// All of its blocks.
    pub const fn whole(&self) -> Part {
        self.whole
    }

    /// The call for a part of it; the client's own for all of it.
    pub fn call(&self, part: Part) -> RpcCall {
        if part == self.whole {
            return self.call.clone();
        }
        let mut params = Vec::with_capacity(self.others.len() + 80);
        params.extend_from_slice(b"[{");
        params.extend_from_slice(&self.others);
        let blocks = format!("\"fromBlock\":\"{:#x}\",\"toBlock\":\"{:#x}\"}}]", part.from, part.to);
        params.extend_from_slice(blocks.as_bytes());
        RpcCall { method: Arc::clone(&self.call.method), params: Bytes::from(params) }
    }
}

/// The members of an object as they stand.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Read;
        impl<'de> Visitor<'de> for Read {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    if members.len() >= MAX_MEMBERS {
                        return Err(A::Error::custom("too many members"));
                    }
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Read)
    }
}
