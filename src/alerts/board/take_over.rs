//! What was decided while nothing written down could be read goes into what was written down, once it can be read again.
//!
//! Whatever the file knows counts. What began since is added, with whom it was told to and who took care: nobody is told of it twice. Each
//! board counts watched time from another beginning, so every moment that comes over is moved.

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;

use super::Board;
use crate::{
    alerts::{
        alert::Alert,
        group::{Group, GroupKey},
        notify::{Outgoing, ended_elsewhere},
        settings_escalation::AlertSettings,
    },
    events::Severity,
};

impl Board {
    /// Goes on from here with all that `blind` decided. Messages that close what is told by an incident of the file from now on.
    pub(in crate::alerts) fn take_over(&mut self, blind: &Self, settings: &AlertSettings) -> Vec<Outgoing> {
        let now = blind.now();
        let by = self.now().watched_ms.saturating_sub(now.watched_ms);
        // What passed before this was not watched by anybody.
        self.engine.resume_at(now.at);
        let mut closing = Vec::new();
        for (key, group) in &blind.groups.groups {
            if let Some(moved) = moved::<Group>(group, by) {
                closing.extend(self.take_group(*key, moved, settings));
            }
        }
        for alert in blind.engine.alerts() {
            if let Some(moved) = moved::<Alert>(alert, by) {
                self.take_alert(moved);
            }
        }
        closing
    }

    /// An incident of the file goes on; the other one's is closed.
    fn take_group(&mut self, key: GroupKey, mut group: Group, settings: &AlertSettings) -> Vec<Outgoing> {
        let ours = self.groups.groups.entry(key).or_default();
        let Some(theirs) = &mut group.incident else { return Vec::new() };
        match &mut ours.incident {
            Some(incident) => {
                incident.channels.extend(theirs.channels.iter().cloned());
                ended_elsewhere(theirs, key, settings, self.engine.now().at)
            }
            None => {
                group.incidents = group.incidents.max(ours.incidents.saturating_add(1));
                *ours = group;
                Vec::new()
            }
        }
    }

    fn take_alert(&mut self, mut alert: Alert) {
        let known = self.engine.alert(&alert.fingerprint);
        if known.is_some_and(|known| known.phase.is_active() || known.end_is_news()) {
            if let Some(acknowledged) = alert.acknowledged.filter(|_| alert.phase.is_active()) {
                self.engine.acknowledge(&alert.fingerprint, &acknowledged.by);
            }
            return;
        }
        if let Some(told) = &mut alert.told {
            let key = GroupKey { severity: alert.severity, component: alert.rule.component };
            let incident = self.groups.groups.get(&key).and_then(|group| group.incident.as_ref());
            if let Some(incident) = incident.filter(|_| !told.of_end) {
                told.incident.clone_from(&incident.id);
            }
        }
        if alert.severity == Severity::P4 && alert.phase.is_active() {
            self.groups.digest.note(&alert);
        }
        self.engine.adopt(alert);
    }
}

/// The same with every moment in it moved by this much watched time: whatever is a pair of these two names is one.
fn moved<T: Serialize + DeserializeOwned>(of: &T, by: i64) -> Option<T> {
    let mut value = serde_json::to_value(of).ok()?;
    shift(&mut value, by);
    serde_json::from_value(value).ok()
}

fn shift(value: &mut Value, by: i64) {
    match value {
        Value::Object(fields) => {
            if fields.len() == 2
                && fields.contains_key("at")
                && let Some(watched) = fields.get("watched_ms").and_then(Value::as_i64)
            {
                fields.insert("watched_ms".to_owned(), watched.saturating_add(by).into());
                return;
            }
            fields.values_mut().for_each(|field| shift(field, by));
        }
        Value::Array(items) => items.iter_mut().for_each(|item| shift(item, by)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{
        alerts::{
            alert::{Phase, made},
            engine::Absence,
            trouble::Trouble,
        },
        events::Component,
        ledger::{AlertWrite, StoredAlerts},
    };

    const START: i64 = 1_790_000_000_000;

    fn settings() -> AlertSettings {
        let mut settings = AlertSettings::default();
        settings.escalation.p1.contacts = vec!["pager".to_owned()];
        settings.escalation.p1.respond_within = Duration::from_secs(300);
        settings
    }

    fn trouble(name: &str) -> Trouble {
        made::trouble(made::rule(name, Severity::P1, Component::Relays), "titan")
    }

    /// Looks every ten seconds from one moment until another.
    fn looks(
        board: &mut Board,
        secs: std::ops::Range<i64>,
        troubles: &[Trouble],
    ) -> (Vec<String>, AlertWrite) {
        let mut write = AlertWrite::default();
        for second in secs.step_by(10) {
            let now = START + second * 1000;
            write.extend(board.look(now, troubles, &Absence::Over, &[], &settings()).write);
        }
        (write.notifications.iter().map(|told| format!("{} {}", told.kind, told.incident)).collect(), write)
    }

    /// As a file that was written by looks at these.
    fn file(write: &AlertWrite) -> StoredAlerts {
        let alerts: Vec<_> = write.alerts.iter().filter(|row| row.live).cloned().collect();
        let last_id = alerts.iter().map(|row| row.id).max().unwrap_or(0);
        StoredAlerts { alerts, groups: write.groups.clone(), last_id }
    }

    fn fresh() -> Board {
        Board::restore(&StoredAlerts::default(), 100).0
    }

    #[test]
    fn what_began_meanwhile_goes_on_and_nobody_hears_of_it_twice() {
        let mut before = fresh();
        let (_, written) = looks(&mut before, 0..1000, &[]);
        let mut blind = fresh();
        let (told, _) = looks(&mut blind, 5000..5100, &[trouble("a")]);
        assert_eq!(told.len(), 1);
        assert!(blind.acknowledge(&trouble("a").fingerprint(), "anna"));
        let mut board = Board::restore(&file(&written), 100).0;
        assert_eq!(board.take_over(&blind, &settings()), []);
        let alert = board.alerts().next().unwrap();
        let Phase::Firing { since } = alert.phase else { panic!("{:?}", alert.phase) };
        assert_eq!(board.now().watched_ms - since.watched_ms, 90_000, "the time that was watched");
        // It is told that somebody takes care, to the same incident, and then that it is over.
        let (told_on, write) = looks(&mut board, 5100..6000, &[trouble("a")]);
        let incident = told[0].split_once(' ').unwrap().1;
        assert_eq!(told_on, [format!("acknowledged {incident}")]);
        assert!(write.alerts.iter().any(|row| row.acknowledged_by.is_some()), "it is written down");
        assert_eq!(looks(&mut board, 6000..6100, &[]).0, [format!("resolved {incident}")]);
    }

    #[test]
    fn what_the_file_knows_counts_and_the_other_incident_is_closed() {
        let mut before = fresh();
        let (first, written) = looks(&mut before, 0..20, &[trouble("a")]);
        let mut blind = fresh();
        let (second, _) = looks(&mut blind, 5000..5100, &[trouble("a"), trouble("b")]);
        assert_eq!((first.len(), second.len()), (1, 1));
        blind.acknowledge(&trouble("a").fingerprint(), "anna");
        let mut board = Board::restore(&file(&written), 100).0;
        let closing = board.take_over(&blind, &settings());
        let closed: Vec<_> = closing.iter().map(|out| (&*out.channel, out.message.kind.label())).collect();
        assert_eq!(closed, [("pager", "resolved")]);
        assert!(second[0].ends_with(&closing[0].message.group));
        let ids: std::collections::BTreeSet<u64> = board.alerts().map(|alert| alert.id).collect();
        assert_eq!(ids.len(), 2, "each episode has a number of its own");
        let (told, _) = looks(&mut board, 5100..5200, &[trouble("a"), trouble("b")]);
        assert_eq!(told, [first[0].replace("firing", "acknowledged")], "b was told, and a is taken care of");
        assert!(board.alerts().all(|alert| first[0].ends_with(&alert.told.as_ref().unwrap().incident)));
    }

    /// Both would be written down under one number.
    #[test]
    fn numbers_of_the_file_are_not_used_again() {
        let mut before = fresh();
        let (_, written) = looks(&mut before, 0..20, &[trouble("a")]);
        let mut blind = fresh();
        looks(&mut blind, 5000..5020, &[trouble("b")]);
        let mut board = Board::restore(&file(&written), 100).0;
        board.take_over(&blind, &settings());
        let (_, write) = looks(&mut board, 5020..5030, &[trouble("a"), trouble("b")]);
        let of = |name: &str| board.alerts().find(|alert| alert.rule.name == name).unwrap().id;
        assert_ne!(of("a"), of("b"));
        assert!(write.alerts.iter().any(|row| row.rule == "b" && row.id == of("b")));
    }
}
