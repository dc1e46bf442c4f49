//! Errors as JSON-RPC numbers them.

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
    /// What kind it is.
    pub code: ErrorCode,
    /// A sentence for people.
    pub message: String,
}

impl RpcError {
    /// An error of a kind.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
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
