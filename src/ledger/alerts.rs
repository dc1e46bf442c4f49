//! Alerts as they are written down: one row an episode, one a group, and what is to be sent, in one transaction.

use std::collections::BTreeSet;

use serde::Serialize;

use super::{
    Ledger, LedgerError,
    query::WriteTransaction,
    row::{from_row, get},
};
use crate::{
    events::{Component, Severity},
    types::{Label, UnixMillis, labelled},
};

/// Most live alerts that are read back at start: more than are ever kept.
const MAX_LIVE: i64 = 100_000;

labelled! {
    /// How far an alert is.
    pub enum AlertPhase {
        /// Seen, and not for as long as its rule wants.
        Pending = "pending",
        /// It is so.
        Firing = "firing",
        /// It seems to be over.
        Clearing = "clearing",
        /// It is over.
        Resolved = "resolved",
    }
}

/// One episode of an alert. Times in Unix milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlertRow {
    /// Number of the episode.
    pub id: u64,
    /// Names the trouble for ever.
    pub fingerprint: String,
    /// Name of the rule.
    pub rule: String,
    /// What it is about.
    pub subject: String,
    /// How grave it is.
    pub severity: Label<Severity>,
    /// The part that it is about.
    pub component: Label<Component>,
    /// How far it is.
    pub phase: Label<AlertPhase>,
    /// What happened, in a few words.
    pub title: String,
    /// What happened here.
    pub message: String,
    /// When it was first seen.
    pub pending_at: UnixMillis,
    /// When it had lasted long enough.
    pub firing_at: Option<UnixMillis>,
    /// When it was over.
    pub resolved_at: Option<UnixMillis>,
    /// When people were first told.
    pub told_at: Option<UnixMillis>,
    /// When somebody took it on.
    pub acknowledged_at: Option<UnixMillis>,
    /// Who did.
    pub acknowledged_by: Option<String>,
    /// The incident whose messages told of it.
    pub incident: Option<String>,
    /// Whether the service still needs its state.
    pub live: bool,
    /// All that the service knows of it, as JSON; empty where it needs it no more.
    #[serde(skip)]
    pub state: String,
}

from_row!(|row| AlertRow {
    id,
    fingerprint,
    rule,
    subject,
    severity,
    component,
    phase,
    title,
    message,
    pending_at,
    firing_at,
    resolved_at,
    told_at,
    acknowledged_at,
    acknowledged_by,
    incident,
    live,
    state
});

/// State of something that is not an alert: a group, the digest, the clock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertGroupRow {
    /// Its name.
    pub id: String,
    /// All that the service knows of it, as JSON.
    pub state: String,
}

from_row!(|row| AlertGroupRow { id, state });

/// That somebody is told something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AlertNotification {
    /// The message.
    pub id: String,
    /// To whom.
    pub channel: String,
    /// The incident that it is about.
    pub incident: String,
    /// Why: `firing`, `reminder`, `acknowledged`, `resolved`, `digest`, `test`.
    pub kind: String,
    /// How grave.
    pub severity: Label<Severity>,
    /// In one line.
    pub title: String,
    /// The alerts that it tells of, as a JSON list of fingerprints; the first thousand.
    pub fingerprints: String,
    /// When, in Unix milliseconds.
    pub made_at: UnixMillis,
}

from_row!(|row| AlertNotification { id, channel, incident, kind, severity, title, fingerprints, made_at });

/// A message to be sent to one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedMessage {
    /// The same at every attempt.
    pub id: String,
    /// To whom.
    pub channel: String,
    /// How grave.
    pub severity: Severity,
    /// Why: the name of its kind.
    pub kind: String,
    /// The message as JSON.
    pub body_json: String,
    /// Not to be sent before, in Unix milliseconds.
    pub not_before: UnixMillis,
    /// Not worth sending after.
    pub expires_at: UnixMillis,
    /// When it was made.
    pub made_at: UnixMillis,
}

/// What follows from one look at all troubles. It is written down whole or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertWrite {
    /// Episodes that changed.
    pub alerts: Vec<AlertRow>,
    /// Episodes that came to nothing.
    pub withdrawn: Vec<u64>,
    /// Groups that changed.
    pub groups: Vec<AlertGroupRow>,
    /// Who is told what.
    pub notifications: Vec<AlertNotification>,
    /// What is to be sent.
    pub messages: Vec<QueuedMessage>,
    /// When, in Unix milliseconds.
    pub at: UnixMillis,
}

impl AlertWrite {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        let Self { alerts, withdrawn, groups, notifications, messages, at: _ } = self;
        alerts.is_empty()
            && withdrawn.is_empty()
            && groups.is_empty()
            && notifications.is_empty()
            && messages.is_empty()
    }

    /// Adds what came later: where both say something of the same thing, the later counts.
    pub fn extend(&mut self, later: Self) {
        let Self { alerts, withdrawn, groups, notifications, messages, at } = later;
        let newer: BTreeSet<u64> = alerts.iter().map(|row| row.id).chain(withdrawn.iter().copied()).collect();
        self.alerts.retain(|row| !newer.contains(&row.id));
        self.groups.retain(|row| groups.iter().all(|later| later.id != row.id));
        self.alerts.extend(alerts);
        self.withdrawn.extend(withdrawn);
        self.groups.extend(groups);
        self.notifications.extend(notifications);
        self.messages.extend(messages);
        self.at = at;
    }
}

/// All that alerts go on from after a start.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoredAlerts {
    /// Live alerts.
    pub alerts: Vec<AlertRow>,
    /// Groups.
    pub groups: Vec<AlertGroupRow>,
    /// The highest number that an episode had.
    pub last_id: u64,
}

impl Ledger {
    /// Writes down what follows from one look, and what is to be sent for it, in one transaction. What is written already stays as it is: to
    /// save the same again changes nothing.
    ///
    /// # Errors
    /// When the file cannot be written; nothing of it was, then.
    pub async fn save_alerts(&self, changes: &AlertWrite) -> Result<(), LedgerError> {
        if changes.is_empty() {
            return Ok(());
        }
        let mut write = self.write().await?;
        for id in &changes.withdrawn {
            sqlx::query("DELETE FROM alerts WHERE instance = $1 AND id = $2")
                .bind(write.instance)
                .bind(id.cast_signed())
                .execute(&mut *write.tx)
                .await?;
        }
        for row in &changes.alerts {
            save_alert(&mut write, row).await?;
        }
        for group in &changes.groups {
            sqlx::query(
                "INSERT INTO alert_groups (id, state, changed_at, instance) VALUES ($1, $2, $3, $4) \
                 ON CONFLICT (instance, id) DO UPDATE SET state = excluded.state, changed_at = excluded.changed_at",
            )
            .bind(&group.id)
            .bind(&group.state)
            .bind(changes.at)
            .bind(write.instance)
            .execute(&mut *write.tx)
            .await?;
        }
        for told in &changes.notifications {
            sqlx::query(
                "INSERT INTO alert_notifications (id, channel, incident, kind, severity, title, fingerprints, made_at, instance) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
            )
            .bind(&told.id)
            .bind(&told.channel)
            .bind(&told.incident)
            .bind(&told.kind)
            .bind(told.severity.as_str())
            .bind(&told.title)
            .bind(&told.fingerprints)
            .bind(told.made_at)
            .bind(write.instance)
            .execute(&mut *write.tx)
            .await?;
        }
        for message in &changes.messages {
            sqlx::query(
                "INSERT INTO alert_outbox (id, channel, severity, kind, body, state, attempts, not_before, expires_at, made_at, instance) \
                 VALUES ($1, $2, $3, $4, $5, 'queued', 0, $6, $7, $8, $9) ON CONFLICT DO NOTHING",
            )
            .bind(&message.id)
            .bind(&message.channel)
            .bind(message.severity.label())
            .bind(&message.kind)
            .bind(&message.body_json)
            .bind(message.not_before)
            .bind(message.expires_at)
            .bind(message.made_at)
            .bind(write.instance)
            .execute(&mut *write.tx)
            .await?;
        }
        write.commit().await?;
        Ok(())
    }

    /// What alerts go on from.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn stored_alerts(&self) -> Result<StoredAlerts, LedgerError> {
        let mut tx = self.pool().begin().await?;
        let instance = self.instance();
        let alerts =
            sqlx::query_as("SELECT * FROM alerts WHERE live AND instance = $1 ORDER BY id DESC LIMIT $2");
        let alerts = alerts.bind(instance).bind(MAX_LIVE).fetch_all(&mut *tx).await?;
        let groups = sqlx::query_as("SELECT id, state FROM alert_groups WHERE instance = $1 ORDER BY id");
        let groups = groups.bind(instance).fetch_all(&mut *tx).await?;
        let last = sqlx::query("SELECT COALESCE(MAX(id), 0) AS last FROM alerts WHERE instance = $1");
        let last_id = get(&last.bind(instance).fetch_one(&mut *tx).await?, "last")?;
        Ok(StoredAlerts { alerts, groups, last_id })
    }

    /// Alerts of the past and present that were seen in a time, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn alerts_between(
        &self,
        from: UnixMillis,
        to: UnixMillis,
        limit: u32,
    ) -> Result<Vec<AlertRow>, LedgerError> {
        let rows = sqlx::query_as(
            "SELECT * FROM alerts WHERE pending_at >= $1 AND pending_at < $2 AND firing_at IS NOT NULL \
             ORDER BY pending_at DESC, id DESC LIMIT $3",
        );
        Ok(rows.bind(from).bind(to).bind(i64::from(limit)).fetch_all(self.pool()).await?)
    }

    /// Every episode of a trouble, newest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn alert_episodes(&self, fingerprint: &str, limit: u32) -> Result<Vec<AlertRow>, LedgerError> {
        let rows = sqlx::query_as(
            "SELECT * FROM alerts WHERE fingerprint = $1 ORDER BY pending_at DESC, id DESC LIMIT $2",
        );
        Ok(rows.bind(fingerprint).bind(i64::from(limit)).fetch_all(self.pool()).await?)
    }

    /// Who was told what of late, newest first; of one incident, or of all.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn alert_notifications(
        &self,
        incident: Option<&str>,
        limit: u32,
    ) -> Result<Vec<AlertNotification>, LedgerError> {
        let rows = sqlx::query_as(
            "SELECT * FROM alert_notifications WHERE $1 IS NULL OR incident = $1 ORDER BY made_at DESC, id DESC, channel LIMIT $2",
        );
        Ok(rows.bind(incident).bind(i64::from(limit)).fetch_all(self.pool()).await?)
    }

    /// Forgets what was over and told before a time; how many episodes that were.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn forget_alerts(&self, before: UnixMillis) -> Result<u64, LedgerError> {
        let mut write = self.write().await?;
        let done = sqlx::query("DELETE FROM alerts WHERE pending_at < $1 AND NOT live");
        let done = done.bind(before).execute(&mut *write.tx).await?;
        sqlx::query("DELETE FROM alert_notifications WHERE made_at < $1")
            .bind(before)
            .execute(&mut *write.tx)
            .await?;
        write.commit().await?;
        Ok(done.rows_affected())
    }
}

async fn save_alert(write: &mut WriteTransaction, row: &AlertRow) -> Result<(), sqlx::Error> {
    sqlx::query(
        "INSERT INTO alerts (id, fingerprint, rule, subject, severity, component, phase, title, message, pending_at, firing_at, \
         resolved_at, told_at, acknowledged_at, acknowledged_by, incident, live, state, instance) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) \
         ON CONFLICT (instance, id) DO UPDATE SET severity = excluded.severity, component = excluded.component, \
         phase = excluded.phase, title = excluded.title, message = excluded.message, firing_at = excluded.firing_at, \
         resolved_at = excluded.resolved_at, told_at = excluded.told_at, acknowledged_at = excluded.acknowledged_at, \
         acknowledged_by = excluded.acknowledged_by, incident = excluded.incident, live = excluded.live, state = excluded.state",
    )
    .bind(row.id.cast_signed())
    .bind(&row.fingerprint)
    .bind(&row.rule)
    .bind(&row.subject)
    .bind(row.severity.as_str())
    .bind(row.component.as_str())
    .bind(row.phase.as_str())
    .bind(&row.title)
    .bind(&row.message)
    .bind(row.pending_at)
    .bind(row.firing_at)
    .bind(row.resolved_at)
    .bind(row.told_at)
    .bind(row.acknowledged_at)
    .bind(row.acknowledged_by.as_deref())
    .bind(row.incident.as_deref())
    .bind(row.live)
    .bind(&row.state)
    .bind(write.instance)
    .execute(&mut *write.tx)
    .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: u64, phase: AlertPhase) -> AlertRow {
        AlertRow {
            id,
            fingerprint: format!("f{id}"),
            rule: "r".to_owned(),
            subject: "s".to_owned(),
            severity: Severity::P1.into(),
            component: Component::Relays.into(),
            phase: phase.into(),
            title: "t".to_owned(),
            message: "m".to_owned(),
            pending_at: 10 * id.cast_signed(),
            firing_at: Some(20),
            resolved_at: None,
            told_at: None,
            acknowledged_at: Some(7),
            acknowledged_by: Some("anna".to_owned()),
            incident: None,
            live: true,
            state: "{}".to_owned(),
        }
    }

    fn message(id: &str, channel: &str) -> (AlertNotification, QueuedMessage) {
        let told = AlertNotification {
            id: id.to_owned(),
            channel: channel.to_owned(),
            incident: "i".to_owned(),
            kind: "firing".to_owned(),
            severity: Severity::P1.into(),
            title: "t".to_owned(),
            fingerprints: "[\"f1\"]".to_owned(),
            made_at: 5,
        };
        let queued = QueuedMessage {
            id: id.to_owned(),
            channel: channel.to_owned(),
            severity: Severity::P1,
            kind: "firing".to_owned(),
            body_json: "{}".to_owned(),
            not_before: 5,
            expires_at: 9,
            made_at: 5,
        };
        (told, queued)
    }

    #[tokio::test]
    async fn what_was_saved_is_read_back_and_saving_twice_changes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        assert_eq!(ledger.stored_alerts().await.unwrap(), StoredAlerts::default());
        let (told, queued) = message("m1", "slack");
        let group = AlertGroupRow { id: "P1-relays".to_owned(), state: "{\"a\":1}".to_owned() };
        let first = AlertWrite {
            alerts: vec![
                row(1, AlertPhase::Firing),
                row(2, AlertPhase::Pending),
                row(3, AlertPhase::Pending),
            ],
            groups: vec![group.clone()],
            notifications: vec![told.clone()],
            messages: vec![queued],
            at: 5,
            ..AlertWrite::default()
        };
        for _ in 0..2 {
            ledger.save_alerts(&first).await.unwrap();
        }
        let done = AlertRow {
            live: false,
            resolved_at: Some(50),
            state: String::new(),
            ..row(2, AlertPhase::Resolved)
        };
        let second = AlertWrite { alerts: vec![done.clone()], withdrawn: vec![3], ..AlertWrite::default() };
        ledger.save_alerts(&second).await.unwrap();
        let stored = ledger.stored_alerts().await.unwrap();
        assert_eq!(stored.alerts, [row(1, AlertPhase::Firing)]);
        assert_eq!((stored.groups, stored.last_id), (vec![group], 2));
        assert_eq!(ledger.alerts_between(0, 100, 10).await.unwrap(), [done, row(1, AlertPhase::Firing)]);
        assert_eq!(ledger.alert_episodes("f1", 10).await.unwrap(), [row(1, AlertPhase::Firing)]);
        assert_eq!(ledger.alert_notifications(None, 10).await.unwrap(), [told]);
        assert_eq!(ledger.alert_notifications(Some("j"), 10).await.unwrap(), []);
        let queued = sqlx::query_as("SELECT id, channel, state, attempts FROM alert_outbox");
        let queued: Vec<(String, String, String, i64)> = queued.fetch_all(ledger.pool()).await.unwrap();
        assert_eq!(queued, [("m1".to_owned(), "slack".to_owned(), "queued".to_owned(), 0)]);
        assert_eq!(ledger.forget_alerts(100).await.unwrap(), 1);
        assert_eq!(ledger.alerts_between(0, 100, 10).await.unwrap(), [row(1, AlertPhase::Firing)]);
        assert_eq!(ledger.alert_notifications(None, 10).await.unwrap(), []);
    }

    #[test]
    fn what_came_later_counts() {
        let (_, queued) = message("m1", "slack");
        let mut write = AlertWrite {
            alerts: vec![
                row(1, AlertPhase::Pending),
                row(2, AlertPhase::Pending),
                row(3, AlertPhase::Firing),
            ],
            groups: vec![AlertGroupRow { id: "a".to_owned(), state: "1".to_owned() }],
            messages: vec![queued.clone()],
            at: 1,
            ..AlertWrite::default()
        };
        let (_, later) = message("m2", "slack");
        write.extend(AlertWrite {
            alerts: vec![row(1, AlertPhase::Firing)],
            withdrawn: vec![2],
            groups: vec![AlertGroupRow { id: "a".to_owned(), state: "2".to_owned() }],
            messages: vec![later.clone()],
            at: 2,
            ..AlertWrite::default()
        });
        assert_eq!(write.alerts, [row(3, AlertPhase::Firing), row(1, AlertPhase::Firing)]);
        assert_eq!((write.withdrawn, write.at), (vec![2], 2));
        assert_eq!(write.groups, [AlertGroupRow { id: "a".to_owned(), state: "2".to_owned() }]);
        assert_eq!(write.messages, [queued, later]);
    }
}
