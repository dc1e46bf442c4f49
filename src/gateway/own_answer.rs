//! Answers of the gateway's own.

use serde_json::json;

use super::{NodeError, RawJson, RpcAnswer};
use crate::jsonrpc::{ErrorCode, RpcError};

/// An error that no upstream gave.
pub(super) fn error(code: ErrorCode, message: impl Into<String>) -> RpcAnswer {
    let RpcError { message, .. } = RpcError::new(code, message);
    let raw = RawJson::from_value(&json!({ "code": code.number(), "message": message }));
    RpcAnswer::Error(NodeError { code: code.number(), message: message.into(), raw })
}

/// A result that no upstream gave.
pub(super) fn result(value: &serde_json::Value) -> RpcAnswer {
    RpcAnswer::Result(RawJson::from_value(value))
}

/// A number as JSON-RPC writes quantities: `"0x1b"`.
pub(super) fn quantity(number: u64) -> RpcAnswer {
    result(&serde_json::Value::from(format!("{number:#x}")))
}

/// Reads a quantity: `0x1b`.
pub(super) fn read_quantity(text: &str) -> Option<u64> {
    u64::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}
