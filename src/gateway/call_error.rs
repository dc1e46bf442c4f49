//! Why a call to one upstream has no answer.

use super::{BadAnswer, TransportFailure};

/// Why an upstream gave no answer to a call. Its words hold no URL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    /// Nothing came.
    #[error(transparent)]
    Transport(#[from] TransportFailure),
    /// What came answers no call, or another one.
    #[error(transparent)]
    Bad(#[from] BadAnswer),
}

impl CallError {
    /// Its name in metrics.
    pub const fn label(&self) -> &'static str {
        match self {
            Self::Transport(failure) => failure.label(),
            Self::Bad(_) => "bad_answer",
        }
    }

    /// Whether the upstream cannot have got the call, so that asking another is safe whatever the call does.
    pub const fn nothing_was_sent(&self) -> bool {
        matches!(self, Self::Transport(TransportFailure::Connect(_) | TransportFailure::OverBudget))
    }
}
