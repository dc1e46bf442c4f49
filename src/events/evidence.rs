//! How something was found out, and how sure that is: one type, by which trust, notices and reports decide what follows.

use std::fmt;

use serde::{Deserialize, Serialize};

/// How something was found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// A payment, by call traces.
    Trace,
    /// A payment, by plain transfers.
    Transactions,
    /// A payment, by a difference of balances.
    Balance,
    /// By what relays answered to a submission.
    Answers,
    /// By what the chain has, or lacks.
    Chain,
    /// Not at all.
    None,
}

/// How sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Nothing is known.
    None,
    /// It may be wrong for reasons nobody here can see.
    Low,
    /// What happened is certain, whose doing it was is a good guess.
    Medium,
    /// Nothing is left to guess.
    High,
}

/// How something was found out, and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// By what the finding was made, strongest first.
    pub method: Method,
    /// How sure that is. Nobody is blamed on `low` or `none`.
    pub confidence: Confidence,
}

impl Method {
    const ALL: [Self; 6] =
        [Self::Trace, Self::Transactions, Self::Balance, Self::Answers, Self::Chain, Self::None];

    /// Its name in records.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Trace => "trace",
            Self::Transactions => "transactions",
            Self::Balance => "balance",
            Self::Answers => "answers",
            Self::Chain => "chain",
            Self::None => "none",
        }
    }

    /// By its name in records.
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|method| method.label() == label)
    }
}

impl Confidence {
    const ALL: [Self; 4] = [Self::None, Self::Low, Self::Medium, Self::High];

    /// Its name in records.
    pub const fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }

    /// By its name in records.
    pub fn parse(label: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|confidence| confidence.label() == label)
    }

    /// Whether somebody may be blamed for good on it.
    pub fn convicts(self) -> bool {
        self >= Self::Medium
    }
}

impl Evidence {
    /// Nothing is known.
    pub const NONE: Self = Self { method: Method::None, confidence: Confidence::None };

    /// Evidence by the labels of a record; what is missing or unknown there is no evidence.
    pub fn from_labels(method: Option<&str>, confidence: Option<&str>) -> Self {
        Self {
            method: method.and_then(Method::parse).unwrap_or(Method::None),
            confidence: confidence.and_then(Confidence::parse).unwrap_or(Confidence::None),
        }
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

impl fmt::Display for Confidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_come_back() {
        for method in Method::ALL {
            assert_eq!(Method::parse(method.label()), Some(method));
        }
        for confidence in Confidence::ALL {
            assert_eq!(Confidence::parse(confidence.label()), Some(confidence));
        }
        assert_eq!(Evidence::from_labels(Some("nonsense"), None), Evidence::NONE);
        assert!(!Confidence::Low.convicts() && Confidence::Medium.convicts());
    }
}
