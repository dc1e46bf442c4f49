//! Files with `[alerts]`: what becomes of good ones, what is said of wrong ones, and that no secret is in it.

use std::path::Path;

use jiff::civil::Time;

use super::*;
use crate::{
    alerts::{Aggregation, Comparison, channels::ChannelSettings},
    config::{Config, ConfigError, Mistake},
    events::{Component, Persistence},
};

const RELAY: &str = "[[relays]]\nid = \"a\"\nurl = \"https://0xac6e77dfe25ecd6110b8e780608cce0dab71fdd5ebea22a16c0205200f2f8e2e3ad3b71d3499c54ad14d6c21b41a37ae@a.example.org\"\n";

static SHIPPED: AlertRule = AlertRule {
    name: std::borrow::Cow::Borrowed("payload_withheld"),
    severity: Severity::P1,
    component: Component::Relays,
    title: std::borrow::Cow::Borrowed("A relay kept a signed block"),
    cost: std::borrow::Cow::Borrowed(""),
    done: std::borrow::Cow::Borrowed(""),
    runbook: std::borrow::Cow::Borrowed(""),
    page: std::borrow::Cow::Borrowed("/"),
    fail_for: Duration::ZERO,
    clear_for: Duration::ZERO,
    persistence: Persistence::Condition,
};

fn read_in(folder: &Path, text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let environment: Vec<(String, String)> =
        environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    Config::parse(&format!("{text}\n{RELAY}"), &folder.join("relays.toml"), &environment, &[&SHIPPED])
}

fn read(text: &str) -> Result<Config, ConfigError> {
    read_in(Path::new("/nowhere"), text, &[("HOSTNAME", "box-1")])
}

fn good(text: &str) -> Config {
    read(text).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn mistakes(result: Result<Config, ConfigError>) -> Vec<Mistake> {
    match result.unwrap_err() {
        ConfigError::Wrong { mistakes, .. } => mistakes,
        ConfigError::Read { error, .. } => panic!("{error}"),
    }
}

const FULL: &str = r#"
[ops]
listen = "127.0.0.1:19000"
[alerts]
source = "box-7"
public_url = "https://box.example/relaymux/"
group_wait = "10s"
group_interval = "2m"
reacknowledge_after = "12h"
reacknowledge_p1_after = "2h"
digest_at = "08:30"
weekly_digest_on = "fri"
daily_digest = "news"
digest_contacts = ["bob"]
time_zone = "Europe/Berlin"
dead_man_url = "https://hc.example/ping/k3y"
dead_man_every = "30s"
ack_link_valid_for = "2d"
disable = ["payload_withheld"]
certificates = ["/etc/box/fullchain.pem"]
certificate_warning = "2w"
secret_max_age = "180d"
host_root = "/host"

[[alerts.channels]]
id = "slack"
kind = "slack"
url = "https://hooks.slack.com/services/T/B/k3y"
fallback = "mail"
[[alerts.channels]]
id = "pager"
kind = "pagerduty"
routing_key = "0123456789abcdef0123456789abcdef"
[[alerts.channels]]
id = "discord"
kind = "discord"
url = "https://discord.com/api/webhooks/1/k3y"
[[alerts.channels]]
id = "telegram"
kind = "telegram"
token = "123456:ABCDEFGHIJKLMNOPQRSTUVWXYZ"
chat_id = -1001234567890
thread_id = 7
[[alerts.channels]]
id = "phone"
kind = "ntfy"
topic = "relaymux-5f1c"
token = "tk_k3y"
[[alerts.channels]]
id = "mail"
kind = "email"
host = "smtp.example.org"
tls = "implicit"
username = "relaymux"
password = "k3y k3y"
from = "relaymux <relaymux@example.org>"
to = ["ops@example.org", "anna@example.org"]
[[alerts.channels]]
id = "hook"
kind = "webhook"
url = "https://hook.example/k3y"
secret = "0123456789abcdef"
[[alerts.channels]]
id = "am"
kind = "alertmanager"
urls = ["http://am-0:9093", "http://am-1:9093"]

[[alerts.contacts]]
id = "anna"
channels = ["pager", "phone"]
[[alerts.contacts]]
id = "bob"
channels = ["telegram"]
[[alerts.rotas]]
id = "oncall"
members = ["anna", "bob"]
first_week = 2026-03-02
handover = "tue 10:00"
overrides = [{ from = 2026-12-24, to = 2026-12-27T09:00:00, member = "discord" }]

[[alerts.escalation]]
severity = "P1"
respond_within = "10m"
contacts = ["oncall", "slack"]
[[alerts.escalation]]
severity = "P4"
contacts = ["mail", "hook"]

[[alerts.rules]]
name = "slow_headers"
metric = "relaymux_header_seconds"
labels = 'quantile="0.99"'
aggregate = "max"
op = ">"
threshold = 0.8
for = "5m"
clear_for = "2m"
severity = "P2"
component = "relays"
title = "Headers are slow"
runbook = "Look at the relays' latencies."
[[alerts.rules]]
name = "many_faults"
metric = "relaymux_faults_total"
labels = { relay = "a", code = 5 }
op = ">="
threshold = 1
rate_over = "10m"

[[alerts.client_floors]]
client = "geth"
fork = "gloas"
version = "1.17.10"

[sla]
target_percent = 99.5
"#;

#[test]
fn every_key_has_its_meaning() {
    let config = good(FULL);
    let AlertsConfig {
        settings,
        channels,
        rules,
        dead_man,
        disabled,
        severities,
        ack_link_valid_for,
        ages,
        client_floors,
        host_root,
    } = config.alerts;
    assert_eq!(settings.source, "box-7");
    assert_eq!(settings.pages.as_deref(), Some("https://box.example/relaymux"));
    let secs = [
        settings.group_wait,
        settings.group_interval,
        settings.reacknowledge_after,
        settings.reacknowledge_p1_after,
        ack_link_valid_for,
    ]
    .map(|duration| duration.as_secs());
    assert_eq!(secs, [10, 120, 43_200, 7200, 172_800]);
    let digests = (settings.digest_at, settings.weekly_digest_on, settings.daily_digest);
    assert_eq!(digests, (Time::constant(8, 30, 0, 0), Some(Weekday::Friday), DailyDigest::News));
    assert_eq!(settings.digest_contacts, ["bob"]);
    assert_eq!(settings.digest_zone.iana_name(), Some("Europe/Berlin"));
    assert_eq!(dead_man.unwrap().interval, Duration::from_secs(30));
    assert_eq!((disabled.len(), severities.len()), (1, 0));
    assert_eq!(ages.certificates, [std::path::Path::new("/etc/box/fullchain.pem")]);
    assert_eq!(
        (ages.certificate_warning.as_secs(), ages.secret_max_age.map(|age| age.as_secs())),
        (1_209_600, Some(15_552_000))
    );
    assert_eq!((client_floors.len(), host_root.as_path()), (1, std::path::Path::new("/host")));

    let kinds: Vec<ChannelKind> = channels.iter().map(|channel| channel.settings.kind()).collect();
    let mut all = ChannelKind::ALL.to_vec();
    all.sort_unstable();
    let mut sorted = kinds.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, all, "each kind once");
    assert_eq!(channels[0].fallback.as_deref(), Some("mail"));
    for channel in &channels {
        match &channel.settings {
            ChannelSettings::Telegram(telegram) => {
                assert_eq!((telegram.chat_id.as_str(), telegram.thread_id), ("-1001234567890", Some(7)));
            }
            ChannelSettings::Email(mail) => {
                assert_eq!((mail.port, mail.to.len()), (465, 2));
                assert_eq!(mail.login.as_ref().unwrap().1.0, "k3y k3y");
            }
            ChannelSettings::Alertmanager(manager) => assert_eq!(manager.urls.len(), 2),
            _ => {}
        }
    }

    let rota = &settings.rotas["oncall"];
    assert_eq!(rota.zone, settings.digest_zone);
    assert_eq!((rota.handover_day, rota.handover_time), (Weekday::Tuesday, Time::constant(10, 0, 0, 0)));
    assert_eq!((rota.overrides[0].from, rota.overrides[0].to), (1_798_066_800_000, 1_798_358_400_000));
    assert_eq!(settings.channels_of("oncall", 1_798_070_000_000), ["discord"]);
    let lines = [Severity::P1, Severity::P2, Severity::P3, Severity::P4].map(|severity| {
        let line = settings.escalation.of(severity);
        (line.respond_within.as_secs(), line.contacts.len())
    });
    assert_eq!(lines, [(600, 2), (1800, 0), (14_400, 0), (86_400, 2)]);

    let first = &rules[0];
    assert_eq!(
        (first.aggregation, first.comparison, first.matchers.len()),
        (Aggregation::Max, Comparison::Above, 1)
    );
    assert_eq!((&*first.rule.title, first.rule.severity), ("Headers are slow", Severity::P2));
    assert_eq!((first.rule.fail_for.as_secs(), first.rule.clear_for.as_secs()), (300, 120));
    let second = &rules[1];
    assert_eq!((second.matchers.len(), second.rate_over), (2, Some(Duration::from_secs(600))));
    assert_eq!(
        (&*second.rule.title, second.rule.severity),
        ("relaymux_faults_total each second over 10m >= 1", Severity::P3)
    );
    assert_eq!(config.sla.budget_secs(1000), 5);
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn without_the_section_alerts_are_kept_and_nobody_is_told() {
    let config = good("");
    assert!(config.alerts.channels.is_empty() && config.alerts.dead_man.is_none());
    assert_eq!(config.alerts.settings.source, "box-1");
    assert_eq!(config.alerts.settings.pages.as_deref(), Some("http://127.0.0.1:18551"));
    assert_eq!(config.alerts.settings.weekly_digest_on, Some(Weekday::Monday));
    assert_eq!(config.alerts.settings.daily_digest, DailyDigest::Always);
    for (listen, pages) in [
        ("0.0.0.0:80", Some("http://127.0.0.1:80")),
        ("127.0.0.1:0", None),
        ("[::1]:7", Some("http://[::1]:7")),
    ] {
        let config = good(&format!("[ops]\nlisten = \"{listen}\"\n"));
        assert_eq!(config.alerts.settings.pages.as_deref(), pages);
    }
}

const SLACK: &str =
    "[[alerts.channels]]\nid = \"ops\"\nkind = \"slack\"\nurl = \"https://hooks.slack.com/k3y\"\n";
const P1: &str = "[[alerts.escalation]]\nseverity = \"P1\"\ncontacts = [\"ops\"]\n";

/// Each has one mistake: at this key, in these words, with this hint.
#[test]
fn every_mistake_names_its_key_and_what_to_do() {
    let email = |more: &str| {
        format!(
            "{P1}[[alerts.channels]]\nid = \"ops\"\nkind = \"email\"\nfrom = \"a@b.example\"\nto = [\"c@d.example\"]\n{more}"
        )
    };
    let of_kind =
        |kind: &str, more: &str| format!("{P1}[[alerts.channels]]\nid = \"ops\"\nkind = \"{kind}\"\n{more}");
    let alerts = |more: &str| format!("[alerts]\n{more}\n");
    let told = |more: &str| format!("{SLACK}{P1}{more}");
    let rule = |more: &str| {
        format!("[[alerts.rules]]\nname = \"r\"\nmetric = \"relaymux_x\"\nop = \">\"\nthreshold = 1\n{more}")
    };
    let cases: Vec<(String, &str, &str, &str)> = vec![
        (alerts("group_wait = \"5 min\""), "alerts.group_wait", "no length of time", "\"5m\""),
        (alerts("group_wait = 5"), "alerts.group_wait", "expected a length of time", "docs/configuration.md"),
        (alerts("group_wait = \"2h\""), "alerts.group_wait", "2h is too long", "0s to 1h"),
        (alerts("group_interval = \"1s\""), "alerts.group_interval", "too short", "1m to 1d"),
        (alerts("reacknowledge_p1_after = \"1s\""), "alerts.reacknowledge_p1_after", "too short", "4h"),
        (alerts("digest_at = \"9\""), "alerts.digest_at", "no time of day", "09:00"),
        (alerts("weekly_digest_on = \"monday\""), "alerts.weekly_digest_on", "no day", "mon, tue"),
        (alerts("daily_digest = \"yes\""), "alerts.daily_digest", "not when", "always, news"),
        (alerts("digest_contacts = [\"bob\"]"), "alerts.digest_contacts[0]", "`bob`", ""),
        (
            alerts("time_zone = \"Europe/Berlln\""),
            "alerts.time_zone",
            "no time zone `Europe/Berlln`",
            "tzdata",
        ),
        (alerts("source = \"\""), "alerts.source", "is empty", "box-1"),
        (alerts("public_url = \"box.example\""), "alerts.public_url", "not an http", "https://"),
        (alerts("public_url = \"https://me:k3y@box.example\""), "alerts.public_url", "has a user", "alone"),
        (alerts("dead_man_every = \"1m\""), "alerts.dead_man_url", "is missing", "dead_man_url_file"),
        (
            alerts("dead_man_url = \"http://hc.example/k3y\""),
            "alerts.dead_man_url",
            "http:// to another machine",
            "https://",
        ),
        (alerts("dead_man_url = \"k3y\""), "alerts.dead_man_url", "not a URL", "copy it"),
        (
            alerts("disable = [\"payload_witheld\"]"),
            "alerts.disable[0]",
            "no rule `payload_witheld`",
            "`payload_withheld`",
        ),
        (
            alerts("severities = { payload_witheld = \"P2\" }"),
            "alerts.severities.payload_witheld",
            "no rule",
            "`payload_withheld`",
        ),
        (
            alerts("severities = { payload_withheld = \"P5\" }"),
            "alerts.severities.payload_withheld",
            "no severity `P5`",
            "P1: slots",
        ),
        (
            alerts("disable = [\"payload_withheld\"]\nseverities = { payload_withheld = \"P2\" }"),
            "alerts.severities.payload_withheld",
            "is in alerts.disable",
            "one of the two",
        ),
        (alerts("chanels = []"), "alerts.chanels", "unknown key", "`channels`"),
        (
            format!("{}disable = [\"r\"]\n{}", alerts(""), rule("")),
            "alerts.disable[0]",
            "is one of [[alerts.rules]]",
            "change it there",
        ),
        (SLACK.to_owned(), "alerts.channels", "nobody is told of P1", "severity = \"P1\""),
        (
            told("[[alerts.channels]]\nid = \"ops\"\nkind = \"ntfy\"\ntopic = \"t\"\n"),
            "alerts.channels[1].id",
            "twice",
            "own",
        ),
        (
            told("[[alerts.channels]]\nkind = \"ntfy\"\ntopic = \"t\"\n"),
            "alerts.channels[1].id",
            "is missing",
            "id =",
        ),
        (of_kind("slak", ""), "alerts.channels[0].kind", "no kind `slak`", "`slack`"),
        (told("[[alerts.channels]]\nid = \"x\"\n"), "alerts.channels[1].kind", "is missing", "pagerduty"),
        (of_kind("slack", ""), "alerts.channels[0].url", "is missing", "url_file"),
        (
            of_kind("slack", "url = \"http://hooks.slack.com/k3y\"\n"),
            "alerts.channels[0].url",
            "http:// to another",
            "https://",
        ),
        (
            of_kind("slack", "url = \"ftp://hooks/k3y\"\n"),
            "alerts.channels[0].url",
            "must begin with https://",
            "copy it",
        ),
        (of_kind("slack", "url = \" \"\n"), "alerts.channels[0].url", "is empty", "alone"),
        (
            of_kind("slack", "url_file = \"no.url\"\n"),
            "alerts.channels[0].url_file",
            "/nowhere/no.url: ",
            "relative",
        ),
        (
            format!("{P1}{SLACK}url_file = \"x\"\n"),
            "alerts.channels[0].url_file",
            "given as well",
            "keep one",
        ),
        (
            format!("{P1}{SLACK}token = \"k3y\"\n"),
            "alerts.channels[0].token",
            "no key of a channel of kind slack",
            "url, url_file",
        ),
        (
            format!("{P1}{SLACK}fallback = \"opz\"\n"),
            "alerts.channels[0].fallback",
            "no channel `opz`",
            "`ops`",
        ),
        (format!("{P1}{SLACK}fallback = \"ops\"\n"), "alerts.channels[0].fallback", "itself", "another"),
        (format!("{P1}{SLACK}urll = \"k3y\"\n"), "alerts.channels[0].urll", "unknown key", "`url`"),
        (of_kind("pagerduty", ""), "alerts.channels[0].routing_key", "is missing", "routing_key_file"),
        (
            of_kind("pagerduty", "routing_key = \"k3y\"\n"),
            "alerts.channels[0].routing_key",
            "has 3 characters",
            "Integration Key",
        ),
        (of_kind("telegram", "chat_id = 1\n"), "alerts.channels[0].token", "is missing", "token_file"),
        (
            of_kind("telegram", "chat_id = 1\ntoken = \"k3y\"\n"),
            "alerts.channels[0].token",
            "no token of a bot",
            "@BotFather",
        ),
        (
            of_kind("telegram", "token = \"1:k3yk3yk3yk3yk3yk3yk3y\"\n"),
            "alerts.channels[0].chat_id",
            "is missing",
            "getUpdates",
        ),
        (
            of_kind("telegram", "chat_id = \"ops\"\ntoken = \"1:k3yk3yk3yk3yk3yk3yk3y\"\n"),
            "alerts.channels[0].chat_id",
            "is no chat",
            "getUpdates",
        ),
        (of_kind("ntfy", ""), "alerts.channels[0].topic", "is missing", "topic_file"),
        (of_kind("ntfy", "topic = \"k3y/x\"\n"), "alerts.channels[0].topic", "no topic", "openssl"),
        (
            of_kind("ntfy", "topic = \"t\"\ntoken = \"k3y k3y\"\n"),
            "alerts.channels[0].token",
            "has blanks",
            "copy it",
        ),
        (of_kind("webhook", ""), "alerts.channels[0].url", "is missing", "url_file"),
        (
            of_kind("webhook", "url = \"https://h.example\"\nsecret = \"k3y\"\n"),
            "alerts.channels[0].secret",
            "guessed",
            "openssl",
        ),
        (of_kind("alertmanager", ""), "alerts.channels[0].urls", "is missing", "9093"),
        (of_kind("alertmanager", "urls = [\"k3y\"]\n"), "alerts.channels[0].urls[0]", "not a URL", "copy it"),
        (email(""), "alerts.channels[0].host", "is missing", "smtp"),
        (email("host = \"smtp://x\"\n"), "alerts.channels[0].host", "is no name", "alone"),
        (
            email("host = \"mx.example\"\ntls = \"ssl\"\n"),
            "alerts.channels[0].tls",
            "`ssl` is not one",
            "implicit",
        ),
        (
            email("host = \"mx.example\"\ntls = \"none\"\n"),
            "alerts.channels[0].tls",
            "not this machine",
            "starttls",
        ),
        (email("host = \"mx.example\"\nport = 0\n"), "alerts.channels[0].port", "0 is no port", "587"),
        (
            email("host = \"mx.example\"\nusername = \"me\"\n"),
            "alerts.channels[0].password",
            "is missing",
            "password_file",
        ),
        (
            email("host = \"mx.example\"\npassword = \"k3y\"\n"),
            "alerts.channels[0].username",
            "is missing",
            "whose",
        ),
        (
            email("host = \"mx.example\"\n").replace("c@d.example", "c"),
            "alerts.channels[0].to[0]",
            "no mail address",
            "@",
        ),
        (
            email("host = \"mx.example\"\n").replace("\"c@d.example\"", ""),
            "alerts.channels[0].to",
            "nobody",
            "to =",
        ),
        (
            email("host = \"mx.example\"\n").replace("from = \"a@b.example\"\n", ""),
            "alerts.channels[0].from",
            "is missing",
            "from =",
        ),
        (
            told("[[alerts.contacts]]\nid = \"anna\"\n"),
            "alerts.contacts[0].channels",
            "nobody would be told",
            "name one",
        ),
        (
            told("[[alerts.contacts]]\nid = \"ops\"\nchannels = [\"ops\"]\n"),
            "alerts.contacts[0].id",
            "name of a channel",
            "another",
        ),
        (
            told("[[alerts.contacts]]\nid = \"a\"\nchannels = [\"op\"]\n"),
            "alerts.contacts[0].channels[0]",
            "no channel `op`",
            "`ops`",
        ),
        (
            told("[[alerts.rotas]]\nid = \"r\"\n"),
            "alerts.rotas[0].members",
            "nobody would be on call",
            "name contacts",
        ),
        (
            told("[[alerts.rotas]]\nid = \"r\"\nmembers = [\"zoe\"]\n"),
            "alerts.rotas[0].members[0]",
            "no contact or channel `zoe`",
            "ops",
        ),
        (
            told("[[alerts.rotas]]\nid = \"r\"\nmembers = [\"ops\"]\nhandover = \"monday\"\n"),
            "alerts.rotas[0].handover",
            "no day of the week and time",
            "mon 09:00",
        ),
        (
            told("[[alerts.rotas]]\nid = \"r\"\nmembers = [\"ops\"]\nfirst_week = 09:00:00\n"),
            "alerts.rotas[0].first_week",
            "is no date",
            "without quotes",
        ),
        (
            told(
                "[[alerts.rotas]]\nid = \"r\"\nmembers = [\"ops\"]\noverrides = [{ from = 2026-01-02, to = 2026-01-01, member = \"ops\" }]\n",
            ),
            "alerts.rotas[0].overrides[0].to",
            "is not after from",
            "the day after",
        ),
        (
            told(
                "[[alerts.rotas]]\nid = \"r\"\nmembers = [\"ops\"]\noverrides = [{ from = 2026-01-02, to = 2026-01-03 }]\n",
            ),
            "alerts.rotas[0].overrides[0].member",
            "is missing",
            "stands in",
        ),
        (
            told("[[alerts.escalation]]\nseverity = \"P2\"\ncontacts = [\"zoe\"]\n"),
            "alerts.escalation[1].contacts[0]",
            "`zoe`",
            "ops",
        ),
        (
            told("[[alerts.escalation]]\nseverity = \"P0\"\n"),
            "alerts.escalation[1].severity",
            "no severity `P0`",
            "P1: slots",
        ),
        (
            told("[[alerts.escalation]]\nseverity = \"P1\"\ncontacts = [\"ops\"]\n"),
            "alerts.escalation[1].severity",
            "twice",
            "one",
        ),
        (
            told("[[alerts.escalation]]\nseverity = \"P2\"\nrespond_within = \"1s\"\n"),
            "alerts.escalation[1].respond_within",
            "too short",
            "30m",
        ),
        (rule("").replace("\"r\"", "\"R\""), "alerts.rules[0].name", "no name", "slow_headers"),
        (
            rule("").replace("\"r\"", "\"payload_withheld\""),
            "alerts.rules[0].name",
            "relaymux itself",
            "alerts.severities",
        ),
        (format!("{}{}", rule(""), rule("")), "alerts.rules[1].name", "twice", "own"),
        (
            rule("").replace("relaymux_x", "node_load1"),
            "alerts.rules[0].metric",
            "none of relaymux's",
            "relaymux_",
        ),
        (
            rule("").replace("relaymux_x", "relaymux_x{a=1}"),
            "alerts.rules[0].metric",
            "labels have a key",
            "relaymux_",
        ),
        (rule("").replace('>', "=>"), "alerts.rules[0].op", "no comparison `=>`", ">="),
        (rule("").replace("threshold = 1\n", ""), "alerts.rules[0].threshold", "is missing", "0.5"),
        (rule("").replace("= 1\n", "= nan\n"), "alerts.rules[0].threshold", "no number", "0.5"),
        (rule("labels = 'relay'\n"), "alerts.rules[0].labels", "no matcher", "titan"),
        (rule("aggregate = \"avg\"\n"), "alerts.rules[0].aggregate", "`avg`", "any:"),
        (rule("rate_over = \"5s\"\n"), "alerts.rules[0].rate_over", "too short", "30s"),
        (rule("component = \"relay\"\n"), "alerts.rules[0].component", "no component `relay`", "`relays`"),
        (rule("severity = \"high\"\n"), "alerts.rules[0].severity", "no severity `high`", "P1"),
        (rule("title = \"\"\n"), "alerts.rules[0].title", "is empty", "a sentence"),
        ("[sla]\ntarget_percent = 100\n".to_owned(), "sla.target_percent", "cannot be held", "99.999"),
        ("[sla]\ntarget = 99.9\n".to_owned(), "sla.target", "unknown key", "`target_percent`"),
    ];
    for (text, key, message, hint) in cases {
        let result = read(&text);
        let said = result.as_ref().map_or_else(ToString::to_string, |_| "nothing".to_owned());
        assert!(result.is_err(), "nothing is wrong with\n{text}");
        let found = mistakes(result);
        assert_eq!(found.len(), 1, "{text}\n{said}");
        assert_eq!(found[0].key, key, "{text}\n{said}");
        assert!(found[0].message.contains(message), "{message}: {said}");
        assert!(found[0].hint.contains(hint), "{hint}: {said}");
        assert!(found[0].place.is_some(), "{said}");
        assert!(!said.contains("k3y"), "{text}\n{said}");
    }
}

/// All that is wrong is said at once, and nothing twice.
#[test]
fn one_mistake_hides_no_other_and_makes_none() {
    let text = FULL
        .replace("kind = \"slack\"", "kind = \"slak\"")
        .replace("0.8", "inf")
        .replace("\"10m\"\ncont", "\"10\"\ncont");
    let keys: Vec<String> = mistakes(read(&text)).into_iter().map(|mistake| mistake.key).collect();
    assert_eq!(
        keys,
        ["alerts.channels[0].kind", "alerts.escalation[0].respond_within", "alerts.rules[0].threshold"]
    );
}

#[cfg(unix)]
#[test]
fn secrets_come_from_files_that_are_followed_and_never_shown() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("slack.url");
    let text =
        format!("{}{P1}", SLACK.replace("url = \"https://hooks.slack.com/k3y\"", "url_file = \"slack.url\""));
    let write = |content: &str, mode: u32| {
        std::fs::write(&file, content).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    write("  https://hooks.slack.com/k3y\n", 0o600);
    let config = read_in(folder.path(), &text, &[]).unwrap();
    let ChannelSettings::Slack(slack) = &config.alerts.channels[0].settings else { panic!() };
    assert_eq!(slack.url.expose().as_str(), "https://hooks.slack.com/k3y");
    assert_eq!((config.included.as_slice(), config.warnings.len()), (&[file.clone()][..], 0));
    assert!(!format!("{config:?}").contains("k3y"));

    write("https://hooks.slack.com/k3y\n", 0o644);
    let config = read_in(folder.path(), &text, &[]).unwrap();
    assert!(
        config.warnings[0].contains("slack.url: others can read this key: chmod 600"),
        "{:?}",
        config.warnings
    );

    for (content, said) in [
        ("", "is empty"),
        ("k3y", "not a URL"),
        ("https://a.example/k3y\nhttps://b.example/k3y\n", "more than one line"),
        (&*format!("https://a.example/k3y{}", "x".repeat(5000)), "longer than"),
    ] {
        write(content, 0o600);
        let error = read_in(folder.path(), &text, &[]).unwrap_err();
        let ConfigError::Wrong { included, .. } = &error else { panic!() };
        assert_eq!(included.as_slice(), std::slice::from_ref(&file), "a change of it may end the mistake");
        let error = error.to_string();
        assert!(error.contains("alerts.channels[0].url_file") && error.contains(said), "{error}");
        assert!(!error.contains("k3y"), "{error}");
    }
}

#[test]
fn the_environment_sets_keys_of_channels_and_is_never_quoted() {
    let with = |value| {
        read_in(
            Path::new("/nowhere"),
            &format!("{SLACK}{P1}"),
            &[("RELAYMUX_ALERTS__CHANNELS__0__URL", value)],
        )
    };
    let config = with("https://other.example/x").unwrap();
    let ChannelSettings::Slack(slack) = &config.alerts.channels[0].settings else { panic!() };
    assert_eq!(slack.url.expose().host_str(), Some("other.example"));
    let error = with("http://other.example/k3y").unwrap_err().to_string();
    assert!(error.contains("RELAYMUX_ALERTS__CHANNELS__0__URL") && !error.contains("k3y"), "{error}");
    let regraded =
        read_in(Path::new("/nowhere"), "", &[("RELAYMUX_ALERTS__SEVERITIES__PAYLOAD_WITHHELD", "P2")])
            .unwrap();
    assert_eq!(regraded.alerts.severities.get("payload_withheld"), Some(&Severity::P2));
}

#[test]
fn what_is_odd_is_warned_about() {
    let unused = "[[alerts.channels]]\nid = \"unused\"\nkind = \"ntfy\"\ntopic = \"t\"\n";
    for (text, said) in [
        (format!("{SLACK}{P1}{unused}"), "names the channel `unused`"),
        (
            format!(
                "{SLACK}{P1}[[alerts.channels]]\nid = \"am\"\nkind = \"alertmanager\"\nurls = [\"http://am.example:9093\"]\n"
            ),
            "alerts.channels[1].urls[0] is http://",
        ),
        (
            "[alerts]\ndead_man_url = \"http://healthchecks:8000/ping/k3y\"\n".to_owned(),
            "alerts.dead_man_url is http://",
        ),
    ] {
        let warnings = good(&text).warnings;
        assert!(
            warnings.len() == 1 && warnings[0].contains(said) && !warnings[0].contains("k3y"),
            "{warnings:?}"
        );
    }
}

#[test]
fn alertmanager_alone_needs_nobody_in_the_escalation() {
    let config =
        good("[[alerts.channels]]\nid = \"am\"\nkind = \"alertmanager\"\nurls = [\"http://am:9093\"]\n");
    assert!(config.alerts.settings.escalation.p1.contacts.is_empty());
    assert_eq!(config.warnings, Vec::<String>::new());
}

#[test]
fn who_is_told_changes_at_once_and_where_waits_for_a_restart() {
    let before = good(FULL);
    assert_eq!(before.needs_restart(&good(FULL)), Vec::<&str>::new());
    let people = good(&FULL.replace("contacts = [\"oncall\", \"slack\"]", "contacts = [\"slack\"]"));
    assert_eq!(before.needs_restart(&people), Vec::<&str>::new());
    assert_eq!(before.alerts.reloaded(&people.alerts).settings, people.alerts.settings);
    for (from, to, section) in [
        ("services/T/B/k3y", "services/T/B/other", "[[alerts.channels]]"),
        ("threshold = 0.8", "threshold = 0.9", "[[alerts.rules]]"),
        ("\"30s\"", "\"31s\"", "[alerts] dead_man_url"),
        ("[\"payload_withheld\"]", "[]", "[alerts] disable"),
        ("99.5", "99.6", "[sla]"),
    ] {
        let after = good(&FULL.replace(from, to));
        assert_eq!(before.needs_restart(&after), [section]);
        let running = before.alerts.reloaded(&after.alerts);
        assert_eq!(running, before.alerts, "{section}");
    }
    // A channel that does not run yet is told nothing.
    let both = good(&FULL.replace("\"slack\"", "\"chat\"").replace("kind = \"chat\"", "kind = \"slack\""));
    assert_eq!(before.alerts.reloaded(&both.alerts), before.alerts);
}
