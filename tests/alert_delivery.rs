//! Delivery of alerts over real sockets: the queue on a real ledger, and services that check what they get.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic, reason = "tests")]

use std::{
    collections::BTreeMap,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use relaymux::{
    alerts::{
        AlertText, DeliveryEvent, DeliveryOutcome, Message, MessageKind, alertmanagers,
        channels::{
            AlertmanagerSettings, AlertmanagerSnapshot, Channel, ChannelSettings, DiscordSettings,
            EmailSettings, EmailTls, NtfySettings, PagerDutySettings, SlackSettings, TelegramSettings,
            WebhookSettings,
        },
        deadman::{self, DeadmanSettings},
        outbox::{self, LIFE_MS, OutboxHandle, OutboxParts, queued},
    },
    consensus::WallClock,
    events::{Component, Severity},
    ledger::{Ledger, OutboxRow, WriteState},
    relay::{TlsRoots, build_http_client},
    sim::{AlertServiceKind, ReceivedAlert, ServiceHabit, SimAlertService, SimMailServer, SmtpHabit},
    tasks::{TaskGroup, Tasks},
    types::{Secret, SecretUrl, UnixMillis},
};
use tokio::{runtime::Runtime, sync::watch, time::timeout};

const START: UnixMillis = 1_795_876_980_000;
const SECRET: &str = "sim-secret";
/// Longest wait for anything.
const PATIENCE: Duration = Duration::from_secs(20);

fn url(text: &str) -> SecretUrl {
    SecretUrl::parse(text).unwrap()
}

fn secret(text: &str) -> Secret {
    Secret(text.to_owned())
}

/// How a channel of a simulated service is configured.
fn settings(kind: &AlertServiceKind, service: &SimAlertService) -> ChannelSettings {
    let (address, base) = (url(&service.url()), url(&service.base()));
    match kind {
        AlertServiceKind::Slack => ChannelSettings::Slack(SlackSettings { url: address }),
        AlertServiceKind::Discord => ChannelSettings::Discord(DiscordSettings { url: address }),
        AlertServiceKind::PagerDuty => ChannelSettings::PagerDuty(PagerDutySettings {
            routing_key: secret(&format!("{SECRET:0<32}")),
            url: base,
        }),
        AlertServiceKind::Telegram => ChannelSettings::Telegram(TelegramSettings {
            token: secret(&format!("123:{SECRET}")),
            chat_id: "-100123".to_owned(),
            thread_id: None,
            url: base,
        }),
        AlertServiceKind::Ntfy => ChannelSettings::Ntfy(NtfySettings {
            url: base,
            topic: secret(SECRET),
            token: Some(secret(SECRET)),
        }),
        AlertServiceKind::Webhook(shared) => {
            ChannelSettings::Webhook(WebhookSettings { url: address, secret: Some(shared.clone()) })
        }
        AlertServiceKind::Alertmanager => {
            ChannelSettings::Alertmanager(AlertmanagerSettings { urls: vec![base] })
        }
        AlertServiceKind::Check => panic!("no channel"),
    }
}

/// A service and a channel to it.
async fn channel(id: &str, kind: AlertServiceKind, fallback: Option<&str>) -> (Channel, SimAlertService) {
    let service = SimAlertService::start(kind.clone()).await.unwrap();
    let settings = settings(&kind, &service);
    (Channel { id: id.to_owned(), settings, fallback: fallback.map(str::to_owned) }, service)
}

fn alert() -> AlertText {
    AlertText {
        fingerprint: "5f1c".to_owned(),
        rule: "payload_withheld".to_owned(),
        subject: "relay-b".to_owned(),
        severity: Severity::P1,
        component: Component::Relays,
        title: "A relay kept a signed block".to_owned(),
        message: "Slot 9120345 is empty: <relay-b> & *others* kept it.".to_owned(),
        cost: "0.081 ETH.".to_owned(),
        done: "relay-b is quarantined.".to_owned(),
        runbook: "Look at the slot.".to_owned(),
        since: START - 75_000,
        until: None,
        labels: BTreeMap::new(),
    }
}

fn message(id: &str, kind: MessageKind, severity: Severity) -> Message {
    Message {
        id: id.to_owned(),
        group: "P1/relays/1".to_owned(),
        kind,
        severity,
        title: format!("A relay kept a signed block ({id})"),
        alerts: vec![alert()],
        body: None,
        acknowledge_url: Some("https://box.example/ack?t=abc&e=1".to_owned()),
        page_url: Some("https://box.example/alerts".to_owned()),
        at: START,
        source: "box-1".to_owned(),
    }
}

fn firing(id: &str) -> Message {
    message(id, MessageKind::Firing, Severity::P1)
}

/// Delivery under way, with a clock that is moved by hand.
struct Delivery {
    ledger: Ledger,
    clock: Arc<AtomicI64>,
    group: TaskGroup,
    handle: OutboxHandle,
    events: watch::Receiver<Vec<DeliveryEvent>>,
}

fn client() -> reqwest::Client {
    build_http_client(&TlsRoots::Bundled, None).unwrap()
}

async fn ledger(folder: &Path) -> Ledger {
    Ledger::open(folder, "mainnet", 0).await.unwrap()
}

/// Puts messages into the queue, all of one channel.
async fn put(ledger: &Ledger, channel: &str, messages: &[Message]) {
    for message in messages {
        assert!(ledger.enqueue_alert(&queued(message, channel)).await.unwrap());
    }
}

fn start(ledger: Ledger, channels: Vec<Channel>) -> Delivery {
    let clock = Arc::new(AtomicI64::new(START));
    let (told, events) = watch::channel(Vec::new());
    let tell = Arc::new(move |event| told.send_modify(|events| events.push(event)));
    let now = {
        let clock = Arc::clone(&clock);
        Arc::new(move || clock.load(Ordering::Relaxed))
    };
    let parts = OutboxParts {
        now,
        ..OutboxParts::new(ledger.clone(), client(), channels, tell, WallClock::system())
    };
    let (tasks, _fatal) = Tasks::new(|news| panic!("{news:?}"));
    let group = tasks.group();
    let handle = outbox::start(&group, parts);
    Delivery { ledger, clock, group, handle, events }
}

impl Delivery {
    fn advance(&self, ms: i64) {
        self.clock.fetch_add(ms, Ordering::Relaxed);
        self.handle.wake();
    }

    /// Waits until an event of this kind has come, and answers with it.
    async fn event(&mut self, channel: &str, outcome: DeliveryOutcome, count: usize) -> DeliveryEvent {
        let of = |events: &Vec<DeliveryEvent>| {
            let found = events.iter().filter(|event| event.channel == channel && event.outcome == outcome);
            found.cloned().collect::<Vec<_>>()
        };
        let seen = timeout(PATIENCE, self.events.wait_for(|events| of(events).len() >= count)).await;
        let seen = seen.unwrap_or_else(|_| panic!("no {outcome} of {channel}")).unwrap();
        of(&seen)[count - 1].clone()
    }

    async fn row(&self, id: &str, channel: &str) -> OutboxRow {
        let rows = self.ledger.deliveries_of(id).await.unwrap();
        rows.into_iter().find(|row| row.channel == channel).unwrap()
    }

    async fn stop(self) {
        self.group.stop();
        self.group.ended().await;
        // Whatever went wrong, no address or key is in what is kept and told.
        for event in self.events.borrow().iter() {
            assert!(!format!("{event:?}").contains(SECRET), "{event:?}");
        }
        for row in self.ledger.deliveries(1000).await.unwrap() {
            assert!(!format!("{row:?}").contains(SECRET), "{row:?}");
        }
    }
}

fn text(received: &ReceivedAlert) -> String {
    received.body.to_string()
}

fn kinds() -> [AlertServiceKind; 7] {
    [
        AlertServiceKind::Slack,
        AlertServiceKind::PagerDuty,
        AlertServiceKind::Discord,
        AlertServiceKind::Telegram,
        AlertServiceKind::Ntfy,
        AlertServiceKind::Webhook(Secret("between us".to_owned())),
        AlertServiceKind::Alertmanager,
    ]
}

#[tokio::test]
async fn every_service_takes_every_message() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path()).await;
    let storm: Vec<_> = (0..500).map(|n| AlertText { subject: format!("relay-{n}"), ..alert() }).collect();
    let messages = [
        Message { alerts: storm, ..firing("storm") },
        Message {
            title: "x".repeat(9000),
            group: "g".repeat(900),
            source: "🚨".repeat(900),
            ..firing("long")
        },
        message("resolved", MessageKind::Resolved, Severity::P3),
        Message {
            alerts: Vec::new(),
            body: Some("SLA 99.9 %\n".repeat(900)),
            ..message("digest", MessageKind::Digest, Severity::P4)
        },
    ];
    let (mut channels, mut services) = (Vec::new(), Vec::new());
    for (number, kind) in kinds().into_iter().enumerate() {
        let id = format!("channel-{number}");
        let (channel, service) = channel(&id, kind, None).await;
        put(&ledger, &id, &messages).await;
        channels.push(channel);
        services.push(service);
    }
    let mut delivery = start(ledger, channels);
    for (number, service) in services.iter().enumerate() {
        let id = format!("channel-{number}");
        delivery.event(&id, DeliveryOutcome::Sent, messages.len()).await;
        assert_eq!(service.refused(), Vec::<String>::new());
        assert!(service.received().len() >= messages.len());
    }
    delivery.stop().await;
}

#[tokio::test]
async fn a_service_that_asks_for_patience_gets_it() {
    for kind in [AlertServiceKind::Slack, AlertServiceKind::Telegram] {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(folder.path()).await;
        let (channel, service) = channel("ops", kind, None).await;
        service.next(ServiceHabit::RateLimits(2));
        put(&ledger, "ops", &[firing("m-1")]).await;
        let begun = tokio::time::Instant::now();
        let mut delivery = start(ledger, vec![channel]);
        assert_eq!(delivery.event("ops", DeliveryOutcome::Failed, 1).await.attempts, 1);
        assert_eq!(delivery.row("m-1", "ops").await.not_before, START + 2000);
        delivery.advance(60_000);
        assert_eq!(delivery.event("ops", DeliveryOutcome::Sent, 1).await.attempts, 2);
        assert!(begun.elapsed() >= Duration::from_secs(2), "also a message that is due waits");
        assert!(
            !text(&service.received()[0]).contains("repetition"),
            "it was refused, so it is no repetition"
        );
        delivery.stop().await;
    }
}

#[tokio::test]
async fn what_a_dead_hook_does_not_take_goes_to_the_fallback_once() {
    for kind in kinds() {
        if kind == AlertServiceKind::Alertmanager {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(folder.path()).await;
        let (first, service) = channel("ops", kind, Some("second")).await;
        let (second, other) = channel("second", AlertServiceKind::Ntfy, Some("ops")).await;
        service.habit(ServiceHabit::Gone);
        put(&ledger, "ops", &[firing("m-1")]).await;
        let mut delivery = start(ledger, vec![first, second]);
        let dead = delivery.event("ops", DeliveryOutcome::Dead, 1).await;
        assert_eq!(dead.fallback.as_deref(), Some("second"));
        delivery.event("second", DeliveryOutcome::Sent, 1).await;
        assert!(text(&other.received()[0]).contains("Sent here because the channel ops did not take it."));
        assert_eq!(delivery.row("m-1", "ops").await.state.as_str(), "dead");
        assert_eq!(delivery.row("m-1", "second").await.state.as_str(), "sent");
        delivery.stop().await;
    }
}

#[tokio::test]
async fn two_channels_that_are_each_others_fallback_end() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path()).await;
    let (first, a) = channel("ops", AlertServiceKind::Slack, Some("second")).await;
    let (second, b) = channel("second", AlertServiceKind::Discord, Some("ops")).await;
    a.habit(ServiceHabit::Gone);
    b.habit(ServiceHabit::Gone);
    put(&ledger, "ops", &[firing("m-1")]).await;
    let mut delivery = start(ledger, vec![first, second]);
    let dead = delivery.event("second", DeliveryOutcome::Dead, 1).await;
    assert_eq!(dead.fallback, None);
    assert_eq!(delivery.ledger.channels_with_alerts().await.unwrap(), Vec::<String>::new());
    delivery.stop().await;
}

#[tokio::test]
async fn a_channel_that_hangs_delays_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path()).await;
    let (first, hanging) = channel("slow", AlertServiceKind::Slack, None).await;
    let (second, _service) = channel("quick", AlertServiceKind::PagerDuty, None).await;
    hanging.habit(ServiceHabit::Hangs);
    put(&ledger, "slow", &[firing("m-1")]).await;
    let mut delivery = start(ledger, vec![first, second]);
    timeout(PATIENCE, hanging.wait_for(1)).await.unwrap();
    put(&delivery.ledger, "quick", &[firing("m-1"), firing("m-2")]).await;
    delivery.handle.wake();
    delivery.event("quick", DeliveryOutcome::Sent, 2).await;
    assert_eq!(delivery.row("m-1", "slow").await.state.as_str(), "sending", "it still hangs");
    delivery.stop().await;
}

/// The process ends while the service has the message and has not answered: the next one sends it again. Services that know it by its id show
/// it once; to the others it says what it is.
#[test]
fn a_message_that_was_under_way_at_the_end_of_a_process_is_neither_lost_nor_doubled() {
    for kind in kinds() {
        if kind == AlertServiceKind::Alertmanager {
            continue;
        }
        let folder = tempfile::tempdir().unwrap();
        let services = Runtime::new().unwrap();
        let (channel, service) = services.block_on(channel("ops", kind.clone(), None));
        service.next(ServiceHabit::Hangs);
        let first = Runtime::new().unwrap();
        let running = first.block_on(async {
            let ledger = ledger(folder.path()).await;
            put(&ledger, "ops", &[firing("m-1")]).await;
            let delivery = start(ledger, vec![channel.clone()]);
            timeout(PATIENCE, service.wait_for(1)).await.unwrap();
            delivery
        });
        // Everything stops where it stands.
        first.shutdown_background();
        drop(running);
        let second = Runtime::new().unwrap();
        second.block_on(async {
            let mut delivery = start(ledger(folder.path()).await, vec![channel]);
            delivery.event("ops", DeliveryOutcome::Sent, 1).await;
            delivery.stop().await;
        });
        let received = service.received();
        assert_eq!(received.len(), 2);
        let said = received
            .iter()
            .map(|received| text(received).contains("relaymux was restarted while sending this"));
        let said: Vec<_> = said.collect();
        match kind {
            AlertServiceKind::PagerDuty => {
                assert_eq!(received[0].body["dedup_key"], received[1].body["dedup_key"]);
                assert_eq!(said, [false, false]);
            }
            AlertServiceKind::Webhook(_) => {
                assert_eq!(received[0].header("idempotency-key"), Some("m-1"));
                assert_eq!(received[1].header("idempotency-key"), Some("m-1"));
                assert_eq!(said, [false, false]);
            }
            _ => assert_eq!(said, [false, true], "{kind:?}"),
        }
    }
}

#[tokio::test]
async fn an_attempt_without_an_answer_makes_the_next_a_possible_repetition() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path()).await;
    let (channel, service) = channel("ops", AlertServiceKind::Telegram, None).await;
    service.next(ServiceHabit::Closes);
    service.next(ServiceHabit::Fails);
    put(&ledger, "ops", &[firing("m-1")]).await;
    let mut delivery = start(ledger, vec![channel]);
    for count in [1, 2] {
        delivery.event("ops", DeliveryOutcome::Failed, count).await;
        delivery.advance(10_000);
    }
    delivery.event("ops", DeliveryOutcome::Sent, 1).await;
    let received = service.received();
    assert_eq!(received.len(), 2, "the first had arrived");
    assert!(
        text(&received[1]).contains("an earlier attempt to send this got no answer"),
        "{}",
        text(&received[1])
    );
    delivery.stop().await;
}

#[tokio::test]
async fn what_waits_on_a_channel_that_fails_for_five_minutes_goes_to_the_fallback() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path()).await;
    let (first, service) = channel("ops", AlertServiceKind::Slack, Some("second")).await;
    let (second, other) = channel("second", AlertServiceKind::Discord, None).await;
    service.habit(ServiceHabit::Fails);
    put(&ledger, "ops", &[firing("m-1")]).await;
    let mut delivery = start(ledger, vec![first, second]);
    delivery.event("ops", DeliveryOutcome::Failed, 1).await;
    delivery.advance(299_000);
    delivery.event("ops", DeliveryOutcome::Failed, 2).await;
    assert_eq!(other.received(), [], "not yet");
    delivery.advance(1000);
    delivery.event("second", DeliveryOutcome::Sent, 1).await;
    // What comes now need not wait.
    put(&delivery.ledger, "ops", &[Message { at: START + 300_000, ..firing("m-2") }]).await;
    delivery.handle.wake();
    delivery.event("second", DeliveryOutcome::Sent, 2).await;
    // The channel is tried on, and has everything once it is back.
    service.habit(ServiceHabit::Takes);
    delivery.advance(600_000);
    delivery.event("ops", DeliveryOutcome::Sent, 2).await;
    assert_eq!((service.received().len(), other.received().len()), (2, 2));
    assert!(text(&service.received()[0]).contains("Late: this was written"));
    delivery.stop().await;
}

#[tokio::test]
async fn a_message_whose_time_is_over_is_a_dead_letter() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path()).await;
    let (channel, service) = channel("ops", AlertServiceKind::Slack, None).await;
    service.habit(ServiceHabit::Fails);
    put(&ledger, "ops", &[firing("m-1")]).await;
    let mut delivery = start(ledger, vec![channel]);
    delivery.event("ops", DeliveryOutcome::Failed, 1).await;
    service.habit(ServiceHabit::Takes);
    delivery.advance(LIFE_MS);
    delivery.event("ops", DeliveryOutcome::Dead, 1).await;
    assert_eq!(service.received(), []);
    delivery.stop().await;
}

#[tokio::test]
async fn the_gravest_leave_first_and_an_end_never_before_its_beginning() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path()).await;
    let (channel, service) = channel("ops", AlertServiceKind::PagerDuty, None).await;
    let other =
        |id: &str, severity| Message { group: id.to_owned(), ..message(id, MessageKind::Firing, severity) };
    let resolved = Message { at: START + 1, ..message("end", MessageKind::Resolved, Severity::P1) };
    put(&ledger, "ops", &[other("p4", Severity::P4), other("p2", Severity::P2), resolved, firing("begin")])
        .await;
    service.next(ServiceHabit::Fails);
    let mut delivery = start(ledger, vec![channel]);
    delivery.advance(1);
    delivery.event("ops", DeliveryOutcome::Failed, 1).await;
    delivery.event("ops", DeliveryOutcome::Sent, 2).await;
    assert_eq!(service.received().len(), 2, "the end waits for its beginning");
    delivery.advance(10_000);
    delivery.event("ops", DeliveryOutcome::Sent, 4).await;
    let order: Vec<_> = service
        .received()
        .iter()
        .map(|received| {
            format!(
                "{} {}",
                received.body["event_action"].as_str().unwrap(),
                received.body["dedup_key"].as_str().unwrap()
            )
        })
        .collect();
    assert_eq!(order, ["trigger p2", "trigger p4", "trigger P1/relays/1", "resolve P1/relays/1"]);
    delivery.stop().await;
}

#[tokio::test]
async fn what_waits_for_a_channel_that_is_gone_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path()).await;
    put(&ledger, "former", &[firing("m-1")]).await;
    let mut delivery = start(ledger, Vec::new());
    let dead = delivery.event("former", DeliveryOutcome::Dead, 1).await;
    assert!(dead.reason.unwrap().contains("does not have this channel any more"));
    delivery.stop().await;
}

fn mailbox(server: &SimMailServer, password: &str) -> Channel {
    let settings = EmailSettings {
        host: "127.0.0.1".to_owned(),
        port: server.port(),
        tls: EmailTls::None,
        login: Some(("relaymux".to_owned(), secret(password))),
        from: "relaymux <relaymux@example.org>".parse().unwrap(),
        to: vec!["ops@example.org".parse().unwrap(), "second@example.org".parse().unwrap()],
        roots_pem: None,
    };
    Channel { id: "mail".to_owned(), settings: ChannelSettings::Email(Box::new(settings)), fallback: None }
}

#[tokio::test]
async fn a_mail_server_takes_a_mail_and_a_doubled_one_is_known() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path()).await;
    let server = SimMailServer::start().await.unwrap();
    server.habit(SmtpHabit::ClosesAfterData);
    put(&ledger, "mail", &[firing("m-1")]).await;
    let mut delivery = start(ledger, vec![mailbox(&server, SECRET)]);
    delivery.event("mail", DeliveryOutcome::Failed, 1).await;
    server.habit(SmtpHabit::Refuses(451));
    delivery.advance(10_000);
    delivery.event("mail", DeliveryOutcome::Failed, 2).await;
    server.habit(SmtpHabit::Takes);
    delivery.advance(10_000);
    delivery.event("mail", DeliveryOutcome::Sent, 1).await;
    let received = server.received();
    assert_eq!(received.len(), 2);
    assert!(received[0].is_authenticated);
    assert_eq!((received[0].from.as_str(), received[0].to.len()), ("relaymux@example.org", 2));
    assert_eq!(received[0].header("Message-ID"), received[1].header("Message-ID"));
    assert!(received[0].header("Message-ID").is_some());
    assert!(received[0].header("Subject").unwrap().starts_with("[box-1] P1: A relay kept a signed block"));
    delivery.stop().await;
}

#[tokio::test]
async fn a_mail_server_that_refuses_us_is_a_dead_channel() {
    for (password, habit) in
        [("sim-secret-that-is-wrong", SmtpHabit::Takes), (SECRET, SmtpHabit::Refuses(550))]
    {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger(folder.path()).await;
        let server = SimMailServer::start().await.unwrap();
        server.habit(habit);
        put(&ledger, "mail", &[firing("m-1")]).await;
        let mut delivery = start(ledger, vec![mailbox(&server, password)]);
        let dead = delivery.event("mail", DeliveryOutcome::Dead, 1).await;
        assert!(dead.reason.unwrap().contains("the channel is not valid any more"));
        delivery.stop().await;
    }
}

#[tokio::test]
async fn nobody_at_the_port_is_no_possible_repetition() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = ledger(folder.path()).await;
    let (channel, service) = channel("ops", AlertServiceKind::Slack, None).await;
    drop(service);
    put(&ledger, "ops", &[firing("m-1")]).await;
    let mut delivery = start(ledger, vec![channel]);
    let failed = delivery.event("ops", DeliveryOutcome::Failed, 1).await;
    assert!(failed.reason.unwrap().starts_with("no connection"));
    assert_eq!(delivery.row("m-1", "ops").await.state.as_str(), "queued");
    delivery.stop().await;
}

#[tokio::test]
async fn every_alertmanager_is_told_of_each_change_though_one_hangs() {
    let (a, b) = (
        SimAlertService::start(AlertServiceKind::Alertmanager).await.unwrap(),
        SimAlertService::start(AlertServiceKind::Alertmanager).await.unwrap(),
    );
    a.habit(ServiceHabit::Hangs);
    let (snapshot, seen) = watch::channel(Arc::new(AlertmanagerSnapshot {
        firing: (0..100).map(|n| AlertText { subject: format!("relay-{n}"), ..alert() }).collect(),
        source: "box-1".to_owned(),
        ..AlertmanagerSnapshot::default()
    }));
    let (tasks, _fatal) = Tasks::new(|news| panic!("{news:?}"));
    let group = tasks.group();
    let settings = AlertmanagerSettings { urls: vec![url(&a.base()), url(&b.base())] };
    alertmanagers::start(&group, &settings, &client(), &seen, &WallClock::system());
    timeout(PATIENCE, async { tokio::join!(a.wait_for(1), b.wait_for(2)) }).await.unwrap();
    let firing: usize = b.received().iter().map(|received| received.body.as_array().unwrap().len()).sum();
    assert_eq!(firing, 100);
    snapshot.send_modify(|snapshot| {
        let resolved = vec![AlertText { until: Some(WallClock::system().now()), ..alert() }];
        *snapshot = Arc::new(AlertmanagerSnapshot { firing: Vec::new(), resolved, ..(**snapshot).clone() });
    });
    timeout(PATIENCE, b.wait_for(3)).await.unwrap();
    assert_eq!(b.received()[2].body.as_array().unwrap().len(), 1);
    assert_eq!(b.refused(), Vec::<String>::new());
    group.stop();
    group.ended().await;
}

#[tokio::test]
async fn somebody_outside_hears_that_we_live_and_that_we_fail() {
    let check = SimAlertService::start(AlertServiceKind::Check).await.unwrap();
    let settings = DeadmanSettings { url: url(&check.url()), interval: Duration::from_secs(1) };
    let (tasks, _fatal) = Tasks::new(|news| panic!("{news:?}"));
    let group = tasks.group();
    let failing = Arc::new(AtomicI64::new(0));
    let state = Arc::clone(&failing);
    let ledger = move || {
        let since = Some(state.load(Ordering::Relaxed)).filter(|since| *since > 0);
        WriteState { failing_since: since, ..WriteState::default() }
    };
    deadman::start(&group, settings.clone(), client(), ledger, WallClock::system());
    timeout(PATIENCE, check.wait_for(1)).await.unwrap();
    failing.store(1, Ordering::Relaxed);
    timeout(PATIENCE, check.wait_for(2)).await.unwrap();
    group.stop();
    group.ended().await;
    let before = check.received().len();
    deadman::tell_of_bad_end(&settings, &client(), WallClock::system().now()).await;
    let paths: Vec<_> = check.received().iter().map(|received| received.path.clone()).collect();
    assert!(!paths[0].ends_with("/fail") && paths[1].ends_with("/fail"), "{paths:?}");
    assert!(paths.len() == before + 1 && paths[before].ends_with("/fail"), "{paths:?}");
}

/// A real one, whose address is in `RELAYMUX_ALERTMANAGER`, takes what fires, and what is over ends there.
#[tokio::test]
#[ignore = "needs an Alertmanager: RELAYMUX_ALERTMANAGER=http://127.0.0.1:9093"]
async fn a_real_alertmanager_agrees() {
    let address = std::env::var("RELAYMUX_ALERTMANAGER").unwrap();
    let now = WallClock::system().now();
    let labels = [("k8s.io/pod-1".to_owned(), "x".to_owned()), ("empty".to_owned(), String::new())];
    let firing = AlertText { since: now - 75_000, labels: labels.into(), ..alert() };
    let over = AlertText { subject: "relay-c".to_owned(), ..firing.clone() };
    let (snapshot, seen) = watch::channel(Arc::new(AlertmanagerSnapshot {
        firing: vec![firing.clone(), over.clone()],
        source: "box-1".to_owned(),
        page_url: Some("https://box.example/alerts".to_owned()),
        ..AlertmanagerSnapshot::default()
    }));
    let (tasks, _fatal) = Tasks::new(|news| panic!("{news:?}"));
    let group = tasks.group();
    let settings = AlertmanagerSettings { urls: vec![url(&address)] };
    alertmanagers::start(&group, &settings, &client(), &seen, &WallClock::system());
    let subjects = || async {
        let alerts = client().get(format!("{address}/api/v2/alerts?active=true")).send().await.unwrap();
        let alerts: Vec<serde_json::Value> = alerts.json().await.unwrap();
        let mut subjects: Vec<_> =
            alerts.iter().map(|alert| alert["labels"]["subject"].as_str().unwrap().to_owned()).collect();
        subjects.sort();
        subjects
    };
    let until = |want: &'static [&'static str]| async move {
        while subjects().await != want {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, until(&["relay-b", "relay-c"])).await.unwrap();
    let over = AlertText { until: Some(now), ..over };
    snapshot.send_modify(|snapshot| {
        *snapshot = Arc::new(AlertmanagerSnapshot {
            firing: vec![firing],
            resolved: vec![over],
            ..(**snapshot).clone()
        });
    });
    timeout(PATIENCE, until(&["relay-b"])).await.unwrap();
    group.stop();
    group.ended().await;
}
