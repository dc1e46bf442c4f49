use std::collections::BTreeMap;

use futures_util::{FutureExt, future::BoxFuture};
use tokio::sync::mpsc::{Receiver, channel};

use super::*;
use crate::{
    alerts::{alert::made, source::Collected},
    consensus::ClockHand,
    events::{AlertRule, Component, Persistence},
    tasks::Tasks,
};

const START: i64 = 1_790_000_000_000;

/// What is wrong, set by hand.
#[derive(Clone, Default)]
struct ByHand(Arc<parking_lot::Mutex<Option<Vec<Trouble>>>>);

impl TroubleSource for ByHand {
    fn name(&self) -> &'static str {
        "hand"
    }

    fn collect(&self, _: Moment) -> BoxFuture<'_, Result<Collected, String>> {
        let troubles = self.0.lock().clone().ok_or_else(|| "nobody is there".to_owned());
        std::future::ready(troubles.map(|troubles| Collected { troubles, absence: Absence::Over })).boxed()
    }
}

struct Stage {
    folder: tempfile::TempDir,
    ledger: Ledger,
    clock: WallClock,
    hand: ClockHand,
    troubles: ByHand,
    queued: Arc<Notify>,
    group: TaskGroup,
    desk: Desk,
    seen: Arc<parking_lot::Mutex<Vec<(String, ChangeKind)>>>,
    by_hand: Receiver<QueuedMessage>,
    settings: watch::Sender<Arc<AlertSettings>>,
    reach: Arc<Reach>,
}

impl Stage {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(folder.path(), "mainnet", 0).await.unwrap();
        let (clock, hand) = WallClock::manual(START);
        Self::of(folder, ledger, clock, hand, ByHand(Arc::new(parking_lot::Mutex::new(Some(vec![])))))
    }

    fn of(
        folder: tempfile::TempDir,
        ledger: Ledger,
        clock: WallClock,
        hand: ClockHand,
        troubles: ByHand,
    ) -> Self {
        let mut settings = AlertSettings::default();
        settings.escalation.p1.contacts = vec!["pager".to_owned()];
        let (sender, settings) = watch::channel(Arc::new(settings));
        let (queued, seen) = (Arc::<Notify>::default(), Arc::<parking_lot::Mutex<Vec<_>>>::default());
        let (to_hand, by_hand) = channel(8);
        let reach = Arc::<Reach>::default();
        let parts = AlertParts {
            ledger: ledger.clone(),
            clock: clock.clone(),
            settings,
            sources: vec![Arc::new(troubles.clone())],
            queued: Arc::clone(&queued),
            by_hand: Some(to_hand),
            digests: None,
            reach: Arc::clone(&reach),
            observer: {
                let seen = Arc::clone(&seen);
                Arc::new(move |alert, kind| seen.lock().push((alert.rule.name.clone().into_owned(), kind)))
            },
        };
        let (tasks, _) = Tasks::new(|_| {});
        let group = tasks.group();
        let desk = start(parts, &group);
        Self {
            folder,
            ledger,
            clock,
            hand,
            troubles,
            queued,
            group,
            desk,
            seen,
            by_hand,
            settings: sender,
            reach,
        }
    }

    /// As after a `kill -9`: nothing of the task is left but what is written down.
    async fn killed(self) -> Self {
        self.killed_and_changed(None).await
    }

    /// The same, and the file is changed meanwhile.
    async fn killed_and_changed(self, sql: Option<&'static str>) -> Self {
        self.group.stop();
        self.group.ended().await;
        if let Some(sql) = sql {
            self.ledger.change_for_test(sql).await;
        }
        let Self { folder, ledger, clock, hand, troubles, .. } = self;
        Self::of(folder, ledger, clock, hand, troubles)
    }

    async fn until(&self, fits: impl Fn(&Snapshot) -> bool) -> Arc<Snapshot> {
        timeout(Duration::from_secs(20), async {
            loop {
                self.desk.wake();
                let snapshot = self.desk.snapshot();
                if fits(&snapshot) {
                    return snapshot;
                }
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await
        .unwrap()
    }

    async fn titles(&self) -> Vec<String> {
        let mut told = self.ledger.alert_notifications(None, 100).await.unwrap();
        told.reverse();
        told.into_iter().map(|told| told.title).collect()
    }
}

fn withheld() -> Trouble {
    let rule = made::rule("payload_withheld", Severity::P1, Component::Relays);
    let rule =
        AlertRule { persistence: Persistence::Occurrence, clear_for: Duration::from_secs(86_400), ..rule };
    Trouble { since: START, ..made::trouble(rule, "titan") }
}

#[tokio::test]
async fn a_page_is_written_down_once_over_a_kill_and_acknowledged_by_its_incident() {
    let stage = Stage::new().await;
    *stage.troubles.0.lock() = Some(vec![withheld()]);
    let queued = Arc::clone(&stage.queued);
    let snapshot = stage.until(|snapshot| snapshot.alerts.len() == 1).await;
    timeout(Duration::from_secs(5), queued.notified()).await.unwrap();
    assert_eq!(stage.titles().await, ["P1 Title of payload_withheld: titan"]);
    let incident = snapshot.alerts[0].alert.told.clone().unwrap().incident;
    let stage = stage.killed().await;
    stage.until(|snapshot| snapshot.alerts.len() == 1).await;
    assert_eq!(stage.titles().await.len(), 1);
    let unknown = stage.desk.acknowledge(AckTarget::Incident("other".to_owned()), "anna").await;
    assert_eq!(unknown, Err(DeskError::Unknown));
    assert_eq!(stage.desk.acknowledge(AckTarget::Incident(incident), "anna").await, Ok(1));
    let over = [
        "P1 acknowledged by anna: Title of payload_withheld: titan",
        "P1 over: Title of payload_withheld: titan",
    ];
    let titles = stage.titles().await;
    assert_eq!(
        titles[1..].iter().collect::<std::collections::BTreeSet<_>>(),
        over.map(str::to_owned).iter().collect()
    );
    assert_eq!(stage.seen.lock().clone(), [("payload_withheld".to_owned(), ChangeKind::Resolved)]);
    let stage = stage.killed().await;
    stage.until(|snapshot| snapshot.at >= START).await;
    assert_eq!(stage.titles().await.len(), 3);
}

#[tokio::test]
async fn nothing_is_over_because_nobody_could_be_asked() {
    let stage = Stage::new().await;
    let condition = made::trouble(made::rule("node_down", Severity::P1, Component::Execution), "geth");
    *stage.troubles.0.lock() = Some(vec![condition]);
    let lasts = |snapshot: &Snapshot| {
        snapshot.alerts.iter().any(|view| view.alert.rule.name == "node_down" && view.alert.phase.is_active())
    };
    stage.until(lasts).await;
    *stage.troubles.0.lock() = None;
    let away =
        |snapshot: &Snapshot| snapshot.alerts.iter().any(|view| view.alert.rule.name == "alert_source_away");
    assert!(lasts(&*stage.until(away).await));
    *stage.troubles.0.lock() = Some(vec![]);
    stage.until(|snapshot| !lasts(snapshot)).await;
}

#[tokio::test]
async fn silences_are_kept_over_a_kill() {
    let stage = Stage::new().await;
    stage.until(|snapshot| snapshot.at > 0).await;
    let silence = Silence {
        id: "s".to_owned(),
        kind: crate::alerts::SilenceKind::Silence,
        matchers: vec!["alertname=payload_withheld".parse().unwrap()],
        starts_at: START,
        ends_at: START + 60_000,
        created_by: "anna".to_owned(),
        comment: "a test".to_owned(),
        made_at: START,
    };
    let wrong = Silence { ends_at: START, ..silence.clone() };
    assert!(matches!(stage.desk.silence(wrong).await, Err(DeskError::Silence(_))));
    stage.desk.silence(silence.clone()).await.unwrap();
    let stage = stage.killed().await;
    *stage.troubles.0.lock() = Some(vec![withheld()]);
    let snapshot = stage.until(|snapshot| snapshot.alerts.len() == 1).await;
    assert_eq!(snapshot.silences, [silence]);
    assert_eq!(snapshot.alerts[0].hidden, Some(crate::alerts::Hidden::Silenced("s".to_owned())));
    assert_eq!(stage.titles().await, Vec::<String>::new());
    stage.hand.set(START + 60_000);
    stage.until(|snapshot| snapshot.alerts.iter().all(|view| view.hidden.is_none())).await;
    assert_eq!(stage.titles().await.len(), 1);
    assert_eq!(stage.desk.end_silence("s").await, Err(DeskError::Unknown));
}

/// A disk that is full is a thing to be paged about.
#[tokio::test]
async fn pages_that_cannot_be_written_down_are_handed_over_once() {
    let mut stage = Stage::new().await;
    stage.until(|snapshot| snapshot.at > 0).await;
    stage.ledger.change_for_test("ALTER TABLE alerts RENAME TO alerts_away").await;
    *stage.troubles.0.lock() = Some(vec![withheld()]);
    let snapshot = stage.until(|snapshot| snapshot.not_saved.is_some()).await;
    let fingerprint = snapshot.alerts[0].alert.fingerprint.clone();
    let page = timeout(Duration::from_secs(5), stage.by_hand.recv()).await.unwrap().unwrap();
    assert_eq!((page.channel.as_str(), page.kind.as_str()), ("pager", "firing"));
    let refused = stage.desk.acknowledge(AckTarget::Alert(fingerprint), "anna").await;
    assert!(matches!(refused, Err(DeskError::NotSaved(_))));
    stage.ledger.change_for_test("ALTER TABLE alerts_away RENAME TO alerts").await;
    stage.until(|snapshot| snapshot.not_saved.is_none()).await;
    let by_kind = |told: Vec<crate::ledger::AlertNotification>| {
        let mut kinds = BTreeMap::new();
        for told in told {
            *kinds.entry(told.kind).or_insert(0) += 1;
        }
        kinds
    };
    let told = by_kind(stage.ledger.alert_notifications(None, 10).await.unwrap());
    assert_eq!(told["firing"], 1);
}

fn of_p1(name: &str) -> Trouble {
    made::trouble(made::rule(name, Severity::P1, Component::Execution), "geth")
}

/// A damaged file is no reason to be silent, and what was decided meanwhile is not forgotten.
#[tokio::test]
async fn alerts_go_on_while_those_of_before_cannot_be_read_and_both_are_one_afterwards() {
    let stage = Stage::new().await;
    *stage.troubles.0.lock() = Some(vec![withheld()]);
    stage.until(|snapshot| snapshot.alerts.len() == 1).await;
    let mut stage = stage.killed_and_changed(Some("ALTER TABLE alerts RENAME TO alerts_away")).await;
    *stage.troubles.0.lock() = Some(vec![withheld(), of_p1("node_down")]);
    let mut titles = std::collections::BTreeSet::new();
    for look in 1..100 {
        stage.hand.set(START + look * 5_000);
        stage.desk.wake();
        while let Ok(Some(page)) = timeout(Duration::from_millis(300), stage.by_hand.recv()).await {
            titles.insert(serde_json::from_str::<crate::alerts::Message>(&page.body_json).unwrap().title);
        }
        if titles.iter().any(|title| title.contains("cannot be read")) {
            break;
        }
    }
    assert!(titles.contains("P1 Title of node_down: geth"), "{titles:?}");
    assert!(titles.iter().any(|title| title == "P1 What is known of alerts cannot be read"), "{titles:?}");
    let refused = stage.desk.acknowledge(AckTarget::Alert(of_p1("node_down").fingerprint()), "anna").await;
    assert!(matches!(refused, Err(DeskError::NotSaved(_))), "{refused:?}");
    stage.ledger.change_for_test("ALTER TABLE alerts_away RENAME TO alerts").await;
    let snapshot = stage.until(|snapshot| snapshot.not_saved.is_none()).await;
    let by: BTreeMap<String, bool> = snapshot
        .alerts
        .iter()
        .filter(|view| view.alert.phase.is_active())
        .map(|view| (view.alert.rule.name.to_string(), view.alert.acknowledged.is_some()))
        .collect();
    let expected = [("node_down", true), ("payload_withheld", false)];
    assert_eq!(by, expected.map(|(name, is_taken)| (name.to_owned(), is_taken)).into());
    let told = stage.titles().await;
    let of = |title: &str| told.iter().filter(|told| *told == title).count();
    assert_eq!(
        (of("P1 Title of node_down: geth"), of("P1 Title of payload_withheld: titan")),
        (1, 2),
        "what nobody could know was told: {told:?}"
    );
    // All of it is written down.
    let stage = stage.killed().await;
    let lasts = |snapshot: &Snapshot| {
        snapshot
            .alerts
            .iter()
            .any(|view| view.alert.rule.name == "node_down" && view.alert.acknowledged.is_some())
    };
    stage.until(lasts).await;
}

/// Whoever leaves the telling to Alertmanager is told here while it is away, and nothing is told a second time when it is back.
#[tokio::test]
async fn p1_is_told_here_while_no_alertmanager_takes_it() {
    let in_its_stead = vec!["mail".to_owned()];
    let settings = AlertSettings { delegated: true, in_its_stead, ..AlertSettings::default() };
    let stage = Stage::new().await;
    stage.settings.send_replace(Arc::new(settings));
    let instance = stage.reach.join();
    *stage.troubles.0.lock() = Some(vec![of_p1("node_down")]);
    stage.until(|snapshot| snapshot.alerts.len() == 1).await;
    let long_ago = Instant::now().checked_sub(Duration::from_secs(290)).unwrap();
    stage.reach.note(instance, false, long_ago);
    let at = stage.desk.snapshot().at;
    stage.hand.set(START + 1_000);
    stage.until(|snapshot| snapshot.at > at).await;
    assert_eq!(stage.titles().await, Vec::<String>::new(), "it may come back");
    stage.reach.note(instance, true, Instant::now());
    stage.reach.note(instance, false, long_ago.checked_sub(Duration::from_secs(10)).unwrap());
    let told = |snapshot: &Snapshot| snapshot.alerts.iter().any(|view| view.alert.told.is_some());
    let is_away = |snapshot: &Snapshot| {
        snapshot.alerts.iter().any(|view| view.alert.rule.name == "alertmanager_unreachable")
    };
    stage.until(|snapshot| told(snapshot) && is_away(snapshot)).await;
    assert_eq!(stage.titles().await, ["P1 Title of node_down: geth"]);
    stage.reach.note(instance, true, Instant::now());
    // It is Alertmanager's again: what is new as well, and the reminders.
    *stage.troubles.0.lock() = Some(vec![of_p1("node_down"), of_p1("disk_full")]);
    let knows = |snapshot: &Snapshot| snapshot.alerts.iter().any(|view| view.alert.rule.name == "disk_full");
    stage.until(|snapshot| knows(snapshot)).await;
    for minute in 1..8 {
        let now = START + minute * 50_000;
        stage.hand.set(now);
        stage.until(|snapshot| snapshot.at == now).await;
    }
    assert_eq!(stage.titles().await, ["P1 Title of node_down: geth"]);
    *stage.troubles.0.lock() = Some(vec![]);
    stage.until(|snapshot| snapshot.alerts.iter().all(|view| !view.alert.phase.is_active())).await;
    assert_eq!(stage.titles().await.len(), 2, "whoever was told hears that it is over");
}

/// A disk that hangs keeps no page back, and holds no look up for ever.
#[tokio::test]
async fn a_ledger_that_hangs_is_as_one_that_refuses() {
    let mut stage = Stage::new().await;
    stage.until(|snapshot| snapshot.at > 0).await;
    let held = stage.ledger.hold_for_test().await;
    *stage.troubles.0.lock() = Some(vec![withheld()]);
    let snapshot = stage.until(|snapshot| snapshot.not_saved.is_some()).await;
    assert!(snapshot.not_saved.as_ref().unwrap().contains("did not answer"), "{:?}", snapshot.not_saved);
    let page = timeout(Duration::from_secs(5), stage.by_hand.recv()).await.unwrap().unwrap();
    assert_eq!(page.kind, "firing");
    drop(held);
    stage.until(|snapshot| snapshot.not_saved.is_none()).await;
    assert_eq!(stage.titles().await.len(), 1);
}

/// Shows occurrences until it is told that they are over, and counts how often it is told in each look.
#[derive(Default)]
struct Counting {
    troubles: parking_lot::Mutex<Vec<Trouble>>,
    told: parking_lot::Mutex<Vec<usize>>,
}

impl TroubleSource for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    fn collect(&self, _: Moment) -> BoxFuture<'_, Result<Collected, String>> {
        self.told.lock().push(0);
        let troubles = self.troubles.lock().clone();
        std::future::ready(Ok(Collected { troubles, absence: Absence::Over })).boxed()
    }

    fn end<'a>(&'a self, alert: &'a Alert) -> BoxFuture<'a, ()> {
        self.troubles.lock().retain(|trouble| trouble.fingerprint() != alert.fingerprint);
        *self.told.lock().last_mut().unwrap() += 1;
        std::future::ready(()).boxed()
    }
}

#[tokio::test]
async fn many_ends_are_spread_over_looks() {
    let stage = Stage::new().await;
    stage.group.stop();
    stage.group.ended().await;
    let source = Arc::new(Counting::default());
    let many = 2 * usize::try_from(MAX_ENDED).unwrap() + 7;
    *source.troubles.lock() =
        (0..many).map(|number| Trouble { subject: number.to_string(), ..withheld() }).collect();
    let (_settings, settings) = watch::channel(Arc::new(AlertSettings::default()));
    let mut watcher = Watcher::new(AlertParts {
        ledger: stage.ledger.clone(),
        clock: stage.clock.clone(),
        settings,
        sources: vec![Arc::clone(&source) as _],
        queued: Arc::default(),
        by_hand: None,
        digests: None,
        reach: Arc::default(),
        observer: Arc::new(|_, _| ()),
    });
    let (_desk, counter) = Desk::new();
    watcher.look(&counter).await;
    let known: Vec<String> = watcher.board.alerts().map(|alert| alert.fingerprint.clone()).collect();
    assert!(known.iter().all(|fingerprint| watcher.board.acknowledge(fingerprint, "anna")));
    for _ in 0..4 {
        watcher.look(&counter).await;
    }
    assert_eq!(*source.told.lock(), [0, 50, 50, 7, 0]);
}
