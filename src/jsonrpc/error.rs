//! Errors as JSON-RPC numbers them.

/// Longest message, in characters: a parser repeats what it did not expect, which may be as large as the body.
const MAX_MESSAGE_CHARS: usize = 500;

/// What kind of error it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// The body is not JSON.
    Parse,
    /// It is JSON and no call.
    InvalidRequest,
    /// Nobody serves this method.
    MethodNotFound,
    /// The parameters are wrong.
    InvalidParams,
    /// A fault of the server's own.
    Internal,
    /// The call was understood and refused.
    Server,
    /// More than the caller may ask for (EIP-1474).
    LimitExceeded,
}

impl ErrorCode {
    /// The number on the wire.
    pub const fn number(self) -> i64 {
        match self {
            Self::Parse => -32700,
            Self::InvalidRequest => -32600,
            Self::MethodNotFound => -32601,
            Self::InvalidParams => -32602,
            Self::Internal => -32603,
            Self::Server => -32000,
            Self::LimitExceeded => -32005,
        }
    }
}

/// An error as the caller is told it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// The kind of error, by its number on the wire.
    pub code: ErrorCode,
    /// A sentence for people.
    pub message: String,
}

impl RpcError {
    /// An error of a kind. A message longer than 500 characters is cut.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE_CHARS) {
            message.truncate(end);
        }
        Self { code, message }
    }

    /// The parameters are wrong.
    pub fn params(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::InvalidParams, message)
    }

    /// The call was understood and refused.
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Server, message)
    }
}
