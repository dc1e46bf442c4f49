//! `relaymux run`

use std::{io, path::Path, process::ExitCode};

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{FAILED, MISUSED, arguments::RunArguments, import::Legacy};
use crate::{
    app::{ConfigSource, LogFormat, Service, Signal, Signals, init_logging, install_metrics},
    config::Config,
};

#[expect(clippy::print_stderr, reason = "a command speaks to its user")]
pub(super) async fn run(arguments: RunArguments) -> ExitCode {
    let environment: Vec<(String, String)> = std::env::vars().collect();
    let (source, config) = match ConfigSource::read(arguments.config, environment) {
        Ok(read) => read,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(MISUSED);
        }
    };
    init_logging(arguments.log.log_format, &arguments.log.log);
    serve(config, Some(source), arguments.ports_file.as_deref()).await
}

/// Runs as mev-boost was started. There is no file to follow.
#[expect(clippy::print_stderr, reason = "a command speaks to its user")]
pub(super) async fn run_legacy(legacy: Legacy) -> ExitCode {
    let environment: Vec<(String, String)> = std::env::vars().collect();
    let config = match Config::parse(&legacy.text, Path::new("mev-boost's flags"), &environment) {
        Ok(config) => config,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(MISUSED);
        }
    };
    let format = if legacy.json_logs { LogFormat::Json } else { LogFormat::Text };
    init_logging(format, legacy.log_level.as_deref().unwrap_or("info"));
    info!(
        "started by mev-boost's flags or environment; `relaymux import mev-boost` writes the same as a relays.toml"
    );
    for note in &legacy.notes {
        warn!("{note}");
    }
    serve(config, None, legacy.ports_file.as_deref()).await
}

#[expect(clippy::print_stderr, reason = "a command speaks to its user")]
async fn serve(config: Config, source: Option<ConfigSource>, ports_file: Option<&Path>) -> ExitCode {
    let mut signals = match Signals::take() {
        Ok(signals) => signals,
        Err(error) => {
            eprintln!("cannot wait for signals: {error}");
            return ExitCode::from(FAILED);
        }
    };
    let mut service = match Service::start(config, source, install_metrics()).await {
        Ok(service) => service,
        Err(error) => {
            eprintln!("relaymux cannot start: {error}");
            return ExitCode::from(FAILED);
        }
    };
    if let Some(path) = ports_file
        && let Err(error) = write_ports(path, &service)
    {
        eprintln!("cannot write --ports-file {}: {error}", path.display());
        service.stop(CancellationToken::new()).await;
        return ExitCode::from(FAILED);
    }
    let failure = loop {
        let signal = tokio::select! {
            signal = signals.next() => signal,
            words = service.failed() => break Some(words),
        };
        match signal {
            Signal::Stop => break None,
            Signal::Reload => service.reload(),
            Signal::Rotate => service.rotate("SIGUSR1").await,
        }
    };
    info!("stopping");
    // A second signal is somebody who does not want to wait for a block that may never come. What is in flight still ends well.
    let impatience = CancellationToken::new();
    let stop = service.stop(impatience.clone());
    tokio::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            signal = signals.next() => match signal {
                Signal::Stop => {
                    warn!("told to stop again: not waiting for blocks that have not come");
                    impatience.cancel();
                }
                Signal::Reload | Signal::Rotate => {}
            },
        }
    }
    match failure {
        None => ExitCode::SUCCESS,
        Some(words) => {
            eprintln!("relaymux has ended: {words}");
            ExitCode::from(FAILED)
        }
    }
}

/// Written aside and renamed: a reader sees all of it or none.
fn write_ports(path: &Path, service: &Service) -> io::Result<()> {
    let mut ports = serde_json::json!({
        "builder": service.builder_address().to_string(),
        "ops": service.ops_address().to_string(),
    });
    if let (Some(address), Some(ports)) = (service.bundles_address(), ports.as_object_mut()) {
        ports.insert("bundles".to_owned(), address.to_string().into());
    }
    let aside = path.with_extension("new");
    std::fs::write(&aside, ports.to_string())?;
    std::fs::rename(aside, path)
}
