//! What a client subscribes to.

use std::{fmt, sync::Arc};

use serde_json::value::RawValue;

use super::filter::LogFilter;
use crate::jsonrpc::{ErrorCode, RpcError};

/// What a client subscribes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topic {
    /// The headers of new blocks.
    NewHeads,
    /// Logs of new blocks, and those that a reorganisation takes back.
    Logs(Arc<LogFilter>),
    /// Transactions that wait for a block.
    Pending(Bodies),
}

/// What is told of a pending transaction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bodies {
    /// Its hash.
    #[default]
    Hashes,
    /// All of it.
    Full,
}

impl Topic {
    /// Reads the parameters of `eth_subscribe`.
    ///
    /// # Errors
    /// When they name nothing that can be subscribed to.
    pub fn read(params: &[&RawValue]) -> Result<Self, RpcError> {
        let name: &str =
            params.first().and_then(|name| serde_json::from_str(name.get()).ok()).ok_or_else(|| {
                RpcError::params("eth_subscribe wants a name: newHeads, logs or newPendingTransactions")
            })?;
        let more = params.get(1).map(|more| more.get()).filter(|more| *more != "null");
        match name {
            "newHeads" => Ok(Self::NewHeads),
            "logs" => {
                let filter = more.map(LogFilter::read).transpose().map_err(RpcError::params)?;
                Ok(Self::Logs(Arc::new(filter.unwrap_or_default())))
            }
            "newPendingTransactions" => match more {
                None | Some("false") => Ok(Self::Pending(Bodies::Hashes)),
                Some("true") => Ok(Self::Pending(Bodies::Full)),
                Some(_) => Err(RpcError::params("newPendingTransactions takes true, false or nothing")),
            },
            _ => Err(RpcError::new(
                ErrorCode::InvalidParams,
                "there are subscriptions to newHeads, logs and newPendingTransactions, and to nothing else",
            )),
        }
    }
}

/// A subscription's id, unguessable: 32 hexadecimal digits on the wire, as geth has them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SubscriptionId(u128);

impl SubscriptionId {
    /// One that was never given before.
    pub fn random() -> Self {
        Self(rand::random())
    }

    /// Reads one; `None` for what is none.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix("0x").filter(|digits| digits.len() == 32)?;
        // The parser would take a sign for a digit.
        digits.bytes().all(|digit| digit.is_ascii_hexdigit()).then_some(())?;
        u128::from_str_radix(digits, 16).ok().map(Self)
    }
}

impl fmt::Display for SubscriptionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:#034x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Topic, RpcError> {
        Topic::read(&serde_json::from_str::<Vec<&RawValue>>(text).unwrap())
    }

    #[test]
    fn parameters_are_read_as_nodes_read_them() {
        let all = Topic::Logs(Arc::default());
        for (text, want) in [
            (r#"["newHeads"]"#, Topic::NewHeads),
            (r#"["newHeads", null]"#, Topic::NewHeads),
            (r#"["logs"]"#, all.clone()),
            (r#"["logs", {}]"#, all),
            (r#"["newPendingTransactions"]"#, Topic::Pending(Bodies::Hashes)),
            (r#"["newPendingTransactions", true]"#, Topic::Pending(Bodies::Full)),
        ] {
            assert_eq!(read(text), Ok(want), "{text}");
        }
        for text in ["[]", "[1]", r#"["syncing"]"#, r#"["logs", 1]"#, r#"["newPendingTransactions", {}]"#] {
            assert_eq!(read(text).unwrap_err().code, ErrorCode::InvalidParams, "{text}");
        }
    }

    #[test]
    fn ids_are_read_as_they_are_written() {
        for id in [SubscriptionId::random(), SubscriptionId(1)] {
            assert_eq!(id.to_string().len(), 34);
            assert_eq!(SubscriptionId::parse(&id.to_string()), Some(id));
        }
        for text in ["", "0x1", "1", "0x+0000000000000000000000000000000"] {
            assert_eq!(SubscriptionId::parse(text), None, "{text}");
        }
    }
}
