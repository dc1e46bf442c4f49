//! Whom alerts reach: the channels, and a row for each severity with everybody who is told, in their order.

use serde_json::json;

use super::super::{findings::Findings, terminal};
use crate::{
    alerts::channels::{Channel, ChannelKind},
    config::AlertsConfig,
    events::Severity,
    types::UnixMillis,
};

/// One step of an escalation: who is told, and by which channels, as the rota is now.
struct Step {
    name: String,
    channels: Vec<String>,
}

/// Lists channels and says whom each severity reaches now.
pub(super) fn report_alerts(config: &AlertsConfig, now: UnixMillis, findings: &mut Findings) {
    if config.channels.is_empty() {
        findings.remark(
            "alerts",
            "there are no [[alerts.channels]]: alerts are kept and shown on the ops API, and nobody is told",
        );
        return;
    }
    let steps = |severity| steps_of(config, severity, now);
    let mut table = terminal::table(["severity", "tells", "the next one after"]);
    for severity in Severity::ALL {
        let within = format!("{} min", config.settings.escalation.of(severity).respond_within.as_secs() / 60);
        let (words, next) = match (steps(severity).as_slice(), severity) {
            ([], _) => ("nobody".to_owned(), String::new()),
            (steps, Severity::P4) => (words(steps, " and "), "in a digest".to_owned()),
            (steps, _) => (words(steps, ", then "), within),
        };
        table.add_row([severity.label().to_owned(), words, next]);
    }
    let digests = match config.settings.digest_contacts.as_slice() {
        [] => steps(Severity::P4),
        named => steps_of_names(config, named, now),
    };
    let tells = if digests.is_empty() { "nobody".to_owned() } else { words(&digests, " and ") };
    table.add_row(["digests".to_owned(), tells, String::new()]);
    let channels: Vec<String> = config.channels.iter().map(describe).collect();
    let text = format!("alert channels: {}\n{table}", channels.join(", "));
    let document = json!({
        "source": config.settings.source,
        "channels": config.channels.iter().map(|channel| json!({
            "id": channel.id, "kind": channel.settings.kind(), "fallback": channel.fallback,
        })).collect::<Vec<_>>(),
        "escalation": Severity::ALL.map(|severity| json!({
            "severity": severity,
            "respond_within_secs": config.settings.escalation.of(severity).respond_within.as_secs(),
            "contacts": steps(severity).into_iter().map(|step| json!({ "name": step.name, "channels": step.channels }))
                .collect::<Vec<_>>(),
        })),
    });
    findings.detail("alerts", text, document);
    let has_manager =
        config.channels.iter().any(|channel| channel.settings.kind() == ChannelKind::Alertmanager);
    if !has_manager && steps(Severity::P1).iter().all(|step| step.channels.is_empty()) {
        findings.remark("warning", "P1, the gravest of all, reaches nobody: see [[alerts.escalation]]");
    }
}

fn steps_of(config: &AlertsConfig, severity: Severity, now: UnixMillis) -> Vec<Step> {
    steps_of_names(config, &config.settings.escalation.of(severity).contacts, now)
}

fn steps_of_names(config: &AlertsConfig, names: &[String], now: UnixMillis) -> Vec<Step> {
    names
        .iter()
        .map(|name| Step { name: name.clone(), channels: config.settings.channels_of(name, now) })
        .collect()
}

/// `anna (pager, slack), then ops`
fn words(steps: &[Step], between: &str) -> String {
    let step = |step: &Step| match step.channels.as_slice() {
        [own] if *own == step.name => step.name.clone(),
        channels => format!("{} ({})", step.name, channels.join(", ")),
    };
    steps.iter().map(step).collect::<Vec<_>>().join(between)
}

/// `ops (slack, else mail)`
fn describe(channel: &Channel) -> String {
    let fallback = channel.fallback.as_ref().map_or_else(String::new, |other| format!(", else {other}"));
    format!("{} ({}{fallback})", channel.id, channel.settings.kind())
}
