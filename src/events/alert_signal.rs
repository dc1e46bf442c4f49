//! Something is wrong, or over: what rooms say, and `alerts` acts on.

use metrics::counter;
use serde::{Serialize, Serializer};

use super::{AlertRule, Severity};
use crate::types::UnixMillis;

pub(super) const SIGNALS: &str = "relaymux_notices_total";

/// Something the operator should know of, or that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlertSignal {
    /// The rule that found it. Its name is stable: routes and filters go by it.
    #[serde(serialize_with = "name_of")]
    pub rule: &'static AlertRule,
    /// What it is about within its rule, such as a slot, relay or node: one is open for each.
    pub subject: String,
    /// How grave it is; an empty text where it is over.
    #[serde(serialize_with = "or_empty")]
    pub severity: Option<Severity>,
    /// What happened, as a sentence for people. Nothing is decided by it.
    #[serde(rename = "words")]
    pub message: String,
    /// Whether it is over.
    pub resolved: bool,
    /// When it happened, in Unix milliseconds.
    pub at: UnixMillis,
    /// Who writes it down.
    #[serde(skip)]
    pub keeper: SignalKeeper,
}

/// Who writes a signal down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SignalKeeper {
    /// The ledger's writer, when it hears of it: whoever told it knows no ledger, or could not write.
    #[default]
    Writer,
    /// Whoever told it has written it down before: it is in the ledger, and perhaps more since.
    Teller,
}

impl AlertSignal {
    /// It has begun, as grave as its rule says.
    pub fn raised(rule: &'static AlertRule, subject: &str, message: String, at: UnixMillis) -> Self {
        let severity = Some(rule.severity);
        Self {
            rule,
            subject: subject.to_owned(),
            severity,
            message,
            resolved: false,
            at,
            keeper: SignalKeeper::Writer,
        }
    }

    /// The same, as grave as whoever found it knows.
    #[must_use]
    pub fn as_grave_as(self, severity: Severity) -> Self {
        Self { severity: Some(severity), ..self }
    }

    /// It is over.
    pub fn over(rule: &'static AlertRule, subject: &str, message: String, at: UnixMillis) -> Self {
        let (subject, keeper) = (subject.to_owned(), SignalKeeper::Writer);
        Self { rule, subject, severity: None, message, resolved: true, at, keeper }
    }

    /// The same, written down already by whoever tells it.
    #[must_use]
    pub fn written(self) -> Self {
        Self { keeper: SignalKeeper::Teller, ..self }
    }
}

/// Counts a signal that was raised, not one that is over.
pub fn count_signal(rule: &AlertRule) {
    counter!(SIGNALS, "rule" => rule.name.clone()).increment(1);
}

fn name_of<S: Serializer>(rule: &&AlertRule, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&rule.name)
}

fn or_empty<S: Serializer>(severity: &Option<Severity>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(severity.map_or("", Severity::label))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::events::for_tests::{RULES, TOO_HOT};

    #[test]
    fn a_signal_keeps_its_json() {
        assert_eq!(RULES, [&TOO_HOT]);
        let raised = AlertSignal::raised(&TOO_HOT, "attic", "why".to_owned(), 5);
        let json = serde_json::to_string(&raised).unwrap();
        assert_eq!(
            json,
            r#"{"rule":"too_hot","subject":"attic","severity":"P2","words":"why","resolved":false,"at":5}"#
        );
        assert!(serde_json::to_string(&raised.as_grave_as(Severity::P4)).unwrap().contains(r#""P4""#));
        let over = AlertSignal::over(&TOO_HOT, "attic", "why".to_owned(), 5);
        assert!(serde_json::to_string(&over).unwrap().contains(r#""severity":"","#));
    }
}
