//! The task of one channel.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use serde::Deserialize;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use super::{
    choose::{Next, choose},
    parts::{OutboxParts, Stored, stored},
};
use crate::{
    alerts::{
        backoff::next_attempt,
        channels::{Channel, ChannelContext, Repetition},
        delivery::{ATTEMPT_TIMEOUT, Attempt, DeliveryEvent, DeliveryOutcome, attempt},
        limits::Limits,
        metrics,
    },
    ledger::{LedgerError, NewOutboxRow, OutboxRow, OutboxState},
    types::UnixMillis,
};

/// A channel that fails this long, in milliseconds, has its fallback told as well.
const FAILING_MS: i64 = 300_000;
/// Messages of one channel that are looked at together.
const LOOKED_AT: u32 = 1000;
/// Longest time between two looks at the queue: also another process may have put something there.
const LONGEST_LOOK: Duration = Duration::from_secs(15);
/// Pause after the ledger refused.
const LEDGER_PAUSE: Duration = Duration::from_secs(1);
/// How long an attempt may still last when the service is stopped: a few doubts less at the next start.
const STOP_GRACE: Duration = Duration::from_secs(3);
/// How often channels that are not there any more are looked for.
const ORPHANS: Duration = Duration::from_secs(60);

/// What follows from a look at the queue.
enum Step {
    Again,
    Wait(Duration),
}

pub(super) struct Sender {
    parts: OutboxParts,
    channel: Channel,
    wake: watch::Sender<()>,
    limits: Limits,
    /// When the service may be called again, as it said.
    paused_until: Option<Instant>,
    /// Since when nothing arrives.
    failing_since: Option<UnixMillis>,
    /// Group of each message that waits.
    groups: HashMap<String, String>,
    /// Messages that the fallback has been told of since the channel fails.
    passed_on: HashSet<String>,
    /// Messages that were taken, which the ledger could not be told yet: never to be sent again.
    unwritten: Vec<String>,
    ledger_fails: bool,
}

impl Sender {
    pub(super) fn new(parts: OutboxParts, channel: Channel, wake: watch::Sender<()>) -> Self {
        let limits = Limits::of(channel.settings.kind());
        Self {
            parts,
            channel,
            wake,
            limits,
            paused_until: None,
            failing_since: None,
            groups: HashMap::new(),
            passed_on: HashSet::new(),
            unwritten: Vec::new(),
            ledger_fails: false,
        }
    }

    /// Empties the queue until it is stopped.
    pub(super) async fn run(mut self, stop: CancellationToken) {
        let mut wake = self.wake.subscribe();
        while !stop.is_cancelled() {
            wake.mark_unchanged();
            let wait = match self.step(&stop).await {
                Ok(Step::Again) => continue,
                Ok(Step::Wait(wait)) => {
                    self.ledger_fails = false;
                    wait.min(LONGEST_LOOK)
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.ledger_fails, true) {
                        error!(channel = %self.channel.id, %error, "the queue of alerts cannot be read or written: nothing is sent");
                    }
                    LEDGER_PAUSE
                }
            };
            tokio::select! {
                () = sleep(wait) => {}
                changed = wake.changed() => {
                    if changed.is_err() {
                        return;
                    }
                }
                () = stop.cancelled() => return,
            }
        }
    }

    fn now(&self) -> UnixMillis {
        (self.parts.now)()
    }

    async fn step(&mut self, stop: &CancellationToken) -> Result<Step, LedgerError> {
        self.write_what_was_taken().await?;
        let now = self.now();
        let rows = self.parts.ledger.waiting_alerts(&self.channel.id, LOOKED_AT).await?;
        metrics::queue(&self.channel.id, rows.len());
        self.learn_groups(&rows).await?;
        let until_fallback = self.pass_on(&rows, now).await?;
        if let Some(wait) = self.paused_until.map(|until| until.saturating_duration_since(Instant::now())) {
            if !wait.is_zero() {
                return Ok(Step::Wait(wait.min(until_fallback)));
            }
            self.paused_until = None;
        }
        match choose(&rows, &self.groups, now) {
            Next::Nothing => Ok(Step::Wait(LONGEST_LOOK)),
            Next::WaitUntil(at) => Ok(Step::Wait(millis(at.saturating_sub(now)).min(until_fallback))),
            Next::Send(row) if row.expires_at <= now => {
                self.bury(row, "it could not be delivered while it was of use").await?;
                Ok(Step::Again)
            }
            Next::Send(row) => match self.limits.wait(Instant::now()) {
                Some(wait) => Ok(Step::Wait(wait)),
                None => self.send(row, stop).await.map(|()| Step::Again),
            },
        }
    }

    /// The ledger refused when it should have known: until it does, these are in no doubt.
    async fn write_what_was_taken(&mut self) -> Result<(), LedgerError> {
        while let Some(id) = self.unwritten.last() {
            self.parts.ledger.alert_sent(id, &self.channel.id, self.now()).await?;
            self.unwritten.pop();
        }
        Ok(())
    }

    async fn learn_groups(&mut self, rows: &[OutboxRow]) -> Result<(), LedgerError> {
        #[derive(Deserialize)]
        struct Grouped {
            group: String,
        }
        let waiting: HashSet<&str> = rows.iter().map(|row| row.id.as_str()).collect();
        self.groups.retain(|id, _| waiting.contains(id.as_str()));
        for row in rows {
            if !self.groups.contains_key(&row.id)
                && let Some(body) = self.parts.ledger.alert_body(&row.id, &row.channel).await?
            {
                // What cannot be read is in a group of its own, and found to be unreadable when it is its turn.
                let group = serde_json::from_str::<Grouped>(&body)
                    .map_or_else(|_| row.id.clone(), |found| found.group);
                self.groups.insert(row.id.clone(), group);
            }
        }
        Ok(())
    }

    /// Tells the fallback what waits, where the channel fails for too long. How long until that is due.
    async fn pass_on(&mut self, rows: &[OutboxRow], now: UnixMillis) -> Result<Duration, LedgerError> {
        let (Some(since), Some(_)) = (self.failing_since, &self.channel.fallback) else {
            return Ok(LONGEST_LOOK);
        };
        let left = since.saturating_add(FAILING_MS).saturating_sub(now);
        if left > 0 {
            return Ok(millis(left));
        }
        for row in rows {
            if self.passed_on.insert(row.id.clone())
                && let Some(copy) = self.copy_for_fallback(row, now).await?
                && self.parts.ledger.enqueue_alert(&copy).await?
            {
                warn!(channel = %self.channel.id, fallback = %copy.channel, message = %row.id, "alert passed on to the fallback");
                self.wake.send_replace(());
            }
        }
        Ok(LONGEST_LOOK)
    }

    /// What the fallback is told of a message; none where there is no fallback, or the message cannot be read.
    async fn copy_for_fallback(
        &self,
        row: &OutboxRow,
        now: UnixMillis,
    ) -> Result<Option<NewOutboxRow>, LedgerError> {
        let known = |id: &&String| self.parts.channels.iter().any(|channel| channel.id == **id);
        let Some(fallback) = self.channel.fallback.as_ref().filter(known) else { return Ok(None) };
        let body = self.parts.ledger.alert_body(&row.id, &row.channel).await?;
        let message = body.and_then(|body| serde_json::from_str::<Stored>(&body).ok());
        let copy = |message: Stored| {
            let fallback_of = Some(self.channel.id.clone());
            stored(&Stored { fallback_of, ..message }, fallback, now)
        };
        Ok(message.map(copy))
    }

    async fn send(&mut self, row: &OutboxRow, stop: &CancellationToken) -> Result<(), LedgerError> {
        let body = self.parts.ledger.alert_body(&row.id, &row.channel).await?;
        let message = body.and_then(|body| serde_json::from_str::<Stored>(&body).ok());
        let Some(Stored { message, fallback_of }) = message else {
            return self.bury(row, "its text cannot be read").await;
        };
        let repetition = match (row.state.known(), &row.last_error) {
            (Some(OutboxState::Sending), None) => Some(Repetition::Restarted),
            (Some(OutboxState::Sending), Some(_)) => Some(Repetition::Unanswered),
            (Some(OutboxState::Queued | OutboxState::Sent | OutboxState::Dead) | None, _) => None,
        };
        let now = self.now();
        // Before the first byte leaves: after a `kill -9` it is known that it may have.
        if !self.parts.ledger.begin_alert_attempt(&row.id, &row.channel, now).await? {
            return Ok(());
        }
        self.limits.note(Instant::now());
        let context = ChannelContext { now, repetition, fallback_of };
        let settings = self.channel.settings.clone();
        let sent = tokio::select! {
            sent = attempt(&self.parts.http, &settings, &message, &context, ATTEMPT_TIMEOUT) => sent,
            () = async { stop.cancelled().await; sleep(STOP_GRACE).await } => return Ok(()),
        };
        let attempts = row.attempts.saturating_add(1);
        let row = OutboxRow { attempts, ..row.clone() };
        match sent {
            Attempt::Taken => self.taken(&row).await,
            Attempt::Refused(message) => self.bury(&row, &message).await,
            Attempt::Failed { after, may_have_arrived, message } => {
                self.failed(&row, after, may_have_arrived || repetition.is_some(), &message).await
            }
        }
    }

    async fn taken(&mut self, row: &OutboxRow) -> Result<(), LedgerError> {
        if self.failing_since.take().is_some() {
            info!(channel = %self.channel.id, "alerts arrive again");
        }
        self.passed_on.clear();
        metrics::channel_up(&self.channel.id, true);
        self.unwritten.push(row.id.clone());
        let written = self.write_what_was_taken().await;
        self.tell(row, DeliveryOutcome::Sent, None, None);
        written
    }

    async fn failed(
        &mut self,
        row: &OutboxRow,
        after: Option<Duration>,
        may_have_arrived: bool,
        message: &str,
    ) -> Result<(), LedgerError> {
        let now = self.now();
        if self.failing_since.is_none() {
            warn!(channel = %self.channel.id, error = message, "an alert was not delivered: it is tried again");
        }
        let since = *self.failing_since.get_or_insert(now);
        metrics::channel_up(&self.channel.id, false);
        self.paused_until = after.map(|after| Instant::now() + after);
        let attempts = u32::try_from(row.attempts).unwrap_or(u32::MAX);
        let next = next_attempt(now, attempts, after, rand::random());
        // The message's own age counts as well: a process that is restarted again and again must not begin to count anew each time.
        let is_overdue = now.saturating_sub(since.min(row.made_at)) >= FAILING_MS;
        let fallback = if is_overdue { self.copy_for_fallback(row, now).await? } else { None };
        let is_news =
            self.parts.ledger.alert_failed(row, may_have_arrived, next, message, fallback.as_ref()).await?;
        self.told_fallback(row, DeliveryOutcome::Failed, message, fallback.filter(|_| is_news));
        Ok(())
    }

    /// It never arrives here.
    async fn bury(&mut self, row: &OutboxRow, message: &str) -> Result<(), LedgerError> {
        let fallback = self.copy_for_fallback(row, self.now()).await?;
        let is_news = self.parts.ledger.alert_dead(row, message, fallback.as_ref()).await?;
        error!(channel = %self.channel.id, message = %row.id, error = message, "an alert is never delivered on this channel");
        metrics::channel_up(&self.channel.id, false);
        self.told_fallback(row, DeliveryOutcome::Dead, message, fallback.filter(|_| is_news));
        Ok(())
    }

    fn told_fallback(
        &self,
        row: &OutboxRow,
        outcome: DeliveryOutcome,
        message: &str,
        fallback: Option<NewOutboxRow>,
    ) {
        let fallback = fallback.map(|row| row.channel);
        if fallback.is_some() {
            self.wake.send_replace(());
        }
        self.tell(row, outcome, Some(message.to_owned()), fallback);
    }

    fn tell(
        &self,
        row: &OutboxRow,
        outcome: DeliveryOutcome,
        reason: Option<String>,
        fallback: Option<String>,
    ) {
        tell(&self.parts, row, outcome, reason, fallback);
    }
}

fn tell(
    parts: &OutboxParts,
    row: &OutboxRow,
    outcome: DeliveryOutcome,
    reason: Option<String>,
    fallback: Option<String>,
) {
    metrics::count_delivery(&row.channel, outcome);
    (parts.tell)(DeliveryEvent {
        message: row.id.clone(),
        channel: row.channel.clone(),
        severity: row.severity.clone(),
        outcome,
        attempts: row.attempts,
        reason,
        fallback,
        at: (parts.now)(),
    });
}

fn millis(ms: i64) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

/// Ends what waits on channels that the configuration does not have any more, so that whoever watches deliveries tells somebody else.
pub(super) async fn bury_orphans(parts: OutboxParts, stop: CancellationToken) {
    let mut is_first_failure = true;
    loop {
        match bury_orphans_once(&parts).await {
            Ok(()) => is_first_failure = true,
            Err(error) => {
                if std::mem::replace(&mut is_first_failure, false) {
                    warn!(%error, "cannot look for alerts of channels that are gone");
                }
            }
        }
        tokio::select! {
            () = sleep(ORPHANS) => {}
            () = stop.cancelled() => return,
        }
    }
}

async fn bury_orphans_once(parts: &OutboxParts) -> Result<(), LedgerError> {
    for name in parts.ledger.channels_with_alerts().await? {
        if parts.channels.iter().any(|channel| channel.id == name) {
            continue;
        }
        for row in parts.ledger.waiting_alerts(&name, LOOKED_AT).await? {
            let message = "the configuration does not have this channel any more";
            parts.ledger.alert_dead(&row, message, None).await?;
            warn!(channel = %name, message = %row.id, "an alert waits for a channel that is gone");
            tell(parts, &row, DeliveryOutcome::Dead, Some(message.to_owned()), None);
        }
    }
    Ok(())
}
