//! JSON-RPC 2.0 framing: a body is one call or a batch, a call has an id, a method and parameters, an answer is a result or an error.
//!
//! It promises that reading costs no more memory than the body itself: calls and parameters are slices of it, lists are refused while they
//! are read, and nesting is bounded before anything is parsed. It knows no method: what parameters mean is for the room that serves them.
//! Source: the JSON-RPC 2.0 specification, and EIP-1474 for the codes below -32000.

mod bounded;
mod depth;
mod error;
mod reply;
mod request;
mod response;
mod strict;

pub use bounded::BoundedList;
pub use error::{ErrorCode, RpcError};
pub use reply::{BadReply, Reply, ReplyError, call_body, read_reply};
pub use request::{Call, FramingLimits, Incoming, Request, read_body};
pub use response::Response;
pub use strict::{Asked, StrictCall, StrictIncoming, read_strictly};
