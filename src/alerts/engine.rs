//! Makes alerts of troubles: how long a trouble must last before it fires, and be away before it is over.
//!
//! It is level-based: each look says all that is wrong now, and what is absent is over, unless the look saw only a part. Nothing has to be
//! heard exactly once, so nothing is lost with an event or a restart.
//!
//! A condition fires once it was there for its `fail_for`, and is over once it was away for its `clear_for`; alerts that come and go are held
//! (`flap`). An occurrence fires, and is over once somebody acknowledged it, whoever found it takes it back, or `clear_for` has passed. Its
//! alert stays remembered until the trouble is gone, so that what was acknowledged does not begin anew; one that says another time is another.

use std::{
    collections::{BTreeMap, BTreeSet, btree_map::Entry},
    sync::Arc,
};

use super::{
    alert::{Acknowledgement, Alert, Phase},
    flap::Flap,
    moment::{Moment, millis},
    surplus::{self, Dropped},
    trouble::Trouble,
};
use crate::{
    events::Persistence,
    types::{UnixMillis, labelled},
};

/// Most of the words about an end that are kept, in characters.
const MAX_END_CHARS: usize = 500;

/// What a trouble that a look does not show is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Absence {
    /// Over: everybody was asked.
    Over,
    /// Unknown: somebody could not be asked, and nothing is over for that.
    Unknown,
    /// Over, but for these rules, of which nothing is known now.
    UnknownOf(BTreeSet<String>),
}

impl Absence {
    fn is_over(&self, alert: &Alert) -> bool {
        match self {
            // Whoever looks knows whether there is one.
            _ if alert.is_drill() => true,
            Self::Over => true,
            Self::Unknown => false,
            Self::UnknownOf(rules) => !rules.contains(&*alert.rule.name),
        }
    }

    /// With what somebody else knows.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Over, other) => other,
            (known, Self::Over) => known,
            (Self::UnknownOf(mut rules), Self::UnknownOf(more)) => {
                rules.extend(more);
                Self::UnknownOf(rules)
            }
            (Self::Unknown, _) | (_, Self::Unknown) => Self::Unknown,
        }
    }
}

labelled! {
    /// What became of an alert.
    pub enum ChangeKind {
        /// It was seen, and has to last.
        Pending = "pending",
        /// It began.
        Fired = "fired",
        /// It is held, as it comes and goes.
        Flapping = "flapping",
        /// It is calm again, and still so.
        Calm = "calm",
        /// It is graver than it was.
        Graver = "graver",
        /// It is over.
        Resolved = "resolved",
        /// It never lasted long enough to be told.
        Withdrawn = "withdrawn",
        /// There was no place for it any more.
        Dropped = "dropped",
    }
}

/// What became of an alert in a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// The episode.
    pub id: u64,
    /// The trouble.
    pub fingerprint: String,
    /// What became of it.
    pub kind: ChangeKind,
}

/// What has to be written down.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Unsaved {
    /// Alerts that the engine still needs, as they are now.
    pub live: Vec<Alert>,
    /// Alerts that it needs no more, as they were last.
    pub done: Vec<Alert>,
    /// Episodes that came to nothing: they leave no trace.
    pub withdrawn: Vec<u64>,
}

impl Unsaved {
    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.live.is_empty() && self.done.is_empty() && self.withdrawn.is_empty()
    }
}

/// All alerts there are.
#[derive(Clone, Debug)]
pub struct Engine {
    now: Moment,
    next_id: u64,
    most: usize,
    /// By fingerprint: the episode that lasts, or the last one while it matters.
    alerts: BTreeMap<String, Alert>,
    changed: BTreeSet<String>,
    done: Vec<Alert>,
    withdrawn: Vec<u64>,
    /// Acknowledged since the last look.
    just_acknowledged: Vec<String>,
}

impl Engine {
    /// The engine as it was written down: the last look, the number of the next episode, and all live alerts. `most`: how many alerts are kept.
    pub fn restore(now: Moment, next_id: u64, alerts: Vec<Alert>, most: usize) -> Self {
        let next_id = alerts.iter().map(|alert| alert.id.saturating_add(1)).fold(next_id.max(1), u64::max);
        let mut by_fingerprint: BTreeMap<String, Alert> = BTreeMap::new();
        for alert in alerts {
            match by_fingerprint.entry(alert.fingerprint.clone()) {
                Entry::Vacant(place) => drop(place.insert(alert)),
                // Cannot be, unless the file was changed: the newer one lasts.
                Entry::Occupied(mut place) if place.get().id < alert.id => drop(place.insert(alert)),
                Entry::Occupied(_) => {}
            }
        }
        Self {
            now,
            next_id,
            most,
            alerts: by_fingerprint,
            changed: BTreeSet::new(),
            done: Vec::new(),
            withdrawn: Vec::new(),
            just_acknowledged: Vec::new(),
        }
    }

    /// When the last look was.
    pub const fn now(&self) -> Moment {
        self.now
    }

    /// The number that the next episode gets.
    pub const fn next_id(&self) -> u64 {
        self.next_id
    }

    /// Every alert that is kept, by fingerprint.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> {
        self.alerts.values()
    }

    /// The alert of a trouble.
    pub fn alert(&self, fingerprint: &str) -> Option<&Alert> {
        self.alerts.get(fingerprint)
    }

    /// Goes on at this time by the clock; what passed before was not watched.
    pub(super) const fn resume_at(&mut self, at: UnixMillis) {
        self.now.at = at;
    }

    /// Takes in an episode that another engine began, under a number of this one.
    pub(super) fn adopt(&mut self, alert: Alert) {
        let id = self.next_id;
        self.next_id = id.saturating_add(1);
        self.finish(&alert.fingerprint);
        self.changed.insert(alert.fingerprint.clone());
        self.alerts.insert(alert.fingerprint.clone(), Alert { id, ..alert });
    }

    /// How a trouble ended, in the words of whoever said so: for the message that tells its end.
    pub(super) fn note_end(&mut self, fingerprint: &str, message: &str) {
        self.update(fingerprint, |alert| alert.end = Some(message.chars().take(MAX_END_CHARS).collect()));
    }

    /// Takes in a look at everything.
    pub fn step(&mut self, now: UnixMillis, troubles: &[Trouble]) -> Vec<Change> {
        self.look(now, troubles, &Absence::Over)
    }

    /// Takes in a look; `absence` says what it means that a trouble is not among these.
    pub fn look(&mut self, now: UnixMillis, troubles: &[Trouble], absence: &Absence) -> Vec<Change> {
        self.now = self.now.next(now);
        self.date_acknowledgements();
        let mut changes = Vec::new();
        let mut present = BTreeMap::new();
        for trouble in troubles {
            match present.entry(trouble.fingerprint()) {
                Entry::Vacant(place) => drop(place.insert(trouble)),
                // Told twice: the graver one, else the later one.
                Entry::Occupied(mut place) if trouble.severity() <= place.get().severity() => {
                    place.insert(trouble);
                }
                Entry::Occupied(_) => {}
            }
        }
        let is_known = |fingerprint: &str| self.alerts.contains_key(fingerprint);
        let dropped = surplus::keep_gravest(&mut present, self.most, is_known);
        let own = dropped.as_ref().map(|dropped| dropped.trouble(self.now.at));
        if let Some(own) = &own {
            present.insert(own.fingerprint(), own);
        }
        let absent: Vec<String> =
            self.alerts.keys().filter(|known| !present.contains_key(*known)).cloned().collect();
        for fingerprint in absent {
            if dropped.as_ref().is_some_and(|dropped| dropped.has(&fingerprint)) {
                self.evict(&fingerprint, &mut changes);
            } else if self.alerts.get(&fingerprint).is_some_and(|alert| absence.is_over(alert)) {
                self.absent(&fingerprint, &mut changes);
            }
        }
        for (fingerprint, trouble) in present {
            self.present(fingerprint, trouble, &mut changes);
        }
        self.forget_surplus();
        changes
    }

    /// Notes that somebody takes care of an alert, with the time of the next look. False where there is none that lasts.
    pub fn acknowledge(&mut self, fingerprint: &str, by: &str) -> bool {
        let at = self.now;
        let Some(alert) = self.alerts.get_mut(fingerprint) else { return false };
        if !alert.phase.is_active() {
            return false;
        }
        if alert.acknowledged.is_none() {
            let by = by.chars().take(100).collect();
            alert.acknowledged = Some(Acknowledgement { at, by, is_told: false });
            self.just_acknowledged.push(fingerprint.to_owned());
            self.changed.insert(fingerprint.to_owned());
        }
        true
    }

    /// The last look may be of long ago, where this is the first after a start.
    fn date_acknowledgements(&mut self) {
        let now = self.now;
        for fingerprint in std::mem::take(&mut self.just_acknowledged) {
            let alert = self.alerts.get_mut(&fingerprint);
            if let Some(acknowledged) = alert.and_then(|alert| alert.acknowledged.as_mut()) {
                acknowledged.at = now;
            }
        }
    }

    /// Changes what is known of an alert beside its phase.
    pub(super) fn update(&mut self, fingerprint: &str, change: impl FnOnce(&mut Alert)) {
        if let Some(alert) = self.alerts.get_mut(fingerprint) {
            change(alert);
            self.changed.insert(fingerprint.to_owned());
        }
    }

    /// What has to be written down since this was asked last.
    pub fn take_unsaved(&mut self) -> Unsaved {
        let changed = std::mem::take(&mut self.changed);
        Unsaved {
            live: changed.iter().filter_map(|fingerprint| self.alerts.get(fingerprint)).cloned().collect(),
            done: std::mem::take(&mut self.done),
            withdrawn: std::mem::take(&mut self.withdrawn),
        }
    }

    fn present(&mut self, fingerprint: String, trouble: &Trouble, changes: &mut Vec<Change>) {
        let now = self.now;
        if !self.alerts.contains_key(&fingerprint) && is_long_ago(trouble, now) {
            return;
        }
        let begins_anew = self.alerts.get(&fingerprint).is_some_and(|alert| is_another(alert, trouble));
        if begins_anew {
            self.finish(&fingerprint);
        }
        let mut note = |alert: &Alert, kind| {
            changes.push(Change { id: alert.id, fingerprint: alert.fingerprint.clone(), kind });
        };
        let next_id = &mut self.next_id;
        let mut begin = |flap| {
            let id = *next_id;
            *next_id = next_id.saturating_add(1);
            Alert::new(id, fingerprint.clone(), trouble, flap, now)
        };
        let (alert, is_new) = match self.alerts.entry(fingerprint.clone()) {
            Entry::Vacant(place) => (place.insert(begin(Flap::default())), true),
            Entry::Occupied(place) => {
                let alert = place.into_mut();
                if alert.phase.is_resolved() && !alert.is_occurrence() && !alert.end_is_news() {
                    let begun = begin(alert.flap.clone());
                    self.done.push(std::mem::replace(alert, begun));
                    (alert, true)
                } else {
                    (alert, false)
                }
            }
        };
        if is_new {
            self.changed.insert(fingerprint.clone());
        }
        alert.rule = Arc::clone(&trouble.rule);
        if !alert.is_occurrence() {
            alert.end = None;
        }
        if alert.message != trouble.kept_message() {
            // Figures change with every look: they are written down with the next change that matters.
            trouble.kept_message().clone_into(&mut alert.message);
        }
        if trouble.severity() < alert.severity {
            alert.severity = trouble.severity();
            // Whoever took care of it, or knows of it, does not know that it is this grave.
            alert.told = None;
            alert.acknowledged = None;
            self.changed.insert(fingerprint.clone());
            note(alert, ChangeKind::Graver);
        }
        let before = alert.phase;
        match alert.phase {
            Phase::Pending { since } => {
                if now.is_after(since, alert.rule.fail_for) {
                    alert.phase = Phase::Firing { since: now };
                    note(alert, ChangeKind::Fired);
                    if !alert.is_occurrence() && alert.flap.note(now) {
                        note(alert, ChangeKind::Flapping);
                    }
                } else if is_new {
                    note(alert, ChangeKind::Pending);
                }
            }
            Phase::Firing { since } => {
                let has_passed = now.is_after(since, alert.rule.clear_for);
                if alert.is_occurrence() && (alert.acknowledged.is_some() || has_passed) {
                    alert.phase = Phase::Resolved { since, at: now };
                    note(alert, ChangeKind::Resolved);
                } else if alert.flap.is_held() && alert.flap.is_calm(now) {
                    alert.flap.release();
                    self.changed.insert(fingerprint.clone());
                    note(alert, ChangeKind::Calm);
                }
            }
            Phase::Clearing { since, .. } => {
                alert.phase = Phase::Firing { since };
                if alert.flap.is_held() {
                    alert.flap.note(now);
                }
            }
            // Nobody was told yet that it was over: to people it never was.
            Phase::Resolved { since, .. } if !alert.is_occurrence() => {
                alert.phase = Phase::Firing { since };
                note(alert, ChangeKind::Fired);
                if alert.flap.note(now) {
                    note(alert, ChangeKind::Flapping);
                }
            }
            // Whoever found the occurrence still shows it: it is over all the same.
            Phase::Resolved { .. } => {}
        }
        if alert.phase != before {
            self.changed.insert(fingerprint);
        }
    }

    fn absent(&mut self, fingerprint: &str, changes: &mut Vec<Change>) {
        let now = self.now;
        let Some(alert) = self.alerts.get_mut(fingerprint) else { return };
        let before = alert.phase;
        let mut note = |alert: &Alert, kind| {
            changes.push(Change { id: alert.id, fingerprint: alert.fingerprint.clone(), kind });
        };
        match alert.phase {
            Phase::Pending { .. } => {
                note(alert, ChangeKind::Withdrawn);
                self.withdrawn.push(alert.id);
                self.alerts.remove(fingerprint);
                self.changed.remove(fingerprint);
                return;
            }
            // An occurrence has nothing to clear: it was taken back.
            Phase::Firing { since } | Phase::Clearing { since, .. } if alert.is_occurrence() => {
                alert.phase = Phase::Resolved { since, at: now };
                note(alert, ChangeKind::Resolved);
            }
            Phase::Firing { since } => {
                alert.phase = Phase::Clearing { since, over_since: now };
                if alert.flap.is_held() {
                    alert.flap.note(now);
                }
            }
            Phase::Clearing { .. } => {}
            Phase::Resolved { .. } => {
                if alert.flap.is_calm(now) && !alert.end_is_news() {
                    self.finish(fingerprint);
                }
                return;
            }
        }
        if let Phase::Clearing { since, over_since } = alert.phase
            && now.is_after(over_since, alert.rule.clear_for)
        {
            let is_held = alert.flap.is_held();
            if is_held && alert.flap.is_calm(now) {
                alert.flap.release();
                alert.phase = Phase::Resolved { since, at: now };
                note(alert, ChangeKind::Resolved);
            } else if !is_held {
                if alert.flap.note(now) {
                    note(alert, ChangeKind::Flapping);
                    self.changed.insert(fingerprint.to_owned());
                } else {
                    alert.phase = Phase::Resolved { since, at: now };
                    note(alert, ChangeKind::Resolved);
                }
            }
        }
        if alert.phase != before {
            self.changed.insert(fingerprint.to_owned());
        }
    }

    /// Drops an alert that still lasts, for want of place. Nobody is told that it is over: it is not.
    fn evict(&mut self, fingerprint: &str, changes: &mut Vec<Change>) {
        if let Some(alert) = self.alerts.get(fingerprint) {
            changes.push(Change {
                id: alert.id,
                fingerprint: alert.fingerprint.clone(),
                kind: ChangeKind::Dropped,
            });
            self.finish(fingerprint);
        }
    }

    /// The alert matters no more.
    fn finish(&mut self, fingerprint: &str) {
        let Some(mut alert) = self.alerts.remove(fingerprint) else { return };
        self.changed.remove(fingerprint);
        if let Phase::Pending { .. } = alert.phase {
            self.withdrawn.push(alert.id);
            return;
        }
        if let Some(since) = alert.phase.fired().filter(|_| !alert.phase.is_resolved()) {
            alert.phase = Phase::Resolved { since, at: self.now };
        }
        self.done.push(alert);
    }

    /// Forgets what is over, oldest first, where there is too much of it.
    fn forget_surplus(&mut self) {
        let over: Vec<&Alert> = self.alerts.values().filter(|alert| alert.phase.is_resolved()).collect();
        let surplus = over.len().saturating_sub(self.most);
        if surplus == 0 {
            return;
        }
        let mut order: Vec<_> = over
            .iter()
            .map(|alert| {
                (alert.end_is_news(), std::cmp::Reverse(alert.severity), alert.id, alert.fingerprint.clone())
            })
            .collect();
        order.sort_unstable();
        for (.., fingerprint) in order.into_iter().take(surplus) {
            self.finish(&fingerprint);
        }
    }
}

/// Whether a trouble is an occurrence that would be over by itself by now: such as those of a file that was written before there were alerts.
fn is_long_ago(trouble: &Trouble, now: Moment) -> bool {
    trouble.rule.persistence == Persistence::Occurrence
        && now.at.saturating_sub(trouble.since) > millis(trouble.rule.clear_for)
}

/// Whether a trouble is another occurrence than the alert's.
fn is_another(alert: &Alert, trouble: &Trouble) -> bool {
    alert.is_occurrence() && alert.since != trouble.since
}

impl Dropped {
    /// Whether this alert had to give place.
    fn has(&self, fingerprint: &str) -> bool {
        self.fingerprints.contains(fingerprint)
    }
}

#[cfg(test)]
mod tests;
