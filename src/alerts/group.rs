//! When a group is told: what belongs together is one message, and a storm is a handful.
//!
//! A group is what has one severity and one part. Its first alert waits a little for others, further ones wait for an interval, and ends are told
//! together. Whatever happens, a group has [`BURST`] such messages an interval at most.
//!
//! P1 does not wait: its first alert, and the first of each rule, is told with the look that found it; further ones of the same rule with it, or
//! half a minute after the last message at most. So whoever is paged about a thousand slots that are lost hears of it twice a minute at most.
//!
//! What is told from the first alert until all are over is an incident. Its name is the same in all its messages.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{escalate::Escalation, moment::Moment};
use crate::events::{Component, Severity};

/// Most messages about beginnings and ends in an interval.
const BURST: usize = 4;
/// How long an alert of P1 waits, when the last message was about its rule, too.
const P1_SPACING: Duration = Duration::from_secs(30);
/// How long a rule counts as told.
const RULE_MEMORY: Duration = Duration::from_secs(600);
/// Most rules of one group that are remembered as told. Only others' alerts can have more: those wait as all do.
const MAX_RULES: usize = 100;

/// What is told together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupKey {
    /// How grave.
    pub severity: Severity,
    /// About which part.
    pub component: Component,
}

impl GroupKey {
    /// The group of a name.
    pub fn parse(name: &str) -> Option<Self> {
        let (severity, component) = name.split_once('-')?;
        Some(Self { severity: Severity::parse(severity)?, component: Component::parse(component)? })
    }
}

impl fmt::Display for GroupKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.severity, self.component)
    }
}

/// From the first alert of a group until all are over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Incident {
    /// Its name: of the group, a number, and when it began.
    pub(super) id: String,
    /// When it began.
    pub(super) opened: Moment,
    /// How many messages it had.
    pub(super) messages: u64,
    /// The channels that know of it.
    pub(super) channels: BTreeSet<String>,
    /// Whom it asks.
    pub(super) escalation: Escalation,
}

impl Incident {
    /// The number of its next message.
    pub(super) fn next_message(&mut self) -> u64 {
        self.messages = self.messages.saturating_add(1);
        self.messages
    }
}

/// What is remembered of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Group {
    /// How many incidents it had.
    pub(super) incidents: u64,
    /// The one that lasts.
    pub(super) incident: Option<Incident>,
    /// Since when something waits to be told.
    waiting: Option<Moment>,
    /// When beginnings were told last.
    begun: Option<Moment>,
    /// Its last messages about beginnings and ends, oldest first; no more than [`BURST`].
    recent: VecDeque<Moment>,
    /// Rules that were told, and when last.
    rules: BTreeMap<String, Moment>,
}

/// How long alerts wait for each other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Waits {
    pub(super) wait: Duration,
    pub(super) interval: Duration,
}

impl Group {
    /// The same group as if it had not been told of lately: what limits messages is forgotten. Only where no incident lasts.
    pub(super) fn anew(&self) -> Self {
        match &self.incident {
            None => Self { incidents: self.incidents, ..Self::default() },
            Some(_) => self.clone(),
        }
    }

    /// Whether what is new is told now. `rules`: the rules of all that is new.
    pub(super) fn beginnings_are_due<'a>(
        &mut self,
        severity: Severity,
        mut rules: impl Iterator<Item = &'a str>,
        waits: Waits,
        now: Moment,
    ) -> bool {
        let waiting = *self.waiting.get_or_insert(now);
        match severity {
            Severity::P1 => {
                let is_told =
                    |rule: &str| self.rules.get(rule).is_some_and(|told| !now.is_after(*told, RULE_MEMORY));
                let has_place = self.rules.len() < MAX_RULES;
                let is_first_of_its_rule = rules.any(|rule| !is_told(rule)) && has_place;
                let is_spaced = self.begun.is_none_or(|begun| now.is_after(begun, P1_SPACING));
                is_first_of_its_rule || is_spaced
            }
            Severity::P2 | Severity::P3 | Severity::P4 => {
                let begun = self.begun.filter(|_| self.incident.is_some());
                now.is_after(waiting, waits.wait)
                    && begun.is_none_or(|begun| now.is_after(begun, waits.interval))
                    && self.has_burst_left(waits, now)
            }
        }
    }

    /// Nothing new is there, or not any more.
    pub(super) fn nothing_waits(&mut self) {
        self.waiting = None;
    }

    /// Whether ends are told now. `all`: whether nothing of the incident is left.
    pub(super) fn ends_are_due(&self, all: bool, waits: Waits, now: Moment) -> bool {
        let is_spaced = self.recent.back().is_none_or(|last| now.is_after(*last, waits.interval));
        (all || is_spaced) && self.has_burst_left(waits, now)
    }

    /// Notes that beginnings were told.
    pub(super) fn note_beginnings<'a>(&mut self, rules: impl Iterator<Item = &'a str>, now: Moment) {
        self.waiting = None;
        self.begun = Some(now);
        self.rules.retain(|_, told| !now.is_after(*told, RULE_MEMORY));
        for rule in rules {
            if self.rules.len() < MAX_RULES || self.rules.contains_key(rule) {
                self.rules.insert(rule.to_owned(), now);
            }
        }
        self.note(now);
    }

    /// Notes that ends were told.
    pub(super) fn note_ends(&mut self, now: Moment) {
        self.note(now);
    }

    /// The incident that lasts, or a new one.
    pub(super) fn open(&mut self, key: GroupKey, now: Moment) -> &mut Incident {
        let incidents = &mut self.incidents;
        self.incident.get_or_insert_with(|| {
            *incidents = incidents.saturating_add(1);
            Incident {
                // The time tells it from those of another file and another machine.
                id: format!("{key}-{incidents}-{}", now.at),
                opened: now,
                messages: 0,
                channels: BTreeSet::new(),
                escalation: Escalation::Quiet,
            }
        })
    }

    fn note(&mut self, now: Moment) {
        while self.recent.len() >= BURST {
            self.recent.pop_front();
        }
        self.recent.push_back(now);
    }

    fn has_burst_left(&self, waits: Waits, now: Moment) -> bool {
        self.recent.len() < BURST
            || self.recent.front().is_none_or(|oldest| now.is_after(*oldest, waits.interval))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAITS: Waits = Waits { wait: Duration::from_secs(30), interval: Duration::from_secs(300) };

    fn at(secs: i64) -> Moment {
        Moment { at: secs * 1000, watched_ms: secs * 1000 }
    }

    /// When a group in which something new comes every second is told, in half an hour.
    fn told(severity: Severity, rule: impl Fn(i64) -> &'static str) -> Vec<i64> {
        let key = GroupKey { severity, component: Component::Relays };
        let mut group = Group::default();
        (0..1800)
            .filter(|secs| {
                let now = at(*secs);
                let due = group.beginnings_are_due(severity, [rule(*secs)].into_iter(), WAITS, now);
                if due {
                    group.open(key, now);
                    group.note_beginnings([rule(*secs)].into_iter(), now);
                }
                due
            })
            .collect()
    }

    #[test]
    fn what_is_not_urgent_waits_for_others() {
        assert_eq!(told(Severity::P2, |_| "a"), [30, 330, 630, 930, 1230, 1530]);
    }

    #[test]
    fn p1_is_told_at_once_and_a_storm_of_it_is_a_handful() {
        let told_at = told(Severity::P1, |_| "a");
        assert_eq!(told_at[..4], [0, 30, 60, 90]);
        assert_eq!(told_at.len(), 60);
    }

    #[test]
    fn p1_of_another_rule_never_waits() {
        let told_at = told(Severity::P1, |secs| if secs == 47 || secs == 101 { "b" } else { "a" });
        assert_eq!(told_at[..3], [0, 30, 47]);
        // `b` is no news any more.
        assert!(!told_at.contains(&101));
    }

    #[test]
    fn ends_are_told_together() {
        let mut group = Group::default();
        assert!(group.ends_are_due(false, WAITS, at(0)));
        group.note_beginnings(["a"].into_iter(), at(0));
        assert!(!group.ends_are_due(false, WAITS, at(299)));
        assert!(group.ends_are_due(false, WAITS, at(300)));
        assert!(group.ends_are_due(true, WAITS, at(1)));
        for secs in 1..4 {
            group.note_ends(at(secs));
        }
        assert!(!group.ends_are_due(true, WAITS, at(4)), "four messages in the interval were enough");
        assert!(group.ends_are_due(true, WAITS, at(300)));
    }

    #[test]
    fn a_name_is_read_back() {
        for severity in Severity::ALL {
            for component in Component::ALL {
                let key = GroupKey { severity, component };
                assert_eq!(GroupKey::parse(&key.to_string()), Some(key));
            }
        }
        assert_eq!(GroupKey::parse("clock"), None);
        assert_eq!(GroupKey::parse("P5-host"), None);
    }

    #[test]
    fn incidents_are_counted() {
        let key = GroupKey { severity: Severity::P1, component: Component::Relays };
        let mut group = Group::default();
        assert_eq!(group.open(key, at(5)).id, "P1-relays-1-5000");
        assert_eq!(group.open(key, at(6)).id, "P1-relays-1-5000");
        group.incident = None;
        assert_eq!(group.open(key, at(6)).id, "P1-relays-2-6000");
    }
}
