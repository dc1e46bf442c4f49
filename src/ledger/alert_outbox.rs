//! Messages that are still to be sent: one row for each message and channel.
//!
//! `queued` has certainly not arrived; `sending` may have, because an attempt has begun of which no answer is known, be it of this run or of
//! one before; `sent` and `dead` are over. A channel's rows are changed by its one sender alone.

use super::{Ledger, LedgerError, query::WriteTransaction, row::from_row};
use crate::{
    events::Severity,
    types::{Label, UnixMillis, labelled},
};

/// Most of an error that is kept, in characters.
const MAX_ERROR: usize = 500;

labelled! {
    /// How far a message has come on its channel.
    pub enum OutboxState {
        /// It has certainly not arrived.
        Queued = "queued",
        /// It may have arrived: an attempt has begun, and no answer is known.
        Sending = "sending",
        /// The service has it.
        Sent = "sent",
        /// It never arrives on this channel.
        Dead = "dead",
    }
}

/// A message to be put into the queue of a channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOutboxRow {
    /// The message's id: the same on every channel.
    pub id: String,
    /// The channel's name.
    pub channel: String,
    /// How grave it is; the gravest leave first.
    pub severity: Severity,
    /// Why it is sent, by name.
    pub kind: &'static str,
    /// The message as JSON.
    pub body: String,
    /// Not to be sent before, Unix milliseconds.
    pub not_before: UnixMillis,
    /// Of no use after, Unix milliseconds.
    pub expires_at: UnixMillis,
    /// When it was made, Unix milliseconds.
    pub made_at: UnixMillis,
}

/// A message in the queue of a channel, without its body, which may be large.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxRow {
    /// The message's id.
    pub id: String,
    /// The channel's name.
    pub channel: String,
    /// How grave it is.
    pub severity: Label<Severity>,
    /// Why it is sent, by name.
    pub kind: String,
    /// How far it has come.
    pub state: Label<OutboxState>,
    /// Attempts so far.
    pub attempts: i64,
    /// Not to be sent before, Unix milliseconds.
    pub not_before: UnixMillis,
    /// Of no use after, Unix milliseconds.
    pub expires_at: UnixMillis,
    /// When it was made, Unix milliseconds.
    pub made_at: UnixMillis,
    /// When the last attempt began, Unix milliseconds.
    pub last_attempt_at: Option<UnixMillis>,
    /// When the service took it, Unix milliseconds.
    pub sent_at: Option<UnixMillis>,
    /// What the last attempt came to, where it failed.
    pub last_error: Option<String>,
}

from_row!(|row| OutboxRow {
    id,
    channel,
    severity,
    kind,
    state,
    attempts,
    not_before,
    expires_at,
    made_at,
    last_attempt_at,
    sent_at,
    last_error,
});

/// How many messages a channel has in each state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutboxCount {
    /// The channel's name.
    pub channel: String,
    /// How far they have come.
    pub state: Label<OutboxState>,
    /// How many.
    pub count: i64,
}

from_row!(|row| OutboxCount { channel, state, count: "how_many" });

/// Puts a message into the queue of a channel, in a transaction of whoever decided on it. Whether it is news.
pub(super) async fn enqueue(write: &mut WriteTransaction, new: &NewOutboxRow) -> Result<bool, sqlx::Error> {
    let done = sqlx::query(
        "INSERT INTO alert_outbox (id, channel, severity, kind, body, state, attempts, not_before, expires_at, made_at, instance) \
         VALUES ($1, $2, $3, $4, $5, 'queued', 0, $6, $7, $8, $9) ON CONFLICT (id, channel) DO NOTHING",
    )
    .bind(&new.id)
    .bind(&new.channel)
    .bind(new.severity.label())
    .bind(new.kind)
    .bind(&new.body)
    .bind(new.not_before)
    .bind(new.expires_at)
    .bind(new.made_at)
    .bind(write.instance)
    .execute(&mut *write.tx)
    .await?;
    Ok(done.rows_affected() > 0)
}

fn short(error: &str) -> String {
    error.chars().take(MAX_ERROR).collect()
}

/// A query for the columns of an [`OutboxRow`].
macro_rules! rows {
    ($rest:literal) => {
        concat!(
            "SELECT id, channel, severity, kind, state, attempts, not_before, expires_at, made_at, last_attempt_at, sent_at, last_error \
             FROM alert_outbox ",
            $rest
        )
    };
}

impl Ledger {
    /// Puts a message into the queue of a channel. Whether it is news: a message is in a channel's queue once for ever.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn enqueue_alert(&self, new: &NewOutboxRow) -> Result<bool, LedgerError> {
        let mut write = self.write().await?;
        let is_news = enqueue(&mut write, new).await?;
        write.commit().await?;
        Ok(is_news)
    }

    /// Everything that waits on a channel, gravest first.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn waiting_alerts(&self, channel: &str, limit: u32) -> Result<Vec<OutboxRow>, LedgerError> {
        let waiting = sqlx::query_as(rows!(
            "WHERE state IN ('queued', 'sending') AND channel = $1 ORDER BY severity, made_at, id LIMIT $2"
        ));
        Ok(waiting.bind(channel).bind(i64::from(limit)).fetch_all(self.pool()).await?)
    }

    /// The message of a row, as JSON.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn alert_body(&self, id: &str, channel: &str) -> Result<Option<String>, LedgerError> {
        let body = sqlx::query_scalar("SELECT body FROM alert_outbox WHERE id = $1 AND channel = $2");
        Ok(body.bind(id).bind(channel).fetch_optional(self.pool()).await?)
    }

    /// Channels on which something waits.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn channels_with_alerts(&self) -> Result<Vec<String>, LedgerError> {
        let channels = sqlx::query_scalar(
            "SELECT DISTINCT channel FROM alert_outbox WHERE state IN ('queued', 'sending') ORDER BY channel",
        );
        Ok(channels.fetch_all(self.pool()).await?)
    }

    /// How many messages each channel has in each state.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn outbox_counts(&self) -> Result<Vec<OutboxCount>, LedgerError> {
        let counts = sqlx::query_as(
            "SELECT channel, state, COUNT(*) AS how_many FROM alert_outbox GROUP BY channel, state ORDER BY channel, state",
        );
        Ok(counts.fetch_all(self.pool()).await?)
    }

    /// What became of a message, on each channel.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn deliveries_of(&self, id: &str) -> Result<Vec<OutboxRow>, LedgerError> {
        let rows = sqlx::query_as(rows!("WHERE id = $1 ORDER BY channel"));
        Ok(rows.bind(id).fetch_all(self.pool()).await?)
    }

    /// The newest messages, of all channels and states.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn deliveries(&self, limit: u32) -> Result<Vec<OutboxRow>, LedgerError> {
        let rows = sqlx::query_as(rows!("ORDER BY made_at DESC, id, channel LIMIT $1"));
        Ok(rows.bind(i64::from(limit)).fetch_all(self.pool()).await?)
    }

    /// Writes down that an attempt begins, before its first byte leaves. Whether the message still waits.
    ///
    /// # Errors
    /// When the file cannot be written: then nothing may be sent.
    pub async fn begin_alert_attempt(
        &self,
        id: &str,
        channel: &str,
        now: UnixMillis,
    ) -> Result<bool, LedgerError> {
        let mut write = self.write().await?;
        let done = sqlx::query(
            "UPDATE alert_outbox SET state = 'sending', attempts = attempts + 1, last_attempt_at = $3, last_error = NULL \
             WHERE id = $1 AND channel = $2 AND state IN ('queued', 'sending')",
        )
        .bind(id)
        .bind(channel)
        .bind(now)
        .execute(&mut *write.tx)
        .await?;
        write.commit().await?;
        Ok(done.rows_affected() > 0)
    }

    /// Writes down that the service has a message.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn alert_sent(&self, id: &str, channel: &str, now: UnixMillis) -> Result<(), LedgerError> {
        let mut write = self.write().await?;
        sqlx::query(
            "UPDATE alert_outbox SET state = 'sent', sent_at = $3, last_error = NULL WHERE id = $1 AND channel = $2",
        )
        .bind(id)
        .bind(channel)
        .bind(now)
        .execute(&mut *write.tx)
        .await?;
        write.commit().await?;
        Ok(())
    }

    /// Writes down that an attempt failed, when the next is due, and what goes to the channel's fallback meanwhile. Whether that is news.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn alert_failed(
        &self,
        row: &OutboxRow,
        may_have_arrived: bool,
        not_before: UnixMillis,
        error: &str,
        fallback: Option<&NewOutboxRow>,
    ) -> Result<bool, LedgerError> {
        let state = if may_have_arrived { OutboxState::Sending } else { OutboxState::Queued };
        self.end_attempt(row, state, not_before, error, fallback).await
    }

    /// Writes down that a message never arrives on this channel, and what goes to its fallback instead. Whether that is news.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn alert_dead(
        &self,
        row: &OutboxRow,
        error: &str,
        fallback: Option<&NewOutboxRow>,
    ) -> Result<bool, LedgerError> {
        self.end_attempt(row, OutboxState::Dead, row.not_before, error, fallback).await
    }

    async fn end_attempt(
        &self,
        row: &OutboxRow,
        state: OutboxState,
        not_before: UnixMillis,
        error: &str,
        fallback: Option<&NewOutboxRow>,
    ) -> Result<bool, LedgerError> {
        let mut write = self.write().await?;
        sqlx::query(
            "UPDATE alert_outbox SET state = $3, not_before = $4, last_error = $5 WHERE id = $1 AND channel = $2 \
             AND state IN ('queued', 'sending')",
        )
        .bind(&row.id)
        .bind(&row.channel)
        .bind(state.label())
        .bind(not_before)
        .bind(short(error))
        .execute(&mut *write.tx)
        .await?;
        let is_news = match fallback {
            Some(fallback) => enqueue(&mut write, fallback).await?,
            None => false,
        };
        write.commit().await?;
        Ok(is_news)
    }

    /// Forgets what is over since before a time. How many rows.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub async fn forget_deliveries(&self, before: UnixMillis) -> Result<u64, LedgerError> {
        let mut write = self.write().await?;
        let done = sqlx::query(
            "DELETE FROM alert_outbox WHERE state IN ('sent', 'dead') AND made_at < $1 AND expires_at < $1",
        );
        let done = done.bind(before).execute(&mut *write.tx).await?;
        write.commit().await?;
        Ok(done.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn new(id: &str, severity: Severity, made_at: UnixMillis) -> NewOutboxRow {
        NewOutboxRow {
            id: id.to_owned(),
            channel: "ops".to_owned(),
            severity,
            kind: "firing",
            body: "{}".to_owned(),
            not_before: made_at,
            expires_at: made_at + 1000,
            made_at,
        }
    }

    async fn waiting(ledger: &Ledger) -> Vec<OutboxRow> {
        ledger.waiting_alerts("ops", 10).await.unwrap()
    }

    #[tokio::test]
    async fn the_gravest_come_first_and_then_the_oldest() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        for (id, severity, made_at) in
            [("a", Severity::P3, 10), ("b", Severity::P1, 30), ("c", Severity::P1, 20)]
        {
            assert!(ledger.enqueue_alert(&new(id, severity, made_at)).await.unwrap());
        }
        assert!(!ledger.enqueue_alert(&new("a", Severity::P1, 1)).await.unwrap(), "once for ever");
        for want in ["c", "b", "a"] {
            assert_eq!(waiting(&ledger).await[0].id, want);
            assert!(ledger.begin_alert_attempt(want, "ops", 50).await.unwrap());
            ledger.alert_sent(want, "ops", 51).await.unwrap();
            assert!(!ledger.begin_alert_attempt(want, "ops", 52).await.unwrap(), "it is over");
        }
        assert_eq!(waiting(&ledger).await, []);
        let counts = ledger.outbox_counts().await.unwrap();
        assert_eq!(
            counts,
            [OutboxCount { channel: "ops".to_owned(), state: OutboxState::Sent.into(), count: 3 }]
        );
    }

    #[tokio::test]
    async fn an_attempt_without_an_end_is_known_after_a_kill() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        ledger.enqueue_alert(&new("a", Severity::P1, 10)).await.unwrap();
        assert!(ledger.begin_alert_attempt("a", "ops", 11).await.unwrap());
        drop(ledger);
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        let row = waiting(&ledger).await.remove(0);
        assert_eq!((row.state.known(), row.attempts, row.last_error), (Some(OutboxState::Sending), 1, None));
        assert_eq!(ledger.alert_body("a", "ops").await.unwrap().as_deref(), Some("{}"));
    }

    #[tokio::test]
    async fn a_failure_and_its_fallback_are_written_together_and_once() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        ledger.enqueue_alert(&new("a", Severity::P1, 10)).await.unwrap();
        let row = waiting(&ledger).await.remove(0);
        let fallback = NewOutboxRow { channel: "second".to_owned(), ..new("a", Severity::P1, 10) };
        assert!(ledger.alert_failed(&row, false, 500, &"x".repeat(9000), Some(&fallback)).await.unwrap());
        let row = waiting(&ledger).await.remove(0);
        assert_eq!((row.state.known(), row.not_before), (Some(OutboxState::Queued), 500));
        assert_eq!(row.last_error.as_deref().unwrap().len(), MAX_ERROR);
        assert!(
            !ledger.alert_dead(&row, "never", Some(&fallback)).await.unwrap(),
            "the fallback has it already"
        );
        let rows = ledger.deliveries_of("a").await.unwrap();
        let states: Vec<_> = rows.into_iter().map(|row| (row.channel, row.state.to_string())).collect();
        assert_eq!(
            states,
            [("ops".to_owned(), "dead".to_owned()), ("second".to_owned(), "queued".to_owned())]
        );
        assert_eq!(ledger.channels_with_alerts().await.unwrap(), ["second"]);
        assert_eq!(ledger.forget_deliveries(5000).await.unwrap(), 1);
    }
}
