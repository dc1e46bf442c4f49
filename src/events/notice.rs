//! What the operator is told to look at.

use metrics::counter;
use serde::{Serialize, Serializer};

use crate::types::{UnixMillis, labelled};

pub(super) const NOTICES: &str = "relaymux_notices_total";

labelled! {
    /// What raises a notice.
    pub enum NoticeRule {
        /// This machine's clock is wrong.
        ClockWrong = "clock_wrong",
        /// A relay's public record is not what happened.
        DataApiDiffers = "data_api_differs",
        /// A fork comes that this version does not serve.
        ForkNotServed = "fork_not_served",
        /// A signed block left without being in the journal.
        JournalFailed = "journal_failed",
        /// A locally built block pays somebody else than the validator's registration names.
        LocalBlockPaysAnother = "local_block_pays_another",
        /// This machine is too slow for what runs on it.
        MachinePressure = "machine_pressure",
        /// No bid was as the beacon node says that the payload must be.
        NodeContradictsRelays = "node_contradicts_relays",
        /// A node is of another network than the configuration.
        NodeOfOtherNetwork = "node_of_other_network",
        /// A signed block was handed in and never came on chain.
        NotDelivered = "not_delivered",
        /// A block paid less than was promised.
        PaymentMissing = "payment_missing",
        /// A block seems to have paid less than was promised.
        PaymentUnclear = "payment_unclear",
        /// Slots pay less than the operator's target.
        RateUnderTarget = "rate_under_target",
        /// A relay has a validator registered otherwise than we do.
        RegistrationDrift = "registration_drift",
        /// Slots are not looked at in time.
        SettlementBehind = "settlement_behind",
        /// Slots can never be proven with this node.
        SlotsUnknowable = "slots_unknowable",
        /// Records end with the process.
        StorageInMemory = "storage_in_memory",
        /// A damaged file was moved aside.
        StorageReplaced = "storage_replaced",
        /// A task ended that should not.
        TaskFailed = "task_failed",
    }
}

labelled! {
    /// How grave it is.
    pub enum Severity {
        /// Slots are being lost.
        P1 = "P1",
        /// Money is being lost, or soon will be.
        P2 = "P2",
        /// To be looked at.
        P3 = "P3",
        /// To be known.
        P4 = "P4",
    }
}

/// Something the operator should look at, or that is over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Notice {
    /// The rule that found it. Its name is stable: alerts and filters go by it.
    pub rule: NoticeRule,
    /// What it is about within its rule, such as a slot, relay or node: one is open for each.
    pub subject: String,
    /// How grave it is; an empty text where it is over and nobody remembers.
    #[serde(serialize_with = "or_empty")]
    pub severity: Option<Severity>,
    /// What happened, as a sentence for people. Nothing is decided by it.
    #[serde(rename = "words")]
    pub message: String,
    /// Whether it is over.
    pub resolved: bool,
    /// When it happened, in Unix milliseconds.
    pub at: UnixMillis,
}

/// Counts a notice that was raised, not one that is over.
pub fn count_notice(rule: NoticeRule) {
    counter!(NOTICES, "rule" => rule.label()).increment(1);
}

fn or_empty<S: Serializer>(severity: &Option<Severity>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(severity.map_or("", Severity::label))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_keeps_its_json() {
        let raised = Notice {
            rule: NoticeRule::JournalFailed,
            subject: "slot 1".to_owned(),
            severity: Some(Severity::P1),
            message: "why".to_owned(),
            resolved: false,
            at: 5,
        };
        let json = serde_json::to_string(&raised).unwrap();
        assert_eq!(
            json,
            r#"{"rule":"journal_failed","subject":"slot 1","severity":"P1","words":"why","resolved":false,"at":5}"#
        );
        let over = Notice { severity: None, resolved: true, ..raised };
        assert!(serde_json::to_string(&over).unwrap().contains(r#""severity":"","#));
    }
}
