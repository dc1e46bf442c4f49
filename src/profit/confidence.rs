//! How a payment was found, and how sure that is.

use serde::Serialize;

/// How a payment was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// By call traces.
    Trace,
    /// By plain transfers.
    Transactions,
    /// By a difference of balances.
    Balance,
    /// Not at all.
    None,
}

/// How sure that is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Nothing is known.
    None,
    /// It may be off by transfers nobody can see.
    Low,
    /// The amount is right, whose it was is a good guess.
    Medium,
    /// Nothing is left to guess.
    High,
}

impl Method {
    /// Its name in records.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Transactions => "transactions",
            Self::Balance => "balance",
            Self::None => "none",
        }
    }
}

impl Confidence {
    /// Its name in records.
    pub const fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}
