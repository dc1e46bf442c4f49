//! `relaymux alert test`: proves that whoever is to be told can be told.

use std::process::ExitCode;

use serde_json::json;

use super::{
    arguments::AlertTestArguments,
    exit::{FAILED, MISUSED},
    loading::load,
    terminal,
};
use crate::{
    alerts::{channels::Channel, prove},
    config::Config,
    consensus::WallClock,
    relay::build_http_client,
};

/// Sends a test message to everybody whom a severity reaches, and says of each whether it arrived.
pub(super) async fn test(arguments: AlertTestArguments) -> ExitCode {
    let config = match load(&arguments.config) {
        Ok(config) => config,
        Err(code) => return code,
    };
    let clock = WallClock::system();
    let channels = channels(&config, &arguments, clock.now());
    if channels.is_empty() {
        terminal::complain(format_args!(
            "{} reaches nobody: name [[alerts.channels]] and their contacts in [[alerts.escalation]], or a channel with --channel; \
             `relaymux check --offline` lists who is told",
            arguments.severity
        ));
        return ExitCode::from(FAILED);
    }
    let http = match build_http_client(&config.tls_roots, config.proxy.as_deref()) {
        Ok(http) => http,
        Err(error) => {
            terminal::complain(format_args!("{error}"));
            return ExitCode::from(MISUSED);
        }
    };
    let source = &config.alerts.settings.source;
    let mut results = Vec::new();
    for channel in channels {
        results.push((channel, prove(channel, arguments.severity, source, &http, clock.now()).await));
    }
    if arguments.json {
        let shown: Vec<_> = results
            .iter()
            .map(|(channel, result)| {
                json!({
                    "channel": channel.id,
                    "kind": channel.settings.kind(),
                    "taken": result.is_ok(),
                    "reason": result.as_ref().err(),
                })
            })
            .collect();
        terminal::say(terminal::json(&shown));
    } else {
        let mut table = terminal::table(["channel", "kind", "result"]);
        for (channel, result) in &results {
            let result =
                result.as_ref().map_or_else(|reason| format!("not taken: {reason}"), |()| "taken".to_owned());
            table.add_row([channel.id.clone(), channel.settings.kind().to_string(), result]);
        }
        terminal::say(table);
    }
    if results.iter().all(|(_, result)| result.is_ok()) { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}

/// The channel that was named, else those of everybody whom the severity reaches, each once.
fn channels<'a>(config: &'a Config, arguments: &AlertTestArguments, now: i64) -> Vec<&'a Channel> {
    let alerts = &config.alerts;
    let wanted: Vec<String> = match &arguments.channel {
        Some(id) => vec![id.clone()],
        None => {
            let line = &alerts.settings.escalation.of(arguments.severity).contacts;
            line.iter().flat_map(|name| alerts.settings.channels_of(name, now)).collect()
        }
    };
    alerts.channels.iter().filter(|channel| wanted.contains(&channel.id)).collect()
}
