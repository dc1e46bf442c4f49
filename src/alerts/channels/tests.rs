//! Renders that are compared with files, limits, escapes, and what answers mean.

use std::{collections::BTreeMap, path::Path, time::Duration};

use proptest::prelude::*;
use serde_json::Value;

use super::{clip::units, *};
use crate::{
    alerts::message::{AlertText, MessageKind},
    events::{Component, Severity},
    types::{Secret, SecretUrl, UnixMillis},
};

/// 2026-11-28 14:43:00 UTC.
const NOW: UnixMillis = 1_795_876_980_000;
const KEY: &str = "hunter2hunter2hunter2hunter2hunt";

fn url(text: &str) -> SecretUrl {
    SecretUrl::parse(text).unwrap()
}

fn channels() -> Vec<ChannelSettings> {
    let keyed = |host: &str| url(&format!("https://{host}.example/{KEY}"));
    vec![
        ChannelSettings::Slack(SlackSettings { url: keyed("slack") }),
        ChannelSettings::PagerDuty(PagerDutySettings {
            routing_key: Secret(KEY.to_owned()),
            url: url("https://events.pagerduty.com"),
        }),
        ChannelSettings::Discord(DiscordSettings { url: keyed("discord") }),
        ChannelSettings::Telegram(TelegramSettings {
            token: Secret(KEY.to_owned()),
            chat_id: "-100123".to_owned(),
            thread_id: Some(7),
            url: url("https://api.telegram.org"),
        }),
        ChannelSettings::Ntfy(NtfySettings {
            url: url("https://ntfy.sh"),
            topic: Secret(KEY.to_owned()),
            token: Some(Secret(KEY.to_owned())),
        }),
        ChannelSettings::Webhook(WebhookSettings {
            url: keyed("hook"),
            secret: Some(Secret(KEY.to_owned())),
        }),
        ChannelSettings::Email(Box::new(EmailSettings {
            host: "mail.example".to_owned(),
            port: 587,
            tls: EmailTls::StartTls,
            login: Some(("relaymux".to_owned(), Secret(KEY.to_owned()))),
            from: "relaymux <relaymux@example.org>".parse().unwrap(),
            to: vec!["ops@example.org".parse().unwrap()],
            roots_pem: None,
        })),
        ChannelSettings::Alertmanager(AlertmanagerSettings {
            urls: vec![url("http://127.0.0.1:9093"), url("http://127.0.0.1:9094")],
        }),
    ]
}

fn alert() -> AlertText {
    AlertText {
        fingerprint: "5f1c".to_owned(),
        rule: "payload_withheld".to_owned(),
        subject: "relay-b".to_owned(),
        severity: Severity::P1,
        component: Component::Relays,
        title: "A relay kept a signed block".to_owned(),
        message:
            "Slot 9120345: relay-b took our signed block and never published it; the slot is empty on chain."
                .to_owned(),
        cost: "The whole slot: 0.081 ETH were promised. Every further slot that it wins is lost as well."
            .to_owned(),
        done: "The block went to every other relay that had offered it; relay-b is quarantined.".to_owned(),
        runbook: "Nothing for now: look at slot 9120345 on the page and ask relay-b what happened."
            .to_owned(),
        since: NOW - 75_000,
        until: None,
        labels: BTreeMap::new(),
    }
}

fn p1() -> Message {
    Message {
        id: "m-1".to_owned(),
        group: "P1/relays/1".to_owned(),
        kind: MessageKind::Firing,
        severity: Severity::P1,
        title: "A relay kept a signed block: relay-b".to_owned(),
        alerts: vec![alert()],
        body: None,
        acknowledge_url: Some("https://box.example/alerts/ack?t=abc&e=1".to_owned()),
        page_url: Some("https://box.example/alerts".to_owned()),
        at: NOW,
        source: "box-1".to_owned(),
    }
}

/// 500 alerts, the gravest last.
fn storm() -> Message {
    let alerts = (0..500).map(|number| {
        let severity = match number {
            497.. => Severity::P1,
            300.. => Severity::P2,
            _ => Severity::P3,
        };
        AlertText { subject: format!("relay-{number}"), severity, ..alert() }
    });
    Message {
        id: "m-2".to_owned(),
        title: "500 alerts, 3 of them P1: relays".to_owned(),
        alerts: alerts.collect(),
        ..p1()
    }
}

fn context() -> ChannelContext {
    ChannelContext { now: NOW + 1000, repetition: None, fallback_of: None }
}

fn request(settings: &ChannelSettings, message: &Message, context: &ChannelContext) -> Request {
    match settings.render(message, context) {
        Rendered::Http(request) => request,
        Rendered::Any(mut requests) => requests.remove(0),
        other => panic!("{other:?}"),
    }
}

fn body(kind: ChannelKind, message: &Message) -> Value {
    let settings = channels().into_iter().find(|channel| channel.kind() == kind).unwrap();
    serde_json::from_slice(&request(&settings, message, &context()).body).unwrap()
}

/// What the file of a render has in it.
fn shown(settings: &ChannelSettings, message: &Message) -> String {
    match settings.render(message, &context()) {
        Rendered::Mail(mail) => String::from_utf8(mail.formatted()).unwrap().replace("\r\n", "\n"),
        Rendered::Http(request) => pretty(&request.body),
        Rendered::Any(requests) => pretty(&requests[0].body),
        Rendered::Impossible(message) => panic!("{message}"),
    }
}

fn pretty(body: &[u8]) -> String {
    let body: Value = serde_json::from_slice(body).unwrap();
    serde_json::to_string_pretty(&body).unwrap() + "\n"
}

/// The files are made anew by `RELAYMUX_WRITE_FIXTURES=1 cargo test renders`; whoever does so reads what changed.
#[test]
fn renders_are_as_they_were() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/alerts");
    let writes = std::env::var_os("RELAYMUX_WRITE_FIXTURES").is_some();
    for settings in channels() {
        for (name, message) in [("p1", p1()), ("storm", storm())] {
            // Everything in it, and 500 times the same: says nothing to a reader.
            if name == "storm" && matches!(settings.kind(), ChannelKind::Webhook | ChannelKind::Alertmanager)
            {
                continue;
            }
            let ending = if settings.kind() == ChannelKind::Email { "eml" } else { "json" };
            let path = folder.join(format!("{name}.{}.{ending}", settings.kind()));
            let got = shown(&settings, &message);
            if writes {
                std::fs::create_dir_all(&folder).unwrap();
                std::fs::write(&path, &got).unwrap();
            }
            let want = std::fs::read_to_string(&path).unwrap_or_default();
            assert_eq!(got, want, "{} is another", path.display());
        }
    }
}

#[test]
fn nothing_secret_is_in_what_is_logged() {
    for settings in channels() {
        let rendered = format!("{settings:?} {:?}", settings.render(&p1(), &context()));
        assert!(!rendered.contains("hunter2"), "{rendered}");
    }
}

#[test]
fn the_first_words_say_it() {
    let words = |kind, title: &str| page::headline(&Message { kind, title: title.to_owned(), ..p1() });
    assert_eq!(words(MessageKind::Firing, "A relay\nkept it"), "P1: A relay kept it");
    assert_eq!(words(MessageKind::Firing, "P1: A relay kept it"), "P1: A relay kept it");
    assert_eq!(
        words(MessageKind::Reminder, "A relay kept it"),
        "P1, nobody has acknowledged: A relay kept it"
    );
    assert_eq!(words(MessageKind::Resolved, "A relay kept it"), "P1 resolved: A relay kept it");
    assert_eq!(words(MessageKind::Digest, "The week of box-1"), "The week of box-1");
}

#[test]
fn the_gravest_come_first_and_the_rest_is_counted() {
    let page = page::page(&storm(), &context(), page::LAYOUTS[0]);
    assert_eq!(page.entries[0].heading, "P1: A relay kept a signed block: relay-497");
    assert_eq!(page.more.as_deref(), Some("and 475 more: 175 P2, 300 P3"));
    assert_eq!((page.entries.len(), page.lines.len()), (5, 20));
}

#[test]
fn doubts_delays_and_detours_are_said_where_a_message_shows_twice() {
    let context = ChannelContext {
        now: NOW + 3_600_000,
        repetition: Some(Repetition::Restarted),
        fallback_of: Some("ops".to_owned()),
    };
    for settings in channels() {
        let text = match settings.render(&p1(), &context) {
            Rendered::Mail(mail) => String::from_utf8(mail.formatted()).unwrap(),
            Rendered::Http(request) => String::from_utf8(request.body.to_vec()).unwrap(),
            Rendered::Any(_) => continue,
            Rendered::Impossible(message) => panic!("{message}"),
        };
        let shows_twice = matches!(
            settings.kind(),
            ChannelKind::Slack | ChannelKind::Discord | ChannelKind::Telegram | ChannelKind::Ntfy
        );
        assert_eq!(text.contains("May be a repetition"), shows_twice, "{}", settings.kind());
        assert!(text.contains("ops"), "{}", settings.kind());
        assert!(
            settings.kind() == ChannelKind::Webhook || text.contains("Late: this was written 1 h before"),
            "{text}"
        );
    }
}

/// A message that is too long for every service everywhere, in characters of one UTF-16 unit and byte each.
fn endless() -> Message {
    let long = || "x".repeat(20_000);
    let one = AlertText {
        message: long(),
        cost: long(),
        done: long(),
        runbook: long(),
        title: long(),
        subject: long(),
        ..alert()
    };
    Message {
        title: long(),
        alerts: vec![one; 40],
        source: long(),
        group: long(),
        id: "m-3".to_owned(),
        ..p1()
    }
}

#[test]
fn every_limit_is_reached_and_none_is_passed() {
    let slack = body(ChannelKind::Slack, &endless());
    let text = |pointer: &str| slack.pointer(pointer).unwrap().as_str().unwrap();
    assert_eq!(units(text("/blocks/0/text/text")), 150);
    let mut wide = endless();
    wide.alerts.truncate(1);
    wide.body = Some("y".repeat(20_000));
    let sections = body(ChannelKind::Slack, &wide);
    assert_eq!(units(sections.pointer("/blocks/1/text/text").unwrap().as_str().unwrap()), 3000);
    assert_eq!(units(&page::headline(&endless())), 200);

    // One more character than the limit, and exactly the limit.
    for (length, want) in [(255, 255), (256, 64)] {
        let message = Message { group: "g".repeat(length), ..p1() };
        assert_eq!(body(ChannelKind::PagerDuty, &message)["dedup_key"].as_str().unwrap().len(), want);
    }
    assert!(body(ChannelKind::PagerDuty, &endless()).to_string().len() < 512 << 10);

    let discord = body(ChannelKind::Discord, &endless());
    let description = units(discord["embeds"][0]["description"].as_str().unwrap());
    assert!((2000..=4096).contains(&description), "{description}");
    let ntfy = body(ChannelKind::Ntfy, &endless());
    assert!((2000..=4096).contains(&ntfy["message"].as_str().unwrap().len()));
    let telegram = body(ChannelKind::Telegram, &endless());
    assert!((2000..=4300).contains(&telegram["text"].as_str().unwrap().len()));
    let webhook = body(ChannelKind::Webhook, &Message { alerts: vec![alert(); 501], ..p1() });
    assert_eq!(
        (webhook["alerts"].as_array().unwrap().len(), webhook["omitted_alerts"].as_u64()),
        (500, Some(1))
    );
}

#[test]
fn what_means_something_to_a_service_is_escaped() {
    let nasty = "<b>&\"*_`|[x](http://evil.example)@everyone <!channel> <https://evil.example|here>";
    let message = Message {
        title: nasty.to_owned(),
        alerts: vec![AlertText { message: nasty.to_owned(), ..alert() }],
        ..p1()
    };
    let slack = body(ChannelKind::Slack, &message).to_string();
    assert!(
        slack.contains("&lt;!channel&gt;") && !slack[slack.find("section").unwrap()..].contains("<!channel>")
    );
    let telegram = body(ChannelKind::Telegram, &message)["text"].to_string();
    assert!(telegram.contains("&lt;b&gt;&amp;&quot;") && !telegram.contains("<b>&"));
    let discord = body(ChannelKind::Discord, &message);
    assert!(discord["content"].as_str().unwrap().contains("\\[x\\](http"));
    assert_eq!(discord["allowed_mentions"]["parse"], serde_json::json!([]));
}

#[test]
fn pagerduty_opens_acknowledges_and_closes_one_incident() {
    let cases = [
        (MessageKind::Firing, "trigger"),
        (MessageKind::Reminder, "trigger"),
        (MessageKind::Acknowledged, "acknowledge"),
        (MessageKind::Resolved, "resolve"),
    ];
    for (kind, want) in cases {
        let event = body(ChannelKind::PagerDuty, &Message { kind, ..p1() });
        assert_eq!(
            (event["event_action"].as_str(), event["dedup_key"].as_str()),
            (Some(want), Some("P1/relays/1"))
        );
    }
    let severities = [
        (Severity::P1, "critical"),
        (Severity::P2, "error"),
        (Severity::P3, "warning"),
        (Severity::P4, "info"),
    ];
    for (severity, want) in severities {
        assert_eq!(body(ChannelKind::PagerDuty, &Message { severity, ..p1() })["payload"]["severity"], want);
    }
    let digest = body(ChannelKind::PagerDuty, &Message { kind: MessageKind::Digest, ..p1() });
    assert!(digest.get("event_action").is_none(), "a digest wakes nobody");
}

#[test]
fn only_what_fires_can_be_acknowledged() {
    for (kind, want) in [
        (MessageKind::Firing, true),
        (MessageKind::Reminder, true),
        (MessageKind::Resolved, false),
        (MessageKind::Acknowledged, false),
    ] {
        let text = body(ChannelKind::Slack, &Message { kind, ..p1() }).to_string();
        assert_eq!(text.contains("/alerts/ack"), want, "{kind}");
    }
}

/// By `printf '1700000000.{}' | openssl dgst -sha256 -hmac secret`.
#[test]
fn a_signature_is_what_others_compute() {
    let got = sign(&Secret("secret".to_owned()), "1700000000", b"{}");
    assert_eq!(got, "sha256=b8569b78799ff9e3cbff0fc2d63a33a2b57f3282abd07c37ae5e8e7d79a5f163");
    let settings = WebhookSettings { url: url("https://hook.example"), secret: None };
    let unsigned = request(&ChannelSettings::Webhook(settings), &p1(), &context());
    assert!(unsigned.headers.iter().all(|(name, _)| *name != "x-relaymux-signature"));
}

fn mail(message: &Message) -> String {
    shown(&channels()[6], message)
}

#[test]
fn a_mail_fits_a_terminal_and_is_known_again() {
    let (first, again) = (mail(&p1()), mail(&p1()));
    assert_eq!(first, again, "the same message is the same mail, and has the same Message-ID");
    let header =
        |mail: &str, name: &str| mail.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
    let resolved = mail(&Message { id: "m-9".to_owned(), kind: MessageKind::Resolved, ..p1() });
    assert_ne!(header(&first, "Message-ID:"), header(&resolved, "Message-ID:"));
    assert_eq!(header(&first, "References:"), header(&resolved, "References:"), "one thread");
    assert_eq!(header(&first, "X-Priority:"), "X-Priority: 1");
    let ChannelSettings::Email(settings) = &channels()[6] else { panic!() };
    let text = email::text(&page::page(&storm(), &context(), page::LAYOUTS[0]));
    for line in text.lines().filter(|line| !line.contains("://")) {
        assert!(line.chars().count() <= 72, "{line}");
    }
    assert!(email::tls_parameters(settings).is_ok(), "Mozilla's list is taken whole");
}

#[test]
fn a_mail_cannot_be_given_headers_by_others() {
    let message = Message {
        title: "x\r\nBcc: evil@example.org\r\n\r\nhello".to_owned(),
        source: "a\nb".to_owned(),
        ..p1()
    };
    let mail = mail(&message);
    assert!(!mail.contains("\nBcc:"), "{mail}");
}

#[test]
fn alertmanager_is_told_what_fires_and_what_was_resolved_lately() {
    let mut labels = BTreeMap::new();
    labels.insert("alertname".to_owned(), "forged".to_owned());
    labels.insert("k8s.io/pod-1".to_owned(), "x".to_owned());
    labels.insert("1st".to_owned(), "y".to_owned());
    labels.insert("empty".to_owned(), String::new());
    let resolved = |until| AlertText { until: Some(until), subject: format!("until {until}"), ..alert() };
    let snapshot = AlertmanagerSnapshot {
        firing: vec![AlertText { labels, ..alert() }],
        resolved: vec![resolved(NOW - 300_000), resolved(NOW - 300_001), resolved(NOW + 9000)],
        source: "box-1".to_owned(),
        page_url: None,
    };
    let told = alertmanager_payload(NOW, &snapshot);
    assert_eq!(told.len(), 3, "what was resolved more than five minutes ago is left out");
    let labels: Vec<_> = told[0].labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    assert_eq!(
        labels,
        [
            "_1st=y",
            "alertname=payload_withheld",
            "component=relays",
            "instance=box-1",
            "k8s_io_pod_1=x",
            "priority=P1",
            "severity=critical",
            "subject=relay-b"
        ]
    );
    assert_eq!(
        (told[0].starts_at.as_str(), told[0].ends_at.as_str()),
        ("2026-11-28T14:41:45Z", "2026-11-28T14:46:00Z")
    );
    assert!(told[2].starts_at <= told[2].ends_at && told[2].ends_at.as_str() == "2026-11-28T14:43:00Z");
}

fn answer(status: u16, body: &str) -> HttpAnswer {
    HttpAnswer { status, retry_after: None, body: body.as_bytes().to_vec() }
}

/// What follows, in short: `taken`, `later`, `later 5s`, `dead_channel`, `bad_message`.
fn follows(kind: ChannelKind, answer: &HttpAnswer) -> String {
    let settings = channels().into_iter().find(|channel| channel.kind() == kind).unwrap();
    match settings.classify(answer) {
        Answer::Taken => "taken".to_owned(),
        Answer::RetryLater { after: None, .. } => "later".to_owned(),
        Answer::RetryLater { after: Some(after), .. } => format!("later {after:?}"),
        Answer::Never { refusal, .. } => refusal.to_string(),
    }
}

#[test]
fn answers_mean_what_each_service_says() {
    use ChannelKind::{Alertmanager, Discord, Ntfy, PagerDuty, Slack, Telegram, Webhook};
    let cases = [
        (Slack, 200, "ok", "taken"),
        (Slack, 400, "invalid_payload", "bad_message"),
        (Slack, 403, "action_prohibited", "dead_channel"),
        (Slack, 404, "no_service", "dead_channel"),
        (Slack, 410, "channel_is_archived", "dead_channel"),
        (Slack, 429, "rate_limited", "later"),
        (Slack, 500, "rollup_error", "later"),
        (Slack, 302, "", "bad_message"),
        (PagerDuty, 202, r#"{"status":"success"}"#, "taken"),
        (PagerDuty, 400, r#"{"status":"invalid event","errors":["x"]}"#, "bad_message"),
        (PagerDuty, 429, "", "later 60s"),
        (PagerDuty, 503, "", "later"),
        (Discord, 204, "", "taken"),
        (
            Discord,
            429,
            r#"{"message":"You are being rate limited.","retry_after":0.5,"global":false}"#,
            "later 500ms",
        ),
        (Discord, 404, r#"{"message":"Unknown Webhook","code":10015}"#, "dead_channel"),
        (Discord, 401, r#"{"message":"Invalid Webhook Token","code":50027}"#, "dead_channel"),
        (Discord, 400, r#"{"message":"Invalid Form Body","code":50035}"#, "bad_message"),
        (Discord, 502, "<html>", "later"),
        (Telegram, 200, r#"{"ok":true}"#, "taken"),
        (Telegram, 200, r#"{"ok":false}"#, "later"),
        (Telegram, 429, r#"{"ok":false,"parameters":{"retry_after":35}}"#, "later 35s"),
        (Telegram, 400, r#"{"description":"Bad Request: can't parse entities"}"#, "bad_message"),
        (Telegram, 400, r#"{"description":"Bad Request: chat not found"}"#, "dead_channel"),
        (Telegram, 401, r#"{"description":"Unauthorized"}"#, "dead_channel"),
        (Telegram, 403, r#"{"description":"Forbidden: bot was kicked"}"#, "dead_channel"),
        (Telegram, 502, "", "later"),
        (Ntfy, 200, "{}", "taken"),
        (Ntfy, 403, r#"{"error":"forbidden"}"#, "dead_channel"),
        (Ntfy, 429, r#"{"error":"limit reached"}"#, "later"),
        (Ntfy, 400, "", "bad_message"),
        (Ntfy, 507, "", "later"),
        (Webhook, 204, "", "taken"),
        (Webhook, 404, "", "later"),
        (Webhook, 401, "", "later"),
        (Webhook, 410, "", "dead_channel"),
        (Webhook, 422, "", "bad_message"),
        (Webhook, 301, "", "bad_message"),
        (Alertmanager, 200, "", "taken"),
        (Alertmanager, 400, "bad", "bad_message"),
        (Alertmanager, 404, "", "later"),
    ];
    for (kind, status, body, want) in cases {
        assert_eq!(follows(kind, &answer(status, body)), want, "{kind} {status} {body}");
    }
    let patient = HttpAnswer { retry_after: Some(Duration::from_secs(7)), ..answer(429, "") };
    for kind in [Slack, PagerDuty, Discord, Telegram, Ntfy, Webhook] {
        assert_eq!(follows(kind, &patient), "later 7s", "{kind}");
    }
    let forever = HttpAnswer { body: br#"{"retry_after":1e18}"#.to_vec(), ..answer(429, "") };
    assert_eq!(follows(Discord, &forever), "later 3600s");
}

#[test]
fn mail_servers_mean_what_their_codes_say() {
    let cases = [
        (250, "taken"),
        (421, "later"),
        (450, "later"),
        (535, "dead_channel"),
        (550, "dead_channel"),
        (552, "bad_message"),
        (554, "bad_message"),
    ];
    for (status, want) in cases {
        let got = match email::classify(status, String::new()) {
            Answer::Taken => "taken",
            Answer::RetryLater { .. } => "later",
            Answer::Never { refusal, .. } => refusal.label(),
        };
        assert_eq!(got, want, "{status}");
    }
}

fn messages() -> impl Strategy<Value = Message> {
    let text = || prop_oneof!["\\PC{0,40}", "[🚨é<&*x\\n ]{0,1500}"];
    let alerts = proptest::collection::vec((text(), text(), text(), 0usize..4), 0..30);
    (text(), alerts, proptest::option::of(text()), 0usize..6, text()).prop_map(
        |(title, alerts, body, kind, source)| {
            let alerts = alerts.into_iter().map(|(message, subject, runbook, severity)| AlertText {
                title: subject.clone(),
                cost: message.clone(),
                done: runbook.clone(),
                severity: Severity::ALL[severity],
                message,
                subject,
                runbook,
                ..alert()
            });
            Message { title, alerts: alerts.collect(), body, kind: MessageKind::ALL[kind], source, ..p1() }
        },
    )
}

/// Without tags; the entities are those of one character each.
fn plain(html: &str) -> String {
    let without_tags: String =
        html.split('<').map(|part| part.split_once('>').map_or(part, |(_, rest)| rest)).collect();
    without_tags.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn no_message_passes_a_limit(message in messages()) {
        let slack = body(ChannelKind::Slack, &message);
        let blocks = slack["blocks"].as_array().unwrap();
        prop_assert!(blocks.len() <= 50);
        for block in blocks {
            let most = if block["type"] == "header" { 150 } else { 3000 };
            let text = block["text"]["text"].as_str().or_else(|| block["elements"][0]["text"].as_str()).unwrap();
            prop_assert!(!text.is_empty() && units(text) <= most);
        }
        let discord = body(ChannelKind::Discord, &message);
        let description = units(discord["embeds"][0]["description"].as_str().unwrap());
        let footer = units(discord["embeds"][0]["footer"]["text"].as_str().unwrap());
        prop_assert!(units(discord["content"].as_str().unwrap()) <= 2000 && description <= 4096 && description + footer <= 6000);
        let telegram = body(ChannelKind::Telegram, &message);
        let text = plain(telegram["text"].as_str().unwrap());
        prop_assert!(units(&text) <= 4096, "{}", units(&text));
        let ntfy = body(ChannelKind::Ntfy, &message);
        prop_assert!((1..=4096).contains(&ntfy["message"].as_str().unwrap().len()));
        let pagerduty = body(ChannelKind::PagerDuty, &message);
        prop_assert!(units(pagerduty["payload"]["summary"].as_str().unwrap()) <= 1024);
        mail(&message);
    }
}
