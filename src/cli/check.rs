//! `relaymux check`

use std::{process::ExitCode, sync::Arc, time::Duration};

use comfy_table::{Table, presets};
use reqwest::header::HeaderValue;
use tokio::time::Instant;

use super::{FAILED, MISUSED, arguments::CheckArguments};
use crate::{
    config::Config,
    relay::{CallContext, Relay, build_http_client},
};

/// Longest wait for a relay.
const PATIENCE: Duration = Duration::from_secs(5);

#[expect(clippy::print_stdout, clippy::print_stderr, reason = "a command speaks to its user")]
pub(super) async fn check(arguments: CheckArguments) -> ExitCode {
    let environment: Vec<(String, String)> = std::env::vars().collect();
    let config = match Config::load(&arguments.config, &environment) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(MISUSED);
        }
    };
    for warning in &config.warnings {
        println!("warning: {warning}");
    }
    let enabled = config.relays.iter().filter(|relay| relay.enabled).count();
    println!(
        "{}: sound. network {}, {} relays, {enabled} of them enabled, builder API on {}, ops API on {}",
        arguments.config.display(),
        config.spec.name,
        config.relays.len(),
        config.builder_api.listen,
        config.ops.listen,
    );
    if arguments.offline {
        return ExitCode::SUCCESS;
    }
    let http = match build_http_client(&config.tls_roots, config.proxy.as_deref()) {
        Ok(http) => http,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(MISUSED);
        }
    };
    let user_agent = HeaderValue::from_static(concat!("relaymux/", env!("CARGO_PKG_VERSION")));
    let probes = config.relays.into_iter().map(|settings| {
        let relay = Arc::new(Relay::new(settings, config.spec.preset, http.clone()));
        let context = CallContext { user_agent: user_agent.clone(), deadline: Instant::now() + PATIENCE };
        async move {
            if !relay.settings().enabled {
                return (relay, None, Duration::ZERO);
            }
            let started = Instant::now();
            let result = relay.status(&context).await;
            (relay, Some(result), started.elapsed())
        }
    });
    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY).set_header(["relay", "address", "answer", "ms"]);
    let mut all_well = true;
    for (relay, result, took) in futures_util::future::join_all(probes).await {
        let (words, took) = match &result {
            None => ("disabled".to_owned(), String::new()),
            Some(Ok(())) => ("ok".to_owned(), took.as_millis().to_string()),
            Some(Err(failure)) => (failure.to_string(), took.as_millis().to_string()),
        };
        all_well &= !matches!(result, Some(Err(_)));
        table.add_row([relay.id().to_string(), relay.settings().public_url(), words, took]);
    }
    println!("{table}");
    if all_well { ExitCode::SUCCESS } else { ExitCode::from(FAILED) }
}
