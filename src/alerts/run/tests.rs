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
    _settings: watch::Sender<Arc<AlertSettings>>,
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
        let parts = AlertParts {
            ledger: ledger.clone(),
            clock: clock.clone(),
            settings,
            sources: vec![Arc::new(troubles.clone())],
            queued: Arc::clone(&queued),
            by_hand: Some(to_hand),
            digests: None,
            observer: {
                let seen = Arc::clone(&seen);
                Arc::new(move |alert, kind| seen.lock().push((alert.rule.name.clone().into_owned(), kind)))
            },
        };
        let (tasks, _) = Tasks::new(|_| {});
        let group = tasks.group();
        let desk = start(parts, &group);
        Self { folder, ledger, clock, hand, troubles, queued, group, desk, seen, by_hand, _settings: sender }
    }

    /// As after a `kill -9`: nothing of the task is left but what is written down.
    async fn killed(self) -> Self {
        self.group.stop();
        self.group.ended().await;
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
