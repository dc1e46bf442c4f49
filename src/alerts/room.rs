//! The whole room: what looks, what delivers, what tells Alertmanager, and the sign of life, started together.

use std::{fmt, sync::Arc, time::Duration};

use parking_lot::Mutex;
use reqwest::Client;
use tokio::{
    sync::{Notify, mpsc, watch},
    time::sleep,
};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{
    alert::Alert,
    alertmanagers::{self, Reach},
    by_hand,
    channels::{AlertmanagerSettings, AlertmanagerSnapshot, Channel, ChannelSettings},
    deadman::{self, DeadmanSettings},
    desk::{Desk, Snapshot},
    digest::DigestSource,
    engine::ChangeKind,
    grading::{Graded, Grading},
    live_signals::LiveSignals,
    outbox::{self, OutboxHandle, OutboxParts},
    run::{AlertParts, start},
    settings_escalation::AlertSettings,
    signal_source::SignalSource,
    source::TroubleSource,
    text,
};
use crate::{
    consensus::WallClock,
    events::{AlertRule, Event, Spine, Subscription},
    ledger::{Ledger, SignalBook},
    tasks::TaskGroup,
    types::UnixMillis,
};

/// Pages that wait to be sent by hand while the ledger cannot be written.
const BY_HAND: usize = 256;
/// How often what Alertmanager is told is made anew.
const SNAPSHOT_EVERY: Duration = Duration::from_secs(1);
/// How long an alert that is over is still told to Alertmanager as such, in milliseconds.
const RESOLVED_TOLD_MS: i64 = 300_000;

/// What this room works with.
#[derive(Clone)]
pub struct RoomParts {
    /// Where everything is written down.
    pub ledger: Ledger,
    /// The time.
    pub clock: WallClock,
    /// Carries signals.
    pub spine: Spine,
    /// Raises and resolves signals.
    pub signals: SignalBook,
    /// Every rule that a signal can have.
    pub rules: Vec<&'static AlertRule>,
    /// Who is told what; followed when it changes.
    pub settings: watch::Receiver<Arc<AlertSettings>>,
    /// Every way to reach somebody.
    pub channels: Vec<Channel>,
    /// Who knows of troubles beside signals: rules over metrics, the hook.
    pub sources: Vec<Arc<dyn TroubleSource>>,
    /// What the operator changed about rules.
    pub grading: Grading,
    /// Says what a day or a week came to.
    pub digests: Option<Arc<dyn DigestSource>>,
    /// Who is told outside that this machine lives.
    pub deadman: Option<DeadmanSettings>,
    /// Without redirects: a service that sends us elsewhere is not the one that was configured.
    pub http: Client,
}

impl fmt::Debug for RoomParts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomParts").field("channels", &self.channels.len()).finish_non_exhaustive()
    }
}

/// Starts everything.
pub fn start_room(parts: RoomParts, group: &TaskGroup) -> Desk {
    let RoomParts {
        ledger,
        clock,
        spine,
        signals,
        rules,
        settings,
        channels,
        sources,
        grading,
        digests,
        deadman,
        http,
    } = parts;
    let live = Arc::new(LiveSignals::new(ledger.clone(), clock.clone()));
    let of_signals = SignalSource::new(ledger.clone(), signals, &rules);
    let mut all: Vec<Arc<dyn TroubleSource>> = vec![Arc::new(of_signals), Arc::clone(&live) as _];
    all.extend(sources);
    let grading = Arc::new(grading);
    let graded =
        |source| Arc::new(Graded { source, grading: Arc::clone(&grading) }) as Arc<dyn TroubleSource>;
    let all: Vec<_> = all.into_iter().map(graded).collect();

    let (page, pages) = mpsc::channel(BY_HAND);
    let (their_channels, their_http, their_clock) = (channels.clone(), http.clone(), clock.clone());
    group.finite("alerts_by_hand", move |stop| {
        by_hand::run(pages, their_channels, their_http, their_clock, stop)
    });

    let (queued, reach) = (Arc::new(Notify::new()), Arc::new(Reach::default()));
    let desk = start(
        AlertParts {
            ledger: ledger.clone(),
            clock: clock.clone(),
            settings: settings.clone(),
            sources: all,
            queued: Arc::clone(&queued),
            by_hand: Some(page),
            digests,
            reach: Arc::clone(&reach),
            observer: Arc::new(log_change),
        },
        group,
    );
    let deliver =
        OutboxParts::new(ledger.clone(), http.clone(), channels.clone(), Arc::new(|_| ()), clock.clone());
    let outbox = outbox::start(group, deliver);
    group.restarting("alert_wakes", {
        let (queued, outbox) = (Arc::clone(&queued), outbox);
        move |stop| wake(Arc::clone(&queued), outbox.clone(), stop)
    });
    group.restarting("alert_signals", {
        // From now on, not from when the task runs: what rooms say at their start is heard.
        let first = Arc::new(Mutex::new(Some(spine.subscribe())));
        let desk = desk.clone();
        move |stop| {
            let events = first.lock().take().unwrap_or_else(|| spine.subscribe());
            listen(events, Arc::clone(&live), desk.clone(), stop)
        }
    });
    for settings_of in channels.iter().filter_map(|channel| match &channel.settings {
        ChannelSettings::Alertmanager(settings) => Some(settings),
        _ => None,
    }) {
        tell_alertmanagers(settings_of, &http, &desk, (&settings, &clock, &reach), group);
    }
    if let Some(deadman) = deadman {
        deadman::start(group, deadman, http, move || ledger.write_state(), clock);
    }
    desk
}

/// One line in the log for each alert that begins or ends: what people would otherwise know from messages alone.
fn log_change(alert: &Alert, change: ChangeKind) {
    let (rule, subject, severity) = (&*alert.rule.name, &*alert.subject, alert.severity.label());
    match change {
        ChangeKind::Fired => warn!(rule, subject, severity, "alert: {}", alert.rule.title),
        ChangeKind::Resolved => info!(rule, subject, severity, "alert is over"),
        _ => {}
    }
}

async fn wake(queued: Arc<Notify>, outbox: OutboxHandle, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = queued.notified() => outbox.wake(),
            () = stop.cancelled() => return,
        }
    }
}

async fn listen(mut events: Subscription, live: Arc<LiveSignals>, desk: Desk, stop: CancellationToken) {
    loop {
        let event = tokio::select! {
            event = events.next() => event,
            () = stop.cancelled() => return,
        };
        match event.as_deref() {
            Some(Event::AlertSignal(signal)) => {
                live.hear(signal);
                desk.wake();
            }
            Some(_) => {}
            None => return,
        }
    }
}

fn tell_alertmanagers(
    settings: &AlertmanagerSettings,
    http: &Client,
    desk: &Desk,
    (alerts, clock, reach): (&watch::Receiver<Arc<AlertSettings>>, &WallClock, &Arc<Reach>),
    group: &TaskGroup,
) {
    let (told, snapshot) = watch::channel(Arc::new(AlertmanagerSnapshot::default()));
    let told = Arc::new(told);
    alertmanagers::start_watched(group, settings, http, &snapshot, (clock, reach));
    let (desk, alerts) = (desk.clone(), alerts.clone());
    group.restarting("alertmanager_snapshots", move |stop| {
        let (desk, alerts, told) = (desk.clone(), alerts.clone(), Arc::clone(&told));
        async move {
            loop {
                let now = alertmanager_snapshot(&desk.snapshot(), &alerts.borrow());
                told.send_if_modified(|before| {
                    let is_new = **before != now;
                    if is_new {
                        *before = Arc::new(now);
                    }
                    is_new
                });
                tokio::select! {
                    () = sleep(SNAPSHOT_EVERY) => {}
                    () = stop.cancelled() => return,
                }
            }
        }
    });
}

/// All that fires, hidden or not: silences and inhibition are Alertmanager's there. But for what was told here in its stead and is taken care
/// of: nobody is paged about that twice.
fn alertmanager_snapshot(snapshot: &Snapshot, settings: &AlertSettings) -> AlertmanagerSnapshot {
    let is_recent = |at: UnixMillis| snapshot.at.saturating_sub(at) < RESOLVED_TOLD_MS;
    let is_done_here = |alert: &&Alert| {
        let is_its_own = settings.escalation.of(alert.severity).contacts.is_empty();
        is_its_own && alert.told.is_some() && alert.acknowledged.is_some()
    };
    let alerts = || snapshot.alerts.iter().map(|view| &view.alert).filter(|alert| !is_done_here(alert));
    AlertmanagerSnapshot {
        firing: alerts().filter(|alert| alert.phase.is_active()).map(text::alert).collect(),
        resolved: alerts()
            .filter(|alert| alert.phase.resolved().is_some_and(|moment| is_recent(moment.at)))
            .map(text::alert)
            .collect(),
        source: settings.source.clone(),
        page_url: settings.pages.as_ref().map(|pages| format!("{pages}/alerts")),
    }
}
