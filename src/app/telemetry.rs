//! Logs and metrics of the whole process.

use std::{io::IsTerminal, time::Duration};

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

use crate::tasks::TaskGroup;

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Seconds; from a tenth of a millisecond to the longest deadline.
const BUCKETS: [f64; 16] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 2.0, 4.0];

/// How often histograms are folded.
const UPKEEP: Duration = Duration::from_secs(5);

/// The tasks that begin anew when they fail.
const RESTARTING: [&str; 34] = [
    "maintenance",
    "maintenance_signals",
    "metrics",
    "backup_watch",
    "ledger_trim",
    "chain_watch",
    "duties",
    "payload_attributes",
    "probes",
    "ledger_writer",
    "profit_checks",
    "registration_checks",
    "settlements",
    "sla",
    "sla_probes",
    "supervisor",
    "alerts",
    "alert_delivery",
    "alert_orphans",
    "alert_signals",
    "alert_wakes",
    "alertmanager",
    "alertmanager_snapshots",
    "deadman",
    "disk",
    "disk_signals",
    "error_budgets",
    "maintenance_windows",
    "node_signals",
    "rpc_lateness",
    "rpc_pressure",
    "rpc_probes",
    "rpc_signals",
    "rpc_subscriptions",
];

/// A log filter as people write it: a level, mev-boost's spelling included, or tracing's language (`relaymux=debug`).
///
/// # Errors
/// When it is neither: a word that is no level would be taken for a module's name, and nothing would be logged.
pub fn parse_log_filter(text: &str) -> Result<String, String> {
    let mut parts = Vec::new();
    for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        parts.push(match part.to_ascii_lowercase().as_str() {
            "warning" => "warn",
            "fatal" | "panic" => "error",
            "off" | "error" | "warn" | "info" | "debug" | "trace" => part,
            _ if part.contains(['=', '[']) || part.contains("::") || part == "relaymux" => part,
            _ => {
                return Err(format!(
                    "`{part}` is no level: give error, warn, info, debug or trace, or a filter such as relaymux=debug"
                ));
            }
        });
    }
    let filter = parts.join(",");
    EnvFilter::try_new(&filter).map_err(|error| error.to_string())?;
    Ok(filter)
}

/// Sends logs to standard error. `filter` is in tracing's language: `info`, `relaymux=debug`.
pub fn init_logging(format: LogFormat, filter: &str) {
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // Standard error may be a pipe that nobody reads any more: complaining there would be a panic.
        .log_internal_errors(false)
        .with_target(false);
    // An error means that logging is set up already, as in a test.
    let _ = match format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}

/// When header requests come, seconds relative to the slot's start: below 0 before it. Closest around the times at which clients ask and relays
/// stop answering.
const INTO_SLOT_BUCKETS: [f64; 16] =
    [-12.0, -4.0, -1.0, -0.5, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 8.0, 12.0];

/// All of the process's own numbers, such as its memory, under this prefix.
fn process_metrics() -> metrics_process::Collector {
    metrics_process::Collector::new("relaymux_")
}

/// Installs the process's metrics recorder and describes every room's metrics. A second call in one process gets a recorder of
/// its own that nothing writes to.
pub fn install_metrics() -> PrometheusHandle {
    let recorder = build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_ok() {
        describe_all();
        metrics::gauge!("relaymux_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        process_metrics().collect();
    }
    handle
}

/// Every histogram has buckets: a summary's quantiles can neither be added up over instances nor be asked for a time span.
fn build_recorder() -> PrometheusRecorder {
    PrometheusBuilder::new()
        .set_buckets(&BUCKETS)
        .and_then(|builder| {
            builder
                .set_buckets_for_metric(Matcher::Suffix("_seconds_into_slot".to_owned()), &INTO_SLOT_BUCKETS)
        })
        // Only for no buckets at all.
        .unwrap_or_else(|_| PrometheusBuilder::new())
        .build_recorder()
}

/// Folds histograms now and then, as they grow until someone scrapes, and reads what the process uses.
pub(super) fn start_upkeep(metrics: PrometheusHandle, group: &TaskGroup) {
    group.restarting("metrics", move |stop| keep_metrics(metrics.clone(), stop));
}

async fn keep_metrics(metrics: PrometheusHandle, stop: CancellationToken) {
    let process = process_metrics();
    let mut tick = tokio::time::interval(UPKEEP);
    loop {
        tokio::select! {
            _ = tick.tick() => {
                metrics.run_upkeep();
                process.collect();
            }
            () = stop.cancelled() => return,
        }
    }
}

fn describe_all() {
    crate::events::describe_metrics(&super::alert_rules());
    crate::relay::describe_metrics();
    crate::ledger::describe_metrics();
    crate::backup::describe_metrics();
    crate::auction::describe_metrics();
    crate::profit::describe_metrics();
    crate::bundles::describe_metrics();
    crate::builder_api::describe_metrics();
    crate::gateway::describe_call_metrics();
    crate::gateway::subscriptions::describe_metrics();
    crate::supervisor::describe_metrics();
    crate::rpc_api::describe_metrics();
    crate::rpc_api::websocket::describe_metrics();
    crate::alerts::describe_delivery_metrics();
    crate::supervisor::schedule::describe_metrics();
    crate::supervisor::disk::describe_metrics();
    crate::tasks::describe_metrics(&RESTARTING);
    super::chain_watch::describe_metrics();
    super::host_source::describe_metrics();
    metrics::describe_gauge!("relaymux_build_info", "1, labelled with the version");
    process_metrics().describe();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_levels_or_tracings_language() {
        for (text, want) in [
            ("info", Some("info")),
            ("WARN", Some("WARN")),
            ("warning", Some("warn")),
            ("panic", Some("error")),
            ("warn, relaymux=debug", Some("warn,relaymux=debug")),
            ("relaymux::auction", Some("relaymux::auction")),
            ("loud", None),
            ("relaymux=loud", None),
        ] {
            assert_eq!(parse_log_filter(text).ok().as_deref(), want, "{text}");
        }
    }

    /// The names of our metrics in the sources, tests aside.
    fn names_in(folder: &std::path::Path, names: &mut std::collections::BTreeSet<String>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                names_in(&path, names);
            } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("tests.rs") {
                let text = std::fs::read_to_string(&path).unwrap();
                let code = text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
                let quoted = code.split('"').filter(|part| part.starts_with("relaymux_"));
                let is_name = |part: &&str| part.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
                names.extend(quoted.filter(is_name).filter(|name| !name.ends_with('_')).map(str::to_owned));
            }
        }
    }

    /// Whatever the path that counts it: each name in the sources is described, and in the manual.
    #[test]
    fn every_metric_is_described_and_in_the_manual() {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        let mut names = std::collections::BTreeSet::new();
        names_in(&root.join("src"), &mut names);
        assert!(names.len() > 40, "{names:?}");
        let manual = std::fs::read_to_string(root.join("docs/operations.md")).unwrap();
        let recorder = build_recorder();
        metrics::with_local_recorder(&recorder, || {
            describe_all();
            for name in &names {
                metrics::gauge!(name.clone()).set(0.0);
            }
        });
        let text = recorder.handle().render();
        for name in &names {
            assert!(text.contains(&format!("# HELP {name} ")), "{name} is not described");
            assert!(manual.contains(&format!("`{name}`")), "{name} is not in docs/operations.md");
        }
    }

    /// What is counted for each relay, builder, upstream or node begins when that appears. Everything else is there from the start: `increase()` sees the first one.
    #[test]
    fn every_counter_begins_at_zero() {
        const OF_EACH: [&str; 16] = [
            "relaymux_alert_deliveries_total",
            "relaymux_offers_total",
            "relaymux_disk_cleaned_files_total",
            "relaymux_disk_cleaned_bytes_total",
            "relaymux_relay_wins_total",
            "relaymux_relay_calls_total",
            "relaymux_relay_verdicts_total",
            "relaymux_relay_offences_total",
            "relaymux_bundle_sends_total",
            "relaymux_bundle_sends_dropped_total",
            "relaymux_rpc_requests_total",
            "relaymux_rpc_attempts_total",
            "relaymux_rpc_failovers_total",
            "relaymux_node_restarts_total",
            "relaymux_node_oom_kills_total",
            "relaymux_maintenance_runs_total",
        ];
        let mut names = std::collections::BTreeSet::new();
        names_in(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut names);
        let recorder = build_recorder();
        metrics::with_local_recorder(&recorder, describe_all);
        let text = recorder.handle().render();
        let counters = names.iter().filter(|name| name.ends_with("_total"));
        for name in counters.filter(|name| !OF_EACH.contains(&name.as_str())) {
            let is_sample = |line: &&str| {
                line.strip_prefix(name.as_str()).is_some_and(|rest| rest.starts_with([' ', '{']))
            };
            let samples: Vec<&str> = text.lines().filter(is_sample).collect();
            assert!(!samples.is_empty(), "{name} is not there before it is first counted");
            assert!(samples.iter().all(|line| line.ends_with(" 0")), "{samples:?}");
        }
    }

    #[test]
    fn every_histogram_has_buckets_also_below_zero() {
        let recorder = build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metrics::histogram!("relaymux_header_request_seconds_into_slot").record(-0.7);
            metrics::histogram!("relaymux_of_no_unit").record(0.3);
        });
        let text = recorder.handle().render();
        assert!(!text.contains("summary"), "{text}");
        assert!(text.contains("relaymux_header_request_seconds_into_slot_bucket{le=\"-1\"} 0"), "{text}");
        assert!(text.contains("relaymux_header_request_seconds_into_slot_bucket{le=\"-0.5\"} 1"), "{text}");
    }
}
