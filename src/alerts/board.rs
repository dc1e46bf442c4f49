//! All of it together: one look in, everything that follows out, as one thing to be written down.
//!
//! The board's state is what was written down last, and nothing else: read back, it goes on as if nothing had been. So whoever is killed
//! between two looks has lost no more than a look, and whoever is killed before what followed was written down has told nobody.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    alert::{Alert, Phase},
    digest::{DigestState, DigestText, DueDigest},
    engine::{Absence, Change, ChangeKind, Engine},
    group::{Group, GroupKey},
    moment::Moment,
    notify::{Groups, Hidden, Outgoing, hidden, plan},
    settings_escalation::AlertSettings,
    silence::Silence,
    trouble::Trouble,
};
use crate::{
    events::{Component, Severity},
    ledger::{
        AlertGroupRow, AlertNotification, AlertPhase, AlertRow, AlertWrite, QueuedMessage, StoredAlerts,
    },
    types::UnixMillis,
};

/// How often the clock is written down: a restart within what is left of a step that counts as watched loses no time at all.
const CLOCK_EVERY: Duration = Duration::from_secs(30);
/// The name of the row that has the clock.
const CLOCK: &str = "clock";
/// The name of the row that has what waits for the digest.
const DIGEST: &str = "digest";

/// What came of a look.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Look {
    /// What became of alerts.
    pub changes: Vec<Change>,
    /// What is to be written down before the next look.
    pub write: AlertWrite,
    /// Groups with something to tell and nobody to tell it to.
    pub nobody: Vec<GroupKey>,
}

/// What is written down beside alerts and groups.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct ClockState {
    now: Moment,
    next_id: u64,
}

/// All alerts, and who is told of them.
#[derive(Clone, Debug)]
pub struct Board {
    engine: Engine,
    groups: Groups,
    /// As they were written down last.
    written: Groups,
    clock: ClockState,
}

impl Board {
    /// The board as it was written down, and how many rows could not be read: those of a newer version.
    pub fn restore(stored: &StoredAlerts, most_alerts: usize) -> (Self, usize) {
        let mut unreadable = 0;
        let mut alerts = Vec::with_capacity(stored.alerts.len());
        for row in &stored.alerts {
            match serde_json::from_str::<Alert>(&row.state) {
                Ok(alert) => alerts.push(alert),
                Err(_) => unreadable += 1,
            }
        }
        let (mut groups, mut clock) = (Groups::default(), ClockState::default());
        for row in &stored.groups {
            let is_read = match row.id.as_str() {
                CLOCK => serde_json::from_str(&row.state).map(|read| clock = read).is_ok(),
                DIGEST => serde_json::from_str(&row.state).map(|read| groups.digest = read).is_ok(),
                name => GroupKey::parse(name)
                    .zip(serde_json::from_str(&row.state).ok())
                    .map(|(key, group)| groups.groups.insert(key, group))
                    .is_some(),
            };
            unreadable += usize::from(!is_read);
        }
        let next_id = clock.next_id.max(stored.last_id.saturating_add(1));
        let engine = Engine::restore(clock.now, next_id, alerts, most_alerts);
        (Self { engine, written: groups.clone(), groups, clock }, unreadable)
    }

    /// Takes in a look at everything, and decides all that follows.
    pub fn look(
        &mut self,
        now: UnixMillis,
        troubles: &[Trouble],
        absence: &Absence,
        silences: &[Silence],
        settings: &AlertSettings,
    ) -> Look {
        let changes = self.engine.look(now, troubles, absence);
        for change in changes.iter().filter(|change| change.kind == ChangeKind::Fired) {
            if let Some(alert) = self.engine.alert(&change.fingerprint)
                && alert.severity == Severity::P4
            {
                self.groups.digest.note(alert);
            }
        }
        let plan = plan(&mut self.engine, &mut self.groups, silences, settings);
        Look { changes, write: self.take_write(&plan.outgoing), nobody: plan.nobody }
    }

    /// The digest that is to be sent, once somebody has said what is in it ([`Self::digest_made`]). One that nobody would get is done with.
    pub fn digest_due(&mut self, now: UnixMillis, settings: &AlertSettings) -> Option<DueDigest> {
        while let Some(due) = self.groups.digest.due(settings, now) {
            if !settings.digest_channels(now).is_empty() {
                return Some(due);
            }
            let _ = self.groups.digest.take(&due, settings);
        }
        None
    }

    /// What a digest says beside alerts of P4; none where nobody could say. It is sent with the next look.
    pub fn digest_made(&mut self, due: DueDigest, text: Option<DigestText>) {
        self.groups.made = Some((due, text));
    }

    /// A drill begins: earlier ones do not count for how many messages are enough.
    pub fn drill_begins(&mut self) {
        for (_, group) in self.groups.groups.iter_mut().filter(|(key, _)| key.component == Component::Drill) {
            *group = group.anew();
        }
    }

    /// Notes that somebody takes care of an alert. Whether there is one that lasts. Told and written down with the next look.
    pub fn acknowledge(&mut self, fingerprint: &str, by: &str) -> bool {
        self.engine.acknowledge(fingerprint, by)
    }

    /// Notes that somebody takes care of all that an incident told. How many alerts that are.
    pub fn acknowledge_incident(&mut self, incident: &str, by: &str) -> usize {
        let its: Vec<String> = self
            .engine
            .alerts()
            .filter(|alert| alert.is_of(incident))
            .map(|alert| alert.fingerprint.clone())
            .collect();
        its.iter().filter(|fingerprint| self.engine.acknowledge(fingerprint, by)).count()
    }

    /// How a trouble ended, for the message that tells it.
    pub(super) fn note_end(&mut self, fingerprint: &str, message: &str) {
        if self.engine.alert(fingerprint).is_some_and(|alert| alert.phase.is_active()) {
            self.engine.note_end(fingerprint, message);
        }
    }

    /// Every alert that is kept.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.engine.alerts()
    }

    /// Of each alert that nobody is told of, why.
    pub fn hidden(&self, silences: &[Silence]) -> BTreeMap<String, Hidden> {
        hidden(&self.engine, silences, self.engine.now().at)
    }

    /// When the last look was.
    pub const fn now(&self) -> Moment {
        self.engine.now()
    }

    /// What is written down of messages that no look decided.
    pub(super) fn write_of(&self, outgoing: &[Outgoing]) -> AlertWrite {
        AlertWrite {
            notifications: outgoing.iter().map(notification).collect(),
            messages: outgoing.iter().map(queued).collect(),
            at: self.engine.now().at,
            ..AlertWrite::default()
        }
    }

    fn take_write(&mut self, outgoing: &[Outgoing]) -> AlertWrite {
        let unsaved = self.engine.take_unsaved();
        let now = self.engine.now();
        let mut alerts: Vec<AlertRow> = unsaved.done.iter().map(|alert| row(alert, false)).collect();
        alerts.extend(unsaved.live.iter().map(|alert| row(alert, true)));
        let mut groups: Vec<AlertGroupRow> = self
            .groups
            .groups
            .iter()
            .filter(|(key, group)| self.written.groups.get(*key) != Some(*group))
            .filter(|(key, group)| self.written.groups.contains_key(*key) || **group != Group::default())
            .map(|(key, group)| AlertGroupRow { id: key.to_string(), state: json(group) })
            .collect();
        if self.groups.digest != self.written.digest && self.groups.digest != DigestState::default() {
            groups.push(AlertGroupRow { id: DIGEST.to_owned(), state: json(&self.groups.digest) });
        }
        self.written.clone_from(&self.groups);
        let mut write = AlertWrite {
            alerts,
            withdrawn: unsaved.withdrawn,
            groups,
            notifications: outgoing.iter().map(notification).collect(),
            messages: outgoing.iter().map(queued).collect(),
            at: now.at,
        };
        // Once it leapt, what was written down is of no use any more.
        let has_leapt = !self.clock.now.is_watched_until(now.at);
        if !write.is_empty() || has_leapt || now.is_after(self.clock.now, CLOCK_EVERY) {
            self.clock = ClockState { now, next_id: self.engine.next_id() };
            write.groups.push(AlertGroupRow { id: CLOCK.to_owned(), state: json(&self.clock) });
        }
        write
    }
}

fn row(alert: &Alert, live: bool) -> AlertRow {
    let phase = match alert.phase {
        Phase::Pending { .. } => AlertPhase::Pending,
        Phase::Firing { .. } => AlertPhase::Firing,
        Phase::Clearing { .. } => AlertPhase::Clearing,
        Phase::Resolved { .. } => AlertPhase::Resolved,
    };
    let acknowledged = alert.acknowledged.as_ref();
    AlertRow {
        id: alert.id,
        fingerprint: alert.fingerprint.clone(),
        rule: alert.rule.name.clone().into_owned(),
        subject: alert.subject.clone(),
        severity: alert.severity.into(),
        component: alert.component().into(),
        phase: phase.into(),
        title: alert.rule.title.clone().into_owned(),
        message: alert.message.clone(),
        pending_at: alert.began.at,
        firing_at: alert.phase.fired().map(|moment| moment.at),
        resolved_at: alert.phase.resolved().map(|moment| moment.at),
        told_at: alert.told.as_ref().map(|told| told.at.at),
        acknowledged_at: acknowledged.map(|acknowledged| acknowledged.at.at),
        acknowledged_by: acknowledged.map(|acknowledged| acknowledged.by.clone()),
        incident: alert.told.as_ref().map(|told| told.incident.clone()),
        live,
        state: if live { json(alert) } else { String::new() },
    }
}

fn notification(outgoing: &Outgoing) -> AlertNotification {
    let message = &outgoing.message;
    AlertNotification {
        id: message.id.clone(),
        channel: outgoing.channel.clone(),
        incident: message.group.clone(),
        kind: message.kind.label().to_owned(),
        severity: message.severity.into(),
        title: message.title.clone(),
        fingerprints: json(&outgoing.fingerprints),
        made_at: message.at,
    }
}

fn queued(outgoing: &Outgoing) -> QueuedMessage {
    let message = &outgoing.message;
    QueuedMessage {
        id: message.id.clone(),
        channel: outgoing.channel.clone(),
        severity: message.severity,
        kind: message.kind.label().to_owned(),
        body_json: json(message),
        not_before: message.at,
        expires_at: outgoing.expires_at,
        made_at: message.at,
    }
}

/// Plain data with text as keys always has a JSON.
fn json<T: Serialize>(value: &T) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

mod take_over;

#[cfg(test)]
mod tests;
