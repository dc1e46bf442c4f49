//! Who is told, when, and how often: the escalation matrix and what belongs to it, parsed and typed by whoever reads the configuration.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use jiff::{
    civil::{Time, Weekday},
    tz::TimeZone,
};

use super::{
    ack_link::AckKey,
    maintenance::Maintenance,
    rota::{MAX_MEMBERS, Rota, who_is_on_call},
};
use crate::{
    events::Severity,
    types::{UnixMillis, labelled},
};

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);

/// One line of the escalation matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EscalationSettings {
    /// How long somebody has to acknowledge before the next one is told, and those before are told again.
    pub respond_within: Duration,
    /// Whom to tell, one after the other: channels, contacts or rotas by name. After the last, the first again.
    pub contacts: Vec<String>,
}

/// Who is told how soon, for each severity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Matrix {
    /// On-call. Default: 5 minutes.
    pub p1: EscalationSettings,
    /// Default: 30 minutes.
    pub p2: EscalationSettings,
    /// Default: 4 hours.
    pub p3: EscalationSettings,
    /// Who gets the daily digest. Nobody is ever paged, and nothing has to be acknowledged.
    pub p4: EscalationSettings,
}

impl Matrix {
    /// The line of a severity.
    pub const fn of(&self, severity: Severity) -> &EscalationSettings {
        match severity {
            Severity::P1 => &self.p1,
            Severity::P2 => &self.p2,
            Severity::P3 => &self.p3,
            Severity::P4 => &self.p4,
        }
    }
}

impl Default for Matrix {
    /// The times of the roadmap, and nobody.
    fn default() -> Self {
        let line = |respond_within| EscalationSettings { respond_within, contacts: Vec::new() };
        Self { p1: line(5 * MINUTE), p2: line(30 * MINUTE), p3: line(4 * HOUR), p4: line(24 * HOUR) }
    }
}

/// Links that acknowledge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckLinks {
    /// What stands before the token: `https://box.example/alerts/acknowledge?token=`.
    pub prefix: String,
    /// What signs them.
    pub key: AckKey,
    /// How long a link can be used. Default: 24 hours.
    pub valid_for: Duration,
}

labelled! {
    /// When there is a daily digest.
    pub enum DailyDigest {
        /// Each day.
        Always = "always",
        /// On days on which something happened.
        News = "news",
        /// Never.
        Never = "never",
    }
}

/// All that decides who is told what and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertSettings {
    /// People and teams by name, with their channels.
    pub contacts: BTreeMap<String, Vec<String>>,
    /// Rotas by name. Their members are contacts or channels.
    pub rotas: BTreeMap<String, Rota>,
    /// Who is told how soon.
    pub escalation: Matrix,
    /// How long the first alert of a group waits for others, unless it is of P1, which never waits. Default: 30 seconds.
    pub group_wait: Duration,
    /// How long further alerts of a group wait. Default: 5 minutes.
    pub group_interval: Duration,
    /// When an acknowledged alert that still lasts is asked about again. Default: 24 hours.
    pub reacknowledge_after: Duration,
    /// The same of P1. Default: 4 hours.
    pub reacknowledge_p1_after: Duration,
    /// Who gets digests: channels, contacts or rotas by name. None: those of P4.
    pub digest_contacts: Vec<String>,
    /// When there is a daily digest. Default: each day.
    pub daily_digest: DailyDigest,
    /// On which day there is a weekly one. Default: on Mondays.
    pub weekly_digest_on: Option<Weekday>,
    /// When digests are sent, by the clock on the wall. Default: 09:00.
    pub digest_at: Time,
    /// Whose clock on the wall. Default: UTC.
    pub digest_zone: TimeZone,
    /// Most alerts that are kept at once. Default: 20,000.
    pub most_alerts: usize,
    /// The name of this machine or sidecar in messages.
    pub source: String,
    /// Where the ops API is for those who read messages: `https://box.example`. Without it, messages have no links.
    pub pages: Option<String>,
    /// Whether an Alertmanager is told everything, so that it is well if nobody here is told.
    pub delegated: bool,
    /// Times in which something is meant to be wrong.
    pub maintenance: Vec<Maintenance>,
    /// Channels that tell of P1 and P2 while no Alertmanager takes them and nobody is named for these: all that are no Alertmanager.
    pub in_its_stead: Vec<String>,
    /// Links that acknowledge. Without them, people acknowledge in the dashboard or by the API.
    pub ack_links: Option<AckLinks>,
}

impl Default for AlertSettings {
    fn default() -> Self {
        Self {
            contacts: BTreeMap::new(),
            rotas: BTreeMap::new(),
            escalation: Matrix::default(),
            group_wait: Duration::from_secs(30),
            group_interval: 5 * MINUTE,
            reacknowledge_after: 24 * HOUR,
            reacknowledge_p1_after: 4 * HOUR,
            digest_contacts: Vec::new(),
            daily_digest: DailyDigest::Always,
            weekly_digest_on: Some(Weekday::Monday),
            digest_at: Time::constant(9, 0, 0, 0),
            digest_zone: TimeZone::UTC,
            most_alerts: 20_000,
            source: "relaymux".to_owned(),
            pages: None,
            delegated: false,
            maintenance: Vec::new(),
            in_its_stead: Vec::new(),
            ack_links: None,
        }
    }
}

impl AlertSettings {
    /// The channels behind the name of a channel, contact or rota, now.
    pub fn channels_of(&self, name: &str, now: UnixMillis) -> Vec<String> {
        let person = match self.rotas.get(name) {
            Some(rota) => match who_is_on_call(rota, now) {
                Some(member) => member,
                None => return Vec::new(),
            },
            None => name,
        };
        self.contacts.get(person).cloned().unwrap_or_else(|| vec![person.to_owned()])
    }

    /// The channels of the first so many contacts of a severity.
    pub(super) fn channels_of_first(
        &self,
        contacts: usize,
        severity: Severity,
        now: UnixMillis,
    ) -> BTreeSet<String> {
        let line = &self.escalation.of(severity).contacts;
        line.iter().take(contacts).flat_map(|name| self.channels_of(name, now)).collect()
    }

    /// The channels that digests go to.
    pub(super) fn digest_channels(&self, now: UnixMillis) -> BTreeSet<String> {
        if self.digest_contacts.is_empty() {
            return self.channels_of_first(usize::MAX, Severity::P4, now);
        }
        self.digest_contacts.iter().flat_map(|name| self.channels_of(name, now)).collect()
    }

    /// Whom of the contacts of a severity a channel reaches now, by name; of a rota, who is on call.
    pub(super) fn reached_by(&self, severity: Severity, channel: &str, now: UnixMillis) -> Vec<String> {
        let line = &self.escalation.of(severity).contacts;
        let reached = line.iter().filter(|name| self.channels_of(name, now).iter().any(|its| its == channel));
        let shown =
            reached.map(|name| match self.rotas.get(name).and_then(|rota| who_is_on_call(rota, now)) {
                Some(on_call) => format!("{name} ({on_call})"),
                None => name.clone(),
            });
        shown.collect()
    }

    /// How long no Alertmanager may take anything before its work is done here: five minutes, or less where P1 has to be answered sooner.
    pub(super) fn patience_with_alertmanager(&self) -> Duration {
        self.escalation.p1.respond_within.min(5 * MINUTE)
    }

    /// The same while no Alertmanager takes anything: P1 and P2 are told here.
    pub(super) fn instead_of_alertmanager(&self) -> Self {
        let mut settings = self.clone();
        for line in [&mut settings.escalation.p1, &mut settings.escalation.p2] {
            if line.contacts.is_empty() {
                line.contacts.clone_from(&self.in_its_stead);
            }
        }
        settings.delegated = false;
        settings
    }

    /// When an acknowledged alert is asked about again.
    pub(super) const fn reacknowledge_after(&self, severity: Severity) -> Duration {
        match severity {
            Severity::P1 => self.reacknowledge_p1_after,
            Severity::P2 | Severity::P3 | Severity::P4 => self.reacknowledge_after,
        }
    }

    /// What is wrong with these, each in a sentence; nothing when all is well. `channels`: the names of all channels there are.
    pub fn mistakes(&self, channels: &BTreeSet<String>) -> Vec<String> {
        let mut mistakes = Vec::new();
        let is_person = |name: &str| channels.contains(name) || self.contacts.contains_key(name);
        let or_list = |names: Vec<&str>| if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        let known_channels = or_list(channels.iter().map(String::as_str).collect());
        for (name, kind) in self
            .contacts
            .keys()
            .map(|name| (name, "contact"))
            .chain(self.rotas.keys().map(|name| (name, "rota")))
        {
            let is_contact_too = kind == "rota" && self.contacts.contains_key(name);
            if channels.contains(name) || is_contact_too {
                mistakes.push(format!(
                    "the {kind} `{name}` has the name of a channel or contact: give it another, so that it is clear who is told"
                ));
            }
        }
        for (name, its) in &self.contacts {
            if its.is_empty() {
                mistakes.push(format!("the contact `{name}` has no channel: nobody would be told"));
            }
            for channel in its.iter().filter(|channel| !channels.contains(*channel)) {
                mistakes.push(format!(
                    "the contact `{name}` names a channel `{channel}` that there is not; there are: {known_channels}"
                ));
            }
        }
        for (name, rota) in &self.rotas {
            if rota.members.is_empty() {
                mistakes.push(format!("the rota `{name}` has no members: nobody would be on call"));
            }
            if rota.members.len() > MAX_MEMBERS {
                mistakes.push(format!("the rota `{name}` has more than {MAX_MEMBERS} members"));
            }
            let members = rota.members.iter().chain(rota.overrides.iter().map(|exception| &exception.member));
            for member in members.filter(|member| !is_person(member)) {
                mistakes
                    .push(format!("the rota `{name}` names `{member}`, which is no contact and no channel"));
            }
            for exception in rota.overrides.iter().filter(|exception| exception.to <= exception.from) {
                mistakes.push(format!(
                    "in the rota `{name}`, the time in which `{}` stands in ends before it begins",
                    exception.member
                ));
            }
        }
        for severity in Severity::ALL {
            let line = self.escalation.of(severity);
            for contact in &line.contacts {
                if !is_person(contact) && !self.rotas.contains_key(contact) {
                    mistakes.push(format!(
                        "the escalation of {severity} names `{contact}`, which is no channel, no contact and no rota"
                    ));
                }
            }
            if line.respond_within < MINUTE {
                mistakes.push(format!(
                    "respond_within of {severity} is {} s: less than a minute leaves nobody the time to acknowledge",
                    line.respond_within.as_secs()
                ));
            }
        }
        for contact in &self.digest_contacts {
            if !is_person(contact) && !self.rotas.contains_key(contact) {
                mistakes.push(format!(
                    "digest_contacts names `{contact}`, which is no channel, no contact and no rota"
                ));
            }
        }
        if self.escalation.p1.contacts.is_empty() && !channels.is_empty() {
            mistakes.push("nobody is told of P1: name a contact in the escalation of P1".to_owned());
        }
        if self.most_alerts == 0 {
            mistakes.push("most_alerts is 0: no alert would be kept".to_owned());
        }
        for (name, duration) in [
            ("group_interval", self.group_interval),
            ("reacknowledge_after", self.reacknowledge_after),
            ("reacknowledge_p1_after", self.reacknowledge_p1_after),
        ] {
            if duration < MINUTE {
                mistakes.push(format!("{name} is less than a minute: people would be told all the time"));
            }
        }
        mistakes
    }
}

#[cfg(test)]
mod tests {
    use jiff::civil::{Date, Weekday};

    use super::{super::rota::Override, *};

    fn rota(members: &[&str]) -> Rota {
        Rota {
            members: members.iter().map(|member| (*member).to_owned()).collect(),
            first_week: Date::constant(2026, 1, 5),
            handover_day: Weekday::Monday,
            handover_time: Time::midnight(),
            zone: TimeZone::UTC,
            overrides: Vec::new(),
        }
    }

    fn settings() -> (AlertSettings, BTreeSet<String>) {
        let mut settings = AlertSettings::default();
        settings.contacts.insert("anna".to_owned(), vec!["pager".to_owned(), "slack".to_owned()]);
        settings.rotas.insert("oncall".to_owned(), rota(&["anna", "slack"]));
        settings.escalation.p1.contacts = vec!["oncall".to_owned(), "anna".to_owned()];
        settings.escalation.p2.contacts = vec!["slack".to_owned()];
        (settings, ["pager", "slack"].map(str::to_owned).into())
    }

    #[test]
    fn a_name_leads_to_channels() {
        let (settings, _) = settings();
        let monday = 1_767_571_200_000;
        for (name, now, channels) in [
            ("slack", monday, &["slack"][..]),
            ("anna", monday, &["pager", "slack"]),
            ("oncall", monday, &["pager", "slack"]),
            ("oncall", monday + 7 * 86_400_000, &["slack"]),
        ] {
            assert_eq!(settings.channels_of(name, now), channels, "{name}");
        }
        assert_eq!(settings.channels_of_first(1, Severity::P2, monday), ["slack".to_owned()].into());
        assert!(settings.channels_of_first(1, Severity::P3, monday).is_empty());
        assert!(settings.digest_channels(monday).is_empty());
        let mut digests = settings.clone();
        digests.escalation.p4.contacts = vec!["slack".to_owned()];
        assert_eq!(digests.digest_channels(monday), ["slack".to_owned()].into());
        digests.digest_contacts = vec!["anna".to_owned()];
        assert_eq!(digests.digest_channels(monday), ["pager".to_owned(), "slack".to_owned()].into());
        assert_eq!(digests.reached_by(Severity::P1, "slack", monday), ["oncall (anna)", "anna"]);
    }

    #[test]
    fn mistakes_are_told_in_sentences() {
        let (good, channels) = settings();
        assert_eq!(good.mistakes(&channels), Vec::<String>::new());
        assert_eq!(AlertSettings::default().mistakes(&BTreeSet::new()), Vec::<String>::new());
        type Change = fn(&mut AlertSettings);
        let cases: [(&str, Change); 10] = [
            ("digest_contacts names `bob`", |it| it.digest_contacts.push("bob".to_owned())),
            ("`beeper` that there is not", |it| {
                it.contacts.get_mut("anna").unwrap().push("beeper".to_owned())
            }),
            ("has no channel", |it| it.contacts.get_mut("anna").unwrap().clear()),
            ("names `bob`", |it| it.rotas.get_mut("oncall").unwrap().members.push("bob".to_owned())),
            ("has no members", |it| it.rotas.get_mut("oncall").unwrap().members.clear()),
            ("stands in ends before", |it| {
                let exception = Override { from: 2, to: 1, member: "anna".to_owned() };
                it.rotas.get_mut("oncall").unwrap().overrides.push(exception);
            }),
            ("escalation of P3 names `bob`", |it| it.escalation.p3.contacts.push("bob".to_owned())),
            ("respond_within of P1 is 5 s", |it| it.escalation.p1.respond_within = Duration::from_secs(5)),
            ("nobody is told of P1", |it| it.escalation.p1.contacts.clear()),
            ("has the name of a channel", |it| {
                it.contacts.insert("slack".to_owned(), vec!["slack".to_owned()]);
            }),
        ];
        for (words, change) in cases {
            let (mut settings, channels) = settings();
            change(&mut settings);
            let mistakes = settings.mistakes(&channels);
            assert_eq!(mistakes.len(), 1, "{mistakes:?}");
            assert!(mistakes[0].contains(words), "{mistakes:?}");
        }
    }
}
