//! `[alerts]`: from the file as written to the settings of the room `alerts`, or mistakes with their place.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::{civil::Weekday, tz::TimeZone};

use super::{
    alert_ages::{AgeSettings, ages},
    alert_channels::channels,
    alert_floors::client_floors,
    alert_maintenance::maintenance,
    alert_people::{Names, contacts, digest_contacts, escalation, rotas, time_of_day, time_zone, weekday},
    alert_rules::{rules, shipped_rules},
    checker::{Checker, url},
    durations::duration,
    raw_alerts::RawAlerts,
    secrets::{Place, PlainHttp, secret_url},
};
use crate::{
    alerts::{
        AlertSettings, DailyDigest, MetricRule,
        channels::{Channel, ChannelKind},
        deadman::DeadmanSettings,
    },
    ethereum::ClientFloor,
    events::{AlertRule, Severity},
};

const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(86_400);

/// How long a link acknowledges, unless configured.
const ACK_LINK_VALID_FOR: Duration = DAY;

/// `[alerts]`. Without the section alerts are kept and shown all the same, and nobody is told.
#[derive(Clone, Debug, PartialEq)]
pub struct AlertsConfig {
    /// Who is told what and when. `ack_links` is none: whoever has the key adds it.
    pub settings: AlertSettings,
    /// `[[alerts.channels]]`. Read at start only.
    pub channels: Vec<Channel>,
    /// `[[alerts.rules]]`. Read at start only.
    pub rules: Vec<MetricRule>,
    /// `dead_man_url`: who is told outside that this machine lives. Read at start only.
    pub dead_man: Option<DeadmanSettings>,
    /// `disable`: shipped rules that make no alerts. Read at start only.
    pub disabled: BTreeSet<String>,
    /// `severities`: shipped rules of another severity than theirs. Read at start only.
    pub severities: BTreeMap<String, Severity>,
    /// `ack_link_valid_for`: how long a link in a message acknowledges. Read at start only.
    pub ack_link_valid_for: Duration,
    /// Certificates and secrets whose age is watched. Read at start only.
    pub ages: AgeSettings,
    /// `[[alerts.client_floors]]`. Read at start only.
    pub client_floors: Vec<ClientFloor>,
    /// `host_root`: where the machine's `/proc` and `/sys` are. Read at start only.
    pub host_root: PathBuf,
}

impl Default for AlertsConfig {
    /// What is in force without the section; the name of this machine and where its pages are is not known here.
    fn default() -> Self {
        Self {
            settings: AlertSettings::default(),
            channels: Vec::new(),
            rules: Vec::new(),
            dead_man: None,
            disabled: BTreeSet::new(),
            severities: BTreeMap::new(),
            ack_link_valid_for: ACK_LINK_VALID_FOR,
            ages: AgeSettings::default(),
            client_floors: Vec::new(),
            host_root: PathBuf::from("/"),
        }
    }
}

impl AlertsConfig {
    /// What differs from another configuration's and is read at start only, by name.
    pub(super) fn needs_restart(&self, other: &Self) -> Vec<&'static str> {
        let Self {
            settings: _,
            channels,
            rules,
            dead_man,
            disabled,
            severities,
            ack_link_valid_for,
            ages,
            client_floors,
            host_root,
        } = self;
        [
            ("[[alerts.channels]]", *channels != other.channels),
            ("[[alerts.rules]]", *rules != other.rules),
            ("[alerts] dead_man_url", *dead_man != other.dead_man),
            ("[alerts] disable", *disabled != other.disabled),
            ("[alerts] severities", *severities != other.severities),
            ("[alerts] ack_link_valid_for", *ack_link_valid_for != other.ack_link_valid_for),
            ("[alerts] certificates", ages.certificates != other.ages.certificates),
            ("[alerts] certificate_warning", ages.certificate_warning != other.ages.certificate_warning),
            ("[alerts] secret_max_age", ages.secret_max_age != other.ages.secret_max_age),
            ("[[alerts.client_floors]]", *client_floors != other.client_floors),
            ("[alerts] host_root", *host_root != other.host_root),
        ]
        .into_iter()
        .filter(|(_, differs)| *differs)
        .map(|(name, _)| name)
        .collect()
    }

    /// What is in force once a running service has read a new configuration. While other channels wait for a restart, who is told waits with
    /// them: a message to a channel that does not run reaches nobody.
    #[must_use]
    pub fn reloaded(&self, new: &Self) -> Self {
        if self.channels != new.channels {
            return self.clone();
        }
        Self { settings: new.settings.clone(), ..self.clone() }
    }
}

/// What the section is read beside.
pub(super) struct AlertsContext<'a> {
    /// The file's folder: paths in the file are relative to it.
    pub(super) folder: &'a Path,
    /// The process's environment.
    pub(super) environment: &'a [(String, String)],
    /// Where the ops API listens.
    pub(super) ops: SocketAddr,
    /// Every rule that relaymux ships with.
    pub(super) shipped: &'a [&'a AlertRule],
}

/// Checks the section.
pub(super) fn alerts(raw: &RawAlerts, context: &AlertsContext<'_>, checker: &mut Checker) -> AlertsConfig {
    let before = checker.mistakes_so_far();
    let folder = context.folder;
    let zone = time_zone("alerts.time_zone", raw.time_zone.as_ref(), &TimeZone::UTC, checker);
    let channels = channels(&raw.channels, folder, checker);
    // Also those that are wrong: that a name is not known is no mistake of whoever names it then.
    let mut names = Names::of_channels(raw.channels.iter().filter_map(|channel| channel.id.clone()));
    let contacts = contacts(&raw.contacts, &mut names, checker);
    let rotas = rotas(&raw.rotas, &zone, &mut names, checker);
    let escalation = escalation(&raw.escalation, &names, checker);
    let maintenance = maintenance(&raw.maintenance, &zone, checker);
    let rules = rules(&raw.rules, context.shipped, checker);
    let (disabled, severities) = shipped_rules(raw, context.shipped, checker);
    let default = AlertSettings::default();
    let mut within = |key: &str, value, default, bounds| {
        duration(&format!("alerts.{key}"), value, default, bounds, checker)
    };
    let settings = AlertSettings {
        group_wait: within("group_wait", raw.group_wait.as_ref(), default.group_wait, Duration::ZERO..=HOUR),
        group_interval: within(
            "group_interval",
            raw.group_interval.as_ref(),
            default.group_interval,
            MINUTE..=DAY,
        ),
        reacknowledge_after: within(
            "reacknowledge_after",
            raw.reacknowledge_after.as_ref(),
            default.reacknowledge_after,
            MINUTE..=30 * DAY,
        ),
        reacknowledge_p1_after: within(
            "reacknowledge_p1_after",
            raw.reacknowledge_p1_after.as_ref(),
            default.reacknowledge_p1_after,
            MINUTE..=30 * DAY,
        ),
        contacts,
        rotas,
        escalation,
        maintenance,
        digest_at: raw.digest_at.as_ref().map_or(default.digest_at, |text| {
            time_of_day(text).unwrap_or_else(|| {
                let hint = "such as digest_at = \"09:00\", by the clock of time_zone";
                checker.wrong("alerts.digest_at", "is no time of day", hint);
                default.digest_at
            })
        }),
        digest_zone: zone,
        digest_contacts: digest_contacts(&raw.digest_contacts, &names, checker),
        daily_digest: daily(raw.daily_digest.as_deref(), default.daily_digest, checker),
        weekly_digest_on: weekly(raw.weekly_digest_on.as_deref(), default.weekly_digest_on, checker),
        source: source(raw.source.as_ref(), context.environment, checker),
        pages: pages(raw.public_url.as_deref(), context.ops, checker),
        ..default
    };
    let found = AlertsConfig {
        dead_man: dead_man(raw, folder, checker),
        ack_link_valid_for: duration(
            "alerts.ack_link_valid_for",
            raw.ack_link_valid_for.as_ref(),
            ACK_LINK_VALID_FOR,
            5 * MINUTE..=30 * DAY,
            checker,
        ),
        settings,
        channels,
        rules,
        disabled,
        severities,
        ages: ages(raw, folder, checker),
        client_floors: client_floors(&raw.client_floors, checker),
        host_root: raw.host_root.as_ref().map_or_else(|| PathBuf::from("/"), |root| folder.join(root)),
    };
    if checker.mistakes_so_far() == before {
        who_is_told(&found, checker);
    }
    found
}

/// What is odd in who is told, where every name is sound.
fn who_is_told(config: &AlertsConfig, checker: &mut Checker) {
    let ids: BTreeSet<String> = config.channels.iter().map(|channel| channel.id.clone()).collect();
    // Alertmanager is sent everything, and decides itself who is told.
    let is_manager = |channel: &&Channel| channel.settings.kind() == ChannelKind::Alertmanager;
    let has_people = config.channels.iter().any(|channel| !is_manager(&channel));
    let mut settings = config.settings.clone();
    if settings.escalation.p1.contacts.is_empty() && !ids.is_empty() {
        if has_people {
            checker.wrong(
                "alerts.channels",
                "nobody is told of P1, the gravest of all",
                "write [[alerts.escalation]] with severity = \"P1\" and contacts = [\"…\"]",
            );
        }
        settings.escalation.p1.contacts.extend(ids.first().cloned());
    }
    // What is not known here by its key, and is known there.
    for mistake in settings.mistakes(&ids) {
        checker.wrong("alerts", mistake, "docs/configuration.md explains every key");
    }
    let lines = Severity::ALL.map(|severity| &config.settings.escalation.of(severity).contacts);
    let named: BTreeSet<&String> = lines
        .into_iter()
        .chain(config.settings.contacts.values())
        .chain([&config.settings.digest_contacts])
        .flatten()
        .chain(config.settings.rotas.values().flat_map(|rota| &rota.members))
        .chain(
            config
                .settings
                .rotas
                .values()
                .flat_map(|rota| &rota.overrides)
                .map(|exception| &exception.member),
        )
        .chain(config.channels.iter().filter_map(|channel| channel.fallback.as_ref()))
        .collect();
    for channel in
        config.channels.iter().filter(|channel| !is_manager(channel) && !named.contains(&channel.id))
    {
        checker.warn(format!(
            "alerts: no escalation, contact, rota or fallback names the channel `{}`: nothing is sent there",
            channel.id
        ));
    }
}

/// The name of this machine, unless it is given one.
fn source(name: Option<&String>, environment: &[(String, String)], checker: &mut Checker) -> String {
    let is_good = |name: &str| !name.is_empty() && name.len() <= 100 && !name.chars().any(char::is_control);
    if let Some(name) = name {
        if !is_good(name.trim()) {
            let message = "is empty, longer than 100 bytes, or has several lines";
            checker.wrong(
                "alerts.source",
                message,
                "the name of this machine in messages, such as \"box-1\"",
            );
        }
        return name.trim().to_owned();
    }
    let of_environment =
        environment.iter().find(|(name, _)| name == "HOSTNAME").map(|(_, host)| host.clone());
    let of_system = || std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let found = of_environment.or_else(of_system).map(|host| host.trim().to_owned());
    found.filter(|host| is_good(host)).unwrap_or_else(|| AlertSettings::default().source)
}

/// Where the ops API is for those who read messages.
fn pages(public_url: Option<&str>, ops: SocketAddr, checker: &mut Checker) -> Option<String> {
    let key = "alerts.public_url";
    if let Some(text) = public_url {
        let url = url(text, key, checker)?;
        let is_plain = url.query().is_none() && url.fragment().is_none() && url.username().is_empty();
        if !is_plain || url.password().is_some() {
            let hint = "the address alone, such as \"https://box.example\": it stands in every message";
            checker.wrong(key, "has a user, a query or a fragment", hint);
            return None;
        }
        return Some(url.as_str().trim_end_matches('/').to_owned());
    }
    // Which port it will be is not known, and an unspecified address leads nowhere.
    match (ops.port(), ops.ip().is_unspecified()) {
        (0, _) => None,
        (port, true) => Some(format!("http://127.0.0.1:{port}")),
        (_, false) => Some(format!("http://{ops}")),
    }
}

fn dead_man(raw: &RawAlerts, folder: &Path, checker: &mut Checker) -> Option<DeadmanSettings> {
    let place = Place {
        section: "alerts",
        key: "dead_man_url",
        text: raw.dead_man_url.as_ref(),
        file: raw.dead_man_url_file.as_ref(),
    };
    let every = raw.dead_man_every.as_ref();
    let interval = duration("alerts.dead_man_every", every, MINUTE, 10 * SECOND..=DAY, checker);
    if every.is_some() && !place.is_there() {
        place.missing("dead_man_every says how often it is called", checker);
    }
    let url = secret_url(place, folder, PlainHttp::InPrivate, checker)?;
    Some(DeadmanSettings { url, interval })
}

fn daily(text: Option<&str>, default: DailyDigest, checker: &mut Checker) -> DailyDigest {
    let Some(text) = text else { return default };
    DailyDigest::parse(text).unwrap_or_else(|| {
        let hint = "always, news (on days on which something happened), or never";
        checker.wrong("alerts.daily_digest", "is not when a digest can come", hint);
        default
    })
}

fn weekly(text: Option<&str>, default: Option<Weekday>, checker: &mut Checker) -> Option<Weekday> {
    match text {
        None => default,
        Some("never") => None,
        Some(text) => {
            let day = weekday(text);
            if day.is_none() {
                let hint = "mon, tue, wed, thu, fri, sat, sun, or never";
                checker.wrong("alerts.weekly_digest_on", "is no day of the week", hint);
            }
            day
        }
    }
}

#[cfg(test)]
mod tests;
