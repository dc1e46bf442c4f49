//! Logs and metrics of the whole process.

use std::io::IsTerminal;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use tracing_subscriber::EnvFilter;

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

/// Installs the process's metrics recorder and describes every room's metrics. A second call in one process gets a recorder of
/// its own that nothing writes to.
pub fn install_metrics() -> PrometheusHandle {
    let builder = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &BUCKETS)
        .unwrap_or_else(|_| PrometheusBuilder::new());
    let recorder = builder.build_recorder();
    let handle = recorder.handle();
    if metrics::set_global_recorder(recorder).is_ok() {
        crate::relay::describe_metrics();
        crate::auction::describe_metrics();
        crate::builder_api::describe_metrics();
        super::chain_watch::describe_metrics();
        metrics::describe_gauge!("relaymux_build_info", "1, labelled with the version");
        metrics::gauge!("relaymux_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
    }
    handle
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
}
