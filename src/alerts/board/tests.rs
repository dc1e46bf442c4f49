use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::{
    super::{
        alert::made,
        digest::DigestText,
        drill::alert_drill,
        maintenance::{Maintenance, MaintenanceTime, silences},
        message::{Message, MessageKind},
        settings_escalation::DailyDigest,
        silence::SilenceKind,
    },
    *,
};
use crate::events::{AlertRule, Component, Persistence};

const START: UnixMillis = 1_790_000_000_000;
const SECOND: i64 = 1000;
const MINUTE: i64 = 60 * SECOND;

fn settings() -> AlertSettings {
    let mut settings = AlertSettings::default();
    let contacts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    settings.escalation.p1.contacts = contacts(&["pager", "boss"]);
    settings.escalation.p2.contacts = contacts(&["devops"]);
    settings.escalation.p3.contacts = contacts(&["support"]);
    settings.escalation.p4.contacts = contacts(&["mail"]);
    // Digests are looked at apart.
    (settings.daily_digest, settings.weekly_digest_on) = (DailyDigest::Never, None);
    settings
}

fn rule(name: &str, severity: Severity, component: Component) -> AlertRule {
    made::rule(name, severity, component)
}

fn occurrence(name: &str, severity: Severity, component: Component) -> AlertRule {
    let rule = made::rule(name, severity, component);
    AlertRule { persistence: Persistence::Occurrence, clear_for: Duration::from_secs(86_400), ..rule }
}

/// The ledger, as far as the board sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Store {
    alerts: BTreeMap<u64, AlertRow>,
    groups: BTreeMap<String, AlertGroupRow>,
    messages: Vec<QueuedMessage>,
}

impl Store {
    fn save(&mut self, write: AlertWrite) {
        for id in write.withdrawn {
            self.alerts.remove(&id);
        }
        for row in write.alerts {
            self.alerts.insert(row.id, row);
        }
        for row in write.groups {
            self.groups.insert(row.id.clone(), row);
        }
        for message in write.messages {
            let is_there =
                self.messages.iter().any(|it| (&it.id, &it.channel) == (&message.id, &message.channel));
            if !is_there {
                self.messages.push(message);
            }
        }
    }

    fn read(&self) -> StoredAlerts {
        StoredAlerts {
            alerts: self.alerts.values().filter(|row| row.live).cloned().collect(),
            groups: self.groups.values().cloned().collect(),
            last_id: self.alerts.keys().last().copied().unwrap_or_default(),
        }
    }
}

/// A box that is looked at, with what is wrong set by hand.
struct Box {
    board: Board,
    store: Store,
    settings: AlertSettings,
    silences: Vec<Silence>,
    troubles: Vec<Trouble>,
    /// What digests say beside alerts of P4.
    digest: Option<DigestText>,
    now: UnixMillis,
    read: usize,
}

impl Box {
    fn new() -> Self {
        let (settings, store) = (settings(), Store::default());
        let (board, _) = Board::restore(&store.read(), settings.most_alerts);
        let mut new = Self {
            board,
            store,
            settings,
            silences: vec![],
            troubles: vec![],
            digest: None,
            now: START,
            read: 0,
        };
        new.look();
        new
    }

    fn look(&mut self) {
        let write = self.look_unsaved();
        self.store.save(write);
    }

    /// Those set by hand, and maintenance windows.
    fn all_silences(&self) -> Vec<Silence> {
        let windows = silences(&self.settings.maintenance, self.now);
        self.silences.iter().cloned().chain(windows).collect()
    }

    /// A look of which nothing is written down.
    fn look_unsaved(&mut self) -> AlertWrite {
        if let Some(due) = self.board.digest_due(self.now, &self.settings) {
            self.board.digest_made(due, self.digest.clone());
        }
        let silences = self.all_silences();
        self.board.look(self.now, &self.troubles, &Absence::Over, &silences, &self.settings).write
    }

    /// Looks every second for a while.
    fn pass(&mut self, ms: i64) {
        let end = self.now + ms;
        while self.now < end {
            self.now += SECOND;
            self.look();
        }
    }

    /// Killed and started again.
    fn restart(&mut self) {
        self.board = Board::restore(&self.store.read(), self.settings.most_alerts).0;
    }

    fn raise(&mut self, rule: AlertRule, subject: &str) -> String {
        let trouble = Trouble { since: self.now, ..made::trouble(rule, subject) };
        let fingerprint = trouble.fingerprint();
        self.troubles.push(trouble);
        fingerprint
    }

    fn end(&mut self, fingerprint: &str) {
        self.troubles.retain(|trouble| trouble.fingerprint() != fingerprint);
    }

    /// What was sent since this was asked last: channel and title, in order.
    fn told(&mut self) -> Vec<(String, String)> {
        let new = self.store.messages[self.read..].iter();
        self.read = self.store.messages.len();
        new_titles(new)
    }
}

fn new_titles<'a>(messages: impl Iterator<Item = &'a QueuedMessage>) -> Vec<(String, String)> {
    messages.map(|queued| (queued.channel.clone(), message(queued).title)).collect()
}

fn message(queued: &QueuedMessage) -> Message {
    serde_json::from_str(&queued.body_json).unwrap()
}

fn lines(told: &[(&str, &str)]) -> Vec<(String, String)> {
    told.iter().map(|(channel, title)| ((*channel).to_owned(), (*title).to_owned())).collect()
}

#[test]
fn a_night_with_a_withheld_payload() {
    let mut night = Box::new();
    let rule = occurrence("payload_withheld", Severity::P1, Component::Relays);
    let fingerprint = night.raise(rule, "titan, slot 123");
    night.pass(SECOND);
    assert_eq!(night.told(), lines(&[("pager", "P1 Title of payload_withheld: titan, slot 123")]));
    night.pass(5 * MINUTE - SECOND);
    assert_eq!(night.told(), []);
    night.pass(SECOND);
    let reminder = "P1 nobody has acknowledged for 5 min: Title of payload_withheld: titan, slot 123";
    assert_eq!(night.told(), lines(&[("boss", reminder), ("pager", reminder)]));
    night.restart();
    night.pass(5 * MINUTE);
    let reminder = "P1 nobody has acknowledged for 10 min: Title of payload_withheld: titan, slot 123";
    assert_eq!(night.told(), lines(&[("pager", reminder)]));
    assert!(night.board.acknowledge(&fingerprint, "anna"));
    night.pass(SECOND);
    let acknowledged = "P1 acknowledged by anna: Title of payload_withheld: titan, slot 123";
    let over = "P1 over: Title of payload_withheld: titan, slot 123";
    let both = [("boss", acknowledged), ("pager", acknowledged), ("boss", over), ("pager", over)];
    assert_eq!(night.told(), lines(&both));
    // Whoever found it still shows it, for days.
    night.pass(60 * MINUTE);
    night.restart();
    night.pass(60 * MINUTE);
    assert_eq!(night.told(), []);
}

#[test]
fn what_is_acknowledged_and_lasts_is_asked_about_again() {
    let mut it = Box::new();
    let fingerprint = it.raise(rule("node_down", Severity::P1, Component::Execution), "geth");
    it.pass(10 * SECOND);
    assert!(it.board.acknowledge(&fingerprint, "anna"));
    it.pass(SECOND);
    let acknowledged = "P1 acknowledged by anna: Title of node_down: geth";
    assert_eq!(it.told(), lines(&[("pager", "P1 Title of node_down: geth"), ("pager", acknowledged)]));
    it.pass(4 * 60 * MINUTE - SECOND);
    assert_eq!(it.told(), []);
    it.pass(SECOND);
    let still = "P1 still not over, anna acknowledged it 4 h ago: Title of node_down: geth";
    assert_eq!(it.told(), lines(&[("pager", still)]));
    it.pass(5 * MINUTE);
    assert_eq!(it.told().len(), 2, "the next contact, and the first again");
    it.end(&fingerprint);
    it.pass(SECOND);
    let over = "P1 over: Title of node_down: geth";
    assert_eq!(it.told(), lines(&[("boss", over), ("pager", over)]));
}

#[test]
fn an_effect_is_told_when_its_cause_is_over() {
    let mut it = Box::new();
    let cause = it.raise(rule("out_of_memory", Severity::P2, Component::Host), "");
    it.pass(SECOND);
    let effect = it.raise(rule("node_lags", Severity::P3, Component::Execution), "geth");
    it.pass(MINUTE);
    assert_eq!(it.told(), lines(&[("devops", "P2 Title of out_of_memory")]));
    assert_eq!(it.board.hidden(&[]), [(effect, Hidden::Inhibited(cause.clone()))].into());
    it.end(&cause);
    it.pass(SECOND);
    assert_eq!(it.told(), lines(&[("devops", "P2 over: Title of out_of_memory")]));
    it.pass(MINUTE);
    assert_eq!(it.told(), lines(&[("support", "P3 Title of node_lags: geth")]));
}

#[test]
fn a_silence_hides_and_keeps() {
    let mut it = Box::new();
    it.silences = vec![Silence {
        id: "s".to_owned(),
        kind: SilenceKind::Maintenance,
        matchers: vec!["component=disk".parse().unwrap()],
        starts_at: START,
        ends_at: START + 60 * MINUTE,
        created_by: "anna".to_owned(),
        comment: String::new(),
        made_at: START,
    }];
    let ends = it.raise(rule("disk_slow", Severity::P2, Component::Disk), "/data");
    it.raise(rule("disk_full", Severity::P2, Component::Disk), "/data");
    let grave = it.raise(rule("disk_dead", Severity::P1, Component::Disk), "/data");
    it.pass(59 * MINUTE);
    let told = it.told();
    assert!(!told.is_empty() && told.iter().all(|(_, title)| title.contains("disk_dead")), "{told:?}");
    assert!(it.board.acknowledge(&grave, "anna"));
    assert_eq!(it.board.alerts().filter(|alert| alert.phase.is_active()).count(), 3);
    assert_eq!(it.board.hidden(&it.silences).len(), 2);
    it.end(&ends);
    it.pass(SECOND);
    it.told();
    it.end(&grave);
    it.pass(2 * MINUTE);
    let expected = [
        ("boss", "P1 over: Title of disk_dead: /data"),
        ("pager", "P1 over: Title of disk_dead: /data"),
        ("devops", "P2 Title of disk_full: /data"),
    ];
    assert_eq!(it.told(), lines(&expected));
}

/// From a window of the configuration to who is told: what it matches waits until it ends, P1 that it does not name never does.
#[test]
fn a_maintenance_window_holds_back_what_it_matches_until_it_ends() {
    let window = |matcher: &str| Maintenance {
        name: "new disk".to_owned(),
        matchers: vec![matcher.parse().unwrap()],
        when: MaintenanceTime::Once { from: START, until: START + 60 * MINUTE },
        sla: false,
    };
    let mut it = Box::new();
    it.settings.maintenance = vec![window("component=disk"), window("alertname=ledger_dead")];
    let ends = it.raise(rule("disk_slow", Severity::P2, Component::Disk), "/data");
    let lasts = it.raise(rule("disk_full", Severity::P2, Component::Disk), "/data");
    it.raise(rule("ledger_dead", Severity::P1, Component::Disk), "");
    it.raise(rule("disk_dead", Severity::P1, Component::Disk), "/data");
    it.raise(rule("clock_wrong", Severity::P2, Component::Host), "");
    it.pass(4 * MINUTE);
    let told = [("pager", "P1 Title of disk_dead: /data"), ("devops", "P2 Title of clock_wrong")];
    assert_eq!(it.told(), lines(&told));
    let hidden = it.board.hidden(&it.all_silences());
    assert_eq!(hidden.get(&lasts), Some(&Hidden::Maintenance("new disk".to_owned())));
    // Killed and started again in the middle of it.
    it.restart();
    it.end(&ends);
    let clock = it.troubles.iter().find(|it| it.rule.name == "clock_wrong").unwrap().fingerprint();
    assert!(it.board.acknowledge(&clock, "anna"));
    it.end(&clock);
    it.pass(55 * MINUTE);
    assert!(
        it.told().iter().all(|(_, title)| !title.contains("disk_full") && !title.contains("ledger_dead"))
    );
    it.pass(2 * MINUTE);
    let told = it.told();
    for title in ["P1 Title of ledger_dead", "P2 Title of disk_full: /data"] {
        assert!(told.iter().any(|(_, told)| told == title), "{title}: {told:?}");
    }
    assert!(told.iter().all(|(_, title)| !title.contains("disk_slow")), "{told:?}");
}

#[test]
fn what_was_told_and_is_silenced_reminds_nobody_and_is_told_to_be_over() {
    let mut it = Box::new();
    let fingerprint = it.raise(rule("gateway_slow", Severity::P2, Component::Gateway), "");
    it.pass(MINUTE);
    it.silences = vec![Silence {
        id: "s".to_owned(),
        kind: SilenceKind::Silence,
        matchers: vec!["alertname=gateway_slow".parse().unwrap()],
        starts_at: it.now,
        ends_at: it.now + 600 * MINUTE,
        created_by: "anna".to_owned(),
        comment: String::new(),
        made_at: it.now,
    }];
    it.pass(120 * MINUTE);
    it.end(&fingerprint);
    it.pass(MINUTE);
    let expected = [("devops", "P2 Title of gateway_slow"), ("devops", "P2 over: Title of gateway_slow")];
    assert_eq!(it.told(), lines(&expected));
}

#[test]
fn flapping_is_told_once_and_its_end() {
    let mut it = Box::new();
    for _ in 0..100 {
        let fingerprint = it.raise(rule("relay_away", Severity::P1, Component::Relays), "titan");
        it.pass(5 * SECOND);
        it.end(&fingerprint);
        it.pass(5 * SECOND);
    }
    let told: Vec<String> =
        it.told().into_iter().filter(|(channel, _)| channel == "pager").map(|(_, title)| title).collect();
    let flaps = told.iter().filter(|title| title.contains("comes and goes")).count();
    assert_eq!(flaps, 1, "{told:?}");
    // It began, was over, began again, flaps; then reminders, as nobody acknowledged.
    assert!(told.len() <= 4 + 4, "{told:?}");
    it.pass(20 * MINUTE);
    let told = it.told();
    assert_eq!(told.last().unwrap().1, "P1 over: Title of relay_away: titan");
    assert_eq!(told.iter().filter(|(_, title)| title.contains("over:")).count(), 2);
}

#[test]
fn what_can_wait_is_told_once_a_day_with_what_the_day_came_to() {
    let mut it = Box::new();
    it.settings.daily_digest = DailyDigest::Always;
    it.look();
    it.digest = Some(DigestText {
        headline: "Your day: uptime 100 %, 1 alert".to_owned(),
        body: "Availability\n  all of it\n".to_owned(),
        is_news: true,
    });
    it.raise(rule("version_old", Severity::P4, Component::Consensus), "lighthouse");
    for _ in 0..30 {
        it.pass(60 * MINUTE);
        // Killed each hour: one row for a period, whatever happens.
        it.restart();
    }
    let digests: Vec<Message> = it.store.messages.iter().map(message).collect();
    assert_eq!(digests.len(), 1);
    assert_eq!((digests[0].kind, it.store.messages[0].channel.as_str()), (MessageKind::Digest, "mail"));
    assert_eq!(digests[0].title, "Your day: uptime 100 %, 1 alert, 1 thing that can wait");
    let body = digests[0].body.as_deref().unwrap();
    assert_eq!(
        body,
        "Can wait\nTitle of version_old\n- lighthouse: What happened to lighthouse.\n\nAvailability\n  all of it"
    );
}

/// Killed between the decision and the ledger, with a message in the queue and without the state that says so, and after days of being away.
#[test]
fn a_digest_is_neither_lost_nor_doubled() {
    let mut it = Box::new();
    it.settings.weekly_digest_on = Some(jiff::civil::Weekday::Tuesday);
    it.settings.digest_contacts = vec!["boss".to_owned()];
    it.look();
    // START is a Monday; away over two Tuesdays.
    it.now += 10 * 24 * 60 * MINUTE;
    let before = it.store.clone();
    let look = it.look_unsaved();
    assert_eq!(look.messages.len(), 1, "{look:?}");
    it.restart();
    it.pass(60 * MINUTE);
    let digests: Vec<String> = it.store.messages.iter().map(|queued| message(queued).id).collect();
    assert_eq!(digests, [look.messages[0].id.clone()], "lost with the kill, and made again as the same");
    assert_eq!(it.store.messages[0].channel, "boss");
    // The state of before, with the queue of now: the same id again, which the queue has already.
    it.store.groups = before.groups;
    it.restart();
    it.pass(60 * MINUTE);
    assert_eq!(it.store.messages.len(), 1);
}

/// Drills beside a real incident: each is told at once, in an incident of its own, hidden by nothing, and over when nobody holds it.
#[test]
fn a_drill_is_an_incident_of_its_own_and_never_stays_open() {
    let mut it = Box::new();
    it.silences = vec![Silence {
        id: "s".to_owned(),
        kind: SilenceKind::Silence,
        matchers: vec!["alertname=alert_drill".parse().unwrap()],
        starts_at: START,
        ends_at: START + 60 * MINUTE,
        created_by: "anna".to_owned(),
        comment: String::new(),
        made_at: START,
    }];
    it.raise(rule("relay_away", Severity::P1, Component::Relays), "titan");
    it.pass(SECOND);
    it.told();
    for number in 0..5 {
        it.board.drill_begins();
        let trouble = Trouble {
            labels: [("drill".to_owned(), number.to_string())].into(),
            since: it.now,
            ..made::trouble(alert_drill(), "")
        };
        let fingerprint = trouble.fingerprint();
        it.troubles.push(trouble);
        it.pass(SECOND);
        assert_eq!(it.told(), lines(&[("pager", "P1 DRILL, nothing is wrong")]), "{number}");
        let incident = it.board.alerts().find(|alert| alert.is_drill() && alert.phase.is_active());
        let incident = incident.unwrap().told.as_ref().unwrap().incident.clone();
        if number % 2 == 0 {
            assert_eq!(it.board.acknowledge_incident(&incident, "anna"), 1, "the drill alone");
            it.pass(SECOND);
            assert_eq!(it.told().len(), 2, "who takes care, and that it is over");
        } else {
            // Killed: the drill is gone with the process, and somebody else does not answer.
            it.restart();
            it.end(&fingerprint);
            it.now += SECOND;
            let silences = it.all_silences();
            let look = it.board.look(it.now, &[], &Absence::Unknown, &silences, &it.settings);
            it.store.save(look.write);
            assert_eq!(it.told(), lines(&[("pager", "P1 over: DRILL, nothing is wrong")]));
        }
        it.end(&fingerprint);
        it.pass(SECOND);
        assert_eq!(it.told(), []);
        assert!(!it.board.alerts().any(|alert| alert.is_drill() && alert.phase.is_active()));
    }
}

#[test]
fn what_gets_worse_is_told_anew() {
    let mut it = Box::new();
    let fingerprint = it.raise(rule("disk_full", Severity::P3, Component::Disk), "/data");
    it.pass(MINUTE);
    assert!(it.board.acknowledge(&fingerprint, "anna"));
    it.pass(SECOND);
    it.told();
    it.troubles[0].severity = Some(Severity::P1);
    it.pass(SECOND);
    let moved = "P3 goes on elsewhere: what this was about is told with another severity from now on";
    assert_eq!(it.told(), lines(&[("pager", "P1 Title of disk_full: /data"), ("support", moved)]));
}

/// The clock leaps by hours, both ways, with one alert told, one acknowledged and one pending.
#[test]
fn a_clock_that_leaps_tells_nobody_anything() {
    for leap in [-6 * 60 * MINUTE, -MINUTE, 2 * MINUTE, 6 * 60 * MINUTE, 400 * 24 * 60 * MINUTE] {
        let mut it = Box::new();
        it.raise(rule("told", Severity::P1, Component::Relays), "");
        let acknowledged = it.raise(rule("acknowledged", Severity::P2, Component::Execution), "");
        let slow =
            AlertRule { fail_for: Duration::from_secs(3600), ..rule("slow", Severity::P1, Component::Host) };
        it.raise(slow, "");
        let clearing = AlertRule {
            clear_for: Duration::from_secs(3600),
            ..rule("clearing", Severity::P3, Component::External)
        };
        let clearing = it.raise(clearing, "");
        it.pass(MINUTE);
        assert!(it.board.acknowledge(&acknowledged, "anna"));
        it.end(&clearing);
        it.pass(SECOND);
        let told = it.told();
        assert_eq!(told.len(), 4, "{told:?}");
        it.now += leap;
        it.pass(3 * MINUTE);
        assert_eq!(it.told(), [], "a leap of {leap} ms");
        it.pass(MINUTE + SECOND);
        assert_eq!(
            it.told().len(),
            2,
            "the reminder comes when its time was watched, after a leap of {leap} ms"
        );
    }
}

/// The storm: 10,000 alerts in a minute, of all severities, with P1s among them, each looked at every second.
#[test]
fn a_storm_is_a_handful_of_messages_and_loses_no_p1() {
    let mut it = Box::new();
    it.settings.most_alerts = 8000;
    let p1 = |number: usize| {
        occurrence(["payload_withheld", "double_sign"][number % 2], Severity::P1, Component::Money)
    };
    let mut told_p1: BTreeMap<String, i64> = BTreeMap::new();
    let mut begun_p1: BTreeMap<String, i64> = BTreeMap::new();
    let mut largest = 0;
    for second in 0..60_usize {
        for number in 0..166 {
            let number = second * 166 + number;
            let severity = [Severity::P2, Severity::P3, Severity::P4][number % 3];
            let component = Component::ALL[number % 12];
            it.raise(rule(&format!("rule_{}", number % 40), severity, component), &number.to_string());
        }
        if second % 6 == 0 {
            let fingerprint = it.raise(p1(second / 6), &format!("slot {second}"));
            begun_p1.insert(fingerprint, i64::try_from(second).unwrap());
        }
        let before = it.store.messages.len();
        it.pass(SECOND);
        for queued in &it.store.messages[before..] {
            largest = largest.max(queued.body_json.len());
            for alert in message(queued).alerts.iter().filter(|alert| alert.severity == Severity::P1) {
                told_p1.entry(alert.fingerprint.clone()).or_insert((queued.made_at - START) / SECOND - 1);
            }
        }
        if second % 20 == 10 {
            it.restart();
        }
    }
    let in_the_minute = it.store.messages.len();
    // The last P1s may wait half a minute.
    it.pass(31 * SECOND);
    for queued in &it.store.messages[in_the_minute..] {
        for alert in message(queued).alerts {
            told_p1.entry(alert.fingerprint).or_insert((queued.made_at - START) / SECOND - 1);
        }
    }
    for (fingerprint, begun) in &begun_p1 {
        let told = told_p1.get(fingerprint).unwrap_or_else(|| panic!("a P1 was lost"));
        assert!(told - begun <= 31, "a P1 waited {} s", told - begun);
    }
    let first_of_each_rule = begun_p1.iter().filter(|(_, begun)| **begun <= 6);
    assert!(first_of_each_rule.clone().all(|(fingerprint, begun)| told_p1[fingerprint] == *begun));
    // Two severities by twelve parts, less what the gravest explain, and P1.
    assert!(in_the_minute <= 32, "{in_the_minute} messages in the minute");
    assert!(largest < 100_000, "a message of {largest} bytes");
    assert!(it.board.alerts().count() <= 8001);
    assert!(it.board.alerts().any(|alert| alert.rule.name == "alerts_dropped"));
    assert_eq!(it.board.alerts().filter(|alert| alert.severity == Severity::P1).count(), 10);
}

#[derive(Clone, Copy, Debug)]
enum Step {
    Toggle(usize),
    Again(usize),
    Acknowledge(usize),
    Pass(i64),
    Leap(i64),
    Silence(usize),
}

/// What is cut when a step is over.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    No,
    /// Killed once it was written down.
    After,
    /// Killed before, and looked at again.
    Before,
}

fn rules() -> [AlertRule; 7] {
    [
        occurrence("withheld", Severity::P1, Component::Relays),
        AlertRule { clear_for: Duration::from_secs(40), ..rule("down", Severity::P1, Component::Execution) },
        AlertRule { fail_for: Duration::from_secs(40), ..rule("cpu", Severity::P2, Component::Host) },
        rule("lag", Severity::P2, Component::Consensus),
        rule("slow", Severity::P3, Component::Gateway),
        occurrence("oom", Severity::P3, Component::Execution),
        rule("old", Severity::P4, Component::Backup),
    ]
}

fn steps(leaps: bool) -> impl Strategy<Value = Vec<(Step, Cut)>> {
    let leap = if leaps { vec![-3600_i64, 7200, 90_000] } else { vec![0] };
    let step = prop_oneof![
        6 => (0_usize..7).prop_map(Step::Toggle),
        1 => (0_usize..7).prop_map(Step::Again),
        2 => (0_usize..7).prop_map(Step::Acknowledge),
        8 => prop_oneof![Just(1_i64), Just(7), Just(31), Just(290)].prop_map(Step::Pass),
        1 => prop::sample::select(leap).prop_map(Step::Leap),
        1 => (0_usize..7).prop_map(Step::Silence),
    ];
    let cut = prop_oneof![4 => Just(Cut::No), 1 => Just(Cut::After), 1 => Just(Cut::Before)];
    prop::collection::vec((step, cut), 1..80)
}

/// Plays steps; `cuts`: whether the process is killed where they say so. Checks after every look what must always be.
fn play(steps: &[(Step, Cut)], cuts: bool) -> Box {
    let mut it = Box::new();
    let mut acknowledged: BTreeSet<u64> = BTreeSet::new();
    let mut owed: BTreeMap<u64, i64> = BTreeMap::new();
    for (step, cut) in steps {
        let fingerprint =
            |which: usize| made::trouble(rules()[which].clone(), &which.to_string()).fingerprint();
        let mut looks = 1;
        let mut acknowledges = None;
        match *step {
            Step::Toggle(which) => {
                let fingerprint = fingerprint(which);
                if it.troubles.iter().any(|trouble| trouble.fingerprint() == fingerprint) {
                    it.end(&fingerprint);
                } else {
                    it.raise(rules()[which].clone(), &which.to_string());
                }
            }
            Step::Again(which) => {
                let now = it.now;
                let again =
                    it.troubles.iter_mut().find(|trouble| trouble.fingerprint() == fingerprint(which));
                if let Some(trouble) = again {
                    trouble.since = now;
                }
            }
            Step::Acknowledge(which) => acknowledges = Some(fingerprint(which)),
            Step::Pass(seconds) => looks = seconds,
            Step::Leap(seconds) => it.now += seconds * SECOND,
            Step::Silence(which) => {
                it.silences = vec![Silence {
                    id: "s".to_owned(),
                    kind: SilenceKind::Silence,
                    matchers: vec![format!("alertname={}", rules()[which].name).parse().unwrap()],
                    starts_at: it.now,
                    ends_at: it.now + 10 * MINUTE,
                    created_by: String::new(),
                    comment: String::new(),
                    made_at: it.now,
                }]
            }
        }
        for look in 0..looks {
            it.now += SECOND;
            let is_last = look + 1 == looks;
            if let Some(fingerprint) = &acknowledges {
                it.board.acknowledge(fingerprint, "anna");
            }
            if cuts && is_last && *cut == Cut::Before {
                // Decided, and never written down: the API told whoever acknowledged that it failed, and they do it again.
                it.board.look(it.now, &it.troubles, &Absence::Over, &it.silences, &it.settings);
                it.restart();
                if let Some(fingerprint) = &acknowledges {
                    it.board.acknowledge(fingerprint, "anna");
                }
            }
            acknowledges = None;
            let before = it.store.messages.len();
            it.look();
            check_messages(&it, before, &mut acknowledged);
            check_debts(&it, &mut owed);
            if cuts && is_last && *cut == Cut::After {
                it.restart();
            }
        }
    }
    it
}

/// Nobody is reminded of what is acknowledged, and nothing is told twice to begin or to be over.
fn check_messages(it: &Box, before: usize, acknowledged: &mut BTreeSet<u64>) {
    for queued in &it.store.messages[before..] {
        let message = message(queued);
        if message.kind == MessageKind::Reminder {
            for alert in &message.alerts {
                let known = it.board.engine.alert(&alert.fingerprint).unwrap();
                assert!(
                    !acknowledged.contains(&known.id),
                    "reminded of what is acknowledged: {}",
                    message.title
                );
            }
        }
        assert_eq!(queued.id, message.id);
        assert!(queued.expires_at > queued.made_at);
    }
    *acknowledged =
        it.board.alerts().filter(|alert| alert.acknowledged.is_some()).map(|alert| alert.id).collect();
}

/// Whatever fires and is not hidden is told in time: P1 within half a minute, others within two intervals.
fn check_debts(it: &Box, owed: &mut BTreeMap<u64, i64>) {
    let hidden = it.board.hidden(&it.silences);
    let now = it.board.now().watched_ms;
    let mut still = BTreeMap::new();
    for alert in it.board.alerts() {
        let is_owed = matches!(alert.phase, Phase::Firing { .. })
            && alert.told.is_none()
            && alert.severity != Severity::P4
            && !hidden.contains_key(&alert.fingerprint);
        if is_owed {
            let since = owed.get(&alert.id).copied().unwrap_or(now);
            still.insert(alert.id, since);
            let patience = if alert.severity == Severity::P1 { 5 * MINUTE } else { 11 * MINUTE };
            assert!(now - since <= patience, "{} waits for {} ms", alert.rule.name, now - since);
        }
    }
    *owed = still;
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(120))]

    /// Killed at any moment, before or after anything was written down: the messages are the same as without, to the letter, and so is all
    /// that is kept. (With a clock that leaps while nobody looks, some seconds more are not counted as watched: see below.)
    #[test]
    fn a_kill_loses_and_doubles_nothing(steps in steps(false)) {
        let whole = play(&steps, false);
        let cut = play(&steps, true);
        prop_assert_eq!(&whole.store.messages, &cut.store.messages);
        let without_words = |store: &Store| -> Vec<AlertRow> { store.alerts.values().cloned().collect() };
        prop_assert_eq!(without_words(&whole.store), without_words(&cut.store));
        // Each message once to each channel.
        let keys: BTreeSet<_> = whole.store.messages.iter().map(|it| (&it.id, &it.channel)).collect();
        prop_assert_eq!(keys.len(), whole.store.messages.len());
    }

    /// Whatever the clock does and whenever it is killed: an episode begins once for each channel, unless it flaps, and `play` finds that
    /// whatever fires is told in time.
    #[test]
    fn a_page_comes_once(steps in steps(true)) {
        let played = play(&steps, true);
        let mut begun: BTreeMap<(String, String), i64> = BTreeMap::new();
        for queued in &played.store.messages {
            let message = message(queued);
            for alert in &message.alerts {
                let key = (queued.channel.clone(), alert.fingerprint.clone());
                match message.kind {
                    MessageKind::Firing if !alert.message.contains("It comes and goes") => {
                        let count = begun.entry(key).or_default();
                        // An occurrence may follow another that nobody took on.
                        let is_occurrence = rules().iter().any(|rule| rule.name == alert.rule && rule.persistence == Persistence::Occurrence);
                        prop_assert!(*count == 0 || is_occurrence, "{} began twice", alert.rule);
                        *count += 1;
                    }
                    MessageKind::Resolved => { begun.insert(key, 0); }
                    _ => {}
                }
            }
        }
    }
}

/// The same over the real ledger: each look is a transaction, and every tenth is lost before it and decided again.
#[tokio::test]
async fn the_ledger_keeps_a_board_over_kills() {
    use crate::ledger::Ledger;
    let folder = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
    let settings = settings();
    let troubles: Vec<Trouble> = rules()
        .into_iter()
        .enumerate()
        .map(|(number, rule)| Trouble { since: START, ..made::trouble(rule, &number.to_string()) })
        .collect();
    let mut whole = Box::new();
    ledger
        .save_alerts(
            &Board::restore(&StoredAlerts::default(), 10)
                .0
                .look(START, &[], &Absence::Over, &[], &settings)
                .write,
        )
        .await
        .unwrap();
    for second in 0..400_usize {
        // One after the other begins; then the first ones end.
        let present = if second < 350 { &troubles[..=second / 50] } else { &troubles[5..] };
        whole.troubles = present.to_vec();
        whole.pass(SECOND);
        for is_lost in [second % 10 == 0, false].into_iter().skip(usize::from(second % 10 != 0)) {
            let stored = ledger.stored_alerts().await.unwrap();
            let (mut board, unreadable) = Board::restore(&stored, settings.most_alerts);
            assert_eq!(unreadable, 0);
            let look = board.look(whole.now, present, &Absence::Over, &[], &settings);
            if !is_lost {
                ledger.save_alerts(&look.write).await.unwrap();
            }
        }
    }
    let key = |id: &str, channel: &str| (id.to_owned(), channel.to_owned());
    let told = ledger.alert_notifications(None, 1000).await.unwrap();
    let told: BTreeSet<_> = told.iter().map(|it| key(&it.id, &it.channel)).collect();
    let expected: BTreeSet<_> = whole.store.messages.iter().map(|it| key(&it.id, &it.channel)).collect();
    assert_eq!(told, expected);
    assert!(told.len() > 8, "{told:?}");
    let mut live = ledger.stored_alerts().await.unwrap().alerts;
    live.sort_by_key(|row| row.id);
    assert_eq!(live, whole.store.read().alerts);
}
