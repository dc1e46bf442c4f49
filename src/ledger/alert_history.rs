//! What people ask of past alerts: what was wrong, who was told, and whether it arrived.

use serde::Serialize;

use super::{AlertRow, Ledger, LedgerError, OutboxRow, OutboxState, row::from_row};
use crate::{
    events::Severity,
    types::{Label, UnixMillis},
};

/// A message to one channel, and what became of it. Times in Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotificationView {
    /// The message; the same on every channel.
    pub id: String,
    /// To whom.
    pub channel: String,
    /// The incident that it is about; empty of a message that is about none.
    pub incident: String,
    /// Why: `firing`, `reminder`, `acknowledged`, `resolved`, `digest`, `test`.
    pub kind: String,
    /// How grave.
    pub severity: Label<Severity>,
    /// In one line.
    pub title: String,
    /// When it was made.
    pub made_at: UnixMillis,
    /// How far it came; none where that is not kept any more, or it was sent by hand as the ledger could not be written.
    pub state: Option<Label<OutboxState>>,
    /// How often it was tried.
    pub attempts: Option<i64>,
    /// When the service took it.
    pub sent_at: Option<UnixMillis>,
    /// When it is tried again at the earliest.
    pub not_before: Option<UnixMillis>,
    /// Why the last attempt failed.
    pub last_error: Option<String>,
}

from_row!(|row| NotificationView {
    id,
    channel,
    incident,
    kind,
    severity,
    title,
    made_at,
    state,
    attempts,
    sent_at,
    not_before,
    last_error
});

impl Ledger {
    /// Alerts that are over, the newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn past_alerts(&self, limit: u32) -> Result<Vec<AlertRow>, LedgerError> {
        let rows = sqlx::query_as(
            "SELECT * FROM alerts WHERE resolved_at IS NOT NULL AND firing_at IS NOT NULL AND instance = $1 \
             ORDER BY pending_at DESC, id DESC LIMIT $2",
        );
        Ok(rows.bind(self.instance()).bind(i64::from(limit)).fetch_all(self.pool()).await?)
    }

    /// Every message of an incident on every channel, also on one that was told in another's stead, oldest first; the first thousand.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn incident_messages(&self, incident: &str) -> Result<Vec<OutboxRow>, LedgerError> {
        let rows = sqlx::query_as(
            "SELECT id, channel, severity, kind, state, attempts, not_before, expires_at, made_at, last_attempt_at, sent_at, last_error \
             FROM alert_outbox WHERE id IN (SELECT id FROM alert_notifications WHERE incident = $1) \
             ORDER BY made_at, id, channel LIMIT 1000",
        );
        Ok(rows.bind(incident).fetch_all(self.pool()).await?)
    }

    /// Who was told what of late, and whether it arrived; the newest first. Also what went to a channel in another's stead, and tests.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn notifications(&self, limit: u32) -> Result<Vec<NotificationView>, LedgerError> {
        let rows = sqlx::query_as(
            "SELECT n.id AS id, n.channel AS channel, n.incident AS incident, n.kind AS kind, n.severity AS severity, n.title AS title, \
             n.made_at AS made_at, o.state AS state, o.attempts AS attempts, o.sent_at AS sent_at, o.not_before AS not_before, \
             o.last_error AS last_error FROM alert_notifications n LEFT JOIN alert_outbox o ON o.id = n.id AND o.channel = n.channel \
             UNION ALL \
             SELECT o.id, o.channel, COALESCE((SELECT MAX(t.incident) FROM alert_notifications t WHERE t.id = o.id), ''), o.kind, o.severity, \
             COALESCE((SELECT MAX(t.title) FROM alert_notifications t WHERE t.id = o.id), ''), o.made_at, o.state, o.attempts, o.sent_at, \
             o.not_before, o.last_error FROM alert_outbox o \
             WHERE NOT EXISTS (SELECT 1 FROM alert_notifications n WHERE n.id = o.id AND n.channel = o.channel) \
             ORDER BY 7 DESC, 1, 2 LIMIT $1",
        );
        Ok(rows.bind(i64::from(limit)).fetch_all(self.pool()).await?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        events::Component,
        ledger::{AlertNotification, AlertPhase, AlertWrite, NewOutboxRow, QueuedMessage},
    };

    fn told(id: &str, made_at: UnixMillis) -> AlertNotification {
        AlertNotification {
            id: id.to_owned(),
            channel: "slack".to_owned(),
            incident: "i".to_owned(),
            kind: "firing".to_owned(),
            severity: Severity::P1.into(),
            title: "A node is down".to_owned(),
            fingerprints: "[]".to_owned(),
            made_at,
        }
    }

    #[tokio::test]
    async fn every_message_has_its_fate_and_a_fallback_its_title() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let queued = QueuedMessage {
            id: "new".to_owned(),
            channel: "slack".to_owned(),
            severity: Severity::P1,
            kind: "firing".to_owned(),
            body_json: "{}".to_owned(),
            not_before: 7,
            expires_at: 99,
            made_at: 7,
        };
        let write = AlertWrite {
            notifications: vec![told("old", 5), told("new", 7)],
            messages: vec![queued],
            ..AlertWrite::default()
        };
        ledger.save_alerts(&write).await.unwrap();
        let fallback = NewOutboxRow {
            id: "new".to_owned(),
            channel: "phone".to_owned(),
            severity: Severity::P1,
            kind: "firing",
            body: "{}".to_owned(),
            not_before: 8,
            expires_at: 99,
            made_at: 8,
        };
        assert!(ledger.enqueue_alert(&fallback).await.unwrap());
        ledger.alert_sent("new", "slack", 9).await.unwrap();
        let found = ledger.notifications(9).await.unwrap();
        let short: Vec<_> = found
            .iter()
            .map(|row| (&*row.channel, &*row.title, row.state.as_ref().map(Label::as_str), row.sent_at))
            .collect();
        assert_eq!(
            short,
            [
                ("phone", "A node is down", Some("queued"), None),
                ("slack", "A node is down", Some("sent"), Some(9)),
                ("slack", "A node is down", None, None),
            ]
        );
        assert_eq!(ledger.notifications(1).await.unwrap().len(), 1);
        let of_incident = ledger.incident_messages("i").await.unwrap();
        let short: Vec<_> = of_incident.iter().map(|row| (&*row.channel, row.sent_at)).collect();
        assert_eq!(short, [("slack", Some(9)), ("phone", None)]);
        assert_eq!(ledger.incident_messages("j").await.unwrap(), []);
    }

    #[tokio::test]
    async fn only_what_is_over_is_past() {
        let ledger = Ledger::open_in_memory("mainnet").await.unwrap();
        let row = |id: u64, resolved_at| AlertRow {
            id,
            fingerprint: format!("f{id}"),
            rule: "r".to_owned(),
            subject: "s".to_owned(),
            severity: Severity::P2.into(),
            component: Component::Disk.into(),
            phase: if resolved_at > 0 { AlertPhase::Resolved } else { AlertPhase::Firing }.into(),
            title: "t".to_owned(),
            message: "m".to_owned(),
            pending_at: 1,
            firing_at: Some(2),
            resolved_at: (resolved_at > 0).then_some(resolved_at),
            told_at: None,
            acknowledged_at: None,
            acknowledged_by: None,
            incident: None,
            live: false,
            state: String::new(),
        };
        let alerts = vec![row(1, 9), row(2, 0), row(3, 8)];
        ledger.save_alerts(&AlertWrite { alerts, ..AlertWrite::default() }).await.unwrap();
        let ids: Vec<u64> = ledger.past_alerts(5).await.unwrap().iter().map(|row| row.id).collect();
        assert_eq!(ids, [3, 1]);
    }
}
