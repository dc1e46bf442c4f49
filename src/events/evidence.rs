//! How something was found out, and how sure that is: one type, by which trust, notices and reports decide what follows.

use serde::{Deserialize, Serialize};

use crate::types::{Label, labelled};

labelled! {
    /// How something was found out.
    pub enum Method {
        /// A payment, by call traces.
        Trace = "trace",
        /// A payment, by plain transfers.
        Transactions = "transactions",
        /// A payment, by a difference of balances.
        Balance = "balance",
        /// By what relays answered to a submission.
        Answers = "answers",
        /// By what the chain has, or lacks.
        Chain = "chain",
        /// Not at all.
        None = "none",
    }
}

labelled! {
    /// How sure it is.
    pub enum Confidence {
        /// Nothing is known.
        None = "none",
        /// It may be wrong for reasons nobody here can see.
        Low = "low",
        /// What happened is certain, whose doing it was is a good guess.
        Medium = "medium",
        /// Nothing is left to guess.
        High = "high",
    }
}

/// How something was found out, and how sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evidence {
    /// By what the finding was made, strongest first.
    pub method: Method,
    /// How sure that is. Nobody is blamed on `low` or `none`.
    pub confidence: Confidence,
}

impl Confidence {
    /// Whether somebody may be blamed for good on it.
    pub fn convicts(self) -> bool {
        self >= Self::Medium
    }
}

impl Evidence {
    /// Nothing is known.
    pub const NONE: Self = Self { method: Method::None, confidence: Confidence::None };

    /// Evidence as a record has it; what is missing there, or of another version, is no evidence.
    pub fn of_record(method: Option<&Label<Method>>, confidence: Option<&Label<Confidence>>) -> Self {
        Self {
            method: method.and_then(Label::known).unwrap_or(Method::None),
            confidence: confidence.and_then(Label::known).unwrap_or(Confidence::None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_record_does_not_tell_is_no_evidence() {
        assert_eq!(Evidence::of_record(Some(&Label::read("nonsense")), None), Evidence::NONE);
        let known = Evidence::of_record(Some(&Method::Trace.into()), Some(&Confidence::High.into()));
        assert_eq!(known, Evidence { method: Method::Trace, confidence: Confidence::High });
        assert!(!Confidence::Low.convicts() && Confidence::Medium.convicts());
        assert!(Confidence::None < Confidence::Low && Confidence::Medium < Confidence::High);
    }
}
