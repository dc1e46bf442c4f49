//! A query for logs that can be taken apart: its filter, with other blocks in it.

use std::fmt;

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
    /// The last block in the client's own words.
    to: Option<Box<[u8]>>,
    /// For planning: the tip moves on while parts are asked for.
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
        let (mut others, mut to) = (Vec::with_capacity(call.params.len()), None);
        for (name, value) in members {
            if name == "toBlock" {
                to = Some(value.get().as_bytes().into());
            } else if name != "fromBlock" {
                others.extend_from_slice(serde_json::Value::from(&*name).to_string().as_bytes());
                others.push(b':');
                others.extend_from_slice(value.get().as_bytes());
                others.push(b',');
            }
        }
        Some(Self { call: call.clone(), others, to, whole })
    }

    /// All of its blocks.
    pub const fn whole(&self) -> Part {
        self.whole
    }

    /// The call for a part of it; the client's own for all of it. The last part ends as the client's own call does: `latest` is the node's newest
    /// block then, which may be a newer one than the tip that was planned with.
    pub fn call(&self, part: Part) -> RpcCall {
        if part == self.whole {
            return self.call.clone();
        }
        let mut params = Vec::with_capacity(self.others.len() + 80);
        params.extend_from_slice(b"[{");
        params.extend_from_slice(&self.others);
        params.extend_from_slice(format!("\"fromBlock\":\"{:#x}\"", part.from).as_bytes());
        let number = format!("\"{:#x}\"", part.to);
        let to = if part.to == self.whole.to { self.to.as_deref() } else { Some(number.as_bytes()) };
        if let Some(to) = to {
            params.extend_from_slice(b",\"toBlock\":");
            params.extend_from_slice(to);
        }
        params.extend_from_slice(b"}]");
        RpcCall { params: Bytes::from(params), ..self.call.clone() }
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
