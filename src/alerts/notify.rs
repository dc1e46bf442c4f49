//! Who is told what now: from all alerts, silences and groups to messages for channels.
//!
//! Pure: the same state and the same time make the same messages, with the same ids. What it decides is kept in the alerts (`told`) and the
//! groups; both are written down together with the messages, so that after a `kill -9` either all of it happened or none.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    ack_link,
    alert::{Acknowledgement, Alert, Phase, Told},
    digest::{DigestState, DigestText, DueDigest},
    digest_message::{Digested, expires_at},
    engine::Engine,
    escalate::Escalation,
    group::{Group, GroupKey, Incident, Waits},
    inhibit::Causes,
    message::{Message, MessageKind},
    moment::{Moment, millis},
    settings_escalation::AlertSettings,
    silence::{Silence, SilenceKind, silence_of},
    text,
};
use crate::{events::Severity, types::UnixMillis};

/// Most alerts that a message holds; its title says how many there are.
pub const MAX_ALERTS_TOLD: usize = 100;
/// Most fingerprints that are kept of a message.
const MAX_FINGERPRINTS: usize = 1000;
/// How long it makes sense to deliver what is no reminder.
const WORTH_TELLING_MS: i64 = 24 * 3_600_000;
/// The same of reminders, at least: the next one says the same.
const REMINDER_MS: i64 = 600_000;

/// A message to one channel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The channel's name.
    pub channel: String,
    /// What it is to deliver.
    pub message: Message,
    /// The alerts that it tells of: the first thousand, where there are more.
    pub fingerprints: Vec<String>,
    /// Until when it makes sense to deliver it, in Unix milliseconds.
    pub expires_at: UnixMillis,
}

/// Why nobody is told of an alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hidden {
    /// A silence, by its id.
    Silenced(String),
    /// A maintenance window, by its name.
    Maintenance(String),
    /// A cause, by its fingerprint.
    Inhibited(String),
}

/// What a plan came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// Messages to be sent.
    pub outgoing: Vec<Outgoing>,
    /// Groups with something to tell and nobody to tell it to.
    pub nobody: Vec<GroupKey>,
}

/// All groups, and what waits for the digest.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// By what they have in common.
    pub(super) groups: BTreeMap<GroupKey, Group>,
    pub(super) digest: DigestState,
    /// What the digest that is due says beside alerts of P4. Not written down: it is made anew after a restart.
    pub(super) made: Option<(DueDigest, Option<DigestText>)>,
}

/// Of each alert that lasts, why nobody is told of it; those that are told are not in it.
pub fn hidden(engine: &Engine, silences: &[Silence], now: UnixMillis) -> BTreeMap<String, Hidden> {
    let mut hidden = BTreeMap::new();
    let holding: Vec<Silence> = silences.iter().filter(|silence| silence.is_active(now)).cloned().collect();
    for alert in engine.alerts().filter(|alert| alert.phase.is_active()) {
        if let Some(silence) = silence_of(&holding, alert, now) {
            let because = match silence.kind {
                SilenceKind::Silence => Hidden::Silenced(silence.id.clone()),
                SilenceKind::Maintenance => Hidden::Maintenance(silence.comment.clone()),
            };
            hidden.insert(alert.fingerprint.clone(), because);
        }
    }
    let causes = Causes::among(engine.alerts().filter(|alert| !hidden.contains_key(&alert.fingerprint)));
    for alert in engine.alerts().filter(|alert| alert.phase.is_active()) {
        if let Some(cause) = causes.of(alert) {
            let because = Hidden::Inhibited(cause.to_owned());
            hidden.entry(alert.fingerprint.clone()).or_insert(because);
        }
    }
    hidden
}

/// Decides who is told what now.
pub fn plan(
    engine: &mut Engine,
    groups: &mut Groups,
    silences: &[Silence],
    settings: &AlertSettings,
) -> Plan {
    let now = engine.now();
    let hidden = hidden(engine, silences, now.at);
    let mut members = sort(engine, groups, &hidden);
    // Also those with nothing to tell: what waited may be gone, and an incident over.
    for key in groups.groups.keys() {
        members.entry(*key).or_default();
    }
    let mut plan = Plan::default();
    for (key, members) in members {
        let group = groups.groups.entry(key).or_default();
        let mut teller = Teller { engine, settings, key, now, plan: &mut plan };
        teller.tell(group, members);
    }
    digest(engine, groups, &hidden, settings, &mut plan);
    plan
}

/// What there is to be told of a group, as fingerprints.
#[derive(Debug, Default)]
struct Members {
    /// They fire, and nobody knows.
    begun: Vec<String>,
    /// They flap, and nobody knows that.
    flapping: Vec<String>,
    /// They last, people know, and nobody has acknowledged.
    asked: Vec<String>,
    /// They last, and people know. Those above, and those that are acknowledged or hidden.
    open: Vec<String>,
    /// Somebody acknowledged, and nobody knows.
    acknowledged: Vec<String>,
    /// They were acknowledged too long ago.
    lapsed: Vec<String>,
    /// They are over, and nobody knows.
    ended: Vec<String>,
}

fn sort(
    engine: &mut Engine,
    groups: &Groups,
    hidden: &BTreeMap<String, Hidden>,
) -> BTreeMap<GroupKey, Members> {
    let by_incident: BTreeMap<&str, GroupKey> = groups
        .groups
        .iter()
        .filter_map(|(key, group)| group.incident.as_ref().map(|incident| (incident.id.as_str(), *key)))
        .collect();
    // Told by an incident that is over, or that nobody remembers: nobody knows of it.
    let orphans: Vec<String> = engine
        .alerts()
        .filter(|alert| {
            alert
                .told
                .as_ref()
                .is_some_and(|told| !told.of_end && !by_incident.contains_key(told.incident.as_str()))
        })
        .map(|alert| alert.fingerprint.clone())
        .collect();
    for orphan in orphans {
        engine.update(&orphan, |alert| alert.told = None);
    }
    let mut sorted: BTreeMap<GroupKey, Members> = BTreeMap::new();
    for alert in engine.alerts() {
        let its_own = GroupKey { severity: alert.severity, component: alert.component() };
        // The digest tells of it.
        if its_own.severity == Severity::P4 {
            continue;
        }
        let told = alert.told.as_ref();
        let key = told.and_then(|told| by_incident.get(told.incident.as_str())).copied().unwrap_or(its_own);
        let fingerprint = || alert.fingerprint.clone();
        let is_shown = !hidden.contains_key(&alert.fingerprint);
        match (alert.phase, told) {
            (Phase::Firing { .. }, None) if is_shown => {
                sorted.entry(key).or_default().begun.push(fingerprint());
            }
            // What seems to be over is no news, unless it is known to come back.
            (Phase::Clearing { .. }, None) if is_shown && alert.flap.is_held() => {
                sorted.entry(key).or_default().begun.push(fingerprint());
            }
            (Phase::Firing { .. } | Phase::Clearing { .. }, Some(told)) => {
                let members = sorted.entry(key).or_default();
                members.open.push(fingerprint());
                match &alert.acknowledged {
                    None if is_shown => members.asked.push(fingerprint()),
                    None => {}
                    Some(acknowledged) if !acknowledged.is_told => members.acknowledged.push(fingerprint()),
                    Some(_) if is_shown => members.lapsed.push(fingerprint()),
                    Some(_) => {}
                }
                if is_shown && alert.flap.is_held() && !told.of_flapping {
                    members.flapping.push(fingerprint());
                }
            }
            (Phase::Resolved { .. }, Some(told)) if !told.of_end => {
                let members = sorted.entry(key).or_default();
                members.ended.push(fingerprint());
                // Of an occurrence, to acknowledge is to end it: those who were told know both.
                if alert.acknowledged.as_ref().is_some_and(|acknowledged| !acknowledged.is_told) {
                    members.acknowledged.push(fingerprint());
                }
            }
            _ => {}
        }
    }
    sorted
}

/// Tells of one group.
struct Teller<'a> {
    engine: &'a mut Engine,
    settings: &'a AlertSettings,
    key: GroupKey,
    now: Moment,
    plan: &'a mut Plan,
}

impl Teller<'_> {
    fn tell(&mut self, group: &mut Group, mut members: Members) {
        let now = self.now;
        let reacknowledge = self.settings.reacknowledge_after(self.key.severity);
        let engine = &*self.engine;
        members.lapsed.retain(|fingerprint| {
            let acknowledged = engine.alert(fingerprint).and_then(|alert| alert.acknowledged.as_ref());
            acknowledged.is_some_and(|acknowledged| now.is_after(acknowledged.at, reacknowledge))
        });
        self.rest(group, &members);
        self.tell_beginnings(group, &mut members);
        self.tell_acknowledgements(group, &members);
        self.tell_lapsed(group, &members);
        self.tell_ends(group, &members);
        self.remind(group, &members);
        self.close(group, &members);
    }

    /// Nobody is asked any more once all is acknowledged.
    fn rest(&self, group: &mut Group, members: &Members) {
        let is_acknowledged = |fingerprint: &String| {
            self.engine.alert(fingerprint).is_none_or(|alert| alert.acknowledged.is_some())
        };
        if let Some(incident) = &mut group.incident
            && members.open.iter().all(is_acknowledged)
        {
            incident.escalation.end();
        }
    }

    fn tell_beginnings(&mut self, group: &mut Group, members: &mut Members) {
        let mut news = members.begun.clone();
        news.extend_from_slice(&members.flapping);
        if news.is_empty() {
            group.nothing_waits();
            return;
        }
        let (settings, now, severity) = (self.settings, self.now, self.key.severity);
        let alerts = self.alerts(&news);
        let rules: BTreeSet<String> =
            alerts.iter().map(|alert| alert.rule.name.clone().into_owned()).collect();
        let waits = self.waits();
        if !group.beginnings_are_due(severity, rules.iter().map(String::as_str), waits, now) {
            return;
        }
        let title = text::begun(&alerts);
        // Where Alertmanager tells of this again, those who were told in its stead hear no more of what is new.
        let is_delegated = settings.delegated && settings.escalation.of(severity).contacts.is_empty();
        let asking = group
            .incident
            .as_ref()
            .filter(|incident| !is_delegated && incident.escalation != Escalation::Quiet);
        let asked = asking.map_or(1, |incident| incident.escalation.contacts());
        let mut channels = settings.channels_of_first(asked, severity, now.at);
        // Whoever is asked already hears of what joins it.
        channels.extend(asking.iter().flat_map(|incident| incident.channels.iter().cloned()));
        if channels.is_empty() {
            self.plan.nobody.push(self.key);
            return;
        }
        group.note_beginnings(rules.iter().map(String::as_str), now);
        let incident = group.open(self.key, now);
        incident.channels.extend(channels.iter().cloned());
        incident.escalation.begin(now, settings.escalation.of(severity).respond_within);
        let id = incident.id.clone();
        let number = incident.next_message();
        self.send(&id, number, MessageKind::Firing, title, &news, &channels);
        for fingerprint in &news {
            self.engine.update(fingerprint, |alert| {
                let of_flapping = alert.flap.is_held();
                let at = alert.told.as_ref().map_or(now, |told| told.at);
                alert.told = Some(Told { incident: id.clone(), at, of_flapping, of_end: false });
            });
        }
        members.asked.extend(members.begun.iter().cloned());
        members.open.append(&mut members.begun);
    }

    fn tell_acknowledgements(&mut self, group: &mut Group, members: &Members) {
        let Some(incident) = &mut group.incident else { return };
        if members.acknowledged.is_empty() {
            return;
        }
        let alerts = self.alerts(&members.acknowledged);
        let by: BTreeSet<&str> = alerts
            .iter()
            .filter_map(|alert| alert.acknowledged.as_ref())
            .map(|acknowledged| acknowledged.by.as_str())
            .collect();
        let title = text::acknowledged(&alerts, &by.into_iter().take(3).collect::<Vec<_>>().join(", "));
        let (id, number, channels) =
            (incident.id.clone(), incident.next_message(), incident.channels.clone());
        self.send(&id, number, MessageKind::Acknowledged, title, &members.acknowledged, &channels);
        for fingerprint in &members.acknowledged {
            self.engine.update(fingerprint, |alert| {
                if let Some(acknowledged) = &mut alert.acknowledged {
                    acknowledged.is_told = true;
                }
            });
        }
    }

    /// Asks again about what somebody acknowledged long ago.
    fn tell_lapsed(&mut self, group: &mut Group, members: &Members) {
        let Some(incident) = &mut group.incident else { return };
        let Some(oldest) = self.oldest_acknowledgement(&members.lapsed) else { return };
        let (settings, now, severity) = (self.settings, self.now, self.key.severity);
        let channels = settings.channels_of_first(1, severity, now.at);
        if channels.is_empty() {
            return;
        }
        let title = text::still(&self.alerts(&members.lapsed), &oldest, now);
        incident.channels.extend(channels.iter().cloned());
        incident.escalation.end();
        incident.escalation.begin(now, settings.escalation.of(severity).respond_within);
        let (id, number) = (incident.id.clone(), incident.next_message());
        for fingerprint in &members.lapsed {
            self.engine.update(fingerprint, |alert| alert.acknowledged = None);
        }
        self.send(&id, number, MessageKind::Reminder, title, &members.lapsed, &channels);
    }

    fn tell_ends(&mut self, group: &mut Group, members: &Members) {
        if members.ended.is_empty() || !group.ends_are_due(members.open.is_empty(), self.waits(), self.now) {
            return;
        }
        let title = text::resolved(&self.alerts(&members.ended), members.open.len());
        group.note_ends(self.now);
        let Some(incident) = &mut group.incident else { return };
        let (id, number, channels) =
            (incident.id.clone(), incident.next_message(), incident.channels.clone());
        self.send(&id, number, MessageKind::Resolved, title, &members.ended, &channels);
        for fingerprint in &members.ended {
            self.engine.update(fingerprint, |alert| {
                if let Some(told) = &mut alert.told {
                    told.of_end = true;
                }
            });
        }
    }

    fn remind(&mut self, group: &mut Group, members: &Members) {
        let Some(incident) = &mut group.incident else { return };
        // What is hidden asks nobody, and is not forgotten.
        if members.asked.is_empty() {
            return;
        }
        let (settings, now, severity) = (self.settings, self.now, self.key.severity);
        let line = settings.escalation.of(severity);
        incident.escalation.begin(now, line.respond_within);
        let due = incident.escalation.take_due(now, line.contacts.len(), line.respond_within);
        let Some((contacts, since)) = due else { return };
        let channels = settings.channels_of_first(contacts, severity, now.at);
        if channels.is_empty() {
            self.plan.nobody.push(self.key);
            return;
        }
        incident.channels.extend(channels.iter().cloned());
        let asked_for_ms = now.watched_ms.saturating_sub(since.watched_ms);
        let title = text::reminder(&self.alerts(&members.asked), asked_for_ms);
        let (id, number) = (incident.id.clone(), incident.next_message());
        self.send(&id, number, MessageKind::Reminder, title, &members.asked, &channels);
    }

    /// Ends the incident once nothing of it is left.
    fn close(&mut self, group: &mut Group, members: &Members) {
        let is_left = |fingerprint: &String| {
            self.engine.alert(fingerprint).is_some_and(|alert| alert.phase.is_active() || alert.end_is_news())
        };
        if members.open.iter().chain(&members.ended).any(is_left) {
            return;
        }
        // What only waits to join it: an end now would be followed by a beginning.
        if members.open.is_empty() && members.ended.is_empty() && !members.begun.is_empty() {
            return;
        }
        let Some(mut incident) = group.incident.take() else { return };
        if members.ended.is_empty() {
            let (id, number) = (incident.id.clone(), incident.next_message());
            let title = text::moved(self.key.severity);
            self.send(&id, number, MessageKind::Resolved, title, &[], &incident.channels);
        }
    }

    fn send(
        &mut self,
        incident: &str,
        number: u64,
        kind: MessageKind,
        title: String,
        fingerprints: &[String],
        channels: &BTreeSet<String>,
    ) {
        let (now, settings, severity) = (self.now.at, self.settings, self.key.severity);
        let alerts = self.alerts(fingerprints);
        let told = alerts.iter().take(MAX_ALERTS_TOLD).map(|alert| text::alert(alert)).collect();
        let wants_acknowledgement = matches!(kind, MessageKind::Firing | MessageKind::Reminder);
        let acknowledge_url = settings.ack_links.as_ref().filter(|_| wants_acknowledgement).map(|links| {
            let expires_at = now.saturating_add(millis(links.valid_for));
            format!("{}{}", links.prefix, ack_link::sign(&links.key, incident, expires_at))
        });
        let page = alerts.first().map_or("/alerts", |alert| &*alert.rule.page);
        let page_url = settings.pages.as_ref().map(|base| format!("{}{page}", base.trim_end_matches('/')));
        let message = Message {
            id: format!("{incident}-{number}-{kind}"),
            group: incident.to_owned(),
            kind,
            severity,
            title,
            alerts: told,
            body: None,
            acknowledge_url,
            page_url,
            at: now,
            source: settings.source.clone(),
        };
        let worth_ms = match kind {
            MessageKind::Reminder => {
                millis(settings.escalation.of(severity).respond_within).clamp(REMINDER_MS, WORTH_TELLING_MS)
            }
            _ => WORTH_TELLING_MS,
        };
        let fingerprints: Vec<String> =
            alerts.iter().take(MAX_FINGERPRINTS).map(|alert| alert.fingerprint.clone()).collect();
        self.plan.outgoing.extend(channels.iter().map(|channel| Outgoing {
            channel: channel.clone(),
            message: message.clone(),
            fingerprints: fingerprints.clone(),
            expires_at: now.saturating_add(worth_ms),
        }));
    }

    /// The alerts of these fingerprints, gravest first, then the one that began first.
    fn alerts(&self, fingerprints: &[String]) -> Vec<&Alert> {
        let mut alerts: Vec<&Alert> =
            fingerprints.iter().filter_map(|fingerprint| self.engine.alert(fingerprint)).collect();
        alerts.sort_by_key(|alert| (alert.severity, alert.began.watched_ms, alert.id));
        alerts
    }

    fn oldest_acknowledgement(&self, fingerprints: &[String]) -> Option<Acknowledgement> {
        let alerts = self.alerts(fingerprints);
        let acknowledged = alerts.into_iter().filter_map(|alert| alert.acknowledged.as_ref());
        acknowledged.min_by_key(|acknowledged| acknowledged.at.watched_ms).cloned()
    }

    const fn waits(&self) -> Waits {
        Waits { wait: self.settings.group_wait, interval: self.settings.group_interval }
    }
}

/// Closes an incident whose alerts another one tells of from now on.
pub(super) fn ended_elsewhere(
    incident: &mut Incident,
    key: GroupKey,
    settings: &AlertSettings,
    now: UnixMillis,
) -> Vec<Outgoing> {
    let (mut engine, mut plan) =
        (Engine::restore(Moment { at: now, watched_ms: 0 }, 1, Vec::new(), 0), Plan::default());
    let (now, number, title) = (engine.now(), incident.next_message(), text::joined(key.severity));
    let mut teller = Teller { engine: &mut engine, settings, key, now, plan: &mut plan };
    teller.send(&incident.id, number, MessageKind::Resolved, title, &[], &incident.channels);
    plan.outgoing
}

/// The digest that is due, once what it says is there.
fn digest(
    engine: &Engine,
    groups: &mut Groups,
    hidden: &BTreeMap<String, Hidden>,
    settings: &AlertSettings,
    plan: &mut Plan,
) {
    let now = engine.now().at;
    let Some((made, text)) = groups.made.take() else { return };
    // The clock or the settings may have changed meanwhile.
    let Some(due) = groups.digest.due(settings, now).filter(|due| *due == made) else { return };
    let is_open = |alert: &&Alert| {
        matches!(alert.severity, Severity::P1 | Severity::P2)
            && alert.phase.is_active()
            && alert.acknowledged.is_none()
            && !alert.is_drill()
            && !hidden.contains_key(&alert.fingerprint)
    };
    let mut open: Vec<&Alert> = engine.alerts().filter(is_open).collect();
    open.sort_by_key(|alert| (alert.severity, alert.began.watched_ms, alert.id));
    let (waiting, left_out) = groups.digest.take(&due, settings);
    let digested = Digested { due: &due, text: text.as_ref(), open: &open, waiting: &waiting, left_out };
    let Some(message) = digested.message(settings, now) else { return };
    plan.outgoing.extend(settings.digest_channels(now).into_iter().map(|channel| Outgoing {
        channel,
        message: message.clone(),
        fingerprints: Vec::new(),
        expires_at: expires_at(&due, now),
    }));
}
